import numpy as np
from numpy.typing import NDArray

_Double = NDArray[np.float64]
_Index = NDArray[np.intp]
_Flags = NDArray[np.uint8]

def complete_rows(
    starts: _Index,
    observed: _Flags,
    weight: _Double,
    pulls: _Double,
    squares: _Double,
    precision: _Double,
    covariance: _Double,
    log_det: float,
    deviations: _Double,
    log_density: _Double,
    variances: _Double | None,
    spread: _Double | None,
) -> None: ...
def complete_cells(
    exact: _Flags,
    weight: _Double,
    pulls: _Double,
    squares: _Double,
    precision: _Double,
    log_det: float,
    mean: _Double,
    lower: _Double,
    upper: _Double,
    n_sweeps: int,
    tol: float,
    tau: _Double,
    nu: _Double,
    deviations: _Double,
    log_density: _Double,
    variances: _Double | None,
    spread: _Double | None,
) -> int: ...
