"""Mixtures of experts against published maxima, the peers of one expert, and direct maximisation of the objective."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit, gammaln, log_expit, logit, softmax
from scipy.stats import gamma, norm, poisson
from scipy.stats import t as student
from sklearn.linear_model import GammaRegressor, LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.datasets import load_ethanol, load_tones

GATES = ["constant", "softmax", "gaussian", "hierarchical"]
TO_THE_END = {"tol": 1e-14, "max_iter": 20_000}
MOST_DEGREES = 1e3  # of freedom


# --- published maxima ---


NPREG = pd.read_csv(Path(__file__).parent / "data" / "npreg.csv")
SQUARES = PolynomialFeatures(2, include_bias=False)


class Published(NamedTuple):
    """A maximum of the likelihood of two classes of NPreg.

    The R package flexmix 2.3-18 finds it from 50 of 50 starts, and a quasi-Newton search polished it. Of Gaussian
    responses flexmix itself gives about 0.01 less, as its variances divide by n - p.
    """

    response: str
    options: dict
    block: str | None
    maximum: float
    df: int


NPREG_FITS = {
    "quadratic": Published("yn", {"gate": "constant", "expert_features": SQUARES}, None, -642.532013736, 9),
    "counts": Published("yp", {"gate": "constant", "expert": "poisson"}, None, -440.640294320, 5),
    "counts, units of 4": Published("yp", {"gate": "constant", "expert": "poisson"}, "id2", -420.081382947, 5),
    "binary, units of 4": Published("yb", {"gate": "constant", "expert": "binomial"}, "id2", -92.699293243, 5),
    "binary, units of 2": Published("yb", {"gate": "constant", "expert": "binomial"}, "id1", -113.759480142, 5),
    "softmax gate": Published("yn", {"expert_features": SQUARES, "gate_alpha": 0}, None, -642.063879618, 10),
    "units of 4": Published("yn", {"gate": "constant", "expert_features": SQUARES}, "id2", -561.553688159, 9),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NPREG_FITS)
def test_npreg(name, seed):
    """With the default settings, but for a softmax gate, which flexmix does not penalise."""
    response, options, block, maximum, df = NPREG_FITS[name]
    X, y = NPREG[["x"]], NPREG[response]
    extras = {} if block is None else {"block_id": NPREG[block]}
    model = EMMixtureOfExpertsRegressor(random_state=seed, **options).fit(X, y, **extras)
    total = model.score_samples(X, y, **extras).sum()
    assert model.converged_
    assert maximum - 2e-5 < total < maximum + 1e-8
    assert model.objective_ == pytest.approx(total, abs=1e-4)  # less the penalty of the default `alpha`
    assert model.n_parameters_ == df
    assert model.bic(X, y, **extras) == pytest.approx(-2 * maximum + df * np.log(200), abs=1e-4)


NPREG_PARTS = {
    "quadratic": {
        "coef_": [[4.814486370, 0.036538090], [9.848437755, -0.968527984]],
        "intercept_": [-0.208565615, 14.712915974],
        "scale_": [3.444403828, 3.450930807],
        "weights_": [0.493999701, 0.506000299],
    },
    "counts": {"coef_": [[-0.161919978], [0.06470747]], "intercept_": [1.864314076, 1.24733243]},
    "counts, units of 4": {"coef_": [[-0.174868529], [0.093742990]], "intercept_": [1.928234174, 1.039467083]},
    "binary, units of 4": {"coef_": [[-1.031738412], [1.176370763]], "intercept_": [5.220996243, -6.078203667]},
    "softmax gate": {
        "coef_": [[4.792927655, 0.038801845], [9.820774916, -0.965838946]],
        "intercept_": [-0.173490724, 14.765305854],
        "scale_": [3.437731341, 3.456357226],
    },
    "units of 4": {"scale_": [3.364076150, 3.380193173], "weights_": [0.5, 0.5]},
}


@pytest.mark.parametrize("name", NPREG_PARTS)
def test_parameters_of_npreg(name):
    response, options, block, _, _ = NPREG_FITS[name]
    model = EMMixtureOfExpertsRegressor(random_state=0, alpha=0, **options, **TO_THE_END)
    model.fit(NPREG[["x"]], NPREG[response], block_id=None if block is None else NPREG[block])
    order = np.argsort(model.coef_[:, 0])
    for part, values in NPREG_PARTS[name].items():
        assert_allclose(getattr(model, part)[order], values, atol=2e-5)  # some of them are flat
    if name == "softmax gate":
        slope, intercept = (np.diff(part[order], axis=0)[0] for part in (model.gate_coef_, model.gate_intercept_))
        assert_allclose([intercept, *slope], [-0.213935248, 0.051428906], atol=1e-5)


def test_ethanol():
    """mixtools 2.0.0, `regmixEM`: 193 of 200 starts end here."""
    table = load_ethanol(as_frame=True).frame
    for seed in range(4):
        model = EMMixtureOfExpertsRegressor(gate="constant", random_state=seed).fit(table[["NOx"]], table["E"])
        assert model.objective_ == pytest.approx(122.03835578546, abs=5e-5)  # less the penalty of `alpha`
    order = np.argsort(model.intercept_)
    assert_allclose(model.intercept_[order], [0.5649859, 1.24708115], atol=1e-4)
    assert_allclose(model.coef_[order, 0], [0.08502294, -0.08299949], atol=1e-4)
    assert_allclose(model.scale_[order], [0.0433132, 0.02414117], atol=1e-4)
    assert_allclose(model.weights_[order], [0.489724477, 0.510275523], atol=1e-4)


TONES = {"wide": (141.1984022997, [0.0425485, 0.9922955]), "narrow": (145.4168481572, [0.2175564, 0.9988571])}


@pytest.mark.parametrize("name", TONES)
def test_tones(name):
    """The two solutions that mixtools finds; the narrow one has the rows that are almost equal to the stretch ratio."""
    maximum, slopes = TONES[name]
    table = load_tones(as_frame=True).frame
    x, y = table["stretchratio"].to_numpy(), table["tuned"].to_numpy()
    is_ratio = np.abs(y - x) < (0.01 if name == "narrow" else np.abs(y - 2))
    model = EMMixtureOfExpertsRegressor(gate="constant", init_params=is_ratio.astype(int), alpha=0, **TO_THE_END)
    model.fit(x[:, None], y)
    assert model.objective_ == pytest.approx(maximum, abs=1e-6)
    assert_allclose(model.coef_[:, 0], slopes, atol=1e-5)


# --- one expert is what scikit-learn and statsmodels fit ---


class Rows(NamedTuple):
    X: np.ndarray
    eta: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    exposure: np.ndarray


@cache
def rows(n=150, p=3):
    rng = np.random.default_rng(3)
    Z = rng.normal(size=(n, p)) @ (np.eye(p) + 0.4)
    X = Z * 10.0 ** np.arange(-1, p - 1) + 5
    weight, offset, exposure = rng.choice([0.5, 1, 3], n), 0.5 * rng.normal(size=n), rng.uniform(0.5, 4, n)
    return Rows(X, Z @ [0.5, -0.3, 0.2] + 0.4, weight, offset, exposure)


def one(expert, **options):
    """At the maximum, with no penalty unless `options` has one."""
    kind = EMMixtureOfExpertsClassifier if expert == "logistic" else EMMixtureOfExpertsRegressor
    return kind(1, **{"expert": expert, "alpha": 0.0, **TO_THE_END, **options})


def deviations(X, weight):
    return np.sqrt(np.average((X - np.average(X, axis=0, weights=weight)) ** 2, axis=0, weights=weight))


def assert_same_line(model, peer, rtol=1e-6):
    assert_allclose(model.coef_[0], peer.coef_, rtol=rtol)
    assert_allclose(model.intercept_[0], peer.intercept_, rtol=rtol)


@pytest.mark.parametrize("gate", GATES)
def test_least_squares(gate):
    table = rows()
    y = table.eta + table.offset + np.random.default_rng(0).normal(size=len(table.eta))
    model = one("gaussian", gate=gate).fit(table.X, y, sample_weight=table.weight, offset=table.offset)
    peer = LinearRegression().fit(table.X, y - table.offset, sample_weight=table.weight)
    assert_same_line(model, peer)
    residuals = y - table.offset - peer.predict(table.X)
    scale = np.sqrt(np.average(residuals**2, weights=table.weight))
    assert_allclose(model.scale_, scale, rtol=1e-9)
    if gate != "gaussian":  # which adds the density of the inputs
        assert model.objective_ == pytest.approx(table.weight @ norm.logpdf(residuals, scale=scale), rel=1e-12)
    assert model.n_parameters_ == 5 + (9 if gate == "gaussian" else 0)
    assert_allclose(model.predict(table.X, offset=table.offset), peer.predict(table.X) + table.offset, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 30.0])
def test_ridge(alpha):
    table = rows()
    y = table.eta + np.random.default_rng(0).normal(size=len(table.eta))
    model = one("gaussian", alpha=alpha).fit(table.X, y, sample_weight=table.weight)
    scaler = StandardScaler().fit(table.X, sample_weight=table.weight)
    peer = Ridge(alpha, tol=1e-14).fit(scaler.transform(table.X), y, sample_weight=table.weight)
    assert_allclose(model.coef_[0] * scaler.scale_, peer.coef_, rtol=1e-8)
    assert_allclose(model.predict(table.X), peer.predict(scaler.transform(table.X)), rtol=1e-8)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
def test_least_squares_of_several_responses(covariance_type):
    table = rows()
    noise = np.random.default_rng(0).normal(size=(len(table.eta), 2)) @ [[1, 0.7], [0, 0.4]]
    y = np.stack([table.eta, 5 - table.eta], axis=1) + noise
    model = one("gaussian", covariance_type=covariance_type).fit(table.X, y, sample_weight=table.weight)
    peer = LinearRegression().fit(table.X, y, sample_weight=table.weight)
    assert_same_line(model, peer)
    residuals = y - peer.predict(table.X)
    expected = (residuals.T * table.weight) @ residuals / table.weight.sum()
    if covariance_type in ("diag", "spherical", "EII"):
        expected = np.diag(np.diag(expected))
    if covariance_type in ("spherical", "EII"):  # one variance in units of each response
        unit = np.diag(deviations(y, table.weight))
        inverse = np.linalg.inv(unit)
        expected = np.trace(inverse @ expected @ inverse) / 2 * unit @ unit
    assert_allclose(model.covariances_[0], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 5.0])
@pytest.mark.parametrize(("expert", "Peer"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)])
def test_logarithmic_experts(expert, Peer, alpha):
    """With exposure e the peers see rates y / e, a row of Poisson counts as heavy as e. They penalise the mean."""
    table, rng = rows(), np.random.default_rng(0)
    mean = table.exposure * np.exp(table.eta)
    y = rng.poisson(mean).astype(float) if expert == "poisson" else rng.gamma(3, mean / 3)
    model = one(expert, alpha=alpha).fit(table.X, y, sample_weight=table.weight, exposure=table.exposure)
    scaler = StandardScaler().fit(table.X, sample_weight=table.weight)
    Z, weight = scaler.transform(table.X), table.weight * (table.exposure if expert == "poisson" else 1)
    peer = Peer(alpha=alpha / weight.sum(), solver="newton-cholesky", tol=1e-12)
    peer.fit(Z, y / table.exposure, sample_weight=weight)
    assert_allclose(model.coef_[0] * scaler.scale_, peer.coef_, rtol=1e-6)
    assert_allclose(model.predict(table.X, exposure=table.exposure), table.exposure * peer.predict(Z), rtol=1e-6)
    fitted = table.exposure * peer.predict(Z)
    if expert == "poisson":
        assert model.objective_ + alpha / 2 * peer.coef_ @ peer.coef_ == pytest.approx(
            table.weight @ poisson.logpmf(y, fitted), rel=1e-9
        )
        return

    def negative(log_shape):
        shape = np.exp(log_shape[0])
        value = table.weight @ gamma.logpdf(y, shape, scale=fitted / shape)
        return alpha / 2 * shape * peer.coef_ @ peer.coef_ - value

    found = minimize(negative, [1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    assert model.objective_ == pytest.approx(-found.fun, rel=1e-9)
    assert_allclose(model.shape_, np.exp(found.x), rtol=1e-6)


@pytest.mark.parametrize("expert", ["gaussian", "poisson", "binomial", "gamma"])
def test_generalised_linear_models_of_statsmodels(expert):
    """With offset, exposure and weights."""
    table, rng = rows(), np.random.default_rng(0)
    eta, exposure = table.eta + table.offset, table.exposure
    laws = {
        "gaussian": (eta + rng.normal(size=len(eta)), sm.families.Gaussian()),
        "poisson": (rng.poisson(exposure * np.exp(eta)), sm.families.Poisson()),
        "gamma": (rng.gamma(3, exposure * np.exp(eta) / 3), sm.families.Gamma(sm.families.links.Log())),
        "binomial": (rng.binomial(np.ceil(exposure).astype(int), expit(eta)), sm.families.Binomial()),
    }
    y, family = laws[expert]
    extras, offset = {"offset": table.offset}, table.offset
    if expert in ("poisson", "gamma"):
        extras["exposure"], offset = exposure, offset + np.log(exposure)
    if expert == "binomial":
        extras["exposure"] = np.ceil(exposure)
    endog = y if expert != "binomial" else np.stack([y, np.ceil(exposure) - y], axis=1)
    peer = sm.GLM(endog, sm.add_constant(table.X), family, offset=offset, freq_weights=table.weight).fit(tol=1e-13)
    model = one(expert).fit(table.X, y, sample_weight=table.weight, **extras)
    assert_allclose([model.intercept_[0], *model.coef_[0]], peer.params, rtol=1e-6, atol=1e-9)
    if expert in ("poisson", "binomial"):
        assert model.objective_ == pytest.approx(peer.llf, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 2.0])
@pytest.mark.parametrize("n_classes", [2, 4, 7])
def test_logistic_regression(n_classes, alpha):
    table, rng = rows(), np.random.default_rng(0)
    logits = table.eta[:, None] * rng.normal(size=n_classes) * 3
    y = np.array(list("dbcafge"))[
        (rng.random((len(logits), 1)) > np.cumsum(softmax(logits, axis=1), axis=1)).sum(axis=1)
    ]
    model = one("logistic", alpha=alpha).fit(table.X, y, sample_weight=table.weight)
    scaler = StandardScaler().fit(table.X, sample_weight=table.weight)
    Z = scaler.transform(table.X)
    peer = LogisticRegression(C=1 / alpha, solver="newton-cholesky", tol=1e-12).fit(Z, y, sample_weight=table.weight)
    assert list(model.classes_) == list(peer.classes_)
    assert_allclose(model.coef_[0] * scaler.scale_, peer.coef_, rtol=1e-6, atol=1e-8)
    assert_allclose(model.predict_proba(table.X), peer.predict_proba(Z), atol=1e-7)
    chosen = peer.predict_log_proba(Z)[np.arange(len(y)), np.searchsorted(peer.classes_, y)]
    objective = table.weight @ chosen - alpha / 2 * (peer.coef_**2).sum()
    assert model.objective_ == pytest.approx(objective, rel=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 10.0])
def test_student_noise(alpha):
    table = rows()
    y = table.eta + table.offset + 0.6 * np.random.default_rng(0).standard_t(2.5, size=len(table.eta))
    model = one("student", alpha=alpha).fit(table.X, y, sample_weight=table.weight, offset=table.offset)
    units = deviations(table.X, table.weight)
    Z = (table.X - np.average(table.X, axis=0, weights=table.weight)) / units

    def negative(vector):
        scale = np.exp(vector[4])
        residuals = y - table.offset - vector[0] - Z @ vector[1:4]
        shrinkage = alpha / 2 * vector[1:4] @ vector[1:4] / scale**2
        return shrinkage - table.weight @ student.logpdf(residuals, np.exp(vector[5]), scale=scale)

    found = minimize(negative, np.zeros(6), method="BFGS", options={"gtol": 1e-5})
    assert model.objective_ == pytest.approx(-found.fun, abs=1e-6)
    assert_allclose(model.coef_[0] * units, found.x[1:4], atol=1e-4)
    assert_allclose([model.scale_[0], model.degrees_of_freedom_[0]], np.exp(found.x[4:]), rtol=1e-3)


# --- several experts: the objective, written down once more ---


class Table(NamedTuple):
    """Rows in blocks; `sizes` are all 1 where each row is a block."""

    X: np.ndarray  # (n, p)
    y: np.ndarray  # (n,) or (n, m)
    weight: np.ndarray  # (n,)
    sizes: np.ndarray  # (b,)
    extras: dict

    @property
    def starts(self):
        return np.cumsum(self.sizes) - self.sizes

    @property
    def gate_inputs(self):
        return np.add.reduceat(self.X, self.starts) / self.sizes[:, None]


def drawn(chances, rng):
    """A class for each row of chances (n, c)."""
    return np.minimum((rng.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1), chances.shape[1] - 1)


def simulated(expert, gate, k, *, m=1, blocks=False, noise=False, n=160, seed=0):
    rng = np.random.default_rng([n, k, m, seed])
    sizes = rng.integers(1, 4, n // 2) if blocks else np.ones(n, dtype=int)
    n = sizes.sum()
    starts, by_row = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)
    Z = rng.normal(size=(n, 2))
    tilt = 0 if gate == "constant" else rng.normal(size=(2, k))
    label = drawn(softmax(np.add.reduceat(Z, starts) / sizes[:, None] @ (np.zeros((2, k)) + tilt), axis=1), rng)[by_row]
    if gate == "gaussian":
        Z += 1.5 * rng.normal(size=(k, 2))[label]
    slopes, levels = rng.normal(size=(k, m, 2)), 2 * np.arange(k)[:, None] + rng.normal(size=(k, m))
    offset, exposure = 0.3 * rng.normal(size=n), rng.integers(3, 15, n).astype(float)
    eta = np.einsum("nmp,np->nm", slopes[label], Z) + levels[label] + offset[:, None]
    extras = {"offset": offset}
    if expert == "gaussian":
        y = eta + (0.5 + 0.2 * label[:, None]) * rng.normal(size=(n, m)) @ (np.eye(m) + 0.4)
    elif expert == "student":
        y = eta + 0.4 * rng.standard_t(2, size=(n, 1)) * (np.ones(m) + 0.3 * rng.normal(size=(n, m)))
    elif expert == "logistic":
        logits = np.einsum("npc,np->nc", 2 * rng.normal(size=(k, 2, 3))[label], Z) + rng.normal(size=(k, 3))[label]
        y, extras = drawn(softmax(logits, axis=1), rng)[:, None], {}
    else:
        extras["exposure"] = exposure
        if expert == "binomial":
            y = rng.binomial(exposure.astype(int), expit(eta[:, 0] - k + 1))[:, None].astype(float)
        elif expert == "poisson":
            y = rng.poisson(0.3 * exposure * np.exp(0.5 * eta[:, 0]))[:, None].astype(float)
        else:
            y = rng.gamma(3 + label, 0.3 * exposure * np.exp(0.5 * eta[:, 0]) / (3 + label))[:, None]
    if noise:
        odd = rng.random(n) < 0.06
        if expert in ("poisson", "binomial", "logistic"):
            y[odd] = rng.integers(0, (extras["exposure"][odd, None] if expert == "binomial" else y.max()) + 1)
        else:
            y[odd] = rng.uniform(y.min(axis=0), y.max(axis=0), (odd.sum(), m))
    if blocks:
        extras["block_id"] = by_row
    weight = rng.choice([0.5, 1, 2.5], len(sizes))[by_row]
    return Table(Z * [2, 0.5] + [1, -3], y[:, 0] if m == 1 else y, weight, sizes, extras)


def log_sum(x):
    return np.logaddexp.reduce(x, axis=-1)


def log_shares(x):
    return x - log_sum(x)[..., None]


def to_roots(covariances):
    """Lower Cholesky factors with logs of their diagonals, (k, d (d + 1) / 2)."""
    lower, d = np.linalg.cholesky(covariances), covariances.shape[1]
    lower[:, range(d), range(d)] = np.log(lower[:, range(d), range(d)])
    return lower[:, *np.tril_indices(d)]


def from_roots(roots, d):
    lower = np.zeros((len(roots), d, d))
    lower[:, *np.tril_indices(d)] = roots
    lower[:, range(d), range(d)] = np.exp(lower[:, range(d), range(d)])
    return lower @ lower.swapaxes(1, 2)


def log_normal(residuals, covariances):
    """Of residuals (n, k, m) and covariances (k, m, m): squared distances and log determinants."""
    return np.einsum("nki,kij,nkj->nk", residuals, np.linalg.inv(covariances), residuals), np.linalg.slogdet(
        covariances
    )[1]


class Objective:
    """Log-likelihood plus log-prior of a table, as a function of a vector of what a fitted model publishes.

    `parts` are the published arrays, without bounds: logs of scales, roots of covariances, log odds of noise.
    """

    def __init__(self, model, table):
        self.model, self.table = model, table
        self.y = table.y.reshape(len(table.y), -1).astype(float)
        self.weight = table.weight[table.starts]
        self.G = table.gate_inputs
        self.unit, self.gate_unit = deviations(table.X, table.weight), deviations(self.G, self.weight)
        self.unit_of_y = deviations(self.y, table.weight)
        self.offset = table.extras.get("offset", np.zeros(len(table.y)))[:, None]
        self.exposure = table.extras.get("exposure", np.ones(len(table.y)))[:, None]
        self.parts = self._published()

    def _published(self):
        model = self.model
        parts = {name: getattr(model, name) for name in ("coef_", "intercept_")}
        for name in ("scale_", "degrees_of_freedom_", "shape_"):
            parts |= {name: np.log(getattr(model, name))} if hasattr(model, name) else {}
        if hasattr(model, "covariances_"):
            parts["covariances_"] = self._to_noise(model.covariances_)
        if model.noise:
            parts["noise_weight_"] = logit(model.noise_weight_)
        if model.gate in ("constant", "gaussian"):
            parts["weights_"] = np.log(model.weights_)
        if model.gate == "gaussian":
            parts |= {"gate_means_": model.gate_means_, "gate_covariances_": to_roots(model.gate_covariances_)}
        for name in ("gate_coef_", "gate_intercept_", "group_coef_", "group_intercept_"):
            parts |= {name: getattr(model, name)} if hasattr(model, name) else {}
        return {name: np.asarray(part, dtype=float) for name, part in parts.items()}

    def _to_noise(self, covariances):
        kind = self.model.covariance_type
        if kind in ("full", "tied"):
            return to_roots(covariances if kind == "full" else covariances[:1])
        logs = np.log(np.diagonal(covariances, axis1=1, axis2=2))
        return {"diag": logs, "spherical": logs[:, :1], "EII": logs[:1, :1]}[kind]

    def _from_noise(self, part):
        kind, shape = self.model.covariance_type, (self.model.n_components, self.y.shape[1])
        if kind in ("full", "tied"):
            return np.broadcast_to(from_roots(part, shape[1]), (*shape, shape[1]))
        ratio = 1 if kind == "diag" else (self.unit_of_y / self.unit_of_y[0]) ** 2  # one variance in units of each
        return (np.broadcast_to(np.exp(part), shape) * ratio)[:, :, None] * np.eye(shape[1])

    @property
    def vector(self):
        return np.concatenate([part.ravel() for part in self.parts.values()])

    def at(self, vector):
        pieces = np.split(vector, np.cumsum([part.size for part in self.parts.values()])[:-1])
        return {name: piece.reshape(self.parts[name].shape) for name, piece in zip(self.parts, pieces, strict=True)}

    def __call__(self, vector):
        parts = self.at(vector)
        densities, log_prior = self._experts(parts)
        if self.model.noise:
            share = expit(parts["noise_weight_"])
            densities = np.logaddexp(np.log1p(-share) + densities, np.log(share) - np.log(self._range()))
        log_weights, log_prior_of_gate = self._gate(parts)
        of_blocks = log_sum(log_weights + np.add.reduceat(densities, self.table.starts))
        return self.weight @ of_blocks + log_prior + log_prior_of_gate

    def _range(self):
        if self.model.expert == "logistic":
            return len(self.model.classes_)
        return np.prod(np.ptp(self.y, axis=0) + (self.model.expert in ("poisson", "binomial")))

    def _experts(self, parts):
        """Log densities (n, k) and log prior."""
        y, exposure, expert, alpha = self.y, self.exposure, self.model.expert, self.model.alpha
        coef, intercept = parts["coef_"], parts["intercept_"]
        if coef.ndim == 2:
            coef, intercept = coef[:, None], intercept[:, None]
        slopes = coef * self.unit
        eta = np.einsum("np,kmp->nkm", self.table.X, coef) + intercept
        if expert == "logistic":
            eta = np.concatenate([np.zeros_like(eta), eta], axis=2) if eta.shape[2] == 1 else eta
            codes = np.searchsorted(self.model.classes_, self.table.y)
            return log_shares(eta)[np.arange(len(y)), :, codes], -alpha / 2 * (slopes**2).sum()
        eta = eta + self.offset[:, None]
        if expert in ("gaussian", "student"):
            one_response = "scale_" in parts
            noise = (
                np.exp(2 * parts["scale_"])[:, None, None] if one_response else self._from_noise(parts["covariances_"])
            )
            log_prior = -alpha / 2 * np.einsum("kip,kij,kjp->", slopes, np.linalg.inv(noise), slopes)
            squares, log_dets = log_normal(y[:, None] - eta, noise)
            m = y.shape[1]
            if expert == "gaussian":
                return -0.5 * (squares + log_dets + m * np.log(2 * np.pi)), log_prior
            nu = np.exp(parts["degrees_of_freedom_"])
            peak = gammaln((nu + m) / 2) - gammaln(nu / 2) - 0.5 * (m * np.log(nu * np.pi) + log_dets)
            return peak - (nu + m) / 2 * np.log1p(squares / nu), log_prior
        eta, sizes = eta[:, :, 0], (slopes**2).sum(axis=(1, 2))
        if expert == "binomial":
            ways = gammaln(exposure + 1) - gammaln(y + 1) - gammaln(exposure - y + 1)
            return y * log_expit(eta) + (exposure - y) * log_expit(-eta) + ways, -alpha / 2 * sizes.sum()
        mean = exposure * np.exp(eta)
        if expert == "poisson":
            return y * np.log(mean) - mean - gammaln(y + 1), -alpha / 2 * sizes.sum()
        shape = np.exp(parts["shape_"])
        ratio = shape * y / mean
        return shape * np.log(ratio) - ratio - np.log(y) - gammaln(shape), -alpha / 2 * shape @ sizes

    def _gate(self, parts):
        """Log weights (b, k), or (k,), and log prior."""
        gate, k = self.model.gate, self.model.n_components
        if gate == "constant":
            return log_shares(parts["weights_"]), 0.0
        if gate == "gaussian":
            covariances = from_roots(parts["gate_covariances_"], self.G.shape[1])
            squares, log_dets = log_normal(self.G[:, None] - parts["gate_means_"], covariances)
            density = -0.5 * (squares + log_dets + self.G.shape[1] * np.log(2 * np.pi))
            return log_shares(parts["weights_"]) + density, 0.0
        inner = self.G @ parts["gate_coef_"].T + parts["gate_intercept_"]
        log_prior = -self.model.gate_alpha / 2 * ((parts["gate_coef_"] * self.gate_unit) ** 2).sum()
        if gate == "softmax":
            return log_shares(inner), log_prior
        outer = log_shares(self.G @ parts["group_coef_"].T + parts["group_intercept_"])
        log_prior -= self.model.gate_alpha / 2 * ((parts["group_coef_"] * self.gate_unit) ** 2).sum()
        groups = np.array_split(np.arange(k), len(parts["group_coef_"]))
        inside = [outer[:, [g]] + log_shares(inner[:, own]) for g, own in enumerate(groups)]
        return np.hstack(inside), log_prior


def slope(function, vector, step=1e-5):
    return np.array([function(vector + e) - function(vector - e) for e in step * np.eye(len(vector))]) / (2 * step)


def highest(function, vector):
    """A quasi-Newton search from `vector`."""
    options = {"gtol": 1e-4, "maxiter": 500}
    found = minimize(lambda v: -function(v), vector, jac=lambda v: -slope(function, v), method="BFGS", options=options)
    return -found.fun


def fitted(table, k, **options):
    classes = options["expert"] == "logistic" or hasattr(options["expert"], "predict_proba")
    kind = EMMixtureOfExpertsClassifier if classes else EMMixtureOfExpertsRegressor
    model = kind(k, **{"alpha": 0.3, "gate_alpha": 0.2, "random_state": 0, **TO_THE_END, **options})
    return model.fit(table.X, table.y, sample_weight=table.weight, **table.extras)


def assert_at_maximum(model, table):
    """The objective reported is that of what is published; there is no slope, and nothing higher nearby."""
    objective = Objective(model, table)
    vector = objective.vector
    assert model.objective_ == pytest.approx(objective(vector), rel=1e-10)
    free = ~np.isclose(vector, np.log(MOST_DEGREES), rtol=0, atol=1e-9)

    def freely(moved):
        return objective(np.where(free, moved, vector))

    assert_allclose(slope(freely, vector), 0, atol=1e-3)
    nearby = vector + 0.03 * np.random.default_rng(0).normal(size=len(vector))
    assert freely(nearby) < model.objective_ - 0.01
    assert highest(freely, nearby) == pytest.approx(model.objective_, abs=1e-5)


EXPERTS = ["gaussian", "student", "poisson", "binomial", "gamma", "logistic"]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_maximum(expert, gate):
    """With weights, offset and exposure; half of them in blocks, a third with noise."""
    i, j = EXPERTS.index(expert), GATES.index(gate)
    blocks, noise, k = (i + j) % 2 == 1, (i + j) % 3 == 1, 3 if gate == "hierarchical" else 2
    table = simulated(expert, gate, k, blocks=blocks, noise=noise)
    assert_at_maximum(fitted(table, k, expert=expert, gate=gate, noise=noise), table)


def test_maximum_of_many_experts():
    table = simulated("poisson", "softmax", 6, n=300)
    assert_at_maximum(fitted(table, 6, expert="poisson"), table)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("expert", EXPERTS)
def test_maximum_of_three_experts_and_noise(expert, gate, blocks):
    table = simulated(expert, gate, 3, blocks=blocks, noise=True, n=300)
    assert_at_maximum(fitted(table, 3, expert=expert, gate=gate, noise=True), table)


@pytest.mark.parametrize(
    ("expert", "covariance_type"),
    [("gaussian", name) for name in ("full", "tied", "diag", "spherical", "EII")]
    + [("student", "full"), ("student", "EII")],
)
def test_maximum_of_several_responses(expert, covariance_type):
    table = simulated(expert, "softmax", 2, m=2, blocks=expert == "student")
    model = fitted(table, 2, expert=expert, covariance_type=covariance_type)
    assert_at_maximum(model, table)


@pytest.mark.parametrize("covariance_type", ["tied", "EII"])
def test_one_response_of_shared_variance(covariance_type):
    table = simulated("gaussian", "constant", 2)
    model = fitted(table, 2, expert="gaussian", gate="constant", covariance_type=covariance_type)
    assert model.scale_[0] == pytest.approx(model.scale_[1], rel=1e-12)
    own = fitted(table, 2, expert="gaussian", gate="constant")
    assert own.objective_ > model.objective_ + 1
    objective = Objective(model, table)

    def shared(vector):
        """The third part are the logs of the scales."""
        return objective(np.insert(vector, 6, vector[6]))

    vector = np.delete(objective.vector, 7)
    assert_allclose(slope(shared, vector), 0, atol=1e-3)
    nearby = vector + 0.03 * np.random.default_rng(0).normal(size=len(vector))
    assert highest(shared, nearby) == pytest.approx(model.objective_, abs=1e-5)


@pytest.mark.parametrize(("expert", "gate"), [("poisson", "constant"), ("binomial", "softmax")])
def test_no_search_from_anywhere_finds_more(expert, gate):
    """The likelihoods are bounded, so that every search ends at a proper maximum."""
    table = simulated(expert, gate, 2, n=100)
    model = fitted(table, 2, expert=expert, gate=gate)
    objective = Objective(model, table)
    rng = np.random.default_rng(0)
    found = [highest(objective, rng.normal(size=len(objective.vector))) for _ in range(5)]
    assert max(found) == pytest.approx(model.objective_, abs=1e-5)


def test_no_penalty_is_the_likelihood():
    table = simulated("gaussian", "softmax", 2)
    model = fitted(table, 2, expert="gaussian", alpha=0, gate_alpha=0)
    assert_at_maximum(model, table)
    by_row = model.score_samples(table.X, table.y, **table.extras)
    assert model.objective_ == pytest.approx(table.weight @ by_row, rel=1e-12)
    assert fitted(table, 2, expert="gaussian", alpha=0).objective_ < model.objective_ - 0.01


N_PARAMETERS = [
    # two inputs: 3 coefficients an expert, 3 of each gate; K - 1 shares; 5 of each Gaussian of the inputs
    ({"expert": "gaussian", "gate": "constant"}, 3 * 4 + 2),
    ({"expert": "gaussian", "gate": "softmax"}, 3 * 4 + 2 * 3),
    ({"expert": "gaussian", "gate": "hierarchical"}, 3 * 4 + 2 * 3),
    ({"expert": "gaussian", "gate": "gaussian"}, 3 * 4 + 2 + 3 * 5),
    ({"expert": "gaussian", "gate": "constant", "covariance_type": "tied"}, 3 * 3 + 1 + 2),
    ({"expert": "gaussian", "gate": "constant", "noise": True}, 3 * 4 + 2 + 1),
    ({"expert": "student", "gate": "constant"}, 3 * 5 + 2),
    ({"expert": "poisson", "gate": "softmax"}, 3 * 3 + 2 * 3),
    ({"expert": "binomial", "gate": "constant"}, 3 * 3 + 2),
    ({"expert": "gamma", "gate": "constant"}, 3 * 4 + 2),
    ({"expert": "logistic", "gate": "constant"}, 3 * 2 * 3 + 2),
]


@pytest.mark.parametrize(("options", "n_parameters"), N_PARAMETERS)
def test_number_of_parameters(options, n_parameters):
    table = simulated(options["expert"], options["gate"], 3)
    assert fitted(table, 3, **options, tol=1e-3).n_parameters_ == n_parameters


@pytest.mark.parametrize(
    ("covariance_type", "of_noise"), [("full", 6), ("tied", 3), ("diag", 4), ("spherical", 2), ("EII", 1)]
)
def test_number_of_parameters_of_several_responses(covariance_type, of_noise):
    table = simulated("gaussian", "constant", 2, m=2)
    model = fitted(table, 2, expert="gaussian", gate="constant", covariance_type=covariance_type, tol=1e-3)
    assert model.n_parameters_ == 2 * 2 * 3 + 1 + of_noise


# --- standard errors ---


def centred(parts):
    """Coefficients of softmax functions, of which only differences count, with mean zero over experts or classes."""
    groups = len(parts.get("group_coef_", []))
    out = dict(parts)
    for name in ("gate_coef_", "gate_intercept_"):
        if name in parts:
            pieces = np.array_split(parts[name], groups) if groups else [parts[name]]
            out[name] = np.concatenate([piece - piece.mean(axis=0) for piece in pieces])
    for name in ("group_coef_", "group_intercept_", "weights_"):
        if name in parts:
            out[name] = parts[name] - parts[name].mean(axis=0)
    if parts["coef_"].ndim == 3:  # of classes: (k, c, p)
        out |= {name: parts[name] - parts[name].mean(axis=1, keepdims=True) for name in ("coef_", "intercept_")}
    return np.concatenate([part.ravel() for part in out.values()])


def errors_from_hessian(objective, step=1e-3):
    """Standard errors of the parts by the inverse of the negative Hessian, in the space of what counts."""
    vector = objective.vector
    rises = [slope(objective, vector + e) - slope(objective, vector - e) for e in step * np.eye(len(vector))]
    information = -np.array(rises) / (2 * step)
    projection = np.array([centred(objective.at(e)) for e in np.eye(len(vector))])
    left, sizes, _ = np.linalg.svd(projection)
    basis = left[:, sizes > 0.5]
    covariance = basis @ np.linalg.inv(basis.T @ information @ basis) @ basis.T
    return objective.at(np.sqrt(np.diag(covariance)))


@pytest.mark.parametrize(
    ("expert", "gate", "options"),
    [
        ("gaussian", "softmax", {"alpha": 0, "gate_alpha": 0}),
        ("gaussian", "softmax", {"gate_alpha": 0.1}),
        ("gaussian", "gaussian", {}),
        ("student", "constant", {}),
        ("poisson", "constant", {"noise": True, "blocks": True}),
        ("binomial", "softmax", {"gate_alpha": 0.5, "blocks": True}),
        ("gamma", "hierarchical", {"gate_alpha": 0.5}),
        ("logistic", "constant", {"alpha": 0.5}),
    ],
)
def test_standard_errors(expert, gate, options):
    k, blocks = 3 if gate == "hierarchical" else 2, options.pop("blocks", False)
    table = simulated(expert, gate, k, blocks=blocks, noise=options.get("noise", False), n=240)
    model = fitted(table, k, expert=expert, gate=gate, **options)
    errors = model.standard_errors(table.X, table.y, sample_weight=table.weight, **table.extras)
    expected = errors_from_hessian(Objective(model, table))
    for name in ("scale_", "degrees_of_freedom_", "shape_"):  # the objective sees their logs
        if name in expected:
            expected[name] = expected[name] * getattr(model, name)
    if model.noise:
        expected["noise_weight_"] = expected["noise_weight_"] * model.noise_weight_ * (1 - model.noise_weight_)
    if "weights_" in expected:  # of two experts: log odds are twice the centred logs
        expected["weights_"] = 2 * expected["weights_"] * model.weights_.prod()
    for name in set(expected) - {"gate_covariances_"}:
        assert errors[name].shape == np.shape(getattr(model, name))
        assert_allclose(errors[name], expected[name], rtol=2e-3, err_msg=name)


def test_standard_errors_of_least_squares():
    """statsmodels divides by n - p."""
    table = rows()
    y, n = table.eta + np.random.default_rng(0).normal(size=len(table.eta)), len(table.eta)
    model = one("gaussian").fit(table.X, y)
    errors = model.standard_errors(table.X, y)
    peer = sm.OLS(y, sm.add_constant(table.X)).fit()
    expected = peer.bse * np.sqrt((n - 4) / n)
    assert_allclose([errors["intercept_"][0], *errors["coef_"][0]], expected, rtol=1e-4)
    assert_allclose(errors["scale_"], model.scale_ / np.sqrt(2 * n), rtol=1e-4)


@pytest.mark.parametrize("expert", ["poisson", "binomial"])
def test_standard_errors_of_generalised_linear_models(expert):
    table, rng = rows(), np.random.default_rng(0)
    trials = np.ceil(table.exposure)
    if expert == "poisson":
        y = rng.poisson(trials * np.exp(table.eta))
        peer = sm.GLM(y, sm.add_constant(table.X), sm.families.Poisson(), exposure=trials, freq_weights=table.weight)
    else:
        y = rng.binomial(trials.astype(int), expit(table.eta))
        endog = np.stack([y, trials - y], axis=1)
        peer = sm.GLM(endog, sm.add_constant(table.X), sm.families.Binomial(), freq_weights=table.weight)
    model = one(expert).fit(table.X, y, sample_weight=table.weight, exposure=trials)
    errors = model.standard_errors(table.X, y, sample_weight=table.weight, exposure=trials)
    assert_allclose([errors["intercept_"][0], *errors["coef_"][0]], peer.fit(tol=1e-12).bse, rtol=1e-4)


def test_standard_errors_of_logits():
    """Of statsmodels against the first class; here of the differences from the mean of the classes."""
    table, rng = rows(), np.random.default_rng(0)
    y = drawn(softmax(table.eta[:, None] * [1, -1, 0.3], axis=1), rng)
    errors = one("logistic").fit(table.X, y).standard_errors(table.X, y)
    peer = sm.MNLogit(y, sm.add_constant(table.X)).fit(disp=0, tol=1e-12)
    contrasts = np.array([[0, 0], [1, 0], [0, 1]]) - 1 / 3
    moved = np.kron(contrasts, np.eye(4))
    expected = np.sqrt(np.diag(moved @ peer.cov_params() @ moved.T)).reshape(3, 4)
    assert_allclose(errors["intercept_"][0], expected[:, 0], rtol=1e-4)
    assert_allclose(errors["coef_"][0], expected[:, 1:], rtol=1e-4)


# --- experts of scikit-learn ---


@pytest.mark.parametrize(("gate", "m"), [("constant", 1), ("softmax", 1), ("softmax", 2)])
def test_least_squares_of_scikit_learn_are_gaussian_experts(gate, m):
    table = simulated("gaussian", gate, 2, m=m)._replace(extras={})
    own = fitted(table, 2, expert="gaussian", gate=gate, alpha=0, covariance_type="diag")
    foreign = fitted(table, 2, expert=LinearRegression(), gate=gate, n_init=3, tol=1e-12)
    assert foreign.objective_ == pytest.approx(own.objective_, abs=1e-6)
    order = [0, 1] if np.allclose(foreign.weights_, own.weights_, atol=1e-3) else [1, 0]
    assert_allclose([foreign.experts_[k].estimator_.coef_ for k in order], own.coef_, atol=1e-4)
    assert_allclose([foreign.experts_[k].estimator_.intercept_ for k in order], own.intercept_, atol=1e-4)
    assert_allclose(foreign.predict(table.X), own.predict(table.X), atol=1e-4)


def test_logistic_regressions_of_scikit_learn_are_logistic_experts():
    """They shrink the same if the inputs have variance 1; that shrinkage is no part of the objective of the clones."""
    table = simulated("logistic", "softmax", 2)
    table = table._replace(X=StandardScaler().fit_transform(table.X, sample_weight=table.weight))
    own = fitted(table, 2, expert="logistic", alpha=0.5)
    start = 0.9 * own.predict_expert_proba(table.X, table.y) + 0.05
    clones = LogisticRegression(C=2, tol=1e-10, solver="newton-cholesky")
    foreign = fitted(table, 2, expert=clones, init_params=start, tol=0, max_iter=200)
    assert_allclose(foreign.predict_proba(table.X), own.predict_proba(table.X), atol=1e-4)
    shrinkage = 0.25 * sum((expert.estimator_.coef_**2).sum() for expert in foreign.experts_)
    assert foreign.objective_ - shrinkage == pytest.approx(own.objective_, abs=1e-4)


@pytest.mark.parametrize("m", [1, 2])
def test_the_objective_of_trees_is_the_likelihood_of_what_they_predict(m):
    table = simulated("gaussian", "softmax", 2, m=m)._replace(extras={})
    tree = DecisionTreeRegressor(max_depth=2, min_samples_leaf=10)
    model = fitted(table, 2, expert=tree, tol=1e-8, max_iter=200)
    outputs = table.y.reshape(len(table.y), -1)
    means = np.stack([expert.estimator_.predict(table.X).reshape(outputs.shape) for expert in model.experts_], axis=1)
    scales = model.scale_[:, None] if m == 1 else np.sqrt(model.variances_)
    densities = norm.logpdf(outputs[:, None], means, scales).sum(axis=2)
    gate = log_shares(table.X @ model.gate_coef_.T + model.gate_intercept_)
    shrinkage = 0.1 * ((model.gate_coef_ * deviations(table.X, table.weight)) ** 2).sum()
    total = table.weight @ log_sum(gate + densities)
    assert model.objective_ == pytest.approx(total - shrinkage, rel=1e-10)
    assert model.objective_ > fitted(table, 1, expert=tree).objective_ + 10
    share = softmax(gate, axis=1)
    assert_allclose(model.predict(table.X).reshape(outputs.shape), (share[:, :, None] * means).sum(axis=1), rtol=1e-10)
