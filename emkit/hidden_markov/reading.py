"""From raw user input to whole sequences: which rows belong together, their weights and known states.

What tells the sequences apart is the first of: `sequence_id`, `lengths`, X as a list of arrays, the constructor's
`sequence`; without any of them all rows are one sequence. What is wrong is a ValueError that names the argument,
its value and what is allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from itertools import compress, count
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from .._validation import _read, check_labels, check_sample_weight, is_missing
from ..chunks import Rows
from ..families.base import Family
from ..families.discrete import UnknownValueError
from ..partitions import is_collection
from .sequences import Sequences, known


class Table(NamedTuple):
    """What was read; "grouped" is sorted by sequence, the rows of a sequence in the user's order."""

    X: np.ndarray  # (n, d) float64, NaN missing, contiguous, in the user's row order
    order: np.ndarray | None  # (n,) intp: X[order] is grouped; None if X is grouped already
    starts: np.ndarray  # (s + 1,) intp: where each sequence begins in the grouped rows
    ids: list[Hashable]  # (s,): id of each sequence, in the order of first appearance; numbered if the user gave none
    weight: np.ndarray | None  # (n,) float64, grouped, positive; None for ones
    labels: np.ndarray | None  # (n,) intp, grouped: the known state or -1; None if no state is known
    kept: np.ndarray | None  # indices of the user's rows that X holds, the others have weight zero; None for all
    n_rows: int  # of the user's X
    first_row: int = 0  # rows in the blocks before, where X is read block by block

    def passed(self, row: int) -> int:
        """Where a row of `X` stands in what the user passed."""
        return self.first_row + (row if self.kept is None else int(self.kept[row]))


def read(
    estimator: Any,
    X: Any,
    *,
    sequence_id: Any = None,
    lengths: Any = None,
    sample_weight: Any = None,
    labels: Any = None,
    reset: bool,
    min_rows: int = 2,
) -> Table:
    """Read the rows and what belongs to them; sequences of weight zero are left out.

    `estimator` has `sequence` and, for labels, `n_components`. With `reset` its `n_features_in_` and
    `feature_names_in_` are set, else checked; they leave out the column that holds the ids. `min_rows` is the least
    length of a sequence that is alone in a fit.
    """
    data, codes, ids = _read_rows(estimator, X, sequence_id, lengths, reset, min_rows)
    n_rows = len(data)
    order, starts = _group(codes, len(ids))
    weight = check_sample_weight(sample_weight, len(data), np.dtype(np.float64))
    remedy = "; concatenate those of all sequences" if holds_sequences(X) else ""
    states = None if labels is None else check_labels(labels, len(data), estimator.n_components, remedy)
    kept = None
    if weight is not None:
        stays = _sequence_weights(_grouped(weight, order), starts, ids) > 0
        if not stays.all():
            kept = np.flatnonzero(stays[codes])
            data, weight = data[kept], weight[kept]
            states = None if states is None else states[kept]
            ids = list(compress(ids, stays))
            order, starts = _group((np.cumsum(stays) - 1)[codes[kept]], len(ids))
    states = None if states is None else known(_grouped(states, order))
    weight = None if weight is None else _grouped(weight, order)
    return Table(data, order, starts, ids, weight, states, kept, n_rows)


def as_sequences(table: Table) -> Sequences:
    """All rows of a table, grouped; views where they are grouped already."""
    weight = np.ones(len(table.X)) if table.weight is None else table.weight
    return Sequences(Rows(_grouped(table.X, table.order), weight), table.starts, table.labels)


def to_grouped(values: np.ndarray, table: Table) -> np.ndarray:
    """Values (n_rows, ...) of the user's rows, as those of the grouped rows, (n, ...)."""
    return _grouped(values if table.kept is None else values[table.kept], table.order)


def to_row_order(values: np.ndarray, table: Table) -> np.ndarray:
    """Values (n, ...) of the grouped rows, in the order of the rows of `table.X`."""
    if table.order is None:
        return values
    result = np.empty_like(values)
    result[table.order] = values
    return result


