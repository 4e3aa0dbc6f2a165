"""What mixtures of all families do once they are fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
from scipy.special import xlogy
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._estimator import EMEstimator
from ..chunks import Rows, Source
from ..executors import each
from ..families.base import posterior
from ..families.discrete import Checked
from ..lazy import lazy_for_dask, weighted_mean
from ..partitions import is_collection
from .model import MixtureModel, MixtureParams

T = TypeVar("T")


class MixtureEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, EMEstimator):
    """Densities and probabilities of rows under a fitted mixture. Subclasses fit it and say how X is read."""

    @abstractmethod
    def _read(self, X: Any, sample_weight: Any = None) -> tuple[Source, np.ndarray | None]:
        """Rows for the fitted mixture, and the indices of those with weight (None for all)."""

    @abstractmethod
    def _fitted(self, dtype: np.dtype) -> tuple[MixtureModel, MixtureParams]:
        """The fitted mixture, for rows of a dtype; noise, if there is any, is its last component."""

    def _by_chunk(self, function: Callable[[Rows, np.ndarray], T], X: Any, sample_weight: Any = None) -> Iterator[T]:
        """What a function makes of each chunk and of log weight_k + log p(x; k) of its rows, (n, k)."""
        check_is_fitted(self)
        source, kept = self._read(X, sample_weight)
        model, params = self._fitted(source.dtype)
        known = Checked(source, model.family.check_rows, kept)
        return each(partial(_of_chunk, function, model, params), known)

    def _by_row(self, function: Callable[[np.ndarray], np.ndarray], X: Any) -> np.ndarray:
        """What a function makes of log joint densities (n, k), for all rows."""
        return np.concatenate(list(self._by_chunk(partial(_of_rows, function), X)))

    def _total(self, function: Callable[[np.ndarray], np.ndarray], X: Any, sample_weight: Any) -> tuple[float, float]:
        """Weighted sum over the rows of what a function makes of log joint densities (n, k), and the weight."""
        sums = np.zeros(2)
        for of_chunk in self._by_chunk(partial(_sums, function), X, sample_weight):
            sums += of_chunk
        return float(sums[0]), float(sums[1])

    def _log_likelihood(self, X, *, sample_weight=None):
        """Weighted total, natural log, and the weight; for criteria."""
        return self._total(_scores, X, sample_weight)

    def _posterior_entropy(self, X, *, sample_weight=None):
        """Entropy of the responsibilities, natural log, weighted total."""
        return self._total(_entropies, X, sample_weight)[0]

    def fit_predict(self, X, y=None, *, sample_weight=None, labels=None):
        """Fit the mixture and give each row's most probable component; the same as ``fit(X).predict(X)``.

        Parameters
        ----------
        X, sample_weight, labels
            See `fit`.
        y : None
            Ignored.

        Returns
        -------
        components : ndarray of shape (n_samples,), int
        """
        return self.fit(X, sample_weight=sample_weight, labels=labels).predict(X)

    @lazy_for_dask
    def score_samples(self, X):
        """Log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Natural log of the density of what is observed of each row; 0 where nothing is.
        """
        return self._by_row(_scores, X)

    def score(self, X, y=None, *, sample_weight=None):
        """Mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the mean.

        Returns
        -------
        log_likelihood : float
            Natural log, per unit of weight.
        """
        if is_collection(X):
            return weighted_mean(self.score_samples(X), sample_weight)
        total, weight = self._log_likelihood(X, sample_weight=sample_weight)
        return total / weight

    @lazy_for_dask
    def predict_proba(self, X):
        """Probability of each component for each row (the responsibilities).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Rows sum to one. A row without an observed value has the mixing weights. With ``noise=True`` there is one
            column more, the last, for noise.
        """
        return self._by_row(_responsibilities, X)

    @lazy_for_dask
    def predict(self, X):
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        components : ndarray of shape (n_samples,), int
            From 0 to n_components - 1; -1 for noise.
        """
        best = self._by_row(_most_probable, X)
        return np.where(best < len(self.weights_), best, -1)

    def transform(self, X):
        """Probability of each component as features, for a later step of a pipeline; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        resp : ndarray or frame of shape (n_samples, n_components)
            One column more, the last, for noise if there is any.
        """
        return self.predict_proba(X)

    def sample(self, n_samples=1):
        """Draw rows from the fitted mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), dtype of the fit
            Rows, in the order of their components; noise comes last.
        components : ndarray of shape (n_samples,), int
            The component of each row; -1 for noise.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, (int, np.integer)) or isinstance(n_samples, bool) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples!r}; it must be an integer >= 1")
        rng = check_random_state(self.random_state)
        dtype = self.weights_.dtype
        model, params = self._fitted(dtype)
        weights = params.weights / params.weights.sum()
        components = np.repeat(np.arange(len(weights)), rng.multinomial(n_samples, weights))
        X = model.family.sample(params.components, components, rng).astype(dtype)
        return X, np.where(components < len(self.weights_), components, -1)

    @property
    def _n_features_out(self):
        return len(self.weights_) + hasattr(self, "noise_weight_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _of_chunk(function: Callable[[Rows, np.ndarray], T], model: MixtureModel, params: MixtureParams, rows: Rows) -> T:
    return function(rows, model.log_joint(params, rows))


def _of_rows(function: Callable[[np.ndarray], np.ndarray], rows: Rows, log_joint: np.ndarray) -> np.ndarray:
    return function(log_joint)


def _sums(function: Callable[[np.ndarray], np.ndarray], rows: Rows, log_joint: np.ndarray) -> tuple[float, float]:
    """Of weight times value, and of weight."""
    weight = rows.weight.astype(np.float64)
    return float(weight @ function(log_joint).astype(np.float64)), float(weight.sum())


def _scores(log_joint: np.ndarray) -> np.ndarray:
    return posterior(log_joint)[0]


def _responsibilities(log_joint: np.ndarray) -> np.ndarray:
    return posterior(log_joint)[1]


def _entropies(log_joint: np.ndarray) -> np.ndarray:
    resp = _responsibilities(log_joint).astype(np.float64)
    entropies: np.ndarray = -xlogy(resp, resp).sum(axis=1)
    return entropies


def _most_probable(log_joint: np.ndarray) -> np.ndarray:
    best: np.ndarray = log_joint.argmax(axis=1)
    return best
