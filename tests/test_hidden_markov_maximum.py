"""EM of hidden Markov models against direct maximisation of the likelihood, and standard errors against a Hessian."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime, minimize
from scipy.special import softmax, xlogy
from scipy.stats import norm, poisson
from sklearn.base import clone

from emkit import EMHiddenMarkov
from emkit.datasets import load_earthquakes
from emkit.hidden_markov.chain import Chain, stationary_distribution

QUAKES = load_earthquakes().data[:, 1:]
# -log L of 1 to 3 states: Zucchini, MacDonald and Langrock (2016), section 4.3; `free` and `stationary` start
LITERATURE = {(1, "free"): 391.9189, (2, "free"): 341.8787, (2, "stationary"): 342.3183}
LITERATURE |= {(3, "free"): 328.5275, (3, "stationary"): 329.4603}


def stationary(transmat):
    """By its linear equations; of matrices (..., k, k)."""
    k = transmat.shape[-1]
    return np.linalg.solve((np.eye(k) - transmat + 1).swapaxes(-1, -2), np.ones((*transmat.shape[:-1], 1)))[..., 0]


def log_likelihood(startprob, transmat, density):
    """Forward recursion, scaled at each step; of one model, or of many: (..., k), (..., k, k), (n, ..., k)."""
    total, state = 0.0, startprob * density[0]
    for row in density[1:]:
        size = state.sum(axis=-1, keepdims=True)
        total = total + np.log(size[..., 0])
        state = ((state / size)[..., None, :] @ transmat)[..., 0, :] * row
    return total + np.log(state.sum(axis=-1))


def negative(vectors, k, start):
    """-log L of vectors (..., p): log rates, logits of moves against the diagonal, logits of start probabilities."""
    logits = np.zeros((*vectors.shape[:-1], k, k))
    logits[..., ~np.eye(k, dtype=bool)] = vectors[..., k : k * k]
    transmat = softmax(logits, axis=-1)
    if start == "stationary":
        startprob = stationary(transmat)
    else:
        startprob = softmax(np.concatenate([vectors[..., k * k :], np.zeros_like(vectors[..., :1])], axis=-1), axis=-1)
    density = np.array([poisson.pmf(x, np.exp(vectors[..., :k])) for x in QUAKES[:, 0]])
    return -log_likelihood(startprob, transmat, density)


def with_slope(vector, function, step=1e-5):
    """The function of vectors (..., p) and its slope by central differences, all in one call."""
    moves = step * np.eye(len(vector))
    values = function(np.vstack([vector, vector + moves, vector - moves]))
    return values[0], (values[1 : 1 + len(vector)] - values[1 + len(vector) :]) / (2 * step)


def least(function, origin, bounds):
    options = {"ftol": 1e-15, "gtol": 1e-8, "maxiter": 1000}
    return minimize(with_slope, origin, (function,), "L-BFGS-B", jac=True, bounds=bounds, options=options)


def directly(k, start, n_starts):
    """Least -log L over several starts of a quasi-Newton search."""
    rng = np.random.default_rng(0)
    n_chain = k * (k - 1) + (0 if start == "stationary" else k - 1)
    bounds = [(1.5, 4.2)] * k + [(-25, 25)] * n_chain
    rates = np.linspace(13, 30, k) if k > 1 else [19]
    origins = [
        np.concatenate([np.log(rates) + 0.05 * rng.normal(size=k), rng.normal(-2, 0.5, n_chain)])
        for _ in range(n_starts)
    ]
    return min(least(lambda v: negative(v, k, start), origin, bounds).fun for origin in origins)


@pytest.mark.parametrize(("k", "start"), LITERATURE)
def test_earthquakes(k, start):
    model = EMHiddenMarkov(k, emission="poisson", start=start, random_state=0).fit(QUAKES)
    assert model.converged_
    assert -model.objective_ == pytest.approx(LITERATURE[k, start], abs=7e-5)
    direct = directly(k, start, n_starts=1 if k == 3 else 2)
    assert direct - 2e-5 < -model.objective_ < direct + 2e-6  # a search for logits of a zero ends before they do
    assert model.n_parameters_ == k * k + (k - 1 if start == "free" else 0)


@pytest.mark.parametrize("start", ["free", "stationary"])
def test_every_start_that_finds_the_maximum_finds_the_same(start):
    fits = [
        EMHiddenMarkov(2, emission="poisson", start=start, random_state=seed, n_init=1).fit(QUAKES) for seed in range(5)
    ]
    assert_allclose([fit.objective_ for fit in fits], fits[0].objective_, atol=1e-5)
    order = np.argsort(fits[0].rates_[:, 0])
    for fit in fits:
        assert_allclose(np.sort(fit.rates_, axis=0), fits[0].rates_[order], rtol=1e-3)


def test_gaussian_sequences():
    """Two states, three short sequences with missing rows and weights."""
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1], 15)
    X = (rng.normal(size=60) + 3 * states)[:, None]
    X[[7, 22, 40]] = np.nan
    lengths, weight = [20, 10, 30], np.array([1.0, 2.5, 0.7])

    def value(vectors):
        logits = np.zeros((len(vectors), 2, 2))
        logits[:, [0, 1], [0, 1]] = vectors[:, :2]
        law = norm(vectors[:, 3:5], np.exp(vectors[:, 5:]))
        density = np.array([np.ones((len(vectors), 2)) if np.isnan(x) else law.pdf(x) for x in X[:, 0]])
        startprob = softmax(np.stack([vectors[:, 2], np.zeros(len(vectors))], axis=1), axis=1)
        parts = np.split(density, np.cumsum(lengths)[:-1])
        chain = startprob, softmax(logits, axis=-1)
        return -sum(w * log_likelihood(*chain, part) for w, part in zip(weight, parts, strict=True))

    found = least(value, np.array([2.0, 2, 0, 0, 3, 0, 0]), [(-25, 25)] * 5 + [(-2, 2)] * 2)
    model = EMHiddenMarkov(2, random_state=0, tol=1e-12)
    model.fit(X, lengths=lengths, sample_weight=np.repeat(weight, lengths))
    assert model.objective_ == pytest.approx(-found.fun, abs=1e-6)
    assert_allclose(np.sort(model.means_[:, 0]), found.x[3:5], atol=1e-3)


@pytest.mark.parametrize("start", ["free", "stationary"])
def test_a_fit_of_weights_is_the_fit_of_repeated_sequences(start):
    lengths, times = [40, 27, 40], [1, 3, 2]
    parts = np.split(QUAKES, np.cumsum(lengths)[:-1])
    model = EMHiddenMarkov(
        2, emission="poisson", start=start, rates_init=[[15], [26]], transmat_init=np.full((2, 2), 0.5)
    )
    weighted = clone(model).fit(parts, sample_weight=np.repeat(times, lengths))
    repeated = clone(model).fit([part for part, n in zip(parts, times, strict=True) for _ in range(n)])
    assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-10)
    assert_allclose(weighted.rates_, repeated.rates_, rtol=1e-6)
    assert_allclose(weighted.transmat_, repeated.transmat_, atol=1e-6)
    total = sum(
        n * log_likelihood(weighted.startprob_, weighted.transmat_, poisson.pmf(part, weighted.rates_[:, 0]))
        for part, n in zip(parts, times, strict=True)
    )
    assert_allclose(weighted.objective_, total, rtol=1e-12)


# --- the M-step of a stationary start ---


@pytest.mark.parametrize(("k", "zeros"), [(2, False), (3, False), (3, True), (5, True)])
def test_stationary_m_step(k, zeros):
    """It has at least the expected log-likelihood of the closed form, and no direction in which that rises."""
    rng = np.random.default_rng(k)
    allowed = np.ones((k, k), bool)
    if zeros:
        allowed[0, k - 1] = False
    before = np.where(allowed, rng.dirichlet(np.ones(k), k), 0)
    before /= before.sum(axis=1, keepdims=True)
    first, pairs = rng.uniform(0, 20, k), np.where(allowed, rng.uniform(0, 20, (k, k)), 0)
    chain = Chain("stationary", np.ones(k), np.ones((k, k)), np.ones(k, bool), allowed)
    startprob, transmat = chain.m_step(first, pairs, stationary(before), before)

    def value(matrix):
        return xlogy(first, stationary(matrix)).sum() + xlogy(pairs, matrix).sum()

    def at(logits):
        full = np.full((k, k), -np.inf)
        full[allowed] = logits
        return value(softmax(full, axis=1))

    assert_allclose(startprob, stationary(transmat), rtol=1e-10)
    assert (transmat[~allowed] == 0).all()
    for other in (before, pairs / pairs.sum(axis=1, keepdims=True)):
        assert value(transmat) > value(other)
    slope = approx_fprime(np.log(transmat[allowed]), at, 1e-6)
    assert np.abs(slope).max() < 1e-3 * pairs.sum()


@pytest.mark.parametrize("rare", [1e-2, 1e-6, 1e-10])
def test_stationary_distribution_of_rare_moves(rare):
    """Two groups of states between which the chain seldom moves: the ratio of the rates decides, however small."""
    transmat = np.array([[1 - rare, rare], [3 * rare, 1 - 3 * rare]])
    assert_allclose(stationary_distribution(transmat), [0.75, 0.25], rtol=1e-15 / rare + 1e-13)


# --- standard errors ---


def hessian(function, origin, step=1e-4):
    """Fourth-order differences of differences, of a function with small rounding errors."""
    p = len(origin)

    def slope(x):
        out = np.empty(p)
        for i in range(p):
            e = step * np.eye(p)[i]
            out[i] = (8 * (function(x + e) - function(x - e)) - (function(x + 2 * e) - function(x - 2 * e))) / (
                12 * step
            )
        return out

    return np.array([(slope(origin + 1e-3 * e) - slope(origin - 1e-3 * e)) / 2e-3 for e in np.eye(p)])


def test_standard_errors_of_earthquakes():
    """In the parameters themselves: two rates and two transition probabilities, stationary start."""
    model = EMHiddenMarkov(2, emission="poisson", start="stationary", tol=1e-13, random_state=0).fit(QUAKES)
    errors = model.standard_errors(QUAKES)

    def value(vector):
        transmat = np.array([[1 - vector[2], vector[2]], [vector[3], 1 - vector[3]]])
        return -log_likelihood(stationary(transmat), transmat, poisson.pmf(QUAKES, vector[:2]))

    origin = np.array([*model.rates_[:, 0], model.transmat_[0, 1], model.transmat_[1, 0]])
    expected = np.sqrt(np.diag(np.linalg.inv(hessian(value, origin))))
    given = [*errors["rates_"][:, 0], errors["transmat_"][0, 1], errors["transmat_"][1, 0]]
    assert_allclose(given, expected, rtol=1e-3)
    assert_allclose(errors["transmat_"].sum(axis=1), 2 * errors["transmat_"].max(axis=1), rtol=1e-6)


def test_standard_errors_with_a_free_start_on_several_sequences():
    rng = np.random.default_rng(0)
    truth = EMHiddenMarkov(2, emission="poisson", random_state=3)
    truth.startprob_, truth.rates_ = np.array([0.6, 0.4]), np.array([[2.0], [9.0]])
    truth.transmat_ = np.array([[0.8, 0.2], [0.3, 0.7]])
    lengths = rng.integers(5, 15, 40)
    truth.random_state = rng_state = np.random.RandomState(0)
    X = np.concatenate([truth.sample(n)[0] for n in lengths])
    model = EMHiddenMarkov(2, emission="poisson", tol=1e-13, random_state=rng_state).fit(X, lengths=lengths)
    errors = model.standard_errors(X, lengths=lengths)
    parts = list(pairwise(np.concatenate([[0], np.cumsum(lengths)])))

    def value(vector):
        transmat = np.array([[1 - vector[2], vector[2]], [vector[3], 1 - vector[3]]])
        density, startprob = poisson.pmf(X, vector[:2]), np.array([vector[4], 1 - vector[4]])
        return -sum(log_likelihood(startprob, transmat, density[slice(*part)]) for part in parts)

    moves = model.transmat_[0, 1], model.transmat_[1, 0]
    expected = np.sqrt(np.diag(np.linalg.inv(hessian(value, [*model.rates_[:, 0], *moves, model.startprob_[0]]))))
    given = [*errors["rates_"][:, 0], errors["transmat_"][0, 1], errors["transmat_"][1, 0], errors["startprob_"][0]]
    assert_allclose(given, expected, rtol=1e-3)


@pytest.mark.parametrize("sd", [0.1, 1e-2, 1e-3, 1e-4])
def test_standard_errors_of_states_that_are_seen(sd):
    """Narrow states far apart: each parameter has the error that it would have if the states were known.

    Information on the means grows without bound against that on the transitions, which must not be taken for none.
    """
    truth = EMHiddenMarkov(2, random_state=0)
    truth.startprob_, truth.transmat_ = np.array([0.5, 0.5]), np.array([[0.97, 0.03], [0.06, 0.94]])
    truth.means_, truth.covariances_ = np.array([[-1.0], [1.0]]), np.full((2, 1, 1), sd**2)
    X, states = truth.sample(2000)
    init = {"means_init": [[-1.0], [1.0]], "transmat_init": truth.transmat_, "covariances_init": truth.covariances_}
    model = EMHiddenMarkov(2, start="uniform", reg_covar=0, tol=1e-13, **init).fit(X)
    errors = model.standard_errors(X)
    moves, counts = np.zeros((2, 2)), np.bincount(states)
    np.add.at(moves, (states[:-1], states[1:]), 1)
    variances = model.covariances_[:, 0, 0]
    of_moves = np.sqrt(moves[:, 0] * moves[:, 1] / moves.sum(axis=1) ** 3)
    assert_allclose(errors["means_"][:, 0], np.sqrt(variances / counts), rtol=0.01)
    assert_allclose(errors["transmat_"], np.stack([of_moves, of_moves], axis=1), rtol=0.01)
    assert_allclose(errors["covariances_"][:, 0, 0], variances * np.sqrt(2 / counts), rtol=0.01)


@pytest.mark.slow
def test_standard_errors_are_the_spread_of_estimates():
    truth = EMHiddenMarkov(2, emission="poisson", random_state=np.random.RandomState(0))
    truth.startprob_, truth.rates_ = np.array([0.5, 0.5]), np.array([[3.0], [9.0]])
    truth.transmat_ = np.array([[0.9, 0.1], [0.2, 0.8]])
    estimates, errors = [], []
    for _ in range(200):
        X = truth.sample(400)[0]
        model = EMHiddenMarkov(
            2, emission="poisson", start="stationary", rates_init=truth.rates_, transmat_init=truth.transmat_, tol=1e-11
        ).fit(X)
        estimates.append([*model.rates_[:, 0], model.transmat_[0, 1], model.transmat_[1, 0]])
        given = model.standard_errors(X)
        errors.append([*given["rates_"][:, 0], given["transmat_"][0, 1], given["transmat_"][1, 0]])
    # the spread of 200 estimates is itself known to 5 per cent
    assert_allclose(np.mean(errors, axis=0), np.std(estimates, axis=0), rtol=0.15)
