"""Estimates and intervals of every model over simulated data sets, of which the truth is known.

``python tests/accuracy.py`` writes the tables of `doc/user_guide/accuracy.rst`; `test_accuracy.py` holds each case to
what it should be.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, softmax

from emkit import (
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)

REPEATS = 200
NORMAL = 1.959963984540054  # half the length of a 95 % interval in standard errors
FOLDER = Path(__file__).parent.parent / "doc" / "user_guide"
Data = dict[str, Any]


class Case(NamedTuple):
    """A model and what draws its data; `truth` has its parameters, the components in the order of those of `key`."""

    model: Callable[[], Any]
    draw: Callable[[np.random.Generator], Data]
    truth: dict[str, np.ndarray]
    key: Callable[[Any], np.ndarray]


class Figures(NamedTuple):
    """Of one parameter.

    Attributes
    ----------
    coverage : float
        Share of 95 % intervals that hold the truth, over its entries and the data sets.
    bias : float
        Largest of the entries' biases, in units of their spread over the data sets.
    ratio : float
        Of standard errors to that spread, both as root mean squares.
    """

    coverage: float
    bias: float
    ratio: float


def measure(case: Case, repeats: int = REPEATS) -> dict[str, Figures]:
    estimates: dict[str, list[np.ndarray]] = {name: [] for name in case.truth}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in case.truth}
    for seed in range(repeats):
        data = case.draw(np.random.default_rng(seed))
        model = case.model().set_params(random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(**data)
            told = model.standard_errors(**data)
        order = np.argsort(case.key(model))
        for name in case.truth:
            estimates[name].append(_ordered(name, getattr(model, name), order))
            errors[name].append(_ordered(name, told[name], order))
    return {name: _figures(truth, estimates[name], errors[name]) for name, truth in case.truth.items()}


def _ordered(name: str, values: Any, order: np.ndarray) -> np.ndarray:
    if isinstance(values, list):  # a table for each column
        return np.stack([table[order] for table in values])
    return np.asarray(values[np.ix_(order, order)] if name == "transmat_" else values[order])


def _figures(truth: np.ndarray, estimates: list[np.ndarray], errors: list[np.ndarray]) -> Figures:
    off = np.array(estimates) - truth
    spread = off.std(axis=0, ddof=1)
    bias = float((np.abs(off.mean(axis=0)) / spread).max())
    told = np.array(errors)
    coverage = float((np.abs(off) <= NORMAL * told).mean())
    return Figures(coverage, bias, float(np.sqrt((told**2).mean() / (spread**2).mean())))


# --- mixtures -----------------------------------------------------------------------------------------------------

WEIGHTS = np.array([0.4, 0.6])
MEANS = np.array([[0.0, 0.0], [2.5, 1.5]])
COVARIANCES = np.array([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]]])
ROOTS = np.linalg.cholesky(COVARIANCES)
PROBABILITIES = np.array([[0.2, 0.15, 0.3, 0.25, 0.1], [0.8, 0.7, 0.9, 0.75, 0.7]])
RATES = np.array([[1.0, 3.0, 2.0], [4.0, 7.0, 6.0]])


def gaussian_rows(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return MEANS[z] + np.einsum("nij,nj->ni", ROOTS[z], rng.normal(size=(len(z), 2)))


def groups(n: int, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(n) > WEIGHTS[0]).astype(int)


def of_gaussians(rng: np.random.Generator) -> Data:
    return {"X": gaussian_rows(groups(1000, rng), rng)}


def with_gaps(rng: np.random.Generator) -> Data:
    X = of_gaussians(rng)["X"]
    return {"X": np.where(rng.random(X.shape) < 0.2, np.nan, X)}


def of_students(rng: np.random.Generator) -> Data:
    z = groups(1500, rng)
    heavy = np.sqrt(rng.chisquare(5, (len(z), 1)) / 5)
    return {"X": 2 * MEANS[z] + (gaussian_rows(z, rng) - MEANS[z]) / heavy}


def of_bits(rng: np.random.Generator) -> Data:
    z = groups(1000, rng)
    return {"X": (rng.random((len(z), 5)) < PROBABILITIES[z]).astype(float)}


def of_counts(rng: np.random.Generator) -> Data:
    return {"X": rng.poisson(RATES[groups(1000, rng)]).astype(float)}


def first(name: str) -> Callable[[Any], np.ndarray]:
    """Components by the first number of this parameter."""
    return lambda model: np.asarray(getattr(model, name)).reshape(2, -1)[:, 0]


GAUSSIANS = {"weights_": WEIGHTS, "means_": MEANS, "covariances_": COVARIANCES}
STUDENTS = {**GAUSSIANS, "means_": 2 * MEANS}
TABLES = np.stack([1 - PROBABILITIES, PROBABILITIES], axis=2).swapaxes(0, 1)

MIXTURES = {
    "EMGaussianMixture": Case(lambda: EMGaussianMixture(2), of_gaussians, GAUSSIANS, first("means_")),
    "EMGaussianMixture, a fifth missing": Case(lambda: EMGaussianMixture(2), with_gaps, GAUSSIANS, first("means_")),
    "EMMixture, Student": Case(lambda: EMMixture(2), of_students, STUDENTS, first("means_")),
    "EMMixture, Bernoulli": Case(
        lambda: EMMixture(2, family="bernoulli"),
        of_bits,
        {"weights_": WEIGHTS, "emissionprob_": PROBABILITIES},
        first("emissionprob_"),
    ),
    "EMMixture, categorical": Case(
        lambda: EMMixture(2, family="categorical"),
        of_bits,
        {"weights_": WEIGHTS, "emissionprob_": TABLES},
        lambda model: model.emissionprob_[0][:, 1],
    ),
    "EMMixture, Poisson": Case(
        lambda: EMMixture(2, family="poisson"), of_counts, {"weights_": WEIGHTS, "rates_": RATES}, first("rates_")
    ),
}

# --- hidden Markov models -----------------------------------------------------------------------------------------

START, MOVES = np.array([0.5, 0.5]), np.array([[0.85, 0.15], [0.25, 0.75]])


def chains(rng: np.random.Generator, n_sequences: int = 40, length: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """States, and the sequences they belong to."""
    states = np.empty((n_sequences, length), int)
    states[:, 0] = rng.random(n_sequences) > START[0]
    for t in range(1, length):
        states[:, t] = rng.random(n_sequences) > MOVES[states[:, t - 1], 0]
    return states.ravel(), np.repeat(np.arange(n_sequences), length)


def gaussian_chains(rng: np.random.Generator) -> Data:
    states, ids = chains(rng)
    return {"X": gaussian_rows(states, rng), "sequence_id": ids}


def poisson_chains(rng: np.random.Generator) -> Data:
    states, ids = chains(rng)
    return {"X": rng.poisson(RATES[states]).astype(float), "sequence_id": ids}


CHAIN = {"startprob_": START, "transmat_": MOVES}
CHAINS = {
    "EMHiddenMarkov, Gaussian": Case(
        lambda: EMHiddenMarkov(2),
        gaussian_chains,
        {**CHAIN, "means_": MEANS, "covariances_": COVARIANCES},
        first("means_"),
    ),
    "EMHiddenMarkov, Poisson": Case(
        lambda: EMHiddenMarkov(2, emission="poisson"), poisson_chains, {**CHAIN, "rates_": RATES}, first("rates_")
    ),
}

# --- mixtures of experts ------------------------------------------------------------------------------------------

COEF, INTERCEPT, SCALE = np.array([[-1.0, 0.5], [1.5, -0.5]]), np.array([0.0, 3.0]), np.array([0.5, 0.8])
GATE_COEF, GATE_INTERCEPT = np.array([[-0.8, 0.4], [0.8, -0.4]]), np.array([-0.2, 0.2])
LOGIT_COEF, LOGIT_INTERCEPT = np.array([[-3.0, 1.0], [3.0, 1.0]]), np.array([-1.0, 1.0])


def experts(rng: np.random.Generator, n: int, coef: np.ndarray, intercept: np.ndarray) -> Any:
    """Inputs, the experts of their rows, and linear predictors of these."""
    X = rng.normal(size=(n, 2))
    shares = softmax(X @ GATE_COEF.T + GATE_INTERCEPT, axis=1)
    z = (rng.random(n) > shares[:, 0]).astype(int)
    return X, z, (X * coef[z]).sum(axis=1) + intercept[z]


def responses(rng: np.random.Generator) -> Data:
    X, z, eta = experts(rng, 1000, COEF, INTERCEPT)
    return {"X": X, "y": eta + SCALE[z] * rng.normal(size=len(z))}


def counted(rng: np.random.Generator) -> Data:
    X, _, eta = experts(rng, 1000, COEF / 3, INTERCEPT)
    return {"X": X, "y": rng.poisson(np.exp(eta)).astype(float)}


def classes(rng: np.random.Generator) -> Data:
    X, _, eta = experts(rng, 16_000, LOGIT_COEF, LOGIT_INTERCEPT)
    return {"X": X, "y": (rng.random(len(eta)) < expit(eta)).astype(int)}


GATE = {"gate_coef_": GATE_COEF, "gate_intercept_": GATE_INTERCEPT}
EXPERTS = {
    "EMMixtureOfExpertsRegressor": Case(
        lambda: EMMixtureOfExpertsRegressor(2),
        responses,
        {"coef_": COEF, "intercept_": INTERCEPT, "scale_": SCALE, **GATE},
        first("intercept_"),
    ),
    "EMMixtureOfExpertsRegressor, Poisson": Case(
        lambda: EMMixtureOfExpertsRegressor(2, expert="poisson"),
        counted,
        {"coef_": COEF / 3, "intercept_": INTERCEPT, **GATE},
        first("intercept_"),
    ),
    "EMMixtureOfExpertsClassifier": Case(
        lambda: EMMixtureOfExpertsClassifier(2),
        classes,
        {"coef_": LOGIT_COEF[:, None], "intercept_": LOGIT_INTERCEPT[:, None], **GATE},
        first("intercept_"),
    ),
}

CASES = {**MIXTURES, **CHAINS, **EXPERTS}

# --- topics, which have no standard errors ------------------------------------------------------------------------

TOPICS = np.random.default_rng(0).dirichlet(np.full(60, 0.2), 3)
DOCUMENTS = (200, 800, 3200)


def distance(method: str, n: int, repeats: int = REPEATS // 20) -> float:
    """Of topics from the true ones: total variation, averaged over topics and data sets."""
    distances = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        X = np.array([rng.multinomial(80, share @ TOPICS) for share in rng.dirichlet(np.full(3, 0.3), n)])
        found = EMTopicModel(3, method=method, random_state=seed).fit(X.astype(float)).topic_word_
        between = np.abs(found[:, None] - TOPICS).sum(axis=2) / 2
        distances.append(between[linear_sum_assignment(between)].mean())
    return float(np.mean(distances))


# --- intervals of cells and of responses --------------------------------------------------------------------------


def cells(model: str, rng: np.random.Generator) -> np.ndarray:
    """Whether missing cells lie in their intervals."""
    n_components = {"factor": 2, "mixture": 2}.get(model, "auto")
    loadings = np.array([[1.0, 0.2], [0.8, -0.5], [0.3, 1.0], [-0.6, 0.7]])
    full = rng.normal(size=(500, 2)) @ loadings.T + 0.6 * rng.normal(size=(500, 4))
    if model == "copula":
        full = np.exp(full)
    if model == "mixture":
        full[:200] += 4
    gaps = rng.random(full.shape) < 0.2
    X = np.where(gaps, np.nan, full)
    low, high = (
        EMImputer(model, columns="continuous", n_components=n_components, random_state=0).fit(X).predict_interval(X)
    )
    return ((low <= full) & (full <= high))[gaps]


def later_responses(draw: Callable[[np.random.Generator], Data], expert: str, rng: np.random.Generator) -> np.ndarray:
    data, later = draw(rng), draw(rng)
    model = EMMixtureOfExpertsRegressor(2, expert=expert, random_state=0).fit(**data)
    low, high = model.predict_interval(later["X"])
    return (low <= later["y"]) & (later["y"] <= high)


INTERVALS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    **{
        f"EMImputer, {model}: missing cells": lambda rng, model=model: cells(model, rng)
        for model in ("gaussian", "factor", "mixture", "copula")
    },
    "EMMixtureOfExpertsRegressor: new responses": lambda rng: later_responses(responses, "gaussian", rng),
    "EMMixtureOfExpertsRegressor, Poisson: new responses": lambda rng: later_responses(counted, "poisson", rng),
}


def covered(kind: str, repeats: int = REPEATS // 4) -> float:
    return float(np.mean([INTERVALS[kind](np.random.default_rng(seed)).mean() for seed in range(repeats)]))


def write(name: str, rows: Iterable[Sequence[str]]) -> None:
    with (FOLDER / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            print(*row, flush=True)
            writer.writerow(row)


def parameters() -> Iterator[Sequence[str]]:
    yield "Model", "Parameter", "Coverage", "Bias / spread", "Standard error / spread"
    for title, case in CASES.items():
        for name, (coverage, bias, ratio) in measure(case).items():
            yield title, f"``{name}``", f"{coverage:.3f}", f"{bias:.2f}", f"{ratio:.2f}"


def intervals() -> Iterator[Sequence[str]]:
    yield "Model", "Intervals of", "Coverage"
    for kind in INTERVALS:
        yield *kind.split(": "), f"{covered(kind):.3f}"


def topics() -> Iterator[Sequence[str]]:
    yield "Method", *(f"{n:,} documents" for n in DOCUMENTS)
    for method in ("vb", "cvb0"):
        yield method, *(f"{distance(method, n):.3f}" for n in DOCUMENTS)


if __name__ == "__main__":
    write("accuracy_intervals", intervals())
    write("accuracy_topics", topics())
    write("accuracy_parameters", parameters())
