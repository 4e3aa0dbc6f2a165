"""A fitted mixture of some columns, given others: marginals, conditionals, and rows with their gaps filled.

Each component is a Gaussian and is conditioned by itself ([1]_); its weight becomes its responsibility for what is
given ([2]_).

References
----------
.. [1] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer. Equations (2.81), (2.82) and (2.98).
.. [2] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach. NIPS 6,
   120-127.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import clone

from .._validation import as_source, check_array, is_frame, place_of_column
from ..chunks import Rows
from ..families.base import log, posterior
from ..families.covariance import COVARIANCES
from ..imputer import latent
from ..imputer.gaussian_table import Completed
from ..imputer.rows import IncompleteRows
from ..mixture.noise import fitted_weights
from .fitted import model_of
from .fitting import fitted_covariance, published

if TYPE_CHECKING:
    from .estimator import EMGaussianMixture

# The types to which marginals and conditionals belong too, and how they publish matrices (k, d, d). Others become full.
PUBLISHED = {
    "full": lambda matrices: matrices,
    "tied": lambda matrices: matrices[0],
    "diag": lambda matrices: np.diagonal(matrices, axis1=1, axis2=2),
    "spherical": lambda matrices: matrices[:, 0, 0],
    "EII": lambda matrices: matrices[0, 0, 0],
}


def marginal(estimator: EMGaussianMixture, columns: Any) -> EMGaussianMixture:
    """The mixture of some columns: of each component the rows and columns that belong to them ([1]_, 2.98)."""
    places = _places(estimator, columns)
    matrices = _matrices(estimator)[:, places[:, None], places]
    return _as_fitted(estimator, places, fitted_weights(estimator), estimator.means_[:, places], matrices)


def conditional(estimator: EMGaussianMixture, columns: Any, values: Any) -> EMGaussianMixture:
    """The mixture of the other columns, in their order, given these values ([1]_, 2.81 and 2.82)."""
    given = _places(estimator, columns)
    d = estimator.means_.shape[1]
    others = np.setdiff1d(np.arange(d), given)
    if not len(others):
        raise ValueError(f"columns must leave at least one column, but {columns!r} are all {d}")
    row = np.full((1, d), np.nan)
    row[0, given] = check_array("values", [values] if np.isscalar(values) else values, (len(given),), "values")
    rows = _incomplete(row)
    spreads = np.zeros((len(estimator.weights_), d, d))
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = zip(_gaussians(estimator), spreads, strict=True)
        parts = [latent.condition(params, rows, into) for params, into in pairs]
    of_noise = [noise.complete(rows).log_density for noise in _noise(estimator)]
    resp = _responsibilities(estimator, [part.log_density for part in parts] + of_noise)[0]
    means = estimator.means_ + np.concatenate([part.deviations for part in parts])
    return _as_fitted(estimator, others, resp, means[:, others], spreads[:, others[:, None], others])


class Filled(NamedTuple):
    """Rows with their gaps filled, and the standard deviation of each cell, 0 where it was observed."""

    values: np.ndarray  # (n, d)
    sd: np.ndarray  # (n, d)


def fill(estimator: EMGaussianMixture, X: Any, with_sd: bool) -> Filled:
    """Conditional means of missing cells, chunk by chunk; observed cells as they are."""
    source, _ = as_source(estimator, X, reset=False)
    parts: list[Part] = [latent.FullCore(params) for params in _gaussians(estimator)]
    parts += _noise(estimator)
    chunks = [_fill_chunk(estimator, parts, rows, with_sd) for rows in source]
    return Filled(*(np.concatenate(part) for part in zip(*chunks, strict=True)))


def like(X: Any, values: np.ndarray) -> Any:
    """Values (n, d) as a frame if X is one, of the same kind."""
    if not is_frame(X):
        return values
    if hasattr(X, "index"):
        return type(X)(values, index=X.index, columns=X.columns)
    return type(X)(values, schema=X.columns)


class _Noise(NamedTuple):
    """Uniform noise, whose columns know nothing of each other."""

    lower: np.ndarray  # (d,)
    upper: np.ndarray

    def complete(self, rows: IncompleteRows, with_variance: bool = True) -> Completed:
        width, seen = self.upper - self.lower, rows.exact == 1
        mean = np.where(seen, rows.values, (self.lower + self.upper) / 2)
        return Completed(mean, np.where(seen, 0.0, width**2 / 12), -(seen @ np.log(width)))


Part = latent.FullCore | _Noise


def _noise(estimator: EMGaussianMixture) -> list[_Noise]:
    """That of the fit, if it has any."""
    return [_Noise(*_noise_range(estimator))] if _has_noise(estimator) else []


def _fill_chunk(estimator: EMGaussianMixture, parts: list[Part], rows: Rows, with_sd: bool) -> Filled:
    values, sd = rows.X.copy(), np.zeros_like(rows.X)
    at = rows.missing
    if len(at):
        gaps = np.isnan(values[at])
        mean, variance = _moments(estimator, parts, _incomplete(values[at]), with_sd)
        values[at] = np.where(gaps, mean, values[at])
        sd[at] = np.where(gaps, np.sqrt(variance), 0.0)
    return Filled(values, sd)


def _moments(
    estimator: EMGaussianMixture, parts: list[Part], rows: IncompleteRows, with_sd: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n, d) of the mixture of the components' conditionals; the variance is zero if not asked for.

    The variance is that within the components plus that of their means.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        done = [part.complete(rows, with_sd) for part in parts]
    resp = _responsibilities(estimator, [part.log_density for part in done])
    mean = sum(r[:, None] * part.mean for r, part in zip(resp.T, done, strict=True))
    variance = np.zeros_like(mean)
    if with_sd:
        for r, part in zip(resp.T, done, strict=True):
            variance += r[:, None] * (np.maximum(part.variance, 0.0) + (part.mean - mean) ** 2)
    return mean, variance


def _responsibilities(estimator: EMGaussianMixture, log_densities: list[np.ndarray]) -> np.ndarray:
    """(n, k), noise last, given log densities of what is observed; ValueError where these are not finite."""
    densities = np.column_stack(log_densities)
    if not np.isfinite(densities).all():
        raise ValueError("a value is so far from the components that its distance from them overflows")
    return posterior(densities + log(fitted_weights(estimator)))[1]


def _incomplete(X: np.ndarray) -> IncompleteRows:
    known = ~np.isnan(X)
    return IncompleteRows(np.where(known, X, 0.0).astype(np.float64), known.astype(np.uint8), np.ones(len(X)))


def _has_noise(estimator: EMGaussianMixture) -> bool:
    return hasattr(estimator, "noise_weight_")


def _noise_range(estimator: EMGaussianMixture) -> np.ndarray:
    return estimator.noise_range_.astype(np.float64)


def _matrices(estimator: EMGaussianMixture) -> np.ndarray:
    """Covariance matrices (k, d, d), float64."""
    k, d = estimator.means_.shape
    covariances = np.asarray(estimator.covariances_, dtype=np.float64)
    return np.ascontiguousarray(fitted_covariance(estimator).dense(covariances, k, d))


def _gaussians(estimator: EMGaussianMixture) -> list[latent.LatentParams]:
    """The components, ready to be conditioned."""
    try:
        pairs = zip(estimator.means_.astype(np.float64), _matrices(estimator), strict=True)
        return [latent.latent_params(mean, matrix) for mean, matrix in pairs]
    except latent.SingularTableError:
        raise ValueError(
            "a covariance is singular up to rounding, so that nothing can be predicted from its columns; fit with a "
            f"larger reg_covar than {estimator.reg_covar!r}"
        ) from None


def _places(estimator: EMGaussianMixture, columns: Any) -> np.ndarray:
    """Indices of distinct columns, at least one, that a user tells by index or name."""
    names, n_features = getattr(estimator, "feature_names_in_", None), estimator.means_.shape[1]
    try:
        chosen = [columns] if isinstance(columns, str | Integral) else list(columns)
        places = [place_of_column(column, names, n_features) for column in chosen]
    except (TypeError, LookupError) as error:
        have = f"{n_features} columns without names" if names is None else f"the columns {list(names)}"
        raise ValueError(
            f"columns must be indices or names of columns, but got {columns!r}; the fit had {have}"
        ) from error
    if not places or len(set(places)) < len(places):
        raise ValueError(f"columns must name at least one column, and each once, but got {columns!r}")
    return np.array(places, dtype=np.intp)


def _as_fitted(
    estimator: EMGaussianMixture, places: np.ndarray, weights: np.ndarray, means: np.ndarray, matrices: np.ndarray
) -> EMGaussianMixture:
    """An estimator of the columns at `places` with these parameters, the weight of noise last, as if it were fitted.

    It has the constructor's arguments of the other one, but for what they say of a start.
    """
    kind = fitted_covariance(estimator).name
    kind = kind if kind in PUBLISHED else "full"
    dtype = estimator.means_.dtype
    made = clone(estimator).set_params(n_components=len(means), covariance_type=kind, fixed=())
    made.set_params(weights_init=None, means_init=None, precisions_init=None, noise=_has_noise(estimator))
    noise_range = _noise_range(estimator)[:, places] if _has_noise(estimator) else None
    model, params = model_of(COVARIANCES[kind], weights, means, PUBLISHED[kind](matrices), dtype, noise_range)
    for name, value in published(model, params).items():
        setattr(made, name, value)
    made._fitted_type = kind
    made.n_features_in_ = len(places)
    if hasattr(estimator, "feature_names_in_"):
        made.feature_names_in_ = estimator.feature_names_in_[places]
    return made
