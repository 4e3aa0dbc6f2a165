"""Everything that sees raw user input. Models and kernels trust what leaves this module.

What is wrong is a ValueError that names the argument, its value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from ._weights import check_sample_weight as check_sample_weight
from .blocks import Blocks, blocks_of, first_block, source_of
from .chunks import CHUNK_ROWS, ArraySource, Source
from .partitions import is_collection

FLOATS = (np.float64, np.float32)
NUMBERS_OF_TIMES = "subtract a date and divide by a duration"
NUMBERS_OF_CATEGORIES = "sklearn.preprocessing.OrdinalEncoder numbers categories"
LONGEST_CITED = 120  # characters of what was to be a number


def check_integer(name: str, value: Any, low: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be an integer >= {low}, but got {value!r}")
    return int(value)


def check_number(name: str, value: Any, low: float) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number >= {low}, but got {value!r}")
    return float(value)


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """One of some values; a bool is not taken for the integer that it equals, but NumPy's values for Python's."""
    value = value.item() if isinstance(value, np.generic) else value
    if not any(type(value) is type(a) and value == a for a in allowed):
        raise ValueError(f"{name} must be one of {list(allowed)}, but got {value!r}")
    return value


def check_integer_or_auto(name: str, value: Any) -> int | None:
    """An integer >= 1, or None for "auto"."""
    if isinstance(value, str) and value == "auto":
        return None
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be 'auto' or an integer >= 1, but got {value!r}")
    return int(value)


def check_n_init(value: Any) -> int | None:
    """A number of full starts, or None for "auto"."""
    return check_integer_or_auto("n_init", value)


def check_n_jobs(value: Any) -> None:
    """ValueError for what joblib would not take."""
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or value == 0):
        raise ValueError(f"n_jobs must be None or an integer other than 0 (-1: all processors), but got {value!r}")


def check_array(name: str, value: Any, shape: tuple[int, ...], label: str) -> np.ndarray:
    """A finite float64 array of one shape; `label` is what scikit-learn's message calls it."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers of shape {shape}, but got {value!r}") from error
    if array.shape != shape:
        raise ValueError(f"{name}: The parameter '{label}' should have the shape of {shape}, but got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but holds {array[~np.isfinite(array)][0]}")
    return array


