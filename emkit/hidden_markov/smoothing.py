"""Forward and backward over chunks of sequences, in the form that suits their length.

Ordinary chunks go through one kernel. A long sequence is taken in blocks: a first pass keeps the filtered state at the
border of each block, a second one, from the last block to the first, computes the rest. So the work memory is one
block and the borders, O(sqrt(n) k), not O(n k) ([1]_). Sequences whose probabilities leave the range of doubles are
computed in logarithms.

References
----------
.. [1] Grice, J. A., Hughey, R. and Speck, D. (1997). Reduced space sequence alignment. CABIOS 13(1), 45-53. Checkpoints
   a square root of the length apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..chunks import Rows
from ..engine import UnusableStartError
from ..families.base import log
from ..kernels import _markov as kernels
from .sequences import Sequences

if TYPE_CHECKING:
    from .model import HiddenMarkovModel, HiddenMarkovParams

LONG = 20_000  # rows from which on a sequence is taken in blocks
LEAST_BLOCK = 4_096
KEPT_BYTES = 2**26  # of densities that the second pass need not compute again


class ImpossibleRowError(UnusableStartError):
    """A sequence that the model cannot have made; `row` is the first row of the chunk that shows it."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row

    def __str__(self) -> str:
        return (
            f"row {self.row} has probability zero under the model, given the rows before it in its sequence: no state "
            "that can be reached there, and that a label allows, may have such a value"
        )


class Smoothed(NamedTuple):
    """Of whole sequences. Sample weights are included, except in `log_likelihood`."""

    resp: np.ndarray  # (n, k): probability of each state given its sequence, times the weight
    log_likelihood: np.ndarray  # (s,)
    first: np.ndarray  # (k,): expected number of sequences that start in each state
    pairs: np.ndarray  # (k, k): expected number of transitions


class Filtered(NamedTuple):
    proba: np.ndarray  # (n, k): probability of each state given the rows so far
    log_normaliser: np.ndarray  # (n,): log p(row | rows before)
    unsafe: np.ndarray  # (s,): sequences whose probabilities had to be computed in logarithms


class Scaled(NamedTuple):
    density: np.ndarray  # (n, width): densities over the largest of their row
    log_scale: np.ndarray  # (n,)


