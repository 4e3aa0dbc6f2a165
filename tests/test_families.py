"""What every family must do: one test of each promise in `emkit.families.base`, for all families."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import logsumexp

from emkit.chunks import Rows
from emkit.engine import UnusableStartError
from emkit.families.base import Options, Sums
from emkit.families.table import FAMILIES, family_class

MIXED = ["poisson", "gaussian", "categorical", "gaussian", "categorical"]
EMISSIONS = [*FAMILIES, MIXED]
OPTIONS = Options(n_mix=2, emissionprob_prior=1.5)
K = 3


def name_of(emission):
    return emission if isinstance(emission, str) else "mixed"


def columns_of(kind, label, rng):
    """One column of values that differ between the components (n,)."""
    n = len(label)
    return {
        "gaussian": lambda: rng.normal(3.0 * label, 1 + label),
        "student": lambda: 4.0 * label + rng.standard_t(3, n),
        "mixture": lambda: rng.normal(6.0 * label + rng.choice([-2, 2], n), 1),
        "categorical": lambda: (rng.binomial(3, 0.2 + 0.3 * label)).astype(float),
        "poisson": lambda: rng.poisson(1 + 5.0 * label).astype(float),
        "bernoulli": lambda: (rng.random(n) < 0.15 + 0.35 * label).astype(float),
    }[kind]()


def data(emission, n=160, d=3, seed=0, missing=False):
    """Rows in three groups; with `missing`, a fifth of the cells and one whole row are NaN."""
    rng = np.random.default_rng(seed)
    label = rng.integers(K, size=n)
    kinds = emission if isinstance(emission, list) else [emission] * d
    X = np.column_stack([columns_of(kind, label, rng) for kind in kinds])
    if missing:
        X[rng.random(X.shape) < 0.2] = np.nan
        X[4] = np.nan
    return X


def rows_of(X, weight=None):
    return Rows(X, np.ones(len(X)) if weight is None else weight)


def responsibilities(n, k=K, seed=1):
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=n)


def started(emission, X, options=OPTIONS, seed=1):
    family = family_class(emission).for_data(K, options, X)
    return family, family.start(rows_of(X), responsibilities(len(X), seed=seed))


def leaves(value):
    """Arrays of nested tuples, in order."""
    if isinstance(value, tuple | list | Sums):
        return [leaf for part in value for leaf in leaves(part)]
    return [np.asarray(value)]


def assert_same(one, two, rtol=1e-9, atol=1e-9):
    for a, b in zip(leaves(one), leaves(two), strict=True):
        assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.fixture(params=EMISSIONS, ids=name_of)
def emission(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["complete", "missing"])
def X(request, emission):
    return data(emission, missing=request.param)


class TestStatistics:
    def test_add_over_chunks(self, emission, X):
        family, params = started(emission, X)
        resp = responsibilities(len(X), seed=2)
        whole = Sums(family.moments(params, rows_of(X), resp))
        first = Sums(family.moments(params, rows_of(X[:50]), resp[:50]))
        assert_same(first + Sums(family.moments(params, rows_of(X[50:]), resp[50:])), whole)
        assert_same(0.5 * whole + whole * 0.5, whole)
        assert_same(family.m_step(whole, params), family.m_step(family.moments(params, rows_of(X), resp), params))

    def test_a_weight_is_a_repetition(self, emission, X):
        family, params = started(emission, X)
        weight = np.random.default_rng(3).integers(0, 4, len(X))
        resp = responsibilities(len(X), seed=2)
        repeated, again = np.repeat(X, weight, axis=0), np.repeat(resp, weight, axis=0)
        weighted = rows_of(X, weight.astype(float)), resp * weight[:, None]
        assert_same(family.moments(params, *weighted), family.moments(params, rows_of(repeated), again))
        assert_same(family.start(*weighted), family.start(rows_of(repeated), again))

    def test_responsibilities_may_be_columns_of_a_wider_array(self, emission, X):
        family, params = started(emission, X)
        resp = responsibilities(len(X), seed=2)
        for width in (K + 1, 8):
            wide = np.full((len(X), width), np.nan)
            wide[:, :K] = resp
            assert_same(
                family.moments(params, rows_of(X), wide[:, :K]), family.moments(params, rows_of(X), resp), rtol=1e-12
            )

    def test_order_of_rows_does_not_matter_to_a_start(self, emission, X):
        order = np.random.default_rng(3).permutation(len(X))
        resp = responsibilities(len(X))
        family = family_class(emission).for_data(K, OPTIONS, X)
        assert_same(family.start(rows_of(X), resp), family.start(rows_of(X[order]), resp[order]))


class TestDensity:
    def test_row_without_a_value(self, emission):
        X = data(emission, missing=True)
        family, params = started(emission, X)
        density = family.log_density(params, rows_of(X))
        assert density.shape == (len(X), K)
        assert density.dtype == np.float64
        assert_allclose(density[4], 0, atol=1e-12)

    def test_adds_up_to_one(self, emission):
        """The mean of 1 / p(x; j) p(x; k) over rows drawn from j is 1 (for k near j, so that its variance is small)."""
        X = data(emission)
        family, params = started(emission, X)
        drawn = family.sample(params, np.zeros(200_000, dtype=int), np.random.default_rng(0))
        family.check_rows(drawn)
        density = family.log_density(params, rows_of(drawn))
        ratio = np.exp(density[:, 1] - density[:, 0])
        assert ratio.mean() == pytest.approx(1, abs=6 * ratio.std() / np.sqrt(len(ratio)))

    def test_mean_and_variance_are_those_of_samples(self, emission):
        X = data(emission)
        family, params = started(emission, X)
        for c in range(K):
            drawn = family.sample(params, np.full(100_000, c), np.random.default_rng(c))
            error = np.sqrt(family.variance(params)[c] / len(drawn))
            assert (np.abs(drawn.mean(axis=0) - family.mean(params)[c]) < 5 * error).all()
            assert_allclose(drawn.var(axis=0), family.variance(params)[c], rtol=0.1)


class TestMaximum:
    def test_steps_under_fixed_responsibilities_reach_it(self, emission, X):
        """Against direct maximisation of sum r log p(x; k) by BFGS, which knows the log density alone."""
        family, params = started(emission, X, Options(n_mix=1, covariance_type="diag"))
        rows, resp = rows_of(X), responsibilities(len(X), seed=2)
        fixed = frozenset({"degrees_of_freedom"})  # no maximum for groups of light tails; see test_families_student.py

        def negative(vector):
            density = family.log_density(family.from_vector(vector, params, fixed), rows)
            return -np.where(resp > 0, resp * density, 0).sum()

        found = minimize(negative, family.to_vector(params, fixed), method="L-BFGS-B", options={"maxiter": 1000})
        for _ in range(400):
            params = family.m_step(family.moments(params, rows, resp), params, fixed)
        reached = negative(family.to_vector(params, fixed))
        assert reached == pytest.approx(found.fun, rel=1e-4)
        assert reached <= found.fun + 1e-6 * abs(found.fun)

    @pytest.mark.parametrize("seed", range(5))
    def test_objective_never_falls(self, emission, X, seed):
        family, params = started(emission, X, seed=seed)
        log_weights = np.full(K, -np.log(K))
        before = -np.inf
        for _ in range(40):
            joint = family.log_density(params, rows_of(X)) + log_weights
            total = logsumexp(joint, axis=1)
            objective = total.sum() + family.log_prior(params)
            assert objective >= before - family.rounding(params) * abs(objective)
            before = objective
            resp = np.exp(joint - total[:, None])
            log_weights = np.log(resp.mean(axis=0))
            params = family.m_step(family.moments(params, rows_of(X), resp), params)


class TestParameters:
    def test_parts_make_the_same_parameters(self, emission, X):
        family, params = started(emission, X)
        parts = family.parts(params)
        assert tuple(parts) == family.names
        checked = {name: family.check_part(name, part) for name, part in parts.items()}
        other = family_class(emission).for_parts(K, OPTIONS, parts)
        assert other.n_features == family.n_features == X.shape[1]
        for again in (family.from_parts(checked), other.from_parts(parts)):
            assert_allclose(
                family.log_density(again, rows_of(X)), family.log_density(params, rows_of(X)), rtol=1e-9, atol=1e-9
            )

    def test_vector_there_and_back(self, emission, X):
        family, params = started(emission, X)
        vector = family.to_vector(params)
        assert np.isfinite(vector).all()
        again = family.from_vector(vector, params)
        assert_allclose(
            family.log_density(again, rows_of(X)), family.log_density(params, rows_of(X)), rtol=1e-9, atol=1e-9
        )

    def test_vector_out_of_range(self, emission, X):
        family, params = started(emission, X)
        with np.errstate(all="ignore"), pytest.raises(UnusableStartError):
            family.from_vector(np.full_like(family.to_vector(params), np.nan), params)

    def test_what_is_fixed_stays(self, emission, X):
        family, params = started(emission, X)
        moments = family.moments(params, rows_of(X), responsibilities(len(X), seed=2))
        before = family.parts(params)
        sizes = []
        for name in family.names:
            fixed = frozenset({name})
            vector = family.to_vector(params, fixed)
            for after in (family.m_step(moments, params, fixed), family.from_vector(vector + 0.01, params, fixed)):
                assert_same(family.parts(after)[name], before[name], rtol=1e-12)
            others = [part for part in family.names if part != name]
            changed = family.parts(family.m_step(moments, params, fixed))
            for part in others:
                assert not np.allclose(leaves(changed[part])[0], leaves(before[part])[0])
            sizes.append(family.n_free() - family.n_free(fixed))
        assert sum(sizes) == family.n_free()
        assert family.n_free(frozenset(family.names)) == 0
        assert family.to_vector(params, frozenset(family.names)).size == 0

    def test_component_without_rows_stays(self, emission, X):
        family, params = started(emission, X, Options())
        resp = responsibilities(len(X), seed=2)
        resp[:, 1] = 0
        before = family.parts(params)
        after = family.parts(family.m_step(family.moments(params, rows_of(X), resp), params))
        for name, part in after.items():
            for new, old in zip(leaves(part), leaves(before[name]), strict=True):
                assert np.isfinite(new).all()
                assert_allclose(new[1], old[1], rtol=1e-12)
        assert "1" in family.flaw(params, resp.sum(axis=0), len(X), frozenset())

    def test_a_solution_without_flaw(self, emission, X):
        family, params = started(emission, X)
        assert family.flaw(params, np.full(K, len(X) / K), float(len(X)), frozenset()) == ""

    def test_part_of_another_family(self, emission):
        family, _ = started(emission, data(emission))
        with pytest.raises(ValueError, match="colour_init"):
            family.check_part("colour", 1)

    def test_points_for_distances(self, emission, X):
        family, _ = started(emission, X)
        points = family.features(X)
        assert len(points) == len(X)
        assert_array_equal(np.isnan(points).any(axis=1), np.isnan(X).any(axis=1))
