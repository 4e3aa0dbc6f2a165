"""Dask collections and mixtures of all families, without a cluster and on one of two worker processes.

What a cluster fits has the bits of the fit in memory, as the bounds of the partitions are those of the chunks.
"""

import os
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from dask_cases import Deadly
from numpy.testing import assert_allclose, assert_array_equal

from emkit import EMMixture
from emkit import distributed as emkit_distributed
from emkit.chunks import CHUNK_ROWS

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("distributed")

N = 3 * CHUNK_ROWS
RNG = np.random.default_rng(0)
PART = RNG.choice(2, size=N)
NUMBERS = RNG.normal(size=(N, 2)) + 4 * PART[:, None]
COUNTS = RNG.poisson(1.0 + 5 * PART[:, None], (N, 2)).astype(float)
SYMBOLS = (RNG.random((N, 3)) < 0.2 + 0.6 * PART[:, None]).astype(float) + (RNG.random((N, 3)) < 0.1)
SYMBOLS[RNG.random((N, 3)) < 0.01] = np.nan
WEIGHT = RNG.integers(0, 3, N).astype(float)
FEW = {"n_init": 1, "random_state": 0, "max_iter": 8, "tol": 0}
ROWS = {
    "student": NUMBERS,
    "gaussian": NUMBERS,
    "categorical": SYMBOLS,
    "bernoulli": (SYMBOLS > 0).astype(float),
    "poisson": COUNTS,
    ("gaussian", "categorical", "poisson"): np.column_stack([NUMBERS[:, 0], SYMBOLS[:, 0], COUNTS[:, 0]]),
}


def lazy(array, rows=CHUNK_ROWS):
    return da.from_array(array, chunks=(rows, *array.shape[1:]))


def assert_same_fit(fitted, expected, compare=assert_array_equal, **options):
    """All fitted attributes but those that tell of time."""
    for name in (name for name in vars(expected) if name.endswith("_") and name != "history_"):
        one, two = (np.atleast_1d(np.asarray(getattr(e, name), dtype=object)) for e in (fitted, expected))
        for own, other in zip(one, two, strict=True):
            compare(own, other, err_msg=name, **options)


def mixture(family, **options):
    return EMMixture(2, family=list(family) if isinstance(family, tuple) else family, **{**FEW, **options})


