"""Cases from raw user input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _num_samples, validate_data

from .._validation import FLOATS, check_sample_weight, is_missing, readable, refuse_lazy, refuse_sparse, validated
from ..blocks import Blocks, blocks_of, is_table, iterate, with_weights
from ..chunks import Rows
from ..description import Description, describe
from ..executors import each
from ..families.gaussian import check_range
from .cases import Cases, Scaling, Scalings, rows_of_blocks, split
from .inputs import Inputs, read_inputs

LARGEST = 1e150  # of an offset: its square is finite
LEAST_SCALE = 1e-150  # of responses: its square is not zero
FARTHEST = 1e140  # of inputs, in standard deviations: no prediction overflows


@dataclass(frozen=True, eq=False)
class Views:
    """What experts and gate see of X; a gate that looks at nothing has no columns."""

    experts: Inputs
    gate: Inputs

    def tables(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Of experts and gate; the same array twice where they look at the same."""
        experts = self.experts(X, "expert_features")
        same = self.gate.columns is None and self.gate.transformer is None and self.experts.is_everything
        return experts, experts if same else self.gate(X, "gate_features")


class Extras(NamedTuple):
    """What a user may give for each row besides X and y."""

    sample_weight: Any = None
    block_id: Any = None
    offset: Any = None
    exposure: Any = None


class Reading(NamedTuple):
    """Cases, and where their rows come from: `rows` (n,), places in X, None if they are X's own in order."""

    cases: Cases
    rows: np.ndarray | None

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows, (n, ...), as the user's rows lie."""
        if self.rows is None:
            return values
        out = np.empty_like(values)
        out[self.rows] = values
        return out


def read_X(estimator: Any, X: Any, *, reset: bool, anything: bool) -> Any:
    """Rows as an array of floats; as they are (but counted and named) if a transformer takes them."""
    refuse_sparse(X)
    refuse_lazy(X)
    if not anything:
        return validated(estimator, readable(X), reset=reset, dtype=FLOATS, order="C")
    X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D array, got {len(X.shape)}D array instead. Reshape your data: X must be a table, and one "
            "feature is a column of it"
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if _num_samples(X) == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    return X


def read_views(estimator: Any, X: Any, y: Any, gate_looks: bool) -> Views:
    """Of the constructor's arguments, for rows X that have been read."""
    names, n_features = getattr(estimator, "feature_names_in_", None), estimator.n_features_in_
    experts = read_inputs("expert_features", estimator.expert_features, X, y, names, n_features)
    if not gate_looks:
        return Views(experts, Inputs(columns=np.empty(0, dtype=np.intp)))
    return Views(experts, read_inputs("gate_features", estimator.gate_features, X, y, names, n_features))


def arrange(
    tables: tuple[np.ndarray, np.ndarray], y: np.ndarray, scalings: Scalings | None, extras: Extras, *, drop: bool
) -> Reading:
    """Cases with the rows of a block together; `drop` leaves out blocks of weight zero."""
    inputs, gate_inputs = tables
    scalings = scalings or Scalings.none(inputs.shape[1], gate_inputs.shape[1])
    n = len(y)
    offset = _column("offset", extras.offset, n)
    exposure = _column("exposure", extras.exposure, n)
    if exposure is not None and not (exposure > 0).all():
        first = (exposure <= 0).argmax()
        raise ValueError(f"exposure must be positive, but exposure[{first}] is {exposure[first]}")
    weight = check_sample_weight(extras.sample_weight, n, np.dtype(np.float64))
    rows, sizes = None, None
    if extras.block_id is not None:
        rows, sizes = _blocks(extras.block_id, n)
        weight = np.ones(len(sizes)) if weight is None else _weight_of_blocks(weight[rows], sizes)
    weight = np.ones(n) if weight is None else weight
    if drop and not weight.all():
        kept = np.flatnonzero(weight)
        within = kept if sizes is None else rows_of_blocks(sizes, kept)
        rows = within if rows is None else rows[within]
        weight, sizes = weight[kept], None if sizes is None else sizes[kept]
    if rows is not None:
        same = gate_inputs is inputs
        inputs = inputs[rows]
        gate_inputs = inputs if same else gate_inputs[rows]
        y = y[rows]
        offset, exposure = (None if a is None else a[rows] for a in (offset, exposure))
    if sizes is not None:
        gate_inputs = np.add.reduceat(gate_inputs, np.cumsum(sizes) - sizes, axis=0) / sizes[:, None]
    return Reading(Cases(inputs, gate_inputs, y, weight, scalings, offset, exposure, sizes), rows)


