"""What EMHiddenMarkov fits and says: against counts by hand, closed forms, sequences one by one, simulated truth."""

import itertools
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from emkit import DegenerateSolutionWarning, EMHiddenMarkov
from emkit.hidden_markov.chain import stationary_distribution

A2 = np.array([[0.9, 0.1], [0.2, 0.8]])
EYES = np.array([np.eye(2)] * 2)
MEANS = np.array([[0.0, 0.0], [4.0, 2.0]])
GAUSSIAN = {"means_": MEANS, "covariances_": EYES}
TABLES = [np.array([[0.8, 0.15, 0.05], [0.1, 0.3, 0.6]]), np.array([[0.9, 0.1], [0.3, 0.7]])]
TRUTHS = {
    "gaussian": ({}, GAUSSIAN),
    "gaussian diag": ({"covariance_type": "diag"}, {**GAUSSIAN, "covariances_": np.array([[1.0, 2.0], [0.5, 1.0]])}),
    "gaussian tied": ({"covariance_type": "tied"}, {**GAUSSIAN, "covariances_": np.array([[1.0, 0.5], [0.5, 1.0]])}),
    "student": ({"emission": "student"}, {**GAUSSIAN, "degrees_of_freedom_": np.array([4.0, 6.0])}),
    "mixture": (
        {"emission": "mixture", "covariance_type": "diag"},
        {
            "weights_": np.array([[0.5, 0.5], [0.3, 0.7]]),
            "means_": np.array([[[0.0, 0.0], [0.0, 6.0]], [[9.0, 0.0], [9.0, 6.0]]]),
            "covariances_": np.ones((2, 2, 2)),
        },
    ),
    "categorical": ({"emission": "categorical"}, {"emissionprob_": TABLES}),
    "bernoulli": ({"emission": "bernoulli"}, {"emissionprob_": np.array([[0.1, 0.2, 0.8], [0.7, 0.9, 0.3]])}),
    "poisson": ({"emission": "poisson"}, {"rates_": np.array([[2.0, 8.0], [9.0, 1.0]])}),
    "columns": (
        {"emission": ["gaussian", "poisson"]},
        {"means_": MEANS[:, :1], "covariances_": EYES[:, :1, :1], "rates_": np.array([[2.0], [8.0]])},
    ),
}  # fmt: skip


def by_hand(options, attributes, startprob=(0.7, 0.3), transmat=A2):
    """A fitted model without a fit."""
    hmm = EMHiddenMarkov(len(startprob), **options)
    for name, value in {**attributes, "startprob_": np.array(startprob), "transmat_": np.array(transmat)}.items():
        setattr(hmm, name, value)
    return hmm


def simulated(name, n_sequences=10, length=30, seed=0):
    """Options, truth, rows and states (n_sequences, length)."""
    options, attributes = TRUTHS[name]
    truth = by_hand(options, attributes)
    drawn = [truth.set_params(random_state=seed + i).sample(length) for i in range(n_sequences)]
    X, states = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
    return options, truth, X, states.reshape(n_sequences, length)


OPTIONS, TRUTH, X, STATES = simulated("gaussian")
LENGTHS = [30] * 10
IDS = np.repeat(np.arange(10), 30)
START = {"means_init": MEANS + 0.5, "covariances_init": EYES, "transmat_init": A2, "startprob_init": [0.5, 0.5]}
FITTED = ("startprob_", "transmat_", "means_", "covariances_", "stationary_distribution_", "objective_")


def assert_same(one, other, rtol=0.0):
    for name in FITTED:
        assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol, err_msg=name)


