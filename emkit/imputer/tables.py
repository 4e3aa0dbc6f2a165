"""Tables to codes and back: frames of pandas and polars (imported only if X is one of theirs), arrays and lists.

A table is opened as one of three classes. Each gives its columns as cells, and a copy of itself in which some cells
are filled with values. RawColumn with a value are copied as they are; they never go through codes.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .columns import (
    KINDS,
    Column,
    Numbers,
    RawColumn,
    check_levels,
    check_marker,
    complex_message,
    dates_message,
    label_objects,
    make_column,
    missing_numbers,
)
from .columns import Labels as LabelCells

FLOATS = (np.float64, np.float32)
Request = str | tuple[Any, ...] | None  # a kind, ordered levels, or what the data say


def read_training(X: Any, columns: Any = None, missing_values: Any = np.nan) -> tuple[tuple[Column, ...], np.ndarray]:
    """Columns, and codes (n, p) float64 with NaN where missing, of a training table.

    `columns` says what the data cannot: None, a kind for all columns, or a dict from names (a list, for arrays) to
    a kind or an ordered list of levels. RawColumn equal to `missing_values` are missing; NaN stands for all that
    pandas and polars have for missing values.
    """
    marker, table = check_marker(missing_values), open_table(X)
    requests = requests_of(columns, table.names)
    codes, missing = _read_block(table, marker)
    made: list[Column] = []
    for j, request in enumerate(requests):
        kind = request or "continuous"
        if missing is not None and isinstance(kind, str) and kind in ("continuous", "count"):
            made.append(Column(table.names[j], kind, (), table.dtype(j)))
            continue
        cells = table.cells(j)
        column, codes[:, j] = make_column(cells, _missing(table, j, cells, marker), table.dtype(j), request)
        made.append(column)
    return tuple(made), codes


def cells_of(X: Any, missing_values: Any) -> Iterator[tuple[RawColumn, np.ndarray, Any]]:
    """The cells of each column, which of them are missing (n,), and its dtype."""
    marker, table = check_marker(missing_values), open_table(X)
    for j in range(len(table.names)):
        cells = table.cells(j)
        yield cells, _missing(table, j, cells, marker), table.dtype(j)


def read(X: Any, columns: Sequence[Column], missing_values: Any = np.nan, unseen: str = "error") -> np.ndarray:
    """Codes (n, p) of more rows, in columns that are known by position.

    A value without a code is a ValueError, or missing if `unseen` is "missing".
    """
    if unseen not in ("error", "missing"):
        raise ValueError(f"unseen must be one of ['error', 'missing'], but got {unseen!r}")
    marker, table = check_marker(missing_values), open_table(X)
    _check_width(table, columns)
    codes, missing = _read_block(table, marker)
    for j, column in enumerate(columns):
        if missing is None or not column.is_numeric:
            cells = table.cells(j)
            hint = "; with unseen='missing' it is a gap"
            codes[:, j] = column.encode(cells, _missing(table, j, cells, marker), unseen, hint)
    return codes


def write(
    codes: np.ndarray,
    columns: Sequence[Column],
    like: Any,
    kept: np.ndarray | None = None,
    missing_values: Any = np.nan,
    holes: np.ndarray | None = None,
) -> Any:
    """The table `like` with the values of `codes` (n, p) in its missing cells; those without a code stay.

    `holes` (n, p) bool says which cells are to be filled, if these are not just those that `missing_values` marks.
    `kept` is a mask (p,) of the columns that are in the result. Dtypes stay if they can hold the values: columns
    of integers that are continuous become float64, and a column with nothing but missing cells may get the dtype
    that it had in training.
    """
    marker, table = check_marker(missing_values), open_table(like)
    _check_width(table, columns)
    codes = _with_levels(codes, columns)
    places = np.arange(len(columns)) if kept is None else np.flatnonzero(kept)
    holes = (_holes(table, marker) if holes is None else holes) & ~np.isnan(codes)
    return table.filled(codes, columns, holes, places)


def values(codes: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Values (n, p): float64 if all are numbers, else objects. NaN where there is no code."""
    codes = _with_levels(codes, columns)
    has_numbers = all(column.has_numbers for column in columns)
    decoded = np.full(codes.shape, np.nan, dtype=np.float64 if has_numbers else object)
    for j, column in enumerate(columns):
        present = ~np.isnan(codes[:, j])
        decode = column.decode if has_numbers else column.decode_objects
        decoded[present, j] = decode(codes[present, j])
    return decoded


