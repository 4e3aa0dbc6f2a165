"""check_em_model passes for the models of the package and fails for a model broken in each property."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emkit.chunks import Rows
from emkit.engine import Stats
from emkit.families.covariance import COVARIANCES
from emkit.families.gaussian import GaussianFamily
from emkit.mixture import MixtureModel, MixtureParams
from emkit.testing import check_em_model


def clusters(seed=0, n=60, d=2, k=2, dtype=np.float64, missing=0.0):
    """Rows of k clusters that overlap; none is without an observed value, since such rows are ties."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + 3 * rng.integers(k, size=(n, 1))
    gone = rng.random((n, d)) < missing
    gone[gone.all(axis=1), 0] = False
    return np.where(gone, np.nan, X).astype(dtype)


def mixture(X, covariance_type="full", k=2, hard=False, fixed=(), cls=MixtureModel):
    scale = np.nanstd(X.astype(np.float64), axis=0)
    return cls(GaussianFamily(COVARIANCES[covariance_type], k, scale, 1e-6, X.dtype), hard, frozenset(fixed))


def reversal(model):
    """The same parameters with the components in the opposite order."""
    covariance = model.family.covariance

    def reverse(params):
        covariances = params.components.covariances
        covariances = covariances if covariance.shared else covariances[::-1].copy()
        return MixtureParams(
            params.weights[::-1].copy(), model.family.params(params.components.means[::-1].copy(), covariances)
        )

    return reverse


@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("hard", [False, True])
@settings(max_examples=4)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(20, 50), st.integers(1, 3), st.integers(1, 3)),
    dtype=st.sampled_from([np.float64, np.float32]),
    missing=st.sampled_from([0.0, 0.2]),
    weighted=st.booleans(),
)
def test_gaussian_mixture(covariance_type, hard, seed, shape, dtype, missing, weighted):
    n, d, k = shape
    X = clusters(seed, n, d, k, dtype, missing)
    model = mixture(X, covariance_type, k, hard)
    weight = np.random.default_rng(seed).uniform(0.5, 2, n) if weighted else None
    check_em_model(model, X, sample_weight=weight, permute=reversal(model), n_steps=5, random_state=seed % 1000)


@pytest.mark.parametrize("fixed", [("weights",), ("means",), ("covariances",), ("weights", "means", "covariances")])
@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_fixed_parameters(fixed, covariance_type):
    X = clusters(missing=0.1)
    start = mixture(X, covariance_type).init_params([rows_of(X)], np.random.default_rng(0))
    model = mixture(X, covariance_type, fixed=fixed)
    check_em_model(model, X, params=start, permute=reversal(model), n_steps=5)


def rows_of(X):
    return Rows(X, np.ones(len(X), dtype=X.dtype))


def test_recovery_of_a_gaussian_mixture():
    X = simulated(400)
    model = mixture(X, "full")
    check_em_model(model, X[:50], truth=(true_params(model), X), n_steps=2)


def true_params(model):
    means = np.array([[0.0, 0.0], [3.0, 3.0]])
    return MixtureParams(np.array([0.5, 0.5]), model.family.params(means, np.tile(np.eye(2), (2, 1, 1))))


def simulated(n):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 2)) + 3 * rng.integers(2, size=(n, 1))


# A model that is right: two exponential distributions with a prior. Then one that is broken in each property.


class ExponentialParams(NamedTuple):
    weights: np.ndarray  # (2,)
    rates: np.ndarray  # (2,)


@dataclass(frozen=True)
class ExponentialStats(Stats):
    counts: np.ndarray  # (2,)
    sums: np.ndarray  # (2,)


class Exponentials:
    monotone = True

    def init_params(self, chunks, rng):
        X = np.concatenate([chunk.X for chunk in chunks])
        return ExponentialParams(np.array([0.4, 0.6]), np.array([3.0, 0.5]) / X.mean() * rng.uniform(0.9, 1.1, 2))

    def e_step(self, params, chunk):
        joint = params.weights * params.rates * np.exp(-params.rates * chunk.X)
        total = joint.sum(axis=1, keepdims=True)
        resp = joint / total * chunk.weight[:, None]
        return ExponentialStats(
            float(chunk.weight @ np.log(total[:, 0])), float(chunk.weight.sum()), resp.sum(axis=0), chunk.X[:, 0] @ resp
        )

    def m_step(self, stats, params):
        """With the prior of log_prior: one more row of value 1 in each component."""
        return ExponentialParams(stats.counts / stats.counts.sum(), (stats.counts + 1) / (stats.sums + 1))

    def log_prior(self, params):
        return float(np.sum(np.log(params.rates) - params.rates))

    def n_free(self, params):
        return 3

    def rounding(self, params):
        return 1e-12

    def to_vector(self, params):
        return np.log([params.weights[0] / params.weights[1], *params.rates])

    def from_vector(self, vector, params):
        first = 1 / (1 + np.exp(-vector[0]))
        return ExponentialParams(np.array([first, 1 - first]), np.exp(vector[1:]))


