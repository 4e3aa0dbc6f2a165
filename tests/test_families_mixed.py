"""Mixtures as components, columns of different kinds, and families by name."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from emkit.chunks import Rows
from emkit.families.base import Family, Options, Sums
from emkit.families.gaussian import GaussianFamily
from emkit.families.mixture import MixtureFamily
from emkit.families.table import FAMILIES, family_class

SHAPES = {"full": (2, 3, 2, 2), "tied": (2, 2), "diag": (2, 3, 2), "spherical": (2, 3)}
NAN = np.nan


def rows_of(X):
    return Rows(X, np.ones(len(X)))


def blobs(n=240, missing=False, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 4, (6, 2))
    X = centres[rng.integers(6, size=n)] + rng.standard_normal((n, 2))
    if missing:
        X[rng.random(X.shape) < 0.2] = np.nan
    return X


def mixture(X, covariance_type="full", n_mix=3):
    family = MixtureFamily.for_data(2, Options(covariance_type=covariance_type, n_mix=n_mix), X)
    resp = np.random.default_rng(1).dirichlet(np.ones(2), size=len(X))
    return family, family.start(rows_of(X), resp), resp


@pytest.mark.parametrize("covariance_type", SHAPES)
class TestMixture:
    def test_shapes_of_parts(self, covariance_type):
        family, params, _ = mixture(blobs(), covariance_type)
        parts = family.parts(params)
        assert {name: part.shape for name, part in parts.items()} == {
            "weights": (2, 3),
            "means": (2, 3, 2),
            "covariances": SHAPES[covariance_type],
        }
        assert family.n_free() == 2 * 2 + family.gaussian.n_free()

    @pytest.mark.parametrize("missing", [False, True])
    def test_density(self, covariance_type, missing):
        X = blobs(40, missing)
        family, params, _ = mixture(X, covariance_type)
        parts = family.parts(params)
        matrices = family.gaussian.covariance.dense(params.gaussians.covariances, 6, 2).reshape(2, 3, 2, 2)
        found = family.log_density(params, rows_of(X))
        for i, row in enumerate(X):
            seen = ~np.isnan(row)
            for c in range(2):
                terms = [
                    multivariate_normal(mean[seen], matrix[np.ix_(seen, seen)]).logpdf(row[seen]) if seen.any() else 0
                    for mean, matrix in zip(parts["means"][c], matrices[c], strict=True)
                ]
                assert found[i, c] == pytest.approx(logsumexp(terms, b=parts["weights"][c]), rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("missing", [False, True])
    def test_objective_never_falls(self, covariance_type, missing):
        X = blobs(missing=missing)
        family, params, resp = mixture(X, covariance_type)
        before = -np.inf
        for _ in range(50):
            objective = (resp * family.log_density(params, rows_of(X))).sum()
            assert objective >= before - 1e-9 * abs(objective)
            before = objective
            params = family.m_step(family.moments(params, rows_of(X), resp), params)

    def test_one_gaussian_is_the_gaussian_family(self, covariance_type):
        X = blobs(missing=True)
        family, params, resp = mixture(X, covariance_type, n_mix=1)
        gaussian = GaussianFamily.for_data(2, Options(covariance_type=covariance_type), X)
        params = family.m_step(family.moments(params, rows_of(X), resp), params)
        alone = params.gaussians
        assert_allclose(family.log_density(params, rows_of(X)), gaussian.log_density(alone, rows_of(X)), atol=1e-9)
        after = family.m_step(family.moments(params, rows_of(X), resp), params).gaussians
        for one, two in zip(after, gaussian.m_step(gaussian.moments(alone, rows_of(X), resp), alone), strict=True):
            assert_allclose(one, two, rtol=1e-9, atol=1e-9)


class TestMixtureStart:
    def test_gaussians_of_a_component_lie_apart(self):
        X = np.concatenate([np.random.default_rng(c).normal(10 * c, 1, (50, 2)) for c in range(3)])
        family, params, _ = mixture(X)
        along = family.parts(params)["means"].sum(axis=2)
        assert (np.ptp(along, axis=1) > 20).all()

    def test_equal_rows_stay_together(self):
        X = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]], 20, axis=0)
        family, params, _ = mixture(X)
        assert all(np.isfinite(part).all() for part in family.parts(params).values())
        assert_allclose(params.weights.sum(axis=1), 1)

    def test_component_without_rows(self):
        X = blobs()
        family, _, resp = mixture(X)
        resp[:, 1] = 0
        params = family.start(rows_of(X), resp)
        assert np.isfinite(params.weights).all()

    def test_parts_that_are_not_allowed(self):
        family, params, _ = mixture(blobs())
        with pytest.raises(ValueError, match=r"weights_init must have rows .* sum to one"):
            family.check_part("weights", np.full((2, 3), 0.5))
        with pytest.raises(ValueError, match=r"means_init.*should have the shape of \(2, 3, 2\)"):
            family.check_part("means", params.gaussians.means)
        with pytest.raises(ValueError, match="covariances_init"):
            family.check_part("covariances", -family.parts(params)["covariances"])
        with pytest.raises(ValueError, match="n_mix must be an integer >= 1"):
            MixtureFamily.for_data(2, Options(n_mix=0), blobs())


KINDS = ["poisson", "gaussian", "categorical", "gaussian"]


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.poisson(3, n), rng.normal(size=n), rng.integers(3, size=n), rng.normal(size=n)])
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


class TestMixed:
    def test_is_its_families_side_by_side(self):
        X = table()
        resp = np.random.default_rng(1).dirichlet(np.ones(2), size=len(X))
        family = family_class(KINDS).for_data(2, Options(), X)
        params = family.start(rows_of(X), resp)
        after = family.m_step(Sums(family.moments(params, rows_of(X), resp)), params)
        assert family.names == ("rates", "means", "covariances", "emissionprob")
        total, free = 0, 0
        for kind, columns in (("poisson", [0]), ("gaussian", [1, 3]), ("categorical", [2])):
            part = rows_of(np.ascontiguousarray(X[:, columns]))
            own = FAMILIES[kind].for_data(2, Options(), part.X)
            start = own.start(part, resp)
            total = total + own.log_density(start, part)
            free += own.n_free()
            for name, value in own.parts(own.m_step(own.moments(start, part, resp), start)).items():
                assert_allclose(family.parts(after)[name], value)
            assert_allclose(family.mean(params)[:, columns], own.mean(start))
            assert_allclose(family.variance(params)[:, columns], own.variance(start))
        assert_allclose(family.log_density(params, rows_of(X)), total)
        assert family.n_free() == free

    def test_columns_are_named_by_their_place(self):
        X = table()
        family = family_class(KINDS).for_data(2, Options(), X)
        X[7, 2] = 5
        with pytest.raises(ValueError, match=r"X\[7, 2\] is 5, but its column has the 3 symbols"):
            family.check_rows(X)
        X[7, 2] = 0.5
        with pytest.raises(ValueError, match=r"X\[7, 2\] is 0.5, but symbols must be"):
            family_class(KINDS).for_data(2, Options(), X)

    def test_numbers_of_symbols(self):
        for n_symbols in (6, [None, None, 6, None], np.array([1, 1, 6, 1])):
            family = family_class(KINDS).for_data(2, Options(n_symbols=n_symbols), table())
            assert family.by_kind[2].family.n_symbols == (6,)
        with pytest.raises(ValueError, match="n_symbols has 3 numbers"):
            family_class(KINDS).for_data(2, Options(n_symbols=[1, 2, 3]), table())

    def test_one_name_for_two_parts(self):
        with pytest.raises(ValueError, match="'bernoulli' and 'categorical', but both publish emissionprob_"):
            family_class(["bernoulli", "gaussian", "categorical"])
        with pytest.raises(ValueError, match=r"both publish (means|covariances)_"):
            family_class(["student", "gaussian"])

    def test_number_of_columns(self):
        with pytest.raises(ValueError, match="emission names 4 kinds of columns, but X has 3 columns"):
            family_class(KINDS).for_data(2, Options(), table()[:, :3])


class TestByName:
    def test_names(self):
        for name, family in FAMILIES.items():
            assert family_class(name) is family
            assert issubclass(family, Family)

    def test_a_class_of_the_users_own(self):
        class Own(GaussianFamily):
            pass

        assert family_class(Own) is Own

    @pytest.mark.parametrize("emission", ["gauss", [], ["gaussian", 3], 5, None, dict, Options()])
    def test_what_is_none(self, emission):
        with pytest.raises(ValueError, match=r"emission must be one of \['gaussian'.*but got"):
            family_class(emission)
