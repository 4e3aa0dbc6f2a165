"""Hidden Markov models beyond the range of doubles, and long sequences taken in blocks, against plain log space."""

from itertools import pairwise

import numpy as np
import pytest
from hidden_markov_oracle import problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from scipy.stats import bernoulli, norm

from emkit import EMHiddenMarkov
from emkit.families.base import Sums, log
from emkit.hidden_markov import decoding, smoothing
from emkit.hidden_markov.fitting import fitted_model
from emkit.hidden_markov.reading import as_sequences, read


class LogSpace:
    """Forward and backward of one sequence in logarithms, each row less its total, so that digits do not get lost."""

    def __init__(self, startprob, transmat, log_density):
        n, k = log_density.shape
        moves = log(transmat)
        alpha, beta, self.log_normaliser = np.empty((n, k)), np.zeros((n, k)), np.empty(n)
        for t in range(n):
            reach = logsumexp(alpha[t - 1][:, None] + moves, axis=0) if t else log(startprob)
            alpha[t] = reach + log_density[t]
            self.log_normaliser[t] = logsumexp(alpha[t])
            alpha[t] -= self.log_normaliser[t]
        for t in range(n - 2, -1, -1):
            beta[t] = logsumexp(moves + log_density[t + 1] + beta[t + 1], axis=1) - self.log_normaliser[t + 1]
        self.log_likelihood = self.log_normaliser.sum()
        self.filtered, self.proba = softmax(alpha, axis=1), softmax(alpha + beta, axis=1)
        joint = alpha[:-1, :, None] + moves + (log_density[1:] + beta[1:])[:, None]
        self.pairs = softmax(joint, axis=(1, 2)).sum(axis=0)


def gaussian(startprob, transmat, means, **arguments):
    k = len(startprob)
    model = EMHiddenMarkov(k, covariance_type="diag", random_state=0, **arguments)
    model.startprob_, model.transmat_ = np.array(startprob, float), np.array(transmat, float)
    model.means_, model.covariances_ = np.reshape(means, (k, 1)).astype(float), np.ones((k, 1))
    return model


FULL = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]
LEFT_RIGHT = [[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]]
CYCLE = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]
APART = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
RARE = [[1 - 1e-80, 1e-80, 0.0], [1e-30, 1 - 2e-30, 1e-30], [0.0, 1e-50, 1 - 1e-50]]
CHAINS = {"full": FULL, "left-right": LEFT_RIGHT, "cycle": CYCLE, "apart": APART, "rare": RARE}


def far_rows(n, size):
    """Rows that are likely nowhere: up to `size` standard deviations from every state, on both sides."""
    return np.random.default_rng(0).uniform(-size, size, (n, 1))


def assert_same_as_in_logs(model, X, **close):
    close = close or {"rtol": 1e-9, "atol": 1e-9}
    exact = LogSpace(model.startprob_, model.transmat_, norm.logpdf(X, model.means_.T))
    assert_allclose(model.score_samples(X), exact.log_normaliser, **close)
    assert_allclose(model.predict_proba(X), exact.proba, **close)
    assert_allclose(model.predict_proba_filtered(X), exact.filtered, **close)
    assert_allclose(model.predict_proba_lagged(X, lag=len(X)), exact.proba, **close)
    hmm, params = fitted_model(model)
    stats = hmm.e_step(params, as_sequences(read(model, X, reset=False)))
    assert_allclose(stats.objective, exact.log_likelihood, **close)
    assert_allclose(stats.first, exact.proba[0], **close)
    assert_allclose(stats.pairs, exact.pairs, **close)
    assert_allclose(stats.counts, exact.proba.sum(axis=0), **close)


@pytest.mark.parametrize("startprob", [[1, 0, 0], [0.2, 0.3, 0.5]], ids=["first", "any"])
@pytest.mark.parametrize("size", [1, 30, 1000])
@pytest.mark.parametrize("chain", CHAINS)
def test_far_rows(chain, size, startprob):
    assert_same_as_in_logs(gaussian(startprob, CHAINS[chain], [-10, 0, 10]), far_rows(40, size))


@pytest.mark.parametrize("chain", CHAINS)
def test_a_state_that_comes_back_from_beyond_doubles(chain):
    """The first rows all but exclude what the later ones prove right."""
    X = np.concatenate([np.full(3, 45.0), np.full(60, -20.0)])[:, None]
    for startprob in ([0.3, 0.3, 0.4], [1 - 1e-200, 1e-200, 0.0]):
        assert_same_as_in_logs(gaussian(startprob, CHAINS[chain], [-10, 0, 10]), X)


