"""EMTopicModel against direct maximisation, NMF, and what theory says of its steps; recovery of simulated topics."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import softmax, xlogy
from sklearn.decomposition import NMF

from emkit import EMTopicModel
from emkit.engine import run_em
from emkit.metrics import completion_perplexity
from emkit.topic_model.documents import documents_of
from emkit.topic_model.merging import merged
from emkit.topic_model.methods import METHODS, Sweeps, Variational
from emkit.topic_model.model import TopicModel

SMALL = np.array(
    [
        [4, 2, 0, 1, 0, 1.0],
        [3, 5, 1, 0, 0, 0],
        [0, 1, 4, 3, 2, 0],
        [1, 0, 2, 6, 3, 1],
        [0, 0, 1, 0, 0, 2.5],
        [2, 2, 2, 2, 2, 2],
        [5, 0, 0, 1, 4, 0],
    ]
)
WEIGHT = np.array([1.0, 2.5, 0.5, 1, 3, 0, 1.2])
ETA_MATRIX = np.array([[0.3, 0.1, 0.2, 0, 0.5, 0.05], [0.1, 1, 0, 0.4, 0.2, 0.1]])
GIVEN = np.array([[5, 4, 1, 1, 2, 1.0]])
TO_THE_END = {"learn_priors": False, "tol": 1e-14, "max_iter": 100_000, "n_init": 1}
TO_THE_END |= {"max_doc_update_iter": 100_000, "mean_change_tol": 0}


# --- direct maximisation over theta and phi ---


def objective(theta, phi, alpha, eta, weight, n_held=0):
    """Sum of n log(theta phi), of alpha log theta, and of eta log phi for all but the first `n_held` topics."""
    of_documents = xlogy(SMALL, theta @ phi).sum(axis=1) + xlogy(alpha, theta).sum(axis=1)
    return weight @ of_documents + xlogy(eta, phi[n_held:]).sum()


def negative(vector, held, alpha, eta, weight):
    """Minus the objective of logits, and its slope; `held` (m, V) are topics that stay, before those that are free."""
    (n, n_terms), n_held = SMALL.shape, len(held)
    theta = softmax(vector[: 2 * n].reshape(n, 2), axis=1)
    phi = np.vstack([held, softmax(vector[2 * n :].reshape(-1, n_terms), axis=1)])
    ratio = weight[:, None] * SMALL / (theta @ phi)
    of_theta = theta * (ratio @ phi.T) + weight[:, None] * alpha
    of_phi = (phi * (theta.T @ ratio))[n_held:] + eta
    slope = of_theta - theta * of_theta.sum(axis=1, keepdims=True)
    slope_phi = of_phi - phi[n_held:] * of_phi.sum(axis=1, keepdims=True)
    value = objective(theta, phi, alpha, eta, weight, n_held)
    return -value, -np.concatenate([slope.ravel(), slope_phi.ravel()])


def directly(near, held, *arguments):
    """Greatest objective over some starts of a quasi-Newton search, one of them near a fit."""
    rng, free = np.random.default_rng(0), near.topic_word_[len(held) :]
    fitted = np.log(np.maximum(np.concatenate([near.transform(SMALL).ravel(), free.ravel()]), 1e-3))
    size = len(fitted)
    options = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 300, "maxfun": 500}
    starts = [rng.normal(size=size) for _ in range(5)] + [fitted + 0.3 * rng.normal(size=size)]
    fits = [
        minimize(negative, start, (held, *arguments), "L-BFGS-B", jac=True, bounds=[(-40, 40)] * size, options=options)
        for start in starts
    ]
    return -min(fit.fun for fit in fits)


def shares(counts):
    return counts / counts.sum(axis=-1, keepdims=True)


def background(weight):
    counts = weight @ SMALL
    return shares(counts + 1 / len(counts))[None]


SEEDED = np.full((2, 6), 0.1) + np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]) * SMALL.sum() / 2 * 0.2
SEEDED[0, :2] -= SMALL.sum() / 2 * 0.1  # the two words share it
ONES, NONE = np.ones(len(SMALL)), np.empty((0, 6))
CASES = {  # arguments of the estimator; held topics, alpha, eta, weights of documents
    "plsa": ({"method": "plsa"}, NONE, 0, 0, ONES),
    "no prior": ({"doc_topic_prior": 0, "topic_word_prior": 0}, NONE, 0, 0, ONES),
    "default": ({}, NONE, 0.5, 0.5, ONES),
    "small": ({"doc_topic_prior": 0.05, "topic_word_prior": 0.02}, NONE, 0.05, 0.02, ONES),
    "no eta": ({"doc_topic_prior": 0.3, "topic_word_prior": 0}, NONE, 0.3, 0, ONES),
    "alpha": ({"doc_topic_prior": [0.1, 0.8]}, NONE, np.array([0.1, 0.8]), 0.5, ONES),
    "eta": ({"topic_word_prior": ETA_MATRIX[1]}, NONE, 0.5, ETA_MATRIX[1], ONES),
    "eta of topics": ({"topic_word_prior": ETA_MATRIX}, NONE, 0.5, ETA_MATRIX, ONES),
    "weight": ({"doc_topic_prior": 0.4}, NONE, 0.4, 0.5, WEIGHT),
    "weight, plsa": ({"method": "plsa"}, NONE, 0, 0, WEIGHT),
    "background": ({"background": True}, background(ONES), 0.5, 0.5, ONES),
    "weight, background": ({"background": True}, background(WEIGHT), 0.5, 0.5, WEIGHT),
    "background, plsa": ({"method": "plsa", "background": True}, background(ONES), 0, 0, ONES),
    "seeds": (
        {"seed_words": {"a": [0, 1], "b": [3]}, "seed_strength": 0.2, "topic_word_prior": 0.1},
        *(NONE, 0.5, SEEDED, ONES),
    ),
}


@cache
def best_fit(name):
    """Of twelve starts."""
    arguments, _, _, _, weight = CASES[name]
    models = (EMTopicModel(2, random_state=seed, **TO_THE_END, **arguments) for seed in range(12))
    return max((model.fit(SMALL, sample_weight=weight) for model in models), key=lambda model: model.objective_)


@pytest.mark.parametrize("name", CASES)
def test_no_search_finds_a_higher_objective(name):
    assert best_fit(name).objective_ == pytest.approx(directly(best_fit(name), *CASES[name][1:]), rel=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_objective_and_stationarity(name):
    model, (_, held, alpha, eta, weight) = best_fit(name), CASES[name]
    theta, phi = model.transform(SMALL), model.topic_word_
    assert_allclose(phi, shares(model.components_), rtol=1e-14)
    n_held = len(held)
    assert_allclose(phi[:n_held], held, rtol=1e-12)  # after those of `components_init` and `seed_words`: none here
    assert model.objective_ == pytest.approx(objective(theta, phi, alpha, eta, weight, n_held), rel=1e-9)
    mixture = theta @ phi
    ratio = np.divide(SMALL, mixture, out=np.zeros_like(SMALL), where=mixture > 0)
    assert_allclose(shares(theta * (ratio @ phi.T) + alpha), theta, atol=1e-6)
    assert_allclose(shares(phi * (theta.T @ (weight[:, None] * ratio)) + eta)[n_held:], phi[n_held:], atol=1e-6)


def test_fixed_topics_stay_and_the_others_are_best():
    model = EMTopicModel(2, random_state=0, **TO_THE_END, components_init=GIVEN, fixed=("components",)).fit(SMALL)
    assert_allclose(model.topic_word_[:1], shares(GIVEN), rtol=1e-14)
    assert model.objective_ == pytest.approx(directly(model, shares(GIVEN), 0.5, 0.5, ONES), rel=1e-8)
    assert model.n_parameters_ == SMALL.shape[1] - 1


def test_seed_words_are_a_prior():
    model = EMTopicModel(2, max_iter=5, tol=0, learn_priors=False, **CASES["seeds"][0]).fit(SMALL)
    assert_allclose(model.topic_word_prior_, SEEDED, rtol=1e-14)


@pytest.mark.parametrize("method", ["map", "plsa", "vb"])
def test_a_weight_is_a_repetition(method):
    times = np.array([1, 3, 2, 1, 1, 4, 2])
    model = EMTopicModel(2, method=method, learn_priors=False, tol=0, max_iter=60, components_init=ETA_MATRIX + 0.1)
    model.set_params(accelerate=False)
    weighted = (model.fit(SMALL, sample_weight=times).objective_, model.components_)
    repeated = (model.fit(np.repeat(SMALL, times, axis=0)).objective_, model.components_)
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-12)
    assert_allclose(weighted[1], repeated[1], rtol=1e-9, atol=1e-12)


def test_a_topic_of_prior_zero_has_tokens():
    models = (EMTopicModel(2, random_state=seed, **TO_THE_END, doc_topic_prior=[0, 0.5]) for seed in range(12))
    best = max((model.fit(SMALL) for model in models), key=lambda model: model.objective_)
    assert best.objective_ == pytest.approx(directly(best, NONE, np.array([0, 0.5]), 0.5, ONES), rel=1e-8)


def test_a_negative_prior_is_the_same_as_a_number_and_as_an_array():
    model = EMTopicModel(2, learn_priors=False, tol=0, max_iter=20, components_init=ETA_MATRIX + 0.1)
    number = model.set_params(topic_word_prior=-0.4).fit(SMALL).objective_
    assert number == pytest.approx(model.set_params(topic_word_prior=np.full(6, -0.4)).fit(SMALL).objective_, rel=1e-12)


# --- NMF ---


def divergence(X, product):
    """Kullback-Leibler, of tables that need not sum to one."""
    return (xlogy(X, X) - xlogy(X, product) - X + product).sum()


@pytest.mark.parametrize("seed", range(3))
def test_plsa_is_nmf_of_the_divergence(seed):
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(3, 0.5), 30) @ rng.dirichlet(np.full(10, 0.5), 3)
    X = rng.poisson(60 * truth).astype(float)
    start = X[:3] + 0.5
    model = EMTopicModel(3, method="plsa", tol=0, max_iter=4000, components_init=start, max_doc_update_iter=3000)
    model.set_params(mean_change_tol=0).fit(X)
    nmf = NMF(3, init="custom", solver="mu", beta_loss="kullback-leibler", tol=0, max_iter=4000)
    W = nmf.fit_transform(X, W=np.full((30, 3), X.sum() / 90), H=shares(start))
    assert_allclose(model.topic_word_, shares(nmf.components_), atol=1e-4)
    assert_allclose(model.transform(X), shares(W * nmf.components_.sum(axis=1)), atol=1e-4)
    product = X.sum(axis=1, keepdims=True) * (model.transform(X) @ model.topic_word_)
    assert divergence(X, product) == pytest.approx(divergence(X, W @ nmf.components_), rel=1e-8)
    lengths = X.sum(axis=1)
    assert model.objective_ == pytest.approx((xlogy(X, product).sum() - xlogy(lengths, lengths).sum()), rel=1e-10)


# --- monotony ---

COUNTS = st.sampled_from([0.0, 0, 0, 1, 2, 0.25, 7.5, 40])
PRIORS = st.sampled_from([0.0, 0.01, 0.5, 3])


def tables(n_terms=6):
    return st.integers(3, 8).flatmap(lambda n: arrays(np.float64, (n, n_terms), elements=COUNTS))


def climbed(method, X, alpha, eta, dtype=np.float64, seed=0, first=5, n_steps=40):
    """Objectives of EM from random topics; a fall would be an ObjectiveFellWarning, an error here."""
    rng = np.random.default_rng(seed)
    model = TopicModel(
        method, np.full(3, float(alpha)), np.full((1, 1), eta), np.dtype(dtype), Sweeps(1), Sweeps(first)
    )
    chunk = documents_of(sp.csr_array(X, dtype=dtype), rng.choice([0.5, 1, 3], len(X)), place=0)
    params = model.params(rng.gamma(1, 1, (X.shape[1], 3)) + 1e-3)
    result = run_em(model, params, [chunk], tol=0, max_iter=n_steps)
    return np.array([step.objective for step in result.history]), chunk.weight @ (chunk.lengths + 1)


@settings(max_examples=60)
@given(X=tables(), alpha=PRIORS, eta=PRIORS, seed=st.integers(0, 99), first=st.sampled_from([1, 5]))
def test_map_climbs(X, alpha, eta, seed, first):
    assume(X.any())
    objectives, size = climbed(METHODS["map"], X, alpha, eta, seed=seed, first=first)
    assert np.isfinite(objectives).all()
    assert (np.diff(objectives) >= -1e-12 * (np.abs(objectives[1:]) + size)).all()


@settings(max_examples=40)
@given(X=tables(), alpha=PRIORS, eta=PRIORS, seed=st.integers(0, 99))
def test_map_climbs_in_single_precision(X, alpha, eta, seed):
    assume(X.any())
    objectives, size = climbed(METHODS["map"], X, alpha, eta, np.float32, seed)
    assert (np.diff(objectives) >= -2e-6 * (np.abs(objectives[1:]) + size)).all()


@settings(max_examples=40)
@given(X=tables(), seed=st.integers(0, 99))
def test_plsa_climbs(X, seed):
    assume(X.any())
    objectives, size = climbed(METHODS["plsa"], X, 0, 0, seed=seed)
    assert (np.diff(objectives) >= -1e-12 * (np.abs(objectives[1:]) + size)).all()


@pytest.mark.parametrize("method", ["plsa", "map"])
def test_a_topic_may_be_empty(method):
    X, start = np.hstack([SMALL, np.zeros((7, 1))]), np.vstack([np.eye(7)[6], np.ones(7)])
    model = EMTopicModel(2, method=method, topic_word_prior=0, learn_priors=False, tol=0, components_init=start)
    model.set_params(max_iter=20).fit(X)
    assert np.isfinite(model.objective_)


def test_blocks_climb():
    """An ObjectiveFellWarning is an error."""
    X = np.random.default_rng(0).poisson(1.0, (40, 12))
    model = EMTopicModel(5, doc_topic_prior=0.5, topic_word_prior=0.01, learn_priors=False, random_state=0, tol=0)
    model.set_params(max_iter=300).fit(lambda: iter([X[:20], X[20:]]))


def test_collapsed_objective_of_small_weights_is_finite():
    X = np.random.default_rng(0).poisson(1.0, (40, 12))
    model = EMTopicModel(
        2, method="cvb0", topic_word_prior=1e-3, random_state=0, tol=0, max_iter=60, learn_priors=False
    )
    model.fit(X, sample_weight=np.full(40, 0.01))
    assert np.isfinite(model.history_["objective"]).all()


class Warm(Variational):
    """Variational Bayes as coordinate ascent: documents go on from where they were."""

    name = "warm"
    monotone = True
    keeps_documents = True


@settings(max_examples=40)
@given(X=tables(), alpha=st.sampled_from([0.05, 1, 4]), eta=st.sampled_from([0.02, 0.5, 2]), seed=st.integers(0, 99))
def test_the_bound_climbs_if_documents_are_kept(X, alpha, eta, seed):
    assume(X.any())
    objectives, size = climbed(Warm(), X, alpha, eta, seed=seed, first=1)
    assert (np.diff(objectives) >= -1e-11 * (np.abs(objectives[1:]) + size)).all()


@pytest.mark.parametrize("accelerate", [False, "squarem", "anderson"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("method", "alpha", "eta"), [("plsa", 0, 0), ("map", 0, 0), ("map", 0.1, 0.01), ("map", 2, 1)])
def test_the_history_of_a_fit_climbs(method, alpha, eta, dtype, accelerate):
    X = np.random.default_rng(0).poisson(np.random.default_rng(1).gamma(0.3, 4, (60, 25)))
    model = EMTopicModel(4, method=method, doc_topic_prior=alpha, topic_word_prior=eta, random_state=0, dtype=dtype)
    model.set_params(learn_priors=False, tol=0, max_iter=200, accelerate=accelerate).fit(X)
    steps = model.history_[~np.isin(model.history_["phase"], ["start", "sample"])]
    assert len(steps) == 200
    assert (steps["phase"] == "em").all() == (not accelerate)
    assert (steps["change"] >= -(1e-13 if dtype == "float64" else 2e-7) * np.abs(steps["objective"])).all()


# --- simulated documents ---


def simulated(n, k=8, n_terms=300, seed=0):
    rng = np.random.default_rng(seed)
    topics, alpha = rng.dirichlet(np.full(n_terms, 0.05), k), np.full(k, 0.15)
    mean = rng.dirichlet(alpha, n) @ topics
    X = np.array([rng.multinomial(rng.poisson(80), p / p.sum()) for p in mean])
    return sp.csr_array(X), topics, alpha


@pytest.mark.parametrize("method", ["map", "vb", "cvb0"])
def test_recovery(method):
    X, topics, alpha = simulated(4000)
    model = EMTopicModel(8, method=method, random_state=0, n_jobs=1).fit(X[:3000])
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (topics, model.topic_word_)]
    cosines = unit[0] @ unit[1].T
    assert cosines[linear_sum_assignment(-cosines)].min() > 0.95
    best = completion_perplexity(topics, X[3000:], doc_topic_prior=alpha)
    assert model.perplexity(X[3000:]) < 1.06 * best


# --- mergers ---


def loss(one, other):
    """What a merger costs: log-likelihood of the tokens of two topics apart, less that of their union."""
    return sum(xlogy(c, c / c.sum()).sum() for c in (one, other)) - xlogy(one + other, shares(one + other)).sum()


def agglomerated(counts, n_topics, n_held):
    """Of all pairs the one whose merger costs least, again and again."""
    topics = list(counts.T)
    while len(topics) > n_topics:
        a, b = min(combinations(range(n_held, len(topics)), 2), key=lambda pair: loss(topics[pair[0]], topics[pair[1]]))
        topics[a] = topics[a] + topics.pop(b)
    return np.array(topics).T


@pytest.mark.parametrize("n_held", [0, 2])
@pytest.mark.parametrize("seed", range(10))
def test_the_cheapest_pair_is_merged(seed, n_held):
    """Of three free topics, all pairs are looked at."""
    counts = np.random.default_rng(seed).gamma(0.5, 20, (12, 3 + n_held))
    for n_topics in (2 + n_held, 1 + n_held):
        assert_allclose(merged(counts, n_topics, n_held), agglomerated(counts, n_topics, n_held), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_topics_that_say_the_same_are_merged(seed):
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(40, 0.1), 5)
    source = np.array([0, 1, 2, 3, 4, 0, 2, 2])
    counts = rng.poisson(2000 * truth[source]).T.astype(float)
    expected = np.array([counts[:, source == k].sum(axis=1) for k in range(5)]).T
    assert_allclose(merged(counts, 5), expected, rtol=1e-12)
    assert_allclose(merged(counts, 5), agglomerated(counts, 5, 0), rtol=1e-12)
