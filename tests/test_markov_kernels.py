"""Each kernel of hidden Markov chains against its NumPy twin, and what the twins cannot show: blocks, flags, shapes."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from emkit.families.base import log
from emkit.kernels import _markov as kernels
from emkit.kernels import markov_reference as reference

STATES = [*range(1, 10), 12, 13, 16, 17, 33]
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


class Problem(NamedTuple):
    log_density: np.ndarray  # (n, k)
    starts: np.ndarray
    weight: np.ndarray
    startprob: np.ndarray
    transmat: np.ndarray

    @property
    def k(self):
        return len(self.startprob)

    def padded(self, values, fill=0.0):
        out = np.full(kernels.padded_width(self.k), fill)
        out[: self.k] = values
        return out

    def scaled(self, module=reference):
        n = len(self.log_density)
        density, log_scale = np.full((n, kernels.padded_width(self.k)), np.nan), np.full(n, np.nan)
        module.scale_rows(self.log_density, density, log_scale)
        return density, log_scale

    def smooth(self, module, place=np.array):
        """Results of `forward_backward`, statistics added to ones; `place` copies an array to where it shall lie."""
        density, log_scale = self.scaled()
        n_sequences, k = len(self.weight), self.k
        results = [
            density,
            np.full(n_sequences, np.nan),
            np.full(n_sequences, 7, np.uint8),
            np.ones(k),
            np.ones((k, k)),
        ]
        density, log_likelihood, unsafe, first, pairs = (place(a) for a in results)
        inputs = [log_scale, self.starts, self.weight, self.padded(self.startprob), self.transmat]
        module.forward_backward(density, *(place(a) for a in inputs), log_likelihood, unsafe, first, pairs)
        return density, log_likelihood, unsafe, first, pairs

    def there_and_back(self, module, tail=None, entry=None, place=np.array):
        """Results of `forward` and `backward` for the only sequence."""
        density, log_scale = self.scaled()
        n, width = density.shape
        entry = self.padded(self.startprob) if entry is None else entry
        impossible = density[0] * entry == 0
        density, moves, alpha = place(density), place(self.transmat), place(np.full((n, width), np.nan))
        inverse, head, pairs = (
            place(a) for a in (np.empty(n + 4 + width), np.full(width, np.nan), np.ones((self.k,) * 2))
        )
        log_likelihood = module.forward(density, place(entry), moves, alpha, inverse) + log_scale.sum()
        tail = None if tail is None else place(tail)
        module.backward(density, alpha, inverse, self.weight[0], moves, tail, head, pairs)
        head[impossible] = 0  # where it may be anything
        return density, head, log_likelihood, pairs, alpha, inverse[:n]

    def filter(self, module, place=np.array, in_place=False, entry=None):
        density = place(self.scaled()[0])
        filtered = density if in_place else place(np.full_like(density, np.nan))
        normaliser, unsafe = np.full(len(density), np.nan), np.full(len(self.weight), 7, np.uint8)
        entry = self.padded(self.startprob) if entry is None else entry
        module.filter_rows(density, self.starts, entry, self.transmat, filtered, normaliser, unsafe)
        return filtered, normaliser, unsafe

    def in_logs(self, module, place=np.array):
        """Results of `log_filter` and `log_smooth`."""
        n, k = self.log_density.shape
        state, normaliser = place(np.full((n, kernels.padded_width(k)), np.nan)), place(np.full(n, np.nan))
        density, moves, entry = (
            place(self.log_density),
            place(log(self.transmat)),
            self.padded(log(self.startprob), -np.inf),
        )
        assert module.log_filter(density, self.starts, place(entry), moves, state, normaliser) == -1
        filtered, first, pairs = state[:, :k].copy(), np.ones(k), np.ones((k, k))
        module.log_smooth(density, self.starts, self.weight, moves, normaliser, state, first, pairs)
        return np.exp(filtered), normaliser, state, first, pairs

    def viterbi(self, module, place=np.array):
        path, log_probability = place(np.full(len(self.log_density), -9)), place(np.full(len(self.weight), np.nan))
        entry = place(self.padded(log(self.startprob), -np.inf))
        module.viterbi(place(self.log_density), self.starts, entry, place(log(self.transmat)), path, log_probability)
        return path, log_probability

    def k_best(self, module, n_best):
        path, log_probability = np.full((n_best, len(self.log_density)), -9), np.full(n_best, np.nan)
        module.viterbi_k_best(self.log_density, log(self.startprob), log(self.transmat), path, log_probability)
        return path, log_probability

    def log_joint(self, path):
        """Of one path of all rows."""
        moves = log(self.transmat)[path[:-1], path[1:]].sum()
        return log(self.startprob)[path[0]] + moves + self.log_density[np.arange(len(path)), path].sum()


def problem(k, lengths=(7,), zeros=False, seed=0, spread=2.0):
    """With `zeros` some transitions, starts and densities are impossible, but never all ways."""
    rng = np.random.default_rng([k, seed, *lengths])
    n = sum(lengths)
    log_density, startprob, transmat = rng.normal(size=(n, k)) * spread, rng.random(k), rng.random((k, k)) + 0.01
    if zeros and k > 1:
        transmat *= rng.random((k, k)) < 0.6
        np.fill_diagonal(transmat, 1)
        startprob *= rng.random(k) < 0.6
        startprob[0] = 1
        log_density[:, 1:][rng.random((n, k - 1)) < 0.2] = -np.inf  # so that staying in state 0 is always possible
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    transmat /= transmat.sum(axis=1, keepdims=True)
    return Problem(log_density, starts, rng.uniform(0, 3, len(lengths)), startprob / startprob.sum(), transmat)


def unaligned(array):
    """The same values at an odd multiple of 8 bytes, or of one byte for bytes."""
    buffer = np.empty(array.size + 9, array.dtype)
    start = (-buffer.ctypes.data // 8) % 8 + 1 if array.dtype.itemsize == 8 else 1
    out = buffer[start : start + array.size].reshape(array.shape)
    out[...] = array
    return out


def assert_agree(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert_allclose(a, b, **CLOSE)


def check(p, place=np.array):
    assert_agree(p.scaled(kernels), p.scaled())
    assert_agree(p.smooth(kernels, place=place), p.smooth(reference))
    filtered = p.filter(reference)
    assert_agree(p.filter(kernels, place), filtered)
    assert_agree(p.filter(kernels, place, in_place=True), filtered)
    assert_agree(p.in_logs(kernels, place), p.in_logs(reference))
    assert_agree(p.viterbi(kernels, place), p.viterbi(reference))


# --- against the twins ---


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("k", STATES)
def test_every_number_of_states(k, zeros):
    assert kernels.padded_width(k) == reference.padded_width(k)
    check(problem(k, (1, 9, 2, 17), zeros))


@pytest.mark.parametrize("k", [2, 5, 17])
def test_every_length(k):
    """Outer products are added eight rows at a time."""
    for n in range(1, 31):
        check(problem(k, (n,)))
        check(problem(k, (n, 3, n), zeros=True))


@pytest.mark.parametrize("k", STATES)
def test_arrays_at_any_multiple_of_eight_bytes(k):
    check(problem(k, (1, 11), zeros=True), place=unaligned)
    p = problem(k, (9,))
    tail = p.padded(np.random.default_rng(0).random(k))
    assert_agree(p.there_and_back(kernels, tail, place=unaligned), p.there_and_back(reference, tail))


@settings(max_examples=60)
@given(
    k=st.integers(1, 40),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    zeros=st.booleans(),
    spread=st.sampled_from([0.0, 1.0, 8.0]),
    seed=st.integers(0, 1000),
)
def test_kernel_equals_its_twin(k, lengths, zeros, spread, seed):
    check(problem(k, lengths, zeros, seed, spread))


@pytest.mark.parametrize("k", STATES)
def test_scaling_of_any_densities(k):
    """Rows beyond the range of exp, rows of -inf, and rows of which only one state is possible."""
    rng = np.random.default_rng(k)
    rows = rng.normal(size=(12, k)) * np.logspace(-3, 6, 12)[:, None] + rng.normal(size=(12, 1)) * 1e5
    rows[3, 1:] = rows[5] = rows[11] = -np.inf
    for n in range(1, 13):
        p = problem(k, (n,))._replace(log_density=rows[:n].copy())
        density, log_scale = p.scaled(kernels)
        assert_allclose(density, p.scaled()[0], rtol=1e-15 * 4, atol=0)
        assert_array_equal(log_scale, p.scaled()[1])
        assert (density[:, k:] == 0).all()


# --- blocks of one sequence ---


@pytest.mark.parametrize("module", [kernels, reference], ids=["kernel", "twin"])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 6, 13, 17])
def test_blocks_make_a_whole(k, zeros, module):
    """A border after each row in turn."""
    n = 19
    whole = problem(k, (n,), zeros)
    expected = whole.smooth(reference)
    for border in range(1, n):
        one, two = (
            whole._replace(log_density=part.copy(), starts=np.array([0, len(part)]))
            for part in (whole.log_density[:border], whole.log_density[border:])
        )
        entry = whole.padded(one.filter(module)[0][-1, :k] @ whole.transmat)
        resp, head, log_likelihood, pairs, *_ = two.there_and_back(module, entry=entry)
        before = one.there_and_back(module, tail=head)
        assert_allclose(entry @ head, 1)
        assert_allclose(np.vstack([before[0], resp]), expected[0], **CLOSE)
        assert_allclose(before[2] + log_likelihood, expected[1], **CLOSE)
        assert_allclose(before[3] + pairs - 1, expected[4], **CLOSE)


@pytest.mark.parametrize("k", STATES)
def test_there_and_back(k):
    for n in (1, 2, 8, 9, 17):
        p = problem(k, (n,), zeros=n % 2 == 0)
        assert_agree(p.there_and_back(kernels), p.there_and_back(reference))


# --- beyond the range of doubles ---


def two_chains(log_density, crossing=0.0):
    """Two states that are (next to) never left."""
    transmat = np.array([[1 - crossing, crossing], [crossing, 1 - crossing]])
    lengths = [len(log_density)]
    return Problem(np.array(log_density, float), np.array([0, *lengths]), np.ones(1), np.array([0.5, 0.5]), transmat)


def test_a_state_that_may_come_back_is_flagged():
    p = two_chains([[-2000, 0], [0, -5000]])
    assert p.smooth(kernels)[2] == p.filter(kernels)[2] == 1
    assert (p.smooth(kernels)[3] == 1).all()  # nothing is added
    assert (p.smooth(kernels)[4] == 1).all()
    resp = p.in_logs(kernels)[2]
    assert_allclose(resp[:, :2], [[1, 0], [1, 0]])
    assert_agree(p.in_logs(kernels), p.in_logs(reference))


def test_a_chain_that_forgets_is_not_flagged():
    p = two_chains([[-2000, 0], [0, -5000]], crossing=0.01)
    assert p.smooth(kernels)[2] == 0
    assert_allclose(p.smooth(kernels)[0][:, :2], [[0, 1], [1, 0]], atol=1e-290)
    assert_allclose(p.smooth(kernels)[1], np.log(0.5 * 0.01))


def test_a_state_that_is_impossible_is_not_flagged():
    assert two_chains([[-np.inf, 0], [0, -1]]).smooth(kernels)[2] == 0
    p = two_chains([[-2000, 0], [0, -1]])._replace(startprob=np.array([0.0, 1.0]))
    assert p.smooth(kernels)[2] == p.filter(kernels)[2] == 0


def test_an_impossible_row():
    """The kernels flag the sequence, and the one in logs names the row; other sequences are computed."""
    p = problem(3, (4, 5, 4))
    density = p.log_density.copy()
    density[6] = -np.inf
    bad = p._replace(log_density=density)
    assert_array_equal(bad.smooth(kernels)[2], [0, 1, 0])
    assert_array_equal(bad.filter(kernels)[2], [0, 1, 0])
    expected = p.smooth(reference)
    assert_allclose(bad.smooth(kernels)[0][:4], expected[0][:4], **CLOSE)
    assert_allclose(bad.smooth(kernels)[0][9:], expected[0][9:], **CLOSE)
    for module in (kernels, reference):
        state, normaliser = np.empty((13, kernels.padded_width(3))), np.empty(13)
        entry = p.padded(log(p.startprob), -np.inf)
        assert module.log_filter(density, p.starts, entry, log(p.transmat), state, normaliser) == 6
        assert_allclose(normaliser[:6], p.in_logs(reference)[1][:6], **CLOSE)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("k", [2, 3, 9, 17])
def test_what_is_not_flagged_is_right(k, zeros):
    """Densities over hundreds of orders of magnitude: either flagged, or equal to the twin, which works in logs."""
    flagged = 0
    for seed in range(60):
        p = problem(k, (12,), zeros, seed, spread=[20.0, 200.0, 2000.0][seed % 3])
        results, expected = p.smooth(kernels), p.in_logs(reference)
        if results[2][0]:
            flagged += 1
            continue
        assert_allclose(results[0], expected[2], rtol=1e-9, atol=1e-12)
        assert_allclose(results[1], expected[1].sum(), rtol=1e-12, atol=1e-10)
        assert_allclose(results[3], expected[3], rtol=1e-9, atol=1e-12)
        assert_allclose(results[4], expected[4], rtol=1e-9, atol=1e-12)
    assert flagged == 0 if not zeros else flagged > 0


# --- paths ---


@pytest.mark.parametrize("k", STATES)
def test_ties_take_the_lowest_states(k):
    p = problem(k, (6, 1, 3))
    level = p._replace(
        log_density=np.zeros_like(p.log_density), startprob=np.full(k, 1 / k), transmat=np.full((k, k), 1 / k)
    )
    assert_array_equal(level.viterbi(kernels)[0], 0)
    rounded = level._replace(log_density=np.round(p.log_density / 4))  # many ties
    assert_agree(rounded.viterbi(kernels), rounded.viterbi(reference))


@pytest.mark.parametrize("k", STATES)
def test_the_way_forward_of_viterbi(k):
    for n in (1, 2, 9):
        p = problem(k, (n,), zeros=n % 2 == 0)
        values = [p.padded(log(p.startprob), -np.inf) for _ in range(2)]
        for module, value in zip((kernels, reference), values, strict=True):
            module.viterbi_forward(p.log_density, log(p.transmat), value)
        assert_allclose(*values, **CLOSE)
        assert_allclose(values[0].max(), p.viterbi(reference)[1][0], **CLOSE)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_k_best(k, zeros):
    for n, n_best in ((1, 1), (1, 12), (4, 10), (9, 3)):
        p = problem(k, (n,), zeros)
        path, log_probability = p.k_best(kernels, n_best)
        expected_path, expected = p.k_best(reference, n_best)
        assert_allclose(log_probability, expected, **CLOSE)
        assert_array_equal(path, expected_path)
        real = log_probability > -np.inf
        assert_allclose([p.log_joint(states) for states in path[real]], log_probability[real], **CLOSE)
        assert (path[~real] == -1).all()
        assert log_probability[0] == pytest.approx(p.viterbi(kernels)[1][0])


def test_k_best_among_ties():
    """All paths are equal: any will do, but they must be different ones."""
    p = problem(3, (3,))
    p = p._replace(log_density=np.zeros((3, 3)), startprob=np.full(3, 1 / 3), transmat=np.full((3, 3), 1 / 3))
    path, log_probability = p.k_best(kernels, 40)
    assert len(np.unique(path[:27], axis=0)) == 27
    assert_allclose(log_probability[:27], -3 * np.log(3))
    assert (log_probability[27:] == -np.inf).all()
    assert (path[27:] == -1).all()


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("k", STATES)
def test_paths_are_drawn_as_by_the_twin(k, zeros):
    p = problem(k, (9,), zeros)
    filtered = p.filter(reference)[0]
    uniform = np.random.default_rng(0).random((50, 9))
    uniform[0], uniform[1] = 0.0, np.nextafter(1, 0)
    paths = [np.full((50, 9), -9) for _ in range(2)]
    for module, path in zip((kernels, reference), paths, strict=True):
        module.sample_paths(filtered, p.transmat, uniform, np.empty(k), path)
    assert_array_equal(*paths)
    assert all(p.log_joint(path) > -np.inf for path in paths[0])


def test_frequencies_of_drawn_paths():
    p = problem(3, (4,))
    paths = np.indices((3,) * 4).reshape(4, -1).T
    joint = np.array([p.log_joint(path) for path in paths])
    expected = 50_000 * np.exp(joint - np.logaddexp.reduce(joint))
    drawn = np.empty((50_000, 4), np.intp)
    uniform = np.random.default_rng(0).random(drawn.shape)
    kernels.sample_paths(p.filter(kernels)[0], p.transmat, uniform, np.empty(3), drawn)
    observed = np.bincount(np.ravel_multi_index(drawn.T, (3,) * 4), minlength=81)
    often = expected > 5
    observed, expected = ([*counts[often], counts[~often].sum()] for counts in (observed, expected))
    chi_squared = sum((o - e) ** 2 / max(e, 1e-9) for o, e in zip(observed, expected, strict=True))
    assert chi2.sf(chi_squared, len(observed) - 1) > 1e-3


# --- shapes ---

K, N, WIDTH = 5, 6, 8
D, I, U = np.zeros, (lambda n: np.zeros(n, np.intp)), (lambda n: np.zeros(n, np.uint8))  # noqa: E741  # double, index, unsigned char
STARTS = np.array([0, 2, 6])
CALLS = {
    "scale_rows": [D((N, K)), D((N, WIDTH)), D(N)],
    "forward_backward": [
        D((N, WIDTH)), D(N), STARTS, D(2), D(WIDTH), D((K, K)), D(2), U(2), D(K), D((K, K)),
    ],
    "forward": [D((N, WIDTH)), D(WIDTH), D((K, K)), D((N, WIDTH)), D(N + 4 + WIDTH)],
    "backward": [D((N, WIDTH)), D((N, WIDTH)), D(N), np.float64(1), D((K, K)), D(WIDTH), D(WIDTH), D((K, K))],
    "filter_rows": [D((N, WIDTH)), STARTS, D(WIDTH), D((K, K)), D((N, WIDTH)), D(N), U(2)],
    "log_filter": [D((N, K)), STARTS, D(WIDTH), D((K, K)), D((N, WIDTH)), D(N)],
    "log_smooth": [D((N, K)), STARTS, D(2), D((K, K)), D(N), D((N, WIDTH)), D(K), D((K, K))],
    "viterbi": [D((N, K)), STARTS, D(WIDTH), D((K, K)), I(N), D(2)],
    "viterbi_forward": [D((N, K)), D((K, K)), D(WIDTH)],
    "viterbi_k_best": [D((N, K)), D(WIDTH), D((K, K)), np.zeros((2, N), np.intp), D(2)],
    "sample_paths": [D((N, WIDTH)), D((K, K)), D((2, N)), D(K), np.zeros((2, N), np.intp)],
}  # fmt: skip
WRONG = [
    (name, place, axis, change)
    for name, arguments in CALLS.items()
    for place, argument in enumerate(arguments)
    for axis in range(argument.ndim)
    for change in (-1, 1)
    if (name, place, axis) not in {("viterbi_k_best", 1, 0), ("sample_paths", 0, 1), ("backward", 2, 0)}  # or more
    if (name, place, axis, change) != ("scale_rows", 0, 1, 1)  # 6 states have the same width
    if (name, place, change) != ("forward", 4, 1)  # more room than needed
    if (name, place, axis) != ("viterbi_forward", 0, 0)  # any number of rows
]


def resized(array, axis, change):
    shape = list(array.shape)
    shape[axis] += change
    return np.resize(array, shape)


@pytest.mark.parametrize(("name", "place", "axis", "change"), WRONG)
def test_wrong_shapes(name, place, axis, change):
    arguments = [a.copy() for a in CALLS[name]]
    getattr(kernels, name)(*arguments)  # right as they are
    arguments[place] = resized(arguments[place], axis, change)
    with pytest.raises(ValueError, match="shapes of the arguments"):
        getattr(kernels, name)(*arguments)


@pytest.mark.parametrize("starts", [[0, 6, 6], [1, 6], [0, 5], [0, 4, 2, 6], [0, 7], [-1, 6], []])
@pytest.mark.parametrize("name", ["filter_rows", "log_filter"])
def test_wrong_starts(name, starts):
    arguments = list(CALLS[name])
    arguments[1] = np.array(starts, np.intp)
    if name == "filter_rows":
        arguments[-1] = U(max(len(starts) - 1, 0))
    with pytest.raises(ValueError, match="shapes of the arguments"):
        getattr(kernels, name)(*arguments)
