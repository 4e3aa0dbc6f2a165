"""What a family is: densities of k components and the weighted statistics that their M-step needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any, Self

import numpy as np

from .. import kernels
from ..chunks import ArraySource, Rows, joined
from ..description import Description, in_one_chunk


class Sums(Sequence[Any]):
    """Arrays (or sums of them) that add and scale one by one.

    Not a tuple, which skops would store as a plain one.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = tuple(values)

    def __getitem__(self, place: Any) -> Any:
        return self._values[place]

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Sums({self._values!r})"

    def __add__(self, other: Any) -> Sums:
        return Sums(a + b for a, b in zip(self, other, strict=True))

    def __mul__(self, factor: Any) -> Sums:
        return Sums(a * factor for a in self)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Options:
    """What an estimator's constructor says of its family.

    Attributes
    ----------
    covariance_type : str
        Key of :data:`emkit.families.covariance.COVARIANCES`.
    reg_covar : float
        Floor under the covariances, relative to the features' variances.
    n_mix : int
        Gaussians in each component of a family of mixtures.
    n_symbols : int, sequence of int, or None
        Number of symbols of each categorical column; None is one more than the largest in the data.
    emissionprob_prior : float
        Dirichlet concentration of the probabilities of symbols, >= 1; 1 is maximum likelihood.
    """

    covariance_type: str = "full"
    reg_covar: float = 1e-6
    n_mix: int = 2
    n_symbols: Any = None
    emissionprob_prior: float = 1.0