def _column(name: str, value: Any, n: int) -> np.ndarray | None:
    """One finite number for each row."""
    if value is None:
        return None
    try:
        if np.iscomplexobj(value):
            raise ValueError("complex numbers")
        column = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers, but got {value!r}") from error
    column = np.full(n, column) if column.ndim == 0 else column
    if column.shape != (n,):
        raise ValueError(f"{name} must have one number for each of the {n} rows of X, but has shape {column.shape}")
    inside = np.abs(column) < LARGEST
    if not inside.all():
        first = (~inside).argmax()
        if np.isfinite(column[first]):
            raise ValueError(f"{name} must be less than {LARGEST:g}, but {name}[{first}] is {column[first]}")
        raise ValueError(f"{name} must be finite, but {name}[{first}] is not")
    return column


def _blocks(block_id: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows, those of a block together and otherwise in their order, and the number of rows of each block."""
    try:
        ids = np.asarray(block_id)
    except ValueError as error:  # of ragged lists
        raise ValueError(f"block_id must have one value for each of the {n} rows of X") from error
    if ids.shape != (n,):
        raise ValueError(f"block_id must have one value for each of the {n} rows of X, but has shape {ids.shape}")
    if any(is_missing(value) for value in ids.tolist()):
        raise ValueError("block_id has a missing value; each row must belong to a block")
    if ids.dtype == object and len({type(value) for value in ids.tolist()}) > 1:
        raise ValueError("block_id must have values of one type, so that they can be sorted")
    _, first, inverse, sizes = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first, kind="stable")  # blocks in the order in which they appear
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return np.argsort(place[inverse.ravel()], kind="stable"), sizes[order].astype(np.intp)


def check_reach(cases: Cases) -> None:
    """ValueError for inputs so far from those of the fit that predictions would leave the range of floats."""
    for table in (cases.X, cases.G):
        if (np.abs(table) > FARTHEST).any():
            raise ValueError(
                f"X has a value that is more than {FARTHEST:g} standard deviations away from those of the fit; is it "
                "a placeholder for a missing one?"
            )


def check_width(y: np.ndarray, n_columns: int, where: str) -> None:
    """ValueError for responses of another number of columns than there were somewhere."""
    if y.shape[1] != n_columns:
        raise ValueError(f"y has {y.shape[1]} column(s), but had {n_columns} in {where}")


def _weight_of_blocks(weight: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    starts = np.cumsum(sizes) - sizes
    first = weight[starts]
    if (weight != np.repeat(first, sizes)).any():
        raise ValueError("sample_weight must be the same for all rows of a block; it is the weight of the block")
    return first


class Descriptions(NamedTuple):
    """What one pass tells of the inputs of experts and gate, and of the responses."""

    inputs: Description
    gate: Description
    y: Description
    low: np.ndarray  # (m,): least response
    high: np.ndarray

    @property
    def scalings(self) -> Scalings:
        return Scalings(scaling_of(self.inputs), scaling_of(self.gate))


def scaling_of(description: Description) -> Scaling:
    return Scaling(description.mean, description.scale)


def describe_cases(chunks: Iterable[Cases]) -> Descriptions:
    described = reduce(_and, each(_describe_chunk, chunks))
    check_range(described.inputs, np.dtype(np.float64))
    check_range(described.gate, np.dtype(np.float64))
    if not np.isfinite(described.y.scale).all():
        raise ValueError("y is too large: its variance is not finite; divide it by a constant")
    if (described.y.scale < LEAST_SCALE).any():
        raise ValueError("y is too small: its variance is zero in floating point; multiply it by a constant")
    return described


def _describe_chunk(cases: Cases) -> Descriptions:
    by_row = cases.by_row(cases.weight)
    pieces = Rows(cases.inputs, by_row), Rows(cases.gate_inputs, cases.weight), Rows(cases.y, by_row)
    inputs, gate, y = (describe([rows], rows.X.shape[1]) for rows in pieces)
    return Descriptions(inputs, gate, y, cases.y.min(axis=0), cases.y.max(axis=0))


def _and(one: Descriptions, other: Descriptions) -> Descriptions:
    """Of the cases of both."""
    with np.errstate(over="ignore", invalid="ignore"):  # a scale that is not finite is refused later
        return Descriptions(
            one.inputs + other.inputs,
            one.gate + other.gate,
            one.y + other.y,
            np.minimum(one.low, other.low),
            np.maximum(one.high, other.high),
        )


class Streamed:
    """Chunks of cases that a function yields each time it is called, as pairs (X, y); nothing is kept.

    `read` makes cases of a pair and of the weights of its rows.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterable[Any]],
        read: Callable[[Any, Any, np.ndarray | None, Scalings | None], Cases],
        weight: np.ndarray | None,
        scalings: Scalings | None = None,
        n_rows: int | None = None,
    ) -> None:
        self._blocks = blocks
        self._read = read
        self._weight = weight
        self._scalings = scalings
        self._n_rows = n_rows

    def scaled(self, scalings: Scalings) -> Streamed:
        return Streamed(self._blocks, self._read, self._weight, scalings, self._n_rows)

    def __iter__(self) -> Iterator[Cases]:
        n_rows = 0
        for (X, y), weight in with_weights(pairs_of(self._blocks), self._weight, rows_of_pair):
            n_rows += _num_samples(X)
            if weight is None or weight.any():
                yield from split(self._read(X, y, weight, self._scalings))
        if self._n_rows not in (None, n_rows):
            raise ValueError(
                f"X yielded {n_rows} rows, but {self._n_rows} at an earlier call; it must be the same rows"
            )
        self._n_rows = n_rows


