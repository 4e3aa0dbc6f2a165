"""Property tests that any EM model must pass: :func:`check_em_model`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, reduce
from numbers import Integral, Real
from operator import add
from typing import Any, Protocol, Self

import numpy as np

from .chunks import Rows
from .engine import EMModel, EMResult, ObjectiveFellWarning, Stats, run_em
from .families.base import Sums

__all__ = ["check_em_model"]

N_PIECES = 30
N_STARTS = 5
WITHIN = 1e-3

Model = EMModel[Any, Any]


class Units(Protocol):
    """A chunk: `Rows`, or what another model takes, as the sequences of a hidden Markov model. Units add up."""

    @property
    def weight(self) -> np.ndarray: ...  # (n,) of each unit
    def __len__(self) -> int: ...
    def take(self, index: np.ndarray) -> Self: ...
    def reweighted(self, weight: np.ndarray) -> Self: ...


def check_em_model(
    model: Model,
    X: np.ndarray | Units,
    *,
    sample_weight: np.ndarray | None = None,
    params: Any = None,
    permute: Callable[[Any], Any] | None = None,
    truth: tuple[Any, np.ndarray | Units] | None = None,
    n_steps: int = 20,
    random_state: int = 0,
) -> None:
    """Check that a model keeps what the engine and the estimators take for granted.

    The properties, by the names that messages give them:

    - *scalars*: `n_free` is an int >= 0, `log_prior` a finite float, `rounding` a positive float.
    - *purity*: the steps leave their arguments as they are and give the same bits when repeated.
    - *additivity*: the statistics of all rows are the sum over any chunks, in any order of chunks and rows; a multiple
      multiplies each field.
    - *weights*: a row of weight w counts as w rows, a row of weight 0 as none.
    - *monotony*: if `model.monotone`, no plain EM step lowers the objective by more than rounding, from any of
      6 starts.
    - *reported objective*: that of a run belongs to the parameters it returns.
    - *vector* (where the model has `to_vector`): `from_vector` takes it back; vectors nearby give parameters with a
      finite objective, or None.
    - *labels* (with `permute`): permuting the components leaves the objective as it is and permutes the next step.
    - *recovery* (with `truth`): on simulated rows, EM from the truth ends no lower than it started and at most
      ``n_free + 10`` higher (twice the rise is about chi-squared); the best of 5 runs from `init_params` ends no lower
      than that by more than 0.001 per unit of weight.

    They are checked at the start and after `n_steps` EM steps, up to rounding: ``model.rounding(params)`` times the
    absolute statistics of the chunks, summed. Fields of the statistics may be numbers, arrays, or nested tuples of them
    that add and scale (:class:`emkit.families.base.Sums`). Where a model has chunks of its own, "row" stands for their
    units, of which none can be divided: the sequences of a hidden Markov model.

    Parameters
    ----------
    model : EMModel
        See :class:`emkit.engine.EMModel`.
    X : ndarray of shape (n_samples, n_features), float64 or float32; or a chunk
        Two or more rows as the model takes them, with no ties where it assigns rows to components; other dtypes
        become float64. Some hundred are enough. Or a chunk of the model's own, of two or more units: a dataclass with
        ``len()``, `weight` (n,) of each unit, ``take(index)`` and ``reweighted(weight)``, as
        :class:`emkit.chunks.Rows` and :class:`emkit.hidden_markov.sequences.Sequences`.
    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Positive weights of rows or units; None is 1 for each row, or what the chunk has.
    params : Params or None, default=None
        The start; None draws one by ``model.init_params``.
    permute : callable or None, default=None
        ``permute(params)`` gives them with the components in another order, always the same one (say, reversed).
    truth : tuple (params, X) or None, default=None
        True parameters and rows (or a chunk) simulated from them; for models whose objective is the log-likelihood.
    n_steps : int, default=20
        EM steps to take.
    random_state : int, default=0
        Seed of the start, and of the chunks and weights that are tried.

    Raises
    ------
    AssertionError
        If a property does not hold; the message begins with its name.

    Examples
    --------
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit.families.covariance import COVARIANCES
    >>> from emkit.families.gaussian import GaussianFamily
    >>> from emkit.mixture import MixtureModel
    >>> from emkit.testing import check_em_model
    >>> X = load_old_faithful().data
    >>> family = GaussianFamily(COVARIANCES["full"], 2, X.std(axis=0), 1e-6, X.dtype)
    >>> check_em_model(MixtureModel(family), X)
    """
    rng = np.random.default_rng(random_state)
    rows = _as_units(X, sample_weight)
    chunks = _pieces(rows, 3, rng)
    params = model.init_params(chunks, rng) if params is None else params
    _check_point(_Case(model, rows, params, rng), permute)
    result = _run(model, params, chunks, tol=0, max_iter=n_steps)
    end = _Case(model, rows, result.params, rng)
    _check_point(end, permute)
    reported = abs(result.objective - end.stats.objective - model.log_prior(result.params))
    _require(reported <= end.allowed("objective"), "reported objective: it is not that of the parameters returned")
    for generator in rng.spawn(N_STARTS):  # a wrong step may raise the objective for long, from one start
        _run(model, model.init_params(chunks, generator), chunks, tol=0, max_iter=n_steps)
    if truth is not None:
        _check_recovery(model, truth[0], [_as_units(truth[1], None)], rng)


@dataclass(frozen=True, eq=False)
class _Case:
    """A model at one point of its parameter space, with rows to try it on."""

    model: Model
    rows: Units
    params: Any
    rng: np.random.Generator

    @cached_property
    def stats(self) -> Stats:
        return self.sum(self.rows)

    @cached_property
    def _sizes(self) -> dict[str, list[float]]:
        """For each array of each field of the statistics, how large it would be if nothing cancelled."""
        pieces = [self.sum(piece) for piece in _pieces(self.rows, N_PIECES, self.rng)]
        sizes = {f.name: _largest([_leaves(getattr(piece, f.name)) for piece in pieces]) for f in fields(self.stats)}
        return sizes | {"objective": [sizes["objective"][0] + sizes["weight"][0]]}

    def sum(self, *chunks: Units) -> Stats:
        total: Stats = reduce(add, (self.model.e_step(self.params, chunk) for chunk in chunks))
        return total

    def allowed(self, field: str, number: int = 0) -> float:
        """Of the array of that number in a field."""
        return self.model.rounding(self.params) * self._sizes[field][number]

    def require_same(self, claim: str, got: Stats, expected: Stats) -> None:
        for name in self._sizes:
            pairs = zip(_leaves(getattr(got, name)), _leaves(getattr(expected, name)), strict=True)
            for number, (a, b) in enumerate(pairs):
                distance, allowed = _distance(a, b), self.allowed(name, number)
                _require(distance <= allowed, f"{claim}: {name} differs by {distance:.3g}, rounding is {allowed:.3g}")


def _check_point(case: _Case, permute: Callable[[Any], Any] | None) -> None:
    for check in (_check_scalars, _check_purity, _check_additivity, _check_weights, _check_vector):
        check(case)
    if permute is not None:
        _check_labels(case, permute)


def _check_scalars(case: _Case) -> None:
    n_free, log_prior = case.model.n_free(case.params), case.model.log_prior(case.params)
    is_count = isinstance(n_free, Integral) and not isinstance(n_free, bool) and n_free >= 0
    _require(is_count, f"scalars: n_free must be an int >= 0, but is {n_free!r}")
    is_finite = isinstance(log_prior, Real) and bool(np.isfinite(log_prior))
    _require(is_finite, f"scalars: log_prior must be a finite float, but is {log_prior!r}")
    _require(0 < case.model.rounding(case.params) < np.inf, "scalars: rounding must be a positive float")


def _check_purity(case: _Case) -> None:
    model, params, data = case.model, case.params, case.rows
    seed = int(case.rng.integers(2**31))
    _require_pure("e_step", lambda: model.e_step(params, case.rows), params, data)
    _require_pure("m_step", lambda: model.m_step(case.stats, params), params, case.stats)
    _require_pure("init_params", lambda: model.init_params([case.rows], np.random.default_rng(seed)), data)


def _require_pure(name: str, step: Callable[[], Any], *arguments: Any) -> None:
    before, first = _bits(arguments), _bits(step())
    _require(_bits(arguments) == before, f"purity: {name} changes its arguments")
    _require(_bits(step()) == first, f"purity: {name} gives other bits when it is repeated")


def _check_additivity(case: _Case) -> None:
    for n_pieces in (2, 7, N_PIECES):
        pieces = _pieces(case.rows, n_pieces, case.rng)
        claim = f"additivity: the statistics of {len(pieces)} chunks do not add up to those of all rows"
        case.require_same(claim, case.sum(*(pieces[i] for i in case.rng.permutation(len(pieces)))), case.stats)
    shuffled = case.rows.take(case.rng.permutation(len(case.rows)))
    case.require_same("additivity: the statistics depend on the order of rows", case.sum(shuffled), case.stats)
    case.require_same("additivity: stats * 2 is not stats + stats", case.stats * 2.0, case.stats + case.stats)


def _check_weights(case: _Case) -> None:
    rows, times = case.rows, case.rng.integers(0, 4, len(case.rows))
    times[:2] = 0, 3
    weighted = rows.reweighted(rows.weight * times)
    present, repeated = weighted.take(np.flatnonzero(times)), rows.take(np.repeat(np.arange(len(rows)), times))
    got = case.sum(weighted)
    case.require_same("weights: a row of weight 0 does not count as absent", got, case.sum(present))
    case.require_same("weights: a row of weight w does not count as w rows", got, case.sum(repeated))


def _check_vector(case: _Case) -> None:
    model: Any = case.model
    if not hasattr(model, "to_vector"):
        return
    vector = model.to_vector(case.params)
    _require(vector.ndim == 1 and bool(np.isfinite(vector).all()), "vector: to_vector must give finite numbers, (p,)")
    back = model.from_vector(vector, case.params)
    _require(back is not None, "vector: from_vector gives None for the vector of parameters")
    _require_close(case, "vector: from_vector does not take back to_vector", back, case.params)
    moved = model.from_vector(vector + 0.1 * case.rng.standard_normal(vector.shape), case.params)
    is_sound = moved is None or bool(np.isfinite(replace(case, params=moved).stats.objective))
    _require(is_sound, "vector: a vector nearby gives parameters without a finite objective")


def _check_labels(case: _Case, permute: Callable[[Any], Any]) -> None:
    model, permuted = case.model, permute(case.params)
    stats = replace(case, params=permuted).stats
    changes = stats.objective - case.stats.objective, model.log_prior(permuted) - model.log_prior(case.params)
    is_same = max(abs(change) for change in changes) <= case.allowed("objective")
    _require(is_same, f"labels: permuting the components changes log-likelihood and log-prior by {changes}")
    after, expected = model.m_step(stats, permuted), permute(model.m_step(case.stats, case.params))
    _require_close(case, "labels: the step from permuted parameters is not the permuted step", after, expected)


def _check_recovery(model: Model, truth: Any, chunks: Sequence[Units], rng: np.random.Generator) -> None:
    from_truth = _run(model, truth, chunks, tol=1e-6)
    starts = (model.init_params(chunks, generator) for generator in rng.spawn(N_STARTS))
    missed = from_truth.objective - max(_run(model, start, chunks, tol=1e-6).objective for start in starts)
    rise, weight = from_truth.objective - from_truth.history[0].objective, from_truth.stats.weight
    rounding, most = model.rounding(truth) * (abs(from_truth.objective) + weight), model.n_free(truth) + 10
    _require(rise >= -rounding, f"recovery: EM from the truth ends {-rise:.3g} below it")
    _require(rise <= most, f"recovery: EM from the truth ends {rise:.3g} above it, more than n_free + 10 = {most}")
    claim = f"recovery: the best of {N_STARTS} starts ends {missed:.3g} below EM from the truth"
    _require(missed <= WITHIN * weight, f"{claim}, more than {WITHIN} per unit of weight")


def _run(model: Model, params: Any, chunks: Sequence[Units], **options: Any) -> EMResult[Any, Any]:
    """Plain EM, where a fall of the objective is an AssertionError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ObjectiveFellWarning)
        try:
            return run_em(model, params, chunks, **options)
        except ObjectiveFellWarning as fall:
            raise AssertionError(f"monotony: {fall}") from None