class Family(ABC):
    """Densities of `n_components` components over rows of d columns; pure, without fitted state.

    Parameters (`params`) are an immutable value of the family's own, statistics (`moments`) a sequence of arrays
    that add. NaN in a row is a missing value, to be integrated out; the log density of a row without a value is 0.

    Attributes
    ----------
    names : tuple of str
        The parts of the parameters, by the names of the fitted attributes without the underscore.

    Notes
    -----
    `for_data` or `for_chunks` must be there; with `for_chunks` the family takes blocks of rows.

    A family may also have ``scaled_density(params, rows, width)``, where densities relative to the largest of their
    row are cheaper to come by than logarithms: see `CategoricalFamily`.
    """

    names: tuple[str, ...]
    n_components: int

    @classmethod
    def for_data(cls, n_components: int, options: Options, X: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """The family for training rows (n, d), float64 with NaN, of weights (n,); ValueError for a wrong value."""
        return cls.for_chunks(n_components, options, *in_one_chunk(X, weight))

    @classmethod
    def for_chunks(cls, n_components: int, options: Options, chunks: Iterable[Rows], described: Description) -> Self:
        """The family for training rows that are read chunk by chunk, anew whenever `chunks` is iterated.

        A family has this or `for_data`. That of `for_data` alone takes rows in memory, and no blocks.
        """
        if getattr_static(cls, "for_data") is getattr_static(Family, "for_data"):  # which would call this again
            raise ValueError(f"{cls.__name__} must have the method for_data or for_chunks, but has neither")
        if not isinstance(chunks, ArraySource):
            raise ValueError(f"{cls.__name__} has no method for_chunks, so it takes no blocks of rows; pass an array")
        rows = joined(chunks)
        return cls.for_data(n_components, options, rows.X, rows.weight)

    @classmethod
    @abstractmethod
    def for_parts(cls, n_components: int, options: Options, parts: dict[str, Any]) -> Self:
        """The family of parameters of which the parts are known, as those of a fitted estimator."""

    @property
    @abstractmethod
    def n_features(self) -> int: ...

    @property
    def n_parts(self) -> int:
        """Components that a start divides the rows among."""
        return self.n_components

    def spread(self, resp: np.ndarray) -> np.ndarray:
        """Responsibilities of parts (n, n_parts) as those of components (n, k)."""
        return resp

    @property
    def shared(self) -> frozenset[str]:
        """Names of the parameters that all components have in common."""
        return frozenset()

    @property
    def bears_far_rows(self) -> bool:
        """Whether far rows may belong to a component, or to none, that is not far itself: starts look past them."""
        return False

    def check_rows(self, X: np.ndarray) -> None:  # noqa: B027  # a family of all numbers need not say so
        """ValueError for a value that the family does not know, naming value, row and column."""

    @abstractmethod
    def log_density(self, params: Any, rows: Rows) -> np.ndarray:
        """log p(x; k) of what is observed of each row, (n, k) float64."""

    def e_step(
        self, params: Any, log_weights: np.ndarray, rows: Rows, hard: bool
    ) -> tuple[float, np.ndarray, tuple[Any, ...]]:
        """Objective, weight of the rows in each component (k,) and moments of a chunk, for weights exp(log_weights).

        A row whose component is known has the density of that component alone. `hard` gives each row to its most
        probable component; the objective is then the classification likelihood.
        """
        log_joint = only_known(self.log_density(params, rows) + log_weights, rows.labels)
        log_likelihood, resp = most_probable(log_joint) if hard else posterior(log_joint)
        resp *= rows.weight[:, None]
        objective = float(rows.weight.astype(np.float64) @ log_likelihood)
        return objective, resp.sum(axis=0, dtype=np.float64), self.moments(params, rows, resp)

    @abstractmethod
    def moments(self, params: Any, rows: Rows, resp: np.ndarray) -> tuple[Any, ...]:
        """Statistics of a chunk under responsibilities (n, k), sample weights included; C-ordered rows, any stride."""

    @abstractmethod
    def m_step(self, moments: Sequence[Any], params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        """Parameters that maximise the expected log-likelihood; a component without rows stays as it was."""

    def recentre(self, moments: Any, params: Any, new_params: Any) -> Any:
        """Statistics taken under `params`, as if under `new_params`; the same unless they are about a mean."""
        return moments

    def with_prior_of(self, factor: float) -> Family:
        """The family with a prior that weighs so many times as much, as statistics of one row need."""
        return self

    @abstractmethod
    def start(self, rows: Rows, resp: np.ndarray) -> Any:
        """Parameters from responsibilities (n, k), sample weights included, where there are none yet."""

    @abstractmethod
    def parts(self, params: Any) -> dict[str, Any]:
        """The parameters by `names`, as arrays that an estimator publishes."""

    @abstractmethod
    def from_parts(self, parts: dict[str, Any]) -> Any:
        """Parameters of all parts; floors and priors are not applied."""

    def floored(self, params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        """The parameters, raised to the floors that the M-step respects; what is fixed stays."""
        return params

    def signature(self, params: Any) -> np.ndarray:
        """What tells components apart, (k, m), in units in which a difference of 0.02 is small."""
        arrays = [a for part in self.parts(params).values() for a in (part if isinstance(part, list) else [part])]
        own = [a.reshape(self.n_components, -1) for a in arrays if a.ndim and len(a) == self.n_components]
        columns = np.concatenate([np.empty((self.n_components, 0)), *own], axis=1)
        units: np.ndarray = columns / (np.abs(columns).max(axis=0, initial=0.0) + np.finfo(float).tiny)
        return units

    def check_part(self, name: str, value: Any) -> Any:
        """A part that a user gave as ``<name>_init``; ValueError if its shape or a value is wrong."""
        raise ValueError(f"{name}_init does not belong to {type(self).__name__}, whose parameters are {self.names}")

    @abstractmethod
    def n_free(self, fixed: frozenset[str] = frozenset()) -> int:
        """Free parameters."""

    @abstractmethod
    def sample(self, params: Any, components: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A row (d,) drawn from each of the given components (n,); (n, d)."""

    @abstractmethod
    def mean(self, params: Any) -> np.ndarray:
        """Expected row of each component, (k, d)."""

    @abstractmethod
    def variance(self, params: Any) -> np.ndarray:
        """Variance of each column in each component, (k, d)."""

    def symbol_tables(self, params: Any) -> list[np.ndarray]:
        """Probabilities of the symbols (k, m) of each categorical column; none for columns of numbers."""
        return []

    def features(self, X: np.ndarray) -> np.ndarray:
        """Rows as points (n, f) in which distance means something, for k-means starts; NaN stays NaN."""
        return X

    def log_prior(self, params: Any) -> float:
        return 0.0

    def rounding(self, params: Any) -> float:
        """Relative error that rounding may make in a sum of log densities."""
        return 1e3 * float(np.finfo(np.float64).eps)

    def flaw(self, params: Any, counts: np.ndarray, weight: float, fixed: frozenset[str]) -> str:
        """What makes a solution unfit for use, "" if nothing does; `counts` (k,) of all rows of total `weight`."""
        lost = ", ".join(map(str, np.flatnonzero(counts <= 1e-8 * weight)))
        return f"component(s) {lost} have lost all rows" if lost else ""

    def reseed(self, params: Any, counts: np.ndarray, weight: float, X: np.ndarray) -> tuple[Any, np.ndarray] | None:
        """Parameters with collapsed components moved to the rows X (k, d), and which they were; None if none can be."""
        return None

    # Acceleration: both, or neither.

    @property
    def has_vector(self) -> bool:
        """Whether there is an unconstrained vector of the parameters."""
        return type(self).to_vector is not Family.to_vector

    def to_vector(self, params: Any, fixed: frozenset[str] = frozenset()) -> np.ndarray | None:
        """Unconstrained and free of units, (p,); None if the family has no such form."""
        return None

    def from_vector(self, vector: np.ndarray, params: Any, fixed: frozenset[str] = frozenset()) -> Any:
        """Back again; UnusableStartError where the vector is out of range. What is fixed is taken from `params`."""
        raise NotImplementedError


def log(values: np.ndarray) -> np.ndarray:
    """Natural log; that of 0 is -inf, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def posterior(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log sum_k exp(log_joint), (n,), and the responsibilities, (n, k), in the dtype of the argument.

    A row that no component can have made has -inf, and equal responsibilities.
    """
    log_joint = np.ascontiguousarray(log_joint)
    log_likelihood, resp = np.empty(len(log_joint), log_joint.dtype), np.empty_like(log_joint)
    kernels.softmax(log_joint, log_likelihood, resp)
    return log_likelihood, resp


def most_probable(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest of each row, (n,), and responsibilities (n, k) that are 1 for it."""
    best = log_joint.argmax(axis=1)
    resp = np.zeros_like(log_joint)
    resp[np.arange(len(best)), best] = 1
    return log_joint[np.arange(len(best)), best], resp


def only_known(log_joint: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Log densities (n, k) with -inf for the components that known labels (n,) rule out; -1 is unknown."""
    if labels is None:
        return log_joint
    ruled_out = (labels >= 0)[:, None] & (labels[:, None] != np.arange(log_joint.shape[1]))
    return np.where(ruled_out, -np.inf, log_joint)
