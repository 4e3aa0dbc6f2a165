"""Stepwise EM over mini-batches: the first passes over a large corpus, and every `partial_fit`.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. Equation (11).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ..executors import Executor
from ..online import OnlineState, OnlineStep, online_step
from .documents import Documents, Kept, joined, split
from .model import TopicModel, TopicModelParams, TopicModelStats

State = OnlineState[TopicModelParams, TopicModelStats]

N_CHUNKS = 2  # of a mini-batch, so that two threads have work
N_PASSES = 2
FEWEST, MOST = 20, 50  # mini-batches of a pass, unless the user has set their size
BATCH_ROWS = 400


class Batches(NamedTuple):
    """Mini-batches of all documents."""

    size: int
    total: float  # weight of all documents
    term_counts: np.ndarray  # (V,): tokens of each term in all documents, weighted
    n_passes: int = N_PASSES


def batches_for(n_documents: int, weight: float, term_counts: np.ndarray, batch_size: int | None) -> Batches:
    """Of the size that the user set; else of about 400 documents, but 20 to 50 in a pass."""
    if batch_size is None:
        batch_size = int(np.clip(BATCH_ROWS, -(-n_documents // MOST), -(-n_documents // FEWEST)))
    return Batches(min(batch_size, n_documents), weight, term_counts)


def run_stepwise(
    model: TopicModel,
    params: TopicModelParams,
    sample: Iterable[Documents],
    source: Iterable[Documents],
    batches: Batches,
    rng: np.random.Generator,
    executor: Executor,
) -> TopicModelParams:
    """Some passes over all documents from parameters of a sample, whose documents count as seen."""
    model = replace(model, n_documents=batches.total)
    state = state_of(params, executor.sum(partial(model.e_step, params), sample))
    state = with_new_terms(model, state, batches.term_counts, batches.total)
    for _ in range(batches.n_passes):
        for batch in _in_batches(source, batches.size, rng):
            state = stepwise(model, state, batch, executor)
    return state.params


def state_of(params: TopicModelParams, stats: TopicModelStats, n_steps: int = 0) -> State:
    """Parameters with the averaged statistics of the documents that they come from; nothing is kept of these."""
    averaged = replace(stats, kept=Kept()) * (1 / stats.weight)
    return OnlineState(params._replace(kept=Kept()), averaged, stats.weight, n_steps)


def with_new_terms(model: TopicModel, state: State, term_counts: np.ndarray, weight: float) -> State:
    """Terms that have come up, and that no topic has, are in all topics alike: from nothing EM would not raise them."""
    is_new = (state.params.pseudo_counts.sum(axis=1) == 0) & (term_counts > 0)
    if not is_new.any():
        return state
    counts = state.stats.counts.copy()
    counts[is_new] = (term_counts[is_new] / weight / model.n_components)[:, None]
    stats = replace(state.stats, counts=counts)
    return replace(state, params=model.m_step(stats, state.params), stats=stats)


def stepwise(
    model: TopicModel, state: State, batch: Documents, executor: Executor, step: OnlineStep = online_step
) -> State:
    """One E-step of a batch and one M-step."""
    pieces = split(batch.table, batch.weight, -(-len(batch) // N_CHUNKS))
    return step(model, state, executor.sum(partial(model.e_step, state.params), pieces))


def _in_batches(source: Iterable[Documents], size: int, rng: np.random.Generator) -> Iterator[Documents]:
    """In a random order if the documents are in memory; those read block by block come as they are."""
    if not isinstance(source, list):
        yield from in_order(source, size)
        return
    whole = joined(source)
    order = rng.permutation(len(whole))
    yield from (whole.take(order[start : start + size]) for start in range(0, len(order), size))


def in_order(source: Iterable[Documents], size: int | None) -> Iterator[Documents]:
    """Batches of at most `size` documents of a chunk; None takes the chunks whole."""
    for chunk in source:
        yield from split(chunk.table, chunk.weight, size or len(chunk))
