"""EMGaussianMixture against oracles: direct evaluation, direct maximisation, published maxima, textbook EM."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from emkit import DegenerateSolutionWarning, EMGaussianMixture
from emkit.datasets import load_heights, load_old_faithful

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EII")
HEIGHTS_START = {"weights_init": [0.5, 0.5], "means_init": [[160.0], [175.0]], "precisions_init": [[[1 / 25]]] * 2}


def dense(mixture):
    """Covariance matrices (K, d, d) of a fitted mixture, spelled out for each type."""
    k, d = mixture.means_.shape
    covariances = mixture.covariances_
    return {
        "full": lambda: covariances,
        "tied": lambda: np.stack([covariances] * k),
        "diag": lambda: np.stack([np.diag(row) for row in covariances]),
        "spherical": lambda: np.stack([v * np.eye(d) for v in covariances]),
        "EII": lambda: np.stack([covariances * np.eye(d)] * k),
    }[mixture.covariance_type]()


def log_joint(mixture, X):
    """By scipy, row by row, over the observed features."""
    out = np.zeros((len(X), len(mixture.weights_)))
    for i, row in enumerate(X):
        seen = ~np.isnan(row)
        for k, (mean, covariance) in enumerate(zip(mixture.means_, dense(mixture), strict=True)):
            if seen.any():
                law = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
                out[i, k] = law.logpdf(row[seen])
    return out + np.log(mixture.weights_)


def three_clusters(n=300, d=3, seed=0, spread=4.0):
    rng = np.random.default_rng(seed)
    centres = spread * rng.standard_normal((3, d))
    return centres[rng.integers(3, size=n)] + rng.standard_normal((n, d)) @ np.triu(rng.random((d, d)) + 0.3)


def forget(X, share=0.2, seed=1):
    """Cells at random become NaN, one whole row included."""
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    X[5] = np.nan
    return X


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
class TestDensity:
    def test_scores_are_those_of_scipy(self, covariance_type, missing):
        X = forget(three_clusters()) if missing else three_clusters()
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        joint = log_joint(mixture, X)
        total = logsumexp(joint, axis=1)
        assert_allclose(mixture.score_samples(X), total, rtol=1e-10, atol=1e-10)
        assert_allclose(mixture.predict_proba(X), np.exp(joint - total[:, None]), atol=1e-10)
        assert_array_equal(mixture.predict(X), joint.argmax(axis=1))
        assert mixture.objective_ == pytest.approx(total.sum(), rel=1e-12)
        assert mixture.lower_bound_ == pytest.approx(total.mean(), rel=1e-12)
        assert mixture.score(X) == pytest.approx(total.mean(), rel=1e-12)

    def test_precisions_belong_to_covariances(self, covariance_type, missing):
        X = forget(three_clusters()) if missing else three_clusters()
        mixture = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        root = mixture.precisions_cholesky_
        if covariance_type in ("full", "tied"):
            identity = mixture.precisions_ @ mixture.covariances_
            assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-10)
            assert_allclose(root @ np.swapaxes(root, -1, -2), mixture.precisions_, rtol=1e-10)
        else:
            assert_allclose(mixture.precisions_ * mixture.covariances_, 1)
            assert_allclose(root**2, mixture.precisions_)

    def test_it_is_a_stationary_point(self, covariance_type, missing):
        """Quasi-Newton from the fitted parameters finds no more than the fit's tolerance allows."""
        X = three_clusters(n=120, d=2)
        X = forget(X) if missing else X
        mixture = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0, tol=1e-12).fit(X)
        free = numerical_maximum(mixture, X)
        assert free <= mixture.objective_ + 1e-6

    def test_a_whole_missing_row_tells_nothing(self, covariance_type, missing):
        X = forget(three_clusters()) if missing else three_clusters()
        mixture = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        nothing = np.full((1, 3), np.nan)
        assert mixture.score_samples(nothing) == pytest.approx([0.0], abs=1e-12)
        assert_allclose(mixture.predict_proba(nothing)[0], mixture.weights_, rtol=1e-12)


