"""A hidden Markov model and its data, as `emkit.restarts` sees them: where starts come from and what a flaw is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ..engine import EMResult
from ..executors import Executor
from .model import HiddenMarkovModel, HiddenMarkovParams, HiddenMarkovStats
from .sequences import Sequences, joined
from .starts import METHODS, Starts

SAME = 0.02
Result = EMResult[HiddenMarkovParams, HiddenMarkovStats]


class HiddenMarkovProblem:
    """See :class:`emkit.restarts.Problem`. Start i is drawn by method i, and again from the first after the last."""

    def __init__(
        self,
        model: HiddenMarkovModel,
        source: Iterable[Sequences],
        sample: Iterable[Sequences],
        given: dict[str, Any],
    ) -> None:
        self.model = model
        self.source = source
        self.sample = sample
        self._given = given

    @cached_property
    def _starts(self) -> Starts:
        return Starts(self.model, joined(list(self.sample)), self._given)

    def draw(self, number: int, rng: np.random.Generator) -> HiddenMarkovParams:
        return self._starts.draw(METHODS[number % len(METHODS)], rng)

    def carry_over(
        self, params: HiddenMarkovParams, rng: np.random.Generator, executor: Executor
    ) -> HiddenMarkovParams:
        return params

    def flaw(self, result: Result) -> str:
        stats = result.stats
        flaw = self.model.family.flaw(result.params.emission, stats.counts, stats.weight, self.model.fixed)
        return flaw.replace("component", "state")  # what the components of a family are here

    def repair(self, result: Result, rng: np.random.Generator) -> HiddenMarkovParams | None:
        """Collapsed states moved to random rows, entered and left like the average state."""
        family = self.model.family
        if self.model.fixed:
            return None
        params, stats = result.params, result.stats
        rows = self._starts.random_rows(family.n_components, rng)
        reseeded = family.reseed(params.emission, stats.counts, stats.weight, rows)
        if reseeded is None:
            return None
        emission, which = reseeded
        chain = self.model.chain
        even = chain.moves_allowed / chain.moves_allowed.sum(axis=1, keepdims=True)
        transmat = 0.9 * params.transmat + 0.1 * even
        transmat[which] = even[which]
        if "transmat" in chain.fixed:
            transmat = params.transmat
        return HiddenMarkovParams(chain.start_of(params.startprob, transmat), transmat, emission)

    def is_same(self, params: HiddenMarkovParams, other: HiddenMarkovParams) -> bool:
        """Each state has a counterpart of about the same law and the same transitions."""
        one, two = (self._signature(p) for p in (params, other))
        span = np.ptp(np.vstack([one, two]), axis=0) + 1e-12
        distance = cdist(one / span, two / span, "chebyshev")
        match = distance.argmin(axis=1)
        if len(set(match)) < len(match) or distance.min(axis=1).max() > SAME:
            return False
        return bool(np.abs(params.transmat - other.transmat[np.ix_(match, match)]).max() < SAME)

    def _signature(self, params: HiddenMarkovParams) -> np.ndarray:
        """What tells the states of a model apart, (k, m)."""
        parts = self.model.family.parts(params.emission)
        k = len(params.startprob)
        arrays = [np.asarray(a) for part in parts.values() for a in (part if isinstance(part, list) else [part])]
        return np.concatenate([a.reshape(k, -1) for a in arrays if a.ndim and len(a) == k], axis=1)
