"""Fits of every estimator that are interrupted, that run in threads and processes, and that are copied and stored."""

import copy
import multiprocessing
import pickle
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count

import joblib
import numpy as np
import pytest
from all_estimators import COLUMNS, N, assert_same, attributes, fit, only_documented_warnings, outputs
from sklearn.base import clone
from threadpoolctl import ThreadpoolController

from emkit import EMGaussianMixture
from emkit._blas import release_control
from emkit.online import fit_in_passes

MAKES = {name: column.make() for name, column in COLUMNS.items()}
ONLINE = [name for name, model in MAKES.items() if hasattr(model, "partial_fit")]
CALLS = [(name, "fit") for name in COLUMNS] + [(name, "partial_fit") for name in ONLINE]
WITH_CALLBACKS = [name for name, model in MAKES.items() if hasattr(model, "set_callbacks")]
OF_BLOCKS = [name for name in COLUMNS if not name.startswith(("imputer", "search"))]


def arguments(name, rows=slice(None)):
    column = COLUMNS[name]
    return {"X": column.X[rows]} | ({} if column.y is None else {"y": column.y[rows]})


def fitted(name):
    with only_documented_warnings():
        return fit(COLUMNS[name], **arguments(name))


def told(model, name):
    """All that a fitted estimator knows, and says of its rows."""
    with only_documented_warnings():
        return attributes(model) | outputs(model, **arguments(name))


@cache
def expected(name):
    return told(fitted(name), name)


# --- interrupts ---------------------------------------------------------------------------------------------------

BLAS = ThreadpoolController().select(user_api="blas")


@pytest.fixture
def blas_limit():
    """The limit on BLAS threads is as before after the test."""
    limit = BLAS.limit(limits=2)
    release_control()
    yield
    assert {library["num_threads"] for library in BLAS.info()} == {2}
    limit.restore_original_limits()
    release_control()


class traced_calls:
    """Names of the functions of emkit that are called; at call number `last`, KeyboardInterrupt.

    Without generator expressions, whose errors Python ignores where they are thrown away half-read, and without what
    puts the process back in order: see `test_blas.py`.
    """

    def __init__(self, last=None):
        self.names, self.last = [], last

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self.names

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def trace(self, frame, event, argument):
        module = frame.f_globals.get("__name__", "")
        ignored = module in ("emkit._blas", "emkit._shared") or frame.f_code.co_name == "<genexpr>"
        if module.startswith("emkit.") and not ignored:
            self.names.append(frame.f_code.co_name)
            if len(self.names) - 1 == self.last:
                raise KeyboardInterrupt


def last_call_before_the_end(name, call):
    """The number of the call after which fitted attributes are set."""
    model = fitted(name)
    with only_documented_warnings(), traced_calls() as names:
        getattr(model, call)(**arguments(name, slice(2, -2)))
    return max(number for number, called in enumerate(names) if called in ("_adopt", "assemble"))


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.usefixtures("blas_limit")
def test_interrupts(name, call):
    """At any call of a function, a user's Ctrl+C leaves the earlier fit."""
    model = fitted(name)
    before = pickle.dumps(model)
    for number in np.linspace(0, last_call_before_the_end(name, call), 15).astype(int):
        with pytest.raises(KeyboardInterrupt), only_documented_warnings(), traced_calls(number):
            getattr(model, call)(**arguments(name, slice(2, -2)))
        assert pickle.dumps(model) == before
    unfitted = COLUMNS[name].make()
    empty = vars(unfitted).copy()
    with pytest.raises(KeyboardInterrupt), only_documented_warnings(), traced_calls(number // 2):
        getattr(unfitted, call)(**arguments(name, slice(2, -2)))
    assert vars(unfitted) == empty
    with only_documented_warnings():
        assert_same(told(model.fit(**arguments(name)), name), expected(name))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.usefixtures("blas_limit")
def test_signals(n_jobs):
    """As `test_interrupts`, by a real signal, wherever it comes."""
    mixture = EMGaussianMixture(2, random_state=0).fit(COLUMNS["gaussian"].X)
    before = pickle.dumps(mixture.set_params(max_iter=1_000_000, tol=0, n_jobs=n_jobs, accelerate=False))
    X = np.random.default_rng(0).normal(size=(20_000, 4))
    for seconds in (0.05, 0.15, 0.4):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        earlier = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                mixture.fit(X)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, earlier)
        assert pickle.dumps(mixture) == before
    deadline = time.monotonic() + 30  # what other threads do ends after the step that they are at
    while any_at_work() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any_at_work()


