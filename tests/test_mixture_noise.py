"""Uniform noise behind the components of a mixture: R's mclust, direct maximisation, EM written out, bad input."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal, multivariate_t
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMMixture
from emkit.datasets import load_old_faithful

ERUPTIONS = load_old_faithful().data
GRID = np.array(list(itertools.product(np.linspace(0.5, 7.5, 5), np.linspace(20, 120, 5))))
NOISY = np.vstack([ERUPTIONS, GRID])
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EII")


def either(**options):
    """Both estimators of Gaussians with noise."""
    options = {"n_components": 2, "noise": True, "random_state": 0, **options}
    return [EMGaussianMixture(**options), EMMixture(family="gaussian", **options)]


def all_three(**options):
    return [*either(**options), EMMixture(**{"n_components": 2, "noise": True, "random_state": 0, **options})]


def two_clusters(n=200, n_noise=40, seed=0):
    """Rows, and the cluster of each, -1 for noise."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 2, n)
    rows = np.array([[0.0, 0.0], [6.0, 3.0]])[z] + rng.standard_normal((n, 2)) @ [[1.0, 0.5], [0.0, 0.8]]
    return np.vstack([rows, rng.uniform(-15, 20, (n_noise, 2))]), np.append(z, np.full(n_noise, -1))


def forget(X, share=0.15, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    X[5] = np.nan
    return X


class TestMclust:
    """Maxima by ``me(..., Vinv=1/volume)`` of R's mclust 6.0.0, where the volume is that of the box of the data."""

    @pytest.mark.parametrize(
        ("covariance_type", "log_likelihood", "weights"),
        [
            ("full", -1361.60594126, [0.320329568, 0.585762079]),
            ("tied", -1372.95661008, [0.329311926, 0.580652589]),
            ("diag", -1374.07792329, [0.31658721, 0.57462273]),
            ("spherical", -1811.3594758, [0.10095681, 0.31754908]),
            ("EII", -1816.11662483, [0.12954945, 0.30598679]),
        ],
    )
    def test_old_faithful_and_a_grid(self, covariance_type, log_likelihood, weights):
        for mixture in either(covariance_type=covariance_type):
            mixture.fit(NOISY)
            assert mixture.objective_ == pytest.approx(log_likelihood, abs=1e-4)
            assert_allclose(np.sort(mixture.weights_), weights, atol=1e-3)
            assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1, abs=1e-12)

    @pytest.mark.parametrize(("covariance_type", "mclust"), zip(COVARIANCE_TYPES, (13, 10, 11, 9, 8), strict=True))
    def test_number_of_parameters(self, covariance_type, mclust):
        """One less than mclust's, which counts the volume too; it is the data's own here."""
        for mixture in either(covariance_type=covariance_type):
            assert mixture.fit(NOISY).n_parameters_ == mclust - 1
            assert mixture.bic(NOISY) == pytest.approx(
                -2 * mixture.objective_ + (mclust - 1) * np.log(len(NOISY)), rel=1e-9
            )


def log_joint(mixture, X, noise_range):
    """By scipy over what is observed of each row: components, then noise (Banfield and Raftery, 1993, section 4)."""
    out = np.zeros((len(X), 3))
    width = np.log(noise_range[1] - noise_range[0])
    for i, row in enumerate(X):
        seen = ~np.isnan(row)
        out[i, 2] = -width[seen].sum()
        for c in range(2):
            where = mixture.means_[c, seen], mixture.covariances_[c][np.ix_(seen, seen)]
            if seen.any() and hasattr(mixture, "degrees_of_freedom_"):
                out[i, c] = multivariate_t(*where, mixture.degrees_of_freedom_[c]).logpdf(row[seen])
            elif seen.any():
                out[i, c] = multivariate_normal(*where).logpdf(row[seen])
    return out + np.log([*mixture.weights_, mixture.noise_weight_])


