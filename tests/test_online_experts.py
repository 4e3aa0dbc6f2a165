"""partial_fit of mixtures of experts: one step is one EM step, many lead to where `fit` leads."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from experts_kinds import assert_same, outputs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB
from test_experts_model import experts_for, gate_for, simulated

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.families.base import Sums
from emkit.mixture_of_experts import MixtureOfExpertsModel
from emkit.mixture_of_experts.stepwise import _model_for
from emkit.online import fit_in_passes

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),  # of those that set max_iter
    pytest.mark.filterwarnings("ignore::emkit._warnings.DegenerateSolutionWarning"),  # of perfect gates
]

QUICK = {"random_state": 0, "n_init": 1}


def table(n=300, seed=0):
    """Inputs, and responses of two experts between which the second input chooses."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    eta = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * X[:, 1])), 1 + 0.8 * X[:, 0], -0.5 - 0.8 * X[:, 0])
    y = {
        "gaussian": 2 * eta + 0.5 * rng.normal(size=n),
        "student": 2 * eta + 0.5 * rng.standard_t(3, size=n),
        "poisson": rng.poisson(np.exp(eta + 1)),
        "gamma": np.exp(eta) * rng.gamma(4, 1 / 4, size=n),
        "binomial": rng.random(n) < 1 / (1 + np.exp(-3 * eta)),
        "logistic": np.array(["a", "b", "c"])[(rng.gumbel(size=(n, 3)) + np.outer(eta, [0, 2, -2])).argmax(axis=1)],
    }
    y["several"] = np.column_stack([y["gaussian"], rng.normal(size=n) - y["gaussian"]])
    return X, {name: values.astype(float) if name != "logistic" else values for name, values in y.items()}


def regressor(**options):
    return EMMixtureOfExpertsRegressor(**{**QUICK, **options})


def classifier(**options):
    return EMMixtureOfExpertsClassifier(**{**QUICK, **options})


KINDS = {
    "gaussian": (regressor, {}),
    "gaussian, tied": (regressor, {"covariance_type": "tied", "gate": "constant"}),
    "several": (regressor, {"gate": "hierarchical", "n_components": 3}),
    "student": (regressor, {"expert": "student", "gate": "gaussian"}),
    "gaussian, noise": (regressor, {"noise": True, "alpha": 5.0}),
    "poisson": (regressor, {"expert": "poisson", "gate_alpha": 3.0}),
    "poisson, many": (regressor, {"expert": "poisson", "n_components": 6, "alpha": 1.0}),
    "gamma": (regressor, {"expert": "gamma", "alpha": 2.0}),
    "binomial": (regressor, {"expert": "binomial", "alpha": 0.5, "gate": "constant"}),
    "logistic": (classifier, {"gate_alpha": 1.0}),
    "logistic, noise": (classifier, {"gate": "gaussian", "noise": True}),
}


def made(kind, **options):
    make, own = KINDS[kind]
    return make(**{**own, **options})


def responses(kind, n=300, seed=0):
    X, ys = table(n, seed)
    return X, ys[kind.split(",")[0]]


# --- statistics under other parameters ---


def moved(model, params, size):
    """Parameters a little way off."""
    vector = model.to_vector(params)
    step = np.random.default_rng(3).normal(size=len(vector))
    return model.from_vector(vector + size * step, params)


def statistics(model, params, cases, resp):
    """Under fixed responsibilities, so that only the parameters differ."""
    gate = model.gate.moments(params.gate, cases, resp, model.gate.log_weights(params.gate, cases))
    return gate, model.experts.moments(params.experts, cases, resp, model.experts.look(params.experts, cases))


def flat(sums):
    if isinstance(sums, tuple | Sums):
        return np.concatenate([flat(part) for part in sums])
    return np.ravel(sums).astype(float)


def errors_of_recentring(expert, gate, k, which, pick):
    """Of statistics that were moved by steps of two sizes, and how much they change."""
    cases = simulated(expert, k)
    model = MixtureOfExpertsModel(gate_for(gate, k), experts_for(expert, k, cases))
    params = model.init_params([cases], np.random.default_rng(0))
    resp = np.random.default_rng(1).dirichlet(np.ones(k), size=len(cases))
    errors, changes = [], []
    for size in (0.02, 0.01):
        target = moved(model, params, size)
        before, expected = (statistics(model, p, cases, resp)[which] for p in (params, target))
        part = (model.gate, model.experts)[which]
        found = part.recentre(before, params[which], target[which])
        errors.append(np.abs(pick(found) - pick(expected)).max())
        changes.append(np.abs(pick(before) - pick(expected)).max())
    return errors, changes


