"""What a fitted model says of sequences: paths, delayed filters, draws, forecasts.

References
----------
.. [1] Viterbi, A. J. (1967). Error bounds for convolutional codes and an asymptotically optimum decoding algorithm.
   IEEE Trans. Inf. Theory 13(2), 260-269.
.. [2] Seshadri, N. and Sundberg, C.-E. W. (1994). List Viterbi decoding algorithms with applications. IEEE Trans.
   Commun. 42(2/3/4), 313-323. The parallel algorithm.
.. [3] Fruehwirth-Schnatter, S. (2006). Finite Mixture and Markov Switching Models. Springer. Algorithm 11.5: draws of
   paths, forwards filtering and backwards sampling.
.. [4] Hernando, D., Crespi, V. and Cybenko, G. (2005). Efficient computation of the hidden Markov model entropy for a
   given observation sequence. IEEE Trans. Inf. Theory 51(7), 2681-2685.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax, xlogy

from ..kernels import _markov as kernels
from .model import HiddenMarkovModel, HiddenMarkovParams
from .sequences import Sequences
from .smoothing import (
    blocks,
    filtered,
    filtered_in_logs,
    is_long,
    log,
    log_density,
    padded,
    row_scores,
    scaled,
    smoothed_in_logs,
    smoothed_pieces,
)

# A long path is found by blocks, which takes the way forward twice, where that costs less than fresh memory for all
# values, or where there would be too much of it.
FEW_STATES = 16
MANY_ROWS = 200_000


class Forecast(NamedTuple):
    """What comes after the end of each sequence; see `EMHiddenMarkov.forecast`.

    Attributes
    ----------
    sequence_id : list
        Of length n_sequences.
    state_proba : ndarray of shape (n_sequences, steps, n_components)
        Probabilities of the states.
    mean, variance : ndarray of shape (n_sequences, steps, n_features)
        Of the rows; of a categorical column, those of the symbol's number.
    symbol_proba : list of ndarray of shape (n_sequences, steps, n_symbols)
        Probabilities of the symbols of each categorical column; empty for other emissions.
    """

    sequence_id: list[Hashable]
    state_proba: np.ndarray  # (n_sequences, steps, K)
    mean: np.ndarray  # (n_sequences, steps, d)
    variance: np.ndarray  # (n_sequences, steps, d)
    symbol_proba: list[np.ndarray]  # for each categorical column (n_sequences, steps, n_symbols)


def posterior(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> np.ndarray:
    """Probability of each state given the whole sequence, (n, k)."""
    proba = np.empty((len(chunk.rows), len(params.startprob)))
    for start, piece, result in smoothed_pieces(model, params, chunk):
        proba[start : start + len(piece.rows)] = result.resp
    return proba


def best_path(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Log probability (s,) and states (n,) of the most probable path of each sequence ([1]_)."""
    if is_long(chunk) and (len(params.startprob) <= FEW_STATES or len(chunk.rows) > MANY_ROWS):
        return _best_long_path(model, params, chunk)
    density = log_density(model, params, chunk)
    path, log_probability = np.empty(len(density), np.intp), np.empty(len(chunk))
    entry = padded(log(params.startprob), -np.inf)
    kernels.viterbi(density, chunk.starts, entry, log(params.transmat), path, log_probability)
    if not (log_probability > -np.inf).all():
        filtered(model, params, chunk)  # names the row
    return log_probability, path


def _best_long_path(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences
) -> tuple[np.ndarray, np.ndarray]:
    """The same by blocks: forward for the values at their borders, then back, each block given the state after it."""
    k, moves = len(params.startprob), log(params.transmat)
    entry = padded(log(params.startprob), -np.inf)
    pieces = blocks(chunk)
    entries = []
    for piece in pieces:
        entries.append(entry)
        value = entry.copy()
        kernels.viterbi_forward(log_density(model, params, piece), moves, value)
        entry = padded((value[:k, None] + moves).max(axis=0), -np.inf)
    path, one = np.empty(len(chunk.rows), np.intp), np.empty(1)
    end = len(path)
    for piece, entry in zip(reversed(pieces), reversed(entries), strict=True):
        density = log_density(model, params, piece)
        if end < len(path):
            density[-1] += moves[:, path[end]]
        place = slice(end - len(density), end)
        kernels.viterbi(density, piece.starts, entry, moves, path[place], one)
        end = place.start
    log_probability = value[:k].max(keepdims=True)
    if not log_probability[0] > -np.inf:
        filtered(model, params, chunk)  # names the row
    return log_probability, path


