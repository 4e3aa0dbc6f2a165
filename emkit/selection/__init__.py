"""How many components: criteria, a search over numbers and options, a test, and scorers for other searches."""

from .criteria import aic, bic, entropy, icl
from .lrt import BootstrapLRT, bootstrap_lrt
from .scorers import hidden_cells_scorer, log_likelihood_scorer
from .search import ComponentSearch

__all__ = [
    "BootstrapLRT",
    "ComponentSearch",
    "aic",
    "bic",
    "bootstrap_lrt",
    "entropy",
    "hidden_cells_scorer",
    "icl",
    "log_likelihood_scorer",
]
