"""Kernels of incomplete rows against their NumPy twins and against SciPy, in extreme ranges; arranged rows."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import erfcx, log_ndtr, roots_legendre
from scipy.stats import multivariate_normal, norm

from emkit.imputer.latent import LatentGaussianModel, latent_params
from emkit.imputer.rows import Factors, IncompleteRows, arrange, condensed
from emkit.kernels import _conditional as kernels
from emkit.kernels import conditional_reference as reference

MODULES = pytest.mark.parametrize("module", [kernels, reference], ids=["kernel", "twin"])

# The problems' covariances have condition numbers below 1e3, so that rounding leaves 13 digits.
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
# Where two iterations end at a change below 1e-10 of an sd, the fixed point is that far times 1 / (1 - rate) away; the
# rates are below 0.9 or so. Log densities do not move to first order, but means and variances do.
CONVERGED = {"rtol": 1e-7, "atol": 1e-8}
SWEEPS = 500, 1e-10

KNOWN, UNKNOWN, GAUSSIAN, CELL, BELOW, ABOVE, LINE = range(7)
CELLS = CELL, BELOW, ABOVE, LINE


def gaussian(d, seed=0):
    """Mean and covariance; sds between 0.5 and 2, correlations of about a half in small d."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(d, 2 * d + 1)) + 0.7
    covariance = A @ A.T / (2 * d + 1)
    scale = rng.uniform(0.5, 2, size=d) / np.sqrt(covariance.diagonal())
    return rng.normal(size=d), covariance * np.outer(scale, scale)


# --- rows of patterns ---


class Rows(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray
    starts: np.ndarray
    observed: np.ndarray  # (p, d)
    weight: np.ndarray
    values: np.ndarray  # (n, d), with what is in the gaps

    @property
    def exact(self):
        return np.repeat(self.observed, np.diff(self.starts), axis=0)

    def arguments(self, variances=True, spread=0.0):
        """By name, in order."""
        precision = np.linalg.inv(self.covariance)
        deviations = (self.values - self.mean) * self.exact
        pulls = deviations @ precision
        n, d = deviations.shape
        return {
            "starts": self.starts,
            "observed": self.observed,
            "weight": self.weight,
            "pulls": pulls,
            "squares": (pulls * deviations).sum(axis=1),
            "precision": precision,
            "covariance": self.covariance,
            "log_det": np.linalg.slogdet(self.covariance)[1],
            "deviations": deviations,
            "log_density": np.full(n, np.nan),
            "variances": np.zeros((n, d)) if variances else None,
            "spread": None if spread is None else np.full((d, d), spread),
        }

    def complete(self, module, variances=True, spread=0.0):
        """Deviations, log densities, variances and spread (added to `spread`)."""
        arguments = self.arguments(variances, spread)
        module.complete_rows(*arguments.values())
        return tuple(arguments.values())[-4:]


def patterned(observed, counts, seed=0):
    observed = np.array(observed, dtype=np.uint8)
    rng = np.random.default_rng(seed)
    mean, covariance = gaussian(observed.shape[1], seed)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    values = rng.multivariate_normal(mean, covariance, size=starts[-1])
    return Rows(mean, covariance, starts, observed, rng.uniform(0, 3, size=starts[-1]), values)


def random_patterns(d, n, share, seed=0):
    """Neighbours may be of either side; the first has no gap, the last nothing observed."""
    observed = np.random.default_rng(seed).uniform(size=(n, d)) < share
    observed[0], observed[-1] = True, False
    return observed


def assert_rows_agree(rows):
    for spread in (0.0, 3.0):
        results = rows.complete(kernels, spread=spread)
        for result, expected in zip(results, rows.complete(reference, spread=spread), strict=True):
            assert_allclose(result, expected, **CLOSE)
    deviations, log_density, variances, spread = results
    seen = rows.exact == 1
    assert_array_equal(deviations[seen], (rows.values - rows.mean)[seen])
    assert (variances[seen] == 0).all()
    assert_array_equal(np.triu(spread, 1), np.triu(np.full_like(spread, 3.0), 1))
    for wanted in (True, False):
        parts = rows.complete(kernels, variances=wanted, spread=None if wanted else 3.0)
        expected = deviations, log_density, *((variances, None) if wanted else (None, spread))
        for part, other in zip(parts, expected, strict=True):
            assert (part is None and other is None) or np.array_equal(part, other)


@pytest.mark.parametrize("share", [0.2, 0.45, 0.55, 0.85])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 33, 64, 65, 71])
def test_rows_of_every_size(d, share):
    """Six patterns: two left over after four at once."""
    assert_rows_agree(patterned(random_patterns(d, 6, share), [3, 1, 9, 1, 2, 4]))