def check_values(family: Family, X: np.ndarray, passed: Callable[[int], int]) -> None:
    """ValueError for a value that the family does not know; `passed` gives the row as the user counts."""
    try:
        family.check_rows(X)
    except UnknownValueError as error:
        raise UnknownValueError(error.value, passed(error.row), error.column, error.allowed) from None


def is_many(table: Table) -> bool:
    """Whether there is more than one sequence."""
    return len(table.ids) > 1


def holds_sequences(X: Any) -> bool:
    """Whether X is a list of arrays, each one sequence, rather than a list of rows."""
    return isinstance(X, list | tuple) and any(_is_array(element) for element in X)


def sequence_ids(sequence: str | int | None, X: Any) -> Any:
    """The id of each row, as X holds them; all the same where it holds none."""
    ids = _without_ids(_check_sequence(sequence), X, needed=True)[1]
    return np.zeros(len(X), dtype=np.intp) if ids is None else ids


def without_ids(sequence: str | int | None, X: Any) -> Any:
    """X without the column that holds the ids, if there is one."""
    return _without_ids(_check_sequence(sequence), X, needed=False)[0]


def grouped_already(estimator: Any, X: Any, sequence_id: Any, lengths: Any) -> tuple[np.ndarray, list[Hashable]] | None:
    """Where each sequence of a table begins, as in `Table`, and the ids; None if its rows do not lie together."""
    check_sources(X, sequence_id, lengths)
    if lengths is not None:
        counts = check_lengths(lengths, len(X))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp), list(range(len(counts)))
    ids = sequence_ids(estimator.sequence, X) if sequence_id is None else sequence_id
    codes, names = numbered("sequence_id", ids, len(X))
    order, starts = _group(codes, len(names))
    return (starts, names) if order is None else None


def weight_of_sequences(sample_weight: Any, starts: np.ndarray) -> np.ndarray:
    """Weight of each sequence, (s,), from those of rows that are grouped."""
    weight = check_sample_weight(sample_weight, int(starts[-1]), np.dtype(np.float64))
    assert weight is not None
    return _sequence_weights(weight, starts, list(range(len(starts) - 1)))


def check_ignored(y: Any, X: Any) -> None:
    """ValueError for a `y` that is not one value for each row: what some pass there are lengths."""
    if y is None or is_collection(X):
        return
    tables = X if holds_sequences(X) else [X]
    shapes = [np.shape(table) if hasattr(table, "shape") else np.asarray(table).shape for table in tables]
    if not all(shapes):
        return  # X is no table, which is said elsewhere
    n_rows, shape = sum(table[0] for table in shapes), np.asarray(y).shape
    if shape[:1] != (n_rows,):
        raise ValueError(
            f"y is ignored, but must have one value for each of the {n_rows} rows of X or be None; it has shape "
            f"{shape}. The lengths of sequences go in the keyword `lengths`"
        )


def _is_array(element: Any) -> bool:
    if hasattr(element, "shape"):
        return len(element.shape) > 0
    return isinstance(element, list | tuple) and len(element) > 0 and isinstance(element[0], list | tuple | np.ndarray)


def _read_rows(
    estimator: Any, X: Any, sequence_id: Any, lengths: Any, reset: bool, min_rows: int
) -> tuple[np.ndarray, np.ndarray, list[Hashable]]:
    """X in the user's order, the number of the sequence of each row, (n,), and the ids of the sequences."""
    sequence = _check_sequence(estimator.sequence)
    check_sources(X, sequence_id, lengths)
    name, ids = "sequence_id", sequence_id
    if holds_sequences(X):
        tables = check_tables(X)
        lengths = [table.shape[0] for table in tables]
        parts = [_without_ids(sequence, table, needed=False)[0] for table in _joined(tables)]
    else:
        implicit = sequence_id is None and lengths is None
        features, inside = _without_ids(sequence, X, needed=implicit)
        parts = [features]
        if implicit:
            name, ids = f"sequence={sequence!r}", inside
    data = _read_parts(estimator, parts, reset, min_rows)
    if ids is not None:
        return data, *numbered(name, ids, len(data))
    counts = np.array([len(data)]) if lengths is None else check_lengths(lengths, len(data))
    return data, np.repeat(np.arange(len(counts)), counts), list(range(len(counts)))


