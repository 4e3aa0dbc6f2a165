"""All in a search that depends on the kind of estimator: a class each, one table.

A kind is told by what the estimator has, not by its class, so that a new estimator with the same means needs no line
here, and no estimator is imported, which would itself import the criteria.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from .._validation import Seen, unmasked
from ..families.covariance import COVARIANCES
from ..families.degenerate import too_few_rows
from .criteria import log_likelihood_of
from .data import Data
from .division import divided, standardised

N_TOPICS = 3  # of which a division is tried
POWER_STEPS = 10


class Kind:
    """Any estimator: fresh starts alone, and no draws."""

    splits = False
    draws = False
    has_own_rows = False  # whether a row may be left out without changing what the others mean
    is_conditional = False  # whether the likelihood is that of responses, whatever the inputs are made into

    def tidy(self, data: Data) -> Data:
        """Metadata in the form that can be cut by rows."""
        return data

    def groups(self, estimator: Any, data: Data) -> Any:
        """Of the rows that may not be parted, (n,); None if each row stands by itself."""
        return None

    def seen(self, estimator: Any, data: Data) -> Data:
        """The data, checked once for all fits where that can be."""
        return data

    def divisions(self, fitted: Any, data: Data) -> list[dict[str, Any]]:
        """Parameters that start a fit of one component more, for each division worth a try."""
        return []

    def carried(self, fitted: Any, data: Data) -> dict[str, Any]:
        """Parameters that start a fit of as many components, at those of `fitted`."""
        return {}

    def partition(self, fitted: Any, data: Data) -> dict[str, Any]:
        """Parameters that start a fit of another model at the same parts of the rows."""
        return {}

    def quality(self, fitted: Any, data: Data) -> float:
        """What the better of two starts has more of."""
        return float(fitted.objective_)

    def flaw(self, fitted: Any, data: Data) -> str:
        """What is wrong beside what the estimator itself has found."""
        return ""

    def draw(self, fitted: Any, data: Data, seed: int) -> Data:
        """Data like `data`, drawn from the fitted model."""
        raise NotImplementedError


class ByShares(Kind):
    """Started by responsibilities, (n, K)."""

    splits = draws = True

    def divisions(self, fitted, data):
        shares = self.shares(fitted, data)
        return [{"init_params": resp} for resp in divided(shares, data.weight, self.features(fitted, data))]

    def partition(self, fitted, data):
        return {"init_params": self.shares(fitted, data)}

    def carried(self, fitted, data):
        return self.partition(fitted, data)

    def shares(self, fitted, data):
        proba = fitted.predict_proba(data.rows, **data.arguments_of(fitted.predict_proba))
        return as_shares(np.asarray(proba)[:, : fitted.n_components])  # a last column may be noise

    def few_rows(self, fitted, data):
        """The flaw of components with too few rows, whether a weight is meant as repetition or as a share."""
        shares = self.shares(fitted, data)
        return rests_on_few(fitted, np.maximum(shares[data.weight > 0].sum(axis=0), data.weight @ shares))

    def table(self, fitted, data):
        """The rows as numbers."""
        return numbers_of(data.X)

    def features(self, fitted, data):
        table = self.table(fitted, data)
        if fitted.__sklearn_tags__().input_tags.categorical:
            table = np.hstack([column[:, None] == np.unique(column[~np.isnan(column)]) for column in table.T])
        table = standardised(table)
        return lambda k: [table]


class Mixtures(ByShares):
    """Of any family."""

    has_own_rows = True

    def seen(self, estimator, data):
        return data if data.params else replace(data, seen=Seen.of(estimator, data.X))

    def flaw(self, fitted, data):
        return self.few_rows(fitted, data) if has_covariances(fitted.family) else ""

    def draw(self, fitted, data, seed):
        X, _ = seeded(fitted, seed).sample(len(data))
        X = X[np.random.default_rng(seed).permutation(len(X))]
        return replace(data, X=with_gaps(X, data.X), seen=None)


class GaussianMixtures(Mixtures):
    def carried(self, fitted, data):
        if fitted.noise:
            return self.partition(fitted, data)
        return {
            "weights_init": fitted.weights_ / fitted.weights_.sum(dtype=np.float64),
            "means_init": fitted.means_,
            "precisions_init": fitted.precisions_,
        }

    def flaw(self, fitted, data):
        if fitted.weight_concentration_prior is not None:
            return ""  # covariances have a prior too, and components without rows are meant
        if data.seen is None or fitted.noise:
            return self.few_rows(fitted, data)
        state = fitted._online.state  # of the last pass over these rows, of which each counts once
        return rests_on_few(fitted, state.weight * state.stats.counts[: fitted.n_components])


class Chains(ByShares):
    """Hidden Markov models: sequences stay whole."""

    def tidy(self, data):
        from ..hidden_markov.reading import check_lengths, check_sources, check_tables, holds_sequences

        X, params = data.X, dict(data.params)
        check_sources(X, params.get("sequence_id"), params.get("lengths"))
        lengths = params.pop("lengths", None)
        if holds_sequences(X):
            tables = check_tables(X)
            lengths, X = [len(table) for table in tables], np.concatenate([np.asarray(table) for table in tables])
        if lengths is not None:
            lengths = check_lengths(lengths, len(Data(X)))
            params["sequence_id"] = np.repeat(np.arange(len(lengths)), lengths)
        return Data(X, data.y, params)

    def groups(self, estimator, data):
        from ..hidden_markov.reading import numbered, sequence_ids

        if "lengths" in data.params:
            raise ValueError("lengths cannot be divided into folds where estimator is a Pipeline; pass sequence_id")
        ids = data.params.get("sequence_id")
        ids = sequence_ids(estimator.sequence, data.X) if ids is None else ids
        return numbered("sequence_id", ids, len(data))[0]

    def table(self, fitted, data):
        from ..hidden_markov.reading import without_ids

        return numbers_of(without_ids(fitted.sequence, data.X))

    def flaw(self, fitted, data):
        return self.few_rows(fitted, data) if has_covariances(fitted.emission) else ""

    def draw(self, fitted, data, seed):
        codes = self.groups(fitted, data)
        X = np.empty((len(data), fitted.n_features_in_))
        for number in range(codes.max() + 1):
            rows = np.flatnonzero(codes == number)
            X[rows] = seeded(fitted, (seed + number) % 2**31).sample(len(rows))[0]
        X = with_gaps(X, self.table(fitted, data))
        if isinstance(fitted.sequence, int | np.integer):  # the column is looked for even where ids are passed
            X = np.insert(X, fitted.sequence % (X.shape[1] + 1), codes, axis=1)
        return replace(data, X=X, params={"sequence_id": codes, **data.params})


class Experts(ByShares):
    """A component is divided by what its expert leaves of the responses, and by the inputs."""

    is_conditional = True

    def groups(self, estimator, data):
        return data.params.get("block_id")

    def shares(self, fitted, data):
        proba = fitted.predict_expert_proba(data.X, **data.arguments_of(fitted.predict_expert_proba))
        return as_shares(np.asarray(proba)[:, : fitted.n_components])

    def features(self, fitted, data):
        inputs = standardised(numbers_of(data.X))

        def of_expert(k: int) -> list[np.ndarray]:
            expert = fitted.experts_[k]
            if hasattr(fitted, "classes_"):
                rest = (np.asarray(data.y)[:, None] == fitted.classes_) - expert.predict_proba(data.X)
            else:
                predicted = expert.predict(data.X, **data.arguments_of(expert.predict))
                rest = np.asarray(data.y, dtype=np.float64) - predicted
            return [inputs, standardised(rest.reshape(len(inputs), -1))]

        return of_expert

    def draw(self, fitted, data, seed):
        own = seeded(fitted, seed)
        return replace(data, y=own.sample(data.X, **data.arguments_of(own.sample))[0])


class Topics(Kind):
    """A topic is divided by the documents in which it is: those on either side of the first principal axis."""

    splits = draws = True

    def divisions(self, fitted, data):
        counts = csr_array(data.X, dtype=np.float64)
        shares = fitted.predict_proba(data.X)
        largest = np.argsort(-fitted.topic_weights_, kind="stable")[:N_TOPICS]
        return [self._halved(fitted, counts, shares, k, data.weight) for k in largest]

    def _halved(self, fitted, counts, shares, k, weight):
        topics = fitted.topic_word_
        tokens = counts.tocoo()
        mixed = np.einsum("ik,ik->i", shares[tokens.row], topics.T[tokens.col])
        in_topic = tokens.data * shares[tokens.row, k] * topics[k, tokens.col] / np.maximum(mixed, 1e-300)
        own = csr_array((in_topic, (tokens.row, tokens.col)), shape=counts.shape)
        above = first_axis(own) > 0
        halves = [(weight * side) @ own for side in (above, ~above)]
        others = np.delete(fitted.components_, k, axis=0)
        components = np.vstack([others, *(half + 0.1 * fitted.components_[k] for half in halves)])
        alpha = fitted.doc_topic_prior_
        start = {"components_init": components}
        if alpha.all():
            start["doc_topic_prior"] = np.append(np.delete(alpha, k), [alpha[k] / 2] * 2)
        return start

    def carried(self, fitted, data):
        start = {"components_init": fitted.components_}
        return {**start, "doc_topic_prior": fitted.doc_topic_prior_} if fitted.doc_topic_prior_.all() else start

    def quality(self, fitted, data):
        """Of the likelihood alone: priors that were learned differ from start to start."""
        return log_likelihood_of(fitted, data.X, data.params.get("sample_weight"), {})[0]

    def draw(self, fitted, data, seed):
        return replace(data, X=seeded(fitted, seed).sample(len(data))[0])


# what an estimator has -> its kind; the first that fits
KINDS: dict[str, Kind] = {
    "predict_expert_proba": Experts(),
    "transmat_init": Chains(),
    "components_init": Topics(),
    "precisions_init": GaussianMixtures(),
    "parts_init": Mixtures(),
}


def kind_of(estimator: Any) -> Kind:
    """The kind of an estimator, fitted or not."""
    made: Any = type(estimator)
    return _kind_of_class(made)


@cache
def _kind_of_class(made: Any) -> Kind:
    parameters = made._get_param_names()
    return next((kind for name, kind in KINDS.items() if name in parameters or hasattr(made, name)), Kind())


def seeded(fitted: Any, seed: int) -> Any:
    """A copy that draws from a seed of its own."""
    return copy.copy(fitted).set_params(random_state=seed)


def has_covariances(family: Any) -> bool:
    return isinstance(family, str) and family in ("gaussian", "student")


def as_shares(resp: np.ndarray) -> np.ndarray:
    """Rows that sum to one in double precision; even ones for rows of no component."""
    resp = resp.astype(np.float64)
    total = resp.sum(axis=1, keepdims=True)
    return np.where(total > 1e-9, resp / np.maximum(total, 1e-9), 1 / resp.shape[1])


def numbers_of(X: Any) -> np.ndarray:
    """The columns of numbers, (n, m)."""
    try:
        return np.asarray(unmasked(X), dtype=np.float64)
    except (TypeError, ValueError):
        if hasattr(X, "select_dtypes"):
            return X.select_dtypes(["number", "bool"]).to_numpy(dtype=np.float64, na_value=np.nan)
        return np.zeros((len(X), 1))


def with_gaps(drawn: np.ndarray, X: Any) -> np.ndarray:
    """The draw, with values missing where they are in X."""
    return np.where(np.isnan(numbers_of(X)), np.nan, drawn)


def first_axis(table: csr_array) -> np.ndarray:
    """Positions of the rows' profiles on their first principal axis, (n,), by the power method."""
    totals = np.asarray(table.sum(axis=1)).ravel()
    profiles = csr_array(table / np.maximum(totals, 1e-300)[:, None])
    mean = totals @ profiles / max(totals.sum(), 1e-300)
    axis = np.random.default_rng(0).standard_normal(table.shape[1])
    for _ in range(POWER_STEPS):
        position = np.sqrt(totals) * (profiles @ axis - mean @ axis)
        axis = (np.sqrt(totals) * position) @ profiles - (np.sqrt(totals) @ position) * mean
        axis /= max(np.linalg.norm(axis), 1e-300)
    return np.asarray(profiles @ axis - mean @ axis)


def rests_on_few(fitted: Any, rows: np.ndarray) -> str:
    """Components whose covariance rests on too few `rows`, (K,)."""
    few = too_few_rows(COVARIANCES[fitted.covariance_type], fitted.n_features_in_, rows)
    return "; ".join(
        f"component {k} has a covariance of its own from {rows[k]:.3g} rows, too few" for k in np.flatnonzero(few)
    )