@pytest.mark.parametrize("n", range(1, 10))
def test_every_number_of_patterns(n):
    one_side = np.ones((n, 5))
    one_side[np.arange(n), np.arange(n) % 5] = 0
    for observed in (random_patterns(5, n, 0.5), one_side, 1 - one_side):
        assert_rows_agree(patterned(observed, [1] * n))
        assert_rows_agree(patterned(observed, np.arange(n) * 3 % 7 + 1, seed=n))


@settings(max_examples=60)
@given(
    d=st.integers(1, 12),
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=11),
    share=st.sampled_from([0.1, 0.4, 0.6, 0.9]),
    seed=st.integers(0, 1000),
)
def test_rows_equal_their_twin(d, counts, share, seed):
    """Patterns may have no row."""
    assert_rows_agree(patterned(random_patterns(d, len(counts), share, seed), counts, seed))


@MODULES
@pytest.mark.parametrize(("d", "share"), [(2, 0.5), (5, 0.3), (5, 0.8), (9, 0.5)])
def test_rows_against_scipy(module, d, share):
    """p(gaps | seen) = p(gaps, seen) / p(seen), at any point."""
    rows = patterned(random_patterns(d, 7, share), [1] * 7)._replace(weight=np.ones(7))
    deviations, log_density, variances, _ = rows.complete(module)
    for i, pattern in enumerate(rows.observed):
        seen, gaps = np.flatnonzero(pattern), np.flatnonzero(pattern == 0)
        of_seen = 0.0
        if len(seen):
            of_seen = multivariate_normal(rows.mean[seen], rows.covariance[np.ix_(seen, seen)]).logpdf(
                rows.values[i, seen]
            )
        assert_allclose(log_density[i], of_seen, **CLOSE)
        if not len(gaps):
            continue
        one = rows._replace(starts=np.array([0, 1]), observed=pattern[None], weight=np.ones(1), values=rows.values[i:])
        one = one._replace(values=one.values[:1])
        spread = one.complete(module)[3][np.ix_(gaps, gaps)]
        left = spread + np.tril(spread, -1).T
        assert_allclose(variances[i, gaps], left.diagonal(), **CLOSE)
        joint = multivariate_normal(rows.mean, rows.covariance).logpdf(rows.values[i])
        given_seen = multivariate_normal((rows.mean + deviations[i])[gaps], left).logpdf(rows.values[i, gaps])
        assert_allclose(joint - of_seen, given_seen, **CLOSE)


@pytest.mark.parametrize("unit", [2.0**-50, 2.0**50])
def test_units_do_not_matter(unit):
    """Determinants of more than ten coordinates would be out of range."""
    rows = patterned(random_patterns(41, 9, 0.5), [2] * 9)
    other = rows._replace(mean=rows.mean * unit, covariance=rows.covariance * unit**2, values=rows.values * unit)
    deviations, log_density, variances, spread = other.complete(kernels)
    scaled = (
        deviations / unit,
        log_density + rows.exact.sum(axis=1) * np.log(unit),
        variances / unit**2,
        spread / unit**2,
    )
    for result, expected in zip(scaled, rows.complete(kernels), strict=True):
        assert_allclose(result, expected, **CLOSE)


# --- rows with cells ---