class TestDensity:
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("mixture", all_three())
    def test_scores_and_probabilities(self, mixture, missing):
        X, _ = two_clusters()
        X = forget(X) if missing else X
        mixture.fit(X)
        noise_range = np.stack([np.nanmin(X, axis=0), np.nanmax(X, axis=0)])
        assert_array_equal(mixture.noise_range_, noise_range)
        joint = log_joint(mixture, X, noise_range)
        total = logsumexp(joint, axis=1)
        assert_allclose(mixture.score_samples(X), total, rtol=1e-8, atol=1e-8)
        assert mixture.objective_ == pytest.approx(total.sum(), rel=1e-9)
        assert_allclose(mixture.predict_proba(X), np.exp(joint - total[:, None]), atol=1e-8)
        best = joint.argmax(axis=1)
        assert_array_equal(mixture.predict(X), np.where(best == 2, -1, best))

    @pytest.mark.parametrize("mixture", all_three())
    def test_a_row_without_a_value(self, mixture):
        mixture.fit(two_clusters()[0])
        nothing = np.full((1, 2), np.nan)
        assert mixture.score_samples(nothing) == pytest.approx([0], abs=1e-12)
        assert_allclose(mixture.predict_proba(nothing), [[*mixture.weights_, mixture.noise_weight_]])

    def test_rows_outside_the_range(self):
        """Noise is as dense there as within."""
        for mixture in all_three():
            mixture.fit(two_clusters()[0])
            assert_array_equal(mixture.predict([[1e6, -1e6]]), [-1])
            log_density = np.log(mixture.noise_weight_) - np.log(np.ptp(mixture.noise_range_, axis=0)).sum()
            tail = 1e-3 if isinstance(mixture, EMMixture) else 1e-9  # that of a t is long
            assert mixture.score_samples([[1e6, -1e6]]) == pytest.approx([log_density], abs=tail)


