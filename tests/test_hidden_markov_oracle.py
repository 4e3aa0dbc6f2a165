"""EMHiddenMarkov against brute force over all paths of states: predictions, draws, forecasts and the E-step."""

import numpy as np
import pytest
from hidden_markov_oracle import EMISSIONS, problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from emkit import selection
from emkit.families.base import Sums
from emkit.hidden_markov.fitting import fitted_model
from emkit.hidden_markov.reading import as_sequences, read

CLOSE = {"rtol": 1e-10, "atol": 1e-10}
CASES = [
    pytest.param(name, {"k": k, "missing": missing, "zeros": zeros}, id=f"{name}-{k}-{missing}-{zeros}")
    for name in EMISSIONS
    for k, missing, zeros in [(1, 0.2, False), (2, 0.0, False), (3, 0.0, False), (3, 0.3, False), (3, 0.2, True)]
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_likelihoods(name, kind):
    p = problem(name, **kind)
    scores = p.estimator.score_samples(p.X, lengths=p.lengths)
    expected = []
    for x in p.sequences:
        prefixes = [p.all_paths(x[:end]).log_likelihood for end in range(1, len(x) + 1)]
        expected.extend(np.diff(prefixes, prepend=0.0))
    assert_allclose(scores, expected, **CLOSE)
    mean = p.estimator.score(p.X, lengths=p.lengths, sample_weight=p.row_weight)
    assert_allclose(mean, p.row_weight @ expected / p.row_weight.sum(), **CLOSE)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_probabilities_of_states(name, kind):
    p = problem(name, **kind)
    model = p.estimator
    smoothed = np.concatenate([paths.proba() for paths in p.each()])
    assert_allclose(model.predict_proba(p.X, lengths=p.lengths), smoothed, **CLOSE)
    for lag in (0, 1, 2, 4, 100):
        expected = [p.all_paths(x[: t + lag + 1]).proba()[t] for x in p.sequences for t in range(len(x))]
        assert_allclose(model.predict_proba_lagged(p.X, lag=lag, lengths=p.lengths), expected, **CLOSE)
        if lag == 0:
            assert_allclose(model.predict_proba_filtered(p.X, lengths=p.lengths), expected, **CLOSE)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_paths(name, kind):
    """Missing rows make ties, of which any order is right: each path must have the probability of its rank."""
    p = problem(name, **kind)
    each, ends = p.each(), np.cumsum(p.lengths)[:-1]
    log_probability, states = p.estimator.decode(p.X, lengths=p.lengths)
    assert_allclose(log_probability, sum(paths.log_joint.max() for paths in each), **CLOSE)
    for paths, path in zip(each, np.split(states, ends), strict=True):
        assert_allclose(paths.log_joint[paths.number(path)], paths.log_joint.max(), **CLOSE)
    assert_array_equal(p.estimator.predict(p.X, lengths=p.lengths), states)
    n_best = 7
    log_probability, states = p.estimator.decode_k_best(p.X, n_best, lengths=p.lengths)
    assert log_probability.shape == (n_best, len(each))
    for i, (paths, of) in enumerate(zip(each, np.split(states, ends, axis=1), strict=True)):
        expected = np.sort(paths.log_joint)[::-1][:n_best]
        expected = expected[expected > -np.inf]
        found = [paths.number(path) for path in of[: len(expected)]]
        assert len(set(found)) == len(expected)
        assert_allclose(log_probability[: len(expected), i], expected, **CLOSE)
        assert_allclose(paths.log_joint[found], expected, **CLOSE)
        assert (log_probability[len(expected) :, i] == -np.inf).all()
        assert (of[len(expected) :] == -1).all()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_entropy_of_the_path(name, kind):
    p = problem(name, **kind)
    entropies = np.array([paths.entropy() for paths in p.each()])
    data = {"lengths": p.lengths, "sample_weight": p.row_weight}
    assert_allclose(selection.entropy(p.estimator, p.X, **data), p.weight @ entropies, **CLOSE)
    assert_allclose(selection.entropy(p.estimator, p.X, lengths=p.lengths), entropies.sum(), **CLOSE)
    model = p.estimator
    model.n_parameters_ = 7
    log_likelihood = p.weight @ [paths.log_likelihood for paths in p.each()]
    expected = -2 * log_likelihood + 7 * np.log(p.row_weight.sum()) + 2 * p.weight @ entropies
    assert_allclose(model.icl(p.X, **data), expected, **CLOSE)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_forecast(name, kind):
    """The rows to come are missing rows: their states are those of all longer paths."""
    p = problem(name, **kind)
    steps = 2
    forecast = p.estimator.forecast(p.X, steps, lengths=p.lengths)
    assert forecast.sequence_id == list(range(len(p.lengths)))
    for i, x in enumerate(p.sequences):
        longer = np.vstack([x, np.full((steps, x.shape[1]), np.nan)])
        proba = p.all_paths(longer).proba()[-steps:]
        mean = proba @ p.emission.mean
        assert_allclose(forecast.state_proba[i], proba, **CLOSE)
        assert_allclose(forecast.mean[i], mean, **CLOSE)
        assert_allclose(forecast.variance[i], proba @ (p.emission.variance + p.emission.mean**2) - mean**2, **CLOSE)
        tables = getattr(p.emission, "tables", [])
        assert len(forecast.symbol_proba) == len(tables)
        for given, table in zip(forecast.symbol_proba, tables, strict=True):
            assert_allclose(given[i], proba @ table, **CLOSE)


def leaves(value):
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, tuple | Sums) else [value]


