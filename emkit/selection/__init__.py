"""How many components: criteria, a search over numbers and options, a test, and scorers for other searches."""

from .criteria import aic, bic, entropy, icl
from .lrt import BootstrapLRT, bootstrap_lrt

from .search import ComponentSearch

__all__ = [
    "BootstrapLRT",
    "ComponentSearch",
    "aic",
    "bic",
    "bootstrap_lrt",
    "entropy",
    "icl",
]
