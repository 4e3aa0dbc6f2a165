"""Each kernel against its NumPy twin, and what the twins cannot show: strides, bits, threads, accuracy of exp."""

import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from emkit import kernels
from emkit.kernels import reference

DTYPES = [np.float64, np.float32]
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-4}
LAYOUTS = {
    "C": lambda X: X,
    "Fortran": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "rows backwards": lambda X: X[::-1].copy()[::-1],
    "columns backwards": lambda X: X[:, ::-1].copy()[:, ::-1],
    "both backwards, Fortran": lambda X: np.asfortranarray(X[::-1, ::-1])[::-1, ::-1],
}


class Problem(NamedTuple):
    X: np.ndarray
    weight: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    scales: np.ndarray
    constants: np.ndarray

    def step(self, module, kind, hard=False):
        """Objective, counts, sums and second moments of one call; the arrays start at 0."""
        k, d = self.means.shape
        counts, sums = np.zeros(k), np.zeros((k, d))
        second = np.zeros((len(self.factors), d, d)) if kind == "full" else np.zeros((k, d))
        return self.add_step(module, kind, hard, counts, sums, second), counts, sums, second

    def add_step(self, module, kind, hard, *statistics):
        shape = self.factors if kind == "full" else self.scales
        step = getattr(module, f"em_step_{kind}")
        return step(self.X, self.weight, self.means, shape, self.constants, hard, *statistics)

    def log_density(self, module, kind):
        shape = self.factors if kind == "full" else self.scales
        out = np.full((len(self.X), len(self.means)), np.nan, dtype=self.X.dtype)
        assert getattr(module, f"log_density_{kind}")(self.X, self.means, shape, self.constants, out) is None
        return out

    def rows(self, index):
        return self._replace(X=self.X[index], weight=self.weight[index])


def problem(n, d, k, dtype=np.float64, shared=False, seed=0):
    """Overlapping components, so that many responsibilities count; every fifth weight or so is 0.

    Below the diagonal the factors hold NaN: the kernels must not read it.
    """
    rng = np.random.default_rng([n, d, k, shared, seed])
    factors = rng.normal(size=(1 if shared else k, d, d)) * 0.3 / np.sqrt(d) + np.eye(d)
    factors[:, *np.tril_indices(d, -1)] = np.nan
    arrays = (
        rng.normal(size=(n, d)) * 1.5 + 2.0,
        rng.random(n) * 3 * (rng.random(n) > 0.2),
        rng.normal(size=(k, d)) + 2.0,
        factors,
        rng.uniform(0.5, 1.5, size=(k, d)),
        rng.normal(size=k),
    )
    return Problem(*(np.ascontiguousarray(a, dtype=dtype) for a in arrays))


def without_ties(p, kind, gap=1e-2):
    """Weight 0 for the rows whose two best components lie within rounding of each other, for hard assignment."""
    if len(p.means) == 1:
        return p
    top = np.sort(p.log_density(reference, kind), axis=1)
    return p._replace(weight=np.where(top[:, -1] - top[:, -2] > gap, p.weight, 0).astype(p.weight.dtype))


def assert_agree(actual, expected, tolerance):
    for a, b in zip(actual, expected, strict=True):
        assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.max(np.abs(b), initial=0)))