class TestSequences:
    order = np.random.default_rng(0).permutation(300)
    order = order[np.lexsort([order % 30])]  # rows of each sequence stay in order of time

    def test_results_in_row_order_are_those_of_the_sequences_one_by_one(self):
        data, ids, hmm = X[self.order], IDS[self.order], TRUTH
        data = np.where(np.random.default_rng(1).random(data.shape) < 0.2, np.nan, data)
        methods = {
            "score_samples": hmm.score_samples,
            "predict": hmm.predict,
            "predict_proba": hmm.predict_proba,
            "predict_proba_filtered": hmm.predict_proba_filtered,
            "predict_proba_lagged": lambda *args, **kw: hmm.predict_proba_lagged(*args, lag=2, **kw),
            "decode": lambda *args, **kw: hmm.decode(*args, **kw)[1],
            "decode_k_best": lambda *args, **kw: hmm.decode_k_best(*args, k=3, **kw)[1].T,
        }
        for name, method in methods.items():
            together = method(data, sequence_id=ids)
            for key in range(10):
                assert_allclose(together[ids == key], method(data[ids == key]), rtol=1e-12, atol=1e-300, err_msg=name)
        total, _ = hmm.decode(data, sequence_id=ids)
        assert total == pytest.approx(sum(hmm.decode(data[ids == key])[0] for key in range(10)))

    def test_four_ways_to_tell_sequences_apart(self):
        options = {"n_components": 2, "random_state": 0}
        fits = [
            EMHiddenMarkov(**options).fit(X, lengths=LENGTHS),
            EMHiddenMarkov(**options).fit(X, sequence_id=IDS),
            EMHiddenMarkov(**options).fit(np.split(X, 10)),
            EMHiddenMarkov(sequence=2, **options).fit(np.column_stack([X, IDS])),
        ]
        for other in fits[1:]:
            assert_same(fits[0], other)
        assert {fit.n_sequences_ for fit in fits} == {10}

    def test_borders_of_sequences_count(self):
        assert (
            EMHiddenMarkov(2, **START).fit(X).objective_
            != EMHiddenMarkov(2, **START).fit(X, lengths=LENGTHS).objective_
        )
        one_row_each = EMHiddenMarkov(2, random_state=0).fit(X, lengths=[1] * 300)
        assert one_row_each.score(X, lengths=[1] * 300) == pytest.approx(one_row_each.score([x[None] for x in X]))

    @pytest.mark.parametrize("options", [{"n_init": 3}, {}, {"means_init": MEANS}])
    def test_jobs(self, options):
        _, _, data, _ = simulated("gaussian", 30, 800)
        one, two = (
            EMHiddenMarkov(2, random_state=0, n_jobs=n_jobs, tol=1e-5, **options).fit(data, lengths=[800] * 30)
            for n_jobs in (1, 2)
        )
        assert_same(one, two)
        assert_array_equal(one.history_["objective"], two.history_["objective"])

    def test_random_state(self):
        options = {"n_components": 3, "n_init": 1, "max_iter": 0}
        one, same, other = (EMHiddenMarkov(random_state=seed, **options).fit(X, lengths=LENGTHS) for seed in (0, 0, 1))
        assert_same(one, same)
        assert np.abs(one.means_ - other.means_).max() > 0


class TestWeights:
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("start", ["free", "stationary", "uniform"])
    def test_a_sequence_of_weight_w_is_w_sequences(self, start, missing):
        times = np.random.default_rng(0).integers(0, 4, 10)
        data = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X) if missing else X
        given = dict(START) if start == "free" else {**START, "startprob_init": None}
        options = {"n_components": 2, "start": start, "tol": 0, "max_iter": 15, "accelerate": False, **given}
        weight = np.repeat(times, 30).astype(float)
        weighted = EMHiddenMarkov(**options).fit(data, sequence_id=IDS, sample_weight=weight)
        repeated = np.repeat(data.reshape(10, 30, 2), times, axis=0)
        plain = EMHiddenMarkov(**options).fit(list(repeated))
        assert_same(weighted, plain, rtol=1e-6 if start == "stationary" else 1e-9)  # L-BFGS magnifies rounding
        assert weighted.n_sequences_ == (times > 0).sum()
        for method in ("bic", "aic", "icl", "score"):
            expected = getattr(weighted, method)(list(repeated))
            got = getattr(weighted, method)(data, sequence_id=IDS, sample_weight=weight)
            assert got == pytest.approx(expected, rel=1e-12)

    def test_starts_count_weights(self):
        times = np.arange(10) % 3
        shared = {"max_iter": 0, "n_components": 2}
        weight = np.repeat(times, 30).astype(float)
        weighted = EMHiddenMarkov(**shared).fit(X, sequence_id=IDS, sample_weight=weight, labels=STATES.ravel())
        repeated = np.repeat(X.reshape(10, 30, 2), times, axis=0)
        plain = EMHiddenMarkov(**shared).fit(list(repeated), labels=np.repeat(STATES, times, axis=0).ravel())
        assert_same(weighted, plain, rtol=1e-9)


