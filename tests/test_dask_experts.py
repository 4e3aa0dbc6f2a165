"""Dask collections and mixtures of experts, without a cluster and on one of two worker processes.

What a cluster fits has the bits of the fit in memory, as the bounds of the partitions are multiples of 10,000 rows.
"""

import os

import numpy as np
import pandas as pd
import pytest
from dask_cases import Deadly
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit import distributed as emkit_distributed
from emkit.chunks import CHUNK_ROWS

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("distributed")

N = 2 * CHUNK_ROWS
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
FIRST = RNG.random(N) < 1 / (1 + np.exp(-3 * X[:, 1]))
Y = np.where(FIRST, 1 + 2 * X[:, 0], -1 - X[:, 0]) + 0.3 * RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(np.where(FIRST, 1.0, -1 - 0.5 * X[:, 0]))).astype(float)
CLASSES = np.where(Y > 0.5, "high", "low")
WEIGHT = RNG.integers(0, 3, N).astype(float)
EXPOSURE = RNG.uniform(0.5, 2.0, N)
FEW = {"n_init": 1, "random_state": 0, "max_iter": 4, "tol": 0}
FITS = {
    "regressor": (EMMixtureOfExpertsRegressor, {}, Y),
    "several": (EMMixtureOfExpertsRegressor, {}, np.column_stack([Y, 2 - Y + np.sin(np.arange(N))])),
    "gaussian gate": (EMMixtureOfExpertsRegressor, {"gate": "gaussian"}, Y),
    "poisson": (EMMixtureOfExpertsRegressor, {"expert": "poisson"}, COUNTS),
    "columns": (EMMixtureOfExpertsRegressor, {"gate_features": [1], "expert": "student"}, Y),
    "classifier": (EMMixtureOfExpertsClassifier, {}, CLASSES),
}
DIGITS = {"rtol": 1e-9, "atol": 1e-12}


def lazy(array, rows=CHUNK_ROWS):
    return da.from_array(array, chunks=(rows, *array.shape[1:]))


def frame(array=X, y=Y, npartitions=2):
    return dd.from_pandas(pd.DataFrame(array, columns=["a", "b"]).assign(y=y), npartitions=npartitions, sort=False)


def make(name, **options):
    kind, own, _ = FITS[name]
    return kind(2, **{**FEW, **own, **options})


def assert_same_fit(fitted, expected):
    """All fitted attributes but those that tell of time."""
    for name in (name for name in vars(expected) if name.endswith("_") and name != "history_"):
        assert_array_equal(getattr(fitted, name), getattr(expected, name), err_msg=name)


@pytest.fixture(scope="module", params=FITS)
def case(request):
    """Name, responses, and the fit in memory."""
    y = FITS[request.param][2]
    return request.param, y, make(request.param).fit(X, y)


