"""What experts are: K conditional densities of the response, and the statistics that their M-step needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from ..cases import Cases, Scaling

AT_FLOOR = 1.001  # times the floor: variances up to here rest on it
SIX = 6.0  # standard deviations that hold most of a density
TAKERS = {
    "offset": "'gaussian', 'student', 'poisson', 'binomial' and 'gamma'",
    "exposure": "'poisson', 'binomial' and 'gamma'",
}


class Experts(ABC):
    """Densities of K experts; pure. Parameters (`params`) are a value of its own, statistics a tuple that adds.

    Rows are those of the chunk, n; each has its own inputs, whatever the block that it belongs to.
    """

    n_components: int

    monotone: ClassVar[bool] = True  # whether an M-step never lowers the expected log-likelihood
    is_closed: ClassVar[bool] = True  # whether it reaches the maximum, so that no step goes too far
    can_accelerate: ClassVar[bool] = True
    discrete: ClassVar[bool] = False  # whether the response is a count
    lowest: ClassVar[float] = -np.inf  # of responses
    takes: ClassVar[tuple[str, ...]] = ()  # "offset", "exposure"

    def check(self, cases: Cases) -> None:
        """ValueError for a response that an expert cannot give, or what it cannot take into account.

        Missing responses are NaN.
        """
        for name, value in (("offset", cases.offset), ("exposure", cases.exposure)):
            if value is not None and name not in self.takes:
                raise ValueError(f"{name} has no meaning for these experts; those that take it are {TAKERS[name]}")

    @abstractmethod
    def look(self, params: Any, cases: Cases) -> Any:
        """What densities and statistics of a chunk both start from, as residuals: found once in an E-step."""

    @abstractmethod
    def log_density(self, params: Any, cases: Cases, seen: Any) -> np.ndarray:
        """log p(y | x; k), (n, k); `seen` is what `look` gives."""

    @abstractmethod
    def moments(self, params: Any, cases: Cases, resp: np.ndarray, seen: Any) -> tuple[Any, ...]:
        """Statistics of a chunk under responsibilities (n, k), sample weights included; `seen` as above."""

    def density(self, params: Any, cases: Cases) -> np.ndarray:
        """`log_density` where nothing else is asked of the chunk."""
        return self.log_density(params, cases, self.look(params, cases))

    @abstractmethod
    def m_step(self, moments: Any, params: Any) -> Any:
        """Parameters with a higher expected log-likelihood; an expert without rows stays as it was."""

    @abstractmethod
    def start(self, cases: Cases, resp: np.ndarray) -> Any:
        """Parameters from responsibilities (n, k), sample weights included, where there are none yet."""

    @abstractmethod
    def n_free(self) -> int: ...

    @abstractmethod
    def mean(self, params: Any, cases: Cases) -> np.ndarray:
        """Expected response, (n, k, m); of a classifier the probabilities of the m classes."""

    @abstractmethod
    def sample(self, params: Any, cases: Cases, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Responses (n, m) drawn from the expert `chosen` (n,) for each row."""

    @abstractmethod
    def parts(self, params: Any, scaling: Scaling) -> dict[str, Any]:
        """Fitted attributes, in the user's units."""

    @abstractmethod
    def linearised(self, cases: Cases) -> np.ndarray:
        """The response as numbers that are about linear in the inputs, (n, r); for starts."""

    def cdf(self, params: Any, cases: Cases, mean: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Probability of a response up to `values` (n, m), for means as `mean` gives them: (n, k, m)."""
        raise NotImplementedError

    def spread(self, params: Any, cases: Cases) -> np.ndarray:
        """Distance from the mean that holds most of the density, (n, k, m); of continuous responses."""
        raise NotImplementedError

    def estimators(self, params: Any) -> tuple[Any, ...]:
        """Fitted estimators of scikit-learn, if the experts are such."""
        return ()

    def recentre(self, moments: Any, params: Any, new_params: Any) -> Any:
        """Statistics taken under `params`, as if under `new_params`.

        Exactly where the log density is quadratic in what the statistics are about; else to second order, with the
        curvature that the statistics have.
        """
        raise NotImplementedError

    def with_prior_of(self, factor: float) -> Experts:
        """The experts with a penalty that weighs so many times as much, as statistics of one row need."""
        raise NotImplementedError

    def stride(self, params: Any, target: Any) -> float:
        """How far a step of several goes: about the largest change of a linear predictor; 0 if there are none."""
        return 0.0

    def between(self, params: Any, target: Any) -> Any:
        """Half of the way, for experts whose M-step is one step of several."""
        return target

    def log_prior(self, params: Any) -> float:
        return 0.0

    def flaw(self, params: Any, counts: np.ndarray) -> str:
        """What makes a solution unfit for use, "" if nothing does; `counts` (k,) is the weight of each one's rows."""
        return ""

    def notes(self, params: Any, counts: np.ndarray) -> list[str]:
        """What the user should know of a solution that is fit for use."""
        return []

    def rounding(self, params: Any) -> float:
        """Relative error that rounding may make in a sum of log densities."""
        return 1e4 * float(np.finfo(np.float64).eps)

    # Acceleration: both, or neither.

    def to_vector(self, params: Any) -> np.ndarray:
        raise NotImplementedError

    def from_vector(self, vector: np.ndarray, params: Any) -> Any:
        """UnusableStartError where the vector is out of range."""
        raise NotImplementedError


def slopes_in_units(coef: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Slopes (..., p, m) and intercepts (..., m) of raw inputs, from coefficients (..., 1 + p, m) of scaled ones."""
    slopes = coef[..., 1:, :] / scaling.scale[:, None]
    return slopes, coef[..., 0, :] - np.einsum("p,...pm->...m", scaling.centre, slopes)