def numerical_maximum(mixture, X):
    """L-BFGS over log weights, means and Cholesky factors (or log variances), from the fitted parameters."""
    k, d = mixture.means_.shape
    kind = mixture.covariance_type
    rows, columns = np.tril_indices(d)

    def pack_root(matrix):
        lower = np.linalg.cholesky(matrix)
        lower[np.diag_indices(d)] = np.log(np.diag(lower))
        return lower[rows, columns]

    def unpack_root(entries):
        lower = np.zeros((d, d))
        lower[rows, columns] = entries
        lower[np.diag_indices(d)] = np.exp(np.diag(lower))
        return lower @ lower.T

    def covariances(theta):
        if kind == "full":
            return [unpack_root(part) for part in theta.reshape(k, -1)]
        if kind == "tied":
            return [unpack_root(theta)] * k
        variances = np.exp(theta)
        if kind == "diag":
            return [np.diag(row) for row in variances.reshape(k, d)]
        return [v * np.eye(d) for v in np.broadcast_to(variances, k)]

    start = {
        "full": lambda: np.concatenate([pack_root(c) for c in mixture.covariances_]),
        "tied": lambda: pack_root(mixture.covariances_),
    }.get(kind, lambda: np.log(np.atleast_1d(mixture.covariances_)).ravel())()
    theta = np.concatenate([np.log(mixture.weights_), mixture.means_.ravel(), start])
    patterns = [(~np.isnan(row), row) for row in X]

    def loss(theta):
        log_weights = theta[:k] - logsumexp(theta[:k])
        means = theta[k : k + k * d].reshape(k, d)
        joint = np.empty((len(X), k))
        for c, covariance in enumerate(covariances(theta[k + k * d :])):
            by_pattern = {}
            for i, (seen, row) in enumerate(patterns):
                key = seen.tobytes()
                if key not in by_pattern:
                    part = covariance[np.ix_(seen, seen)]
                    by_pattern[key] = np.linalg.inv(part), np.linalg.slogdet(2 * np.pi * part)[1]
                inverse, log_det = by_pattern[key]
                z = row[seen] - means[c, seen]
                joint[i, c] = -0.5 * (z @ inverse @ z + log_det)
        return -logsumexp(joint + log_weights, axis=1).sum()

    return -minimize(loss, theta, method="BFGS", options={"maxiter": 15}).fun


class TestPublishedMaxima:
    """Best known log-likelihoods, from R's mclust (iris) and long runs from many starts."""

    @pytest.mark.parametrize(
        ("covariance_type", "best"),
        [("full", -180.186), ("tied", -256.354), ("diag", -306.860), ("spherical", -384.317), ("EII", -401.803)],
    )
    @pytest.mark.parametrize("seed", range(3))
    def test_iris(self, covariance_type, best, seed):
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=seed).fit(load_iris().data)
        assert mixture.objective_ > best - 1e-3

    @pytest.mark.parametrize("accelerate", ["auto", "anderson", "squarem", False])
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_the_default_tolerance_reaches_the_top_of_the_basin(self, covariance_type, accelerate):
        """To 1e-5 in total log-likelihood, of what two thousand textbook steps reach from the same place."""
        X = load_iris().data
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, accelerate=accelerate, random_state=0).fit(X)
        further = EMGaussianMixture(
            3,
            covariance_type=covariance_type,
            weights_init=mixture.weights_,
            means_init=mixture.means_,
            precisions_init=mixture.precisions_,
            tol=0,
            max_iter=2_000,
            accelerate=False,
        ).fit(X)
        assert mixture.converged_
        assert further.objective_ - mixture.objective_ < 1e-5


class TestHeights:
    """The worked example: a plateau near -51.40 for fifty steps, then a maximum of another kind."""

    X = load_heights().data

    @pytest.mark.parametrize("accelerate", ["auto", "anderson", "squarem", False])
    def test_the_maximum_beyond_the_plateau(self, accelerate):
        mixture = EMGaussianMixture(2, accelerate=accelerate, **HEIGHTS_START).fit(self.X)
        assert mixture.converged_
        assert mixture.objective_ == pytest.approx(-51.186551131, abs=1e-6)
        assert_allclose(mixture.means_.ravel(), [164.731, 181.534], atol=0.01)
        assert_allclose(mixture.weights_, [0.7544, 0.2456], atol=1e-3)

    def test_the_plateau(self):
        mixture = EMGaussianMixture(2, accelerate=False, tol=0, max_iter=50, **HEIGHTS_START).fit(self.X)
        assert mixture.n_iter_ == 50
        assert_allclose(mixture.lower_bounds_[1:50] * 14, -51.40, atol=0.013)

    def test_steps_are_those_of_the_textbook(self):
        weights, means, variances = np.full(2, 0.5), np.array([160.0, 175.0]), np.full(2, 25.0)
        x = self.X[:, 0]
        for n_steps in range(1, 30):
            joint = weights * np.exp(-0.5 * (x[:, None] - means) ** 2 / variances) / np.sqrt(2 * np.pi * variances)
            resp = joint / joint.sum(axis=1, keepdims=True)
            counts = resp.sum(axis=0)
            weights, means = counts / 14, x @ resp / counts
            variances = (resp * (x[:, None] - means) ** 2).sum(axis=0) / counts
            mixture = EMGaussianMixture(2, accelerate=False, tol=0, max_iter=n_steps, **HEIGHTS_START).fit(self.X)
            assert_allclose(mixture.means_.ravel(), means, rtol=1e-12)
            assert_allclose(mixture.covariances_.ravel(), variances, rtol=1e-10)
            assert_allclose(mixture.weights_, weights, rtol=1e-12)
            assert mixture.n_iter_ == n_steps
            assert mixture.n_e_steps_ == n_steps + 1


