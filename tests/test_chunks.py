"""Chunks of rows against brute force, and what one pass over them tells, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from emkit import chunks
from emkit.chunks import CHUNK_ROWS, ArraySource, BlockSource, Rows, split
from emkit.description import describe


def random_rows(seed, n, d, share, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    X[rng.random((n, d)) < share] = np.nan
    return Rows(X, rng.uniform(0.5, 2, n).astype(dtype))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    d=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]),
)
def test_missing_values_against_brute_force(seed, n, d, share):
    rows = random_rows(seed, n, d, share)
    missing = [i for i in range(n) if np.isnan(rows.X[i]).any()]
    complete = [i for i in range(n) if i not in missing]
    assert_array_equal(rows.missing, missing)
    assert rows.has_missing == bool(missing)
    assert_array_equal(rows.complete_part.X, rows.X[complete])
    assert_array_equal(rows.complete_part.weight, rows.weight[complete])
    by_pattern = {}
    for i in missing:
        by_pattern.setdefault(tuple(np.flatnonzero(~np.isnan(rows.X[i]))), []).append(i)
    gaps = rows.gaps
    pieces = np.split(gaps.place, gaps.starts[1:-1])
    found = {
        tuple(np.flatnonzero(seen)): part.tolist() for seen, part in zip(gaps.observed, pieces, strict=bool(missing))
    }
    assert found == by_pattern
    assert_array_equal(gaps.X, rows.X[gaps.place])
    assert_array_equal(gaps.weight, rows.weight[gaps.place])


def test_rows_without_missing_values_are_not_copied():
    rows = random_rows(0, 10, 3, 0.0)
    assert rows.complete_part is rows
    assert len(rows.gaps.place) == len(rows.gaps.observed) == 0


def test_missing_values_are_looked_up_once():
    rows = random_rows(0, 10, 3, 0.5)
    assert rows.gaps is rows.gaps
    assert rows.complete_part is rows.complete_part


def test_infinite_sums_are_no_missing_values():
    """inf - inf is NaN, but no value is missing."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = Rows(np.array([[1e308, 1e308], [-1e308, -1e308], [1e308, -1e308]]), np.ones(3))
        assert not rows.has_missing
        assert rows.complete_part is rows


