"""partial_fit of hidden Markov models: one step is one EM step, many lead to where `fit` leads."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emkit import EMHiddenMarkov
from emkit.engine import run_em
from emkit.hidden_markov.fitting import make_model
from emkit.hidden_markov.reading import as_sequences, read

TRANSMAT = np.array([[0.9, 0.1], [0.3, 0.7]])
LENGTHS = [30, 1, 25, 44]


def drawn(kind, lengths, seed=0):
    """Sequences of two states, one array (n, d)."""
    rng = np.random.default_rng(seed)
    states = []
    for length in lengths:
        state = rng.integers(2)
        for _ in range(length):
            states.append(state)
            state = int(rng.random() < TRANSMAT[state, 1])
    states = np.array(states)
    numbers = rng.normal(size=(len(states), 2)) + np.array([[0, 0], [2, -1]])[states]
    counts = rng.poisson(np.array([2.0, 7.0])[states])[:, None]
    symbols = (rng.random((len(states), 3)) < np.array([0.2, 0.7])[states][:, None]).sum(axis=1)[:, None]
    tables = {"categorical": symbols, "poisson": counts, "bernoulli": counts > 4}
    if isinstance(kind, list):
        return np.hstack([numbers, counts, symbols]).astype(float)
    return np.asarray(tables.get(kind, numbers), dtype=float)


EMISSIONS = {
    "full": {"emission": "gaussian"},
    "tied": {"emission": "gaussian", "covariance_type": "tied"},
    "diag": {"emission": "gaussian", "covariance_type": "diag"},
    "mixture": {"emission": "mixture"},
    "student": {"emission": "student"},
    "categorical": {"emission": "categorical"},
    "poisson": {"emission": "poisson"},
    "bernoulli": {"emission": "bernoulli"},
    "mixed": {"emission": ["gaussian", "gaussian", "poisson", "categorical"], "emissionprob_prior": 1.0},
}
PLAIN = {"tol": 0, "accelerate": False, "n_init": 1, "random_state": 0}


def parameters(model):
    names = ("startprob_", "transmat_", "means_", "covariances_", "weights_", "degrees_of_freedom_", "emissionprob_",
             "rates_")  # fmt: skip
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


def assert_same(one, other, **tolerance):
    one, other = parameters(one), parameters(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert_allclose(value, other[name], err_msg=name, **tolerance)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("start", ["free", "stationary", "uniform"])
@pytest.mark.parametrize("kind", EMISSIONS)
def test_all_data_again_are_one_step(kind, start, gaps):
    """The average of equal statistics is what they are, whatever the rate."""
    X = drawn(EMISSIONS[kind]["emission"], LENGTHS)
    if gaps:
        X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    options = {**EMISSIONS[kind], **PLAIN, "start": start}
    online = EMHiddenMarkov(2, max_iter=3, **options).fit(X, lengths=LENGTHS).partial_fit(X, lengths=LENGTHS)
    precision = 1e-6 if start == "stationary" else 1e-9  # a search, whose path depends on the unit of the statistics
    whole = EMHiddenMarkov(2, max_iter=4, **options).fit(X, lengths=LENGTHS)
    assert_same(online, whole, rtol=precision, atol=1e-12)
    assert (online.n_iter_, online.n_e_steps_, online.n_sequences_) == (4, 5, 8)


@pytest.mark.parametrize("kind", EMISSIONS)
def test_statistics_are_those_about_the_new_parameters(kind):
    """So that an M-step from them alone moves nothing."""
    X, Y = (drawn(EMISSIONS[kind]["emission"], LENGTHS, seed) for seed in (0, 1))
    online = EMHiddenMarkov(2, max_iter=3, **EMISSIONS[kind], **PLAIN)
    online = online.fit(X, lengths=LENGTHS).partial_fit(Y, lengths=LENGTHS)
    family, state = online._online
    model = make_model(online, family)
    again = model.m_step(state.stats, state.params)
    for name, part in family.parts(again.emission).items():
        for now, before in zip(np.atleast_1d(part), np.atleast_1d(getattr(online, f"{name}_")), strict=True):
            assert_allclose(now, before, rtol=1e-8, atol=1e-10, err_msg=name)
    assert_allclose(again.transmat, online.transmat_, rtol=1e-12)
    assert state.stats.weight == pytest.approx(1, rel=1e-12)


PRIORS = {
    "sticky": {"sticky": 30.0},
    "moves": {"transmat_prior": [[3.0, 20.0], [1.0, 9.0]]},
    "starts": {"startprob_prior": [1.0, 50.0]},
    "symbols": {"emissionprob_prior": 40.0},
    "mixed": {"emission": ["categorical", "poisson"], "emissionprob_prior": 40.0, "sticky": 9.0},
}


@pytest.mark.parametrize("batches", [1, 4])
@pytest.mark.parametrize("kind", PRIORS)
def test_priors_count_once_for_all_rows(kind, batches):
    """As in a fit to the same rows, each counted as often as it was seen."""
    given = {"transmat_init": TRANSMAT, "emissionprob_init": [[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]}
    X = drawn("categorical", LENGTHS)
    if kind == "mixed":
        X, given["rates_init"] = np.hstack([X, drawn("poisson", LENGTHS)]), [[2.0], [6.0]]
    options = {"emission": "categorical", **PLAIN, **given, **PRIORS[kind]}
    start = EMHiddenMarkov(2, max_iter=0, **options).fit(X, lengths=LENGTHS)
    start.partial_fit(X, lengths=LENGTHS, sample_weight=np.full(100, float(batches)))
    weight = np.full(100, 1.0 + batches)
    whole = EMHiddenMarkov(2, max_iter=1, **options).fit(X, lengths=LENGTHS, sample_weight=weight)
    assert_same(start, whole, rtol=1e-9)


@pytest.mark.parametrize("kind", ["gaussian", "categorical", "poisson"])
def test_batches_in_random_order_lead_to_the_maximum(kind):
    lengths = np.full(300, 20)
    sequences = np.split(drawn(kind, lengths), 300)
    order = np.random.default_rng(0).permutation(300)
    whole = EMHiddenMarkov(2, emission=kind, random_state=0).fit(sequences)
    options = {"n_symbols": 4} if kind == "categorical" else {}
    online = EMHiddenMarkov(2, emission=kind, random_state=0, **options)
    for batch in np.array_split(order, 15):
        online.partial_fit([sequences[index] for index in batch])
    first = EMHiddenMarkov(2, emission=kind, random_state=0, **options).fit([sequences[i] for i in order[:20]])
    best, reached, begun = (model.score(sequences) for model in (whole, online, first))
    assert abs(best - reached) < 0.01 * abs(best)
    assert best - reached < 0.2 * (best - begun)
    assert online.n_sequences_ == 300


def test_zeros_and_fixed_parameters_stay():
    X = drawn("gaussian", LENGTHS)
    given = {"means_init": [[0.0, 0], [2, -1]], "transmat_init": [[0.9, 0.1], [0.0, 1.0]], "startprob_init": [1.0, 0.0]}
    online = EMHiddenMarkov(2, fixed=("means",), transmat_prior=2.0, **given).fit(X, lengths=LENGTHS)
    before = online.transmat_
    for seed in (1, 2):
        online.partial_fit(drawn("gaussian", LENGTHS, seed), lengths=LENGTHS)
    assert_array_equal(online.means_, given["means_init"])
    assert_array_equal(online.startprob_, [1, 0])
    assert_array_equal(online.transmat_[1], [0, 1])
    assert online.transmat_[0, 0] != before[0, 0]
    assert online.n_parameters_ == 1 + 6


def test_what_is_fixed_may_change_between_batches():
    X, Y = drawn("gaussian", LENGTHS), drawn("gaussian", LENGTHS, 1)
    online = EMHiddenMarkov(2, random_state=0).partial_fit(X, lengths=LENGTHS)
    moves = online.transmat_
    online.set_params(fixed=("transmat",)).partial_fit(Y, lengths=LENGTHS)
    assert_array_equal(online.transmat_, moves)


def test_a_first_batch_is_a_fit():
    X = drawn("poisson", LENGTHS)
    weight = np.repeat([1.0, 2, 0, 1], LENGTHS)
    one, other = (EMHiddenMarkov(2, emission="poisson", random_state=0) for _ in range(2))
    one.fit(X, lengths=LENGTHS, sample_weight=weight)
    other.partial_fit(X, lengths=LENGTHS, sample_weight=weight)
    assert one.objective_ == other.objective_
    assert_array_equal(one.rates_, other.rates_)


def test_weights_and_ids():
    """A sequence of weight 2 is two; ids may interleave."""
    X, Y = drawn("poisson", LENGTHS), drawn("poisson", [10, 10], 1)
    fitted = EMHiddenMarkov(2, emission="poisson", random_state=0).fit(X, lengths=LENGTHS)
    one, other = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    one.partial_fit([Y[:10], Y[10:], Y[10:]])
    mixed = np.arange(20).reshape(2, 10).T.ravel()
    other.partial_fit(Y[mixed], sequence_id=mixed // 10, sample_weight=1.0 + mixed // 10)
    assert_same(one, other, rtol=1e-10)
    assert (one.n_sequences_, other.n_sequences_) == (7, 6)


def test_threads_give_the_same_bits():
    sequences = np.split(drawn("gaussian", np.full(1000, 30)), 1000)
    fitted = EMHiddenMarkov(2, random_state=0).fit(sequences[:50])
    alone, threads = pickle.loads(pickle.dumps(fitted)), pickle.loads(pickle.dumps(fitted)).set_params(n_jobs=2)
    assert_array_equal(alone.partial_fit(sequences).means_, threads.partial_fit(sequences).means_)


def test_the_objective_is_that_of_the_average_statistics():
    X = drawn("poisson", LENGTHS)
    model = EMHiddenMarkov(2, emission="poisson", sticky=3.0, **PLAIN, max_iter=2).fit(X, lengths=LENGTHS)
    chain = make_model(model, model._online.family)
    params = model._online.state.params
    chunk = as_sequences(read(model, X, lengths=LENGTHS, reset=False))
    before = run_em(chain, params, [chunk], max_iter=0)
    model.partial_fit(X, lengths=LENGTHS)
    prior = chain.log_prior(model._online.state.params)
    assert model.objective_ == pytest.approx(2 * before.stats.objective + prior, rel=1e-12)


def test_a_later_fit_goes_on_from_there():
    X, Y = drawn("gaussian", LENGTHS), drawn("gaussian", LENGTHS, 1)
    online = EMHiddenMarkov(2, random_state=0, warm_start=True, max_iter=0, n_init=1)
    online.fit(X, lengths=LENGTHS).partial_fit(Y, lengths=LENGTHS)
    means = online.means_
    assert_allclose(online.fit(Y, lengths=LENGTHS).means_, means, rtol=1e-12)


class TestRefused:
    def fitted(self, kind="poisson", **options):
        X = drawn(kind, LENGTHS)
        return EMHiddenMarkov(2, emission=kind, random_state=0, **options).partial_fit(X, lengths=LENGTHS)

    @pytest.mark.parametrize(
        ("now", "message"),
        [
            ({"n_components": 3}, "partial_fit continues a fit with n_components=2, but now n_components=3"),
            ({"emission": "bernoulli"}, "with emission='poisson', but now emission='bernoulli'"),
            ({"covariance_type": "diag"}, "with covariance_type='full', but now covariance_type='diag'"),
            ({"n_symbols": [3]}, "with n_symbols=None, but now n_symbols="),
            ({"tol": -1}, "tol"),
        ],
    )
    def test_other_settings(self, now, message):
        model = self.fitted().set_params(**now)
        before = model.rates_
        with pytest.raises(ValueError, match=message):
            model.partial_fit(drawn("poisson", [5]))
        assert model.rates_ is before
        assert model.n_sequences_ == 4

    def test_other_columns(self):
        with pytest.raises(ValueError, match="X has 2 features, but EMHiddenMarkov is expecting 1"):
            self.fitted().partial_fit(np.ones((5, 2)))

    def test_values_that_the_emissions_do_not_know(self):
        with pytest.raises(ValueError, match=r"X\[2, 0\] is 0.5, but"):
            self.fitted().partial_fit([[1.0], [2.0], [0.5]])
        with pytest.raises(ValueError, match=r"X\[1, 0\] is 4, but its column has the 4 symbols"):
            self.fitted("categorical").partial_fit([[1.0], [4.0]])

    def test_a_symbol_that_the_first_batch_lacks(self):
        model = self.fitted("categorical", n_symbols=6)
        with pytest.raises(ValueError, match="row 1 has probability zero"):
            model.partial_fit([[1.0], [5.0]], lengths=[1, 1])
        smooth = self.fitted("categorical", n_symbols=6, emissionprob_prior=1.5)
        before = smooth.emissionprob_[:, 5].sum()
        smooth.partial_fit([[1.0], [5.0]], lengths=[1, 1])
        assert smooth.emissionprob_[:, 5].sum() > before

    def test_what_is_no_batch(self):
        for X, message in ((np.empty((0, 1)), "0 sample"), (np.array([[np.inf]]), "infinity")):
            with pytest.raises(ValueError, match=message):
                self.fitted().partial_fit(X)
        with pytest.raises(ValueError, match="y is ignored"):
            self.fitted().partial_fit(np.ones((3, 1)), [2, 1])
