"""What mixtures of all families do once they are fitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._estimator import EMEstimator
from .._validation import check_sample_weight
from ..chunks import Source
from ..families.base import posterior
from ..lazy import lazy_for_dask, weighted_mean
from ..partitions import is_collection
from .model import MixtureModel, MixtureParams


class MixtureEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, EMEstimator):
    """Densities and probabilities of rows under a fitted mixture. Subclasses fit it and say how X is read."""

    @abstractmethod
    def _read(self, X: Any) -> Source:
        """Rows for the fitted mixture, checked."""

    @abstractmethod
    def _fitted(self, dtype: np.dtype) -> tuple[MixtureModel, MixtureParams]:
        """The fitted mixture, for rows of a dtype; noise, if there is any, is its last component."""

    def _log_joint(self, X: Any) -> Iterator[np.ndarray]:
        """log weight_k + log p(x; k) chunk by chunk."""
        check_is_fitted(self)
        source = self._read(X)
        model, params = self._fitted(source.dtype)
        for rows in source:
            yield model.log_joint(params, rows)

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
        X : array-like of shape (n_samples, n_features)
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Natural log of the density of what is observed of each row; 0 where nothing is.
        """
        return np.concatenate([posterior(log_joint)[0] for log_joint in self._log_joint(X)])

    def score(self, X, y=None, *, sample_weight=None):
        """Mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
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
        scores = self.score_samples(X)
        if is_collection(scores):
            return weighted_mean(scores, sample_weight)
        weight = check_sample_weight(sample_weight, len(scores), np.dtype(np.float64))
        return float(np.average(scores.astype(np.float64), weights=weight))

    @lazy_for_dask
    def predict_proba(self, X):
        """Probability of each component for each row (the responsibilities).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Rows sum to one. A row without an observed value has the mixing weights. With ``noise=True`` there is one
            column more, the last, for noise.
        """
        return np.concatenate([posterior(log_joint)[1] for log_joint in self._log_joint(X)])

    @lazy_for_dask
    def predict(self, X):
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        components : ndarray of shape (n_samples,), int
            From 0 to n_components - 1; -1 for noise.
        """
        best = np.concatenate([log_joint.argmax(axis=1) for log_joint in self._log_joint(X)])
        return np.where(best < len(self.weights_), best, -1)

    def transform(self, X):
        """Probability of each component as features, for a later step of a pipeline; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
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
