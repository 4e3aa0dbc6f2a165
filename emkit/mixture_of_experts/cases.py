"""A chunk of cases: inputs of gate and experts, and the response, in blocks of rows that share an expert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..chunks import CHUNK_ROWS


class Scaling(NamedTuple):
    """Columns to columns of mean 0 and variance 1, so that penalties and rounding know no units."""

    centre: np.ndarray  # (p,)
    scale: np.ndarray  # (p,), positive

    @classmethod
    def none(cls, p: int) -> Scaling:
        return cls(np.zeros(p), np.ones(p))

    def __call__(self, table: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = np.subtract(table, self.centre, dtype=np.float64, order="C")
        scaled /= self.scale
        return scaled


class Scalings(NamedTuple):
    experts: Scaling
    gate: Scaling

    @classmethod
    def none(cls, p: int, q: int) -> Scalings:
        return cls(Scaling.none(p), Scaling.none(q))


@dataclass(frozen=True, eq=False)
class Cases:
    """Blocks of rows; without `sizes` each row is a block.

    Attributes
    ----------
    inputs : ndarray of shape (n, p)
        Inputs of the experts, in the user's units.
    gate_inputs : ndarray of shape (b, q)
        Inputs of the gate, of each block.
    y : ndarray of shape (n, m), float64
        Responses; of a classifier one column of codes.
    weight : ndarray of shape (b,), float64
        Weights of the blocks.
    scalings : Scalings
    offset : ndarray of shape (n,) or None
        Added to the linear predictor.
    exposure : ndarray of shape (n,) or None
        Time at risk, or number of trials.
    sizes : ndarray of shape (b,), intp, or None
        Rows of each block.
    """

    inputs: np.ndarray
    gate_inputs: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    scalings: Scalings = field(repr=False)
    offset: np.ndarray | None = None
    exposure: np.ndarray | None = None
    sizes: np.ndarray | None = None

    @cached_property
    def X(self) -> np.ndarray:
        """Inputs of the experts, scaled, (n, p)."""
        return self.scalings.experts(self.inputs)

    @cached_property
    def G(self) -> np.ndarray:
        """Inputs of the gate, scaled, (b, q)."""
        return self.X if self.gate_inputs is self.inputs else self.scalings.gate(self.gate_inputs)

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def n_rows(self) -> int:
        return len(self.y)

    def sum_in_blocks(self, values: np.ndarray) -> np.ndarray:
        """(n, ...) of the rows to (b, ...)."""
        if self.sizes is None:
            return values
        total: np.ndarray = np.add.reduceat(values, np.cumsum(self.sizes) - self.sizes, axis=0)
        return total

    def by_row(self, values: np.ndarray) -> np.ndarray:
        """(b, ...) of the blocks to (n, ...)."""
        return values if self.sizes is None else np.repeat(values, self.sizes, axis=0)

    def take(self, index: np.ndarray) -> Cases:
        return self.part(index, index if self.sizes is None else rows_of_blocks(self.sizes, index))

    def part(self, blocks: Any, rows: Any) -> Cases:
        """Some blocks and their rows, by indices or slices."""
        inputs = self.inputs[rows]
        return replace(
            self,
            inputs=inputs,
            gate_inputs=inputs if self.gate_inputs is self.inputs else self.gate_inputs[blocks],
            y=self.y[rows],
            weight=self.weight[blocks],
            offset=None if self.offset is None else self.offset[rows],
            exposure=None if self.exposure is None else self.exposure[rows],
            sizes=None if self.sizes is None else self.sizes[blocks],
        )

    def reweighted(self, weight: np.ndarray) -> Cases:
        return replace(self, weight=np.ascontiguousarray(weight, dtype=np.float64))


def rows_of_blocks(sizes: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The rows of some blocks, those of a block together."""
    ends = np.cumsum(sizes)
    pieces = [np.arange(ends[block] - sizes[block], ends[block]) for block in index]
    return np.concatenate([np.empty(0, dtype=np.intp), *pieces])


def split(cases: Cases) -> Iterator[Cases]:
    """Chunks of about `CHUNK_ROWS` rows, of whole blocks; made anew each time, so that scaled inputs are not kept."""
    if cases.n_rows <= CHUNK_ROWS:
        yield cases
        return
    sizes = np.ones(len(cases), dtype=np.intp) if cases.sizes is None else cases.sizes
    piece = (np.cumsum(sizes) - 1) // CHUNK_ROWS
    ends = [*np.flatnonzero(np.diff(piece)) + 1, len(cases)]
    rows = np.concatenate([[0], np.cumsum(sizes)])
    for start, stop in zip([0, *ends[:-1]], ends, strict=True):
        yield cases.part(slice(start, stop), slice(rows[start], rows[stop]))


def joined(chunks: Iterable[Cases]) -> Cases:
    """Chunks one after the other, as one."""
    pieces = list(chunks)
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0]

    def column(name: str) -> np.ndarray | None:
        return None if getattr(first, name) is None else np.concatenate([getattr(piece, name) for piece in pieces])

    inputs = np.concatenate([piece.inputs for piece in pieces])
    shared = first.gate_inputs is first.inputs
    return Cases(
        inputs,
        inputs if shared else np.concatenate([piece.gate_inputs for piece in pieces]),
        np.concatenate([piece.y for piece in pieces]),
        np.concatenate([piece.weight for piece in pieces]),
        first.scalings,
        *(column(name) for name in ("offset", "exposure", "sizes")),
    )


class CasesInMemory:
    """Chunks of cases in memory: views, made anew in each pass if there are several."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases

    def scaled(self, scalings: Scalings) -> CasesInMemory:
        return CasesInMemory(replace(self._cases, scalings=scalings))

    def __iter__(self) -> Iterator[Cases]:
        return split(self._cases)
