"""Models behind EMImputer: the contract of EM, densities, categories, and predictions and draws against their laws."""

from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from emkit import EMImputer
from emkit.chunks import ArraySource, Rows
from emkit.description import describe
from emkit.engine import run_em
from emkit.families.base import Options
from emkit.families.mixed import ByColumn
from emkit.families.table import FAMILIES
from emkit.imputer.classes import ClassProblem
from emkit.imputer.factor import FactorCore, FactorModel, FactorParams
from emkit.imputer.gaussian_table import GaussianTable
from emkit.imputer.latent import FullCore, LatentGaussianModel, latent_params
from emkit.imputer.layout import Layout
from emkit.imputer.mixture_table import MixtureTable
from emkit.imputer.prediction import Prediction
from emkit.imputer.rows import Factors, IncompleteRows, arrange, condensed
from emkit.imputer.scales import Cells, Dummies, Linear, NormalScores, Symbols, normal_scores
from emkit.imputer.tallies import ranks
from emkit.mixture import MixtureModel, MixtureParams
from emkit.testing import check_em_model

D = 5


def covariance_of(d, seed=0):
    """Sds between 0.5 and 2, correlations of about a half."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(d, 3 * d)) + 0.6
    covariance = A @ A.T
    scale = rng.uniform(0.5, 2, d) / np.sqrt(covariance.diagonal())
    return covariance * np.outer(scale, scale)


MEAN, COVARIANCE = np.array([1.0, -2, 0.5, 0, 3]), covariance_of(D)
PARAMS = latent_params(MEAN, COVARIANCE)


def exact_rows(X, weight=None):
    known = ~np.isnan(X)
    weight = np.ones(len(X)) if weight is None else weight
    return IncompleteRows(np.where(known, X, 0.0), known.astype(np.uint8), weight)


def with_holes(X, share=0.3, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def gaussian_rows(n=300, seed=0, share=0.3):
    return with_holes(np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, size=n), share)


def rows_with_cells(n=200, seed=0):
    """The last two coordinates are known to intervals only, or not at all; the first three exactly or not at all."""
    X = gaussian_rows(n, seed)
    lower, upper = np.full((n, D), np.nan), np.full((n, D), np.nan)
    for j, cuts in ((3, [-np.inf, -0.5, 0.4, np.inf]), (4, [-np.inf, 3.2, np.inf])):
        known = ~np.isnan(X[:, j])
        place = np.searchsorted(cuts, X[known, j]) - 1
        lower[known, j], upper[known, j] = np.array(cuts)[place], np.array(cuts)[place + 1]
        X[:, j] = np.nan
    rows = exact_rows(X)
    return IncompleteRows(rows.values, rows.exact, rows.weight, Factors(lower, upper, *np.zeros((2, n, D))))


WEIGHT = np.random.default_rng(3).choice([0.5, 1, 3], 300)
PRIOR = np.diag(COVARIANCE.diagonal())


# --- what the engine takes for granted ---


@pytest.mark.parametrize("prior_weight", [0.0, 5.0])
def test_contract_of_the_gaussian(prior_weight):
    model = LatentGaussianModel(PRIOR, prior_weight)
    truth = (PARAMS, exact_rows(gaussian_rows(1000, seed=5))) if prior_weight == 0 else None
    check_em_model(model, exact_rows(gaussian_rows()), sample_weight=WEIGHT, truth=truth)
    check_em_model(model, exact_rows(gaussian_rows()), params=PARAMS)


@dataclass(frozen=True, eq=False)
class Cold(LatentGaussianModel):
    """Expectation propagation from the beginning in each E-step: else, going on from where it was, it is not pure."""

    def e_step(self, params, chunk):
        chunk = chunk.take(np.arange(len(chunk)))
        for _ in range(20):
            stats = super().e_step(params, chunk)
        return stats


@pytest.mark.parametrize("prior_weight", [0.0, 5.0])
def test_contract_of_the_gaussian_with_cells(prior_weight):
    model = Cold(PRIOR, prior_weight, 1, has_cells=True)
    check_em_model(model, rows_with_cells(), sample_weight=WEIGHT[:200])


def test_contract_of_the_gaussian_with_cells_of_free_unit():
    model = Cold(PRIOR, 2.0, 1, True, np.array([4]), np.array([3.2]))
    check_em_model(model, rows_with_cells(), sample_weight=WEIGHT[:200], n_steps=10)


def test_a_warm_start_of_expectation_propagation_changes_the_statistics_by_its_tolerance_alone():
    model, rows = LatentGaussianModel(PRIOR, 0.0, has_cells=True), rows_with_cells()
    cold = Cold(PRIOR, 0.0, has_cells=True).e_step(PARAMS, rows)
    model.e_step(latent_params(MEAN + 1, 2 * COVARIANCE), rows)  # leaves other factors behind
    warm = model.e_step(PARAMS, rows)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-7)
    assert_allclose(warm.sums, cold.sums, atol=1e-3)
    assert_allclose(warm.scatter, cold.scatter, rtol=1e-4, atol=1e-2)


LOADINGS = np.array([[1.0, 0], [0.8, 0.3], [0.5, -0.5], [0, 0.9], [0.2, 0.7]])
NOISE = np.array([0.3, 0.5, 0.4, 0.6, 0.2])
FACTOR = FactorParams(MEAN, LOADINGS, NOISE)


def factor_rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    X = MEAN + rng.normal(size=(n, 2)) @ LOADINGS.T + np.sqrt(NOISE) * rng.normal(size=(n, D))
    return with_holes(X, 0.2)


@pytest.mark.parametrize("prior_weight", [0.0, 5.0])
def test_contract_of_factors(prior_weight):
    model = FactorModel(np.ones(D), prior_weight, 2)
    truth = (FACTOR, exact_rows(factor_rows(1500, seed=6))) if prior_weight == 0 else None
    flip = np.array([1, 0])
    check_em_model(
        model,
        exact_rows(factor_rows()),
        sample_weight=WEIGHT,
        truth=truth,
        permute=lambda params: params._replace(loadings=params.loadings[:, flip]),
    )


def clouds(n, seed):
    """Two numbers and three levels, of two components, in this order; with holes."""
    rng = np.random.default_rng(seed)
    kind = (rng.random(n) < 0.35).astype(int)
    centre, roots = np.array([[0.0, 0], [3, 2]]), np.array([[[1, 0], [0.5, 0.8]], [[0.7, 0], [-0.3, 0.6]]])
    Z = centre[kind] + np.einsum("nij,nj->ni", roots[kind], rng.normal(size=(n, 2)))
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    levels = (rng.random((n, 1)) > shares.cumsum(axis=1)[kind][:, :2]).sum(axis=1)
    return with_holes(np.column_stack([Z, levels]), 0.15)


def class_model(X, prior):
    options = Options(reg_covar=1e-6 if prior > 1 else 0.0, n_symbols=[1, 1, 3], emissionprob_prior=prior)
    kinds = ("gaussian", "gaussian", "categorical")
    return MixtureModel(ByColumn(kinds, FAMILIES).for_data(2, options, X, np.ones(len(X))))


@pytest.mark.parametrize("prior", [1.0, 1.5])
def test_contract_of_mixtures(prior):
    """The truth, of a family that takes its parts from rows alone, is what EM makes of very many rows."""
    X = clouds(300, seed=0)
    model, order = class_model(X, prior), np.array([1, 0])
    truth = None
    if prior == 1:
        rows = clouds(20_000, seed=10)
        chunk = Rows(rows, np.ones(len(rows)))
        start = model.init_params([chunk], np.random.default_rng(0))
        truth = run_em(model, start, [chunk], tol=1e-7, max_iter=500).params, clouds(1500, seed=9)

    def permute(params):
        moved = {name: value[order] for name, value in model.family.parts(params.components).items()}
        return MixtureParams(params.weights[order], model.family.from_parts(moved))

    check_em_model(model, X, sample_weight=WEIGHT, truth=truth, permute=permute)


@pytest.mark.parametrize("number", range(3))
def test_starts_of_mixtures_rule_no_level_out(number):
    X = clouds(300, seed=0)
    model, rng = class_model(X, 1.0), np.random.default_rng(0)
    source = ArraySource(X, None)
    params = ClassProblem(model, source, describe(source, X.shape[1]), rng).draw(number, rng)
    assert params.weights.sum() == pytest.approx(1)
    assert (params.weights > 0).all()
    assert (model.family.parts(params.components)["emissionprob"] > 0).all()


# --- vectors ---


def test_vectors_of_the_gaussian_are_in_units_of_the_prior():
    model, unit = LatentGaussianModel(PRIOR, 1.0), np.sqrt(PRIOR.diagonal())
    vector = model.to_vector(PARAMS)
    assert len(vector) == D + D * (D + 1) // 2
    back = model.from_vector(vector, PARAMS)
    for part, expected in zip(back, PARAMS, strict=True):
        assert_allclose(part, expected, rtol=1e-12, atol=1e-12)
    assert_allclose(vector[:D], MEAN / unit, rtol=1e-14)
    moved = model.from_vector(vector + np.arange(len(vector)) / 100, PARAMS)
    assert_allclose(model.to_vector(moved), vector + np.arange(len(vector)) / 100, rtol=1e-12)
    assert_allclose(moved.precision @ moved.covariance, np.eye(D), atol=1e-10)
    assert moved.log_det == pytest.approx(np.linalg.slogdet(moved.covariance)[1])


@pytest.mark.parametrize("value", [1e4, -1e4, np.nan, np.inf])
def test_vectors_out_of_range_are_none(value):
    """Of the log of a diagonal element, and of the log of noise."""
    model, factors = LatentGaussianModel(PRIOR, 1.0), FactorModel(np.ones(D), 1.0, 2)
    for own, params in ((model, PARAMS), (factors, FACTOR)):
        vector = own.to_vector(params)
        vector[D] = value
        assert own.from_vector(vector, params) is None


def test_vectors_of_factors_and_mixtures_go_back():
    model = FactorModel(np.full(D, 2.0), 1.0, 2)
    for part, expected in zip(model.from_vector(model.to_vector(FACTOR), FACTOR), FACTOR, strict=True):
        assert_allclose(part, expected, rtol=1e-14)
    X = clouds(300, seed=0)
    mixture = class_model(X, 1.5)
    params = mixture.init_params([Rows(X, np.ones(300))], np.random.default_rng(0))
    vector = mixture.to_vector(params)
    moved = mixture.from_vector(vector + 0.01, params)
    back = mixture.from_vector(vector, params)
    rows = Rows(X, np.ones(300))
    assert_allclose(back.weights, params.weights, rtol=1e-12)
    assert_allclose(mixture.log_joint(back, rows), mixture.log_joint(params, rows), rtol=1e-10)
    assert not np.allclose(mixture.log_joint(moved, rows), mixture.log_joint(params, rows), rtol=1e-10)


# --- statistics about another mean ---

SHIFT = np.array([0.3, -1, 2, 0, 0.5])


def moments_by_hand(X, weight, about):
    """Expected first and second moments of complete rows about a point, under `PARAMS`."""
    sums, scatter = np.zeros(D), np.zeros((D, D))
    for x, w in zip(X, weight, strict=True):
        seen = ~np.isnan(x)
        mean, spread = MEAN.copy(), COVARIANCE.copy()
        if seen.any():
            gain = COVARIANCE[:, seen] @ np.linalg.inv(COVARIANCE[np.ix_(seen, seen)])
            mean, spread = MEAN + gain @ (x - MEAN)[seen], COVARIANCE - gain @ COVARIANCE[seen]
        sums += w * (mean - about)
        scatter += w * (np.outer(mean - about, mean - about) + spread)
    return sums, scatter


def test_statistics_are_moments_of_completed_rows_and_move_to_another_mean():
    X, model = gaussian_rows(), LatentGaussianModel(PRIOR, 1.0)
    stats = model.e_step(PARAMS, exact_rows(X, WEIGHT))
    for part, expected in zip((stats.sums, stats.scatter), moments_by_hand(X, WEIGHT, MEAN), strict=True):
        assert_allclose(part, expected, rtol=1e-10, atol=1e-9)
    other = latent_params(MEAN + SHIFT, COVARIANCE)
    moved = model.recentre(stats, PARAMS, other)
    for part, expected in zip((moved.sums, moved.scatter), moments_by_hand(X, WEIGHT, MEAN + SHIFT), strict=True):
        assert_allclose(part, expected, rtol=1e-10, atol=1e-9)
    assert (moved.objective, moved.weight) == (stats.objective, stats.weight)


def test_statistics_of_complete_rows_are_those_of_an_e_step_about_the_other_mean():
    X = np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=200)
    model, other = LatentGaussianModel(PRIOR, 1.0), latent_params(MEAN + SHIFT, COVARIANCE)
    moved, there = (
        model.recentre(model.e_step(PARAMS, exact_rows(X)), PARAMS, other),
        model.e_step(other, exact_rows(X)),
    )
    assert_allclose(moved.sums, there.sums, rtol=1e-11, atol=1e-10)
    assert_allclose(moved.scatter, there.scatter, rtol=1e-11, atol=1e-10)


def assert_same_step(model, chunk, params, other):
    """What an M-step makes of statistics does not hang on the mean about which they are."""
    stats = model.e_step(params, chunk)
    moved = model.recentre(stats, params, other)
    assert not all(np.allclose(getattr(moved, f.name), getattr(stats, f.name)) for f in fields(stats))
    for part, expected in zip(model.m_step(moved, other), model.m_step(stats, params), strict=True):
        assert_allclose(part, expected, rtol=1e-9, atol=1e-10)


def test_a_step_does_not_hang_on_the_centre_of_the_statistics():
    gaussian = LatentGaussianModel(PRIOR, 4.0)
    assert_same_step(gaussian, exact_rows(gaussian_rows(), WEIGHT), PARAMS, latent_params(MEAN + SHIFT, COVARIANCE))
    factors = FactorModel(np.ones(D), 4.0, 2)
    assert_same_step(factors, exact_rows(factor_rows(), WEIGHT), FACTOR, FACTOR._replace(mean=MEAN + SHIFT))


# --- order and chunks ---


def test_neither_order_nor_chunks_nor_condensing_change_an_e_step():
    X = gaussian_rows(600, share=0.15)
    weight, model = np.random.default_rng(0).choice([0.5, 1, 3], 600), LatentGaussianModel(PRIOR, 0.0)
    rows = exact_rows(X, weight)
    whole = model.e_step(PARAMS, rows)
    order = np.random.default_rng(1).permutation(600)
    few = condensed(arrange(rows)).chunks
    assert sum(map(len, few)) < 500
    for chunks in ([rows.take(order)], [rows.take(part) for part in np.array_split(order, 7)], arrange(rows), few):
        total = reduce(add, (model.e_step(PARAMS, chunk) for chunk in chunks))
        for name in ("objective", "weight", "sums", "scatter"):
            assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("model", ["gaussian", "copula", "factor"])
def test_neither_the_order_of_rows_nor_threads_change_a_fit(model):
    X = gaussian_rows(250)
    X[:, 4] = np.where(np.isnan(X[:, 4]), np.nan, X[:, 4] > 3)
    arguments = {"model": model, "n_components": 2, "columns": ["continuous"] * 4 + ["ordinal"]}
    first = EMImputer(**arguments).fit(X)
    order = np.random.default_rng(0).permutation(250)
    shuffled = EMImputer(**arguments, n_jobs=2).fit(X[order])
    same = EMImputer(**arguments, n_jobs=2).fit(X)
    assert_allclose(shuffled.covariance_, first.covariance_, rtol=1e-6, atol=1e-9)
    assert_allclose(shuffled.transform(X[order]), first.transform(X)[order], rtol=1e-6, atol=1e-6)
    assert_array_equal(same.covariance_, first.covariance_)
    assert_array_equal(same.transform(X), first.transform(X))


# --- densities ---

UNITS = Layout((Linear(5.0, 2.0), Linear(0.0, 1.0), Linear(-1.0, 0.1), Linear(0.0, 30.0), Linear(2.0, 1.0)))


@pytest.mark.parametrize(
    ("core", "covariance"),
    [(FullCore(PARAMS), COVARIANCE), (FactorCore(FACTOR), LOADINGS @ LOADINGS.T + np.diag(NOISE))],
    ids=["full", "factor"],
)
def test_log_likelihood_of_a_table_is_that_of_scipy(core, covariance):
    """Of coordinates, where codes have other units."""
    Z = gaussian_rows(60, share=0.5)
    Z[0] = np.nan
    codes = np.column_stack([scale.from_latent(z) for scale, z in zip(UNITS.scales, Z.T, strict=True)])
    table = GaussianTable(UNITS, core)
    expected = [
        multivariate_normal(MEAN[seen], covariance[np.ix_(seen, seen)]).logpdf(z[seen]) if seen.any() else 0.0
        for z, seen in zip(Z, ~np.isnan(Z), strict=True)
    ]
    assert_allclose(table.log_likelihood(codes), expected, rtol=1e-10, atol=1e-12)
    assert_array_equal(table.moments()[0], MEAN)
    assert_allclose(table.moments()[1], covariance, rtol=1e-14)


def conditional(mean, covariance, x):
    """Of the gaps of a row: their places, mean and covariance."""
    gaps, seen = np.flatnonzero(np.isnan(x)), np.flatnonzero(~np.isnan(x))
    gain = covariance[np.ix_(gaps, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    return (
        gaps,
        mean[gaps] + gain @ (x - mean)[seen],
        covariance[np.ix_(gaps, gaps)] - gain @ covariance[np.ix_(seen, gaps)],
    )


CORES = {
    "full": (FullCore(PARAMS), COVARIANCE),
    "factor": (FactorCore(FACTOR), LOADINGS @ LOADINGS.T + np.diag(NOISE)),
}


@pytest.mark.parametrize("name", CORES)
def test_completed_rows_have_conditional_means_and_variances(name):
    core, covariance = CORES[name]
    X = gaussian_rows(60, share=0.5)
    done = core.complete(exact_rows(X))
    for x, mean, variance in zip(X, done.mean, done.variance, strict=True):
        gaps, expected, spread = conditional(MEAN, covariance, x)
        assert_allclose(mean[gaps], expected, rtol=1e-9)
        assert_allclose(variance[gaps], spread.diagonal(), rtol=1e-9)
        assert_array_equal(np.delete(mean, gaps), np.delete(x, gaps))
        assert_array_equal(np.delete(variance, gaps), 0)


# --- categories ---


def labelled(n, seed, n_levels=3):
    """Numbers that tell a level, and the level."""
    rng = np.random.default_rng(seed)
    level = rng.choice(n_levels, n, p=np.array([0.5, 0.3, 0.2])[:n_levels] / sum([0.5, 0.3, 0.2][:n_levels]))
    centre = np.array([[0.0, 0], [1.5, 0.5], [-0.5, 2]])[level]
    return np.column_stack([centre + rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1.5]], n), level])


@pytest.mark.parametrize("n_levels", [2, 3])
def test_one_category_beside_complete_numbers_is_linear_discriminant_analysis(n_levels):
    data = labelled(400, 0, n_levels)
    kinds = ["continuous", "continuous", "nominal"]
    model = EMImputer("gaussian", ridge=0, columns=kinds, tol=1e-14).fit(data)
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(data[:, :2], data[:, 2])
    assert_allclose(lda.priors_, np.bincount(data[:, 2].astype(int)) / 400)
    new = labelled(50, 1, n_levels)
    new[:, 2] = np.nan
    assert_allclose(model.predict_category_proba(new, 2), lda.predict_proba(new[:, :2]), atol=1e-9)
    assert_array_equal(model.transform(new)[:, 2], lda.predict(new[:, :2]))


def two_categories():
    """A table of two numbers, two categories of three and two levels, and a Gaussian of them all."""
    rng = np.random.default_rng(4)
    data = labelled(500, 2)
    second = (rng.random(500) < np.where(data[:, 2] == 1, 0.7, 0.3)).astype(float)
    scales = (Linear(0.0, 1.0), Dummies(np.array([0.5, 0.3, 0.2])), Linear(0.0, 2.0), Dummies(np.array([0.6, 0.4])))
    hot = (data[:, [2]] == [1, 2]).astype(float)
    Z = np.column_stack([data[:, 0], hot, data[:, 1] / 2, second])
    table = GaussianTable(Layout(scales), FullCore(latent_params(Z.mean(axis=0), np.cov(Z.T))))
    return table, np.column_stack([data[:, 0], data[:, 2], data[:, 1], second])


def density(table, at, values):
    mean, covariance = table.moments()
    return multivariate_normal(mean[at], covariance[np.ix_(at, at)]).pdf(values)


def test_categories_follow_bayes_where_the_other_is_known():
    """Share of a level times the density of all else given its indicators."""
    table, codes = two_categories()
    gaps = codes[:20].copy()
    gaps[:, 1] = np.nan
    got = table.predict(gaps).probabilities(1)
    for row, proba in zip(gaps, got, strict=True):
        rest = [row[0], row[2] / 2, row[3]]
        weights = [
            share * density(table, [0, 3, 4, 1, 2], [*rest, *hot]) / density(table, [1, 2], hot)
            for share, hot in zip([0.5, 0.3, 0.2], [[0, 0], [1, 0], [0, 1]], strict=True)
        ]
        assert_allclose(proba, np.array(weights) / sum(weights), rtol=1e-9)


def test_categories_follow_bayes_where_more_is_missing():
    """What is missing is integrated out, the other category's indicator too."""
    table, codes = two_categories()
    gaps = codes[:20].copy()
    gaps[:, [1, 2, 3]] = np.nan
    prediction = table.predict(gaps)
    for i, row in enumerate(gaps):
        first = [
            share * density(table, [0, 1, 2], [row[0], *hot]) / density(table, [1, 2], hot)
            for share, hot in zip([0.5, 0.3, 0.2], [[0, 0], [1, 0], [0, 1]], strict=True)
        ]
        second = [
            share * density(table, [0, 4], [row[0], hot]) / density(table, [4], hot)
            for share, hot in [(0.6, 0), (0.4, 1)]
        ]
        assert_allclose(prediction.probabilities(1)[i], np.array(first) / sum(first), rtol=1e-9)
        assert_allclose(prediction.probabilities(3)[i], np.array(second) / sum(second), rtol=1e-9)
    nothing = table.predict(np.full((1, 4), np.nan))
    assert_allclose(nothing.probabilities(1), [[0.5, 0.3, 0.2]], rtol=1e-12)
    assert_allclose(nothing.probabilities(3), [[0.6, 0.4]], rtol=1e-12)


