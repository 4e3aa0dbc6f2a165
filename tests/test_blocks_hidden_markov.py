"""Hidden Markov models of sequences that are read block by block: as if they had been a list."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from test_online_hidden_markov import EMISSIONS, assert_same, drawn

from emkit import EMHiddenMarkov
from emkit.chunks import Rows
from emkit.hidden_markov import training
from emkit.hidden_markov.fitting import chunk_rows
from emkit.hidden_markov.sequences import Sequences, joined, rechunked, split
from emkit.hidden_markov.streams import source_of
from emkit.selection import bic

LENGTHS = [30, 1, 25, 44]
IDS = np.repeat(["a", "b", "c", "d"], LENGTHS)


def cut(X, lengths=LENGTHS):
    return np.split(X, np.cumsum(lengths)[:-1])


def function(blocks):
    return lambda: iter(blocks)


def frame(X):
    return pd.DataFrame(X).add_prefix("x").assign(id=IDS[: len(X)])


class TestChunks:
    @pytest.mark.parametrize("seed", range(20))
    def test_are_those_of_one_table(self, seed):
        rng = np.random.default_rng(seed)
        lengths = rng.geometric(0.1 * rng.random(), size=40)
        lengths[rng.integers(40)] = 300
        starts = np.concatenate([[0], np.cumsum(lengths)])
        X = rng.normal(size=(starts[-1], 1))
        whole = Sequences(Rows(X, np.repeat(rng.random(40), lengths)), starts)
        at = np.unique(np.concatenate([[0, 40], rng.integers(40, size=seed)]))
        blocks = [whole.take(np.arange(first, end)) for first, end in pairwise(at)]
        chunks, expected = list(rechunked(blocks, 100)), split(whole, 100)
        assert len(chunks) == len(expected)
        for one, other in zip(chunks, expected, strict=True):
            assert_array_equal(one.starts, other.starts)
            assert_array_equal(one.rows.X, other.rows.X)
            assert_array_equal(one.rows.weight, other.rows.weight)

    def test_a_long_sequence_is_not_copied(self):
        short, long = (Sequences(Rows(np.zeros((n, 1)), np.ones(n)), np.array([0, n])) for n in (10, 500))
        chunks = list(rechunked([short, long, short], 100))
        assert np.shares_memory(chunks[1].rows.X, long.rows.X)


class TestFit:
    @pytest.mark.parametrize("kind", EMISSIONS)
    def test_gives_the_bits_of_a_list(self, kind):
        X = drawn(EMISSIONS[kind]["emission"], LENGTHS)
        X[3] = np.nan
        X[50, 0] = np.nan
        weight = [1.0, 2.0, 0.0, 0.5]

        def make():
            return EMHiddenMarkov(2, **EMISSIONS[kind], random_state=0, max_iter=20, tol=0)

        whole = make().fit(cut(X), sample_weight=np.repeat(weight, LENGTHS))
        blocks = make().fit(function(cut(X)), sample_weight=weight)
        assert whole.objective_ == blocks.objective_
        assert_same(whole, blocks, rtol=0)
        assert (whole.n_sequences_, whole.n_iter_) == (blocks.n_sequences_, blocks.n_iter_)

    @pytest.mark.parametrize("many", [False, True])
    def test_kinds_of_blocks(self, many, monkeypatch):
        """Sequences, lists of them, tables with ids in a column or an index; empty ones are passed over."""
        if many:
            monkeypatch.setattr(training, "SAMPLE_ROWS", 40)
        X = drawn("gaussian", LENGTHS).astype(np.float32)
        table = frame(X)
        mixed = table.iloc[:31].sample(frac=1, random_state=0)
        mixed = mixed.sort_index(kind="stable").iloc[np.r_[0:10, 30, 10:30]]
        kinds = {
            "arrays": (None, [X[:0], *cut(X), X[:0]]),
            "list": (None, [cut(X)[:3], [], cut(X)[3:]]),
            "frames": ("id", [table[:31], table[:0], table[31:56], table[56:]]),
            "interleaved": ("id", [mixed, table[31:]]),
            "index": ("id", [table[:31].set_index("id"), table[31:].set_index("id")]),
            "polars": ("id", [pl.DataFrame(table[:31]), pl.DataFrame(table[31:])]),
            "position": (2, [np.column_stack([X, np.repeat(np.arange(4), LENGTHS)])]),
        }
        fits = {
            name: EMHiddenMarkov(2, sequence=sequence, random_state=0).fit(function(blocks))
            for name, (sequence, blocks) in kinds.items()
        }
        assert {fit.n_sequences_ for fit in fits.values()} == {4}
        assert list(fits["frames"].feature_names_in_) == ["x0", "x1"]
        for fit in fits.values():
            assert fit.n_features_in_ == 2
            assert_same(fit, fits["arrays"], rtol=1e-8)

    @pytest.mark.parametrize("kind", EMISSIONS)
    def test_many_rows_come_to_the_same_maximum(self, kind):
        """The sample of starts is another one, and the family sees a sample."""
        lengths = np.full(200, 60)
        sequences = cut(drawn(EMISSIONS[kind]["emission"], lengths), lengths)
        options = {**EMISSIONS[kind], "random_state": 0, "tol": 1e-6}
        if kind == "mixture":  # many maxima, and a slow way to each
            options |= {"n_init": 1, "tol": 1e-4}
        whole = EMHiddenMarkov(2, **options).fit(sequences)
        blocks = EMHiddenMarkov(2, **options).fit(function(sequences))
        assert blocks.objective_ == pytest.approx(whole.objective_, rel=1e-3 if kind == "mixture" else 1e-6)
        assert ("sample" in set(blocks.history_["phase"])) == (kind != "mixture")

    def test_a_symbol_that_is_rare(self):
        lengths = np.full(300, 60)
        X = drawn("categorical", lengths)
        X[15_001] = 7
        model = EMHiddenMarkov(2, emission="categorical", n_init=1, random_state=0, tol=1e-4).fit(
            function(cut(X, lengths))
        )
        assert model.emissionprob_.shape == (2, 8)
        assert (model.emissionprob_[:, 7] > 0).any()

    def test_given_starts_priors_and_zeros(self):
        X = drawn("poisson", LENGTHS)
        moves = [[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0, 0.1, 0.9]]
        options = {"emission": "poisson", "rates_init": [[2.0], [4.0], [7.0]], "transmat_init": moves}
        options |= {"sticky": 3.0, "start": "stationary", "random_state": 0}
        whole = EMHiddenMarkov(3, **options).fit(cut(X))
        blocks = EMHiddenMarkov(3, **options).fit(function(cut(X)))
        assert_same(whole, blocks, rtol=0)
        assert blocks.transmat_[0, 2] == 0

    def test_warm_start_partial_fit_and_threads(self):
        lengths = np.full(300, 40)
        sequences = cut(drawn("poisson", lengths), lengths)
        one, two = (EMHiddenMarkov(2, emission="poisson", random_state=0, n_jobs=n) for n in (None, 2))
        one.fit(function(sequences))
        assert_array_equal(one.rates_, two.fit(function(sequences)).rates_)
        n_iter = one.n_iter_
        assert one.set_params(warm_start=True).fit(function(sequences)).n_iter_ < n_iter
        one.partial_fit(function(sequences[:10]), sample_weight=[1.0] * 9 + [0])
        two.partial_fit(sequences[:9])
        assert_allclose(one.rates_, two.rates_, rtol=1e-5)
        assert one.n_sequences_ == two.n_sequences_ == 309

    def test_a_fit_that_was_killed_goes_on(self, tmp_path):
        """From the blocks of 12,000 rows, which are read again."""
        lengths = np.full(200, 60)
        sequences = cut(drawn("poisson", lengths), lengths)
        options = {"emission": "poisson", "n_init": 1, "random_state": 0, "tol": 0, "max_iter": 6}
        whole = EMHiddenMarkov(2, **options).fit(function(sequences))
        calls = []

        def broken():
            calls.append(1)
            if len(calls) == 8:
                raise OSError("the disk is gone")
            return iter(sequences)

        path = tmp_path / "fit"
        with pytest.raises(OSError, match="the disk is gone"):
            EMHiddenMarkov(2, checkpoint=path, **options).fit(broken)
        assert path.exists()
        again = EMHiddenMarkov(2, checkpoint=path, **options).fit(function(sequences))
        assert_same(again, whole, rtol=0)

    def test_transform_of_the_training_data(self):
        X = drawn("gaussian", LENGTHS)
        fresh = EMHiddenMarkov(2, random_state=0).set_output(transform="pandas")
        proba = fresh.fit_transform(function(cut(X)))
        assert_array_equal(proba.to_numpy(), fresh.predict_proba(cut(X)))
        assert list(proba.columns) == ["emhiddenmarkov0", "emhiddenmarkov1"]


class TestSample:
    def pieces(self, lengths):
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return Sequences(Rows(np.arange(starts[-1], dtype=float)[:, None], np.ones(starts[-1])), starts)

    def test_each_sequence_has_the_same_chance(self, monkeypatch):
        monkeypatch.setattr(training, "SAMPLE_ROWS", 20)
        data = self.pieces(np.full(50, 4))
        counts = np.zeros(50)
        for seed in range(2000):
            sample = training._Drawn(np.random.default_rng(seed))
            for first in range(0, 50, 7):
                block = data.take(np.arange(first, min(first + 7, 50)))
                sample.add(block, block.rows.X[:, 0].astype(int))
            assert len(sample.sequences) == 5
            assert_array_equal(sample.sequences.rows.X[:, 0], sample.places)
            assert (np.diff(sample.places) > 0).all()
            counts[sample.places[::4] // 4] += 1
        assert abs(counts / 2000 - 0.1).max() < 4 * np.sqrt(0.09 / 2000)

    def test_is_the_least_number_with_enough_rows(self, monkeypatch):
        monkeypatch.setattr(training, "SAMPLE_ROWS", 30)
        lengths = np.random.default_rng(0).integers(1, 12, size=40)
        data, sample = self.pieces(lengths), training._Drawn(np.random.default_rng(3))
        sample.add(data, np.arange(lengths.sum()))
        order = np.argsort(np.random.default_rng(3).random(40))
        n = int(np.searchsorted(np.cumsum(lengths[order]), 30)) + 1
        assert_array_equal(sample.sequences.rows.X, data.take(np.sort(order[:n])).rows.X)

    def test_extremes(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(100, 3))
        X[:, 1] = np.nan
        X[rng.random((100, 3)) < 0.3] = np.nan
        found = training._Extremes()
        for first in range(0, 100, 9):
            found.add(Rows(X[first : first + 9], np.ones(len(X[first : first + 9]))), np.arange(first, 100))
        assert found.unobserved == [1]
        wanted = {np.nanargmax(X[:, 0]), np.nanargmin(X[:, 0]), np.nanargmax(X[:, 2]), np.nanargmin(X[:, 2])}
        assert set(found.places) == wanted
        assert_array_equal(found.rows.X, X[found.places])


class TestPredictions:
    """Of all blocks, in the order of their rows."""

    X = drawn("poisson", LENGTHS)
    model = EMHiddenMarkov(2, emission="poisson", random_state=0).fit(cut(X))
    weight = (1.0, 2.0, 0.0, 0.5)

    @pytest.mark.parametrize(
        "call",
        [
            lambda model, X: model.score_samples(X),
            lambda model, X: model.predict_proba(X),
            lambda model, X: model.transform(X),
            lambda model, X: model.predict_proba_filtered(X),
            lambda model, X: model.predict_proba_lagged(X, lag=2),
            lambda model, X: model.predict(X),
            lambda model, X: model.decode(X)[1],
            lambda model, X: model.decode_k_best(X, 2)[0],
            lambda model, X: model.decode_k_best(X, 2)[1],
            lambda model, X: model.sample_paths(X, 3),
            lambda model, X: model.forecast(X, 2).mean,
            lambda model, X: model.forecast(X, 2).sequence_id,
        ],
    )
    def test_rows(self, call):
        assert_array_equal(call(self.model, cut(self.X)), call(self.model, function([self.X[:0], *cut(self.X)])))

    def test_sums(self):
        blocks, whole, model = function(cut(self.X)), cut(self.X), self.model
        by_row = np.repeat(self.weight, LENGTHS)
        assert model.decode(blocks)[0] == pytest.approx(model.decode(whole)[0], rel=1e-12)
        assert model.score(whole) == pytest.approx(model.score_samples(whole).mean(), rel=1e-12)
        for name in ("score", "bic", "aic", "icl"):
            call = getattr(model, name)
            assert call(blocks) == pytest.approx(call(whole), rel=1e-12)
            weighted = call(blocks, sample_weight=self.weight)
            assert weighted == pytest.approx(call(whole, sample_weight=by_row), rel=1e-12)
        assert bic(model, blocks) == pytest.approx(model.bic(whole), rel=1e-12)

    def test_ids_that_interleave_keep_their_places(self):
        order = np.random.default_rng(0).permutation(31)
        table = frame(self.X)
        model = EMHiddenMarkov(2, emission="poisson", sequence="id", random_state=0).fit(table)
        blocks = [table.iloc[:31].iloc[order], table.iloc[31:]]
        whole = pd.concat(blocks)
        assert_allclose(model.predict_proba(function(blocks)), model.predict_proba(whole), rtol=1e-12)
        ids = model.forecast(function(blocks), 1).sequence_id
        assert ids == list(dict.fromkeys(whole["id"]))
        weight = pd.Series(dict(zip("abcd", self.weight, strict=True)))
        by_sequence = weight[ids].to_numpy()
        assert model.score(function(blocks), sample_weight=by_sequence) == pytest.approx(
            model.score(whole, sample_weight=weight[whole["id"]].to_numpy()), rel=1e-12
        )

    def test_an_impossible_row_is_named_as_the_user_counts(self):
        model = EMHiddenMarkov(2, emission="bernoulli", random_state=0).fit([[0.0], [1.0], [0.0]] * 20)
        model.startprob_, model.transmat_, model.emissionprob_ = np.ones(2) / 2, np.eye(2), np.array([[1.0], [1.0]])
        with pytest.raises(ValueError, match="row 4 has probability zero"):
            model.score(function([[[1.0], [1.0]], [[1.0]], [[1.0], [0.0]]]))


class TestMemory:
    LENGTHS = np.concatenate([[25_000], np.full(3000, 15)])

    def mapped(self, path, X):
        np.save(path / "rows.npy", X)
        return np.load(path / "rows.npy", mmap_mode="r")

    @pytest.mark.parametrize("dtype", [float, np.float32, np.int16])
    @pytest.mark.parametrize("told_by", ["lengths", "sequence_id", "sequence"])
    def test_a_memory_map_is_read_in_pieces(self, dtype, told_by, tmp_path):
        X = drawn("poisson", self.LENGTHS)
        ids = np.repeat(np.arange(len(self.LENGTHS)), self.LENGTHS)
        told = {"lengths": {"lengths": self.LENGTHS}, "sequence_id": {"sequence_id": ids}, "sequence": {}}[told_by]
        table = np.column_stack([X, ids]) if told_by == "sequence" else X
        options = {"sequence": 1} if told_by == "sequence" else {}
        mapped = self.mapped(tmp_path, table.astype(dtype))
        model = EMHiddenMarkov(2, emission="poisson", n_init=1, random_state=0, **options)
        weight = np.repeat(np.random.default_rng(0).integers(3, size=len(self.LENGTHS)), self.LENGTHS).astype(float)
        model.fit(mapped, **told, sample_weight=weight)
        assert source_of(model, mapped, **told, reset=False) is not None
        objective = model.objective_
        assert_allclose(model.predict_proba(mapped, **told), model.predict_proba(table, **told), rtol=1e-12)
        assert model.score(mapped, **told, sample_weight=weight) == pytest.approx(
            model.score(table, **told, sample_weight=weight), rel=1e-12
        )
        assert model.fit(table, **told, sample_weight=weight).objective_ == pytest.approx(objective, rel=1e-5)

    def test_ids_that_interleave_labels_and_starts_need_a_copy(self, tmp_path):
        X = drawn("poisson", [12_000])
        mapped, ids = self.mapped(tmp_path, X), np.arange(12_000) % 3
        model = EMHiddenMarkov(2, emission="poisson", n_init=1, random_state=0, max_iter=2, tol=0)
        for options in ({"sequence_id": ids}, {"labels": np.where(ids == 0, 0, -1)}):
            assert_same(model.fit(mapped, **options), model.fit(X, **options), rtol=0)
        model.set_params(init_params=ids % 2)
        assert_same(model.fit(mapped), model.fit(X), rtol=0)

    def test_a_memory_map_of_which_nothing_is_told(self, tmp_path):
        mapped = self.mapped(tmp_path, drawn("poisson", [12_000]))
        model = EMHiddenMarkov(2, emission="poisson", n_init=1, random_state=0).fit(mapped)
        assert model.n_sequences_ == 1
        model.predict(mapped)
        model.fit(mapped[:100], lengths=[60, 40])
        with pytest.warns(UserWarning, match="its rows are taken as one sequence"):
            model.predict(mapped)

    def test_rows_of_a_memory_map_are_views(self, tmp_path):
        mapped = self.mapped(tmp_path, drawn("gaussian", self.LENGTHS))
        source = source_of(EMHiddenMarkov(2), mapped, lengths=self.LENGTHS, reset=True)
        assert np.shares_memory(next(iter(source)).rows.X, mapped)

    def test_work_memory_does_not_grow_with_the_rows(self):
        """Twelve times as many blocks: the same peak."""
        block = drawn("gaussian", np.full(100, 20))

        def peak(n_blocks):
            def blocks():
                return (cut(block + i % 3, np.full(100, 20)) for i in range(n_blocks))

            tracemalloc.start()
            model = EMHiddenMarkov(2, n_init=1, random_state=0, max_iter=2, tol=0).fit(blocks)
            model.score(blocks)
            model.bic(blocks)
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size

        assert peak(96) < 1.2 * peak(12)


class TestRefused:
    X = drawn("poisson", LENGTHS)

    def fit(self, blocks, sequence=None, **given):
        return EMHiddenMarkov(2, emission="poisson", sequence=sequence, random_state=0).fit(blocks, **given)

    def test_a_generator(self):
        once = (sequence for sequence in cut(self.X))
        with pytest.raises(ValueError, match=r"X is an iterator \(generator\), which can be read only once"):
            self.fit(once)
        with pytest.raises(ValueError, match="X yielded no rows; it must be a function that returns a new iterator"):
            self.fit(lambda: once)
        with pytest.raises(ValueError, match="each call must return an iterable of blocks"):
            self.fit(lambda: 3)

    @pytest.mark.parametrize("blocks", [[], [np.empty((0, 1))], [[]]])
    def test_nothing(self, blocks):
        with pytest.raises(ValueError, match="yields no block of rows"):
            self.fit(function(blocks))

    @pytest.mark.parametrize("name", ["sequence_id", "lengths", "labels"])
    def test_what_belongs_to_one_table(self, name):
        with pytest.raises(ValueError, match=f"{name} must be None where X is read block by block"):
            self.fit(function(cut(self.X)), **{name: np.zeros(100, dtype=int)})

    def test_a_start_of_rows(self):
        model = EMHiddenMarkov(2, init_params=np.zeros(100, dtype=int))
        with pytest.raises(ValueError, match="init_params must be 'auto' where X is read block by block"):
            model.fit(function(cut(self.X)))

    def test_a_sequence_in_two_blocks(self):
        table = frame(self.X)
        with pytest.raises(ValueError, match="sequence 'a' is in two blocks of X"):
            self.fit(function([table[:20], table[20:]]), sequence="id")

    def test_a_block_without_ids(self):
        table = frame(self.X)
        with pytest.raises(ValueError, match="sequence='id' must be a column or an index level of X"):
            self.fit(function([table[:31], table[31:].drop(columns="id")]), sequence="id")

    def test_other_columns(self):
        with pytest.raises(ValueError, match="X has 2 features, but EMHiddenMarkov is expecting 1"):
            self.fit(function([self.X, np.ones((5, 2))]))
        with pytest.raises(ValueError, match="feature names should match"):
            self.fit(function([pd.DataFrame(self.X, columns=["a"]), pd.DataFrame(self.X, columns=["b"])]))
        with pytest.raises(ValueError, match=r"X has no observed value in column\(s\) \[1\]"):
            EMHiddenMarkov(2).fit(function([np.array([[1.0, np.nan], [2.0, np.nan]])] * 3))

    @pytest.mark.parametrize(("value", "message"), [(-1.0, "is -1"), (0.5, "is 0.5"), (np.inf, "infinity")])
    @pytest.mark.parametrize("n", [3, 500])
    def test_values_are_named_as_the_user_counts(self, value, message, n):
        blocks = [self.X] * n + [np.array([[1.0], [value]])]
        row = rf"X\[{100 * n + 1}, 0\] " if np.isfinite(value) else ""
        with pytest.raises(ValueError, match=row + message):
            self.fit(function(blocks))
        model = self.fit(cut(self.X))
        with pytest.raises(ValueError, match=row + message):
            model.predict(function(blocks))

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            ([1.0] * 3, "sample_weight has 3 values, but the blocks have more sequences"),
            ([1.0] * 5, "sample_weight has 5 values, but the blocks have 4 sequences"),
            ([0.0] * 4, "sample_weight is zero for all rows"),
            ([1.0, -1, 1, 1], "must be finite and not negative"),
        ],
    )
    def test_weights(self, weight, message):
        for use in (self.fit, self.fit(cut(self.X)).score):
            with pytest.raises(ValueError, match=message):
                use(function(cut(self.X)), sample_weight=weight)

    def test_other_rows_at_a_later_call(self):
        calls = []

        def blocks():
            calls.append(1)
            return [self.X] * 200 + [self.X[:9]] * (len(calls) % 2)

        with pytest.raises(ValueError, match="X yielded 20009 rows in 201 sequences, but 20000 in 200 at an earlier"):
            self.fit(blocks)

    def test_sparse_blocks_and_few_rows(self):
        with pytest.raises(ValueError, match="X is sparse"):
            self.fit(function([csr_array(self.X)]))
        with pytest.raises(ValueError, match="n_components = 2, n_samples = 1"):
            self.fit(function([self.X[:1]]))

    def test_the_estimator_is_left_as_it_was(self):
        model = self.fit(cut(self.X))
        rates = model.rates_
        with pytest.raises(ValueError, match=r"is 0\.5"):
            model.fit(function([self.X, np.array([[0.5]])]))
        assert model.rates_ is rates

    def test_standard_errors_need_a_table(self):
        with pytest.raises(ValueError, match="X is a function"):
            self.fit(cut(self.X)).standard_errors(function(cut(self.X)))


def test_a_chunk_holds_whole_sequences_of_many_blocks():
    sequences = [np.zeros((30, 1))] * 1000
    source = source_of(EMHiddenMarkov(2), function(sequences), chunk_rows(2), reset=True)
    sizes = [len(chunk.rows) for chunk in source]
    assert sum(sizes) == 30_000
    assert all(size == sizes[0] for size in sizes[:-1])
    assert chunk_rows(2) - 30 < sizes[0] <= chunk_rows(2)
    assert len(joined(list(source))) == 1000
