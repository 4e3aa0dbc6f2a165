"""Mixtures: `model.py` is the algorithm for components of any family, `estimator.py` its scikit-learn face."""

from .model import MixtureModel, MixtureParams, MixtureStats

__all__ = ["MixtureModel", "MixtureParams", "MixtureStats"]
