"""What EMHiddenMarkov refuses: each message names the argument and the value, and nothing is left half fitted."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import NotFittedError

from emkit import EMHiddenMarkov

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 2)) + np.repeat([[0, 0], [5, 5], [0, 0]], 10, axis=0)
COUNTS = rng.poisson(2.0, (30, 2)).astype(float)
SYMBOLS = rng.integers(0, 3, (30, 1)).astype(float)
IDS = np.repeat(["a", "b", "c"], 10)
NOT_POSITIVE = np.stack([np.eye(2), -np.eye(2)])


def assert_refused(hmm, message, data=X, **metadata):
    with pytest.raises(ValueError, match=message):
        hmm.fit(data, **metadata)
    assert not [name for name in vars(hmm) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        hmm.score(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 0}, r"n_components must be an integer >= 1, but got 0"),
        ({"n_components": 2.5}, r"n_components .* 2\.5"),
        ({"n_components": True}, r"n_components .* True"),
        ({"n_components": "2"}, r"n_components .* '2'"),
        ({"n_components": 31}, r"n_components = 31, n_samples = 30"),
        ({"emission": "gauss"}, r"emission must be one of \['gaussian', .* but got 'gauss'"),
        ({"emission": None}, r"emission must be one of .* but got None"),
        ({"emission": []}, r"emission must be one of .* but got \[\]"),
        ({"emission": int}, r"emission must be one of .* <class 'int'>"),
        ({"emission": ["gaussian", "normal"]}, r"emission must be one of .* \['gaussian', 'normal'\]"),
        ({"emission": ["gaussian"]}, r"emission names 1 kinds of columns, but X has 2 columns"),
        ({"emission": ["gaussian", "student"]}, r"'gaussian' and 'student', but both publish (means|covariances)_"),
        ({"covariance_type": "round"}, r"covariance_type must be one of .*'full'.* 'round'"),
        ({"covariance_type": None}, r"covariance_type must be one of .* None"),
        ({"reg_covar": -1e-3}, r"reg_covar must be a finite number >= 0, but got -0\.001"),
        ({"n_mix": 0, "emission": "mixture"}, r"n_mix must be an integer >= 1, but got 0"),
        ({"start": "fixed"}, r"start must be one of \['free', 'stationary', 'uniform'\], but got 'fixed'"),
        ({"decoder": "best"}, r"decoder must be one of \['viterbi', 'map'\], but got 'best'"),
        ({"sequence": 2.5}, r"sequence must be None, the name .* but got 2\.5"),
        ({"sequence": 7}, r"sequence=7 must be a column or an index level of X"),
        ({"startprob_init": [0.5, 0.6]}, r"startprob_init must hold probabilities, but .* sums to 1\.1 instead of 1"),
        ({"startprob_init": [0.0, 0.0]}, r"startprob_init .* sums to 0 instead of 1"),
        ({"startprob_init": [1.5, -0.5]}, r"startprob_init must not be negative, but holds -0\.5"),
        ({"startprob_init": [1.0]}, r"startprob_init: .* shape of \(2,\), but got \(1,\)"),
        ({"startprob_init": [np.nan, 1.0]}, r"startprob_init must be finite, but holds nan"),
        (
            {"startprob_init": [0.5, 0.5], "start": "stationary"},
            r"startprob_init must be None where start='stationary'",
        ),
        ({"startprob_init": [0.5, 0.5], "start": "uniform"}, r"startprob_init must be None where start='uniform'"),
        ({"transmat_init": [[1, 0], [0.4, 0.5]]}, r"transmat_init must hold .* row 1 of transmat_init sums to 0\.9"),
        ({"transmat_init": [[1, 0], [0, 0]]}, r"row 1 of transmat_init sums to 0 instead of 1"),
        ({"transmat_init": [[2, -1], [0, 1]]}, r"transmat_init must not be negative, but holds -1"),
        ({"transmat_init": np.eye(3)}, r"transmat_init: .* shape of \(2, 2\), but got \(3, 3\)"),
        ({"transmat_init": "left-right"}, r"transmat_init must be an array of numbers .* 'left-right'"),
        ({"transmat_init": [[np.inf, 0], [0, 1]]}, r"transmat_init must be finite, but holds inf"),
        ({"means_init": np.zeros((3, 2))}, r"means_init: .* shape of \(2, 2\), but got \(3, 2\)"),
        ({"means_init": [[0, np.nan], [1, 1]]}, r"means_init must be finite, but holds nan"),
        ({"means_init": [["a", "b"]] * 2}, r"means_init must be an array of numbers"),
        ({"covariances_init": np.eye(2)}, r"covariances_init: .* shape of \(2, 2, 2\), but got \(2, 2\)"),
        ({"covariances_init": NOT_POSITIVE}, r"covariances_init must be symmetric and positive definite"),
        ({"covariances_init": [1, -1], "covariance_type": "spherical"}, r"covariances_init must be .* positive"),
        ({"covariances_init": [1, 1], "covariance_type": "tied"}, r"covariances_init: .* shape of \(2, 2\)"),
        ({"rates_init": np.ones((2, 2))}, r"rates_init does not belong to GaussianFamily"),
        ({"emissionprob_init": np.ones((2, 2)) / 2}, r"emissionprob_init does not belong to GaussianFamily"),
        ({"startprob_prior": 0.5}, r"startprob_prior must be at least 1 .* holds 0\.5"),
        ({"startprob_prior": [1.0, 2.0, 3.0]}, r"startprob_prior: .* shape of \(2,\), but got \(3,\)"),
        ({"transmat_prior": [[1, 1], [1, 0.9]]}, r"transmat_prior must be at least 1 .* holds 0\.9"),
        ({"transmat_prior": [1.0, 1.0]}, r"transmat_prior: .* shape of \(2, 2\), but got \(2,\)"),
        ({"transmat_prior": None}, r"transmat_prior must be an array of numbers|transmat_prior must be finite"),
        ({"transmat_prior": "much"}, r"transmat_prior must be an array of numbers"),
        ({"sticky": -1.0}, r"sticky must be a finite number >= 0, but got -1\.0"),
        ({"sticky": np.inf}, r"sticky must be a finite number >= 0, but got inf"),
        ({"tol": -1}, r"tol must be a finite number >= 0, but got -1"),
        ({"tol": np.nan}, r"tol .* nan"),
        ({"max_iter": -1}, r"max_iter must be an integer >= 0, but got -1"),
        ({"n_init": 0}, r"n_init must be 'auto' or an integer >= 1, but got 0"),
        ({"n_init": "many"}, r"n_init .* 'many'"),
        ({"fixed": ("widths",)}, r"fixed must be a tuple of names among .*'transmat'.* \('widths',\)"),
        ({"fixed": ("rates",)}, r"fixed must be a tuple of names among .*'means'.* \('rates',\)"),
        ({"fixed": "transmat"}, r"fixed must be a tuple .* 'transmat'"),
        ({"fixed": None}, r"fixed must be a tuple .* None"),
        ({"fixed": ([],)}, r"fixed must be a tuple"),
        ({"accelerate": "much"}, r"accelerate must be one of .* 'much'"),
        ({"accelerate": True}, r"accelerate must be one of .* True"),
        ({"warm_start": "yes"}, r"warm_start must be one of .* 'yes'"),
        ({"verbose": -1}, r"verbose must be an integer >= 0, but got -1"),
        ({"n_jobs": 0}, r"n_jobs must be .* 0"),
        ({"n_jobs": "all"}, r"n_jobs must be .* 'all'"),
        ({"random_state": "dice"}, r"'dice'"),
    ],
)
def test_arguments(arguments, message):
    assert_refused(EMHiddenMarkov(**{"n_components": 2, **arguments}), message)


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        ({"emission": "poisson"}, -COUNTS - 1, r"Negative values in data: X\[0, 0\] is -\d+, .*emission='poisson'"),
        ({"emission": "poisson"}, COUNTS + 0.5, r"X\[0, 0\] is \d\.5, but counts must be the integers 0, 1, 2"),
        ({"emission": "categorical"}, SYMBOLS - 1, r"Negative values in data: X\[\d+, 0\] is -1, .*'categorical'"),
        ({"emission": "categorical"}, SYMBOLS / 2, r"X\[\d+, 0\] is 0\.5, but symbols must be the integers 0, 1, 2"),
        ({"emission": "categorical"}, SYMBOLS + 1e9, r"X\[0, 0\] is 100000000\d, but symbols must be numbered"),
        ({"emission": "categorical", "n_symbols": 2}, SYMBOLS, r"X\[\d+, 0\] is 2, .* the 2 symbols 0 to 1"),
        ({"emission": "categorical", "n_symbols": 0}, SYMBOLS, r"n_symbols must be an integer >= 1, but got 0"),
        ({"emission": "categorical", "n_symbols": "3"}, SYMBOLS, r"n_symbols must be an integer, .* but got '3'"),
        ({"emission": "categorical", "n_symbols": [3, 3]}, SYMBOLS, r"n_symbols has 2 numbers, but X has 1 columns"),
        (
            {"emission": "categorical", "emissionprob_prior": 0.5},
            SYMBOLS,
            r"emissionprob_prior .* >= 1.*, but got 0\.5",
        ),
        ({"emission": "categorical", "emissionprob_init": np.eye(2)}, SYMBOLS, r"emissionprob_init: .*\(2, 3\)"),
        (
            {"emission": "categorical", "emissionprob_init": np.full((2, 3), 0.5)},
            SYMBOLS,
            r"emissionprob_init must have rows of probabilities that sum to one",
        ),
        ({"emission": "bernoulli"}, SYMBOLS, r"X\[\d+, 0\] is 2, but values must be 0 or 1"),
        ({"emission": "bernoulli"}, SYMBOLS - 1, r"Negative values in data: X\[\d+, 0\] is -1, .*'bernoulli'"),
        (
            {"emission": "bernoulli", "emissionprob_init": [[0.5], [1.5]]},
            SYMBOLS.clip(max=1),
            r"emissionprob_init must lie between 0 and 1, but got",
        ),
        (
            {"emission": "poisson", "rates_init": [[1, 2]]},
            COUNTS,
            r"rates_init: .* shape of \(2, 2\), but got \(1, 2\)",
        ),
        ({"emission": "poisson", "rates_init": -np.ones((2, 2))}, COUNTS, r"rates_init must lie between 0 and inf"),
        ({"emission": ["gaussian", "poisson"]}, X, r"X\[\d+, 1\] is .*, but counts must be"),
        ({"emission": "mixture", "means_init": np.zeros((2, 2))}, X, r"means_init: .* shape of \(2, 2, 2\)"),
    ],
)
def test_values_that_an_emission_does_not_take(arguments, data, message):
    assert_refused(EMHiddenMarkov(2, **arguments), message, data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([["a", "b"], ["c", "d"]], "could not convert string to float"),
        (np.array([["a", 1.0], ["b", 2.0]], dtype=object), "could not convert string to float"),
        (np.ones((9, 2)) + 1j, "Complex data not supported"),
        (np.ones(9), "Expected 2D array, got 1D array"),
        (np.ones((9, 2, 2)), "dim 3"),
        (5.0, "Expected 2D array, got scalar array"),
        (None, "Expected 2D array, got scalar array|NoneType"),
        ([], "Expected 2D array, got 1D array"),
        (np.empty((0, 2)), r"0 sample\(s\)"),
        (np.empty((9, 0)), r"0 feature\(s\)"),
        (np.ones((1, 2)), r"1 sample\(s\)"),
        ([np.ones((1, 2))], r"1 sample\(s\)"),
        ([np.ones((3, 2)), np.ones((3, 1))], r"X\[0\] has 2 and X\[1\] has 1"),
        ([np.ones((3, 2)), np.empty((0, 2))], r"X\[1\] has shape \(0, 2\)"),
        (np.array([[1.0, np.inf], [2.0, 3.0], [3.0, 1.0]]), "infinity"),
        (np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan]]), r"no observed value in column\(s\) \[1\]"),
        (np.full((9, 2), np.nan), r"no observed value in column\(s\) \[0, 1\]"),
        (np.array([[1e200, 0.0], [-1e200, 1.0], [0.0, 2.0]]), r"column\(s\) \[0\] of standard deviation \[inf\]"),
        (np.array([["2026-01-01"], ["2026-01-02"]], dtype="datetime64[D]"), "dates or times"),
        (lambda: 5, "X is a function, so each call must return an iterable of blocks of rows"),
        (csr_array(X), r"X is sparse \(csr_array\), but dense data is required"),
        (csr_matrix(X), r"X is sparse \(csr_matrix\), but dense data is required"),
    ],
)
def test_data(data, message):
    hmm = EMHiddenMarkov()
    with pytest.raises((ValueError, TypeError), match=message):
        hmm.fit(data)
    assert not [name for name in vars(hmm) if name.endswith("_")]


WEIGHT = np.ones(30)
METADATA = [
    ({"sequence_id": IDS[:-1]}, r"sequence_id must have one id for each of the 30 rows of X, but has 29"),
    ({"sequence_id": "a"}, r"sequence_id must be a list or array .* but got 'a'"),
    ({"sequence_id": [[1]] * 30}, r"sequence_id is \[1\] in row 0, but an id must be hashable"),
    ({"sequence_id": [None] * 30}, r"sequence_id is None in row 0, but each row needs an id"),
    ({"sequence_id": np.ones((30, 1))}, r"sequence_id must be one-dimensional, .* shape \(30, 1\)"),
    ({"sequence_id": IDS, "lengths": [30]}, r"sequence_id and lengths are both given"),
    ({"lengths": [10, 10]}, r"lengths must be positive integers that sum to the 30 rows of X, but they sum to 20"),
    ({"lengths": [10, 0, 20]}, r"lengths must be positive .* but lengths\[1\] is 0"),
    ({"lengths": [40, -10]}, r"lengths must be positive .* but lengths\[0\] is 40"),
    ({"lengths": [-10, 40]}, r"lengths must be positive .* but lengths\[0\] is -10"),
    ({"lengths": []}, r"lengths must be positive .* but got \[\]"),
    ({"lengths": [15.0, 15.0]}, r"lengths must be positive integers .* but got \[15\.0, 15\.0\]"),
    ({"lengths": "30"}, r"lengths must be positive integers .* but got '30'"),
]
FIT_METADATA = [
    ({"labels": [0] * 29}, r"labels must have shape \(30,\), .* but has shape \(29,\)"),
    ({"labels": [5] * 30}, r"labels must be integers from 0 to 1, or -1 .* but labels\[0\] is 5"),
    ({"labels": [0] * 29 + [-2]}, r"labels must be .* but labels\[29\] is -2"),
    ({"labels": [0.5] * 30}, r"labels must be .* but labels\[0\] is 0\.5"),
    ({"labels": ["low"] * 30}, r"labels must be .* but labels\[0\] is 'low'"),
    ({"sample_weight": -WEIGHT}, r"sample_weight must be finite and not negative, but sample_weight\[0\] is -1\.0"),
    ({"sample_weight": 0 * WEIGHT}, r"sample_weight is zero for all rows"),
    ({"sample_weight": WEIGHT[1:]}, r"sample_weight\.shape == \(29,\), expected \(30,\)"),
    ({"sample_weight": WEIGHT * np.nan}, r"sample_weight .* nan"),
    ({"sample_weight": ["heavy"] * 30}, r"sample_weight must be an array of numbers"),
    (
        {"sample_weight": np.arange(30) // 15 + 1.0, "sequence_id": IDS},
        r"sample_weight must be constant within a sequence, but sequence 'b' has weights 1\.0 and 2\.0",
    ),
    ({"sample_weight": np.arange(30.0)}, r"but sequence 0 has weights 0\.0 and 1\.0"),
    ({"sample_weight": np.eye(1, 30)[0], "lengths": [1] * 30}, r"n_components = 2, n_samples = 1"),
]


def test_labels_of_each_sequence_in_a_list():
    message = r"labels must have shape \(30,\), .* has shape \(2, 15\); concatenate those of all sequences"
    with pytest.raises(ValueError, match=message):
        EMHiddenMarkov(2).fit([np.ones((15, 3))] * 2, labels=[[0] * 15] * 2)


@pytest.mark.parametrize(("metadata", "message"), METADATA + FIT_METADATA)
def test_metadata_of_fit(metadata, message):
    assert_refused(EMHiddenMarkov(2), message, **metadata)


class TestFitted:
    hmm = EMHiddenMarkov(2, random_state=0).fit(X)

    @pytest.mark.parametrize(("metadata", "message"), METADATA)
    @pytest.mark.parametrize("method", ["predict", "score", "predict_proba_filtered", "decode", "icl"])
    def test_metadata(self, method, metadata, message):
        with pytest.raises(ValueError, match=message):
            getattr(self.hmm, method)(X, **metadata)

    @pytest.mark.parametrize(
        ("method", "arguments", "message"),
        [
            ("predict_proba_lagged", {"lag": -1}, r"lag must be an integer >= 0, but got -1"),
            ("predict_proba_lagged", {"lag": 1.5}, r"lag must be an integer >= 0, but got 1\.5"),
            ("decode_k_best", {"k": 0}, r"k must be an integer >= 1, but got 0"),
            ("sample_paths", {"n_paths": 0}, r"n_paths must be an integer >= 1, but got 0"),
            ("forecast", {"steps": 0}, r"steps must be an integer >= 1, but got 0"),
            ("forecast", {"steps": True}, r"steps must be an integer >= 1, but got True"),
            (
                "standard_errors",
                {"method": "magic"},
                r"method must be one of \['information', 'bootstrap'\], but got 'magic'",
            ),
            ("score", {"sample_weight": np.ones(3)}, r"sample_weight\.shape == \(3,\), expected \(30,\)"),
            ("bic", {"sample_weight": -np.ones(30)}, r"sample_weight must be finite and not negative"),
        ],
    )
    def test_arguments(self, method, arguments, message):
        with pytest.raises(ValueError, match=message):
            getattr(self.hmm, method)(X, **arguments)

    def test_sample(self):
        for n_samples in (0, -1, 2.0, True):
            with pytest.raises(ValueError, match=rf"n_samples must be an integer >= 1, but got {n_samples}"):
                self.hmm.sample(n_samples)

    def test_a_changed_decoder_is_checked(self):
        hmm = copy.deepcopy(self.hmm).set_params(decoder="best")
        with pytest.raises(ValueError, match=r"decoder must be one of .* 'best'"):
            hmm.predict(X)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (X[:, :1], "1 features, but EMHiddenMarkov is expecting 2"),
            (np.column_stack([X, X]), "4 features, but EMHiddenMarkov is expecting 2"),
            (np.full((2, 2), np.inf), "infinity"),
            (np.empty((0, 2)), r"0 sample\(s\)"),
            (csr_array(X), "X is sparse"),
            ([["a", "b"]], "could not convert string to float"),
        ],
    )
    def test_data(self, data, message):
        for method in ("predict", "score_samples", "predict_proba", "standard_errors"):
            with pytest.raises(ValueError, match=message):
                getattr(self.hmm, method)(data)

    def test_feature_names(self):
        hmm = EMHiddenMarkov().fit(pd.DataFrame(X, columns=["x", "y"]))
        with pytest.raises(ValueError, match="feature names"):
            hmm.predict(pd.DataFrame(X, columns=["x", "z"]))


ROWS_METHODS = (
    "predict",
    "predict_proba",
    "predict_proba_filtered",
    "transform",
    "decode",
    "score",
    "score_samples",
    "sample_paths",
    "bic",
    "aic",
    "icl",
    "standard_errors",
)


def calls(hmm, data):
    yield from (lambda method=method: getattr(hmm, method)(data) for method in ROWS_METHODS)
    yield from (lambda: hmm.predict_proba_lagged(data, lag=1), lambda: hmm.forecast(data, 1))
    yield lambda: hmm.decode_k_best(data, 2)


def test_before_fit():
    hmm = EMHiddenMarkov(2)
    for call in (*calls(hmm, X), hmm.sample, hmm.get_feature_names_out):
        with pytest.raises(NotFittedError):
            call()


class TestUnknownSymbols:
    new = np.array([[0.0], [4.0], [1.0]])

    def test_every_method_names_value_and_row(self):
        hmm = EMHiddenMarkov(2, emission="categorical", random_state=0, n_init=1, tol=1e-4).fit(SYMBOLS)
        for call in calls(hmm, self.new):
            with pytest.raises(ValueError, match=r"X\[1, 0\] is 4, but its column has the 3 symbols 0 to 2"):
                call()

    def test_probability_by_smoothing_if_asked(self):
        options = {"emission": "categorical", "n_symbols": 5, "random_state": 0, "n_init": 1, "tol": 1e-4}
        hmm = EMHiddenMarkov(2, emissionprob_prior=1.5, **options).fit(SYMBOLS)
        assert hmm.emissionprob_.shape == (2, 5)
        assert (hmm.emissionprob_ > 0).all()
        assert np.isfinite(hmm.score_samples(self.new)).all()
        plain = EMHiddenMarkov(2, **options).fit(SYMBOLS)
        with pytest.raises(ValueError, match=r"row 1 has probability zero under the model"):
            plain.score(self.new)


class TestImpossibleRows:
    """Named by their place in what the user passed, whatever order and chunks they are computed in."""

    symbols = np.array([[0.0], [1.0], [0.0], [1.0], [1.0], [0.0]])
    options = {  # noqa: RUF012  # never changed
        "emission": "categorical",
        "emissionprob_init": [[1.0, 0.0], [0.0, 1.0]],
        "transmat_init": [[0.0, 1.0], [1.0, 0.0]],
    }

    def test_fit(self):
        """Sequence 1 is 0, 0, ...: the chain that must move at each step cannot make its second row."""
        hmm = EMHiddenMarkov(2, **self.options)
        assert_refused(hmm, "row 2 has probability zero", self.symbols, sequence_id=[1, 2, 1, 2, 1, 2])
        ids, weight = np.array([0, 1, 2, 1, 2, 1]), np.array([0.0, 1, 1, 1, 1, 1])
        assert_refused(hmm, "row 3 has probability zero", self.symbols, sequence_id=ids, sample_weight=weight)

    def test_fit_in_chunks(self):
        good = np.tile([[0.0], [1.0]], (6_000, 1))
        data, lengths = np.vstack([good, good, self.symbols]), [12_000, 12_000, 6]
        assert_refused(EMHiddenMarkov(2, **self.options), "row 24004 has", data, lengths=lengths)

    def test_labels_against_zeros(self):
        """Of several starts, none of which is given."""
        hmm = EMHiddenMarkov(3, transmat_init=np.eye(3), random_state=0)
        assert_refused(hmm, "row 4 has probability zero", labels=[-1, 0, -1, 0, 1] + [-1] * 25)

    def test_predict(self):
        hmm = EMHiddenMarkov(2, **self.options).fit(np.tile([[0.0], [1.0]], (10, 1)))
        for call in (hmm.score, hmm.predict, hmm.predict_proba, hmm.sample_paths, hmm.icl):
            with pytest.raises(ValueError, match="row 2 has probability zero"):
                call(self.symbols, sequence_id=[1, 2, 1, 2, 1, 2])


class TestAtomicFit:
    """A fit that fails leaves the earlier one, complete."""

    def check_unchanged(self, hmm, error, *args, **kwargs):
        state, before = copy.deepcopy(vars(hmm)), hmm.predict_proba(X)
        with pytest.raises(error):
            hmm.fit(*args, **kwargs)
        assert vars(hmm).keys() == state.keys()
        assert hmm.n_features_in_ == 2
        assert_array_equal(hmm.predict_proba(X), before)

    def test_bad_data(self):
        hmm = EMHiddenMarkov(2, random_state=0).fit(X)
        self.check_unchanged(hmm, ValueError, np.full((9, 3), np.inf))
        self.check_unchanged(hmm, ValueError, np.full((9, 3), np.nan))
        self.check_unchanged(hmm, ValueError, np.ones((9, 3)), lengths=[1])
        self.check_unchanged(hmm, ValueError, np.ones((9, 3)), labels=[7] * 9)
        hmm.set_params(transmat_init=np.eye(3))
        self.check_unchanged(hmm, ValueError, X)

    @pytest.mark.parametrize(
        ("emission", "change", "data", "message"),
        [
            ("gaussian", {"n_components": 3}, COUNTS, "n_components=2, but now n_components=3"),
            ("gaussian", {}, COUNTS[:, :1], "n_features=2, but now n_features=1"),
            ("gaussian", {"emission": "student"}, COUNTS, "emission='gaussian', but now emission='student'"),
            ("gaussian", {"covariance_type": "diag"}, COUNTS, "covariance_type='full', but now covariance_type='diag'"),
            ("mixture", {"n_mix": 3}, COUNTS, "n_mix=2 and the symbols that it had seen, but now there are others"),
            ("categorical", {}, COUNTS + 1, "the symbols that it had seen, but now there are others"),
        ],
    )
    def test_warm_start_of_another_model(self, emission, change, data, message):
        hmm = EMHiddenMarkov(2, emission=emission, warm_start=True, random_state=0, n_init=1, max_iter=0).fit(COUNTS)
        state = copy.deepcopy(vars(hmm))
        with pytest.raises(ValueError, match=f"warm_start=True continues a fit with .*{message}"):
            hmm.set_params(**change).fit(data)
        assert vars(hmm).keys() == state.keys()
        assert_array_equal(hmm.transmat_, state["transmat_"])

    def test_interrupt(self, monkeypatch):
        from emkit.hidden_markov.model import HiddenMarkovModel

        class Interrupted(KeyboardInterrupt):
            pass

        hmm = EMHiddenMarkov(2, random_state=0).fit(X)
        calls = iter(range(100))
        m_step = HiddenMarkovModel.m_step

        def interrupt(self, stats, params):
            if next(calls) > 20:
                raise Interrupted
            return m_step(self, stats, params)

        monkeypatch.setattr(HiddenMarkovModel, "m_step", interrupt)
        self.check_unchanged(hmm, Interrupted, np.column_stack([X, X]))


def test_lengths_in_the_place_of_y():
    X = np.random.default_rng(0).normal(size=(10, 1))
    model = EMHiddenMarkov(1)
    with pytest.raises(ValueError, match=r"y is ignored.*10 rows.*\(2,\).*`lengths`"):
        model.fit(X, [4, 6])
    model.fit(X, np.zeros(10))
    with pytest.raises(ValueError, match="`lengths`"):
        model.score(X, [4, 6])
    with pytest.raises(ValueError, match="`lengths`"):
        model.fit([X[:4], X[4:]], [4, 6])
