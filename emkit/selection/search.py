"""ComponentSearch: the scikit-learn face of the search for a number of components."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._optional import pandas_for
from .._pipelines import prefix
from .._warnings import callers_level
from . import checks
from .choice import choose
from .data import Data
from .lrt import LARGEST_SEED, refuse_what_is_not_drawn
from .path import quiet
from .steps import assemble, last_step
from .table import COLUMNS, as_results
from .walk import walk_all


def _best_has(name: str) -> Any:
    def check(search: ComponentSearch) -> bool:
        getattr(getattr(search, "best_estimator_", search.estimator), name)
        return True

    return available_if(check)


class ComponentSearch(MetaEstimatorMixin, BaseEstimator):
    """Choose the number of components, and other parameters, of an estimator of emkit.

    Each number K is started from a division of one component of the fit with fewer, and from fresh starts; the better
    is kept. Solutions that rest on a collapsed component are left out by name. Works with components, states, topics
    and experts alike, and with a Pipeline that ends in an estimator of emkit.

    Parameters
    ----------
    estimator : estimator of emkit, or Pipeline that ends in one
        Its `n_components` is not used. Steps of a pipeline before the last are fitted once for each fold and
        combination of `other_params`.
    n_components : iterable of int, or int, default=(1, ..., 10)
        Numbers to try, rising; they need not follow each other.
    criterion : {"bic", "aic", "icl", "heldout", "bootstrap_lrt"}, default="bic"
        What chooses. The first three penalise the likelihood of the training rows, see :mod:`emkit.selection`;
        "heldout" is the mean log-likelihood of rows that were left out, per row; "bootstrap_lrt" tests each number
        against the next until the test does not reject (:func:`emkit.selection.bootstrap_lrt`).
    other_params : dict of lists, list of such dicts, or None, default=None
        Values of other parameters to try in all combinations, by the names that `estimator.set_params` takes: in a
        Pipeline with the name of the step in front, as "emgaussianmixture__covariance_type".
    cv : None, int, splitter or iterable, default=None
        Folds of "heldout". None is 5 folds and a number so many, shuffled; sequences (`sequence_id`), blocks of
        experts (`block_id`) and `groups` stay whole, so that a single sequence cannot be divided. With a value,
        held-out likelihoods are computed whatever the criterion.
    one_standard_error : bool, default=False
        With "heldout": the smallest number within one standard error of the best.
    n_bootstrap : int, default=99
        Draws of each test of "bootstrap_lrt".
    level : float, default=0.05
        Level of each test.
    n_jobs : int or None, default=None
        Processes (joblib), over folds and combinations, or draws. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Of folds, starts and draws. None takes that of the estimator.
    refit : bool, default=True
        Whether to keep the best estimator, fitted to all rows. False saves its memory alone.

    Attributes
    ----------
    results_ : dict of ndarray of shape (n_candidates,)
        A column for each of: n_components; the other parameters; log_likelihood (training rows, total, natural log);
        n_parameters; bic; aic; icl; heldout_mean (per unit of weight) and heldout_se (from the differences between
        folds); p_value (of this number against the next); converged; degenerate and failed (what is wrong, or "");
        found_by ("split" or "fresh"); seconds; rank (1 is best; those that may not be chosen come last). NaN is what is
        not known.
    best_estimator_ : estimator
        The chosen one, fitted to all rows; with ``refit=True``.
    best_params_ : dict
        The chosen parameters, as `estimator.set_params` takes them.
    best_score_ : float
        The criterion's own value: lower is better for bic, aic and icl, higher for heldout. For the test its p-value,
        NaN if the largest number was reached.
    best_index_ : int
        Place of the chosen candidate in `results_`.
    n_features_in_ : int
        Number of features, if the best estimator has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the best estimator has them.
    classes_ : ndarray of shape (n_classes,)
        Classes, if the best estimator has them.

    See Also
    --------
    emkit.selection.bootstrap_lrt : the test by itself.
    emkit.selection.log_likelihood_scorer : for scikit-learn's own searches.

    Notes
    -----
    A candidate is fitted until about 1e-4 of the log-likelihood per row can be gained, and to the estimator's own `tol`
    where it may still win, so that `log_likelihood` of the others may be short by so much. From 1,000 independent rows
    on, starts are compared on a sample of them. With ``n_init="auto"`` and more than four combinations, the partition
    that was found for the first stands for fresh starts of the others, so that their order matters; a number for
    `n_init` starts each anew. Fits in folds end where no more than 1e-3 per row can be gained, and are not kept.

    References
    ----------
    .. [1] Ueda, N., Nakano, R., Ghahramani, Z. and Hinton, G. E. (2000). SMEM algorithm for mixture models. Neural
       Computation 12(9), 2109-2128. Divisions.
    .. [2] Smyth, P. (2000). Model selection for probabilistic clustering using cross-validated likelihood. Statistics
       and Computing 10(1), 63-72. Held-out likelihood.

    Examples
    --------
    >>> from emkit import ComponentSearch, EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> search = ComponentSearch(EMGaussianMixture(), n_components=range(1, 6), random_state=0)
    >>> search.fit(load_old_faithful().data).best_params_
    {'n_components': 2}
    """

    def __init__(
        self,
        estimator,
        *,
        n_components=tuple(range(1, 11)),
        criterion="bic",
        other_params=None,
        cv=None,
        one_standard_error=False,
        n_bootstrap=99,
        level=0.05,
        n_jobs=None,
        random_state=None,
        refit=True,
    ):
        self.estimator = estimator
        self.n_components = n_components
        self.criterion = criterion
        self.other_params = other_params
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.n_bootstrap = n_bootstrap
        self.level = level
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.refit = refit

    def fit(self, X, y=None, *, groups=None, **fit_params):
        """Fit all candidates and choose one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them, in memory.
        y : array-like of shape (n_samples,) or None, default=None
            Responses of mixtures of experts.
        groups : array-like of shape (n_samples,) or None, default=None
            Rows of one group are left out together.
        **fit_params
            Metadata for `fit` of the estimator, as `sample_weight`, `sequence_id` or `block_id`; cut with the rows.
            Without metadata routing, those of another step of a pipeline have its name and two underscores in front.

        Returns
        -------
        self : ComponentSearch

        Raises
        ------
        ValueError
            If an argument is out of range, before any fit starts; or if no candidate may be chosen, with the reason
            for each.

        Warns
        -----
        ConvergenceWarning
            If the chosen fit reached its `max_iter`.
        """
        sizes, combinations = checks.check_search(self)
        data = self._read(X, y, fit_params)
        random = check_random_state(
            last_step(self.estimator).random_state if self.random_state is None else self.random_state
        )
        folds = checks.folds_of(self, data, groups, sizes, int(random.randint(LARGEST_SEED)))
        seeds = random.randint(LARGEST_SEED, size=(1 + len(folds), len(combinations), len(sizes)))
        estimators = [clone(self.estimator).set_params(**combination) for combination in combinations]
        lasts = [last_step(estimator) for estimator in estimators for _ in sizes]
        with quiet():
            candidates = walk_all(estimators, combinations, sizes, data, folds, seeds, self.n_jobs)
            chosen, ranks = choose(self, candidates, lasts, random)
        self._publish(candidates, chosen, ranks, estimators[chosen // len(sizes)])
        return self

    def _read(self, X, y, fit_params):
        params = {name: value for name, value in fit_params.items() if value is not None}
        if self.criterion == "bootstrap_lrt":
            refuse_what_is_not_drawn(params)
        if get_config()["enable_metadata_routing"]:
            process_routing(self, "fit", **params)
        return checks.read(self.estimator, X, y, params)

    def _publish(self, candidates, chosen, ranks, estimator):
        """Set the fitted attributes, all at once, so that an interrupt leaves the earlier ones or these."""
        best = candidates[chosen]
        fitted = {
            "results_": as_results(candidates, self.estimator.get_params(), ranks),
            "best_index_": chosen,
            "best_score_": best.numbers[COLUMNS.get(self.criterion, self.criterion)],
            "best_params_": {prefix(self.estimator) + "n_components": best.fit.size, **best.combination},
        }
        if self.refit:
            estimator = estimator.set_params(**fitted["best_params_"])
            best_estimator = assemble(estimator, best.path.fronts, best.fit.estimator)
            fitted["best_estimator_"] = best_estimator
            names = ("n_features_in_", "feature_names_in_", "classes_")
            fitted |= {name: getattr(best_estimator, name) for name in names if hasattr(best_estimator, name)}
        own = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        self.__dict__ = {**own, **fitted}
        if self.refit:
            self._warn_of_end(best.fit.estimator)

    def _warn_of_end(self, fitted):
        if not fitted.converged_ and fitted.max_iter > 0 and fitted.tol > 0:
            warnings.warn(
                f"The chosen fit, of {self.best_params_}, did not converge; increase max_iter or tol",
                ConvergenceWarning,
                stacklevel=callers_level(),
            )

    def results_frame(self):
        """The table `results_` as a frame.

        Returns
        -------
        pandas.DataFrame
            A row for each candidate.
        """
        check_is_fitted(self, "results_")
        return pandas_for("results_frame").DataFrame(self.results_)

    def _best(self):
        check_is_fitted(self, "results_")
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(f"with refit=False there is no best_estimator_; best_params_ is {self.best_params_}")
        return self.best_estimator_

    @_best_has("predict")
    def predict(self, X, **params):
        """`predict` of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them.
        **params
            Metadata such as `sequence_id`, passed on.

        Returns
        -------
        labels or responses : ndarray of shape (n_samples,)
        """
        return self._best().predict(X, **params)

    @_best_has("predict_proba")
    def predict_proba(self, X, **params):
        """`predict_proba` of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them.
        **params
            Metadata such as `sequence_id`, passed on.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components) or (n_samples, n_classes)
        """
        return self._best().predict_proba(X, **params)

    @_best_has("transform")
    def transform(self, X, **params):
        """`transform` of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them.
        **params
            Metadata such as `sequence_id`, passed on.

        Returns
        -------
        array or frame of shape (n_samples, n_components)
        """
        return self._best().transform(X, **params)

    @_best_has("score_samples")
    def score_samples(self, X, *args, **params):
        """`score_samples` of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them.
        *args
            The responses, for mixtures of experts.
        **params
            Metadata such as `sequence_id`, passed on.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Natural log.
        """
        return self._best().score_samples(X, *args, **params)

    @_best_has("score")
    def score(self, X, y=None, **params):
        """`score` of the best estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as the estimator takes them.
        y : array-like of shape (n_samples,) or None, default=None
            Responses, for mixtures of experts.
        **params
            Metadata such as `sequence_id`, passed on.

        Returns
        -------
        float
        """
        return self._best().score(X, y, **params)

    @_best_has("sample")
    def sample(self, *args, **params):
        """Draw from the best estimator.

        Parameters
        ----------
        *args, **params
            Those of the estimator's own `sample`.

        Returns
        -------
        What that returns.
        """
        return self._best().sample(*args, **params)

    @_best_has("predict")
    def fit_predict(self, X, y=None, *, groups=None, **fit_params):
        """Fit and predict the same rows; metadata that `predict` takes are passed to both.

        Parameters
        ----------
        X, y, groups, **fit_params
            See `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        self.fit(X, y, groups=groups, **fit_params)
        return self.predict(X, **Data(X, None, fit_params).arguments_of(self._best().predict))

    @_best_has("transform")
    def fit_transform(self, X, y=None, *, groups=None, **fit_params):
        """Fit and transform the same rows; metadata that `transform` takes are passed to both.

        Parameters
        ----------
        X, y, groups, **fit_params
            See `fit`.

        Returns
        -------
        array or frame of shape (n_samples, n_components)
        """
        self.fit(X, y, groups=groups, **fit_params)
        return self.transform(X, **Data(X, None, fit_params).arguments_of(self._best().transform))

    def get_metadata_routing(self):
        """What is asked for by the estimator; see scikit-learn's user guide.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        for method in ("predict", "predict_proba", "transform", "score"):
            if hasattr(self.estimator, method):
                mapping.add(caller=method, callee=method)
        return MetadataRouter(owner=type(self).__name__).add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        for name in ("estimator_type", "input_tags", "target_tags", "classifier_tags", "regressor_tags"):
            setattr(tags, name, getattr(own, name))
        tags.transformer_tags, tags.non_deterministic = own.transformer_tags, own.non_deterministic
        return tags