def assert_same_moments(actual, expected):
    assert len(leaves(actual)) == len(leaves(expected))
    for a, b in zip(leaves(actual), leaves(expected), strict=True):
        is_triangle = a.ndim == 3 and a.shape[-1] == a.shape[-2]
        assert_allclose(np.tril(a) if is_triangle else a, b, **CLOSE)


def as_sums(value):
    return Sums(as_sums(part) if isinstance(part, tuple | Sums) else part for part in value)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_e_step(name, kind, labelled):
    p = problem(name, **kind)
    model, params = fitted_model(p.estimator)
    labels = p.labels if labelled else None
    table = read(p.estimator, p.X, lengths=p.lengths, sample_weight=p.row_weight, labels=labels, reset=False)
    stats_ = model.e_step(params, as_sequences(table))
    each = p.each(labelled)
    resp = [w * paths.proba() for w, paths in zip(p.weight, each, strict=True)]
    assert_allclose(stats_.objective, p.weight @ [paths.log_likelihood for paths in each], **CLOSE)
    assert_allclose(stats_.weight, p.row_weight.sum(), **CLOSE)
    assert_allclose(stats_.first, sum(r[0] for r in resp), **CLOSE)
    assert_allclose(stats_.pairs, sum(w * paths.pairs() for w, paths in zip(p.weight, each, strict=True)), **CLOSE)
    assert_allclose(stats_.counts, np.concatenate(resp).sum(axis=0), **CLOSE)
    by_row = [as_sums(p.emission.moments(x, r)) for x, r in zip(p.X, np.concatenate(resp), strict=True)]
    assert_same_moments(stats_.moments, sum(by_row[1:], by_row[0]))


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", ["gaussian full", "categorical", "student", "mixed"])
def test_a_sequence_of_weight_w_is_w_sequences(name, labelled):
    p = problem(name, missing=0.2)
    times = np.array([2, 1, 0, 3])
    model, params = fitted_model(p.estimator)
    given = {"labels": p.labels if labelled else None, "reset": False}
    table = read(p.estimator, p.X, lengths=p.lengths, sample_weight=np.repeat(times * 1.0, p.lengths), **given)
    weighted = as_sequences(table)
    once = as_sequences(read(p.estimator, p.X, lengths=p.lengths, **given))
    one, two = (model.e_step(params, c) for c in (weighted, once.take(np.repeat(np.arange(4), times))))
    for field in ("objective", "weight", "first", "pairs", "counts"):
        assert_allclose(getattr(one, field), getattr(two, field), **CLOSE)
    for a, b in zip(leaves(one.moments), leaves(two.moments), strict=True):
        assert_allclose(a, b, **CLOSE)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("name", ["gaussian full", "categorical", "mixed"])
