"""Symbols, counts, yes and no: against scipy.stats, closed forms and direct maximisation."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import bernoulli, poisson

from emkit.chunks import Rows
from emkit.families.base import Options
from emkit.families.counts import BernoulliFamily, ColumnMeans, PoissonFamily
from emkit.families.discrete import CategoricalFamily

NAN = np.nan


def rows_of(X):
    X = np.asarray(X, dtype=np.float64)
    return Rows(X, np.ones(len(X)))


def forget(X, share=0.2, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


def by_scipy(law, X, means):
    """Row by row and column by column, a missing value left out."""
    out = np.zeros((len(X), len(means)))
    for i, row in enumerate(X):
        for c, mean in enumerate(means):
            out[i, c] = sum(law(m).logpmf(x) for x, m in zip(row, mean, strict=True) if not np.isnan(x))
    return out


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("missing", [False, True])
class TestDensityOfCounts:
    @pytest.mark.parametrize("largest", [30, 5000])
    def test_poisson(self, d, missing, largest):
        rng = np.random.default_rng(0)
        means = largest * rng.random((4, d))
        X = rng.poisson(means[rng.integers(4, size=80)]).astype(float)
        X = forget(X) if missing else X
        found = PoissonFamily(4, d).log_density(ColumnMeans(means), rows_of(X))
        assert_allclose(found, by_scipy(poisson, X, means), rtol=1e-10, atol=1e-10)

    def test_bernoulli(self, d, missing):
        rng = np.random.default_rng(0)
        means = rng.random((4, d))
        X = (rng.random((80, d)) < 0.4).astype(float)
        X = forget(X) if missing else X
        found = BernoulliFamily(4, d).log_density(ColumnMeans(means), rows_of(X))
        assert_allclose(found, by_scipy(bernoulli, X, means), rtol=1e-12, atol=1e-12)

    def test_means_at_their_bounds(self, d, missing):
        X = np.array([[0.0] * d, [1.0] * d, [0.0] * d, [1.0] + [0.0] * (d - 1)])
        if missing:
            X[2] = np.nan
        for family, means in (
            (PoissonFamily(2, d), np.array([[0.0] * d, [1.5] * d])),
            (BernoulliFamily(3, d), np.array([[0.0] * d, [1.0] * d, [0.5] * d])),
        ):
            law = poisson if isinstance(family, PoissonFamily) else bernoulli
            found = family.log_density(ColumnMeans(means), rows_of(X))
            assert_allclose(found, by_scipy(law, X, means), rtol=1e-12, atol=1e-12)


class TestCounts:
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("family_class", [PoissonFamily, BernoulliFamily])
    def test_m_step_is_the_mean_of_cells(self, family_class, missing):
        rng = np.random.default_rng(0)
        X = rng.integers(0, 2, (50, 3)).astype(float)
        X = forget(X) if missing else X
        resp = rng.dirichlet(np.ones(2), size=50)
        family = family_class.for_data(2, Options(), X)
        params = family.start(rows_of(X), resp)
        means = family.m_step(family.moments(params, rows_of(X), resp), params).means
        for c in range(2):
            for j in range(3):
                seen = ~np.isnan(X[:, j])
                assert means[c, j] == pytest.approx(np.average(X[seen, j], weights=resp[seen, c]))

    def test_a_start_has_no_rate_of_zero(self):
        X = np.array([[0.0], [0.0], [7.0], [9.0]])
        resp = np.repeat(np.eye(2), 2, axis=0)
        rates = PoissonFamily.for_data(2, Options(), X).start(rows_of(X), resp).means
        assert 0 < rates[0, 0] < 1
        assert 7 < rates[1, 0] < 8

    def test_column_without_a_value(self):
        X = np.array([[1.0, NAN], [3.0, NAN]])
        family = PoissonFamily.for_data(1, Options(), X)
        params = family.start(rows_of(X), np.ones((2, 1)))
        assert_allclose(params.means, [[2, 0.5]])
        assert np.isfinite(family.log_density(params, rows_of(X))).all()

    def test_vector_of_bounds(self):
        family = BernoulliFamily(2, 2)
        params = ColumnMeans(np.array([[0.0, 1.0], [0.5, 1e-9]]))
        vector = family.to_vector(params)
        assert_array_equal(vector[:2], [-1000, 1000])
        assert_allclose(family.from_vector(vector, params).means, params.means, rtol=1e-12)
        params = ColumnMeans(np.array([[0.0, 3.0]]))
        assert_allclose(PoissonFamily(1, 2).from_vector(PoissonFamily(1, 2).to_vector(params), params).means, [[0, 3]])

    @pytest.mark.parametrize(
        ("family_class", "bad", "message"),
        [
            (PoissonFamily, -1, r"X\[1, 0\] is -1, but counts must be the integers 0, 1, 2"),
            (PoissonFamily, 1.5, r"X\[1, 0\] is 1.5"),
            (PoissonFamily, np.inf, r"X\[1, 0\] is inf"),
            (BernoulliFamily, 2, r"X\[1, 0\] is 2, but values must be 0 or 1"),
        ],
    )
    def test_values_that_are_not_allowed(self, family_class, bad, message):
        with pytest.raises(ValueError, match=message):
            family_class.for_data(2, Options(), np.array([[1.0, NAN], [bad, 1.0]]))

    def test_parts_that_are_not_allowed(self):
        with pytest.raises(ValueError, match="rates_init must lie between 0 and inf"):
            PoissonFamily(1, 2).check_part("rates", [[1, -1]])
        with pytest.raises(ValueError, match="emissionprob_init must lie between 0 and 1"):
            BernoulliFamily(1, 2).check_part("emissionprob", [[1, 1.5]])
        with pytest.raises(ValueError, match=r"should have the shape of \(1, 2\)"):
            BernoulliFamily(1, 2).check_part("emissionprob", [1, 1])


def symbols(n=60, sizes=(4, 3), seed=0, missing=False):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(m, size=n) for m in sizes]).astype(float)
    X[: max(sizes)] = np.minimum(np.arange(max(sizes))[:, None], np.array(sizes) - 1)  # each symbol is there
    return forget(X) if missing else X


def tables(sizes, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(m), size=k) for m in sizes]


@pytest.mark.parametrize("sizes", [(5,), (4, 3)])
@pytest.mark.parametrize("missing", [False, True])
class TestCategorical:
    def family(self, sizes, missing, **options):
        X = symbols(sizes=sizes, missing=missing)
        family = CategoricalFamily.for_data(3, Options(n_symbols=list(sizes), **options), X)
        given = tables(sizes)
        return X, family, family.from_parts({"emissionprob": given[0] if len(given) == 1 else given})

    def by_hand(self, X, sizes):
        out = np.zeros((len(X), 3))
        for i, row in enumerate(X):
            for x, table in zip(row, tables(sizes), strict=True):
                if not np.isnan(x):
                    out[i] += np.log(table[:, int(x)])
        return out

    def test_density(self, sizes, missing):
        X, family, params = self.family(sizes, missing)
        assert_allclose(family.log_density(params, rows_of(X)), self.by_hand(X, sizes), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("width", [3, 8])
    def test_scaled_density(self, sizes, missing, width):
        X, family, params = self.family(sizes, missing)
        scaled, log_scale = family.scaled_density(params, rows_of(X), width)
        assert scaled.shape == (len(X), width)
        assert scaled.flags.c_contiguous
        assert_array_equal(scaled[:, 3:], 0)
        assert_array_equal(scaled.max(axis=1), 1)
        assert_allclose(np.log(scaled[:, :3]) + log_scale[:, None], self.by_hand(X, sizes), rtol=1e-12, atol=1e-12)

    def test_impossible_rows(self, sizes, missing):
        X, family, params = self.family(sizes, missing)
        never = params.probabilities.copy()
        never[:, 1] = 0
        never[0, 0] = 0
        params = family.params(never)
        X = np.zeros((3, len(sizes)))
        X[1, 0] = 1
        if missing:
            X[2] = np.nan
        density = family.log_density(params, rows_of(X))
        assert_array_equal(np.isinf(density), [[True, False, False], [True] * 3, [not missing, False, False]])
        scaled, log_scale = family.scaled_density(params, rows_of(X), 4)
        assert_array_equal(log_scale == -np.inf, [False, True, False])
        assert_array_equal(scaled[1], 0)
        assert scaled[0].max() == 1

    @pytest.mark.parametrize("prior", [1.0, 2.5])
    def test_m_step_is_the_maximum(self, sizes, missing, prior):
        """Of sum r log p(x) + (prior - 1) sum log p, against BFGS over logits."""
        X, family, params = self.family(sizes, missing, emissionprob_prior=prior)
        resp = np.random.default_rng(2).dirichlet(np.ones(3), size=len(X))
        reached = family.m_step(family.moments(params, rows_of(X), resp), params)

        def objective(params):
            return (resp * family.log_density(params, rows_of(X))).sum() + family.log_prior(params)

        def unpack(logits):
            pieces = np.split(logits.reshape(3, -1), np.cumsum(sizes)[:-1], axis=1)
            return family.params(np.concatenate([softmax(piece, axis=1) for piece in pieces], axis=1))

        found = minimize(lambda v: -objective(unpack(v)), np.zeros(3 * sum(sizes)), method="L-BFGS-B")
        assert objective(reached) == pytest.approx(-found.fun, rel=1e-6)
        assert objective(reached) >= -found.fun - 1e-9
        if prior == 1:
            assert family.log_prior(params) == 0

    def test_mean_and_variance(self, sizes, missing):
        _, family, params = self.family(sizes, missing)
        for j, table in enumerate(tables(sizes)):
            code = np.arange(table.shape[1])
            assert_allclose(family.mean(params)[:, j], table @ code)
            assert_allclose(family.variance(params)[:, j], table @ code**2 - (table @ code) ** 2)

    def test_points_of_two_symbols_are_one_apart(self, sizes, missing):
        _, family, _ = self.family(sizes, missing)
        points = family.features(np.zeros((2, len(sizes))) + np.array([[0.0], [1.0]]))
        assert np.sum((points[0] - points[1]) ** 2) == pytest.approx(len(sizes))
        assert points.shape[1] == sum(sizes)


class TestSymbols:
    def test_a_start_knows_each_symbol_of_the_data(self):
        X = np.array([[0.0], [0.0], [1.0], [2.0]])
        family = CategoricalFamily.for_data(2, Options(), X)
        probabilities = family.start(rows_of(X), np.repeat(np.eye(2), 2, axis=0)).probabilities
        assert (probabilities > 0).all()
        assert probabilities[0, 0] > 0.9

    def test_a_symbol_that_was_never_sampled(self):
        family = CategoricalFamily(1, (3,))
        params = family.params(np.array([[0.0, 1.0, 0.0]]))
        drawn = family.sample(params, np.zeros(1000, dtype=int), np.random.default_rng(0))
        assert_array_equal(drawn, 1)

    def test_vector_of_zero_probabilities(self):
        family = CategoricalFamily(1, (3, 2))
        params = family.params(np.array([[0.0, 0.25, 0.75, 1.0, 0.0]]))
        vector = family.to_vector(params)
        assert vector.min() == -1000
        assert_allclose(family.from_vector(vector, params).probabilities, params.probabilities)

    def test_number_of_symbols(self):
        X = np.array([[0.0, 2.0, NAN], [1.0, NAN, NAN]])
        assert CategoricalFamily.for_data(2, Options(), X).n_symbols == (2, 3, 1)
        assert CategoricalFamily.for_data(2, Options(n_symbols=4), X).n_symbols == (4, 4, 4)
        assert CategoricalFamily.for_data(2, Options(n_symbols=[2, None, 5]), X).n_symbols == (2, 3, 5)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_symbols": 2}, r"X\[0, 1\] is 2, but its column has the 2 symbols 0 to 1"),
            ({"n_symbols": [3, 3]}, "n_symbols has 2 numbers, but X has 3 columns"),
            ({"n_symbols": 0}, "n_symbols must be an integer >= 1"),
            ({"n_symbols": "many"}, "n_symbols must be an integer, one for each column, or None"),
            ({"emissionprob_prior": 0.5}, "emissionprob_prior must be a finite number >= 1"),
        ],
    )
    def test_options_that_are_not_allowed(self, options, message):
        with pytest.raises(ValueError, match=message):
            CategoricalFamily.for_data(2, Options(**options), np.array([[0.0, 2.0, NAN], [1.0, NAN, NAN]]))

    @pytest.mark.parametrize("bad", [-1, 0.5, np.inf, 1e9, 1e300])
    def test_values_that_are_no_symbols(self, bad):
        with pytest.raises(ValueError, match=r"X\[1, 1\] is .* symbols must be .*0, 1, 2"):
            CategoricalFamily.for_data(2, Options(), np.array([[0.0, 1.0], [NAN, bad]]))

    @pytest.mark.parametrize("bad", [3, -1, 0.5])
    def test_new_symbols(self, bad):
        family = CategoricalFamily(2, (5, 3))
        family.check_rows(np.array([[4.0, 2.0], [NAN, NAN]]))
        with pytest.raises(ValueError, match=r"X\[1, 1\] is .*3 symbols 0 to 2 .*emissionprob_prior > 1") as caught:
            family.check_rows(np.array([[4.0, 2.0], [0.0, bad]]))
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_parts_that_are_not_allowed(self):
        with pytest.raises(ValueError, match=r"emissionprob_init.* rows of probabilities that sum to one"):
            CategoricalFamily(1, (2,)).check_part("emissionprob", [[0.5, 0.4]])
        with pytest.raises(ValueError, match="emissionprob_init must be a list of 2 arrays"):
            CategoricalFamily(1, (2, 2)).check_part("emissionprob", np.array([[0.5, 0.5]]))
        with pytest.raises(ValueError, match=r"emissionprob_init\[1\].*should have the shape of \(1, 3\)"):
            CategoricalFamily(1, (2, 3)).check_part("emissionprob", [[[0.5, 0.5]], [[0.5, 0.5]]])
