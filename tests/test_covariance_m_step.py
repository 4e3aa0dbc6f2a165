"""The M-step of each covariance type against direct numerical maximisation over the type's own parameters."""

import numpy as np
import pytest
from covariance_kinds import ALIASES, MCLUST, SHARING, from_numbers, n_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from emkit.families.covariance import COVARIANCES, SingularCovarianceError
from emkit.families.covariance.variances import WIDEST, free, one_shape, one_volume, same

MATRICES = tuple(name for name in MCLUST if name[2] != "I")
UNITLESS = ("EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV")
TURNABLE = ("EII", "VII", *MATRICES)


def scatters(seed, k=3, d=3, rows=20):
    """Scatter matrices (k, d, d) of random rows of different shapes, and their counts (k,)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((k, rows, d)) @ (rng.standard_normal((k, d, d)) + np.eye(d))
    return X.swapaxes(1, 2) @ X, rng.uniform(5, 30, k)


def as_type(name, matrices):
    """Of scatter matrices, what the type keeps of them."""
    covariance = COVARIANCES[name]
    out = covariance.zero_scatter(*matrices.shape[:2])
    covariance.add_matrices(matrices, out)
    return out


def dense(name, covariances, k, d):
    return COVARIANCES[name].dense(covariances, k, d)


def start(name, k, d):
    return COVARIANCES[name].from_variances(np.ones(d), k)


def fitted(name, matrices, counts, floor=0.0, scale=None, steps=1, before=None):
    """M-steps from equal covariances, or from those `before`."""
    k, d = matrices.shape[:2]
    covariance = COVARIANCES[name]
    scale = np.ones(d) if scale is None else scale
    covariances = covariance.from_variances(scale**2, k) if before is None else before
    for _ in range(steps):
        estimate = covariance.estimate(as_type(name, matrices), counts, covariances, scale, floor)
        covariances = covariance.prepare(estimate, scale, floor, k).covariances
    return covariances


def loss(matrices, counts, covariances):
    """Minus twice the expected log-likelihood, less a constant."""
    _, log_dets = np.linalg.slogdet(covariances)
    return counts @ log_dets + np.trace(np.linalg.solve(covariances, matrices), axis1=1, axis2=2).sum()


def numerical_minimum(name, matrices, counts, n_starts, seed=0):
    k, d = matrices.shape[:2]
    rng = np.random.default_rng(seed)
    size = np.log(np.trace(matrices.sum(axis=0)) / counts.sum() / d)
    best = np.inf
    for _ in range(n_starts):
        first = rng.normal(0, 0.7, n_numbers(name, k, d))
        first[:1] += size
        result = minimize(lambda v: loss(matrices, counts, from_numbers(name, v, k, d)[0]), first, method="BFGS")
        best = min(best, result.fun)
    return best


@pytest.mark.parametrize("name", MCLUST)
def test_it_is_the_numerical_maximum(name):
    """Closed forms at once, others after some M-steps (for the shared shape or axes, EM goes on from step to step)."""
    k, d = 2, 3
    matrices, counts = scatters(1, k, d)
    ours = loss(matrices, counts, dense(name, fitted(name, matrices, counts, steps=100), k, d))
    best = numerical_minimum(name, matrices, counts, n_starts=8 if name[2] != "I" else 2)
    assert ours == pytest.approx(best, abs=1e-5)
    if name in ("EII", "VII", "EEI", "EVI", "VVI", "EEE", "EEV", "EVV", "VVV"):
        once = loss(matrices, counts, dense(name, fitted(name, matrices, counts), k, d))
        assert once == pytest.approx(ours, abs=1e-9)


@pytest.mark.parametrize("name", MCLUST)
def test_number_of_free_parameters(name):
    for k in (1, 2, 5):
        for d in (1, 2, 4):
            assert COVARIANCES[name].n_free(k, d) == n_numbers(name, k, d)


@pytest.mark.parametrize(
    ("name", "count"), zip(MCLUST, [1, 3, 4, 6, 10, 12, 10, 12, 16, 18, 22, 24, 28, 30], strict=True)
)
def test_number_of_free_parameters_is_that_of_mclust(name, count):
    """nVarParams(name, d=4, G=3) of mclust 6.0."""
    assert COVARIANCES[name].n_free(3, 4) == count


@pytest.mark.parametrize("name", SHARING)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 3, 20])),
    floor=st.sampled_from([0.0, 1e-6, 1e-2, 0.5]),
    unit=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_a_step_raises_the_likelihood_and_stays_of_the_type_above_the_floor(name, seed, size, floor, unit):
    """Whatever the units, and with fewer rows than features."""
    k, d, rows = size
    scale = np.exp(unit * np.random.default_rng(seed).standard_normal(d))
    matrices, counts = scatters(seed, k, d, rows)
    matrices = matrices * np.outer(scale, scale)
    covariance = COVARIANCES[name]
    covariances = fitted(name, *scatters(seed + 1, k, d), floor, scale)
    before = loss(matrices, counts, dense(name, covariances, k, d))
    for _ in range(5):
        try:
            covariances = fitted(name, matrices, counts, floor, scale, before=covariances)
        except SingularCovarianceError:
            assert floor == 0
            return
        after = loss(matrices, counts, dense(name, covariances, k, d))
        condition = np.linalg.cond(dense(name, covariances, k, d) / np.outer(scale, scale)).max()
        assert after <= before + 1e-15 * (1e4 + 100 * condition) * (abs(before) + counts.sum())
        if floor:
            assert covariance.widths(covariances, scale, k)[0].min() >= floor * (1 - 1e-9 - 1e-15 * condition)
        if condition < 1e8:  # else on the way to a singular one, where digits are lost
            covariance.require_type(covariances, "covariances")
        before = after


@pytest.mark.parametrize("name", SHARING)
def test_a_step_from_its_result_changes_nothing(name):
    matrices, counts = scatters(2, rows=8)
    once = fitted(name, matrices, counts, 0.3, steps=200)
    again = fitted(name, matrices, counts, 0.3, before=once)
    assert_allclose(again, once, rtol=1e-4, atol=1e-4)


def numerical_variances(kind, squares, counts, lowest, highest):
    """The convex problem in log variances, under its bounds."""
    k, d = squares.shape
    if kind == "one_volume":
        equal = [{"type": "eq", "fun": lambda v: np.diff(v.reshape(k, d).sum(axis=1))}] if k > 1 else []
    else:  # differences between features are the same in each component
        equal = [{"type": "eq", "fun": lambda v: np.diff(np.diff(v.reshape(k, d), axis=1), axis=0).ravel()}]
        equal = equal if k > 1 and d > 1 else []
    result = minimize(
        lambda v: counts @ v.reshape(k, d).sum(axis=1) + (squares * np.exp(-v.reshape(k, d))).sum(),
        np.broadcast_to(np.log(lowest).max() + 0.5, (k, d)).ravel(),
        jac=lambda v: (counts[:, None] - squares * np.exp(-v.reshape(k, d))).ravel(),
        method="SLSQP",
        bounds=list(zip(np.log(lowest).ravel(), np.log(highest).ravel(), strict=True)),
        constraints=equal,
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    return result.fun if result.success else np.inf


# older versions of SciPy say when they clip a step that is outside by a rounding
@pytest.mark.filterwarnings("ignore:Values in x were outside bounds:RuntimeWarning")
@pytest.mark.parametrize("rule", [one_shape, one_volume])
@pytest.mark.parametrize("seed", range(12))
def test_variances_with_something_in_common_under_a_floor(rule, seed):
    rng = np.random.default_rng(seed)
    k, d = rng.integers(1, 4, 2)
    squares = np.exp(rng.normal(0, 2, (k, d))) * (rng.random((k, d)) < (0.7 if seed % 2 else 1.1))
    counts, floor = rng.uniform(0.5, 5, k), 10.0 ** rng.uniform(-3, 0)
    units = np.exp(rng.normal(0, 1, (k, d)))
    volumes = np.full(k, (floor * units).max())
    for _ in range(200):
        variances = rule(squares, counts, floor, units, lambda: volumes)  # noqa: B023  # called within the round
        volumes = np.exp(np.log(variances).mean(axis=1))
    ours = counts @ np.log(variances).sum(axis=1) + (squares / variances).sum()
    best = numerical_variances(rule.__name__, squares, counts, floor * units, WIDEST * units)
    assert (variances >= floor * units * (1 - 1e-9)).all()
    shares = np.log(variances) - np.log(variances).mean(axis=0 if rule is one_volume else 1, keepdims=True)
    if rule is one_volume:
        assert_allclose(np.log(variances).sum(axis=1), np.log(variances[0]).sum(), atol=1e-8)
    else:
        assert_allclose(shares, np.broadcast_to(shares[:1], shares.shape), atol=1e-8)
    if rule is one_volume:
        assert ours == pytest.approx(best, abs=1e-6) or best == np.inf
    else:  # by turns: not below the optimum, and at it where the floor does not couple volumes and shape
        assert ours >= best - 1e-6
        assert (variances <= floor * units * (1 + 1e-9)).any() or ours == pytest.approx(best, abs=1e-6)


def test_variances_without_anything_in_common_or_all():
    squares, counts = np.array([[4.0, 0.0], [2.0, 6.0]]), np.array([2.0, 1.0])
    assert_array_equal(free(squares, counts, 0.5, np.ones(2), None), [[2, 0.5], [2, 6]])
    assert_array_equal(same(squares, counts, 3.0, np.array([1.0, 0.5]), None), [[3, 2], [3, 2]])


class TestWhereTypesCoincide:
    @pytest.mark.parametrize("name", MCLUST)
    def test_one_component(self, name):
        matrices, counts = scatters(3, k=1)
        twin = {"I": "VVI", "E": "VVV", "V": "VVV"}[name[2]] if name[1] != "I" else "VII"
        ours, other = (dense(n, fitted(n, matrices, counts, 1e-3), 1, 3) for n in (name, twin))
        assert_allclose(ours, other, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("name", MCLUST)
    def test_one_feature(self, name):
        matrices, counts = scatters(3, d=1)
        ours, other = (dense(n, fitted(n, matrices, counts, 1e-3), 3, 1) for n in (name, f"{name[0]}II"))
        assert_allclose(ours, other, rtol=1e-9)

    @pytest.mark.parametrize(("name", "other"), ALIASES.items())
    def test_names_of_scikit_learn(self, name, other):
        matrices, counts = scatters(4)
        assert_array_equal(fitted(name, matrices, counts, 1e-3), fitted(other, matrices, counts, 1e-3))
        assert COVARIANCES[name].shape(3, 2) == COVARIANCES[other].shape(3, 2)

    @pytest.mark.parametrize("name", MCLUST)
    def test_equal_scatter(self, name):
        """Where the components' scatter is the same, so are the covariances, and what is free is not used."""
        matrices = np.repeat(scatters(5, k=1)[0], 3, axis=0)
        counts = np.full(3, 10.0)
        twin = "EII" if name[1] == "I" else "EEI" if name[2] == "I" else "EEE"
        ours, other = (dense(n, fitted(n, matrices, counts, 1e-3), 3, 3) for n in (name, twin))
        assert_allclose(ours, other, rtol=1e-6, atol=1e-6)


