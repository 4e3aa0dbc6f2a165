"""EMMixtureOfExpertsRegressor: the scikit-learn face of the mixture of experts, for numbers."""

from __future__ import annotations

from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._compat import with_callbacks
from .._validation import check_choice
from ..chunks import Rows
from ..description import describe
from ..families.covariance import COVARIANCES
from . import prediction, responses
from .estimator import MixtureOfExperts
from .experts import table
from .experts.glm import LAWS
from .fitting import EXTRAS
from .partitioned import lazy_by_row
from .reading import Extras, blocks_of_fitted
from .stepwise import fit_online, takes_batches


class EMMixtureOfExpertsRegressor(RegressorMixin, MixtureOfExperts):
    """Mixture of regressions whose shares may depend on the inputs, fitted by EM.

    The density of a response is :math:`p(y | x) = \\sum_k g_k(x) p_k(y | x)`. EM maximises the weighted log-likelihood
    (with penalties, if any) over gate :math:`g` and experts :math:`p_k`.

    Parameters
    ----------
    n_components : int, default=2
        Number of experts, K.
    expert : {"gaussian", "student", "poisson", "binomial", "gamma"} or regressor, default="gaussian"
        Law of the response: linear with Gaussian or Student t noise, log-linear counts, logistic shares of trials,
        log-linear gamma. Or a scikit-learn regressor whose `fit` takes `sample_weight`: each expert is a clone, with
        Gaussian noise about what it predicts. Then the objective need not rise in each step.
    gate : {"softmax", "constant", "gaussian", "hierarchical"}, default="softmax"
        The shares of the experts: softmax of linear functions of the inputs; the same for all inputs (switching
        regression); those of a Gaussian mixture of the inputs; a softmax over groups of experts and one in each group.
    expert_features, gate_features : None, list of str or int, or transformer, default=None
        What experts and gate see of X: all columns, some of them, or what a clone of a scikit-learn transformer makes
        of it (as ``PolynomialFeatures(2, include_bias=False)`` or ``SplineTransformer()``). There is always an
        intercept.
    n_groups : int, default=2
        Groups of experts with ``gate="hierarchical"``, which the experts fill one after the other; their sizes differ
        by one at most. Of fewer experts, as at the beginning of a search, each is a group.
    alpha : float, default=1e-6
        L2 penalty of the experts' slopes: ``alpha / 2 * sum(coef**2) / dispersion`` for inputs of unit variance, where
        the dispersion is the variance of the noise (1 for counts), so that it is the `alpha` of
        :class:`sklearn.linear_model.Ridge`. The default merely keeps coefficients finite. 0 is none.
    gate_alpha : float, default=0.1
        L2 penalty of the gate's slopes, ``gate_alpha / 2 * sum(gate_coef**2)`` for inputs of unit variance. 0 is none.
    covariance_type : str, default="full"
        Noise of "gaussian" and "student", one of the names of :class:`emkit.EMGaussianMixture`. Each expert has its own
        covariance matrix of the responses (full), all share one (tied), each has its own variances (diag), each has one
        variance (spherical), all share one variance (EII), and so on. What is equal is so in units of the responses'
        standard deviations. For one response, own variance or ("tied", or "E..." of mclust) a shared one.
    reg_covar : float, default=1e-6
        Floor under the noise variances relative to those of y (never below 1e-10, where rounding begins), and under the
        covariances of a Gaussian gate relative to those of its inputs.
    noise : bool, default=False
        Whether any response may be noise instead, with one chance for all: uniform over the range of y. Predictions
        leave noise out; see `noise_weight_`.
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
    experts_ : list of length n_components
        Each has `predict` of X, and `estimator_`, the fitted clone, if `expert` is an estimator.
    coef_ : ndarray of shape (n_components, n_inputs) or (n_components, n_outputs, n_inputs)
        Slopes of the experts; not with an estimator as expert.
    intercept_ : ndarray of shape (n_components,) or (n_components, n_outputs)
        Constant of each expert's linear predictor.
    scale_ : ndarray of shape (n_components,)
        Standard deviation of the noise; of "student" the scale. For one response.
    covariances_ : ndarray of shape (n_components, n_outputs, n_outputs)
        Covariances of the noise, for several responses; `variances_` (n_components, n_outputs) of estimators.
    degrees_of_freedom_ : ndarray of shape (n_components,)
        With "student"; from 0.1 to 1000, which is as good as normal.
    shape_ : ndarray of shape (n_components,)
        With "gamma": the variance is mean**2 / shape.
    noise_weight_ : float
        With ``noise=True``: share of the responses that is noise.
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
        Free parameters, for BIC and AIC; of experts that are estimators only the variances are counted.
    history_ : ndarray, structured
        A record for each iteration of each start: start, iteration, objective (total), change, seconds, phase.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    EMMixtureOfExpertsClassifier : the same for classes.

    Notes
    -----
    A pass costs O(n K p^2) for the experts and O(n K^2 q^2) for a softmax gate, with p and q inputs; work memory is
    O(K p^2 + K^2 q^2) and that of a chunk of rows, beyond the data. Softmax gates and "poisson", "binomial" and "gamma"
    take one Newton step in each M-step, shortened if the objective would fall.

    References
    ----------
    .. [1] Jacobs, R. A., Jordan, M. I., Nowlan, S. J. and Hinton, G. E. (1991). Adaptive mixtures of local experts.
       Neural Computation 3(1), 79-87.
    .. [2] Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm. Neural
       Computation 6(2), 181-214.
    .. [3] Gruen, B. and Leisch, F. (2008). FlexMix version 2: finite mixtures with concomitant variables and varying
       and constant parameters. J. Stat. Softw. 28(4).

    Examples
    --------
    >>> from emkit import EMMixtureOfExpertsRegressor
    >>> from emkit.datasets import load_ethanol
    >>> engine = load_ethanol(as_frame=True).frame
    >>> model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0)
    >>> model = model.fit(engine[["NOx"]], engine["E"])
    >>> sorted(model.coef_.ravel().round(2).tolist())
    [-0.08, 0.09]
    """

    __metadata_request__fit = MappingProxyType(dict.fromkeys(("sample_weight", *EXTRAS), True))
    __metadata_request__partial_fit = __metadata_request__fit
    __metadata_request__predict = MappingProxyType(dict.fromkeys(EXTRAS, True))
    __metadata_request__score = MappingProxyType(dict.fromkeys(("sample_weight", *EXTRAS), True))

    def __init__(
        self,
        n_components=2,
        *,
        expert="gaussian",
        gate="softmax",
        expert_features=None,
        gate_features=None,
        n_groups=2,
        alpha=1e-6,
        gate_alpha=0.1,
        covariance_type="full",
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
        self.covariance_type = covariance_type
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
    def partial_fit(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Update gate and experts by one batch of rows: stepwise EM.

        The first batch is fitted to convergence, so it should hold some hundred rows for each expert; each later batch
        is one step. The order of the batches should be random. After `fit`, this updates that fit. Units, floors,
        transformers and the range of noise remain those of the first batch. Not with an estimator as expert.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs of a batch; see `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Responses.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        self : EMMixtureOfExpertsRegressor

        Raises
        ------
        ValueError
            If a value is refused, or if the mixture was fitted with other settings. The estimator is left as it
            was.
        """
        return self._fit_copy(
            fit_online,
            X,
            y=y,
            sample_weight=sample_weight,
            block_id=block_id,
            offset=offset,
            exposure=exposure,
        )

    @lazy_by_row
    def predict(self, X, *, block_id=None, offset=None, exposure=None):
        """Mean response of the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._as_predictions(
            self._by_row(prediction.mean, self._readings(X, None, Extras(None, block_id, offset, exposure)))
        )

    def predict_quantile(self, X, quantile=0.5, *, block_id=None, offset=None, exposure=None):
        """Quantiles of the predictive mixture, of each response by itself.

        They take the parameters for known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        quantile : float or array-like of shape (n_quantiles,), default=0.5
            Between 0 and 1.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_outputs), or with n_quantiles for a second axis
            Of counts, the least number up to which the probability is at least `quantile`.
        """
        try:
            shares = np.atleast_1d(np.asarray(quantile, dtype=np.float64))
        except (TypeError, ValueError):
            shares = np.empty((0, 0))
        if shares.ndim != 1 or not shares.size or not ((shares > 0) & (shares < 1)).all():
            raise ValueError(f"quantile must be one or several numbers between 0 and 1, but got {quantile!r}")
        found = self._quantiles(X, shares, block_id=block_id, offset=offset, exposure=exposure)
        return found[:, 0] if np.ndim(quantile) == 0 else found

    def predict_interval(self, X, level=0.95, *, block_id=None, offset=None, exposure=None):
        """Central intervals in which responses lie with a given probability, each response by itself.

        They take the parameters for known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        level : float, default=0.95
            The probability, between 0 and 1.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        if not isinstance(level, float | np.floating) or not 0 < level < 1:
            raise ValueError(f"level must be a number between 0 and 1, but got {level!r}")
        shares = np.array([(1 - level) / 2, (1 + level) / 2])
        found = self._quantiles(X, shares, block_id=block_id, offset=offset, exposure=exposure)
        return found[:, 0], found[:, 1]

    @lazy_by_row
    def _quantiles(self, X, shares, *, block_id=None, offset=None, exposure=None):
        readings = self._readings(X, None, Extras(None, block_id, offset, exposure))
        found = self._by_row(lambda fitted, cases: prediction.quantiles(fitted, cases, shares), readings)
        return self._as_responses(found)

    def score(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Coefficient of determination (R squared) of `predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, pairs (X, y); then y is None.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Responses.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        float
            Minus infinity where the square of an error is beyond the largest float.
        """
        from sklearn.metrics import r2_score

        check_is_fitted(self)
        if blocks_of_fitted(X) is not None:
            return self._r2_of_blocks(X, y, Extras(sample_weight, block_id, offset, exposure))
        responses.require(self, y)
        predicted = self.predict(X, block_id=block_id, offset=offset, exposure=exposure)
        with np.errstate(over="ignore"):
            return r2_score(y, predicted, sample_weight=sample_weight)

    def _r2_of_blocks(self, X: Any, y: Any, extras: Extras) -> float:
        """Mean over responses of 1 - residual / total sum of squares; 0 (or 1, if all is exact) where these are 0."""
        of_blocks = [found for found, _ in self._by_block(_squares, X, y, extras)]
        described = reduce(add, (description for description, _ in of_blocks))
        residual = np.sum([squares for _, squares in of_blocks], axis=0)
        total = described.counts * np.where(described.varies, described.scale, 0.0) ** 2
        share = residual / np.where(total > 0, total, 1.0)
        return float(np.where(total > 0, 1 - share, residual == 0).mean())

    def _check_expert(self) -> None:
        table.check_expert(self.expert, table.REGRESSORS, "regressor")
        check_choice("covariance_type", self.covariance_type, tuple(COVARIANCES))

    def _make_experts(self, setting: table.Setting, seeds: np.ndarray) -> Any:
        return table.regressors(self, setting, seeds)

    def _takes_several(self) -> bool:
        """Whether there may be several responses."""
        return not (isinstance(self.expert, str) and self.expert in LAWS)

    def _read_responses(self, y: Any, n: int, *, allow_nan: bool = False) -> np.ndarray:
        if not self._takes_several():
            y = responses.as_column(y)
        return responses.read_numbers(y, n, allow_nan=allow_nan)

    def _is_flat(self, y: Any) -> bool:
        return np.asarray(y).ndim == 1 or not self._takes_several()

    def _as_responses(self, values: np.ndarray) -> np.ndarray:
        """(..., m) without the last axis if y had one dimension."""
        return values[..., 0] if self._state.is_flat else values

    _as_predictions = _as_responses

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._takes_several()
        tags.target_tags.positive_only = not self._takes_several()
        return tags


def _squares(mixture, y, predicted, weight):
    """What the responses look like, and the weighted squares of what is left of them, (m,)."""
    numbers = mixture._read_responses(y, len(predicted))
    with np.errstate(over="ignore"):
        squares = weight @ (numbers - predicted.reshape(numbers.shape)) ** 2
    return describe([Rows(numbers, weight)], numbers.shape[1]), squares
