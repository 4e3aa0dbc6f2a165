"""Expectation-Maximization estimators for scikit-learn."""

from ._estimator import DegenerateSolutionWarning
from .engine import ObjectiveFellWarning
from .gaussian_mixture import EMGaussianMixture

__all__ = ["DegenerateSolutionWarning", "EMGaussianMixture", "ObjectiveFellWarning"]