class TestMaximum:
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("labelled", [False, True])
    def test_quasi_newton_finds_no_more(self, missing, labelled):
        X, z = two_clusters(80, 20)
        X = forget(X) if missing else X
        labels = np.where(np.arange(100) % 4 == 0, z, -1) if labelled else np.full(100, -1)
        weight = np.random.default_rng(0).uniform(0.5, 2, 100)
        mixture = EMGaussianMixture(2, noise=True, random_state=0, tol=1e-12)
        mixture.fit(X, sample_weight=weight, labels=labels if labelled else None)
        noise_range = np.stack([np.nanmin(X, axis=0), np.nanmax(X, axis=0)])

        def loss(theta):
            twin = pickle.loads(pickle.dumps(mixture))
            twin.weights_, twin.noise_weight_ = np.split(np.exp(log_softmax(theta[:3])), [2])
            twin.means_ = theta[3:7].reshape(2, 2)
            roots = np.zeros((2, 2, 2))
            roots[:, [0, 1, 1], [0, 0, 1]] = theta[7:].reshape(2, 3)
            twin.covariances_ = roots @ roots.swapaxes(1, 2)
            twin.noise_weight_ = twin.noise_weight_[0]
            joint = log_joint(twin, X, noise_range)
            return -weight @ np.where(labels < 0, logsumexp(joint, axis=1), joint[np.arange(100), labels])

        roots = np.linalg.cholesky(mixture.covariances_)[:, [0, 1, 1], [0, 0, 1]]
        weights = np.log([*mixture.weights_, mixture.noise_weight_])
        theta = np.concatenate([weights, mixture.means_.ravel(), roots.ravel()])
        assert -loss(theta) == pytest.approx(mixture.objective_, rel=1e-9)
        further = minimize(loss, theta, method="L-BFGS-B", options={"maxiter": 4})
        assert -further.fun <= mixture.objective_ + 1e-5

    def test_textbook_steps(self):
        X, _ = two_clusters()
        weights, noise = np.array([0.45, 0.45]), 0.1
        means, covariances = np.array([[0.0, 0.0], [5.0, 3.0]]), np.stack([np.eye(2)] * 2)
        start = {"weights_init": weights, "means_init": means, "precisions_init": covariances}
        mixture = EMGaussianMixture(2, noise=True, max_iter=20, tol=0, accelerate=False, **start).fit(X)
        density = 1 / np.ptp(X, axis=0).prod()
        for _ in range(20):
            laws = [multivariate_normal(m, c) for m, c in zip(means, covariances, strict=True)]
            joint = np.column_stack([w * law.pdf(X) for w, law in zip(weights, laws, strict=True)])
            r = joint / (joint.sum(axis=1, keepdims=True) + noise * density)
            weights, noise = r.mean(axis=0), 1 - r.sum() / len(X)
            means = r.T @ X / r.sum(axis=0)[:, None]
            covariances = np.stack([(r[:, c, None] * (X - means[c])).T @ (X - means[c]) for c in range(2)])
            covariances = covariances / r.sum(axis=0)[:, None, None]
        assert mixture.noise_weight_ == pytest.approx(noise, rel=1e-9)
        assert_allclose(mixture.weights_, weights, rtol=1e-9)
        assert_allclose(mixture.covariances_, covariances, rtol=1e-8)

    @pytest.mark.parametrize("mixture", all_three())
    def test_clusters_are_found_behind_noise(self, mixture):
        X, z = two_clusters(400, 120, seed=3)
        mixture.fit(X)
        assert adjusted_rand_score(z, mixture.predict(X)) > 0.8
        assert mixture.noise_weight_ == pytest.approx(120 / 520, abs=0.05)
        order = mixture.means_[:, 0].argsort()
        assert_allclose(mixture.means_[order], [[0, 0], [6, 3]], atol=0.3)

    @pytest.mark.parametrize("mixture", all_three())
    def test_data_without_noise_have_none(self, mixture):
        X, _ = two_clusters(400, 0)
        mixture.fit(X)
        assert mixture.noise_weight_ < 0.02
        without = clone(mixture).set_params(noise=False).fit(X)
        assert mixture.objective_ >= without.objective_ - 1e-3
        assert not hasattr(without, "noise_weight_")

    def test_hard_assignment(self):
        X, z = two_clusters(400, 60)
        hard = EMGaussianMixture(2, noise=True, assignment="hard", random_state=0).fit(X)
        assert adjusted_rand_score(z, hard.predict(X)) > 0.8
        assert_allclose(hard.noise_weight_, (hard.predict(X) == -1).mean())


class TestFarRows:
    @pytest.mark.parametrize("far", [1e2, 1e3, 1e5, 1e6, 1e9, -1e12])
    @pytest.mark.parametrize("mixture", all_three())
    def test_one_far_row_is_noise_and_moves_nothing(self, mixture, far):
        X, z = two_clusters(200, 0)
        mixture.fit(np.vstack([X, [[far, -far]]]))
        assert_array_equal(mixture.predict([[far, -far]]), [-1])
        assert adjusted_rand_score(z, mixture.predict(X)) > 0.95
        assert mixture.noise_weight_ == pytest.approx(1 / 201, rel=0.3)

    def test_far_rows_in_blocks_and_batches(self):
        X, z = two_clusters(300, 0)
        far = np.vstack([X, [[1e7, 1e7]]])
        mixture = EMGaussianMixture(2, noise=True, random_state=0)
        mixture.fit(lambda: (far[i : i + 50] for i in range(0, 301, 50)))
        assert_allclose(mixture.means_, clone(mixture).fit(far).means_, rtol=1e-9)
        for _ in range(3):
            mixture.partial_fit(np.vstack([X, [[-1e8, 1e8]]]))
        assert adjusted_rand_score(z, mixture.predict(X)) > 0.95
        assert_array_equal(mixture.predict([[1e7, 1e7], [-1e8, 1e8]]), [-1, -1])

    def test_many_rows_of_which_a_sample_is_looked_at(self):
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(0, 1, (10_000, 2)), rng.normal(7, 1, (10_000, 2)), rng.normal(0, 1e6, (200, 2))])
        X = rng.permutation(X)
        one, two = (EMGaussianMixture(2, noise=True, random_state=0, n_jobs=n).fit(X) for n in (1, 2))
        assert_array_equal(one.means_, two.means_)
        assert_allclose(np.sort(one.means_, axis=0), [[0, 0], [7, 7]], atol=0.1)
        assert one.noise_weight_ == pytest.approx(200 / 20_200, rel=0.1)

    @pytest.mark.filterwarnings("ignore::emkit._warnings.DegenerateSolutionWarning")  # of some draws, alike in both
    @settings(max_examples=10)
    @given(seed=st.integers(0, 1000), share=st.floats(0.01, 0.15))
    def test_order_of_rows_and_weights_as_repetition(self, seed, share):
        rng = np.random.default_rng(seed)
        X, _ = two_clusters(150, int(150 * share), seed)
        weight = rng.integers(0, 3, len(X))
        repeated = rng.permutation(np.repeat(X, weight, axis=0))
        for mixture in all_three(n_init=1, max_iter=20, tol=0):
            weighted = mixture.fit(X, sample_weight=weight).objective_
            assert mixture.fit(repeated).objective_ == pytest.approx(weighted, rel=1e-6)