class TestSameAsScikitLearn:
    """From the same start, without regularisation, textbook steps are the same."""

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES[:4])
    def test_steps(self, covariance_type, dtype):
        X = three_clusters(n=500).astype(dtype)
        start = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0, max_iter=0).fit(X)
        shared = {
            "covariance_type": covariance_type,
            "weights_init": start.weights_,
            "means_init": start.means_,
            "precisions_init": start.precisions_,
            "reg_covar": 0,
            "tol": 0,
            "max_iter": 7,
        }
        ours = EMGaussianMixture(3, accelerate=False, **shared).fit(X)
        theirs = GaussianMixture(3, **shared)
        with pytest.warns(ConvergenceWarning):
            theirs.fit(X)
        tolerance = 1e-9 if dtype == np.float64 else 1e-3
        for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
            assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance, atol=tolerance, err_msg=name)
            assert getattr(ours, name).dtype == dtype
        assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=tolerance, atol=tolerance)
        assert ours.score_samples(X).dtype == dtype


class TestKMeans:
    @pytest.mark.parametrize("seed", range(5))
    def test_hard_em_with_one_variance_is_kmeans(self, seed):
        X = load_iris().data
        k = 4
        start = X[np.random.default_rng(seed).choice(len(X), k, replace=False)]
        kmeans = KMeans(k, init=start, n_init=1, algorithm="lloyd", tol=0).fit(X)
        mixture = EMGaussianMixture(
            k,
            covariance_type="EII",
            assignment="hard",
            fixed=("weights",),
            weights_init=np.full(k, 1 / k),
            means_init=start,
            tol=1e-12,
        ).fit(X)
        assert_array_equal(mixture.predict(X), kmeans.labels_)
        assert_allclose(mixture.means_, kmeans.cluster_centers_, rtol=1e-10)
        assert mixture.covariances_ * X.size == pytest.approx(kmeans.inertia_, rel=1e-10)
        assert_array_equal(mixture.weights_, np.full(k, 1 / k))

    def test_its_objective_is_the_classification_likelihood(self):
        X = load_old_faithful().data
        mixture = EMGaussianMixture(2, assignment="hard", random_state=0).fit(X)
        assert mixture.objective_ == pytest.approx(log_joint(mixture, X).max(axis=1).sum(), rel=1e-12)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
class TestFixed:
    def test_parameters_stay_where_they_start(self, covariance_type):
        X = three_clusters()
        start = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0, max_iter=0).fit(X)
        for name in ("weights", "means", "covariances"):
            mixture = EMGaussianMixture(
                3,
                covariance_type=covariance_type,
                fixed=(name,),
                weights_init=start.weights_,
                means_init=start.means_ + 0.1,
                precisions_init=start.precisions_,
            ).fit(X)
            expected = {"weights": start.weights_, "means": start.means_ + 0.1, "covariances": start.covariances_}
            for other, value in expected.items():
                held = np.allclose(getattr(mixture, f"{other}_"), value, rtol=1e-9)
                assert held == (other == name), (name, other)
            assert mixture.n_parameters_ < EMGaussianMixture(3, covariance_type=covariance_type).fit(X).n_parameters_

    def test_the_free_parameters_are_at_their_maximum(self, covariance_type):
        """With means and weights known, the covariances have a closed form given the responsibilities."""
        X = three_clusters()
        start = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
        mixture = EMGaussianMixture(
            2,
            covariance_type=covariance_type,
            fixed=("weights", "means"),
            weights_init=start.weights_,
            means_init=start.means_,
        ).fit(X)
        assert mixture.objective_ == pytest.approx(start.objective_, abs=1e-4)


