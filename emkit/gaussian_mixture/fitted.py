"""The model that belongs to given parameters, which no floor changes."""

from __future__ import annotations

import numpy as np

from ..families.covariance import Covariance
from ..families.gaussian import GaussianFamily
from ..mixture.model import MixtureModel, MixtureParams
from ..mixture.noise import WithNoise


def model_of(
    covariance: Covariance,
    weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    dtype: np.dtype,
    noise_range: np.ndarray | None = None,
) -> tuple[MixtureModel, MixtureParams]:
    """For rows of a dtype; with a range (2, d) the last of the weights is that of noise.

    SingularCovarianceError if a covariance is not positive definite.
    """
    weights, means, covariances = (np.asarray(part, dtype=np.float64) for part in (weights, means, covariances))
    variances = np.diagonal(covariance.dense(covariances, *means.shape), axis1=1, axis2=2)
    family = GaussianFamily(covariance, len(means), np.sqrt(variances.mean(axis=0)), 0.0, dtype)
    components = family.params(means, covariances)
    whole = family if noise_range is None else WithNoise(family, *noise_range.astype(np.float64))
    return MixtureModel(whole), MixtureParams(weights, components)