class TestMixturesWithoutCluster:
    @pytest.mark.parametrize("family", ROWS, ids=str)
    def test_same_bits_as_in_memory(self, family):
        assert_same_fit(mixture(family).fit(lazy(ROWS[family])), mixture(family).fit(ROWS[family]))

    def test_frame_has_names(self):
        table = dd.from_pandas(pd.DataFrame(COUNTS, columns=["a", "b"]), npartitions=2)
        assert mixture("poisson").fit(table).feature_names_in_.tolist() == ["a", "b"]

    def test_wrong_values_are_named(self):
        wrong = COUNTS.copy()
        wrong[CHUNK_ROWS + 5, 1] = -1
        with pytest.raises(ValueError, match=rf"Negative values in data: X\[{CHUNK_ROWS + 5}, 1\] is -1"):
            mixture("poisson").fit(lazy(wrong))
        wrong[CHUNK_ROWS + 5, 1] = np.inf
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            mixture("poisson").fit(lazy(wrong))

    def test_what_is_given_for_each_row_is_refused(self):
        X = lazy(COUNTS)
        with pytest.raises(ValueError, match="labels must be None where X is read block by block"):
            mixture("poisson").fit(X, labels=PART)
        with pytest.raises(ValueError, match="init_params must be one of"):
            mixture("poisson", init_params=PART).fit(X)
        fitted = mixture("poisson").fit(X)
        with pytest.raises(ValueError, match="method must be 'information' where X is a dask collection"):
            fitted.standard_errors(X, method="bootstrap")

    @pytest.mark.parametrize("name", ["predict", "predict_proba", "transform", "score_samples"])
    @pytest.mark.parametrize("family", ROWS, ids=str)
    def test_lazy_results(self, family, name):
        X = ROWS[family]
        fitted = mixture(family).fit(X)
        result = getattr(fitted, name)(lazy(X, (7_000, 0, 1, N - 7_001)))
        assert isinstance(result, da.Array)
        assert_allclose(result.compute(scheduler="synchronous"), getattr(fitted, name)(X), rtol=1e-12)

    def test_columns_of_one_symbol(self):
        X = np.zeros((20, 1))
        fitted = EMMixture(1, family="categorical").fit(X)
        for table in (lazy(X, 10), dd.from_pandas(pd.DataFrame(X.astype(int)), npartitions=2)):
            assert_array_equal(fitted.predict(table).compute(scheduler="synchronous"), fitted.predict(X))

    @pytest.mark.parametrize("weight", [None, WEIGHT, lazy(WEIGHT, 999)], ids=["none", "numpy", "dask"])
    def test_numbers(self, weight):
        fitted = mixture("poisson").fit(COUNTS)
        here = None if weight is None else WEIGHT
        for name in ("score", "bic", "icl"):
            of_rows = getattr(fitted, name)(COUNTS, sample_weight=here)
            assert getattr(fitted, name)(lazy(COUNTS), sample_weight=weight) == pytest.approx(of_rows, rel=1e-12)


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
class TestMixturesOnCluster:
    @pytest.fixture(autouse=True)
    def no_chunk_comes_here(self, monkeypatch):
        monkeypatch.delattr(emkit_distributed.RemoteSource, "__iter__")

    @pytest.mark.parametrize("family", ROWS, ids=str)
    def test_same_bits_as_in_memory(self, family):
        assert_same_fit(mixture(family).fit(lazy(ROWS[family])), mixture(family).fit(ROWS[family]))

    @pytest.mark.parametrize("options", [{"noise": True}, {"n_init": "auto"}, {"n_jobs": 2}], ids=str)
    def test_same_bits_with_options(self, options):
        options = {**options, "max_iter": 3}
        assert_same_fit(mixture("student", **options).fit(lazy(NUMBERS)), mixture("student", **options).fit(NUMBERS))

    @pytest.mark.parametrize("weight", [WEIGHT, lazy(WEIGHT, 7_000)], ids=["numpy", "dask"])
    def test_weights(self, weight):
        blocks = np.split(SYMBOLS, 3)
        here = mixture("categorical").fit(blocks, sample_weight=WEIGHT)
        assert_same_fit(mixture("categorical").fit(lazy(SYMBOLS), sample_weight=weight), here)

    def test_uneven_one_row_and_empty_partitions(self):
        ends = [0, 17, 18, 18, 12_345, N, N]
        pieces = [COUNTS[start:stop] for start, stop in pairwise(ends)]
        X = da.concatenate([da.from_array(piece, chunks=(max(len(piece), 1), 2)) for piece in pieces])
        fitted = mixture("poisson").fit(X)
        assert_same_fit(fitted, mixture("poisson").fit(pieces))
        assert_allclose(np.sort(fitted.rates_, axis=0), [[1, 1], [6, 6]], rtol=0.05)

    def test_worker_killed_in_a_pass(self, tmp_path):
        here = mixture("poisson").fit(COUNTS)
        deadly = lazy(COUNTS).map_blocks(Deadly(tmp_path, 20), meta=np.empty((0, 0)))
        assert_same_fit(mixture("poisson").fit(deadly), here)
        assert len(os.listdir(tmp_path)) > 20

    def test_wrong_values_are_named(self):
        wrong = COUNTS.copy()
        wrong[CHUNK_ROWS + 5, 1] = 0.5
        estimator = mixture("poisson")
        with pytest.raises(ValueError, match=rf"X\[{CHUNK_ROWS + 5}, 1\] is 0\.5, but counts must be"):
            estimator.fit(lazy(wrong))
        wrong[CHUNK_ROWS + 5, 1] = np.inf
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            estimator.fit(lazy(wrong))
        assert not hasattr(estimator, "n_features_in_")

    def test_start_for_each_row(self):
        with pytest.raises(ValueError, match="init_params must be the name of a method where X is a dask collection"):
            mixture("poisson", init_params=PART).fit(lazy(COUNTS))

    def test_partial_fit(self):
        on_cluster, here = (mixture("poisson").fit(COUNTS).partial_fit(X) for X in (lazy(COUNTS + 1), COUNTS + 1))
        assert_array_equal(on_cluster.rates_, here.rates_)
        with pytest.raises(ValueError, match=rf"X\[{CHUNK_ROWS}, 0\] is -1"):
            here.partial_fit(lazy(np.where(np.arange(N)[:, None] == CHUNK_ROWS, -1, COUNTS)))

    def test_totals(self):
        fitted = mixture("poisson", max_iter=500, tol=1e-10).fit(COUNTS)
        assert fitted.bic(lazy(COUNTS)) == pytest.approx(fitted.bic(COUNTS), rel=1e-12)
        errors, here = (fitted.standard_errors(X) for X in (lazy(COUNTS), COUNTS))
        assert_allclose(errors["rates_"], here["rates_"], rtol=1e-3)
