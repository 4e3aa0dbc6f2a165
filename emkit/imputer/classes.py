"""A mixture behind a table, as `emkit.restarts` sees it: `MixtureProblem` with starts that suit levels."""

from __future__ import annotations

import numpy as np

from ..chunks import Source, joined
from ..description import Description
from ..mixture.given import GivenStart
from ..mixture.model import MixtureModel, MixtureParams
from ..mixture.problem import MixtureProblem, Result
from ..seeding import partition

METHODS = ("kmeans", "k-means++", "rows")
SURE = 0.9  # share of a row that goes to its own part at a start
SAME = 0.02


class ClassProblem(MixtureProblem):
    """Parts of the rows are not quite sure at a start, so that no level is impossible in one of them."""

    def __init__(self, model: MixtureModel, source: Source, described: Description, rng: np.random.Generator) -> None:
        super().__init__(model, source, GivenStart(), described, METHODS, rng)

    def draw(self, number: int, rng: np.random.Generator) -> MixtureParams:
        family, rows = self.model.family, joined(self.sample)
        method, k = METHODS[number % len(METHODS)], family.n_components
        labels = partition(family.features(rows.X), rows.weight, k, method, rng)
        resp = (SURE * np.eye(k)[labels] + (1 - SURE) / k) * rows.weight[:, None]
        return MixtureParams(resp.sum(axis=0) / resp.sum(), family.start(rows, resp))

    def flaw(self, result: Result) -> str:
        """In words of tables: `reg_covar` is no argument here."""
        flaw = super().flaw(result).replace("wider than its rows", "wider than its rows, whose numbers are nearly tied")
        return flaw.replace("reg_covar=", "the least variance, relative, of ")

    def is_same(self, params: MixtureParams, other: MixtureParams) -> bool:
        """Each component has a counterpart of about the same weight, means and variances."""
        family = self.model.family
        one, two = (np.column_stack([p.weights, family.mean(p.components)]) for p in (params, other))
        distance = np.abs(one[:, None] - two[None]).max(axis=2)
        match = distance.argmin(axis=1)
        if len(set(match)) < len(match) or distance.min(axis=1).max() > SAME:
            return False
        here, there = (np.sqrt(np.maximum(family.variance(p.components), 0)) for p in (params, other))
        return bool(np.abs(here - there[match]).max() < SAME)
