"""Dask collections and hidden Markov models, without a cluster and on one of two worker processes.

What a cluster fits has the bits of the fit in memory, as chunks end there where partitions do.
"""

import os

import numpy as np
import pandas as pd
import pytest
from dask_cases import Deadly
from numpy.testing import assert_allclose, assert_array_equal

from emkit import EMHiddenMarkov
from emkit import distributed as emkit_distributed

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pytest.importorskip("distributed")

LENGTH, N_SEQUENCES = 500, 60
N = LENGTH * N_SEQUENCES
BOUNDS = (10_000, 10_000, 10_000)
RNG = np.random.default_rng(0)
MOVES = RNG.random((N_SEQUENCES, LENGTH)) < 0.05
STATES = (MOVES.cumsum(axis=1) % 2).ravel()
NUMBERS = RNG.normal(size=(N, 2)) + 3 * STATES[:, None]
NUMBERS[RNG.random((N, 2)) < 0.01] = np.nan
COUNTS = RNG.poisson(1.0 + 4 * STATES[:, None], (N, 1)).astype(float)
IDS = np.repeat(np.arange(N_SEQUENCES), LENGTH)
WEIGHT = np.repeat(RNG.integers(0, 3, N_SEQUENCES), LENGTH).astype(float)
LENGTHS = [LENGTH] * N_SEQUENCES
FEW = {"n_init": 1, "random_state": 0, "max_iter": 6, "tol": 0}


def model(**options):
    return EMHiddenMarkov(2, **{**FEW, **options})


def lazy(array, rows=BOUNDS):
    return da.from_array(array, chunks=(rows, *array.shape[1:]))


def table(X=NUMBERS, ids=IDS):
    return pd.DataFrame(X, columns=[*"ab"[: X.shape[1]]]).assign(who=ids)


def frame(X=NUMBERS, ids=IDS, npartitions=3):
    return dd.from_pandas(table(X, ids), npartitions=npartitions, sort=False)


def assert_same_fit(fitted, expected):
    """All fitted attributes but those that tell of time."""
    for name in (name for name in vars(expected) if name.endswith("_") and name != "history_"):
        assert_array_equal(getattr(fitted, name), getattr(expected, name), err_msg=name)


@pytest.fixture(scope="module")
def in_memory():
    return model(sequence="who").fit(table())