def test_frequencies_of_drawn_paths(name, zeros):
    p = problem(name, lengths=(4, 1, 3), zeros=zeros, seed=1)
    n_paths = 20_000
    states = p.estimator.sample_paths(p.X, n_paths, lengths=p.lengths)
    for paths, drawn in zip(p.each(), np.split(states, np.cumsum(p.lengths)[:-1], axis=1), strict=True):
        number = np.ravel_multi_index(drawn.T, (paths.k,) * drawn.shape[1])
        observed, expected = np.bincount(number, minlength=len(paths.paths)), n_paths * paths.probability
        assert observed[expected == 0].sum() == 0
        often = expected > 5
        rest = observed[~often].sum(), expected[~often].sum()
        observed, expected = np.append(observed[often], rest[0]), np.append(expected[often], rest[1])
        if len(observed) > 1 and expected[-1] == 0:
            observed, expected = observed[:-1], expected[:-1]
        chi_squared = ((observed - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
        assert stats.chi2.sf(chi_squared, max(len(observed) - 1, 1)) > 1e-3


@pytest.mark.parametrize("name", ["gaussian full", "poisson", "categorical of two columns"])
def test_interleaved_sequences(name):
    """Rows of sequences told apart by an id in any order of rows give what grouped rows give."""
    p = problem(name, missing=0.2)
    mixed_ids = np.random.default_rng(0).permutation(np.repeat(np.arange(len(p.lengths)), p.lengths))
    place = np.argsort(np.argsort(mixed_ids, kind="stable"))  # of each shuffled row among the grouped ones
    model, X = p.estimator, p.X[place]
    for method in ("predict_proba", "predict_proba_filtered", "score_samples", "predict"):
        grouped = getattr(model, method)(p.X, lengths=p.lengths)
        assert_allclose(getattr(model, method)(X, sequence_id=mixed_ids), grouped[place], **CLOSE)
    ahead = model.forecast(X, 2, sequence_id=mixed_ids)
    first_seen = list(dict.fromkeys(mixed_ids.tolist()))
    assert ahead.sequence_id == first_seen
    assert_allclose(ahead.mean, model.forecast(p.X, 2, lengths=p.lengths).mean[first_seen], **CLOSE)


@pytest.mark.parametrize("name", ["gaussian full", "categorical"])
def test_many_chunks(name):
    """Results of thousands of sequences, taken in chunks, are those of each by itself."""
    p = problem(name, 2, lengths=tuple(np.random.default_rng(0).integers(1, 12, 4000)), missing=0.1)
    model, starts = p.estimator, np.cumsum([0, *p.lengths])
    scores, proba = (getattr(model, m)(p.X, lengths=p.lengths) for m in ("score_samples", "predict_proba"))
    log_probability, states = model.decode_k_best(p.X, 2, lengths=p.lengths)
    for i in (0, 1, 1500, 1700, 3998, 3999):
        rows = slice(starts[i], starts[i + 1])
        assert_allclose(scores[rows], model.score_samples(p.X[rows]), **CLOSE)
        assert_allclose(proba[rows], model.predict_proba(p.X[rows]), **CLOSE)
        alone = model.decode_k_best(p.X[rows], 2)
        assert_allclose(log_probability[:, [i]], alone[0], **CLOSE)
        assert_array_equal(states[:, rows], alone[1])
