"""fit_in_passes: stepwise EM over blocks comes close to the fit of all rows, for every estimator that has batches."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from test_online_hidden_markov import drawn

from emkit import EMGaussianMixture, EMHiddenMarkov, EMMixtureOfExpertsRegressor, EMTopicModel
from emkit.online import fit_in_passes


def clusters(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([[0, 0], [4, 1], [-2, 5.0]])[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def documents(n, seed=0):
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(30, 0.2), size=3)
    return csr_array(rng.poisson(20 * rng.dirichlet(np.full(3, 0.3), size=n) @ topics))


def blocks_of_rows(X, size):
    return [X[start : start + size] for start in range(0, X.shape[0], size)]


def within_one_percent(one, other):
    return abs(one - other) < 0.01 * abs(other)


@pytest.mark.parametrize("n_passes", [1, 3])
def test_mixture(n_passes):
    X = clusters(20_000)
    whole = EMGaussianMixture(3, random_state=0).fit(X)
    online = EMGaussianMixture(3, random_state=0)
    assert fit_in_passes(online, blocks_of_rows(X, 300), n_passes=n_passes, batch_rows=1000) is online
    assert whole.score(X) - online.score(X) < 1e-3
    assert online.n_iter_ > n_passes * 17


def test_more_passes_come_closer():
    X = clusters(3_000)
    best = EMGaussianMixture(3, random_state=0).fit(X).score(X)
    lost = [
        best
        - fit_in_passes(EMGaussianMixture(3, random_state=0), blocks_of_rows(X, 300), n_passes=n, batch_rows=1).score(X)
        for n in (1, 20)
    ]
    assert lost[1] < 0.5 * lost[0]


def test_topics():
    X = documents(2_000)
    whole = EMTopicModel(3, random_state=0).fit(X)
    online = fit_in_passes(EMTopicModel(3, random_state=0), blocks_of_rows(X, 100), batch_rows=400)
    assert within_one_percent(online.score(X), whole.score(X))


@pytest.mark.parametrize("kind", ["gaussian", "categorical", "poisson"])
def test_sequences(kind):
    sequences = np.split(drawn(kind, np.full(600, 20)), 600)
    whole = EMHiddenMarkov(2, emission=kind, random_state=0).fit(sequences)
    online = fit_in_passes(EMHiddenMarkov(2, emission=kind, random_state=0), sequences, batch_rows=1000)
    assert within_one_percent(online.score(sequences), whole.score(sequences))
    assert online.n_sequences_ == 600


class TestBatches:
    X = clusters(1000)

    def fit(self, blocks, **options):
        return fit_in_passes(EMGaussianMixture(2, random_state=0), blocks, **options)

    def test_are_gathered_in_order(self):
        by_hand = EMGaussianMixture(2, random_state=0)
        for batch in (self.X[:400], self.X[400:800], self.X[800:]):
            by_hand.partial_fit(batch)
        online = self.fit(lambda: iter([*blocks_of_rows(self.X, 100), self.X[:0]]), batch_rows=400)
        np.testing.assert_allclose(online.means_, by_hand.means_, rtol=1e-10)
        assert online.n_iter_ == by_hand.n_iter_

    def test_a_large_block_is_one(self):
        one = self.fit([self.X], batch_rows=10)
        assert_array_equal(one.means_, EMGaussianMixture(2, random_state=0).fit(self.X).means_)

    def test_names_of_frames(self):
        frame = pd.DataFrame(self.X, columns=["a", "b"])
        assert list(self.fit(blocks_of_rows(frame, 100), batch_rows=300).feature_names_in_) == ["a", "b"]

    def test_an_earlier_fit_is_dropped(self):
        model = EMGaussianMixture(2, random_state=0).fit(self.X + 100)
        again = fit_in_passes(model, [self.X], batch_rows=10)
        assert_array_equal(again.means_, self.fit([self.X], batch_rows=10).means_)


class TestRefused:
    X = clusters(100)

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"n_passes": 0}, "n_passes"), ({"batch_rows": 0.5}, "batch_rows")],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            fit_in_passes(EMGaussianMixture(2), [self.X], **options)

    def test_what_is_no_function(self):
        with pytest.raises(ValueError, match="X must be a function that returns an iterable of blocks"):
            fit_in_passes(EMGaussianMixture(2), self.X)
        with pytest.raises(ValueError, match="which can be read only once"):
            fit_in_passes(EMGaussianMixture(2), iter([self.X]))
        with pytest.raises(ValueError, match="X yielded no rows"):
            fit_in_passes(EMGaussianMixture(2), list)

    @pytest.mark.parametrize(
        "estimator", [EMMixtureOfExpertsRegressor(2), EMGaussianMixture(2, weight_concentration_prior=1.0)]
    )
    def test_estimators_without_batches(self, estimator):
        with pytest.raises(ValueError, match=f"estimator must have partial_fit, which {type(estimator).__name__} has"):
            fit_in_passes(estimator, [self.X])

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
