"""What a value of `covariance_type` is: one class a type, without state.

Two kernels serve all types: *dense* ones (factors F with precision P = F F^T, upper triangular) and *diagonal* ones
(scales 1 / sd for each component and feature). k components, d features; `scale` (d,) holds the standard deviations of
the features, the units in which the floor is measured, and V = diag(scale^2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from ...chunks import Rows
from ...engine import UnusableStartError

LARGEST_FACTOR = 1e153  # its square, a precision, is finite


class SingularCovarianceError(UnusableStartError):
    """A covariance without a floor (`reg_covar=0`) is not positive definite any more."""

    def __init__(self) -> None:
        super().__init__(
            "Fitting the mixture model failed because some components have ill-defined empirical covariance (for "
            "instance caused by singleton or collapsed samples). Try to decrease the number of components, increase "
            "reg_covar, or scale the input data."
        )


class Prepared(NamedTuple):
    """Covariances and what follows from them."""

    covariances: np.ndarray
    factors: np.ndarray  # for the kernels
    log_dets: np.ndarray  # (k,) or (1,): log determinants of the factors
    roots: np.ndarray  # dense types: lower Cholesky factors in units of scale; else empty


class Covariance(ABC):
    """One value of `covariance_type`; `shape(k, d)` is that of `covariances_`, as in scikit-learn."""

    name: str
    shared = False  # one covariance serves all components
    isotropic = False  # one variance serves all features, so that a start must not rescale them

    @abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]: ...

    @abstractmethod
    def n_free(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""

    @abstractmethod
    def rows_of_full_rank(self, d: int) -> int:
        """How many rows a covariance needs to be positive definite."""

    @abstractmethod
    def from_variances(self, variances: np.ndarray, k: int) -> np.ndarray:
        """The same diagonal covariance (d,) for each component; isotropic types take its mean."""

    @abstractmethod
    def from_precisions(self, precisions: np.ndarray, k: int, d: int) -> np.ndarray:
        """Covariances of the precisions that a user gave; ValueError if they are not positive definite."""

    @abstractmethod
    def estimate(
        self, scatter: np.ndarray, counts: np.ndarray, before: np.ndarray, scale: np.ndarray, floor: float
    ) -> np.ndarray:
        """What `prepare` turns into the covariances of maximum likelihood above the floor.

        Where that has no closed form: covariances under which the likelihood is no lower than under `before`. A
        component without rows keeps its covariance of `before`, or what is nearest to that where a part is shared.
        """

    def nearest(self, covariances: np.ndarray, weights: np.ndarray, scale: np.ndarray, floor: float) -> np.ndarray:
        """The covariances of the type that are nearest to others of its shape: the maximum likelihood estimate from
        rows of weight `weights` (k,) that are scattered like them. The same where nothing is shared.
        """
        return covariances

    def require_type(self, covariances: np.ndarray, label: str) -> None:  # noqa: B027  # most types need no check
        """ValueError if covariances that a user gave do not share what the type says that they share."""

    @abstractmethod
    def prepare(self, covariances: np.ndarray, scale: np.ndarray, floor: float, k: int) -> Prepared:
        """Factors of the covariances, which are first raised to the floor within the type: see `widths`.

        SingularCovarianceError if a covariance is not positive definite by more than rounding.
        """

    def widths(self, covariances: np.ndarray, scale: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """What the floor bounds: variances (k, d) in units of V, and their directions (k, d, d) in those units.

        They are the eigenvalues of V^-1/2 S V^-1/2, and so the least variances, where the type does not say otherwise.
        """
        values, directions = np.linalg.eigh(self.dense(covariances, k, len(scale)) / np.outer(scale, scale))
        return values, directions

    @abstractmethod
    def log_det_factors(self, factors: np.ndarray) -> np.ndarray:
        """(k,) or (1,): log determinant of the precisions' square roots."""

    @abstractmethod
    def published_factors(self, factors: np.ndarray) -> np.ndarray:
        """`precisions_cholesky_`, shaped as in scikit-learn."""

    @abstractmethod
    def kernel_factors(self, published: np.ndarray, k: int, d: int) -> np.ndarray:
        """`precisions_cholesky_` back in the shape that the kernels need."""

    @abstractmethod
    def precisions(self, factors: np.ndarray) -> np.ndarray:
        """`precisions_`, shaped as in scikit-learn."""

    @abstractmethod
    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Covariance matrices (k, d, d)."""

    @abstractmethod
    def zero_scatter(self, k: int, d: int) -> np.ndarray: ...

    @abstractmethod
    def moments(
        self,
        X: np.ndarray,
        resp: np.ndarray,
        means: np.ndarray,
        counts: np.ndarray,
        sums: np.ndarray,
        scatter: np.ndarray,
    ) -> None:
        """See `kernels.reference`."""

    @abstractmethod
    def add_matrices(self, matrices: np.ndarray, out: np.ndarray) -> None:
        """Add scatter matrices of the components (k, d, d), of which the lower triangle counts."""

    @abstractmethod
    def scatter_about(self, scatter: np.ndarray, counts: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Scatter about means moved by `shift` (k, d), the centroids' distance from the old ones."""

    @abstractmethod
    def log_density(
        self, X: np.ndarray, means: np.ndarray, factors: np.ndarray, constants: np.ndarray, out: np.ndarray
    ) -> None:
        """See `kernels.reference`."""

    @abstractmethod
    def e_step(
        self,
        rows: Rows,
        means: np.ndarray,
        factors: np.ndarray,
        constants: np.ndarray,
        hard: bool,
        counts: np.ndarray,
        sums: np.ndarray,
        scatter: np.ndarray,
    ) -> float:
        """See `kernels.reference`."""

    @abstractmethod
    def to_vector(self, covariances: np.ndarray, roots: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Unconstrained and free of units: logarithms of variances, or of the Cholesky factor's diagonal."""

    @abstractmethod
    def from_vector(self, vector: np.ndarray, k: int, scale: np.ndarray) -> np.ndarray: ...
