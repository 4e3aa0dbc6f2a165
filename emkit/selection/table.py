"""The table of candidates: one row for each combination of parameters and number of components."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .criteria import entropy, log_likelihood_of
from .data import Data
from .path import Fit, text_of

NUMBERS = (
    *("log_likelihood", "n_parameters", "bic", "aic", "icl"),
    *("heldout_mean", "heldout_se", "p_value"),
)
LOWER_IS_BETTER = ("bic", "aic", "icl")
COLUMNS = {"heldout": "heldout_mean", "bootstrap_lrt": "p_value"}


@dataclass(eq=False)
class Candidate:
    """A number of components with other parameters, its fit to all rows, and what is known of it."""

    combination: dict[str, Any]
    fit: Fit
    path: Any  # of which `fit` is a part
    finished: bool = False
    numbers: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NUMBERS, math.nan))
    fold_trouble: str = ""
    why_no_criteria: str = ""

    def measure(self) -> None:
        """Log-likelihood and criteria on the training rows."""
        self.numbers.update(dict.fromkeys(NUMBERS[:5], math.nan))
        if self.fit.estimator is None:
            return
        try:
            self.numbers.update(criteria_of(self.fit.estimator, self.path.train))
        except ValueError as error:
            self.why_no_criteria = text_of(error)

    @property
    def trouble(self) -> str:
        return self.fit.failed or self.fold_trouble

    def reason(self, column: str) -> str:
        """Why it may not be chosen."""
        flaw = f"degenerate: {self.fit.flaw}" if self.fit.flaw else ""
        return self.trouble or flaw or self.why_no_criteria or f"{column} is {self.numbers[column]}"


def criteria_of(fitted: Any, data: Data) -> dict[str, float]:
    """Those of a fitted last step; NaN where it has no likelihood that they could penalise."""
    weights = data.params.get("sample_weight")
    arguments = data.arguments_of(fitted.score_samples)
    log_likelihood, weight = log_likelihood_of(fitted, data.rows, weights, arguments)
    n_parameters = fitted.n_parameters_
    found = {"log_likelihood": log_likelihood, "n_parameters": float(n_parameters)}
    fitted._check_criterion("bic")
    bic = -2 * log_likelihood + n_parameters * math.log(weight)
    found |= {"bic": bic, "aic": -2 * log_likelihood + 2 * n_parameters}
    found["icl"] = bic + 2 * entropy(fitted, data.rows, sample_weight=weights, **arguments)
    return found


def pooled(means: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean over the rows of all folds, and its standard error from the differences between folds."""
    shares = weights / weights.sum()
    mean = float(shares @ means)
    n = len(means)
    if n < 2 or not np.isfinite(mean):
        return mean, math.nan
    return mean, float(np.sqrt(n / (n - 1) * (shares**2 @ (means - mean) ** 2)))


def is_eligible(candidate: Candidate, column: str) -> bool:
    return candidate.fit.is_sound and not candidate.trouble and math.isfinite(candidate.numbers[column])


def losses(candidates: list[Candidate], column: str) -> np.ndarray:
    """What the best has least of, (c,); infinite for those that may not be chosen."""
    sign = 1 if column in LOWER_IS_BETTER else -1
    return np.array([sign * c.numbers[column] if is_eligible(c, column) else math.inf for c in candidates])


def refusals(candidates: list[Candidate], column: str) -> str:
    """Why candidates may not be chosen: each reason once, behind those that it holds for."""
    refused: dict[str, dict[str, list[int]]] = {}  # numbers of components by reason and other parameters
    for candidate in candidates:
        others = "".join(f", {name}={value!r}" for name, value in candidate.combination.items())
        refused.setdefault(candidate.reason(column), {}).setdefault(others, []).append(candidate.fit.size)
    return "\n".join(f"{_names(sizes)}: {reason}" for reason, sizes in refused.items())


def _names(sizes: dict[str, list[int]]) -> str:
    return "; ".join(f"n_components={', '.join(map(str, own))}{others}" for others, own in sizes.items())


def as_results(candidates: list[Candidate], defaults: dict[str, Any], ranks: np.ndarray) -> dict[str, np.ndarray]:
    """The public table; a parameter that a combination leaves out has the estimator's own value."""
    names = list(dict.fromkeys(name for candidate in candidates for name in candidate.combination))
    results: dict[str, np.ndarray] = {"n_components": np.array([c.fit.size for c in candidates])}
    for name in names:
        results[name] = _objects([candidate.combination.get(name, defaults[name]) for candidate in candidates])
    for name in NUMBERS:
        results[name] = np.array([candidate.numbers[name] for candidate in candidates])
    fits = [candidate.fit for candidate in candidates]
    results["converged"] = np.array([bool(getattr(fit.estimator, "converged_", False)) for fit in fits])
    results["degenerate"] = _objects([fit.flaw for fit in fits])
    results["failed"] = _objects([candidate.trouble for candidate in candidates])
    results["found_by"] = _objects([fit.start for fit in fits])
    results["seconds"] = np.array([fit.seconds for fit in fits])
    results["rank"] = ranks
    return results


def _objects(values: list[Any]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values if not any(np.ndim(value) for value in values) else [None] * len(values)
    for place, value in enumerate(values):
        out[place] = value
    return out