class TestUnits:
    @pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
    @pytest.mark.parametrize("mixture", all_three())
    def test_scale(self, mixture, scale):
        X, _ = two_clusters()
        one, weight = mixture.fit(X).objective_, mixture.noise_weight_
        mixture.fit(X * scale)
        assert mixture.objective_ == pytest.approx(one - X.size * np.log(scale), abs=1e-3)
        assert mixture.noise_weight_ == pytest.approx(weight, abs=1e-4)

    @pytest.mark.parametrize("mixture", all_three())
    def test_offset(self, mixture):
        X, _ = two_clusters()
        one = mixture.fit(X).objective_
        assert mixture.fit(X + 1e8).objective_ == pytest.approx(one, abs=1e-2)

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8])
    def test_dtypes(self, dtype):
        X = np.round(5 * two_clusters()[0]).astype(dtype)
        for mixture in either():
            expected = clone(mixture).fit(X.astype(np.float64))
            mixture.fit(X)
            assert mixture.noise_weight_ == pytest.approx(expected.noise_weight_, abs=1e-4)
            assert_allclose(mixture.score_samples(X), expected.score_samples(X.astype(np.float64)), atol=1e-3)
            kept = np.float32 if dtype == np.float32 and isinstance(mixture, EMGaussianMixture) else np.float64
            assert mixture.noise_range_.dtype == mixture.means_.dtype == kept


