"""EMTopicModel against scikit-learn and plain Python: bounds, updates, completion, priors, criteria, stepwise EM."""

from math import exp, floor, lgamma, log

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import gammaln, psi, xlogy
from sklearn.decomposition import LatentDirichletAllocation

from emkit import EMTopicModel
from emkit.engine import run_em
from emkit.metrics import completion_log_likelihood, completion_perplexity
from emkit.online import learning_rate
from emkit.testing import check_em_model
from emkit.topic_model.documents import documents_of
from emkit.topic_model.fitting import PILOT_ROUNDS
from emkit.topic_model.methods import METHODS, Sweeps
from emkit.topic_model.model import TopicModel
from emkit.topic_model.priors import N_ROUNDS, even_prior, learned_alpha, learned_eta, uneven_prior

METHOD_NAMES = ["map", "plsa", "vb", "cvb0"]
PLAIN = {"learn_priors": False, "tol": 0}


def corpus(n=12, n_terms=7, seed=0):
    """With counts above one, an empty document, and a term that none has."""
    X = np.random.default_rng(seed).poisson(np.random.default_rng(seed + 1).gamma(0.4, 4, (n, n_terms))).astype(float)
    X[3], X[:, 2] = 0, 0
    return X


def model_of(method, alpha, eta, sweeps=5):
    first = Sweeps(sweeps) if isinstance(sweeps, int) else sweeps
    return TopicModel(METHODS[method], alpha, np.atleast_2d(eta), np.dtype(float), Sweeps(1), first)


def chunk_of(X, weight=None, place=0):
    return documents_of(sp.csr_array(X, dtype=np.float64), weight, place)


def shares(counts):
    return counts / counts.sum(axis=-1, keepdims=True)


def quotient(numerator, denominator):
    """0 where the denominator is not positive."""
    zeros = np.zeros(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)))
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)


def expected_log(parameters):
    return psi(parameters) - psi(parameters.sum(axis=-1, keepdims=True))


def first_guess(X, alpha):
    even = np.full(len(alpha), 1 / len(alpha))
    return alpha + X.sum(axis=1, keepdims=True) * (shares(alpha) if alpha.any() else even)


def update(X, pseudo, alpha, topics, weight_of):
    """One update of the pseudo-counts of documents, (n, K); and the expected counts, (n, K, V)."""
    theta = weight_of(pseudo)
    joint = theta[:, :, None] * topics
    resp = quotient(joint, joint.sum(axis=1, keepdims=True))
    counts = X[:, None, :] * resp
    return alpha + counts.sum(axis=2), counts


# --- variational Bayes ---


def dirichlet_terms(q, prior):
    """E log p - E log q of one Dirichlet distribution, term by term."""
    logs = [float(psi(a) - psi(sum(q))) for a in q]
    of_prior = lgamma(sum(prior)) - sum(map(lgamma, prior)) + sum((a - 1) * x for a, x in zip(prior, logs, strict=True))
    of_q = lgamma(sum(q)) - sum(map(lgamma, q)) + sum((a - 1) * x for a, x in zip(q, logs, strict=True))
    return of_prior - of_q


def evidence_bound(X, weight, gamma, components, alpha, eta):
    """Blei et al. (2003), equation 15, with its maximum over the tokens' topics spelled out; in plain Python."""
    total = sum(dirichlet_terms(row.tolist(), eta.tolist()) for row in components)
    log_topics = expected_log(components)
    for x, w, g in zip(X, weight, gamma, strict=True):
        log_theta = expected_log(g)
        part = dirichlet_terms(g.tolist(), alpha.tolist())
        for v in np.flatnonzero(x):
            logs = [float(log_theta[k] + log_topics[k, v]) for k in range(len(g))]
            norm = sum(map(exp, logs))
            part += x[v] * sum(exp(a) / norm * (a - log(exp(a) / norm)) for a in logs)
        total += w * part
    return total


