"""The mixture of experts as an EM model: parameters, statistics and the two steps.

References
----------
.. [1] Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm. Neural Computation
   6(2), 181-214. Responsibilities: equations (10) to (12); the split of the M-step into gate and experts: (25) to (30).
.. [2] Gruen, B. and Leisch, F. (2008). FlexMix version 2: finite mixtures with concomitant variables and varying and
   constant parameters. J. Stat. Softw. 28(4). Rows that share a component: equation (2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..engine import Stats, UnusableStartError
from ..families.base import Sums, posterior
from .cases import Cases, joined
from .experts.base import Experts
from .gates import Gate
from .linear import column_sums

LOST = 1e-8  # share of the weight below which an expert has no rows


class ExpertsParams(NamedTuple):
    gate: Any
    experts: Any


@dataclass(frozen=True)
class ExpertsStats(Stats):
    """Statistics of gate and experts, and the weight of the blocks of each expert, (k,)."""

    counts: np.ndarray
    gate: Sums
    experts: Sums


@dataclass(frozen=True, eq=False)
class MixtureOfExpertsModel:
    """A gate and its experts; pure. See :class:`emkit.engine.EMModel`. The units are blocks of rows."""

    gate: Gate
    experts: Experts

    @property
    def monotone(self) -> bool:
        return self.experts.monotone

    @property
    def can_accelerate(self) -> bool:
        return self.experts.can_accelerate

    @property
    def takes_steps(self) -> bool:
        """Whether the M-step of the gate or of the experts is one step of several, which may go too far."""
        return not (self.gate.is_closed and self.experts.is_closed)

    @property
    def n_components(self) -> int:
        return self.gate.n_components

    def init_params(self, chunks: Iterable[Cases], rng: np.random.Generator) -> ExpertsParams:
        from .starts import Starts  # starts use the model

        return Starts(self, joined(chunks)).draw(0, rng)

    def from_responsibilities(self, cases: Cases, resp: np.ndarray) -> ExpertsParams:
        """Parameters at a start, of responsibilities of the blocks (b, k) without weights."""
        weighted = resp * cases.weight[:, None]
        experts = self.experts.start(cases, np.ascontiguousarray(cases.by_row(weighted)))
        return ExpertsParams(self.gate.start(cases, weighted), experts)

    def log_joint(self, params: ExpertsParams, cases: Cases) -> np.ndarray:
        """log g_k(x) + log p(y | x; k) of each block, (b, k)."""
        joint: np.ndarray = self.gate.log_weights(params.gate, cases) + cases.sum_in_blocks(
            self.experts.density(params.experts, cases)
        )
        return joint

    def log_likelihood(self, params: ExpertsParams, cases: Cases) -> np.ndarray:
        """log p(y | x) of each block, (b,)."""
        return posterior(self.log_joint(params, cases))[0]

    def e_step(self, params: ExpertsParams, chunk: Cases) -> ExpertsStats:
        """Responsibilities ([1]_, equation 10; of blocks [2]_, equation 2) and the statistics under them."""
        log_weights = self.gate.log_weights(params.gate, chunk)
        seen = self.experts.look(params.experts, chunk)
        densities = chunk.sum_in_blocks(self.experts.log_density(params.experts, chunk, seen))
        log_likelihood, resp = posterior(log_weights + densities)
        resp *= chunk.weight[:, None]
        by_row = np.ascontiguousarray(chunk.by_row(resp))
        return ExpertsStats(
            float(chunk.weight @ log_likelihood),
            float(chunk.weight.sum()),
            column_sums(resp),
            Sums(self.gate.moments(params.gate, chunk, resp, log_weights)),
            Sums(self.experts.moments(params.experts, chunk, by_row, seen)),
        )

    def m_step(self, stats: ExpertsStats, params: ExpertsParams) -> ExpertsParams:
        return ExpertsParams(
            self.gate.m_step(stats.gate, params.gate), self.experts.m_step(stats.experts, params.experts)
        )

    def recentre(self, stats: ExpertsStats, params: ExpertsParams, new_params: ExpertsParams) -> ExpertsStats:
        """The same statistics, as if taken under `new_params`; those of steps to second order."""
        return replace(
            stats,
            gate=self.gate.recentre(stats.gate, params.gate, new_params.gate),
            experts=self.experts.recentre(stats.experts, params.experts, new_params.experts),
        )

    def between(self, params: ExpertsParams, target: ExpertsParams) -> ExpertsParams:
        """What has a closed form stays at its maximum; steps are halved."""
        return ExpertsParams(
            self.gate.between(params.gate, target.gate), self.experts.between(params.experts, target.experts)
        )

    def log_prior(self, params: ExpertsParams) -> float:
        return float(self.gate.log_prior(params.gate) + self.experts.log_prior(params.experts))

    def n_free(self, params: ExpertsParams) -> int:
        return int(self.gate.n_free() + self.experts.n_free())

    def rounding(self, params: ExpertsParams) -> float:
        return self.gate.rounding(params.gate) + self.experts.rounding(params.experts)

    def to_vector(self, params: ExpertsParams) -> np.ndarray:
        return np.concatenate([self.gate.to_vector(params.gate), self.experts.to_vector(params.experts)])

    def from_vector(self, vector: np.ndarray, params: ExpertsParams) -> ExpertsParams | None:
        size = self.gate.to_vector(params.gate).size
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                moved = ExpertsParams(
                    self.gate.from_vector(vector[:size], params.gate),
                    self.experts.from_vector(vector[size:], params.experts),
                )
            except (UnusableStartError, np.linalg.LinAlgError):
                return None
        return moved if np.isfinite(vector).all() else None

    def flaw(self, params: ExpertsParams, counts: np.ndarray) -> str:
        """What makes a solution unfit for use, "" if nothing does."""
        by_gate = [
            f"the gate of expert {k} has collapsed onto rows of total weight {counts[k]:.3g}"
            for k in self.gate.collapsed(params.gate, counts)
            if counts[k] > LOST * counts.sum()
        ]
        return "; ".join([*by_gate, *filter(None, [self.experts.flaw(params.experts, counts)])])

    def notes(self, params: ExpertsParams, counts: np.ndarray) -> list[str]:
        """What the user should know of a solution that is fit for use."""
        lost = [
            f"expert {k} has lost all rows; fewer than n_components={self.n_components} are enough"
            for k in np.flatnonzero(counts <= LOST * counts.sum())
        ]
        sure = [
            f"the gate tells expert {k} from the others perfectly, so that only gate_alpha={self.gate.alpha:g} keeps "
            "its coefficients finite"
            for k in self.gate.sure(params.gate, counts)
        ]
        return [*lost, *sure, *self.experts.notes(params.experts, counts)]
