"""Expectation-Maximization estimators for scikit-learn."""

from ._estimator import DegenerateSolutionWarning
from .engine import ObjectiveFellWarning
from .gaussian_mixture import EMGaussianMixture
from .hidden_markov import EMHiddenMarkov

__all__ = ["DegenerateSolutionWarning", "EMGaussianMixture", "EMHiddenMarkov", "ObjectiveFellWarning"]