@pytest.mark.parametrize("n_sweeps", [1, 4])
def test_bound_is_that_of_the_literature(n_sweeps):
    X, rng = corpus(), np.random.default_rng(0)
    alpha, eta, weight = np.array([0.3, 0.05, 1.2]), rng.uniform(0.1, 2, 7), rng.uniform(0, 3, 12)
    components = rng.gamma(2, 2, (3, 7))
    model = TopicModel(METHODS["vb"], alpha, eta[:, None], np.dtype(float), first_sweeps=Sweeps(n_sweeps))
    result = run_em(model, model.params(components.T.copy()), [chunk_of(X, weight)], max_iter=0)
    gamma, topics = first_guess(X, alpha), np.exp(expected_log(components))
    for _ in range(n_sweeps - 1):
        gamma, _ = update(X, gamma, alpha, topics, lambda g: np.exp(expected_log(g)))
    assert result.objective == pytest.approx(evidence_bound(X, weight, gamma, components, alpha, eta), rel=1e-11)
    _, counts = update(X, gamma, alpha, topics, lambda g: np.exp(expected_log(g)))
    assert_allclose(result.stats.counts.T, np.tensordot(weight, counts, 1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("alpha", "eta"), [(0.5, 0.3), (0.8, 0.02), (1.0, 1.0)])
def test_it_is_latent_dirichlet_allocation_of_scikit_learn(alpha, eta):
    X, sweeps = corpus(25, 12), {"max_doc_update_iter": 5000, "mean_change_tol": 1e-13}
    lda = LatentDirichletAllocation(
        3, doc_topic_prior=alpha, topic_word_prior=eta, max_iter=7, learning_method="batch", random_state=3, **sweeps
    ).fit(X)
    start = np.random.RandomState(3).gamma(100, 0.01, (3, 12))  # as it does
    model, chunk = model_of("vb", np.full(3, alpha), eta, Sweeps(5000, 1e-13)), chunk_of(X)
    result = run_em(model, model.params(start.T.copy()), [chunk], tol=0, max_iter=7)
    assert_allclose(result.params.pseudo_counts.T, lda.components_, rtol=1e-6)
    gamma = lda._unnormalized_transform(X)
    assert result.objective == pytest.approx(lda._approx_bound(X, gamma, sub_sampling=False), rel=1e-8)
    fitted = EMTopicModel(
        3,
        method="vb",
        doc_topic_prior=alpha,
        topic_word_prior=eta,
        components_init=start,
        max_iter=0,
        **sweeps,
        **PLAIN,
    ).fit(X)
    fitted.components_ = lda.components_
    assert_allclose(fitted.transform(X), lda.transform(X), atol=1e-8)


# --- collapsed variational Bayes ---


def collapsed_step(X, topics, alpha, resp, own):
    """Asuncion et al. (2009), equation 9, of all entries at once; `topics` (K, V) hold the prior. Also log p.

    A token is left out, or all there is where counts, or these times the weights `own` (n,), make that less.
    """
    here, there = (np.minimum(times * X, 1)[:, None, :] * resp for times in (1, np.reshape(own, (-1, 1))))
    in_document = np.maximum((X[:, None, :] * resp).sum(axis=2, keepdims=True) - here, 0) + alpha[:, None]
    in_topic = np.maximum(topics - there, 0) / (topics.sum(axis=1)[:, None] - there)
    joint = in_document * in_topic
    score = xlogy(X, quotient(joint.sum(axis=1), in_document.sum(axis=1))).sum(axis=1)
    return np.where(X[:, None, :] > 0, shares(joint.swapaxes(1, 2)).swapaxes(1, 2), 0), score


@pytest.mark.parametrize("weight", [None, np.array([1, 2, 3, 1, 1, 5, 1, 1.5, 1, 2, 1, 0])])
def test_collapsed_steps(weight):
    X, rng = corpus(), np.random.default_rng(0)
    times = np.ones(12) if weight is None else weight
    alpha, eta, start = np.array([0.3, 0.1, 1.1]), 0.2, rng.gamma(2, 3, (3, 7)) + 0.2
    model = model_of("cvb0", alpha, eta)
    result = run_em(model, model.params(start.T.copy()), [chunk_of(X, weight)], tol=0, max_iter=6)
    topics, resp, objectives = start, np.zeros((12, 3, 7)), []
    for _ in range(7):
        last = topics
        resp, score = collapsed_step(X, topics, alpha, resp, own=times)
        topics = eta + np.tensordot(times, X[:, None, :] * resp, 1)
        objectives.append(times @ score)
    assert_allclose(result.params.pseudo_counts.T, last, rtol=1e-10)
    assert_allclose([step.objective for step in result.history], objectives, rtol=1e-11)


def test_collapsed_fold_in():
    X, new = corpus(), corpus(9, 7, seed=5)
    model = EMTopicModel(
        3, method="cvb0", max_iter=5, random_state=0, max_doc_update_iter=7, mean_change_tol=0, **PLAIN
    )
    model.fit(X)
    resp, alpha = np.zeros((9, 3, 7)), model.doc_topic_prior_
    for _ in range(7):
        resp, _ = collapsed_step(new, model.components_, alpha, resp, own=0)
    assert_allclose(model.transform(new), shares(alpha + (new[:, None, :] * resp).sum(axis=2)), rtol=1e-10)


def test_collapsed_fold_in_of_a_document_depends_on_it_alone():
    X, model = corpus(), EMTopicModel(3, method="cvb0", max_iter=5, random_state=0, **PLAIN).fit(corpus())
    assert_allclose(model.transform(X), np.vstack([model.transform(row[None]) for row in X]), rtol=1e-12)


# --- document completion ---


def half_tables(X):
    """Token by token."""
    halves = np.zeros((2, *X.shape))
    for d, row in enumerate(X):
        turn = 0
        for v, count in enumerate(row):
            for _ in range(floor(count)):
                halves[turn % 2, d, v] += 1
                turn += 1
            halves[turn % 2, d, v] += count - floor(count)
    return halves


def folded_in(model, X, n_updates=3000):
    """Weights of the topics, by the update of the method until nothing changes."""
    alpha, lengths = model.doc_topic_prior_, X.sum(axis=1, keepdims=True)
    if model.method == "cvb0":
        resp = np.zeros((len(X), *model.components_.shape))
        for _ in range(n_updates):
            resp, _ = collapsed_step(X, model.components_, alpha, resp, own=0)
        return shares(alpha + (X[:, None, :] * resp).sum(axis=2))
    topics, weight_of = model.topic_word_, lambda g: quotient(g, g.sum(axis=1, keepdims=True))
    if model.method == "vb":
        topics, weight_of = np.exp(expected_log(model.components_)), lambda g: np.exp(expected_log(g))
    pseudo = alpha + lengths / len(alpha)
    for _ in range(n_updates):
        pseudo, _ = update(X, pseudo, alpha, topics, weight_of)
    totals = pseudo.sum(axis=1, keepdims=True)
    return np.where(totals > 0, quotient(pseudo, totals), 1 / len(alpha))


def odd_documents():
    """Fractions, no tokens, one token, less than one."""
    X = corpus(10, 7, seed=8)
    X[0], X[1], X[2] = 0, np.eye(7)[4], 0.6 * np.eye(7)[5]
    X[5:, 0], X[6:, 3], X[7:, 4] = 1.25, 2.75, 0.5
    return X


def fitted(method, **arguments):
    model = EMTopicModel(3, method=method, max_iter=5, random_state=0, **PLAIN, **arguments)
    X = corpus()
    X[:, 2] = 1  # so that plsa gives each term a probability
    return model.fit(X)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_completion_by_hand(method):
    X, model = odd_documents(), fitted(method, max_doc_update_iter=3000, mean_change_tol=0)
    first, second = half_tables(X)
    theta = folded_in(model, first)
    scores = xlogy(second, theta @ model.topic_word_).sum(axis=1)
    assert_allclose(model.score_samples(X), scores, rtol=1e-7, atol=1e-12)
    assert (scores[:3] == 0).all()
    weight = np.random.default_rng(0).uniform(0, 2, 10)
    assert model.score(X) == pytest.approx(scores.mean(), rel=1e-7)
    assert model.score(X, sample_weight=weight) == pytest.approx(weight @ scores / weight.sum(), rel=1e-7)
    assert model.perplexity(X) == pytest.approx(exp(-scores.sum() / second.sum()), rel=1e-7)
    weighted = exp(-(weight @ scores) / (weight @ second.sum(axis=1)))
    assert model.perplexity(X, sample_weight=weight) == pytest.approx(weighted, rel=1e-7)
    assert_allclose(model.transform(X), folded_in(model, X), atol=1e-7)


@pytest.mark.parametrize("alpha", [None, 0, 0.4, [0.2, 0.05, 1.3]])
def test_metrics_complete_as_the_model_does(alpha):
    X, model = odd_documents(), fitted("map", doc_topic_prior=alpha)
    scaled, options = model.topic_word_ * [[3], [1], [7]], {"doc_topic_prior": alpha}
    assert_allclose(completion_log_likelihood(scaled, X, **options), model.score_samples(X), rtol=1e-10, atol=1e-13)
    weight = np.arange(10)
    perplexity = completion_perplexity(sp.csr_array(scaled).toarray(), sp.csr_array(X), sample_weight=weight, **options)
    assert perplexity == pytest.approx(model.perplexity(X, sample_weight=weight), rel=1e-10)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_perplexity_of_even_topics_is_the_number_of_terms(method):
    model = fitted(method)
    model.components_ = np.full((3, 7), 4.0)
    assert model.perplexity(odd_documents()) == pytest.approx(7, rel=1e-12)
    assert completion_perplexity(np.ones((3, 7)), odd_documents()) == pytest.approx(7, rel=1e-12)


# --- what any EM model must keep ---


def reversed_topics(model):
    return lambda params: model.params(params.pseudo_counts[:, ::-1].copy(), params.alpha[::-1].copy())


@pytest.mark.parametrize("eta", [0.1, 1.0])
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_model_properties(method, eta):
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(0.5, 3, (100, 9)) * 2)
    alpha = np.zeros(3) if method == "plsa" else np.array([0.2, 0.5, 1.0])
    sweeps = (
        500 if method == "map" else 200
    )  # nothing is kept of chunks without a place, so that steps must be to the end
    model = model_of(method, alpha, 0.0 if method == "plsa" else eta, sweeps)
    chunk, weight = chunk_of(X, place=None), rng.uniform(0.5, 2, 100)
    check_em_model(model, chunk, permute=reversed_topics(model), n_steps=10)
    check_em_model(model, chunk, sample_weight=weight, n_steps=5, random_state=1)


