"""Criteria for the number of components, as functions of any fitted estimator of emkit. Lower is better for each.

They penalise the training likelihood, so `X` should be the data of the fit. On held-out data the likelihood itself
(`estimator.score`) compares models; a penalty there counts the parameters twice.

References
----------
.. [1] Schwarz, G. (1978). Estimating the dimension of a model. Ann. Statist. 6(2), 461-464.
.. [2] Akaike, H. (1974). A new look at the statistical model identification. IEEE Trans. Autom. Control 19(6), 716-723.
.. [3] Biernacki, C., Celeux, G. and Govaert, G. (2000). Assessing a mixture model for clustering with the integrated
   completed likelihood. IEEE Trans. PAMI 22(7), 719-725.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import xlogy

from .._validation import check_sample_weight

__all__ = ["aic", "bic", "entropy", "icl"]


def bic(estimator: Any, X: Any, *, sample_weight: Any = None, **metadata: Any) -> float:
    r"""Bayesian information criterion, :math:`-2 \ell + p \log n` ([1]_).

    Parameters
    ----------
    estimator : fitted estimator
        With `score_samples` and `n_parameters_`.
    X : array-like of shape (n_samples, n_features)
        The training data.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights; n is their sum.
    **metadata
        Passed on to the estimator, as `sequence_id` to that of a hidden Markov model.

    Returns
    -------
    float
        Natural logarithm, total over the rows; lower is better.

    References
    ----------
    .. [1] Schwarz, G. (1978). Estimating the dimension of a model. Ann. Statist. 6(2), 461-464.

    Examples
    --------
    >>> from emkit import EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit.selection import bic
    >>> X = load_old_faithful().data
    >>> round(bic(EMGaussianMixture(2, random_state=0).fit(X), X), 1)
    2322.2
    """
    log_likelihood, weight = log_likelihood_of(estimator, X, sample_weight, metadata)
    return -2 * log_likelihood + estimator.n_parameters_ * math.log(weight)


def aic(estimator: Any, X: Any, *, sample_weight: Any = None, **metadata: Any) -> float:
    r"""Akaike's information criterion, :math:`-2 \ell + 2 p` ([1]_).

    Parameters
    ----------
    estimator : fitted estimator
        With `score_samples` and `n_parameters_`.
    X : array-like of shape (n_samples, n_features)
        The training data.
    sample_weight : array-like of shape (n_samples,) or None, default=None
    **metadata
        Passed on to the estimator.

    Returns
    -------
    float
        Natural logarithm, total over the rows; lower is better.

    References
    ----------
    .. [1] Akaike, H. (1974). A new look at the statistical model identification. IEEE Trans. Autom. Control 19(6),
       716-723.
    """
    log_likelihood, _ = log_likelihood_of(estimator, X, sample_weight, metadata)
    return -2 * log_likelihood + 2 * estimator.n_parameters_


def icl(estimator: Any, X: Any, *, sample_weight: Any = None, **metadata: Any) -> float:
    r"""Integrated completed likelihood, BIC plus twice the entropy of the responsibilities ([1]_).

    Parameters
    ----------
    estimator : fitted estimator
        With `score_samples`, `predict_proba` and `n_parameters_`.
    X : array-like of shape (n_samples, n_features)
        The training data.
    sample_weight : array-like of shape (n_samples,) or None, default=None
    **metadata
        Passed on to the estimator.

    Returns
    -------
    float
        Natural logarithm, total over the rows; lower is better, and lowest where components are well separated.

    References
    ----------
    .. [1] Biernacki, C., Celeux, G. and Govaert, G. (2000). Assessing a mixture model for clustering with the
       integrated completed likelihood. IEEE Trans. PAMI 22(7), 719-725.
    """
    penalty = entropy(estimator, X, sample_weight=sample_weight, **metadata)
    return bic(estimator, X, sample_weight=sample_weight, **metadata) + 2 * penalty


def entropy(estimator: Any, X: Any, *, sample_weight: Any = None, **metadata: Any) -> float:
    r"""Entropy of the responsibilities, :math:`-\sum_i w_i \sum_k r_{ik} \log r_{ik}`; of the paths of a Markov chain.

    Parameters
    ----------
    estimator : fitted estimator
        With `predict_proba`.
    X : array-like of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,) or None, default=None
    **metadata
        Passed on to the estimator.

    Returns
    -------
    float
        Natural logarithm, total over the rows; 0 where each row has one sure component, at most n log k.
    """
    if hasattr(estimator, "_posterior_entropy"):  # not row by row, or not of all rows at once
        return float(estimator._posterior_entropy(X, sample_weight=sample_weight, **metadata))
    resp = np.asarray(estimator.predict_proba(X, **metadata), dtype=np.float64)
    weight = check_sample_weight(sample_weight, len(resp), resp.dtype)
    by_row = -xlogy(resp, resp).sum(axis=1)
    return float(by_row.sum() if weight is None else weight @ by_row)


def log_likelihood_of(estimator: Any, X: Any, sample_weight: Any, metadata: dict[str, Any]) -> tuple[float, float]:
    """Log-likelihood (natural log) and weight, summed over the rows."""
    if hasattr(estimator, "_log_likelihood"):  # without the scores of all rows at once
        total, weight = estimator._log_likelihood(X, sample_weight=sample_weight, **metadata)
        return float(total), float(weight)
    # a topic model's scores are of half the tokens, given the others
    by_row = getattr(estimator, "_training_log_likelihood", None) or estimator.score_samples
    scores = np.asarray(by_row(X, **metadata), dtype=np.float64)
    weight = check_sample_weight(sample_weight, len(scores), scores.dtype)
    if weight is None:
        return float(scores.sum()), float(len(scores))
    return float(weight @ scores), float(weight.sum())
