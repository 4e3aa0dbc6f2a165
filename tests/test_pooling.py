"""Pooled estimates against statsmodels' covariances within tables, Rubin's rules by hand and the bootstrap."""

import math
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import BEFORE_1_8, SEES_NAMES_OF_POLARS
from scipy import stats
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import (
    BayesianRidge,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    TheilSenRegressor,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from emkit.pooling import PooledEstimate, pool
from emkit.pooling.rubin import combine, degrees_of_freedom


def logit(**options):
    unpenalised = {"penalty": None} if BEFORE_1_8 else {"C": np.inf}
    return LogisticRegression(**{"tol": 1e-10, "max_iter": 10_000, "solver": "newton-cg"} | unpenalised | options)


def poisson(**options):
    return PoissonRegressor(**{"alpha": 0, "tol": 1e-10, "max_iter": 10_000} | options)


def numbers(n=150, m=3, seed=0, p=3):
    """Tables of a linear model; columns off zero and of different scales, the last one different in each table."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * [1.0, 3.0, 0.2][:p] + [0.0, 50.0, -1.0][:p]
    y = X @ [0.5, -0.2, 1.0][:p] + rng.normal(size=n)
    return [(X + [0.0, 0.0, 0.1][:p] * rng.normal(size=X.shape), y) for _ in range(m)]


def labelled(n_classes, n=300, m=3):
    rng = np.random.default_rng(1)
    eta = np.column_stack([np.zeros(n), rng.normal(size=(n, n_classes - 1))])
    tables = numbers(n, m)
    eta[:, -1] += tables[0][0][:, 0]
    y = np.array(["a", "b", "c", "d"])[eta.argmax(axis=1)]
    return [(X, y) for X, _ in tables]


def counts(n=200, m=3):
    tables = numbers(n, m)
    y = np.random.default_rng(2).poisson(np.exp(0.4 * tables[0][0][:, 0] + 0.5))
    return [(X, y) for X, _ in tables]


def same_twice(table):
    """Two equal tables: the covariance is that within one."""
    return [table, table]


def with_constant(X):
    return np.column_stack([X, np.ones(len(X))])


@pytest.fixture
def sm():
    return pytest.importorskip("statsmodels.api")


# Closed forms


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_linear_covariance_is_that_of_statsmodels(sm, fit_intercept, weighted):
    X, y = numbers()[0]
    weight = np.random.default_rng(3).uniform(0.5, 2, len(y)) if weighted else None
    pooled = pool(LinearRegression(fit_intercept=fit_intercept), same_twice((X, y)), sample_weight=weight)
    design = with_constant(X) if fit_intercept else X
    oracle = sm.WLS(y, design, weights=weight).fit() if weighted else sm.OLS(y, design).fit()
    assert_allclose(pooled.covariance_, oracle.cov_params(), rtol=1e-8)
    assert_allclose(pooled.p_values(), oracle.pvalues[:3], rtol=1e-6, atol=1e-300)
    assert_allclose(pooled.conf_int(), oracle.conf_int()[:3], rtol=1e-8)
    assert_array_equal(pooled.degrees_of_freedom_, oracle.df_resid)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_binary_covariance_is_that_of_statsmodels(sm, fit_intercept):
    X, y = labelled(2)[0]
    pooled = pool(logit(fit_intercept=fit_intercept), same_twice((X, y)))
    oracle = sm.Logit(y == "b", with_constant(X) if fit_intercept else X).fit(disp=0, tol=1e-12)
    assert_allclose(pooled.coef_, [oracle.params[:3]], rtol=1e-4, atol=1e-5)
    assert_allclose(pooled.covariance_, oracle.cov_params(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [3, 4])
def test_multinomial_covariance_is_that_of_statsmodels(sm, n_classes, fit_intercept):
    X, y = labelled(n_classes)[0]
    X = X - [0, 50, 0]  # statsmodels' Newton steps diverge otherwise
    pooled = pool(logit(fit_intercept=fit_intercept), same_twice((X, y)))
    design = with_constant(X) if fit_intercept else X
    oracle = sm.MNLogit(np.unique(y, return_inverse=True)[1], design).fit(disp=0, tol=1e-12, maxiter=200)
    q = design.shape[1]
    # differences from the first class, of the pooled covariance: those do not depend on what the coefficients sum to
    size = n_classes * 3
    rows = [[*range(k * 3, k * 3 + 3), *([size + k] if fit_intercept else [])] for k in range(n_classes)]
    differences = np.zeros(((n_classes - 1) * q, len(pooled.covariance_)))
    for k in range(1, n_classes):
        block = np.arange((k - 1) * q, k * q)
        differences[block, rows[k]], differences[block, rows[0]] = 1, -1
    values = np.concatenate([pooled.coef_.ravel(), pooled.intercept_ if fit_intercept else []])
    assert_allclose(differences @ values, oracle.params.T.ravel(), rtol=1e-3, atol=1e-4)
    actual = differences @ pooled.covariance_ @ differences.T
    assert_allclose(actual, oracle.cov_params(), rtol=1e-3, atol=1e-6)
    assert_allclose(sum(np.eye(len(pooled.covariance_))[row] for row in rows) @ pooled.covariance_, 0, atol=1e-12)
    assert_array_equal(pooled.degrees_of_freedom_, np.full((n_classes, 3), len(y) - (n_classes - 1) * q))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_poisson_covariance_is_that_of_statsmodels(sm, fit_intercept, weighted):
    X, y = counts()[0]
    weight = np.random.default_rng(3).integers(0, 4, len(y)) if weighted else None
    pooled = pool(
        poisson(fit_intercept=fit_intercept, solver="newton-cholesky"), same_twice((X, y)), sample_weight=weight
    )
    design = with_constant(X) if fit_intercept else X
    oracle = sm.GLM(y, design, family=sm.families.Poisson(), freq_weights=weight).fit(tol=1e-14)
    assert_allclose(pooled.covariance_, oracle.cov_params(), rtol=1e-5)
    assert_array_equal(pooled.degrees_of_freedom_, oracle.df_resid)


def test_covariance_of_several_targets():
    X, y = numbers()[0]
    Y = np.column_stack([y, y + np.random.default_rng(0).normal(size=len(y))])
    pooled = pool(LinearRegression(), same_twice((X, Y)))
    assert pooled.coef_.shape == (2, 3)
    assert pooled.intercept_.shape == (2,)
    for k in range(2):
        alone = pool(LinearRegression(), same_twice((X, Y[:, k])))
        assert_allclose(pooled.standard_error_[k], alone.standard_error_)
        assert_allclose(pooled.intercept_standard_error_[k], alone.intercept_standard_error_)
        assert_array_equal(pooled.degrees_of_freedom_[k], alone.degrees_of_freedom_)
    residual = Y - pooled.estimators_[0].predict(X)
    sigma = residual.T @ residual / (len(y) - 4)
    inverse = np.linalg.inv(with_constant(X).T @ with_constant(X))
    assert_allclose(pooled.covariance_[:3, 3:6], sigma[0, 1] * inverse[:3, :3])
    assert_allclose(pooled.covariance_[:3, 7], sigma[0, 1] * inverse[:3, 3])
    assert [*pooled.summary()["name"][[0, 3, 7]]] == ["0: x0", "1: x0", "1: intercept"]


@pytest.mark.parametrize("estimator", [logit(), poisson()])
def test_weights_are_numbers_of_rows(estimator):
    tables = counts() if isinstance(estimator, PoissonRegressor) else labelled(3, 200)
    weight = np.random.default_rng(5).integers(0, 4, 200)
    weighted = pool(estimator, tables, sample_weight=weight)
    repeated = pool(estimator, [(np.repeat(X, weight, axis=0), np.repeat(y, weight)) for X, y in tables])
    assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-3, atol=1e-4)
    assert_allclose(weighted.covariance_, repeated.covariance_, rtol=1e-3, atol=1e-5)
    assert_allclose(weighted.degrees_of_freedom_, repeated.degrees_of_freedom_, rtol=1e-3)


def test_weights_of_least_squares_have_no_scale_and_zero_leaves_a_row_out():
    tables = numbers()
    weight = np.random.default_rng(5).integers(0, 3, 150)
    one, other = (pool(LinearRegression(), tables, sample_weight=factor * weight) for factor in (1, 7))
    assert_allclose(one.covariance_, other.covariance_)
    assert_allclose(one.degrees_of_freedom_, other.degrees_of_freedom_)
    kept = weight > 0
    left = pool(LinearRegression(), [(X[kept], y[kept]) for X, y in tables], sample_weight=weight[kept])
    assert_allclose(one.covariance_, left.covariance_)
    assert_allclose(one.degrees_of_freedom_, left.degrees_of_freedom_)
    assert_allclose(
        pool(LinearRegression(), tables, sample_weight=2).covariance_, pool(LinearRegression(), tables).covariance_
    )


def test_closed_forms_do_not_depend_on_solvers():
    tables = labelled(3)
    tables = [(X - [0, 50, 0], y) for X, y in tables]
    one, other = (pool(logit(solver=solver), tables) for solver in ("lbfgs", "newton-cholesky"))
    assert_allclose(one.covariance_, other.covariance_, rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore:'penalty' was deprecated:FutureWarning")
def test_both_names_of_no_penalty_have_the_closed_form():
    tables = labelled(2)
    infinite = pool(LogisticRegression(C=np.inf, solver="newton-cholesky"), tables)
    none = pool(LogisticRegression(penalty=None, solver="newton-cholesky"), tables)
    assert_allclose(infinite.covariance_, none.covariance_, rtol=1e-6)


def test_an_offset_of_the_columns_costs_no_digits():
    tables = numbers()
    far = pool(LinearRegression(), [(X + [0, 1e6, 0], y) for X, y in tables])
    assert_allclose(far.standard_error_, pool(LinearRegression(), tables).standard_error_, rtol=1e-6)


# Rubin's rules


def test_rules_by_hand():
    rubin = combine(np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]]), np.array([np.diag([3.0, 1.0])] * 3), 20.0)
    assert_allclose(rubin.estimate, [3, 5])
    assert_allclose(rubin.covariance, [[3 + 4 / 3 * 7, 0], [0, 1]])  # deviations -2, -1 and 3: B = 14 / 2
    assert_allclose(rubin.relative_increase, [28 / 9, 0])
    share = 28 / 37
    assert_allclose(rubin.df, [1 / (share**2 / 2 + 1 / (21 / 23 * 20 * 9 / 37)), 20])
    nu = 2 * (1 + 9 / 28) ** 2
    assert_allclose(rubin.fmi, [(28 / 9 + 2 / (nu + 3)) / (28 / 9 + 1), 0])
    half = stats.t.ppf(0.95, rubin.df[0]) * math.sqrt(37 / 3)
    assert_allclose(np.array(rubin.interval(0.9))[:, 0], [3 - half, 3 + half])
    assert_allclose(rubin.p_values()[0], 2 * stats.t.sf(3 / math.sqrt(37 / 3), rubin.df[0]))


def test_rules_are_those_of_the_tables():
    tables = numbers(m=4)
    pooled = pool(LinearRegression(), tables)
    fits = [LinearRegression().fit(*table) for table in tables]
    values = np.array([[*fit.coef_, fit.intercept_] for fit in fits])
    within = np.mean([pool(LinearRegression(), same_twice(table)).covariance_ for table in tables], axis=0)
    assert_allclose(pooled.coef_, values.mean(axis=0)[:3])
    assert_allclose(pooled.intercept_, values.mean(axis=0)[3])
    assert_allclose(pooled.covariance_, within + 1.25 * np.cov(values, rowvar=False))
    assert_allclose(pooled.standard_error_, np.sqrt(np.diag(pooled.covariance_))[:3])
    assert_allclose(pooled.intercept_standard_error_, np.sqrt(pooled.covariance_[3, 3]))
    increase = 1.25 * values.var(axis=0, ddof=1) / np.diag(within)
    assert_allclose(pooled.relative_increase_, increase[:3])
    assert_allclose(pooled.intercept_relative_increase_, increase[3])
    assert (pooled.degrees_of_freedom_ < 146).all()
    assert (pooled.fraction_missing_information_ > 0).all()
    assert pooled.fraction_missing_information_.argmax() == 2


def test_degrees_of_freedom_of_a_large_sample_are_those_of_rubin():
    increase = np.array([0.05, 0.4, 3.0])
    share = increase / (1 + increase)
    rubin = 4 * (1 + 1 / increase) ** 2
    assert_allclose(degrees_of_freedom(5, share, 1 - share, math.inf), rubin)
    assert_allclose(degrees_of_freedom(5, share, 1 - share, 1e12), rubin, rtol=1e-8)
    small = degrees_of_freedom(5, share, 1 - share, 10.0)
    assert_allclose(small, 1 / (1 / rubin + 13 / (110 * (1 - share))))
    assert (small < 10).all()


def test_equal_tables_have_the_complete_degrees_of_freedom():
    X, y = numbers()[0]
    pooled = pool(LinearRegression(), [(X, y)] * 7)
    assert_array_equal(pooled.degrees_of_freedom_, 146)
    assert pooled.intercept_degrees_of_freedom_ == 146
    assert_array_equal(pooled.fraction_missing_information_, 0)
    assert_array_equal(pooled.relative_increase_, 0)
    assert_array_equal(pooled.coef_, LinearRegression().fit(X, y).coef_)


def test_no_variance_within_tables():
    rubin = combine(np.array([[1.0, 0.0, 3.0], [2.0, 0.0, 3.0]]), np.zeros((2, 3, 3)), 10.0)
    assert_array_equal(rubin.relative_increase, [np.inf, 0, 0])
    assert_array_equal(rubin.df, [0, 10, 10])
    assert_allclose(rubin.fmi, [1, 0, 0])
    assert_array_equal(rubin.interval(0.95), [[-np.inf, 0, 3], [np.inf, 0, 3]])
    assert_array_equal(rubin.p_values(), [1, 1, 0])


@pytest.mark.slow
def test_intervals_cover():
    """Of a y with 40 % missing, imputed from its posterior predictive distribution (Rubin, 1987, section 5.3)."""
    rng = np.random.default_rng(0)
    n, m, repeats = 40, 5, 1000
    covered = np.zeros(2)
    for _ in range(repeats):
        X = rng.normal(size=(n, 1))
        y = 1 + 2 * X[:, 0] + rng.normal(size=n)
        missing = rng.random(n) < 0.4
        D, r = with_constant(X), n - missing.sum()
        inverse = np.linalg.inv(D[~missing].T @ D[~missing])
        beta = inverse @ D[~missing].T @ y[~missing]
        rss = ((y - D @ beta)[~missing] ** 2).sum()
        tables = []
        for _ in range(m):
            sigma = math.sqrt(rss / rng.chisquare(r - 2))
            drawn = D @ rng.multivariate_normal(beta, sigma**2 * inverse) + sigma * rng.normal(size=n)
            tables.append((X, np.where(missing, drawn, y)))
        low, high = pool(LinearRegression(), tables).conf_int()[0]
        covered += [low <= 2 <= high, 1]
    assert abs(covered[0] / covered[1] - 0.95) < 0.025  # 3.6 standard errors


# Bootstrap


@pytest.mark.parametrize(
    ("estimator", "tables"),
    [
        (LinearRegression(), numbers(2000, 2)),
        (logit(solver="newton-cholesky"), labelled(2, 2000, 2)),
        (logit(solver="newton-cholesky"), labelled(3, 2000, 2)),
        (poisson(solver="newton-cholesky"), counts(2000, 2)),
    ],
)
def test_bootstrap_is_close_to_the_closed_form(estimator, tables):
    closed = pool(estimator, tables)
    unchanged = make_pipeline(FunctionTransformer(), estimator)
    bootstrap = pool(unchanged, tables, n_bootstrap=300, random_state=0)
    assert_array_equal(bootstrap.coef_, closed.coef_)
    assert_allclose(bootstrap.standard_error_, closed.standard_error_, rtol=0.12)
    assert_allclose(bootstrap.intercept_standard_error_, closed.intercept_standard_error_, rtol=0.12)


def test_bootstrap_by_hand():
    tables = numbers(30, 2)
    estimator = HuberRegressor(alpha=0, max_iter=1000)
    pooled = pool(estimator, tables, n_bootstrap=3, random_state=5)
    seeds = np.random.RandomState(5).randint(np.iinfo(np.int32).max, size=(2, 3))
    within = []
    for (X, y), row in zip(tables, seeds, strict=True):
        draws = [np.random.RandomState(seed).randint(30, size=30) for seed in row]
        fits = [HuberRegressor(alpha=0, max_iter=1000).fit(X[rows], y[rows]) for rows in draws]
        within.append(np.cov([[*fit.coef_, fit.intercept_] for fit in fits], rowvar=False))
    values = [[*fit.coef_, fit.intercept_] for fit in pooled.estimators_]
    assert_allclose(pooled.covariance_, np.mean(within, axis=0) + 1.5 * np.cov(values, rowvar=False))


@pytest.mark.filterwarnings("ignore:.*penalises its coefficients")
@pytest.mark.parametrize("estimator", [Ridge(), make_pipeline(StandardScaler(), LinearRegression())])
def test_bootstrap_does_not_depend_on_n_jobs(estimator):
    results = [
        pool(estimator, numbers(60), n_bootstrap=20, random_state=3, n_jobs=n_jobs).covariance_
        for n_jobs in (None, 2, 3)
    ]
    assert_array_equal(results[0], results[1])
    assert_array_equal(results[0], results[2])


def test_bootstrap_follows_random_state():
    def covariance(random_state):
        return pool(
            LinearRegression(positive=True), numbers(40, 2), n_bootstrap=4, random_state=random_state
        ).covariance_

    assert_array_equal(covariance(1), covariance(np.random.RandomState(1)))
    assert (covariance(1) != covariance(2)).any()


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(positive=True),
        logit(class_weight="balanced"),
        make_pipeline(StandardScaler(), LinearRegression()),
        type("Subclass", (LinearRegression,), {})(),
    ],
)
def test_what_has_no_closed_form_is_bootstrapped(estimator):
    tables = labelled(2, 100) if isinstance(estimator, LogisticRegression) else numbers(100)
    one, other = (pool(estimator, tables, n_bootstrap=3, random_state=seed) for seed in (0, 1))
    assert (one.covariance_ != other.covariance_).any()


@pytest.mark.parametrize(
    "estimator",
    [
        Pipeline([("none", "passthrough"), ("model", LinearRegression())]),
        make_pipeline(make_pipeline("passthrough", LinearRegression())),
        make_pipeline(LinearRegression()),
    ],
)
def test_a_pipeline_that_passes_through_has_the_closed_form(estimator):
    tables = numbers()
    weight = np.random.default_rng(0).uniform(1, 2, 150)
    plain = pool(LinearRegression(), tables, sample_weight=weight)
    pooled = pool(estimator, tables, sample_weight=weight)
    assert_array_equal(pooled.covariance_, plain.covariance_)
    assert_allclose(pooled.predict(tables[0][0]), plain.predict(tables[0][0]))


def test_weights_go_along_with_rows_that_are_drawn():
    noise = np.where(np.arange(2000) < 1000, 20, 0) * np.random.default_rng(0).normal(size=2000)
    tables = [(X, y + noise) for X, y in numbers(2000, 2)]
    weight = np.repeat([1e-12, 1.0], 1000)  # only the second half counts
    unchanged = make_pipeline(FunctionTransformer(), LinearRegression())
    pooled = pool(unchanged, tables, sample_weight=weight, n_bootstrap=200, random_state=0)
    half = pool(LinearRegression(), [(X[1000:], y[1000:]) for X, y in tables])
    assert_allclose(pooled.coef_, half.coef_)
    assert_allclose(pooled.standard_error_, half.standard_error_, rtol=0.2)


def test_weights_of_a_pipeline_with_routing():
    tables = numbers(60, 2)
    weight = np.random.default_rng(0).uniform(1, 2, 60)
    plain = pool(make_pipeline(StandardScaler(), LinearRegression()), tables, sample_weight=weight, n_bootstrap=2)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = LinearRegression().set_fit_request(sample_weight=True)
        routed = pool(make_pipeline(scaler, model), tables, sample_weight=weight, n_bootstrap=2)
    assert_allclose(routed.coef_, plain.coef_)


def test_a_rare_class_is_in_each_bootstrap_sample():
    X, _ = numbers(40)[0]
    y = np.r_[np.zeros(38, int), 1, 2]
    model = RidgeClassifier()
    with pytest.warns(UserWarning, match="penalises its coefficients"):
        pooled = pool(model, same_twice((X, y)), n_bootstrap=30, random_state=0)
    assert pooled.coef_.shape == (3, 3)
    assert np.isfinite(pooled.covariance_).all()


# Penalties


def penalised():
    iris = load_iris(return_X_y=True)
    cv = {"use_legacy_attributes": False, "l1_ratios": (0,), "scoring": "neg_log_loss"} if not BEFORE_1_8 else {}
    return [
        (Ridge(), numbers(60)[0]),
        (Lasso(alpha=0.01), numbers(60)[0]),
        (RidgeCV(), numbers(60)[0]),
        (BayesianRidge(), numbers(60)[0]),
        (HuberRegressor(max_iter=1000), numbers(60)[0]),
        (PoissonRegressor(alpha=0.1, max_iter=1000), counts(60)[0]),
        (LogisticRegression(max_iter=1000), iris),
        (LogisticRegressionCV(Cs=2, cv=2, max_iter=1000, **cv), iris),
        (LinearSVC(random_state=0), iris),
        (SGDClassifier(random_state=0), iris),
        (make_pipeline(StandardScaler(), Ridge()), numbers(60)[0]),
    ]


@pytest.mark.parametrize(("estimator", "table"), penalised())
def test_a_penalty_warns(estimator, table):
    with pytest.warns(UserWarning, match="penalises its coefficients") as record:
        pooled = pool(estimator, same_twice(table), n_bootstrap=2, random_state=0)
    assert len([w for w in record if "penalises" in str(w.message)]) == 1
    assert pooled.standard_error_.shape == pooled.coef_.shape


@pytest.mark.filterwarnings("ignore:Setting penalty=None")
@pytest.mark.parametrize(
    "estimator", [Ridge(alpha=0), SGDClassifier(penalty=None, random_state=0), HuberRegressor(alpha=0)]
)
def test_no_penalty_does_not_warn(estimator):
    tables = labelled(3, 60) if isinstance(estimator, SGDClassifier) else numbers(60)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "(?s).*penalises")
        warnings.filterwarnings("ignore", "(?s).*(converge|max_iter|iterations|ITERATIONS)")
        pool(estimator, tables, n_bootstrap=2)


# The result


def test_shapes():
    linear = pool(LinearRegression(), numbers())
    assert isinstance(linear, PooledEstimate)
    assert (linear.n_imputations_, len(linear.estimators_)) == (3, 3)
    assert isinstance(linear.intercept_, float)
    assert isinstance(linear.intercept_standard_error_, float)
    assert linear.conf_int().shape == (3, 2)
    assert linear.p_values().shape == (3,)
    assert linear.covariance_.shape == (4, 4)
    binary = pool(logit(), labelled(2))
    assert binary.coef_.shape == binary.degrees_of_freedom_.shape == (1, 3)
    assert binary.intercept_.shape == binary.intercept_fraction_missing_information_.shape == (1,)
    multinomial = pool(logit(), labelled(4))
    assert multinomial.standard_error_.shape == multinomial.p_values().shape == (4, 3)
    assert multinomial.conf_int(0.5).shape == (4, 3, 2)
    assert multinomial.covariance_.shape == (16, 16)
    assert len(multinomial.summary()) == 16
    assert multinomial.summary()["name"][[0, 11, 15]].tolist() == ["a: x0", "d: x2", "d: intercept"]


@pytest.mark.parametrize("estimator", [LinearRegression(fit_intercept=False), logit(fit_intercept=False)])
def test_no_intercept(estimator):
    pooled = pool(estimator, labelled(2) if isinstance(estimator, LogisticRegression) else numbers())
    assert pooled.covariance_.shape == (3, 3)
    assert np.ravel(pooled.intercept_).tolist() == np.ravel(pooled.intercept_standard_error_).tolist() == [0]
    assert np.isfinite(pooled.intercept_degrees_of_freedom_).all()
    assert pooled.summary()["name"].tolist() == ["x0", "x1", "x2"]


def test_summary():
    tables = [(pd.DataFrame(X, columns=["age", "bmi", "dose"]), pd.Series(y)) for X, y in numbers()]
    pooled = pool(LinearRegression(), tables)
    table = pooled.summary(0.9)
    assert table["name"].tolist() == ["age", "bmi", "dose", "intercept"]
    assert_array_equal(table["estimate"][:3], pooled.coef_)
    assert table["estimate"][3] == pooled.intercept_
    assert_array_equal(table["standard_error"][:3], pooled.standard_error_)
    assert_array_equal(table["df"][:3], pooled.degrees_of_freedom_)
    assert_array_equal(np.column_stack([table["low"], table["high"]])[:3], pooled.conf_int(0.9))
    assert_array_equal(table["p"][:3], pooled.p_values())
    assert_array_equal(table["fmi"][:3], pooled.fraction_missing_information_)
    assert pd.DataFrame(table).shape == (4, 8)


@pytest.mark.parametrize("frame", [pd.DataFrame, lambda X, columns: pl.DataFrame(X, schema=columns)])
@pytest.mark.parametrize("estimator", [LinearRegression(), make_pipeline(FunctionTransformer(), LinearRegression())])
def test_frames_give_what_arrays_give(estimator, frame):
    tables = numbers(60)
    frames = [(frame(X, columns=["u", "v", "w"]), y) for X, y in tables]
    of_arrays, of_frames = (pool(estimator, data, n_bootstrap=5, random_state=0) for data in (tables, frames))
    assert_allclose(of_frames.covariance_, of_arrays.covariance_)
    if frame is pd.DataFrame or SEES_NAMES_OF_POLARS:
        assert of_frames.summary()["name"].tolist() == ["u", "v", "w", "intercept"]
    assert_allclose(of_frames.predict(frames[0][0]), of_arrays.predict(tables[0][0]))


def test_names_of_transformed_columns():
    tables = [(X[:, :2], y) for X, y in numbers(60)]
    pooled = pool(make_pipeline(PolynomialFeatures(include_bias=False), LinearRegression()), tables, n_bootstrap=2)
    assert pooled.summary()["name"].tolist() == ["x0", "x1", "x0^2", "x0 x1", "x1^2", "intercept"]
    unnamed = make_pipeline(FunctionTransformer(np.negative), LinearRegression())
    assert pool(unnamed, tables, n_bootstrap=2).summary()["name"].tolist() == ["x0", "x1", "intercept"]


def test_predictions():
    X = numbers()[0][0][:7]
    linear = pool(LinearRegression(), numbers())
    assert_allclose(linear.predict(X), np.mean([one.predict(X) for one in linear.estimators_], axis=0))
    assert not hasattr(linear, "predict_proba")
    classifier = pool(logit(), labelled(3))
    mean = np.mean([one.predict_proba(X) for one in classifier.estimators_], axis=0)
    assert_allclose(classifier.predict_proba(X), mean)
    assert_array_equal(classifier.predict(X), np.array(["a", "b", "c"])[mean.argmax(axis=1)])


@pytest.mark.filterwarnings("ignore:.*penalises its coefficients")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_without_probabilities(n_classes):
    tables = labelled(n_classes)
    pooled = pool(RidgeClassifier(), same_twice(tables[0]), n_bootstrap=2)
    assert not hasattr(pooled, "predict_proba")
    assert_array_equal(pooled.predict(tables[0][0]), pooled.estimators_[0].predict(tables[0][0]))


def test_the_estimator_is_not_changed():
    estimator = LinearRegression()
    pooled = pool(estimator, numbers())
    assert not hasattr(estimator, "coef_")
    assert all(one is not estimator for one in pooled.estimators_)


def test_it_has_a_short_name_and_can_be_pickled():
    pooled = pool(make_pipeline("passthrough", LinearRegression()), numbers())
    assert "\n" not in repr(pooled)
    assert repr(pooled).endswith("n_imputations=3, n_coefficients=4)")
    assert (
        repr(pool(LinearRegression(), numbers()))
        == "PooledEstimate(LinearRegression(), n_imputations=3, n_coefficients=4)"
    )
    assert_array_equal(pickle.loads(pickle.dumps(pooled)).summary(), pooled.summary())


# Errors

ONES, TABLE = np.ones((4, 1)), numbers()[0]


@pytest.mark.parametrize(
    ("imputed", "message"),
    [
        (None, "imputed must be a list of pairs (X, y), but got NoneType"),
        (TABLE, "imputed must be a list of pairs (X, y), but got tuple"),
        ([TABLE, (ONES,)], "imputed must be a list of pairs (X, y), but got list"),
        ([TABLE], "imputed must have at least 2 pairs (X, y), but has 1"),
        ([], "imputed must have at least 2 pairs (X, y), but has 0"),
        ([TABLE, (TABLE[0][:, 0], TABLE[1])], "imputed[1] must have X of two dimensions, but its shape is (150,)"),
        (
            [TABLE, (TABLE[0][:9], TABLE[1][:9])],
            "imputed must have X of one shape, but that of imputed[1] is (9, 3) and that of imputed[0] is (150, 3)",
        ),
        (
            [TABLE, (TABLE[0], TABLE[1][:9])],
            "imputed[1] must have one y for each row of X, 150, but its y has shape (9,)",
        ),
        (
            [(pd.DataFrame(ONES, columns=[c]), np.ones(4)) for c in "ab"],
            "imputed must have the same columns in each table, but imputed[1] has ['b'] and imputed[0] has ['a']",
        ),
        ([(np.eye(3), np.ones(3))] * 2, "imputed must have more rows than there are coefficients, 4, but has 3"),
        (
            [(np.c_[TABLE[0], TABLE[0].sum(axis=1)], TABLE[1])] * 2,
            "coefficients of imputed[0] has no value: its columns",
        ),
        ([TABLE, (TABLE[0] * [1, 0, 1] + 0.1, TABLE[1])], "coefficients of imputed[1] has no value: its columns"),
    ],
)
def test_bad_tables(imputed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pool(LinearRegression(), imputed)


def test_sparse_tables():
    with pytest.raises(ValueError, match=r"imputed\[0\] has a sparse X \(csr_array\)"):
        pool(LinearRegression(), [(csr_array(TABLE[0]), TABLE[1])] * 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": KNeighborsClassifier(), "y": TABLE[1] > 0}, "estimator must have coef_ once it is fitted"),
        ({"estimator": "ols"}, "estimator must be an estimator with fit, but got 'ols'"),
        ({"n_bootstrap": 1}, "n_bootstrap must be an integer >= 2, but got 1"),
        ({"n_jobs": "all"}, "n_jobs must be None or an integer other than 0 (-1: all processors), but got 'all'"),
        ({"sample_weight": np.ones(3)}, "one weight for each row of X"),
        ({"sample_weight": -np.ones(150)}, "sample_weight must be finite and not negative"),
        ({"estimator": TheilSenRegressor(), "sample_weight": np.ones(150)}, "as fit of TheilSenRegressor() takes none"),
        (
            {"estimator": make_pipeline(StandardScaler(), TheilSenRegressor()), "sample_weight": np.ones(150)},
            "sample_weight must be None, as fit of TheilSenRegressor() takes none",
        ),
        (
            {"estimator": logit(), "y": TABLE[1] > TABLE[1].mean(), "sample_weight": np.full(150, 1 / 150)},
            "imputed must have more rows than there are coefficients, 4, but has 1 (the sum of sample_weight",
        ),
        ({"estimator": RidgeClassifier(), "y": np.tile([[0, 1], [1, 0]], (75, 1))}, "must have one label a row"),
    ],
)
def test_bad_arguments(options, message):
    y = options.pop("y", TABLE[1])
    with pytest.raises(ValueError, match=re.escape(message)):
        pool(**({"estimator": LinearRegression(), "imputed": [(TABLE[0], y)] * 2} | options))


@pytest.mark.parametrize("level", [0, 1, -0.1, True, "a", math.nan])
def test_bad_level(level):
    pooled = pool(LinearRegression(), numbers())
    for method in (pooled.conf_int, pooled.summary):
        with pytest.raises(ValueError, match="level must be a number above 0 and below 1, but got"):
            method(level)


def test_different_classes():
    X, y = labelled(2)[0]
    with pytest.raises(ValueError, match=re.escape("imputed[1] has ['a', 'z'] and imputed[0] has ['a', 'b']")):
        pool(logit(), [(X, y), (X, np.where(y == "b", "z", y))])


def test_a_separated_class():
    X, _ = numbers()[0]
    y = X[:, 0] > 0
    with pytest.raises(ValueError, match="a class is separated from the others"):
        pool(logit(solver="lbfgs"), [(X * [1e6, 1, 1], y)] * 2)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_separated_class_where_the_solver_stops_early(n_classes):
    X, _ = numbers()[0]
    y = np.digitize(X[:, 0], np.quantile(X[:, 0], np.arange(1, n_classes) / n_classes))
    model = logit(tol=1e-3, max_iter=100_000)
    with pytest.raises(ValueError, match="a class is separated from the others"):
        pool(model, [(X, y)] * 2)


def test_different_categories():
    rng = np.random.default_rng(0)
    data = [
        (pd.DataFrame({"a": rng.choice(list(names), 40), "b": rng.normal(size=40)}), rng.normal(size=40))
        for names in ("pq", "pr")
    ]
    encoder = make_column_transformer((OneHotEncoder(drop="first"), ["a"]), remainder="passthrough")
    with pytest.raises(
        ValueError, match=r"estimator must have the same coefficients for each table.*imputed\[1\].*a_r"
    ):
        pool(make_pipeline(encoder, LinearRegression()), data, n_bootstrap=2)


def test_a_category_that_a_bootstrap_sample_lacks():
    X = pd.DataFrame({"a": ["p"] * 39 + ["q"], "b": np.arange(40.0)})
    encoder = make_column_transformer((OneHotEncoder(), ["a"]), remainder="passthrough")
    with pytest.raises(ValueError, match=r"those of a bootstrap sample of imputed\[0\] are of shape .* all categories"):
        pool(make_pipeline(encoder, LinearRegression()), [(X, np.arange(40.0))] * 2, random_state=0)


def test_a_class_too_rare_for_a_bootstrap(monkeypatch):
    monkeypatch.setattr("emkit.pooling.bootstrap.MAX_DRAWS", 1)
    X, _ = numbers(40)[0]
    y = np.r_[np.zeros(39, int), 1]
    with (
        pytest.warns(UserWarning, match="penalises"),
        pytest.raises(
            ValueError, match=re.escape("imputed[0] has a class that is too rare for a bootstrap: 1 samples")
        ),
    ):
        pool(RidgeClassifier(), same_twice((X, y)), random_state=0)
