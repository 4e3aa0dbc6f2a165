"""Mixtures of experts: which expert handles each input."""

from .estimator import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from .model import MixtureOfExpertsModel

__all__ = ["EMMixtureOfExpertsClassifier", "EMMixtureOfExpertsRegressor", "MixtureOfExpertsModel"]