def counts(states, k):
    """Of first states (k,) and of transitions (k, k), in plain Python."""
    first, moves = np.zeros(k), np.zeros((k, k))
    for sequence in states:
        first[sequence[0]] += 1
        for a, b in itertools.pairwise(sequence):
            moves[a, b] += 1
    return first, moves


def shares(table):
    return table / table.sum(axis=-1, keepdims=True)


class TestLabels:
    def test_all_known_is_counting(self):
        first, moves = counts(STATES, 2)
        hmm = EMHiddenMarkov(2).fit(X, lengths=LENGTHS, labels=STATES.ravel())
        assert_allclose(hmm.startprob_, shares(first), rtol=1e-9)
        assert_allclose(hmm.transmat_, shares(moves), rtol=1e-9)
        total = np.log(hmm.startprob_) @ first + (np.log(hmm.transmat_) * moves).sum()
        for k in range(2):
            rows = X[STATES.ravel() == k]
            assert_allclose(hmm.means_[k], rows.mean(axis=0), rtol=1e-9)
            assert_allclose(hmm.covariances_[k], np.cov(rows.T, bias=True), rtol=1e-9)
            total += stats.multivariate_normal(hmm.means_[k], hmm.covariances_[k]).logpdf(rows).sum()
        assert hmm.objective_ == pytest.approx(total, rel=1e-12)

    @pytest.mark.parametrize("given_start", [False, True])
    def test_priors_with_all_known(self, given_start):
        first, moves = counts(STATES, 2)
        prior = {"startprob_prior": [3.0, 1.5], "transmat_prior": [[1.0, 2.0], [4.0, 1.0]], "sticky": 7.0}
        start = START if given_start else {}
        hmm = EMHiddenMarkov(2, **prior, **start).fit(X, lengths=LENGTHS, labels=STATES.ravel())
        extra = np.array(prior["transmat_prior"]) - 1 + 7 * np.eye(2)
        assert_allclose(hmm.startprob_, shares(first + [2.0, 0.5]), rtol=1e-9)
        assert_allclose(hmm.transmat_, shares(moves + extra), rtol=1e-9)
        log_prior = np.log(hmm.startprob_) @ [2.0, 0.5] + (np.log(hmm.transmat_) * extra).sum()
        plain = EMHiddenMarkov(2).fit(X, lengths=LENGTHS, labels=STATES.ravel())
        likelihood = plain.objective_ - np.log(plain.startprob_) @ first - (np.log(plain.transmat_) * moves).sum()
        likelihood += np.log(hmm.startprob_) @ first + (np.log(hmm.transmat_) * moves).sum()
        assert hmm.objective_ == pytest.approx(likelihood + log_prior, rel=1e-12)

    def test_prior_of_symbols(self):
        symbols = np.array([[0.0], [1.0], [1.0], [0.0], [2.0]])
        options = {"emission": "categorical", "n_symbols": 4, "emissionprob_prior": 1.5}
        hmm = EMHiddenMarkov(2, **options).fit(symbols, labels=[0, 0, 0, 1, 1])
        by_state = np.array([[1.0, 2.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]) + 0.5
        assert_allclose(hmm.emissionprob_, shares(by_state), rtol=1e-9)

    def test_objective_of_partly_known_is_the_sum_over_paths_that_agree(self):
        rows, known = X[:8], np.array([-1, 0, -1, -1, 1, -1, 0, -1])
        fit = EMHiddenMarkov(2, **START, max_iter=0).fit(rows, labels=known)
        density = np.stack(
            [stats.multivariate_normal(mean, np.eye(2)).pdf(rows) for mean in START["means_init"]], axis=1
        )
        total = 0.0
        for path in itertools.product(range(2), repeat=8):
            if all(k in (-1, s) for k, s in zip(known, path, strict=True)):
                moves = np.prod([A2[a, b] for a, b in itertools.pairwise(path)])
                total += 0.5 * moves * density[np.arange(8), path].prod()
        assert fit.objective_ == pytest.approx(np.log(total), rel=1e-10)

    @pytest.mark.parametrize("name", list(TRUTHS))
    @pytest.mark.parametrize("flip", [False, True])
    def test_one_labelled_row_names_the_states(self, name, flip):
        options, _, data, states = simulated(name)
        labels = np.full(300, -1)
        labels[np.flatnonzero(states.ravel() == 0)[5]] = int(flip)
        hmm = EMHiddenMarkov(2, random_state=0, tol=1e-6, **options).fit(data, lengths=LENGTHS, labels=labels)
        right = hmm.predict(data, lengths=LENGTHS) == (states.ravel() ^ flip)
        assert right.mean() > 0.8
        hmm_of_nan = EMHiddenMarkov(2, random_state=0, tol=1e-6, **options)
        hmm_of_nan.fit(data, lengths=LENGTHS, labels=np.where(labels < 0, np.nan, labels))
        assert hmm_of_nan.objective_ == hmm.objective_


LEFT_RIGHT = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
BANDED = np.array([[0.5, 0.5, 0.0], [0.3, 0.4, 0.3], [0.0, 0.5, 0.5]])


class TestStructure:
    @pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson", False])
    @pytest.mark.parametrize("transmat", [LEFT_RIGHT, BANDED])
    def test_zeros_stay(self, transmat, accelerate):
        options = {"transmat_init": transmat, "startprob_init": [1.0, 0.0, 0.0], "transmat_prior": 1.5}
        hmm = EMHiddenMarkov(3, random_state=0, accelerate=accelerate, **options).fit(X, lengths=LENGTHS)
        assert_array_equal(hmm.startprob_, [1, 0, 0])
        assert_array_equal(hmm.transmat_ == 0, transmat == 0)
        assert_allclose(hmm.transmat_.sum(axis=1), 1, rtol=1e-12)
        assert hmm.n_parameters_ == 3 * 2 + 3 * 3 + (transmat > 0).sum() - 3

    def test_left_right_path(self):
        rng = np.random.default_rng(0)
        data = rng.standard_normal((20, 30, 1)) + np.repeat([0.0, 3.0, -3.0], 10)[:, None]
        hmm = EMHiddenMarkov(3, transmat_init=LEFT_RIGHT, startprob_init=[1, 0, 0], random_state=0).fit(list(data))
        assert_allclose(hmm.means_[:, 0], [0, 3, -3], atol=0.2)
        assert_allclose(np.diag(hmm.transmat_), [0.9, 0.9, 1.0], atol=0.02)
        assert hmm.expected_durations_[2] == np.inf
        path = hmm.predict(list(data)).reshape(20, 30)
        assert (np.diff(path, axis=1) >= 0).all()

    @pytest.mark.parametrize(
        ("name", "parameter", "given"),
        [
            (name, parameter, given)
            for name in TRUTHS
            for parameter in ("startprob_", "transmat_", *TRUTHS[name][1])
            for given in (False, True)
            if not given or hasattr(EMHiddenMarkov(), f"{parameter}init")
        ],
    )
    def test_fixed(self, name, parameter, given):
        options, truth, data, _ = simulated(name)
        if given:
            options = {**options, f"{parameter}init": getattr(truth, parameter)}
        options = {**options, "n_components": 2, "random_state": 0, "n_init": 1, "tol": 1e-5}
        fixed = EMHiddenMarkov(fixed=(parameter[:-1],), **options).fit(data, lengths=LENGTHS)
        free = EMHiddenMarkov(**options).fit(data, lengths=LENGTHS)
        start = EMHiddenMarkov(**{**options, "max_iter": 0}).fit(data, lengths=LENGTHS)
        for expected, got in zip(*(listed(getattr(fit, parameter)) for fit in (start, fixed)), strict=True):
            assert_array_equal(got, expected)
        assert any(
            (a != b).any() for a, b in zip(*(listed(getattr(fit, parameter)) for fit in (start, free)), strict=True)
        )
        assert start.objective_ < fixed.objective_ <= free.objective_ + 1e-3
        assert fixed.n_parameters_ < free.n_parameters_

    def test_uniform_and_stationary_starts(self):
        uniform = EMHiddenMarkov(3, start="uniform", random_state=0, tol=1e-5).fit(X, lengths=LENGTHS)
        assert_array_equal(uniform.startprob_, np.full(3, 1 / 3))
        stationary = EMHiddenMarkov(2, start="stationary", random_state=0).fit(X, lengths=LENGTHS)
        assert_allclose(stationary.startprob_ @ stationary.transmat_, stationary.startprob_, rtol=1e-9)
        assert_array_equal(stationary.startprob_, stationary.stationary_distribution_)

    def test_more_stickiness_more_stays(self):
        fits = [EMHiddenMarkov(2, sticky=s, **START).fit(X, lengths=LENGTHS) for s in (0.0, 20.0, 1e4)]
        diagonals = np.array([np.diag(fit.transmat_) for fit in fits])
        assert (np.diff(diagonals, axis=0) > 0).all()
        assert_allclose(
            fits[1].objective_, fits[1].score_samples(X, lengths=LENGTHS).sum() + 20 * np.log(diagonals[1]).sum()
        )

    def test_derived_attributes(self):
        hmm = EMHiddenMarkov(3, random_state=0, tol=1e-5).fit(X, lengths=LENGTHS)
        assert_allclose(hmm.stationary_distribution_, np.linalg.matrix_power(hmm.transmat_, 10_000)[0], rtol=1e-8)
        assert_allclose(hmm.expected_durations_, 1 / (1 - np.diag(hmm.transmat_)))

    @pytest.mark.parametrize("rare", [1e-5, 1e-12, 1e-18, 1e-50])
    def test_stationary_distribution_of_states_that_are_hardly_ever_left(self, rare):
        """Shares of two states are as the probabilities of the moves to them, however rare."""
        expected = np.array([0.75, 0.25])
        assert_allclose(stationary_distribution(np.array([[1 - rare, rare], [3 * rare, 1 - 3 * rare]])), expected)
        inside = np.array([[0.5, 0.5], [0.25, 0.75]])  # shares 1/3 and 2/3
        pairs = np.block([[inside, np.full((2, 2), rare)], [np.full((2, 2), 3 * rare), inside]])
        pairs /= pairs.sum(axis=1, keepdims=True)
        assert_allclose(stationary_distribution(pairs).reshape(2, 2).sum(axis=1), expected, rtol=1e-3)

    @pytest.mark.parametrize("rare", [1e-18, 1e-50])
    def test_states_that_are_hardly_ever_left_are_no_error(self, rare):
        start = {"transmat_init": [[1 - rare, rare], [3 * rare, 1 - 3 * rare]], "means_init": [[0.0], [9.0]]}
        hmm = EMHiddenMarkov(2, **start, max_iter=0).fit(X[:, :1], lengths=LENGTHS)
        assert_allclose(hmm.stationary_distribution_, [0.75, 0.25])

    def test_tied_covariances_with_all_known(self):
        labels = STATES.ravel()
        hmm = EMHiddenMarkov(2, covariance_type="tied").fit(X, lengths=LENGTHS, labels=labels)
        apart = X - np.array([X[labels == k].mean(axis=0) for k in range(2)])[labels]
        assert_allclose(hmm.covariances_, apart.T @ apart / 300, rtol=1e-9)


def listed(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("gaussian", {}, 1 + 2 + 4 + 6),
        ("gaussian", {"n_components": 1}, 0 + 0 + 2 + 3),
        ("gaussian", {"n_components": 3, "start": "uniform"}, 0 + 6 + 6 + 9),
        ("gaussian", {"start": "stationary"}, 0 + 2 + 4 + 6),
        ("gaussian", {"fixed": ("means", "startprob")}, 0 + 2 + 0 + 6),
        ("gaussian", {"transmat_init": [[0.5, 0.5], [0, 1]], "startprob_init": [1, 0]}, 0 + 1 + 4 + 6),
        ("gaussian diag", {}, 1 + 2 + 4 + 4),
        ("gaussian tied", {}, 1 + 2 + 4 + 3),
        ("student", {}, 1 + 2 + 4 + 6 + 2),
        ("mixture", {}, 1 + 2 + 2 * 1 + 8 + 8),
        ("categorical", {}, 1 + 2 + 2 * (2 + 1)),
        ("bernoulli", {}, 1 + 2 + 6),
        ("poisson", {}, 1 + 2 + 4),
        ("columns", {}, 1 + 2 + 2 + 2 + 2),
    ],
)
def test_number_of_parameters_and_criteria(name, options, expected):
    own, _, data, _ = simulated(name)
    options = {"n_components": 2, "random_state": 0, "tol": 1e-4, "n_init": 1} | own | options
    hmm = EMHiddenMarkov(**options).fit(data, lengths=LENGTHS)
    assert hmm.n_parameters_ == expected
    total = hmm.score_samples(data, lengths=LENGTHS).sum()
    assert total == pytest.approx(hmm.objective_, rel=1e-9)
    assert hmm.score(data, lengths=LENGTHS) == pytest.approx(total / 300)
    assert hmm.bic(data, lengths=LENGTHS) == pytest.approx(-2 * total + expected * np.log(300))
    assert hmm.aic(data, lengths=LENGTHS) == pytest.approx(-2 * total + 2 * expected)


