"""EMImputer: the scikit-learn face of tables with missing cells."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from scipy.special import xlogy
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._compat import with_callbacks
from .._estimator import EMEstimator
from .._validation import check_choice, check_integer, check_n_init, check_sample_weight
from ..blocks import blocks_of, iterate, with_weights
from ..checkpoint import checkpointed
from ..lazy import lazy_for_dask, weighted_mean
from ..partitions import is_collection
from .filling import FilledBlocks, filled_collection
from .fitting import STATISTICS, fit_batch, fit_online, read_all_bounds
from .imputing import all_columns, by_cell, category_proba, completed, within_bounds
from .models import log_units
from .multiple import imputations
from .reading import (
    as_configured,
    code_bounds,
    column_place,
    read_cell_prior,
    read_further,
    wanted_output,
    with_indicator,
)
from .scales import Dummies
from .tables import values, write

FLOAT64 = np.dtype(np.float64)


class EMImputer(OneToOneFeatureMixin, TransformerMixin, EMEstimator):
    """Fill the missing cells of a table of numbers and categories, and say how sure that is.

    Columns may be numeric, ordinal, boolean or categorical, in a pandas or polars frame or an array; what comes back
    has the same type, columns, dtypes and categories. A joint model of all columns is fitted by EM to what is observed
    (missing at random is assumed), and a missing cell gets the mean, median or mode given what is observed of its row.

    Parameters
    ----------
    model : {"auto", "gaussian", "copula", "mixture", "latent_class", "factor"}, default="auto"
        "gaussian": a multivariate normal. "copula": a Gaussian copula, in which a number enters by its normal score (as
        an interval, if more than a twentieth of the rows share it), ordered levels, booleans and categories of two
        levels as intervals of a Gaussian, and other categories by indicators. "mixture": a
        Gaussian mixture, in whose components levels are independent of all else. "latent_class": the same for columns
        of levels alone. "factor": a normal distribution of low rank plus noise, for many columns. "auto":
        "latent_class" if all columns are categories, else "factor" for more than 300 columns or fewer than
        two rows a column, else "gaussian" if all are numeric, else "copula"; see `model_`.
    n_components : int or "auto", default="auto"
        Components of "mixture" and "latent_class", factors of "factor"; not used by the others. "auto" is the number
        with the lowest BIC: numbers are tried upwards until it has risen twice, then the neighbours of the best.
    statistic : {"auto", "mean", "median", "mode", "sample"}, default="auto"
        What `transform` puts in a missing cell. "auto" is the mean for numbers and the mode for levels; categories
        always get the mode; "sample" draws at random.
    ridge : float or "auto", default="auto"
        A prior worth this share of the total weight, under which columns are independent; 0 is maximum likelihood.
        "auto" is 0.005, and up to 0.02 where there are few rows for the columns. It is raised, with a warning, if the
        covariance becomes singular. For the mixtures the floor of a component's covariance, relative to the variances;
        if it is positive, levels also have a prior of half a row each.
    columns : None, str, dict or list, default=None
        Kinds of columns where the dtype does not tell them: "continuous", "count", "ordinal", "nominal" for all, by
        name, or one for each column; a list of values, in order, makes a column ordinal with these levels. Otherwise
        floats are continuous; integers are counts (numbers that are rounded), with at most 20 distinct values ordinal
        (a new one then counts as the nearest); booleans and ordered categories are ordinal; strings and categories
        nominal.
    min_value, max_value : None, float, array-like of shape (n_features,) or dict, default=None
        Bounds of imputed numbers, for all columns, one for each, or by name.
    missing_values : object, default=nan
        What stands for a missing cell. With the default also None, pandas' NA and null.
    add_indicator : bool, default=False
        Whether to append columns that say what was missing, as :class:`sklearn.impute.MissingIndicator` does.
    keep_empty_features : bool, default=False
        Whether to keep columns that had no value in `fit`, filled with 0 (and left empty if of categories).
    unseen : {"error", "missing"}, default="error"
        What to do with a level that was not in the training table.
    tol : float, default=1e-8
        Bound on the estimated remaining gain of the objective per unit of weight. 0 runs all `max_iter` steps.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start.
    n_init : "auto" or int, default="auto"
        Starts of the mixtures; "auto" is the best of several short ones. The others have one.
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; False is textbook EM.
    random_state : int, RandomState instance or None, default=None
        Of starts, of ``statistic="sample"``, and of `impute` and `sample`.
    n_jobs : int or None, default=None
        Threads: over starts, chunks of rows, and imputations. Results do not depend on it.
    verbose : int, default=0
        1 logs the end of each start, 2 also each iteration, at level INFO to the logger ``emkit``.
    checkpoint : path or None, default=None
        File that `fit` writes after each pass, and from which the same fit goes on if it was killed; or a directory,
        in which each fit has a file of its own. See :mod:`emkit.checkpoint`.

    Attributes
    ----------
    model_ : str
        The model that was fitted.
    statistics_ : ndarray of shape (n_features_in_,)
        What fills each column in a row of which nothing is known; NaN for a column without a value.
    location_ : ndarray of shape (n_coordinates,)
        Mean of the coordinates of the model. A numeric column is one coordinate (in its own units; for "copula" its
        normal score), an ordinal one too (the number of its level; for "copula" a standard normal at the start), and a
        category of L levels is L - 1 indicators; in the mixtures numeric columns alone are coordinates.
    covariance_ : ndarray of shape (n_coordinates, n_coordinates)
        Covariance of the coordinates.
    categories_ : dict
        Levels of the columns that have them, by name, in order.
    column_kinds_ : dict
        The kind of each column by its name (its number for arrays).
    n_components_ : int
        Components or factors of the model; 1 for "gaussian" and "copula".
    ridge_ : float
        The ridge that was used.
    indicator_ : MissingIndicator or None
        Of the columns that had missing cells in `fit`; None without `add_indicator`.
    objective_ : float
        Log-likelihood of what is observed plus log-prior, weighted total, natural log.
    n_iter_ : int
        M-steps of the returned start.
    n_e_steps_ : int
        Passes over the data of the returned start.
    converged_ : bool
        Whether the stop rule was met before `max_iter`. False after a further batch, of which nothing tells whether it
        led to a maximum.
    n_parameters_ : int
        Free parameters, for BIC and AIC.
    history_ : ndarray, structured
        A record for each iteration of each start: start, iteration, objective (total), change, seconds (since the
        start began), phase.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had string names.

    See Also
    --------
    emkit.pool : an analysis of several imputed tables as one.
    emkit.EMGaussianMixture : clusters rows with missing values without imputing them.

    Notes
    -----
    A step of "gaussian" costs O(n p^2), and O(min(m, p - m) p^2) for each pattern of m missing cells; rows of a
    pattern are condensed first, so that many rows of few patterns cost one pass over the table. "copula" costs O(m^3)
    for each row and sweep, where m counts missing and ordinal cells: its E-step is expectation propagation [3]_ in
    place of the coordinate-wise approximation of [2]_. "factor" with q factors costs O(n p q^2). Normal scores are
    those of the weighted ranks; of a column of more than 100,000 distinct numbers these are found from a sketch of at
    most so many, in memory as in blocks, which errs by 2e-5 of the weight for a million rows and by 1e-4 for thirty
    million. The training table is kept for `impute`, but not if it was read block by block.

    References
    ----------
    .. [1] Little, R. J. A. and Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd edition. Wiley.
       Section 11.2.
    .. [2] Zhao, Y. and Udell, M. (2020). Missing value imputation for mixed data via Gaussian copula. KDD, 636-646.
    .. [3] Minka, T. P. (2001). Expectation propagation for approximate Bayesian inference. UAI, 362-369. Section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from emkit import EMImputer
    >>> X = np.array([[1.0, 2.1], [2.0, 3.9], [3.0, np.nan], [4.0, 8.2], [5.0, 9.8], [6.0, 12.1]])
    >>> EMImputer(model="gaussian", ridge=0).fit_transform(X)[2].round(2)
    array([3.  , 6.02])
    """

    __metadata_request__fit = MappingProxyType({"sample_weight": True})
    __metadata_request__partial_fit = MappingProxyType({"sample_weight": True})
    __metadata_request__score = MappingProxyType({"sample_weight": True})

    def __init__(
        self,
        model="auto",
        *,
        n_components="auto",
        statistic="auto",
        ridge="auto",
        columns=None,
        min_value=None,
        max_value=None,
        missing_values=np.nan,
        add_indicator=False,
        keep_empty_features=False,
        unseen="error",
        tol=1e-8,
        max_iter=1000,
        n_init="auto",
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        verbose=0,
        checkpoint=None,
    ):
        self.model = model
        self.n_components = n_components
        self.statistic = statistic
        self.ridge = ridge
        self.columns = columns
        self.min_value = min_value
        self.max_value = max_value
        self.missing_values = missing_values
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.unseen = unseen
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None):
        """Fit a model of the table.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            The table; a pandas or polars frame, or an array; or a list of tables, a function, or a dask array or frame:
            see :mod:`emkit.blocks`. Of blocks only sums are kept, so that `impute` has no training rows afterwards. A
            dask collection is fitted where it is if a dask client is active.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Survey weights: a row of weight w counts as w rows.

        Returns
        -------
        self : EMImputer

        Raises
        ------
        ValueError
            If an argument is out of range, a value is infinite or does not fit its column, or nothing is observed; if a
            block has other columns than the first, or a column of levels more than 100,000 of them over the blocks.
            The estimator is left as it was.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        RuntimeWarning
            If `ridge` had to be raised.

        Notes
        -----
        Blocks are read twice before EM, for the columns and for their scales, and then once for each pass. The result
        is that of one table up to rounding. Where "copula" has intervals it is so up to `tol`, as expectation
        propagation begins anew in each pass. A column has the levels of all blocks: categories of a first block come
        first, ordered ones must have the order of one of the blocks.
        """
        return self._fit_copy(checkpointed(fit_batch), X, sample_weight=sample_weight)

    @with_callbacks
    def partial_fit(self, X, y=None, *, sample_weight=None):
        """Update the model by one batch of rows: stepwise EM.

        The first batch is fitted to convergence, and settles the kinds and levels of the columns, their scales and
        the number of components; each later batch is one step. The order of the batches should be random.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            A batch; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows.

        Returns
        -------
        self : EMImputer
        """
        return self._fit_copy(fit_online, X, sample_weight=sample_weight)

    def transform(self, X, *, cell_prior=None):
        """Fill the missing cells; each row by itself.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            The table, with the columns of the training table; or a list of tables, or a function: see
            :mod:`emkit.blocks`.
        cell_prior : pair of array-like of shape (n_samples, n_features) or None, default=None
            What is believed of missing numbers: means and standard deviations in the units of the columns, NaN where
            nothing is. For "gaussian" and "copula".

        Returns
        -------
        X : frame or ndarray of shape (n_samples, n_features_out), or blocks of rows
            A table of the same type without missing cells; observed cells are as they were. Of a list of tables a list
            of them; of a function that returns an iterator over tables a function that does so too, and fills each
            table when it is reached. So it is a source of blocks for what comes next, as :class:`emkit.EMMixture`. Of a
            dask array or frame a lazy one; not with ``statistic="sample"``.
        """
        check_choice("statistic", self.statistic, STATISTICS)
        blocks = blocks_of(X)
        rng = self._random_generator() if self.statistic == "sample" else None
        if blocks is None:
            return self._filled(X, cell_prior, rng)
        check_is_fitted(self)
        if cell_prior is not None:
            raise ValueError("cell_prior must be None where X is read block by block")
        if wanted_output(self) != "default":  # which scikit-learn would make of the list
            raise ValueError(
                f"X must be one table with set_output(transform={wanted_output(self)!r}); blocks are filled as they are"
            )
        if is_collection(X):
            return filled_collection(self, X)
        filled = FilledBlocks(self, blocks, rng)
        return filled if callable(X) else list(filled())

    def _filled(self, X, cell_prior, rng):
        """A table without missing cells; draws are from `rng`."""
        table, codes, prior = self._read(X, cell_prior)
        out = self._write(completed(self, codes[:, self._state.kept], prior, rng), codes, table)
        return as_configured(self, out)

    def impute(self, X, n_imputations=5, *, cell_prior=None):
        """Draw several completed tables, for multiple imputation.

        For each, the parameters are estimated anew from a bootstrap sample of the training rows, and the missing
        cells of a row are drawn jointly given its observed ones. Analyse each and combine by :func:`emkit.pool`.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            The table, with the columns of the training table.
        n_imputations : int, default=5
            Number of tables.
        cell_prior : pair of array-like of shape (n_samples, n_features) or None, default=None
            See `transform`.

        Returns
        -------
        tables : list of frame or ndarray of shape (n_samples, n_features_out)
            Tables of the type of X.

        Raises
        ------
        ValueError
            After `partial_fit` or a fit of blocks, since the training rows are not kept then.
        """
        n_imputations = check_integer("n_imputations", n_imputations, 1)
        table, codes, prior = self._read(X, cell_prior)
        if self._state.training is None:
            raise ValueError(
                "impute needs the training rows, which are not kept after partial_fit or a fit of blocks; fit one table"
            )
        rng = self._random_generator()
        drawn = imputations(self, codes[:, self._state.kept], n_imputations, prior, rng)
        return [self._write(one, codes, table) for one in drawn]

    def predict_interval(self, X, level=0.95, *, cell_prior=None):
        """Central intervals in which the missing cells lie with a given probability, each cell by itself.

        They take the parameters for known; the tables of `impute` do not.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            The table.
        level : float, default=0.95
            The probability, between 0 and 1.
        cell_prior : pair of array-like of shape (n_samples, n_features) or None, default=None
            See `transform`.

        Returns
        -------
        lower, upper : frame or ndarray of shape (n_samples, n_features_out)
            Tables of the type of X; observed cells are as they were in both. For ordered levels these are levels; for
            categories both are the mode.
        """
        if not isinstance(level, (float, np.floating)) or not 0 < level < 1:
            raise ValueError(f"level must be a number between 0 and 1, but got {level!r}")
        table, codes, prior = self._read(X, cell_prior)
        own, columns = codes[:, self._state.kept], self._kept_columns()

        def bound(share):
            def quantile(prediction, j):
                return prediction.mode(j) if columns[j].kind == "nominal" else prediction.quantile(j, share)

            return within_bounds(self, by_cell(self._state.table, own, quantile, prior), own)

        lower, upper = (bound(share) for share in ((1 - level) / 2, (1 + level) / 2))
        return self._write(lower, codes, table), self._write(upper, codes, table)

    def standard_error(self, X, *, cell_prior=None):
        """Standard deviation of each missing cell given what is observed of its row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            The table.
        cell_prior : pair of array-like of shape (n_samples, n_features) or None, default=None
            See `transform`.

        Returns
        -------
        standard_error : ndarray of shape (n_samples, n_features_in_)
            In units of the column, for ordered levels in steps; of a category the standard deviation of the indicator
            of its most probable level. 0 where a cell is observed, and for a column without a value in `fit`.
        """
        _, codes, prior = self._read(X, cell_prior)
        own = codes[:, self._state.kept]
        columns = self._kept_columns()

        def error(prediction, j):
            return prediction.doubt(j) if columns[j].kind == "nominal" else prediction.deviation(j)

        errors = by_cell(self._state.table, own, error, prior, known=0.0)
        return all_columns(self, errors)

    def predict_category_proba(self, X, column):
        """Probability of each level of an ordinal, boolean or categorical column.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            The table.
        column : str or int
            Name of the column, or its number.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_levels)
            Rows sum to one; where the cell is observed its level has 1. Columns are in the order of
            ``categories_[column]``.
        """
        _, codes, _ = self._read(X, None)
        state = self._state
        place = column_place(column, state.columns)
        levels = state.columns[place].levels
        if not levels:
            raise ValueError(f"column must have levels, but {column!r} is {state.columns[place].kind}")
        return category_proba(state.table, codes[:, state.kept], int(state.kept[:place].sum()), len(levels))

    @lazy_for_dask
    def predict_proba(self, X):
        """Probability of each latent component of the model for each row.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            The table. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        resp : ndarray of shape (n_samples, n_components)
            Rows sum to one. One column for "gaussian", "copula" and "factor".
        """
        return np.concatenate([resp for resp, _ in self._of_blocks(self._responsibilities, X)])

    @lazy_for_dask
    def score_samples(self, X):
        """Log-likelihood of what is observed of each row.

        For "gaussian", "mixture" and "factor" of numbers the log density, in the units of the columns, and for
        "latent_class" the log probability. For "copula" it is that of the normal scores of numbers and of the
        intervals of ordered levels, the latter as expectation propagation estimates it. Wherever categories are
        indicators ("gaussian", "copula", "factor") their Gaussian density takes part, so that the sum is a measure of
        fit, not a likelihood.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            The table, or a list of tables, or a function: see :mod:`emkit.blocks`. For a dask array or frame the result
            is a lazy dask array.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Natural log; 0 where nothing is observed.
        """
        return np.concatenate([scores for scores, _ in self._of_blocks(self._scores, X)])

    def score(self, X, y=None, *, sample_weight=None):
        """Mean of `score_samples`.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features), or blocks of rows
            The table, or a list of tables, or a function: see :mod:`emkit.blocks`.
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

    def sample(self, n_samples=1):
        """Draw rows from the fitted model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
            Numbers, or objects if there are categories; NaN in a column without a value in `fit`.
        """
        check_is_fitted(self)
        n_samples = check_integer("n_samples", n_samples, 1)
        nothing = np.full((n_samples, int(self._state.kept.sum())), np.nan)
        drawn = self._state.table.draw(nothing, self._random_generator())
        return values(all_columns(self, drawn, np.nan), self._state.columns)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of the table; None takes those of the fit.

        Returns
        -------
        names : ndarray of str objects
            Without the columns that had no value in `fit` (unless `keep_empty_features`), then those of the indicator.
        """
        names = super().get_feature_names_out(input_features)
        kept = names[self._columns_out()]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    @property
    def categories_(self):
        """Levels of the columns that have them, by name."""
        check_is_fitted(self)
        return {column.name: list(column.levels) for column in self._state.columns if column.levels}

    def _check_n_components(self):
        if isinstance(self.n_components, str) and self.n_components == "auto":
            return
        try:
            super()._check_n_components()
        except ValueError:
            raise ValueError(f"n_components must be 'auto' or an integer >= 1, but got {self.n_components!r}") from None

    def _n_starts(self):
        return check_n_init(self.n_init)

    def _kept_columns(self):
        return [column for column, keep in zip(self._state.columns, self._state.kept, strict=True) if keep]

    def _columns_out(self):
        """Which columns `transform` gives, (p,) bool."""
        return np.ones_like(self._state.kept) if self.keep_empty_features else self._state.kept

    def _bounds(self):
        """Of the codes of the columns with a value, (2, q); infinite but for numbers and levels that are numbers."""
        low, high = read_all_bounds(self, self._state.columns)
        pairs = zip(self._kept_columns(), low[self._state.kept], high[self._state.kept], strict=True)
        return np.array([code_bounds(*pair) for pair in pairs]).T

    def _read(self, X, cell_prior):
        """A table, its codes (n, p), and beliefs about the columns with a value."""
        check_is_fitted(self)
        table, codes = read_further(self, X)
        if cell_prior is None:
            return table, codes, None
        if self.model_ not in ("gaussian", "copula"):
            raise ValueError(f"cell_prior needs model 'gaussian' or 'copula', but the fitted one is {self.model_!r}")
        return table, codes, read_cell_prior(cell_prior, self._state.columns, self._state.kept, codes.shape)

    def _scores(self, own):
        """Log-likelihood of rows of codes of the columns with a value, (n,)."""
        return self._state.table.log_likelihood(own) + log_units(self._state.table, own)

    def _responsibilities(self, own):
        return self._state.table.responsibilities(own)

    def _of_blocks(self, function, X, sample_weight=None):
        """What a function makes of the codes of a table, or of each of its blocks, and the weights of the rows."""
        check_is_fitted(self)
        blocks = blocks_of(X)
        weight = None if blocks is None else check_sample_weight(sample_weight, None, FLOAT64)
        for table, own in [(X, None)] if blocks is None else with_weights(iterate(blocks), weight, _num_samples):
            _, codes, _ = self._read(table, None)
            if blocks is None:
                own = check_sample_weight(sample_weight, len(codes), FLOAT64)
            yield function(codes[:, self._state.kept]), np.ones(len(codes)) if own is None else own

    def _total(self, function, X, sample_weight):
        """Weighted sum of a value for each row, and the weight."""
        sums = np.zeros(2)
        for values_of_rows, weight in self._of_blocks(function, X, sample_weight):
            sums += weight @ values_of_rows, weight.sum()
        return float(sums[0]), float(sums[1])

    def _log_likelihood(self, X, *, sample_weight=None):
        """Weighted total, natural log, and the weight; for criteria."""
        return self._total(self._scores, X, sample_weight)

    def _posterior_entropy(self, X, *, sample_weight=None):
        """Entropy of the responsibilities, natural log, weighted total."""

        def entropies(own):
            resp = self._responsibilities(own)
            return -xlogy(resp, resp).sum(axis=1)

        return self._total(entropies, X, sample_weight)[0]

    def _write(self, own, codes, table):
        """Codes of the columns with a value as a table like `table`, with the indicator if there is one."""
        out = write(
            all_columns(self, own),
            self._state.columns,
            table,
            self._columns_out(),
            self.missing_values,
            np.isnan(codes),
        )
        if self.indicator_ is None:
            return out
        return with_indicator(
            out, self.indicator_, np.where(np.isnan(codes), np.nan, 0.0), getattr(self, "feature_names_in_", None)
        )

    def _check_criterion(self, name):
        check_is_fitted(self)
        if any(isinstance(scale, Dummies) for scale in self._state.table.scales):
            raise ValueError(
                f"{name} needs a likelihood, but model {self.model_!r} has the Gaussian density of indicators for "
                "categories; use model='mixture' or 'latent_class'"
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = self.statistic == "sample"
        return tags
