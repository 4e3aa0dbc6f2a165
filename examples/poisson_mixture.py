"""A new EM model in one file: a mixture of Poisson distributions for tables of counts, and its estimator.

It is the model of the page "Add a model" in the documentation. Run it to check the model and to fit the yearly numbers
of major earthquakes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp, softmax
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted, check_non_negative

from emkit._compat import with_callbacks
from emkit._estimator import EMEstimator
from emkit._validation import as_source, check_n_init
from emkit.datasets import load_earthquakes
from emkit.engine import Stats
from emkit.testing import check_em_model

TINY = np.finfo(np.float64).tiny


class PoissonMixtureParams(NamedTuple):
    weights: np.ndarray  # (k,), sum to one
    rates: np.ndarray  # (k, d)


@dataclass(frozen=True)
class PoissonMixtureStats(Stats):
    counts: np.ndarray  # (k,): sum of w r, the weight of the rows in each component
    sums: np.ndarray  # (k, d): sum of w r x


@dataclass(frozen=True)
class PoissonMixtureModel:
    """k Poisson distributions; the columns are independent in each."""

    n_components: int
    monotone = True  # both steps are exact, so theory lets the log-likelihood only rise
    can_accelerate = True  # there is a to_vector

    def init_params(self, chunks, rng):
        X = np.concatenate([rows.X for rows in chunks])
        rates = X[rng.integers(len(X), size=self.n_components)] + 0.5  # a rate of 0 would stay 0
        return PoissonMixtureParams(np.full(self.n_components, 1 / self.n_components), rates)

    def log_joint(self, params, rows):
        x = rows.X.astype(np.float64)
        log_weights = np.log(np.maximum(params.weights, TINY))
        log_powers = x @ np.log(np.maximum(params.rates, TINY)).T
        log_factorials = gammaln(x + 1).sum(axis=1, keepdims=True)
        return log_weights + log_powers - params.rates.sum(axis=1) - log_factorials

    def e_step(self, params, rows):
        log_joint = self.log_joint(params, rows)
        log_norm = logsumexp(log_joint, axis=1)
        resp = rows.weight[:, None] * np.exp(log_joint - log_norm[:, None])
        return PoissonMixtureStats(
            objective=float(rows.weight @ log_norm),
            weight=float(rows.weight.sum()),
            counts=resp.sum(axis=0),
            sums=resp.T @ rows.X,
        )

    def m_step(self, stats, params):
        rates = stats.sums / np.maximum(stats.counts, TINY)[:, None]
        # A component without rows stays as it was.
        rates = np.where(stats.counts[:, None] > 0, rates, params.rates)
        return PoissonMixtureParams(stats.counts / stats.counts.sum(), rates)

    def log_prior(self, params):
        return 0.0

    def n_free(self, params):
        return len(params.weights) - 1 + params.rates.size

    def rounding(self, params):
        return 1e3 * np.finfo(np.float64).eps

    def to_vector(self, params):
        return np.log(np.maximum(np.concatenate([params.weights, params.rates.ravel()]), TINY))

    def from_vector(self, vector, params):
        if np.abs(vector).max() > 700:  # exp would overflow
            return None
        weights, rates = np.split(np.exp(vector), [self.n_components])
        return PoissonMixtureParams(weights / weights.sum(), rates.reshape(params.rates.shape))


@dataclass(frozen=True)
class PoissonMixtureProblem:
    """The model, its data and its starts, as emkit.restarts sees them."""

    model: PoissonMixtureModel
    source: object

    @property
    def sample(self):
        return self.source  # short runs see all rows

    def draw(self, number, rng):
        return self.model.init_params(self.source, rng)

    def carry_over(self, params, rng, executor):
        return params

    def flaw(self, result):
        return ""

    def repair(self, result, rng):
        return None

    def is_same(self, params, other):
        return np.allclose(np.sort(params.rates, axis=0), np.sort(other.rates, axis=0), rtol=1e-2)


class EMPoissonMixture(DensityMixin, EMEstimator):
    """Mixture of Poisson distributions over columns of counts."""

    def __init__(
        self,
        n_components=1,
        *,
        tol=1e-8,
        max_iter=1000,
        n_init="auto",
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
    ):
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None):
        return self._fit_copy(_fit, X, sample_weight=sample_weight)

    def predict_proba(self, X):
        return np.concatenate([softmax(log_joint, axis=1) for log_joint in self._log_joints(X)])

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def score_samples(self, X):
        return np.concatenate([logsumexp(log_joint, axis=1) for log_joint in self._log_joints(X)])

    def score(self, X, y=None, *, sample_weight=None):
        return float(np.average(self.score_samples(X), weights=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _log_joints(self, X):
        check_is_fitted(self)
        params = PoissonMixtureParams(self.weights_, self.rates_)
        model = PoissonMixtureModel(self.n_components)
        return [model.log_joint(params, rows) for rows in _read(self, X, reset=False)]


def _read(estimator, X, sample_weight=None, *, reset):
    """Chunks of X; ValueError for what a Poisson distribution cannot give."""
    source, _ = as_source(estimator, X, sample_weight, reset=reset)
    for rows in source:
        check_non_negative(rows.X, type(estimator).__name__)
        if np.isnan(rows.X).any():
            raise ValueError("Input X contains NaN.")
    return source


def _fit(fitted, owner, X, sample_weight):
    """Fit `fitted`, a blank copy of `owner`, which takes over its attributes only at the end."""
    fitted._check_shared_params()
    source = _read(fitted, X, sample_weight, reset=True)
    problem = PoissonMixtureProblem(PoissonMixtureModel(fitted.n_components), source)
    n_starts, rng = check_n_init(fitted.n_init), fitted._random_generator()
    search = fitted._search(problem, n_starts, rng, owner, _attributes)
    for name, value in _attributes(search.best.result.params).items():
        setattr(fitted, name, value)
    fitted._record(search, problem.model)


def _attributes(params):
    return {"weights_": params.weights, "rates_": params.rates}


def check_model(X):
    """What the engine and the estimator rely on; raises AssertionError if something does not hold."""
    truth = PoissonMixtureParams(np.array([0.3, 0.7]), np.array([[3.0], [12.0]]))
    rng = np.random.default_rng(0)
    component = rng.choice(2, 1000, p=truth.weights)
    simulated = rng.poisson(truth.rates[component]).astype(np.float64)

    def reverse(params):
        return PoissonMixtureParams(params.weights[::-1], params.rates[::-1])

    check_em_model(PoissonMixtureModel(2), X, permute=reverse, truth=(truth, simulated))


def main():
    X = load_earthquakes().data[:, 1:]
    mixture = EMPoissonMixture(2, random_state=0).fit(X)
    print("weights", mixture.weights_.round(3), "rates", mixture.rates_.ravel().round(2))
    print(f"log-likelihood {mixture.objective_:.3f} after {mixture.n_iter_} steps")
    print(f"converged: {mixture.converged_}")
    check_model(X)
    print("check_em_model passed")


if __name__ == "__main__":
    main()