def check_sources(X: Any, sequence_id: Any, lengths: Any) -> None:
    if callable(X):
        raise ValueError("X is a function, but an array, a frame or a list of arrays is required")
    if sequence_id is not None and lengths is not None:
        raise ValueError("sequence_id and lengths are both given, but only one of them may tell the sequences apart")
    given = "sequence_id" if sequence_id is not None else "lengths" if lengths is not None else None
    if given is not None and holds_sequences(X):
        raise ValueError(f"{given} is given, but X is a list of arrays, each of which is one sequence already")


def check_tables(X: Sequence[Any]) -> list[Any]:
    """The elements of a list of sequences: two-dimensional, not empty, of as many columns."""
    tables = [table if hasattr(table, "shape") else np.array(table, dtype=object) for table in X]
    for i, table in enumerate(tables):
        if len(table.shape) != 2 or table.shape[0] == 0:
            raise ValueError(
                f"X is a list of sequences, so each must be an array of shape (n_rows >= 1, n_features), "
                f"but X[{i}] has shape {table.shape}; np.array(X) makes one sequence of a list of rows"
            )
        if table.shape[1] != tables[0].shape[1]:
            raise ValueError(
                f"all sequences in X must have as many columns, but X[0] has {tables[0].shape[1]} "
                f"and X[{i}] has {table.shape[1]}"
            )
    return tables


def _joined(tables: list[Any]) -> list[Any]:
    """Plain arrays of numbers in one, so that they are checked once; others are left to be read one by one."""
    if all(type(table) is np.ndarray and table.dtype.kind in "fiub" for table in tables):
        return [np.concatenate(tables)]
    return tables


def _read_parts(estimator: Any, parts: list[Any], reset: bool, min_rows: int) -> np.ndarray:
    min_rows = min_rows if reset and len(parts) == 1 else 1
    read_parts = [
        _read(estimator, part, reset=reset and number == 0, min_rows=min_rows) for number, part in enumerate(parts)
    ]
    X = read_parts[0] if len(parts) == 1 else np.concatenate(read_parts)
    return np.ascontiguousarray(X, dtype=np.float64)


def _check_sequence(sequence: Any) -> str | int | None:
    if sequence is None or isinstance(sequence, str):
        return sequence
    if isinstance(sequence, Integral) and not isinstance(sequence, bool):
        return int(sequence)
    raise ValueError(
        "sequence must be None, the name of a column or of an index level, or the position of a column, "
        f"but got {sequence!r}"
    )


def _without_ids(sequence: str | int | None, X: Any, *, needed: bool) -> tuple[Any, Any]:
    """X without the column that holds the ids, and the ids; None where X has none and they are not `needed`."""
    if sequence is None or issparse(X):
        return X, None
    table = X
    if isinstance(X, list | tuple):
        table = np.array(X, dtype=object)  # any other type would turn the id 1 into "1" next to a string
    elif not hasattr(X, "shape"):
        table = np.asarray(X)
    if len(table.shape) != 2:
        return X, None  # which `_read` refuses
    position = _column_position(sequence, table)
    if position is not None:
        cells = getattr(table, "iloc", table)
        return cells[:, [i for i in range(table.shape[1]) if i != position]], cells[:, position]
    levels = list(getattr(getattr(table, "index", None), "names", []))
    if sequence in levels:
        return table, table.index.get_level_values(sequence)
    if needed:
        columns = list(getattr(table, "columns", range(table.shape[1])))
        no_names = isinstance(sequence, str) and not hasattr(table, "columns")
        hint = "; a step before keeps names and index with set_output(transform='pandas')" if no_names else ""
        raise ValueError(
            f"sequence={sequence!r} must be a column or an index level of X, which has columns {columns} "
            f"and index levels {[level for level in levels if level is not None]}{hint}"
        )
    return X, None


def _column_position(sequence: str | int, table: Any) -> int | None:
    n_columns = table.shape[1]
    if isinstance(sequence, int):
        return sequence % n_columns if -n_columns <= sequence < n_columns else None
    columns = list(getattr(table, "columns", []))
    if columns.count(sequence) > 1:
        raise ValueError(f"sequence={sequence!r} must be one column of X, but {columns.count(sequence)} have that name")
    return columns.index(sequence) if sequence in columns else None