class TestWithoutCluster:
    def test_column(self, in_memory):
        assert_same_fit(model(sequence="who").fit(frame()), in_memory)
        assert in_memory.feature_names_in_.tolist() == ["a", "b"]

    def test_index_level(self, in_memory):
        by_index = frame().set_index("who", sorted=True, divisions=[0, 20, 40, 59])
        assert_same_fit(model(sequence="who").fit(by_index), in_memory)

    @pytest.mark.parametrize(
        "told",
        [{"sequence_id": IDS}, {"sequence_id": lazy(IDS, 999)}, {"lengths": LENGTHS}],
        ids=["numpy", "dask", "lengths"],
    )
    def test_array(self, told):
        here = {name: np.asarray(value) for name, value in told.items()}
        assert_same_fit(model().fit(lazy(NUMBERS), **told), model().fit(NUMBERS, **here))

    def test_position_of_a_column(self):
        X = np.column_stack([IDS, NUMBERS])
        assert_same_fit(model(sequence=0).fit(lazy(X)), model(sequence=0).fit(X))

    def test_interleaved_within_partitions(self):
        order = np.concatenate(
            [part * 10_000 + np.argsort(np.arange(10_000) % LENGTH, kind="stable") for part in range(3)]
        )
        X, ids = NUMBERS[order], IDS[order]
        fitted = model().fit(lazy(X), sequence_id=ids)
        assert_allclose(fitted.means_, model().fit(X, sequence_id=ids).means_, rtol=1e-3)
        assert_allclose(fitted.predict_proba(lazy(X), sequence_id=ids), fitted.predict_proba(X, sequence_id=ids))

    def test_few_rows(self):
        few = slice(0, 9_000)
        fitted = model(sequence="who").fit(frame(NUMBERS[few], IDS[few], 3))
        assert_same_fit(fitted, model(sequence="who").fit(table(NUMBERS[few], IDS[few])))

    def test_uneven_one_row_and_empty_partitions(self):
        bounds = (500, 1, 0, 499, 29_000, 0)
        ids = IDS.copy()
        ids[500] = -1
        fitted = model().fit(lazy(NUMBERS, bounds), sequence_id=ids)
        assert fitted.n_sequences_ == N_SEQUENCES + 1
        assert_allclose(fitted.means_, model().fit(NUMBERS, sequence_id=ids).means_, rtol=1e-10)

    @pytest.mark.parametrize("weight", [WEIGHT, lazy(WEIGHT, 999)], ids=["numpy", "dask"])
    def test_weights(self, weight):
        fitted = model().fit(lazy(NUMBERS), lengths=LENGTHS, sample_weight=weight)
        here = model().fit(NUMBERS, lengths=LENGTHS, sample_weight=WEIGHT)
        assert fitted.n_sequences_ == here.n_sequences_ == np.count_nonzero(WEIGHT) / LENGTH
        assert_allclose(fitted.means_, here.means_, rtol=1e-10)
        assert_allclose(fitted.transmat_, here.transmat_, rtol=1e-10)

    def test_a_partition_of_weight_zero(self):
        weight = np.where(np.arange(N) < 10_000, 0.0, 1.0)
        fitted = model().fit(lazy(NUMBERS), lengths=LENGTHS, sample_weight=weight)
        assert_same_fit(fitted, model().fit(NUMBERS[10_000:], lengths=LENGTHS[20:]))
        with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
            model().fit(lazy(NUMBERS), lengths=LENGTHS, sample_weight=da.zeros(N, chunks=BOUNDS))

    def test_nothing_tells_the_sequences(self):
        for X in (lazy(NUMBERS), frame()):
            with pytest.raises(ValueError, match="`sequence` of the constructor names the column or index level"):
                model().fit(X)
        with pytest.raises(ValueError, match="must be a column or an index level of X"):
            model(sequence="whose").fit(frame())
        with pytest.raises(ValueError, match="sequence_id and lengths are both given"):
            model().fit(lazy(NUMBERS), sequence_id=IDS, lengths=LENGTHS)

    def test_a_sequence_in_two_partitions(self, in_memory):
        cut = dd.from_pandas(table(), npartitions=7, sort=False)
        with pytest.raises(ValueError, match=r"sequence 8 is in two partitions of X, .* X\.set_index\(column, sorted"):
            model(sequence="who").fit(cut)
        mended = cut.set_index("who", sorted=True)
        assert_allclose(model(sequence="who").fit(mended).means_, in_memory.means_, rtol=1e-10)
        with pytest.raises(ValueError, match=r"lengths\[0\] goes on from partition 0 of X into the next"):
            model().fit(lazy(NUMBERS, 400), lengths=LENGTHS)
        with pytest.raises(ValueError, match=r"sequence \d+ is in two partitions of X"):
            in_memory.predict(cut).compute(scheduler="synchronous")

    def test_what_is_given_for_each_row_is_refused(self, in_memory):
        with pytest.raises(ValueError, match="labels must be None where X is a dask collection"):
            model(sequence="who").fit(frame(), labels=STATES)
        with pytest.raises(ValueError, match="init_params must be 'auto' where X is a dask collection"):
            model(sequence="who", init_params=STATES).fit(frame())
        for method in ("standard_errors", "sample_paths"):
            with pytest.raises(ValueError, match=r"X must be in memory here, but is a dask collection"):
                getattr(in_memory, method)(frame())
        for method, number in (("decode_k_best", 2), ("forecast", 3)):
            with pytest.raises(ValueError, match=r"X must be in memory here, but is a dask collection"):
                getattr(in_memory, method)(frame(), number)

    def test_values_that_are_refused(self, in_memory):
        wrong = NUMBERS.copy()
        wrong[10_005, 1] = np.inf
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            model(sequence="who").fit(frame(wrong))
        wrong = COUNTS.copy()
        wrong[10_005, 0] = -1
        with pytest.raises(ValueError, match=r"Negative values in data: X\[10005, 0\] is -1"):
            model(sequence="who", emission="poisson").fit(frame(wrong))
        with pytest.raises(ValueError, match=r"block 1 .* sample_weight must be constant within a sequence"):
            model().fit(lazy(NUMBERS), lengths=LENGTHS, sample_weight=np.arange(N) > 10_003)

    def test_a_row_of_probability_zero(self):
        symbols = (NUMBERS[:, :1] > 1).astype(float)
        symbols[20_007] = 2
        never = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]
        estimator = model(sequence="who", emission="categorical", emissionprob_init=never)
        with pytest.raises(ValueError, match="row 20007 has probability zero under the model"):
            estimator.fit(frame(symbols))

    def test_partial_fit(self):
        batches = [(frame(NUMBERS[:20_000], IDS[:20_000], 2), frame(NUMBERS[20_000:], IDS[20_000:], 1))]
        batches += [(table(NUMBERS[:20_000], IDS[:20_000]), table(NUMBERS[20_000:], IDS[20_000:]))]
        one, two = (model(sequence="who").partial_fit(first).partial_fit(then) for first, then in batches)
        assert_same_fit(one, two)
        wrong = frame(np.where(np.arange(10_000)[:, None] == 7, -1, COUNTS[:10_000]), IDS[:10_000], 2)
        counts = model(sequence="who", emission="poisson").fit(table(COUNTS))
        with pytest.raises(ValueError, match=r"block 0 of X \(from 0\) is refused: X\[7, 0\] is -1"):
            counts.partial_fit(wrong)


