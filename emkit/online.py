"""Stepwise EM: the statistics are a moving average over batches. Every `partial_fit` is this.

Passes over given data end at an average of the statistics of all steps, in which later ones count more ([3]_, [4]_):
large steps carry the statistics far, and the noise that they leave is averaged out. `partial_fit` takes the last
statistics as they are, since an average lags behind data that drift.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. Equation (11).
.. [2] Liang, P. and Klein, D. (2009). Online EM for unsupervised models. NAACL, 611-619. Section 3.
.. [3] Polyak, B. T. and Juditsky, A. B. (1992). Acceleration of stochastic approximation by averaging. SIAM J. Control
   Optim. 30(4), 838-855.
.. [4] Shamir, O. and Zhang, T. (2013). Stochastic gradient descent for non-smooth optimization: convergence results and
   optimal averaging schemes. ICML, PMLR 28(1), 71-79. Averages with weights that grow as a power of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ._validation import check_integer
from .batches import batches_of
from .chunks import CHUNK_ROWS
from .engine import EMModel, EMResult, Stats

__all__ = ["OnlineModel", "OnlineState", "fit_in_passes", "learning_rate", "online_step"]

GROWTH = 4.0  # power of the weight seen with which steps count in the average

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)
T = TypeVar("T")


class OnlineModel(EMModel[Params, S], Protocol[Params, S]):
    """A model whose statistics are taken about its parameters and can be moved to others."""

    def recentre(self, stats: S, params: Params, new_params: Params) -> S: ...


@dataclass(frozen=True)
class OnlineState(Generic[Params, S]):
    """Parameters and averaged statistics (about those parameters, per unit of weight); rows and batches seen."""

    params: Params
    stats: S
    weight: float
    n_steps: int


def first_state(result: EMResult[Params, S]) -> OnlineState[Params, S]:
    """Where the batches go on from a fit."""
    weight = result.stats.weight
    return OnlineState(result.params, result.stats * (1 / weight), weight, result.n_iter)


OnlineStep = Callable[[Any, Any, Any], Any]  # as `online_step`


def learning_rate(n_steps: float, delay: float = 2.0, power: float = 0.6) -> float:
    """Rate after `n_steps` steps: (n_steps + delay)^-power; 0.5 < power <= 1 converges ([2]_, section 3)."""
    return float((n_steps + delay) ** -power)


def online_step(model: OnlineModel[Params, S], state: OnlineState[Params, S], new: S) -> OnlineState[Params, S]:
    """s <- (1 - rate) s + rate * new, then an M-step ([1]_, equation 11). `new` was taken under `state.params`.

    What was seen before counts as so many batches of the size of the new one. ValueError if a step would leave the
    range of floats.
    """
    if new.weight == 0:
        return state
    rate = learning_rate(state.weight / new.weight)
    stats = state.stats * (1 - rate) + new * (rate / new.weight)
    try:
        with np.errstate(over="raise", invalid="raise"):
            params = model.m_step(stats, state.params)
            stats = model.recentre(stats, state.params, params)
    except FloatingPointError:
        raise ValueError(
            "X is a batch with values so far from those before that their squares are not finite; is one of them a "
            "placeholder for a missing value?"
        ) from None
    return OnlineState(params, stats, state.weight + new.weight, state.n_steps + 1)


class Averaging:
    """Steps as `online_step` takes them; the last leads to the average of the statistics of all ([3]_, [4]_).

    Step t, after which weight W_t has been seen, counts as W_t^4 - W_(t-1)^4: half of the average are the last 16 % of
    the rows, and the unit of weights does not matter.

    Attributes
    ----------
    is_last : bool
        To be set before the last step.
    """

    def __init__(self) -> None:
        self.is_last = False
        self._average: Any = None

    def __call__(self, model: OnlineModel[Params, S], state: OnlineState[Params, S], new: S) -> OnlineState[Params, S]:
        following = online_step(model, state, new)
        share = 1 - (state.weight / following.weight) ** GROWTH
        before = state.stats if self._average is None else self._average
        moved = model.recentre(before, state.params, following.params)
        self._average = moved * (1 - share) + following.stats * share
        if not self.is_last:
            return following
        params = model.m_step(self._average, following.params)
        self._average = model.recentre(self._average, following.params, params)
        return replace(following, params=params, stats=self._average)


def fit_in_passes(
    estimator: Any, X: Any, y: Any = None, *, sample_weight: Any = None, n_passes: int = 1, batch_rows: int = CHUNK_ROWS
) -> Any:
    """Fit an estimator in one or a few passes over big data: stepwise EM, by its `partial_fit`.

    Parameters
    ----------
    estimator : estimator with `partial_fit`
        An earlier fit is dropped.
    X : array-like of shape (n_samples, n_features), or blocks of rows
        An array, a frame, a sparse matrix or a memory map; or a function that returns, at each call, an iterable of
        blocks of rows, or a list of these: what a block may be, the estimator's `fit` says. Rows in memory are taken in
        a random order, by the estimator's `random_state`. Rows of a memory map and blocks come as they lie, which
        should be in no order that matters. For hidden Markov models blocks, of whole sequences. Levels and symbols that
        the first batch lacks are refused later, unless `columns` of :class:`emkit.EMImputer` or `n_symbols` tell them.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None, default=None
        Responses, for mixtures of experts; None where blocks are pairs (X, y). Ignored by the others.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        A row of weight w counts as w rows. None for hidden Markov models.
    n_passes : int, default=1
        Passes over the data. More of them help where there are few batches.
    batch_rows : int, default=10_000
        Rows of a table are cut into batches of at most so many. Blocks are gathered until they have so many; a larger
        block is a batch by itself. The first batch is fitted to the end, so it should hold some hundred rows for each
        component.

    Returns
    -------
    estimator
        Fitted; `objective_` is that of the average statistics. Priors count as in `partial_fit`. `converged_` is False
        if there was more than one batch: not known to be at a maximum.

    Raises
    ------
    ValueError
        If an argument is out of range, or a batch is refused. The estimator is left as it was.

    Notes
    -----
    After m batches of equal size the last has the share (m + 1)^-0.6 in the statistics. In the end these are averaged
    over all steps, so that little of the noise of single batches is left. A pass costs as much as one of `fit`, which
    makes dozens. Memory is that of two batches. A checkpoint is not written.

    Examples
    --------
    >>> import numpy as np
    >>> from emkit import EMGaussianMixture
    >>> from emkit.online import fit_in_passes
    >>> def blocks():
    ...     rng = np.random.default_rng(0)
    ...     for _ in range(40):
    ...         yield rng.normal(size=(1000, 1)) + 5 * rng.integers(2, size=(1000, 1))
    >>> mixture = fit_in_passes(EMGaussianMixture(2, random_state=0), blocks)
    >>> np.sort(mixture.means_.ravel()).round(1)
    array([0., 5.])
    """
    check_integer("n_passes", n_passes, 1)
    check_integer("batch_rows", batch_rows, 1)
    if isinstance(estimator, type) or not hasattr(estimator, "_online_step"):
        raise ValueError(f"estimator must be one of emkit's, but got {estimator!r}")
    if not hasattr(estimator, "partial_fit"):
        raise ValueError(f"estimator must have partial_fit, which {type(estimator).__name__} has not as it is set")
    fitted = estimator._blank_copy()
    fitted._check_passes(X, sample_weight)
    batches = batches_of(fitted, X, y, sample_weight, batch_rows, fitted._random_generator())
    about_responses = fitted._about_all_responses(batches.responses)
    fitted._online_step = steps = Averaging()
    for batch, is_last in _with_end(chain.from_iterable(batches for _ in range(n_passes))):
        steps.is_last = is_last
        fitted.partial_fit(batch.X, **batch.metadata, **about_responses)
    estimator._adopt(fitted)
    return estimator


def _with_end(values: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Each value, and whether it is the last."""
    held: list[T] = []
    for value in values:
        yield from ((before, False) for before in held)
        held = [value]
    yield from ((before, True) for before in held)
