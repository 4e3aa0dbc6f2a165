"""The models of a table by name: how each is fitted, and what is left of the fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .._warnings import callers_level
from ..chunks import ArraySource, Rows, joined
from ..description import describe_source
from ..engine import EMResult
from ..families.base import Options
from ..families.mixed import ByColumn, MixedFamily
from ..families.table import FAMILIES
from ..mixture.model import MixtureModel, MixtureParams
from ..restarts import Search
from ..seeding import ALL_ROWS
from .classes import ClassProblem
from .columns import Column
from .factor import FactorCore, FactorModel, FactorParams, pieces
from .gaussian_table import GaussianTable
from .latent import FullCore, LatentGaussianModel, LatentParams, SingularTableError, latent_params
from .layout import Layout
from .mixture_table import MixtureTable, points
from .rows import IncompleteRows, arrange, condensed
from .scales import MakeScale, Scale, copula_scale, exact_scale, mixture_scale
from .training import Chunker, Data, Measured, measured, units

if TYPE_CHECKING:
    from .estimator import EMImputer

Table = GaussianTable | MixtureTable

LEAST_RIDGE, MOST_RIDGE = 0.005, 0.02  # what "auto" may choose
FIRST_RIDGE = 1e-6  # with which a singular fit without a ridge is tried again, then ten times as much and so on
MOST_COLUMNS = 300
MOST_FLOOR = 1e-3  # under the covariances of components; a wider one would hold components that are no flukes
SMOOTHING = 0.5  # rows of each level in each component, unless ridge=0
PATIENCE = 2  # numbers of components without a better BIC after which the search ends


class Recipe(Chunker, Protocol):
    """How codes become chunks of a model, and its parameters a table."""

    def table(self, params: Any) -> Table: ...
    def per_row(self, model: Any, weight: float) -> Any:
        """The model for statistics of one row on average, in place of those of the given weight."""


@dataclass(frozen=True, eq=False)
class LatentRecipe:
    layout: Layout

    def chunks(self, codes: np.ndarray, weight: np.ndarray) -> Iterable[IncompleteRows]:
        """Few rows where there is nothing but exact values."""
        arranged = arrange(self.layout.rows(codes, weight))
        return arranged.chunks if self.layout.has_cells else condensed(arranged).chunks

    def table(self, params: LatentParams) -> GaussianTable:
        return GaussianTable(self.layout, FullCore(params))

    def per_row(self, model: LatentGaussianModel, weight: float) -> LatentGaussianModel:
        return replace(model, prior_weight=model.prior_weight / weight)

    def model(self, share: float, weight: float) -> LatentGaussianModel:
        layout = self.layout
        pairs = [j for j, scale in enumerate(layout.scales) if scale.n_cells == 2]
        pivots = np.array([layout.scales[j].pivot for j in pairs])  # type: ignore[union-attr]  # scales of cells
        return LatentGaussianModel(
            layout.prior, share * weight, layout.n_unidentified, layout.has_cells, layout.first[pairs], pivots
        )


@dataclass(frozen=True, eq=False)
class FactorRecipe:
    layout: Layout
    n_factors: int

    def chunks(self, codes: np.ndarray, weight: np.ndarray) -> list[IncompleteRows]:
        return list(pieces(self.layout.rows(codes, weight), self.n_factors))

    def table(self, params: FactorParams) -> GaussianTable:
        return GaussianTable(self.layout, FactorCore(params))

    def per_row(self, model: FactorModel, weight: float) -> FactorModel:
        return replace(model, prior_weight=model.prior_weight / weight)


@dataclass(frozen=True, eq=False)
class PointRecipe:
    """The chunks of a mixture, whatever its components."""

    scales: tuple[Scale, ...]

    def chunks(self, codes: np.ndarray, weight: np.ndarray) -> ArraySource:
        return ArraySource(points(self.scales, codes), weight)


@dataclass(frozen=True, eq=False)
class MixtureRecipe(PointRecipe):
    family: MixedFamily

    def table(self, params: MixtureParams) -> MixtureTable:
        parts = self.family.parts(params.components)
        tables = parts.get("emissionprob", [])
        tables = [tables] if isinstance(tables, np.ndarray) else tables
        k = len(params.weights)
        means = parts.get("means", np.zeros((k, 0)))
        covariances = parts.get("covariances", np.zeros((k, 0, 0)))
        return MixtureTable(self.scales, params.weights, means, covariances, tuple(tables))

    def per_row(self, model: MixtureModel, weight: float) -> MixtureModel:
        return MixtureModel(self.family.with_prior_of(1 / weight))


class Fit(NamedTuple):
    """A fitted table, how it was found, and what `partial_fit` and bootstrap go on from."""

    table: Table
    recipe: Recipe
    search: Search[Any, Any]
    model: Any
    data: Measured
    ridge: float
    n_components: int

    @property
    def result(self) -> EMResult[Any, Any]:
        return self.search.best.result

    @property
    def bic(self) -> float:
        stats = self.result.stats
        return -2 * stats.objective + self.model.n_free(self.result.params) * float(np.log(stats.weight))


Run = Callable[..., Search[Any, Any]]  # (problem, n_starts, start)


def choose(columns: tuple[Column, ...], n_rows: int) -> str:
    """What ``model="auto"`` stands for."""
    if all(column.kind == "nominal" for column in columns):
        return "latent_class"
    if len(columns) > MOST_COLUMNS or n_rows < 2 * len(columns):
        return "factor"
    return "gaussian" if all(column.is_numeric for column in columns) else "copula"


def ridge_share(ridge: float | str, n_coordinates: int, weight: float) -> float:
    """Rows that the prior is worth, as a share of all: "auto" is more where rows are few."""
    if ridge != "auto":
        return float(ridge)
    return float(np.clip(0.4 * n_coordinates / weight, LEAST_RIDGE, MOST_RIDGE))


class Single:
    """A model with one start, and its rows: what :func:`emkit.restarts.run_one` needs of a problem."""

    def __init__(self, model: Any, source: Iterable[Any]) -> None:
        self.model = model
        self.source = source

    def flaw(self, result: EMResult[Any, Any]) -> str:
        return ""


def fit_latent(make_scale: MakeScale, estimator: EMImputer, data: Data, run: Run) -> Fit:
    found = measured(data, make_scale)
    recipe = LatentRecipe(Layout(found.scales))
    _check_coordinates(recipe.layout)
    chunks = data.chunks(recipe)
    share = ridge_share(estimator.ridge, recipe.layout.n_coordinates, found.weight)
    for larger in _shares(share):
        model = recipe.model(larger, found.weight)
        start = latent_params(recipe.layout.start, recipe.layout.prior)
        try:
            search = run(Single(model, chunks), 1, start)
        except SingularTableError:
            continue
        if larger > share:
            warnings.warn(
                f"the covariance of the columns is singular with ridge={estimator.ridge!r}; {larger:g} is used",
                RuntimeWarning,
                stacklevel=callers_level(),
            )
        return Fit(recipe.table(search.best.result.params), recipe, search, model, found, larger, 1)
    raise SingularTableError


def _shares(share: float) -> Iterator[float]:
    """A ridge, and larger ones."""
    yield share
    larger = max(10 * share, FIRST_RIDGE)
    while larger < 1:
        yield larger
        larger *= 10


def fit_factor(estimator: EMImputer, data: Data, run: Run) -> Fit:
    found = measured(data, exact_scale)
    layout = Layout(found.scales)
    _check_coordinates(layout)
    _check_components(estimator.n_components, layout.n_coordinates, "coordinates (numbers, and levels but one)")
    share = ridge_share(estimator.ridge, layout.n_coordinates, found.weight)

    def fit(q: int) -> Fit:
        recipe = FactorRecipe(layout, q)
        model = FactorModel(layout.prior.diagonal().copy(), share * found.weight, q)
        chunks = data.chunks(recipe)
        search = run(Single(model, chunks), 1, model.init_params(chunks, np.random.default_rng(0)))
        return Fit(recipe.table(search.best.result.params), recipe, search, model, found, share, q)

    return _best(estimator.n_components, fit, max(min(_most_factors(layout.n_coordinates), data.n_rows - 1), 1))


def _most_factors(d: int) -> int:
    """Ledermann's bound: with more factors the model has more parameters than a covariance."""
    return int((2 * d + 1 - np.sqrt(8 * d + 1)) / 2)


