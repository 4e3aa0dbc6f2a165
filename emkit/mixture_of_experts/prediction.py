"""What a fitted mixture of experts says of cases: one chunk at a time, one value (or row of values) for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from ..families.base import posterior
from ..seeding import draw_columns
from .cases import Cases
from .model import ExpertsParams, MixtureOfExpertsModel

BISECTIONS = 60
MOST_BISECTIONS = 2_000  # between numbers of any size
FARTHEST = 2.0**52  # of counts


class Fitted(NamedTuple):
    model: MixtureOfExpertsModel
    params: ExpertsParams


def gate_proba(fitted: Fitted, cases: Cases) -> np.ndarray:
    """Share of each expert given the inputs, (n, k)."""
    return cases.by_row(posterior(fitted.model.gate.log_weights(fitted.params.gate, cases))[1])


def responsibilities(fitted: Fitted, cases: Cases) -> np.ndarray:
    """Of each expert given inputs and responses of the block, (n, k); missing responses say nothing."""
    return cases.by_row(_responsibilities(fitted, cases))


def _responsibilities(fitted: Fitted, cases: Cases) -> np.ndarray:
    log_weights = fitted.model.gate.log_weights(fitted.params.gate, cases)
    return posterior(log_weights + cases.sum_in_blocks(_log_densities(fitted, cases)))[1]


def _log_densities(fitted: Fitted, cases: Cases) -> np.ndarray:
    """Of each expert, (n, k); 0 where the response is missing."""
    missing = np.isnan(cases.y).any(axis=1)
    if not missing.any():
        return fitted.model.experts.density(fitted.params.experts, cases)
    out = np.zeros((cases.n_rows, fitted.model.n_components))
    if not missing.all():
        there = np.flatnonzero(~missing)
        each_by_itself = replace(cases, gate_inputs=np.empty((cases.n_rows, 0)), weight=~missing, sizes=None)
        out[there] = fitted.model.experts.density(fitted.params.experts, each_by_itself.take(there))
    return out


def scores(fitted: Fitted, cases: Cases) -> np.ndarray:
    """log p(y | x) given the responses before in the block, (n,); with a Gaussian gate log p(x, y)."""
    log_weights = fitted.model.gate.log_weights(fitted.params.gate, cases)
    densities = _log_densities(fitted, cases)
    if cases.sizes is None:
        missing = np.isnan(cases.y).any(axis=1)
        return np.where(missing, fitted.model.gate.log_density(log_weights), posterior(log_weights + densities)[0])
    so_far = posterior(cases.by_row(log_weights) + _running_sums(densities, cases.sizes))[0]
    out: np.ndarray = np.diff(so_far, prepend=0.0)
    first = np.cumsum(cases.sizes) - cases.sizes
    out[first] = so_far[first]
    return out


def _running_sums(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sums from the first row of the block on, (n, ...); of no other block, so that nothing cancels."""
    sums, first = values.copy(), np.cumsum(sizes) - sizes
    for place in range(1, int(sizes.max())):
        rows = first[sizes > place] + place
        sums[rows] += sums[rows - 1]
    return sums


def entropy(fitted: Fitted, cases: Cases) -> np.ndarray:
    """Of the responsibilities: all of a block's at its first row, (n,)."""
    resp = _responsibilities(fitted, cases)
    by_block = -xlogy(resp, resp).sum(axis=1)
    if cases.sizes is None:
        return by_block
    out = np.zeros(cases.n_rows)
    out[np.cumsum(cases.sizes) - cases.sizes] = by_block
    return out


def mean(fitted: Fitted, cases: Cases) -> np.ndarray:
    """Of the mixture, (n, m); of a classifier the probabilities of the classes."""
    means = fitted.model.experts.mean(fitted.params.experts, cases)
    return np.einsum("nk,nkm->nm", gate_proba(fitted, cases), means)


def sample(fitted: Fitted, cases: Cases, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Responses (n, n_draws, m); all rows of a block are drawn from one expert."""
    shares = posterior(fitted.model.gate.log_weights(fitted.params.gate, cases))[1]
    draws = []
    for _ in range(n_draws):
        chosen = cases.by_row(draw_columns(shares, rng))
        draws.append(fitted.model.experts.sample(fitted.params.experts, cases, chosen, rng))
    return np.stack(draws, axis=1)


def quantiles(fitted: Fitted, cases: Cases, shares: np.ndarray) -> np.ndarray:
    """Of the mixture, each response by itself, (n, q, m)."""
    experts, params = fitted.model.experts, fitted.params.experts
    means, weights = experts.mean(params, cases), gate_proba(fitted, cases)

    def cdf(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkm->nm", weights, experts.cdf(params, cases, means, values))

    if experts.discrete:
        found = [_least_count(cdf, share, means) for share in shares]
    else:
        spread = experts.spread(params, cases)
        low, high = np.maximum((means - spread).min(axis=1), experts.lowest), (means + spread).max(axis=1)
        found = [_root(cdf, share, low, high) for share in shares]
    return np.stack(found, axis=1)


def _root(cdf: Callable[[np.ndarray], np.ndarray], share: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where a distribution function reaches `share`, by bisection; the bracket is widened until it does."""
    width = np.maximum(high - low, 1e-300)
    for _ in range(BISECTIONS):
        short_below, short_above = cdf(low) > share, cdf(high) < share
        if not (short_below.any() or short_above.any()):
            break
        low, high = np.where(short_below, low - width, low), np.where(short_above, high + width, high)
        width = 2 * width
    for _ in range(MOST_BISECTIONS):
        middle = 0.5 * (low + high)
        if ((middle <= low) | (middle >= high)).all():  # neighbours
            break
        below = cdf(middle) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def _least_count(cdf: Callable[[np.ndarray], np.ndarray], share: float, means: np.ndarray) -> np.ndarray:
    """The least whole number up to which the probability is at least `share`."""
    low, high = np.full(means[:, 0].shape, -1.0), np.ceil(means.max(axis=1)) + 1
    while (short := (cdf(high) < share) & (high < FARTHEST)).any():
        high = np.where(short, 2 * high, high)
    for _ in range(MOST_BISECTIONS):
        middle = np.floor(0.5 * (low + high))
        open_ = (low < middle) & (middle < high)  # of numbers so large that they are not whole, neighbours are not
        if not open_.any():
            break
        below = cdf(middle) < share
        low, high = np.where(open_ & below, middle, low), np.where(open_ & ~below, middle, high)
    return high
