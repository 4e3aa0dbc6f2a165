"""What must not matter to any estimator: units, offsets, orders, how weights are written, threads.

The mixtures of experts have such tests beside their model (`test_experts_model.py`), integers in the place of floats
are in `test_hostile.py`. Steps are plain and few, from a start that is given, so that two fits differ by rounding
alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from emkit import ComponentSearch, EMGaussianMixture, EMHiddenMarkov, EMImputer, EMMixture, EMTopicModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::emkit.DegenerateSolutionWarning"),
]
QUICK = settings(max_examples=8)
SEEDS = st.integers(0, 1000)
N, D, K, LENGTH = 60, 3, 2, 6
PLAIN = {"tol": 0, "max_iter": 8, "accelerate": False, "random_state": 0}


def numbers(rng):
    X = rng.normal(size=(N, D)) @ rng.normal(size=(D, D))
    return X + 3 * (np.arange(N) % 2)[:, None]


def with_gaps(rng):
    X = numbers(rng)
    X[rng.random(X.shape) < 0.15] = np.nan
    X[:2] = 0.0, 1.0, 2.0
    return X


def integers(high):
    def draw(rng):
        return np.where(np.arange(N)[:, None] % 2, rng.integers(0, high, (N, D)), rng.integers(0, 2, (N, D))) * 1.0

    return draw


class Setting(NamedTuple):
    """A kind of estimator with options, and the table that it takes; `start` says how a start is given."""

    make: Callable[..., Any]
    options: dict[str, Any]
    table: Callable[[np.random.Generator], np.ndarray]
    start: str = "labels"

    def fit(self, X, start=None, **metadata):
        given = {"labels": "init_params", "topics": "components_init"}.get(self.start)
        options = {**PLAIN, **self.options, **({} if given is None else {given: start})}
        return self.make(**options).fit(X, **metadata)

    def draw(self, seed):
        """A table and a start."""
        rng = np.random.default_rng(seed)
        X = self.table(rng)
        label = np.where(rng.random(N) < 0.2, rng.integers(0, K, N), np.arange(N) % K)
        return X, rng.random((K, D)) + 0.2 if self.start == "topics" else label

    @property
    def is_markov(self):
        return self.make is EMHiddenMarkov

    def sequences(self, ids):
        return {"sequence_id": ids} if self.is_markov else {}


def gaussian(**options):
    return Setting(EMGaussianMixture, {"n_components": K, "reg_covar": 1e-4, **options}, with_gaps)


def mixture(family, table, **options):
    return Setting(EMMixture, {"n_components": K, "family": family, **options}, table)


def markov(emission, table, **options):
    return Setting(EMHiddenMarkov, {"n_components": K, "emission": emission, **options}, table)


def imputer(model, table, **options):
    return Setting(EMImputer, {"model": model, "n_components": 2, "n_init": 1, **options}, table, "none")


REAL = {
    "gaussian": gaussian(),
    "gaussian VVI": gaussian(covariance_type="VVI"),
    "gaussian EEE": gaussian(covariance_type="EEE"),
    "gaussian hard": gaussian(assignment="hard"),
    "gaussian with noise": gaussian(noise=True),
    "gaussian with a prior": gaussian(weight_concentration_prior=0.5),
    "student": mixture("student", with_gaps),
    "markov": markov("gaussian", with_gaps),
    "markov student": markov("student", with_gaps),
    "markov tied": markov("gaussian", with_gaps, covariance_type="tied", start="stationary"),
}
COUNTED = {
    "categorical": mixture("categorical", integers(3)),
    "bernoulli": mixture("bernoulli", integers(2)),
    "poisson": mixture("poisson", integers(9)),
    "of two families": mixture(["poisson", "poisson", "poisson"], integers(9)),
    "markov categorical": markov("categorical", integers(3)),
    "markov poisson": markov("poisson", integers(9)),
}
TOPICS = {
    f"topics {method}": Setting(
        EMTopicModel, {"n_components": K, "method": method, "learn_priors": False}, integers(5), "topics"
    )
    for method in ("map", "plsa", "vb")
}
IMPUTERS = {
    "imputer gaussian": imputer("gaussian", with_gaps),
    "imputer copula": imputer("copula", with_gaps),
    "imputer factor": imputer("factor", with_gaps),
    "imputer mixture": imputer("mixture", with_gaps),
    "imputer latent_class": imputer("latent_class", integers(3), columns="nominal"),
}
ROUND = {"gaussian VEV": gaussian(covariance_type="VEV")}  # whose shape is one in equal units alone
STARTED = {**REAL, **ROUND, **COUNTED, **TOPICS}
ALL = {**STARTED, **IMPUTERS}


def proba(setting, model, X):
    return model.predict_proba(X, **setting.sequences(IDS))


def over(table):
    return pytest.mark.parametrize("setting", list(table.values()), ids=list(table))


def assert_close(one, other, rtol=1e-6):
    assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max(initial=1e-9))


IDS = np.arange(N) // LENGTH


@over(REAL)
@QUICK
@given(
    seed=SEEDS,
    exponents=st.lists(st.integers(-20, 20), min_size=D, max_size=D),
    shifts=st.lists(st.floats(-1e4, 1e4), min_size=D, max_size=D),
    mirrored=st.booleans(),
)
def test_units_and_offsets(setting, seed, exponents, shifts, mirrored):
    """Each column in a unit of its own, from an origin of its own."""
    X, start = setting.draw(seed)
    unit = 2.0 ** np.array(exponents) * (-1 if mirrored else 1)
    Z = (X + shifts) * unit
    one = setting.fit(X, start, **setting.sequences(IDS))
    other = setting.fit(Z, start, **setting.sequences(IDS))
    if setting.options.get("weight_concentration_prior") is None:  # whose objective has priors of its own
        jacobian = (~np.isnan(X)).sum(axis=0) @ np.log(np.abs(unit))
        assert_close(other.objective_ + jacobian, one.objective_)
    assert_close(proba(setting, other, Z), proba(setting, one, X), 1e-5)
    assert_allclose(other.means_ / unit - shifts, one.means_, rtol=1e-5, atol=1e-5)


@over({name: setting for name, setting in STARTED.items() if not setting.is_markov})
@QUICK
@given(seed=SEEDS)
def test_order_of_rows(setting, seed):
    X, start = setting.draw(seed)
    order = np.random.default_rng(seed).permutation(N)
    one, other = setting.fit(X, start), setting.fit(X[order], start if setting.start == "topics" else start[order])
    assert_close(other.objective_, one.objective_)
    assert_close(proba(setting, other, X), proba(setting, one, X), 1e-5)


@over({name: setting for name, setting in STARTED.items() if setting.is_markov})
@QUICK
@given(seed=SEEDS)
def test_order_and_names_of_sequences(setting, seed):
    """Sequences in another order, renamed, and their rows mixed with those of others."""
    X, start = setting.draw(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(N)
    order = order[np.argsort(order % LENGTH, kind="stable")]  # rows of a sequence stay in the order of time
    names = rng.permutation(1000)[: N // LENGTH].astype(str)[IDS]
    one = setting.fit(X, start, sequence_id=IDS)
    other = setting.fit(X[order], start[order], sequence_id=names[order])
    assert_close(other.objective_, one.objective_)
    assert_close(proba(setting, other, X), proba(setting, one, X), 1e-5)


@over(STARTED)
@QUICK
@given(seed=SEEDS)
def test_order_of_columns(setting, seed):
    X, start = setting.draw(seed)
    order = np.random.default_rng(seed).permutation(D)
    one = setting.fit(X, start, **setting.sequences(IDS))
    other = setting.fit(X[:, order], start[:, order] if setting.start == "topics" else start, **setting.sequences(IDS))
    assert_close(other.objective_, one.objective_)
    assert_close(proba(setting, other, X[:, order]), proba(setting, one, X), 1e-5)


@over({name: setting for name, setting in STARTED.items() if name != "gaussian hard"})  # where ties go to the first
@QUICK
@given(seed=SEEDS)
def test_order_of_components(setting, seed):
    """The names of the components at the start are those at the end."""
    X, start = setting.draw(seed)
    one = setting.fit(X, start, **setting.sequences(IDS))
    other = setting.fit(X, start[::-1] if setting.start == "topics" else K - 1 - start, **setting.sequences(IDS))
    assert_close(other.objective_, one.objective_)
    swapped = proba(setting, other, X)
    swapped = np.column_stack([swapped[:, K - 1 :: -1], swapped[:, K:]])  # noise stays the last
    assert_close(swapped, proba(setting, one, X), 1e-5)


@over(ALL)
@QUICK
@given(seed=SEEDS)
def test_weights_are_repetitions(setting, seed):
    """A row (for hidden Markov models a sequence) of weight w counts as w of them, and one of weight 0 as none."""
    X, start = setting.draw(seed)
    rng = np.random.default_rng(seed)
    times = rng.integers(0, 4, N)
    times[:2] = 1
    times[np.nanargmin(X, axis=0)] = times[np.nanargmax(X, axis=0)] = 1  # the range of noise, and all symbols
    if setting.is_markov:
        times = np.maximum.reduceat(times, np.arange(0, N, LENGTH)).repeat(LENGTH)
    rows = np.repeat(np.arange(N), times)
    copy = np.concatenate([np.arange(t) for t in times])
    weighted = setting.fit(X, start, sample_weight=times, **setting.sequences(IDS))
    repeated = setting.fit(
        X[rows], start if setting.start == "topics" else start[rows], **setting.sequences(4 * IDS[rows] + copy)
    )
    assert_close(weighted.objective_, repeated.objective_)
    assert_close(proba(setting, weighted, X), proba(setting, repeated, X), 1e-5)


@over(IMPUTERS)
@QUICK
@given(seed=SEEDS)
def test_order_of_the_rows_of_an_imputer(setting, seed):
    X, _ = setting.draw(seed)
    order = np.random.default_rng(seed).permutation(N)
    one, other = setting.fit(X), setting.fit(X[order])
    assert_close(other.objective_, one.objective_)
    assert_close(other.transform(X), one.transform(X), 1e-5)


@over({name: setting for name, setting in IMPUTERS.items() if name != "imputer latent_class"})
@QUICK
@given(seed=SEEDS, unit=st.floats(1e-6, 1e6), shift=st.floats(-1e4, 1e4))
def test_one_unit_for_all_columns_of_an_imputer(setting, seed, unit, shift):
    X, _ = setting.draw(seed)
    one, other = setting.fit(X), setting.fit((X + shift) * unit)
    assert_allclose(other.transform((X + shift) * unit) / unit - shift, one.transform(X), rtol=1e-5, atol=1e-5)


def small_chunks(monkeypatch):
    """Of 7 rows, of two sequences or of 5 documents."""
    monkeypatch.setattr("emkit.chunks.CHUNK_ROWS", 7)
    monkeypatch.setattr("emkit.hidden_markov.fitting.CHUNK_ROWS", 2 * LENGTH)
    monkeypatch.setattr("emkit.topic_model.documents.N_CHUNKS", 12)


@over(ALL)
def test_threads_change_no_bit(setting, monkeypatch):
    """Over starts, and over many chunks of rows."""
    small_chunks(monkeypatch)
    X, start = setting.draw(0)
    for options in ({"n_init": 3}, {"n_init": 1}):
        few = setting._replace(
            options={**setting.options, **options}, start="none" if options["n_init"] > 1 else setting.start
        )
        one, two = (
            few._replace(options={**few.options, "n_jobs": n_jobs}).fit(X, start, **setting.sequences(IDS))
            for n_jobs in (None, 2)
        )
        assert one.objective_ == two.objective_
        assert_array_equal(one.history_["objective"], two.history_["objective"])
        assert_array_equal(proba(setting, one, X), proba(setting, two, X))


@over(ALL)
def test_chunks_change_rounding_alone(setting, monkeypatch):
    X, start = setting.draw(1)
    one = setting.fit(X, start, **setting.sequences(IDS))
    small_chunks(monkeypatch)
    other = setting.fit(X, start, **setting.sequences(IDS))
    assert_close(other.objective_, one.objective_)
    assert_close(proba(setting, other, X), proba(setting, one, X), 1e-5)


class TestSearch:
    """Of the number of components."""

    rows = Setting(ComponentSearch, {}, numbers)

    def found(self, X, **metadata):
        estimator = EMGaussianMixture(n_init=3, tol=1e-9)
        search = ComponentSearch(estimator, n_components=(1, 2, 3), random_state=0).fit(X, **metadata)
        return search.results_["log_likelihood"]

    @QUICK
    @given(seed=SEEDS, exponent=st.integers(-20, 20), shift=st.floats(-1e4, 1e4))
    def test_units_and_offsets(self, seed, exponent, shift):
        X, _ = self.rows.draw(seed)
        one, other = self.found(X), self.found((X + shift) * 2.0**exponent)
        assert_allclose(other + X.size * exponent * np.log(2), one, atol=1e-3)

    @QUICK
    @given(seed=SEEDS)
    def test_order_of_rows_and_weights(self, seed):
        X, _ = self.rows.draw(seed)
        rng = np.random.default_rng(seed)
        times = rng.integers(1, 4, N)
        repeated = rng.permutation(np.repeat(X, times, axis=0))
        assert_allclose(self.found(X, sample_weight=times), self.found(repeated), atol=1e-3)