def _read_block(table: Any, marker: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes and missing cells of a table that is one array of floats; else room for the codes, and None."""
    block = None if marker is None else table.block  # a block does not tell null from NaN
    if block is None:
        return np.empty((table.n_rows, len(table.names))), None
    missing = missing_numbers(block, None, marker, table.names)
    codes = np.array(block, dtype=np.float64, order="C")
    if not isinstance(marker, float) or marker == marker:
        codes[missing] = np.nan
    return codes, missing


def _with_levels(codes: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """No code stands for anything in a column that has no levels."""
    void = [not column.is_numeric and not column.levels for column in columns]
    return np.where(void, np.nan, codes) if any(void) else codes


def _missing(table: Any, j: int, cells: RawColumn, marker: Any) -> np.ndarray:
    """Mask (n,) of the missing cells of a column."""
    missing = cells.missing(marker)
    return missing if table.mask is None else missing | table.mask[:, j]


def _holes(table: Any, marker: Any) -> np.ndarray:
    """Mask (n, p) of the missing cells."""
    block = None if marker is None else table.block
    if block is not None:
        return missing_numbers(block, None, marker, table.names)
    return np.column_stack([_missing(table, j, table.cells(j), marker) for j in range(len(table.names))])


def _check_width(table: Any, columns: Sequence[Column]) -> None:
    if len(table.names) != len(columns):
        raise ValueError(f"X has {len(table.names)} columns, but {len(columns)} are expected")


def requests_of(columns: Any, names: Sequence[Hashable]) -> list[Request]:
    """What the user asks of each column."""
    if columns is None or isinstance(columns, str):
        return [_request("all columns", columns)] * len(names)
    if isinstance(columns, Mapping):
        unknown = [name for name in columns if name not in names]
        if unknown:
            raise ValueError(f"columns has names that are not in X: {unknown}; the columns of X are {list(names)}")
        return [_request(name, columns.get(name)) for name in names]
    if not isinstance(columns, list | tuple):
        raise ValueError(f"columns must be None, a kind among {KINDS}, a dict or a list, but got {columns!r}")
    if len(columns) != len(names):
        raise ValueError(
            f"columns must have one entry for each of the {len(names)} columns of X, but has {len(columns)}"
        )
    return [_request(name, request) for name, request in zip(names, columns, strict=True)]


def _request(name: Hashable, request: Any) -> Request:
    if request is None or (isinstance(request, str) and request in KINDS):
        return request
    if isinstance(request, str) or not (isinstance(request, Sequence) or hasattr(request, "tolist")):
        raise ValueError(
            f"columns must give a kind among {KINDS} or a list of levels for {name!r}, but got {request!r}"
        )
    return check_levels(name, list(request))


def open_table(X: Any) -> Any:
    """The table behind X. A library that was never imported has made no frame."""
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(X, pandas.DataFrame):
        return PandasTable(X)
    if polars is not None and isinstance(X, polars.LazyFrame):
        raise ValueError("X is a LazyFrame of polars, but its rows are required; X.collect() gives them")
    if polars is not None and isinstance(X, polars.DataFrame):
        return PolarsTable(X)
    return ArrayTable(X)


def _fit(cells: RawColumn, column: Column) -> str:
    """How a dtype must change to hold the values of a column: "same", "float" or "other"."""
    if cells.sort in ("object", "string"):
        return "same"
    if cells.sort in ("ordered", "category"):
        return "float" if column.is_numeric else "same"
    if not column.has_numbers:
        return "other"
    holds = {"float": True, "integer": column.has_integers, "boolean": column.has_booleans}[cells.sort]
    return "same" if holds else "float"


def _as_dtype(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers as one of NumPy's dtypes; for integers the nearest in its range."""
    if dtype.kind not in "iu":
        return numbers.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if numbers.dtype.kind in "iu":
        own = np.iinfo(numbers.dtype)
        return np.clip(numbers, max(low, own.min), min(high, own.max)).astype(dtype)
    top = float(high) if int(float(high)) <= high else np.nextafter(float(high), 0)  # 2**63 is no int64
    return np.clip(np.rint(numbers.astype(np.float64)), low, top).astype(dtype)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


class ArrayTable:
    """A numeric array, or one of objects or strings, or nested lists. Masked cells are missing."""

    def __init__(self, X: Any) -> None:
        self.array = _as_array(X)
        self.mask = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
        if self.array.ndim != 2:
            raise ValueError(f"X must be a table with rows and columns, but has {self.array.ndim} dimensions")
        self.names: Sequence[Hashable] = range(self.array.shape[1])
        self.n_rows = len(self.array)
        if self.array.dtype.kind in "mM":
            raise ValueError(dates_message(0))
        if self.array.dtype.kind == "c":
            raise ValueError(complex_message(0))
        self.is_numeric = self.array.dtype.kind in "biuf"

    @property
    def block(self) -> np.ndarray | None:
        return self.array if self.array.dtype.kind == "f" and self.mask is None else None

    def dtype(self, j: int) -> Any:
        return self.array.dtype

    def cells(self, j: int) -> RawColumn:
        cells = self.array[:, j]
        if self.mask is not None:  # what is under the mask means nothing, NaN neither
            cells = cells.copy()
            cells[self.mask[:, j]] = 0
        if self.is_numeric:
            return Numbers(j, cells, np.zeros(len(cells), dtype=bool))
        return label_objects(j, cells.tolist(), "object")

    def filled(self, codes: np.ndarray, columns: Sequence[Column], holes: np.ndarray, places: np.ndarray) -> np.ndarray:
        codes, columns = _take(codes, places), [columns[j] for j in places]
        has_numbers = self.is_numeric and all(column.has_numbers for column in columns)
        dtype: Any = object
        if has_numbers:
            dtype = self.array.dtype if self.array.dtype in FLOATS else np.float64
        out = np.array(_take(self.array, places), dtype=dtype)
        if self.mask is not None:
            out[self.mask[:, places]] = np.nan if has_numbers else None
        holes = _take(holes, places)
        if has_numbers and all(column.kind == "continuous" for column in columns):
            np.copyto(out, codes, where=holes, casting="same_kind")
            return out
        for k, column in enumerate(columns):
            decode = column.decode if has_numbers else column.decode_objects
            out[holes[:, k], k] = decode(codes[holes[:, k], k])
        return out


def _take(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Some columns; no copy if they are all."""
    return array if len(places) == array.shape[1] else array[:, places]


def _as_array(X: Any) -> np.ndarray:
    """Lists in which numbers and strings meet keep the numbers, which NumPy would make strings of."""
    array = np.ma.getdata(X) if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    if array.dtype.kind in "US" and not hasattr(X, "dtype"):
        array = np.asarray(X, dtype=object)
    return array


class PandasTable:
    """A frame of pandas."""

    mask = None

    def __init__(self, X: Any) -> None:
        self.frame, self.names, self.n_rows = X, list(X.columns), len(X)

    @property
    def block(self) -> np.ndarray | None:
        dtypes = set(self.frame.dtypes)
        if len(dtypes) != 1 or not dtypes <= {np.dtype(dtype) for dtype in FLOATS}:
            return None
        block: np.ndarray = self.frame.to_numpy()
        return block

    def dtype(self, j: int) -> Any:
        return self.frame.dtypes.iloc[j]

    def cells(self, j: int) -> RawColumn:
        import pandas as pd

        name, series, dtype = self.names[j], self.frame.iloc[:, j], self.dtype(j)
        if isinstance(dtype, pd.CategoricalDtype):
            sort = "ordered" if dtype.ordered else "category"
            return LabelCells(name, sort, series.cat.codes.to_numpy(), [*dtype.categories.tolist(), None])
        if isinstance(dtype, pd.SparseDtype):
            raise ValueError(
                f"Column {name!r} is sparse, but dense data is required; .sparse.to_dense() makes it dense"
            )
        if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype):
            raise ValueError(dates_message(name))
        if dtype.kind == "c":
            raise ValueError(complex_message(name))
        if dtype.kind in "biuf":
            if isinstance(dtype, np.dtype):
                return Numbers(name, series.to_numpy(), np.zeros(len(series), dtype=bool))
            null = series.isna().to_numpy()
            return Numbers(name, series.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0)), null)
        if dtype.type is str:
            objects = series.to_numpy(dtype=object).copy()
            objects[series.isna().to_numpy()] = None
            return label_objects(name, objects, "string")
        strings = pd.api.types.infer_dtype(series, skipna=True) == "string"  # of which pandas < 3 makes objects
        return label_objects(name, series.to_numpy(dtype=object), "string" if strings else "object")

    def filled(self, codes: np.ndarray, columns: Sequence[Column], holes: np.ndarray, places: np.ndarray) -> Any:
        out = self.frame.iloc[:, places]
        codes, columns = _take(codes, places), [columns[j] for j in places]
        if self.block is not None and all(column.kind == "continuous" for column in columns):
            return out.mask(_take(holes, places), codes.astype(self.block.dtype, copy=False))
        import pandas as pd

        out = out.copy()
        for k, (j, column) in enumerate(zip(places, columns, strict=True)):
            cells = self.cells(j)
            array = self._filled_column(j, cells, column, holes[:, j], codes[holes[:, j], k])
            out.isetitem(k, pd.Series(array, index=out.index, dtype=array.dtype))  # objects would become strings
        return out

    def _filled_column(self, j: int, cells: RawColumn, column: Column, holes: np.ndarray, codes: np.ndarray) -> Any:
        series, fit = self.frame.iloc[:, j], _fit(cells, column)
        if fit == "float":
            series = _pandas_floats(series, cells)
        if fit == "other":
            series = series.astype(_pandas_dtype(column, cells, holes))
        if cells.sort in ("ordered", "category") and fit == "same":
            series = _with_categories(series, column, column.decode_objects(codes))
        array = series.array.copy()
        if not len(codes):
            return array
        if fit == "same" and isinstance(cells, Numbers):
            array[holes] = _as_dtype(column.decode(codes), cells.values.dtype)
        elif fit == "float":
            array[holes] = column.decode(codes).astype(np.float64)
        else:
            decoded = column.decode_objects(codes)
            if getattr(series.dtype, "type", None) is str:
                decoded = np.array([_text(value) for value in decoded], dtype=object)
            array[holes] = decoded
        return array


def _pandas_floats(series: Any, cells: RawColumn) -> Any:
    """A column of integers, booleans or categories of numbers as floats, with masks if it has them."""
    if not isinstance(cells, Numbers):
        return series.astype(object).map(lambda value: float(value), na_action="ignore").astype(np.float64)
    return series.astype(np.float64)


def _pandas_dtype(column: Column, cells: RawColumn, holes: np.ndarray) -> Any:
    """For labels in a column of numbers: that of training if no number is left, else object."""
    import pandas as pd

    no_numbers = holes.all() and isinstance(column.restore, pd.api.extensions.ExtensionDtype)
    return column.restore if no_numbers else object


def _with_categories(series: Any, column: Column, decoded: np.ndarray) -> Any:
    """A column of categories, to which those of training are added if one of them is needed."""
    import pandas as pd

    known = set(series.dtype.categories)
    new = [level for level in column.levels if level not in known and level in set(decoded)]
    if not new:
        return series
    trained = column.restore
    if isinstance(trained, pd.CategoricalDtype) and known <= set(trained.categories):
        return series.astype(trained)
    return series.cat.add_categories(new)


class PolarsTable:
    """A frame of polars."""

    mask = None

    def __init__(self, X: Any) -> None:
        self.frame, self.names, self.n_rows = X, list(X.columns), X.height

    @property
    def block(self) -> np.ndarray | None:
        import polars as pl

        is_float = self.frame.width > 0 and set(self.frame.dtypes) <= {pl.Float64}
        return self.frame.to_numpy() if is_float else None

    def dtype(self, j: int) -> Any:
        return self.frame.dtypes[j]

    def cells(self, j: int) -> RawColumn:
        import polars as pl

        name, series, dtype = self.names[j], self.frame.to_series(j), self.dtype(j)
        null = series.is_null().to_numpy()
        if dtype.is_temporal():
            raise ValueError(dates_message(name))
        if dtype.is_decimal() or dtype == pl.Null:
            series, dtype = series.cast(pl.Float64), pl.Float64()
        if dtype.is_numeric():
            return Numbers(name, series.fill_null(0).to_numpy(), null)
        if dtype == pl.Boolean:
            return Numbers(name, series.fill_null(False).to_numpy(), null)
        if isinstance(dtype, pl.Enum):
            codes = np.where(null, -1, series.to_physical().fill_null(0).cast(pl.Int64).to_numpy())
            return LabelCells(name, "ordered", codes, [*dtype.categories.to_list(), None])
        if isinstance(dtype, pl.Categorical):
            return _categorical_cells(name, series, null)
        return label_objects(name, series.to_list(), "string" if dtype == pl.String else "object")

    def filled(self, codes: np.ndarray, columns: Sequence[Column], holes: np.ndarray, places: np.ndarray) -> Any:
        import polars as pl

        filled = []
        for j in places:
            cells = self.cells(j)
            filled.append(self._filled_column(j, cells, columns[j], holes[:, j], codes[holes[:, j], j]))
        return pl.DataFrame(filled)

    def _filled_column(self, j: int, cells: RawColumn, column: Column, holes: np.ndarray, codes: np.ndarray) -> Any:
        import polars as pl

        series, fit = self.frame.to_series(j), _fit(cells, column)
        if fit == "float" or (series.dtype == pl.Null and fit == "same"):
            series = series.cast(pl.String) if not isinstance(cells, Numbers) else series
            series, fit = series.cast(pl.Float64), "float"
        if fit == "other":
            no_numbers = holes.all() and isinstance(column.restore, pl.DataType)
            series = series.cast(column.restore if no_numbers else pl.String)
        if not len(codes):
            return series
        if isinstance(cells, Numbers) and fit in ("same", "float"):
            numbers = column.decode(codes)
            fill = _as_dtype(numbers, cells.values.dtype) if fit == "same" else numbers.astype(np.float64)
            return _zip(series, holes, _scattered(fill, holes))
        decoded = column.decode_objects(codes)
        if series.dtype == pl.Float64:
            return _zip(series, holes, _scattered(decoded.astype(np.float64), holes))
        return _fill_labels(series, column, holes, decoded)


def _categorical_cells(name: Hashable, series: Any, null: np.ndarray) -> RawColumn:
    """By the numbers that polars has for strings; their order means nothing, so the labels are sorted as strings."""
    import polars as pl

    used = series.drop_nulls().unique()
    places, labels = used.to_physical().to_numpy(), used.cast(pl.String).to_list()
    order = np.argsort(places)
    codes = np.searchsorted(places[order], series.to_physical().fill_null(0).to_numpy())
    codes = np.where(null, -1, codes)
    return LabelCells(name, "string", codes, [*(labels[place] for place in order), None])


def _fill_labels(series: Any, column: Column, holes: np.ndarray, decoded: np.ndarray) -> Any:
    """Strings, categories or objects with the decoded values in the holes."""
    import polars as pl

    dtype = series.dtype
    if isinstance(dtype, pl.Enum):
        dtype = _enum_with(dtype, column, decoded)
    if not isinstance(dtype, pl.Enum | pl.Categorical | pl.String):
        fill = iter(decoded.tolist())
        cells = [next(fill) if hole else value for value, hole in zip(series.to_list(), holes, strict=True)]
        return pl.Series(series.name, cells, dtype=dtype)
    text = np.full(len(holes), None, dtype=object)
    text[holes] = [_text(value) for value in decoded]
    return _zip(series.cast(pl.String), holes, pl.Series(text.tolist(), dtype=pl.String)).cast(dtype)


def _enum_with(dtype: Any, column: Column, decoded: np.ndarray) -> Any:
    """An Enum, to which the categories of training are added if one of them is needed."""
    import polars as pl

    known = dtype.categories.to_list()
    new = [level for level in column.levels if level not in known and level in set(decoded)]
    if not new:
        return dtype
    trained = column.restore
    if isinstance(trained, pl.Enum) and set(known) <= set(trained.categories):
        return trained
    return pl.Enum([*known, *(_text(level) for level in new)])


def with_categories(dtype: Any, labels: Sequence[Any]) -> Any:
    """A dtype of categories like another, with these."""
    return type(dtype)(labels, dtype.ordered) if hasattr(dtype, "ordered") else type(dtype)(labels)


def _scattered(fill: np.ndarray, holes: np.ndarray) -> Any:
    import polars as pl

    full = np.zeros(len(holes), dtype=fill.dtype)
    full[holes] = fill
    return pl.Series(full)


def _zip(series: Any, holes: np.ndarray, fill: Any) -> Any:
    import polars as pl

    return series.zip_with(pl.Series(~holes), fill.cast(series.dtype))
