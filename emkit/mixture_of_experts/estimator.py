"""What EMMixtureOfExpertsRegressor and EMMixtureOfExpertsClassifier share: fit, responsibilities, scores, criteria."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import selection
from .._compat import with_callbacks
from .._estimator import EMEstimator
from .._validation import check_choice, check_integer, check_sample_weight
from ..blocks import with_weights
from ..checkpoint import checkpointed
from ..lazy import weighted_sums
from ..partitions import is_collection, refuse_collection
from . import errors, prediction, responses
from .cases import Cases, split
from .fitting import fit_batch
from .partitioned import by_partition, lazy_by_row
from .reading import (
    Extras,
    Reading,
    arrange,
    blocks_of_fitted,
    check_reach,
    check_width,
    maybe_pairs_of,
    read_X,
    refuse_beside_blocks,
    rows_of_pair,
)


class MixtureOfExperts(EMEstimator):
    """What regressor and classifier share."""

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Fit gate and experts.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs. An array, a frame, or blocks: pairs (X, y), see :mod:`emkit.blocks`; then y is None. Or a dask array
            or frame, which is fitted where it is if a dask client is active: y, weights, offset and exposure are then
            arrays, or dask collections with the partitions of X; experts have names, and features are columns.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Responses; classes of a classifier.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows; with `block_id` the same in all of a block, which counts as w blocks.
        block_id : array-like of shape (n_samples,) or None, default=None
            Rows with the same value share one expert, as repeated measures of one person do. The gate sees the mean of
            their inputs. Not with dask collections.
        offset : array-like of shape (n_samples,) or None, default=None
            Added to the linear predictor of each expert.
        exposure : array-like of shape (n_samples,) or None, default=None
            Factor of the mean for counts and positive responses ("poisson", "gamma"); number of trials for "binomial".
            Classifiers take neither offset nor exposure, and experts that are estimators none.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If an argument is out of range, or there are fewer rows (or blocks) than experts. The estimator is left as
            it was.
        emkit.distributed.ClusterError
            If a dask cluster has no worker left, or if its client is closed.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        DegenerateSolutionWarning
            If an expert collapsed onto a few rows, fits its rows exactly, or is told from the others perfectly; the
            message names it.
        """
        return self._fit_copy(
            checkpointed(fit_batch),
            X,
            y=y,
            sample_weight=sample_weight,
            block_id=block_id,
            offset=offset,
            exposure=exposure,
        )

    def predict_expert_proba(self, X, y=None, *, block_id=None, offset=None, exposure=None):
        """Probability of each expert for each row: the gate, or with y the responsibilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None, default=None
            Responses; NaN is a missing one.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        return self._values(
            X, y, function=prediction.responsibilities, block_id=block_id, offset=offset, exposure=exposure
        )

    def score_samples(self, X, y=None, *, block_id=None, offset=None, exposure=None):
        """Log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
            For a dask array or frame the result is a lazy dask array.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None, default=None
            Responses; NaN (all of them with None) is a missing one.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            log p(y | x), natural log; 0 where y is missing. With ``gate="gaussian"``, which models the inputs too,
            log p(x, y), and log p(x) where y is missing. With `block_id` given the rows before in the block, so that
            the sum is that of the blocks.
        """
        return self._values(X, y, function=prediction.scores, block_id=block_id, offset=offset, exposure=exposure)

    def sample(self, X, n_draws=1, *, block_id=None, offset=None, exposure=None):
        """Draw responses from the fitted mixture, given inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            Inputs; or blocks, X alone or pairs (X, y).
        n_draws : int, default=1
            Draws for each row.
        block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        y : ndarray of shape (n_draws, n_samples) or (n_draws, n_samples, n_outputs)
            Without noise where the model has a noise component.
        """
        check_integer("n_draws", n_draws, 1)
        rng = self._random_generator()
        readings = self._readings(X, None, Extras(None, block_id, offset, exposure))
        draws = self._by_row(lambda fitted, cases: prediction.sample(fitted, cases, n_draws, rng), readings)
        return self._as_responses(draws.swapaxes(0, 1))

    def bic(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Bayesian information criterion; lower is better. See :func:`emkit.selection.bic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The training inputs; or blocks, pairs (X, y).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The training responses.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return self._criterion("bic", X, sample_weight, y=y, block_id=block_id, offset=offset, exposure=exposure)

    def aic(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Akaike's information criterion; lower is better. See :func:`emkit.selection.aic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The training inputs; or blocks, pairs (X, y).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The training responses.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return self._criterion("aic", X, sample_weight, y=y, block_id=block_id, offset=offset, exposure=exposure)

    def icl(self, X, y=None, *, sample_weight=None, block_id=None, offset=None, exposure=None):
        """Integrated completed likelihood; lower is better. See :func:`emkit.selection.icl`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The training inputs; or blocks, pairs (X, y).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The training responses.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return self._criterion("icl", X, sample_weight, y=y, block_id=block_id, offset=offset, exposure=exposure)

    def standard_errors(
        self,
        X,
        y=None,
        *,
        method="information",
        sample_weight=None,
        block_id=None,
        offset=None,
        exposure=None,
        n_bootstrap=100,
        n_jobs=None,
    ):
        """Standard errors of the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The training responses.
        method : {"information", "bootstrap"}, default="information"
            "information" inverts the numerical Hessian of the objective and carries it over to the published
            parameters by the delta method. It takes about 2 p^2 passes over the data for p parameters. "bootstrap"
            takes the standard deviation over refits to rows (or blocks) drawn with replacement. Each refit starts where
            this fit ended, and its experts are matched with those of the fit by the rows that they share.
        sample_weight, block_id, offset, exposure : array-like of shape (n_samples,) or None, default=None
            See `fit`.
        n_bootstrap : int, default=100
            Number of refits.
        n_jobs : int or None, default=None
            Refits at a time, in processes of their own; None is one. Results do not depend on it.

        Returns
        -------
        dict of str to ndarray
            Standard errors, shaped as the fitted attributes of the same names.

        Raises
        ------
        ValueError
            For the information, if the fit is not at a maximum of the objective, or has experts without a vector of
            parameters; for the bootstrap, if fewer than two refits succeed.

        Warns
        -----
        RuntimeWarning
            If bootstrap refits failed or became degenerate; they are left out.
        """
        check_choice("method", method, ("information", "bootstrap"))
        extras = {"block_id": block_id, "offset": offset, "exposure": exposure}
        self._check_training_data(X, {"y": y, **extras})
        reading = self._read(X, y, Extras(sample_weight, **extras))
        if method == "bootstrap":
            return errors.by_bootstrap(self, {"X": X, "y": y, **extras}, reading, n_bootstrap, n_jobs)
        return errors.standard_errors(self._state, list(split(reading.cases)))

    @property
    def experts_(self):
        """The K experts, each with `predict` (of X as this estimator takes it)."""
        check_is_fitted(self)
        return [Expert(self, k) for k in range(len(self.weights_))]

    def _read(self, X: Any, y: Any, extras: Extras) -> Reading:
        """Cases of a fitted estimator; missing responses are NaN."""
        check_is_fitted(self)
        if blocks_of_fitted(X) is not None:
            raise ValueError("X must be an array or a frame here, not blocks of rows")
        state = self._state
        X = read_X(self, X, reset=False, anything=state.takes_anything)
        tables = state.views.tables(X)
        n = len(tables[0])
        numbers = self._missing_responses(n) if y is None else self._read_responses(y, n, allow_nan=True)
        reading = arrange(tables, numbers, state.frame.inputs, extras, drop=False)
        check_reach(reading.cases)
        state.fitted.model.experts.check(reading.cases)
        check_width(numbers, state.n_columns, "fit")
        return reading

    def _missing_responses(self, n: int) -> np.ndarray:
        return np.full((n, len(self._state.frame.responses.scale)), np.nan)

    def _readings(self, X: Any, y: Any, extras: Extras, *, needs_y: bool = False) -> Iterator[Reading]:
        """Cases of X, or of each of its blocks, all of which have responses if `needs_y`."""
        check_is_fitted(self)
        refuse_collection(X)
        blocks = blocks_of_fitted(X)
        if blocks is None:
            yield self._read(X, y, extras)
            return
        refuse_beside_blocks(y, extras)
        weight = check_sample_weight(extras.sample_weight, None, np.dtype(np.float64))
        for (table, own_y), own_weight in with_weights(maybe_pairs_of(blocks), weight, rows_of_pair):
            if needs_y:
                responses.require(self, own_y)
            yield self._read(table, own_y, Extras(own_weight))

    def _by_row(self, function: Any, readings: Iterable[Reading]) -> np.ndarray:
        """A value, or a row of them, for each row of X."""
        return np.concatenate([self._of_reading(function, reading) for reading in readings])

    def _of_reading(self, function: Any, reading: Reading) -> np.ndarray:
        fitted = self._state.fitted
        return reading.in_order(np.concatenate([function(fitted, cases) for cases in split(reading.cases)]))

    def _total(self, function: Any, X: Any, y: Any, extras: Extras) -> tuple[float, float]:
        """Weighted sum of a value for each row of X, and the weight of the rows."""
        if is_collection(X):
            responses.require(self, y)
            others = {"block_id": extras.block_id, "offset": extras.offset, "exposure": extras.exposure}
            return weighted_sums(self._values(X, y, function=function, **others), extras.sample_weight)
        sums = np.zeros(2)
        for reading in self._readings(X, y, extras, needs_y=True):
            weight = reading.in_order(reading.cases.by_row(reading.cases.weight))
            sums += weight @ self._of_reading(function, reading), weight.sum()
        return float(sums[0]), float(sums[1])

    @lazy_by_row
    def _values(self, X, y=None, *, function, block_id=None, offset=None, exposure=None):
        """A value, or a row of them, for each row of X."""
        return self._by_row(function, self._readings(X, y, Extras(None, block_id, offset, exposure)))

    def _log_likelihood(self, X, *, sample_weight=None, y=None, **extras):
        """Weighted total, natural log, and the weight of the rows; for criteria."""
        return self._total(prediction.scores, X, y, Extras(sample_weight, **extras))

    def _posterior_entropy(self, X, *, sample_weight=None, y=None, **extras):
        """Entropy of the responsibilities, natural log, weighted total."""
        return self._total(prediction.entropy, X, y, Extras(sample_weight, **extras))[0]

    def _by_block(self, function: Any, X: Any, y: Any, extras: Extras) -> list[tuple[Any, float]]:
        """Of each block ``function(self, y, predicted, weight)``, and the weight; worked out where partitions are."""
        if is_collection(X):
            responses.require(self, y)
            return by_partition(self, function, X, y, extras)
        refuse_beside_blocks(y, extras)
        blocks = blocks_of_fitted(X)
        assert blocks is not None
        weight = check_sample_weight(extras.sample_weight, None, np.dtype(np.float64))
        found = []
        for (table, own_y), own in with_weights(maybe_pairs_of(blocks), weight, rows_of_pair):
            responses.require(self, own_y)
            own = np.ones(len(table)) if own is None else own
            found.append((function(self, own_y, self.predict(table), own), float(own.sum())))
        return found

    def _check_criterion(self, name: str) -> None:
        if not isinstance(self.expert, str):
            raise ValueError(f"{name} needs a number of parameters, which {self.expert!r} as expert does not have")

    def _criterion(self, name: str, X: Any, sample_weight: Any, **extras: Any) -> float:
        self._check_criterion(name)
        self._check_training_data(X, extras)
        return getattr(selection, name)(self, X, sample_weight=sample_weight, **extras)

    def _check_training_data(self, X: Any, extras: dict[str, Any]) -> None:
        """ValueError if something is missing that `fit` had."""
        check_is_fitted(self)
        if is_collection(X) or blocks_of_fitted(X) is None:
            responses.require(self, extras["y"])
        forgotten = [name for name in self._state.extras if extras[name] is None]
        if forgotten:
            raise ValueError(f"fit had {' and '.join(forgotten)}, so {' and '.join(forgotten)} must be given here too")

    def _chooses_inputs(self) -> bool:
        """Whether columns of X need not be numbers, since not all are looked at as they are."""
        return self.expert_features is not None or self.gate_features is not None

    def _about_responses(self) -> str:
        return "numbers"

    def _n_classes(self) -> int:
        return 0

    def _learn_responses(self, labels: Iterable[np.ndarray]) -> None:
        """What must be known of all responses before they are read; `labels` are the different ones of each block."""


