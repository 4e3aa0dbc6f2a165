"""Tables that are filled block by block, when they are reached."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks import Blocks, iterate

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
