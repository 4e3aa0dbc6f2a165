"""Hostile data that mixtures of experts take, or refuse as a whole; data at random."""

import warnings

import numpy as np
import pytest
from experts_problem import (
    BLOCK,
    CLASSES,
    COUNTS,
    LABELS,
    ONES,
    POSITIVE,
    N,
    X,
    Y,
    assert_sound,
    classifier,
    fitted,
    inf,
    nan,
    only_documented_warnings,
    regressor,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import gammaincinv
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.mixture_of_experts import prediction


@pytest.fixture(autouse=True, scope="module")
def searches_end():
    """A search for a quantile that does not end is an error after 5000 looks at the distribution."""
    patch, original = pytest.MonkeyPatch(), getattr(prediction, "_least_count", None)

    def counted(cdf, *args):
        left = iter(range(5000))

        def looked_at(values):
            assert next(left, None) is not None, "endless search"
            return cdf(values)

        return original(looked_at, *args)

    patch.setattr(prediction, "_least_count", counted, raising=False)
    yield
    patch.undo()


# --- arguments of methods -----------------------------------------------------------------------------------------


class TestQuantiles:
    model = EMMixtureOfExpertsRegressor(random_state=0).fit(X, Y)

    @pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, nan, inf, [0.1, nan], [0.5, 1], [[0.1]], None, True])
    def test_out_of_range(self, value):
        with pytest.raises(ValueError, match="quantile must be one or several numbers between 0 and 1, but got"):
            self.model.predict_quantile(X, value)

    @pytest.mark.parametrize("value", ["a", [], 1j, ["a"]])
    def test_no_numbers(self, value):
        with pytest.raises(ValueError, match="quantile must be"):
            self.model.predict_quantile(X, value)

    @pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, nan, "a", None, True, [0.5], -0.5, 95])
    def test_levels(self, value):
        with pytest.raises(ValueError, match="level must be a number between 0 and 1, but got"):
            self.model.predict_interval(X, value)

    @pytest.mark.parametrize("value", [0, -1, 1.5, "a", None, True])
    def test_draws(self, value):
        with pytest.raises(ValueError, match="n_draws must be an integer >= 1, but got"):
            self.model.sample(X, value)

    @pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-16, 1 - 1e-16, np.float32(0.5), np.array(0.5)])
    def test_extreme_ones(self, value):
        for model in (self.model, regressor(expert="student").fit(X, Y), regressor(expert="poisson").fit(X, COUNTS)):
            assert np.isfinite(model.predict_quantile(X, value)).all()

    @pytest.mark.parametrize("method", ["magic", None, 3])
    def test_method_of_standard_errors(self, method):
        with pytest.raises(ValueError, match=r"method must be one of \['information', 'bootstrap'\], but got"):
            self.model.standard_errors(X, Y, method=method)

    def test_standard_errors_of_estimators(self):
        with pytest.raises(ValueError, match="expert is an estimator, whose parameters have no standard errors here"):
            regressor(expert=Ridge()).fit(X, Y).standard_errors(X, Y)

    def test_of_gamma_near_zero(self):
        """Shape 0.14: the quantile is about 1e-28 of the mean."""
        y = np.random.default_rng(1).gamma(0.15, 10, size=N) + 1e-12
        model = regressor(1, expert="gamma", expert_features=[]).fit(X, y)
        expected = gammaincinv(model.shape_[0], 1e-4) * np.exp(model.intercept_[0]) / model.shape_[0]
        low = model.predict_quantile(X, 1e-4)
        assert (low >= 0).all()
        assert_allclose(low, expected, rtol=1e-6)