def check_exponentials(model):
    rng = np.random.default_rng(0)
    truth = ExponentialParams(np.array([0.5, 0.5]), np.array([5.0, 0.5]))
    X = rng.exponential(1 / truth.rates[rng.integers(2, size=300)])[:, None]
    check_em_model(model, X[:80], permute=lambda p: ExponentialParams(p[0][::-1], p[1][::-1]), truth=(truth, X))


def test_exponentials():
    check_exponentials(Exponentials())


class ObjectiveIsAMean(Exponentials):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, objective=stats.objective / len(chunk))


class CentredByChunk(Exponentials):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, sums=stats.sums - 0.01 * chunk.X.mean() ** 2)


class FirstRowIsSpecial(Exponentials):
    """Adds up over chunks as they lie, but not when rows are shuffled."""

    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, sums=stats.sums + 0.01 * np.diff(chunk.X[:, 0], append=0) @ np.ones(len(chunk)))


@dataclass(frozen=True)
class StatsWithWrongMultiple(ExponentialStats):
    def __mul__(self, factor):
        return replace(super().__mul__(factor), weight=self.weight)


class WrongMultiple(Exponentials):
    def e_step(self, params, chunk):
        return StatsWithWrongMultiple(**vars(super().e_step(params, chunk)))


class WeightsIgnored(Exponentials):
    def e_step(self, params, chunk):
        return super().e_step(params, replace(chunk, weight=np.ones(len(chunk))))


class WeightsSquared(Exponentials):
    def e_step(self, params, chunk):
        return super().e_step(params, replace(chunk, weight=chunk.weight**2))


class WeightIsRows(Exponentials):
    def e_step(self, params, chunk):
        return replace(super().e_step(params, chunk), weight=float(len(chunk)))


class EStepChangesRows(Exponentials):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        np.multiply(chunk.X, 1.5, out=chunk.X)
        return stats


class EStepChangesParams(Exponentials):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        params.rates[:] = np.nextafter(params.rates, 0)
        return stats


class MStepChangesStats(Exponentials):
    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        stats.sums[:] += 1e-9
        return following


class RandomEStep(Exponentials):
    rng = np.random.default_rng(0)

    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, objective=stats.objective * (1 + 1e-15 * self.rng.integers(-3, 4)))


class RandomMStep(Exponentials):
    rng = np.random.default_rng(0)

    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        return following._replace(rates=following.rates * (1 + 1e-14 * self.rng.random()))


class UnseededStart(Exponentials):
    def init_params(self, chunks, rng):
        return super().init_params(chunks, np.random.default_rng())


class PriorTooStrong(Exponentials):
    """The M-step maximises under another prior."""

    def log_prior(self, params):
        return 20 * super().log_prior(params)


class StepTooLong(Exponentials):
    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        return following._replace(rates=following.rates**3 / params.rates**2)


class NotANumber(Exponentials):
    def m_step(self, stats, params):
        return super().m_step(stats, params)._replace(weights=np.full(2, np.nan))


class VectorForgetsAWeight(Exponentials):
    def to_vector(self, params):
        return np.log([1.0, *params.rates])


class VectorOfRatesThemselves(Exponentials):
    """Not unconstrained: near a small rate lies a negative one."""

    def to_vector(self, params):
        return np.array([np.log(params.weights[0] / params.weights[1]), *(params.rates / 50)])

    def from_vector(self, vector, params):
        return super().from_vector(vector, params)._replace(rates=50 * vector[1:])

    def e_step(self, params, chunk):
        with np.errstate(invalid="ignore", over="ignore"):
            return super().e_step(params, chunk)


class VectorRefused(Exponentials):
    def from_vector(self, vector, params):
        return None


class InfiniteVector(Exponentials):
    def to_vector(self, params):
        return np.append(super().to_vector(params), np.inf)


class LabelsInTheObjective(Exponentials):
    def e_step(self, params, chunk):
        stats = super().e_step(params, chunk)
        return replace(stats, objective=stats.objective + 1e-4 * params.weights[0] * stats.weight)


class LabelsInTheStep(Exponentials):
    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        return following._replace(rates=following.rates * np.array([1, 1 + 1e-9]))


class LabelsInThePrior(Exponentials):
    def log_prior(self, params):
        return super().log_prior(params) + 1e-6 * float(params.rates[0])


class DensityWithoutItsNorm(Exponentials):
    """An M-step of another density: the truth is far from its fixed point."""

    monotone = False

    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        return following._replace(rates=following.rates * 1.5)