def test_a_known_category_is_certain():
    table, codes = two_categories()
    codes = codes[:30].copy()
    codes[::2, 1] = np.nan
    proba = table.predict(codes).probabilities(1)
    assert_array_equal(proba[1::2], np.eye(3)[codes[1::2, 1].astype(int)])
    assert (proba[::2].max(axis=1) < 1).all()


# --- single values ---

RESP = np.array([[0.3, 0.7], [0.9, 0.1], [0.5, 0.5]])
MEANS = np.array([[[0.2], [1.5]], [[-1.0], [2.0]], [[0.0], [0.4]]])
SDS = np.array([[[0.5], [0.8]], [[1.0], [0.3]], [[0.6], [0.1]]])
SHARES = [0.025, 0.2, 0.5, 0.8, 0.975]


def prediction_of(scale, k):
    if k == 1:
        return Prediction((scale,), np.ones((3, 1)), MEANS[:, :1], SDS[:, :1], {})
    return Prediction((scale,), RESP, MEANS, SDS, {})


def laws(prediction):
    """Densities and distribution functions of the latent coordinate of each row."""
    for resp, mean, sd in zip(prediction.resp, prediction.mean[:, :, 0], prediction.sd[:, :, 0], strict=True):
        yield (
            lambda z, r=resp, m=mean, s=sd: float(r @ norm.pdf(z, m, s)),
            lambda z, r=resp, m=mean, s=sd: float(r @ norm.cdf(z, m, s)),
        )