# --- hostile data -------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
HOSTILE = {
    "K rows": (X[:2], Y[:2]),
    "three rows": (X[:3], Y[:3]),
    "more columns than rows": (RNG.normal(size=(10, 30)), Y[:10]),
    "one row again and again": (np.ones((20, 2)), np.ones(20)),
    "two rows again and again": (np.repeat(X[:2], 10, axis=0), np.repeat(Y[:2], 10)),
    "zeros": (np.zeros((20, 2)), np.zeros(20)),
    "constant responses": (X, np.full(N, 5.0)),
    "two values": (X, (Y > 1) * 1.0),
    "constant columns": (np.column_stack([X, ONES, 1e6 * ONES, 0 * ONES]), Y),
    "copies of columns": (np.column_stack([X, X, 1e8 * X]), Y),
    "sums of columns": (np.column_stack([X, X @ [1, 2, 3], X @ [1, 0, -1]]), Y),
    "nearly copies": (np.column_stack([X, X + 1e-9]), Y),
    "exactly linear": (X, X @ [1.0, 2, 3] + 5),
    "two lines exactly": (X, np.where(np.arange(N) % 2, X @ [1.0, 2, 3], 5 - X @ [1.0, 0, 1])),
    "separated by the gate": (X, np.where(X[:, 0] > 0, 1000, 0) + Y),
    "offset of X": (X + 1e8, Y),
    "offset of y": (X, Y + 1e8),
    "small X": (X * 1e-12, Y),
    "large X": (X * 1e12, Y),
    "small y": (X, Y * 1e-12),
    "large y": (X, Y * 1e12),
    "one wild response": (X, np.r_[1e6, Y[1:]]),
    "one very wild response": (X, np.r_[1e100, Y[1:]]),
    "one wild row": (np.vstack([1e9 * np.ones(3), X[1:]]), Y),
    "columns of all scales": (X * [1e-9, 1, 1e9], Y),
    "whole numbers": (np.rint(X), np.rint(Y)),
    "heavy tails": (X, RNG.standard_cauchy(N) * 100),
    "cubes of heavy tails": (RNG.standard_cauchy((N, 2)) ** 3, Y),
}
GATES = ("softmax", "constant", "gaussian", "hierarchical")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("gate", GATES)
def test_hostile_data_for_gaussian_experts(name, gate):
    data, y = HOSTILE[name]
    fitted(regressor(gate=gate), data, y)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "options",
    [
        {"n_init": "auto"},
        {"alpha": 0, "gate_alpha": 0},
        {"expert": "student"},
        {"noise": True},
        {"covariance_type": "tied", "gate": "constant", "alpha": 10},
        {"expert": LinearRegression(), "max_iter": 20},
    ],
)
def test_hostile_data_and_options(name, options):
    data, y = HOSTILE[name]
    fitted(regressor(**options), data, y)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_without_any_floor(name):
    """Here a ValueError is an answer too."""
    data, y = HOSTILE[name]
    try:
        fitted(regressor(reg_covar=0, alpha=0, gate_alpha=0), data, y)
    except ValueError as error:
        assert "reg_covar" in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("options", [{}, {"gate": "gaussian"}, {"alpha": 0, "gate_alpha": 0, "max_iter": 100}])
def test_hostile_data_for_classifiers(name, options):
    data, y = HOSTILE[name]
    labels = y > np.median(y)
    if len(np.unique(labels)) == 2:
        fitted(classifier(**options), data, labels)
        fitted(classifier(**options, noise=True), data, np.where(labels, "a", "b"))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("expert", ["poisson", "binomial", "gamma"])
def test_hostile_data_for_other_laws(name, expert):
    data, y = HOSTILE[name]
    y = np.abs(y)
    counts = np.rint(np.minimum(y, 50))
    y = {"poisson": counts, "binomial": (counts > 1) * 1, "gamma": np.maximum(y, 1e-9)}[expert]
    fitted(regressor(expert=expert), data, y)


@pytest.mark.parametrize("gate", ["softmax", "constant"])
@pytest.mark.parametrize(
    ("expert", "y", "exposure"),
    [
        ("poisson", np.zeros(N), None),
        ("poisson", np.r_[0.0, 1, COUNTS[2:]], None),
        ("poisson", COUNTS * 1e9, None),
        ("poisson", np.r_[1e15, COUNTS[1:]], None),
        ("poisson", COUNTS + 0.5, None),
        ("poisson", COUNTS, 1e-9),
        ("poisson", COUNTS, 1e9),
        ("poisson", (X[:, 0] > 0) * 5, None),
        ("binomial", np.zeros(N), None),
        ("binomial", np.ones(N), None),
        ("binomial", (X[:, 0] > 0) * 1, None),
        ("binomial", (X[:, 0] > 0) * 1e6, 1e6),
        ("binomial", COUNTS, COUNTS + 1),
        ("binomial", COUNTS * 1e5, 1e6),
        ("gamma", np.full(N, 3.0), None),
        ("gamma", np.full(N, 1e-300), None),
        ("gamma", POSITIVE * 1e-12, None),
        ("gamma", POSITIVE * 1e12, None),
        ("gamma", np.r_[1e-300, POSITIVE[1:]], None),
        ("gamma", np.r_[1e100, POSITIVE[1:]], None),
        ("gamma", np.exp(20 * X[:, 0]), None),
    ],
)
def test_hostile_responses_of_other_laws(expert, y, exposure, gate):
    fitted(regressor(expert=expert, gate=gate), X, y, **({} if exposure is None else {"exposure": exposure}))


