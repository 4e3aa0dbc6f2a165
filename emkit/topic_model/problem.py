"""A topic model and its documents, as `emkit.restarts` sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..engine import EMResult
from ..executors import Executor
from .documents import Documents, Kept
from .model import TopicModel, TopicModelParams, TopicModelStats
from .options import Given
from .priors import learned_alpha
from .schedule import Batches, run_stepwise
from .starts import Starts

SAME = 0.02  # of the norm of a topic
Result = EMResult[TopicModelParams, TopicModelStats]


@dataclass(frozen=True)
class TopicProblem:
    """See :class:`emkit.restarts.Problem`. `batches` is None if all steps are on all documents."""

    model: TopicModel
    source: Iterable[Documents]
    sample: Iterable[Documents]
    given: Given
    batches: Batches | None
    learns_alpha: bool = False

    @cached_property
    def starts(self) -> Starts:
        return Starts(self.model, self.sample, self.given)

    def draw(self, number: int, rng: np.random.Generator) -> TopicModelParams:
        return self.starts.draw(number, rng)

    def carry_over(self, params: TopicModelParams, rng: np.random.Generator, executor: Executor) -> TopicModelParams:
        """Mini-batches of all documents, then an uneven prior for these very topics."""
        if self.batches is not None:
            params = run_stepwise(self.model, params, self.sample, self.source, self.batches, rng, executor)
        if self.learns_alpha:
            params = params._replace(alpha=learned_alpha(params.pseudo_counts, self.sample, params.alpha))
        return params._replace(kept=Kept())

    def flaw(self, result: Result) -> str:
        """A topic may become empty, or a copy of another; it is then merely not needed."""
        return ""

    def repair(self, result: Result, rng: np.random.Generator) -> None:
        return None

    def is_same(self, params: TopicModelParams, other: TopicModelParams) -> bool:
        """Each topic has a counterpart of about the same distribution."""
        one, two = (p.pseudo_counts / np.maximum(p.pseudo_counts.sum(axis=0), 1e-300) for p in (params, other))
        match = (one.T @ two / np.maximum(np.linalg.norm(two, axis=0), 1e-300)).argmax(axis=1)
        if len(set(match)) < len(match):
            return False
        return bool((np.linalg.norm(one - two[:, match], axis=0) <= SAME * np.linalg.norm(one, axis=0)).all())