def test_gaps_between_far_rows():
    X = far_rows(40, 1000)
    X[5:15] = X[-1] = np.nan
    model = gaussian([0.2, 0.3, 0.5], LEFT_RIGHT, [-10, 0, 10])
    log_density = np.where(np.isnan(X), 0.0, norm.logpdf(X, model.means_.T))
    exact = LogSpace(model.startprob_, model.transmat_, log_density)
    assert_allclose(model.predict_proba(X), exact.proba, atol=1e-9)
    assert_allclose(model.score_samples(X), exact.log_normaliser, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("chain", CHAINS)
def test_some_of_the_sequences_in_logarithms(chain):
    """Far rows in two of five sequences, with known states, weights and gaps; results stand where they belong."""
    rng = np.random.default_rng(0)
    lengths, weight = [6, 9, 1, 7, 8], np.array([1.0, 0.3, 2.0, 1.7, 0.6])
    starts = np.cumsum([0, *lengths])
    X = rng.uniform(-12, 12, (starts[-1], 1))
    X[starts[1] : starts[2]] *= 60
    X[starts[4] :] *= -60
    X[[3, 8, 15, 29]] = np.nan
    labels = np.full(len(X), -1)
    labels[[4, 10, 15, 28]] = 1
    model = gaussian([0.4, 0.5, 0.1], CHAINS[chain], [-10, 0, 10])
    hmm, params = fitted_model(model)
    by_row = {"sample_weight": np.repeat(weight, lengths), "labels": labels}
    log_density = np.where(np.isnan(X), 0.0, norm.logpdf(X, model.means_.T))
    log_density[(labels[:, None] >= 0) & (labels[:, None] != np.arange(3))] = -np.inf
    parts = [slice(*ends) for ends in pairwise(starts)]
    each = [LogSpace(model.startprob_, model.transmat_, log_density[part]) for part in parts]
    if any(np.isinf(one.log_likelihood) for one in each):
        pytest.skip("these labels are impossible in this chain")
    stats = hmm.e_step(params, as_sequences(read(model, X, lengths=lengths, **by_row, reset=False)))
    resp = [w * one.proba for w, one in zip(weight, each, strict=True)]
    close = {"rtol": 1e-9, "atol": 1e-9}
    assert_allclose(stats.objective, weight @ [one.log_likelihood for one in each], **close)
    assert_allclose(stats.first, sum(r[0] for r in resp), **close)
    assert_allclose(stats.pairs, sum(w * one.pairs for w, one in zip(weight, each, strict=True)), **close)
    assert_allclose(stats.counts, sum(r.sum(axis=0) for r in resp), **close)
    moved = np.nan_to_num(X - model.means_.T)[:, :, None]
    assert_allclose(stats.moments[1], np.einsum("nk,nkd->kd", np.concatenate(resp), moved), **close)


def test_columns_whose_densities_underflow_together():
    """Two states that are never left: one row is for the second by a factor of 1e399, five are for the first by 1e100.

    The first state's density in that row must not become zero for good.
    """
    rows = np.zeros((6, 200))
    rows[0] = 1
    rows[1:, :75] = 1
    chances = np.array([0.01, 0.99])  # of a 1, in each state
    log_density = np.array([[bernoulli.logpmf(row, p).sum() for p in chances] for row in rows])
    exact = LogSpace(np.full(2, 0.5), np.eye(2), log_density)
    assert exact.proba[0, 0] > 0.99
    tables = np.stack([1 - chances, chances], axis=1)
    for emission, emissionprob in (("categorical", [tables] * 200), ("bernoulli", np.tile(chances[:, None], 200))):
        model = EMHiddenMarkov(2, emission=emission)
        model.startprob_, model.transmat_, model.emissionprob_ = np.full(2, 0.5), np.eye(2), emissionprob
        assert_allclose(model.score_samples(rows), exact.log_normaliser, rtol=1e-10, err_msg=emission)
        assert_allclose(model.predict_proba(rows), exact.proba, atol=1e-10, err_msg=emission)


def test_no_warning_of_numbers_that_were_never_computed():
    """Where a sequence is left to logarithms, what the fast kernel has not written must not be looked at."""
    X = far_rows(100, 1000)
    model = gaussian([1, 0, 0], LEFT_RIGHT, [-10, 0, 10])
    for _ in range(20):
        garbage = [np.full(len(X), -1.0) for _ in range(50)]
        del garbage
        model.score_samples(X)


def test_forecast_of_infinite_variance_that_is_never_reached():
    model = EMHiddenMarkov(2, emission="student", covariance_type="diag")
    model.startprob_, model.transmat_ = np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.5, 0.5]])
    model.means_, model.covariances_ = np.zeros((2, 1)), np.ones((2, 1))
    model.degrees_of_freedom_ = np.array([4.0, 1.5])
    assert_allclose(model.forecast(np.zeros((3, 1)), 2).variance, 2.0)