@pytest.mark.parametrize("name", list(TRUTHS))
def test_recovery(name):
    options, truth, data, states = simulated(name, n_sequences=12, length=400)
    hmm = EMHiddenMarkov(2, random_state=0, **options).fit(list(data.reshape(12, 400, -1)))
    assert hmm.objective_ > truth.score_samples(list(data.reshape(12, 400, -1))).sum()
    agree = np.mean(hmm.predict(list(data.reshape(12, 400, -1))) == states.ravel())
    order = [0, 1] if agree > 0.5 else [1, 0]
    assert max(agree, 1 - agree) > 0.93
    assert_allclose(hmm.transmat_[np.ix_(order, order)], A2, atol=0.03)
    for part in TRUTHS[name][1]:
        for got, expected in zip(listed(getattr(hmm, part)), listed(getattr(truth, part)), strict=True):
            got = got if name == "gaussian tied" and part == "covariances_" else got[order]
            if name == "mixture":  # the Gaussians of a state by their second mean
                inside = hmm.means_[order][:, :, 1].argsort(axis=1)
                got = np.take_along_axis(got, inside.reshape(inside.shape + (1,) * (got.ndim - 2)), axis=1)
            if part == "degrees_of_freedom_":
                assert_allclose(got, expected, rtol=0.4)
            else:
                assert_allclose(got, expected, atol=0.25, err_msg=part)