class TestWithoutCluster:
    def test_same_bits_as_in_memory(self, case):
        name, y, in_memory = case
        for own in (y, lazy(y, 999)):
            assert_same_fit(make(name).fit(lazy(X), own), in_memory)

    def test_frame(self, case):
        name, y, in_memory = case
        if y.ndim == 1:
            table = frame(y=y)
            fitted = make(name).fit(table[["a", "b"]], table["y"])
            assert fitted.feature_names_in_.tolist() == ["a", "b"]
            assert_array_equal(fitted.weights_, in_memory.weights_)

    def test_weights(self):
        here = make("regressor").fit(X, Y, sample_weight=WEIGHT)
        for weight in (WEIGHT, lazy(WEIGHT, 999)):
            fitted = make("regressor").fit(lazy(X), lazy(Y), sample_weight=weight)
            assert_allclose(fitted.coef_, here.coef_, rtol=1e-8)

    def test_offset_and_exposure(self):
        given = {"offset": X[:, 0] / 10, "exposure": EXPOSURE}
        here = make("poisson").fit(X, COUNTS, **given)
        lazily = {name: lazy(value) for name, value in given.items()}
        assert_same_fit(make("poisson").fit(lazy(X), lazy(COUNTS), **lazily), here)
        predicted = here.predict(lazy(X, (1, 0, N - 1)), **given)
        assert_allclose(predicted.compute(scheduler="synchronous"), here.predict(X, **given), **DIGITS)
        score = here.score(lazy(X), COUNTS, sample_weight=WEIGHT, **lazily)
        assert score == pytest.approx(here.score(X, COUNTS, sample_weight=WEIGHT, **given), rel=1e-9)

    def test_uneven_one_row_and_empty_partitions(self, case):
        name, y, in_memory = case
        fitted = make(name).fit(lazy(X, (17, 1, 0, N - 18, 0)), y)
        assert_allclose(fitted.weights_, in_memory.weights_, rtol=1e-6)

    def test_few_rows(self):
        fitted = make("regressor").fit(lazy(X[:500], 200), Y[:500])
        assert_allclose(fitted.coef_, make("regressor").fit(X[:500], Y[:500]).coef_, rtol=1e-8)

    def test_what_needs_all_rows_is_refused(self):
        many = lazy(X), lazy(Y)
        for options, message in (
            ({"expert": LinearRegression()}, "expert must be a name where X is a dask collection"),
            ({"gate_features": StandardScaler()}, "gate_features must be None or a list of columns where X is a dask"),
            ({"init_params": FIRST.astype(int)}, "init_params must be 'auto' where X is a function or a dask"),
        ):
            with pytest.raises(ValueError, match=message):
                make("regressor", **options).fit(*many)
        with pytest.raises(ValueError, match="block_id must be None where X is a dask collection"):
            make("regressor").fit(*many, block_id=np.arange(N))
        with pytest.raises(ValueError, match="requires y to be passed"):
            make("regressor").fit(many[0])
        fitted = make("regressor").fit(X, Y)
        with pytest.raises(ValueError, match="block_id must be None where X is a dask collection"):
            fitted.predict(many[0], block_id=np.arange(N))
        with pytest.raises(ValueError, match="X must be in memory here, but is a dask collection"):
            fitted.sample(many[0])
        with pytest.raises(ValueError, match="X must be an array or a frame here"):
            fitted.standard_errors(*many)

    def test_responses_that_are_refused(self):
        for y, message in (
            (Y[:-1], f"y has {N - 1} values, but X has {N} rows"),
            (lazy(Y[:-1], N), "y must have the partitions of X, which are 2"),
            (da.concatenate([lazy(Y[:9_000]), lazy(Y[9_000:-1], N)]), r"block 0 .* X has 10000, y has 9000"),
            (
                lazy(np.where(np.arange(N) == 15_000, np.nan, Y)),
                r"block 1 of X \(from 0\) is refused: Input y contains NaN",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                make("regressor").fit(lazy(X), y)
        with pytest.raises(ValueError, match=r"expert='poisson' takes .* but y holds -1"):
            make("poisson").fit(lazy(X), lazy(np.where(np.arange(N) == 15_000, -1, COUNTS)))
        with pytest.raises(ValueError, match="y must be a dask collection with the partitions of X, as the sizes"):
            make("regressor").fit(frame()[["a", "b"]], Y)
        with pytest.raises(ValueError, match="y must have two classes or more"):
            make("classifier").fit(lazy(X), lazy(np.zeros(N)))


class TestLazyResults:
    def test_of_rows(self, case):
        name, y, fitted = case
        many, own = lazy(X, (7_000, 0, 1, N - 7_001)), lazy(y, 999)
        names = ["predict", "predict_expert_proba", "score_samples"]
        names += ["predict_proba"] if name == "classifier" else []
        for method in names:
            result, expected = getattr(fitted, method)(many), getattr(fitted, method)(X)
            assert isinstance(result, da.Array)
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert_values(result, expected)
        for method in ("predict_expert_proba", "score_samples"):
            for given in (y, own):
                assert_values(getattr(fitted, method)(many, given), getattr(fitted, method)(X, y))

    def test_quantiles(self):
        fitted, some = make("regressor").fit(X, Y), X[:100]
        assert_values(fitted.predict_quantile(lazy(some, 60), [0.1, 0.5]), fitted.predict_quantile(some, [0.1, 0.5]))
        for found, expected in zip(fitted.predict_interval(lazy(some, 60)), fitted.predict_interval(some), strict=True):
            assert_values(found, expected)

    @pytest.mark.parametrize("weight", [None, WEIGHT, lazy(WEIGHT, 999)], ids=["none", "numpy", "dask"])
    def test_numbers(self, case, weight):
        _, y, fitted = case
        here = None if weight is None else WEIGHT
        for method in ("score", "bic", "icl"):
            value = getattr(fitted, method)(lazy(X), lazy(y), sample_weight=weight)
            assert value == pytest.approx(getattr(fitted, method)(X, y, sample_weight=here), rel=1e-9)
            with pytest.raises(ValueError, match="requires y to be passed"):
                getattr(fitted, method)(lazy(X))
        first_alone = np.where(np.arange(N) < CHUNK_ROWS, 1.0, 0.0)
        of_first = fitted.score(X, y, sample_weight=first_alone)
        assert fitted.score(lazy(X), lazy(y), sample_weight=first_alone) == pytest.approx(of_first, rel=1e-9)
        with pytest.raises(ValueError, match="no rows of positive weight"):
            fitted.score(lazy(X), lazy(y), sample_weight=da.zeros(N, chunks=CHUNK_ROWS))


def assert_values(result, expected):
    found = result.compute(scheduler="synchronous")
    if expected.dtype.kind == "f":
        assert_allclose(found, expected, **DIGITS)
    else:
        assert_array_equal(found, expected)


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
class TestOnCluster:
    @pytest.fixture(autouse=True)
    def no_chunk_comes_here(self, monkeypatch):
        monkeypatch.delattr(emkit_distributed.RemoteSource, "__iter__")

    def test_same_bits_as_in_memory(self, case):
        name, y, in_memory = case
        for own in (y, lazy(y, 999)):
            assert_same_fit(make(name).fit(lazy(X), own), in_memory)

    def test_same_bits_from_many_starts(self):
        options = {"n_init": "auto", "max_iter": 2, "n_jobs": 2, "noise": True}
        assert_same_fit(make("regressor", **options).fit(lazy(X), lazy(Y)), make("regressor", **options).fit(X, Y))

    def test_frame_with_weights(self):
        table = frame()
        fitted = make("regressor").fit(table[["a", "b"]], table["y"], sample_weight=table["a"] * 0 + 1)
        assert_array_equal(fitted.coef_, make("regressor").fit(X, Y).coef_)

    def test_worker_killed_in_a_pass(self, tmp_path):
        here = make("regressor").fit(X, Y)
        deadly = lazy(X).map_blocks(Deadly(tmp_path, 11), meta=np.empty((0, 0)))
        assert_same_fit(make("regressor").fit(deadly, lazy(Y)), here)
        assert len(os.listdir(tmp_path)) > 11

    def test_infinity(self):
        wrong = X.copy()
        wrong[15_000, 1] = np.inf
        estimator = make("classifier")
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            estimator.fit(lazy(wrong), lazy(CLASSES))
        assert not hasattr(estimator, "classes_")

    def test_checkpoint(self, tmp_path):
        expected = make("regressor").fit(X, Y)
        for _ in range(2):
            assert_same_fit(make("regressor", checkpoint=tmp_path / "fit").fit(lazy(X), lazy(Y)), expected)

    def test_scores(self, case):
        _, y, fitted = case
        assert fitted.score(lazy(X), lazy(y)) == pytest.approx(fitted.score(X, y), rel=1e-9)
        assert fitted.bic(lazy(X), lazy(y)) == pytest.approx(fitted.bic(X, y), rel=1e-9)
        assert_array_equal(fitted.predict(lazy(X)).compute().shape, fitted.predict(X).shape)