class Expert:
    """One expert of a fitted mixture.

    Attributes
    ----------
    coef_, intercept_ : ndarray or float
        Its coefficients, as in the mixture; not with an estimator as expert.
    estimator_ : estimator
        The fitted clone, where `expert` is an estimator. It takes what `expert_features` makes of X, and a classifier
        gives codes from 0 to n_classes - 1.
    """

    def __init__(self, mixture: MixtureOfExperts, k: int) -> None:
        self._mixture, self._k = mixture, k
        for name in ("coef_", "intercept_"):
            if hasattr(mixture, name):
                setattr(self, name, getattr(mixture, name)[k])
        estimators = mixture._state.fitted.model.experts.estimators(mixture._state.fitted.params.experts)
        if estimators:
            self.estimator_ = estimators[k]

    def predict(self, X, *, offset=None, exposure=None):
        """Mean response of this expert, or most probable class; arguments as in `predict` of the mixture."""
        return self._mixture._as_predictions(self._means(X, offset, exposure))

    def predict_proba(self, X):
        """Probability of each class, (n_samples, n_classes); of classifiers."""
        if not hasattr(self._mixture, "classes_"):
            raise AttributeError("experts of a regressor have no predict_proba")
        return self._means(X, None, None)

    def _means(self, X: Any, offset: Any, exposure: Any) -> np.ndarray:
        def means(fitted: prediction.Fitted, cases: Cases) -> np.ndarray:
            all_of_them: np.ndarray = fitted.model.experts.mean(fitted.params.experts, cases)
            return all_of_them[:, self._k]

        return self._mixture._by_row(means, self._mixture._readings(X, None, Extras(None, None, offset, exposure)))