def best_paths(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences, n_best: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities (s, n_best) and states (n, n_best) of the most probable paths ([2]_)."""
    density = log_density(model, params, chunk)
    log_probability = np.full((len(chunk), n_best), -np.inf)
    states = np.full((len(density), n_best), -1, np.intp)
    entry, moves = padded(log(params.startprob), -np.inf), log(params.transmat)
    for index, (start, end) in enumerate(zip(chunk.starts[:-1], chunk.starts[1:], strict=True)):
        n_paths = int(min(n_best, float(len(moves)) ** min(end - start, 100)))
        path = np.empty((n_paths, end - start), np.intp)
        kernels.viterbi_k_best(density[start:end], entry, moves, path, log_probability[index, :n_paths])
        states[start:end, :n_paths] = path.T
    if not (log_probability[:, 0] > -np.inf).all():
        filtered(model, params, chunk)
    return log_probability, states


def lagged(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences, lag: int) -> np.ndarray:
    """Probability of each state given the rows up to `lag` later, (n, k)."""
    lag = min(lag, int(chunk.lengths.max()) - 1)
    now, _, unsafe = filtered(model, params, chunk)
    density = scaled(model, params, chunk).density[:, : now.shape[1]]
    end = np.repeat(chunk.starts[1:], chunk.lengths)  # of the row's sequence
    row = np.arange(len(now))
    message = np.ones_like(now)
    for ahead in range(lag, 0, -1):
        inside = np.flatnonzero(row + ahead < end)
        moved = (message[inside] * density[inside + ahead]) @ params.transmat.T
        largest = moved.max(axis=1, keepdims=True)
        message[inside] = moved / np.where(largest > 0, largest, 1.0)
    proba = now * message
    total = proba.sum(axis=1, keepdims=True)
    proba /= np.where(total > 0, total, 1.0)
    lost = np.maximum.reduceat(total[:, 0] < 1e-100, chunk.starts[:-1])  # out of the range of doubles, or near it
    for index in np.flatnonzero(lost | (unsafe > 0)):
        place = slice(chunk.starts[index], chunk.starts[index + 1])
        proba[place] = _lagged_in_logs(model, params, chunk.take(np.array([index])), lag)
    return proba


def _lagged_in_logs(model: HiddenMarkovModel, params: HiddenMarkovParams, sequence: Sequences, lag: int) -> np.ndarray:
    """The same for one sequence, for probabilities of any size."""
    density, now, _ = filtered_in_logs(model, params, sequence)
    moves = log(params.transmat)
    message = np.zeros_like(density)
    for ahead in range(min(lag, len(density) - 1), 0, -1):
        inside = len(density) - ahead
        message[:inside] = np.logaddexp.reduce(moves + (density[ahead:] + message[:inside])[:, None], axis=2)
    joint = now[:, : density.shape[1]] + message
    proba: np.ndarray = softmax(joint, axis=1)
    return proba


def drawn_paths(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences, n_paths: int, rng: np.random.Generator
) -> np.ndarray:
    """Paths (n, n_paths) drawn from their posterior ([3]_)."""
    proba, _, unsafe = filtered(model, params, chunk)
    proba = np.ascontiguousarray(proba)
    states = np.empty((len(proba), n_paths), np.intp)
    for index, (start, end) in enumerate(zip(chunk.starts[:-1], chunk.starts[1:], strict=True)):
        uniform = rng.random((n_paths, end - start))
        if unsafe[index]:
            states[start:end] = _drawn_in_logs(model, params, chunk.take(np.array([index])), uniform)
            continue
        path = np.empty((n_paths, end - start), np.intp)
        kernels.sample_paths(proba[start:end], params.transmat, uniform, np.empty(proba.shape[1]), path)
        states[start:end] = path.T
    return states


def _drawn_in_logs(
    model: HiddenMarkovModel, params: HiddenMarkovParams, sequence: Sequences, uniform: np.ndarray
) -> np.ndarray:
    """Paths (n, n_paths) of one sequence, for probabilities of any size."""
    k = len(params.startprob)
    log_proba, moves = filtered_in_logs(model, params, sequence)[1][:, :k], log(params.transmat)
    n_paths, n = uniform.shape
    states = np.empty((n, n_paths), np.intp)
    given = np.zeros((n_paths, k))
    for t in reversed(range(n)):
        log_weight = log_proba[t] + given
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        cumulative = np.cumsum(weight, axis=1)
        states[t] = (cumulative <= uniform[:, t : t + 1] * cumulative[:, -1:]).sum(axis=1)
        given = moves[:, states[t]].T
    return states


def drawn_sequence(
    model: HiddenMarkovModel, params: HiddenMarkovParams, n_rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) and states (n,) of one sequence."""
    steps = np.cumsum(params.transmat, axis=1)
    steps /= steps[:, -1:]
    uniform = rng.random(n_rows)
    states = np.empty(n_rows, np.intp)
    start = np.cumsum(params.startprob)
    states[0] = np.searchsorted(start / start[-1], uniform[0], side="right")
    for t in range(1, n_rows):
        states[t] = np.searchsorted(steps[states[t - 1]], uniform[t], side="right")
    return model.family.sample(params.emission, states, rng), states


def last_states(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> np.ndarray:
    """Probabilities of the states at the end of each sequence, (s, k)."""
    return filtered(model, params, chunk).proba[chunk.starts[1:] - 1]


def forecast(
    model: HiddenMarkovModel, params: HiddenMarkovParams, ids: list[Hashable], last: np.ndarray, steps: int
) -> Forecast:
    """Distributions of the rows after the last, whose filtered states are `last` (s, k)."""
    ahead = []
    for _ in range(steps):
        last = last @ params.transmat
        last = last / last.sum(axis=1, keepdims=True)
        ahead.append(last)
    state_proba = np.stack(ahead, axis=1)
    means, variances = model.family.mean(params.emission), model.family.variance(params.emission)
    mean = state_proba @ means
    between = ((means - mean[:, :, None]) ** 2 * state_proba[..., None]).sum(axis=2)
    tables = model.family.symbol_tables(params.emission)
    within = (np.where(state_proba[..., None] > 0, variances, 0.0) * state_proba[..., None]).sum(axis=2)
    return Forecast(ids, state_proba, mean, within + between, [state_proba @ t for t in tables])


def path_entropy(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> np.ndarray:
    """Entropy of the path given its sequence, split over its rows, (n,): H(s_t | s_t+1, ...) ([4]_)."""
    chunk = chunk.reweighted(np.ones(len(chunk)))
    proba = smoothed_in_logs(model, params, chunk).resp
    now = filtered_in_logs(model, params, chunk)[1][:, : proba.shape[1]]
    entropy = -xlogy(proba, proba).sum(axis=1)  # right for the last row of each sequence
    inside = np.setdiff1d(np.arange(len(now)), chunk.starts[1:] - 1)
    for part in np.array_split(inside, 1 + inside.size * proba.shape[1] // 100_000):
        joint = now[part, :, None] + log(params.transmat)  # log p(s_t, s_t+1 | rows to t)
        given_next = np.exp(joint - np.maximum(logsumexp(joint, axis=1, keepdims=True), -1e300))
        entropy[part] = -(proba[part + 1] * xlogy(given_next, given_next).sum(axis=1)).sum(axis=1)
    return entropy


def log_likelihood(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> float:
    """Weighted sum over the sequences."""
    return float(chunk.rows.weight @ row_scores(model, params, chunk))
