"""Stepwise EM against its formula, and its convergence on simulated data."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_engine import PoissonMixture, PoissonParams

from emkit.chunks import Rows
from emkit.engine import run_em
from emkit.families.covariance import COVARIANCES
from emkit.families.gaussian import GaussianFamily
from emkit.mixture import MixtureModel
from emkit.online import Averaging, OnlineState, learning_rate, online_step


class OnlinePoisson(PoissonMixture):
    """Its statistics are about nothing, so there is nothing to move."""

    def recentre(self, stats, params, new_params):
        return stats


TRUTH = PoissonParams(np.array([0.4, 0.6]), np.array([2.0, 9.0]))


def poisson_rows(seed, n):
    rng = np.random.default_rng(seed)
    X = rng.poisson(TRUTH.means[(rng.random(n) > TRUTH.weights[0]).astype(int)])
    return Rows(X[:, None].astype(float), rng.uniform(0.5, 1.5, n))


def first_state(model, params, rows):
    stats = model.e_step(params, rows)
    return OnlineState(params, stats * (1 / stats.weight), stats.weight, 0)


def test_learning_rate():
    assert learning_rate(0, delay=2, power=1) == 0.5
    assert learning_rate(6, delay=2, power=0.6) == pytest.approx(8**-0.6, rel=1e-15)
    assert learning_rate(3) == learning_rate(3, delay=2.0, power=0.6)
    rates = np.array([learning_rate(n) for n in range(10_000)])
    assert (np.diff(rates) < 0).all()
    assert rates[0] < 1


def test_one_step_by_hand():
    model, start = OnlinePoisson(), PoissonParams(np.array([0.5, 0.5]), np.array([1.0, 5.0]))
    state = replace(first_state(model, start, poisson_rows(0, 50)), n_steps=3)
    new = model.e_step(start, poisson_rows(1, 20))
    rate = (state.weight / new.weight + 2) ** -0.6
    following = online_step(model, state, new)
    counts = (1 - rate) * state.stats.counts + rate * new.counts / new.weight
    sums = (1 - rate) * state.stats.sums + rate * new.sums / new.weight
    assert_allclose(following.stats.counts, counts, rtol=1e-13)
    assert_allclose(following.stats.sums, sums, rtol=1e-13)
    assert_allclose(following.params.weights, counts / counts.sum(), rtol=1e-13)
    assert_allclose(following.params.means, sums / counts, rtol=1e-13)
    assert following.stats.weight == pytest.approx(1, rel=1e-13)
    assert following.weight == state.weight + new.weight
    assert following.n_steps == 4


def test_the_unit_of_weights_does_not_matter():
    model, rows = OnlinePoisson(), poisson_rows(1, 20)
    state = first_state(model, TRUTH, poisson_rows(0, 50))
    once = online_step(model, state, model.e_step(TRUTH, rows))
    in_thirds = replace(state, weight=3 * state.weight)
    thrice = online_step(model, in_thirds, model.e_step(TRUTH, Rows(rows.X, 3 * rows.weight)))
    assert_allclose(thrice.params.means, once.params.means, rtol=1e-12)
    assert thrice.weight == pytest.approx(3 * once.weight, rel=1e-12)


def test_a_small_batch_moves_less_than_a_large_one():
    model = OnlinePoisson()
    state = first_state(model, TRUTH, poisson_rows(0, 50))
    batches = [Rows(np.full((n, 1), 9.0), np.ones(n)) for n in (2, 200)]
    sums = [online_step(model, state, model.e_step(TRUTH, batch)).stats.sums for batch in batches]
    assert abs(sums[0] - state.stats.sums).sum() < 0.3 * abs(sums[1] - state.stats.sums).sum()


def test_a_batch_without_weight_changes_nothing():
    model = OnlinePoisson()
    state = first_state(model, TRUTH, poisson_rows(0, 50))
    empty = model.e_step(TRUTH, Rows(np.array([[3.0]]), np.zeros(1)))
    assert online_step(model, state, empty) is state


def test_statistics_are_moved_to_the_new_params():
    """As if the old ones had been taken about the new means."""
    model = mixture_model()
    state = first_state(model, first_params(model), gaussian_rows(0, 200))
    new = model.e_step(state.params, gaussian_rows(1, 100))
    following = online_step(model, state, new)
    rate = learning_rate(200 / 100)
    mixed = state.stats * (1 - rate) + new * (rate / new.weight)
    expected = model.m_step(mixed, state.params).components
    assert_allclose(following.params.components.means, expected.means, rtol=1e-12)
    again = model.m_step(following.stats, following.params).components  # nothing new: nothing moves
    assert_allclose(again.means, expected.means, rtol=1e-9)
    assert_allclose(again.covariances, expected.covariances, rtol=1e-9)
    _, sums, _ = following.stats.moments
    assert_allclose(sums, 0, atol=1e-12)


def test_convergence_of_a_poisson_mixture():
    """Close to the maximum of the likelihood of all rows, each seen once."""
    model = OnlinePoisson()
    batches = [poisson_rows(seed, 100) for seed in range(200)]
    state = first_state(model, PoissonParams(np.array([0.5, 0.5]), np.array([1.0, 5.0])), batches[0])
    for rows in batches:
        state = online_step(model, state, model.e_step(state.params, rows))
    best = run_em(model, TRUTH, batches, tol=1e-8)
    start = run_em(model, PoissonParams(np.array([0.5, 0.5]), np.array([1.0, 5.0])), batches, max_iter=0)
    online = run_em(model, state.params, batches, max_iter=0)
    assert best.objective - online.objective < 1e-3 * (best.objective - start.objective)
    assert_allclose(state.params.means, TRUTH.means, rtol=0.05)
    assert_allclose(state.params.weights, TRUTH.weights, atol=0.03)
    assert state.n_steps == 200


def gaussian_rows(seed, n, offset=0.0):
    rng = np.random.default_rng(seed)
    return Rows(offset + rng.standard_normal((n, 2)) + 4 * rng.integers(2, size=(n, 1)), np.ones(n))


def mixture_model():
    return MixtureModel(GaussianFamily(COVARIANCES["full"], 2, np.ones(2), 1e-6, np.dtype(np.float64)))


def first_params(model, offset=0.0):
    rows = gaussian_rows(99, 100, offset)
    return model.init_params([rows], np.random.default_rng(0))


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_convergence_of_a_gaussian_mixture(offset):
    """The means wander, and the old statistics with them; far from zero nothing cancels."""
    model = mixture_model()
    batches = [gaussian_rows(seed, 100, offset) for seed in range(100)]
    state = first_state(model, first_params(model, offset), batches[0])
    for rows in batches:
        state = online_step(model, state, model.e_step(state.params, rows))
    best = run_em(model, state.params, batches, tol=1e-8)
    online = run_em(model, state.params, batches, max_iter=0)
    assert best.objective - online.objective < 5e-3 * best.stats.weight  # the last rate is 0.06: as from 3000 rows
    order = np.argsort(state.params.components.means[:, 0])
    assert_allclose(state.params.components.means[order] - offset, [[0, 0], [4, 4]], atol=0.2)
    assert_allclose(state.params.components.covariances[order], [np.eye(2)] * 2, atol=0.2)


def test_the_state_is_left_as_it_was():
    model = OnlinePoisson()
    state = first_state(model, TRUTH, poisson_rows(0, 50))
    copy = replace(state.stats, counts=state.stats.counts.copy(), sums=state.stats.sums.copy())
    online_step(model, state, model.e_step(TRUTH, poisson_rows(1, 20)))
    assert (state.stats.counts == copy.counts).all()
    assert (state.stats.sums == copy.sums).all()


def averaged(model, state, batches):
    """Where steps with an average end, and the states of steps without."""
    steps, states, last = Averaging(), [state], state
    for number, rows in enumerate(batches):
        steps.is_last = number == len(batches) - 1
        last = steps(model, last, model.e_step(last.params, rows))
        states.append(online_step(model, states[-1], model.e_step(states[-1].params, rows)))
    return last, states


def shares_of(states):
    """Of each state in the average, by the weight that had been seen before and after."""
    powers = np.array([state.weight for state in states]) ** 4.0
    return np.diff(powers, prepend=0) / powers[-1]


def test_the_average_by_hand():
    model = OnlinePoisson()
    batches = [poisson_rows(seed, n) for seed, n in enumerate([50, 20, 90, 1, 40])]
    last, states = averaged(model, first_state(model, TRUTH, batches[0]), batches[1:])
    counts, sums = (shares_of(states) @ [getattr(state.stats, name) for state in states] for name in ("counts", "sums"))
    assert_allclose(last.stats.counts, counts, rtol=1e-12)
    assert_allclose(last.params.weights, counts / counts.sum(), rtol=1e-12)
    assert_allclose(last.params.means, sums / counts, rtol=1e-12)
    assert (last.weight, last.n_steps) == (states[-1].weight, states[-1].n_steps)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_average_of_centred_statistics(offset):
    """As that of the moments about one point for all, of which parameters are found directly."""
    model = mixture_model()
    batches = [gaussian_rows(seed, 50 + 10 * seed, offset) for seed in range(8)]
    state = first_state(model, first_params(model, offset), batches[0])
    last, states = averaged(model, state, batches)
    counts, sums, squares = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2, 2))
    for share, state in zip(shares_of(states), states, strict=True):
        n, s, scatter = state.stats.moments
        means = state.params.components.means - offset
        scatter = np.tril(scatter) + np.tril(scatter, -1).swapaxes(1, 2)
        cross = np.einsum("ki,kj->kij", s, means)
        about_zero = scatter + cross + cross.swapaxes(1, 2) + np.einsum("k,ki,kj->kij", n, means, means)
        counts, squares = counts + share * n, squares + share * about_zero
        sums = sums + share * (s + n[:, None] * means)
    means = sums / counts[:, None]
    assert_allclose(last.params.weights, counts, rtol=1e-8)
    assert_allclose(last.params.components.means - offset, means, rtol=1e-7, atol=1e-8)
    covariances = squares / counts[:, None, None] - np.einsum("ki,kj->kij", means, means)
    assert_allclose(last.params.components.covariances, covariances, rtol=1e-6, atol=1e-6)
    again = model.m_step(last.stats, last.params).components  # statistics are those about the parameters
    assert_allclose(again.means, last.params.components.means, rtol=1e-9, atol=1e-9)


def test_the_average_is_less_noisy_than_its_last_step():
    model = OnlinePoisson()
    everything = [poisson_rows(1000 + seed, 200) for seed in range(50)]
    best = run_em(model, TRUTH, everything, tol=1e-12)
    lost = []
    for order in range(5):
        batches = [everything[index] for index in np.random.default_rng(order).permutation(50)]
        last, states = averaged(model, first_state(model, best.params, batches[0]), batches)
        ends = (run_em(model, state.params, everything, max_iter=0) for state in (last, states[-1]))
        lost.append([best.objective - end.objective for end in ends])
    with_average, without = np.mean(lost, axis=0)
    assert with_average < 0.5 * without


def test_batches_without_weight_leave_the_average_as_it_is():
    model = OnlinePoisson()
    batches = [poisson_rows(seed, 30) for seed in range(3)]
    empty = Rows(np.array([[3.0]]), np.zeros(1))
    state = first_state(model, TRUTH, batches[0])
    one, _ = averaged(model, state, batches)
    other, _ = averaged(model, state, [empty, *batches[:2], empty, batches[2]])
    assert_allclose(one.params.means, other.params.means, rtol=1e-13)
    same, _ = averaged(model, state, [*batches, empty])
    assert_allclose(one.params.means, same.params.means, rtol=1e-13)
