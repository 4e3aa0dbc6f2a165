"""Accelerators on the death notices of test_engine.py, on linear maps, and against computations by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_engine import CHUNKS, MAXIMUM, START, PoissonMixture, PoissonParams

from emkit.acceleration import Adaptive, Anderson, NoAcceleration, Squarem
from emkit.engine import run_em

ACCELERATORS = [Squarem, Anderson, Adaptive]
STARTS = [
    START,
    PoissonParams(np.array([0.5, 0.5]), np.array([1.0, 4.0])),
    PoissonParams(np.array([0.2, 0.8]), np.array([0.5, 2.2])),
]


@pytest.mark.parametrize("start", STARTS, ids=range(3))
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_the_same_maximum_in_far_fewer_e_steps(accelerator, start):
    model = PoissonMixture()
    plain = run_em(model, start, CHUNKS, tol=1e-9, max_iter=10_000)
    fast = run_em(model, start, CHUNKS, tol=1e-9, max_iter=10_000, accelerator=accelerator(model))
    bound = 1e-9 * plain.stats.weight
    assert fast.converged
    assert MAXIMUM - fast.objective <= 3 * bound
    assert fast.objective >= plain.objective - 3 * bound
    assert fast.n_e_steps < plain.n_e_steps / (5 if accelerator is Squarem else 20)
    assert_allclose(fast.params.means, plain.params.means, rtol=1e-3)


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_objective_never_falls(accelerator):
    model = PoissonMixture()
    for start in STARTS:
        result = run_em(model, start, CHUNKS, tol=1e-9, accelerator=accelerator(model))
        assert all(step.change >= -1e-9 for step in result.history[1:])
        assert {step.phase for step in result.history} <= {"start", "em", "anderson", "squarem"}
        assert len({step.phase for step in result.history}) >= 3


class Vectors:
    """A model whose parameters are their own vector; `low` is refused by `from_vector`."""

    def __init__(self, low=-np.inf):
        self.low = low

    def to_vector(self, params):
        return np.asarray(params, dtype=float)

    def from_vector(self, vector, params):
        return None if (vector < self.low).any() else vector


def linear_map(p, seed=0):
    """A contraction x -> A x + b with real rates like those of EM, and its fixed point."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((p, p)) + 2 * np.eye(p)
    A = basis @ np.diag(np.linspace(0.3, 0.99, p)) @ np.linalg.inv(basis)
    fixed = rng.standard_normal(p)
    return lambda x: A @ (x - fixed) + fixed, fixed


def iterate(accelerator, mapping, x, n_steps):
    for _ in range(n_steps):
        image = mapping(x)
        proposal = accelerator.propose(x, image)
        x = image if proposal is None else proposal
    return x


@pytest.mark.parametrize("p", [2, 3, 4])
def test_anderson_solves_a_linear_map_in_about_p_steps(p):
    """It is GMRES there (Walker and Ni 2011, theorem 2.2), up to the damping."""
    mapping, fixed = linear_map(p)
    start = np.zeros(p)
    error = np.abs(iterate(Anderson(Vectors()), mapping, start, p + 5) - fixed).max()
    plain = np.abs(iterate(NoAcceleration(), mapping, start, p + 5) - fixed).max()
    assert error < 1e-5 * plain


def test_anderson_by_hand():
    """In two dimensions, two differences of residuals span everything: the secant through three points."""
    mapping, fixed = linear_map(2, seed=3)
    accelerator = Anderson(Vectors())
    accelerator._damping = 0.0
    x = np.array([5.0, -3.0])
    for _ in range(2):
        assert accelerator.propose(x, mapping(x)) is None
        x = mapping(x)
    assert_allclose(accelerator.propose(x, mapping(x)), fixed, rtol=1e-9)


def test_anderson_damping():
    accelerator, (mapping, _) = Anderson(Vectors()), linear_map(3)
    x = np.ones(3)
    for _ in range(2):
        accelerator.propose(x, mapping(x))
        x = mapping(x)
    before = accelerator._damping
    assert accelerator.propose(x, mapping(x)) is not None
    assert accelerator._damping == before / 2
    accelerator.reject()
    assert accelerator._damping == 50 * before
    x = mapping(x)
    assert accelerator.propose(x, mapping(x)) is None  # the window is empty again
    for _ in range(20):
        accelerator.reject()
    assert accelerator._damping == 1.0