def check_start(name: str, value: Any, methods: tuple[str, ...] = ("auto",)) -> None:
    """The name of a method, or what may be labels or responsibilities."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        check_choice(name, value, methods)


def check_responsibilities(value: Any, n: int, k: int, methods: tuple[str, ...] = ("auto",)) -> np.ndarray:
    """Responsibilities (n, k) from the `init_params` of a user: labels or responsibilities of n rows."""
    try:
        array = np.asarray(value)
    except ValueError:  # of ragged lists
        array = np.empty(0)
    if array.shape == (n,) and np.isin(array, np.arange(k)).all():
        return np.eye(k)[array.astype(np.intp)]
    if array.shape == (n, k) and array.dtype.kind in "fiub":
        total = array.sum(axis=1, keepdims=True)
        if (array >= 0).all() and (np.abs(total - 1) <= 1e-5).all():
            return array / total
    allowed = repr(methods[0]) if len(methods) == 1 else f"one of {list(methods)}"
    raise ValueError(
        f"init_params must be {allowed}, labels from 0 to {k - 1} of shape ({n},), or responsibilities of shape "
        f"({n}, {k}) whose rows sum to one, but {_flaw_of_start(array, n, k)}"
    )


def _flaw_of_start(array: np.ndarray, n: int, k: int) -> str:
    """Why an array is neither labels nor responsibilities."""
    if array.shape == (n,):
        row = int(np.isin(array, np.arange(k)).argmin())
        return f"init_params[{row}] is {array.tolist()[row]!r}"
    if array.shape != (n, k):
        return f"got an array of shape {array.shape}"
    if array.dtype.kind not in "fiub":
        return f"got an array of dtype {array.dtype}"
    negative = ~(array >= 0)
    if negative.any():
        row, column = np.argwhere(negative)[0].tolist()
        return f"init_params[{row}, {column}] is {array[row, column].item()!r}"
    total = array.sum(axis=1)
    row = int((np.abs(total - 1) <= 1e-5).argmin())
    return f"row {row} of it sums to {total[row]:.6g}"


def check_rows(n_rows: int, unobserved: list[int], n_components: int, least: int = 2) -> None:
    """ValueError for too few rows of positive weight, or for columns without a value."""
    if unobserved:
        raise ValueError(f"X has no observed value in column(s) {unobserved}; drop these columns")
    if n_rows < max(n_components, least):
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {n_rows} "
            f"(rows of positive weight; {max(n_components, least)} or more are required)"
        )


class Seen(NamedTuple):
    """Rows that were checked once and are fitted many times: what stands for X in all calls of an estimator."""

    source: ArraySource
    attributes: dict[str, Any]  # of the estimator, about its input

    @property
    def tables(self) -> list[np.ndarray]:
        """The rows, chunk by chunk."""
        return [rows.X for rows in self.source]

    @classmethod
    def of(cls, estimator: Any, X: Any) -> Seen | None:
        """Rows without weights or labels; None if they are not an array in memory."""
        reader = estimator._blank_copy()
        source, _ = as_source(reader, X, reset=True)
        names = ("n_features_in_", "feature_names_in_")
        attributes = {name: getattr(reader, name) for name in names if hasattr(reader, name)}
        return cls(source, attributes) if isinstance(source, ArraySource) else None


def as_source(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    labels: Any = None,
    *,
    reset: bool,
    floats: Sequence[Any] = FLOATS,
) -> tuple[Source, np.ndarray | None]:
    """Chunks of an array, frame, memory map or blocks of rows (see :mod:`emkit.blocks`); see :mod:`emkit.chunks`.

    Rows of weight zero are left out: they are repeated no times. The second result are the indices of the
    rows that were kept, or None for all. Rows of another type than `floats` become that of the first of them.
    """
    if isinstance(X, Seen):
        vars(estimator).update(X.attributes if reset else {})
        return X.source if X.source.dtype in floats else X.source.converted(floats[0]), None
    blocks = blocks_of(X)
    if blocks is None and isinstance(X, np.memmap) and X.ndim == 2 and X.dtype not in floats and labels is None:
        blocks = partial(_pieces, X)  # converted piece by piece
    if blocks is not None:
        if labels is not None:
            raise ValueError("labels must be None where X is read block by block")
        return _block_source(estimator, blocks, sample_weight, reset=reset, floats=floats)
    X = _read(estimator, X, reset=reset, min_rows=2 if reset else 1, floats=floats)
    weight = check_sample_weight(sample_weight, len(X), X.dtype)
    known = None if labels is None else check_labels(labels, len(X), estimator.n_components)
    kept = None
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        X, weight, known = X[kept], weight[kept], None if known is None else known[kept]
    return ArraySource(X, weight, known), kept


def check_labels(labels: Any, n_rows: int, n_components: int, remedy: str = "") -> np.ndarray:
    """Known components, (n,) intp, -1 where unknown; `remedy` ends the message about a wrong shape."""
    allowed = f"integers from 0 to {n_components - 1}, or -1 (or NaN) where it is unknown"
    if isinstance(labels, np.ma.MaskedArray):
        labels = labels.tolist()  # None where masked
    array = np.asarray(labels, dtype=object if isinstance(labels, list | tuple) else None)
    if array.shape != (n_rows,):
        shape = f"{(n_rows,)}, one for each row of X, but has shape {array.shape}"
        raise ValueError(f"labels must have shape {shape}{remedy}")
    values = array
    if array.dtype.kind not in "iuf":
        values = np.array([_label(value, n_components) for value in array.tolist()])
    unknown = np.isnan(values)
    good = unknown | ((values >= -1) & (values < n_components) & (values == np.floor(values)))
    if not good.all():
        row = int(good.argmin())
        raise ValueError(f"labels must be {allowed}, but labels[{row}] is {array.tolist()[row]!r}")
    return np.where(unknown, -1, values).astype(np.intp)


def _label(value: Any, n_components: int) -> float:
    """A label of any type as a number: NaN if unknown, infinite if not allowed."""
    if (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and -1 <= value < n_components
    ):
        return float(value)
    return np.nan if is_missing(value) else np.inf


def is_missing(value: Any) -> bool:
    """None, NaN, NaT or NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA, of which nothing is true or false
        return True


def _block_source(
    estimator: Any, blocks: Blocks, sample_weight: Any, *, reset: bool, floats: Sequence[Any]
) -> tuple[Source, np.ndarray | None]:
    head = _read(estimator, first_block(blocks), reset=reset, min_rows=1, floats=floats)
    read = partial(_read_block, reader_of(estimator), tuple(floats), head.dtype)
    return source_of(blocks, read, sample_weight, head.dtype, head.shape[1]), _rows_of_weight(sample_weight)


def _rows_of_weight(sample_weight: Any) -> np.ndarray | None:
    """Indices of the rows that have weight, where these are here; None for all."""
    if sample_weight is None or is_collection(sample_weight):
        return None
    weight = check_sample_weight(sample_weight, None, np.dtype(np.float64))
    return None if weight is None or weight.all() else np.flatnonzero(weight)


def _read_block(estimator: Any, floats: Sequence[Any], dtype: np.dtype, block: Any) -> np.ndarray:
    return _read(estimator, block, reset=False, min_rows=0, floats=floats).astype(dtype, copy=False)


