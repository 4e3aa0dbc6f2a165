r"""A plain NumPy twin of each kernel of hidden Markov chains: what it computes, and the oracle of its test.

Names and signatures are those of the kernels. Letters: n rows, s sequences, k states. Row t has the density
:math:`b_t(j)` in state j; :math:`\pi` are the probabilities of the states at the first row of a sequence and A those of
the next state (column) given the present one (row). A *sequence* i is the rows ``starts[i]`` to ``starts[i + 1] - 1``;
none is empty, the first begins at 0 and the last ends at n. Natural logs throughout.

*Width.* Some arrays have rows of the width ``padded_width(k)``, a multiple of the vector length: what lies behind the
first k values must be zero, or -inf where the array holds logs; in results too, unless it is said to have no meaning.

The twins work in log space and trust their input: shapes, dtypes, no NaN. The kernels check shapes (ValueError), and
those that multiply probabilities flag the sequences for which doubles do not suffice; see `forward_backward`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.uint8]

LANES = 4  # of a vector of 32 bytes
LEAST = 1e-300


def padded_width(k: int) -> int:
    """The least multiple of the vector length, in doubles, that is not below k."""
    return -(-k // LANES) * LANES


def scale_rows(log_density: Double, density: Double, log_scale: Double) -> None:
    r"""Densities relative to the largest of their row, so that they do not underflow.

    .. math:: log\_scale_t = \max_j \log b_t(j), \quad density_{tj} = \exp(\log b_t(j) - log\_scale_t)

    Parameters
    ----------
    log_density : float64 (n, k)
        -inf where a state cannot have made the row.
    density : float64 (n, width)
        Overwritten. 1e-300 stands for what is smaller but not zero, so that zero means impossible. A row of nothing but
        -inf becomes zeros.
    log_scale : float64 (n,)
        Overwritten; -inf for a row of nothing but -inf.
    """
    k = log_density.shape[1]
    log_scale[:] = log_density.max(axis=1)
    density[:] = 0.0
    possible = log_density > -np.inf
    with np.errstate(invalid="ignore"):
        scaled = np.exp(log_density - log_scale[:, np.newaxis])
    density[:, :k] = np.where(possible, np.maximum(scaled, LEAST), 0.0)


def forward_backward(
    density: Double,
    log_scale: Double,
    starts: Index,
    weight: Double,
    entry: Double,
    transmat: Double,
    log_likelihood: Double,
    unsafe: Flags,
    first: Double,
    pairs: Double,
) -> None:
    r"""Probabilities of states and transitions given whole sequences, weighted; O(n k^2).

    With :math:`\alpha_t(j) = p(x_1, ..., x_t, s_t = j)` and :math:`\beta_t(j) = p(x_{t+1}, ... | s_t = j)`, a sequence
    of weight w has the likelihood :math:`L = \sum_j \alpha_T(j) \beta_T(j)` and

    .. math:: density_{tj} \leftarrow w \alpha_t(j) \beta_t(j) / L,
       \quad first_j \mathrel{+}= w \alpha_1(j) \beta_1(j) / L,
       \quad pairs_{ij} \mathrel{+}= w \sum_t \alpha_t(i) A_{ij} b_{t+1}(j) \beta_{t+1}(j) / L

    Parameters
    ----------
    density : float64 (n, width)
        Densities over ``exp(log_scale)``, as of `scale_rows`. Overwritten by the responsibilities times weight.
    log_scale : float64 (n,)
    starts : intp (s + 1,)
    weight : float64 (s,)
    entry : float64 (width,)
        :math:`\pi`.
    transmat : float64 (k, k)
        A.
    log_likelihood : float64 (s,)
        Overwritten by log L, without the weight.
    unsafe : uint8 (s,)
        Overwritten: 1 for sequences whose probabilities leave the range of doubles, else 0. For these nothing is added,
        and their rows of `density` and their log-likelihood have no meaning. The kernel sets it if the scaled density
        of a row given those before is below 1e-150. If A has entries below 1e-60 (zeros, as a rule), it sets it also if
        that of a row and one of its states is, unless the state is impossible there: it may be the one that later rows
        prove right. This twin computes always and sets 0.
    first : float64 (k,)
    pairs : float64 (k, k)
        Added to.
    """
    k = len(transmat)
    log_moves = _log(transmat)
    for i, rows in enumerate(_sequences(starts)):
        log_b = _log(density[rows, :k])
        log_alpha = _forward(log_b, _log(entry[:k]), log_moves)
        log_beta = np.zeros_like(log_b)
        for t in range(len(log_b) - 2, -1, -1):
            log_beta[t] = _log_sum(log_moves + log_b[t + 1] + log_beta[t + 1], axis=1)
        seen = _log_sum(log_alpha[-1])
        joint = log_alpha[:-1, :, np.newaxis] + log_moves + (log_b[1:] + log_beta[1:])[:, np.newaxis]
        pairs += weight[i] * np.exp(joint - seen).sum(axis=0)
        density[rows, :k] = weight[i] * np.exp(log_alpha + log_beta - seen)
        first += density[rows.start, :k]
        log_likelihood[i] = seen + log_scale[rows].sum()
        unsafe[i] = 0


def forward(density: Double, entry: Double, transmat: Double, alpha: Double, inverse: Double) -> float:
    r"""The way forward over one sequence, or over a block of one.

    .. math:: inverse_t^{-1} = p(x_t | x_1, ..., x_{t-1}),
       \quad alpha_{tj} = inverse_t^{-1} p(s_t = j | x_1, ..., x_t)

    Parameters
    ----------
    density : float64 (n, width)
        Over whatever scale of the row; `inverse` has its reciprocal. Read only.
    entry : float64 (width,)
        Of a block that is not the first: the distribution of the state at its first row given all earlier rows.
    transmat : float64 (k, k)
    alpha : float64 (n, width)
        Overwritten.
    inverse : float64 (n + 4 + width,) or more
        The first n are overwritten; the others are room for the kernel.

    Returns
    -------
    float
        Sum of the logs of the normalisers; NaN where `forward_backward` would set `unsafe`, which the twin does not.
    """
    n, k = len(density), len(transmat)
    normaliser, unsafe = np.empty(n), np.empty(1, np.uint8)
    filter_rows(density, np.array([0, n]), entry, transmat, alpha, normaliser, unsafe)
    alpha[:, :k] *= normaliser[:, np.newaxis]
    inverse[:n] = 1 / normaliser
    return float(np.log(normaliser).sum())


def backward(
    density: Double,
    alpha: Double,
    inverse: Double,
    weight: float,
    transmat: Double,
    tail: Double | None,
    head: Double,
    pairs: Double,
) -> None:
    r"""The way back, from what `forward` gave.

    With :math:`\beta_T = 1`, or A tail, it is :math:`head_t = density_t \beta_t inverse_t`,
    :math:`\beta_{t-1} = A head_t`, and the statistics are those of `forward_backward`.

    Parameters
    ----------
    density : float64 (n, width)
        Overwritten by the responsibilities times weight.
    alpha, inverse
        As `forward` left them.
    weight : float
    transmat : float64 (k, k)
    tail : float64 (width,) or None
        The `head` of the block that follows; None if there is none. The transition to it is counted here.
    head : float64 (width,)
        Overwritten by that of the first row. Without meaning in states that are impossible there.
    pairs : float64 (k, k)
        Added to.
    """
    n, k = len(density), len(transmat)
    filtered = alpha[:, :k] * inverse[:n, np.newaxis]
    beta = np.ones(k)
    if tail is not None:
        beta = transmat @ tail[:k]
        pairs += weight * np.outer(filtered[-1], tail[:k]) * transmat
    for t in reversed(range(n)):
        message = density[t, :k] * beta * inverse[t]
        density[t, :k] = weight * filtered[t] * beta
        if t:
            pairs += weight * np.outer(filtered[t - 1], message) * transmat
            beta = transmat @ message
    head[:] = 0.0
    head[:k] = message


def filter_rows(
    density: Double,
    starts: Index,
    entry: Double,
    transmat: Double,
    filtered: Double,
    normaliser: Double,
    unsafe: Flags,
) -> None:
    r"""Probabilities of states given the rows so far; O(n k^2).

    .. math:: normaliser_t = p(x_t | x_1, ..., x_{t-1}), \quad filtered_{tj} = p(s_t = j | x_1, ..., x_t)

    Parameters
    ----------
    density : float64 (n, width)
        Over whatever scale of the row; `normaliser` has the same. Read only, unless it is `filtered`.
    starts, entry, transmat
        As for `forward_backward`.
    filtered : float64 (n, width)
        Overwritten; it may be `density` itself.
    normaliser : float64 (n,)
        Overwritten.
    unsafe : uint8 (s,)
        As for `forward_backward`: where it is 1, `filtered` has no meaning and `normaliser` is not written.
    """
    k = len(transmat)
    for i, rows in enumerate(_sequences(starts)):
        log_alpha = _forward(_log(density[rows, :k]), _log(entry[:k]), _log(transmat))
        totals = _log_sum(log_alpha, axis=1)
        filtered[rows] = 0.0
        filtered[rows, :k] = np.exp(log_alpha - totals[:, np.newaxis])
        normaliser[rows] = np.exp(np.diff(totals, prepend=0.0))
        unsafe[i] = 0


def log_filter(
    log_density: Double,
    starts: Index,
    log_entry: Double,
    log_transmat: Double,
    log_alpha: Double,
    log_normaliser: Double,
) -> int:
    r"""The same in logs, for densities of any size.

    .. math:: log\_normaliser_t = \log p(x_t | x_1, ..., x_{t-1}),
       \quad log\_alpha_{tj} = \log p(s_t = j | x_1, ..., x_t)

    Parameters
    ----------
    log_density : float64 (n, k)
    starts : intp (s + 1,)
    log_entry : float64 (width,)
        -inf from k on.
    log_transmat : float64 (k, k)
    log_alpha : float64 (n, width)
        The first k columns are overwritten; what is behind them has no meaning.
    log_normaliser : float64 (n,)
        Overwritten.

    Returns
    -------
    int
        The first row of probability zero, at which the computation ends; -1 if there is none.
    """
    k = len(log_transmat)
    for rows in _sequences(starts):
        for t in range(rows.start, rows.stop):
            before = log_alpha[t - 1, :k, np.newaxis]
            reach = log_entry[:k] if t == rows.start else _log_sum(before + log_transmat, axis=0)
            joint = reach + log_density[t]
            log_normaliser[t] = _log_sum(joint)
            if log_normaliser[t] == -np.inf:
                return t
            log_alpha[t, :k] = joint - log_normaliser[t]
    return -1


def log_smooth(
    log_density: Double,
    starts: Index,
    weight: Double,
    log_transmat: Double,
    log_normaliser: Double,
    log_alpha: Double,
    first: Double,
    pairs: Double,
) -> None:
    """What `forward_backward` gives, from the results of `log_filter`.

    Parameters
    ----------
    log_density, starts, log_transmat, log_normaliser
        Those of `log_filter`, unchanged.
    weight : float64 (s,)
    log_alpha : float64 (n, width)
        That of `log_filter`. Overwritten by the responsibilities times weight (no logs), zero from column k on.
    first : float64 (k,)
    pairs : float64 (k, k)
        Added to, as in `forward_backward`.
    """
    k = len(log_transmat)
    for w, rows in zip(weight, _sequences(starts), strict=True):
        log_beta = np.zeros(k)
        for t in range(rows.stop - 1, rows.start - 1, -1):
            message = log_density[t] + log_beta - log_normaliser[t]
            log_resp = log_alpha[t, :k] + log_beta
            log_alpha[t] = 0.0
            log_alpha[t, :k] = w * np.exp(log_resp)
            if t > rows.start:
                pairs += w * np.exp(log_alpha[t - 1, :k, np.newaxis] + log_transmat + message)
                log_beta = _log_sum(log_transmat + message, axis=1)
        first += log_alpha[rows.start, :k]


def viterbi(
    log_density: Double,
    starts: Index,
    log_entry: Double,
    log_transmat: Double,
    path: Index,
    log_probability: Double,
) -> None:
    r"""The most probable path of each sequence; O(n k^2).

    .. math:: \max_{s_1, ..., s_T} \log \pi_{s_1} + \log b_1(s_1) + \sum_{t > 1} \log A_{s_{t-1} s_t} + \log b_t(s_t)

    Parameters
    ----------
    log_density, starts, log_entry, log_transmat
        As for `log_filter`.
    path : intp (n,)
        Overwritten. Of paths that are equal to the last bit, the one with the lowest last state, and so on backwards.
    log_probability : float64 (s,)
        Overwritten; -inf if no path is possible, and then the path has no meaning.
    """
    k = len(log_transmat)
    for i, rows in enumerate(_sequences(starts)):
        value = log_entry[:k] + log_density[rows.start]
        came_from = []
        for t in range(rows.start + 1, rows.stop):
            through = value[:, np.newaxis] + log_transmat
            came_from.append(through.argmax(axis=0))
            value = through.max(axis=0) + log_density[t]
        state = int(value.argmax())
        log_probability[i] = value[state]
        path[rows.stop - 1] = state
        for t in range(rows.stop - 2, rows.start - 1, -1):
            path[t] = state = came_from[t - rows.start][state]


def viterbi_forward(log_density: Double, log_transmat: Double, value: Double) -> None:
    r"""The way forward of `viterbi` over a block of one sequence.

    .. math:: value_j \leftarrow \max_{s_1, ..., s_T = j} value_{s_1} + \log b_1(s_1)
       + \sum_{t > 1} \log A_{s_{t-1} s_t} + \log b_t(s_t)

    Parameters
    ----------
    log_density : float64 (n, k)
    log_transmat : float64 (k, k)
    value : float64 (width,)
        Overwritten; before, that of each state at the first row, without its density. -inf from k on.
    """
    k = len(log_transmat)
    for t, row in enumerate(log_density):
        before = value[:k] if t == 0 else (value[:k, np.newaxis] + log_transmat).max(axis=0)
        value[:k] = before + row


def viterbi_k_best(
    log_density: Double, log_entry: Double, log_transmat: Double, path: Index, log_probability: Double
) -> None:
    """The most probable paths of one sequence, by extending the best prefixes into each state (list Viterbi).

    Parameters
    ----------
    log_density : float64 (n, k)
        Of one sequence, n >= 1.
    log_entry : float64 (k or more,)
        Only the first k count.
    log_transmat : float64 (k, k)
    path : intp (n_best, n)
        Overwritten by different paths, the most probable first; ties in any order. -1 where there are fewer possible
        paths than n_best.
    log_probability : float64 (n_best,)
        Overwritten; falling, -inf where there is no path.
    """
    k, n_best = len(log_transmat), len(path)
    prefixes: list[list[tuple[float, tuple[int, ...]]]] = [
        [(float(log_entry[j] + log_density[0, j]), (j,))] for j in range(k)
    ]
    for row in log_density[1:]:
        prefixes = [
            heapq.nlargest(
                n_best,
                (
                    (p + float(log_transmat[states[-1], j] + row[j]), (*states, j))
                    for of in prefixes
                    for p, states in of
                ),
                key=lambda prefix: prefix[0],
            )
            for j in range(k)
        ]
    every = [prefix for of in prefixes for prefix in of if prefix[0] > -np.inf]
    log_probability[:], path[:] = -np.inf, -1
    for r, (p, states) in enumerate(heapq.nlargest(n_best, every, key=lambda prefix: prefix[0])):
        log_probability[r], path[r] = p, states


def sample_paths(filtered: Double, transmat: Double, uniform: Double, room: Double, path: Index) -> None:
    r"""Draws from the posterior of one sequence, from the last row back.

    .. math:: p(s_t = j | s_{t+1}, x) \propto filtered_{tj} A_{j s_{t+1}}

    Each is drawn by inverse CDF: the first state of which the cumulative weight exceeds `uniform` times the total.

    Parameters
    ----------
    filtered : float64 (n, k or more)
        Of `filter_rows`; columns from k on are not read.
    transmat : float64 (k, k)
    uniform : float64 (n_paths, n)
        In [0, 1); one number for each draw of a state.
    room : float64 (k,)
        Work space.
    path : intp (n_paths, n)
        Overwritten.
    """
    n, k = len(filtered), len(transmat)
    for states, chance in zip(path, uniform, strict=True):
        for t in range(n - 1, -1, -1):
            room[:] = np.cumsum(filtered[t, :k] * (transmat[:, states[t + 1]] if t + 1 < n else 1.0))
            states[t] = np.searchsorted(room, chance[t] * room[-1], side="right")


def _sequences(starts: Index) -> Iterator[slice]:
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield slice(start, stop)


def _log(values: Double) -> Double:
    with np.errstate(divide="ignore"):
        logs: Double = np.log(values)
    return logs


def _log_sum(logs: Double, axis: int = 0) -> Double:
    """Log of the sum of exponentials."""
    total: Double = np.logaddexp.reduce(logs, axis=axis)
    return total


def _forward(log_b: Double, log_entry: Double, log_moves: Double) -> Double:
    """log alpha (n, k)."""
    log_alpha = np.empty_like(log_b)
    log_alpha[0] = log_entry + log_b[0]
    for t in range(1, len(log_b)):
        log_alpha[t] = _log_sum(log_alpha[t - 1][:, np.newaxis] + log_moves, axis=0) + log_b[t]
    return log_alpha
