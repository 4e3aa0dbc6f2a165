"""Document-term tables from raw user input. What leaves this module is CSR: sorted, without zeros, of one dtype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from .._validation import check_sample_weight, iterate_blocks
from ..chunks import BlockSource
from .documents import Documents, as_chunks, joined, split

FEW = 2_000  # documents below which all loops are in double precision, and steps are on all documents

Corpus = list[Documents] | BlockSource


def read_corpus(estimator: Any, X: Any, sample_weight: Any, *, reset: bool, dtype: Any) -> Corpus:
    """Chunks of a table in memory, or of a function that yields blocks of rows.

    Documents of weight zero are left out: they are repeated no times. `dtype` is that of the loops, or "auto".
    """
    if callable(X):
        return _blocks(estimator, X, sample_weight, reset=reset, dtype=dtype)
    table = read_table(estimator, X, reset=reset, dtype=dtype)
    weight = check_sample_weight(sample_weight, table.shape[0], table.dtype)
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        table, weight = table[kept], weight[kept]
    return as_chunks(table, weight)


def read_chunks(estimator: Any, X: Any, dtype: Any) -> Iterator[Documents]:
    """Chunks of documents that a fitted estimator is to look at."""
    if callable(X):
        yield from _blocks(estimator, X, None, reset=False, dtype=dtype)
    else:
        yield from split(read_table(estimator, X, reset=False, dtype=dtype), None)


def read_table(estimator: Any, X: Any, *, reset: bool, dtype: Any) -> sp.csr_array:
    """Counts as CSR; dense tables and frames become sparse."""
    given = getattr(X, "dtype", None)
    n = X.shape[0] if len(getattr(X, "shape", ())) else 0
    checked = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        accept_large_sparse=True,
        dtype=(np.float64, np.float32) if dtype == "auto" else np.dtype(dtype),
        ensure_non_negative=True,
    )
    table = sp.csr_array(checked)
    if dtype == "auto" and getattr(given, "kind", "") in "iub" and n >= FEW:
        table = table.astype(np.float32)
    if not table.has_canonical_format or (table.data == 0).any():
        table = table.copy()  # it may share memory with X
        table.sum_duplicates()
        table.eliminate_zeros()
    return table


def _blocks(estimator: Any, blocks: Any, sample_weight: Any, *, reset: bool, dtype: Any) -> BlockSource:
    first = next((block for block in iterate_blocks(blocks) if block.shape[0]), None)
    if first is None:
        raise ValueError("X is a function that yields no block of rows (n_samples=0)")
    head = read_table(estimator, first, reset=reset, dtype=dtype)
    read = partial(_read_block, estimator, dtype=head.dtype)
    weight = check_sample_weight(sample_weight, None, head.dtype)
    return BlockSource(lambda: iterate_blocks(blocks), read, weight, head.dtype, head.shape[1], split)


def _read_block(estimator: Any, block: Any, dtype: np.dtype) -> sp.csr_array:
    if block.shape[0] == 0:
        return sp.csr_array((0, estimator.n_features_in_), dtype=dtype)
    return read_table(estimator, block, reset=False, dtype=dtype)


def random_documents(chunks: Iterable[Documents], n: int, rng: np.random.Generator) -> list[Documents]:
    """At most `n` documents, each as likely as the others, in one pass. They are no chunks of the data: their places
    are below zero."""
    kept: list[tuple[np.ndarray, Documents]] = []
    for chunk in chunks:
        keys = rng.random(len(chunk))
        kept.append((keys, chunk) if len(keys) <= n else _lowest(keys, chunk, n))
        if sum(len(part) for part, _ in kept) > 2 * n:
            kept = [_lowest(*_merged(kept), n)]
    keys, documents = _merged(kept)
    documents = _lowest(keys, documents, n)[1] if len(keys) > n else documents
    chunks = as_chunks(documents.table, documents.weight)
    return [replace(chunk, place=-1 - place) for place, chunk in enumerate(chunks)]


def _lowest(keys: np.ndarray, chunk: Documents, n: int) -> tuple[np.ndarray, Documents]:
    index = np.sort(np.argsort(keys)[:n])
    return keys[index], chunk.take(index)


def _merged(parts: list[tuple[np.ndarray, Documents]]) -> tuple[np.ndarray, Documents]:
    return np.concatenate([keys for keys, _ in parts]), joined(chunk for _, chunk in parts)