# --- priors ---


def evidence(counts, weight, alpha):
    """Log-probability of counts under a Dirichlet-multinomial distribution, but for the coefficients."""
    rows = gammaln(counts + alpha).sum(axis=1) - gammaln(counts.sum(axis=1) + alpha.sum())
    return weight @ (rows + gammaln(alpha.sum()) - gammaln(alpha).sum())


def highest_evidence(counts, weight, n_free):
    width = counts.shape[1]

    def negative(logs):
        return -evidence(counts, weight, np.broadcast_to(np.exp(logs), width))

    found = minimize(negative, np.zeros(n_free), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    return np.exp(found.x)


@pytest.mark.parametrize("alpha", [[0.1, 0.5, 2.0], [0.05, 0.05, 0.3], [3.0, 1.0, 0.4]])
def test_priors_reach_the_highest_evidence(alpha):
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(alpha, 400)
    counts = np.array([rng.multinomial(n, p) for n, p in zip(rng.integers(0, 60, 400), theta, strict=True)])
    weight = rng.uniform(0, 3, 400)
    best, even = highest_evidence(counts, weight, 3), highest_evidence(counts, np.ones(400), 1)[0]
    assert_allclose(uneven_prior(counts, weight, best), best, rtol=1e-4)  # a fixed point
    assert even_prior(counts.T, even) == pytest.approx(even, rel=1e-4)
    found, one = np.full(3, 1 / 3), 1 / 3
    for _ in range(PILOT_ROUNDS * N_ROUNDS):  # as often as it is called, with new counts each time
        found, one = uneven_prior(counts, weight, found), even_prior(counts.T, one)
    assert_allclose(found, best, rtol=0.02)
    assert one == pytest.approx(even, rel=0.02)
    assert evidence(counts, weight, found) > evidence(counts, weight, best) - 1e-4 * weight.sum()


def drawn(n, alpha, topics, rng):
    mean = rng.dirichlet(alpha, n) @ topics
    return np.array([rng.multinomial(rng.poisson(90), p / p.sum()) for p in mean])


def test_priors_of_simulated_documents():
    """Within a fifth for the documents, a quarter for the terms: both are learned from expected counts."""
    rng, alpha = np.random.default_rng(0), np.array([0.05, 0.1, 0.3, 0.6])
    topics = rng.dirichlet(np.full(150, 0.1), 4)
    chunk = chunk_of(drawn(3000, alpha, topics, rng))
    assert_allclose(learned_alpha(1e5 * topics.T, [chunk], np.full(4, 0.25)), alpha, rtol=0.2)
    assert learned_eta(1e5 * topics.T, [chunk], alpha, 0.25) == pytest.approx(0.1, rel=0.25)


# --- criteria ---


@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 12)])
@pytest.mark.parametrize(
    "arguments", [{}, {"background": True}, {"components_init": [range(7)], "fixed": ["components"]}]
)
def test_criteria_by_hand(arguments, weight):
    model = fitted("map", **arguments)
    X, n_parameters = corpus(), (3 - bool(arguments)) * 6
    times = np.ones(12) if weight is None else weight
    theta = model.transform(X)
    log_likelihood = times @ xlogy(X, theta @ model.topic_word_).sum(axis=1)
    joint = theta[:, :, None] * model.topic_word_
    resp = joint / joint.sum(axis=1, keepdims=True)
    entropy = -times @ (X[:, None, :] * xlogy(resp, resp)).sum(axis=(1, 2))
    bic = -2 * log_likelihood + n_parameters * log(times.sum())
    assert model.n_parameters_ == n_parameters
    assert model.bic(X, sample_weight=weight) == pytest.approx(bic, rel=1e-12)
    assert model.aic(X, sample_weight=weight) == pytest.approx(-2 * log_likelihood + 2 * n_parameters, rel=1e-12)
    assert model.icl(X, sample_weight=weight) == pytest.approx(bic + 2 * entropy, rel=1e-12)