def test_number_of_parameters():
    X = three_clusters(n=200, d=5)
    of_covariances = {"full": 45, "tied": 15, "diag": 15, "spherical": 3, "EII": 1}
    for covariance_type, number in of_covariances.items():
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        assert mixture.n_parameters_ == 2 + 15 + number


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_samples_follow_the_density(covariance_type):
    mixture = EMGaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(load_old_faithful().data)
    X, y = mixture.sample(50_000)
    assert X.shape == (50_000, 2)
    assert_allclose(np.bincount(y) / 50_000, mixture.weights_, atol=0.01)
    for k, covariance in enumerate(dense(mixture)):
        width = np.sqrt(np.diag(covariance))
        assert_allclose(X[y == k].mean(axis=0), mixture.means_[k], atol=0.05 * width.max())
        assert_allclose(np.cov(X[y == k].T) / np.outer(width, width), covariance / np.outer(width, width), atol=0.05)


class TestMissingValues:
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_one_component_is_the_maximum_of_the_observed_likelihood(self, covariance_type):
        """Monotone missingness of one column has a closed form: regression on the complete rows (Little and Rubin)."""
        X = load_old_faithful().data
        X[::3, 1] = np.nan
        mixture = EMGaussianMixture(covariance_type=covariance_type, tol=1e-13).fit(X)
        complete = X[~np.isnan(X[:, 1])]
        if covariance_type == "full":
            slope, intercept = np.polyfit(complete[:, 0], complete[:, 1], 1)
            residual = np.var(complete[:, 1] - slope * complete[:, 0] - intercept)
            assert mixture.means_[0, 1] == pytest.approx(intercept + slope * X[:, 0].mean(), rel=1e-6)
            assert mixture.covariances_[0, 1, 1] == pytest.approx(residual + slope**2 * X[:, 0].var(), rel=1e-5)
        else:
            assert mixture.means_[0, 0] == pytest.approx(X[:, 0].mean(), rel=1e-6)

    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_the_likelihood_never_falls(self, covariance_type):
        X = forget(three_clusters(), share=0.4)
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0, accelerate=False).fit(X)
        changes = mixture.history_["change"]
        assert (changes[~np.isnan(changes)] > -1e-9).all()

    def test_it_beats_the_complete_rows(self):
        """Truth is known: with a third of the cells gone, means from all rows are nearer to it."""
        rng = np.random.default_rng(0)
        covariance = np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.7], [0.6, 0.7, 1.0]])
        X = rng.multivariate_normal(np.zeros(3), covariance, size=2_000)
        X[rng.random(X.shape) < 0.35] = np.nan
        complete = X[~np.isnan(X).any(axis=1)]
        ours = EMGaussianMixture().fit(X)
        assert np.abs(ours.means_).max() < np.abs(complete.mean(axis=0)).max()
        assert_allclose(ours.covariances_[0], covariance, atol=0.08)


class TestDegenerate:
    def test_a_collapsing_start_is_seeded_anew_and_named(self):
        X = load_heights().data
        mixture = EMGaussianMixture(
            2,
            weights_init=[0.95, 0.05],
            means_init=[[168.0], [183.0]],
            precisions_init=[[[1 / 100]], [[1 / 0.09]]],
            random_state=0,
        )
        with pytest.warns(DegenerateSolutionWarning, match="component 1 has collapsed"):
            mixture.fit(X)
        assert mixture.covariances_.min() > 0.1
        assert mixture.objective_ == pytest.approx(-51.18655, abs=0.3)

    def test_without_a_floor_it_is_an_error(self):
        X = load_heights().data
        mixture = EMGaussianMixture(
            2,
            weights_init=[0.95, 0.05],
            means_init=[[168.0], [183.0]],
            precisions_init=[[[1 / 100]], [[1 / 0.09]]],
            reg_covar=0,
        )
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            mixture.fit(X)
        assert not hasattr(mixture, "means_")

    @pytest.mark.filterwarnings("ignore::emkit.DegenerateSolutionWarning")
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    @pytest.mark.parametrize(
        "X",
        [
            np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0),  # duplicates
            np.column_stack([np.arange(12.0), np.full(12, 7.0)]),  # a constant column
            np.column_stack([np.arange(12.0), 2 * np.arange(12.0)]),  # collinear columns
            np.random.default_rng(0).standard_normal((6, 9)),  # more columns than rows
            np.zeros((5, 2)),
        ],
        ids=["duplicates", "constant", "collinear", "wide", "zeros"],
    )
    def test_hard_data_give_a_finite_fit(self, X, covariance_type):
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "objective_"):
            assert np.isfinite(getattr(mixture, name)).all(), name
        assert np.isfinite(mixture.score_samples(X)).all()
        assert_allclose(mixture.predict_proba(X).sum(axis=1), 1)

    def test_a_spike_of_few_rows_is_not_chosen(self):
        """Four nearly equal rows in a cloud: their spike has the higher likelihood, but is not the answer."""
        rng = np.random.default_rng(0)
        X = np.vstack([rng.standard_normal((200, 2)) + [3, 0], rng.standard_normal((200, 2)) - [3, 0]])
        X = np.vstack([X, np.full((4, 2), 1.5)])
        mixture = EMGaussianMixture(2, n_init=10, init_params="random_from_data", random_state=0).fit(X)
        assert mixture.weights_.min() > 0.4

    def test_the_floor_is_met_exactly(self):
        X = np.column_stack([np.linspace(0, 1, 50), np.linspace(0, 1, 50)])
        mixture = EMGaussianMixture(reg_covar=1e-3).fit(X)
        scale = X.std(axis=0)
        values = np.linalg.eigvalsh(mixture.covariances_[0] / np.outer(scale, scale))
        assert values.min() == pytest.approx(1e-3, rel=1e-9)

    def test_a_floor_that_widens_a_cluster_is_named(self):
        X, _ = far_apart()
        with pytest.warns(DegenerateSolutionWarning, match=r"reg_covar=1e-06 keeps component 0 wider than its rows"):
            EMGaussianMixture(2, random_state=0).fit(X)