def test_take_and_len():
    rows = random_rows(0, 10, 3, 0.2)
    part = rows.take(np.array([7, 2, 2]))
    assert len(part) == 3
    assert_array_equal(part.X, rows.X[[7, 2, 2]])
    assert_array_equal(part.weight, rows.weight[[7, 2, 2]])


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 4)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_split(small_chunks, n, weighted, dtype):
    whole = random_rows(0, n, 2, 0.0, dtype)
    pieces = list(split(whole.X, whole.weight if weighted else None))
    assert [len(piece) for piece in pieces] == [4] * (n // 4) + [n % 4] * (n % 4 > 0)
    assert_array_equal(np.concatenate([piece.X for piece in pieces]), whole.X)
    weights = np.concatenate([piece.weight for piece in pieces])
    assert_array_equal(weights, whole.weight if weighted else np.ones(n))
    assert weights.dtype == dtype


def test_array_source_gives_views():
    X, weight = np.arange(50_000.0).reshape(-1, 2), np.arange(25_000.0)
    source = ArraySource(X, weight)
    assert [len(rows) for rows in source] == [CHUNK_ROWS, CHUNK_ROWS, 5000]
    for rows in source:
        assert np.shares_memory(rows.X, X)
        assert np.shares_memory(rows.weight, weight)
    assert (source.n_features, source.dtype) == (2, np.float64)
    assert all(a is b for a, b in zip(source, source, strict=True))  # so that missing values are looked up once a fit


def test_unit_weights_share_memory():
    first, second = (rows.weight for rows in ArraySource(np.zeros((CHUNK_ROWS + 5, 1), dtype=np.float32), None))
    assert np.shares_memory(first, second)
    assert (len(first), len(second)) == (CHUNK_ROWS, 5)
    assert second.dtype == np.float32


def block_source(blocks, weight=None):
    return BlockSource(lambda: iter(blocks), np.asarray, weight, np.dtype(np.float64), 2)


BLOCKS = [np.arange(n * 2.0).reshape(n, 2) + n for n in (5, 0, 3, 4)]


def test_block_source_can_be_read_again(small_chunks):
    weight = np.arange(1.0, 13)
    source = block_source(BLOCKS, weight)
    for _ in range(3):
        pieces = list(source)
        assert [len(piece) for piece in pieces] == [4, 1, 3, 4]
        assert_array_equal(np.concatenate([piece.X for piece in pieces]), np.concatenate(BLOCKS))
        assert_array_equal(np.concatenate([piece.weight for piece in pieces]), weight)


def test_block_source_without_weights():
    assert_array_equal(np.concatenate([rows.weight for rows in block_source(BLOCKS)]), np.ones(12))


def test_block_source_leaves_out_rows_without_weight():
    weight = np.array([1.0, 0, 2, 0, 0, 0, 0, 0, 1, 1, 0, 3])
    pieces = list(block_source(BLOCKS, weight))
    assert [len(piece) for piece in pieces] == [2, 3]
    assert_array_equal(np.concatenate([piece.X for piece in pieces]), np.concatenate(BLOCKS)[weight > 0])
    assert_array_equal(np.concatenate([piece.weight for piece in pieces]), weight[weight > 0])


@pytest.mark.parametrize("n", [0, 1, 4, 7, 8, 11])
def test_too_few_weights(n):
    with pytest.raises(ValueError, match=f"sample_weight has {n} values, but the blocks have more rows"):
        list(block_source(BLOCKS, np.ones(n)))


@pytest.mark.parametrize("n", [13, 100])
def test_too_many_weights(n):
    with pytest.raises(ValueError, match=f"sample_weight has {n} values, but the blocks have 12 rows"):
        list(block_source(BLOCKS, np.ones(n)))


def test_blocks_that_can_be_read_only_once():
    blocks = iter(BLOCKS)
    source = BlockSource(lambda: blocks, np.asarray, None, np.dtype(np.float64), 2)
    list(source)
    with pytest.raises(ValueError, match="returns a new iterator at each call"):
        list(source)


# What describe says of chunks


def weighted_moments(X, weight):
    """Weight, mean and standard deviation of each column without missing values, in exact pairs of floats."""
    columns = []
    for x in X.astype(np.longdouble).T:
        seen = ~np.isnan(x)
        w, x = weight[seen].astype(np.longdouble), x[seen]
        mean = w @ x / w.sum()
        columns.append((w.sum(), mean, np.sqrt(w @ (x - mean) ** 2 / w.sum())))
    return np.array(columns, dtype=np.float64).T


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_describe(small_chunks, offset, share, dtype):
    rows = random_rows(1, 50, 3, share, dtype)
    rows = Rows((rows.X * np.array([1, 1e-3, 1e3]) + (offset if dtype == np.float64 else 3)).astype(dtype), rows.weight)
    description = describe(split(rows.X, rows.weight), 3)
    counts, mean, deviation = weighted_moments(rows.X, rows.weight)
    assert description.n_rows == 50
    assert description.weight == pytest.approx(rows.weight.sum(dtype=np.float64), rel=1e-12)
    assert_allclose(description.counts, counts, rtol=1e-12)
    assert_allclose(description.mean, mean, rtol=1e-14, atol=1e-12)
    assert_allclose(description.scale, deviation, rtol=1e-10)
    assert_array_equal(description.largest, np.nanmax(np.abs(rows.X), axis=0))
    assert description.unobserved == []


def test_describe_equals_numpy_without_weights():
    X = np.random.default_rng(0).gamma(2, size=(25_000, 2))
    description = describe(ArraySource(X, None), 2)
    assert_allclose(description.mean, X.mean(axis=0), rtol=1e-13)
    assert_allclose(description.scale, X.std(axis=0), rtol=1e-12)


def test_describe_does_not_depend_on_the_chunks_nor_on_repetition():
    rows = random_rows(2, 30, 3, 0.3)
    times = np.random.default_rng(0).integers(1, 4, 30)
    whole = describe([Rows(rows.X, times.astype(float))], 3)
    repeated = np.repeat(rows.X, times, axis=0)
    pieces = describe([Rows(part, np.ones(len(part))) for part in np.array_split(repeated, 7)], 3)
    assert whole.weight == pieces.weight == len(repeated)
    assert_allclose(pieces.mean, whole.mean, rtol=1e-12)
    assert_allclose(pieces.scale, whole.scale, rtol=1e-12)
    assert_allclose(pieces.counts, whole.counts, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e8, 0.1])
def test_a_constant_column(value):
    X = np.column_stack([np.full(20, value), np.arange(20.0)])
    scale = describe(ArraySource(X, np.linspace(0.1, 1, 20)), 2).scale
    assert scale[0] == (1e-8 * abs(value) if value else 1.0)
    assert scale[1] > 5


def test_a_column_first_seen_in_a_later_chunk():
    nan = np.nan
    pieces = [
        Rows(np.array([[1.0, nan], [2.0, nan]]), np.ones(2)),
        Rows(np.array([[nan, 1e8], [3.0, 1e8 + 2]]), np.ones(2)),
    ]
    description = describe(pieces, 2)
    assert_allclose(description.mean, [2, 1e8 + 1], rtol=1e-15)
    assert_allclose(description.scale, [np.sqrt(2 / 3), 1.0], rtol=1e-12)
    assert_array_equal(description.largest, [3, 1e8 + 2])


def test_a_column_never_seen():
    X = np.array([[1.0, np.nan], [2.0, np.nan]])
    assert describe(ArraySource(X, None), 2).unobserved == [1]


def test_rows_seen_before():
    rows = random_rows(3, 40, 2, 0.2)
    first, second = rows.take(np.arange(15)), rows.take(np.arange(15, 40))
    together, one_by_one = describe([first, second], 2), describe([second], 2, before=describe([first], 2))
    assert one_by_one.n_rows == 40
    for name in ("origin", "counts", "sums", "squares", "largest"):
        assert_array_equal(getattr(one_by_one, name), getattr(together, name))