def random_rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


class TestInvariance:
    @pytest.mark.parametrize("name", TURNABLE)
    @settings(max_examples=10)
    @given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4), d=st.integers(1, 4), floor=st.sampled_from([0.0, 1e-3]))
    def test_rotation(self, name, seed, k, d, floor):
        """Of scatter and present covariances turns those of the next step."""
        matrices, counts = scatters(seed, k, d)
        turn = random_rotation(np.random.default_rng(seed), d)
        before = fitted(name, *scatters(seed + 1, k, d), floor)
        turned = before if name[1] == "I" else turn @ before @ turn.T
        ours = dense(name, fitted(name, matrices, counts, floor, before=before), k, d)
        other = dense(name, fitted(name, turn @ matrices @ turn.T, counts, floor, before=turned), k, d)
        assert_allclose(other, turn @ ours @ turn.T, atol=1e-7 * np.abs(ours).max())

    @pytest.mark.parametrize("name", UNITLESS)
    @settings(max_examples=10)
    @given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4), d=st.integers(1, 4), floor=st.sampled_from([0.0, 0.1]))
    def test_units(self, name, seed, k, d, floor):
        matrices, counts = scatters(seed, k, d)
        scale = np.exp(np.random.default_rng(seed).normal(0, 5, d))
        units = np.outer(scale, scale)
        ours = dense(name, fitted(name, matrices, counts, floor), k, d)
        assert_allclose(
            dense(name, fitted(name, matrices * units, counts, floor, scale), k, d), ours * units, rtol=1e-6
        )

    @pytest.mark.parametrize("name", MCLUST)
    @pytest.mark.parametrize("floor", [0.0, 0.2])
    def test_order_of_components_and_features(self, name, floor):
        matrices, counts = scatters(6, 4, 3)
        components, features = [2, 0, 3, 1], [1, 2, 0]
        permuted = matrices[components][:, features][:, :, features]
        ours = dense(name, fitted(name, matrices, counts, floor, steps=50), 4, 3)[components][:, features][
            :, :, features
        ]
        other = dense(name, fitted(name, permuted, counts[components], floor, steps=50), 4, 3)
        assert_allclose(other, ours, atol=1e-4 * np.abs(ours).max())

    @pytest.mark.parametrize("name", MCLUST)
    def test_upper_triangle_of_scatter_is_not_read(self, name):
        matrices, counts = scatters(7)
        scatter = as_type(name, matrices)
        if scatter.ndim == 3:
            scatter = np.tril(scatter) + np.triu(np.full(scatter.shape, np.nan), 1)
        estimate = COVARIANCES[name].estimate(scatter, counts, start(name, 3, 3), np.ones(3), 1e-6)
        prepared = COVARIANCES[name].prepare(estimate, np.ones(3), 1e-6, 3)
        assert_allclose(prepared.covariances, fitted(name, matrices, counts, 1e-6), rtol=1e-12)


