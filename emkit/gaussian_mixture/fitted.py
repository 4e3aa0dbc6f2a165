"""The model that belongs to given parameters, which no floor changes."""

from __future__ import annotations

import numpy as np

from ..families.covariance import Covariance
from ..families.gaussian import GaussianFamily
from .model import GaussianMixtureModel, GaussianMixtureParams


def model_of(
    covariance: Covariance, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray, dtype: np.dtype
) -> tuple[GaussianMixtureModel, GaussianMixtureParams]:
    """For rows of a dtype. SingularCovarianceError if a covariance is not positive definite."""
    weights, means, covariances = (np.asarray(part, dtype=np.float64) for part in (weights, means, covariances))
    variances = np.diagonal(covariance.dense(covariances, *means.shape), axis1=1, axis2=2)
    family = GaussianFamily(covariance, len(means), np.sqrt(variances.mean(axis=0)), 0.0, dtype)
    return GaussianMixtureModel(family), GaussianMixtureParams(weights, family.params(means, covariances))