def any_at_work():
    """Whether another thread is in a function of emkit."""
    frames = [frame for thread, frame in sys._current_frames().items() if thread != threading.get_ident()]
    stacks = [traceback.walk_stack(frame) for frame in frames]
    return any(frame.f_globals.get("__name__", "").startswith("emkit.") for stack in stacks for frame, _ in stack)


class Failing:
    """A callback that fails at the end of iteration number `last`."""

    def __init__(self, last):
        self.iterations, self.last = count(), last

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "iteration" and next(self.iterations) == self.last:
            raise ZeroDivisionError


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("name", WITH_CALLBACKS)
@pytest.mark.usefixtures("blas_limit")
def test_errors_of_callbacks(name, last):
    pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
    model = fitted(name)
    before = pickle.dumps(model)
    model.set_callbacks(Failing(last))
    with pytest.raises(ZeroDivisionError), only_documented_warnings():
        model.fit(**arguments(name, slice(2, -2)))
    assert pickle.dumps(model.set_callbacks()) == before


def blocks_that_fail(name, rows, after):
    """Blocks of the rows, read again and again; block number `after` cannot be read."""
    n_read = count()

    def blocks():
        for block in np.array_split(np.arange(N)[rows], 3):
            if next(n_read) == after:
                raise OSError("the disk is gone")
            values = tuple(arguments(name, block).values())
            yield values if len(values) > 1 else values[0]

    return blocks, n_read


@pytest.mark.parametrize("name", OF_BLOCKS)
@pytest.mark.usefixtures("blas_limit")
def test_errors_of_data(name):
    model = fitted(name)
    before = pickle.dumps(model)
    blocks, n_read = blocks_that_fail(name, slice(2, -2), None)
    with only_documented_warnings():
        COLUMNS[name].make().fit(blocks)
    n_blocks = next(n_read)
    assert n_blocks > 6
    for after in np.linspace(0, n_blocks - 1, 10).astype(int):
        with pytest.raises(OSError, match="the disk is gone"), only_documented_warnings():
            model.fit(blocks_that_fail(name, slice(2, -2), after)[0])
        assert pickle.dumps(model) == before


