"""Where EM starts: a partition of the blocks, and parameters of its parts.

A partition is found in several ways, in turn: along lines (a line each through a few rows that are near each other in
the inputs, or anywhere; each block goes to the line that is nearest to its responses), by patches of the inputs of
random sizes, by clusters of inputs and responses together or of the gate's inputs, and by the residuals of one expert
for all. A start depends neither on the order of the rows nor on whether a weight is written as repetition.

References
----------
.. [1] Spaeth, H. (1979). Algorithm 39: clusterwise linear regression. Computing 22, 367-373. Parts along lines.
.. [2] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding. SODA, 1027-1035. The best
   of some candidates for each seed: section 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..seeding import draw_row, partition
from .cases import Cases, rows_of_blocks
from .linear import penalty, predictor, products, solve, squares

if TYPE_CHECKING:
    from .model import ExpertsParams, MixtureOfExpertsModel

METHODS = (
    *("near lines", "lines", "joint", "patches", "inputs"),
    *("near lines", "patches", "lines", "residuals", "patches"),
)
SURE = 0.9  # share of a block that goes to its own part
LINE_STEPS = 4
N_CANDIDATES = 4
CONSTANT = 1e-10  # relative deviation of responses that are all the same
LEAST_PATCH = 0.2  # of an equal share of the rows
NEAR = 1 / 3  # of an equal share of the rows: those through which a line is drawn


class Starts:
    """Draws starting parameters for a model from a sample of cases."""

    def __init__(self, model: MixtureOfExpertsModel, cases: Cases) -> None:
        self._model = model
        response = model.experts.linearised(cases)
        deviation = _deviation(response, cases.by_row(cases.weight))
        varies = deviation > CONSTANT * np.abs(response).max(axis=0)
        self._response = response / np.where(varies, deviation, 1.0)
        X, y = (_block_means(cases, table) for table in (cases.X, self._response))
        order = np.lexsort(np.column_stack([y, X]).T)
        self._cases = cases.take(order)  # sorted, so that a draw does not hang on their order
        self._response = self._response[order] if cases.sizes is None else self._sorted_response(cases, order)
        self._inputs, self._outputs = X[order], y[order]
        self._weight = self._cases.weight

    def _sorted_response(self, cases: Cases, order: np.ndarray) -> np.ndarray:
        assert cases.sizes is not None
        return self._response[rows_of_blocks(cases.sizes, order)]

    def draw(self, number: int, rng: np.random.Generator) -> ExpertsParams:
        """Start `number`."""
        labels = self._labels(METHODS[number % len(METHODS)], rng)
        return self.from_labels(labels)

    def from_labels(self, labels: np.ndarray) -> ExpertsParams:
        """Of a part for each block, (b,)."""
        k = self._model.n_components
        return self._model.from_responsibilities(self._cases, SURE * np.eye(k)[labels] + (1 - SURE) / k)

    def single(self) -> ExpertsParams:
        """All experts alike, fitted to all rows."""
        k = self._model.n_components
        return self._model.from_responsibilities(self._cases, np.full((len(self._cases), k), 1 / k))

    def _labels(self, method: str, rng: np.random.Generator) -> np.ndarray:
        k = self._model.n_components
        if k == 1:
            return np.zeros(len(self._cases), dtype=np.intp)
        if method == "joint":
            return partition(np.column_stack([self._inputs, self._outputs]), self._weight, k, "kmeans", rng)
        if method == "inputs":
            return partition(self._looked_at, self._weight, k, "kmeans", rng)
        if method == "patches":
            return self._patches(rng)
        if method == "residuals":
            line = self._line(self._weight)
            left = _block_means(self._cases, self._response - predictor(self._cases.X, line))
            return partition(left, self._weight, k, "kmeans", rng)
        return self._along_lines(self._some_lines(method == "near lines", rng))

    @property
    def _looked_at(self) -> np.ndarray:
        """The inputs of the gate, or of the experts if that has none."""
        return next(table for table in (self._cases.G, self._inputs, self._outputs) if table.shape[1])

    def _patches(self, rng: np.random.Generator) -> np.ndarray:
        """For each expert but the last some blocks next to a seed in the inputs, of those that are left."""
        k, table = self._model.n_components, self._looked_at
        labels = np.full(len(self._cases), k - 1)
        for patch in range(k - 1):
            left = self._weight * (labels == k - 1)
            away = ((table - table[draw_row(left, rng.random())]) ** 2).sum(axis=1)
            order = np.argsort(away, kind="stable")
            ends = np.cumsum(left[order])
            size = rng.uniform(LEAST_PATCH, 1) / k * self._weight.sum()
            farthest = away[order[min(np.searchsorted(ends, size), len(order) - 1)]]
            taken = (away <= farthest) & (left > 0)
            if (left * ~taken).any():  # something is left for the others
                labels[taken] = patch
        return labels

    def _some_lines(self, near: bool, rng: np.random.Generator) -> list[np.ndarray]:
        """One line after the other, each where those before are far from the responses ([2]_)."""
        lines: list[np.ndarray] = []
        distance = np.ones(len(self._cases))
        for _ in range(self._model.n_components):
            candidates = [self._candidate(distance, near, rng) for _ in range(N_CANDIDATES)]
            distances = [np.minimum(self._distance(line), distance) for line in candidates]
            best = int(np.argmin([self._weight @ d for d in distances]))
            lines.append(candidates[best])
            distance = distances[best]
        return lines

    def _candidate(self, distance: np.ndarray, near: bool, rng: np.random.Generator) -> np.ndarray:
        """The line through some blocks: those next to a seed in the inputs, or drawn by distance like the seed."""
        chance = self._weight * distance
        chance = chance if chance.any() else self._weight
        weight = np.zeros(len(self._cases))
        if not near:
            np.add.at(weight, draw_row(chance, rng.random(self._blocks_for_a_line())), 1.0)
        else:
            seed = draw_row(chance, rng.random())
            away = ((self._inputs - self._inputs[seed]) ** 2).sum(axis=1) + 1e-9 * self._distance_between(seed)
            nearest = np.argsort(away, kind="stable")
            weight[nearest] = self._first(self._weight[nearest], NEAR / self._model.n_components)
        return self._line(weight)

    @staticmethod
    def _first(weight: np.ndarray, share: float) -> np.ndarray:
        """Of weights in a row, what belongs to the first `share` of their sum."""
        ends = np.cumsum(weight)
        first: np.ndarray = np.clip(share * ends[-1] - (ends - weight), 0.0, weight)
        return first

    def _distance_between(self, seed: np.ndarray) -> np.ndarray:
        between: np.ndarray = ((self._outputs - self._outputs[seed]) ** 2).sum(axis=1)
        return between

    def _blocks_for_a_line(self) -> int:
        rows_in_a_block = self._cases.n_rows / len(self._cases)
        return max(1, int(np.ceil((2 + self._inputs.shape[1]) / rows_in_a_block)))

    def _line(self, weight: np.ndarray) -> np.ndarray:
        """Least squares of the responses with weights of the blocks (b,), slightly shrunk."""
        by_row = self._cases.by_row(weight)[:, None]
        X = self._cases.X
        curvature = squares(X, by_row)[0] + np.diag(penalty(1 + X.shape[1], 1e-3 * by_row.sum()))
        return solve(curvature, products(X, by_row * self._response))

    def _distance(self, line: np.ndarray) -> np.ndarray:
        """Mean squared residual of each block, (b,)."""
        left = (self._response - predictor(self._cases.X, line)) ** 2
        return _block_means(self._cases, left).sum(axis=1)

    def _along_lines(self, lines: list[np.ndarray]) -> np.ndarray:
        """Each block to its nearest line, and lines through the parts, in turn ([1]_)."""
        labels = np.argmin([self._distance(line) for line in lines], axis=0)
        for _ in range(LINE_STEPS):
            for k in range(len(lines)):
                weight = self._weight * (labels == k)
                lines[k] = self._line(weight) if weight.any() else lines[k]
            labels = np.argmin([self._distance(line) for line in lines], axis=0)
        return labels


def _block_means(cases: Cases, table: np.ndarray) -> np.ndarray:
    return table if cases.sizes is None else cases.sum_in_blocks(table) / cases.sizes[:, None]


def _deviation(table: np.ndarray, weight: np.ndarray) -> np.ndarray:
    centred = table - np.average(table, axis=0, weights=weight)
    deviation: np.ndarray = np.sqrt(np.average(centred**2, axis=0, weights=weight))
    return deviation
