"""Dask collections, without a cluster and on a real one of two worker processes; workers die there, and chunks fail.

What a cluster fits has the bits of the fit in memory, as the bounds of the partitions are multiples of 10,000 rows.
"""

import os
import signal
import sys
import threading
import time

import joblib
import numpy as np
import pandas as pd
import pytest
from dask_cases import Deadly
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone

from emkit import EMGaussianMixture, EMImputer, EMMixture, EMTopicModel
from emkit import distributed as emkit_distributed
from emkit.chunks import CHUNK_ROWS, split
from emkit.executors import Serial
from emkit.selection import ComponentSearch

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
bag = pytest.importorskip("dask.bag")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

N, D = 3 * CHUNK_ROWS, 3


def make_rows():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N, D)) + rng.choice([-3, 0, 4], size=(N, 1))
    rows[rng.random((N, D)) < 0.01] = np.nan
    return rows


A = make_rows()
WEIGHT = np.random.default_rng(1).integers(0, 3, N).astype(float)
BOUNDS = [slice(start, start + CHUNK_ROWS) for start in range(0, N, CHUNK_ROWS)]
COUNTS = np.random.default_rng(2).poisson(np.random.default_rng(3).gamma(0.3, 1, (2_500, 20)))
NAMES = list("abc")


def mixture(**options):
    return EMGaussianMixture(3, **{"n_init": 1, "random_state": 0, "max_iter": 30, "tol": 1e-4, **options})


def lazy(array=A, rows=CHUNK_ROWS):
    return da.from_array(array, chunks=(rows, -1))


def frame(array=A, names=NAMES):
    return dd.from_pandas(pd.DataFrame(array, columns=names), npartitions=3, sort=False)


def assert_same_bits(fitted, expected):
    for name in ("weights_", "means_", "covariances_"):
        assert_array_equal(getattr(fitted, name), getattr(expected, name))
    assert fitted.objective_ == expected.objective_
    assert fitted.n_iter_ == expected.n_iter_


@pytest.fixture(scope="module")
def in_memory():
    return mixture().fit(A)


# Without a cluster


class TestWithoutCluster:
    """Partitions are computed one after the other."""

    def test_array(self, in_memory):
        assert_same_bits(mixture().fit(lazy()), in_memory)

    def test_frame_has_names(self):
        fitted = mixture().fit(frame())
        assert_array_equal(fitted.feature_names_in_, NAMES)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(frame(names=list("xyz")))

    def test_unknown_chunk_sizes(self, in_memory):
        unknown = frame().to_dask_array()
        assert np.isnan(unknown.shape[0])
        assert_allclose(mixture().fit(unknown).means_, in_memory.means_, rtol=1e-3)

    def test_rows_cut_into_pieces(self):
        with pytest.raises(ValueError, match=r"cut into 3 chunks of columns; X\.rechunk\(\{1: -1\}\)"):
            mixture().fit(da.from_array(A, chunks=(CHUNK_ROWS, 1)))

    @pytest.mark.parametrize("X", [da.ones(5), da.ones((5, 2, 2)), frame()["a"]])
    def test_other_dimensions(self, X):
        with pytest.raises(ValueError, match="X must have two dimensions, but is a dask"):
            mixture().fit(X)

    def test_a_chunk_that_raises(self):
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) could not be computed: OSError\('disk'\)"):
            mixture().fit(raises_in_chunk_1())

    def test_infinity(self):
        with pytest.raises(ValueError, match=r"block 2 of X \(from 0\) is refused: Input X contains infinity"):
            mixture().fit(lazy(with_infinity()))

    @pytest.mark.parametrize(
        "other", [dask.delayed(np.ones)((3, 2)), dask.bag.from_sequence([1, 2])], ids=["delayed", "bag"]
    )
    def test_other_objects_of_dask(self, other):
        with pytest.raises(ValueError, match="a dask array or frame is needed, but got a dask"):
            mixture().fit(other)

    def test_numbers_in_strings(self):
        strings = da.from_array(A[:300].round(2).astype("U9"), chunks=(100, -1))
        assert_allclose(mixture().fit(strings).means_, mixture().fit(A[:300].round(2)).means_, rtol=1e-10)

    def test_topics(self):
        in_blocks = EMTopicModel(2, random_state=0, max_iter=3, tol=0).fit([COUNTS[:1000], COUNTS[1000:]])
        lazily = EMTopicModel(2, random_state=0, max_iter=3, tol=0)
        lazily.fit(da.from_array(COUNTS, chunks=((1000, 1500), -1)))
        assert_array_equal(lazily.components_, in_blocks.components_)


