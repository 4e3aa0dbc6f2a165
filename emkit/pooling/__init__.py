"""One analysis over several completed tables of multiple imputation, pooled by Rubin's rules."""

from .analyses import pool
from .estimate import PooledEstimate

__all__ = ["PooledEstimate", "pool"]
