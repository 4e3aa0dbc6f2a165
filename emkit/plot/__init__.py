"""Pictures of fitted models and of tables. Matplotlib is imported when something is drawn."""

from .convergence import ConvergenceDisplay
from .experts import ExpertsDisplay
from .imputation import MissingnessDisplay
from .mixture import MixtureDisplay
from .overimputation import OverimputationDisplay
from .search import ComponentSearchDisplay
from .states import StateDisplay
from .topics import TopicDisplay

__all__ = [
    "ComponentSearchDisplay",
    "ConvergenceDisplay",
    "ExpertsDisplay",
    "MissingnessDisplay",
    "MixtureDisplay",
    "OverimputationDisplay",
    "StateDisplay",
    "TopicDisplay",
]