class TestLazyResults:
    @pytest.mark.parametrize(
        "name", ["predict", "predict_proba", "predict_proba_filtered", "transform", "score_samples"]
    )
    def test_of_rows(self, in_memory, name):
        expected = getattr(in_memory, name)(table())
        result = getattr(in_memory, name)(frame())
        assert isinstance(result, da.Array)
        assert_allclose(result.compute(scheduler="synchronous"), expected, rtol=1e-12)
        arrays = model().fit(NUMBERS, lengths=LENGTHS)
        X = lazy(NUMBERS, (500, 0, 29_500))
        for told in ({"lengths": LENGTHS}, {"sequence_id": lazy(IDS, 999)}):
            result = getattr(arrays, name)(X, **told)
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert_allclose(result.compute(scheduler="synchronous"), getattr(arrays, name)(NUMBERS, lengths=LENGTHS))

    def test_lagged_and_most_probable_states(self, in_memory):
        lagged = in_memory.predict_proba_lagged(frame(), lag=2)
        assert_allclose(lagged.compute(scheduler="synchronous"), in_memory.predict_proba_lagged(table(), lag=2))
        by_row = model(sequence="who", decoder="map").fit(table())
        assert_array_equal(by_row.predict(frame()).compute(scheduler="synchronous"), by_row.predict(table()))

    def test_paths(self, in_memory):
        total, states = in_memory.decode(frame())
        expected = in_memory.decode(table())
        assert float(total.compute(scheduler="synchronous")) == pytest.approx(expected[0], rel=1e-12)
        assert_array_equal(states.compute(scheduler="synchronous"), expected[1])

    @pytest.mark.parametrize("weight", [None, WEIGHT, lazy(WEIGHT, 999)], ids=["none", "numpy", "dask"])
    def test_numbers(self, weight):
        fitted, here = model().fit(NUMBERS, lengths=LENGTHS), None if weight is None else WEIGHT
        for name in ("score", "bic", "icl"):
            of_rows = getattr(fitted, name)(NUMBERS, lengths=LENGTHS, sample_weight=here)
            lazily = getattr(fitted, name)(lazy(NUMBERS), lengths=LENGTHS, sample_weight=weight)
            assert lazily == pytest.approx(of_rows, rel=1e-12)

    def test_belong_to_the_fit_at_the_call(self):
        fitted = model(sequence="who").fit(table())
        result, expected = fitted.predict(frame()), fitted.predict(table())
        fitted.set_params(n_components=1).fit(table(NUMBERS[:1000], IDS[:1000]))
        assert_array_equal(result.compute(scheduler="synchronous"), expected)

    def test_other_columns(self, in_memory):
        with pytest.raises(ValueError, match="feature names should match"):
            in_memory.predict(frame().rename(columns={"a": "z"}))


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
class TestOnCluster:
    @pytest.fixture(autouse=True)
    def no_chunk_comes_here(self, monkeypatch):
        monkeypatch.delattr(emkit_distributed.RemoteSource, "__iter__")

    def test_same_bits_as_in_memory(self, in_memory):
        assert_same_fit(model(sequence="who").fit(frame()), in_memory)

    @pytest.mark.parametrize(
        "options",
        [
            {"emission": "poisson"},
            {"emission": "student", "max_iter": 2},
            {"n_init": "auto", "max_iter": 3},
            {"start": "stationary", "sticky": 3.0, "n_jobs": 2},
            {"transmat_init": [[0.9, 0.1], [0.0, 1.0]]},  # so that no stretch stands for its sequence
        ],
        ids=str,
    )
    def test_same_bits_with_options(self, options):
        X = COUNTS if options.get("emission") == "poisson" else NUMBERS
        estimator = model(sequence="who", **options)
        assert_same_fit(estimator.fit(frame(X)), model(sequence="who", **options).fit(table(X)))

    @pytest.mark.parametrize("told", [{"sequence_id": IDS}, {"lengths": LENGTHS}], ids=["ids", "lengths"])
    def test_array(self, told):
        fitted = model().fit(lazy(NUMBERS), sample_weight=lazy(np.ones(N), 999), **told)
        assert_same_fit(fitted, model().fit(NUMBERS, **told))

    def test_worker_killed_in_a_pass(self, tmp_path):
        here = model().fit(NUMBERS, lengths=LENGTHS)
        deadly = lazy(NUMBERS).map_blocks(Deadly(tmp_path, 23), meta=np.empty((0, 0)))
        assert_same_fit(model().fit(deadly, lengths=LENGTHS), here)
        assert len(os.listdir(tmp_path)) > 23

    def test_a_sequence_in_two_partitions(self):
        estimator = model(sequence="who")
        with pytest.raises(ValueError, match="sequence 8 is in two partitions of X"):
            estimator.fit(dd.from_pandas(table(), npartitions=7, sort=False))
        assert not hasattr(estimator, "n_features_in_")

    def test_values_that_are_refused(self):
        wrong = COUNTS.copy()
        wrong[10_005, 0] = -1
        with pytest.raises(ValueError, match=r"Negative values in data: X\[10005, 0\] is -1"):
            model(sequence="who", emission="poisson").fit(frame(wrong))
        wrong[10_005, 0] = np.inf
        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Input X contains infinity"):
            model(sequence="who", emission="poisson").fit(frame(wrong))

    def test_a_row_of_probability_zero(self):
        symbols = (NUMBERS[:, :1] > 1).astype(float)
        symbols[20_007] = 2
        never = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]
        with pytest.raises(ValueError, match="row 20007 has probability zero under the model"):
            model(sequence="who", emission="categorical", emissionprob_init=never).fit(frame(symbols))

    def test_checkpoint(self, tmp_path, in_memory):
        for _ in range(2):
            assert_same_fit(model(sequence="who", checkpoint=tmp_path / "fit").fit(frame()), in_memory)

    def test_partial_fit_and_scores(self, in_memory):
        then = frame(NUMBERS + 1)
        one, two = (model(sequence="who").fit(table()).partial_fit(X) for X in (then, table(NUMBERS + 1)))
        assert_same_fit(one, two)
        assert in_memory.score(frame()) == pytest.approx(in_memory.score(table()), rel=1e-12)
        assert_array_equal(in_memory.predict(frame()).compute(), in_memory.predict(table()))
