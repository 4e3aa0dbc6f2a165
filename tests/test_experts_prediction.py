"""What a fitted mixture of experts says of rows, against densities of SciPy put together row by row."""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.special import expit, log_softmax, logsumexp, softmax, xlogy
from scipy.stats import binom, gamma, multivariate_normal, multivariate_t, norm, poisson
from scipy.stats import t as student
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor, selection

GATES = ["constant", "softmax", "gaussian", "hierarchical"]
CONTINUOUS, COUNTS = ["gaussian", "student", "gamma"], ["poisson", "binomial"]
EXPERTS = [*CONTINUOUS, *COUNTS, "logistic"]


class Table(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    extras: dict


def drawn(chances, rng):
    return (rng.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)


def simulated(expert, n=120, m=1):
    """Two inputs, overlapping experts, and 5 per cent of the responses out of line."""
    rng = np.random.default_rng(1)
    X, label = rng.normal(size=(n, 2)), rng.integers(0, 3, n)
    eta = X[:, 0] * (1 - label) + 0.5 * X[:, 1] + 1.5 * label
    offset, exposure = 0.3 * rng.normal(size=n), rng.integers(2, 7, n).astype(float)
    y = {
        "gaussian": lambda: (
            (eta + offset)[:, None] * np.arange(1, m + 1) + (0.6 + 0.2 * label[:, None]) * rng.normal(size=(n, m))
        ),
        "student": lambda: (eta + offset)[:, None] * np.arange(1, m + 1) + 0.5 * rng.standard_t(3, size=(n, m)),
        "gamma": lambda: rng.gamma(4, exposure * np.exp(0.5 * eta + offset) / 4)[:, None],
        "poisson": lambda: rng.poisson(exposure * np.exp(0.5 * eta + offset))[:, None].astype(float),
        "binomial": lambda: rng.binomial(exposure.astype(int), expit(eta - 1 + offset))[:, None].astype(float),
        "logistic": lambda: np.array(["no", "yes", "maybe"])[drawn(softmax(eta[:, None] * [1, -1, 0], axis=1), rng)][
            :, None
        ],
    }[expert]()
    odd = rng.random(n) < 0.05
    y[odd] = rng.permutation(y)[odd] if expert in ("binomial", "logistic") else y.max(axis=0) - y[odd] + y.min(axis=0)
    if expert == "binomial":
        y = np.minimum(y, exposure[:, None])
    extras = {} if expert == "logistic" else {"offset": offset}
    if expert in ("gamma", *COUNTS):
        extras["exposure"] = exposure
    return Table(X, y[:, 0] if m == 1 else y, extras)


def blocks_of(n):
    """Blocks of 1 to 3 rows, which do not lie together."""
    rng = np.random.default_rng(5)
    return rng.permutation(np.repeat(np.arange(n), rng.integers(1, 4, n))[:n])


def unfitted(expert, **options):
    kind = EMMixtureOfExpertsClassifier if expert == "logistic" else EMMixtureOfExpertsRegressor
    return kind(**{"n_components": 3, "expert": expert, "random_state": 0, "alpha": 0.5, "tol": 1e-4, **options})


@cache
def fitted(expert, gate, noise=False, m=1, in_blocks=False, covariance_type="full"):
    """From a start along the first input; where it ends does not matter here."""
    table = simulated(expert, m=m)
    more = {} if expert == "logistic" else {"covariance_type": covariance_type}
    rank = np.argsort(np.argsort(table.X[:, 0]))
    start = 3 * rank // len(rank)
    model = unfitted(expert, gate=gate, noise=noise, init_params=start, **more)
    return model.fit(table.X, table.y, block_id=blocks_of(len(table.y)) if in_blocks else None, **table.extras)


# --- laws of the experts, and chances of the gate ---


def log_gate_of(model, X):
    """Log chances of the experts at inputs (n, k), and log p(x) (n,), 0 unless the gate models the inputs."""
    nothing = np.zeros(len(X))
    if model.gate == "constant":
        return np.tile(np.log(model.weights_), (len(X), 1)), nothing
    if model.gate == "gaussian":
        pairs = zip(model.gate_means_, model.gate_covariances_, strict=True)
        logs = np.log(model.weights_) + np.stack([multivariate_normal(*pair).logpdf(X) for pair in pairs], axis=-1)
        logs = logs.reshape(len(X), -1)
        return log_softmax(logs, axis=1), logsumexp(logs, axis=1)
    inner = X @ model.gate_coef_.T + model.gate_intercept_
    if model.gate == "softmax":
        return log_softmax(inner, axis=1), nothing
    outer = log_softmax(X @ model.group_coef_.T + model.group_intercept_, axis=1)
    groups = [outer[:, [0]] + log_softmax(inner[:, :2], axis=1), outer[:, [1]] + log_softmax(inner[:, 2:], axis=1)]
    return np.hstack(groups), nothing


def chances_of(model, X):
    return np.exp(log_gate_of(model, X)[0])


def laws_of(model, X, offset=0.0, exposure=1.0):
    """A distribution of SciPy for each row and expert, (n, k); for one response that is a number."""
    exposure = np.reshape(exposure, (-1, 1))
    eta = X @ model.coef_.T + model.intercept_ + np.reshape(offset, (-1, 1))
    return {
        "gaussian": lambda: norm(eta, model.scale_),
        "student": lambda: student(model.degrees_of_freedom_, eta, model.scale_),
        "poisson": lambda: poisson(exposure * np.exp(eta)),
        "binomial": lambda: binom(exposure, expit(eta)),
        "gamma": lambda: gamma(model.shape_, scale=exposure * np.exp(eta) / model.shape_),
    }[model.expert]()


def class_chances_of(model, X):
    """(n, k, c)"""
    return softmax(np.einsum("np,kcp->nkc", X, model.coef_) + model.intercept_, axis=2)


def log_densities(model, table):
    """Of each response under each expert, (n, k), noise included."""
    X, y = table.X, table.y
    if model.expert == "logistic":
        codes = np.searchsorted(model.classes_, y)
        logs, width = np.log(class_chances_of(model, X)[np.arange(len(y)), :, codes]), len(model.classes_)
    elif y.ndim == 2:
        left = y[:, None] - np.einsum("np,kmp->nkm", X, model.coef_) - model.intercept_
        left -= table.extras["offset"][:, None, None]
        if model.expert == "gaussian":
            laws = [multivariate_normal(cov=noise) for noise in model.covariances_]
        else:
            pairs = zip(model.covariances_, model.degrees_of_freedom_, strict=True)
            laws = [multivariate_t(shape=shape, df=df) for shape, df in pairs]
        return np.stack([law.logpdf(left[:, k]) for k, law in enumerate(laws)], axis=1)
    else:
        laws, width = laws_of(model, X, **table.extras), np.ptp(y) + (model.expert in COUNTS)
        logs = (laws.logpmf if model.expert in COUNTS else laws.logpdf)(y[:, None])
    if not model.noise:
        return logs
    return np.log((1 - model.noise_weight_) * np.exp(logs) + model.noise_weight_ / width)


# --- responsibilities and likelihoods ---


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_responsibilities_and_likelihood(expert, gate, noise):
    model, table = fitted(expert, gate, noise), simulated(expert)
    prior, log_inputs = log_gate_of(model, table.X)
    joint = prior + log_densities(model, table)
    assert_allclose(model.predict_expert_proba(table.X, **table.extras), np.exp(prior), atol=1e-9)
    by_bayes = model.predict_expert_proba(table.X, table.y, **table.extras)
    assert_allclose(by_bayes, softmax(joint, axis=1), atol=1e-9)
    scores = model.score_samples(table.X, table.y, **table.extras)
    assert_allclose(scores, logsumexp(joint, axis=1) + log_inputs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("expert", ["gaussian", "student"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
def test_likelihood_of_several_responses(expert, covariance_type):
    model, table = fitted(expert, "softmax", m=2, covariance_type=covariance_type), simulated(expert, m=2)
    joint = log_gate_of(model, table.X)[0] + log_densities(model, table)
    assert_allclose(
        model.score_samples(table.X, table.y, **table.extras), logsumexp(joint, axis=1), rtol=1e-9, atol=1e-9
    )
    assert_allclose(model.predict_expert_proba(table.X, table.y, **table.extras), softmax(joint, axis=1), atol=1e-9)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_missing_responses(expert, gate):
    """They say nothing of the expert, and have the likelihood 1: log p(x) is left of a gate that models inputs."""
    model, table = fitted(expert, gate), simulated(expert)
    log_prior, log_inputs = log_gate_of(model, table.X)
    assert_allclose(model.score_samples(table.X, **table.extras), log_inputs, rtol=1e-9, atol=1e-9)
    missing = np.arange(len(table.y)) % 3 == 1
    y = table.y.astype(object) if expert == "logistic" else table.y.copy()
    y[missing] = None if expert == "logistic" else np.nan
    scores = model.score_samples(table.X, y, **table.extras)
    whole = model.score_samples(table.X, table.y, **table.extras)
    assert_allclose(scores, np.where(missing, log_inputs, whole), rtol=1e-9, atol=1e-9)
    if gate != "gaussian":
        assert_allclose(scores[missing], 0, atol=1e-14)
    proba = model.predict_expert_proba(table.X, y, **table.extras)
    assert_allclose(proba[missing], np.exp(log_prior[missing]), atol=1e-9)
    assert_allclose(proba[~missing], model.predict_expert_proba(table.X, table.y, **table.extras)[~missing], atol=1e-12)


@pytest.mark.parametrize("gate", ["softmax", "gaussian"])
@pytest.mark.parametrize("expert", CONTINUOUS)
def test_densities_integrate_to_that_of_the_inputs(expert, gate):
    model, table = fitted(expert, gate), simulated(expert)
    extras = {name: value[[7]] for name, value in table.extras.items()}

    def density(y):
        return np.exp(model.score_samples(table.X[[7]], [y], **extras)[0])

    middle = model.predict(table.X[[7]], **extras)[0]
    ends = [0, 0.3, 1, 3, 10, 30, 1e3] if expert == "gamma" else [-1e6, -1e3, -50, -5, -1, 0, 1, 5, 50, 1e3, 1e6]
    ends = np.multiply(ends, middle) if expert == "gamma" else np.add(ends, middle)
    total = sum(quad(density, *pair, epsabs=1e-9)[0] for pair in pairwise(ends))
    assert total == pytest.approx(np.exp(log_gate_of(model, table.X[[7]])[1][0]), rel=1e-5)


@pytest.mark.parametrize("gate", ["softmax", "gaussian"])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("expert", ["poisson", "binomial", "logistic"])
def test_probabilities_add_up_to_the_density_of_the_inputs(expert, noise, gate):
    """All counts, or classes; those within the range of the data have the probability of noise too."""
    model, table = fitted(expert, gate, noise), simulated(expert)
    X, extras = table.X[[7]], {name: value[[7]] for name, value in table.extras.items()}
    if expert == "logistic":
        possible = model.classes_
    elif expert == "poisson":
        possible = np.arange(table.y.max() + 1 if noise else 3000)
    else:
        possible = np.arange(extras["exposure"][0] + 1)
    extras = {name: np.repeat(value, len(possible)) for name, value in extras.items()}
    total = np.exp(model.score_samples(X.repeat(len(possible), axis=0), possible, **extras)).sum()
    if noise and expert != "logistic":
        laws = laws_of(model, X, **{name: value[0] for name, value in extras.items()})
        clean = (chances_of(model, X) * laws.cdf(possible.max())).sum()
        of_noise = len(possible) / (np.ptp(table.y) + 1)
        expected = (1 - model.noise_weight_) * clean + model.noise_weight_ * of_noise
    else:
        expected = 1.0
    assert total == pytest.approx(expected * np.exp(log_gate_of(model, X)[1][0]), rel=1e-9)


# --- blocks ---


def block_log_likelihoods(model, table, block):
    """Of each block (b,), and the responsibilities of its rows (n, k): the gate sees the mean of the inputs."""
    names, place, sizes = np.unique(block, return_inverse=True, return_counts=True)
    is_in = np.eye(len(names))[place]
    log_share, log_inputs = log_gate_of(model, is_in.T @ table.X / sizes[:, None])
    joint = log_share + is_in.T @ log_densities(model, table)
    return logsumexp(joint, axis=1) + log_inputs, softmax(joint, axis=1)[place]


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_blocks(expert, gate, noise):
    """The scores of the rows add up to the log-likelihoods of the blocks, in whatever order the rows are."""
    model, table = fitted(expert, gate, noise, in_blocks=True), simulated(expert)
    block = blocks_of(len(table.y))
    totals, resp = block_log_likelihoods(model, table, block)
    proba = model.predict_expert_proba(table.X, table.y, block_id=block, **table.extras)
    assert_allclose(proba, resp, atol=1e-9)
    for order in (np.arange(len(block)), np.random.default_rng(0).permutation(len(block)), np.argsort(block)):
        extras = {name: value[order] for name, value in table.extras.items()}
        scores = model.score_samples(table.X[order], table.y[order], block_id=block[order], **extras)
        of_blocks = np.bincount(np.unique(block[order], return_inverse=True)[1], scores)
        assert_allclose(of_blocks, totals, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("gate", ["constant", "gaussian"])
def test_score_of_a_row_given_those_before_in_its_block(gate):
    model, table = fitted("poisson", gate, in_blocks=True), simulated("poisson")
    block = blocks_of(len(table.y))
    scores = model.score_samples(table.X, table.y, block_id=block, **table.extras)
    densities = log_densities(model, table)
    for i in range(len(table.y)):
        own = block == block[i]
        log_share, log_inputs = (part[0] for part in log_gate_of(model, table.X[own].mean(axis=0)[None]))
        before = np.flatnonzero(own[:i])
        without = logsumexp(log_share + densities[before].sum(axis=0))
        with_it = logsumexp(log_share + densities[[*before, i]].sum(axis=0))
        expected = with_it - without + (0.0 if len(before) else log_inputs)
        assert scores[i] == pytest.approx(expected, abs=1e-9)


def test_missing_responses_in_blocks():
    model, table = fitted("gaussian", "softmax", in_blocks=True), simulated("gaussian")
    block = blocks_of(len(table.y))
    missing = np.arange(len(table.y)) % 2 == 1
    y = np.where(missing, np.nan, table.y)
    scores = model.score_samples(table.X, y, block_id=block, **table.extras)
    assert_allclose(scores[missing], 0, atol=1e-12)
    proba = model.predict_expert_proba(table.X, y, block_id=block, **table.extras)
    densities = np.where(missing[:, None], 0, log_densities(model, table))
    for name in np.unique(block):
        own = block == name
        joint = log_gate_of(model, table.X[own].mean(axis=0)[None])[0][0] + densities[own].sum(axis=0)
        assert scores[own].sum() == pytest.approx(logsumexp(joint), abs=1e-9)
        assert_allclose(proba[own], np.tile(softmax(joint), (own.sum(), 1)), atol=1e-9)


@pytest.mark.parametrize("far", [1e5, 1e8, 1e200])
def test_a_far_row_does_not_change_the_scores_of_other_blocks(far):
    model, table = fitted("gaussian", "softmax", in_blocks=True), simulated("gaussian")
    block, y = blocks_of(len(table.y)), table.y.copy()
    y[0] = far
    other = block != block[0]
    scores = model.score_samples(table.X, table.y, block_id=block, **table.extras)
    with np.errstate(over="ignore", invalid="ignore"):
        with_far = model.score_samples(table.X, y, block_id=block, **table.extras)
    assert_allclose(with_far[other], scores[other], rtol=1e-9, atol=1e-9)


def test_means_and_draws_of_blocks():
    """All rows of a block are drawn from one expert: between rows there is the covariance of the experts' means."""
    model, table = fitted("gaussian", "softmax", in_blocks=True), simulated("gaussian")
    block = blocks_of(len(table.y))
    own = np.flatnonzero(block == np.bincount(block).argmax())
    share = chances_of(model, table.X[own].mean(axis=0)[None])[0]
    means = laws_of(model, table.X[own], table.extras["offset"][own]).mean()
    assert_allclose(model.predict(table.X, block_id=block, **table.extras)[own], means @ share, rtol=1e-10)
    draws = model.sample(table.X, 10_000, block_id=block, **table.extras)[:, own]
    centred = means - (means @ share)[:, None]
    expected = (centred * share) @ centred.T + share @ model.scale_**2 * np.eye(len(own))
    assert_allclose(np.cov(draws.T), expected, atol=0.06 * np.abs(expected).max())


# --- means, quantiles, draws ---


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_means(expert, gate, noise):
    """Noise is left out."""
    model, table = fitted(expert, gate, noise), simulated(expert)
    share = chances_of(model, table.X)
    if expert == "logistic":
        of_experts = class_chances_of(model, table.X)
        proba = np.einsum("nk,nkc->nc", share, of_experts)
        assert_allclose(model.predict_proba(table.X), proba, atol=1e-9)
        assert_array_equal(model.predict(table.X), model.classes_[proba.argmax(axis=1)])
        for k, own in enumerate(model.experts_):
            assert_array_equal(own.predict(table.X), model.classes_[of_experts[:, k].argmax(axis=1)])
        return
    laws = laws_of(model, table.X, **table.extras)
    means = laws.median() if expert == "student" else laws.mean()
    assert_allclose(model.predict(table.X, **table.extras), (share * means).sum(axis=1), rtol=1e-9)
    assert_allclose(
        np.stack([own.predict(table.X, **table.extras) for own in model.experts_], axis=1), means, rtol=1e-9
    )


SHARES = [1e-6, 0.025, 0.3, 0.5, 0.9, 1 - 1e-6]


@pytest.mark.parametrize("gate", ["constant", "softmax", "gaussian"])
@pytest.mark.parametrize("expert", CONTINUOUS)
def test_quantiles(expert, gate):
    model, table = fitted(expert, gate, expert == "student"), simulated(expert)
    found = model.predict_quantile(table.X, SHARES, **table.extras)
    assert found.shape == (len(table.y), len(SHARES))
    share, laws = chances_of(model, table.X), laws_of(model, table.X, **table.extras)
    for own, values in zip(SHARES, found.T, strict=True):
        reached = (share * laws.cdf(values[:, None])).sum(axis=1)
        assert_allclose(np.minimum(reached, 1 - reached), min(own, 1 - own), rtol=1e-6)
    assert_array_equal(model.predict_quantile(table.X, 0.3, **table.extras), found[:, 2])
    assert_array_equal(model.predict_quantile(table.X, **table.extras), found[:, 3])


@pytest.mark.parametrize("gate", ["constant", "softmax"])
@pytest.mark.parametrize("expert", COUNTS)
def test_quantiles_of_counts(expert, gate):
    """The least number up to which the probability is large enough."""
    model, table = fitted(expert, gate), simulated(expert)
    found = model.predict_quantile(table.X, SHARES, **table.extras)
    share, laws = chances_of(model, table.X), laws_of(model, table.X, **table.extras)
    cdf = np.stack([(share * laws.cdf(number)).sum(axis=1) for number in range(800)], axis=1)
    assert (cdf[:, -1] > SHARES[-1]).all()
    assert_array_equal(found, np.stack([(cdf >= own).argmax(axis=1) for own in SHARES], axis=1))


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("expert", [*CONTINUOUS, *COUNTS])
def test_intervals_are_quantiles_and_hold_what_is_drawn(expert, level):
    model, table = fitted(expert, "softmax"), simulated(expert)
    low, high = model.predict_interval(table.X, level, **table.extras)
    ends = model.predict_quantile(table.X, [(1 - level) / 2, (1 + level) / 2], **table.extras)
    assert_allclose(np.stack([low, high], axis=1), ends, rtol=1e-9)
    draws = model.sample(table.X, 1000, **table.extras)
    inside = np.mean((draws >= low) & (draws <= high))
    assert level - 0.01 < inside < (1.0 if expert in COUNTS else level + 0.01)


@pytest.mark.parametrize("expert", ["gaussian", "student"])
def test_several_responses_are_predicted_each_by_itself(expert):
    """Marginal distributions, and the covariance of what is drawn: of the noise, and of the experts' means."""
    model, table = fitted(expert, "softmax", m=2), simulated(expert, m=2)
    rows = [0, 33, 60]
    X, offset = table.X[rows], table.extras["offset"][rows]
    found = model.predict_quantile(X, SHARES[1:5], offset=offset)
    assert found.shape == (3, 4, 2)
    low, high = model.predict_interval(X, 0.8, offset=offset)
    assert low.shape == high.shape == (3, 2)
    draws = model.sample(X, 20_000, offset=offset)
    assert draws.shape == (20_000, 3, 2)
    assert_allclose(np.mean(draws < low, axis=0), 0.1, atol=0.012)
    assert_allclose(np.mean(draws > high, axis=0), 0.1, atol=0.012)
    df = model.degrees_of_freedom_ if expert == "student" else np.full(3, np.inf)
    for i, share in enumerate(chances_of(model, X)):
        means = model.coef_ @ X[i] + model.intercept_ + offset[i]
        assert_allclose(model.predict(X, offset=offset)[i], share @ means, rtol=1e-9)
        for j in range(2):
            reached = student.cdf(found[i, :, [j]].T, df, means[:, j], np.sqrt(model.covariances_[:, j, j])) @ share
            assert_allclose(reached, SHARES[1:5], rtol=1e-6)
        if expert == "gaussian":
            centred = means - share @ means
            expected = np.einsum("k,kij->ij", share, model.covariances_ + centred[:, :, None] * centred[:, None])
            assert_allclose(np.cov(draws[:, i].T), expected, atol=0.05 * expected.max())


@pytest.mark.parametrize("gate", ["softmax", "hierarchical"])
@pytest.mark.parametrize("expert", ["gaussian", "gamma", *COUNTS])
def test_means_and_variances_of_draws(expert, gate):
    """Within five standard errors."""
    model, table = fitted(expert, gate), simulated(expert)
    rows, n = np.arange(0, 80, 8), 5000
    extras = {name: value[rows] for name, value in table.extras.items()}
    draws = model.sample(table.X[rows], n, **extras)
    assert draws.shape == (n, len(rows))
    share, laws = chances_of(model, table.X[rows]), laws_of(model, table.X[rows], **extras)
    means, variances, skews, excess = laws.stats("mvsk")
    mean = (share * means).sum(axis=1)
    apart = means - mean[:, None]
    variance = (share * (variances + apart**2)).sum(axis=1)
    third, fourth = skews * variances**1.5, (excess + 3) * variances**2
    fourth = (share * (fourth + 4 * third * apart + 6 * variances * apart**2 + apart**4)).sum(axis=1)
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / n)).all()
    assert (np.abs(draws.var(axis=0) - variance) < 5 * np.sqrt((fourth - variance**2) / n)).all()


def test_draws_of_students_have_its_quantiles():
    model, table = fitted("student", "softmax"), simulated("student")
    rows = [0, 20, 40]
    draws = model.sample(table.X[rows], 20_000, offset=table.extras["offset"][rows])
    found = model.predict_quantile(table.X[rows], [0.01, 0.3, 0.7, 0.99], offset=table.extras["offset"][rows])
    shares = (draws[:, :, None] <= found).mean(axis=0)
    assert_allclose(shares, np.tile([0.01, 0.3, 0.7, 0.99], (3, 1)), atol=0.015)


def test_draws_of_classes():
    model, table = fitted("logistic", "softmax"), simulated("logistic")
    draws = model.sample(table.X[:10], 10_000)
    assert draws.shape == (10_000, 10)
    frequencies = np.stack([(draws == name).mean(axis=0) for name in model.classes_], axis=1)
    assert_allclose(frequencies, model.predict_proba(table.X[:10]), atol=0.025)


def test_draws_hang_on_random_state_alone():
    table = simulated("gaussian")
    model = unfitted("gaussian").fit(table.X, table.y)
    assert_array_equal(model.sample(table.X, 3), model.sample(table.X, 3))
    model.random_state = 1
    assert (model.sample(table.X, 3) != model.set_params(random_state=0).sample(table.X, 3)).all()


# --- criteria and scores ---


@pytest.mark.parametrize("gate", ["softmax", "gaussian"])
@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("expert", ["gaussian", "binomial", "logistic"])
def test_criteria(expert, in_blocks, gate):
    """By hand: the number of rows is that of the criterion, also in blocks, as flexmix has it."""
    model, table = fitted(expert, gate, in_blocks=in_blocks), simulated(expert)
    n = len(table.y)
    block = blocks_of(n) if in_blocks else np.arange(n)
    weight = np.random.default_rng(0).uniform(0.5, 2, n)[block]
    totals, resp = block_log_likelihoods(model, table, block)
    _, first = np.unique(block, return_index=True)
    of_blocks = weight[first]
    deviance = -2 * of_blocks @ totals
    entropy = -of_blocks @ xlogy(resp, resp)[first].sum(axis=1)
    extras = dict(table.extras, block_id=block) if in_blocks else table.extras
    of_bic = model.n_parameters_ * np.log(weight.sum())
    given = {"sample_weight": weight, **extras}
    assert model.bic(table.X, table.y, **given) == pytest.approx(deviance + of_bic, rel=1e-9)
    assert model.aic(table.X, table.y, **given) == pytest.approx(deviance + 2 * model.n_parameters_, rel=1e-9)
    assert model.icl(table.X, table.y, **given) == pytest.approx(deviance + of_bic + 2 * entropy, rel=1e-9)
    assert selection.entropy(model, table.X, y=table.y, **given) == pytest.approx(entropy, rel=1e-7)


def test_weights_are_mean_responsibilities():
    table = simulated("gaussian")
    weight = np.random.default_rng(0).uniform(0.5, 2, len(table.y))
    model = unfitted("gaussian", gate="softmax").fit(table.X, table.y, sample_weight=weight)
    resp = model.predict_expert_proba(table.X, table.y)
    assert_allclose(model.weights_, weight @ resp / weight.sum(), rtol=1e-9)


def test_scores_are_those_of_scikit_learn():
    weight = np.random.default_rng(0).uniform(0.5, 2, 120)
    for expert, measure in [("gaussian", r2_score), ("poisson", r2_score), ("logistic", accuracy_score)]:
        model, table = fitted(expert, "softmax"), simulated(expert)
        predicted = model.predict(table.X, **table.extras)
        expected = measure(table.y, predicted, sample_weight=weight)
        assert model.score(table.X, table.y, sample_weight=weight, **table.extras) == pytest.approx(expected, rel=1e-12)
    model, table = fitted("gaussian", "softmax", m=2), simulated("gaussian", m=2)
    expected = r2_score(table.y, model.predict(table.X, **table.extras))
    assert model.score(table.X, table.y, **table.extras) == pytest.approx(expected, rel=1e-12)


# --- other inputs and experts ---


def test_inputs_of_gate_and_experts():
    """A transformer for the experts, one column for the gate."""
    table = simulated("gaussian")
    squares = PolynomialFeatures(2, include_bias=False)
    model = unfitted("gaussian", expert_features=squares, gate_features=[1]).fit(table.X, table.y)
    assert model.coef_.shape == (3, 5)
    assert model.gate_coef_.shape == (3, 1)
    gate = log_softmax(table.X[:, [1]] @ model.gate_coef_.T + model.gate_intercept_, axis=1)
    means = PolynomialFeatures(2, include_bias=False).fit_transform(table.X) @ model.coef_.T + model.intercept_
    densities = norm.logpdf(table.y[:, None], means, model.scale_)
    assert_allclose(model.score_samples(table.X, table.y), logsumexp(gate + densities, axis=1), rtol=1e-9, atol=1e-9)
    assert_allclose(model.predict(table.X), (np.exp(gate) * means).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("m", [1, 2])
def test_foreign_regressors(m):
    table = simulated("gaussian", m=m)
    model = EMMixtureOfExpertsRegressor(expert=LinearRegression(), random_state=0, tol=1e-6).fit(table.X, table.y)
    outputs = table.y.reshape(len(table.y), m)
    share = softmax(table.X @ model.gate_coef_.T + model.gate_intercept_, axis=1)
    means = np.stack([own.predict(table.X).reshape(-1, m) for own in model.experts_], axis=1)
    scales = np.sqrt(model.variances_) if m == 2 else model.scale_[:, None]
    densities = norm.logpdf(outputs[:, None], means, scales).sum(axis=2)
    assert_allclose(
        model.score_samples(table.X, table.y), logsumexp(np.log(share) + densities, axis=1), rtol=1e-9, atol=1e-9
    )
    assert_allclose(model.predict(table.X).reshape(-1, m), (share[:, :, None] * means).sum(axis=1), rtol=1e-9)
    low, high = (end.reshape(-1, m) for end in model.predict_interval(table.X, 0.9))
    for end, expected in [(low, 0.05), (high, 0.95)]:
        assert_allclose((share[:, :, None] * norm.cdf(end[:, None], means, scales)).sum(axis=1), expected, atol=1e-9)
    draws = model.sample(table.X, 1000).reshape(1000, -1, m)
    assert_allclose(np.mean((draws >= low) & (draws <= high)), 0.9, atol=0.01)


def test_foreign_classifiers():
    table = simulated("logistic")
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=5)
    model = EMMixtureOfExpertsClassifier(expert=tree, random_state=0, tol=1e-6).fit(table.X, table.y)
    share = softmax(table.X @ model.gate_coef_.T + model.gate_intercept_, axis=1)
    proba = np.stack([own.predict_proba(table.X) for own in model.experts_], axis=1)
    mixed = (share[:, :, None] * proba).sum(axis=1)
    assert_allclose(model.predict_proba(table.X), mixed, atol=1e-9)
    assert_array_equal(model.predict(table.X), model.classes_[mixed.argmax(axis=1)])
    codes = np.searchsorted(model.classes_, table.y)
    assert_allclose(np.exp(model.score_samples(table.X, table.y)), mixed[np.arange(len(codes)), codes], rtol=1e-9)