def far_apart():
    """Two clusters at plus and minus 1e8 with unit variance, and their labels."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 300)
    return rng.standard_normal((600, 2)) + np.where(y, 1e8, -1e8)[:, None], y


class TestUnitsAndOffsets:
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    @pytest.mark.parametrize("factor", [1e-6, 1e6])
    def test_units(self, covariance_type, factor):
        X = load_iris().data
        here = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        there = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X * factor)
        assert_array_equal(here.predict(X), there.predict(X * factor))
        assert_allclose(here.means_ * factor, there.means_, rtol=1e-4)

    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
    def test_each_feature_has_its_own_unit(self, covariance_type):
        X = load_iris().data
        units = np.array([1e-6, 1e3, 1.0, 1e6])
        here = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        there = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X * units)
        assert_array_equal(here.predict(X), there.predict(X * units))

    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_offset(self, covariance_type):
        X = load_iris().data
        here = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        there = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X + 1e8)
        assert_array_equal(here.predict(X), there.predict(X + 1e8))

    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_clusters_far_apart(self, covariance_type):
        X, y = far_apart()
        mixture = EMGaussianMixture(2, covariance_type=covariance_type, reg_covar=0, random_state=0).fit(X)
        labels = mixture.predict(X)
        assert_array_equal(labels == labels[0], y == y[0])
        for k, covariance in enumerate(dense(mixture)):
            rows = X[labels == k]
            assert_allclose(mixture.means_[k], rows.mean(axis=0), atol=1e-6)
            if covariance_type == "full":
                assert_allclose(covariance, np.cov((rows - rows[0]).T, bias=True), atol=1e-6)
            assert_allclose(np.diag(covariance), 1, atol=0.2)

    def test_integers_are_floats(self):
        X = np.random.default_rng(0).integers(0, 50, size=(200, 3))
        floats = EMGaussianMixture(2, random_state=0).fit(X.astype(np.float64))
        integers = EMGaussianMixture(2, random_state=0).fit(X)
        assert_array_equal(integers.means_, floats.means_)
        assert_array_equal(integers.predict_proba(X), floats.predict_proba(X.astype(np.float64)))

    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_single_precision(self, covariance_type):
        X = three_clusters().astype(np.float32)
        single = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        double = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X.astype(np.float64))
        assert single.predict_proba(X).dtype == single.score_samples(X).dtype == single.means_.dtype == np.float32
        assert single.sample(3)[0].dtype == np.float32
        assert single.objective_ == pytest.approx(double.objective_, rel=1e-4)
        assert_array_equal(single.predict(X), double.predict(X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_far_rows_with_missing_values_have_finite_scores(dtype):
    X = three_clusters(d=2).astype(dtype)
    mixture = EMGaussianMixture(2, random_state=0).fit(X)
    largest = np.finfo(dtype).max
    far = np.array([[np.nan, largest], [-largest / 2, np.nan], [largest, largest / 4]], dtype=dtype)
    assert np.isfinite(mixture.score_samples(far)).all()
    assert_allclose(mixture.predict_proba(far).sum(axis=1), 1, rtol=1e-6)