def aligned(n: int, width: int) -> np.ndarray:
    """An uninitialised array whose rows the kernels need not read across cache lines."""
    buffer = np.empty(n * width + 8)
    start = (-buffer.ctypes.data // 8) % 8
    return buffer[start : start + n * width].reshape(n, width)


def padded(values: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Values (k,) with `fill` behind them, up to the width of the kernels."""
    out = np.full(kernels.padded_width(len(values)), fill)
    out[: len(values)] = values
    return out


def log_density(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> np.ndarray:
    """log p(row; state), (n, k); -inf for states that a known label rules out."""
    out = np.ascontiguousarray(model.family.log_density(params.emission, chunk.rows), dtype=np.float64)
    if chunk.labels is not None:
        known = chunk.labels >= 0
        others = np.arange(out.shape[1]) != chunk.labels[:, None]
        out = np.where(known[:, None] & others, -np.inf, out)
    return out


def scaled(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> Scaled:
    width = kernels.padded_width(len(params.startprob))
    if chunk.labels is None and hasattr(model.family, "scaled_density"):
        return Scaled(*model.family.scaled_density(params.emission, chunk.rows, width))
    out = Scaled(aligned(len(chunk.rows), width), np.empty(len(chunk.rows)))
    kernels.scale_rows(log_density(model, params, chunk), *out)
    return out


def is_long(chunk: Sequences) -> bool:
    """Whether the chunk is one sequence that is taken in blocks."""
    return len(chunk) == 1 and len(chunk.rows) >= LONG


def filtered(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> Filtered:
    """Each row given its past; O(n k^2) time."""
    result = Filtered(
        np.empty((len(chunk.rows), len(params.startprob))), np.empty(len(chunk.rows)), np.zeros(len(chunk), np.uint8)
    )
    for place, proba, log_normaliser, unsafe in _filter(model, params, chunk):
        result.proba[place] = proba
        result.log_normaliser[place] = log_normaliser
        result.unsafe[:] |= unsafe
    if result.unsafe.any():
        rows, part = _take(chunk, np.flatnonzero(result.unsafe))
        _, log_proba, log_normaliser = filtered_in_logs(model, params, part, rows)
        result.proba[rows] = np.exp(log_proba[:, : result.proba.shape[1]])
        result.log_normaliser[rows] = log_normaliser
    return result


def row_scores(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> np.ndarray:
    """log p(row | rows before) alone, (n,)."""
    scores = np.empty(len(chunk.rows))
    for place, _, log_normaliser, unsafe in _filter(model, params, chunk):
        if unsafe.any():
            return filtered(model, params, chunk).log_normaliser
        scores[place] = log_normaliser
    return scores


def _filter(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows and `Filtered` of the chunk, or of each block of a long sequence; of unsafe sequences without meaning."""
    k = len(params.startprob)
    entry, start = padded(params.startprob), 0
    for piece in blocks(chunk) if is_long(chunk) else [chunk]:
        density, log_scale = scaled(model, params, piece)
        normaliser, unsafe = np.zeros(len(density)), np.zeros(len(piece), np.uint8)
        kernels.filter_rows(density, piece.starts, entry, params.transmat, density, normaliser, unsafe)
        yield slice(start, start + len(density)), density[:, :k], log(normaliser) + log_scale, unsafe
        entry, start = padded(density[-1, :k] @ params.transmat), start + len(density)


def smoothed(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> Smoothed:
    """Each row given its whole sequence; O(n k^2) time."""
    k = len(params.startprob)
    density, log_scale = scaled(model, params, chunk)
    log_likelihood, unsafe = np.zeros(len(chunk)), np.zeros(len(chunk), np.uint8)
    result = Smoothed(density[:, :k], log_likelihood, np.zeros(k), np.zeros((k, k)))
    kernels.forward_backward(
        density, log_scale, chunk.starts, chunk.weight, padded(params.startprob), params.transmat, log_likelihood,
        unsafe, result.first, result.pairs,
    )  # fmt: skip
    if unsafe.any():
        which = np.flatnonzero(unsafe)
        place, part = _take(chunk, which)
        exact = smoothed_in_logs(model, params, part, place)
        result.resp[place] = exact.resp
        log_likelihood[which] = exact.log_likelihood
        result.first[:] += exact.first
        result.pairs[:] += exact.pairs
    return result


def smoothed_pieces(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences
) -> Iterator[tuple[int, Sequences, Smoothed]]:
    """The same, as the pieces in which it is computed: where each begins, its rows, and their share of the sums."""
    if not is_long(chunk):
        yield 0, chunk, smoothed(model, params, chunk)
        return
    pieces = list(_forward_pass(model, params, chunk))
    if any(np.isnan(piece.log_likelihood) for piece in pieces):
        yield 0, chunk, smoothed_in_logs(model, params, chunk)
    else:
        yield from _backward_pass(model, params, pieces)


def smoothed_in_logs(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences, place: np.ndarray | None = None
) -> Smoothed:
    """The same in logarithms: several times slower, for densities of any size."""
    k = len(params.startprob)
    density, state, normaliser = filtered_in_logs(model, params, chunk, place)
    first, pairs = np.zeros(k), np.zeros((k, k))
    kernels.log_smooth(density, chunk.starts, chunk.weight, log(params.transmat), normaliser, state, first, pairs)
    return Smoothed(state[:, :k], np.add.reduceat(normaliser, chunk.starts[:-1]), first, pairs)


def filtered_in_logs(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences, place: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log densities, filtered log probabilities (n, width) and log normalisers; `place` are the rows for messages."""
    density = log_density(model, params, chunk)
    state, normaliser = aligned(len(density), kernels.padded_width(density.shape[1])), np.empty(len(density))
    entry = padded(log(params.startprob), -np.inf)
    impossible = kernels.log_filter(density, chunk.starts, entry, log(params.transmat), state, normaliser)
    if impossible >= 0:
        raise ImpossibleRowError(impossible if place is None else int(place[impossible]))
    return density, state, normaliser


def _take(chunk: Sequences, which: np.ndarray) -> tuple[np.ndarray, Sequences]:
    """Some of the sequences, and the rows at which they stand."""
    place = [np.arange(chunk.starts[index], chunk.starts[index + 1]) for index in which]
    return np.concatenate(place), chunk.take(which)


def blocks(chunk: Sequences) -> list[Sequences]:
    """The pieces of one long sequence, about the square root of its length each."""
    n = len(chunk.rows)
    size, labels = max(LEAST_BLOCK, math.isqrt(n)), chunk.labels
    return [
        Sequences(
            Rows(chunk.rows.X[start : start + size], chunk.rows.weight[start : start + size]),
            np.array([0, min(size, n - start)]),
            None if labels is None else labels[start : start + size],
        )
        for start in range(0, n, size)
    ]


class _Forward(NamedTuple):
    """What the way forward leaves of a block for the way back."""

    start: int
    piece: Sequences
    entry: np.ndarray  # (width,): probabilities of the states at the first row given the rows before
    log_likelihood: float  # of the rows given those before; NaN where doubles do not suffice
    work: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # see _forward; None where memory is to be spared


def _forward_pass(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> Iterator[_Forward]:
    """The blocks of one long sequence, from the first to the last."""
    k = len(params.startprob)
    keeps = 2 * len(chunk.rows) * kernels.padded_width(k) * 8 <= KEPT_BYTES
    entry, start = padded(params.startprob), 0
    for piece in blocks(chunk):
        (density, alpha, inverse), log_likelihood = _forward(model, params, piece, entry)
        yield _Forward(start, piece, entry, log_likelihood, (density, alpha, inverse) if keeps else None)
        if np.isnan(log_likelihood):
            return
        start += len(density)
        entry = padded((alpha[-1, :k] * inverse[len(density) - 1]) @ params.transmat)


def _forward(
    model: HiddenMarkovModel, params: HiddenMarkovParams, piece: Sequences, entry: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
    """Densities and what `kernels.forward` leaves of them; and the log-likelihood."""
    density, log_scale = scaled(model, params, piece)
    n, width = density.shape
    alpha, inverse = aligned(n, width), np.empty(n + 4 + width)
    log_likelihood = kernels.forward(density, entry, params.transmat, alpha, inverse)
    return (density, alpha, inverse), log_likelihood + float(log_scale.sum())


def _backward_pass(
    model: HiddenMarkovModel, params: HiddenMarkovParams, pieces: list[_Forward]
) -> Iterator[tuple[int, Sequences, Smoothed]]:
    """The blocks from the last to the first; `log_likelihood` is that of a block given those before."""
    k = len(params.startprob)
    tail = None
    while pieces:
        start, piece, entry, log_likelihood, work = pieces.pop()
        density, alpha, inverse = work or _forward(model, params, piece, entry)[0]
        head, pairs = np.empty(density.shape[1]), np.zeros((k, k))
        kernels.backward(density, alpha, inverse, piece.rows.weight[0], params.transmat, tail, head, pairs)
        first = density[0, :k] if start == 0 else np.zeros(k)
        tail = head
        yield start, piece, Smoothed(density[:, :k], np.array([log_likelihood]), first, pairs)