class TestOddComponents:
    @pytest.mark.parametrize("name", SHARING)
    def test_without_rows(self, name):
        """The others are as if it were not there; it keeps what is its own."""
        matrices, counts = scatters(8)
        before = fitted(name, *scatters(9), steps=5)
        matrices[1], counts[1] = 0, 0
        ours = fitted(name, matrices, counts, 1e-6, steps=80, before=before)
        others = fitted(name, matrices[[0, 2]], counts[[0, 2]], 1e-6, steps=80, before=before[[0, 2]])
        dense_before, dense_after = dense(name, before, 3, 3), dense(name, ours, 3, 3)
        assert_allclose(dense(name, ours, 3, 3)[[0, 2]], dense(name, others, 2, 3), rtol=1e-5, atol=1e-5)
        further = fitted(name, matrices, counts, 1e-6, before=ours)
        assert_allclose(dense(name, further, 3, 3), dense_after, rtol=1e-4, atol=1e-4)
        if name[1] == "V" and name[2] != "E":
            before_shape, after_shape = (m[1] / np.linalg.det(m[1]) ** (1 / 3) for m in (dense_before, dense_after))
            assert_allclose(after_shape, before_shape, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("name", SHARING)
    def test_a_constant_feature(self, name):
        """Rests at the floor; the rest is as if it were not there (given that volumes are free)."""
        matrices, counts = scatters(10, 3, 3)
        matrices[:, 2] = matrices[:, :, 2] = 0
        ours = dense(name, fitted(name, matrices, counts, 1e-6, steps=50), 3, 3)
        assert np.isfinite(ours).all()
        assert_allclose(ours[:, 2, :2], 0, atol=1e-7)
        assert ours[:, 2, 2].min() == pytest.approx(1e-6, rel=1e-6)
        if name in ("VVE", "EEV"):
            assert_allclose(
                ours[:, :2, :2], dense(name, fitted(name, matrices[:, :2, :2], counts, 1e-6, steps=50), 3, 2), atol=1e-4
            )

    @pytest.mark.parametrize("name", SHARING)
    def test_nothing_but_singular_scatter_and_no_floor(self, name):
        matrices, counts = scatters(11, 3, 3)
        matrices[:, 2] = matrices[:, :, 2] = 0
        with pytest.raises(SingularCovarianceError):
            fitted(name, matrices, counts)

    @pytest.mark.parametrize("name", ["EVI", "EVV", "EVE"])
    def test_growth_to_make_up_for_the_floor_has_an_end(self, name):
        """One row in five dimensions: four of them at the floor, and yet the volume of the others."""
        matrices, counts = scatters(12, 3, 5)
        matrices[1], counts[1] = 0, 1
        matrices[1, 0, 0] = 1
        widths = COVARIANCES[name].widths(fitted(name, matrices, counts, 1e-6, steps=5), np.ones(5), 3)[0]
        assert widths.max() <= WIDEST * (1 + 1e-9)
        assert widths.min() >= 1e-6 * (1 - 1e-9)

    @pytest.mark.parametrize("name", ["EVE", "VVE", "EEV", "VEV"])
    def test_features_of_very_different_units(self, name):
        """Twelve orders of magnitude: axes nearly those of the features, and no digits lost."""
        scale = np.array([1e6, 1.0, 1e-6])
        matrices, counts = scatters(13, 3, 3)
        matrices = matrices * np.outer(scale, scale)
        ours = fitted(name, matrices, counts, 1e-6, scale, steps=50)
        diagonal_twin = {"EVE": "EVI", "VVE": "VVI", "EEV": "EEI", "VEV": "VEI"}[name]
        diagonal = dense(diagonal_twin, fitted(diagonal_twin, matrices, counts, 1e-6, scale, steps=50), 3, 3)
        assert loss(matrices, counts, dense(name, ours, 3, 3)) < loss(matrices, counts, diagonal)
        step = fitted(name, matrices, counts, 1e-6, scale, before=ours)
        assert_allclose(step / np.outer(scale, scale), ours / np.outer(scale, scale), atol=1e-4)


class TestFloor:
    @pytest.mark.parametrize("name", MCLUST)
    @pytest.mark.parametrize("unit", [0.0, 2.0])
    def test_covariances_below_it_are_raised(self, name, unit):
        """As those of a start or of an extrapolation; what is at the floor stays as it is."""
        scale = np.exp(unit * np.array([1.0, 0.0, -1.0]))
        covariance = COVARIANCES[name]
        matrices, counts = scatters(15)
        low = fitted(name, 1e-3 * matrices * np.outer(scale, scale), counts, 0.0, scale, steps=5)
        assert covariance.widths(low, scale, 3)[0].min() < 0.01
        raised = covariance.prepare(low, scale, 0.01, 3).covariances
        assert covariance.widths(raised, scale, 3)[0].min() >= 0.01 * (1 - 1e-9)
        covariance.require_type(raised, "covariances")
        again = covariance.prepare(raised, scale, 0.01, 3).covariances
        assert_allclose(again / raised.max(), raised / raised.max(), atol=1e-9)


class TestVectors:
    @pytest.mark.parametrize("name", MCLUST)
    def test_there_and_back(self, name):
        scale = np.array([1.0, 100.0, 0.01])
        covariance = COVARIANCES[name]
        matrices, counts = scatters(14)
        covariances = fitted(name, matrices * np.outer(scale, scale), counts, 1e-3, scale, steps=10)
        roots = covariance.prepare(covariances, scale, 1e-3, 3).roots
        vector = covariance.to_vector(covariances, roots, scale)
        ours = dense(name, covariance.from_vector(vector, 3, scale), 3, 3) / np.outer(scale, scale)
        assert_allclose(ours, dense(name, covariances, 3, 3) / np.outer(scale, scale), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("name", SHARING)
    def test_any_vector_gives_covariances_of_the_type(self, name):
        covariance, rng = COVARIANCES[name], np.random.default_rng(0)
        covariances = start(name, 3, 3)
        roots = covariance.prepare(covariances, np.ones(3), 1e-6, 3).roots
        vector = covariance.to_vector(covariances, roots, np.ones(3))
        for _ in range(5):
            moved = covariance.from_vector(vector + rng.normal(0, 1, len(vector)), 3, np.ones(3))
            for _ in range(30):  # to the end of the inner steps, so that the type can be told strictly
                moved = covariance.nearest(moved, np.ones(3), np.ones(3), 0.0)
            covariance.require_type(moved, "covariances")
            assert (np.linalg.eigvalsh(dense(name, moved, 3, 3)) > 0).all()
