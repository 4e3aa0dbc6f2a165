"""EMImputer: dask collections, without a cluster and on one of two worker processes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal

from emkit import EMImputer
from emkit import distributed as emkit_distributed
from emkit.chunks import CHUNK_ROWS

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

N = 2 * CHUNK_ROWS
MODELS = {
    "gaussian": {"model": "gaussian"},
    "copula": {"model": "copula", "max_iter": 3, "tol": 0},
    "factor": {"model": "factor", "n_components": 1},
    "mixture": {"model": "mixture", "n_components": 2, "n_init": 1, "max_iter": 20, "tol": 1e-5},
}


def make_table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 1)) + 0.5 * rng.standard_normal((N, 4))
    X[rng.random(X.shape) < 0.1] = np.nan
    word = np.select([np.isnan(X[:, 2]), X[:, 2] > 0.5, X[:, 2] > -0.5], [None, "high", "middle"], "low")
    level = pd.Categorical(np.where(X[:, 3] > 0, "x", "y"))
    return pd.DataFrame({"a": X[:, 0], "b": np.exp(X[:, 1]), "word": word, "level": level})


TABLE = make_table()
X = TABLE[["a", "b"]].to_numpy()
WEIGHT = np.random.default_rng(1).integers(0, 3, N).astype(float)
BLOCKS = [TABLE[:CHUNK_ROWS], TABLE[CHUNK_ROWS:]]


def frame():
    return dd.from_pandas(TABLE, npartitions=2, sort=False)


def array():
    return da.from_array(X, chunks=(CHUNK_ROWS, -1))


def assert_same_bits(one, other):
    for name in ("location_", "covariance_"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.objective_, one.n_iter_, one.categories_) == (other.objective_, other.n_iter_, other.categories_)


class TestWithoutCluster:
    @pytest.mark.parametrize("name", MODELS)
    def test_frame(self, name):
        lazily, in_blocks = (EMImputer(**MODELS[name], random_state=0).fit(data) for data in (frame(), BLOCKS))
        assert_same_bits(lazily, in_blocks)

    def test_array(self):
        fitted = EMImputer().fit(array())
        assert_allclose(fitted.covariance_, EMImputer().fit(X).covariance_, rtol=1e-9)

    def test_lazy_results(self):
        fitted = EMImputer("gaussian").fit(BLOCKS)
        for name in ("score_samples", "predict_proba"):
            found = getattr(fitted, name)(frame())
            assert isinstance(found, da.Array)
            assert_allclose(found.compute(scheduler="synchronous"), getattr(fitted, name)(TABLE), rtol=1e-9)
        assert fitted.score(frame()) == pytest.approx(fitted.score(TABLE), rel=1e-12)
        filled = fitted.transform(frame())
        assert isinstance(filled, dd.DataFrame)
        found, expected = filled.compute(scheduler="synchronous"), fitted.transform(TABLE)
        assert (filled.dtypes == found.dtypes).all()
        assert_frame_equal(found.astype(expected.dtypes), expected)

    def test_lazy_array(self):
        fitted = EMImputer().fit(X)
        filled = fitted.transform(array())
        assert filled.shape == X.shape
        assert_allclose(filled.compute(scheduler="synchronous"), fitted.transform(X), rtol=1e-12)

    def test_refused(self):
        fitted = EMImputer().fit(X)
        with pytest.raises(ValueError, match="cell_prior must be None where X is read block by block"):
            fitted.transform(array(), cell_prior=(X, X))
        with pytest.raises(ValueError, match="set_output"):
            EMImputer().fit(X).set_output(transform="pandas").transform(array())
        with pytest.raises(ValueError, match="statistic must not be 'sample' where X is a dask collection"):
            EMImputer(statistic="sample").fit(X).transform(array())


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "processes": True, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as local, distributed.Client(local) as client:
        yield client


@pytest.mark.slow  # as all that starts processes and waits for them
@pytest.mark.usefixtures("client")
class TestOnCluster:
    @pytest.mark.parametrize("name", MODELS)
    def test_same_bits_as_in_blocks(self, name, monkeypatch):
        """And no chunk comes here."""
        monkeypatch.delattr(emkit_distributed.RemoteSource, "__iter__")
        on_cluster, in_blocks = (EMImputer(**MODELS[name], random_state=0).fit(data) for data in (frame(), BLOCKS))
        assert_same_bits(on_cluster, in_blocks)

    def test_weights(self):
        weight = da.from_array(WEIGHT, chunks=CHUNK_ROWS)
        on_cluster = EMImputer("gaussian").fit(array(), sample_weight=weight)
        in_blocks = EMImputer("gaussian").fit([X[:CHUNK_ROWS], X[CHUNK_ROWS:]], sample_weight=WEIGHT)
        assert_same_bits(on_cluster, in_blocks)

    def test_a_value_that_is_refused(self):
        wrong = X.copy()
        wrong[-1, 0] = np.inf
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            EMImputer().fit(da.from_array(wrong, chunks=(CHUNK_ROWS, -1)))
