"""Expectation-Maximization estimators for scikit-learn."""

from ._version import __version__
from ._warnings import DegenerateSolutionWarning
from .engine import ObjectiveFellWarning
from .gaussian_mixture import EMGaussianMixture
from .hidden_markov import EMHiddenMarkov
from .imputer import EMImputer
from .mixture import EMMixture
from .mixture_of_experts import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from .pooling import PooledEstimate, pool
from .selection import ComponentSearch
from .topic_model import EMTopicModel

__all__ = [
    "ComponentSearch",
    "DegenerateSolutionWarning",
    "EMGaussianMixture",
    "EMHiddenMarkov",
    "EMImputer",
    "EMMixture",
    "EMMixtureOfExpertsClassifier",
    "EMMixtureOfExpertsRegressor",
    "EMTopicModel",
    "ObjectiveFellWarning",
    "PooledEstimate",
    "__version__",
    "pool",
]
