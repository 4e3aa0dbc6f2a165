"""Tables with missing cells: EMImputer and the models behind it."""

from .estimator import EMImputer

__all__ = ["EMImputer"]
