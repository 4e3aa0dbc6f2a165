"""A mixture of experts and its cases, as `emkit.restarts` sees them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from ..engine import EMResult
from ..executors import Executor
from ..families.base import posterior
from .cases import Cases, CasesInMemory, joined
from .model import ExpertsParams, ExpertsStats, MixtureOfExpertsModel
from .starts import METHODS, Starts

SAME = 0.02  # share of a block, or standard deviations of the experts' means
LOOKED_AT = 200  # rows on which solutions are compared
Result = EMResult[ExpertsParams, ExpertsStats]


class ExpertsProblem:
    """See :class:`emkit.restarts.Problem`. `few` is a sample of the cases, or None if that is all of them."""

    def __init__(
        self,
        model: MixtureOfExpertsModel,
        source: Iterable[Cases],
        few: Cases | None,
    ) -> None:
        self.model = model
        self.source = source
        self._few = few

    @cached_property
    def sample(self) -> Iterable[Cases]:
        return self.source if self._few is None else CasesInMemory(self._few)

    @cached_property
    def _starts(self) -> Starts:
        return Starts(self.model, joined(self.sample))

    def draw(self, number: int, rng: np.random.Generator) -> ExpertsParams:
        return self._starts.draw(number, rng)

    def carry_over(self, params: ExpertsParams, rng: np.random.Generator, executor: Executor) -> ExpertsParams:
        return params

    def flaw(self, result: Result) -> str:
        return self.model.flaw(result.params, result.stats.counts)

    def repair(self, result: Result, rng: np.random.Generator) -> ExpertsParams | None:
        """A new start: an expert that has collapsed leaves the others in a place that they would not have chosen."""
        return self._starts.draw(int(rng.integers(len(METHODS))), rng)

    def is_same(self, params: ExpertsParams, other: ExpertsParams) -> bool:
        """Each expert has a counterpart of about the same mean and share, on some rows."""
        one, two = (self._looks(p) for p in (params, other))
        distance = np.abs(one[:, None] - two[None]).max(axis=2)
        match = distance.argmin(axis=1)
        return len(set(match)) == len(match) and bool(distance.min(axis=1).max() < SAME)

    def _looks(self, params: ExpertsParams) -> np.ndarray:
        """Means in units of the spread of all of them, and shares, of each expert, (k, ...)."""
        cases = self._looked_at
        means = self.model.experts.mean(params.experts, cases)
        with np.errstate(over="ignore", invalid="ignore"):  # of means beyond the square root of the largest number
            spread = means.std(axis=(0, 1))
        means = means / np.where(spread > 0, spread, 1.0)
        shares = posterior(self.model.gate.log_weights(params.gate, cases))[1]
        k = self.model.n_components
        return np.hstack([means.swapaxes(0, 1).reshape(k, -1), shares.T])

    @cached_property
    def _looked_at(self) -> Cases:
        cases = joined(self.sample)
        return cases.take(np.unique(np.linspace(0, len(cases) - 1, LOOKED_AT).astype(np.intp)))
