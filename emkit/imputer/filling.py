"""Tables that are filled block by block, when they are reached."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks import Blocks, iterate
from ..lazy import lazy_for_dask, lenient
from ..partitions import Partitions, is_array

if TYPE_CHECKING:
    from .estimator import EMImputer


@dataclass(frozen=True, eq=False)
class FilledBlocks:
    """A function of blocks, as the one that was given: each call returns an iterator over tables without missing cells.

    Attributes
    ----------
    imputer : EMImputer
        As it is when a table is reached.
    blocks : function
        Of the tables with missing cells.
    rng : Generator or None
        Of random fillings; each call draws the same ones.
    """

    imputer: EMImputer
    blocks: Blocks
    rng: np.random.Generator | None

    def __call__(self) -> Iterator[Any]:
        rng = copy.deepcopy(self.rng)
        return (self.imputer._filled(table, None, rng) for table in iterate(self.blocks) if len(table))


def filled_collection(imputer: EMImputer, X: Any) -> Any:
    """A lazy dask array or frame like X, of the fit as it is now."""
    if imputer.statistic == "sample":
        raise ValueError(
            "statistic must not be 'sample' where X is a dask collection, whose partitions are filled apart"
        )
    fitted = copy.copy(imputer)
    if is_array(X):
        return _filled_array(fitted, X)
    example = lenient(fitted).transform(Partitions(X).example)
    return X.map_partitions(partial(_filled_partition, fitted, example.iloc[:0]), meta=example.iloc[:0])


@lazy_for_dask
def _filled_array(imputer: EMImputer, X: Any) -> Any:
    return imputer.transform(X)


def _filled_partition(imputer: EMImputer, empty: Any, table: Any) -> Any:
    return imputer.transform(table) if len(table) else empty
