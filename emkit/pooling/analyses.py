"""pool: one analysis of each of several completed tables, and the estimates pooled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from .._pipelines import last_step
from .._validation import check_integer, check_n_jobs, check_sample_weight
from .bootstrap import bootstrap
from .checks import Table, check_imputed, check_same
from .closed_form import analytic, find_closed_form, n_observations
from .coefficients import Coefficients, coefficients_of
from .estimate import PooledEstimate
from .fitting import fit, fit_options
from .penalty import warn_of_penalty
from .rubin import combine


def pool(
    estimator: Any,
    imputed: Iterable[Table],
    *,
    sample_weight: Any = None,
    n_bootstrap: int = 200,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> PooledEstimate:
    r"""Fit an estimator to each of m completed tables and pool the coefficients by Rubin's rules ([1]_, section 3.1).

    With estimates :math:`\hat Q_j` of covariance :math:`U_j` from table j,

    .. math::
        \bar Q = \frac1m \sum_j \hat Q_j, \quad
        W = \frac1m \sum_j U_j, \\
        B = \frac1{m-1} \sum_j (\hat Q_j - \bar Q)(\hat Q_j - \bar Q)^\top, \quad
        T = W + \left(1 + \frac1m\right) B .

    A coefficient is compared with a t distribution, of degrees of freedom

    .. math::
        \nu = \left(\frac1{\nu_m} + \frac1{\nu_{obs}}\right)^{-1}, \quad
        \nu_m = \frac{m - 1}{\lambda^2}, \quad
        \nu_{obs} = \frac{\nu_{com} + 1}{\nu_{com} + 3} \nu_{com} (1 - \lambda), \quad
        \lambda = \left(1 + \frac1m\right) \frac B T ,

    those of [2]_, with :math:`\nu_{com}` the number of rows less that of coefficients.

    Parameters
    ----------
    estimator : estimator
        With `coef_` of shape (p,) or (k, p) once fitted; or a Pipeline whose last step is one, and then the
        coefficients are those of the transformed columns. It is cloned.
    imputed : list of m >= 2 pairs (X, y)
        The completed tables, X of shape (n_samples, n_features), an array or a frame, and y of shape (n_samples,) or
        (n_samples, k); all of the same size, columns and classes.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Handed to `fit`, that of the last step of a Pipeline. In the closed forms of LogisticRegression and
        PoissonRegressor a row of weight w counts as w rows, also in the degrees of freedom; LinearRegression takes
        weights for inverse variances up to a factor (weighted least squares), and so does not change with their scale.
        In a bootstrap, a row is drawn with its weight.
    n_bootstrap : int, default=200
        Refits to each table, at least 2, where there is no closed form.
    random_state : int, RandomState instance or None, default=None
        Draws the rows of the bootstrap; the estimator has its own.
    n_jobs : int or None, default=None
        Processes, as of joblib. The result does not depend on it.

    Returns
    -------
    PooledEstimate

    Raises
    ------
    ValueError
        If an argument is not as above, the estimator has no `coef_` or takes no weights, the coefficients of the tables
        (or of bootstrap samples) are not of the same columns or classes, there are no more rows than coefficients, or a
        closed form has no value, as the columns depend linearly on each other or a class is separated from the others.

    Warns
    -----
    UserWarning
        If the estimator shrinks its coefficients.

    Notes
    -----
    The covariance within a table has a closed form for

    - LinearRegression: :math:`\hat\sigma^2 (X^\top W X)^{-1}` with
      :math:`\hat\sigma^2 = \sum_i w_i r_i^2 / (n - p - 1)`, where n does not count rows of weight 0, and n - p without
      an intercept. For several targets, their residual covariance takes the place of :math:`\hat\sigma^2`.
    - LogisticRegression without penalty (`C` infinite, or `penalty` None before scikit-learn 1.10) and without
      `class_weight`: the inverse Fisher information. For three classes or more, it is that of coefficients that sum to
      zero over the classes, as those of scikit-learn do.
    - PoissonRegressor with alpha=0: the inverse Fisher information, of dispersion 1.
    - A Pipeline of one of these after steps that are "passthrough" only.

    Anything else, such as their subclasses, positive=True, the solver "liblinear", or a Pipeline that transforms, is
    refitted to rows drawn with replacement. Draws in which a class is missing are drawn again.

    :math:`\nu_{com}` takes the coefficients of one target, for a classifier of k > 2 classes those of k - 1 of them.
    Where no coefficient varies between tables, B = 0, it is the degrees of freedom.

    References
    ----------
    .. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley. Equations 3.1.2 to 3.1.8.
    .. [2] Barnard, J. and Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation. Biometrika
       86(4), 948-955.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from emkit.pooling import pool
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2))
    >>> expected = X @ [1.0, -2.0]
    >>> y = expected + rng.normal(size=100)
    >>> missing = rng.random(100) < 0.3  # each table has other draws for these rows
    >>> tables = [(X, np.where(missing, expected + rng.normal(size=100), y)) for _ in range(5)]
    >>> pooled = pool(LinearRegression(), tables)
    >>> pooled
    PooledEstimate(LinearRegression(), n_imputations=5, n_coefficients=3)
    >>> pooled.coef_.round(2)
    array([ 0.94, -1.87])
    >>> pooled.conf_int().round(2)
    array([[ 0.67,  1.2 ],
           [-2.14, -1.6 ]])
    """
    tables = check_imputed(imputed)
    n_rows = np.shape(tables[0][0])[0]
    weight = check_sample_weight(sample_weight, n_rows, np.dtype(np.float64))
    check_integer("n_bootstrap", n_bootstrap, 2)
    check_n_jobs(n_jobs)
    options = fit_options(estimator, weight)
    fitted = Parallel(n_jobs=n_jobs)(delayed(fit)(estimator, X, y, options) for X, y in tables)
    estimates = [coefficients_of(one) for one in fitted]
    if estimates[0].classes is not None and np.shape(tables[0][1])[1:] not in ((), (1,)):
        raise ValueError(f"imputed must have one label a row for a classifier, but y is {np.shape(tables[0][1])}")
    for j, other in enumerate(estimates):
        check_same(f"imputed[{j}]", other, estimates[0])
    warn_of_penalty(last_step(fitted[0]))
    closed_form = find_closed_form(fitted[0], estimates[0])
    complete = _complete_df(estimates[0], n_observations(closed_form, weight, n_rows))
    if closed_form is None:
        within = bootstrap(estimator, tables, weight, estimates[0], n_bootstrap, random_state, n_jobs)
    else:
        pairs = enumerate(zip(fitted, tables, strict=True))
        within = [analytic(closed_form, one, table, weight, j) for j, (one, table) in pairs]
    rubin = combine(np.array([one.values for one in estimates]), np.array(within), complete)
    return PooledEstimate(rubin, estimates[0], fitted)


def _complete_df(layout: Coefficients, n_observations: float) -> float:
    """Degrees of freedom if nothing were missing."""
    joint = len(layout.classes) - 1 if layout.classes is not None and layout.n_rows > 1 else 1
    n_coefficients = joint * (layout.n_features + layout.has_intercept)
    if n_observations <= n_coefficients:
        raise ValueError(
            f"imputed must have more rows than there are coefficients, {n_coefficients}, but has {n_observations:g} "
            f"(the sum of sample_weight where weights are frequencies)"
        )
    return float(n_observations - n_coefficients)