def assert_same_bits(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert_array_equal(a, b)


def check(p, kind, hard):
    dtype = p.X.dtype.type
    assert_agree([p.log_density(kernels, kind)], [p.log_density(reference, kind)], TOLERANCE[dtype])
    if hard:
        p = without_ties(p, kind)
    assert_agree(p.step(kernels, kind, hard), p.step(reference, kind, hard), TOLERANCE[dtype])


# --- against the twin ---


@settings(max_examples=150)
@given(
    n=st.one_of(
        st.integers(0, 700), st.builds(lambda m, e: max(0, 16 * m + e), st.integers(0, 62), st.integers(-1, 1))
    ),
    d=st.integers(1, 40),
    k=st.integers(1, 70),
    dtype=st.sampled_from(DTYPES),
    kind=st.sampled_from(["full", "shared", "diag"]),
    hard=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    seed=st.integers(0, 1000),
)
def test_kernel_equals_its_twin(n, d, k, dtype, kind, hard, layout, seed):
    p = problem(n, d, k, dtype, shared=kind == "shared", seed=seed)
    p = p._replace(X=LAYOUTS[layout](p.X))
    check(p, "diag" if kind == "diag" else "full", hard)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
@pytest.mark.parametrize("k", [1, 33])
def test_every_number_of_features(k, kind, dtype, hard):
    """Small ones are compiled one by one; the others differ in what is left over after blocks of 4."""
    for d in range(1, 41):
        check(problem(37, d, k, dtype, shared=kind == "shared"), "diag" if kind == "diag" else "full", hard)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_every_number_of_rows(kind, dtype):
    """Rows are taken in tiles of at most 480: each way to fill the last one, and the first row of the next."""
    full = problem(1000, 2, 3, dtype)
    rows = full.log_density(reference, kind)
    for n in [*range(500), 719, 720, 721, 959, 960, 961]:
        p = full.rows(slice(n))
        assert_agree([p.log_density(kernels, kind)], [rows[:n]], TOLERANCE[dtype])
        assert_agree(p.step(kernels, kind), p.step(reference, kind), TOLERANCE[dtype])


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize(("d", "k"), [(300, 3), (130, 2), (3, 1500), (70, 400)])
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_wide_and_many(kind, d, k, n):
    if d * d * k > 1e6:
        kind = "diag"
    check(problem(n, d, k), kind, hard=False)


@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
def test_no_rows(kind):
    p = problem(0, 3, 2, shared=kind == "shared")
    objective, *statistics = p.step(kernels, "diag" if kind == "diag" else "full")
    assert objective == 0
    assert all((s == 0).all() for s in statistics)


# --- memory: layout, read-only input, what is added and what is left alone ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_layout_does_not_change_a_bit(kind, dtype, layout):
    p = problem(523, 6, 4, dtype)
    other = p._replace(X=LAYOUTS[layout](p.X))
    assert_array_equal(other.X, p.X)
    assert_array_equal(other.log_density(kernels, kind), p.log_density(kernels, kind))
    assert_same_bits(other.step(kernels, kind), p.step(kernels, kind))


def test_a_broadcast_row():
    p = problem(50, 3, 2)
    p = p._replace(X=np.broadcast_to(p.X[0], (50, 3)))
    assert p.X.strides[0] == 0
    check(p, "full", hard=False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "diag"])
def test_input_may_be_read_only_and_is_left_alone(kind, dtype):
    p = problem(300, 5, 3, dtype)
    before = [a.copy() for a in p]
    for a in p:
        a.flags.writeable = False
    check(p, kind, hard=False)
    assert_same_bits(p, before)


@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
@pytest.mark.parametrize("hard", [False, True])
def test_statistics_are_added_to(kind, hard):
    p = problem(1000, 7, 4, shared=kind == "shared")
    kind = "diag" if kind == "diag" else "full"
    objective, *whole = p.step(kernels, kind, hard)
    start = [np.random.default_rng(1).normal(size=s.shape) for s in whole]
    parts = [s.copy() for s in start]
    chunks = [slice(0, 333), slice(333, 334), slice(334, 1000)]
    total = sum(p.rows(rows).add_step(kernels, kind, hard, *parts) for rows in chunks)
    assert_agree([total], [objective], 1e-13)
    assert_agree(parts, [a + b for a, b in zip(start, whole, strict=True)], 1e-13)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("d", [1, 2, 4, 5, 8, 9, 16])
def test_upper_triangle_of_the_scatters_is_left_alone(d, shared):
    p = problem(100, d, 3, shared=shared)
    scatters = np.full((1 if shared else 3, d, d), 7.0)
    p.add_step(kernels, "full", False, np.zeros(3), np.zeros((3, d)), scatters)
    assert (scatters[:, *np.triu_indices(d, 1)] == 7).all()
    assert (scatters[:, range(d), range(d)] > 7).all()