KNOTS = np.linspace(-3, 3, 13)
SCORES = NormalScores(np.exp(KNOTS), KNOTS)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("scale", [Linear(10.0, 3.0), SCORES], ids=["linear", "scores"])
def test_quantiles_of_numbers_are_those_of_the_law(scale, k):
    prediction = prediction_of(scale, k)
    for share in SHARES:
        expected = [brentq(lambda z, F=F, p=share: F(z) - p, -20, 20, xtol=1e-13) for _, F in laws(prediction)]
        assert_allclose(prediction.quantile(0, share), scale.from_latent(np.array(expected)), rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_mean_and_deviation_of_linear_numbers_are_exact(k):
    prediction = prediction_of(Linear(10.0, 3.0), k)
    for i, (f, _) in enumerate(laws(prediction)):
        mean = quad(lambda z, f=f: (10 + 3 * z) * f(z), -12, 12, limit=500, points=[0, 0.4, 2])[0]
        square = quad(lambda z, f=f, m=mean: (10 + 3 * z - m) ** 2 * f(z), -12, 12, limit=500, points=[0, 0.4, 2])[0]
        assert prediction.expected(0)[i] == pytest.approx(mean, rel=1e-9)
        assert prediction.deviation(0)[i] == pytest.approx(np.sqrt(square), rel=1e-8)


@pytest.mark.parametrize("k", [1, 2])
def test_mean_and_deviation_of_scores_are_near_the_integral(k):
    """Quadrature of 32 nodes; the map has kinks, which costs it most of its digits."""
    prediction = prediction_of(SCORES, k)
    for i, (f, _) in enumerate(laws(prediction)):
        points = [*KNOTS, -12, 12]
        mean = quad(lambda z, f=f: SCORES.from_latent(z) * f(z), -12, 12, limit=500, points=points)[0]
        square = quad(
            lambda z, f=f, m=mean: (SCORES.from_latent(z) - m) ** 2 * f(z), -12, 12, limit=500, points=points
        )[0]
        assert prediction.expected(0)[i] == pytest.approx(mean, rel=0.01)
        assert prediction.deviation(0)[i] == pytest.approx(np.sqrt(square), rel=0.02)


CUTS = np.array([-np.inf, -0.7, 0.1, 1.2, np.inf])


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("scale", [Cells(CUTS), Linear(1.4, 1.1, n_levels=4)], ids=["cells", "numbered"])
def test_levels_have_the_mass_of_their_intervals(scale, k):
    """Of a level by its number, from half a step below to half a step above; the ends have all beyond."""
    prediction = prediction_of(scale, k)
    cuts = CUTS if isinstance(scale, Cells) else np.array([-np.inf, *(np.arange(3) + 0.5 - 1.4) / 1.1, np.inf])
    shares = np.array([[F(b) - F(a) for a, b in pairwise(cuts)] for _, F in laws(prediction)])
    levels = np.arange(4)
    mean = shares @ levels
    assert_allclose(prediction.probabilities(0), shares, atol=1e-12)
    assert_allclose(prediction.expected(0), mean, rtol=1e-10)
    assert_allclose(prediction.deviation(0), np.sqrt(shares @ levels**2 - mean**2), rtol=1e-8)
    assert_array_equal(prediction.mode(0), shares.argmax(axis=1))
    for share in SHARES:
        assert_array_equal(prediction.quantile(0, share), (shares.cumsum(axis=1) < share).sum(axis=1))


def test_the_mode_of_a_number_is_the_middle_of_the_densest_component():
    """By scores its image: the median of the component, which is nearest to the mode of the coordinate."""
    assert_allclose(prediction_of(Linear(10.0, 3.0), 2).mode(0), 10 + 3 * np.array([1.5, -1.0, 0.4]))
    assert_allclose(prediction_of(SCORES, 1).mode(0), SCORES.from_latent(MEANS[:, 0, 0]))
    prediction = prediction_of(Linear(0.0, 1.0), 2)
    for (f, _), mode in zip(laws(prediction), prediction.mode(0), strict=True):
        assert f(mode) > 0.97 * max(f(z) for z in np.linspace(-4, 4, 801))  # not the mode itself


def test_categories_without_a_coordinate():
    proba = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    nothing = np.zeros((2, 1, 1))
    prediction = Prediction((Symbols(3),), np.ones((2, 1)), nothing, nothing, {0: proba})
    assert_array_equal(prediction.mode(0), [1, 0])
    assert_allclose(prediction.doubt(0), [0.5, np.sqrt(0.24)])
    assert_allclose(prediction.deviation(0), np.sqrt(proba @ [0, 1, 4] - (proba @ [0, 1, 2]) ** 2))
    assert_array_equal(prediction.probabilities(0), proba)
    assert_array_equal(prediction.quantile(0, 0.65), [1, 1])
    assert_array_equal(prediction.quantile(0, 0.4), [1, 0])
    assert not prediction.is_numeric(0)


def test_a_coordinate_without_spread_is_a_point():
    prediction = replace(prediction_of(Linear(10.0, 3.0), 1), sd=np.zeros((3, 1, 1)))
    assert_allclose(prediction.quantile(0, 0.9), 10 + 3 * MEANS[:, 0, 0])
    assert_array_equal(prediction.deviation(0), 0)
    cells = replace(prediction_of(Cells(CUTS), 1), sd=np.zeros((3, 1, 1)))
    assert_array_equal(cells.probabilities(0), np.eye(4)[[2, 0, 1]])


@pytest.mark.parametrize("scale", [SCORES, Linear(3.0, 2.0)], ids=["scores", "linear"])
def test_scales_go_back(scale):
    codes = np.linspace(0.1, 15, 50)
    assert_allclose(scale.from_latent(scale.to_latent(codes)), codes, rtol=1e-12)


def test_values_that_many_rows_share_are_cells():
    assert normal_scores(ranks(np.arange(30.0), np.ones(30))).is_exact
    scale = normal_scores(ranks(np.concatenate([np.zeros(40), np.arange(1.0, 61)]), np.ones(100)))
    assert_array_equal(scale.values[scale.atoms], [0])
    assert_allclose(scale.bounds(np.array([0.0, 1.0])), [[-np.inf, np.nan], [norm.ppf(0.4), np.nan]])
    assert not scale.is_exact
    z = norm.ppf(np.array([0.1, 0.3, 0.39, 0.405, 0.995]))
    assert_allclose(scale.from_latent(z), [0, 0, 0, 1, 60], atol=0.6)


@pytest.mark.parametrize("shares", [(0.2, 0.8), (0.5, 0.3, 0.2)])
def test_ties_of_numbers_leave_no_bias(shares):
    rng = np.random.default_rng(0)
    y = rng.normal(size=4_000)
    tied = np.searchsorted(np.cumsum(shares)[:-1], norm.cdf((y + rng.normal(size=4_000)) / np.sqrt(2))).astype(float)
    holes = rng.random(4_000) < 0.3
    X = np.column_stack([np.where(holes, np.nan, tied), y])
    imputer = EMImputer("copula", random_state=0).fit(X)
    error = 4 * tied.std() / np.sqrt(holes.sum())
    assert imputer.transform(X)[holes, 0].mean() == pytest.approx(tied[holes].mean(), abs=error)
    drawn = imputer.impute(X, 1)[0][holes, 0]
    assert set(drawn) == set(range(len(shares)))
    assert_allclose(
        np.bincount(drawn.astype(int)) / holes.sum(), np.bincount(tied[holes].astype(int)) / holes.sum(), atol=0.04
    )


def test_beliefs_about_codes_are_beliefs_about_coordinates():
    z, sd = Linear(3.0, 2.0).belief(np.array([5.0]), np.array([0.5]))
    assert_allclose((z[0], sd[0]), (1.0, 0.25))
    even = NormalScores(np.linspace(0, 10, 101), np.linspace(-2, 2, 101))
    z, sd = even.belief(np.array([5.0, 20.0]), np.array([0.5, 1.0]))
    assert_allclose(z, [0.0, 6.0], atol=1e-12)  # beyond all values along the line
    assert_allclose(sd, [0.2, 0.4])


# --- draws ---

N = 100_000
ROW = np.array([2.0, np.nan, np.nan, -0.5, np.nan])


def assert_moments(drawn, mean, covariance, n=N):
    """Within five standard errors of those of a normal sample."""
    sd = np.sqrt(covariance.diagonal())
    assert_allclose((drawn.mean(axis=0) - mean) / sd, 0, atol=5 / np.sqrt(n))
    assert_allclose((np.cov(drawn.T) - covariance) / np.outer(sd, sd), 0, atol=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("name", CORES)
def test_draws_of_a_row_have_its_conditional_law(name):
    core, covariance = CORES[name]
    codes = np.tile(ROW, (N, 1))
    drawn = GaussianTable(Layout((Linear(0.0, 1.0),) * D), core).draw(codes, np.random.default_rng(0))
    gaps, mean, spread = conditional(MEAN, covariance, ROW)
    assert_array_equal(drawn[:, [0, 3]], codes[:, [0, 3]])
    assert_moments(drawn[:, gaps], mean, spread)
    assert norm.cdf(*(drawn[:, gaps[0]], mean[0], np.sqrt(spread[0, 0]))).std() == pytest.approx(12**-0.5, abs=2e-3)


def test_draws_of_rows_of_several_patterns_are_those_of_the_rows():
    """Rows are arranged by pattern inside."""
    codes = gaussian_rows(40, share=0.5)
    table = GaussianTable(Layout((Linear(0.0, 1.0),) * D), FullCore(PARAMS))
    rng = np.random.default_rng(0)
    drawn = np.array([table.draw(codes, rng) for _ in range(2000)])
    for row, own in zip(codes, drawn.transpose(1, 0, 2), strict=True):
        gaps, mean, spread = conditional(MEAN, COVARIANCE, row)
        if len(gaps):
            assert_moments(own[:, gaps].reshape(2000, -1), mean, np.atleast_2d(spread), 2000)


def cells_row():
    """Of five coordinates: a number, two in cells, two unknown; with the cuts of the cells."""
    scales = (Linear(0.0, 1.0), Cells(np.array([-np.inf, -2.5, -1.0, np.inf])), *(Linear(0.0, 1.0),) * 2)
    return Layout((*scales, Cells(np.array([-np.inf, 3.2, np.inf])))), np.array([1.8, 1, np.nan, np.nan, 0])


def truncated_draws(n):
    """By rejection: draws given the number, kept if they lie in the cells."""
    _, mean, spread = conditional(MEAN, COVARIANCE, np.array([1.8, *[np.nan] * 4]))
    z = np.random.default_rng(1).multivariate_normal(mean, spread, size=n)
    return z[(z[:, 0] > -2.5) & (z[:, 0] <= -1.0) & (z[:, 3] <= 3.2)]


def test_draws_beside_cells_follow_the_gaussian_of_expectation_propagation():
    """And that is near the law itself: the moments of its coordinates within a few hundredths of an sd."""
    layout, row = cells_row()
    table, codes = GaussianTable(layout, FullCore(PARAMS)), np.tile(row, (N, 1))
    drawn = table.draw(codes, np.random.default_rng(0))
    assert_array_equal(drawn[:, [0, 1, 4]], codes[:, [0, 1, 4]])
    done = table.core.complete(layout.rows(row[None], np.ones(1)))
    exact = truncated_draws(2_000_000)
    sd = exact.std(axis=0)
    assert_allclose(drawn[:, [2, 3]].mean(axis=0), done.mean[0, [2, 3]], atol=0.02)
    assert_allclose(drawn[:, [2, 3]].var(axis=0), done.variance[0, [2, 3]], rtol=0.03)
    assert_allclose((done.mean[0, 1:] - exact.mean(axis=0)) / sd, 0, atol=0.03)
    assert_allclose(np.sqrt(done.variance[0, 1:]) / sd, 1, atol=0.03)
    correlations = np.corrcoef(drawn[:, 2], drawn[:, 3])[0, 1], np.corrcoef(exact[:, 1], exact[:, 2])[0, 1]
    assert correlations[0] == pytest.approx(correlations[1], abs=0.03)


def test_the_density_of_a_row_with_cells_is_near_its_integral():
    layout, row = cells_row()
    table = GaussianTable(layout, FullCore(PARAMS))
    share = len(truncated_draws(2_000_000)) / 2_000_000
    expected = norm(MEAN[0], np.sqrt(COVARIANCE[0, 0])).logpdf(1.8) + np.log(share)
    assert table.log_likelihood(row[None])[0] == pytest.approx(expected, abs=0.02)


def test_missing_levels_are_drawn_jointly():
    """Two missing levels and a number, given a number: shares of cells of the joint law, and means within them."""
    layout, row = cells_row()
    row[[1, 4]] = np.nan
    drawn = GaussianTable(layout, FullCore(PARAMS)).draw(np.tile(row, (N, 1)), np.random.default_rng(0))
    _, mean, spread = conditional(MEAN, COVARIANCE, np.array([1.8, *[np.nan] * 4]))
    z = np.random.default_rng(2).multivariate_normal(mean, spread, size=10 * N)
    levels = np.searchsorted([-2.5, -1.0], z[:, 0]), np.searchsorted([3.2], z[:, 3])
    for a, b in np.ndindex(3, 2):
        share = ((levels[0] == a) & (levels[1] == b)).mean()
        own = (drawn[:, 1] == a) & (drawn[:, 4] == b)
        assert own.mean() == pytest.approx(share, abs=5 * np.sqrt(share / N))
        if share > 0.02:
            inside = z[(levels[0] == a) & (levels[1] == b), 1]
            assert drawn[own, 2].mean() == pytest.approx(inside.mean(), abs=6 * inside.std() / np.sqrt(own.sum()))


def test_missing_categories_are_drawn_before_numbers():
    """A level by Bayes given the number that is known, then the other number given level and number."""
    table, codes = two_categories()
    row = codes[7].copy()
    row[[1, 2]] = np.nan
    drawn = table.draw(np.tile(row, (N, 1)), np.random.default_rng(0))
    proba = table.predict(row[None]).probabilities(1)[0]
    mean, covariance = table.moments()
    for level, hot in enumerate([[0, 0], [1, 0], [0, 1]]):
        own = drawn[:, 1] == level
        assert own.mean() == pytest.approx(proba[level], abs=5 * np.sqrt(proba[level] / N))
        z = np.array([row[0], *hot, np.nan, row[3]])
        _, centre, spread = conditional(mean, covariance, z)
        assert own.sum() > 50
        assert_moments(drawn[own, 2:3] / 2, centre, spread, own.sum())


SIGMAS = np.array([[[1.0, 0.6], [0.6, 0.8]], [[0.5, -0.2], [-0.2, 0.6]]])
MIXTURE = MixtureTable(
    (Linear(10.0, 2.0), Symbols(3), Linear(0.0, 1.0)),
    np.array([0.4, 0.6]),
    np.array([[0.0, 0], [1.5, 1]]),
    SIGMAS,
    (np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]),),
)


