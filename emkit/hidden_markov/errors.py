"""Standard errors of the parameters: from the observed information, or from the spread of refits.

References
----------
.. [1] Visser, I., Raijmakers, M. E. J. and Molenaar, P. C. M. (2000). Confidence intervals for hidden Markov model
   parameters. Br. J. Math. Stat. Psychol. 53(2), 317-327. The finite-difference Hessian of the log-likelihood, and
   the parametric bootstrap for one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _bootstrap, _information
from .._bootstrap import Bootstrap, permuted, published_shared, resampled
from ..chunks import Rows
from .decoding import drawn_sequence, log_likelihood
from .fitting import fitted_model
from .model import HiddenMarkovModel, HiddenMarkovParams
from .reading import Table, as_sequences
from .sequences import Sequences

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov

PROBABILITIES = ("startprob_", "transmat_", "emissionprob_", "weights_")


def standard_errors(estimator: EMHiddenMarkov, chunks: Sequence[Sequences]) -> dict[str, Any]:
    """By the names of the fitted attributes."""
    model, params = _model_to_differentiate(estimator)
    origin = model.to_vector(params)

    def at(vector: np.ndarray) -> HiddenMarkovParams:
        moved = model.from_vector(vector, params)
        if moved is None:
            raise ValueError("the fit is at the border of what the parameters may be: there is no standard error")
        return moved

    def value(vector: np.ndarray) -> float:
        return sum(log_likelihood(model, at(vector), chunk) for chunk in chunks)

    errors = _information.standard_errors(value, lambda vector: _named(model, at(vector)), origin)
    named = _named(model, params)
    return {
        name: _information.within_border(named[name], error) if name in PROBABILITIES else error
        for name, error in errors.items()
    }


def by_bootstrap(estimator: EMHiddenMarkov, table: Table, n_bootstrap: int, n_jobs: int | None) -> dict[str, Any]:
    """By the names of the fitted attributes: of sequences drawn with replacement, or where there is one, of draws."""
    data = as_sequences(table)
    draw = partial(_resampled_sequences, data) if len(data) > 1 else partial(_drawn_like, estimator, data)
    shared = published_shared(fitted_model(estimator)[0].family)
    bootstrap = Bootstrap(
        draw=draw,
        responsibilities=lambda hmm, sample: hmm.predict_proba(sample["X"], lengths=sample["lengths"]),
        named=lambda hmm: _named(*fitted_model(hmm)),
        permuted=partial(_permuted, shared=shared),
        settings={"sequence": None, "n_symbols": _n_symbols(estimator)},
    )
    return _bootstrap.standard_errors(estimator, bootstrap, n_bootstrap, n_jobs)


def _resampled_sequences(data: Sequences, rng: np.random.Generator) -> dict[str, Any]:
    weight = resampled(data.weight, rng)
    drawn = np.flatnonzero(weight)
    return _to_fit(data.take(drawn).reweighted(weight[drawn]))


def _drawn_like(estimator: EMHiddenMarkov, data: Sequences, rng: np.random.Generator) -> dict[str, Any]:
    """A sequence drawn from the model, with the gaps of the one in the data."""
    drawn = drawn_sequence(*fitted_model(estimator), len(data.rows), rng)[0]
    rows = Rows(np.where(np.isnan(data.rows.X), np.nan, drawn), data.rows.weight)
    return _to_fit(Sequences(rows, data.starts))


def _to_fit(data: Sequences) -> dict[str, Any]:
    return {"X": data.rows.X, "lengths": data.lengths, "sample_weight": data.rows.weight}


def _n_symbols(estimator: EMHiddenMarkov) -> Any:
    """As many as the fit knows, whether or not a sample has them all."""
    tables = getattr(estimator, "emissionprob_", None)
    if tables is None:
        return estimator.n_symbols
    sizes = iter([np.shape(table)[1] for table in (tables if isinstance(tables, list) else [tables])])
    if isinstance(estimator.emission, str):
        return list(sizes)
    return [next(sizes) if kind == "categorical" else None for kind in estimator.emission]


def _permuted(named: dict[str, Any], order: np.ndarray, shared: frozenset[str]) -> dict[str, Any]:
    moved = permuted(named, order, shared)
    return {**moved, "transmat_": moved["transmat_"][:, order]}


def _model_to_differentiate(estimator: EMHiddenMarkov) -> tuple[HiddenMarkovModel, HiddenMarkovParams]:
    """The fitted model, which knows what was fixed."""
    model, params = fitted_model(estimator)
    fixed = frozenset(estimator.fixed)
    model = replace(model, chain=replace(model.chain, fixed=fixed), fixed=fixed)
    if not model.can_accelerate:
        raise ValueError(f"{type(model.family).__name__} has no unconstrained vector, which standard errors need")
    return model, params


def _named(model: HiddenMarkovModel, params: HiddenMarkovParams) -> dict[str, Any]:
    parts = {"startprob": params.startprob, "transmat": params.transmat, **model.family.parts(params.emission)}
    return {f"{name}_": value for name, value in parts.items()}
