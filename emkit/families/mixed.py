"""Columns of different kinds, independent given the component: a family for all columns of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..chunks import Rows
from ..description import Description, in_one_chunk
from ..executors import Changed
from .base import Family, Options, Sums
from .discrete import UnknownValueError


class Part(NamedTuple):
    """The columns of one kind and their family."""

    columns: np.ndarray  # (c,)
    family: Family


@dataclass(frozen=True)
class ByColumn:
    """Makes the family of columns of given kinds; in place of a class of families.

    Attributes
    ----------
    kinds : tuple of str
        Name of the family of each column.
    classes : mapping of str to class
        Families by name.
    argument : str
        Name of the estimator's argument that says the kinds.
    """

    kinds: tuple[str, ...]
    classes: Mapping[str, type[Family]]
    argument: str = "emission"

    def __post_init__(self) -> None:
        """ValueError if two kinds have a parameter of the same name, since both could not be published."""
        for one, two in combinations(self._columns, 2):
            for name in (name for name in self.classes[one].names if name in self.classes[two].names):
                raise ValueError(
                    f"{self.argument} has columns of the kinds {one!r} and {two!r}, but both publish {name}_; "
                    "use one of the two kinds for all these columns"
                )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for kind in self._columns for name in self.classes[kind].names)

    @property
    def _columns(self) -> dict[str, np.ndarray]:
        """The columns of each kind, kinds in the order in which they come first."""
        kinds = np.array(self.kinds)
        return {kind: np.flatnonzero(kinds == kind) for kind in dict.fromkeys(self.kinds)}

    def for_data(
        self, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None
    ) -> MixedFamily:
        return self.for_chunks(n_components, options, *in_one_chunk(X, weight))

    def for_chunks(
        self, n_components: int, options: Options, chunks: Iterable[Rows], described: Description
    ) -> MixedFamily:
        n_columns = described.n_features
        if n_columns != len(self.kinds):
            raise ValueError(f"{self.argument} names {len(self.kinds)} kinds of columns, but X has {n_columns} columns")
        by_kind = []
        for kind, columns in self._columns.items():
            own = replace(options, n_symbols=_of_columns(options.n_symbols, columns, n_columns))
            part = Changed(partial(Rows.part, columns=columns), chunks)
            with _named_by_place(columns):
                family = self.classes[kind].for_chunks(n_components, own, part, described.of(columns))
            by_kind.append(Part(columns, family))
        return MixedFamily(n_components, tuple(by_kind))

    def for_parts(self, n_components: int, options: Options, parts: dict[str, Any]) -> MixedFamily:
        by_kind = (
            Part(columns, self.classes[kind].for_parts(n_components, options, parts))
            for kind, columns in self._columns.items()
        )
        return MixedFamily(n_components, tuple(by_kind))


@dataclass(frozen=True, eq=False)
class MixedFamily(Family):
    """Log densities, statistics and parameters are those of the families of the kinds of columns, side by side.

    Parameters are a tuple with those of each family.
    """

    n_components: int
    by_kind: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]  # those of the parts
        return tuple(name for _, family in self.by_kind for name in family.names)

    @classmethod
    def for_data(
        cls, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None
    ) -> MixedFamily:
        raise TypeError("a MixedFamily needs the kinds of its columns: see ByColumn")

    @classmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> MixedFamily:
        raise TypeError("a MixedFamily needs the kinds of its columns: see ByColumn")

    @property
    def n_features(self) -> int:
        return sum(len(columns) for columns, _ in self.by_kind)

    @property
    def shared(self) -> frozenset[str]:
        return frozenset().union(*(family.shared for _, family in self.by_kind))

    @property
    def bears_far_rows(self) -> bool:
        return any(family.bears_far_rows for _, family in self.by_kind)

    def check_rows(self, X: np.ndarray) -> None:
        for columns, family in self.by_kind:
            with _named_by_place(columns):
                family.check_rows(np.ascontiguousarray(X[:, columns]))

    def _with(self, params: Any) -> Iterator[tuple[Family, Any]]:
        """Each family and its own parameters."""
        return zip((family for _, family in self.by_kind), params, strict=True)

    def _each(self, rows: Rows) -> list[Rows]:
        """The columns of each kind."""
        return [rows.part(columns) for columns, _ in self.by_kind]

    def log_density(self, params: Any, rows: Rows) -> np.ndarray:
        each = zip(self._with(params), self._each(rows), strict=True)
        return reduce(np.add, (family.log_density(own, part) for (family, own), part in each))

    def moments(self, params: Any, rows: Rows, resp: np.ndarray) -> tuple[Any, ...]:
        return tuple(
            Sums(family.moments(own, part, resp))
            for (family, own), part in zip(self._with(params), self._each(rows), strict=True)
        )

    def m_step(self, moments: Sequence[Any], params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        return tuple(
            family.m_step(sums, own, fixed) for (family, own), sums in zip(self._with(params), moments, strict=True)
        )

    def recentre(self, moments: Any, params: Any, new_params: Any) -> Any:
        new = (own for _, own in self._with(new_params))
        each = zip(moments, self._with(params), new, strict=True)
        return tuple(Sums(family.recentre(sums, own, later)) for sums, (family, own), later in each)

    def with_prior_of(self, factor: float) -> MixedFamily:
        by_kind = tuple(Part(columns, family.with_prior_of(factor)) for columns, family in self.by_kind)
        return replace(self, by_kind=by_kind)

    def start(self, rows: Rows, resp: np.ndarray) -> Any:
        return tuple(family.start(part, resp) for (_, family), part in zip(self.by_kind, self._each(rows), strict=True))

    def parts(self, params: Any) -> dict[str, Any]:
        return {name: part for family, own in self._with(params) for name, part in family.parts(own).items()}

    def from_parts(self, parts: dict[str, Any]) -> Any:
        return tuple(family.from_parts({name: parts[name] for name in family.names}) for _, family in self.by_kind)

    def check_part(self, name: str, value: Any) -> Any:
        for _, family in self.by_kind:
            if name in family.names:
                return family.check_part(name, value)
        return super().check_part(name, value)

    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        return sum(family.n_free(fixed) for _, family in self.by_kind)

    def _side_by_side(self, pieces: Sequence[np.ndarray]) -> np.ndarray:
        """Columns of each kind (n, c) in their places."""
        out = np.empty((len(pieces[0]), self.n_features))
        for (columns, _), piece in zip(self.by_kind, pieces, strict=True):
            out[:, columns] = piece
        return out

    def sample(self, params: Any, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._side_by_side([family.sample(own, components, rng) for family, own in self._with(params)])

    def mean(self, params: Any) -> np.ndarray:
        return self._side_by_side([family.mean(own) for family, own in self._with(params)])

    def variance(self, params: Any) -> np.ndarray:
        return self._side_by_side([family.variance(own) for family, own in self._with(params)])

    def symbol_tables(self, params: Any) -> list[np.ndarray]:
        return [table for family, own in self._with(params) for table in family.symbol_tables(own)]

    def features(self, X: np.ndarray) -> np.ndarray:
        return np.concatenate([family.features(X[:, columns]) for columns, family in self.by_kind], axis=1)

    def log_prior(self, params: Any) -> float:
        return sum(family.log_prior(own) for family, own in self._with(params))

    def rounding(self, params: Any) -> float:
        return max(family.rounding(own) for family, own in self._with(params))

    def flaw(self, params: Any, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        found = (family.flaw(own, counts, weight, fixed) for family, own in self._with(params))
        return next(filter(None, found), "")

    def to_vector(self, params: Any, fixed: frozenset[str] = frozenset()) -> np.ndarray | None:
        vectors = [family.to_vector(own, fixed) for family, own in self._with(params)]
        known = [vector for vector in vectors if vector is not None]
        return np.concatenate(known) if len(known) == len(vectors) else None

    def from_vector(self, vector: np.ndarray, params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        new = []
        for family, own in self._with(params):
            form = family.to_vector(own, fixed)
            piece, vector = np.split(vector, [0 if form is None else len(form)])
            new.append(family.from_vector(piece, own, fixed))
        return tuple(new)


@contextmanager
def _named_by_place(columns: np.ndarray) -> Iterator[None]:
    """Complaints about a value of some columns (c,) of X name its column by its place in X."""
    try:
        yield
    except UnknownValueError as error:
        raise error.at(column=int(columns[error.column])) from None


def _of_columns(n_symbols: Any, columns: np.ndarray, n_columns: int) -> Any:
    """Those of some columns, where `n_symbols` has an entry for each column of X (also for those without symbols)."""
    if not isinstance(n_symbols, Sequence | np.ndarray) or len(n_symbols) != n_columns:
        return n_symbols  # one for all, or wrong, which the family says
    return [n_symbols[j] for j in columns]
