"""The bootstrap of mixtures, hidden Markov models and mixtures of experts, against the information and by its parts."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from emkit import (
    EMGaussianMixture,
    EMHiddenMarkov,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    _bootstrap,
)
from emkit.datasets import load_earthquakes, load_old_faithful, load_tones
from emkit.hidden_markov import errors as hidden_markov_errors
from emkit.mixture import errors
from emkit.mixture.fitting import fitted_model

FAITHFUL = load_old_faithful().data


def two_clusters(n=400, seed=0, apart=4.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    X[: n // 3] += apart
    return X


def assert_close_errors(one, other, share):
    """Of each name, by ratios: `share` is how far a standard error of standard errors may go."""
    assert list(one) == list(other)
    for name in one:
        pairs = zip(one[name], other[name], strict=True) if isinstance(one[name], list) else [(one[name], other[name])]
        for a, b in pairs:
            assert a.shape == b.shape
            known = (b > 0) & (a > 0)
            assert_allclose(np.log(a[known] / b[known]), 0, atol=share, err_msg=name)


class TestParts:
    def test_weights_of_units_are_those_of_repeated_units(self):
        """Mean and variance of the multinomial draw of the repeated rows, summed over the copies of each."""
        weight, rng = np.array([3.0, 1.0, 0.0, 4.0]), np.random.default_rng(0)
        drawn = np.array([_bootstrap.resampled(weight, rng) for _ in range(20_000)])
        assert_array_equal(drawn.sum(axis=1), 8)
        assert (drawn[:, 2] == 0).all()
        assert_allclose(drawn.mean(axis=0), weight, rtol=0.02)
        assert_allclose(drawn.var(axis=0), weight * (1 - weight / 8), rtol=0.05)

    def test_weights_that_are_not_whole_keep_their_sum(self):
        weight = np.full(7, 0.37)
        assert _bootstrap.resampled(weight, np.random.default_rng(0)).sum() == pytest.approx(7 * 0.37)

    def test_components_are_matched_by_their_rows(self):
        rng = np.random.default_rng(0)
        resp = rng.dirichlet(np.full(4, 0.2), size=200)
        order = np.array([2, 0, 3, 1])
        assert_array_equal(_bootstrap._matched(resp[:, order], resp, np.ones(200)), order)
        assert_array_equal(resp[:, _bootstrap._matched(resp, resp[:, order], np.ones(200))], resp[:, order.argsort()])
        weight = np.r_[np.ones(100), np.zeros(100)]  # rows without weight have no say
        assert_array_equal(_bootstrap._matched(resp[:, order], np.r_[resp[:100], resp[:0:-1][:100]], weight), order)

    def test_arrays_of_components_are_permuted(self):
        rng, order = np.random.default_rng(0), np.array([1, 2, 0])
        named = {
            "means_": rng.random((3, 2)),
            "covariances_": rng.random((3, 3)),
            "lists_": [rng.random((3, 4))],
            "one_": np.array(2.0),
        }
        moved = _bootstrap.permuted(named, order, frozenset({"covariances_"}))
        assert_array_equal(moved["means_"], named["means_"][order])
        assert_array_equal(moved["lists_"][0], named["lists_"][0][order])
        assert moved["covariances_"] is named["covariances_"]
        assert moved["one_"] is named["one_"]

    def test_transitions_are_permuted_on_both_sides(self):
        transmat, order = np.random.default_rng(0).random((3, 3)), np.array([2, 0, 1])
        moved = hidden_markov_errors._permuted({"transmat_": transmat}, order, frozenset())["transmat_"]
        assert all(moved[i, j] == transmat[order[i], order[j]] for i in range(3) for j in range(3))


class TestMixture:
    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
    def test_it_agrees_with_the_information(self, covariance_type):
        """Where the model is right. 150 refits tell a standard error to 6 per cent, and tables of 400 rows differ."""
        X = two_clusters()
        mixture = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        bootstrap = mixture.standard_errors(X, method="bootstrap", n_bootstrap=150)
        assert_close_errors(bootstrap, mixture.standard_errors(X), 0.35)

    def test_it_is_the_spread_of_refits(self):
        """By hand: weights drawn by the same generators, refits from the same start."""
        mixture = EMGaussianMixture(2, random_state=0).fit(FAITHFUL)
        given = mixture.standard_errors(FAITHFUL, method="bootstrap", n_bootstrap=10)
        means = []
        for rng in mixture._random_generator().spawn(10):
            weight = rng.multinomial(len(FAITHFUL), np.full(len(FAITHFUL), 1 / len(FAITHFUL)))
            init = {
                "weights_init": mixture.weights_,
                "means_init": mixture.means_,
                "precisions_init": mixture.precisions_,
            }
            rows = np.repeat(FAITHFUL, weight, axis=0)
            means.append(EMGaussianMixture(2, random_state=0, **init).fit(rows).means_)
        assert_allclose(given["means_"], np.std(means, axis=0, ddof=1), rtol=1e-3)

    def test_shared_covariances_are_not_permuted(self):
        """As many components as features, so that a permutation would go unnoticed."""
        mixture = EMGaussianMixture(2, covariance_type="tied", random_state=0).fit(FAITHFUL)
        given = mixture.standard_errors(FAITHFUL, method="bootstrap", n_bootstrap=20)["covariances_"]
        assert_allclose(given, given.T, rtol=1e-6)
        assert given[0, 0] < given[0, 1] < given[1, 1]

    def test_jobs_and_seeds(self):
        X = two_clusters(n=150)
        mixture = EMGaussianMixture(2, random_state=0).fit(X)
        one = mixture.standard_errors(X, method="bootstrap", n_bootstrap=6)
        two = mixture.standard_errors(X, method="bootstrap", n_bootstrap=6, n_jobs=2)
        other = mixture.set_params(random_state=1).standard_errors(X, method="bootstrap", n_bootstrap=6)
        for name in one:
            assert_array_equal(one[name], two[name])
            assert (one[name] != other[name]).any()

    def test_the_estimator_is_left_alone(self):
        X = two_clusters(n=150)
        mixture = EMGaussianMixture(2, random_state=0).fit(X)
        before = {
            name: np.copy(value) for name, value in vars(mixture).items() if name.endswith("_") and name != "history_"
        }
        mixture.standard_errors(X, method="bootstrap", n_bootstrap=3)
        assert mixture.warm_start is False
        for name, value in before.items():
            assert_array_equal(getattr(mixture, name), value)

    def test_frames_blocks_gaps_and_weights(self):
        X = two_clusters(n=150)
        X[::7, 0] = np.nan
        weight = np.arange(150) % 3
        frame = pd.DataFrame(X, columns=["a", "b"])
        mixture = EMGaussianMixture(2, random_state=0).fit(frame, sample_weight=weight)
        options = {"method": "bootstrap", "n_bootstrap": 4, "sample_weight": weight}
        one = mixture.standard_errors(frame, **options)
        mixture = EMGaussianMixture(2, random_state=0).fit(X, sample_weight=weight)
        two = mixture.standard_errors(X, **options)
        three = mixture.standard_errors(lambda: iter([X[:40], X[40:]]), **options)
        for name in one:
            assert_allclose(one[name], two[name])
            assert_allclose(three[name], two[name], rtol=1e-3)

    def test_hard_assignment(self):
        X = two_clusters(apart=12.0)
        mixture = EMGaussianMixture(2, assignment="hard", random_state=0).fit(X)
        soft = EMGaussianMixture(2, random_state=0).fit(X).standard_errors(X)
        given = mixture.standard_errors(X, method="bootstrap", n_bootstrap=100)
        for name in given:
            assert_allclose(np.sort(given[name].ravel()), np.sort(soft[name].ravel()), rtol=0.4, atol=0.01)

    def test_labels_and_noise(self):
        X = np.concatenate([two_clusters(), np.random.default_rng(5).uniform(-12, 12, (80, 2))])
        labels = np.full(len(X), -1)
        labels[:30], labels[200:230] = 1, 0
        mixture = EMGaussianMixture(2, noise=True, random_state=0).fit(X, labels=labels)
        given = mixture.standard_errors(X, labels=labels, method="bootstrap", n_bootstrap=100)
        assert_close_errors(given, mixture.standard_errors(X, labels=labels), 0.45)

    def test_noise_that_takes_the_place_of_a_component(self):
        named = {"weights_": np.array([0.5, 0.4]), "noise_weight_": np.array(0.1)}
        with pytest.raises(ValueError, match="noise and a component have changed places"):
            errors.matched(named, np.array([2, 1, 0]), frozenset())
        moved = errors.matched(named, np.array([1, 0, 2]), frozenset())
        assert_array_equal(moved["weights_"], [0.4, 0.5])

    def test_failures_are_counted(self):
        """A component of few rows loses them in some samples."""
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.standard_normal((60, 1)), 50 + rng.standard_normal((3, 1))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixture = EMGaussianMixture(2, random_state=0).fit(X)
        with pytest.warns(RuntimeWarning, match=r"\d+ of 40 bootstrap refits failed and are left out; the first: "):
            given = mixture.standard_errors(X, method="bootstrap", n_bootstrap=40)
        assert all(np.isfinite(error).all() for error in given.values())

    def test_all_fail(self):
        mixture = EMGaussianMixture(2, random_state=0).fit(FAITHFUL)
        with pytest.raises(ValueError, match=r"5 of 5 bootstrap refits failed; the first: .*1 sample\(s\)"):
            mixture.standard_errors(FAITHFUL[:1], method="bootstrap", n_bootstrap=5)

    @pytest.mark.parametrize("value", [1, 0, 2.5, None, True])
    def test_number_of_refits(self, value):
        mixture = EMGaussianMixture(2, random_state=0).fit(FAITHFUL)
        with pytest.raises(ValueError, match="n_bootstrap must be an integer >= 2"):
            mixture.standard_errors(FAITHFUL, method="bootstrap", n_bootstrap=value)

    def test_number_of_jobs(self):
        mixture = EMGaussianMixture(2, random_state=0).fit(FAITHFUL)
        with pytest.raises(ValueError, match=r"n_jobs must be None or an integer other than 0 .*, but got 'all'"):
            mixture.standard_errors(FAITHFUL, method="bootstrap", n_bootstrap=2, n_jobs="all")


def sequences(emission="poisson", n=40, length=25, seed=0):
    truth = EMHiddenMarkov(2, emission=emission, random_state=np.random.RandomState(seed))
    truth.startprob_, truth.transmat_ = np.array([0.4, 0.6]), np.array([[0.9, 0.1], [0.2, 0.8]])
    if emission == "poisson":
        truth.rates_ = np.array([[2.0], [9.0]])
    elif emission == "categorical":
        truth.emissionprob_ = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    else:
        truth.means_, truth.covariances_ = np.array([[0.0], [4.0]]), np.ones((2, 1, 1))
    return [truth.sample(length)[0] for _ in range(n)]


class TestHiddenMarkov:
    @pytest.mark.parametrize("emission", ["poisson", "gaussian", "categorical"])
    def test_whole_sequences(self, emission):
        X = sequences(emission)
        hmm = EMHiddenMarkov(2, emission=emission, random_state=0).fit(X)
        bootstrap = hmm.standard_errors(X, method="bootstrap", n_bootstrap=80)
        assert_close_errors(bootstrap, hmm.standard_errors(X), 0.45)

    def test_sequences_and_not_rows_are_drawn(self):
        """Each sequence is constant, so that its rows say no more than one."""
        levels = np.random.default_rng(0).standard_normal(30)
        X = [np.full((50, 1), level) for level in levels]
        hmm = EMHiddenMarkov(1, start="uniform", random_state=0).fit(X)
        given = hmm.standard_errors(X, method="bootstrap", n_bootstrap=200)
        assert given["means_"][0, 0] == pytest.approx(levels.std() / np.sqrt(30), rel=0.2)

    def test_ids_in_a_frame_and_weights(self):
        X = sequences(n=12)
        rows = np.concatenate(X).ravel()
        frame = pd.DataFrame({"count": rows, "who": np.repeat([f"s{i}" for i in range(12)], 25)})
        shuffled = frame.iloc[np.argsort(np.arange(len(frame)) % 25, kind="stable")]  # ids interleave
        weight = np.repeat(np.arange(12) % 3, 25)
        options = {"method": "bootstrap", "n_bootstrap": 5}
        plain = EMHiddenMarkov(2, emission="poisson", random_state=0).fit(X, sample_weight=weight)
        expected = plain.standard_errors(X, sample_weight=weight, **options)
        hmm = EMHiddenMarkov(2, emission="poisson", sequence="who", random_state=0)
        by_row = weight[shuffled.index]
        hmm.fit(shuffled, sample_weight=by_row)
        given = hmm.standard_errors(shuffled, sample_weight=by_row, **options)
        for name in expected:
            assert_allclose(np.sort(given[name].ravel()), np.sort(expected[name].ravel()), rtol=1e-3)

    def test_one_sequence_is_drawn_from_the_model(self):
        X = load_earthquakes().data[:, 1:]
        hmm = EMHiddenMarkov(2, emission="poisson", start="stationary", random_state=0).fit(X)
        bootstrap = hmm.standard_errors(X, method="bootstrap", n_bootstrap=80)
        information = hmm.standard_errors(X)
        assert_close_errors({"rates_": bootstrap["rates_"]}, {"rates_": information["rates_"]}, 0.35)

    def test_gaps_of_one_sequence_stay(self):
        X = np.concatenate(sequences("gaussian", n=8))
        X[::2] = np.nan
        hmm = EMHiddenMarkov(2, start="uniform", random_state=0).fit(X)
        n_seen = (~np.isnan(X)).sum()
        given = hmm.standard_errors(X, method="bootstrap", n_bootstrap=40)["means_"].ravel()
        assert (given > 1 / np.sqrt(n_seen)).all()  # of a mean that all rows tell
        assert (given < 5 / np.sqrt(n_seen)).all()

    def test_rare_symbols(self):
        """A sample without the last symbol is of as many symbols all the same."""
        X = sequences("categorical", n=10)
        X[0][3] = 3
        hmm = EMHiddenMarkov(2, emission="categorical", random_state=0).fit(X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            given = hmm.standard_errors(X, method="bootstrap", n_bootstrap=20)
        assert given["emissionprob_"].shape == (2, 4)
        assert 0 < given["emissionprob_"][:, 3].max() < 0.02

    def test_columns_of_different_kinds(self):
        X = [np.hstack([a, b]) for a, b in zip(sequences("categorical", n=15), sequences("poisson", n=15), strict=True)]
        hmm = EMHiddenMarkov(2, emission=["categorical", "poisson"], random_state=0).fit(X)
        given = hmm.standard_errors(X, method="bootstrap", n_bootstrap=10)
        assert given["rates_"].shape == (2, 1)
        assert all((error > 0).any() for name in given for error in np.atleast_1d(given[name]))


class TestExperts:
    @pytest.mark.parametrize("gate", ["constant", "softmax"])
    def test_rows(self, gate):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((400, 1))
        second = rng.random(400) < 0.4
        y = np.where(second, 3 - 2 * X[:, 0], X[:, 0]) + 0.3 * rng.standard_normal(400)
        model = EMMixtureOfExpertsRegressor(2, gate=gate, random_state=0).fit(X, y)
        bootstrap = model.standard_errors(X, y, method="bootstrap", n_bootstrap=120)
        information = model.standard_errors(X, y)
        names = [name for name in information if not name.startswith("gate")]
        assert_close_errors({n: bootstrap[n] for n in names}, {n: information[n] for n in names}, 0.4)
        assert list(bootstrap) == list(information)

    def test_blocks_and_not_rows_are_drawn(self):
        """Each block is one value many times."""
        rng = np.random.default_rng(0)
        levels = rng.standard_normal(40)
        y, block_id = np.repeat(levels, 20), np.repeat(np.arange(40), 20)
        order = rng.permutation(len(y))
        X = np.zeros((len(y), 1))
        model = EMMixtureOfExpertsRegressor(1, gate="constant", random_state=0).fit(
            X, y[order], block_id=block_id[order]
        )
        given = model.standard_errors(X, y[order], block_id=block_id[order], method="bootstrap", n_bootstrap=200)
        assert given["intercept_"][0] == pytest.approx(levels.std() / np.sqrt(40), rel=0.2)

    def test_weights_of_rows(self):
        tones = load_tones(as_frame=True).data
        X, y, weight = tones[["stretchratio"]], tones["tuned"], np.arange(len(tones)) % 2
        model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(X, y, sample_weight=weight)
        given = model.standard_errors(X, y, sample_weight=weight, method="bootstrap", n_bootstrap=5)
        half = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0).fit(X[1::2], y[1::2])
        assert given["coef_"].shape == half.coef_.shape
        assert (given["coef_"] > 0).all()

    def test_classes_that_are_missing_in_a_sample(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((200, 2))
        y = (X[:, 0] + rng.standard_normal(200) > 0).astype(int)
        y[:2] = 2
        model = EMMixtureOfExpertsClassifier(1, alpha=1.0, random_state=0).fit(X, y)
        given = model.standard_errors(X, y, method="bootstrap", n_bootstrap=10)
        assert given["coef_"].shape == model.coef_.shape

    def test_experts_of_a_hierarchy_stay_in_their_places(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((300, 1))
        y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(300)
        model = EMMixtureOfExpertsRegressor(2, gate="hierarchical", n_groups=2, random_state=0).fit(X, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            given = model.standard_errors(X, y, method="bootstrap", n_bootstrap=8)
        assert given["coef_"].shape == (2, 1)

    def test_estimators_as_experts(self):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((100, 1))
        y = X[:, 0] + 0.1 * rng.standard_normal(100)
        model = EMMixtureOfExpertsRegressor(1, expert=Ridge(1e-6), random_state=0).fit(X, y)
        given = model.standard_errors(X, y, method="bootstrap", n_bootstrap=100)
        assert set(given) >= {"scale_"}
        assert given["scale_"][0] == pytest.approx(model.scale_[0] / np.sqrt(200), rel=0.35)


def test_what_components_share_is_not_put_in_another_order():
    """A tied covariance matrix (2, 2) of two components, in a family of mixed columns as by itself."""
    X = np.column_stack([two_clusters(), np.random.default_rng(0).poisson(3, 400)])
    for family, data in ((["gaussian", "gaussian", "poisson"], X), ("student", X[:, :2]), ("gaussian", X[:, :2])):
        mixture = EMMixture(2, family=family, covariance_type="tied", random_state=0).fit(data)
        shared = _bootstrap.published_shared(fitted_model(mixture)[0].family)
        assert shared == {"covariances_"}
        named = {"weights_": mixture.weights_, "covariances_": mixture.covariances_}
        moved = errors.matched(named, np.array([1, 0]), shared)
        assert_array_equal(moved["covariances_"], mixture.covariances_)
        assert_array_equal(moved["weights_"], mixture.weights_[::-1])
    assert not _bootstrap.published_shared(fitted_model(EMMixture(2, random_state=0).fit(X[:, :2]))[0].family)