@pytest.mark.parametrize("chain", ["full", "left-right"])
def test_paths_drawn_in_logarithms(chain):
    """Far rows leave no doubt of the state, so that each draw must be the most probable path."""
    model = gaussian([0.4, 0.3, 0.3], CHAINS[chain], [-10, 0, 10])
    X = np.concatenate([np.full(4, -400.0), np.full(4, 2.0), np.full(4, 400.0)])[:, None]
    assert_array_equal(model.sample_paths(X, 20), np.tile(model.predict(X), (20, 1)))


def test_impossible_row():
    """It is named, also where a chunk has other sequences and rows are shuffled."""
    model = EMHiddenMarkov(2, emission="categorical")
    model.startprob_, model.transmat_ = np.array([1.0, 0.0]), np.array([[0.5, 0.5], [0.0, 1.0]])
    model.emissionprob_ = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    X, ids = np.array([[0], [2], [1], [2], [2], [2]]), [0, 1, 0, 0, 0, 0]
    for method in ("predict", "score_samples", "predict_proba"):
        with pytest.raises(ValueError, match="row 1 has probability zero"):
            getattr(model, method)(X, sequence_id=ids)
    with pytest.raises(ValueError, match="row 3 has probability zero"):
        model.score_samples([[0], [1], [2], [0], [2]])


@pytest.mark.parametrize("chain", ["full", "left-right", "cycle"])
def test_responsibilities_sum_to_the_weight(chain):
    """Of far rows, log densities of -5e5 have lost ten digits; a thousand of them must not lose more."""
    X = far_rows(20_000, 1000)
    model, params = fitted_model(gaussian([0.2, 0.3, 0.5], CHAINS[chain], [-10, 0, 10]))
    chunk = as_sequences(read(EMHiddenMarkov(3), X, reset=False))
    result = smoothing.smoothed(model, params, chunk)
    assert_allclose(result.resp.sum(axis=1), 1, atol=1e-9)
    assert_allclose(result.pairs.sum(), len(X) - 1, rtol=1e-10)


def test_a_left_right_fit_of_far_rows():
    """Stages in a fixed order, some rows 1000 standard deviations off: zeros stay, the objective is that of logs."""
    rng = np.random.default_rng(0)
    X = (np.repeat([0.0, 5.0, 10.0], 40) + rng.normal(size=120))[:, None]
    X[[10, 60, 100]] += 1000
    model = EMHiddenMarkov(
        3, emission="gaussian", startprob_init=[1, 0, 0], transmat_init=LEFT_RIGHT, means_init=[[0], [5], [10]],
        covariances_init=np.ones((3, 1, 1)), fixed=("covariances",),
    ).fit(X)  # fmt: skip
    assert_array_equal(model.transmat_ > 0, np.array(LEFT_RIGHT) > 0)
    assert_array_equal(model.startprob_, [1, 0, 0])
    exact = LogSpace(model.startprob_, model.transmat_, norm.logpdf(X, model.means_.T))
    assert_allclose(model.objective_, exact.log_likelihood, rtol=1e-10)
    assert (np.diff(model.history_["objective"]) >= -1e-12 * abs(model.objective_)).all()


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["full", "left-right", "cycle"])
def test_a_million_steps(chain):
    X = far_rows(10**6, 1000)
    model = gaussian([0.2, 0.3, 0.5], CHAINS[chain], [-10, 0, 10])
    scores = model.score_samples(X)
    assert np.isfinite(scores).all()
    exact = LogSpace(model.startprob_, model.transmat_, norm.logpdf(X[:200], model.means_.T))
    assert_allclose(scores[:200], exact.log_normaliser, rtol=1e-9, atol=1e-9)
    proba = model.predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1)
    hmm, params = fitted_model(model)
    stats = hmm.e_step(params, as_sequences(read(model, X, reset=False)))
    assert_allclose(stats.objective, scores.sum(), rtol=1e-12)
    assert_allclose(stats.counts, proba.sum(axis=0), rtol=1e-6)
    assert_allclose(stats.pairs.sum(), 10**6 - 1, rtol=1e-6)
    fitted = EMHiddenMarkov(3, max_iter=3, tol=0, n_init=1, random_state=0).fit(X)
    assert np.isfinite(fitted.objective_)


# --- long sequences in blocks ---