# --- zero weights, components without weight, far rows ---


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
def test_a_row_of_weight_zero_counts_for_nothing(kind, dtype, hard):
    p = problem(400, 3, 4, dtype, shared=kind == "shared")
    kind = "diag" if kind == "diag" else "full"
    far = p.X.copy()
    far[p.weight == 0] = 1e30
    assert_same_bits(p._replace(X=far).step(kernels, kind, hard), p.step(kernels, kind, hard))
    nothing = p._replace(weight=np.zeros_like(p.weight)).step(kernels, kind, hard)
    assert all(np.all(a == 0) for a in nothing)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
@pytest.mark.parametrize("absent", [[0], [2], [4], [0, 1, 2, 4]])
def test_a_component_without_weight_takes_nothing(absent, kind, dtype, hard):
    p = problem(300, 5, 5, dtype, shared=kind == "shared")
    kind = "diag" if kind == "diag" else "full"
    present = [c for c in range(5) if c not in absent]
    shared = len(p.factors) == 1
    rest = p._replace(
        means=p.means[present],
        factors=p.factors if shared else p.factors[present],
        scales=p.scales[present],
        constants=p.constants[present],
    )
    p.constants[absent] = -np.inf
    objective, *statistics = p.step(kernels, kind, hard)
    expected, *others = rest.step(kernels, kind, hard)
    assert objective == expected
    for a, b in zip(statistics, others, strict=True):
        if len(a) == 1:  # the one scatter matrix of a shared factor
            assert_agree([a], [b], TOLERANCE[dtype])
        else:
            assert (a[absent] == 0).all()
            assert_array_equal(a[present], b)
    assert (p.log_density(kernels, kind)[:, absent] == -np.inf).all()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize(("dtype", "far"), [(np.float64, 1e160), (np.float32, 1e30)])
@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
def test_a_far_row_is_capped(kind, dtype, far, hard):
    p = problem(40, 6, 3, dtype, shared=kind == "shared")
    kind = "diag" if kind == "diag" else "full"
    p.X[7] = far
    p.X[8] = -far
    p.X[9, ::2] = -far  # the whitened coordinates of this one may be infinity - infinity
    p.weight[7:10] = 1
    log_density = p.log_density(kernels, kind)
    cap = reference.square_cap(np.dtype(dtype))
    assert_array_equal(log_density[7:10], np.full((3, 3), p.constants - dtype(0.5) * dtype(cap)))
    objective, counts, sums, _ = p.step(kernels, kind, hard)
    assert_allclose(objective, -1.5 * cap, rtol=1e-6)
    assert_allclose(counts.sum(), p.weight.sum(dtype=float), rtol=1e-6)
    assert np.isfinite(sums).all()
    assert_agree(p.step(kernels, kind, hard)[1:3], p.step(reference, kind, hard)[1:3], TOLERANCE[dtype])


def test_hard_takes_the_first_of_equals():
    p = problem(100, 2, 4)
    p.means[:], p.factors[:], p.constants[:] = p.means[0], p.factors[0], [-1, 0, 0, 0]
    _, counts, _, _ = p.step(kernels, "full", hard=True)
    assert_allclose(counts, [0, p.weight.sum(), 0, 0], rtol=1e-14)


def test_second_moments_do_not_cancel():
    """Two clusters far from each other and from the origin keep all digits of their spread."""
    p = problem(600, 3, 2)
    p.means[0], p.means[1] = 1e8, -1e8
    p.X[:300] += 1e8
    p.X[300:] -= 1e8
    for kind in ("full", "diag"):
        assert_agree(p.step(kernels, kind), p.step(reference, kind), 1e-12)