def lower(sums):
    """All of the moments of a Gaussian gate, of whose scatter the lower triangle counts."""
    counts, sums, scatter = sums
    return np.concatenate([counts, sums.ravel(), np.tril(scatter).ravel()])


@pytest.mark.parametrize("k", [1, 4])
def test_moments_of_gaussians_move_exactly(k):
    for gate, which, pick in (("constant", 1, flat), ("gaussian", 0, lower)):
        errors, changes = errors_of_recentring("gaussian", gate, k, which, pick)
        assert max(errors) < 1e-9 * max(changes)


@pytest.mark.parametrize(
    ("expert", "gate", "k", "which", "pick"),
    [
        ("gaussian", "softmax", 2, 0, lambda sums: sums[0]),
        ("gaussian", "softmax", 4, 0, lambda sums: sums[0]),
        ("gaussian", "hierarchical", 5, 0, lambda sums: np.hstack([part[0] for part in sums])),
        ("poisson", "constant", 3, 1, lambda sums: sums[1]),
        ("binomial", "constant", 3, 1, lambda sums: sums[1]),
        ("logistic", "constant", 3, 1, lambda sums: np.hstack([part[0] for part in sums])),
    ],
)
def test_gradients_move_to_second_order(expert, gate, k, which, pick):
    """Half the step, a quarter of the error."""
    (whole, half), (change, _) = errors_of_recentring(expert, gate, k, which, pick)
    assert half < 0.3 * whole < 0.1 * change


def test_the_deviance_of_gamma_experts_moves_along():
    """Its first order is exact; the second has the expected curvature in place of the observed one."""
    (whole, half), (change, _) = errors_of_recentring("gamma", "constant", 3, 1, lambda sums: sums[3])
    assert half < 0.3 * whole < 0.1 * change


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_about_the_new_parameters(kind):
    """So that an M-step from them alone moves nothing."""
    online = made(kind, max_iter=3, tol=0, accelerate=False)
    online.fit(*responses(kind)).partial_fit(*responses(kind, seed=1))
    state = online._online
    model = _model_for(online._state.fitted.model, state.weight)
    again = model.m_step(state.stats, state.params)
    n_shapes = 2 if kind == "gamma" else 0  # found at the coefficients before the step, so that they move on
    now, later = (
        model.to_vector(params)[: len(model.to_vector(params)) - n_shapes] for params in (state.params, again)
    )
    assert_allclose(later, now, rtol=1e-5, atol=1e-6)
    assert state.stats.weight == pytest.approx(1, rel=1e-12)


# --- steps of the estimator ---