class DensityOfAnotherScale(Exponentials):
    """Right for data in other units, so the truth is far from the maximum."""

    def e_step(self, params, chunk):
        return super().e_step(params, replace(chunk, X=2 * chunk.X))


class HopelessStart(Exponentials):
    def init_params(self, chunks, rng):
        return ExponentialParams(np.array([0.5, 0.5]), np.array([1.0, 1.0]))


class CountIsAFloat(Exponentials):
    def n_free(self, params):
        return 3.0


class CountIsNegative(Exponentials):
    def n_free(self, params):
        return -1


class PriorIsInfinite(Exponentials):
    def log_prior(self, params):
        return -np.inf


class PriorIsAnArray(Exponentials):
    def log_prior(self, params):
        return np.log(params.rates[:1])


class NoRounding(Exponentials):
    def rounding(self, params):
        return 0.0


BROKEN = {
    ObjectiveIsAMean: "additivity: the statistics of",
    CentredByChunk: "additivity: the statistics of",
    FirstRowIsSpecial: "additivity: the statistics",
    WrongMultiple: "additivity: stats [*] 2",
    WeightsIgnored: "weights: a row of weight 0",
    WeightsSquared: "weights: a row of weight w",
    WeightIsRows: "weights: a row of weight 0",
    EStepChangesRows: "purity: e_step changes",
    EStepChangesParams: "purity: e_step changes",
    MStepChangesStats: "purity: m_step changes",
    RandomEStep: "purity: e_step gives other bits",
    RandomMStep: "purity: m_step gives other bits",
    UnseededStart: "purity: init_params gives other bits",
    PriorTooStrong: "monotony: the objective fell",
    StepTooLong: "monotony: the objective fell",
    NotANumber: "(labels|monotony): ",
    VectorForgetsAWeight: "vector: from_vector does not take back",
    VectorOfRatesThemselves: "vector: a vector nearby",
    VectorRefused: "vector: from_vector gives None",
    InfiniteVector: "vector: to_vector",
    LabelsInTheObjective: "labels: permuting",
    LabelsInTheStep: "labels: the step",
    LabelsInThePrior: "labels: permuting",
    DensityWithoutItsNorm: "recovery: EM from the truth ends .* below",
    DensityOfAnotherScale: "recovery: EM from the truth ends .* above",
    HopelessStart: "recovery: the best of 5 starts",
    CountIsAFloat: "scalars: n_free",
    CountIsNegative: "scalars: n_free",
    PriorIsInfinite: "scalars: log_prior",
    PriorIsAnArray: "scalars: log_prior",
    NoRounding: "scalars: rounding",
}


@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_broken_model(cls):
    with pytest.raises(AssertionError, match="^" + BROKEN[cls]):
        check_exponentials(cls())


class PriorDrifts(Exponentials):
    calls = 0

    def log_prior(self, params):
        self.calls += 1
        return super().log_prior(params) + 1e-3 * self.calls


def test_reported_objective():
    with pytest.raises(AssertionError, match=r"^reported objective"):
        check_em_model(PriorDrifts(), np.random.default_rng(0).exponential(size=(50, 1)))


def test_the_caller_keeps_its_data():
    X = clusters(missing=0.1)
    copy, weight = X.copy(), np.ones(len(X))
    check_em_model(mixture(X), X, sample_weight=weight, n_steps=1)
    assert X.tobytes() == copy.tobytes()
    assert (weight == 1).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_chunk_in_place_of_an_array(dtype):
    X = clusters(missing=0.1, dtype=dtype)
    rows, weight = rows_of(X), np.random.default_rng(0).uniform(0.5, 2, len(X))
    check_em_model(mixture(X), rows, sample_weight=weight, n_steps=2)
    other = rows.reweighted(weight)
    assert other.X is X
    assert other.weight.dtype == dtype
    assert other.weight.tolist() == weight.astype(dtype).tolist()
    assert (rows.weight == 1).all()


def test_integers_become_float64():
    class Model(Exponentials):
        def e_step(self, params, chunk):
            assert chunk.X.dtype == chunk.weight.dtype == np.float64
            return super().e_step(params, chunk)

    check_em_model(Model(), np.arange(1, 20)[:, None])


class RatesTooSmall(Exponentials):
    def m_step(self, stats, params):
        following = super().m_step(stats, params)
        return following._replace(rates=0.9 * following.rates)


def test_a_wrong_step_where_it_stands_still():
    """From its fixed point the objective never falls; other starts tell."""
    model, X = RatesTooSmall(), np.random.default_rng(0).exponential(size=(80, 1))
    params = model.init_params([rows_of(X)], np.random.default_rng(0))
    for _ in range(1000):
        params = model.m_step(model.e_step(params, rows_of(X)), params)
    with pytest.raises(AssertionError, match="monotony"):
        check_em_model(model, X, params=params)
