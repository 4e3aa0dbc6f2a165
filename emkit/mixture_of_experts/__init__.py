"""Mixtures of experts: which expert handles each input."""

from .classifier import EMMixtureOfExpertsClassifier
from .model import MixtureOfExpertsModel
from .regressor import EMMixtureOfExpertsRegressor

__all__ = ["EMMixtureOfExpertsClassifier", "EMMixtureOfExpertsRegressor", "MixtureOfExpertsModel"]
