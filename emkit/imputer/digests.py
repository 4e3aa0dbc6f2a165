"""Columns of a table that is read block by block: the digest of a column adds over blocks, and tells what it is.

A digest is the column with each distinct value once, as far as these are needed. So the kind and the levels of a column
of many blocks are found as those of one in memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .columns import Column, Labels, Numbers, RawColumn, label_objects, make_column
from .tables import Request, with_categories

MOST_DISTINCT = 100_000  # values of a column that are kept until it is known whether they are levels
NUMERIC = ("continuous", "count")
HAVE_CATEGORIES = ("ordered", "category")


@dataclass(frozen=True, eq=False)
class Digest:
    """Distinct values of a column, and what else makes it one.

    Attributes
    ----------
    cells : Numbers or Labels
        The values that are kept, without missing ones.
    restore : dtype
    is_cut : bool
        Whether there were others. Then the column cannot be one of levels.
    most : int
        How many are kept.
    """

    cells: Numbers | Labels
    restore: Any
    is_cut: bool = False
    most: int = MOST_DISTINCT

    @property
    def n_values(self) -> int:
        cells = self.cells
        return len(cells.values if isinstance(cells, Numbers) else cells.codes)

    @property
    def is_empty(self) -> bool:
        return self.n_values == 0 and not self.is_cut

    def __add__(self, other: Digest) -> Digest:
        """Of both; ValueError if their categories have different orders."""
        one, two = self.cells, other.cells
        is_cut = self.is_cut or other.is_cut
        if isinstance(one, Numbers) and isinstance(two, Numbers) and _have_one_type(one, two):
            values = np.unique(np.concatenate([one.values, two.values]))
            return _shortened(Digest(_numbers(one.name, values), self.restore, is_cut, min(self.most, other.most)))
        if self.is_empty or other.is_empty:
            return self if other.is_empty else other
        if isinstance(one, Labels) and isinstance(two, Labels) and one.sort == two.sort in HAVE_CATEGORIES:
            labels = _in_one_order(one, two)
            restore = with_categories(self.restore, labels)
            cells = Labels(one.name, one.sort, _places([*_values(one), *_values(two)], labels), [*labels, None])
        else:
            sort = one.sort if one.sort == two.sort else "object"
            cells, restore = label_objects(one.name, [*_values(one), *_values(two)], sort), self.restore
        return _shortened(Digest(cells, restore, is_cut))


def digest(cells: RawColumn, missing: np.ndarray, restore: Any, request: Request) -> Digest:
    """Of a column of a block; ValueError for a value that does not fit what is requested."""
    if request in NUMERIC:
        cells.numbers(missing)
        return Digest(_numbers(cells.name, np.empty(0)), restore)
    if request is None and isinstance(cells, Numbers) and cells.sort == "float":
        return _shortened(Digest(_numbers(cells.name, cells.values[~missing]), restore, most=1))
    distinct = _distinct(cells, missing)
    if isinstance(request, tuple):  # whose order is the one that counts
        Column(cells.name, "ordinal", request, restore).encode(cells, missing)
        distinct = label_objects(cells.name, _values(distinct), "object")
    return _shortened(Digest(distinct, restore))


def column_of(digest: Digest, request: Request) -> Column:
    """The column that all blocks make.

    Raises
    ------
    ValueError
        If it has levels, but too many to be kept.
    """
    cells = digest.cells
    if request in NUMERIC:
        return Column(cells.name, str(request), (), digest.restore)
    column, _ = make_column(cells, np.zeros(digest.n_values, dtype=bool), digest.restore, request)
    if digest.is_cut and not column.is_numeric:
        raise ValueError(
            f"Column {cells.name!r} is {column.kind} and has more than {MOST_DISTINCT} distinct values, which is too "
            "many where X is read block by block; give it the kind 'continuous' by `columns`, or leave it out"
        )
    return column


def _distinct(cells: RawColumn, missing: np.ndarray) -> Numbers | Labels:
    """Each known value once."""
    if isinstance(cells, Numbers):
        return _numbers(cells.name, np.unique(cells.values[~missing]))
    assert isinstance(cells, Labels)
    used = np.unique(cells.codes[~missing])
    if cells.sort in HAVE_CATEGORIES:
        return replace(cells, codes=used)
    return replace(cells, codes=np.arange(len(used)), labels=[cells.labels[place] for place in used])


def _numbers(name: Hashable, values: np.ndarray) -> Numbers:
    return Numbers(name, values, np.zeros(len(values), dtype=bool))


def _values(cells: Numbers | Labels) -> list[Any]:
    """The values that are kept, as Python objects."""
    if isinstance(cells, Numbers):
        values: list[Any] = cells.values.tolist()
        return values
    return [cells.labels[place] for place in cells.codes]


def _have_one_type(one: Numbers, two: Numbers) -> bool:
    """Whether they do in one table: truth values are no numbers there."""
    return (one.sort == "boolean") == (two.sort == "boolean")


def _shortened(digest: Digest) -> Digest:
    """No more values than are to be kept."""
    cells, most = digest.cells, digest.most
    if digest.n_values <= most:
        return digest
    if isinstance(cells, Numbers):
        return replace(digest, cells=_numbers(cells.name, cells.values[:most]), is_cut=True)
    return replace(digest, cells=label_objects(cells.name, _values(cells)[:most], cells.sort), is_cut=True)


def _in_one_order(one: Labels, two: Labels) -> list[Any]:
    """The categories of both. Ordered ones must be those of one of the two, in its order."""
    first, second = ([label for label in cells.labels if label is not None] for cells in (one, two))
    union = list(dict.fromkeys([*first, *second]))
    if one.sort != "ordered":
        return union
    for longer, shorter in ((first, second), (second, first)):
        if [label for label in longer if label in set(shorter)] == shorter:
            return longer
    raise ValueError(
        f"Column {one.name!r} has the ordered categories {second} in a block, but {first} before, and it is not known "
        "which order both have; give the levels in order by `columns`"
    )


def _places(values: Sequence[Any], labels: Sequence[Any]) -> np.ndarray:
    place = {label: number for number, label in enumerate(labels)}
    return np.unique(np.array([place[value] for value in values], dtype=np.intp))