def mixture_joint(code, level):
    """log weight_k + log p of the first number and the level, either of which may be missing."""
    joint = np.log(MIXTURE.weights)
    if not np.isnan(code):
        joint = joint + norm.logpdf((code - 10) / 2, MIXTURE.means[:, 0], np.sqrt(SIGMAS[:, 0, 0]))
    return joint if np.isnan(level) else joint + np.log(MIXTURE.tables[0][:, int(level)])


@pytest.mark.parametrize(("code", "level"), [(11.0, 0), (11.0, np.nan), (np.nan, 2), (np.nan, np.nan)])
def test_mixtures_score_and_predict_by_bayes(code, level):
    row = np.array([[code, level, np.nan]])
    joint = mixture_joint(code, level)
    resp = softmax(joint)
    assert MIXTURE.log_likelihood(row)[0] == pytest.approx(logsumexp(joint), abs=1e-12)
    assert_allclose(MIXTURE.responsibilities(row)[0], resp, rtol=1e-10)
    prediction = MIXTURE.predict(row)
    slope = SIGMAS[:, 0, 1] / SIGMAS[:, 0, 0]
    known = not np.isnan(code)
    means = MIXTURE.means[:, 1] + (slope * ((code - 10) / 2 - MIXTURE.means[:, 0]) if known else 0)
    variances = SIGMAS[:, 1, 1] - (slope * SIGMAS[:, 0, 1] if known else 0)
    mean = resp @ means
    assert prediction.expected(2)[0] == pytest.approx(mean)
    assert prediction.deviation(2)[0] == pytest.approx(np.sqrt(resp @ (variances + (means - mean) ** 2)))
    shares = resp @ MIXTURE.tables[0] if np.isnan(level) else np.eye(3)[int(level)]
    assert_allclose(prediction.probabilities(1)[0], shares, rtol=1e-10)