class TestShape:
    @pytest.mark.parametrize("mixture", all_three())
    def test_methods(self, mixture):
        X, _ = two_clusters()
        mixture.fit(X)
        names = [type(mixture).__name__.lower() + str(i) for i in range(3)]
        assert mixture.get_feature_names_out().tolist() == names
        proba = mixture.predict_proba(X)
        assert proba.shape == (240, 3)
        assert_allclose(proba.sum(axis=1), 1)
        assert_array_equal(mixture.transform(X), proba)
        frame = clone(mixture).set_output(transform="pandas").fit_transform(X)
        assert frame.columns.tolist() == names
        assert set(mixture.predict(X)) == {-1, 0, 1}
        assert_array_equal(clone(mixture).fit_predict(X), mixture.predict(X))
        again = pickle.loads(pickle.dumps(mixture))
        assert_array_equal(again.predict_proba(X), proba)
        assert mixture.icl(X) > mixture.bic(X) > mixture.aic(X)

    @pytest.mark.parametrize("mixture", all_three())
    def test_sample(self, mixture):
        mixture.fit(two_clusters(400, 100)[0])
        drawn, components = mixture.sample(3000)
        assert_array_equal(np.unique(components), [-1, 0, 1])
        assert_array_equal(components, np.sort(components % 3) - 3 * (np.sort(components % 3) == 2))  # noise is last
        noise = drawn[components == -1]
        assert (noise >= mixture.noise_range_[0]).all()
        assert (noise <= mixture.noise_range_[1]).all()
        assert len(noise) / 3000 == pytest.approx(mixture.noise_weight_, abs=0.03)
        assert_allclose(noise.mean(axis=0), mixture.noise_range_.mean(axis=0), atol=2)
        assert clone(mixture).fit(drawn).score(drawn) == pytest.approx(mixture.score(drawn), abs=0.1)

    def test_turned_off_and_on_again(self):
        X, _ = two_clusters()
        for mixture in all_three():
            mixture.fit(X).set_params(noise=False)
            assert mixture.predict_proba(X).shape == (240, 3)  # that of the fit
            assert mixture.fit(X).predict_proba(X).shape == (240, 2)
            assert not hasattr(mixture, "noise_range_")
            mixture.set_params(noise=True)
            assert mixture.predict_proba(X).shape == (240, 2)
            assert mixture.fit(X).predict_proba(X).shape == (240, 3)

    def test_one_component(self):
        X, z = two_clusters(200, 30)
        X = X[z != 1]
        for mixture in all_three(n_components=1):
            mixture.fit(X)
            assert_allclose(mixture.means_, [[0, 0]], atol=0.3)
            assert 0.1 < mixture.noise_weight_ < 0.35


class TestStarts:
    @pytest.mark.parametrize("mixture", either())
    def test_weights_leave_the_rest_to_noise(self, mixture):
        X, _ = two_clusters()
        part = {"weights_init": [0.5, 0.3]}
        if isinstance(mixture, EMMixture):
            part = {"parts_init": {"weights": [0.5, 0.3]}}
        fixed = clone(mixture).set_params(fixed=("weights",), **part).fit(X)
        assert_array_equal(fixed.weights_, [0.5, 0.3])
        assert fixed.noise_weight_ == pytest.approx(0.2)
        assert fixed.n_parameters_ == mixture.fit(X).n_parameters_ - 2
        free = clone(mixture).set_params(**part).fit(X)
        assert free.objective_ == pytest.approx(mixture.objective_, abs=1e-3)

    @pytest.mark.parametrize("weights", [[0.5, 0.5], [0.9, 0.8], [0.0, 0.0]])
    def test_weights_that_leave_nothing(self, weights):
        X, _ = two_clusters()
        with pytest.raises(ValueError, match="weights_init must have a sum below 1 with noise=True"):
            EMGaussianMixture(2, noise=True, weights_init=weights).fit(X)
        with pytest.raises(ValueError, match=r"parts_init\['weights'\] must have a sum below 1 with noise=True"):
            EMMixture(2, noise=True, parts_init={"weights": weights}).fit(X)

    def test_fitted_parameters_as_a_start(self):
        X, _ = two_clusters()
        first = EMGaussianMixture(2, noise=True, random_state=0).fit(X)
        again = EMGaussianMixture(
            2,
            noise=True,
            weights_init=first.weights_,
            means_init=first.means_,
            precisions_init=first.precisions_,
            max_iter=0,
        ).fit(X)
        assert again.objective_ == pytest.approx(first.objective_, rel=1e-12)

    @pytest.mark.parametrize("mixture", all_three(warm_start=True))
    def test_warm_start(self, mixture):
        X, _ = two_clusters()
        first = mixture.fit(X).objective_
        assert mixture.fit(X).n_iter_ <= 3
        assert mixture.objective_ == pytest.approx(first, abs=1e-6)
        mixture.set_params(noise=False)
        with pytest.raises(ValueError, match="warm_start=True continues a fit with"):
            mixture.fit(X)
        assert mixture.predict_proba(X).shape == (240, 3)

    @pytest.mark.parametrize("start", ["labels", "responsibilities"])
    def test_given_parts(self, start):
        X, z = two_clusters()
        parts = np.where(z < 0, 0, z)
        parts = parts if start == "labels" else np.eye(2)[parts]
        for mixture in all_three(init_params=parts):
            best = clone(mixture).set_params(init_params="kmeans").fit(X).objective_
            assert mixture.fit(X).objective_ == pytest.approx(best, abs=1e-2)


