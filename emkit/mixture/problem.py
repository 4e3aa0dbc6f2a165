"""A mixture and its data, as `emkit.restarts` sees them: where starts come from and what a flaw is."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ..chunks import ArraySource, BlockSource, Source, joined
from ..description import Description
from ..engine import EMResult
from ..executors import Elsewhere, Executor
from ..seeding import ALL_ROWS, draw_units
from .given import GivenStart
from .model import MixtureModel, MixtureParams, MixtureStats
from .starts import METHODS, Starts, from_responsibilities, sample_size

SAME = 0.02  # share of the rows, or unit of the family's signature
Result = EMResult[MixtureParams, MixtureStats]


def here_if_few(source: Source, n_rows: int) -> Source:
    """Rows that lie elsewhere brought here where starts use them all; there is no reason to send work to them."""
    if not isinstance(source, Elsewhere) or n_rows >= ALL_ROWS:
        return source
    rows = joined(source)
    return ArraySource(rows.X, rows.weight)


class MixtureProblem:
    """See :class:`emkit.restarts.Problem`. Start i is drawn by method i, and again from the first after the last."""

    def __init__(
        self,
        model: MixtureModel,
        source: Source,
        given: GivenStart,
        described: Description,
        methods: tuple[str, ...],
        rng: np.random.Generator,
    ) -> None:
        self.model = model
        self.source = source
        self._given = given
        self._described = described
        self._methods = methods
        self._rng = rng.spawn(1)[0]

    @property
    def _takes_all_rows(self) -> bool:
        """Where they are few, or where the components of some are known, which may be few."""
        return self.source.has_labels or self._described.n_rows < ALL_ROWS

    @cached_property
    def _starts(self) -> Starts:
        family, chunks = self.model.family, self.source
        if self._takes_all_rows:
            return Starts(self.model, joined(chunks))
        n = sample_size(family.n_components, family.n_features)
        return Starts(self.model, joined(draw_units(chunks, self._described.weight, n, self._rng)))

    @cached_property
    def sample(self) -> Source:
        if self._takes_all_rows:
            return self.source
        return ArraySource(self._starts.rows.X, self._starts.rows.weight)

    @property
    def has_certain_start(self) -> bool:
        """Whether enough rows are known to be of each component to show how they spread."""
        return self.source.has_labels and bool(self._starts.known_weight.min() > self.model.family.n_features)

    def of(self, model: MixtureModel) -> MixtureProblem:
        """The same data with another model, as one of fewer components."""
        other = copy(self)
        other.model = model
        return other

    def draw(self, number: int, rng: np.random.Generator) -> MixtureParams:
        given = self._given.parts
        if not given:
            return self.model.start(self._drawn(number, rng), self._described.weight)
        if not set(self.model.family.names) <= set(given):
            return self.complete({**self.parts(self._drawn(number, rng)), **given})
        if "weights" not in given:
            given = {"weights": self._starts.weights_under(self.model.family.from_parts(given)), **given}
        return self.complete(given)

    def _drawn(self, number: int, rng: np.random.Generator) -> MixtureParams:
        given = self._given
        if given.has_all_means(self.model.family):
            return self._starts.around(given.parts["means"])
        if given.responsibilities is not None:
            if isinstance(self.source, BlockSource):
                raise ValueError(f"init_params must be one of {list(METHODS)} where X is read block by block")
            return from_responsibilities(self.model, joined(self.source), given.responsibilities)
        if self.has_certain_start:
            return self._starts.from_labels()
        return self._starts.draw(self._methods[number % len(self._methods)], rng)

    def parts(self, params: MixtureParams) -> dict[str, Any]:
        return {"weights": params.weights, **self.model.family.parts(params.components)}

    def complete(self, parts: dict[str, Any]) -> MixtureParams:
        """Parameters of all parts, raised to the floors (unless they are held fixed)."""
        family = self.model.family
        components = family.floored(family.from_parts(parts), self.model.fixed)
        return self.model.start(MixtureParams(parts["weights"], components), self._described.weight)

    def carry_over(self, params: MixtureParams, rng: np.random.Generator, executor: Executor) -> MixtureParams:
        return params

    def flaw(self, result: Result) -> str:
        stats = result.stats
        return self.model.family.flaw(result.params.components, stats.counts, stats.weight, self.model.fixed)

    def is_same(self, params: MixtureParams, other: MixtureParams) -> bool:
        """Each component has a counterpart of about the same law and weight."""
        one, two = (self.model.family.signature(p.components) for p in (params, other))
        distances = cdist(one, two, "chebyshev")
        match = distances.argmin(axis=1)
        if len(set(match)) < len(match):
            return False
        return bool(distances.min(axis=1).max() < SAME and np.abs(params.weights - other.weights[match]).max() < SAME)

    def repair(self, result: Result, rng: np.random.Generator) -> MixtureParams | None:
        """Collapsed components moved to random rows, with an even weight; under a prior there are none."""
        family, (weights, components, _), stats = self.model.family, result.params, result.stats
        if self.model.fixed & set(family.names):
            return None  # nothing that new seeds would mend, or the user's own choice
        rows = self._starts.random_rows(family.n_components, rng)
        reseeded = family.reseed(components, stats.counts, stats.weight, rows)
        if reseeded is None:
            return None
        components, which = reseeded
        if "weights" not in self.model.fixed:
            weights = np.where(which, 1 / len(weights), weights)
        return MixtureParams(weights / weights.sum(), components)
