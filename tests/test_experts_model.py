"""The model of a mixture of experts: the properties of an EM model, recovery of what was simulated, invariances."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.linear_model import LinearRegression

from emkit import DegenerateSolutionWarning, EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.chunks import CHUNK_ROWS
from emkit.families.covariance import COVARIANCES
from emkit.families.gaussian import GaussianParams
from emkit.mixture_of_experts import MixtureOfExpertsModel
from emkit.mixture_of_experts.cases import Cases, Scaling, Scalings
from emkit.mixture_of_experts.experts.foreign import ForeignRegressors
from emkit.mixture_of_experts.experts.gaussian import GaussianExperts
from emkit.mixture_of_experts.experts.glm import LAWS, GlmExperts, GlmParams
from emkit.mixture_of_experts.experts.logistic import LogisticExperts
from emkit.mixture_of_experts.experts.noise import NoisyExperts, NoisyParams
from emkit.mixture_of_experts.experts.student import StudentExpertParams, StudentExperts
from emkit.mixture_of_experts.gates import (
    GATES,
    ConstantGate,
    GaussianGate,
    GaussianGateParams,
    HierarchicalGate,
    HierarchicalParams,
    SoftmaxGate,
)
from emkit.mixture_of_experts.model import ExpertsParams
from emkit.testing import check_em_model

N_INPUTS = 2


# --- the properties of an EM model ---


def scaling_of(table):
    return Scaling(table.mean(axis=0), table.std(axis=0))


def cases_of(X, y, sizes=None, **extras):
    """Cases in the units of the table; blocks of the given sizes."""
    y = np.asarray(y, dtype=float).reshape(len(X), -1)
    gate_inputs = X if sizes is None else np.add.reduceat(X, np.cumsum(sizes) - sizes) / sizes[:, None]
    scalings = Scalings(scaling_of(X), scaling_of(gate_inputs))
    return Cases(X, gate_inputs, y, np.ones(len(gate_inputs)), scalings, sizes=sizes, **extras)


def labels_of(chances, rng):
    return (rng.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)


def simulated(expert, k, m=1, *, blocks=False, n=240):
    """Overlapping experts, so that responsibilities count."""
    rng = np.random.default_rng([k, m])
    sizes = rng.integers(1, 4, n // 2) if blocks else None
    n = sizes.sum() if blocks else n
    X = rng.normal(size=(n, N_INPUTS)) * [3, 0.2] + [5, -1]
    eta = np.einsum("np,knp->n", (X - [5, -1]) / [3, 0.2], rng.normal(size=(k, 1, N_INPUTS))[[0]])
    label = rng.integers(0, k, n)
    eta = eta * (1 + label) / k + label
    exposure = rng.integers(2, 9, n).astype(float)
    y = {
        "gaussian": lambda: np.stack([(1 + j) * eta + rng.normal(size=n) for j in range(m)], axis=1),
        "student": lambda: np.stack([(1 + j) * eta + rng.standard_t(3, n) for j in range(m)], axis=1),
        "poisson": lambda: rng.poisson(exposure * np.exp(eta / 2)),
        "binomial": lambda: rng.binomial(exposure.astype(int), expit(eta - 1)),
        "gamma": lambda: rng.gamma(2, exposure * np.exp(eta / 2) / 2),
        "logistic": lambda: labels_of(softmax(eta[:, None] * [1, -1, 0.4], axis=1), rng),
        "foreign": lambda: eta + rng.normal(size=n),
    }[expert]()
    extras = {"offset": 0.2 * rng.normal(size=n)} if expert not in ("logistic", "foreign") else {}
    extras |= {"exposure": exposure} if expert in LAWS else {}
    return cases_of(X, y, sizes, **extras)


def experts_for(expert, k, cases, *, alpha=0.1, covariance_type="full", noise=False):
    m, units = cases.y.shape[1], scaling_of(cases.y)
    gaussian = GaussianExperts(k, N_INPUTS, alpha, COVARIANCES[covariance_type], units, 1e-6)
    if expert in LAWS:
        made = GlmExperts(k, N_INPUTS, alpha, LAWS[expert])
    elif expert == "logistic":
        made = LogisticExperts(k, N_INPUTS, alpha, 3)
    elif expert == "foreign":
        made = ForeignRegressors(k, LinearRegression(), np.arange(k), units, 1e-6)
    else:
        made = StudentExperts(gaussian) if expert == "student" else gaussian
    assert made.n_components == k
    return NoisyExperts(made, -m * np.log(30.0)) if noise else made


def gate_for(name, k, alpha=0.05):
    more = {"hierarchical": {"n_groups": 2}, "gaussian": {"log_unit": np.log(0.6)}}.get(name, {})
    return GATES[name](k, N_INPUTS, alpha, **more)


def reverse_coefficients(coef):
    return np.ascontiguousarray(coef[:, ::-1])


def reversed_gate(params):
    if isinstance(params, HierarchicalParams):
        bottom = tuple(reverse_coefficients(coef) for coef in params.bottom[::-1])
        return HierarchicalParams(reverse_coefficients(params.top), bottom)
    if isinstance(params, GaussianGateParams):
        return GaussianGateParams(params.weights[::-1].copy(), GaussianParams(*reversed_arrays(params.gaussians)))
    return params[::-1].copy() if params.ndim == 1 else reverse_coefficients(params)


def reversed_arrays(arrays):
    """Along the first axis, where there is one for each of the 4 experts."""
    return [array[::-1].copy() if np.shape(array)[:1] == (4,) else array for array in arrays]


def reversed_experts(params):
    if isinstance(params, NoisyParams):
        return params._replace(experts=reversed_experts(params.experts))
    if isinstance(params, StudentExpertParams):
        return StudentExpertParams(reversed_experts(params.gaussian), params.degrees_of_freedom[::-1].copy())
    if isinstance(params, np.ndarray):
        return params[::-1].copy()
    return type(params)(*reversed_arrays(params))


def reversed_params(params):
    """Experts in reverse order; both groups of the hierarchical gate have two."""
    return ExpertsParams(reversed_gate(params.gate), reversed_experts(params.experts))


EXPERTS = ["gaussian", "student", "poisson", "binomial", "gamma", "logistic"]


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_it_is_an_em_model(expert, gate, noise):
    cases = simulated(expert, 4)
    model = MixtureOfExpertsModel(gate_for(gate, 4), experts_for(expert, 4, cases, noise=noise))
    weight = np.random.default_rng(0).uniform(0.2, 3, len(cases))
    check_em_model(model, cases, sample_weight=weight, permute=reversed_params, n_steps=10)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_it_is_an_em_model_of_blocks(expert, gate):
    cases = simulated(expert, 4, blocks=True)
    model = MixtureOfExpertsModel(gate_for(gate, 4), experts_for(expert, 4, cases))
    check_em_model(model, cases, permute=reversed_params, n_steps=10)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("expert", ["gaussian", "student"])
def test_it_is_an_em_model_of_several_responses(expert, covariance_type, alpha):
    cases = simulated(expert, 4, m=3)
    experts = experts_for(expert, 4, cases, covariance_type=covariance_type, alpha=alpha)
    model = MixtureOfExpertsModel(gate_for("softmax", 4), experts)
    check_em_model(model, cases, permute=reversed_params, n_steps=10)


@pytest.mark.parametrize("expert", ["gaussian", "poisson", "logistic"])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_it_is_an_em_model_of_any_number_of_experts(expert, k):
    cases = simulated(expert, 3)
    for gate in GATES:
        if gate != "hierarchical" or k > 1:
            check_em_model(MixtureOfExpertsModel(gate_for(gate, k), experts_for(expert, k, cases)), cases, n_steps=5)


def test_foreign_experts_add_up():
    """Their statistics are the rows themselves, so that only scalars, purity and weights can be compared."""
    cases = simulated("foreign", 2)
    model = MixtureOfExpertsModel(gate_for("softmax", 2), experts_for("foreign", 2, cases))
    params = model.init_params([cases], np.random.default_rng(0))
    halves = [cases.take(np.arange(100)), cases.take(np.arange(100, len(cases)))]
    whole = model.e_step(params, cases)
    parts = model.e_step(params, halves[0]) + model.e_step(params, halves[1])
    assert whole.objective == pytest.approx(parts.objective, rel=1e-12)
    one, other = (model.m_step(stats, params) for stats in (whole, parts))
    assert_allclose(one.experts.variances, other.experts.variances, rtol=1e-10)
    doubled = model.m_step(model.e_step(params, cases.reweighted(2 * cases.weight)), params)
    assert_allclose(one.experts.variances, doubled.experts.variances, rtol=1e-10)


# --- from simulated rows back to the parameters ---


UNSCALED = Scalings.none(2, 2)
COEF = np.array([[-3, 1, 0.5], [0, -1.5, 1], [3, 0.5, -1]])  # (k, 1 + p)
GATE_COEF = np.array([[0.3, 0.2, -0.5], [1.5, -0.5, -1], [-1, 1.2, -0.2]])  # (1 + q, k)
CENTRES, SHARES = np.array([[-2, 0], [0, 2], [2, 0.0]]), np.array([0.2, 0.3, 0.5])
LOGITS = np.array([[[0, 1, -1], [3, -1, -2], [0, 1, -1]], [[1, 0, -1], [-3, 0, 3], [1, 1, -2]]])  # (k, 1 + p, c)


class Truth(NamedTuple):
    gate: object
    params: object
    X: np.ndarray
    label: np.ndarray  # (n,)


def true_gate(name, rng, n):
    X = rng.normal(size=(n, 2))
    if name == "softmax":
        return Truth(
            SoftmaxGate(3, 2, 0.0), GATE_COEF, X, labels_of(softmax(GATE_COEF[0] + X @ GATE_COEF[1:], axis=1), rng)
        )
    if name == "hierarchical":
        top, bottom = np.array([[0.2, -0.2], [1, -1], [0, 0.0]]), np.array([[0.5, -0.5], [0, 0], [1, -1.0]])
        outer, inner = (softmax(coef[0] + X @ coef[1:], axis=1) for coef in (top, bottom))
        label = labels_of(np.hstack([outer[:, :1] * inner, outer[:, 1:]]), rng)
        return Truth(HierarchicalGate(3, 2, 0.0, 2), HierarchicalParams(top, (bottom, np.zeros((3, 1)))), X, label)
    label = labels_of(np.broadcast_to(SHARES, (n, 3)), rng)
    if name == "constant":
        return Truth(ConstantGate(3, 0), SHARES, X, label)
    gate = GaussianGate(3, 2)
    params = GaussianGateParams(SHARES, gate.family.params(CENTRES, np.tile(np.eye(2), (3, 1, 1))))
    return Truth(gate, params, CENTRES[label] + X, label)


def true_experts(name, X, label, rng):
    """Experts, their parameters, responses and exposure."""
    n, eta = len(X), COEF[label, 0] + (COEF[label, 1:] * X).sum(axis=1)
    gaussian = GaussianExperts(3, 2, 0.0, COVARIANCES["full"], Scaling(np.zeros(1), np.ones(1)), 1e-6)
    width = np.array([0.5, 0.7, 1.0])
    params = gaussian.params(COEF[:, :, None], width[:, None, None] ** 2)
    if name == "gaussian":
        return gaussian, params, eta + width[label] * rng.normal(size=n), None
    if name == "student":
        nu = np.array([3.0, 5, 4])
        return (
            StudentExperts(gaussian),
            StudentExpertParams(params, nu),
            eta + width[label] * rng.standard_t(nu[label]),
            None,
        )
    if name == "noise":
        y = np.where(rng.random(n) < 0.1, rng.uniform(-15, 15, n), eta + width[label] * rng.normal(size=n))
        return NoisyExperts(gaussian, -np.log(30)), NoisyParams(0.1, params), y, None
    if name == "logistic":
        logits = LOGITS[label % 2, 0] + np.einsum("np,npc->nc", X, LOGITS[label % 2, 1:])
        return LogisticExperts(3, 2, 0.0, 3), LOGITS[[0, 1, 0]], labels_of(softmax(logits, axis=1), rng), None
    shape, exposure = np.array([5.0, 10, 20]), rng.integers(5, 15, n).astype(float)
    mean = exposure * np.exp(eta / 2)
    if name == "poisson":
        return GlmExperts(3, 2, 0.0, LAWS[name]), GlmParams(COEF / 2, np.ones(3)), rng.poisson(mean), exposure
    if name == "gamma":
        y = rng.gamma(shape[label], mean / shape[label])
        return GlmExperts(3, 2, 0.0, LAWS[name]), GlmParams(COEF / 2, shape), y, exposure
    y = rng.binomial(exposure.astype(int), expit(eta))
    return GlmExperts(3, 2, 0.0, LAWS[name]), GlmParams(COEF, np.ones(3)), y, exposure


def simulated_from(gate, expert, n, seed=0):
    rng = np.random.default_rng([seed, n])
    truth = true_gate(gate, rng, n)
    experts, params, y, exposure = true_experts(expert, truth.X, truth.label, rng)
    gate_inputs = truth.X if gate != "constant" else np.empty((n, 0))
    cases = Cases(truth.X, gate_inputs, y[:, None].astype(float), np.ones(n), UNSCALED, exposure=exposure)
    return MixtureOfExpertsModel(truth.gate, experts), ExpertsParams(truth.params, params), cases


@pytest.mark.parametrize(
    ("gate", "expert"),
    [(gate, "gaussian") for gate in GATES]
    + [("softmax", name) for name in ("noise", "poisson", "binomial", "gamma")]
    + [("constant", "student"), ("constant", "poisson"), ("gaussian", "gamma"), ("hierarchical", "binomial")],
)
def test_recovery(gate, expert):
    model, params, cases = simulated_from(gate, expert, 250 if expert == "student" else 500)
    check_em_model(model, cases, truth=(params, cases), n_steps=2)


RATES = {
    ("softmax", "gaussian"): ["coef_", "intercept_", "scale_", "gate_coef_", "gate_intercept_"],
    ("constant", "poisson"): ["coef_", "intercept_", "weights_"],
    ("gaussian", "gamma"): ["coef_", "intercept_", "shape_", "gate_means_", "gate_covariances_"],
    ("softmax", "noise"): ["coef_", "intercept_", "gate_coef_", "noise_weight_"],
    ("hierarchical", "binomial"): ["coef_", "intercept_", "group_coef_"],
}


def truth_of(gate, expert, name):
    """What the estimator publishes."""
    coef = COEF / 2 if expert in ("poisson", "gamma") else COEF
    return {
        "coef_": coef[:, 1:],
        "intercept_": coef[:, 0],
        "scale_": np.array([0.5, 0.7, 1]),
        "shape_": np.array([5, 10, 20]),
        "weights_": SHARES,
        "gate_coef_": GATE_COEF[1:].T,
        "gate_intercept_": GATE_COEF[0],
        "group_coef_": np.array([[1, 0], [-1, 0]]),
        "gate_means_": CENTRES,
        "gate_covariances_": np.tile(np.eye(2), (3, 1, 1)),
        "noise_weight_": 0.1,
    }[name]


@pytest.mark.parametrize(("gate", "expert"), RATES)
def test_errors_shrink_as_one_over_the_root_of_n(gate, expert):
    sizes, errors = [500, 2000, 8000], []
    for n in sizes:
        found = []
        for seed in range(6):
            _, _, cases = simulated_from(gate, expert, n, seed)
            label = true_gate(gate, np.random.default_rng([seed, n]), n).label
            named = {"expert": "gaussian", "noise": True} if expert == "noise" else {"expert": expert}
            model = EMMixtureOfExpertsRegressor(3, gate=gate, alpha=0, gate_alpha=0, init_params=label, **named)
            model.fit(cases.inputs, cases.y[:, 0], exposure=cases.exposure)
            found.append(
                [
                    np.sqrt(np.mean((getattr(model, name) - truth_of(gate, expert, name)) ** 2))
                    for name in RATES[gate, expert]
                ]
            )
        errors.append(np.mean(found, axis=0))
    slopes = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert_allclose(slopes.mean(), -0.5, atol=0.12)
    assert_allclose(slopes, -0.5, atol=0.3)


@pytest.mark.parametrize(
    ("gate", "expert", "in_blocks"), [("softmax", "gaussian", False), ("constant", "poisson", True)]
)
def test_starts_on_a_sample_find_the_maximum_of_all(gate, expert, in_blocks):
    """From 10,000 blocks on, starts are compared on a sample; they end where the true experts of the rows lead."""
    n, seed = 24_000, 0
    _, _, cases = simulated_from(gate, expert, n, seed)
    label = true_gate(gate, np.random.default_rng([seed, n]), n).label
    y, block = cases.y[:, 0], None
    if in_blocks:  # of two rows of one expert
        order = np.argsort(label, kind="stable")
        cases, label, y = cases.take(order), label[order], y[order]
        block = np.random.default_rng(0).permutation(n // 2).repeat(2)
    model = EMMixtureOfExpertsRegressor(3, expert=expert, gate=gate, random_state=0)
    extras = {"block_id": block, "exposure": cases.exposure}
    found = model.fit(cases.inputs, y, **extras).objective_
    assert found == pytest.approx(
        model.set_params(init_params=label).fit(cases.inputs, y, **extras).objective_, abs=0.01
    )


# --- flaws ---


def test_a_gaussian_of_the_inputs_that_collapses_is_noticed():
    """Three rows on a line: the likelihood grows without bound, and only `reg_covar` holds the gate wide."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = X[:, 0] + rng.normal(size=100)
    X[:3] = [[4, 4], [4.1, 4.1], [4.25, 4.25]]
    model = EMMixtureOfExpertsRegressor(gate="gaussian", init_params=(np.arange(100) < 3).astype(int))
    with pytest.warns(DegenerateSolutionWarning):
        model.fit(X, y)
    chosen = EMMixtureOfExpertsRegressor(gate="gaussian", random_state=0).fit(X, y)
    assert np.linalg.eigvalsh(chosen.gate_covariances_).min() > 1e-5


