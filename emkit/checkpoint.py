"""A fit that was killed goes on where it was: what each run of EM has reached is in a file after each pass.

A fit is a function of its parameters and data. So the file need not hold where in the search for the best start it
was: the fit begins anew, and each run of EM in it, told by the number of its start and its place among the runs from
that start, goes on from what the file has of it, or is at its end already.

The file is one line, which names the fit and has the digest of the rest, and a pickle. As with any pickle, open only
files that you trust.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import joblib
import numpy as np

from ._validation import Seen
from .blocks import blocks_of, iterate
from .engine import Progress
from .partitions import Partitions, delayed_parts, is_collection

MAGIC = "emkit-checkpoint-1"
NOT_OF_THE_FIT = ("checkpoint", "n_jobs", "verbose")  # parameters that a fit that goes on may have others of


class Fingerprint(NamedTuple):
    """What a fit is of: name of the class, digests of its parameters and of its data."""

    estimator: str
    params: str
    data: str

    def difference(self, other: Fingerprint) -> str:
        """How `other` differs, in words; "" if it does not."""
        if self.estimator != other.estimator:
            return f"to {other.estimator}, not to {self.estimator}"
        if self.params != other.params:
            return f"to {self.estimator} with other parameters"
        return "" if self.data == other.data else f"to {self.estimator} with the same parameters on other data"


def fingerprint_of(owner: Any, X: Any, metadata: dict[str, Any], earlier: dict[str, Any]) -> Fingerprint:
    """Of a fit that is to begin; `earlier` are the attributes of the fit that it continues. Reads all data once."""
    params = {name: value for name, value in owner.get_params().items() if name not in NOT_OF_THE_FIT}
    given = {name: value for name, value in metadata.items() if value is not None}
    return Fingerprint(type(owner).__name__, _digest("parameters", (params, earlier)), _digest_of_data(X, given))


def checkpointed(fit: Callable[..., None]) -> Callable[..., None]:
    """A `fit` of a blank copy that keeps its progress in the file that the estimator names, if it names one."""

    def fit_or_go_on(estimator: Any, owner: Any, X: Any, **metadata: Any) -> None:
        owner._check_checkpoint()
        if owner.checkpoint is None:
            fit(estimator, owner, X, **metadata)
            return
        earlier = owner._fit_attributes() if getattr(owner, "warm_start", False) else {}
        checkpoint = Checkpoint(owner.checkpoint, fingerprint_of(owner, X, metadata, earlier))
        if checkpoint.fitted is not None:
            vars(estimator).update(checkpoint.fitted)
            estimator._warn_of_end([estimator._flaw] if estimator._flaw else [])
            return
        if owner.random_state is None:
            estimator.random_state = checkpoint.seed
        estimator._checkpoint = checkpoint
        fit(estimator, owner, X, **metadata)
        checkpoint.finish(estimator._fit_attributes())

    return fit_or_go_on


def _digest(what: str, value: Any) -> str:
    try:
        return str(joblib.hash(value))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"checkpoint must be None where {what} cannot be pickled ({error})") from error


def _digest_of_data(X: Any, metadata: dict[str, Any]) -> str:
    metadata = {name: _digests_of(value) if is_collection(value) else value for name, value in metadata.items()}
    blocks = blocks_of(X.tables if isinstance(X, Seen) else X, pairs=True)
    if blocks is None:
        return _digest("X or what is passed with it", (X, metadata))
    digest = sha256()
    digests = (
        _digests_of(X) if isinstance(blocks, Partitions) else (_digest("a block of X", b) for b in iterate(blocks))
    )
    for of_block in digests:
        digest.update(of_block.encode())
    return f"{digest.hexdigest()}{_digest('what is passed with X', metadata)}"


def _digests_of(collection: Any) -> tuple[str, ...]:
    """Of each partition of a dask collection, taken where it is."""
    import dask

    digests: tuple[str, ...] = dask.compute(*map(dask.delayed(joblib.hash), delayed_parts(collection)))
    return digests


class Checkpoint:
    """The file of one fit. Holds what all runs of EM in it have reached, and at last the fitted attributes.

    Parameters
    ----------
    path : path
        A file, which need not exist, or a directory, in which each fit has a file of its own.
    fingerprint : Fingerprint

    Raises
    ------
    ValueError
        If the file is damaged, is none of these, or belongs to another fit.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: Fingerprint) -> None:
        path = Path(path)
        if path.is_dir():
            path = path / f"{sha256('-'.join(fingerprint).encode()).hexdigest()[:32]}.emkit"
        elif not path.parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} is in a directory that does not exist")
        self._path = path
        self._fingerprint = fingerprint
        self._lock = Lock()
        self._calls: Counter[int] = Counter()
        self._runs: dict[tuple[int, int], bytes] = {}
        self.seed = int(np.random.SeedSequence().generate_state(1)[0] >> 1)  # where the user gave none
        self.fitted: dict[str, Any] | None = None
        if path.exists():
            self.seed, self._runs, self.fitted = _read(path, fingerprint)

    def next_run(self, start: int) -> RunFile:
        """What stands for the next run of EM from a start."""
        with self._lock:
            self._calls[start] += 1
            return RunFile(self, (start, self._calls[start]))

    def load(self, run: tuple[int, int]) -> Progress[Any, Any] | None:
        saved = self._runs.get(run)
        return None if saved is None else pickle.loads(saved)

    def save(self, run: tuple[int, int], progress: Progress[Any, Any]) -> None:
        saved = _pickled(progress)
        with self._lock:
            self._runs[run] = saved
            self._write()

    def finish(self, fitted: dict[str, Any]) -> None:
        """Keep the fitted attributes in the place of the runs."""
        self._runs, self.fitted = {}, fitted
        self._write()

    def _write(self) -> None:
        """Into a new file, which then takes the place of the old one: at no time is there half a file."""
        payload = _pickled((self.seed, self._runs, self.fitted))
        head = " ".join((MAGIC, *self._fingerprint, sha256(payload).hexdigest()))
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(head.encode() + b"\n" + payload)
            os.replace(name, self._path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise


class RunFile(NamedTuple):
    """The part of a checkpoint that is of one run of EM."""

    checkpoint: Checkpoint
    run: tuple[int, int]

    def load(self) -> Progress[Any, Any] | None:
        return self.checkpoint.load(self.run)

    def save(self, progress: Progress[Any, Any]) -> None:
        self.checkpoint.save(self.run, progress)


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"checkpoint must be None where the model cannot be pickled ({error})") from error


def _read(path: Path, fingerprint: Fingerprint) -> tuple[int, dict[tuple[int, int], bytes], dict[str, Any] | None]:
    head, _, payload = path.read_bytes().partition(b"\n")
    magic, *named = head.decode("ascii", "replace").split(" ")
    if magic != MAGIC or len(named) != len(Fingerprint._fields) + 1:
        raise ValueError(f"checkpoint={str(path)!r} is no checkpoint of this version of emkit; choose another path")
    difference = fingerprint.difference(Fingerprint(*named[:-1]))
    if difference:
        raise ValueError(
            f"checkpoint={str(path)!r} belongs {difference}; delete it, or choose another file, or a directory, in "
            "which each fit has a file of its own"
        )
    if sha256(payload).hexdigest() != named[-1]:
        raise ValueError(f"checkpoint={str(path)!r} is damaged or cut off; delete it to fit anew")
    seed, runs, fitted = pickle.loads(payload)
    return seed, runs, fitted