def fit_mixture(estimator: EMImputer, data: Data, run: Run) -> Fit:
    _check_components(estimator.n_components, data.n_rows, "rows")
    found = measured(data, mixture_scale)
    scales = found.scales
    source = data.chunks(PointRecipe(scales))
    described = describe_source(source, estimator.n_jobs)
    if described.n_rows < ALL_ROWS:  # which starts use all of
        rows = joined(source)
        source = ArraySource(rows.X, rows.weight)
    share = ridge_share(estimator.ridge, len(scales), found.weight)
    kinds = tuple("gaussian" if scale.n_coordinates else "categorical" for scale in scales)
    prior = 1.0 + SMOOTHING * (share > 0)
    options = Options(
        reg_covar=min(share, MOST_FLOOR), n_symbols=[s.n_levels or 1 for s in scales], emissionprob_prior=prior
    )
    rng = estimator._random_generator()

    def fit(k: int) -> Fit:
        no_rows: list[Rows] = []  # as it is known that codes are levels
        recipe = MixtureRecipe(scales, ByColumn(kinds, FAMILIES).for_chunks(k, options, no_rows, described))
        model = MixtureModel(recipe.family)
        problem = ClassProblem(model, source, described, rng)
        start = problem.draw(0, rng) if k == 1 else None
        search = run(problem, estimator._n_starts(), start)
        return Fit(recipe.table(search.best.result.params), recipe, search, model, found, share, k)

    return _best(estimator.n_components, fit, max(data.n_rows // 2, 1))


def _check_coordinates(layout: Layout) -> None:
    if layout.n_coordinates == 0:
        raise ValueError("X has only categories of one level each, of which this model knows nothing; use model='auto'")


def _check_components(n_components: int | str, most: int, what: str) -> None:
    if n_components != "auto" and n_components > most:  # type: ignore[operator]  # an integer then
        raise ValueError(f"n_components must be at most {most}, the number of {what}, but got {n_components}")


def fit_latent_class(estimator: EMImputer, data: Data, run: Run) -> Fit:
    numeric = [column.name for column in data.columns if column.is_numeric]
    if numeric:
        raise ValueError(
            f"model='latent_class' needs columns of levels, but column {numeric[0]!r} is numeric; use model='mixture' "
            "or 'copula', or give the column a kind by `columns`"
        )
    return fit_mixture(estimator, data, run)


def _best(n_components: int | str, fit: Callable[[int], Fit], most: int) -> Fit:
    """The fit with a given number of components, or that with the lowest BIC.

    Numbers grow by a third to a half until the BIC has not fallen for a while; then the neighbours of the best are
    tried.
    """
    if n_components != "auto":
        return fit(int(n_components))
    fits: dict[int, Fit] = {}

    def best() -> int:
        return min(fits, key=lambda k: (fits[k].bic, k))

    for k in _numbers(most):
        fits[k] = fit(k)
        if sum(tried > best() for tried in fits) == PATIENCE:
            break
    while missing := [k for k in (best() - 1, best() + 1) if 1 <= k <= most and k not in fits]:
        for k in missing:
            fits[k] = fit(k)
    return fits[best()]


def _numbers(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, ..."""
    yield 1
    power = 2
    while power <= most:
        yield power
        if power + power // 2 <= most:
            yield power + power // 2
        power *= 2


MODELS: dict[str, Callable[[EMImputer, Data, Run], Fit]] = {
    "gaussian": partial(fit_latent, exact_scale),
    "copula": partial(fit_latent, copula_scale),
    "mixture": fit_mixture,
    "latent_class": fit_latent_class,
    "factor": fit_factor,
}


def log_units(table: Table, codes: np.ndarray) -> np.ndarray:
    """What to add to log densities of coordinates, so that they are those of the columns; (n,)."""
    logs: np.ndarray = ~np.isnan(codes) @ units(table.scales)
    return logs
