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
        super().__init__(
            f"row {row} has probability zero under the model, given the rows before it in its sequence: no state that "
            "can be reached there may have such a value"
        )
        self.row = row


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


def filtered(model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences) -> Filtered:
    """Each row given its past; O(n k^2) time."""
    k = len(params.startprob)
    density, log_scale = scaled(model, params, chunk)
    normaliser, unsafe = np.zeros(len(chunk.rows)), np.zeros(len(chunk), np.uint8)
    kernels.filter_rows(density, chunk.starts, padded(params.startprob), params.transmat, density, normaliser, unsafe)
    result = Filtered(density[:, :k], log(np.where(np.isfinite(normaliser), normaliser, 0.0)) + log_scale, unsafe)
    if unsafe.any():
        place, part = _take(chunk, np.flatnonzero(unsafe))
        _, log_proba, log_normaliser = filtered_in_logs(model, params, part, place)
        result.proba[place] = np.exp(log_proba[:, :k])
        result.log_normaliser[place] = log_normaliser
    return result


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

    density: np.ndarray  # (n, width)
    alpha: np.ndarray  # (n, width): filtered probabilities times their normalisers
    inverse: np.ndarray  # 1 / normalisers, and room
    log_likelihood: float  # NaN where doubles do not suffice


def smoothed_by_block(
    model: HiddenMarkovModel, params: HiddenMarkovParams, chunk: Sequences
) -> Iterator[tuple[Sequences, Smoothed]]:
    """The same for one long sequence, block by block from the last to the first; only block 0 has `first`.

    `log_likelihood` of a block is that of its rows given those before. Nothing is yielded if the sequence has to be
    computed in logarithms.
    """
    k = len(params.startprob)
    pieces = blocks(chunk)
    keeps = 2 * len(chunk.rows) * kernels.padded_width(k) * 8 <= KEPT_BYTES
    entries: list[np.ndarray] = [padded(params.startprob)]
    kept: list[_Forward | None] = []
    for piece in pieces:
        work = _forward(model, params, piece, entries[-1])
        if np.isnan(work.log_likelihood):
            return
        last = work.alpha[-1, :k] * work.inverse[len(piece.rows) - 1]
        entries.append(padded(last @ params.transmat))
        kept.append(work if keeps else None)
    tail = None
    for index in reversed(range(len(pieces))):
        piece = pieces[index]
        density, alpha, inverse, log_likelihood = kept.pop() or _forward(model, params, piece, entries[index])
        head, pairs = np.empty(density.shape[1]), np.zeros((k, k))
        kernels.backward(density, alpha, inverse, piece.rows.weight[0], params.transmat, tail, head, pairs)
        first = density[0, :k] if index == 0 else np.zeros(k)
        tail = head
        yield piece, Smoothed(density[:, :k], np.array([log_likelihood]), first, pairs)


def _forward(model: HiddenMarkovModel, params: HiddenMarkovParams, piece: Sequences, entry: np.ndarray) -> _Forward:
    density, log_scale = scaled(model, params, piece)
    n, width = density.shape
    alpha, inverse = aligned(n, width), aligned(1, n + 4 + width)[0]
    log_likelihood = kernels.forward(density, entry, params.transmat, alpha, inverse)
    return _Forward(density, alpha, inverse, log_likelihood + float(log_scale.sum()))