def both_ways(p, monkeypatch, block, keep, labelled, sequence=None):
    """Statistics of one sequence as a whole and by blocks; and whether blocks gave up for logarithms."""
    model, params = fitted_model(p.estimator)
    labels = p.labels if labelled else None
    table = read(p.estimator, p.X, lengths=p.lengths, sample_weight=p.row_weight, labels=labels, reset=False)
    chunk = as_sequences(table)
    whole = model.e_step(params, chunk)
    calls = []
    monkeypatch.setattr(smoothing, "LONG", 2)
    monkeypatch.setattr(smoothing, "LEAST_BLOCK", block)
    monkeypatch.setattr(smoothing.math, "isqrt", lambda n: 1)
    monkeypatch.setattr(smoothing, "KEPT_BYTES", 10**9 if keep else 0)
    in_logs = smoothing.smoothed_in_logs
    monkeypatch.setattr(smoothing, "smoothed_in_logs", lambda *a: calls.append(1) or in_logs(*a))
    by_block = model.e_step(params, chunk)
    monkeypatch.undo()
    return whole, by_block, bool(calls)


def assert_same_stats(one, two):
    for field in ("objective", "weight", "first", "pairs", "counts"):
        assert_allclose(getattr(one, field), getattr(two, field), rtol=1e-10, atol=1e-10, err_msg=field)

    def compare(a, b):
        if isinstance(a, tuple | Sums):
            for left, right in zip(a, b, strict=True):
                compare(left, right)
        else:
            assert_allclose(a, b, rtol=1e-10, atol=1e-9)

    compare(one.moments, two.moments)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("block", [1, 2, 7, 32, 97, 1000])
@pytest.mark.parametrize("name", ["gaussian full", "categorical", "mixed"])
def test_blocks(monkeypatch, name, block, keep, labelled):
    p = problem(name, lengths=(97,), missing=0.2)
    whole, by_block, gave_up = both_ways(p, monkeypatch, block, keep, labelled)
    assert not gave_up
    assert_same_stats(whole, by_block)


@pytest.mark.parametrize("k", [1, 2, 5, 9, 17])
def test_blocks_of_many_states(monkeypatch, k):
    p = problem("poisson", k, lengths=(97,), missing=0.2)
    assert_same_stats(*both_ways(p, monkeypatch, 10, False, False)[:2])


@pytest.mark.parametrize("labelled", [False, True])
def test_blocks_of_a_left_right_chain(monkeypatch, labelled):
    p = problem("poisson", lengths=(97,), zeros=True)
    assert_same_stats(*both_ways(p, monkeypatch, 10, True, labelled)[:2])


@pytest.mark.parametrize("place", [5, 45, 96])
def test_blocks_give_up_for_logarithms(monkeypatch, place):
    """A row that no state likes, within a chain with zeros: the blocks before it must not be counted twice."""
    p = problem("gaussian full", lengths=(97,), zeros=True)
    p.X[place] = 1e4
    whole, by_block, gave_up = both_ways(p, monkeypatch, 10, True, False)
    assert gave_up
    assert_same_stats(whole, by_block)


def test_a_fit_in_blocks_is_the_fit_of_the_whole(monkeypatch):
    p = problem("poisson", 2, lengths=(300,))
    fit = EMHiddenMarkov(2, emission="poisson", random_state=0, n_init=1).fit(p.X)
    monkeypatch.setattr(smoothing, "LONG", 2)
    monkeypatch.setattr(smoothing, "LEAST_BLOCK", 8)
    by_block = EMHiddenMarkov(2, emission="poisson", random_state=0, n_init=1).fit(p.X)
    assert_allclose(by_block.objective_, fit.objective_, rtol=1e-10)
    assert_allclose(by_block.rates_, fit.rates_, rtol=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("name", ["gaussian full", "categorical", "poisson"])
@pytest.mark.parametrize("few", [0, 16])
def test_methods_by_blocks(monkeypatch, name, missing, few):
    """What is said of a long sequence is what is said of it as a whole."""
    p = problem(name, lengths=(97,), missing=missing)
    model = p.estimator
    methods = [model.predict_proba, model.predict_proba_filtered, model.score_samples, model.predict]
    whole = [method(p.X) for method in methods] + [model.decode(p.X)[0]]
    monkeypatch.setattr(smoothing, "LONG", 2)
    monkeypatch.setattr(smoothing, "LEAST_BLOCK", 10)
    monkeypatch.setattr(decoding, "FEW_STATES", few)
    monkeypatch.setattr(decoding, "MANY_ROWS", 50)
    by_block = [method(p.X) for method in methods] + [model.decode(p.X)[0]]
    for one, other in zip(whole, by_block, strict=True):
        assert_allclose(one, other, rtol=1e-10, atol=1e-12)
