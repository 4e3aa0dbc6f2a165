"""EMMixtureOfExpertsClassifier: the scikit-learn face of the mixture of experts, for classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._compat import with_callbacks
from . import prediction, responses
from .estimator import MixtureOfExperts
from .experts import table
from .partitioned import lazy_by_row
from .reading import Extras, blocks_of_fitted
from .stepwise import fit_online, takes_batches


class EMMixtureOfExpertsClassifier(ClassifierMixin, MixtureOfExperts):
    """Mixture of classifiers whose shares may depend on the inputs, fitted by EM.

    The probability of a class is :math:`p(c | x) = \\sum_k g_k(x) p_k(c | x)`. EM maximises the weighted log-likelihood
    (with penalties, if any) over gate :math:`g` and experts :math:`p_k`.

    Parameters
    ----------
    n_components : int, default=2
        Number of experts, K.
    expert : "logistic" or classifier, default="logistic"
        (Multinomial) logistic regression, or a scikit-learn classifier with `predict_proba` whose `fit` takes
        `sample_weight`: each expert is a clone. Then the objective need not rise in each step.
    gate : {"softmax", "constant", "gaussian", "hierarchical"}, default="softmax"
        The shares of the experts: softmax of linear functions of the inputs; the same for all inputs; those of a
        Gaussian mixture of the inputs; a softmax over groups of experts and one in each group.
    expert_features, gate_features : None, list of str or int, or transformer, default=None
        What experts and gate see of X: all columns, some of them, or what a clone of a scikit-learn transformer makes
        of it. There is always an intercept.
    n_groups : int, default=2
        Groups of experts with ``gate="hierarchical"``, which the experts fill one after the other; their sizes differ
        by one at most. Of fewer experts, as at the beginning of a search, each is a group.
    alpha : float, default=0.1
        L2 penalty of the experts' slopes, ``alpha / 2 * sum(coef**2)`` for inputs of unit variance: the ``1 / C`` of
        :class:`sklearn.linear_model.LogisticRegression`. 0 is none.
    gate_alpha : float, default=0.1
        L2 penalty of the gate's slopes, ``gate_alpha / 2 * sum(gate_coef**2)`` for inputs of unit variance. 0 is none.
    reg_covar : float, default=1e-6
        Floor under the covariances of a Gaussian gate, relative to the variances of its inputs.
    noise : bool, default=False
        Whether any label may be noise instead, with one chance for all: each class as likely as the others.
        Predictions leave noise out; see `noise_weight_`.
    tol : float, default=1e-8
        Bound on the estimated remaining gain of the log-likelihood per unit of weight. 0 runs all `max_iter` steps.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start.
    n_init : "auto" or int, default="auto"
        "auto": ten short starts, of which the best three are run on and the best is continued. A number: that many full
        starts, the best kept. From 10,000 rows on, starts are compared on a sample of at most 10,000 of them.
    init_params : "auto" or array-like, default="auto"
        The start itself: labels from 0 to K-1, shape (n_samples,), or responsibilities, shape (n_samples, K).
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; False is textbook EM.
    random_state : int, RandomState instance or None, default=None
        Of the starts, of experts that are estimators, and of `sample`.
    n_jobs : int or None, default=None
        Threads: over starts, and over chunks of rows where only one start runs. Results do not depend on it.
    warm_start : bool, default=False
        Continue from the parameters of the previous fit.
    verbose : int, default=0
        1 logs the end of each start, 2 also each iteration, at level INFO to the logger ``emkit``.
    checkpoint : path or None, default=None
        File that `fit` writes after each pass, and from which the same fit goes on if it was killed; or a directory,
        in which each fit has a file of its own. See :mod:`emkit.checkpoint`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    experts_ : list of length n_components
        Each has `predict` and `predict_proba` of X, and `estimator_`, the fitted clone, if `expert` is an estimator.
    coef_ : ndarray of shape (n_components, n_classes, n_inputs), or (n_components, 1, n_inputs) for two classes
        Slopes of the log odds of each class (of the second of two); not with an estimator as expert.
    intercept_ : ndarray of shape (n_components, n_classes), or (n_components, 1) for two classes
        Constants of each expert's linear predictors.
    noise_weight_ : float
        With ``noise=True``: share of the labels that is noise.
    gate_coef_ : ndarray of shape (n_components, n_gate_inputs)
        Of softmax gates; they add up to zero over experts (of a hierarchical gate over those of a group).
    gate_intercept_ : ndarray of shape (n_components,)
        Constants of the softmax gate; they add up to zero over the experts.
    group_coef_, group_intercept_ : ndarray of shape (n_groups, n_gate_inputs) and (n_groups,)
        With ``gate="hierarchical"``.
    gate_means_, gate_covariances_ : ndarray of shape (n_components, n_gate_inputs[, n_gate_inputs])
        With ``gate="gaussian"``.
    weights_ : ndarray of shape (n_components,)
        Share of each expert in the training data.
    objective_ : float
        Log-likelihood of the training data plus log-prior of the penalties, weighted total, natural log.
    n_iter_ : int
        M-steps of the returned start.
    n_e_steps_ : int
        Passes over the data of the returned start.
    converged_ : bool
        Whether the stop rule was met before `max_iter`. False after a further batch, of which nothing tells whether it
        led to a maximum.
    n_parameters_ : int
        Free parameters, for BIC and AIC; those of experts that are estimators are not counted.
    history_ : ndarray, structured
        A record for each iteration of each start: start, iteration, objective (total), change, seconds, phase.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    EMMixtureOfExpertsRegressor : the same for numbers.

    Notes
    -----
    A pass costs O(n K C^2 p^2) for the experts and O(n K^2 q^2) for a softmax gate, with p and q inputs and C classes.
    Both take one Newton step in each M-step, shortened if the objective would fall.

    References
    ----------
    .. [1] Jacobs, R. A., Jordan, M. I., Nowlan, S. J. and Hinton, G. E. (1991). Adaptive mixtures of local experts.
       Neural Computation 3(1), 79-87.
    .. [2] Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm. Neural
       Computation 6(2), 181-214.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from emkit import EMMixtureOfExpertsClassifier
    >>> X, y = make_moons(300, noise=0.1, random_state=0)
    >>> EMMixtureOfExpertsClassifier(3, random_state=0).fit(X, y).score(X, y) > 0.97
    True
    """

    __metadata_request__fit = MappingProxyType({"sample_weight": True, "block_id": True})
    __metadata_request__partial_fit = MappingProxyType({"classes": True, "sample_weight": True, "block_id": True})
    __metadata_request__predict = MappingProxyType({"block_id": True})
    __metadata_request__predict_proba = MappingProxyType({"block_id": True})
    __metadata_request__score = MappingProxyType({"sample_weight": True, "block_id": True})

    def __init__(
        self,
        n_components=2,
        *,
        expert="logistic",
        gate="softmax",
        expert_features=None,
        gate_features=None,
        n_groups=2,
        alpha=0.1,
        gate_alpha=0.1,
        reg_covar=1e-6,
        noise=False,
        tol=1e-8,
        max_iter=1000,
        n_init="auto",
        init_params="auto",
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.expert = expert
        self.gate = gate
        self.expert_features = expert_features
        self.gate_features = gate_features
        self.n_groups = n_groups
        self.alpha = alpha
        self.gate_alpha = gate_alpha
        self.reg_covar = reg_covar
        self.noise = noise
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint

    @available_if(takes_batches)
    @with_callbacks
    def partial_fit(self, X, y=None, *, classes=None, sample_weight=None, block_id=None):
        """Update gate and experts by one batch of rows: stepwise EM.

        The first batch is fitted to convergence, so it should hold some hundred rows for each expert; each later batch
        is one step. The order of the batches should be random. After `fit`, this updates that fit. Units, floors,
        transformers and the range of noise remain those of the first batch. Not with an estimator as expert.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs of a batch; see `fit`.
        y : array-like of shape (n_samples,)
            Classes.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that there can be, for the first call; later it is None or the same. If it is None in the first
            call, they are those of its y.
        sample_weight, block_id : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        self : EMMixtureOfExpertsClassifier

        Raises
        ------
        ValueError
            If a value is refused, or if the mixture was fitted with other settings or classes. The estimator is left as
            it was.
        """
        return self._fit_copy(
            fit_online,
            X,
            y=y,
            classes=classes,
            sample_weight=sample_weight,
            block_id=block_id,
        )

    @lazy_by_row
    def predict_proba(self, X, *, block_id=None):
        """Probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        block_id : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Rows sum to one; columns are as in `classes_`.
        """
        proba = self._by_row(prediction.mean, self._readings(X, None, Extras(None, block_id)))
        return proba / proba.sum(axis=1, keepdims=True)  # rounding may leave a 1 that is larger than 1

    @lazy_by_row
    def predict(self, X, *, block_id=None):
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        block_id : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        return self._as_predictions(self.predict_proba(X, block_id=block_id))

    def score(self, X, y=None, *, sample_weight=None, block_id=None):
        """Share of the rows whose class is predicted (accuracy).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, pairs (X, y); then y is None.
        y : array-like of shape (n_samples,)
            Classes.
        sample_weight, block_id : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        from sklearn.metrics import accuracy_score

        check_is_fitted(self)
        if blocks_of_fitted(X) is not None:
            found = self._by_block(_hits, X, y, Extras(sample_weight, block_id))
            return sum(hits for hits, _ in found) / sum(weight for _, weight in found)
        responses.require(self, y)
        predicted = self.predict(X, block_id=block_id)
        return accuracy_score(y, predicted, sample_weight=sample_weight)

    def _check_expert(self) -> None:
        table.check_expert(self.expert, table.CLASSIFIERS, "classifier")

    def _make_experts(self, setting: table.Setting, seeds: np.ndarray) -> Any:
        return table.classifiers(self, setting, seeds)

    def _learn_responses(self, labels: Iterable[np.ndarray]) -> None:
        self.classes_ = responses.classes_of(labels)

    def _about_all_responses(self, responses_of_all: Callable[[], Iterable[Any]]) -> dict[str, Any]:
        return {"classes": responses.classes_of(map(responses.labels_of, responses_of_all()))}

    def _read_responses(self, y: Any, n: int, *, allow_nan: bool = False) -> np.ndarray:
        return responses.read_codes(y, n, self.classes_)

    def _about_responses(self) -> str:
        return f"the classes {self.classes_.tolist()}"

    def _n_classes(self) -> int:
        return len(self.classes_)

    def _missing_responses(self, n: int) -> np.ndarray:
        return np.full((n, 1), np.nan)

    def _as_responses(self, values: np.ndarray) -> np.ndarray:
        """Classes of codes (..., 1)."""
        return self.classes_[values[..., 0].astype(np.intp)]

    def _as_predictions(self, proba: np.ndarray) -> np.ndarray:
        return self.classes_[proba.argmax(axis=-1)]

    def _is_flat(self, y: Any) -> bool:
        """Coefficients have an axis of classes, whatever y is."""
        return False


def _hits(mixture, y, predicted, weight):
    """Weight of the rows whose class was predicted."""
    from sklearn.metrics import accuracy_score

    if not weight.any():  # which scikit-learn refuses
        return 0.0
    return float(accuracy_score(y, predicted, sample_weight=weight, normalize=False))
