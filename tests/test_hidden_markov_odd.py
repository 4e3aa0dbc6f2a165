"""What a hostile tester found: odd data and models set by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm, poisson
from sklearn.exceptions import NotFittedError

from emkit import EMHiddenMarkov
from emkit.families.base import Options
from emkit.families.discrete import CategoricalFamily


def two_levels(n, seed=1):
    rng = np.random.default_rng(seed)
    states = np.cumsum(rng.random(n) < 0.05) % 2
    return np.where(states == 0, 0.0, 5.0)[:, None] + rng.normal(size=(n, 1)), states


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_of_few_rows_of_a_long_sequence_name_the_states(seed):
    X, states = two_levels(30_000)
    labels = np.full(len(X), -1)
    labels[:20], labels[100:140] = states[:20], states[100:140]
    model = EMHiddenMarkov(2, random_state=seed, max_iter=20, tol=1e-4).fit(X, labels=labels)
    assert_allclose(model.means_.ravel(), [0, 5], atol=0.1)


def test_left_right_chain_over_a_long_sequence():
    """Starts are compared on pieces of long sequences, but not where these could not begin as the whole does."""
    n = 12_000
    X = np.repeat([0.0, 5.0, 10.0], n // 3)[:, None] + np.random.default_rng(0).normal(size=(n, 1))
    moves = [[0.9, 0.1, 0], [0, 0.9, 0.1], [0, 0, 1]]
    for seed in range(3):
        model = EMHiddenMarkov(3, startprob_init=[1, 0, 0], transmat_init=moves, random_state=seed).fit(X)
        assert_allclose(model.means_.ravel(), [0, 5, 10], atol=0.1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"transmat_": [[1.5, -0.5], [0.5, 0.5]]}, "transmat_ must not be negative"),
        ({"transmat_": np.ones((2, 2))}, "row 0 of transmat_ sums to 2"),
        ({"transmat_": [[np.nan, 0.5], [0.5, 0.5]]}, "transmat_ must be finite"),
        ({"transmat_": np.eye(3)}, r"transmat_.*\(2, 2\)"),
        ({"startprob_": [0.5, 0.6]}, "startprob_ sums to 1.1"),
        ({"rates_": [1.0, 2.0]}, r"rates_.*\(2,\)"),
        ({"rates_": [[np.nan], [1.0]]}, "rates_ must be finite"),
    ],
)
def test_a_model_set_by_hand_is_checked(change, match):
    model = EMHiddenMarkov(2, emission="poisson")
    good = {"startprob_": [0.5, 0.5], "transmat_": [[0.5, 0.5], [0.5, 0.5]], "rates_": [[1.0], [2.0]]}
    for name, value in {**good, **change}.items():
        setattr(model, name, value)
    with pytest.raises(ValueError, match=match):
        model.decode(np.arange(50)[:, None])


def test_a_model_set_by_half():
    model = EMHiddenMarkov(2, emission="poisson")
    model.transmat_ = np.eye(2)
    with pytest.raises(NotFittedError, match=r"startprob_.*rates_"):
        model.predict(np.arange(5)[:, None])


def test_many_symbols_cost_no_matrix_of_them():
    X = np.random.default_rng(0).integers(0, 100_000, (500, 1)).astype(float)
    family = CategoricalFamily.for_data(2, Options(), X)
    points = family.features(X)
    assert points.shape[1] <= 64
    same = X[:, 0][:, None] == X[:, 0]
    square = ((points[:, None] - points) ** 2).sum(axis=2)
    assert (square[same] == 0).all()
    assert_allclose(square[~same].mean(), 1, rtol=0.05)
    assert square[~same].min() > 0.1
    family.features(np.array([[np.nan]]))


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_a_fit_to_columns_of_very_different_units_can_predict(covariance_type):
    """What is checked of parameters set by hand must hold for those of any fit."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(400, 3)) @ np.array([[1, 0.9, 0.5], [0, 0.4, 0.3], [0, 0, 0.5]])
    Z[200:] += 4
    model = EMHiddenMarkov(2, covariance_type=covariance_type, random_state=0)
    expected = model.fit(Z).predict(Z)
    X = Z * [1e-12, 1e12, 1]
    assert_array_equal(model.fit(X).predict(X), expected)


def test_tiny_weights():
    X, _ = two_levels(200)
    given = {"means_init": [[0.0], [5.0]], "covariances_init": np.ones((2, 1, 1)), "tol": 0, "max_iter": 20}
    model = EMHiddenMarkov(2, transmat_init=np.full((2, 2), 0.5), **given)
    ones = model.fit(X).transmat_
    for weight in (1e-16, 1e-200):
        assert_allclose(model.fit(X, sample_weight=np.full(len(X), weight)).transmat_, ones, rtol=1e-9)


def test_more_best_paths_than_there_are():
    model = EMHiddenMarkov(2, random_state=0, max_iter=3, tol=0).fit(two_levels(30)[0])
    X = two_levels(3)[0]
    log_probability, paths = model.decode_k_best(X, 10**6)
    assert np.isfinite(log_probability[:8]).all()
    assert (log_probability[8:] == -np.inf).all()
    assert len(np.unique(paths[:8], axis=0)) == 8
    assert (paths[8:] == -1).all()


def test_a_lag_beyond_the_end():
    X = two_levels(50)[0]
    model = EMHiddenMarkov(2, random_state=0).fit(X)
    assert_allclose(model.predict_proba_lagged(X, lag=10**9), model.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("size", [0.5, 30.0, 1e5, 1e7, 1e10, 1e13])
def test_poisson_counts_of_any_size(size):
    X = np.random.default_rng(0).poisson(size, (40, 2)).astype(float)
    X[0] = np.nan
    model = EMHiddenMarkov(1, emission="poisson").fit(X)
    if size <= 1e7:
        expected = np.nansum(poisson.logpmf(X, model.rates_), axis=1)
        assert_allclose(model.score_samples(X), expected, rtol=1e-6)
    else:  # the skewness is next to nothing
        expected = np.nansum(norm.logpdf(X, model.rates_, np.sqrt(model.rates_)), axis=1)
        assert_allclose(model.score_samples(X), expected, atol=1e-3)
    assert_array_equal(model.score_samples(X)[0], 0)