def test_a_gamma_expert_that_collapses_is_noticed():
    """It fits two rows exactly, with its largest shape."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    y = rng.gamma(3, np.exp(x) / 3)
    x[:2], y[:2] = [1, 1.5], [0.01, 300]
    model = EMMixtureOfExpertsRegressor(
        expert="gamma", gate="constant", alpha=0, init_params=(np.arange(60) < 2).astype(int)
    )
    with pytest.warns(DegenerateSolutionWarning):
        model.fit(x[:, None], y)


# --- invariances: the same steps from the same start ---


SHORT = {"tol": 0, "max_iter": 12, "accelerate": False, "alpha": 0.2, "gate_alpha": 0.3}
QUICK = settings(max_examples=25, suppress_health_check=list(HealthCheck))


class Rows(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    label: np.ndarray


def rows_for(expert, seed=0, n=90, m=1):
    rng = np.random.default_rng(seed)
    X, label = rng.normal(size=(n, 3)), rng.integers(0, 2, n)
    eta = (X * [[1, -1, 0.5], [-0.5, 0.3, 1]][0]).sum(axis=1) * (1 - 2 * label) + 2 * label
    y = {
        "gaussian": lambda: eta + 0.5 * rng.normal(size=n) if m == 1 else eta[:, None] + rng.normal(size=(n, m)),
        "student": lambda: eta + 0.5 * rng.standard_t(3, size=n),
        "poisson": lambda: rng.poisson(np.exp(eta / 2)).astype(float),
        "gamma": lambda: rng.gamma(3, np.exp(eta / 2) / 3),
        "binomial": lambda: (rng.random(n) < expit(eta)).astype(float),
        "logistic": lambda: labels_of(softmax(eta[:, None] * [1, 0, -1], axis=1), rng),
    }[expert]()
    return Rows(X, y, label)


def fit(expert, X, y, label=None, sample_weight=None, block_id=None, **options):
    kind = EMMixtureOfExpertsClassifier if expert == "logistic" else EMMixtureOfExpertsRegressor
    start = {} if label is None else {"init_params": label}
    model = kind(2, expert=expert, **{**SHORT, **start, **options})
    return model.fit(X, y, sample_weight=sample_weight, block_id=block_id)


def assert_same_fit(one, other, names=("coef_", "intercept_"), rtol=1e-6):
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-9)
    for name in names:
        value = getattr(one, name)
        assert_allclose(value, getattr(other, name), rtol=rtol, atol=rtol * np.abs(value).max())


@QUICK
@given(
    expert=st.sampled_from(["gaussian", "student"]),
    gate=st.sampled_from(sorted(GATES)),
    m=st.integers(1, 2),
    scale=st.lists(st.floats(1e-5, 1e5), min_size=4, max_size=4),
    shift=st.lists(st.floats(-100, 100), min_size=4, max_size=4),
    mirrored=st.booleans(),
)
def test_units(expert, gate, m, scale, shift, mirrored):
    """Of inputs and responses, shifts in units of the spread; the penalties have no unit."""
    rows = rows_for("gaussian", m=m)
    a, c = np.array(scale[:3]) * (-1 if mirrored else 1), scale[3]
    b, d = np.array(shift[:3]) * a, shift[3] * c
    one = fit(expert, rows.X, rows.y, rows.label, gate=gate)
    other = fit(expert, rows.X * a + b, rows.y * c + d, rows.label, gate=gate)
    jacobian = len(rows.y) * m * np.log(c) + (len(rows.y) * np.log(np.abs(a)).sum() if gate == "gaussian" else 0)
    assert other.objective_ == pytest.approx(one.objective_ - jacobian, rel=1e-8, abs=1e-6)
    assert_allclose(other.coef_ * a / c, one.coef_, rtol=1e-5, atol=1e-6)
    assert_allclose((other.predict(rows.X * a + b) - d) / c, one.predict(rows.X), rtol=1e-5, atol=1e-5)
    assert_allclose(
        other.predict_expert_proba(rows.X * a + b, rows.y * c + d), one.predict_expert_proba(rows.X, rows.y), atol=1e-5
    )
    if hasattr(one, "gate_coef_"):
        assert_allclose(other.gate_coef_ * a, one.gate_coef_, rtol=1e-5, atol=1e-6)


@QUICK
@given(expert=st.sampled_from(["poisson", "gamma", "logistic"]), scale=st.floats(1e-5, 1e5), shift=st.floats(-100, 100))
def test_units_of_inputs(expert, scale, shift):
    rows = rows_for(expert)
    a = np.array([scale, 1, 1 / scale])
    b = shift * a
    one, other = fit(expert, rows.X, rows.y, rows.label), fit(expert, rows.X * a + b, rows.y, rows.label)
    assert other.objective_ == pytest.approx(one.objective_, rel=1e-8)
    assert_allclose(other.coef_ * a, one.coef_, rtol=1e-5, atol=1e-6)


@QUICK
@given(factor=st.floats(1e-3, 1e3))
def test_unit_of_exposure(factor):
    """A tenfold exposure is a tenfold rate: an intercept."""
    rows = rows_for("poisson")
    exposure = np.random.default_rng(0).uniform(1, 3, len(rows.y))
    model = EMMixtureOfExpertsRegressor(2, expert="poisson", init_params=rows.label, tol=1e-13, max_iter=5000)
    one = model.fit(rows.X, rows.y, exposure=exposure)
    objective, intercept, coef = one.objective_, one.intercept_, one.coef_
    other = model.fit(rows.X, rows.y, exposure=factor * exposure)
    assert other.objective_ == pytest.approx(objective, abs=1e-6)
    assert_allclose(other.intercept_, intercept - np.log(factor), atol=1e-3)
    assert_allclose(other.coef_, coef, atol=1e-3)


@QUICK
@given(
    expert=st.sampled_from(EXPERTS), gate=st.sampled_from(sorted(GATES)), seed=st.integers(0, 100), blocks=st.booleans()
)
def test_order_of_rows_and_columns(expert, gate, seed, blocks):
    rows, rng = rows_for(expert), np.random.default_rng(seed)
    order, columns = rng.permutation(len(rows.y)), rng.permutation(3)
    weight = rng.choice([0.5, 1, 2], len(rows.y) // 3).repeat(3)
    block_id = np.repeat(np.arange(len(rows.y) // 3), 3)
    names = rng.permutation(1000)[: len(rows.y) // 3].astype(str)[block_id]  # renamed, and no longer together
    one = fit(expert, rows.X, rows.y, rows.label, weight, block_id if blocks else None, gate=gate)
    other = fit(
        expert,
        rows.X[order][:, columns],
        rows.y[order],
        rows.label[order],
        weight[order],
        names[order] if blocks else None,
        gate=gate,
    )
    assert other.objective_ == pytest.approx(one.objective_, rel=1e-9)
    assert_allclose(other.coef_, one.coef_[..., columns], rtol=1e-5, atol=1e-6)
    assert_allclose(other.weights_, one.weights_, rtol=1e-6)
    predicted = other.predict_expert_proba(rows.X[order][:, columns], rows.y[order])
    assert_allclose(predicted, one.predict_expert_proba(rows.X, rows.y)[order], atol=1e-6)


@QUICK
@given(expert=st.sampled_from(EXPERTS), gate=st.sampled_from(sorted(GATES)), seed=st.integers(0, 100))
def test_labels_of_the_start(expert, gate, seed):
    rows = rows_for(expert, seed)
    one, other = (fit(expert, rows.X, rows.y, label, gate=gate) for label in (rows.label, 1 - rows.label))
    assert other.objective_ == pytest.approx(one.objective_, rel=1e-9)
    assert_allclose(other.coef_[::-1], one.coef_, rtol=1e-6, atol=1e-7)
    assert_allclose(other.predict_expert_proba(rows.X)[:, ::-1], one.predict_expert_proba(rows.X), atol=1e-8)


@QUICK
@given(
    expert=st.sampled_from(EXPERTS),
    gate=st.sampled_from(sorted(GATES)),
    seed=st.integers(0, 100),
    blocks=st.booleans(),
    noise=st.booleans(),
)
def test_weights_are_repetitions(expert, gate, seed, blocks, noise):
    """A block of weight w counts as w blocks; rows of weight 0 as none."""
    rows, rng = rows_for(expert), np.random.default_rng(seed)
    times = rng.integers(0, 4, len(rows.y) // 3).repeat(3)
    times[[0, 1, 2]] = 1
    times[[rows.y.argmin(), rows.y.argmax()]] = times[[rows.y.argmin(), rows.y.argmax()]].clip(1)  # range of the noise
    if blocks:
        times = np.maximum.reduceat(times, np.arange(0, len(times), 3)).repeat(3)
    block = np.repeat(np.arange(len(rows.y) // 3), 3)
    index = np.repeat(np.arange(len(rows.y)), times)
    copy = np.concatenate([np.arange(t) for t in times])
    names = block[index] * 10 + copy if blocks else None
    options = {"gate": gate, "noise": noise}
    weighted = fit(expert, rows.X, rows.y, rows.label, times, block if blocks else None, **options)
    repeated = fit(expert, rows.X[index], rows.y[index], rows.label[index], None, names, **options)
    assert_same_fit(weighted, repeated)
    assert_allclose(weighted.weights_, repeated.weights_, rtol=1e-7)


@pytest.mark.parametrize(
    ("expert", "gate"), [*(("gaussian", gate) for gate in GATES), *((expert, "softmax") for expert in EXPERTS[1:])]
)
def test_starts_know_neither_the_order_of_rows_nor_how_weights_are_written(expert, gate):
    rows, rng = rows_for(expert, n=120), np.random.default_rng(0)
    times = rng.integers(1, 4, len(rows.y))
    index = rng.permutation(np.repeat(np.arange(len(rows.y)), times))
    whole = {"tol": 1e-12, "max_iter": 2000, "accelerate": "auto", "random_state": 3, "gate": gate}
    weighted = fit(expert, rows.X, rows.y, sample_weight=times, **whole)
    repeated = fit(expert, rows.X[index], rows.y[index], **whole)
    assert_same_fit(weighted, repeated, rtol=1e-3)


@QUICK
@given(
    expert=st.sampled_from(EXPERTS),
    gate=st.sampled_from(sorted(GATES)),
    cuts=st.lists(st.integers(0, 90), max_size=4),
    weighted=st.booleans(),
)
def test_chunks(expert, gate, cuts, weighted):
    """A function that yields pairs gives what the table in memory does, empty blocks of rows or not."""
    rows = rows_for(expert)
    weight = np.random.default_rng(0).choice([0, 0.5, 2], 90) if weighted else None
    ends = [0, *sorted(cuts), 90]
    pairs = [(rows.X[i:j], rows.y[i:j]) for i, j in pairwise(ends)]
    whole = {"n_init": 1, "random_state": 0, "gate": gate}
    in_memory = fit(expert, rows.X, rows.y, sample_weight=weight, **whole)
    streamed = fit(expert, lambda: iter(pairs), None, sample_weight=weight, **whole)
    assert_same_fit(streamed, in_memory)
    assert_allclose(
        streamed.predict_expert_proba(rows.X, rows.y), in_memory.predict_expert_proba(rows.X, rows.y), atol=1e-6
    )


@pytest.mark.parametrize("expert", ["gaussian", "poisson"])
def test_large_tables_are_taken_in_chunks(expert):
    """Blocks are never cut, and the number of threads changes no bit."""
    rows = rows_for(expert, n=2 * CHUNK_ROWS + 5_001)
    block = np.sort(np.random.default_rng(0).integers(0, 9_000, len(rows.y)))
    serial = fit(expert, rows.X, rows.y, rows.label, block_id=block, max_iter=3)
    threads = fit(expert, rows.X, rows.y, rows.label, block_id=block, max_iter=3, n_jobs=2)
    assert serial.objective_ == threads.objective_
    assert_array_equal(serial.coef_, threads.coef_)
    scores = serial.score_samples(rows.X, rows.y, block_id=block)
    shrinkage = 0.15 * ((serial.gate_coef_ * _spread_of_blocks(rows.X, block)) ** 2).sum()
    slopes = (serial.coef_ * rows.X.std(axis=0)) ** 2
    shrinkage += 0.1 * (slopes.sum(axis=1) / (serial.scale_**2 if expert == "gaussian" else 1)).sum()
    assert scores.sum() - shrinkage == pytest.approx(serial.objective_, rel=1e-10)
    some = np.isin(block, block[CHUNK_ROWS - 50 : CHUNK_ROWS + 50])
    alone = serial.score_samples(rows.X[some], rows.y[some], block_id=block[some])
    assert_allclose(alone, scores[some], rtol=1e-8, atol=1e-8)


def _spread_of_blocks(X, block):
    _, place = np.unique(block, return_inverse=True)
    sums = np.array([np.bincount(place, column) for column in X.T]).T
    return (sums / np.bincount(place)[:, None]).std(axis=0)
