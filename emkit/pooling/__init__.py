"""One analysis over several completed tables of multiple imputation, pooled by Rubin's rules."""

from .estimate import PooledEstimate
from .pool import pool

__all__ = ["PooledEstimate", "pool"]
