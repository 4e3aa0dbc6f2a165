"""Families by name: what an estimator's `emission` may say."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ..chunks import Rows
from ..description import Description
from .base import Family, Options
from .counts import BernoulliFamily, PoissonFamily
from .discrete import CategoricalFamily, UnknownValueError, passed
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
# By the argument that names them. A mixture has weights of its own, so that its components have none.
BY_ARGUMENT: dict[str, dict[str, type[Family]]] = {
    "emission": FAMILIES,
    "family": {name: family for name, family in FAMILIES.items() if "weights" not in family.names},
}

COUNTED = ("categorical", "poisson", "bernoulli")


def family_class(kind: Any, argument: str = "emission") -> type[Family] | ByColumn:
    """What makes the families that `kind` says: it has `for_data`, `for_parts` and `names`.

    `kind` is a name in :data:`BY_ARGUMENT`, a list of these with one for each column, or a class of the user's own;
    anything else is a ValueError, which names the argument of the estimator.
    """
    families = BY_ARGUMENT[argument]
    if isinstance(kind, str) and kind in families:
        return families[kind]
    if isinstance(kind, list | tuple) and kind and all(isinstance(name, str) and name in families for name in kind):
        return ByColumn(tuple(kind), families, argument)
    if isinstance(kind, type) and all(hasattr(kind, name) for name in ("for_data", "for_parts", "names")):
        return kind
    raise ValueError(
        f"{argument} must be one of {list(families)}, a list of these with one for each column, or a subclass of "
        f"Family, but got {kind!r}"
    )


def takes_only(kind: Any, names: Collection[str]) -> bool:
    """Whether all columns are of these families; False for what is no family."""
    kinds = kind if isinstance(kind, list | tuple) else [kind]
    return len(kinds) > 0 and all(isinstance(name, str) and name in names for name in kinds)


def family_of_chunks(
    kind: Any,
    argument: str,
    n_components: int,
    options: Options,
    chunks: Iterable[Rows],
    described: Description,
    kept: Any,
) -> Family:
    """The family for training rows; `kept` says where they stood in what the user passed, None if all are left."""
    try:
        return family_class(kind, argument).for_chunks(n_components, options, chunks, described)
    except UnknownValueError as error:
        wrong = error.at(row=passed(error.row, kept))
    if wrong.value < 0 and takes_only(kind, COUNTED):
        raise ValueError(  # in words that scikit-learn looks for
            f"Negative values in data: {wrong.cell}, but {argument}={kind!r} takes 0, 1, 2, ... (or NaN where missing)"
        )
    raise wrong