def pairs_of(blocks: Callable[[], Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """What a call of the user's function yields."""
    for pair in iterate(blocks):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError("X is a function, so it must yield pairs of blocks (X, y), with y=None in fit")
        yield pair[0], pair[1]


def rows_of_pair(pair: tuple[Any, Any]) -> int:
    return int(_num_samples(pair[0]))


def blocks_of_fitted(X: Any) -> Blocks | None:
    """Blocks that a fitted estimator is given: of pairs (X, y), or of X alone; None if X is one table."""
    blocks = blocks_of(X, pairs=True)
    return blocks_of(X) if blocks is None else blocks


def refuse_beside_blocks(y: Any, extras: Extras) -> None:
    """ValueError for what cannot be cut into blocks, or comes with them."""
    if y is not None or any(extra is not None for extra in extras[1:]):
        raise ValueError(
            "X is read block by block, so y (which comes in pairs with X), block_id, offset and exposure must be None; "
            f"got y={y!r} and {extras._replace(sample_weight=None)}"
        )


def maybe_pairs_of(blocks: Blocks) -> Iterator[tuple[Any, Any]]:
    """Pairs (X, y); where a block is X alone, y is None."""
    for block in iterate(blocks):
        is_pair = isinstance(block, tuple | list) and len(block) == 2 and is_table(block[0])
        yield (block[0], block[1]) if is_pair else (block, None)
