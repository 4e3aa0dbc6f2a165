"""Marginals, conditionals and filled rows of a Gaussian mixture against densities, quadrature and plain formulas."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EII")
NAMES = ["a", "b", "c", "d"]


def table(n=240, d=4, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.standard_normal((3, d))
    return centres[rng.integers(3, size=n)] + rng.standard_normal((n, d)) @ (np.eye(d) + rng.random((d, d)) / 2)


def fitted(covariance_type="full", n_components=3, X=None, **options):
    X = table() if X is None else X
    return EMGaussianMixture(n_components, covariance_type=covariance_type, random_state=0, **options).fit(X)


def dense(mixture, name="covariances_"):
    """Matrices (K, d, d) of an attribute, spelled out for each type."""
    k, d = mixture.means_.shape
    return {
        "full": lambda c: c,
        "tied": lambda c: np.stack([c] * k),
        "diag": lambda c: np.stack([np.diag(row) for row in c]),
        "spherical": lambda c: np.stack([v * np.eye(d) for v in c]),
        "EII": lambda c: np.stack([c * np.eye(d)] * k),
    }[mixture.covariance_type](getattr(mixture, name))


def random_mixture(rng, k, d):
    """A mixture whose parameters are set by hand."""
    mixture = EMGaussianMixture(k)
    mixture.weights_ = rng.dirichlet(np.ones(k))
    mixture.means_ = 2 * rng.standard_normal((k, d))
    roots = rng.standard_normal((k, d, d)) + 2 * np.eye(d)
    mixture.covariances_ = roots @ roots.swapaxes(1, 2)
    mixture.precisions_ = np.linalg.inv(mixture.covariances_)
    mixture.precisions_cholesky_ = np.linalg.cholesky(mixture.precisions_[:, ::-1, ::-1])[:, ::-1, ::-1]
    mixture.n_features_in_ = d
    return mixture


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
class TestDensities:
    def test_marginal_is_the_density_of_rows_without_the_other_columns(self, covariance_type):
        mixture, X = fitted(covariance_type), table(seed=1)
        part = mixture.marginal([3, 1])
        only = np.full_like(X, np.nan)
        only[:, [3, 1]] = X[:, [3, 1]]
        assert_allclose(part.score_samples(X[:, [3, 1]]), mixture.score_samples(only), rtol=1e-12, atol=1e-12)
        assert_allclose(part.predict_proba(X[:, [3, 1]]), mixture.predict_proba(only), atol=1e-12)

    def test_conditional_density_is_joint_over_marginal(self, covariance_type):
        mixture, X = fitted(covariance_type), table(seed=1)
        columns, others = [2, 0], [1, 3]
        marginal = mixture.marginal(columns)
        for row in X[:10]:
            conditional = mixture.condition(columns, row[columns])
            whole = X.copy()
            whole[:, columns] = row[columns]
            expected = mixture.score_samples(whole) - marginal.score_samples(row[None, columns])
            assert_allclose(conditional.score_samples(X[:, others]), expected, rtol=1e-10, atol=1e-10)

    def test_conditional_on_all_but_one_integrates_to_one(self, covariance_type):
        mixture = fitted(covariance_type)
        conditional = mixture.condition([0, 2, 3], [0.5, -1.0, 2.0])
        total, _ = quad(
            lambda z: np.exp(conditional.score_samples([[z]])[0]), -60, 60, points=conditional.means_.ravel()
        )
        assert total == pytest.approx(1, abs=1e-8)

    def test_types_stay_where_they_can(self, covariance_type):
        mixture = fitted(covariance_type)
        for made in (mixture.marginal([1, 0]), mixture.condition([1, 0], [0.0, 0.0])):
            assert made.covariance_type == covariance_type
            shapes = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,), "EII": ()}
            assert made.covariances_.shape == made.precisions_.shape == shapes[covariance_type]
            assert_allclose(dense(made, "precisions_"), np.linalg.inv(dense(made)), rtol=1e-9, atol=1e-12)

    def test_what_is_returned_behaves_as_fitted(self, covariance_type):
        mixture = fitted(covariance_type, X=pd.DataFrame(table(), columns=NAMES))
        for made in (mixture.marginal(["c", "a"]), mixture.condition(["b", "d"], [0.0, 0.0])):
            drawn, labels = made.sample(20_000)
            counts = np.bincount(labels, minlength=3) / 20_000
            assert_allclose(counts, made.weights_, atol=0.02)
            assert_allclose(drawn.mean(axis=0), made.weights_ @ made.means_, atol=0.15)
            assert made.get_params()["n_components"] == 3
            assert set(made.feature_names_in_) == {"a", "c"}
            assert made.n_features_in_ == 2
            frame = pd.DataFrame(drawn[:50], columns=made.feature_names_in_)
            assert_array_equal(made.predict(frame), made.predict_proba(frame).argmax(axis=1))
            made.fit(frame)  # a fit of its own is possible
            assert made.means_.shape == (3, 2)

    def test_filled_cells_are_mixtures_of_regressions(self, covariance_type):
        """The formulas, row by row."""
        mixture, X = fitted(covariance_type), table(n=40, seed=2)
        X[np.random.default_rng(3).random(X.shape) < 0.4] = np.nan
        X[0] = np.nan
        filled, std = mixture.predict_missing(X, return_std=True)
        for i, row in enumerate(X):
            o, m = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
            weight, means, variances = [], [], []
            for w, mu, S in zip(mixture.weights_, mixture.means_, dense(mixture), strict=True):
                there = len(o) > 0
                weight.append(w * (multivariate_normal(mu[o], S[np.ix_(o, o)]).pdf(row[o]) if there else 1.0))
                slope = S[np.ix_(m, o)] @ np.linalg.inv(S[np.ix_(o, o)])
                means.append(mu[m] + slope @ (row[o] - mu[o]))
                variances.append(np.diag(S[np.ix_(m, m)] - slope @ S[np.ix_(o, m)]))
            weight = np.array(weight) / sum(weight)
            mean = weight @ np.array(means)
            second = weight @ (np.array(variances) + np.array(means) ** 2)
            assert_allclose(filled[i, m], mean, rtol=1e-9, atol=1e-9)
            assert_allclose(std[i, m], np.sqrt(second - mean**2), rtol=1e-7)
            assert_array_equal(filled[i, o], row[o])
            assert_array_equal(std[i, o], 0.0)


class TestRegression:
    def test_one_component_is_least_squares(self):
        X = table()
        mixture = fitted(n_components=1, X=X, reg_covar=0)
        new = table(n=50, seed=5)
        least_squares = LinearRegression().fit(X[:, [0, 1, 3]], X[:, 2])
        asked = new.copy()
        asked[:, 2] = np.nan
        filled, std = mixture.predict_missing(asked, return_std=True)
        assert_allclose(filled[:, 2], least_squares.predict(new[:, [0, 1, 3]]), rtol=1e-9)
        residuals = X[:, 2] - least_squares.predict(X[:, [0, 1, 3]])
        assert_allclose(std[:, 2], np.sqrt((residuals**2).mean()), rtol=1e-9)

    def test_moments_by_quadrature(self):
        mixture = fitted(n_components=2, X=load_old_faithful().data)
        for x in (1.5, 3.0, 5.0):
            filled, std = mixture.predict_missing([[x, np.nan]], return_std=True)
            z = np.linspace(0, 140, 20_001)
            density = np.exp(mixture.score_samples(np.column_stack([np.full_like(z, x), z])))
            density /= density.sum()
            mean = density @ z
            assert filled[0, 1] == pytest.approx(mean, rel=1e-8)
            assert std[0, 1] == pytest.approx(np.sqrt(density @ (z - mean) ** 2), rel=1e-8)

    def test_it_is_the_mean_of_the_conditional(self):
        mixture = fitted()
        filled, std = mixture.predict_missing([[np.nan, 1.0, np.nan, -0.5]], return_std=True)
        conditional = mixture.condition([1, 3], [1.0, -0.5])
        mean = conditional.weights_ @ conditional.means_
        assert_allclose(filled[0, [0, 2]], mean, rtol=1e-12)
        spread = conditional.weights_ @ (
            np.diagonal(conditional.covariances_, axis1=1, axis2=2) + conditional.means_**2
        )
        assert_allclose(std[0, [0, 2]], np.sqrt(spread - mean**2), rtol=1e-9)

    def test_scalars_are_one_column(self):
        mixture = fitted(n_components=2, X=load_old_faithful(as_frame=True).data)
        one, listed = mixture.condition("eruptions", 3.0), mixture.condition(["eruptions"], [3.0])
        assert_array_equal(one.means_, listed.means_)
        assert_array_equal(mixture.marginal(1).means_, mixture.marginal(["waiting"]).means_)
        assert_array_equal(mixture.marginal(-1).means_, mixture.marginal([1]).means_)

    def test_chunks_and_blocks(self):
        """More rows than a chunk, in an array and from a function."""
        mixture, X = fitted(), np.tile(table(), (50, 1))
        X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
        X[10_000:10_400] = table()[0]  # a stretch without gaps
        filled = mixture.predict_missing(X)
        assert_allclose(mixture.predict_missing(X[::100]), filled[::100], rtol=1e-9, atol=1e-12)
        assert_allclose(mixture.predict_missing(lambda: iter([X[:7000], X[7000:]])), filled, rtol=1e-12)

    def test_weights_of_zero_do_not_matter(self):
        mixture = fitted()
        alone = mixture.condition([0], [1.0])
        mixture.weights_ = np.array([0.0, 0.4, 0.6])
        conditional = mixture.condition([0], [1.0])
        assert conditional.weights_[0] == 0
        assert_array_equal(conditional.means_, alone.means_)
        assert np.isfinite(mixture.predict_missing([[1.0, np.nan, np.nan, 0.0]])).all()

    def test_rows_far_away(self):
        """Responsibilities are found in logarithms, so the nearest component still decides."""
        mixture = fitted("diag")
        filled = mixture.predict_missing([[1e6, np.nan, np.nan, np.nan]])
        widest = int(mixture.covariances_[:, 0].argmax())
        assert_allclose(filled[0, 1:], mixture.means_[widest, 1:])

    def test_components_far_apart_and_narrow(self):
        """The variance between components does not cancel."""
        mixture = EMGaussianMixture(2, covariance_type="diag")
        mixture.weights_, mixture.means_ = np.array([0.5, 0.5]), np.array([[0.0, 1e9], [0.0, 1e9 + 1]])
        mixture.covariances_ = np.array([[1.0, 1e-4], [1.0, 1e-4]])
        mixture.precisions_cholesky_ = 1 / np.sqrt(mixture.covariances_)
        _, std = mixture.predict_missing([[0.3, np.nan]], return_std=True)
        assert std[0, 1] == pytest.approx(np.sqrt(0.25 + 1e-4), rel=1e-6)


class TestNoise:
    X = np.concatenate([table(n=200), np.random.default_rng(7).uniform(-12, 12, (60, 4))])
    mixture = EMGaussianMixture(3, noise=True, random_state=0).fit(X)

    def test_it_is_there(self):
        assert 0.1 < self.mixture.noise_weight_ < 0.4

    def test_densities(self):
        columns, others = [3, 0], [1, 2]
        marginal = self.mixture.marginal(columns)
        only = np.full_like(self.X, np.nan)
        only[:, columns] = self.X[:, columns]
        assert_allclose(marginal.score_samples(self.X[:, columns]), self.mixture.score_samples(only), rtol=1e-10)
        assert_allclose(marginal.predict_proba(self.X[:, columns]), self.mixture.predict_proba(only), atol=1e-10)
        for row in self.X[::40]:
            conditional = self.mixture.condition(columns, row[columns])
            whole = self.X.copy()
            whole[:, columns] = row[columns]
            expected = self.mixture.score_samples(whole) - marginal.score_samples(row[None, columns])
            assert_allclose(conditional.score_samples(self.X[:, others]), expected, rtol=1e-9, atol=1e-9)

    def test_filled_cells(self):
        """Noise has the middle of its range, and the variance of a uniform law."""
        asked = self.X[::9].copy()
        asked[:, [0, 2]] = np.nan
        filled, std = self.mixture.predict_missing(asked, return_std=True)
        for row, mean, sd in zip(asked, filled, std, strict=True):
            conditional = self.mixture.condition([1, 3], row[[1, 3]])
            weight = np.append(conditional.weights_, conditional.noise_weight_)
            assert weight.sum() == pytest.approx(1)
            low, high = conditional.noise_range_
            means = np.vstack([conditional.means_, (low + high) / 2])
            variances = np.vstack([np.diagonal(conditional.covariances_, axis1=1, axis2=2), (high - low) ** 2 / 12])
            expected = weight @ means
            assert_allclose(mean[[0, 2]], expected, rtol=1e-9, atol=1e-9)
            assert_allclose(sd[[0, 2]], np.sqrt(weight @ (variances + means**2) - expected**2), rtol=1e-8)

    def test_what_is_returned_has_noise(self):
        made = self.mixture.condition([0], [20.0])  # far from all components
        assert made.noise
        assert made.noise_weight_ > 0.999
        drawn, labels = made.sample(500)
        assert (labels == -1).mean() > 0.99
        assert (drawn >= made.noise_range_[0]).all()


class TestKindsOfData:
    def test_float32(self):
        X = table().astype(np.float32)
        mixture, exact = fitted(X=X), fitted(X=X.astype(np.float64))
        asked = X[:20].copy()
        asked[:, 1] = np.nan
        filled, std = mixture.predict_missing(asked, return_std=True)
        assert filled.dtype == std.dtype == np.float32
        assert mixture.marginal([0, 1]).means_.dtype == np.float32
        conditional = mixture.condition([0], [0.5])
        assert conditional.covariances_.dtype == np.float32
        assert conditional.predict_proba(X[:, 1:]).dtype == np.float32
        assert_allclose(conditional.weights_.sum(), 1, rtol=1e-6)
        assert_allclose(filled, exact.predict_missing(asked.astype(np.float64)), rtol=1e-2, atol=1e-2)

    def test_frames(self):
        X = table(n=30)
        X[::3, 2] = np.nan
        frame = pd.DataFrame(X, columns=NAMES, index=np.arange(30) + 100)
        mixture = fitted(X=pd.DataFrame(table(), columns=NAMES))
        values = fitted().predict_missing(X)
        filled, std = mixture.predict_missing(frame, return_std=True)
        assert_allclose(filled.to_numpy(), values)
        assert list(filled.columns) == list(std.columns) == NAMES
        assert (filled.index == frame.index).all()
        polars = mixture.predict_missing(pl.DataFrame(X, schema=NAMES))
        assert isinstance(polars, pl.DataFrame)
        assert polars.columns == NAMES
        assert_allclose(polars.to_numpy(), values)

    def test_nothing_is_missing(self):
        X = table()
        filled, std = fitted().predict_missing(X, return_std=True)
        assert_array_equal(filled, X)
        assert_array_equal(std, 0.0)
        assert filled is not X

    def test_masked(self):
        X = np.ma.masked_greater(table(n=20), 2.0)
        assert_array_equal(fitted().predict_missing(X), fitted().predict_missing(X.filled(np.nan)))

    def test_the_input_is_left_alone(self):
        X = table(n=20)
        X[3, 1] = np.nan
        before = X.copy()
        fitted().predict_missing(X)
        assert_array_equal(X, before)

    def test_start_arguments_are_not_handed_on(self):
        X = table()
        mixture = EMGaussianMixture(2, means_init=X[:2], fixed=("means",), tol=1e-4).fit(X)
        made = mixture.marginal([0])
        assert made.means_init is None
        assert made.fixed == ()
        assert made.tol == 1e-4
        assert mixture.means_init is not None

    def test_a_type_that_was_changed_after_the_fit(self):
        mixture = fitted("diag")
        expected = mixture.condition([1], [0.0])
        mixture.set_params(covariance_type="full")
        made = mixture.condition([1], [0.0])
        assert made.covariance_type == "diag"
        assert_array_equal(made.covariances_, expected.covariances_)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4), d=st.integers(3, 6), data=st.data())
def test_marginal_and_condition_commute(seed, k, d, data):
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, k, d)
    order = data.draw(st.permutations(range(d)))
    n_given = data.draw(st.integers(1, d - 2))
    given_columns, kept = order[:n_given], sorted(order[n_given:-1])
    values = 2 * rng.standard_normal(n_given)
    both = mixture.marginal([*given_columns, *kept])
    one = both.condition(list(range(n_given)), values)
    conditional = mixture.condition(given_columns, values)
    left = sorted(order[n_given:])
    other = conditional.marginal([left.index(column) for column in kept])
    assert_allclose(one.weights_, other.weights_, rtol=1e-6, atol=1e-12)
    assert_allclose(one.means_, other.means_, rtol=1e-6, atol=1e-8)
    assert_allclose(one.covariances_, other.covariances_, rtol=1e-6, atol=1e-8)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4), d=st.integers(3, 6))
def test_conditioning_in_two_steps(seed, k, d):
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, k, d)
    values = rng.standard_normal(2)
    at_once = mixture.condition([0, 2], values)
    in_steps = mixture.condition([0], values[:1]).condition([1], values[1:])
    assert_allclose(in_steps.weights_, at_once.weights_, rtol=1e-6, atol=1e-12)
    assert_allclose(in_steps.means_, at_once.means_, rtol=1e-6, atol=1e-8)
    assert_allclose(in_steps.covariances_, at_once.covariances_, rtol=1e-6, atol=1e-8)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-6, 6))
def test_units_do_not_matter(seed, exponent):
    rng = np.random.default_rng(seed)
    mixture, unit = random_mixture(rng, 3, 3), 10.0**exponent
    scale = np.array([1.0, unit, 1.0])
    other = random_mixture(np.random.default_rng(seed), 3, 3)
    other.means_ = other.means_ * scale
    other.covariances_ = other.covariances_ * np.outer(scale, scale)
    X = rng.standard_normal((8, 3))
    X[:4, 1] = np.nan
    X[4:, 2] = np.nan
    filled, std = mixture.predict_missing(X, return_std=True)
    again, std_again = other.predict_missing(X * scale, return_std=True)
    assert_allclose(again / scale, filled, rtol=1e-7, atol=1e-9)
    assert_allclose(std_again / scale, std, rtol=1e-7, atol=1e-9)


def test_a_gap_is_filled_by_a_closed_form():
    """Two unit Gaussians at (0, 0) and (2, 2): given x, the chance of the second is a logistic function."""
    mixture = EMGaussianMixture(2, covariance_type="spherical")
    mixture.weights_, mixture.means_ = np.array([0.5, 0.5]), np.array([[0.0, 0.0], [2.0, 2.0]])
    mixture.covariances_ = mixture.precisions_cholesky_ = np.ones(2)
    x = np.linspace(-3, 5, 9)
    filled, std = mixture.predict_missing(np.column_stack([x, np.full(9, np.nan)]), return_std=True)
    chance = norm.pdf(x - 2) / (norm.pdf(x) + norm.pdf(x - 2))
    assert_allclose(filled[:, 1], 2 * chance, rtol=1e-12)
    assert_allclose(std[:, 1], np.sqrt(1 + 4 * chance * (1 - chance)), rtol=1e-12)


class TestRefused:
    mixture = fitted(X=pd.DataFrame(table(), columns=NAMES))

    @pytest.mark.parametrize("columns", [["z"], [4], [-5], [1.5], [True], [None], None, slice(2), 1.5, [[0, 1]]])
    def test_unknown_columns(self, columns):
        for call in (lambda: self.mixture.marginal(columns), lambda: self.mixture.condition(columns, [0.0])):
            with pytest.raises(ValueError, match="columns must be indices or names of columns, but got"):
                call()

    def test_names_of_a_fit_without_names(self):
        with pytest.raises(ValueError, match="but got 'a'; the fit had 4 columns without names"):
            fitted().marginal("a")

    @pytest.mark.parametrize("columns", [[], [0, 0], ["a", "a"], ["a", 0], [0, -4]])
    def test_no_column_or_one_twice(self, columns):
        with pytest.raises(ValueError, match="columns must name at least one column, and each once"):
            self.mixture.marginal(columns)
        with pytest.raises(ValueError, match="columns must name at least one column, and each once"):
            self.mixture.condition(columns, np.zeros(len(columns)))

    def test_all_columns_conditioned(self):
        with pytest.raises(ValueError, match="columns must leave at least one column"):
            self.mixture.condition(NAMES, np.zeros(4))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_finite(self, value):
        with pytest.raises(ValueError, match="values must be finite"):
            self.mixture.condition(["a", "b"], [0.0, value])

    @pytest.mark.parametrize("values", [[0.0], [0.0, 0.0, 0.0], [[0.0, 0.0]], 1.0])
    def test_shape_of_values(self, values):
        with pytest.raises(ValueError, match=r"should have the shape of \(2,\)"):
            self.mixture.condition(["a", "b"], values)

    def test_values_that_are_no_numbers(self):
        with pytest.raises(ValueError, match="values must be an array of numbers"):
            self.mixture.condition(["a"], ["much"])

    def test_values_too_far(self):
        with pytest.raises(ValueError, match="so far from the components"):
            fitted().condition([0], [1e200])
        with pytest.raises(ValueError, match="so far from the components"):
            fitted().predict_missing([[1e200, 0.0, np.nan, 0.0]])

    def test_rows(self):
        with pytest.raises(ValueError, match="infinity"):
            fitted().predict_missing([[np.inf, 0.0, np.nan, 0.0]])
        with pytest.raises(ValueError, match="3 features, but EMGaussianMixture is expecting 4"):
            fitted().predict_missing(np.zeros((2, 3)))

    def test_singular_covariances(self):
        mixture = random_mixture(np.random.default_rng(0), 2, 2)
        mixture.covariances_[1] = [[1.0, 1.0], [1.0, 1.0]]
        with pytest.raises(ValueError, match="a covariance is singular up to rounding"):
            mixture.predict_missing([[1.0, np.nan]])

    @pytest.mark.parametrize("name", ["bic", "aic", "icl"])
    def test_criteria_of_what_was_not_fitted(self, name):
        with pytest.raises(ValueError, match=f"{name} needs the number of parameters of a fit"):
            getattr(fitted().marginal([0]), name)(np.zeros((3, 1)))

    def test_unfitted(self):
        mixture = EMGaussianMixture()
        calls = (
            lambda: mixture.marginal([0]),
            lambda: mixture.condition([0], [0.0]),
            lambda: mixture.predict_missing([[0.0, np.nan]]),
            lambda: mixture.standard_errors([[0.0, 1.0]]),
        )
        for call in calls:
            with pytest.raises(NotFittedError):
                call()
