"""EMHiddenMarkov: the scikit-learn face of the hidden Markov model."""

from __future__ import annotations

import warnings
from functools import partial
from types import MappingProxyType

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .. import selection
from .._compat import with_callbacks
from .._estimator import EMEstimator
from .._validation import check_choice, check_integer, check_sample_weight
from .._warnings import callers_level
from ..checkpoint import checkpointed
from ..chunks import in_one
from ..families.table import COUNTED, takes_only
from ..lazy import joined_lazily, total_lazily, weighted_sums
from ..partitions import is_collection, refuse_collection
from . import decoding, errors
from .fitting import by_chunk, chunk_rows, fit, fitted_model
from .partitioned import by_partition
from .reading import as_sequences, check_ignored, check_values, holds_sequences, is_many, read, to_row_order
from .sequences import split
from .smoothing import filtered, row_scores
from .stepwise import check_passes, fit_online
from .streams import source_of

WITH_ID = MappingProxyType({"sequence_id": True})


class EMHiddenMarkov(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, EMEstimator):
    """Hidden Markov model fitted by EM (Baum and Welch), for one or many sequences with missing values.

    A row :math:`x_t` depends on a hidden state :math:`s_t` alone, and that on the one before:
    :math:`p(x, s) = \\pi_{s_1} \\prod_{t > 1} A_{s_{t-1} s_t} \\prod_t p(x_t | s_t)`. EM maximises the log-likelihood,
    summed over sequences and weighted. Rows of X are time steps. `sequence_id`, `lengths`, a list of arrays, or the
    column or index level named by `sequence` tells which rows belong together; else all rows are one sequence. A
    missing value (NaN) is integrated out; a row of nothing but NaN is a gap in time. Data larger than memory are read
    block by block.

    Parameters
    ----------
    n_components : int, default=1
        Number of states, K.
    emission : str, list of str, or subclass of Family, default="gaussian"
        What a state says of a row: "gaussian", "mixture" (of `n_mix` Gaussians), "student" (multivariate t),
        "categorical" (symbols 0, 1, ...), "poisson" (counts) or "bernoulli" (0 and 1); columns of the last three are
        independent given the state. A list names the kind of each column. Or a class of your own, see
        :class:`emkit.families.base.Family`.
    covariance_type : str, default="full"
        Of the emissions that have covariances, one of the names of :class:`emkit.EMGaussianMixture`; "tied", "EII",
        "EEI" and "EEE" are shared by the states.
    reg_covar : float, default=1e-6
        Floor under the covariances, relative to the features' variances; see :class:`emkit.EMGaussianMixture`.
    n_mix : int, default=2
        Gaussians in each state of ``emission="mixture"``.
    n_symbols : int, list of int or None, default=None
        Symbols of each categorical column; None is one more than the largest in the data.
    start : {"free", "stationary", "uniform"}, default="free"
        Start probabilities: parameters of their own, the stationary distribution of the transition matrix, or 1/K.
    sequence : str, int or None, default=None
        Name (of a frame) or position of the column that holds the sequence of each row, or name of an index level. The
        column is no feature. Unlike `sequence_id` it also works where scikit-learn passes X alone.
    decoder : {"viterbi", "map"}, default="viterbi"
        What `predict` gives: the most probable path, or the most probable state of each row.
    init_params : "auto" or array-like, default="auto"
        The start itself: labels from 0 to K-1, shape (n_samples,), or responsibilities, shape (n_samples, K), of the
        rows in the order of X. Transitions are those from each row to the next; what the arguments below give is kept.
        Not for functions of blocks and dask collections.
    startprob_init : array-like of shape (n_components,) or None, default=None
        Start probabilities at the start of EM; zeros stay.
    transmat_init : array-like of shape (n_components, n_components) or None, default=None
        Transition matrix at the start of EM, rows sum to one; zeros stay (left-right, banded).
    means_init, covariances_init, emissionprob_init, rates_init : array-like or None, default=None
        Emission parameters at the start of EM, shaped as the fitted attributes.
    weights_init, degrees_of_freedom_init : array-like or None, default=None
        The same of mixtures and of Student's t.
    startprob_prior, transmat_prior : float or array-like, default=1.0
        Concentrations of Dirichlet priors, at least 1; 1 is maximum likelihood. One for all, or shaped as
        `startprob_` and `transmat_`.
    sticky : float, default=0.0
        Added to the diagonal of `transmat_prior`: as many transitions of each state to itself are counted on top.
    emissionprob_prior : float, default=1.0
        Concentration of the Dirichlet prior of symbols, at least 1. Above 1 each of the `n_symbols` gets a probability,
        those that the data lack included.
    tol : float, default=1e-8
        Bound on the estimated remaining gain of the objective per row. 0 runs all `max_iter` steps.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start.
    n_init : "auto" or int, default="auto"
        "auto": ten short starts (from k-means, random rows, random stretches of time, seeds of k-means alone), of
        which the best three are run on and the best is continued. A number: that many full starts. From 10,000 rows on,
        starts are compared on some of the sequences. One start if it is given, if labels show all states, or if K = 1.
    fixed : tuple of str, default=()
        Parameters that are held at their start, by the names of the fitted attributes without the underscore.
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; False is textbook EM.
    random_state : int, RandomState instance or None, default=None
        Of the starts, of `sample` and of `sample_paths`.
    n_jobs : int or None, default=None
        Threads: over starts, and over sequences where only one start runs. Results do not depend on it.
    warm_start : bool, default=False
        Continue from the parameters of the previous fit.
    verbose : int, default=0
        1 logs the end of each start, 2 also each iteration, at level INFO to the logger ``emkit``.
    checkpoint : path or None, default=None
        File that `fit` writes after each pass, and from which the same fit goes on if it was killed; or a directory,
        in which each fit has a file of its own. See :mod:`emkit.checkpoint`.

    Attributes
    ----------
    startprob_ : ndarray of shape (n_components,)
        Probabilities of the state at the first row of a sequence.
    transmat_ : ndarray of shape (n_components, n_components)
        Probabilities of the next state (column) given the present one (row).
    means_ : ndarray of shape (n_components, n_features)
        Gaussian, Student: location of each state; (K, n_mix, d) for "mixture".
    covariances_ : ndarray
        Gaussian: covariances, shaped by `covariance_type` as in :class:`emkit.EMGaussianMixture`; Student: scale
        matrices; "mixture": with an axis of length n_mix after the first.
    weights_ : ndarray of shape (n_components, n_mix)
        Mixture: weights of the Gaussians in each state.
    degrees_of_freedom_ : ndarray of shape (n_components,)
        Student.
    emissionprob_ : ndarray of shape (n_components, n_symbols), or list of them
        Categorical: probability of each symbol, a list if there are several columns. Bernoulli: probability of 1,
        (n_components, n_features).
    rates_ : ndarray of shape (n_components, n_features)
        Poisson: expected counts.
    stationary_distribution_ : ndarray of shape (n_components,)
        Probabilities that `transmat_` leaves as they are.
    expected_durations_ : ndarray of shape (n_components,)
        Expected number of rows of a stay, 1 / (1 - a_kk); infinite for a state that is never left.
    n_sequences_ : int
        Sequences of the fit, of positive weight.
    objective_ : float
        Log-likelihood of the training data plus log prior; weighted total, natural log.
    n_iter_ : int
        M-steps of the returned start.
    n_e_steps_ : int
        Passes over the data of the returned start.
    converged_ : bool
        Whether the stop rule was met before `max_iter`. False after a further batch, of which nothing tells whether it
        led to a maximum.
    n_parameters_ : int
        Free parameters, for BIC and AIC; structural zeros and fixed parameters do not count.
    history_ : ndarray, structured
        A record for each iteration of each start; see :class:`emkit.EMGaussianMixture`.
    n_features_in_ : int
        Number of features, without the column of `sequence`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    emkit.EMGaussianMixture : the same without time.

    Notes
    -----
    A pass costs O(n K^2) time and the densities of n K rows. Work memory is that of 10,000 rows; within a sequence of
    20,000 rows or more that of its blocks, O(sqrt(n) K), or what all its blocks need if that is less than 64 MB.
    Densities are taken relative to the largest of their row; where doubles do not suffice all the same, a sequence is
    computed in logarithms. Of a dask collection, what has a value for each row is a lazy dask array.

    References
    ----------
    .. [1] Baum, L. E., Petrie, T., Soules, G. and Weiss, N. (1970). A maximization technique occurring in the
       statistical analysis of probabilistic functions of Markov chains. Ann. Math. Statist. 41(1), 164-171.
    .. [2] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
       Proc. IEEE 77(2), 257-286.
    .. [3] Zucchini, W., MacDonald, I. L. and Langrock, R. (2016). Hidden Markov Models for Time Series, 2nd ed. CRC
       Press.

    Examples
    --------
    >>> from emkit import EMHiddenMarkov
    >>> from emkit.datasets import load_earthquakes
    >>> counts = load_earthquakes().data[:, 1:]
    >>> model = EMHiddenMarkov(3, emission="poisson", random_state=0).fit(counts)
    >>> sorted(model.rates_[:, 0].round(1).tolist())
    [13.1, 19.7, 29.7]
    """

    __metadata_request__fit = MappingProxyType({"sequence_id": True, "sample_weight": True, "labels": True})
    __metadata_request__partial_fit = MappingProxyType({"sequence_id": True, "sample_weight": True})
    __metadata_request__score = MappingProxyType({"sequence_id": True, "sample_weight": True})
    __metadata_request__predict = WITH_ID
    __metadata_request__predict_proba = WITH_ID
    __metadata_request__transform = WITH_ID

    def __init__(
        self,
        n_components=1,
        *,
        emission="gaussian",
        covariance_type="full",
        reg_covar=1e-6,
        n_mix=2,
        n_symbols=None,
        start="free",
        sequence=None,
        decoder="viterbi",
        init_params="auto",
        startprob_init=None,
        transmat_init=None,
        means_init=None,
        covariances_init=None,
        emissionprob_init=None,
        rates_init=None,
        weights_init=None,
        degrees_of_freedom_init=None,
        startprob_prior=1.0,
        transmat_prior=1.0,
        sticky=0.0,
        emissionprob_prior=1.0,
        tol=1e-8,
        max_iter=1000,
        n_init="auto",
        fixed=(),
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.emission = emission
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_mix = n_mix
        self.n_symbols = n_symbols
        self.start = start
        self.sequence = sequence
        self.decoder = decoder
        self.init_params = init_params
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.emissionprob_init = emissionprob_init
        self.rates_init = rates_init
        self.weights_init = weights_init
        self.degrees_of_freedom_init = degrees_of_freedom_init
        self.startprob_prior = startprob_prior
        self.transmat_prior = transmat_prior
        self.sticky = sticky
        self.emissionprob_prior = emissionprob_prior
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.fixed = fixed
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X, y=None, *, sequence_id=None, sample_weight=None, labels=None, lengths=None):
        """Fit the model to one or more sequences.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            Rows are time steps, in order within their sequence; NaN is a missing value. A list has one array for each
            sequence. A function returns, at each call, an iterable of blocks (see :mod:`emkit.blocks`): each is one
            sequence, a list of sequences, or a table that has the ids as `sequence` says; no sequence goes on in a
            later block. A memory map of more than 10,000 rows, in which the rows of a sequence lie together, is read in
            pieces. A dask array or frame is fitted where it is if a dask client is active; each of its sequences lies
            whole within a partition.
        y : None
            Ignored; known states go in `labels`.
        sequence_id : array-like of shape (n_samples,) or None, default=None
            The sequence of each row: any hashable values; ids may interleave. Beside a dask collection, one with the
            same partitions, or an array.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A sequence of weight w counts as w sequences; constant within each. If X is a function: one value for each
            sequence, (n_sequences,), in the order in which they first appear. Beside a dask collection, as
            `sequence_id`.
        labels : array-like of shape (n_samples,) or None, default=None
            Known states, 0 to K - 1; -1 or NaN where not known. Not with functions and dask collections.
        lengths : array-like of int or None, default=None
            Numbers of rows of the sequences, in place of `sequence_id`.

        Returns
        -------
        self : EMHiddenMarkov

        Raises
        ------
        ValueError
            If an argument is out of range; the estimator is left as it was.
        emkit.distributed.ClusterError
            If a dask cluster has no worker left, or if its client is closed.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        DegenerateSolutionWarning
            If a state has collapsed onto a few rows or has lost all.
        """
        check_ignored(y, X)
        return self._fit_copy(
            checkpointed(fit), X, sequence_id=sequence_id, sample_weight=sample_weight, labels=labels, lengths=lengths
        )

    def _check_passes(self, X, sample_weight):
        check_passes(self, X, sample_weight)

    @with_callbacks
    def partial_fit(self, X, y=None, *, sequence_id=None, sample_weight=None, lengths=None):
        """Update the model by one batch of whole sequences: stepwise EM.

        The first batch is fitted to convergence, so it should hold some hundred rows for each state; it also sets the
        units of `reg_covar` and, without `n_symbols`, the symbols. Each later batch moves the average statistics by the
        share (t + 2)^-0.6, where t is the weight seen so far in units of the batch's, and is one M-step ([1]_). The
        order of the batches should be random. After `fit`, this updates that fit. Priors count once for all rows seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            A batch; see `fit`. A sequence does not go on in a later batch.
        y : None
            Ignored.
        sequence_id, sample_weight, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        self : EMHiddenMarkov
            `objective_` is that of the average statistics, for all rows seen; `n_sequences_` are all sequences seen.

        Raises
        ------
        ValueError
            If an argument is out of range, if it is not the one of the first batch where it says what the emissions
            are, or if a row has probability zero: of a symbol that the first batch lacks, unless
            ``emissionprob_prior > 1``. The estimator is left as it was.

        References
        ----------
        .. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models.
           JRSS B 71(3), 593-613.

        Examples
        --------
        >>> from emkit import EMHiddenMarkov
        >>> from emkit.datasets import load_earthquakes
        >>> counts = load_earthquakes().data[:, 1:]
        >>> online = EMHiddenMarkov(2, emission="poisson", random_state=0)
        >>> online = online.partial_fit(counts[:60]).partial_fit(counts[60:])
        >>> online.n_sequences_
        2
        """
        check_ignored(y, X)
        return self._fit_copy(fit_online, X, sequence_id=sequence_id, sample_weight=sample_weight, lengths=lengths)

    def fit_transform(self, X, y=None, *, sequence_id=None, sample_weight=None, labels=None, lengths=None):
        """Fit the model and give the probability of each state for each row; ``fit(X).transform(X)``.

        Parameters
        ----------
        X, y, sequence_id, sample_weight, labels, lengths
            See `fit`.

        Returns
        -------
        proba : ndarray or frame of shape (n_samples, n_components)
        """
        self.fit(X, y, sequence_id=sequence_id, sample_weight=sample_weight, labels=labels, lengths=lengths)
        return self.transform(X, sequence_id=sequence_id, lengths=lengths)

    def _table(self, X, sequence_id, lengths, sample_weight=None):
        """The rows, for a fitted model; a warning if several sequences were fitted and nothing tells them apart now."""
        check_is_fitted(self, "transmat_")
        refuse_collection(X)
        table = read(self, X, sequence_id=sequence_id, lengths=lengths, sample_weight=sample_weight, reset=False)
        if not is_many(table):
            self._warn_if_untold(X, sequence_id, lengths)
        return table

    def _warn_if_untold(self, X, sequence_id, lengths):
        told = sequence_id is not None or lengths is not None or self.sequence is not None or holds_sequences(X)
        if getattr(self, "n_sequences_", 1) > 1 and not told:
            warnings.warn(
                f"the model was fitted on {self.n_sequences_} sequences, but X comes without sequence_id (or lengths, "
                "or a column named by `sequence`), so its rows are taken as one sequence",
                UserWarning,
                stacklevel=callers_level(),
            )

    def _tables(self, X, sequence_id, lengths, sample_weight=None):
        """The same, or of each block where X is read block by block; weights are for functions alone."""
        check_is_fitted(self, "transmat_")
        source = source_of(self, X, sequence_id=sequence_id, lengths=lengths, sample_weight=sample_weight, reset=False)
        if source is None:
            return [self._table(X, sequence_id, lengths)]
        if not callable(X):  # a memory map
            self._warn_if_untold(X, sequence_id, lengths)
        return source.tables()

    def _model_for(self, table):
        """The fitted model and its parameters; ValueError for rows that it does not know."""
        model, params = fitted_model(self)
        if table.X.shape[1] != model.family.n_features:
            raise ValueError(f"X has {table.X.shape[1]} features, but the model has {model.family.n_features}")
        check_values(model.family, table.X, table.passed)
        return model, params

    def _by_row(self, function, table, *shape, dtype=np.float64):
        """``function(model, params, chunk)`` gives a value of a shape for each row; these in the order of rows."""
        out = np.empty((len(table.X), *shape), dtype)
        for place, values in by_chunk(function, *self._model_for(table), table):
            out[place.rows] = values
        return to_row_order(out, table)

    def _by_row_of_all(self, function, X, sequence_id, lengths, *shape, dtype=np.float64):
        """The same for the rows of all tables; of a dask collection a lazy array."""
        if is_collection(X):
            check_is_fitted(self, "transmat_")
            work = partial(_rows_of_block, function, shape, dtype)
            parts, row_counts = by_partition(self, work, X, sequence_id, lengths)
            return joined_lazily(parts, row_counts, np.empty((0, *shape), dtype))
        tables = self._tables(X, sequence_id, lengths)
        return in_one([self._by_row(function, table, *shape, dtype=dtype) for table in tables])

    def _sums(self, function, X, sample_weight, sequence_id, lengths):
        """Weighted sum of a function of rows over all tables, and the weight."""
        if is_collection(X):
            return weighted_sums(self._by_row_of_all(function, X, sequence_id, lengths), sample_weight)
        total = weight = 0.0
        for table, own in self._weighted(X, sample_weight, sequence_id, lengths):
            values = self._by_row(function, table)
            total += float(values.sum() if own is None else own @ values)
            weight += float(len(values) if own is None else own.sum())
        return total, weight

    def _weighted(self, X, sample_weight, sequence_id, lengths):
        """Tables, and the weights of their rows; None for ones."""
        if callable(X):
            for table in self._tables(X, sequence_id, lengths, sample_weight):
                own = None if table.weight is None else to_row_order(table.weight, table)
                yield table._replace(weight=None), own
            return
        tables = self._tables(X, sequence_id, lengths)
        n_rows = tables[0].n_rows if isinstance(tables, list) else len(X)
        weight = check_sample_weight(sample_weight, n_rows, np.dtype(np.float64))
        for table in tables:
            yield table, None if weight is None else weight[table.first_row : table.first_row + table.n_rows]

    def score_samples(self, X, *, sequence_id=None, lengths=None):
        """Log-likelihood of each row given the rows before it in its sequence.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            log p(x_t | x_1, ..., x_t-1), natural log; their sum is the log-likelihood. 0 for a missing row.
        """
        return self._by_row_of_all(row_scores, X, sequence_id, lengths)

    def score(self, X, y=None, *, sequence_id=None, sample_weight=None, lengths=None):
        """Mean log-likelihood of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        y : None
            Ignored.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the mean. If X is a function: one value for each sequence.

        Returns
        -------
        log_likelihood : float
            Natural log, per row.
        """
        check_ignored(y, X)
        total, weight = self._log_likelihood(X, sample_weight=sample_weight, sequence_id=sequence_id, lengths=lengths)
        return total / weight

    def predict_proba(self, X, *, sequence_id=None, lengths=None):
        """Probability of each state for each row given its whole sequence (smoothed).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        return self._by_row_of_all(decoding.posterior, X, sequence_id, lengths, self._n_features_out)

    def predict_proba_filtered(self, X, *, sequence_id=None, lengths=None):
        """Probability of each state for each row given this row and those before it: nothing of the future.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        return self._by_row_of_all(lambda *chunk: filtered(*chunk).proba, X, sequence_id, lengths, self._n_features_out)

    def predict_proba_lagged(self, X, *, lag, sequence_id=None, lengths=None):
        """Probability of each state for each row given the rows up to `lag` later: a delay for a surer answer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        lag : int
            Rows of the future that are known; 0 is `predict_proba_filtered`. Costs O(lag n K^2).
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        check_integer("lag", lag, 0)
        return self._by_row_of_all(
            lambda *chunk: decoding.lagged(*chunk, lag), X, sequence_id, lengths, self._n_features_out
        )

    def predict(self, X, *, sequence_id=None, lengths=None):
        """State of each row, by `decoder`: on the most probable path, or the most probable one of the row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        states : ndarray of shape (n_samples,), int
        """
        check_choice("decoder", self.decoder, ("viterbi", "map"))
        if self.decoder == "map":
            return self.predict_proba(X, sequence_id=sequence_id, lengths=lengths).argmax(axis=1)
        return self.decode(X, sequence_id=sequence_id, lengths=lengths)[1]

    def decode(self, X, *, sequence_id=None, lengths=None):
        """The most probable path of states (Viterbi) and its probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        log_probability : float
            log p(X, states), natural log, summed over the sequences; lazy for a dask collection, as the states.
        states : ndarray of shape (n_samples,), int
            Of equally probable paths, the one with the lowest states from the end on.
        """
        if is_collection(X):
            check_is_fitted(self, "transmat_")
            parts, row_counts = by_partition(self, _decoded, X, sequence_id, lengths)
            return total_lazily([part[0] for part in parts]), joined_lazily(
                [part[1] for part in parts], row_counts, np.empty(0, np.intp)
            )
        total, states = 0.0, []
        for table in self._tables(X, sequence_id, lengths):
            path = np.empty(len(table.X), np.intp)
            for place, (log_probability, best) in by_chunk(decoding.best_path, *self._model_for(table), table):
                total += float(log_probability.sum())
                path[place.rows] = best
            states.append(to_row_order(path, table))
        return total, in_one(states)

    def decode_k_best(self, X, k, *, sequence_id=None, lengths=None):
        """The k most probable paths of each sequence (list Viterbi).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        k : int
            Number of paths. Costs O(n K^2 k) time and O(n K k) memory for the longest sequence.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        log_probability : ndarray of shape (k, n_sequences)
            log p(sequence, path), natural log, falling; -inf where a sequence has fewer paths.
        states : ndarray of shape (k, n_samples), int
            -1 where there are fewer paths.
        """
        check_integer("k", k, 1)
        probabilities, paths = [], []
        for table in self._tables(X, sequence_id, lengths):
            log_probability, states = np.empty((len(table.ids), k)), np.empty((len(table.X), k), np.intp)
            for place, best in by_chunk(partial(decoding.best_paths, n_best=k), *self._model_for(table), table):
                log_probability[place.sequences], states[place.rows] = best
            probabilities.append(log_probability)
            paths.append(to_row_order(states, table))
        return in_one(probabilities).T, in_one(paths).T

    def sample_paths(self, X, n_paths=1, *, sequence_id=None, lengths=None):
        """Draw paths of states from their posterior given the sequences.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        n_paths : int, default=1
            Number of draws.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        states : ndarray of shape (n_paths, n_samples), int
        """
        check_integer("n_paths", n_paths, 1)
        refuse_collection(X)
        rng = self._random_generator()
        return self._by_row_of_all(
            lambda *chunk: decoding.drawn_paths(*chunk, n_paths, rng), X, sequence_id, lengths, n_paths, dtype=np.intp
        ).T

    def transform(self, X, *, sequence_id=None, lengths=None):
        """Probability of each state as features, for a later step of a pipeline; the same as `predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        proba : ndarray or frame of shape (n_samples, n_components)
        """
        return self.predict_proba(X, sequence_id=sequence_id, lengths=lengths)

    def sample(self, n_samples=1):
        """Draw one sequence from the fitted model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in order of time.
        states : ndarray of shape (n_samples,), int
            The state of each row.
        """
        check_is_fitted(self, "transmat_")
        check_integer("n_samples", n_samples, 1)
        return decoding.drawn_sequence(*fitted_model(self), n_samples, self._random_generator())

    def forecast(self, X, steps, *, sequence_id=None, lengths=None):
        """What comes after the end of each sequence: distribution of states and rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            See `fit`.
        steps : int
            Number of rows ahead.
        sequence_id, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        Forecast
            Named tuple with `sequence_id`, list of length n_sequences; `state_proba`, (n_sequences, steps, K);
            `mean` and `variance`, (n_sequences, steps, n_features), of the rows, which follow the mixture of the
            states' emissions with weights `state_proba` (of a categorical column, those of the symbol's number);
            `symbol_proba`, for each categorical column an array (n_sequences, steps, n_symbols), an empty list for
            other emissions.
        """
        check_integer("steps", steps, 1)
        model, params = fitted_model(self)
        ids, last = [], []
        for table in self._tables(X, sequence_id, lengths):
            ids += table.ids
            last += [proba for _, proba in by_chunk(decoding.last_states, *self._model_for(table), table)]
        return decoding.forecast(model, params, ids, np.concatenate(last), steps)

    def bic(self, X, *, sequence_id=None, sample_weight=None, lengths=None):
        """Bayesian information criterion; lower is better. See :func:`emkit.selection.bic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            The training data.
        sequence_id, sample_weight, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return selection.bic(self, X, sample_weight=sample_weight, sequence_id=sequence_id, lengths=lengths)

    def aic(self, X, *, sequence_id=None, sample_weight=None, lengths=None):
        """Akaike's information criterion; lower is better. See :func:`emkit.selection.aic`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            The training data.
        sequence_id, sample_weight, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return selection.aic(self, X, sample_weight=sample_weight, sequence_id=sequence_id, lengths=lengths)

    def icl(self, X, *, sequence_id=None, sample_weight=None, lengths=None):
        """Integrated completed likelihood, with the entropy of the path; see :func:`emkit.selection.icl`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list of them, or callable
            The training data.
        sequence_id, sample_weight, lengths : array-like or None, default=None
            See `fit`.

        Returns
        -------
        float
        """
        return selection.icl(self, X, sample_weight=sample_weight, sequence_id=sequence_id, lengths=lengths)

    def _posterior_entropy(self, X, *, sample_weight=None, sequence_id=None, lengths=None):
        """Entropy of the paths of states given their sequences, natural log, weighted total."""
        return self._sums(decoding.path_entropy, X, sample_weight, sequence_id, lengths)[0]

    def _log_likelihood(self, X, *, sample_weight=None, sequence_id=None, lengths=None):
        """Weighted log-likelihood of the rows, natural log, and their weight; totals."""
        return self._sums(row_scores, X, sample_weight, sequence_id, lengths)

    def standard_errors(
        self,
        X,
        y=None,
        *,
        method="information",
        sequence_id=None,
        sample_weight=None,
        lengths=None,
        n_bootstrap=100,
        n_jobs=None,
    ):
        """Standard errors of the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or list of them
            The training data.
        y : None
            Ignored.
        method : {"information", "bootstrap"}, default="information"
            "information" inverts the numerical Hessian and carries it over to the published parameters by the delta
            method. It takes about 2 p^2 passes over the data for p parameters. "bootstrap" takes the standard deviation
            over refits to sequences drawn with replacement; of a single sequence, to sequences that the fitted model
            draws. Each refit starts where this fit ended, and its states are matched with those of the fit by the rows
            that they share.
        sequence_id, sample_weight, lengths : array-like or None, default=None
            See `fit`.
        n_bootstrap : int, default=100
            Number of refits.
        n_jobs : int or None, default=None
            Refits at a time, in processes of their own; None is one. Results do not depend on it.

        Returns
        -------
        dict of str to ndarray
            Standard errors, shaped as the fitted attributes of the same names. 0 for what does not vary: fixed
            parameters, structural zeros and, from the information, probabilities at 0 or 1, where it says nothing.

        Raises
        ------
        ValueError
            If the fit is not at a maximum of the likelihood, or if fewer than two refits succeed.

        Warns
        -----
        RuntimeWarning
            If bootstrap refits failed or became degenerate; they are left out.
        """
        check_choice("method", method, ("information", "bootstrap"))
        table = self._table(X, sequence_id, lengths, sample_weight)
        self._model_for(table)
        if method == "bootstrap":
            return errors.by_bootstrap(self, table, n_bootstrap, n_jobs)
        return errors.standard_errors(self, split(as_sequences(table), chunk_rows(len(self.startprob_))))

    @property
    def _n_features_out(self):
        check_is_fitted(self, "transmat_")
        return len(self.transmat_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = takes_only(self.emission, COUNTED)
        tags.input_tags.categorical = takes_only(self.emission, ("categorical", "bernoulli"))
        return tags


def _rows_of_block(function, shape, dtype, fitted, X, *, sequence_id, lengths):
    """What `_by_row_of_all` gives of a partition."""
    if len(X) == 0:
        return np.empty((0, *shape), dtype)
    return fitted._by_row_of_all(function, X, sequence_id, lengths, *shape, dtype=dtype)


def _decoded(fitted, X, **told):
    """What `decode` gives of a partition."""
    return (0.0, np.empty(0, np.intp)) if len(X) == 0 else fitted.decode(X, **told)