def reader_of(estimator: Any) -> Any:
    """One that knows the columns and nothing else, so that it can be sent to other processes."""
    reader = type(estimator)(**estimator.get_params(deep=False))
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            setattr(reader, name, getattr(estimator, name))
    return reader


def _pieces(X: np.ndarray) -> Iterator[np.ndarray]:
    return (X[start : start + CHUNK_ROWS] for start in range(0, len(X), CHUNK_ROWS))


def _read(estimator: Any, X: Any, *, reset: bool, min_rows: int, floats: Sequence[Any] = FLOATS) -> np.ndarray:
    """A two-dimensional array of one of some float types; NaN (or a mask, or None in a frame) is a missing value."""
    refuse_sparse(X)
    return validated(
        estimator,
        readable(X),
        reset=reset,
        dtype=list(floats),
        ensure_all_finite="allow-nan",
        ensure_min_samples=min_rows,
    )


def place_of_column(column: Any, names: np.ndarray | None, n_features: int) -> int:
    """Index of a column that a user tells by index or name; LookupError for an unknown one, TypeError for neither."""
    if isinstance(column, str):
        if names is None:
            raise LookupError(column)
        found = np.flatnonzero(names == column)
        if len(found) != 1:
            raise LookupError(column)
        return int(found[0])
    if isinstance(column, bool | np.bool_) or not isinstance(column, int | np.integer):
        raise TypeError(column)
    if not -n_features <= column < n_features:
        raise LookupError(column)
    return int(column) % n_features


def validated(
    estimator: Any, X: Any, *, kind: str = "numbers", remedy: str = NUMBERS_OF_CATEGORIES, **checks: Any
) -> Any:
    """What scikit-learn's checks make of X; `kind` of numbers are required, and `remedy` makes them of strings."""
    with required("X", kind, remedy):
        return validate_data(estimator, X, **checks)


@contextmanager
def required(name: str, kind: str, remedy: str) -> Iterator[None]:
    """An error about what cannot become a number names the argument, and says how it could."""
    try:
        yield
    except OverflowError:  # of Python's integers
        raise ValueError(f"{name} has an integer that is too large for float64") from None
    except (TypeError, ValueError) as error:
        text = str(error)
        if "could not convert string to float" in text or "Cannot cast str" in text:  # the second of categories
            raise ValueError(f"{name} must be {kind} ({shortened(text, LONGEST_CITED)}); {remedy}") from None
        if "'NAType'" in text:
            raise ValueError(
                f"{name} has pandas.NA among objects or categories, but {kind} are required; "
                f'{name}.astype("Float64") of pandas makes numbers of what looks like them; {remedy}'
            ) from None
        raise


def shortened(text: str, longest: int) -> str:
    """Without the middle, if it is long."""
    return text if len(text) <= longest else f"{text[: longest // 2]} [...] {text[-(longest // 2) :]}"


def readable(X: Any) -> Any:
    """X with NaN in the place of what is masked; ValueError for what scikit-learn's checks would misread."""
    refuse_lazy(X)
    refuse_no_columns(X)
    if any(is_of_time(dtype) for dtype in dtypes_of(X)):  # NumPy would make numbers of them
        raise ValueError(f"X has dates or times, but numbers are required; {NUMBERS_OF_TIMES}")
    return unmasked(X)


def refuse_sparse(X: Any) -> None:
    if issparse(X):
        raise ValueError(f"X is sparse ({type(X).__name__}), but dense data is required; X.toarray() makes it dense")


def refuse_lazy(X: Any) -> None:
    """ValueError for a query of polars, which is no table yet."""
    if hasattr(X, "collect"):
        raise ValueError("X is a LazyFrame, but a table in memory is required; X.collect() makes it one")


def refuse_no_columns(X: Any) -> None:
    """ValueError for a frame that scikit-learn's checks would not understand."""
    if is_frame(X) and X.shape[1] == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")


def is_frame(X: Any) -> bool:
    """pandas or polars."""
    return hasattr(X, "columns") and hasattr(X, "shape")


def dtypes_of(X: Any) -> list[Any]:
    """Of the columns of a frame, or of all of an array; None for what has no dtype."""
    return list(X.dtypes) if is_frame(X) else [getattr(X, "dtype", None)]


def is_of_time(dtype: Any) -> bool:
    """Whether it is one of dates or durations."""
    is_temporal = getattr(dtype, "is_temporal", None)  # of polars
    return is_temporal() if is_temporal is not None else getattr(dtype, "kind", None) in ("m", "M")


def unmasked(X: Any) -> Any:
    """A masked array with NaN in the place of what is masked; anything else as it is."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    return np.ma.filled(X.astype(X.dtype if X.dtype in FLOATS else np.float64), np.nan)
