"""EMGaussianMixture: the scikit-learn face of the Gaussian mixture."""

from __future__ import annotations

from types import MappingProxyType

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._compat import with_callbacks
from .._validation import as_source, check_choice, check_integer_or_auto
from ..checkpoint import checkpointed
from ..lazy import lazy_for_dask
from ..mixture.base import MixtureEstimator
from . import conditioning, errors
from .fitting import fit_batch, fit_online, fitted_model


def _takes_batches(estimator):
    """AttributeError where there is no stepwise EM."""
    prior = estimator.weight_concentration_prior
    if prior is not None:
        raise AttributeError(f"partial_fit needs weight_concentration_prior=None, but got {prior!r}")
    return True


class EMGaussianMixture(MixtureEstimator):
    """Gaussian mixture fitted by EM, with sample weights, missing values and data larger than memory.

    The density of a row is :math:`p(x) = \\sum_k \\pi_k N(x; \\mu_k, \\Sigma_k)`. EM maximises the weighted
    log-likelihood :math:`\\sum_i w_i \\log p(x_i)`. A drop-in for :class:`sklearn.mixture.GaussianMixture`. A missing
    value (NaN) is integrated out: of each row, what is observed counts, and nothing is imputed.

    Parameters
    ----------
    n_components : int or "auto", default=1
        Number of components, K. "auto" finds it in one fit: from many components, those two that lose least by it
        ([4]_) are merged, until one is left, and the number with the least BIC is kept. For hard assignment BIC is
        that of the classification likelihood. No solution with a degenerate component is chosen if there is another.
    covariance_type : str, default="full"
        "full": each component has its own covariance matrix; "tied": all share one; "diag": each has its own variances;
        "spherical": each has one variance. Or a name of R's mclust ([6]_), EII, VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE,
        VVE, EEV, VEV, EVV or VVV: volume, shape and axes of the covariances are equal (E) or vary (V) between
        components; a shape that is a sphere and axes that are those of the features are I. See the table in :ref:`the
        user guide <covariance_types>`.
    tol : float, default=1e-8
        Bound on the estimated remaining gain of the log-likelihood per unit of weight. 0 runs all `max_iter` steps.
    reg_covar : float, default=1e-6
        Floor under the covariances, relative to the features' variances V: the eigenvalues of
        :math:`V^{-1/2} \\Sigma_k V^{-1/2}` are at least this. So a component may be as narrow as a thousandth of the
        data's standard deviation. 0 means no floor. For EVE, VVE, EEV and VEV the floor is one along each axis u of a
        component: :math:`u^T \\Sigma_k u` is at least `reg_covar` times :math:`u^T V u`.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start.
    n_init : "auto" or int, default="auto"
        "auto": ten short starts (the first by `init_params`, the others in turn by k-means++, random rows and
        k-means), of which the best three are run on and the best is continued. A number: that many full starts by
        `init_params`, the best kept. From 10,000 rows on, starts are compared on a sample of at most 10,000 of them.
        One start if it is given or if K = 1. With ``n_components="auto"``, how many descents; "auto" is one.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array-like, default="kmeans"
        How a start is drawn: some steps of k-means, its seeds alone, random responsibilities, or random rows as
        means. Or the start itself: labels from 0 to K-1, shape (n_samples,), or responsibilities, shape
        (n_samples, n_components).
    weights_init : array-like of shape (n_components,) or None, default=None
        Mixing weights at the start; not negative, with sum 1, or below 1 with noise, which has the rest.
    means_init : array-like of shape (n_components, n_features) or None, default=None
        Means at the start. What else is not given is taken from the rows nearest to each mean. With
        ``n_components="auto"`` a given start, of any kind, says with how many components the descent begins.
    precisions_init : array-like or None, default=None
        Inverse covariances at the start, shaped as `precisions_`. They share what `covariance_type` says.
    assignment : {"soft", "hard"}, default="soft"
        "hard" gives each row to its most probable component alone (classification EM). With ``"EII"``,
        ``fixed=("weights",)`` and equal `weights_init` this is k-means.
    fixed : tuple of {"weights", "means", "covariances"}, default=()
        Parameters that are held at their start.
    noise : bool, default=False
        Add noise that is uniform over the range of the data, for rows that belong to no component ([3]_). Far rows do
        then not count for the features' variances of `reg_covar`.
    weight_concentration_prior : float or None, default=None
        None is maximum likelihood. A number > 0 gives weights, means and covariances a prior ([5]_), and
        `n_components` is then the most that may be used: the others are left without rows, and have weights near 0.
        It is the concentration of the weights, for each component; the smaller, the fewer components keep rows.
    weight_concentration_prior_type : {"dirichlet_distribution", "dirichlet_process"}, default="dirichlet_distribution"
        The prior of the weights: a symmetric Dirichlet distribution, or sticks broken one after the other, cut off at
        `n_components`.
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; False is textbook EM. "auto" is Anderson's
        for soft and none for hard assignment.
    random_state : int, RandomState instance or None, default=None
        Of the starts and of `sample`.
    n_jobs : int or None, default=None
        Threads: over starts, and over chunks of rows where only one start runs. Results do not depend on it.
    warm_start : bool, default=False
        Continue from the parameters of the previous fit, and with its number of components.
    verbose : int, default=0
        1 logs the end of each start, 2 also each iteration, at level INFO to the logger ``emkit``.
    checkpoint : path or None, default=None
        File that `fit` writes after each pass, and from which the same fit goes on if it was killed; or a directory,
        in which each fit has a file of its own. See :mod:`emkit.checkpoint`.

    Attributes
    ----------
    n_components_ : int
        Number of components, as given or as found: K below.
    sizes_ : ndarray, structured
        With ``n_components="auto"``, a record for each number of components of the best descent, from many to one:
        n_components, objective, bic, and is_sound (whether no component is degenerate). Little was left to gain.
    weights_ : ndarray of shape (K,)
        Mixing weights; with noise they sum to ``1 - noise_weight_``. Under a prior, their posterior mean.
    noise_weight_ : float
        Share of noise, with ``noise=True``.
    noise_range_ : ndarray of shape (2, n_features)
        Least and largest value of each feature in the fit, between which noise lies, with ``noise=True``.
    means_ : ndarray of shape (K, n_features)
        Means. Under a prior, their posterior mean.
    covariances_ : ndarray
        Covariances: (K, d, d) for full, VVV, VEE, EVE, VVE, EEV, VEV and EVV; (d, d) for tied and EEE; (K, d) for diag,
        VVI, VEI and EVI; (d,) for EEI; (K,) for spherical and VII; () for EII. Under a prior, the
        inverses of the posterior means of the precisions.
    precisions_ : ndarray
        Inverses of the covariances, of the same shape.
    precisions_cholesky_ : ndarray
        Of matrices the upper triangular U with precision U U^T; else square roots of the precisions.
    objective_ : float
        Log-likelihood of the training data, weighted total, natural log; for hard assignment the classification
        log-likelihood, and under a prior a lower bound on the evidence, all parameters integrated out.
    lower_bound_ : float
        `objective_` per unit of weight.
    lower_bounds_ : ndarray of shape (n_iter_,)
        `lower_bound_` after each update of the returned start.
    n_iter_ : int
        M-steps of the returned start.
    n_e_steps_ : int
        Passes over the data of the returned start.
    converged_ : bool
        Whether the stop rule was met before `max_iter`. False after a further batch, of which nothing tells whether it
        led to a maximum.
    n_parameters_ : int
        Free parameters, for BIC and AIC. Components without rows count.
    history_ : ndarray, structured
        A record for each iteration of each start: start, iteration, objective (total), change, seconds (since the
        start began), phase ("start", "em", "anderson", "squarem"; "sample" for steps on a sample of the rows;
        "K=25" for those with 25 components, if the number is searched for).
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    emkit.selection : criteria for the number of components.

    Notes
    -----
    A pass costs O(n K d^2) time, O(n K d) where covariances are diagonal; a pattern of missing values adds O(K d^3).
    Work memory is O(K d^2) beyond the data, whatever n. float32 data are fitted in float32, with sums in float64. Where
    the M-step has no closed form (VEI, VEE, VEV, EVE, VVE) it takes some steps from the present covariances.

    References
    ----------
    .. [1] Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM
       algorithm. JRSS B 39(1), 1-38.
    .. [2] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Equations (3.3) to (3.6).
    .. [3] Banfield, J. D. and Raftery, A. E. (1993). Model-based Gaussian and non-Gaussian clustering. Biometrics
       49(3), 803-821. Section 4.
    .. [4] Runnalls, A. R. (2007). Kullback-Leibler approach to Gaussian mixture reduction. IEEE Trans. Aerosp.
       Electron. Syst. 43(3), 989-999. Equation (21).
    .. [5] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer. Section 10.2.
    .. [6] Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. Pattern Recognition 28(5),
       781-793. The fourteen types.

    Examples
    --------
    >>> from emkit import EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> X = load_old_faithful().data
    >>> mixture = EMGaussianMixture(2, random_state=0).fit(X)
    >>> mixture.weights_.round(2)
    array([0.36, 0.64])
    >>> mixture.predict([[2.0, 55.0], [4.5, 80.0]])
    array([0, 1])
    >>> EMGaussianMixture("auto", random_state=0).fit(X).n_components_
    2
    """

    __metadata_request__fit = MappingProxyType({"sample_weight": True, "labels": True})
    __metadata_request__partial_fit = MappingProxyType({"sample_weight": True})
    __metadata_request__score = MappingProxyType({"sample_weight": True})

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-8,
        reg_covar=1e-6,
        max_iter=1000,
        n_init="auto",
        init_params="kmeans",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        assignment="soft",
        fixed=(),
        noise=False,
        weight_concentration_prior=None,
        weight_concentration_prior_type="dirichlet_distribution",
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.assignment = assignment
        self.fixed = fixed
        self.noise = noise
        self.weight_concentration_prior = weight_concentration_prior
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None, labels=None):
        """Fit the mixture to rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows: see :mod:`emkit.blocks`
            The rows; NaN is a missing value. A frame, a memory map, a function that returns, at each call, an iterable
            of blocks of rows, or a dask array or frame, which is fitted where it is if a dask client is active.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows.
        labels : array-like of shape (n_samples,) or None, default=None
            Known components, 0 to K - 1; -1 or NaN where not known. If all are known this is discriminant analysis.

        Returns
        -------
        self : EMGaussianMixture

        Raises
        ------
        ValueError
            If an argument is out of range, or if a covariance becomes singular with ``reg_covar=0``. The estimator
            is left as it was.
        emkit.distributed.ClusterError
            If a dask cluster has no worker left, or if its client is closed.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        DegenerateSolutionWarning
            If a component collapsed onto a few rows, or is wider than its rows because of `reg_covar`.
        """
        return self._fit_copy(checkpointed(fit_batch), X, sample_weight=sample_weight, labels=labels)

    @available_if(_takes_batches)
    @with_callbacks
    def partial_fit(self, X, y=None, *, sample_weight=None):
        """Update the mixture by one batch of rows: stepwise EM.

        The first batch is fitted to convergence, so it should hold some hundred rows for each component; each later
        batch is one step. The order of the batches should be random. After `fit`, this updates that fit. With
        ``n_components="auto"`` the first batch finds the number, which is then kept. Not with a prior.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or callable
            A batch; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows.

        Returns
        -------
        self : EMGaussianMixture
        """
        return self._fit_copy(fit_online, X, sample_weight=sample_weight)

    def marginal(self, columns):
        """The mixture of some columns: their joint density, whatever the others are.

        Parameters
        ----------
        columns : list of int or str, int or str
            Indices or names of columns, each once; the new mixture has them in this order.

        Returns
        -------
        mixture : EMGaussianMixture
            Fitted, with `weights_` of this one. Its `covariance_type` is that of this one if it is full, tied, diag,
            spherical or EII, and else full. It has not seen data: `fit` attributes as `objective_` are missing, and
            criteria are a ValueError.

        Raises
        ------
        ValueError
            If a column is unknown or comes twice.

        Notes
        -----
        Means and covariances are parts of those of this mixture ([1]_, equation 2.98).

        References
        ----------
        .. [1] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer.

        Examples
        --------
        >>> from emkit import EMGaussianMixture
        >>> from emkit.datasets import load_old_faithful
        >>> X = load_old_faithful(as_frame=True).data
        >>> mixture = EMGaussianMixture(2, random_state=0).fit(X)
        >>> mixture.marginal(["waiting"]).means_.round(1)
        array([[54.5],
               [80. ]])
        """
        check_is_fitted(self)
        return conditioning.marginal(self, columns)

    def condition(self, columns, values):
        """The mixture of the other columns, given values of some: a conditional density.

        Parameters
        ----------
        columns : list of int or str, int or str
            Indices or names of the columns that are given, each once; at least one must be left.
        values : array-like of shape (n_columns,) or float
            Their values, finite, in the same order.

        Returns
        -------
        mixture : EMGaussianMixture
            Fitted, of the columns that are left, in their order; see `marginal`.

        Raises
        ------
        ValueError
            If a column is unknown or comes twice, if all are given, or if a value is not finite.

        Notes
        -----
        Each component is conditioned by itself ([1]_, equations 2.81 and 2.82), and its weight becomes its
        responsibility for the values ([2]_). For many rows at once use `predict_missing`.

        References
        ----------
        .. [1] Bishop, C. M. (2006). Pattern Recognition and Machine Learning. Springer.
        .. [2] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach.
           NIPS 6, 120-127.

        Examples
        --------
        >>> from emkit import EMGaussianMixture
        >>> from emkit.datasets import load_old_faithful
        >>> X = load_old_faithful(as_frame=True).data
        >>> mixture = EMGaussianMixture(2, random_state=0).fit(X)
        >>> waiting = mixture.condition("eruptions", 3.0)
        >>> waiting.weights_.round(2), waiting.means_.round(1).ravel()
        (array([0.12, 0.88]), array([60.5, 72.8]))
        """
        check_is_fitted(self)
        return conditioning.conditional(self, columns, values)

    @lazy_for_dask
    def predict_missing(self, X, *, return_std=False):
        """Fill the missing cells of rows with their means given what is observed: Gaussian mixture regression.

        To predict a column from others, pass rows in which it is NaN.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or callable
            The rows; see `fit`.
        return_std : bool, default=False
            Also give the standard deviations; not of a dask collection.

        Returns
        -------
        filled : ndarray or frame of shape (n_samples, n_features)
            The rows, observed cells as they are; of the dtype of X, or a pandas or polars frame if X is one.
        std : ndarray or frame of shape (n_samples, n_features)
            Standard deviation of each cell given what is observed of its row; 0 where it is. Only if `return_std`.

        Raises
        ------
        ValueError
            If a value is infinite, or if a covariance is singular up to rounding.

        Notes
        -----
        The mean is that of the mixture that `condition` gives: the components' linear regressions, weighted by their
        responsibilities for what is observed ([1]_). The standard deviation takes in how far they are apart; it does
        not know that the parameters are estimates. A row with nothing observed gets the mean of the mixture. The cost
        of a pattern of missing cells is O(K d^3), and of a row O(K d^2).

        References
        ----------
        .. [1] Ghahramani, Z. and Jordan, M. I. (1994). Supervised learning from incomplete data via an EM approach.
           NIPS 6, 120-127.

        Examples
        --------
        >>> import numpy as np
        >>> from emkit import EMGaussianMixture
        >>> from emkit.datasets import load_old_faithful
        >>> mixture = EMGaussianMixture(2, random_state=0).fit(load_old_faithful().data)
        >>> filled, std = mixture.predict_missing([[2.0, np.nan], [np.nan, 80.0]], return_std=True)
        >>> filled.round(1)
        array([[ 2. , 54.2],
               [ 4.3, 80. ]])
        >>> std.round(1)
        array([[0. , 5.6],
               [0.4, 0. ]])
        """
        check_is_fitted(self)
        filled = conditioning.fill(self, X, return_std)
        values = conditioning.like(X, filled.values)
        return (values, conditioning.like(X, filled.sd)) if return_std else values

    def standard_errors(
        self, X, y=None, *, sample_weight=None, labels=None, method="information", n_bootstrap=100, n_jobs=None
    ):
        """Standard errors of the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or callable
            The training data; see `fit`.
        y : None
            Ignored.
        sample_weight, labels : array-like of shape (n_samples,) or None, default=None
            As in `fit`.
        method : {"information", "bootstrap"}, default="information"
            "information" inverts the observed information of the log-likelihood, missing values included ([1]_, [2]_
            section 2.15). It is exact for the types full, tied, diag, spherical and EII: one pass, which costs
            O(n p^2 + p^3) for p parameters. Others have a numerical Hessian, which takes about 2 p^2 passes.
            "bootstrap" takes the standard deviation over refits to rows drawn with replacement, each from where this
            fit ended ([2]_, section 2.16). Components of a refit are matched with those of the fit by the rows that
            they share.
        n_bootstrap : int, default=100
            Number of refits.
        n_jobs : int or None, default=None
            Refits at a time, in processes of their own; None is one. Results do not depend on it.

        Returns
        -------
        dict of str to ndarray
            Standard errors, shaped as the fitted attributes ``weights_``, ``means_`` and ``covariances_`` (and
            ``noise_weight_``). 0 for what was `fixed`. The range of noise is taken for known.

        Raises
        ------
        ValueError
            If the fit is not at a maximum of the likelihood of X (as with ``assignment="hard"``, or a covariance held
            at the floor), or if X does not tell the parameters. For the bootstrap, if fewer than two refits succeed.

        Warns
        -----
        RuntimeWarning
            If bootstrap refits failed or became degenerate; they are left out.

        Notes
        -----
        The information takes the model for true, and the likelihood for about quadratic: many rows, components that
        are not close to each other, weights that are not close to 0. Else the bootstrap is the safer one, as where
        components have not the shape that `covariance_type` says.

        References
        ----------
        .. [1] Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. JRSS B 44(2),
           226-233.
        .. [2] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley.

        Examples
        --------
        >>> from emkit import EMGaussianMixture
        >>> from emkit.datasets import load_old_faithful
        >>> X = load_old_faithful().data
        >>> mixture = EMGaussianMixture(2, random_state=0).fit(X)
        >>> mixture.standard_errors(X)["means_"].round(2)
        array([[0.03, 0.59],
               [0.03, 0.46]])
        """
        check_is_fitted(self)
        if check_choice("method", method, ("information", "bootstrap")) == "information":
            return errors.by_information(self, X, sample_weight, labels)
        return errors.by_bootstrap(self, X, sample_weight, labels, n_bootstrap, n_jobs)

    def _check_criterion(self, name):
        check_is_fitted(self)
        if not hasattr(self, "n_parameters_"):
            raise ValueError(f"{name} needs the number of parameters of a fit, but this mixture was not fitted to data")

    def _check_n_components(self):
        check_integer_or_auto("n_components", self.n_components)

    def _read(self, X, sample_weight=None):
        return as_source(self, X, sample_weight, reset=False)

    def _fitted(self, dtype):
        return fitted_model(self, dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