def raises_in_chunk_1():
    def fails(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 1:
            raise OSError("disk")
        return block

    return lazy().map_blocks(fails, meta=np.empty((0, 0)))


def with_infinity():
    array = A.copy()
    array[-1, 1] = np.inf
    return array


class TestLazyResults:
    @pytest.mark.parametrize("name", ["predict", "predict_proba", "transform", "score_samples"])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_array(self, in_memory, name, dtype):
        rows = A.astype(dtype)
        expected = getattr(in_memory, name)(rows)
        result = getattr(in_memory, name)(da.from_array(rows, chunks=((7_000, 0, 1, N - 7_001), -1)))
        assert isinstance(result, da.Array)
        assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
        assert_allclose(result.compute(scheduler="synchronous"), expected, rtol=1e-6 if dtype == np.float32 else 1e-12)

    def test_frame(self, in_memory):
        result = mixture().fit(pd.DataFrame(A, columns=NAMES)).predict(frame())
        assert np.isnan(result.shape[0])
        assert_array_equal(result.compute(scheduler="synchronous"), in_memory.predict(A))

    def test_belongs_to_the_fit_at_the_call(self):
        fitted = mixture().fit(A)
        result, expected = fitted.predict(lazy()), fitted.predict(A)
        fitted.set_params(n_components=2).fit(A[:500])
        assert_array_equal(result.compute(scheduler="synchronous"), expected)

    @pytest.mark.parametrize("weight", [None, WEIGHT, da.from_array(WEIGHT, chunks=999)])
    def test_score(self, in_memory, weight):
        score = in_memory.score(lazy(), sample_weight=weight)
        assert isinstance(score, float)
        assert score == pytest.approx(in_memory.score(A, sample_weight=None if weight is None else WEIGHT), rel=1e-12)

    def test_missing_cells(self, in_memory):
        filled = in_memory.predict_missing(lazy()).compute(scheduler="synchronous")
        assert_allclose(filled, in_memory.predict_missing(A), rtol=1e-12)
        with pytest.raises(ValueError, match="predict_missing gives one lazy array of a dask collection"):
            in_memory.predict_missing(lazy(), return_std=True)

    def test_errors(self, in_memory):
        with pytest.raises(ValueError, match="X has 2 features, but EMGaussianMixture is expecting 3"):
            in_memory.predict(lazy(A[:, :2]))
        with pytest.raises(ValueError, match="zero for all rows"):
            in_memory.score(lazy(), sample_weight=da.zeros(N, chunks=CHUNK_ROWS))

    @pytest.mark.parametrize("name", ["predict", "transform", "score_samples"])
    def test_topics(self, name):
        topics = EMTopicModel(2, random_state=0, max_iter=3, tol=0).fit(COUNTS)
        dense = da.from_array(COUNTS, chunks=(1000, -1))
        for documents in (dense, dense.map_blocks(csr_array, meta=csr_array((0, 0), dtype=COUNTS.dtype))):
            result = getattr(topics, name)(documents).compute(scheduler="synchronous")
            assert_allclose(result, getattr(topics, name)(COUNTS), rtol=1e-5)
        assert topics.score(dense) == pytest.approx(topics.score(COUNTS), rel=1e-6)


def test_few_sums_leave_a_partition():
    """What a worker gives of 37 chunks of the tree, from chunk 5 on."""
    rows = np.random.default_rng(0).normal(size=(37 * CHUNK_ROWS, 1)).astype(np.float32)
    reading = emkit_distributed.Reading(lambda block: block, split, np.dtype(np.float32))
    chunked = emkit_distributed.read_partition(0, reading, rows, None)
    assert sys.getsizeof(chunked) >= rows.nbytes
    place = emkit_distributed.Place(first=5)
    visit = emkit_distributed.visit_partition(lambda chunk: chunk.X.sum(), place, chunked)
    assert (visit.n_rows, visit.n_chunks, visit.error) == (len(rows), 37, None)
    assert [(node.start, 2**node.level) for node in visit.results] == [
        (5, 1),
        (6, 2),
        (8, 8),
        (16, 16),
        (32, 8),
        (40, 2),
    ]
    for node in visit.results:
        chunks = rows[(node.start - 5) * CHUNK_ROWS :][: 2**node.level * CHUNK_ROWS]
        assert node.stats == Serial().sum(lambda chunk: chunk.X.sum(), split(chunks, None))


# On a cluster


def first_pid(client):
    return next(iter(client.run(os.getpid).values()))


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
class TestOnCluster:
    def test_same_bits_as_in_memory(self, in_memory, monkeypatch):
        """And no chunk comes here."""
        monkeypatch.delattr(emkit_distributed.RemoteSource, "__iter__")
        assert_same_bits(mixture().fit(lazy().persist()), in_memory)

    def test_partitions_of_many_chunks(self):
        """Their statistics are added on the workers, and still in the order of all chunks."""
        X = np.concatenate([A, -A, A[: CHUNK_ROWS + 5]])
        weight = np.where(np.arange(len(X)) // CHUNK_ROWS == 1, 0.0, 1.0)  # a chunk of no weight has no number
        parts = da.from_array(X, chunks=((3 * CHUNK_ROWS, 2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 5), D))
        assert_same_bits(mixture().fit(parts), mixture().fit(X))
        tables = [X[:CHUNK_ROWS], X[CHUNK_ROWS:]]
        assert_same_bits(mixture().fit(parts, sample_weight=weight), mixture().fit(tables, sample_weight=weight))

    @pytest.mark.parametrize(
        "options",
        [{"noise": True}, {"weight_concentration_prior": 0.1}, {"n_init": "auto"}, {"n_jobs": 2}],
        ids=lambda options: next(iter(options)),
    )
    def test_same_bits_with_options(self, options):
        estimator = mixture(**options, max_iter=3, tol=0)
        assert_same_bits(clone(estimator).fit(lazy()), clone(estimator).fit(A))

    def test_number_of_components(self):
        options = {"n_components": "auto", "means_init": [[-3.0] * D, [0.0] * D, [4.0] * D]}
        found = mixture().set_params(**options).fit(lazy())
        assert_array_equal(found.sizes_, mixture().set_params(**options).fit(A).sizes_)

    @pytest.mark.parametrize("weight", [WEIGHT, da.from_array(WEIGHT, chunks=7_000)], ids=["numpy", "dask"])
    def test_weights(self, weight):
        in_blocks = mixture().fit([A[bounds] for bounds in BOUNDS], sample_weight=WEIGHT)
        assert_same_bits(mixture().fit(lazy(), sample_weight=weight), in_blocks)

    def test_weights_of_a_frame(self):
        table = frame(np.column_stack([A, WEIGHT]), [*NAMES, "w"])
        in_blocks = mixture().fit([A[bounds] for bounds in BOUNDS], sample_weight=WEIGHT)
        assert_same_bits(mixture().fit(table[NAMES], sample_weight=table["w"]), in_blocks)

    def test_weights_that_are_refused(self):
        unknown = frame().to_dask_array()
        with pytest.raises(ValueError, match=r"sizes of these are not known; or call X\.compute_chunk_sizes\(\)"):
            mixture().fit(unknown, sample_weight=WEIGHT)
        with pytest.raises(ValueError, match="one weight for each row of X"):
            mixture().fit(lazy(), sample_weight=WEIGHT[:-1])
        with pytest.raises(ValueError, match="partitions of X, which are 3, but has shape"):
            mixture().fit(lazy(), sample_weight=da.ones(N - 1, chunks=N))
        weight = WEIGHT.copy()
        weight[CHUNK_ROWS + 5] = -1
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: sample_weight .* is -1\.0"):
            mixture().fit(lazy(), sample_weight=da.from_array(weight, chunks=CHUNK_ROWS))

    def test_uneven_one_row_and_empty_chunks(self, in_memory):
        ends = np.cumsum([0, 17, 1, 0, 12_345, 0])
        pieces = [A[start:stop] for start, stop in zip(ends, [*ends[1:], N], strict=True)]
        X = da.concatenate([da.from_array(piece, chunks=(max(len(piece), 1), D)) for piece in pieces])
        fitted = mixture().fit(X)
        assert_same_bits(fitted, mixture().fit(pieces))
        assert_allclose(fitted.means_, in_memory.means_, rtol=1e-3)

    def test_few_rows_are_fitted_here(self):
        """In one chunk, whatever the partitions are; only the moments are added in another order."""
        on_cluster = mixture().fit(lazy(A[:3_000], 1_000))
        assert_allclose(on_cluster.means_, mixture().fit(A[:3_000]).means_, rtol=1e-10)

    @pytest.mark.parametrize("estimator", [EMGaussianMixture(2), EMMixture(2), EMTopicModel(2), EMImputer()])
    def test_weights_that_are_all_zero(self, estimator):
        with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
            estimator.fit(da.ones((30, 2), chunks=(10, 2)), sample_weight=da.zeros(30, chunks=10))

    def test_no_rows(self):
        with pytest.raises(ValueError, match="all its partitions are empty"):
            mixture().fit(da.ones((0, 3)))

    def test_partial_fit(self):
        on_cluster, here = (mixture().fit(A).partial_fit(X) for X in (lazy(A + 1), A + 1))
        assert_array_equal(on_cluster.means_, here.means_)

    def test_given_responsibilities(self):
        with pytest.raises(ValueError, match="init_params must be the name of a method where X is a dask collection"):
            mixture(init_params=np.zeros(N, dtype=int)).fit(lazy())

    def test_checkpoint(self, tmp_path, in_memory):
        path = tmp_path / "fit"
        for X in (lazy(), lazy().persist()):
            assert_same_bits(mixture(checkpoint=path).fit(X), in_memory)
        with pytest.raises(ValueError, match="on other data"):
            mixture(checkpoint=path).fit(lazy(A + 1))

    def test_lazy_results(self, in_memory):
        assert_array_equal(in_memory.predict(lazy()).compute(), in_memory.predict(A))
        assert in_memory.score(lazy()) == pytest.approx(in_memory.score(A), rel=1e-12)

    def test_fit_within_a_task(self, client):
        """Where a task that waits would keep the worker that it waits for."""
        means = client.submit(lambda: mixture(max_iter=2, tol=0).fit(da.ones((20, 2), chunks=10)).means_).result()
        assert_array_equal(means, np.ones((3, 2)))

    def test_restarts_through_joblib(self):
        options = {"n_init": 4, "n_jobs": -1, "max_iter": 5, "tol": 0}
        with joblib.parallel_config("dask"):
            through_dask = mixture(**options).fit(A[:2_000])
        assert_same_bits(through_dask, mixture(**options).fit(A[:2_000]))

    def test_component_search_through_joblib(self):
        with joblib.parallel_config("dask"):
            through_dask = ComponentSearch(mixture(), n_components=[1, 2], n_jobs=-1).fit(A[:500])
        here = ComponentSearch(mixture(), n_components=[1, 2]).fit(A[:500])
        assert_array_equal(through_dask.best_estimator_.means_, here.best_estimator_.means_)


@pytest.mark.cluster
class TestTopicsOnCluster:
    def test_worker_killed_in_a_pass(self, client, tmp_path):
        """Steps are on all documents, so that the bits are not those of the mini-batches in memory."""
        documents = da.from_array(COUNTS, chunks=(500, -1))
        options = {"random_state": 0, "max_iter": 3, "tol": 0, "n_init": 1}
        expected = EMTopicModel(3, **options).fit(documents.persist())
        killed = EMTopicModel(3, **options).fit(documents.map_blocks(Deadly(tmp_path, 12), meta=np.empty((0, 0), int)))
        assert_array_equal(killed.components_, expected.components_)
        here = EMTopicModel(3, **options).fit(COUNTS)
        assert expected.score(COUNTS) == pytest.approx(here.score(COUNTS), abs=0.1)

    def test_mini_batches(self, client):
        with pytest.raises(ValueError, match="batch_size must be None on a dask cluster, but got 100"):
            EMTopicModel(3, batch_size=100).fit(da.from_array(COUNTS, chunks=(500, -1)))


@pytest.fixture
def ctrl_c():
    """Ctrl+C raises KeyboardInterrupt, as it does not by itself where a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.cluster
class TestFaults:
    def test_spilling(self, client, in_memory):
        X = lazy().persist()
        distributed.wait(X)
        spilled = client.run(lambda dask_worker: len(dask_worker.data.slow))
        assert sum(spilled.values()) >= 2
        assert_same_bits(mixture().fit(X), in_memory)

    def test_worker_killed_before_the_fit(self, client, in_memory):
        X = lazy().persist()
        distributed.wait(X)
        os.kill(first_pid(client), signal.SIGKILL)
        assert_same_bits(mixture().fit(X), in_memory)

    def test_workers_killed_in_two_passes(self, client, in_memory, tmp_path):
        X = lazy().map_blocks(Deadly(tmp_path, 4, 22), meta=np.empty((0, 0)))
        assert_same_bits(mixture().fit(X), in_memory)
        assert len(os.listdir(tmp_path)) > 22

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (raises_in_chunk_1(), r"block 1 of X \(from 0\) could not be computed: OSError\('disk'\)"),
            (lazy(with_infinity()), r"block 2 of X \(from 0\) is refused: Input X contains infinity"),
        ],
        ids=["raises", "infinity"],
    )
    def test_a_bad_chunk(self, client, X, message):
        estimator = mixture()
        with pytest.raises(ValueError, match=message):
            estimator.fit(X)
        assert not hasattr(estimator, "n_features_in_")

    @pytest.mark.usefixtures("ctrl_c")
    def test_interrupt(self, client, in_memory):
        X, endless = lazy().persist(), mixture(max_iter=10**6, tol=0)
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            endless.fit(X)
        assert not hasattr(endless, "means_")
        assert_same_bits(mixture().fit(X), in_memory)

    def test_closed_client(self, cluster, client):
        X, endless = lazy(), mixture(max_iter=10**6, tol=0)
        other = distributed.Client(cluster[0], set_as_default=False)
        threading.Timer(1.0, other.close).start()
        began = time.monotonic()
        with other.as_current(), pytest.raises(emkit_distributed.ClusterError, match="dask"):
            endless.fit(X)
        assert time.monotonic() - began < 30
        assert not hasattr(endless, "means_")

    def test_all_workers_gone(self, cluster, client, monkeypatch):
        """The last test of this file: no worker is left."""
        monkeypatch.setattr(emkit_distributed, "PATIENCE", 2.0)
        X, endless = lazy(), mixture(max_iter=10**6, tol=0)
        threading.Timer(1.0, cluster[0].scale, [0]).start()
        began = time.monotonic()
        with pytest.raises(emkit_distributed.ClusterError, match=r"no worker|has gone"):
            endless.fit(X)
        assert time.monotonic() - began < 30
        assert not hasattr(endless, "means_")