# --- stepwise EM ---


def expected_counts(X, alpha, pseudo_counts, n_sweeps=5):
    """Of documents of which nothing is known, (K, V)."""
    pseudo, topics = first_guess(X, alpha), shares(pseudo_counts)
    for _ in range(n_sweeps - 1):
        pseudo, _ = update(X, pseudo, alpha, topics, shares)
    return update(X, pseudo, alpha, topics, shares)[1]


def test_partial_fit_by_hand():
    """Of a fit without steps, then of two batches."""
    rng, weights = np.random.default_rng(0), (np.full(12, 1.5), np.ones(9), np.linspace(0.2, 2, 5))
    tables = corpus(12), corpus(9, seed=3), corpus(5, seed=4)
    start, eta = rng.gamma(1, 1, (3, 7)) + 0.1, 0.2
    model = EMTopicModel(3, topic_word_prior=eta, doc_topic_prior=0.3, max_iter=0, components_init=start, **PLAIN)
    model.fit(tables[0], sample_weight=weights[0])
    pseudo_counts = start  # topics that are all given are the start as they are
    assert_allclose(model.components_, pseudo_counts, rtol=1e-12)
    alpha, seen = np.full(3, 0.3), 18.0
    average = np.tensordot(weights[0], expected_counts(tables[0], alpha, pseudo_counts), 1) / seen
    for X, weight in zip(tables[1:], weights[1:], strict=True):
        model.partial_fit(X, sample_weight=weight)
        size = weight.sum()
        rate = (seen / size + 2) ** -0.6
        assert rate == pytest.approx(learning_rate(seen / size), rel=1e-14)
        new = np.tensordot(weight, expected_counts(X, alpha, pseudo_counts), 1) / size
        average, seen = (1 - rate) * average + rate * new, seen + size
        pseudo_counts = seen * average + eta
        assert_allclose(model.components_, pseudo_counts, rtol=1e-10)
    assert_allclose(model.topic_weights_, average.sum(axis=1) / average.sum(), rtol=1e-10)
    n_tokens = sum((w @ X).sum() for X, w in zip(tables, weights, strict=True))
    assert model.mean_document_length_ == pytest.approx(n_tokens / seen, rel=1e-12)