def check_lengths(lengths: Any, n_rows: int) -> np.ndarray:
    allowed = f"lengths must be positive integers that sum to the {n_rows} rows of X"
    try:
        array = np.asarray(lengths)
    except ValueError as error:
        raise ValueError(f"{allowed}, but got {lengths!r}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0:
        raise ValueError(f"{allowed}, but got {lengths!r}")
    bad = (array < 1) | (array > n_rows)
    if bad.any():
        raise ValueError(f"{allowed}, but lengths[{bad.argmax()}] is {array[bad][0]}")
    if array.sum() != n_rows:
        raise ValueError(f"{allowed}, but they sum to {array.sum()}")
    return array.astype(np.intp)


def numbered(name: str, values: Any, n_rows: int) -> tuple[np.ndarray, list[Hashable]]:
    """Number of the id of each row, (n,), and the different ids, in the order of first appearance."""
    values = _id_values(name, values)
    if len(values) != n_rows:
        raise ValueError(f"{name} must have one id for each of the {n_rows} rows of X, but has {len(values)}")
    if isinstance(values, list):
        return _number(name, values, np.arange(n_rows))
    heads = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))  # few where rows are grouped
    runs = values[heads]
    # tolist() would make integers of dates
    codes, ids = _number(name, list(runs) if runs.dtype.kind in "mM" else runs.tolist(), heads)
    return np.repeat(codes, np.diff(heads, append=n_rows)), ids


def _id_values(name: str, values: Any) -> list[Hashable] | np.ndarray:
    """One-dimensional: an array of one type, or a list that keeps each id's own type."""
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list or array with one id for each row of X, but got {values!r}")
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    elif hasattr(values, "__array__") and not isinstance(values, np.ndarray):
        values = np.asarray(values)
    if not isinstance(values, np.ndarray):
        return list(values)
    if values.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, one id for each row of X, but has shape {values.shape}")
    as_list = values.dtype == object or isinstance(values, np.ma.MaskedArray)  # a masked id becomes None
    return values.tolist() if as_list else values


def _number(name: str, values: list[Hashable], rows: np.ndarray) -> tuple[np.ndarray, list[Hashable]]:
    """Number of each value and the different values; `rows` says where they stand in X."""
    number: defaultdict[Hashable, int] = defaultdict(count().__next__)  # a new value gets the next number
    try:
        codes = np.fromiter(map(number.__getitem__, values), dtype=np.intp, count=len(values))
    except TypeError as error:
        row = next(i for i, value in enumerate(values) if not _is_hashable(value))
        raise ValueError(f"{name} is {values[row]!r} in row {rows[row]}, but an id must be hashable") from error
    if any(map(is_missing, number)):
        row = next(i for i, value in enumerate(values) if is_missing(value))
        raise ValueError(f"{name} is {values[row]!r} in row {rows[row]}, but each row needs an id")
    return codes, list(number)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _group(codes: np.ndarray, n_sequences: int) -> tuple[np.ndarray | None, np.ndarray]:
    """The stable order that groups rows, None if they are grouped, and where each sequence begins then."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_sequences))]).astype(np.intp)
    if (codes[1:] >= codes[:-1]).all():
        return None, starts
    return np.argsort(codes.astype(np.min_scalar_type(n_sequences)), kind="stable"), starts  # small types sort faster


def _grouped(values: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    return values if order is None else values[order]


def _sequence_weights(weight: np.ndarray, starts: np.ndarray, ids: list[Hashable]) -> np.ndarray:
    """Weight of each sequence, (s,), from those of the grouped rows."""
    first = weight[starts[:-1]]
    differs = weight != np.repeat(first, np.diff(starts))
    if differs.any():
        row = int(differs.argmax())
        place = int(np.searchsorted(starts, row, side="right")) - 1
        raise ValueError(
            "sample_weight must be constant within a sequence, "
            f"but sequence {ids[place]!r} has weights {first[place]} and {weight[row]}"
        )
    return first