# --- same bits ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["full", "shared", "diag"])
def test_two_threads_give_the_same_bits(kind, dtype):
    p = problem(3000, 5, 6, dtype, shared=kind == "shared")
    kind = "diag" if kind == "diag" else "full"
    first = p.step(kernels, kind)
    assert_same_bits(p.step(kernels, kind), first)
    results = []
    threads = [
        threading.Thread(target=lambda: results.extend(p.step(kernels, kind) for _ in range(20))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    for result in results:
        assert_same_bits(result, first)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("name", ["log_density", "em_step"])
def test_the_gil_is_released(name, kind):
    """This thread goes on while another is inside a kernel."""
    p = problem(100_000, 2, 20)
    call = (lambda: p.step(kernels, kind)) if name == "em_step" else (lambda: p.log_density(kernels, kind))

    def goes_on():
        span, ticks = [], []

        def work():
            span.append(time.perf_counter())
            call()
            span.append(time.perf_counter())

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            ticks.append(time.perf_counter())
        begin, end = span
        margin = 0.2 * (end - begin) + min(sys.getswitchinterval(), 0.1 * (end - begin))
        return any(begin + margin < t < end - margin for t in ticks)

    # On a busy machine this thread may sleep through a whole call; if the lock were held, it would through each.
    assert any(goes_on() for _ in range(20))


# --- exp and log, through responsibilities and objective ---


def exp_by_kernel(exponents, dtype):
    """Responsibilities of components at distance 0 whose constants are the exponents, beside one of constant 0.

    So far below 0 the sum over components rounds to 1, and a responsibility is exp of its constant, untouched.
    """
    constants = np.concatenate([[0], exponents]).astype(dtype)
    k = len(constants)
    flat = np.zeros((k, 1), dtype)
    counts = np.zeros(k)
    row = np.zeros((1, 1), dtype)
    kernels.em_step_diag(
        row, np.ones(1, dtype), flat, flat, constants, False, counts, np.zeros((k, 1)), np.zeros((k, 1))
    )
    return counts[1:]


@pytest.mark.parametrize(("dtype", "smallest", "largest"), [(np.float64, -708, -45), (np.float32, -87, -24)])
def test_exp_is_within_two_ulp(dtype, smallest, largest):
    exponents = np.random.default_rng(0).uniform(smallest, largest, size=(200, 500)).astype(dtype)
    exponents[0, 0] = smallest
    for row in exponents:
        exact = np.exp(row.astype(np.longdouble))
        ulp = np.spacing(exact.astype(dtype)).astype(np.longdouble)
        assert np.max(np.abs(exp_by_kernel(row, dtype) - exact) / ulp) < 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_near_zero(dtype):
    """Here the responsibility is exp(t) / (1 + exp(t)), with the rounding of the sum and of the quotient."""
    near = -np.logspace(-20, 1.7, 1000, dtype=dtype)
    for t in [*near, *np.log(2) * (np.arange(-40, 0) - 0.5)]:
        e = np.exp(np.longdouble(dtype(t)))
        expected = e / (1 + e)
        actual = exp_by_kernel([t], dtype)[0]
        assert abs(actual - expected) <= 4 * np.spacing(dtype(expected))


@pytest.mark.parametrize(("dtype", "smallest"), [(np.float64, -708.0), (np.float32, -87.0)])
def test_exp_of_less_is_exactly_zero(dtype, smallest):
    below = np.nextafter(dtype(smallest), dtype(-np.inf))
    values = exp_by_kernel([smallest, below, 1.01 * smallest, 1.06 * smallest, -1e4, -1e30, -np.inf], dtype)
    assert values[0] > 0
    assert_array_equal(values[1:], np.zeros(6))


def log_sum_exp_by_kernel(constants):
    flat = np.zeros((len(constants), 1), constants.dtype)
    one = np.ones(1, constants.dtype)
    statistics = np.zeros(len(constants)), np.zeros(flat.shape), np.zeros(flat.shape)
    return kernels.em_step_diag(flat[:1], one, flat, flat, constants, False, *statistics)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_of_a_count_is_within_one_ulp(dtype):
    """k components alike: the log of exactly k."""
    assert log_sum_exp_by_kernel(np.zeros(1, dtype)) == 0
    for k in range(2, 1500):
        exact = np.log(np.longdouble(k))
        assert abs(log_sum_exp_by_kernel(np.zeros(k, dtype)) - exact) <= np.spacing(dtype(exact))


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_near_one(dtype):
    for t in np.linspace(-50, 0, 2000, dtype=dtype):
        exact = np.log1p(np.exp(np.longdouble(t)))
        assert abs(log_sum_exp_by_kernel(np.array([0, t], dtype)) - exact) <= np.finfo(dtype).eps


def spd(k, d, rng):
    root = rng.standard_normal((k, d, d + 2))
    return root @ root.swapaxes(1, 2)


def factorise_by(module, covariances, scale):
    k, d, _ = covariances.shape
    out = np.tril(covariances), np.full((k, d, d), 7.0), np.full((k, d, d), 7.0), np.empty(k), np.empty(k)
    failed = module.factorise(out[0], scale, *out[1:])
    return failed, out


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8, 17, 40])
@pytest.mark.parametrize("k", [1, 3])
def test_factorise(k, d):
    rng = np.random.default_rng(d)
    scale = 10.0 ** rng.uniform(-6, 6, d)
    covariances = spd(k, d, rng) * np.outer(scale, scale)
    failed, ours = factorise_by(kernels, covariances, scale)
    also_failed, theirs = factorise_by(reference, covariances, scale)
    assert failed == also_failed == -1
    assert_allclose(ours[0], covariances, rtol=1e-14)
    for actual, expected in zip(ours[1:], theirs[1:], strict=True):
        assert_allclose(actual, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    precision = ours[2] @ ours[2].swapaxes(1, 2)
    identity = precision @ covariances * scale[:, None] / scale
    assert_allclose(identity, np.broadcast_to(np.eye(d), identity.shape), atol=1e-8)
    least = np.linalg.eigvalsh(covariances / np.outer(scale, scale))[:, 0]
    assert (1 / ours[4] <= least * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((3, 3)),
        np.ones((3, 3)),
        np.diag([1.0, -1.0, 1.0]),
        np.full((3, 3), np.nan),
        np.full((3, 3), np.inf),
        np.outer([1, 2, 3], [1, 2, 3]) + 1e-17 * np.eye(3),
    ],
)
def test_factorise_names_what_is_singular(bad):
    covariances = np.stack([np.eye(3), np.eye(3), bad, np.eye(3)])
    assert factorise_by(kernels, covariances, np.ones(3))[0] == 2