@pytest.mark.parametrize("name", list(TRUTHS))
@pytest.mark.parametrize("seed", range(3))
def test_objective_never_falls(name, seed):
    options, _, data, _ = simulated(name)
    data = np.where(np.random.default_rng(seed).random(data.shape) < 0.1, np.nan, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of starts that were dropped
        hmm = EMHiddenMarkov(3, random_state=seed, n_init=3, tol=1e-5, sticky=1.0, **options).fit(data, lengths=LENGTHS)
    history = hmm.history_
    changes = history["change"][history["phase"] != "start"]
    assert len(changes) > 5
    assert (changes >= -1e-10 * np.abs(hmm.objective_)).all()
    assert hmm.objective_ in history["objective"]


DEAD = {
    "constant": np.ones((12, 1)),
    "two values": np.repeat([[0.0], [1.0]], 6, axis=0),
    "alternating": np.tile([[0.0, 1.0], [1.0, 0.0]], (6, 1)),
    "gap": np.where(np.arange(12)[:, None] % 3, 1.0, np.nan),
}


@pytest.mark.parametrize("data", DEAD.values(), ids=DEAD)
@pytest.mark.parametrize(
    "name", ["gaussian", "gaussian tied", "student", "mixture", "categorical", "bernoulli", "poisson"]
)
def test_more_states_than_values(name, data):
    hmm = EMHiddenMarkov(5, random_state=0, tol=1e-5, max_iter=60, **TRUTHS[name][0])
    with warnings.catch_warnings():  # any other warning is an error
        warnings.simplefilter("ignore", DegenerateSolutionWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        hmm.fit(data, lengths=[5, 1, 6])
    for parameter in ("startprob_", "transmat_", "stationary_distribution_", *TRUTHS[name][1]):
        for part in listed(getattr(hmm, parameter)):
            assert np.isfinite(part).all()
    assert_allclose(hmm.transmat_.sum(axis=1), 1)
    assert np.isfinite(hmm.objective_)
    assert np.isfinite(hmm.predict_proba(data, lengths=[5, 1, 6])).all()
    assert np.isfinite(hmm.score(data, lengths=[5, 1, 6]))


class TestTheFuture:
    def test_sample_by_the_law_of_large_numbers(self):
        hmm = by_hand({"random_state": 0}, GAUSSIAN)
        rows, states = hmm.sample(40_000)
        _, moves = counts([states], 2)
        assert_allclose(shares(moves), A2, atol=0.01)
        for k in range(2):
            assert_allclose(rows[states == k].mean(axis=0), MEANS[k], atol=0.03)
            assert_allclose(np.cov(rows[states == k].T), np.eye(2), atol=0.04)
        assert_array_equal(hmm.sample(40_000)[0], rows)
        firsts = [hmm.set_params(random_state=seed).sample()[1][0] for seed in range(500)]
        assert np.mean(firsts) == pytest.approx(0.3, abs=0.07)

    def test_forecast(self):
        ids = np.array(["b", "a"])[np.arange(300) % 2]
        ahead = TRUTH.forecast(X, 200, sequence_id=ids)
        assert ahead.sequence_id == ["b", "a"]
        last = np.stack([TRUTH.predict_proba_filtered(X[ids == key])[-1] for key in "ba"])
        assert_allclose(ahead.state_proba[:, 0], last @ A2, rtol=1e-9)
        assert_allclose(ahead.state_proba[:, 1], last @ A2 @ A2, rtol=1e-9)
        assert_allclose(ahead.mean, ahead.state_proba @ MEANS, rtol=1e-9)
        assert_allclose(ahead.state_proba[:, -1], [[2 / 3, 1 / 3]] * 2, rtol=1e-9)
        assert_allclose(ahead.variance[:, -1], 1 + np.array([[2 / 9 * 16, 2 / 9 * 4]] * 2), rtol=1e-9)

    def test_warm_start_goes_on_where_the_fit_ended(self):
        start = {"n_components": 2, "tol": 0, "accelerate": False, **START}
        at_once = EMHiddenMarkov(max_iter=20, **start).fit(X, lengths=LENGTHS)
        in_parts = EMHiddenMarkov(max_iter=10, warm_start=True, **start).fit(X, lengths=LENGTHS).fit(X, lengths=LENGTHS)
        assert_same(in_parts, at_once, rtol=1e-9)

    @pytest.mark.parametrize("change", [{"start": "stationary"}, {"transmat_init": [[0.5, 0.5], [0, 1]]}])
    def test_warm_start_under_other_rules(self, change):
        """Whose first objective is that of parameters that obey them: it rises from there."""
        hmm = EMHiddenMarkov(2, warm_start=True, random_state=0, reg_covar=1e-3).fit(X, lengths=LENGTHS)
        hmm.set_params(**change).fit(X, lengths=LENGTHS)
        assert hmm.converged_
        assert (hmm.history_["change"][1:] >= -1e-9).all()
