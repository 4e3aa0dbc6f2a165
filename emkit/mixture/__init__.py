"""Mixtures: `model.py` is the algorithm for components of any family, `estimator.py` its scikit-learn face."""

from .estimator import EMMixture
from .model import MixtureModel, MixtureParams, MixtureStats

__all__ = ["EMMixture", "MixtureModel", "MixtureParams", "MixtureStats"]
