"""Document-term tables from raw user input. What leaves this module is CSR: sorted, without zeros, of one dtype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .._validation import check_sample_weight, dtypes_of, readable, reader_of, validated
from ..blocks import Blocks, blocks_of, first_block, is_empty, source_of
from ..chunks import Source
from ..executors import each
from .documents import Documents, as_chunks, joined, split

SPARE = 10  # standard deviations of a Poisson count
COUNTS_OF_TEXTS = "sklearn.feature_extraction.text.CountVectorizer counts the words of texts"
FEW = 2_000  # documents below which all loops are in double precision, and steps are on all documents

Corpus = list[Documents] | Source


def read_corpus(estimator: Any, X: Any, sample_weight: Any, *, reset: bool, dtype: Any) -> Corpus:
    """Chunks of a table in memory, or of a function that yields blocks of rows.

    Documents of weight zero are left out: they are repeated no times. `dtype` is that of the loops, or "auto": that of
    floating-point counts; of integers float64 for few documents and else float32.
    """
    blocks = blocks_of(X)
    if blocks is not None:
        return _blocks(estimator, blocks, sample_weight, Dtypes.of(dtype, np.float32), reset=reset)
    is_small = _num_rows(X) < FEW
    table = read_table(estimator, X, Dtypes.of(dtype, np.float64 if is_small else np.float32), reset=reset)
    weight = check_sample_weight(sample_weight, table.shape[0], table.dtype)
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        table, weight = table[kept], weight[kept]
    return as_chunks(table, weight)


def read_chunks(estimator: Any, X: Any, dtype: Any) -> Iterator[Documents]:
    """Chunks of documents that a fitted estimator is to look at; integers are read in the dtype of the fit."""
    dtypes = Dtypes.of(dtype, estimator.components_.dtype)
    blocks = blocks_of(X)
    if blocks is not None:
        yield from _blocks(estimator, blocks, None, dtypes, reset=False)
    else:
        yield from split(read_table(estimator, X, dtypes, reset=False), None)


def _num_rows(X: Any) -> int:
    """0 for what is no table; scikit-learn's checks say what is wrong with it."""
    shape = getattr(X, "shape", None)
    if shape is None:
        return len(X) if hasattr(X, "__len__") else 0
    return int(shape[0]) if len(shape) else 0


def _are_integers(X: Any) -> bool:
    return all(getattr(dtype, "kind", "") in ("i", "u", "b") for dtype in dtypes_of(X))


class Dtypes(NamedTuple):
    """Into what counts are read: floating-point numbers into the first of the same dtype, else the first; integers."""

    floats: tuple[Any, ...]
    integers: Any

    @classmethod
    def of(cls, dtype: Any, integers: Any) -> Dtypes:
        return cls((np.float64, np.float32), integers) if dtype == "auto" else cls((np.dtype(dtype),), np.dtype(dtype))


def read_table(estimator: Any, X: Any, dtypes: Dtypes, *, reset: bool) -> sp.csr_array:
    """Counts as CSR; dense tables and frames become sparse."""
    checked = validated(
        estimator,
        readable(X),
        kind="counts",
        remedy=COUNTS_OF_TEXTS,
        reset=reset,
        accept_sparse="csr",
        accept_large_sparse=True,
        dtype=dtypes.integers if _are_integers(X) else dtypes.floats,
        ensure_non_negative=True,
    )
    table = sp.csr_array(checked)
    if not table.has_canonical_format or (table.data == 0).any():
        table = table.copy()  # it may share memory with X
        table.sum_duplicates()
        table.eliminate_zeros()
    return table


def _blocks(estimator: Any, blocks: Blocks, sample_weight: Any, dtypes: Dtypes, *, reset: bool) -> Source:
    head = read_table(estimator, first_block(blocks), dtypes, reset=reset)
    read = partial(_read_block, reader_of(estimator), Dtypes.of(head.dtype, None))
    return source_of(blocks, read, sample_weight, head.dtype, head.shape[1], split)


def _read_block(estimator: Any, dtypes: Dtypes, block: Any) -> sp.csr_array:
    if is_empty(block):
        n_terms = estimator.n_features_in_
        if len(np.shape(block)) == 2 and np.shape(block)[1] != n_terms:
            raise ValueError(f"X has {np.shape(block)[1]} features in a block, but {n_terms} features in others")
        return sp.csr_array((0, estimator.n_features_in_), dtype=dtypes.floats[0])
    return read_table(estimator, block, dtypes, reset=False)


def random_documents(chunks: Iterable[Documents], n: int, total: int, rng: np.random.Generator) -> list[Documents]:
    """At most `n` of `total` documents, each as likely as the others, in one pass.

    They are no chunks of the data: their places are below zero.
    """
    likely = (n + SPARE * np.sqrt(n)) / total  # share that is sure to hold them: no more are looked at
    seed = int(rng.integers(2**63))
    kept: list[tuple[np.ndarray, Documents]] = []
    for candidates in each(partial(_candidates, seed, n, likely), chunks, count()):
        kept.append(candidates)
        if sum(len(part) for part, _ in kept) > 2 * n:
            kept = [_lowest(*_merged(kept), n)]
    keys, documents = _merged(kept)
    documents = _lowest(keys, documents, n)[1] if len(keys) > n else documents
    chunks = as_chunks(documents.table, documents.weight)
    return [replace(chunk, place=-1 - place) for place, chunk in enumerate(chunks)]


def _candidates(seed: int, n: int, likely: float, chunk: Documents, number: int) -> tuple[np.ndarray, Documents]:
    """The documents of chunk `number` with the lowest keys, at most `n`, and none with a key above `likely`."""
    keys = np.random.default_rng([seed, number]).random(len(chunk))
    index = np.flatnonzero(keys < likely)
    return _lowest(keys[index], chunk.take(index), n)


def _lowest(keys: np.ndarray, chunk: Documents, n: int) -> tuple[np.ndarray, Documents]:
    index = np.sort(np.argsort(keys)[:n])
    return keys[index], chunk.take(index)


def _merged(parts: list[tuple[np.ndarray, Documents]]) -> tuple[np.ndarray, Documents]:
    return np.concatenate([keys for keys, _ in parts]), joined(chunk for _, chunk in parts)
