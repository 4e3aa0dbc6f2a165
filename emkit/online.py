"""Stepwise EM: the statistics are a moving average over batches. Every `partial_fit` is this.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. Equation (11).
.. [2] Liang, P. and Klein, D. (2009). Online EM for unsupervised models. NAACL, 611-619. Section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from ._validation import check_integer
from .blocks import Blocks, blocks_of, iterate
from .chunks import CHUNK_ROWS
from .engine import EMModel, Stats

__all__ = ["OnlineModel", "OnlineState", "fit_in_passes", "learning_rate", "online_step"]

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)


class OnlineModel(EMModel[Params, S], Protocol[Params, S]):
    """A model whose statistics are taken about its parameters and can be moved to others."""

    def recentre(self, stats: S, params: Params, new_params: Params) -> S: ...


class OnlineState(NamedTuple, Generic[Params, S]):
    """Parameters and averaged statistics (about those parameters, per unit of weight); rows and batches seen."""

    params: Params
    stats: S
    weight: float
    n_steps: int


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


def fit_in_passes(estimator: Any, X: Any, *, n_passes: int = 1, batch_rows: int = CHUNK_ROWS) -> Any:
    """Fit an estimator in one or a few passes over big data: stepwise EM, by its `partial_fit`.

    Parameters
    ----------
    estimator : estimator with `partial_fit`
        An earlier fit is dropped.
    X : callable or list
        A function that returns, at each call, an iterable of blocks of rows, or a list of these; what a block may be,
        the estimator's `fit` says. They should come in random order.
    n_passes : int, default=1
        Passes over the data. More of them help where there are few batches.
    batch_rows : int, default=10_000
        Blocks are gathered until they have so many rows; a larger block is a batch by itself. The first batch is
        fitted to the end, so it should hold some hundred rows for each component.

    Returns
    -------
    estimator
        Fitted; `objective_` is that of the average statistics. Priors count as in `partial_fit`.

    Raises
    ------
    ValueError
        If an argument is out of range, or a batch is refused. The estimator is left as it was.

    Notes
    -----
    After m batches of equal size the last has the share (m + 1)^-0.6 in the statistics, so what is lost against `fit`
    is about that of so many of the last batches alone. A pass costs as much as one of `fit`, which makes dozens. Memory
    is that of a batch.

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
    blocks = blocks_of(X)
    if blocks is None:
        raise ValueError("X must be a function that returns an iterable of blocks at each call, or a list of blocks")
    if not hasattr(estimator, "partial_fit"):
        raise ValueError(f"estimator must have partial_fit, which {type(estimator).__name__} has not as it is set")
    fitted = estimator._blank_copy()
    for _ in range(n_passes):
        for batch in _batches(blocks, batch_rows):
            fitted.partial_fit(batch)
    estimator._adopt(fitted)
    return estimator


def _batches(blocks: Blocks, batch_rows: int) -> Iterator[Any]:
    """Blocks of at least `batch_rows` rows, but for the last; those that are gathered are a function in turn."""
    gathered: list[Any] = []
    n_rows = total = 0
    for block in iterate(blocks):
        size = _n_rows(block)
        total += size
        if size >= batch_rows:
            yield block
            continue
        gathered.append(block)
        n_rows += size
        if n_rows >= batch_rows:
            yield _as_function(gathered)
            gathered, n_rows = [], 0
    if total == 0:
        raise ValueError("X yielded no rows; it must be a function that returns a new iterator at each call")
    if n_rows > 0:
        yield _as_function(gathered)


def _as_function(blocks: list[Any]) -> Blocks:
    return lambda: blocks


def _n_rows(block: Any) -> int:
    """Rows of a table, or of all tables in a list."""
    if hasattr(block, "shape"):
        return int(block.shape[0])
    return sum(_n_rows(table) for table in block) if isinstance(block, list | tuple) else 1
