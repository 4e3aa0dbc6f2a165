import numpy as np
from numpy.typing import NDArray

_Double = NDArray[np.float64]
_Index = NDArray[np.intp]
_Flags = NDArray[np.uint8]

def padded_width(k: int) -> int: ...
def scale_rows(log_density: _Double, density: _Double, log_scale: _Double) -> None: ...
def forward_backward(
    density: _Double,
    log_scale: _Double,
    starts: _Index,
    weight: _Double,
    entry: _Double,
    transmat: _Double,
    log_likelihood: _Double,
    unsafe: _Flags,
    first: _Double,
    pairs: _Double,
) -> None: ...
def forward(density: _Double, entry: _Double, transmat: _Double, alpha: _Double, inverse: _Double) -> float: ...
def backward(
    density: _Double,
    alpha: _Double,
    inverse: _Double,
    weight: float,
    transmat: _Double,
    tail: _Double | None,
    head: _Double,
    pairs: _Double,
) -> None: ...
def filter_rows(
    density: _Double,
    starts: _Index,
    entry: _Double,
    transmat: _Double,
    filtered: _Double,
    normaliser: _Double,
    unsafe: _Flags,
) -> None: ...
def log_filter(
    log_density: _Double,
    starts: _Index,
    log_entry: _Double,
    log_transmat: _Double,
    log_alpha: _Double,
    log_normaliser: _Double,
) -> int: ...
def log_smooth(
    log_density: _Double,
    starts: _Index,
    weight: _Double,
    log_transmat: _Double,
    log_normaliser: _Double,
    log_alpha: _Double,
    first: _Double,
    pairs: _Double,
) -> None: ...
def viterbi(
    log_density: _Double,
    starts: _Index,
    log_entry: _Double,
    log_transmat: _Double,
    path: _Index,
    log_probability: _Double,
) -> None: ...
def viterbi_k_best(
    log_density: _Double,
    log_entry: _Double,
    log_transmat: _Double,
    path: _Index,
    log_probability: _Double,
) -> None: ...
def sample_paths(
    filtered: _Double,
    transmat: _Double,
    uniform: _Double,
    room: _Double,
    path: _Index,
) -> None: ...
def viterbi_forward(log_density: _Double, log_transmat: _Double, value: _Double) -> None: ...