@pytest.mark.parametrize(("code", "level"), [(11.0, 0), (11.0, np.nan), (np.nan, np.nan)])
def test_draws_of_mixtures_keep_to_one_component(code, level):
    """Numbers and levels of a row come from the same component: their joint moments are those of the mixture."""
    row = np.array([code, level, np.nan])
    drawn = MIXTURE.draw(np.tile(row, (N, 1)), np.random.default_rng(0))
    resp, known = softmax(mixture_joint(code, level)), not np.isnan(code)
    slope = SIGMAS[:, 0, 1] / SIGMAS[:, 0, 0]
    means = MIXTURE.means[:, 1] + (slope * ((code - 10) / 2 - MIXTURE.means[:, 0]) if known else 0)
    variances = SIGMAS[:, 1, 1] - (slope * SIGMAS[:, 0, 1] if known else 0)
    total = np.sqrt(resp @ (variances + means**2))
    assert drawn[:, 2].mean() == pytest.approx(resp @ means, abs=5 * total / np.sqrt(N))
    assert (drawn[:, 2] ** 2).mean() == pytest.approx(total**2, rel=0.02)
    tables = MIXTURE.tables[0] if np.isnan(level) else np.tile(np.eye(3)[int(level)], (2, 1))
    for value in range(3):
        own = drawn[:, 1] == value
        assert own.mean() == pytest.approx(resp @ tables[:, value], abs=5 * np.sqrt(0.25 / N))
        expected = (resp * tables[:, value]) @ means
        assert (own * drawn[:, 2]).mean() == pytest.approx(expected, abs=5 * total / np.sqrt(N))
    if known:
        assert (drawn[:, 0] == code).all()
        return
    mean, covariance = MIXTURE.moments()
    assert_allclose(np.cov(drawn[:, 0], drawn[:, 2])[0, 1] / 2, covariance[0, 1], rtol=0.03)
    assert_allclose([(drawn[:, 0].mean() - 10) / 2, drawn[:, 2].mean()], mean, atol=0.02)
