"""fit_in_passes: stepwise EM over batches comes close to the fit of all rows, for every estimator that has batches."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from test_online_hidden_markov import drawn

from emkit import (
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)
from emkit.online import Averaging, fit_in_passes


def clusters(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([[0, 0], [4, 1], [-2, 5.0]])[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def documents(n, seed=0):
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(30, 0.2), size=3)
    return csr_array(rng.poisson(20 * rng.dirichlet(np.full(3, 0.3), size=n) @ topics))


def answers(n, seed=0):
    """Of five questions with three answers, in two classes."""
    rng = np.random.default_rng(seed)
    chance = rng.dirichlet(np.full(3, 0.7), size=(2, 5))[rng.integers(2, size=n)].cumsum(axis=2)
    return (rng.random((n, 5, 1)) > chance[:, :, :2]).sum(axis=2).astype(float)


def with_gaps(X, seed=0):
    X = np.array(X, dtype=float)
    X[np.random.default_rng(seed).random(X.shape) < 0.2] = np.nan
    return X


def correlated(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, 4)) + 0.5 * rng.normal(size=(n, 4))


def blocks_of_rows(X, size):
    return [X[start : start + size] for start in range(0, X.shape[0], size)]


def sequences(kind):
    return lambda: np.split(drawn(kind, np.full(600, 20)), 600)


CASES = {
    "gaussian": (lambda seed: EMGaussianMixture(3, random_state=seed), lambda: clusters(20_000)),
    "gaussian, tied": (
        lambda seed: EMGaussianMixture(3, covariance_type="tied", random_state=seed),
        lambda: with_gaps(clusters(10_000)),
    ),
    "noise": (lambda seed: EMGaussianMixture(3, noise=True, random_state=seed), lambda: clusters(10_000)),
    "student": (lambda seed: EMMixture(3, random_state=seed), lambda: clusters(10_000)),
    "categorical": (
        lambda seed: EMMixture(2, family="categorical", n_symbols=3, random_state=seed),
        lambda: answers(10_000),
    ),
    "topics": (lambda seed: EMTopicModel(3, random_state=seed), lambda: documents(4_000)),
    "imputer, gaussian": (
        lambda seed: EMImputer(model="gaussian", random_state=seed),
        lambda: with_gaps(correlated(10_000)),
    ),
    "imputer, mixture": (
        lambda seed: EMImputer(model="mixture", n_components=3, random_state=seed),
        lambda: with_gaps(clusters(10_000)),
    ),
    "imputer, factor": (
        lambda seed: EMImputer(model="factor", n_components=2, random_state=seed),
        lambda: with_gaps(correlated(10_000)),
    ),
    "imputer, latent class": (
        lambda seed: EMImputer(model="latent_class", n_components=2, columns="nominal", random_state=seed),
        lambda: with_gaps(answers(5_000)),
    ),
    "chain, gaussian": (lambda seed: EMHiddenMarkov(2, random_state=seed), sequences("gaussian")),
    "chain, categorical": (
        lambda seed: EMHiddenMarkov(2, emission="categorical", n_symbols=4, random_state=seed),
        sequences("categorical"),
    ),
    "chain, poisson": (lambda seed: EMHiddenMarkov(2, emission="poisson", random_state=seed), sequences("poisson")),
}


def differ(one, other):
    """Relative difference of two log-likelihoods per row."""
    return abs(one - other) / abs(other)


@pytest.mark.parametrize("kind", CASES)
def test_within_one_percent_of_all_rows_at_once(kind):
    """After one pass and after three, where the starts of `fit` agree on what is best."""
    make, data = CASES[kind]
    X = data()
    best, again = (make(seed).fit(X).score(X) for seed in (0, 1))
    assert differ(again, best) < 1e-3
    for n_passes in (1, 3):
        online = make(0)
        assert fit_in_passes(online, X, n_passes=n_passes, batch_rows=1000) is online
        assert differ(online.score(X), best) < 0.01


def test_nothing_is_left_to_gain_where_components_are_far_apart():
    X = clusters(20_000)
    whole = EMGaussianMixture(3, random_state=0).fit(X)
    for n_passes in (1, 3):
        online = fit_in_passes(EMGaussianMixture(3, random_state=0), X, n_passes=n_passes, batch_rows=1000)
        assert whole.score(X) - online.score(X) < 3e-4
        assert online.n_iter_ > n_passes * 20 - 1


def test_more_passes_come_closer():
    X = clusters(3_000)
    best = EMGaussianMixture(3, random_state=0).fit(X).score(X)
    lost = [
        best
        - fit_in_passes(EMGaussianMixture(3, random_state=0), blocks_of_rows(X, 300), n_passes=n, batch_rows=1).score(X)
        for n in (1, 20)
    ]
    assert lost[1] < 0.5 * lost[0]


def test_the_average_is_closer_than_the_last_step():
    X = clusters(20_000)
    best = EMGaussianMixture(3, random_state=0).fit(X).score(X)
    plain = EMGaussianMixture(3, random_state=0)
    for batch in blocks_of_rows(X, 500):
        plain.partial_fit(batch)
    averaged = fit_in_passes(EMGaussianMixture(3, random_state=0), blocks_of_rows(X, 500), batch_rows=500)
    assert best - averaged.score(X) < 0.5 * (best - plain.score(X))


def test_sequences_are_counted():
    online = EMHiddenMarkov(2, emission="poisson", random_state=0)
    assert fit_in_passes(online, sequences("poisson")(), batch_rows=1000).n_sequences_ == 600


@pytest.mark.parametrize("kind", CASES)
def test_passes_are_not_known_to_have_converged(kind):
    make, data = CASES[kind]
    assert fit_in_passes(make(0), data(), batch_rows=1_000).converged_ is False


def test_one_batch_is_a_fit_that_converged():
    X = clusters(1_000)
    online = fit_in_passes(EMGaussianMixture(3, random_state=0), X)
    assert online.converged_ is True
    assert online.partial_fit(X).converged_ is False


def test_batches_may_follow():
    X = clusters(4_000)
    online = fit_in_passes(EMGaussianMixture(3, random_state=0), X, batch_rows=500)
    means = online.means_
    online.partial_fit(X[:500])
    assert 0 < np.abs(online.means_ - means).max() < 0.2
    assert online._online_step is EMGaussianMixture._online_step


class TestBlocks:
    X = clusters(1000)

    def fit(self, blocks, **options):
        return fit_in_passes(EMGaussianMixture(2, random_state=0), blocks, **options)

    def by_hand(self, batches):
        model = EMGaussianMixture(2, random_state=0)
        model._online_step = steps = Averaging()
        for number, (batch, weight) in enumerate(batches):
            steps.is_last = number == len(batches) - 1
            model.partial_fit(batch, sample_weight=weight)
        return model

    def test_are_gathered_in_order(self):
        by_hand = self.by_hand([(self.X[:400], None), (self.X[400:800], None), (self.X[800:], None)])
        online = self.fit(lambda: iter([*blocks_of_rows(self.X, 100), self.X[:0]]), batch_rows=400)
        assert_allclose(online.means_, by_hand.means_, rtol=1e-10)
        assert online.n_iter_ == by_hand.n_iter_

    def test_weights_go_with_their_rows(self):
        weight = np.random.default_rng(0).uniform(0, 2, 1000)
        weight[:200] = 0  # the first two blocks count for nothing, so that the next two are the first batch
        by_hand = self.by_hand([(self.X[cut], weight[cut]) for cut in (slice(200, 600), slice(600, 1000))])
        online = self.fit(blocks_of_rows(self.X, 100), batch_rows=400, sample_weight=weight)
        assert_allclose(online.means_, by_hand.means_, rtol=1e-10)

    def test_a_large_block_is_one(self):
        one = self.fit([self.X], batch_rows=10)
        assert_array_equal(one.means_, EMGaussianMixture(2, random_state=0).fit(self.X).means_)

    def test_names_of_frames(self):
        frame = pd.DataFrame(self.X, columns=["a", "b"])
        assert list(self.fit(blocks_of_rows(frame, 100), batch_rows=300).feature_names_in_) == ["a", "b"]

    @pytest.mark.parametrize("kind", [np.array, pd.DataFrame, np.ma.masked_invalid])
    def test_estimators_that_take_tables_get_them(self, kind):
        X = with_gaps(self.X)
        blocks = [kind(block) for block in blocks_of_rows(X, 100)]
        online = fit_in_passes(EMImputer(model="gaussian"), blocks, batch_rows=500)
        by_hand = fit_in_passes(EMImputer(model="gaussian"), blocks_of_rows(X, 500), batch_rows=1)
        assert_allclose(online.location_, by_hand.location_, rtol=1e-10)

    def test_an_earlier_fit_is_dropped(self):
        model = EMGaussianMixture(2, random_state=0).fit(self.X + 100)
        again = fit_in_passes(model, [self.X], batch_rows=10)
        assert_array_equal(again.means_, self.fit([self.X], batch_rows=10).means_)


class TestTables:
    X = clusters(2000)

    def fit(self, X, **options):
        return fit_in_passes(EMGaussianMixture(3, random_state=0), X, batch_rows=300, **options)

    def test_rows_come_in_random_order(self):
        """So that rows which lie by component do no harm."""
        by_component = self.X[np.argsort(self.X @ [1.0, 3.0])]
        best = EMGaussianMixture(3, random_state=0).fit(self.X).score(self.X)
        assert best - self.fit(by_component).score(self.X) < 0.01

    def test_the_seed_tells_the_order(self):
        one, same, other = (
            fit_in_passes(EMGaussianMixture(3, random_state=seed), self.X, batch_rows=300) for seed in (0, 0, 1)
        )
        assert_array_equal(one.means_, same.means_)
        assert (np.sort(one.means_, axis=0) != np.sort(other.means_, axis=0)).all()

    def test_a_memory_map_is_read_in_its_order(self, tmp_path):
        np.save(tmp_path / "rows.npy", self.X)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        in_order = fit_in_passes(EMGaussianMixture(3, random_state=0), np.array_split(self.X, 7), batch_rows=1)
        assert_allclose(self.fit(mapped).means_, in_order.means_, rtol=1e-12)
        assert mapped.flags.writeable is False

    @pytest.mark.parametrize("kind", ["frame", "list"])
    def test_kinds_of_tables(self, kind):
        table = pd.DataFrame(self.X, columns=["a", "b"]) if kind == "frame" else self.X.tolist()
        fitted = self.fit(table)
        assert_allclose(fitted.means_, self.fit(self.X).means_, rtol=1e-12)
        assert hasattr(fitted, "feature_names_in_") == (kind == "frame")

    def test_weights_go_with_their_rows(self):
        weight = np.random.default_rng(0).uniform(0, 2, len(self.X))
        one_batch = fit_in_passes(EMGaussianMixture(1), self.X, sample_weight=weight)
        assert_allclose(one_batch.means_, EMGaussianMixture(1).fit(self.X, sample_weight=weight).means_, rtol=1e-10)

    def test_rows_without_weight_are_not_there(self):
        weight = 3 * np.random.default_rng(0).integers(0, 2, len(self.X))
        online = self.fit(self.X, sample_weight=weight)
        assert_allclose(online.means_, self.fit(self.X[weight > 0]).means_, rtol=1e-3)

    def test_y_is_ignored(self):
        assert_array_equal(self.fit(self.X, y=np.arange(2000)).means_, self.fit(self.X).means_)

    def test_few_rows_are_a_fit(self):
        online = fit_in_passes(EMGaussianMixture(3, random_state=0), self.X)
        assert_allclose(online.score(self.X), EMGaussianMixture(3, random_state=0).fit(self.X).score(self.X), rtol=1e-9)


class TestRefused:
    X = clusters(100)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_passes": 0}, "n_passes"),
            ({"batch_rows": 0.5}, "batch_rows"),
            ({"sample_weight": np.ones(99)}, "sample_weight"),
            ({"sample_weight": np.zeros(100)}, "sample_weight is zero for all rows"),
        ],
    )
    @pytest.mark.parametrize("X", [X, [X]], ids=["table", "blocks"])
    def test_options(self, X, options, message):
        with pytest.raises(ValueError, match=message):
            fit_in_passes(EMGaussianMixture(2), X, **options)

    def test_what_is_no_function(self):
        with pytest.raises(ValueError, match="which can be read only once"):
            fit_in_passes(EMGaussianMixture(2), iter([self.X]))
        with pytest.raises(ValueError, match="X yielded no rows"):
            fit_in_passes(EMGaussianMixture(2), list)

    def test_one_table_of_rows_that_follow_each_other(self):
        with pytest.raises(ValueError, match="or a list of sequences: where rows follow each other, one table cannot"):
            fit_in_passes(EMHiddenMarkov(2), self.X)

    def test_estimators_without_batches(self):
        with pytest.raises(ValueError, match="estimator must have partial_fit, which EMGaussianMixture has"):
            fit_in_passes(EMGaussianMixture(2, weight_concentration_prior=1.0), [self.X])

    def test_a_batch_that_is_refused_leaves_the_estimator_as_it_was(self):
        model = EMGaussianMixture(2, random_state=0).fit(self.X)
        means = model.means_
        with pytest.raises(ValueError, match="infinity"):
            fit_in_passes(model, [self.X, np.full((5, 2), np.inf)], batch_rows=10)
        assert model.means_ is means

    def test_a_function_that_yields_nothing_at_a_later_pass(self):
        once = iter([self.X])
        with pytest.raises(ValueError, match="yielded no rows"):
            fit_in_passes(EMGaussianMixture(2, random_state=0), lambda: once, n_passes=2)

    @pytest.mark.parametrize("X", [None, 3, {"a": np.ones((3, 2))}])
    def test_what_is_no_data(self, X):
        with pytest.raises(ValueError, match=f"X must be a table, .* but got a {type(X).__name__}"):
            fit_in_passes(EMGaussianMixture(2), X)

    @pytest.mark.parametrize("estimator", [MiniBatchKMeans(2), EMGaussianMixture])
    def test_what_is_no_estimator_of_ours(self, estimator):
        with pytest.raises(ValueError, match="estimator must be one of emkit's, but got"):
            fit_in_passes(estimator, np.ones((30, 2)))


class TestSequences:
    """Of 10 rows, in blocks of 20."""

    table = pd.DataFrame({"person": np.repeat(np.arange(40), 10), "count": np.tile([1, 9], 200)})
    chain = EMHiddenMarkov(2, emission="poisson", sequence="person", random_state=0, max_iter=5, tol=0)

    def cut(self, first):
        return [self.table[start : start + 20] for start in range(first, len(self.table), 20)]

    def test_whole_ones(self):
        assert fit_in_passes(self.chain, lambda: self.cut(0), batch_rows=20).n_sequences_ == 40

    def test_one_that_goes_on_in_another_batch(self):
        """No batch could tell."""
        with pytest.raises(ValueError, match="sequence 2 is in two blocks of X"):
            fit_in_passes(self.chain, lambda: self.cut(5), batch_rows=20)

    def test_weights(self):
        with pytest.raises(ValueError, match="the weights of a hidden Markov model belong to sequences"):
            fit_in_passes(self.chain, lambda: self.cut(0), sample_weight=np.ones(40))


class TestDask:
    def test_responses_beside(self):
        da = pytest.importorskip("dask.array")
        X, noise = np.random.default_rng(0).normal(size=(2, 600, 2))
        y, weight = np.where(noise[:, 0] > 0, X[:, 0], -X[:, 0]) + 0.1 * noise[:, 1], np.arange(600.0)
        experts = EMMixtureOfExpertsRegressor(2, random_state=0)
        parts = [(X[start : start + 200], y[start : start + 200]) for start in range(0, 600, 200)]
        expected = fit_in_passes(clone(experts), parts, sample_weight=weight, batch_rows=200).coef_
        for responses in (y, da.from_array(y, chunks=150)):
            lazy = da.from_array(X, chunks=(200, 2))
            fitted = fit_in_passes(clone(experts), lazy, responses, sample_weight=weight, batch_rows=200)
            assert_array_equal(fitted.coef_, expected)

    @pytest.mark.parametrize("by_frame", [False, True])
    def test_sequences(self, by_frame):
        dd = pytest.importorskip("dask.dataframe")
        table = TestSequences.table
        cut = dd.from_map(lambda start: table[start : start + 20], range(5, 400, 20), meta=table[:0])
        message = "sequence 2 is in two partitions of X" if by_frame else "something must tell its sequences apart"
        with pytest.raises(ValueError, match=message):
            fit_in_passes(
                clone(TestSequences.chain).set_params(sequence="person" if by_frame else None),
                cut if by_frame else cut.to_dask_array(lengths=True),
                batch_rows=20,
            )