@pytest.mark.parametrize(
    ("expert", "y", "rtol"),
    [
        ("poisson", np.r_[1e3, np.zeros(N - 1)], 1e-5),
        ("poisson", np.r_[1e9, np.zeros(N - 1)], 1e-5),
        ("binomial", np.r_[1, np.zeros(N - 1)], 1e-5),
        ("gamma", RNG.gamma(0.5, 10, size=N) + 1e-12, 1e-5),
        ("gamma", RNG.gamma(0.2, 10, size=N) + 1e-12, 1e-4),
        ("gamma", RNG.gamma(0.1, 10, size=N) + 1e-12, 1e-4),
        ("poisson", np.r_[1e12, np.zeros(N - 1)], 1e-4),
    ],
)
def test_the_mean_of_one_expert_without_inputs_is_that_of_the_responses(expert, y, rtol):
    """The score equation of the intercept, whatever the dispersion; with a fit that says that it has converged."""
    model = regressor(1, expert=expert, expert_features=[], tol=1e-10).fit(X, y)
    assert model.converged_
    assert_allclose(model.predict(X), y.mean(), rtol=rtol)


@pytest.mark.parametrize("expert", ["poisson", "binomial", "gamma"])
def test_scaled_exposures_scale_the_mean(expert):
    y = {"poisson": COUNTS, "binomial": np.clip(COUNTS, 0, 3), "gamma": POSITIVE}[expert]
    one = regressor(expert=expert).fit(X, y, exposure=3.0)
    if expert == "binomial":
        assert_allclose(one.predict(X, exposure=6.0), 2 * one.predict(X, exposure=3.0))
    else:
        other = regressor(expert=expert).fit(X, y, exposure=3e6)
        assert_allclose(one.predict(X, exposure=3.0), other.predict(X, exposure=3e6), rtol=1e-5)
        shifted = regressor(expert=expert).fit(X, y, offset=400.0)
        assert_allclose(shifted.predict(X, offset=400.0), one.predict(X, exposure=3.0), rtol=1e-5)


def test_trials_that_are_no_whole_numbers():
    """Either refused, or the same for all methods."""
    model = regressor(1, expert="binomial", alpha=1.0)
    try:
        model.fit(X, np.clip(COUNTS, 0, 2), exposure=2.5)
    except ValueError as error:
        assert "exposure" in str(error)  # noqa: PT017
        return
    assert_allclose(model.sample(X, 4000, exposure=2.5).mean(axis=0), model.predict(X, exposure=2.5), rtol=0.1)


def test_many_experts_for_few_rows():
    for gate in ("softmax", "constant", "hierarchical"):
        model = fitted(regressor(20, gate=gate, n_groups=4, max_iter=100), X[:50], Y[:50])
        assert model.weights_.shape == (20,)
    with pytest.warns(DegenerateSolutionWarning, match=r"expert \d+"):
        regressor(20).fit(X[:50], Y[:50])
    fitted(classifier(20, max_iter=20), X[:50], CLASSES[:50])


@pytest.mark.parametrize("n_groups", [2, 3, 7, 100])
def test_any_number_of_groups(n_groups):
    for k in (1, 2, 5):
        fitted(regressor(k, gate="hierarchical", n_groups=n_groups), X, Y)


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (5, 0), (5, 5)])
def test_lost_experts_of_several_responses(k, seed):
    from sklearn.datasets import make_regression

    data, y = make_regression(10, 10, n_targets=5, random_state=42)
    fitted(EMMixtureOfExpertsRegressor(k, n_init=1, random_state=seed), data, y)


