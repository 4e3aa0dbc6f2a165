"""What `test_hostile.py` fits to the estimators of `all_estimators.py`: tables of hostile data.

A row of a table makes something hostile of a plain array, and says what each estimator answers: it fits (None), or a
regular expression that the error must match. `but` has the exceptions, by the name of an estimator's setting, by its
first word, or by the kind of table that it takes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from all_estimators import COLUMNS, N

pl = pytest.importorskip("polars")

nan, inf = np.nan, np.inf


THREE_DIMENSIONS = r"Found array with dim 3(, while dim|\. \w+ expected) <= 2"  # newer scikit-learn, and older


class Row(NamedTuple):
    make: Callable[[np.ndarray], Any]
    answer: str | None = None
    but: Mapping[str, str | None] = {}

    def answer_of(self, name: str) -> str | None:
        """None if the estimator of this name fits; else what its error says."""
        keys = (name, name.split()[0], COLUMNS[name].kind)
        return next((self.but[key] for key in keys if key in self.but), self.answer)


def cells(table: Mapping[str, Row], names: Iterable[str] = COLUMNS) -> list[Any]:
    """Parameters of a test: each row with each column."""
    return [pytest.param(row, name, id=f"{title}-{name}") for title, row in table.items() for name in names]


# --- the rows: values ---------------------------------------------------------------------------------------------


def with_cell(value: Any, row: int = 3, column: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    def make(X: np.ndarray) -> np.ndarray:
        X = X if isinstance(value, float) else X.astype(object)
        X[row, column] = value
        return X

    return make


def first_column_times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: X * np.r_[factor, np.ones(X.shape[1] - 1)]


def and_column(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: np.column_stack([X, np.full(len(X), value)])


def only(rows: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: X[rows]


def frame_of(X: np.ndarray, **options: Any) -> Any:
    schema = dict.fromkeys("abcdefgh"[: X.shape[1]], options.pop("dtype", pl.Float64))
    return pl.DataFrame(X.tolist(), schema=schema, orient="row")


NO_NAN = dict.fromkeys(("topics", "inputs"), "Input X contains NaN")
INFINITE = "Input X contains infinity or a value too large"
NOT_NUMBERED = {"symbols": r"X\[\d, \d\] is .*, but symbols must be", "bits": "but values must be 0 or 1"}
NOT_COUNTS = {**NOT_NUMBERED, "counts": "but counts must be the integers 0, 1, 2, ..."}
NEGATIVE = dict.fromkeys(("symbols", "bits", "counts", "tokens"), "Negative values in data")
TOO_WIDE = r"X has column\(s\) .* of standard deviation .*; multiply these columns by a constant"
TOO_MANY = {
    **NOT_NUMBERED,
    "counts": r"but counts must be at most 1e\+100",
    "tokens": r"X has .*e\+\d+ tokens, but at most 1e\+100 are allowed",
}
HUGE = {**TOO_MANY, "imputer": "column [01] has values up to .*; multiply the column by a constant", "levels": None}
HUGE["imputer latent_class"] = None
TINY = {**HUGE, **NOT_COUNTS, "tokens": None}
UNDERFLOWS = "the objective is -inf: the weights of all topics underflow for some counts, which are too small"
CONSTANT = {"noise": "noise=True needs columns that vary"}
FEW_ROWS = {"search": "a covariance of its own from .* rows, too few"}
NO_COLUMN = r"Found array with 0 feature\(s\)"
NO_ROW = r"Found array with 0 sample\(s\)"

VALUES = {
    "NaN": Row(with_cell(nan), None, NO_NAN),
    "infinity": Row(with_cell(inf), INFINITE),
    "minus infinity": Row(with_cell(-inf), INFINITE),
    "one 1e308": Row(with_cell(1e308), TOO_WIDE, HUGE),
    "one 1e200": Row(with_cell(1e200), TOO_WIDE, HUGE),
    "one 1e100": Row(with_cell(1e100), None, NOT_NUMBERED),
    "one 1e20": Row(with_cell(1e20), None, NOT_NUMBERED),
    "one 1e-200": Row(with_cell(1e-200), None, NOT_COUNTS),
    "one 5e-324": Row(with_cell(5e-324), None, NOT_COUNTS),
    "one -1": Row(with_cell(-1.0), None, NEGATIVE),
    "one 1/2": Row(with_cell(0.5), None, NOT_COUNTS),
    "one 2**63": Row(with_cell(2**63), None, NOT_NUMBERED),
    "one 10**400": Row(
        with_cell(10**400),
        "X has an integer that is too large for float64",
        {"imputer": "Column 1 must have numbers, but has 10000", "levels": None, "imputer latent_class": None},
    ),
    "times 1e200": Row(lambda X: X * 1e200, TOO_WIDE, HUGE),
    "times 1e-200": Row(lambda X: X * 1e-200, TOO_WIDE, {**TINY, "topics vb": UNDERFLOWS}),
    "times 1e100": Row(lambda X: X * 1e100, None, TOO_MANY),
    "times 1e-100": Row(lambda X: X * 1e-100, None, {**NOT_COUNTS, "topics vb": UNDERFLOWS}),
    "a column times 1e200": Row(first_column_times(1e200), TOO_WIDE, HUGE),
    "a column times 1e-200": Row(first_column_times(1e-200), TOO_WIDE, {**TINY, "topics plsa": UNDERFLOWS}),
    "plus 1e8": Row(lambda X: X + 1e8, None, NOT_NUMBERED),
    "minus 1e8": Row(lambda X: X - 1e8, None, NEGATIVE),
    "a constant column": Row(and_column(1.0), None, CONSTANT),
    "a constant column of 1e8": Row(and_column(1e8), None, {**CONSTANT, **NOT_NUMBERED}),
    "a column of zeros": Row(and_column(0.0), None, CONSTANT),
    "duplicate columns": Row(lambda X: np.column_stack([X, X])),
    "duplicate rows": Row(lambda X: np.repeat(X[::2], 2, axis=0)),
    "two rows again and again": Row(only([0, N - 1] * (N // 2)), None, CONSTANT),
    "one row again and again": Row(only([1] * N), None, CONSTANT),
    "zeros": Row(np.zeros_like, None, {**CONSTANT, "topics": "X has no tokens: all counts are zero"}),
    "an empty row": Row(lambda X: np.where(np.arange(N)[:, None] == 5, 0, X)),
    "one row": Row(
        only([0]),
        r"Found array with 1 sample\(s\).* while a minimum of 2 is required",
        {
            "topics": "got n_components = 2, n_samples = 1",
            "regressor": "got n_components = 2, n_samples = 1",
            "classifier": "y must have two classes or more, but has 1 class",
            "search": "n_components must not exceed the rows that are fitted",
            "imputer": None,
            **dict.fromkeys(("imputer mixture", "imputer latent_class"), "n_components must be at most 1, the number"),
        },
    ),
    "fewer rows than components": Row(
        only([0, N - 1]), None, {"prior": "got n_components = 3, n_samples = 2", **CONSTANT, **FEW_ROWS}
    ),
    "more columns than rows": Row(lambda X: np.tile(X[[0, 1, 2, -2, -1]], (1, 4)), None, FEW_ROWS),
    "a missing row": Row(lambda X: np.where(np.arange(N)[:, None] == 5, nan, X), None, NO_NAN),
    "a missing column": Row(
        lambda X: np.where(np.arange(X.shape[1]) == 1, nan, X),
        r"X has no observed value in column\(s\) \[1\]; drop these columns",
        {**NO_NAN, "imputer": None},
    ),
    "a missing table": Row(
        lambda X: np.full_like(X, nan),
        r"X has no observed value in column\(s\) \[0, 1, 2\]; drop these columns",
        {**NO_NAN, "imputer": r"X has no observed value \(in rows of positive weight\)"},
    ),
}

# --- the rows: what is no table of numbers ------------------------------------------------------------------------

STRINGS = {"imputer": "must have numbers, but has", "imputer latent_class": None}
NO_NA = r'X has pandas.NA among objects or categories, .* X.astype\("Float64"\)'
NOT_DENSE = "X is sparse .*; X.toarray\\(\\) makes it dense"
DATES = "dates or times, but numbers"
LAZY = "X is a LazyFrame, but a table in memory is required"
SHAPELESS = "Expected sequence or array-like, got|at least 1 dimension"

TYPES = {
    "strings": Row(lambda X: np.where(X > 1, "many", "few"), "could not convert string to float", STRINGS),
    "objects with a string": Row(with_cell("x"), "could not convert string to float", STRINGS),
    "objects with pandas.NA": Row(with_cell(pd.NA), NO_NA, {"imputer": None}),
    "objects of pandas with NA": Row(lambda X: pd.DataFrame(with_cell(pd.NA)(X)), NO_NA, {"imputer": None}),
    "complex": Row(lambda X: X + 1j, "Complex data not supported"),
    "complex without imaginary parts": Row(lambda X: X + 0j, "Complex data not supported"),
    "objects with a complex number": Row(
        with_cell(1j), "must be a string or a real number, not 'complex'", {"imputer": "Complex data not supported"}
    ),
    "sparse matrix": Row(sp.csr_matrix, NOT_DENSE, {"topics": None}),
    "sparse array": Row(sp.coo_array, NOT_DENSE, {"topics": None}),
    "dates": Row(lambda X: X.astype(int).astype("M8[D]"), DATES),
    "times": Row(lambda X: X.astype(int).astype("m8[s]"), DATES),
    "dates of pandas": Row(lambda X: pd.DataFrame(X.astype(int).astype("M8[s]")), DATES),
    "dates of polars": Row(lambda X: frame_of(X).cast(pl.Int32).cast(pl.Date), DATES),
    "lazy frame": Row(lambda X: frame_of(X).lazy(), LAZY, {"search": SHAPELESS}),
    "records": Row(
        lambda X: np.array([tuple(row) for row in X], dtype=[(f"f{j}", float) for j in range(X.shape[1])]),
        "Cannot cast array data",
        {"imputer": "Expected 2D array"},
    ),
    "no dimension": Row(lambda X: X[0, 0], "Expected 2D array, got scalar", {"search": SHAPELESS}),
    "one dimension": Row(lambda X: X[:, 0], "Expected 2D array, got 1D array"),
    "three dimensions": Row(lambda X: np.stack([X, X], axis=2), THREE_DIMENSIONS),
    "series": Row(lambda X: pd.Series(X[:, 0]), "Expected a 2-dimensional container but got"),
    "series of polars": Row(lambda X: pl.Series(X[:, 0]), "Expected 2D array, got 1D array"),
    "no rows": Row(only(slice(0)), NO_ROW, {"search": "X has n_samples = 0"}),
    "no rows of pandas": Row(lambda X: pd.DataFrame(X[:0]), NO_ROW, {"search": "X has n_samples = 0"}),
    "no rows of polars": Row(lambda X: frame_of(X)[:0], NO_ROW, {"search": "X has n_samples = 0"}),
    "no columns": Row(lambda X: X[:, :0], NO_COLUMN),
    "no columns of pandas": Row(lambda X: pd.DataFrame(X[:, :0]), NO_COLUMN),
    "no columns of polars": Row(lambda X: pl.DataFrame(), NO_COLUMN, {"search": "X has n_samples = 0"}),
    "no list": Row(lambda X: [], "Expected 2D array, got 1D array", {"search": "X has n_samples = 0"}),
    "lists of different lengths": Row(
        lambda X: [[1, 2, 3], [1, 2], [1]], "inhomogeneous shape", {"imputer": "Expected 2D array"}
    ),
    "None": Row(lambda X: None, "Expected 2D array, got scalar", {"search": SHAPELESS}),
    "dictionary": Row(
        lambda X: dict(enumerate(X.T.tolist())),
        "must be a string or a real number, not 'dict'",
        {"imputer": "Expected 2D array"},
    ),
    "set": Row(lambda X: {1, 2, 3}, "must be a string or a real number, not 'set'", {"imputer": "Expected 2D array"}),
    "generator": Row(lambda X: iter(X), "X is an iterator .*, which can be read only once", {"search": SHAPELESS}),
}

# --- the rows: given to a fitted estimator ------------------------------------------------------------------------

UNKNOWN = {
    "symbols": "but its column has the 3 symbols 0 to 2",
    "bits": "but values must be 0 or 1",
    "imputer latent_class": "but its known values are",
}
FAR = {**UNKNOWN, "inputs": r"X has a value that is more than 1e\+140 standard deviations away from those of the fit"}
FARTHER = {**FAR, "counts": r"but counts must be at most 1e\+100"}
NO_COUNT = {**UNKNOWN, "counts": "but counts must be the integers 0, 1, 2, ..."}

LATER = {
    **{title: VALUES[title] for title in ("NaN", "infinity", "a missing row", "an empty row", "duplicate rows")},
    **{title: TYPES[title] for title in ("complex", "sparse array", "dates")},
    "one 1e308": Row(with_cell(1e308), None, FARTHER),
    "one 1e200": Row(with_cell(1e200), None, FARTHER),
    "one 1e100": Row(with_cell(1e100), None, UNKNOWN),
    "one 1e20": Row(with_cell(1e20), None, UNKNOWN),
    "one 1e-200": Row(with_cell(1e-200), None, NO_COUNT),
    "one -1": Row(with_cell(-1.0), None, {**NO_COUNT, "topics": "Negative values in data"}),
    "one 10**400": Row(
        with_cell(10**400),
        "X has an integer that is too large for float64",
        {"imputer": "Column 1 (must have|has the)"},
    ),
    "times 1e200": Row(lambda X: X * 1e200, None, FARTHER),
    "times 1e-200": Row(lambda X: X * 1e-200, None, NO_COUNT),
    "plus 1e8": Row(lambda X: X + 1e8, None, UNKNOWN),
    "zeros": Row(np.zeros_like),
    "one row": Row(only([0])),
    "a missing column": Row(VALUES["a missing column"].make, None, NO_NAN),
    "a missing table": Row(VALUES["a missing table"].make, None, NO_NAN),
    "strings": Row(
        TYPES["strings"].make, "could not convert string to float", {"imputer": "Column 0 (must have|has the)"}
    ),
    "lazy frame": Row(TYPES["lazy frame"].make, LAZY),
    "one column more": Row(and_column(1.0), r"X has \d features, but EM\w+ is expecting \d features"),
    "no rows": Row(only(slice(0)), NO_ROW),
    "no columns of pandas": Row(lambda X: pd.DataFrame(X[:, :0]), NO_COLUMN, {"imputer": "X has 0 features, but"}),
    "one dimension": Row(lambda X: X[:, 0], "Expected 2D array, got 1D array"),
    "series": Row(lambda X: pd.Series(X[:, 0]), "Expected a 2-dimensional container but got"),
}

# --- the rows: a second batch -------------------------------------------------------------------------------------

BATCH = [name for name, column in COLUMNS.items() if column.response is None and hasattr(column.make(), "partial_fit")]
FAR_BATCH = "their squares are not finite|of standard deviation|ill-defined empirical covariance"
MANY = {
    **dict.fromkeys(("imputer", "noise")),  # which bear one far row
    **UNKNOWN,
    "counts": "but counts must be at most",
    "topics": "tokens, but at most",
}
SINGULAR = {  # two batches that far from each other lie on a line
    **dict.fromkeys(("markov", "markov mixture"), "ill-defined empirical covariance"),
    **dict.fromkeys(("imputer gaussian", "imputer mixture"), "the covariance of the columns is singular"),
    "markov poisson": None,
}
BATCHES = {
    **{title: VALUES[title] for title in ("NaN", "infinity", "minus infinity", "a missing row", "an empty row")},
    **{title: LATER[title] for title in ("one -1", "zeros", "one row", "one column more", "complex")},
    "one 1e308": Row(with_cell(1e308), FAR_BATCH, MANY),
    "one 1e200": Row(with_cell(1e200), FAR_BATCH, {**MANY, "student": None}),
    "plus 1e8": Row(lambda X: X + 1e8, None, {**UNKNOWN, **SINGULAR}),
    "times 1e-200": Row(lambda X: X * 1e-200, None, NO_COUNT),
}

# --- the rows: equal values in another dress ----------------------------------------------------------------------


def read_only(X: np.ndarray) -> np.ndarray:
    X.flags.writeable = False
    return X


def memory_map(X: np.ndarray) -> np.ndarray:
    path = Path(tempfile.mkdtemp()) / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def packed(X: np.ndarray) -> np.ndarray:
    """Numbers at addresses that are no multiples of their size."""
    records = np.zeros(len(X), [("one byte", "i1"), ("row", X.dtype, X.shape[1:])])
    records["row"] = X
    return records["row"]


def masked(X: np.ndarray, dtype: Any = float) -> np.ndarray:
    """NaN as a mask over a number that must not be looked at."""
    return np.ma.masked_array(np.where(np.isnan(X), 2, X).astype(dtype), np.isnan(X))


SINGLE = dict.fromkeys(("gaussian", "auto", "noise", "prior", "topics", "search"), "about")

# Multiples of 1/4; "about" is a fit of about the same objective.
FLOATS = {
    "read-only": Row(read_only),
    "memory map": Row(memory_map),
    "Fortran order": Row(np.asfortranarray),
    "big-endian": Row(lambda X: X.astype(">f8")),
    "a field of packed records": Row(packed),
    "every other row": Row(lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]),
    "reversed": Row(lambda X: X[::-1].copy()[::-1]),
    "float16": Row(lambda X: X.astype(np.float16)),
    "float32": Row(lambda X: X.astype(np.float32), None, SINGLE),
    "big-endian float32": Row(lambda X: X.astype(">f4")),
    "longdouble": Row(lambda X: X.astype(np.longdouble)),
    "objects": Row(lambda X: X.astype(object)),
    "strings of numbers": Row(lambda X: X.astype(str), None, {"imputer latent_class": "about"}),
    "lists": Row(np.ndarray.tolist),
    "tuples": Row(lambda X: tuple(map(tuple, X.tolist()))),
    "pandas": Row(pd.DataFrame),
    "pandas with objects": Row(lambda X: pd.DataFrame(X).astype(object)),
    "pandas Float64": Row(lambda X: pd.DataFrame(X).astype("Float64")),
    "polars": Row(frame_of),
    "a mask over nothing": Row(masked),
}
# Four times the table.
INTEGERS = {
    **{name: Row(lambda X, name=name: X.astype(name)) for name in ("int64", "int8", ">i2", ">i8")},
    "Python's integers": Row(lambda X: X.astype(int).tolist()),
    "pandas Int64": Row(lambda X: pd.DataFrame(X).astype("Int64")),
    "polars Int32": Row(lambda X: frame_of(X).cast(pl.Int32)),
}
BOOLEANS = {
    "bool": Row(lambda X: X > 0),
    "uint8": Row(lambda X: X.astype(np.uint8)),
    "pandas bool": Row(lambda X: pd.DataFrame(X > 0)),
    "pandas boolean": Row(lambda X: pd.DataFrame(X > 0).astype("boolean")),
    "polars Boolean": Row(lambda X: frame_of(X).cast(pl.Boolean)),
}
# The plain table is integers with NaN.
GAPS = {
    "a mask": Row(masked, None, NO_NAN),
    "a mask over integers": Row(lambda X: masked(X, int), None, NO_NAN),
    "None": Row(lambda X: np.where(np.isnan(X), None, X), None, NO_NAN),
    "pandas": Row(pd.DataFrame, None, NO_NAN),
    "pandas Float64": Row(lambda X: pd.DataFrame(X).astype("Float64"), None, NO_NAN),
    "pandas Int64": Row(lambda X: pd.DataFrame(X).astype("Int64"), None, NO_NAN),
    "polars null": Row(lambda X: frame_of(np.where(np.isnan(X), None, X)), None, NO_NAN),
    "polars NaN": Row(frame_of, None, NO_NAN),
    "polars Int64": Row(lambda X: frame_of(np.where(np.isnan(X), None, X)).cast(pl.Int64), None, NO_NAN),
    "float16": Row(lambda X: X.astype(np.float16), None, NO_NAN),
}

# --- the rows: weights --------------------------------------------------------------------------------------------

SEQUENCE = np.arange(N) // 6
WEIGHT = 1.0 + SEQUENCE % 3  # the same in a sequence, and for both clusters

WEIGHTS = {
    "zeros": Row(np.zeros_like, "sample_weight is zero for all rows"),
    "a negative one": Row(lambda w: np.r_[w[:-1], -1], "sample_weight must be finite and not negative"),
    "NaN": Row(lambda w: np.r_[w[:-1], nan], "sample_weight must be finite and not negative"),
    "infinity": Row(lambda w: np.r_[w[:-1], inf], "sample_weight must be finite and not negative"),
    "one too few": Row(lambda w: w[:-1], r"sample_weight.shape == \(23,\), expected \(24,\)"),
    "two dimensions": Row(lambda w: w[:, None], "Sample weights must be 1D array or scalar"),
    "strings": Row(lambda w: ["many"] * N, "sample_weight must be an array of numbers"),
    "complex": Row(lambda w: w + 1j, "sample_weight must be an array of numbers"),
    "dates": Row(lambda w: w.astype("M8[D]"), "sample_weight must be an array of numbers"),
    "10**400": Row(lambda w: [10**400] * N, "sample_weight must be an array of numbers"),
    "1e190": Row(lambda w: w * 1e190, None, {"topics": "tokens, but at most 1e\\+100 are allowed"}),
    "1e-200": Row(lambda w: w * 1e-200),
    "1e201": Row(lambda w: w * 1e201, "sample_weight must be at most 1e\\+200 as float64, so that sums are finite"),
}
SAME_WEIGHTS = {
    "integers": Row(lambda w: w.astype(int)),
    "big-endian": Row(lambda w: w.astype(">f8")),
    "float16": Row(lambda w: w.astype(np.float16)),
    "read-only": Row(read_only),
    "every other": Row(lambda w: np.repeat(w, 2)[::2]),
    "list": Row(np.ndarray.tolist),
    "series": Row(pd.Series),
    "series Int64": Row(lambda w: pd.Series(w).astype("Int64")),
    "series of polars": Row(pl.Series),
    "objects": Row(lambda w: w.astype(object)),
}

# --- the rows: responses ------------------------------------------------------------------------------------------

SUPERVISED = [name for name, column in COLUMNS.items() if column.response is not None]
NO_CLASSES = "y must have two classes or more"
UNKNOWN_LABEL = "Unknown label type: continuous"
TOO_LARGE = "y has an integer that is too large for float64"

TARGETS = {
    "NaN": Row(lambda y: np.r_[y[:-1], nan], "Input y contains NaN"),
    "infinity": Row(lambda y: np.r_[y[:-1], inf], "Input y contains infinity"),
    "None": Row(lambda y: None, "requires y to be passed, but the target y is None"),
    "one None": Row(lambda y: np.r_[y[:-1], [None]], "Input y contains NaN"),
    "one NA": Row(
        lambda y: np.r_[y[:-1].astype(object), [pd.NA]],
        "y has pandas.NA among objects",
        {"classifier": "Input y contains NaN, None or pandas.NA"},
    ),
    "a mask": Row(lambda y: np.ma.masked_array(y, np.eye(1, N)[0]), "Input y contains NaN"),
    "one too few": Row(lambda y: y[:-1], "inconsistent numbers of samples: X has 24, y has 23"),
    "none at all": Row(lambda y: y[:0], r"Found array with 0 sample\(s\)", {"classifier": NO_CLASSES}),
    "three dimensions": Row(lambda y: y[:, None, None], THREE_DIMENSIONS),
    "strings": Row(
        lambda y: np.where(y > 1, "many", "few"), "could not convert string to float", {"classifier": NO_CLASSES}
    ),
    "complex": Row(lambda y: y + 1j, "Complex data not supported", {"classifier": "Complex data not supported"}),
    "dates": Row(lambda y: y.astype(int).astype("M8[D]"), "y has dates or times, but numbers", {"classifier": None}),
    "10**400": Row(lambda y: np.r_[[10**400], y[1:].astype(object)], TOO_LARGE, {"classifier": "Unknown label type"}),
    "constant": Row(np.ones_like, None, {"classifier": NO_CLASSES}),
    "times 1e200": Row(lambda y: y * 1e200, "y is too large", {"classifier": UNKNOWN_LABEL}),
    "times 1e-200": Row(lambda y: y * 1e-200, "y is too small", {"classifier": UNKNOWN_LABEL}),
    "times 1e100": Row(lambda y: y * 1e100, None, {"classifier": UNKNOWN_LABEL}),
    "plus 1e8": Row(lambda y: y + 1e8),
    "minus 1e8": Row(lambda y: y - 1e8, None, {"regressor poisson": "takes counts, not negative"}),
}
SAME_TARGETS = {
    "list": Row(np.ndarray.tolist),
    "big-endian": Row(lambda y: y.astype(y.dtype.newbyteorder(">"))),
    "float16": Row(lambda y: y.astype(np.float16)),
    "read-only": Row(read_only),
    "every other": Row(lambda y: np.repeat(y, 2)[::2]),
    "series": Row(pd.Series),
    "series Float64": Row(lambda y: pd.Series(y).astype("Float64")),
    "series of polars": Row(pl.Series),
    "a mask over nothing": Row(lambda y: np.ma.masked_array(y, np.zeros(N, bool))),
}
