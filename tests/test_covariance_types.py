"""The fourteen covariance types of mclust in estimators: maxima, attributes, starts, collapse, missing values."""

import warnings

import numpy as np
import pytest
from covariance_kinds import MCLUST, SHARING, from_numbers, n_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import least_squares
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer, load_iris

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMHiddenMarkov, EMMixtureOfExpertsRegressor
from emkit._information import _hessian, _slopes
from emkit.families.covariance import COVARIANCES

SHAPES = {
    **dict.fromkeys(("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"), (3, 2, 2)),
    **dict.fromkeys(("VVI", "VEI", "EVI"), (3, 2)),
    "EEE": (2, 2),
    "EEI": (2,),
    "VII": (3,),
    "EII": (),
}


def clusters(n=240, k=3, d=2, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(k, size=n)
    turns = rng.standard_normal((k, d, d)) + 2 * np.eye(d)
    return np.einsum("nij,nj->ni", turns[label], rng.standard_normal((n, d))) + 6 * rng.standard_normal((k, d))[label]


def forgetful(X, share=0.15, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def dense(mixture):
    k, d = mixture.means_.shape
    return COVARIANCES[mixture.covariance_type].dense(mixture.covariances_, k, d)


class TestMaxima:
    @pytest.mark.parametrize(
        ("name", "log_likelihood", "n_parameters"),
        [
            ("EII", -401.803, 15),
            ("VII", -384.317, 17),
            ("EEI", -361.430, 18),
            ("VEI", -339.472, 20),
            ("EVI", -338.790, 24),
            ("VVI", -307.181, 26),
            ("EEE", -256.355, 24),
            ("VEE", -237.561, 26),
            ("EVE", -258.115, 30),
            ("VVE", -238.043, 32),
            ("EEV", -232.199, 36),
            ("VEV", -186.074, 38),
            ("EVV", -222.795, 42),
            ("VVV", -180.186, 44),
        ],
    )
    def test_iris(self, name, log_likelihood, n_parameters):
        """At least those of mclust 6 with G=3, which has one start of its own; its nMclustParams."""
        mixture = EMGaussianMixture(3, covariance_type=name, random_state=0).fit(load_iris().data)
        assert mixture.converged_
        assert mixture.objective_ >= log_likelihood
        assert mixture.n_parameters_ == n_parameters

    @pytest.mark.parametrize(
        ("narrower", "wider"),
        [
            *[("EII", "VII"), ("EII", "EEI"), ("VII", "VEI"), ("EEI", "VEI"), ("EEI", "EVI"), ("VEI", "VVI")],
            *[("EVI", "VVI"), ("EEI", "EEE"), ("VEI", "VEE"), ("EEE", "VEE"), ("EEE", "EVE"), ("VEE", "VVE")],
            *[("EVE", "VVE"), ("EEE", "EEV"), ("VEE", "VEV"), ("EEV", "VEV"), ("EEV", "EVV"), ("VEV", "VVV")],
            *[("EVI", "EVE"), ("VVI", "VVE"), ("EVE", "EVV"), ("VVE", "VVV"), ("EVV", "VVV")],
        ],
    )
    def test_a_wider_type_has_a_higher_likelihood(self, narrower, wider):
        """From where the narrower one ended, EM goes up; its steps are those of the wider type.

        Of two components: of three, one may be a spike, from which the wider type starts anew.
        """
        X = load_iris().data
        first = EMGaussianMixture(2, covariance_type=narrower, random_state=0, n_init=1).fit(X)
        start = {"weights_init": first.weights_, "means_init": first.means_}
        precisions = np.linalg.inv(dense(first))
        if wider[2] == "I":
            precisions = np.diagonal(precisions, axis1=1, axis2=2)
        precisions = {"EEI": precisions[0], "VII": precisions[:, 0], "EEE": precisions[0]}.get(wider, precisions)
        second = EMGaussianMixture(2, covariance_type=wider, precisions_init=precisions, **start).fit(X)
        assert second.lower_bounds_[0] >= first.lower_bound_ - 1e-9
        assert second.objective_ >= first.objective_ - 1e-6

    @pytest.mark.parametrize("name", ["EVE", "VVE", "EEV", "VEV"])
    def test_features_in_units_of_their_own(self, name):
        """Standard deviations from 0.003 to 570, most digits of which a matrix in these units would lose."""
        X = load_breast_cancer().data
        mixture = EMGaussianMixture(2, covariance_type=name, random_state=0, n_init=1).fit(X)
        tied = EMGaussianMixture(2, covariance_type="EEE", random_state=0, n_init=1).fit(X)
        assert mixture.converged_
        assert mixture.objective_ > tied.objective_ + 100
        scale = X.std(axis=0)
        of_components = [
            multivariate_normal(mean / scale, matrix / np.outer(scale, scale)).logpdf(X / scale) - np.log(scale).sum()
            for mean, matrix in zip(mixture.means_, mixture.covariances_, strict=True)
        ]
        expected = logsumexp(np.log(mixture.weights_)[:, None] + of_components, axis=0)
        assert_allclose(mixture.score_samples(X), expected, rtol=1e-6)


class TestEstimator:
    @pytest.mark.parametrize("name", MCLUST)
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_attributes(self, name, dtype):
        X = clusters().astype(dtype)
        mixture = EMGaussianMixture(3, covariance_type=name, random_state=0).fit(X)
        assert mixture.covariances_.shape == mixture.precisions_.shape == SHAPES[name]
        assert mixture.covariances_.dtype == dtype
        matrices = dense(mixture).astype(np.float64)
        covariance = COVARIANCES[name]
        precisions = covariance.dense(mixture.precisions_.astype(np.float64), 3, 2)
        assert_allclose(
            precisions @ matrices, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-4 if dtype == np.float32 else 1e-9
        )
        density = sum(
            weight * multivariate_normal(mean, matrix).pdf(X)
            for weight, mean, matrix in zip(mixture.weights_, mixture.means_, matrices, strict=True)
        )
        assert_allclose(mixture.score_samples(X), np.log(density), rtol=1e-3 if dtype == np.float32 else 1e-9)
        assert mixture.sample(5)[0].shape == (5, 2)

    @pytest.mark.parametrize("name", MCLUST)
    def test_goes_on_from_precisions(self, name):
        """A start from a fit's own attributes is that fit."""
        X = clusters()
        mixture = EMGaussianMixture(3, covariance_type=name, random_state=0).fit(X)
        start = {"weights": mixture.weights_, "means": mixture.means_, "precisions": mixture.precisions_}
        start = {f"{part}_init": value for part, value in start.items()}
        again = EMGaussianMixture(3, covariance_type=name, max_iter=0, **start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again.fit(X)
        assert again.objective_ == pytest.approx(mixture.objective_, abs=1e-7)
        assert_allclose(dense(again), dense(mixture), rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("name", MCLUST)
    def test_missing_values_warm_start_and_batches(self, name):
        X = forgetful(clusters())
        mixture = EMGaussianMixture(3, covariance_type=name, random_state=0, warm_start=True).fit(X)
        objective = mixture.objective_
        assert mixture.fit(X).objective_ >= objective - 1e-8 * len(X)
        mixture.partial_fit(X[:100])
        mixture.partial_fit(X[100:])
        assert np.isfinite(mixture.score(X))
        COVARIANCES[name].require_type(mixture.covariances_, "covariances")

    @pytest.mark.parametrize("name", ["EVE", "VVE", "VEV", "VEI"])
    def test_missing_values_make_it_slower_but_no_different(self, name):
        """A maximum of the likelihood of what is observed: no small change of the parameters raises it."""
        X = forgetful(clusters(120, 2), 0.2)
        mixture = EMGaussianMixture(2, covariance_type=name, random_state=0, tol=1e-12).fit(X)
        best, rng = mixture.objective_, np.random.default_rng(0)
        covariance = COVARIANCES[name]
        for _ in range(20):
            noise = 1e-3 * rng.standard_normal((2, 2, 2))
            moved = dense(mixture) @ (np.eye(2) + noise)
            moved = 0.5 * (moved + moved.swapaxes(1, 2))
            moved = np.diagonal(moved, axis1=1, axis2=2) if name == "VEI" else moved
            for _ in range(50):
                moved = covariance.nearest(moved, np.ones(2), np.ones(2), 0.0)
            precisions = 1 / moved if name == "VEI" else np.linalg.inv(moved)
            start = {"weights_init": mixture.weights_, "means_init": mixture.means_, "precisions_init": precisions}
            other = EMGaussianMixture(2, covariance_type=name, max_iter=0, **start)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert other.fit(X).objective_ <= best + 1e-7

    @pytest.mark.parametrize("name", SHARING)
    def test_precisions_of_another_type_are_refused(self, name):
        X = clusters()
        full = EMGaussianMixture(3, covariance_type="diag" if name[2] == "I" else "full", random_state=0).fit(X)
        mixture = EMGaussianMixture(3, covariance_type=name, means_init=full.means_, precisions_init=full.precisions_)
        with pytest.raises(ValueError, match=rf"precisions_init: .* covariance_type='{name}'"):
            mixture.fit(X)

    def test_the_names_are_listed_where_one_is_wrong(self):
        with pytest.raises(ValueError, match=r"covariance_type must be one of .*'tied'.*'VEV'.* but got 'VVW'"):
            EMGaussianMixture(2, covariance_type="VVW").fit(clusters())

    @pytest.mark.parametrize("name", SHARING)
    def test_fixed_parameters(self, name):
        X = clusters()
        mixture = EMGaussianMixture(3, covariance_type=name, random_state=0, n_init=1).fit(X)
        start = {"weights_init": mixture.weights_, "means_init": mixture.means_ + 0.1}
        held = EMGaussianMixture(
            3, covariance_type=name, precisions_init=mixture.precisions_, fixed=("covariances",), **start
        ).fit(X)
        assert_allclose(held.covariances_, mixture.covariances_, rtol=1e-9, atol=1e-12)
        assert held.objective_ == pytest.approx(mixture.objective_, abs=1e-5)

    @pytest.mark.parametrize("name", MCLUST)
    @settings(max_examples=3)
    @given(seed=st.integers(0, 1000), unit=st.sampled_from([1e-6, 1e6]))
    def test_one_unit_for_all_features(self, name, seed, unit):
        X = clusters(80, 2, seed=seed)
        options = {"covariance_type": name, "n_init": 1, "random_state": 0, "max_iter": 5, "tol": 0.0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, other = (EMGaussianMixture(2, **options).fit(Z) for Z in (X, unit * X + unit))
        assert_allclose(other.objective_, ours.objective_ - X.size * np.log(unit), rtol=1e-7)


def numbers_of(name, matrices):
    """Of covariances of the type, (p,)."""
    k, d = matrices.shape[:2]
    rng = np.random.default_rng(0)
    for _ in range(50):
        result = least_squares(
            lambda v: (from_numbers(name, v, k, d)[0] - matrices).ravel(),
            rng.normal(0, 1, n_numbers(name, k, d)),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        if result.cost < 1e-16:
            return result.x
    raise AssertionError("no numbers were found")


@pytest.mark.parametrize("name", SHARING)
def test_standard_errors(name):
    """Those of the numerical information of one weight, the means and the numbers that make covariances of the type."""
    X = clusters(400, 2, seed=3)
    mixture = EMGaussianMixture(2, covariance_type=name, random_state=0, tol=1e-13).fit(X)

    def published(theta):
        weights = np.array([theta[0], 1 - theta[0]])
        return weights, theta[1:5].reshape(2, 2), from_numbers(name, theta[5:], 2, 2)[0]

    def log_likelihood(theta):
        parts = zip(*published(theta), strict=True)
        return logsumexp([np.log(w) + multivariate_normal(m, c).logpdf(X) for w, m, c in parts], axis=0).sum()

    theta = np.concatenate([mixture.weights_[:1], mixture.means_.ravel(), numbers_of(name, dense(mixture))])
    assert log_likelihood(theta) == pytest.approx(mixture.objective_, abs=1e-6)
    covariance = np.linalg.inv(-_hessian(log_likelihood, theta))
    slopes = _slopes(lambda v: np.concatenate([part.ravel() for part in published(v)]), theta)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))
    errors = mixture.standard_errors(X)
    matrices = COVARIANCES[name].dense(errors["covariances_"], 2, 2)
    ours = np.concatenate([errors["weights_"], errors["means_"].ravel(), matrices.ravel()])
    assert_allclose(ours, expected, rtol=0.01, atol=1e-6)


class TestCollapse:
    """Four rows on a spot or on a line, which a component could take for itself."""

    def spot(self, spread):
        rng = np.random.default_rng(0)
        few = np.array([3.0, 3.0]) + spread * rng.standard_normal((4, 2))
        return np.concatenate([rng.standard_normal((100, 2)), few]), np.repeat([0, 1], [100, 4])

    @pytest.mark.parametrize("name", ["VII", "VEI", "VVI", "VEE", "VVE", "VEV", "VVV"])
    def test_volumes_that_vary(self, name):
        X, labels = self.spot(1e-9)
        with pytest.warns(DegenerateSolutionWarning, match="component 1 has collapsed onto rows of total weight 4"):
            EMGaussianMixture(2, covariance_type=name, init_params=labels, random_state=0).fit(X)

    @pytest.mark.parametrize("name", ["VVI", "VVE", "VVV"])
    def test_volumes_and_shapes_that_vary(self, name):
        X, labels = self.spot(np.array([1.0, 1e-9]))
        with pytest.warns(DegenerateSolutionWarning, match="component 1 has collapsed onto rows of total weight 4"):
            EMGaussianMixture(2, covariance_type=name, init_params=labels, random_state=0).fit(X)

    @pytest.mark.parametrize("name", ["EVI", "EVE", "EVV"])
    def test_shapes_that_vary(self, name):
        """A component of the same volume, as narrow as the floor allows and as long as that takes."""
        X, _ = self.spot(np.array([1.0, 1e-9]))
        precisions = np.array([[1.0, 1.0], [1e-6, 1e6]])
        precisions = precisions if name == "EVI" else precisions[:, :, None] * np.eye(2)
        start = {"weights_init": [0.96, 0.04], "means_init": [[0, 0], [3, 3]], "precisions_init": precisions}
        with pytest.warns(DegenerateSolutionWarning, match="component 1 has collapsed onto rows of total weight 3.99"):
            EMGaussianMixture(2, covariance_type=name, random_state=0, **start).fit(X)

    @pytest.mark.parametrize("name", ["EII", "EEI", "EEE", "EEV"])
    @pytest.mark.parametrize("spread", [1e-9, np.array([1.0, 1e-9])], ids=["spot", "line"])
    def test_volume_and_shape_in_common(self, name, spread):
        """No component can collapse alone; warnings are errors here."""
        X, labels = self.spot(spread)
        mixture = EMGaussianMixture(2, covariance_type=name, init_params=labels, random_state=0).fit(X)
        assert np.linalg.eigvalsh(dense(mixture)).min() > 0.1

    @pytest.mark.parametrize("name", ["VEI", "VEE", "VEV", "EVI", "VVE", "EVE", "EVV"])
    def test_the_search_does_not_choose_a_spike(self, name):
        rng = np.random.default_rng(0)
        X = np.concatenate([clusters(), [7.0, -7.0] + 1e-9 * rng.standard_normal((4, 2))])
        with warnings.catch_warnings():
            warnings.simplefilter("error", DegenerateSolutionWarning)
            mixture = EMGaussianMixture(3, covariance_type=name, random_state=0).fit(X)
        assert mixture.converged_

    @pytest.mark.parametrize("name", SHARING)
    def test_without_a_floor(self, name):
        X = np.concatenate([clusters(), np.ones((240, 1))], axis=1)
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            EMGaussianMixture(3, covariance_type=name, reg_covar=0, random_state=0).fit(X)

    @pytest.mark.parametrize("name", MCLUST)
    def test_fewer_rows_than_features(self, name):
        X = np.random.default_rng(0).standard_normal((12, 15))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateSolutionWarning)
            warnings.filterwarnings("ignore", message="Best performing initialization did not converge")
            mixture = EMGaussianMixture(2, covariance_type=name, random_state=0, max_iter=50).fit(X)
        assert np.isfinite(mixture.objective_)


class TestOtherEstimators:
    @pytest.mark.parametrize("name", MCLUST)
    @pytest.mark.parametrize("emission", ["gaussian", "student", "mixture"])
    def test_hidden_markov(self, name, emission):
        X = forgetful(clusters(150, 2), 0.05)
        options = {"covariance_type": name, "emission": emission, "random_state": 0, "n_init": 1, "max_iter": 30}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = EMHiddenMarkov(2, **options).fit(X)
        k = 4 if emission == "mixture" else 2
        shape = COVARIANCES[name].shape(k, 2)
        published = shape if emission != "mixture" or COVARIANCES[name].shared else (2, 2, *shape[1:])
        assert model.covariances_.shape == published
        assert np.isfinite(model.score(X))
        assert np.isfinite(model.predict_proba(X)).all()
        COVARIANCES[name].require_type(model.covariances_.reshape(shape), "covariances")

    @pytest.mark.parametrize("name", ["VEV", "EVE", "VEI"])
    def test_hidden_markov_starts(self, name):
        X = clusters(150, 2)
        model = EMHiddenMarkov(2, covariance_type=name, random_state=0).fit(X)
        again = EMHiddenMarkov(
            2, covariance_type=name, means_init=model.means_, covariances_init=model.covariances_, random_state=0
        ).fit(X)
        assert again.objective_ == pytest.approx(model.objective_, abs=1e-4)
        shape = COVARIANCES[name].shape(2, 2)
        wrong = np.array([[1.0, 2.0], [4.0, 1.0]]) if name == "VEI" else np.array([[[2, 1], [1, 1]], [[3, 0], [0, 1]]])
        with pytest.raises(ValueError, match=rf"covariances_init: .* covariance_type='{name}'"):
            EMHiddenMarkov(2, covariance_type=name, covariances_init=wrong.reshape(shape).astype(float)).fit(X)

    @pytest.mark.parametrize("name", MCLUST)
    @pytest.mark.parametrize("expert", ["gaussian", "student"])
    @pytest.mark.parametrize("n_responses", [1, 2])
    def test_experts(self, name, expert, n_responses):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (200, 1))
        first = rng.random((200, 1)) < 0.5
        y = (
            np.where(first, 1 + x, -1 - x)
            + 0.3 * rng.standard_normal((200, n_responses)) @ [[1, 0.5], [0, 1]][:n_responses]
        )
        y = y[:, :n_responses]
        model = EMMixtureOfExpertsRegressor(
            2, expert=expert, covariance_type=name, gate="constant", random_state=0, n_init=1
        ).fit(x, y)
        assert np.isfinite(model.score_samples(x, y)).all()
        matrices = model.covariances_.reshape(2, n_responses, n_responses) / np.outer(y.std(axis=0), y.std(axis=0))
        if name[0] == "E":
            assert np.ptp(np.linalg.slogdet(matrices)[1]) < 1e-6
        if name[2] == "I" and n_responses == 2:
            assert_allclose(matrices[:, 0, 1], 0, atol=1e-12)