class TestSeparation:
    """Finite, and the warning says where."""

    upper = X[:, 0] > 0

    @pytest.mark.parametrize("gate_alpha", [0, 1e-6])
    @pytest.mark.parametrize("gate", ["softmax", "hierarchical"])
    def test_in_the_gate(self, gate, gate_alpha):
        model = regressor(gate=gate, gate_alpha=gate_alpha, gate_features=[0])
        with pytest.warns(DegenerateSolutionWarning, match="the gate tells expert 0 from the others perfectly"):
            model.fit(X, np.where(self.upper, 1000, 0) + Y)
        fitted(model, X, np.where(self.upper, 1000, 0) + Y)
        assert_allclose(np.sort(model.weights_), np.sort([self.upper.mean(), 1 - self.upper.mean()]), atol=1e-3)

    @pytest.mark.parametrize("alpha", [0, 1e-6])
    @pytest.mark.parametrize("cuts", [[0.0], [-0.5, 0.5]])
    def test_of_classes(self, alpha, cuts):
        model, y = classifier(1, alpha=alpha), np.digitize(X[:, 0], cuts)
        with pytest.warns(DegenerateSolutionWarning, match="expert 0 tells classes apart perfectly"):
            model.fit(X, y)
        assert fitted(model, X, y).score(X, y) == 1

    def test_the_warning_names_the_penalty_that_was_given(self):
        with pytest.warns(DegenerateSolutionWarning, match="alpha=1e-06"):
            classifier(1, alpha=1e-6).fit(X, self.upper)

    @pytest.mark.parametrize("alpha", [0, 1e-6])
    def test_of_shares(self, alpha):
        model = regressor(1, expert="binomial", alpha=alpha)
        with pytest.warns(DegenerateSolutionWarning, match="expert 0"):
            model.fit(X, self.upper)
        fitted(model, X, self.upper)

    @pytest.mark.parametrize("make", [regressor, classifier])
    def test_a_penalty_heals_it(self, make):
        y = Y if make is regressor else self.upper
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make(1, alpha=0.1, gate_alpha=1.0).fit(X, y)


class TestDegenerateSolutions:
    def test_variances_without_a_floor_are_not_rounding(self):
        """Three of five rows on a line: without a bound the next step would be noise, and the objective would fall."""
        x, y = np.array([[0.0], [0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 3.0, 4.0, 2.0])
        for k in (1, 2, 3):
            fitted(regressor(k, reg_covar=0, expert="student", gate="constant"), x[:4], y[:4])
            model = fitted(regressor(k, reg_covar=0), x, y)
            assert (model.scale_ >= 0.99e-5 * y.std()).all()

    def test_exact_lines_name_the_expert(self):
        y = np.where(np.arange(N) % 2, X @ [1.0, 2, 3], 5 - X @ [1.0, 0, 1])
        with pytest.warns(DegenerateSolutionWarning, match=r"reg_covar=1e-06 keeps the noise of expert 0 above"):
            regressor(gate="constant").fit(X, y)

    def test_a_wild_response_names_the_expert(self):
        with pytest.warns(
            DegenerateSolutionWarning,
            match=r"expert \d( has collapsed onto rows of total weight 1|.* its rows, which it fits exactly)",
        ):
            regressor().fit(X, np.r_[1e6, Y[1:]])

    def test_warnings_name_the_line_of_the_caller(self):
        with pytest.warns(DegenerateSolutionWarning) as caught:
            regressor().fit(X, np.full(N, 5.0))
        assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e6, 1e9])
@pytest.mark.parametrize(
    ("model", "y"),
    [
        (regressor(gate="constant"), Y),
        (regressor(expert="student", gate="constant"), Y),
        (regressor(expert="poisson", gate="constant", expert_features=[1]), COUNTS),
        (regressor(expert="gamma", gate="constant", expert_features=[1]), POSITIVE),
        (regressor(gate_features=[1]), Y),
        (classifier(1), CLASSES),
        (regressor(1, expert="binomial"), CLASSES),
    ],
)
def test_scaled_weights(model, y, factor):
    """Without penalties the unit of weight is none."""
    model.set_params(alpha=0, gate_alpha=0, tol=1e-9)
    one = model.fit(X, y).objective_
    fitted(model, X, y, sample_weight=factor)
    assert model.objective_ / factor == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (regressor(1, expert="poisson"), COUNTS),
        (regressor(1, expert="gamma"), POSITIVE),
        (regressor(1, expert="binomial"), CLASSES),
    ],
)
def test_tiny_weights_are_weights_too(model, y):
    model.set_params(alpha=0, tol=1e-9)
    one = model.fit(X, y).objective_
    assert model.fit(X, y, sample_weight=1e-12).objective_ / 1e-12 == pytest.approx(one, rel=1e-3)