class Table(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray
    kinds: np.ndarray  # (n, d)
    weight: np.ndarray
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    tau: np.ndarray
    nu: np.ndarray

    def arguments(self, n_sweeps=SWEEPS[0], tol=SWEEPS[1], variances=True, spread=0.0):
        """By name, in order."""
        exact = (self.kinds == KNOWN).astype(np.uint8)
        precision = np.linalg.inv(self.covariance)
        deviations = (self.values - self.mean) * exact
        pulls = deviations @ precision
        n, d = deviations.shape
        return {
            "exact": exact,
            "weight": self.weight,
            "pulls": pulls,
            "squares": (pulls * deviations).sum(axis=1),
            "precision": precision,
            "log_det": np.linalg.slogdet(self.covariance)[1],
            "mean": self.mean,
            "lower": self.lower,
            "upper": self.upper,
            "n_sweeps": n_sweeps,
            "tol": tol,
            "tau": self.tau.copy(),
            "nu": self.nu.copy(),
            "deviations": deviations,
            "log_density": np.full(n, np.nan),
            "variances": np.zeros((n, d)) if variances else None,
            "spread": None if spread is None else np.full((d, d), spread),
        }

    def complete(self, module, **options):
        """tau, nu, deviations, log densities, variances and spread (added to), then the number of sweeps."""
        arguments = self.arguments(**options)
        sweeps = module.complete_cells(*arguments.values())
        return *tuple(arguments.values())[-6:], sweeps

    def known(self, i):
        return np.flatnonzero(self.kinds[i] == KNOWN)


def table(kinds, seed=0, mean=None, covariance=None):
    """Cells around a drawn row, between 0.2 and 3 sds wide, with an end at most 1.5 sds away from it."""
    kinds = np.array(kinds)
    n, d = kinds.shape
    rng = np.random.default_rng(seed)
    if mean is None:
        mean, covariance = gaussian(d, seed)
    values = rng.multivariate_normal(mean, covariance, size=n)
    sd = np.sqrt(covariance.diagonal())
    lower, upper = (values + sign * rng.uniform(0.1, 1.5, size=(n, d)) * sd for sign in (-1, 1))
    lower[(kinds == BELOW) | (kinds == LINE)], upper[(kinds == ABOVE) | (kinds == LINE)] = -np.inf, np.inf
    lower[kinds < CELL] = upper[kinds < CELL] = np.nan
    tau = np.where(kinds == GAUSSIAN, rng.uniform(0.2, 5, size=(n, d)), 0.0)
    return Table(mean, covariance, kinds, rng.uniform(0, 3, size=n), values, lower, upper, tau, tau * values)


def random_kinds(n, d, seed=0, choice=range(7)):
    return np.random.default_rng(seed).choice(choice, size=(n, d))


def assert_cells_agree(t, tolerance=CONVERGED):
    for spread in (0.0, 3.0):
        results, expected = (t.complete(module, spread=spread)[:-1] for module in (kernels, reference))
        for result, other in zip(results, expected, strict=True):
            assert_allclose(result, other, **tolerance)
    tau, nu, deviations, log_density, variances, spread = results
    assert_array_equal(np.triu(spread, 1), np.triu(np.full_like(spread, 3.0), 1))
    known, fixed = t.kinds == KNOWN, t.kinds < CELL
    assert_array_equal(deviations[known], (t.values - t.mean)[known])
    assert (variances[known] == 0).all()
    assert_array_equal(tau[fixed], t.tau[fixed])
    assert_allclose(nu[fixed], t.nu[fixed], rtol=1e-14, atol=1e-14)  # moved to the mean and back
    for wanted in (True, False):
        parts = t.complete(kernels, variances=wanted, spread=None if wanted else 3.0)[:-1]
        others = tau, nu, deviations, log_density, *((variances, None) if wanted else (None, spread))
        for part, other in zip(parts, others, strict=True):
            assert (part is None and other is None) or np.array_equal(part, other)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 33, 65])
def test_cells_of_every_size(d):
    """Six rows: two left over after four at once."""
    kinds = random_kinds(6, d)
    kinds[1], kinds[-1] = KNOWN, UNKNOWN
    assert_cells_agree(table(kinds))


@pytest.mark.parametrize("kind", [KNOWN, UNKNOWN, GAUSSIAN, *CELLS])
@pytest.mark.parametrize("n", [1, 4, 5, 9])
def test_rows_of_one_kind(n, kind):
    t = table(np.full((n, 4), kind))
    assert_cells_agree(t)
    if kind not in (CELL, BELOW, ABOVE):
        assert t.complete(kernels)[-1] == 0


@settings(max_examples=40)
@given(n=st.integers(1, 9), d=st.integers(1, 6), seed=st.integers(0, 1000))
def test_cells_equal_their_twin(n, d, seed):
    assert_cells_agree(table(random_kinds(n, d, seed), seed))


@pytest.mark.parametrize("n", [1, 6])
def test_one_sweep_equals_the_twin(n):
    """Before a step can be halved, iterations are the same."""
    t = table(random_kinds(n, 5))
    for n_sweeps in (1, 2):
        results = (t.complete(module, n_sweeps=n_sweeps, tol=0.0) for module in (kernels, reference))
        for result, expected in zip(*results, strict=True):
            assert_allclose(result, expected, **CLOSE)


@MODULES
@pytest.mark.parametrize("d", [1, 3, 8])
def test_a_second_call_starts_where_the_first_ended(module, d):
    t = table(random_kinds(7, d, choice=[KNOWN, UNKNOWN, GAUSSIAN, *CELLS, CELL]))
    *first, sweeps = t.complete(module)
    *second, more = t._replace(tau=first[0], nu=first[1]).complete(module)
    assert sweeps > 1 or d == 1
    assert more <= 1
    for before, after in zip(first, second, strict=True):
        assert_allclose(after, before, **CONVERGED)


@MODULES
def test_sweeps_are_counted(module):
    t = table(random_kinds(6, 5, choice=CELLS))
    assert [t.complete(module, n_sweeps=n, tol=0.0)[-1] for n in (1, 2, 5)] == [1, 2, 5]
    assert t.complete(module, n_sweeps=5, tol=1e9)[-1] == 0
    kinds = np.concatenate([t.kinds, np.full((8, 5), UNKNOWN)])
    assert table(kinds).complete(module, n_sweeps=5, tol=0.0)[-1] == 5  # the most of all rows, not the last ones'
    for part, at_once in zip(t.complete(module, n_sweeps=1), t.complete(module, tol=1e9), strict=True):
        if np.ndim(part):
            assert_array_equal(part, at_once)