def _as_units(X: np.ndarray | Units, sample_weight: np.ndarray | None) -> Units:
    if isinstance(X, np.ndarray):
        X = X if X.dtype in (np.float64, np.float32) else X.astype(np.float64)
        X = Rows(X, np.ones(len(X), dtype=X.dtype))
    return X if sample_weight is None else X.reweighted(sample_weight)


def _pieces(rows: Units, n_pieces: int, rng: np.random.Generator) -> list[Units]:
    """At most `n_pieces` chunks, all with rows, cut at random places."""
    cuts = rng.choice(np.arange(1, len(rows)), min(n_pieces, len(rows)) - 1, replace=False)
    return [rows.take(index) for index in np.split(np.arange(len(rows)), np.sort(cuts))]


def _largest(pieces: Sequence[list[np.ndarray]]) -> list[float]:
    """Of each array, the largest element of its absolute values summed over the pieces."""
    return [float(np.max(sum(map(np.abs, of_all)), initial=0.0)) for of_all in zip(*pieces, strict=True)]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _require_close(case: _Case, claim: str, got: Any, expected: Any) -> None:
    rounding = case.model.rounding(case.params)
    for a, b in zip(_leaves(got), _leaves(expected), strict=True):
        distance = _distance(a, b) / (np.abs(b).max(initial=0.0) or 1.0)
        _require(distance <= rounding, f"{claim}: differs by {distance:.3g} of its size, rounding is {rounding:.3g}")


def _distance(a: Any, b: Any) -> float:
    """Largest difference; infinite if the shapes differ or something is not finite."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
        return np.inf
    return float(np.abs(a - b).max(initial=0.0))


def _leaves(value: Any) -> list[np.ndarray]:
    """The numbers in a value made of tuples and dataclasses."""
    if is_dataclass(value):
        value = tuple(getattr(value, f.name) for f in fields(value))
    if isinstance(value, tuple | list | Sums):
        return [leaf for part in value for leaf in _leaves(part)]
    array = np.asarray(value)
    return [array] if array.dtype.kind in "fiubc" else []


def _bits(value: Any) -> list[bytes]:
    return [leaf.tobytes() for leaf in _leaves(value)]