def test_weights_of_all_sizes():
    for weight in (10.0 ** RNG.uniform(-12, 3, size=N), np.r_[1e12, ONES[1:]], np.r_[1e-300, ONES[1:]]):
        fitted(regressor(), X, Y, sample_weight=weight)
        fitted(regressor(expert="poisson"), X, COUNTS, sample_weight=weight)
        fitted(classifier(), X, CLASSES, sample_weight=weight)


# --- far away -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [30.0, 1e3, 1e10, 1e100])
@pytest.mark.parametrize(
    ("model", "y"),
    [
        *((regressor(gate=gate), Y) for gate in GATES),
        (regressor(expert="student"), Y),
        (regressor(expert="binomial", alpha=0.1), CLASSES),
        (classifier(), CLASSES),
        (classifier(gate="gaussian"), CLASSES),
        (regressor(expert=LinearRegression(), max_iter=3), Y),
    ],
)
def test_inputs_far_from_those_of_the_fit(model, y, factor):
    with only_documented_warnings():
        model.fit(X, y)
        assert_sound(model, factor * X, y)


@pytest.mark.parametrize("factor", [1e3, 1e10])
def test_inputs_far_from_those_of_gamma_experts(factor):
    with only_documented_warnings():
        assert_sound(regressor(expert="gamma").fit(X, POSITIVE), factor * X, POSITIVE)


@pytest.mark.parametrize("value", [1e10, 1e100, -1e140])
@pytest.mark.parametrize("options", [{}, {"expert": "student"}, {"gate": "gaussian"}, {"noise": True}])
def test_responses_far_from_those_of_the_fit(options, value):
    with only_documented_warnings():
        assert_sound(regressor(**options).fit(X, Y), X, np.r_[value, Y[1:]])


@pytest.mark.parametrize("call", ["predict_quantile", "predict_interval"])
def test_quantiles_of_counts_that_are_expected_to_be_huge(call):
    model = regressor(1, expert="poisson", expert_features=[1]).fit(X, COUNTS)
    far = np.array([[0.0, 200.0 * np.sign(model.coef_[0, 0]), 0.0]])
    assert model.predict(far) > 2.0**60
    assert np.isfinite(getattr(model, call)(far)).all()


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (EMMixtureOfExpertsRegressor(expert="poisson", random_state=0), np.eye(N)[0]),
        (regressor(expert="poisson"), np.r_[1e9, COUNTS[1:]]),
    ],
)
def test_intervals_where_one_count_is_wild(model, y):
    """Some expert expects 1e60 for rows of the fit that are not its own."""
    fitted(model, X, y)


def test_draws_of_counts_that_are_expected_to_be_huge():
    """NumPy's generator ends at 9.2e18."""
    model = regressor(1, expert="poisson", expert_features=[1]).fit(X, COUNTS)
    far = np.array([[0.0, 400.0 * np.sign(model.coef_[0, 0]), 0.0]])
    assert model.predict(far) > 1e20
    assert 1e18 < model.sample(far)[0, 0] < np.inf


def test_scores_of_a_block_do_not_hang_on_other_blocks():
    model = regressor(gate="constant").fit(X, Y, block_id=BLOCK)
    wild = np.r_[1e9, Y[1:]]
    scores = model.score_samples(X, wild, block_id=BLOCK)
    assert_allclose(scores[3:], model.score_samples(X, Y, block_id=BLOCK)[3:])


@pytest.mark.parametrize("expert", ["gaussian", "poisson"])
def test_offsets_out_of_range(expert):
    """A ValueError that names the offset, or a finite answer."""
    with only_documented_warnings():
        try:
            model = regressor(expert=expert).fit(X, COUNTS, offset=1e300 * X[:, 0])
        except ValueError as error:
            assert "offset" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(model.objective_)