def test_rows_without_cells_are_those_of_patterns():
    t = table(random_kinds(9, 5, choice=[KNOWN, UNKNOWN]))
    exact = (t.kinds == KNOWN).astype(np.uint8)
    rows = Rows(t.mean, t.covariance, np.arange(10), exact, t.weight, t.values)
    for result, expected in zip(t.complete(kernels)[2:-1], rows.complete(kernels), strict=True):
        assert_allclose(result, expected, **CLOSE)


# --- cells against SciPy ---

NODES, NODE_WEIGHTS = roots_legendre(100)


def truncated_moments(a, b):
    """Log mass, mean minus the mode, and variance of a standard Gaussian on (a, b); the mode.

    By quadrature in t = x - mode of exp(-mode * t - t^2 / 2), which is cut off where it is below 1e-21.
    """
    mode = min(max(0.0, a), b)
    reach = min(10.0, 50 / max(abs(mode), 1e-9))
    low, high = max(a - mode, -reach), min(b - mode, reach)
    t, w = 0.5 * (high - low) * NODES + 0.5 * (high + low), 0.5 * (high - low) * NODE_WEIGHTS
    density = w * np.exp(-mode * t - 0.5 * t * t)
    mass = density.sum()
    mean = density @ t / mass
    log_mass = np.log(mass) - 0.5 * (mode * mode + np.log(2 * np.pi))
    return log_mass, mean, density @ (t - mean) ** 2 / mass, mode


def on_known(t, i, j):
    """Mean and sd of coordinate j of row i given what is known exactly, and the log density of that."""
    known = t.known(i)
    inner, cross = t.covariance[np.ix_(known, known)], t.covariance[j, known]
    slope = np.linalg.solve(inner, cross)
    centre = t.mean[j] + slope @ (t.values[i, known] - t.mean[known])
    density = multivariate_normal(t.mean[known], inner).logpdf(t.values[i, known]) if len(known) else 0.0
    return centre, np.sqrt(t.covariance[j, j] - slope @ cross), density


@MODULES
@pytest.mark.parametrize("kind", CELLS)
def test_one_cell_is_exact(module, kind):
    kinds = random_kinds(7, 4, choice=[KNOWN, UNKNOWN])
    cells = np.arange(7) % 4
    kinds[np.arange(7), cells] = kind
    t = table(kinds)
    _, _, deviations, log_density, variances, *_ = t.complete(module)
    for i, j in enumerate(cells):
        centre, sd, of_known = on_known(t, i, j)
        log_mass, shift, variance, mode = truncated_moments(
            (t.lower[i, j] - centre) / sd, (t.upper[i, j] - centre) / sd
        )
        assert_allclose(log_density[i], of_known + log_mass, **CLOSE)
        assert_allclose(t.mean[j] + deviations[i, j], centre + sd * (mode + shift), **CLOSE)
        assert_allclose(variances[i, j], sd**2 * variance, **CLOSE)


@MODULES
def test_independent_cells_are_exact(module):
    d = 6
    mean, covariance = gaussian(d)
    covariance = np.diag(covariance.diagonal())
    t = table(random_kinds(9, d, choice=CELLS), mean=mean, covariance=covariance)
    _, _, deviations, log_density, variances, spread, _ = t.complete(module)
    sd = np.sqrt(covariance.diagonal())
    low, high = (t.lower - mean) / sd, (t.upper - mean) / sd
    moments = np.array([truncated_moments(a, b) for a, b in zip(low.flat, high.flat, strict=True)])
    log_mass, shift, variance, mode = moments.T.reshape(4, 9, d)
    assert_allclose(log_density, log_mass.sum(axis=1), **CLOSE)
    assert_allclose(deviations, sd * (mode + shift), **CLOSE)
    assert_allclose(variances, sd**2 * variance, **CLOSE)
    assert_allclose(spread, np.diag(t.weight @ variances), **CLOSE)