def test_factorise_takes_narrow_matrices():
    """Small against `scale` but well conditioned: clusters far apart."""
    failed, out = factorise_by(kernels, 1e-16 * spd(2, 3, np.random.default_rng(0)), np.ones(3))
    assert failed == -1
    assert np.isfinite(out[2]).all()


def gappy_problem(n, d, k, seed):
    """Rows sorted by pattern, one pattern without any value and one with all."""
    rng = np.random.default_rng(seed)
    n_patterns = min(n, 5)
    observed = (rng.random((n_patterns, d)) < 0.6).astype(np.uint8)
    observed[0] = 0
    observed[-1] = 1
    starts = np.concatenate([[0], np.sort(rng.integers(0, n + 1, n_patterns - 1)), [n]]).astype(np.intp)
    X = 3 * rng.standard_normal((n, d))
    for begin, end, pattern in zip(starts[:-1], starts[1:], observed, strict=True):
        X[begin:end, pattern == 0] = np.nan
    means, covariances = rng.standard_normal((k, d)), spd(k, d, rng)
    return (X, starts, observed), rng.random(n) * (rng.random(n) < 0.9), means, covariances, rng.standard_normal(k)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (7, 2, 3), (33, 3, 1), (100, 5, 4), (257, 8, 17), (64, 21, 2)])
