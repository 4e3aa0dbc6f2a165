"""Standard errors of Gaussian mixtures: the exact information against closed forms, differences and coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris

from emkit import EMGaussianMixture, EMHiddenMarkov, EMMixture
from emkit.chunks import Rows
from emkit.datasets import load_old_faithful
from emkit.families.covariance import COVARIANCES
from emkit.gaussian_mixture import errors, information
from emkit.gaussian_mixture.fitted import model_of
from emkit.mixture.errors import by_differences

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EII")
NAMES = ("weights_", "means_", "covariances_")
F64 = np.dtype(np.float64)


def two_clusters(n=300, d=2, seed=0, apart=3.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.4 * rng.standard_normal((d, d)))
    X[: n // 3] += apart
    return X


def forget(X, share=0.2, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    X[5] = np.nan
    return X


def fitted(X, covariance_type="full", n_components=2, sample_weight=None, **options):
    options = {"tol": 1e-14, "reg_covar": 0, "random_state": 0, **options}
    mixture = EMGaussianMixture(n_components, covariance_type=covariance_type, **options)
    return mixture.fit(X, sample_weight=sample_weight)


def log_likelihood(X, weight, weights, means, matrices):
    """By scipy, row by row, over the observed features."""
    total = 0.0
    for row, w in zip(X, weight, strict=True):
        seen = ~np.isnan(row)
        joint = np.log(weights)
        if seen.any():
            laws = [multivariate_normal(m[seen], S[np.ix_(seen, seen)]) for m, S in zip(means, matrices, strict=True)]
            joint = joint + [law.logpdf(row[seen]) for law in laws]
        total += w * logsumexp(joint)
    return total


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_exact_errors_are_those_of_the_numerical_hessian(covariance_type, missing):
    """In other coordinates too: logarithms of weights and variances, Cholesky factors."""
    X = forget(two_clusters(d=3)) if missing else two_clusters(d=3)
    weight = np.random.default_rng(2).random(len(X)) + 0.5
    mixture = fitted(X, covariance_type, sample_weight=weight)
    parts = mixture.weights_, mixture.means_, mixture.covariances_
    expected = by_differences(*model_of(COVARIANCES[covariance_type], *parts, F64), [Rows(X, weight)], errors._named)
    given_errors = mixture.standard_errors(X, sample_weight=weight)
    for name in NAMES:
        assert given_errors[name].shape == getattr(mixture, name).shape
        assert_allclose(given_errors[name], expected[name[:-1]], rtol=1e-4)


@pytest.mark.parametrize("missing", [False, True])
def test_information_is_the_second_derivative_anywhere(missing):
    """Not at a maximum only: by differences of a likelihood that scipy computes, in weights and covariances as such."""
    X = forget(two_clusters(n=15)) if missing else two_clusters(n=15)
    weight = np.random.default_rng(2).random(len(X)) + 0.5
    k, d, rng = 2, 2, np.random.default_rng(3)
    weights, means = np.array([0.3, 0.7]), rng.standard_normal((k, d))
    matrices = np.array([[[1.0, 0.3], [0.3, 2.0]], [[1.5, -0.2], [-0.2, 0.7]]])
    pairs = information.Pairs(*np.tril_indices(d))

    def value(step):
        """Weights are not made to sum to one, as the derivatives are by each of them."""
        step = step.reshape(k, -1)
        moved = matrices.copy()
        for j, (a, b) in enumerate(zip(*pairs, strict=True)):
            moved[:, a, b] += step[:, 3 + j]
            if a != b:
                moved[:, b, a] += step[:, 3 + j]
        return log_likelihood(X, weight, weights + step[:, 0], means + step[:, 1:3], moved)

    slopes = information.observed_information(
        *model_of(COVARIANCES["full"], weights, means, matrices, F64), [Rows(X, weight)], pairs
    )
    p, h = len(slopes.score), 1e-4
    steps = h * np.eye(p)
    gradient = [(value(s) - value(-s)) / (2 * h) for s in steps]
    hessian = [
        [(value(s + t) - value(s - t) - value(t - s) + value(-s - t)) / (4 * h**2) for t in steps] for s in steps
    ]
    assert_allclose(slopes.score, gradient, rtol=1e-5, atol=1e-5)
    assert_allclose(slopes.information, -np.array(hessian), rtol=1e-4, atol=1e-4 * np.abs(hessian).max())


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_one_component_has_closed_forms(covariance_type):
    X = two_clusters(d=3)
    n, d = X.shape
    mixture = fitted(X, covariance_type, n_components=1)
    given_errors = mixture.standard_errors(X)
    S = COVARIANCES[covariance_type].dense(mixture.covariances_, 1, d)[0]
    variances = np.diag(S)
    assert_array_equal(given_errors["weights_"], [0.0])
    assert_allclose(given_errors["means_"][0], np.sqrt(variances / n), rtol=1e-9)
    expected = {
        "full": lambda: np.sqrt((np.outer(variances, variances) + S**2) / n)[None],
        "tied": lambda: np.sqrt((np.outer(variances, variances) + S**2) / n),
        "diag": lambda: np.sqrt(2 / n) * variances[None],
        "spherical": lambda: np.sqrt(2 / (n * d)) * variances[:1],
        "EII": lambda: np.sqrt(2 / (n * d)) * variances[0],
    }[covariance_type]()
    assert_allclose(given_errors["covariances_"], expected, rtol=1e-7)


def test_known_labels_are_the_limit_of_clusters_far_apart():
    X = two_clusters(apart=200.0)
    mixture = fitted(X)
    given_errors = mixture.standard_errors(X)
    n = np.array([(X[:, 0] > 100).sum(), (X[:, 0] < 100).sum()])
    n = n if mixture.means_[0, 0] > 100 else n[::-1]
    variances = np.diagonal(mixture.covariances_, axis1=1, axis2=2)
    assert_allclose(given_errors["means_"], np.sqrt(variances / n[:, None]), rtol=1e-8)
    assert_allclose(given_errors["weights_"], np.sqrt(np.prod(n) / n.sum() ** 3), rtol=1e-8)


@pytest.mark.parametrize("fixed", [("weights",), ("means",), ("covariances",), ("weights", "covariances")])
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_what_is_fixed_has_no_error(fixed, covariance_type):
    X = two_clusters()
    start = fitted(X, covariance_type)
    init = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    mixture = fitted(X, covariance_type, fixed=fixed, **init)
    given_errors, free = mixture.standard_errors(X), start.standard_errors(X)
    for name in NAMES:
        if name[:-1] in fixed:
            assert_array_equal(given_errors[name], 0.0)
        else:
            assert (given_errors[name] > 0).all()
            assert (given_errors[name] < free[name] * (1 + 1e-6)).all()  # what is known helps
    bootstrap = mixture.standard_errors(X, method="bootstrap", n_bootstrap=3)
    for name in NAMES:
        assert (bootstrap[name] == 0).all() == (name[:-1] in fixed)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "EII"])
def test_noise_and_labels(covariance_type, missing):
    """Exact errors are those of differences, with noise as one more component and rows that are known."""
    noise = np.random.default_rng(5).uniform(-9, 9, (40, 2))
    X = np.concatenate([forget(two_clusters()) if missing else two_clusters(), noise])
    labels = np.full(len(X), -1)
    labels[:20], labels[200:230] = 1, 0
    mixture = EMGaussianMixture(2, covariance_type=covariance_type, noise=True, tol=1e-14, reg_covar=0, random_state=0)
    mixture.fit(X, labels=labels)
    parts = np.append(mixture.weights_, mixture.noise_weight_), mixture.means_, mixture.covariances_
    model = model_of(COVARIANCES[covariance_type], *parts, F64, mixture.noise_range_)
    expected = by_differences(*model, [Rows(X, np.ones(len(X)), labels)], errors._named)
    found = mixture.standard_errors(X, labels=labels)
    assert list(found) == [*NAMES, "noise_weight_"]
    assert_allclose(np.append(found["weights_"], found["noise_weight_"]), expected["weights"], rtol=1e-4)
    for name in NAMES[1:]:
        assert_allclose(found[name], expected[name[:-1]], rtol=1e-4)


def test_labels_help():
    X = two_clusters(apart=1.5)
    labels = (np.arange(len(X)) >= len(X) // 3).astype(int)
    mixture = fitted(X, fixed=(), means_init=[X[labels == k].mean(axis=0) for k in range(2)])
    known = EMGaussianMixture(2, tol=1e-14, reg_covar=0).fit(X, labels=labels)
    with_labels, without = known.standard_errors(X, labels=labels), mixture.standard_errors(X)
    counts = np.bincount(labels)
    variances = np.diagonal(known.covariances_, axis1=1, axis2=2)
    assert_allclose(with_labels["means_"], np.sqrt(variances / counts[:, None]), rtol=1e-8)
    assert (without["weights_"] > 1.1 * with_labels["weights_"]).all()


def test_everything_fixed():
    X = two_clusters()
    mixture = fitted(X, fixed=("weights", "means", "covariances"))
    for error in mixture.standard_errors(X).values():
        assert_array_equal(error, 0.0)


class TestData:
    def test_a_weight_is_repetition(self):
        X = two_clusters()
        weight = np.random.default_rng(0).integers(0, 4, len(X))
        mixture = fitted(X, sample_weight=weight)
        rows = np.repeat(X, weight, axis=0)
        weighted, repeated = mixture.standard_errors(X, sample_weight=weight), mixture.standard_errors(rows)
        for name in NAMES:
            assert_allclose(weighted[name], repeated[name], rtol=1e-10)

    def test_blocks_and_chunks(self):
        X = forget(two_clusters(n=12_000))
        mixture = fitted(X, tol=1e-9)
        whole = mixture.standard_errors(X)
        blocks = mixture.standard_errors(lambda: iter([X[:5000], X[5000:]]))
        for name in NAMES:
            assert_allclose(blocks[name], whole[name], rtol=1e-10)

    def test_float32(self):
        X = two_clusters()
        exact, rounded = fitted(X).standard_errors(X), fitted(X.astype(np.float32)).standard_errors(X)
        for name in NAMES:
            assert rounded[name].dtype == np.float64
            assert_allclose(np.sort(rounded[name].ravel()), np.sort(exact[name].ravel()), rtol=1e-2)

    def test_rows_without_a_value_say_nothing(self):
        X = two_clusters()
        mixture = fitted(X)
        more = mixture.standard_errors(np.concatenate([X, np.full((50, 2), np.nan)]))
        for name, error in mixture.standard_errors(X).items():
            assert_allclose(more[name], error, rtol=1e-10)

    def test_missing_values_cost_precision(self):
        X = two_clusters()
        incomplete = forget(X, share=0.5)
        whole, part = fitted(X).standard_errors(X), fitted(incomplete).standard_errors(incomplete)
        assert (np.sort(part["means_"].ravel()) > np.sort(whole["means_"].ravel())).all()


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000), exponents=st.tuples(st.integers(-5, 5), st.integers(-5, 5)), shift=st.floats(-1e3, 1e3)
)
def test_units_and_order_of_rows(seed, exponents, shift):
    X = two_clusters(n=120, seed=seed, apart=6.0)
    scale = 10.0 ** np.array(exponents)
    mixture = fitted(X)
    moved = EMGaussianMixture(2)
    moved.weights_, moved.means_ = mixture.weights_, (mixture.means_ + shift) * scale
    moved.covariances_, moved.n_features_in_ = mixture.covariances_ * np.outer(scale, scale), 2
    moved.precisions_cholesky_ = mixture.precisions_cholesky_ / scale[:, None]
    one = mixture.standard_errors(X)
    other = moved.standard_errors(((X + shift) * scale)[np.random.default_rng(seed).permutation(len(X))])
    assert_allclose(other["weights_"], one["weights_"], rtol=1e-5)
    assert_allclose(other["means_"] / scale, one["means_"], rtol=1e-5)
    assert_allclose(other["covariances_"] / np.outer(scale, scale), one["covariances_"], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6])
@pytest.mark.parametrize(
    "model", [EMMixture(2, family="student", random_state=0), EMHiddenMarkov(2, random_state=0)], ids=["mixture", "hmm"]
)
def test_units_where_derivatives_are_numerical(model, scale):
    X = two_clusters(n=120, apart=6.0) * [1.0, 10.0]
    one, other = (clone(model).fit(table).standard_errors(table) for table in (X, X * scale))
    assert_allclose(other["means_"] / scale, one["means_"], rtol=1e-3)
    assert_allclose(other["covariances_"] / scale**2, one["covariances_"], rtol=1e-3)
    shares = "weights_" if "weights_" in one else "transmat_"
    assert_allclose(other[shares], one[shares], rtol=1e-3)


@pytest.mark.parametrize("covariance_type", ["VEI", "EVI", "VVI", "EVE", "VVE", "VEE", "EEV", "VEV", "EVV"])
def test_parameters_with_fewer_degrees_of_freedom_than_numbers(covariance_type):
    """Directions that change no parameter are no sign that the fit is not at a maximum."""
    X = load_iris().data
    model = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0)
    loose, tight = (clone(model).set_params(tol=tol).fit(X).standard_errors(X) for tol in (1e-8, 1e-12))
    for name in NAMES:
        assert_allclose(loose[name], tight[name], rtol=0.02, atol=1e-3)


class TestRefused:
    X = two_clusters()

    @pytest.mark.parametrize("method", ["magic", None, 1])
    def test_method(self, method):
        with pytest.raises(ValueError, match=r"method must be one of \['information', 'bootstrap'\], but got"):
            fitted(self.X).standard_errors(self.X, method=method)

    def test_hard_assignment(self):
        mixture = fitted(self.X, assignment="hard")
        with pytest.raises(ValueError, match="assignment='hard' does not look for"):
            mixture.standard_errors(self.X)

    def test_other_rows(self):
        with pytest.raises(ValueError, match=r"the maximum of the likelihood is .* standard errors away"):
            fitted(self.X).standard_errors(self.X + 0.5)

    def test_too_early(self):
        mixture = EMGaussianMixture(2, means_init=self.X[:2], max_iter=3, tol=0).fit(self.X)
        with pytest.raises(ValueError, match="the fit is not at a maximum of the likelihood of X"):
            mixture.standard_errors(self.X)

    def test_at_the_floor(self):
        X = np.column_stack([self.X, self.X[:, 0] * 2])
        mixture = EMGaussianMixture(1).fit(X)
        with pytest.raises(ValueError, match="the fit is not at a maximum"):
            mixture.standard_errors(X)

    @pytest.mark.parametrize("family", ["bernoulli", "categorical"])
    def test_classes_that_are_not_identified(self, family):
        """Three classes have 11 parameters, and shares of eight answers tell seven."""
        rng = np.random.default_rng(0)
        likely = np.where(rng.random((500, 1)) < 0.4, 0.2, 0.7)
        X = (rng.random((500, 3)) < likely).astype(np.float64)
        two = EMMixture(2, family=family, random_state=0).fit(X)
        assert (two.standard_errors(X)["weights_"] > 0.01).all()
        with pytest.raises(ValueError, match="X tells nothing of some parameters"):
            EMMixture(3, family=family, random_state=0).fit(X).standard_errors(X)

    def test_a_component_without_weight(self):
        mixture = fitted(self.X)
        mixture.weights_ = np.array([1.0, 0.0])
        with pytest.raises(ValueError, match="component 1 has weight 0"):
            mixture.standard_errors(self.X)

    def test_equal_components(self):
        """The likelihood does not know how they share their rows."""
        mixture = fitted(self.X, n_components=1)
        twice = EMGaussianMixture(2)
        twice.weights_ = np.array([0.5, 0.5])
        for name in ("means_", "covariances_", "precisions_cholesky_"):
            setattr(twice, name, np.concatenate([getattr(mixture, name)] * 2))
        with pytest.raises(ValueError, match="not at a maximum"):
            twice.standard_errors(self.X)

    def test_columns(self):
        with pytest.raises(ValueError, match="3 features, but EMGaussianMixture is expecting 2"):
            fitted(self.X).standard_errors(np.zeros((5, 3)))

    @pytest.mark.parametrize("method", ["information", "bootstrap"])
    def test_weights(self, method):
        with pytest.raises(ValueError, match=r"sample_weight\.shape == \(3,\), expected"):
            fitted(self.X).standard_errors(self.X, sample_weight=np.ones(3), method=method)


def test_old_faithful():
    """The information knows less than labels would tell, and the more so the weight."""
    X = load_old_faithful().data
    mixture = fitted(X)
    given_errors = mixture.standard_errors(X)
    w = mixture.weights_[0]
    assert_allclose(given_errors["weights_"], np.sqrt(w * (1 - w) / len(X)), rtol=0.02)
    variances = np.diagonal(mixture.covariances_, axis1=1, axis2=2)
    least = np.sqrt(variances / (len(X) * mixture.weights_)[:, None])
    assert (given_errors["means_"] > least).all()
    assert (given_errors["means_"] < 1.1 * least).all()


@pytest.mark.slow
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_intervals_cover_the_truth(covariance_type, missing):
    """95 per cent of intervals of 1.96 standard errors, parameter by parameter."""
    weights, means = np.array([0.4, 0.6]), np.array([[0.0, 0.0], [4.0, 1.0]])
    matrices = np.array([np.diag([1.0, 2.0]), np.diag([1.5, 0.5])])
    if covariance_type == "full":
        matrices[0, 0, 1] = matrices[0, 1, 0] = 0.6
    shown = {"full": matrices, "diag": np.diagonal(matrices, axis1=1, axis2=2)}[covariance_type]
    covered, n_tables = {name: [] for name in NAMES}, 400
    for seed in range(n_tables):
        rng = np.random.default_rng(seed)
        labels = (rng.random(800) < weights[1]).astype(int)
        roots = np.linalg.cholesky(matrices)
        X = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((800, 2)))
        X = forget(X, share=0.1, seed=seed) if missing else X
        mixture = fitted(X, covariance_type, means_init=means, tol=1e-10)
        found = mixture.standard_errors(X)
        for name, truth in zip(NAMES, (weights, means, shown), strict=True):
            covered[name].append(np.abs(getattr(mixture, name) - truth) < 1.96 * found[name])
    for name, hits in covered.items():
        share = np.mean(hits, axis=0)  # known to 0.011
        assert (share > 0.91).all(), name
        assert (share < 0.99).all(), name
        assert np.mean(hits) == pytest.approx(0.95, abs=0.015), name
