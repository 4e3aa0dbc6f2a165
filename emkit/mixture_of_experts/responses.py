"""Responses from raw user input: numbers, or classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from .._validation import NUMBERS_OF_TIMES, dtypes_of, is_missing, is_of_time, required, unmasked


def require(estimator: Any, y: Any) -> None:
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )


def check_length(y: Any, n: int) -> None:
    if len(y) != n:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: X has {n}, y has {len(y)}")


def as_column(y: Any) -> Any:
    """A table of one column as what it holds, with scikit-learn's warning; anything else as it is."""
    return column_or_1d(y, warn=True) if np.asarray(y).ndim == 2 and np.asarray(y).shape[1] == 1 else y


def read_numbers(y: Any, n: int, *, allow_nan: bool = False) -> np.ndarray:
    """(n, m) float64; NaN in all of a row is a missing response, where that is allowed."""
    if any(is_of_time(dtype) for dtype in dtypes_of(y)):  # NumPy would make numbers of them
        raise ValueError(f"y has dates or times, but numbers are required; {NUMBERS_OF_TIMES}")
    with required("y", "numbers", "EMMixtureOfExpertsClassifier takes classes"):
        numbers = check_array(
            unmasked(y),
            ensure_2d=False,
            dtype=np.float64,
            ensure_all_finite="allow-nan" if allow_nan else True,
            input_name="y",
        )
    if numbers.ndim > 2:
        raise ValueError(f"y must have one or two dimensions, but has shape {numbers.shape}")
    check_length(numbers, n)
    numbers = numbers.reshape(n, -1)
    missing = np.isnan(numbers)
    if (missing.any(axis=1) != missing.all(axis=1)).any():
        raise ValueError("y has a row of which some responses are missing; all of a row must be there, or none")
    return numbers


def labels_of(y: Any) -> np.ndarray:
    """The different classes in y, sorted."""
    labels = column_or_1d(_unmasked_labels(y), warn=True)
    if labels.dtype == object and any(is_missing(label) for label in labels.tolist()):
        raise ValueError("Input y contains NaN, None or pandas.NA; each row must have a class")
    assert_all_finite(labels, input_name="y")
    with np.errstate(invalid="ignore"):  # of large floats, which are no classes
        check_classification_targets(labels)
    return np.unique(labels)


def classes_of(labels: Iterable[np.ndarray]) -> np.ndarray:
    """All classes, sorted, of those in some blocks; ValueError for fewer than two."""
    classes: list[np.ndarray] = []  # of all before, as one array
    for own in labels:
        classes = [np.unique(np.concatenate([*classes, own]))]
    (found,) = classes
    if len(found) < 2:
        raise ValueError(f"y must have two classes or more, but has 1 class: {found.tolist()}")
    return found


def _unmasked_labels(y: Any) -> Any:
    """Labels with None for what is masked; anything else as it is."""
    if not isinstance(y, np.ma.MaskedArray):
        return y
    return np.array(y.tolist(), dtype=object) if np.ma.getmaskarray(y).any() else y.data


def read_codes(y: Any, n: int, classes: np.ndarray) -> np.ndarray:
    """Codes (n, 1) float64 of known classes; NaN and None are missing, and stay NaN."""
    y = column_or_1d(np.asarray(_unmasked_labels(y)))
    check_length(y, n)
    missing = np.array([is_missing(value) for value in y.tolist()], dtype=bool)
    codes = np.full((n, 1), np.nan)
    for code, label in enumerate(classes):
        codes[(y == label) & ~missing, 0] = code
    unknown = np.isnan(codes[:, 0]) & ~missing
    if unknown.any():
        raise ValueError(
            f"y has the class {y[unknown].tolist()[0]!r}, which was not there in fit; there were {classes.tolist()}"
        )
    return codes
