"""What a user may say of where a mixture starts: weights, responsibilities, labels, methods; checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._validation import check_array, check_n_init, check_responsibilities, check_start
from ..executors import Elsewhere
from ..families.base import Family
from .starts import METHODS

OTHER_METHODS = ("k-means++", "random_from_data", "kmeans")


@dataclass(frozen=True)
class GivenStart:
    """What the user gave of a start.

    Attributes
    ----------
    parts : dict
        "weights" and parameters of the family by name.
    responsibilities : ndarray of shape (n, k) or None
        Of the rows with weight, in their order. Not where X is read block by block.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    responsibilities: np.ndarray | None = None

    def has_all_means(self, family: Family) -> bool:
        """Whether there are means of all columns, as places for the parts of the rows."""
        return np.shape(self.parts.get("means", ())) == (family.n_parts, family.n_features)

    def is_certain(self, family: Family) -> bool:
        """Nothing is left to chance, so one start is enough."""
        return self.has_all_means(family) or set(family.names) <= set(self.parts) or self.responsibilities is not None


def given_weights(value: Any, k: int, noise: bool, name: str = "weights_init") -> np.ndarray:
    """Mixing weights, that of noise last if there is noise: what the others leave of one."""
    weights = check_array(name, value, (k,), "weights")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            f"{name}: The parameter 'weights' should be in the range [0, 1], but got"
            f" min value {weights.min():.5f}, max value {weights.max():.5f}"
        )
    if noise:
        if not 0 < weights.sum() < 1:
            raise ValueError(
                f"{name} must have a sum below 1 with noise=True, since noise has the rest, but it is {weights.sum():g}"
            )
        return np.append(weights, 1 - weights.sum())
    if not np.isclose(weights.sum(), 1, atol=1e-6):
        raise ValueError(
            f"{name}: The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}"
        )
    return weights / weights.sum()


def given_responsibilities(value: Any, n_rows: int, k: int, kept: np.ndarray | None) -> np.ndarray:
    """Responsibilities (n, k) of the rows with weight, from an array of them or of labels."""
    if kept is not None and np.shape(value)[:1] != (n_rows,):
        array = np.asarray(value)
        value = array[kept[kept < len(array)]]
    return check_responsibilities(value, n_rows, k, METHODS)


def refuse_elsewhere(source: Any) -> None:
    """ValueError for `init_params` with a value for each row, where these are not here."""
    if isinstance(source, Elsewhere):
        raise ValueError("init_params must be the name of a method where X is a dask collection of 10,000 rows or more")


def strategy(estimator: Any, given: GivenStart, family: Family) -> tuple[tuple[str, ...], int | None]:
    """Methods of the starts, and their number; None for a race of short ones."""
    n_starts = check_n_init(estimator.n_init)
    first = estimator.init_params if isinstance(estimator.init_params, str) else "kmeans"
    if given.is_certain(family) or estimator.n_components == 1 or (n_starts is None and estimator.max_iter == 0):
        return (first,), 1
    return (first, *OTHER_METHODS) if n_starts is None else (first,), n_starts


def check_start_and_fixed(estimator: Any, names: tuple[str, ...]) -> None:
    """ValueError for `init_params` or `fixed` that is none; names are those of the parameters."""
    check_start("init_params", estimator.init_params, METHODS)
    fixed = estimator.fixed
    if not isinstance(fixed, tuple | list | set | frozenset) or any(name not in names for name in fixed):
        raise ValueError(f"fixed must be a tuple of names among {names}, but got {fixed!r}")


def check_objective(objective: float) -> None:
    """ValueError if no component can have made some row, or not the one that it is known to be of."""
    if not objective > -np.inf:
        raise ValueError(
            "the log-likelihood is -inf: X has rows that are impossible under weights, rates or probabilities of zero "
            "that were given (of the component that labels say, if they do); give small positive numbers instead"
        )