@MODULES
@pytest.mark.parametrize("d", [1, 2, 5])
def test_gaussian_factors_are_noise(module, d):
    """A normalised factor is a known value with an error of variance 1 / tau."""
    t = table(random_kinds(9, d, choice=[KNOWN, UNKNOWN, GAUSSIAN]))
    _, _, deviations, log_density, variances, *_ = t.complete(module)
    noise = np.where(t.kinds == GAUSSIAN, 1 / np.where(t.tau > 0, t.tau, np.inf), 0.0)
    for i, kinds in enumerate(t.kinds):
        seen = np.flatnonzero(kinds != UNKNOWN)
        if not len(seen):
            assert_allclose(log_density[i], 0, **CLOSE)
            continue
        total = (t.covariance + np.diag(noise[i]))[np.ix_(seen, seen)]
        assert_allclose(log_density[i], multivariate_normal(t.mean[seen], total).logpdf(t.values[i, seen]), **CLOSE)
        slope = np.linalg.solve(total, t.covariance[seen])
        expected = (t.values[i, seen] - t.mean[seen]) @ slope
        assert_allclose(deviations[i], expected, **CLOSE)
        assert_allclose(variances[i], (t.covariance - t.covariance[:, seen] @ slope).diagonal(), **CLOSE)


def mass_and_means(mean, covariance, low, high):
    """By quadrature over a box that leaves out nothing beyond 9 sds."""
    reach = 9 * np.sqrt(covariance.diagonal())
    low, high = np.maximum(low, mean - reach), np.minimum(high, mean + reach)
    half = 0.5 * (high - low)
    nodes, weights = roots_legendre(50)
    axes = (centre + h * nodes for centre, h in zip(low + half, half, strict=True))
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = multivariate_normal(mean, covariance).pdf(points)
    for h in half:
        density = density * h
    for axis in range(len(mean)):
        density = density * np.moveaxis(np.broadcast_to(weights, density.shape), -1, axis)
    return density.sum(), (density[..., np.newaxis] * points).reshape(-1, len(mean)).sum(axis=0) / density.sum()


@MODULES
@pytest.mark.parametrize("correlation", [-0.3, 0.3, 0.6])
@pytest.mark.parametrize("d", [2, 3])
def test_correlated_cells_are_nearly_exact(module, d, correlation):
    """Expectation propagation is an approximation: the log mass and the means are right to 0.01 (sds are 1)."""
    covariance = np.full((d, d), correlation) + np.diag(np.full(d, 1 - correlation))
    t = table(random_kinds(8, d, choice=[CELL, BELOW, ABOVE]), mean=np.linspace(-0.5, 0.5, d), covariance=covariance)
    _, _, deviations, log_density, *_ = t.complete(module)
    for i, (low, high) in enumerate(zip(t.lower, t.upper, strict=True)):
        mass, means = mass_and_means(t.mean, covariance, low, high)
        assert_allclose(mass, multivariate_normal(t.mean, covariance).cdf(high, lower_limit=low), rtol=1e-3)
        assert_allclose(log_density[i], np.log(mass), atol=0.01)
        assert_allclose(t.mean + deviations[i], means, atol=0.01)


# --- far out, and narrow ---

EPS = np.finfo(float).eps
MEAN, SD = 0.5, 2.0  # of the one coordinate


def one_cell(a, b):
    """Log density, and mean and variance in units of the prior, of a cell (a, b) in these units."""
    kinds = np.array([[CELL]])
    t = table(kinds, mean=np.array([MEAN]), covariance=np.array([[SD**2]]))
    t = t._replace(lower=np.array([[MEAN + SD * a]]), upper=np.array([[MEAN + SD * b]]))
    _, _, deviations, log_density, variances, *_ = t.complete(kernels, n_sweeps=20)
    return log_density[0], deviations[0, 0] / SD, variances[0, 0] / SD**2


def mirrored(a, b):
    log_density, mean, variance = one_cell(-b, -a)
    return log_density, -mean, variance


SIDES = pytest.mark.parametrize("cell", [one_cell, mirrored])


@SIDES
@pytest.mark.parametrize("a", [-40, -9, -3, -1, -0.1, -1e-9, 0, 1e-9, 0.1, 1, 3, 8, 20, 30, 37.5, 38.6, 50, 100])
def test_half_lines(cell, a):
    """Moments of the tail have terms of a^2 that leave 1 / a^2, so that a^4 eps is what can be had."""
    log_density, mean, variance = cell(a, np.inf)
    log_mass, shift, expected, mode = truncated_moments(a, np.inf)
    error = (20 + 4 * max(a, 0) ** 4) * EPS
    assert_allclose(log_density, log_mass, rtol=5e-14, atol=error)
    assert_allclose(log_density, log_ndtr(-a), rtol=5e-14, atol=error)
    assert_allclose(mean, mode + shift, rtol=1e-13, atol=1e-13)
    if a >= 0:
        hazard = np.sqrt(2 / np.pi) / erfcx(a / np.sqrt(2))
        assert_allclose(mean, hazard, rtol=1e-13)
    assert_allclose(variance, expected, rtol=1e-12 + error)


def error_of_narrow(a, width):
    """Of the variance, relative: the mass has an error of some eps, which is amplified by 12 / width^3."""
    return 60 * (1 + a * a) * EPS / width**3