def test_rows_with_gaps(n, d, k, hard):
    rows, weight, means, covariances, constants = gappy_problem(n, d, k, seed=n)
    densities, statistics = [], []
    for module in (kernels, reference):
        out = np.full((n, k), np.nan)
        module.log_density_missing(*rows, means, covariances, constants, out)
        densities.append(out)
        added = np.ones(k), np.ones((k, d)), np.ones((k, d, d))
        objective = module.em_step_missing(*rows, weight, means, covariances, constants, hard, *added)
        given_resp = np.random.default_rng(0).random((n, k))
        more = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        module.moments_missing(*rows, given_resp, means, covariances, *more)
        statistics.append((objective, *added, *more))
    assert_allclose(densities[0], densities[1], rtol=1e-9, atol=1e-9)
    for actual, expected in zip(*statistics, strict=True):
        assert_allclose(actual, expected, rtol=1e-8, atol=1e-8 * (1 + np.abs(expected).max()))


def test_rows_without_a_gap_are_as_complete_ones():
    rng = np.random.default_rng(0)
    n, d, k = 101, 4, 3
    X, weight, means, covariances = (
        rng.standard_normal((n, d)),
        rng.random(n),
        rng.standard_normal((k, d)),
        spd(k, d, rng),
    )
    _, (_, _, factors, log_dets, _) = factorise_by(kernels, covariances, np.ones(d))
    pattern = np.array([0, n], dtype=np.intp), np.ones((1, d), dtype=np.uint8)
    with_gaps, complete = ((np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))) for _ in range(2))
    one = kernels.em_step_missing(X, *pattern, weight, means, covariances, np.zeros(k), False, *with_gaps)
    constants = log_dets - 0.5 * d * np.log(2 * np.pi)
    other = kernels.em_step_full(X, weight, means, factors, constants, False, *complete)
    assert one == pytest.approx(other, rel=1e-12)
    for actual, expected in zip(with_gaps, complete, strict=True):
        assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def test_gaps_in_a_singular_covariance_are_an_error():
    pattern = np.array([0, 1], dtype=np.intp), np.array([[1, 1, 0]], dtype=np.uint8)
    with pytest.raises(ValueError, match="not positive definite"):
        kernels.log_density_missing(
            np.zeros((1, 3)), *pattern, np.zeros((1, 3)), np.ones((1, 3, 3)), np.zeros(1), np.empty((1, 1))
        )


# --- softmax ---


def softmax_by(module, x):
    log_total, share = np.full(len(x), 7.0, x.dtype), np.full(x.shape, 7.0, x.dtype)
    with np.errstate(over="ignore"):  # of a row of the twin that has NaN
        assert module.softmax(x, log_total, share) is None
    return log_total, share


@settings(max_examples=150)
@given(
    n=st.integers(0, 100),
    k=st.integers(1, 40),
    dtype=st.sampled_from(DTYPES),
    spread=st.sampled_from([1e-3, 1.0, 30.0, 1e4]),
    centre=st.sampled_from([0.0, -500.0, 1e6]),
    odd=st.sampled_from([(), (-np.inf,), (-np.inf, np.nan, np.inf)]),
    seed=st.integers(0, 1000),
)
def test_softmax_equals_its_twin(n, k, dtype, spread, centre, odd, seed):
    rng = np.random.default_rng(seed)
    x = (centre + spread * rng.normal(size=(n, k))).astype(dtype)
    for value in odd:
        x[rng.random((n, k)) < 0.3 / k] = value
    before = x.copy()
    x.flags.writeable = False
    actual, expected = softmax_by(kernels, x), softmax_by(reference, x)
    assert_array_equal(x, before)
    assert_allclose(actual[0], expected[0], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert_allclose(actual[1], expected[1], rtol=TOLERANCE[dtype], atol=10 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 2, 3, 8, 17, 1000])
