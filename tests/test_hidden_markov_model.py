"""check_em_model for hidden Markov models of each emission: chunks are whole sequences."""

from dataclasses import replace

import numpy as np
import pytest
from hidden_markov_oracle import EMISSIONS, problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import poisson

from emkit import DegenerateSolutionWarning, EMHiddenMarkov
from emkit.families.base import Sums
from emkit.families.table import family_class
from emkit.hidden_markov import HiddenMarkovModel, HiddenMarkovParams
from emkit.hidden_markov.chain import stationary_distribution
from emkit.hidden_markov.fitting import make_model, options_of
from emkit.hidden_markov.reading import as_sequences, read
from emkit.testing import check_em_model

LENGTHS = (5, 1, 8, 2, 9, 4, 3, 7, 1, 6, 5, 10, 2, 8, 4, 7)


def sequences(p, labelled=False):
    estimator = EMHiddenMarkov(len(p.startprob), **p.emission.arguments)
    labels = p.labels if labelled else None
    return as_sequences(read(estimator, p.X, lengths=p.lengths, sample_weight=p.row_weight, labels=labels, reset=False))


def model_of(p, fixed=(), cls=HiddenMarkovModel, **arguments):
    estimator = EMHiddenMarkov(len(p.startprob), fixed=fixed, **p.emission.arguments, **arguments)
    family = family_class(estimator.emission).for_data(len(p.startprob), options_of(estimator), p.X)
    model = make_model(estimator, family)
    return cls(model.family, model.chain, model.fixed, model.can_accelerate)


def reversal(model):
    """The same parameters with the states in the opposite order."""

    def reverse_part(part):
        if isinstance(part, list):
            return [table[::-1].copy() for table in part]
        is_shared = np.ndim(part) == 0 or len(part) != model.family.n_components
        return part if is_shared else part[::-1].copy()

    def reverse(params):
        parts = model.family.parts(params.emission)
        emission = model.family.from_parts({name: reverse_part(part) for name, part in parts.items()})
        return HiddenMarkovParams(params.startprob[::-1].copy(), params.transmat[::-1, ::-1].copy(), emission)

    return reverse


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("name", EMISSIONS)
def test_emissions(name, missing):
    p = problem(name, 3, LENGTHS, missing)  # three states and two features, so that shapes tell them apart
    model = model_of(p)
    check_em_model(model, sequences(p), permute=reversal(model), n_steps=5)


@pytest.mark.parametrize("start", ["free", "stationary", "uniform"])
@pytest.mark.parametrize("name", ["gaussian diag", "categorical"])
def test_starts_and_priors(name, start):
    p = problem(name, 3, LENGTHS, 0.1)
    prior = {"startprob_prior": 1.5, "transmat_prior": 1.2, "sticky": 3.0, "emissionprob_prior": 1.1}
    model = model_of(p, start=start, **prior)
    permute = None if start == "stationary" else reversal(model)  # a search is not the same to the last digit
    check_em_model(model, sequences(p), permute=permute, n_steps=5)


@pytest.mark.parametrize("fixed", [("startprob",), ("transmat",), ("rates",), ("startprob", "transmat", "rates")])
def test_fixed_parameters(fixed):
    p = problem("poisson", 3, LENGTHS, 0.1)
    model = model_of(p, fixed)
    start = HiddenMarkovParams(p.startprob, p.transmat, model.family.from_parts(p.emission.parts))
    check_em_model(model, sequences(p), params=start, permute=reversal(model), n_steps=5)


def test_known_states():
    p = problem("gaussian full", 3, LENGTHS, 0.1)
    check_em_model(model_of(p), sequences(p, labelled=True), n_steps=5)


def test_structural_zeros():
    p = problem("poisson", 3, LENGTHS, zeros=True)
    model = model_of(p, startprob_init=p.startprob, transmat_init=p.transmat)
    start = HiddenMarkovParams(p.startprob, p.transmat, model.family.from_parts(p.emission.parts))
    check_em_model(model, sequences(p), params=start, n_steps=5)


@pytest.mark.parametrize(
    "name", ["gaussian full", "gaussian tied", "poisson", "bernoulli", "categorical of two columns"]
)
def test_recovery(name):
    p, simulated = (problem(name, 2, lengths, seed=4) for lengths in (LENGTHS, (12,) * 40))
    model = model_of(simulated)
    truth = HiddenMarkovParams(p.startprob, p.transmat, model.family.from_parts(p.emission.parts))
    check_em_model(model, sequences(p), truth=(truth, sequences(simulated).reweighted(np.ones(40))), n_steps=2)


# Models broken in one statistic each: nested statistics are compared one by one.


class WrongMoment(HiddenMarkovModel):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        first, *others = stats.moments
        return replace(stats, moments=Sums((first, *others[:-1], others[-1] + 1e-3)))


class ForgetsLastPair(HiddenMarkovModel):
    """A transition less for each chunk, as if chunks were cut from one sequence."""

    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, pairs=stats.pairs - 1e-3 * params.transmat)


class WeightOfTheFirst(HiddenMarkovModel):
    def e_step(self, params, chunk):
        return super().e_step(params, chunk.reweighted(np.full(len(chunk), chunk.weight[0])))


BROKEN = {
    WrongMoment: "additivity: .* moments differs",
    ForgetsLastPair: "additivity: .* pairs differs",
    WeightOfTheFirst: "additivity: ",
}


@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_broken_model(cls):
    p = problem("poisson", 3, LENGTHS)
    with pytest.raises(AssertionError, match="^" + BROKEN[cls]):
        check_em_model(model_of(p, cls=cls), sequences(p), n_steps=2)


def test_weights_of_sequences():
    p = problem("poisson", 3, LENGTHS)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(LENGTHS))
    check_em_model(model_of(p), sequences(p), sample_weight=weight, n_steps=2)


def test_a_left_right_chain_that_is_stationary_is_in_its_last_state():
    """Rounding must not leave a chance in the states that are left for ever."""
    X = np.random.default_rng(0).poisson(5.0, size=(60, 1))
    moves = [[0.9, 0.1, 0], [0, 0.9, 0.1], [0, 0, 1]]
    with pytest.warns(DegenerateSolutionWarning, match="state.*0, 1 have lost all rows"):
        model = EMHiddenMarkov(3, emission="poisson", start="stationary", transmat_init=moves, random_state=3).fit(X)
    assert_array_equal(model.startprob_, [0, 0, 1])
    assert_allclose(model.rates_[2], X.mean())
    assert_allclose(model.objective_, poisson.logpmf(X, X.mean()).sum())


def test_stationary_distribution_of_sets_that_are_never_left():
    moves = np.zeros((5, 5))
    moves[:2, :2], moves[2], moves[3, 4], moves[4, 3] = [[0.5, 0.5], [0.25, 0.75]], [0.2, 0, 0.6, 0.2, 0], 1, 1
    start = stationary_distribution(moves)
    assert_allclose(start @ moves, start)
    assert start[2] == 0
    assert (start[[0, 1, 3, 4]] > 0).all()