def test_anderson_forgets_what_lies_outside_its_window():
    """After as many linear steps as the window holds, an earlier map does not matter any more."""
    mapping, _ = linear_map(5)

    def other(x):
        return 0.5 * x + 1

    with_past, without = Anderson(Vectors(), window=2), Anderson(Vectors(), window=2)
    x = np.ones(5)
    for _ in range(3):
        with_past.propose(x, other(x))
        x = x + 0.1
    points = [x]
    for _ in range(6):
        points.append(mapping(points[-1]))
    for point in points:
        a, b = with_past.propose(point, mapping(point)), without.propose(point, mapping(point))
    with_past._damping = without._damping = 1e-8
    a, b = (each.propose(points[-1] + 0.1, mapping(points[-1] + 0.1)) for each in (with_past, without))
    assert_allclose(a, b, rtol=1e-10)


def test_no_movement():
    """At a fixed point nothing is divided by zero."""
    x = np.array([1.0, 2.0])
    for accelerator in (Squarem(Vectors()), Anderson(Vectors()), Adaptive(Vectors())):
        for _ in range(12):
            proposal = accelerator.propose(x, x)
            assert proposal is None or np.array_equal(proposal, x)


def test_squarem_by_hand():
    """r = (1, 2), v = (-1/2, -1): a = -2, so theta_0 + 4 r + 4 v = theta_0 + 2 r."""
    accelerator = Squarem(Vectors())
    points = np.array([[0.0, 0.0], [1.0, 2.0], [1.5, 3.0]])
    assert accelerator.propose(points[0], points[1]) is None
    assert_allclose(accelerator.propose(points[1], points[2]), [2.0, 4.0], rtol=1e-15)


def test_squarem_by_hand_in_two_directions():
    r, v = np.array([3.0, 4.0]), np.array([-1.0, 0.0])
    accelerator, base = Squarem(Vectors()), np.array([1.0, 1.0])
    accelerator.propose(base, base + r)
    proposal = accelerator.propose(base + r, base + 2 * r + v)
    assert_allclose(proposal, base + 2 * 5 * r + 25 * v, rtol=1e-14)  # a = -|r| / |v| = -5


def test_squarem_finds_the_fixed_point_of_a_line():
    accelerator = Squarem(Vectors())

    def mapping(x):
        return 0.95 * x + 0.05 * 7

    assert_allclose(iterate(accelerator, mapping, np.array([0.0]), 2), [7.0], rtol=1e-12)


def test_squarem_reaches_less_far_after_a_rejection():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [1.9, 3.8]])  # a = -10
    accelerator = Squarem(Vectors())
    for a in (10, 5, 2.5, 1.25):
        accelerator.propose(points[0], points[1])
        proposal = accelerator.propose(points[1], points[2])
        assert_allclose(proposal, (2 * a - 0.1 * a * a) * points[1], rtol=1e-12)
        accelerator.reject()
    accelerator.propose(points[0], points[1])
    assert accelerator.propose(points[1], points[2]) is None  # no further than EM itself


def test_squarem_starts_anew_from_a_point_it_did_not_see():
    accelerator = Squarem(Vectors())
    accelerator.propose(np.array([0.0]), np.array([1.0]))
    assert accelerator.propose(np.array([5.0]), np.array([5.5])) is None
    assert accelerator.propose(np.array([5.5]), np.array([5.75])) == 6.0


@pytest.mark.parametrize("accelerator", [Squarem, Anderson])
def test_a_vector_out_of_range_is_no_proposal(accelerator):
    mapping, _ = linear_map(2)
    refusing = accelerator(Vectors(low=1e6))
    x = np.array([5.0, -3.0])
    for _ in range(6):
        assert refusing.propose(x, mapping(x)) is None
        x = mapping(x)


def propose_along(accelerator, mapping, x, n_steps):
    """Names under which `accelerator` proposes, each proposal being rejected."""
    names = []
    for _ in range(n_steps):
        if accelerator.propose(x, mapping(x)) is not None:
            names.append(accelerator.name)
            accelerator.reject()
        x = mapping(x)
    return names


def test_adaptive_leaves_anderson_after_a_rejection_and_comes_back():
    mapping, _ = linear_map(3)
    names = propose_along(Adaptive(Vectors()), mapping, np.ones(3), 60)
    assert names[0] == "anderson"
    assert names[1] == "squarem"
    changes = [i for i in range(1, len(names)) if names[i] == "anderson"]
    assert len(changes) >= 2
    assert changes[1] - changes[0] > changes[0]  # longer each time


def test_adaptive_is_anderson_while_nothing_is_rejected():
    mapping, fixed = linear_map(3)
    accelerator = Adaptive(Vectors())
    x = iterate(accelerator, mapping, np.zeros(3), 25)
    assert accelerator.name == "anderson"
    assert_allclose(x, fixed, rtol=1e-7)


def test_no_acceleration():
    accelerator = NoAcceleration()
    assert accelerator.propose(START, START) is None
    with pytest.raises(AssertionError):
        accelerator.reject()