class TestWarmStart:
    @pytest.mark.parametrize("order", [1, -1])
    def test_another_number_of_responses(self, order):
        first, second = [Y, np.column_stack([Y, X[:, 2] * Y])][::order]
        model = regressor(warm_start=True).fit(X, first)
        before = dict(vars(model))
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.fit(X, second)
        assert vars(model) == before

    def test_other_classes(self):
        model = classifier(warm_start=True).fit(X, LABELS)
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.fit(X, np.where(CLASSES, "a", "b"))

    @pytest.mark.parametrize("name", ["expert_features", "gate_features"])
    def test_other_columns(self, name):
        model = regressor(warm_start=True, **{name: [0]}).fit(X, Y)
        with pytest.raises(ValueError, match="warm_start=True continues a fit of"):
            model.set_params(**{name: [1]}).fit(X, Y)

    def test_degenerate_fits_go_on(self):
        model = regressor(warm_start=True)
        fitted(model, X, np.full(N, 3.0))
        fitted(model, X, Y)
        fitted(model, X * 1e6, Y * 1e6)
        fitted(model, X[:5], Y[:5])


# --- at random ----------------------------------------------------------------------------------------------------

options = st.fixed_dictionaries(
    {
        "n_components": st.integers(1, 4),
        "gate": st.sampled_from(GATES),
        "n_groups": st.integers(2, 3),
        "alpha": st.sampled_from([0, 1e-6, 1.0]),
        "gate_alpha": st.sampled_from([0, 0.1, 10.0]),
        "reg_covar": st.sampled_from([0, 1e-6, 1e-3]),
        "noise": st.booleans(),
        "accelerate": st.sampled_from(["auto", "squarem", "anderson", False]),
        "n_init": st.sampled_from([1, 2]),
        "max_iter": st.integers(0, 25),
        "expert_features": st.sampled_from([None, [], [0], [-1, 0], PolynomialFeatures(2)]),
        "gate_features": st.sampled_from([None, [], [0], StandardScaler()]),
        "random_state": st.integers(0, 3),
    }
)
numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 1e-9, 1e9, -1e9]), st.floats(-10, 10), st.integers(-3, 3).map(float)
)


@st.composite
def problems(draw, responses):
    n, p = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    data = np.array(draw(st.lists(st.lists(numbers, min_size=p, max_size=p), min_size=n, max_size=n)))
    y = np.array(draw(st.lists(responses, min_size=n, max_size=n)))
    weight = draw(st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e-6]), min_size=n, max_size=n))
    ids = draw(st.none() | st.lists(st.integers(0, 4), min_size=n, max_size=n))
    if ids is not None and weight is not None:
        weight = [weight[i] for i in ids] if max(ids) < n else None
    return data, y, {"sample_weight": weight, "block_id": ids}


def assert_answers(model, problem, **more):
    """A sound fit, or a ValueError, with no warning that is not documented."""
    data, y, extras = problem
    with only_documented_warnings():
        try:
            model.fit(data, y, **extras, **more)
        except ValueError as error:
            assert str(error)  # noqa: PT017
            assert not [name for name in vars(model) if name.endswith("_") or name == "_state"]
            return
        assert_sound(model, data, y, block_id=extras["block_id"], **more)


random_problems = settings(max_examples=40)


@random_problems
@given(problems(numbers), options, st.sampled_from(["gaussian", "student"]))
def test_random_problems(problem, options, expert):
    assert_answers(EMMixtureOfExpertsRegressor(expert=expert, **options), problem)


@random_problems
@given(problems(st.tuples(numbers, numbers)), options, st.sampled_from(["full", "tied", "diag", "spherical", "EII"]))
def test_random_problems_of_two_responses(problem, options, covariance_type):
    assert_answers(EMMixtureOfExpertsRegressor(covariance_type=covariance_type, **options), problem)


@random_problems
@given(problems(st.sampled_from([0.0, 1.0, 2.0, 7.0, 1000.0])), options, st.sampled_from(["poisson", "gamma"]))
def test_random_counts(problem, options, expert):
    data, y, extras = problem
    assert_answers(EMMixtureOfExpertsRegressor(expert=expert, **options), (data, y + (expert == "gamma"), extras))


@random_problems
@given(problems(st.sampled_from(["a", "b", "c"])), options)
def test_random_classes(problem, options):
    assert_answers(EMMixtureOfExpertsClassifier(**options), problem)


@settings(max_examples=15)
@given(problems(numbers), options)
def test_random_problems_with_estimators(problem, options):
    tree = DecisionTreeRegressor(max_depth=2)
    assert_answers(EMMixtureOfExpertsRegressor(expert=tree, **options | {"expert_features": None}), problem)