class TestLabels:
    def test_a_known_row_is_no_noise(self):
        X, z = two_clusters()
        far = np.vstack([X, [[15.0, 15.0]]])
        labels = np.append(np.where(np.arange(240) % 3 == 0, z, -1), 0)
        for mixture in either():
            mixture.fit(far, labels=labels)
            unlabelled = clone(mixture).fit(far, labels=np.append(labels[:-1], -1))
            assert mixture.covariances_[0].trace() > unlabelled.covariances_[0].trace()
            assert_array_equal(unlabelled.predict([[15.0, 15.0]]), [-1])

    def test_all_known_leaves_no_noise(self):
        X, z = two_clusters(200, 0)
        for mixture in either():
            mixture.fit(X, labels=z)
            assert mixture.noise_weight_ == 0
            assert_allclose(mixture.means_, [X[z == c].mean(axis=0) for c in range(2)], rtol=1e-9)
            assert np.isfinite(mixture.score_samples(X)).all()


class TestOnline:
    def test_partial_fit_goes_on_within_the_range_of_the_first_batch(self):
        X, z = two_clusters(800, 200, seed=2)
        order = np.random.default_rng(0).permutation(len(X))
        mixture = EMGaussianMixture(2, noise=True, random_state=0)
        for batch in np.array_split(order, 4):
            mixture.partial_fit(X[batch])
        first = order[:250]
        assert_array_equal(mixture.noise_range_, [X[first].min(axis=0), X[first].max(axis=0)])
        assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1)
        assert mixture.noise_weight_ == pytest.approx(0.2, abs=0.05)
        assert adjusted_rand_score(z, mixture.predict(X)) > 0.75
        mixture.set_params(noise=False)
        with pytest.raises(ValueError, match="partial_fit continues a fit with noise=True, but now noise=False"):
            mixture.partial_fit(X)


class TestBadInput:
    @pytest.mark.parametrize("noise", ["yes", None, 1, 0.05, np.array([True])])
    def test_noise_is_true_or_false(self, noise):
        for mixture in [EMGaussianMixture(2, noise=noise), EMMixture(2, noise=noise)]:
            with pytest.raises(ValueError, match=r"noise must be one of \[True, False\]"):
                mixture.fit(two_clusters()[0])

    def test_numpy_bools_are_taken(self):
        for mixture in all_three(noise=np.True_):
            assert mixture.fit(two_clusters()[0]).noise_weight_ > 0

    @pytest.mark.parametrize(
        "family", ["poisson", "categorical", "bernoulli", ["gaussian", "poisson"], ["poisson", "gaussian"]]
    )
    def test_counts_and_symbols_have_no_range(self, family):
        with pytest.raises(ValueError, match="noise=True needs family 'gaussian' or 'student', but got family="):
            EMMixture(2, family=family, noise=True).fit(np.eye(4, 2))

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("value", [0.0, 5.0, 1e8])
    def test_a_column_of_one_value(self, value, dtype):
        X = two_clusters()[0]
        X = np.column_stack([X[:, 0], np.full(240, value), X[:, 1]]).astype(dtype)
        X[3, 1] = np.nan
        for mixture in all_three():
            with pytest.raises(ValueError, match=r"noise=True needs columns that vary, but column\(s\) \[1\] of X"):
                mixture.fit(X)
            assert not hasattr(mixture, "weights_")

    def test_rows_that_are_all_the_same_but_one(self):
        X = np.zeros((50, 2))
        X[7] = 1
        for mixture in all_three(n_components=1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DegenerateSolutionWarning)
                mixture.fit(X)
            assert np.isfinite(mixture.score_samples(X)).all()
            assert_array_equal(mixture.predict(X), np.where(np.arange(50) == 7, -1, 0))
