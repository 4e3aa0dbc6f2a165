"""Student's t: against scipy.stats, quadrature, direct maximisation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import multivariate_t

from emkit.chunks import Rows
from emkit.families.base import Options
from emkit.families.student import MOST_DEGREES, StudentFamily, StudentParams

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def rows_of(X):
    return Rows(X, np.ones(len(X)))


def heavy(n=200, d=3, nu=3.0, seed=0, missing=False):
    rng = np.random.default_rng(seed)
    X = 2 + (rng.standard_normal((n, d)) @ np.triu(rng.random((d, d)) + 0.3)) / np.sqrt(rng.chisquare(nu, (n, 1)) / nu)
    if missing:
        X[rng.random(X.shape) < 0.25] = np.nan
        X[5] = np.nan
    return X


def started(X, k, covariance_type="full", nu=None, seed=1):
    family = StudentFamily.for_data(k, Options(covariance_type=covariance_type), X)
    resp = np.random.default_rng(seed).dirichlet(np.ones(k), size=len(X))
    params = family.start(rows_of(X), resp)
    return family, params if nu is None else params._replace(degrees_of_freedom=np.array(nu)), resp


def matrices(family, params):
    return family.gaussian.covariance.dense(params.gaussian.covariances, family.n_components, family.n_features)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("missing", [False, True])
class TestAllTypes:
    def test_density(self, covariance_type, missing):
        X = heavy(40, missing=missing)
        family, params, _ = started(X, 3, covariance_type, [0.5, 4.0, 200.0])
        found = family.log_density(params, rows_of(X))
        for i, row in enumerate(X):
            seen = ~np.isnan(row)
            if not seen.any():
                assert_allclose(found[i], 0, atol=1e-12)
                continue
            for c, matrix in enumerate(matrices(family, params)):
                law = multivariate_t(params.gaussian.means[c, seen], matrix[np.ix_(seen, seen)], params[1][c])
                assert found[i, c] == pytest.approx(law.logpdf(row[seen]), rel=1e-9, abs=1e-9)

    def test_steps_reach_the_maximum(self, covariance_type, missing):
        """Of the observed likelihood of one component; BFGS knows the log density alone."""
        X = heavy(missing=missing)
        family, params, _ = started(X, 1, covariance_type)

        def negative(vector):
            return -family.log_density(family.from_vector(vector, params), rows_of(X)).sum()

        found = minimize(negative, family.to_vector(params), method="BFGS", options={"gtol": 1e-4})
        for _ in range(300):
            params = family.m_step(family.moments(params, rows_of(X), np.ones((len(X), 1))), params)
        assert negative(family.to_vector(params)) == pytest.approx(found.fun, rel=1e-9)
        best = family.from_vector(found.x, params)
        assert_allclose(params.gaussian.means, best.gaussian.means, atol=1e-3)
        assert_allclose(params.gaussian.covariances, best.gaussian.covariances, rtol=1e-2, atol=1e-3)
        assert_allclose(params.degrees_of_freedom, best.degrees_of_freedom, rtol=1e-2)

    @pytest.mark.parametrize("fixed", [(), ("means",), ("covariances",), ("degrees_of_freedom",)])
    def test_each_step_rises(self, covariance_type, missing, fixed):
        X = heavy(80, missing=missing)
        family, params, resp = started(X, 2, covariance_type, [0.3, 30.0])
        before = -np.inf
        for _ in range(50):
            objective = (resp * family.log_density(params, rows_of(X))).sum()
            assert objective >= before - 1e-9 * abs(objective)
            before = objective
            params = family.m_step(family.moments(params, rows_of(X), resp), params, frozenset(fixed))


class TestMissingValues:
    @pytest.mark.parametrize("nu", [1.5, 6.0])
    def test_statistics_are_the_expected_ones_of_complete_rows(self, nu):
        """E[s(x) | observed] by quadrature over the missing value, with s the statistics of complete rows."""
        X = heavy(30, d=2)
        family, params, _ = started(X, 1, nu=[nu])
        seen_only = np.array([[3.5, np.nan]])
        found = family.moments(params, rows_of(seen_only), np.ones((1, 1)))

        # x = tan(angle) takes all numbers; the density falls off as a power of x.
        nodes, weights = np.polynomial.legendre.leggauss(2000)
        angle, weights = nodes * np.pi / 2, weights * np.pi / 2
        complete = np.column_stack([np.full(2000, 3.5), params.gaussian.means[0, 1] + np.tan(angle)])
        density = family.log_density(params, rows_of(complete)) - family.log_density(params, rows_of(seen_only))
        given = np.exp(density) * (weights / np.cos(angle) ** 2)[:, None]
        assert given.sum() == pytest.approx(1, rel=1e-6)
        expected = family.moments(params, rows_of(complete), given)
        for one, two in zip(found, expected, strict=True):
            assert_allclose(np.tril(one), np.tril(two), rtol=1e-4, atol=1e-9)  # of matrices the lower triangle counts

    def test_row_without_a_value_changes_nothing(self):
        X = heavy(100)
        family, params, _ = started(X, 1)
        for _ in range(200):
            params = family.m_step(family.moments(params, rows_of(X), np.ones((len(X), 1))), params)
        more = rows_of(np.vstack([X, np.full((20, 3), np.nan)]))
        again = family.m_step(family.moments(params, more, np.ones((len(more), 1))), params)
        for one, two in zip(family.parts(params).values(), family.parts(again).values(), strict=True):
            assert_allclose(one, two, rtol=1e-3)


class TestDegreesOfFreedom:
    def test_of_light_tails_stop_at_the_bound(self):
        X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
        family, params, _ = started(X, 1)
        for _ in range(3000):
            params = family.m_step(family.moments(params, rows_of(X), np.ones((len(X), 1))), params)
        assert 50 < params.degrees_of_freedom[0] <= MOST_DEGREES
        assert_allclose(params.gaussian.covariances[0], np.cov(X.T, bias=True), rtol=0.05, atol=1e-3)

    def test_are_found_again(self):
        X = heavy(20_000, nu=3.0)
        family, params, _ = started(X, 1)
        for _ in range(60):
            params = family.m_step(family.moments(params, rows_of(X), np.ones((len(X), 1))), params)
        assert params.degrees_of_freedom[0] == pytest.approx(3, rel=0.05)

    def test_no_variance_below_two(self):
        family, params, _ = started(heavy(), 2, nu=[2.0, 3.0])
        variance = family.variance(params)
        assert np.isinf(variance[0]).all()
        assert_allclose(variance[1], 3 * np.diag(matrices(family, params)[1]))

    def test_that_are_not_allowed(self):
        family, _, _ = started(heavy(), 2)
        with pytest.raises(ValueError, match="degrees_of_freedom_init must be positive"):
            family.check_part("degrees_of_freedom", [0, 1])
        with pytest.raises(ValueError, match=r"should have the shape of \(2,\)"):
            family.check_part("degrees_of_freedom", [1])

    def test_vector_is_kept_within_bounds(self):
        family, params, _ = started(heavy(), 1)
        vector = family.to_vector(params)
        vector[-1] = 50
        assert family.from_vector(vector, params).degrees_of_freedom[0] == pytest.approx(MOST_DEGREES)


def test_an_outlier_counts_for_little():
    X = np.vstack([np.random.default_rng(0).standard_normal((100, 2)), [[1e4, 1e4]]])
    family, params, _ = started(X, 1)
    for _ in range(100):
        params = family.m_step(family.moments(params, rows_of(X), np.ones((len(X), 1))), params)
    assert isinstance(params, StudentParams)
    assert (np.abs(params.gaussian.means) < 0.5).all()
