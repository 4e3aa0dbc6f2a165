"""EMMixture: the scikit-learn face of mixtures of any family."""

from __future__ import annotations

from types import MappingProxyType

from sklearn.utils.validation import check_is_fitted

from .._compat import with_callbacks
from .._validation import check_choice
from ..checkpoint import checkpointed
from ..families.table import COUNTED, takes_only
from . import errors
from .base import MixtureEstimator
from .fitting import fit, fit_online, fitted_model, read


class EMMixture(MixtureEstimator):
    """Mixture of distributions of one family, or of one for each column, fitted by EM; missing values are no obstacle.

    The density of a row is :math:`p(x) = \\sum_k \\pi_k p(x; \\theta_k)`. With Student t components it is robust
    against far rows; with categorical columns it is latent class analysis; with a list of families, one for each
    column, columns of different kinds are independent given the component. For Gaussians,
    :class:`emkit.EMGaussianMixture` is faster and has more to offer.

    Parameters
    ----------
    n_components : int, default=1
        Number of components, K.
    family : str, list of str, or subclass of Family, default="student"
        "student" (multivariate t), "gaussian", "categorical" (symbols 0, 1, ...), "bernoulli" (0 and 1) or "poisson"
        (counts); columns of the last three are independent given the component. A list names the family of each
        column. Or a class of your own, see :class:`emkit.families.base.Family`.
    covariance_type : str, default="full"
        Of the families that have covariances; see :class:`emkit.EMGaussianMixture`.
    reg_covar : float, default=1e-6
        Floor under the covariances, relative to the features' variances; see :class:`emkit.EMGaussianMixture`. For
        Student components and with noise, far rows do not count for these variances.
    n_symbols : int, list of int or None, default=None
        Symbols of each categorical column; None is one more than the largest in the data.
    emissionprob_prior : float, default=1.0
        Concentration of the Dirichlet prior of symbols, at least 1. Above 1 each of the `n_symbols` gets a
        probability, those that the data lack included.
    noise : bool, default=False
        Add noise that is uniform over the range of the data, for rows that belong to no component. For families of
        numbers, in columns that vary.
    tol : float, default=1e-8
        Bound on the estimated remaining gain of the objective per unit of weight. 0 runs all `max_iter` steps.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start.
    n_init : "auto" or int, default="auto"
        "auto": ten short starts, of which the best three are run on and the best is continued. A number: that many
        full starts by `init_params`. From 10,000 rows on, starts are compared on a sample of them. One start if it is
        given, if labels show more rows of each component than there are features, or if K = 1.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array-like, default="kmeans"
        How a start is drawn, as in :class:`emkit.EMGaussianMixture`; or the start itself: labels from 0 to K - 1,
        shape (n_samples,), or responsibilities, shape (n_samples, n_components).
    parts_init : dict or None, default=None
        Parameters at the start, shaped as the fitted attributes and by their names without the underscore:
        ``{"weights": ..., "means": ...}``. What is not given is taken from a drawn start; weights follow from the
        other parameters if these are all given. With noise, weights sum to less than 1, and noise has the rest.
    fixed : tuple of str, default=()
        Parameters that are held at their start, by the same names.
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; False is textbook EM.
    random_state : int, RandomState instance or None, default=None
        Of the starts and of `sample`.
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
    weights_ : ndarray of shape (n_components,)
        Mixing weights; with noise they sum to ``1 - noise_weight_``.
    noise_weight_ : float
        Share of noise, with ``noise=True``.
    noise_range_ : ndarray of shape (2, n_features)
        Least and largest value of each feature in the fit, with ``noise=True``.
    means_ : ndarray of shape (n_components, n_features)
        Gaussian, Student: location of each component.
    covariances_ : ndarray
        Gaussian: covariances, shaped by `covariance_type` as in :class:`emkit.EMGaussianMixture`; Student: scale
        matrices.
    degrees_of_freedom_ : ndarray of shape (n_components,)
        Student.
    emissionprob_ : ndarray of shape (n_components, n_symbols), or list of them
        Categorical: probability of each symbol, a list if there are several columns. Bernoulli: probability of 1,
        (n_components, n_features).
    rates_ : ndarray of shape (n_components, n_features)
        Poisson: expected counts.
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
        Free parameters, for BIC and AIC; fixed ones do not count.
    history_ : ndarray, structured
        A record for each iteration of each start; see :class:`emkit.EMGaussianMixture`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    emkit.EMGaussianMixture : Gaussian components; float32.
    emkit.EMImputer : fills missing cells; ``model="latent_class"`` reads frames of categories.

    Notes
    -----
    A pass costs O(n K d^2) time for Student and Gaussian components with matrices, O(n K d) for the others. Work memory
    is that of a chunk of 10,000 rows beyond the data, whatever n. From 10,000 rows on, the fences beyond which rows are
    far are those of a sample.

    References
    ----------
    .. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley. Chapter 7: Student components.
    .. [2] Goodman, L. A. (1974). Exploratory latent structure analysis using both identifiable and unidentifiable
       models. Biometrika 61(2), 215-231. Latent classes; EM before its name.
    .. [3] Banfield, J. D. and Raftery, A. E. (1993). Model-based Gaussian and non-Gaussian clustering. Biometrics
       49(3), 803-821. Section 4: noise.

    Examples
    --------
    >>> import numpy as np
    >>> from emkit import EMMixture
    >>> answers = np.array([[0, 0, 0], [0, 0, 1], [1, 1, np.nan], [1, 1, 1], [0, np.nan, 0], [1, 1, 1]])
    >>> classes = EMMixture(2, family="categorical", random_state=0).fit(answers)
    >>> len(set(classes.predict(answers)[[0, 4]])), len(set(classes.predict(answers)))
    (1, 2)
    """

    __metadata_request__fit = MappingProxyType({"sample_weight": True, "labels": True})
    __metadata_request__partial_fit = MappingProxyType({"sample_weight": True})
    __metadata_request__score = MappingProxyType({"sample_weight": True})

    def __init__(
        self,
        n_components=1,
        *,
        family="student",
        covariance_type="full",
        reg_covar=1e-6,
        n_symbols=None,
        emissionprob_prior=1.0,
        noise=False,
        tol=1e-8,
        max_iter=1000,
        n_init="auto",
        init_params="kmeans",
        parts_init=None,
        fixed=(),
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.family = family
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_symbols = n_symbols
        self.emissionprob_prior = emissionprob_prior
        self.noise = noise
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.parts_init = parts_init
        self.fixed = fixed
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
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The rows; NaN is a missing value. Categories are to be numbered first, as by
            :class:`sklearn.preprocessing.OrdinalEncoder`. A frame, a memory map, or blocks of rows: see
            :mod:`emkit.blocks`. Of blocks, one is in memory at a time, and a sample of at most 10,000 rows. Or a dask
            array or frame, which is fitted where it is if a dask client is active.
        y : None
            Ignored; known components go in `labels`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows.
        labels : array-like of shape (n_samples,) or None, default=None
            Known components, 0 to K - 1; -1 or NaN where not known. Not with blocks.

        Returns
        -------
        self : EMMixture

        Raises
        ------
        ValueError
            If an argument is out of range, or a value is none of the family's. The estimator is left as it was.
        emkit.distributed.ClusterError
            If a dask cluster has no worker left, or if its client is closed.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        DegenerateSolutionWarning
            If a component has collapsed onto a few rows or has lost all.
        """
        return self._fit_copy(checkpointed(fit), X, sample_weight=sample_weight, labels=labels)

    @with_callbacks
    def partial_fit(self, X, y=None, *, sample_weight=None):
        """Update the mixture by one batch of rows: stepwise EM.

        The first batch is fitted to convergence, so it should hold some hundred rows for each component; each later
        batch is one step. The order of the batches should be random. After `fit`, this updates that fit. Symbols,
        floors and the range of noise remain those of the first batch: categories that come later need `n_symbols` and
        an `emissionprob_prior` above 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            A batch; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A row of weight w counts as w rows.

        Returns
        -------
        self : EMMixture

        Raises
        ------
        ValueError
            If a value is none of the family's, or if the mixture was fitted with another number of components, family
            or noise. The estimator is left as it was.
        """
        return self._fit_copy(fit_online, X, sample_weight=sample_weight)

    def standard_errors(
        self, X, y=None, *, sample_weight=None, labels=None, method="information", n_bootstrap=100, n_jobs=None
    ):
        """Standard errors of the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or blocks of rows
            The training data; see `fit`.
        y : None
            Ignored.
        sample_weight, labels : array-like of shape (n_samples,) or None, default=None
            As in `fit`.
        method : {"information", "bootstrap"}, default="information"
            "information" inverts the observed information of the log-likelihood, by numerical derivatives: about 2 p^2
            passes over the rows for p parameters ([1]_, section 2.15). "bootstrap" takes the standard deviation over
            refits to rows drawn with replacement, each from where this fit ended (section 2.16); not of dask
            collections.
        n_bootstrap : int, default=100
            Number of refits.
        n_jobs : int or None, default=None
            Refits at a time, in processes of their own; None is one. Results do not depend on it.

        Returns
        -------
        dict of str to ndarray, or to a list of them
            Standard errors, shaped as the fitted attributes. 0 for what was `fixed` and for probabilities of 0 or 1.

        Raises
        ------
        ValueError
            If the fit is not at a maximum of the likelihood of X, or if X does not tell the parameters.

        Warns
        -----
        RuntimeWarning
            If bootstrap refits failed or became degenerate; they are left out.

        References
        ----------
        .. [1] McLachlan, G. and Peel, D. (2000). Finite Mixture Models. Wiley.
        """
        check_is_fitted(self)
        if check_choice("method", method, ("information", "bootstrap")) == "information":
            return errors.by_information(self, X, sample_weight, labels)
        return errors.by_bootstrap(self, X, sample_weight, labels, n_bootstrap, n_jobs)

    def _read(self, X, sample_weight=None):
        return read(self, X, sample_weight, reset=False)

    def _fitted(self, dtype):
        return fitted_model(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = takes_only(self.family, COUNTED)
        tags.input_tags.categorical = takes_only(self.family, ("categorical", "bernoulli"))
        return tags
