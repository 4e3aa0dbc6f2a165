from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float64, np.float32)
_Double = NDArray[np.float64]
_Index = NDArray[np.intp]
_Terms = NDArray[np.int32]

def topic_sweeps(
    starts: _Index,
    terms: _Terms,
    counts: NDArray[_Real],
    weight: NDArray[_Real] | None,
    topics: NDArray[_Real],
    prior: NDArray[_Real],
    n_topics: int,
    digamma: bool,
    n_sweeps: int,
    tol: float,
    pseudo: NDArray[_Real],
    sums: NDArray[_Real] | None,
    used: NDArray[_Real] | None,
    log_likelihood: _Double | None,
) -> None: ...
def topic_log_likelihood(
    starts: _Index,
    terms: _Terms,
    counts: NDArray[_Real],
    topics: NDArray[_Real],
    weights: NDArray[_Real],
    log_likelihood: _Double,
) -> None: ...
def topic_sweep_collapsed(
    starts: _Index,
    terms: _Terms,
    counts: NDArray[_Real],
    weight: NDArray[_Real] | None,
    topics: NDArray[_Real],
    totals: NDArray[_Real],
    prior: NDArray[_Real],
    own: bool,
    resp: NDArray[_Real],
    sums: NDArray[_Real] | None,
    log_likelihood: _Double,
) -> None: ...
def expected_counts(topics: NDArray[_Real], sums: NDArray[_Real], counts: NDArray[np.float64]) -> None: ...
def topic_shares(pseudo: NDArray[np.float64], inverse_totals: NDArray[np.float64], topics: NDArray[_Real]) -> None: ...
def sum_of_logs(values: NDArray[np.float64]) -> float: ...