def test_softmax_is_exact_to_rounding(k, dtype):
    """Against extended precision: of the shares some units in the last place, of the logs one of the larger summand."""
    x = (5 * np.random.default_rng(k).normal(size=(200, k))).astype(dtype)
    log_total, share = softmax_by(kernels, x)
    wide = x.astype(np.longdouble)
    total = np.exp(wide).sum(axis=1)
    eps = np.finfo(dtype).eps
    top = np.abs(x.max(axis=1))
    assert (np.abs(log_total - np.log(total)) <= eps * (2 + np.sqrt(k) + top)).all()
    assert (np.abs(share / (np.exp(wide) / total[:, None]) - 1) <= (8 + np.sqrt(k)) * eps * (1 + np.ptp(x))).all()
    assert_allclose(share.sum(axis=1, dtype=np.float64), 1, rtol=k * eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_what_cannot_be(dtype):
    inf, nan = np.inf, np.nan
    x = [[0, 0, -inf], [-inf, -inf, -inf], [nan, 0, 0], [0, -inf, nan], [inf, 0, 0], [inf, inf, -inf], [-inf, 5, -inf]]
    log_total, share = softmax_by(kernels, np.array(x, dtype=dtype))
    assert_allclose(log_total, [np.log(2), -inf, nan, nan, nan, nan, 5], rtol=1e-6)
    third = [1 / 3] * 3
    expected = [[0.5, 0.5, 0], third, [nan] * 3, [nan] * 3, [nan] * 3, [nan] * 3, [0, 1, 0]]
    assert_allclose(share, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_the_largest_numbers(dtype):
    """Differences beyond the range are shares of 0."""
    most = np.finfo(dtype).max
    log_total, share = softmax_by(kernels, np.array([[most, -most], [-most, -most], [most, most]], dtype=dtype))
    assert_array_equal(log_total, np.array([most, -most, most], dtype=dtype))
    assert_array_equal(share, [[1, 0], [0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_a_row_does_not_hang_on_the_others(dtype):
    """Rows are taken in tiles of 32: the same bits wherever a row lies, and nothing is written beyond the last."""
    x = (9 * np.random.default_rng(0).normal(size=(100, 5))).astype(dtype)
    log_total, share = softmax_by(kernels, x)
    for rows in (slice(1, 100), slice(31, 34), slice(7, 8), slice(0, 64)):
        assert_same_bits(softmax_by(kernels, np.ascontiguousarray(x[rows])), (log_total[rows], share[rows]))
    logs, shares = np.full(40, 7, dtype), np.full((40, 5), 7, dtype)
    kernels.softmax(x[:33], logs[:33], shares[:33])
    assert_same_bits((logs[:33], shares[:33]), (log_total[:33], share[:33]))
    assert (logs[33:] == 7).all()
    assert (shares[33:] == 7).all()


def test_shapes_that_do_not_agree_are_refused():
    """The price of a wrong shape would be memory that is not ours."""
    X, weight, one = np.zeros((5, 2)), np.ones(5), np.zeros((1, 2))
    two, constants = np.zeros((2, 2)), np.zeros(2)
    with pytest.raises(ValueError, match="shapes"):
        kernels.em_step_diag(X, weight, two, two, constants, False, np.zeros(1), one, one)
    with pytest.raises(ValueError, match="shapes"):
        kernels.em_step_full(
            X, weight, two, np.zeros((2, 2, 2)), constants, False, np.zeros(2), two, np.zeros((1, 2, 2))
        )
    with pytest.raises(ValueError, match="shapes"):
        kernels.log_density_diag(X, two, two, constants, np.zeros((5, 1)))
    with pytest.raises(ValueError, match="shapes"):
        kernels.log_density_full(X, two, np.zeros((2, 2, 2)), constants, np.zeros((4, 2)))
    x = np.zeros((4, 3))
    for log_total, share in [(np.zeros(3), x.copy()), (np.zeros(4), np.zeros((4, 2))), (np.zeros(4), np.zeros((3, 3)))]:
        with pytest.raises(ValueError, match="shapes"):
            kernels.softmax(x, log_total, share)