@pytest.mark.parametrize("name", [name for name in ONLINE if name in OF_BLOCKS])
def test_errors_of_data_in_passes(name):
    model = fitted(name)
    before = pickle.dumps(model)
    for after in (0, 2, 4):
        with pytest.raises(OSError, match="the disk is gone"), only_documented_warnings():
            fit_in_passes(model, blocks_that_fail(name, slice(None), after)[0], n_passes=2, batch_rows=N // 3)
        assert pickle.dumps(model) == before


# --- threads ------------------------------------------------------------------------------------------------------


def filters_are_safe():
    """Python 3.13 without its lock loses filters where two threads leave `catch_warnings` at once, 3.14 does not."""
    return sys.version_info[:2] != (3, 13) or sys._is_gil_enabled()


@pytest.mark.usefixtures("blas_limit")
def test_eight_threads():
    """Fits at once have the bits of fits one after the other, and leave the filters of warnings alone."""
    names = list(COLUMNS)
    one_by_one = {name: expected(name) for name in names}
    start = threading.Barrier(8, timeout=60)

    def work(number):
        start.wait()
        mine = names[number:] + names[:number]
        models = [(name, fit(COLUMNS[name], **arguments(name))) for name in mine]
        return [(name, attributes(model) | outputs(model, **arguments(name))) for name, model in models]

    with only_documented_warnings():  # filters belong to the process
        filters = sys.modules["warnings"].filters[:]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
        if filters_are_safe():
            assert sys.modules["warnings"].filters == filters
    for of_one_thread in found:
        for name, says in of_one_thread:
            assert_same(says, one_by_one[name])


@pytest.mark.parametrize("name", COLUMNS)
def test_one_estimator_in_threads(name):
    """Predictions of one fitted estimator at once."""
    model = fitted(name)
    with only_documented_warnings(), ThreadPoolExecutor(4) as pool:
        for says in pool.map(lambda _: outputs(model, **arguments(name)), range(8)):
            assert_same(says, {key: expected(name)[key] for key in says})


# --- processes ----------------------------------------------------------------------------------------------------


def fit_and_tell(name):
    return told(fitted(name), name)


def tell(name, model):
    return told(model, name)


@pytest.mark.parametrize("kind", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes(kind):
    """A process that is forked after fits in threads, or that is begun anew, has the same bits and does not hang."""
    parallel = COLUMNS["gaussian"].make().set_params(n_jobs=2, n_init=4).fit(COLUMNS["gaussian"].X)
    assert parallel.converged_
    models = {name: fitted(name) for name in COLUMNS}
    with multiprocessing.get_context(kind).Pool(2) as pool:
        fits = pool.map_async(fit_and_tell, COLUMNS)
        predictions = pool.starmap_async(tell, models.items())
        for name, here, there in zip(COLUMNS, fits.get(120), predictions.get(120), strict=True):
            assert_same(here, expected(name))
            assert_same(there, expected(name))


# --- copies -------------------------------------------------------------------------------------------------------


def by_joblib(model, tmp_path, mmap_mode=None):
    joblib.dump(model, tmp_path / "model")
    return joblib.load(tmp_path / "model", mmap_mode=mmap_mode)


def by_skops(model, tmp_path):
    skops = pytest.importorskip("skops.io")
    stored = skops.dumps(model)
    unknown = skops.get_untrusted_types(data=stored)
    assert {kind.split(".")[0] for kind in unknown} <= {"emkit", "builtins", "numpy"}, unknown
    return skops.loads(stored, trusted=unknown)


COPIES = {
    **{f"pickle {p}": lambda model, _, p=p: pickle.loads(pickle.dumps(model, p)) for p in (2, 4, 5)},
    "copy": lambda model, _: copy.copy(model),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "joblib": by_joblib,
    "memory map": lambda model, tmp_path: by_joblib(model, tmp_path, "r"),
    "skops": by_skops,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", COLUMNS)
def test_copies(name, how, tmp_path):
    again = COPIES[how](fitted(name), tmp_path)
    assert_same(told(again, name), expected(name))
    with only_documented_warnings():  # such a copy can be fitted
        assert_same(told(again.fit(**arguments(name)), name), expected(name))


@pytest.mark.parametrize("how", [how for how in COPIES if how != "copy"])
@pytest.mark.parametrize("name", ONLINE)
def test_copies_go_on(name, how, tmp_path):
    """Statistics of earlier batches are copied too."""
    with only_documented_warnings():
        model = COLUMNS[name].make().partial_fit(**arguments(name))
        again = COPIES[how](model, tmp_path)
        one, other = (m.partial_fit(**arguments(name, slice(2, -2))) for m in (model, again))
    assert_same(attributes(one), attributes(other))


@pytest.mark.parametrize("name", COLUMNS)
def test_clone(name):
    model = fitted(name)
    again = clone(model)
    assert not attributes(again)
    with only_documented_warnings():
        assert_same(told(again.fit(**arguments(name)), name), expected(name))