NARROWEST = 2e-8  # variance of a marginal in a cell, relative to what it was without: less is not told apart

NARROW = [(a, w) for a in (-2.5, -0.03, 0, 1, 3, 8, 30) for w in (0.1, 0.01, 1e-3, 1e-4) if error_of_narrow(a, w) < 0.1]


@SIDES
@pytest.mark.parametrize(("a", "width"), NARROW)
def test_narrow_cells(cell, a, width):
    b = a + width
    log_density, mean, variance = cell(a, b)
    log_mass, shift, expected, mode = truncated_moments(a, b)
    error = error_of_narrow(a, width)
    assert_allclose(variance, max(expected, NARROWEST), rtol=1e-6 if expected < NARROWEST else 1e-12 + error)
    assert_allclose(mean, mode + shift, rtol=1e-13, atol=error * width**2)
    assert_allclose(log_density, log_mass, rtol=1e-13, atol=error * width)
    assert a <= mean <= b


@SIDES
@pytest.mark.parametrize("width", [1e-6, 1e-8, 1e-9])
def test_factors_of_very_narrow_cells_do_not_run_away(cell, width):
    log_density, mean, _ = cell(0.5, 0.5 + width)
    assert_allclose(log_density, np.log(width) + norm.logpdf(0.5), atol=1e-4)
    assert_allclose(mean, 0.5, atol=1e-5)


@SIDES
def test_factors_of_cells_far_out_do_not_run_away(cell):
    log_density, mean, _ = cell(9000, np.inf)
    assert_allclose(log_density, norm.logsf(9000), rtol=1e-4)
    assert_allclose(mean, 9000, rtol=1e-3)


def test_rows_without_coordinates_have_log_density_zero():
    nothing = np.empty((3, 0))
    density = np.full(3, np.nan)
    square = np.empty((0, 0))
    kernels.complete_rows(
        np.array([0, 3]), np.empty((1, 0), np.uint8), np.ones(3), nothing, np.zeros(3), square, square, 0.0,
        nothing.copy(), density, None, None,
    )  # fmt: skip
    assert_array_equal(density, 0)


@SIDES
@pytest.mark.parametrize("ends", [(-40, 40), (-1e6, 1), (-3, 1e300), (8, 9), (30, 31), (30, 40), (-1, 30)])
def test_cells_of_every_width(cell, ends):
    log_density, mean, variance = cell(*ends)
    log_mass, shift, expected, mode = truncated_moments(*ends)
    error = (20 + 4 * max(ends[0], 0) ** 4) * EPS
    assert_allclose(log_density, log_mass, rtol=5e-14, atol=error)
    assert_allclose(mean, mode + shift, rtol=1e-13, atol=1e-13)
    assert_allclose(variance, expected, rtol=1e-10 + error)


def test_a_whole_line_says_nothing():
    assert_allclose(one_cell(-np.inf, np.inf), (0, 0, 1), atol=1e-13)


# --- arranged rows ---


def incomplete(n, d, n_patterns, seed=0, with_factors=False, offset=0.0):
    """Rows of random patterns, of which the first has nothing observed and the last no gap; values at `offset`."""
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(size=(n_patterns, d)) < rng.uniform(size=(n_patterns, 1))
    patterns[0], patterns[-1] = False, True
    exact = patterns[rng.integers(0, n_patterns, size=n)].astype(np.uint8)
    weight = rng.uniform(0, 2, size=n) * (rng.uniform(size=n) < 0.8)
    values = (rng.normal(size=(n, d)) + offset) * exact
    return IncompleteRows(values, exact, weight, Factors(*rng.normal(size=(4, n, d))) if with_factors else None)


def assert_is_arranged(rows):
    arranged = arrange(rows)
    n, d = rows.exact.shape
    assert_array_equal(np.sort(arranged.order), np.arange(n))
    assert sum(len(chunk) for chunk in arranged) == n
    names = ["values", "exact", "weight"]
    for name in names:
        assert_array_equal(arranged.in_order([getattr(chunk, name) for chunk in arranged]), getattr(rows, name))
        assert_array_equal(
            np.concatenate([getattr(chunk, name) for chunk in arranged]), getattr(rows, name)[arranged.order]
        )
    for name in ("lower", "upper", "tau", "nu") if rows.factors is not None else ():
        pieces = [getattr(chunk.factors, name) for chunk in arranged]
        assert_array_equal(arranged.in_order(pieces), getattr(rows.factors, name))
    for chunk in arranged:
        starts, observed = chunk.patterns
        assert_array_equal(np.repeat(observed, np.diff(starts), axis=0), chunk.exact)
        assert starts.dtype == np.intp
        assert observed.dtype == np.uint8
        assert observed.flags.c_contiguous
        assert len(np.unique(observed, axis=0)) == len(observed)  # each once
    joined = np.concatenate([chunk.exact for chunk in arranged])
    assert 1 + (joined[1:] != joined[:-1]).any(axis=1).sum() == len(np.unique(joined, axis=0))
    size = joined.sum(axis=1, dtype=int)
    few = (2 * size < d) & (rows.factors is None)
    assert (np.diff(few.astype(int)) >= 0).all()
    assert all((np.diff(size[side]) >= 0).all() for side in (few, ~few))


