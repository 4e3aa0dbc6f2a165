"""Any scikit-learn regressor or classifier that takes `sample_weight`, as an expert.

An M-step fits a clone of it to all rows, weighted by the responsibilities (generalised EM). Whether that raises the
expected log-likelihood is the estimator's affair: of least squares it does, of forests it may not. So no rising
objective is promised, and nothing is extrapolated.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.special import ndtr
from sklearn.base import clone

from ...families.base import Sums
from ...families.gaussian import LOG_2PI
from ...seeding import draw_columns
from ..cases import Cases, Scaling
from .base import AT_FLOOR, SIX, Experts

FEW = 3  # rows on which an expert collapses
LARGEST = 1e150  # of a prediction: its square is finite
LEAST_WEIGHT = 1e-8  # of the largest: rows with less are left out of an expert's fit
LEAST_PROBABILITY = 1e-6  # of a class; trees give zero to classes that they have not seen


@dataclass(frozen=True, eq=False)
class Pieces:
    """Chunks and their responsibilities; they add by being put one after the other."""

    pairs: tuple[tuple[Cases, np.ndarray], ...]

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces((*self.pairs, *other.pairs))

    def __mul__(self, factor: float) -> Pieces:
        return Pieces(tuple((cases, factor * resp) for cases, resp in self.pairs))

    __rmul__ = __mul__


class ForeignParams(NamedTuple):
    estimators: tuple[Any, ...]
    variances: np.ndarray  # (k, m), of the residuals; empty for classes


@dataclass(frozen=True, eq=False)
class ForeignExperts(Experts):
    """K clones of an estimator.

    Attributes
    ----------
    estimator : estimator
        Not fitted.
    seeds : ndarray of shape (k,), int
        `random_state` of the clones, where the estimator has one that is None.
    """

    n_components: int
    estimator: Any
    seeds: np.ndarray

    monotone: ClassVar[bool] = False
    can_accelerate: ClassVar[bool] = False

    @abstractmethod
    def _params(self, estimators: tuple[Any, ...], cases: Cases, resp: np.ndarray, before: Any) -> ForeignParams: ...

    @abstractmethod
    def _target(self, cases: Cases) -> np.ndarray:
        """What the estimators learn."""

    def _fit(self, k: int, cases: Cases, weight: np.ndarray) -> Any:
        """A clone, fitted to the rows that have weight."""
        kept = np.flatnonzero(weight > LEAST_WEIGHT * weight.max())
        fresh = clone(self.estimator)
        if "random_state" in fresh.get_params() and fresh.get_params()["random_state"] is None:
            fresh.set_params(random_state=int(self.seeds[k]))
        return fresh.fit(cases.inputs[kept], self._target(cases)[kept], sample_weight=weight[kept])

    def look(self, params, cases):
        return self.mean(params, cases)

    def moments(self, params, cases, resp, seen):
        return Sums((Pieces(((cases, resp),)),))

    def m_step(self, moments, params):
        pairs = moments[0].pairs
        cases = Cases(
            np.concatenate([chunk.inputs for chunk, _ in pairs]),
            np.empty((0, 0)),
            np.concatenate([chunk.y for chunk, _ in pairs]),
            np.empty(0),
            pairs[0][0].scalings,
        )
        return self._fitted(cases, np.concatenate([resp for _, resp in pairs]), params)

    def _fitted(self, cases: Cases, resp: np.ndarray, before: ForeignParams | None) -> ForeignParams:
        """An expert without rows stays as it was."""
        estimators = []
        for k in range(self.n_components):
            if resp[:, k].any():
                estimators.append(self._fit(k, cases, resp[:, k]))
            else:
                estimators.append(before.estimators[k] if before else self._fit(k, cases, resp.sum(axis=1)))
        return self._params(tuple(estimators), cases, resp, before)

    def start(self, cases, resp):
        return self._fitted(cases, resp, None)

    def parts(self, params, scaling):
        return {}

    def estimators(self, params):
        return params.estimators


@dataclass(frozen=True, eq=False)
class ForeignRegressors(ForeignExperts):
    """Regressors with independent Gaussian noise about what they predict.

    Attributes
    ----------
    units : Scaling
        Mean and standard deviation of each response.
    floor : float
        Least variance of a scaled response.
    """

    units: Scaling
    floor: float

    def _target(self, cases):
        return cases.y[:, 0] if cases.y.shape[1] == 1 else cases.y

    def _params(self, estimators, cases, resp, before):
        variances = np.tile(self.units.scale**2, (self.n_components, 1))
        for k, estimator in enumerate(estimators):
            if resp[:, k].any():
                residuals = cases.y - self._predicted(estimator, cases)
                variances[k] = resp[:, k] @ residuals**2 / resp[:, k].sum()
            elif before is not None:
                variances[k] = before.variances[k]
        return ForeignParams(estimators, np.maximum(variances, self.floor * self.units.scale**2))

    def _predicted(self, estimator: Any, cases: Cases) -> np.ndarray:
        predicted = np.asarray(estimator.predict(cases.inputs), dtype=np.float64)
        m = len(self.units.scale)
        outside = int((~(np.abs(predicted) < LARGEST)).sum())  # NaN too
        if predicted.shape not in ((cases.n_rows, m), (cases.n_rows,) * (m == 1)) or outside:
            raise ValueError(
                f"expert={estimator!r} must predict numbers below {LARGEST:g} for {cases.n_rows} rows and {m} "
                f"response(s), but predicted an array of shape {predicted.shape} with {outside} that are not"
            )
        return predicted.reshape(cases.n_rows, m)

    def mean(self, params, cases):
        return np.stack([self._predicted(estimator, cases) for estimator in params.estimators], axis=1)

    def log_density(self, params, cases, seen):
        squared = (cases.y[:, None, :] - seen) ** 2 / params.variances
        return -0.5 * (squared + np.log(params.variances) + LOG_2PI).sum(axis=2)

    def n_free(self):
        """Of the noise alone: nobody can count those of a forest."""
        return self.n_components * len(self.units.scale)

    def cdf(self, params, cases, mean, values):
        return ndtr((values[:, None, :] - mean) / np.sqrt(params.variances))

    def spread(self, params, cases):
        return np.broadcast_to(SIX * np.sqrt(params.variances), (cases.n_rows, *params.variances.shape))

    def sample(self, params, cases, chosen, rng):
        noise = rng.standard_normal(cases.y.shape) * np.sqrt(params.variances[chosen])
        return self.mean(params, cases)[np.arange(len(chosen)), chosen] + noise

    def parts(self, params, scaling):
        return {"variances_": params.variances}

    def linearised(self, cases):
        return self.units(cases.y)

    def _at_floor(self, params: ForeignParams) -> np.ndarray:
        at_floor: np.ndarray = np.less_equal(params.variances, AT_FLOOR * self.floor * self.units.scale**2)
        return np.logical_or.reduce(at_floor, axis=1)

    def flaw(self, params, counts):
        return "; ".join(
            f"expert {k} has collapsed onto rows of total weight {counts[k]:.3g}"
            for k in np.flatnonzero(self._at_floor(params) & (counts <= FEW))
        )

    def notes(self, params, counts):
        return [
            f"reg_covar={self.floor:g} keeps the noise of expert {k} above that of its rows, which it fits exactly"
            for k in np.flatnonzero(self._at_floor(params) & (counts > FEW))
        ]


@dataclass(frozen=True, eq=False)
class ForeignClassifiers(ForeignExperts):
    """Classifiers with `predict_proba`. Rows of one class alone make an expert that knows no other."""

    n_classes: int

    discrete: ClassVar[bool] = True

    def _target(self, cases):
        return cases.y[:, 0].astype(np.intp)

    def _fit(self, k, cases, weight):
        kept = weight > LEAST_WEIGHT * weight.max()
        codes = np.unique(self._target(cases)[kept])
        if len(codes) == 1:
            return OneClass(int(codes[0]))
        return super()._fit(k, cases, weight)

    def _params(self, estimators, cases, resp, before):
        return ForeignParams(estimators, np.empty(0))

    def mean(self, params, cases):
        proba = np.zeros((cases.n_rows, self.n_components, self.n_classes))
        for k, estimator in enumerate(params.estimators):
            given = np.asarray(estimator.predict_proba(cases.inputs))
            if given.shape != (cases.n_rows, len(estimator.classes_)) or not np.isfinite(given).all():
                raise ValueError(
                    f"expert={estimator!r} must give finite probabilities of shape "
                    f"{(cases.n_rows, len(estimator.classes_))}, but gave an array of shape {given.shape}"
                )
            proba[:, k, estimator.classes_] = given
        proba = np.maximum(proba, LEAST_PROBABILITY)
        return proba / proba.sum(axis=2, keepdims=True)

    def log_density(self, params, cases, seen):
        codes = cases.y[:, 0].astype(np.intp)
        return np.log(seen[np.arange(len(codes)), :, codes])

    def n_free(self):
        return 0

    def sample(self, params, cases, chosen, rng):
        proba = self.mean(params, cases)[np.arange(len(chosen)), chosen]
        return draw_columns(proba, rng)[:, None].astype(np.float64)

    def linearised(self, cases):
        return np.eye(self.n_classes)[self._target(cases)]


class OneClass:
    """What is left of a classifier where all rows are of one class."""

    def __init__(self, code: int) -> None:
        self.classes_ = np.array([code])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.ones((len(X), 1))
