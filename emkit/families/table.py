"""Families by name: what an estimator's `emission` may say."""

from __future__ import annotations

from typing import Any

from .base import Family
from .counts import BernoulliFamily, PoissonFamily
from .discrete import CategoricalFamily
from .gaussian import GaussianFamily
from .mixed import ByColumn
from .mixture import MixtureFamily
from .student import StudentFamily

FAMILIES: dict[str, type[Family]] = {
    "gaussian": GaussianFamily,
    "mixture": MixtureFamily,
    "student": StudentFamily,
    "categorical": CategoricalFamily,
    "poisson": PoissonFamily,
    "bernoulli": BernoulliFamily,
}


def family_class(emission: Any) -> type[Family] | ByColumn:
    """What makes the families that `emission` says: it has `for_data`, `for_parts` and `names`.

    `emission` is a name in :data:`FAMILIES`, a list of these with one for each column, or a class of the user's own;
    anything else is a ValueError.
    """
    if isinstance(emission, str) and emission in FAMILIES:
        return FAMILIES[emission]
    if isinstance(emission, list | tuple) and emission and all(isinstance(k, str) and k in FAMILIES for k in emission):
        return ByColumn(tuple(emission), FAMILIES)
    if isinstance(emission, type) and all(hasattr(emission, name) for name in ("for_data", "for_parts", "names")):
        return emission
    raise ValueError(
        f"emission must be one of {list(FAMILIES)}, a list of these with one for each column, or a subclass of Family, "
        f"but got {emission!r}"
    )