@settings(max_examples=60)
@given(
    n=st.integers(1, 60),
    d=st.integers(1, 200),
    n_patterns=st.integers(1, 20),
    with_factors=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_arranged_rows(n, d, n_patterns, with_factors, seed):
    assert_is_arranged(incomplete(n, d, n_patterns, seed, with_factors))


@pytest.mark.parametrize("d", [63, 64, 65, 128, 129])
def test_patterns_that_differ_in_one_column(d):
    assert_is_arranged(IncompleteRows(np.zeros((d, d)), 1 - np.eye(d, dtype=np.uint8), np.ones(d)))
    assert_is_arranged(IncompleteRows(np.zeros((2 * d, d)), np.tile(np.eye(d, dtype=np.uint8), (2, 1)), np.ones(2 * d)))


@pytest.mark.parametrize(("n", "d"), [(3000, 70), (200, 1100), (70_000, 1)])
def test_rows_of_several_chunks(n, d):
    rows = incomplete(n, d, 9)
    assert len(arrange(rows).chunks) > 1
    assert_is_arranged(rows)


def moments(arranged, params):
    """Log-likelihood, weight, sums and scatter of all chunks."""
    d = len(params.mean)
    model = LatentGaussianModel(np.eye(d), 0.0)
    parts = [model.e_step(params, chunk) for chunk in arranged]
    return [sum(getattr(part, name) for part in parts) for name in ("objective", "weight", "sums", "scatter")]


@settings(max_examples=60)
@given(
    n=st.integers(1, 120),
    d=st.integers(1, 6),
    n_patterns=st.integers(1, 5),
    offset=st.sampled_from([0.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_condensed_rows_are_worth_the_same(n, d, n_patterns, offset, seed):
    """Under any parameters; sums of squares at an offset of 30 sds lose three digits."""
    rows = incomplete(n, d, n_patterns, seed, offset=offset)
    arranged = arrange(rows)
    few = condensed(arranged)
    assert sum(len(chunk) for chunk in few) <= n
    exact = np.concatenate([chunk.exact for chunk in few])
    patterns, counts = np.unique(exact, axis=0, return_counts=True)
    assert_array_equal(patterns, np.unique(rows.exact, axis=0))
    assert (counts <= np.maximum(2 * patterns.sum(axis=1, dtype=int), 1)).all()
    for other in range(3):
        params = latent_params(*gaussian(d, seed + other))
        for result, expected in zip(moments(few, params), moments(arranged, params), strict=True):
            assert_allclose(result, expected, rtol=1e-9, atol=1e-9 * (1 + offset**2))


def test_rows_that_cannot_be_fewer_stay():
    rows = incomplete(40, 30, 3)
    rows = rows.take(np.flatnonzero(rows.exact.any(axis=1)))
    arranged = arrange(rows)
    sizes = np.concatenate([np.diff(chunk.patterns.starts) for chunk in arranged])
    seen = np.concatenate([chunk.patterns.observed.sum(axis=1, dtype=int) for chunk in arranged])
    assert (condensed(arranged) is arranged) == (sizes <= 2 * seen).all()
    assert (sizes <= 2 * seen).all()


@pytest.mark.parametrize("seen", [0, 1, 3])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_one_pattern_condensed(seen, weight):
    """Rows of one value, of no weight, with nothing observed; values that all lie on a line."""
    exact = np.zeros((50, 3), dtype=np.uint8)
    exact[:, :seen] = 1
    slope = np.array([1.0, -2.0, 0.5])
    params = latent_params(*gaussian(3))
    for values in (np.zeros((50, 3)), np.full((50, 3), 2.0), np.linspace(-1, 4, 50)[:, np.newaxis] * slope):
        arranged = arrange(IncompleteRows(values * exact, exact, np.full(50, weight)))
        few = condensed(arranged)
        assert sum(len(chunk) for chunk in few) == (1 if seen == 0 or weight == 0 else 2 * seen)
        for result, expected in zip(moments(few, params), moments(arranged, params), strict=True):
            assert_allclose(result, expected, rtol=1e-11, atol=1e-11)


# --- shapes, and matrices that are not positive definite ---


def shapes_that_do_not_fit(arguments):
    """Each array with its first or last row or column left out, one at a time."""
    for name, array in arguments.items():
        for axis in range(np.ndim(array)):
            less = np.delete(array, 0, axis=axis)
            yield f"{name}, axis {axis}", arguments | {name: np.ascontiguousarray(less)}


def is_accepted(kernel, arguments):
    try:
        kernel(*arguments.values())
    except ValueError as error:
        return "fit" not in str(error)
    return True


@pytest.mark.parametrize("d", [1, 4])
def test_shapes_of_rows(d):
    rows = patterned(random_patterns(d, 3, 0.5), [2, 1, 3])
    kernels.complete_rows(*rows.arguments().values())
    cases = shapes_that_do_not_fit(rows.arguments())
    assert [what for what, arguments in cases if is_accepted(kernels.complete_rows, arguments)] == []
    for starts in ([1, 2, 3, 6], [0, 2, 3, 5], [0, 2, 3, 7], [0, 3, 2, 6], [0, -1, 3, 6], [0, 7, 3, 6]):
        with pytest.raises(ValueError, match="fit"):
            kernels.complete_rows(*(rows.arguments() | {"starts": np.array(starts)}).values())


@pytest.mark.parametrize("d", [1, 4])
def test_shapes_of_cells(d):
    t = table(random_kinds(5, d))
    cases = shapes_that_do_not_fit(t.arguments())
    assert [what for what, arguments in cases if is_accepted(kernels.complete_cells, arguments)] == []
    for n_sweeps in (0, -1):
        with pytest.raises(ValueError, match="fit"):
            kernels.complete_cells(*t.arguments(n_sweeps=n_sweeps).values())


@pytest.mark.parametrize("kernel", ["rows", "cells"])
def test_other_types(kernel):
    problem = patterned(np.ones((1, 2)), [3]) if kernel == "rows" else table(random_kinds(3, 2))
    run = kernels.complete_rows if kernel == "rows" else kernels.complete_cells
    arguments = problem.arguments()
    for name in ("weight", "precision", "deviations"):
        with pytest.raises(ValueError, match="dtype"):
            run(*(arguments | {name: arguments[name].astype(np.float32)}).values())
        if arguments[name].ndim == 2:
            with pytest.raises(ValueError, match="contiguous"):
                run(*(arguments | {name: np.asfortranarray(arguments[name])}).values())


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize(("side", "observed"), [("precision", [1, 1, 0]), ("covariance", [1, 0, 0])])
def test_rows_under_a_matrix_that_is_not_positive_definite(side, observed, bad):
    """The missing block of the precision, or the observed block of the covariance, whichever is smaller."""
    rows = patterned([[1, 1, 1], observed], [2, 3])
    arguments = rows.arguments()
    at = 2 if side == "precision" else 0
    arguments[side] = arguments[side].copy()
    arguments[side][at, at] = bad
    with pytest.raises(FloatingPointError, match="positive definite"):
        kernels.complete_rows(*arguments.values())


@pytest.mark.parametrize("kind", [UNKNOWN, GAUSSIAN, CELL, LINE])
def test_cells_under_a_precision_that_is_not_positive_definite(kind):
    t = table([[KNOWN] * 3] * 5 + [[KNOWN, KNOWN, kind]])
    for bad in (-10.0, np.nan, np.inf):
        arguments = t.arguments()
        arguments["precision"] = arguments["precision"].copy()
        arguments["precision"][2, 2] = bad
        with pytest.raises(FloatingPointError, match="positive definite"):
            kernels.complete_cells(*arguments.values())


def test_no_rows():
    for rows in (patterned(np.zeros((0, 3)), []), patterned(np.ones((2, 3)), [0, 0])):
        arguments = rows.arguments(spread=3.0)
        kernels.complete_rows(*arguments.values())
        assert_array_equal(arguments["spread"], np.full((3, 3), 3.0))
    *_, spread, sweeps = table(np.zeros((0, 3), dtype=int)).complete(kernels, spread=3.0)
    assert_array_equal(spread, np.full((3, 3), 3.0))
    assert sweeps == 0


@MODULES
@pytest.mark.parametrize("kind", [KNOWN, UNKNOWN])
def test_all_or_nothing_known(module, kind):
    t = table(np.full((5, 3), kind))
    _, _, deviations, log_density, variances, spread, sweeps = t.complete(module)
    if kind == KNOWN:
        assert_allclose(log_density, multivariate_normal(t.mean, t.covariance).logpdf(t.values), **CLOSE)
        assert_array_equal(spread, 0)
    else:
        assert_allclose(log_density, 0, atol=1e-12)
        assert_array_equal(deviations, 0)
        assert_allclose(variances, np.tile(t.covariance.diagonal(), (5, 1)), **CLOSE)
        assert_allclose(spread, np.tril(t.weight.sum() * t.covariance), **CLOSE)
    assert sweeps == 0