@pytest.mark.parametrize("repeats", [1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_again_are_one_step_of_a_fit_to_all(kind, repeats):
    """The average of equal statistics is what they are; penalties count once for all rows."""
    X, y = responses(kind)
    plain = {"tol": 0, "accelerate": False}
    online = made(kind, max_iter=12, **plain).fit(X, y)
    whole = copy.deepcopy(online).set_params(warm_start=True, max_iter=1)
    online.partial_fit(X, y, sample_weight=np.full(300, repeats))
    whole.fit(X, y, sample_weight=np.full(300, 1 + repeats))
    assert_same(outputs(online, X, y), outputs(whole, X, y), rtol=1e-6, atol=1e-8)
    assert (online.n_iter_, online.n_e_steps_) == (13, whole._online.n_steps + online.n_e_steps_ - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_batch_is_a_fit(kind):
    X, y = responses(kind)
    weight = np.random.default_rng(0).integers(0, 3, 300)
    one, other = made(kind, max_iter=20), made(kind, max_iter=20)
    one.fit(X, y, sample_weight=weight)
    other.partial_fit(X, y, sample_weight=weight)
    assert_same(outputs(one, X, y), outputs(other, X, y))
    assert one.objective_ == other.objective_


EASY = [kind for kind in KINDS if kind != "poisson, many"]


@pytest.mark.parametrize("kind", EASY)
def test_within_one_percent_of_all_rows_at_once(kind):
    """After one pass and after three, where the starts of `fit` agree on what is best."""
    X, y = responses(kind, 5_000)
    best, again = (made(kind, random_state=seed, n_init="auto", tol=1e-6).fit(X, y) for seed in (0, 1))
    best, again = (model.score_samples(X, y).mean() for model in (best, again))
    assert abs(best - again) < 2e-3 * abs(best)
    for n_passes in (1, 3):
        online = fit_in_passes(made(kind, n_init="auto", tol=1e-6), X, y, n_passes=n_passes, batch_rows=800)
        assert abs(online.score_samples(X, y).mean() - best) < 0.01 * abs(best)


def test_batches_lead_from_a_first_batch_to_the_maximum():
    X, y = responses("gaussian", 8_000)
    best = made("gaussian").fit(X, y)
    first = made("gaussian").fit(X[:200], y[:200])
    online = copy.deepcopy(first)
    for start in range(200, 8_000, 200):
        online.partial_fit(X[start : start + 200], y[start : start + 200])
    lost = [best.score_samples(X, y).mean() - model.score_samples(X, y).mean() for model in (first, online)]
    assert lost[1] < 0.2 * lost[0]
    assert online.n_iter_ == first.n_iter_ + 39


@pytest.mark.parametrize("kind", ["gaussian", "student", "several", "gaussian, noise"])
def test_units_do_not_matter(kind):
    (X, y), (X2, y2) = responses(kind), responses(kind, seed=1)
    one = made(kind, max_iter=20).fit(X, y).partial_fit(X2, y2)
    centre, scale, unit = np.array([1e3, -5]), np.array([1e-3, 40]), 1e4
    other = made(kind, max_iter=20).fit(centre + scale * X, unit * y).partial_fit(centre + scale * X2, unit * y2)
    assert_allclose(other.predict(centre + scale * X), unit * one.predict(X), rtol=1e-5, atol=1e-6 * unit)


@pytest.mark.parametrize("kind", ["gaussian", "gamma", "logistic"])
def test_a_weight_is_a_repetition(kind):
    (X, y), (X2, y2) = responses(kind), responses(kind, seed=1)
    fitted = made(kind, max_iter=10).fit(X, y)
    weight = np.random.default_rng(0).integers(0, 3, 300)
    one = copy.deepcopy(fitted).partial_fit(X2, y2, sample_weight=weight)
    other = copy.deepcopy(fitted).partial_fit(np.repeat(X2, weight, axis=0), np.repeat(y2, weight, axis=0))
    assert_same(outputs(one, X, y), outputs(other, X, y), rtol=1e-8, atol=1e-10)
    assert one.objective_ == pytest.approx(other.objective_, rel=1e-10)


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "logistic, noise"])
def test_blocks_and_threads(kind):
    (X, y), (X2, y2) = responses(kind), responses(kind, 25_000, seed=1)
    fitted = made(kind, max_iter=10).fit(X, y)
    pairs = list(zip(np.split(X2, [70, 70, 12_000]), np.split(y2, [70, 70, 12_000]), strict=True))
    one = copy.deepcopy(fitted).partial_fit(X2, y2)
    for other in (
        copy.deepcopy(fitted).partial_fit(lambda: iter(pairs)),
        copy.deepcopy(fitted).set_params(n_jobs=2).partial_fit(X2, y2),
    ):
        assert_same(outputs(one, X, y), outputs(other, X, y), rtol=1e-8, atol=1e-10)


def test_repeated_measures_offsets_and_exposures():
    """Extras of the batch count: as in a step from the same parameters over the same cases."""
    X, y = responses("poisson")
    rng = np.random.default_rng(0)
    extras = {"block_id": np.arange(300) // 3, "offset": rng.normal(size=300), "exposure": rng.uniform(1, 2, 300)}
    online = made("poisson", max_iter=10, tol=0, accelerate=False).fit(X, y, **extras)
    whole = copy.deepcopy(online).set_params(warm_start=True, max_iter=1)
    online.partial_fit(X, y, **extras)
    whole.fit(X, y, sample_weight=np.full(300, 2.0), **extras)
    assert_allclose(online.coef_, whole.coef_, rtol=1e-6)
    with pytest.raises(ValueError, match="fit had block_id and exposure, so block_id and exposure must be given here"):
        online.partial_fit(X, y, offset=extras["offset"])


def test_frames_and_features_of_the_first_batch():
    X, y = responses("gaussian")
    frame = pd.DataFrame(X, columns=["a", "b"])
    online = regressor(expert_features=["a"], gate_features=["b"]).partial_fit(frame, y)
    online.partial_fit(frame[["a", "b"]].iloc[:50], y[:50])
    assert list(online.feature_names_in_) == ["a", "b"]
    assert online.coef_.shape == (2, 1)
    with pytest.raises(ValueError, match="feature names"):
        online.partial_fit(frame.rename(columns={"b": "z"}), y)


@pytest.mark.parametrize("kind", ["gaussian", "gamma", "several", "logistic, noise"])
def test_a_copy_goes_on_as_the_original(kind):
    X, y = responses(kind)
    online = made(kind, max_iter=10).partial_fit(X[:200], y[:200])
    copies = [pickle.loads(pickle.dumps(online)), copy.deepcopy(online)]
    online.partial_fit(X[200:], y[200:])
    for other in copies:
        assert_same(outputs(other.partial_fit(X[200:], y[200:]), X, y), outputs(online, X, y))
    assert not hasattr(clone(online), "weights_")


def test_after_a_fit_from_a_checkpoint(tmp_path):
    X, y = responses("gaussian")
    one, other = (made("gaussian", checkpoint=tmp_path / "file").fit(X, y) for _ in range(2))
    assert_array_equal(one.partial_fit(X, y).coef_, other.partial_fit(X, y).coef_)


def test_a_later_fit_goes_on_from_there():
    X, y = responses("gaussian")
    online = made("gaussian", max_iter=5).fit(X, y).partial_fit(*responses("gaussian", seed=1))
    coef = online.coef_
    online.set_params(warm_start=True, max_iter=0).fit(X, y)
    assert_allclose(online.coef_, coef, rtol=1e-12)


# --- data that are hard ---


@pytest.mark.parametrize("gate_alpha", [0.1, 0.0])
def test_classes_and_experts_that_inputs_tell_apart_perfectly(gate_alpha):
    """Coefficients would grow without end; they stay finite, and a batch of contradictions leaves them so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 2))
    y = np.where(X[:, 1] > 0, X[:, 0] > 0, X[:, 0] < 0)
    online = classifier(alpha=0.01, gate_alpha=gate_alpha)
    for start in range(0, 2_000, 200):
        online.partial_fit(X[start : start + 200], y[start : start + 200])
    assert online.score(X, y) > 0.95
    online.partial_fit(X[:20], ~y[:20])
    assert np.isfinite(online.coef_).all()
    assert np.isfinite(online.score_samples(X, y)).all()


def test_counts_far_beyond_those_of_the_first_batch():
    X, y = responses("poisson")
    online = made("poisson").partial_fit(X, y)
    for _ in range(30):
        online.partial_fit(X[:50], 100 * y[:50])
    assert 0.9 < online.predict(X[:50]).mean() / (100 * y[:50].mean()) < 1.1


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_a_class_that_comes_late(alpha):
    """Where it has no curvature yet, so that a step of Newton's would go beyond all bounds."""
    X, y = responses("logistic", 8_000)
    early = np.flatnonzero(y[:500] != "c")
    online = classifier(alpha=alpha).partial_fit(X[early], y[early], classes=["a", "b", "c"])
    assert online.predict_proba(X)[:, 2].max() < 0.05
    best = classifier(alpha=alpha).fit(X, y).score_samples(X, y).mean()
    scores = []
    for start in range(500, 8_000, 100):
        online.partial_fit(X[start : start + 100], y[start : start + 100], classes=["a", "b", "c"])
        scores.append(online.score_samples(X, y).mean())
    assert (np.diff(scores[:10]) > 0).all()
    assert scores[-1] > 1.01 * best


class TestPasses:
    """fit_in_passes, of estimators that need responses."""

    @pytest.mark.parametrize("kind", ["gaussian", "logistic"])
    def test_pairs_are_gathered(self, kind):
        X, y = responses(kind, 1_000)
        by_hand = made(kind, max_iter=5)
        pairs = list(zip(np.split(X, 10), np.split(y, 10), strict=True))
        in_two = fit_in_passes(made(kind, max_iter=5), lambda: iter(pairs), batch_rows=500)
        by_hand = fit_in_passes(by_hand, [(X[:500], y[:500]), (X[500:], y[500:])], batch_rows=500)
        assert_same(outputs(in_two, X, y), outputs(by_hand, X, y), rtol=1e-8, atol=1e-10)
        assert in_two.n_iter_ == 6

    def test_a_class_that_the_first_batch_lacks(self):
        X, y = responses("logistic", 600)
        order = np.argsort(y == "c", kind="stable")
        pairs = list(zip(np.split(X[order], 3), np.split(y[order], 3), strict=True))
        online = fit_in_passes(classifier(), pairs, batch_rows=100)
        assert online.classes_.tolist() == ["a", "b", "c"]

    def test_responses_are_needed_once(self):
        X, y = responses("gaussian")
        with pytest.raises(ValueError, match="y is None, but responses are needed"):
            fit_in_passes(regressor(), X)
        with pytest.raises(ValueError, match=r"as pairs \(X, y\), so y must be None"):
            fit_in_passes(regressor(), [(X, y)], y)
        with pytest.raises(ValueError, match=r"must yield pairs of blocks \(X, y\), but yields ndarray"):
            fit_in_passes(regressor(), lambda: [X])
        with pytest.raises(ValueError, match="y has 299 values, but X has 300 rows"):
            fit_in_passes(regressor(), X, y[1:])


class TestRefused:
    @pytest.mark.parametrize("expert", [LinearRegression(), GaussianNB()])
    def test_experts_that_are_estimators(self, expert):
        model = classifier(expert=expert) if is_classifier(expert) else regressor(expert=expert)
        assert not hasattr(model, "partial_fit")
        with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as raised:
            model.partial_fit  # noqa: B018  # to look for it is what raises
        assert "needs one of the named experts, but got" in str(raised.value.__cause__)
        with pytest.raises(ValueError, match="estimator must have partial_fit, which EMMixtureOfExperts"):
            fit_in_passes(model, *responses("gaussian"))

    @pytest.mark.parametrize(
        "now",
        [
            {"n_components": 3},
            {"expert": "student"},
            {"gate": "constant"},
            {"noise": True},
            {"alpha": 1.0},
            {"gate_alpha": 1.0},
            {"reg_covar": 0.1},
            {"gate_features": [0]},
        ],
    )
    def test_other_settings(self, now):
        X, y = responses("gaussian")
        model = regressor().fit(X, y)
        before = model.coef_
        (name, value), *_ = now.items()
        with pytest.raises(ValueError, match=f"partial_fit continues a fit of .* now it would be .*{name}="):
            model.set_params(**{name: value}).partial_fit(X, y)
        assert model.coef_ is before

    def test_after_experts_that_are_estimators(self):
        X, y = responses("gaussian")
        model = regressor(expert=LinearRegression(), max_iter=2).fit(X, y)
        with pytest.raises(ValueError, match=r"partial_fit continues a fit of .*LinearRegression\(\)"):
            model.set_params(expert="gaussian").partial_fit(X, y)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (X[:, :1], y), "X has 1 features"),
            (lambda X, y: (X, None), "requires y to be passed"),
            (lambda X, y: (X, np.where(y > 3, np.nan, y)), "NaN"),
            (lambda X, y: (X, np.column_stack([y, y])), r"y has 2 column\(s\), but had 1 in the first batch"),
            (lambda X, y: (X[:0], y[:0]), "0 sample"),
            (lambda X, y: (X, y[1:]), "inconsistent numbers of samples"),
            (lambda X, y: (np.where(X > 2, np.inf, X), y), "infinity"),
            (lambda X, y: (iter([(X, y)]), None), "which can be read only once"),
        ],
    )
    def test_a_batch(self, change, message):
        X, y = responses("gaussian")
        model = regressor().partial_fit(X, y)
        before = model.coef_
        with pytest.raises(ValueError, match=message):
            model.partial_fit(*change(X, y))
        assert model.coef_ is before

    def test_no_weight_at_all(self):
        X, y = responses("gaussian")
        with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
            regressor().partial_fit(X, y).partial_fit(X, y, sample_weight=np.zeros(300))

    def test_responses_of_another_law(self):
        X, y = responses("poisson")
        with pytest.raises(ValueError, match="expert='poisson' takes counts, not negative, but y holds -1"):
            regressor(expert="poisson").partial_fit(X, y).partial_fit(X, y - 1)

    def test_classes(self):
        X, y = responses("logistic")
        model = classifier().partial_fit(X, y)
        with pytest.raises(ValueError, match="y has the class 'd'"):
            model.partial_fit(X[:2], ["a", "d"])
        with pytest.raises(ValueError, match=r"classes must be None or those of the first call, \['a', 'b', 'c'\]"):
            model.partial_fit(X, y, classes=["a", "b"])
        with pytest.raises(ValueError, match="y has the class 'c'"):
            classifier().partial_fit(X, y, classes=["a", "b"])
