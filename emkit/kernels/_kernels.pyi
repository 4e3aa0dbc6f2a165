from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float64, np.float32)

def log_density_full(
    X: NDArray[_Real],
    means: NDArray[_Real],
    factors: NDArray[_Real],
    constants: NDArray[_Real],
    out: NDArray[_Real],
) -> None: ...
def log_density_diag(
    X: NDArray[_Real],
    means: NDArray[_Real],
    scales: NDArray[_Real],
    constants: NDArray[_Real],
    out: NDArray[_Real],
) -> None: ...
def em_step_full(
    X: NDArray[_Real],
    weight: NDArray[_Real],
    means: NDArray[_Real],
    factors: NDArray[_Real],
    constants: NDArray[_Real],
    hard: bool,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    scatters: NDArray[np.float64],
) -> float: ...
def em_step_diag(
    X: NDArray[_Real],
    weight: NDArray[_Real],
    means: NDArray[_Real],
    scales: NDArray[_Real],
    constants: NDArray[_Real],
    hard: bool,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> float: ...
def factorise(
    covariances: NDArray[np.float64],
    scale: NDArray[np.float64],
    lowers: NDArray[np.float64],
    factors: NDArray[np.float64],
    log_dets: NDArray[np.float64],
    traces: NDArray[np.float64],
) -> int: ...
def log_density_missing(
    X: NDArray[np.float64],
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    constants: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
def em_step_missing(
    X: NDArray[np.float64],
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    weight: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    constants: NDArray[np.float64],
    hard: bool,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    scatters: NDArray[np.float64],
) -> float: ...
def moments_missing(
    X: NDArray[np.float64],
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    resp: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    scatters: NDArray[np.float64],
) -> None: ...
def moments_full(
    X: NDArray[_Real],
    resp: NDArray[_Real],
    means: NDArray[_Real],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    scatters: NDArray[np.float64],
) -> None: ...
def moments_diag(
    X: NDArray[_Real],
    resp: NDArray[_Real],
    means: NDArray[_Real],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None: ...
def softmax(x: NDArray[_Real], log_total: NDArray[_Real], share: NDArray[_Real]) -> None: ...
