"""Gaussian mixtures: `model.py` is the algorithm, `estimator.py` its scikit-learn face."""

from .estimator import EMGaussianMixture
from .model import GaussianMixtureModel, GaussianMixtureParams, GaussianMixtureStats

__all__ = ["EMGaussianMixture", "GaussianMixtureModel", "GaussianMixtureParams", "GaussianMixtureStats"]
