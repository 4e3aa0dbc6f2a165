"""One analysis over several completed tables of multiple imputation, pooled by Rubin's rules ([1]_, [2]_).

Each table gives estimates and their covariance; the pooled estimate is the mean, its variance the mean variance within
the tables plus that between them.

References
----------
.. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley. Section 3.1.
.. [2] Barnard, J. and Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation. Biometrika 86(4),
   948-955.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import issparse
from scipy.stats import t as student
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_random_state, resample
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import has_fit_parameter

from ._validation import check_integer, check_sample_weight

__all__ = ["PooledEstimate", "pool"]

Table = tuple[Any, Any]

SINGULAR = 1e-13  # smallest eigenvalue of an information matrix of unit diagonal, that of rounding errors or less

MAX_DRAWS = 1000  # of the rows of one bootstrap sample, until each class is among them


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
        W = \frac1m \sum_j U_j, \quad
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
    tables = _check_imputed(imputed)
    n_rows = np.shape(tables[0][0])[0]
    weight = check_sample_weight(sample_weight, n_rows, np.dtype(np.float64))
    check_integer("n_bootstrap", n_bootstrap, 2)
    options = _fit_options(estimator, weight)
    fitted = Parallel(n_jobs=n_jobs)(delayed(_fit)(estimator, X, y, options) for X, y in tables)
    estimates = [_coefficients(one) for one in fitted]
    if estimates[0].classes is not None and np.shape(tables[0][1])[1:] not in ((), (1,)):
        raise ValueError(f"imputed must have one label a row for a classifier, but y is {np.shape(tables[0][1])}")
    for j, other in enumerate(estimates):
        _check_same(f"imputed[{j}]", other, estimates[0])
    _warn_of_penalty(_last_step(fitted[0]))
    closed_form = _closed_form(fitted[0], estimates[0])
    complete = _complete_df(estimates[0], _n_observations(closed_form, weight, n_rows))
    if closed_form is None:
        within = _bootstrap(estimator, tables, weight, estimates[0], n_bootstrap, random_state, n_jobs)
    else:
        pairs = enumerate(zip(fitted, tables, strict=True))
        within = [_analytic(closed_form, one, table, weight, j) for j, (one, table) in pairs]
    rubin = combine(np.array([one.values for one in estimates]), np.array(within), complete)
    return PooledEstimate(rubin, estimates[0], fitted)


class PooledEstimate:
    """What :func:`pool` returns: coefficients over m completed tables, with all uncertainty due to missing values.

    Attributes
    ----------
    coef_ : ndarray of shape (p,) or (k, p)
        Means over the tables; the shape is that of the estimator.
    intercept_ : float or ndarray of shape (k,)
        Zero if none is fitted.
    standard_error_ : ndarray of the shape of `coef_`
        Square roots of the total variance.
    intercept_standard_error_ : float or ndarray of the shape of `intercept_`
    degrees_of_freedom_ : ndarray of the shape of `coef_`
        Those of Barnard and Rubin.
    intercept_degrees_of_freedom_ : float or ndarray of the shape of `intercept_`
    covariance_ : ndarray of shape (c, c)
        Total covariance of all coefficients, flattened, and then of the intercepts, if any are fitted.
    relative_increase_ : ndarray of the shape of `coef_`
        Increase of the variance due to missing values, relative to that within the tables ([1]_, equation 3.1.7).
    intercept_relative_increase_ : float or ndarray of the shape of `intercept_`
    fraction_missing_information_ : ndarray of the shape of `coef_`
        From 0 to 1 ([1]_, p. 77).
    intercept_fraction_missing_information_ : float or ndarray of the shape of `intercept_`
    estimators_ : list of fitted estimators
        One for each table.
    n_imputations_ : int
        Number of tables.

    References
    ----------
    .. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.
    """

    def __init__(self, rubin: Rubin, layout: Coefficients, estimators: list[Any]) -> None:
        self._rubin = rubin
        self._layout = layout
        self.estimators_ = estimators
        self.n_imputations_ = len(estimators)
        self.covariance_ = rubin.covariance
        self.coef_, self.intercept_ = layout.split(rubin.estimate)
        self.standard_error_, self.intercept_standard_error_ = layout.split(rubin.standard_error)
        self.degrees_of_freedom_, self.intercept_degrees_of_freedom_ = layout.split(rubin.df, rubin.complete_df)
        self.relative_increase_, self.intercept_relative_increase_ = layout.split(rubin.relative_increase)
        self.fraction_missing_information_, self.intercept_fraction_missing_information_ = layout.split(rubin.fmi)

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Confidence intervals of the coefficients.

        Parameters
        ----------
        level : float, default=0.95
            Above 0 and below 1.

        Returns
        -------
        ndarray of shape (p, 2) or (k, p, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If `level` is not as above.
        """
        low, high = self._rubin.interval(_check_level(level))
        return np.stack([self._layout.split(low)[0], self._layout.split(high)[0]], axis=-1)

    def p_values(self) -> np.ndarray:
        """P-values of two-sided t tests that a coefficient is zero.

        Returns
        -------
        ndarray of the shape of `coef_`
        """
        return self._layout.split(self._rubin.p_values())[0]

    def predict(self, X: Any) -> np.ndarray:
        """Mean of the predictions of the fitted estimators; of classifiers the class of the highest mean probability.

        Of classifiers without `predict_proba`, the class of the highest mean of `decision_function`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, k)
        """
        classes = self._layout.classes
        if classes is None:
            return np.mean([one.predict(X) for one in self.estimators_], axis=0)
        method = "predict_proba" if hasattr(self.estimators_[0], "predict_proba") else "decision_function"
        scores = np.mean([getattr(one, method)(X) for one in self.estimators_], axis=0)
        return classes[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    @available_if(lambda self: hasattr(self.estimators_[0], "predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Mean of the probabilities of the fitted classifiers, if they have any.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return np.mean([one.predict_proba(X) for one in self.estimators_], axis=0)

    def summary(self, level: float = 0.95) -> np.ndarray:
        """All numbers of each coefficient, and then of each intercept that is fitted.

        Parameters
        ----------
        level : float, default=0.95
            Level of the confidence intervals, above 0 and below 1.

        Returns
        -------
        structured ndarray of shape (c,)
            With `name`, the name of the column after that of the class or the number of the target if there are
            several; `estimate`, `standard_error`, `df`, `low`, `high`, `p` and `fmi`. A DataFrame can be made of it.

        Raises
        ------
        ValueError
            If `level` is not as above.
        """
        rubin, names = self._rubin, self._layout.labels()
        low, high = rubin.interval(_check_level(level))
        columns = {
            "estimate": rubin.estimate,
            "standard_error": rubin.standard_error,
            "df": rubin.df,
            "low": low,
            "high": high,
            "p": rubin.p_values(),
            "fmi": rubin.fmi,
        }
        width = max(map(len, names))
        table = np.zeros(len(names), dtype=[("name", f"U{width}"), *((column, "f8") for column in columns)])
        table["name"] = names
        for column, numbers in columns.items():
            table[column] = numbers
        return table

    def __repr__(self) -> str:
        estimator = " ".join(repr(self.estimators_[0]).split())
        n_coefficients = len(self._rubin.estimate)
        return f"PooledEstimate({estimator}, n_imputations={self.n_imputations_}, n_coefficients={n_coefficients})"


# Rubin's rules


@dataclass(frozen=True, eq=False)
class Rubin:
    """Estimates pooled over m tables.

    Attributes
    ----------
    estimate : ndarray of shape (c,)
    covariance : ndarray of shape (c, c)
    df, relative_increase, fmi : ndarray of shape (c,)
        Degrees of freedom, relative increase in variance and fraction of missing information.
    complete_df : float
        Degrees of freedom if nothing were missing.
    """

    estimate: np.ndarray
    covariance: np.ndarray
    df: np.ndarray
    relative_increase: np.ndarray
    fmi: np.ndarray
    complete_df: float

    @property
    def standard_error(self) -> np.ndarray:
        return np.sqrt(np.diag(self.covariance))

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (c,) each; infinite without a degree of freedom."""
        certain = self.df > 0
        quantile = np.where(certain, student.ppf((1 + level) / 2, np.where(certain, self.df, 1)), np.inf)
        half = quantile * self.standard_error
        return self.estimate - half, self.estimate + half

    def p_values(self) -> np.ndarray:
        """Two-sided p-values, (c,); 1 without a degree of freedom or for an estimate of 0, however certain."""
        certain = self.df > 0
        size = np.abs(self.estimate)
        with np.errstate(divide="ignore", over="ignore"):
            statistic = np.divide(size, self.standard_error, where=size > 0, out=np.zeros_like(size))
        return np.where(certain, 2 * student.sf(statistic, np.where(certain, self.df, 1)), 1.0)


def combine(estimates: np.ndarray, within: np.ndarray, complete_df: float) -> Rubin:
    """Pool estimates (m, c) of covariances (m, c, c)."""
    m = len(estimates)
    distance = estimates - estimates[0]  # equal tables then have no variance, not even of rounding
    mean = distance.mean(axis=0)
    W = within.mean(axis=0)  # 3.1.3 of Rubin (1987)
    B = (distance - mean).T @ (distance - mean) / (m - 1)  # 3.1.4
    T = W + (1 + 1 / m) * B  # 3.1.5
    inside, between = np.diag(W), (1 + 1 / m) * np.diag(B)
    varies = between > 0
    increase = np.divide(between, inside, where=varies & (inside > 0), out=np.where(varies, np.inf, 0.0))  # 3.1.7
    total = np.where(varies, np.diag(T), 1.0)
    share, rest = between / total, np.where(varies, inside / total, 1.0)
    return Rubin(
        estimates[0] + mean,  # 3.1.2
        T,
        degrees_of_freedom(m, share, rest, complete_df),
        increase,
        _missing_information(m, share, rest),
        complete_df,
    )


def degrees_of_freedom(m: int, share: np.ndarray, rest: np.ndarray, complete: float) -> np.ndarray:
    r"""Those of Barnard and Rubin (1999), from :math:`\lambda` and :math:`1 - \lambda`."""
    observed = complete * (1 - 2 / (complete + 3)) * rest
    with np.errstate(divide="ignore"):
        return np.where(share > 0, 1 / (share**2 / (m - 1) + 1 / observed), complete)


def _missing_information(m: int, share: np.ndarray, rest: np.ndarray) -> np.ndarray:
    r"""Rubin (1987), p. 77: :math:`(r + 2 / (\nu_m + 3)) / (r + 1)`, where r / (r + 1) is the share."""
    inverse = share**2 / (m - 1)  # 1 / nu_m, equation 3.1.6
    return share + rest * 2 * inverse / (1 + 3 * inverse)


# Coefficients of a fitted estimator


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Coefficients of a fitted estimator.

    Attributes
    ----------
    values : ndarray of shape (c,)
        All coefficients, flattened, and then the intercepts if they are fitted.
    shape, intercept_shape : tuple
    has_intercept : bool
    names : list of p str
    classes : ndarray of shape (k,) or None for a regressor
    """

    values: np.ndarray
    shape: tuple[int, ...]
    intercept_shape: tuple[int, ...]
    has_intercept: bool
    names: list[str]
    classes: np.ndarray | None

    @property
    def n_features(self) -> int:
        return self.shape[-1]

    @property
    def n_rows(self) -> int:
        """Rows of coef_, one for each target or class."""
        return int(np.prod(self.shape[:-1]))

    def split(self, values: np.ndarray, no_intercept: float = 0.0) -> tuple[np.ndarray, Any]:
        """Numbers (c,) in the shapes of coef_ and intercept_."""
        size = self.n_rows * self.n_features
        intercept = values[size:] if self.has_intercept else np.full(self.intercept_shape, no_intercept)
        intercept = intercept.reshape(self.intercept_shape)
        return values[:size].reshape(self.shape), intercept if intercept.ndim else float(intercept)

    def labels(self) -> list[str]:
        """A name of each value."""
        prefix = self._prefixes(self.n_rows)
        names = [start + name for start in prefix for name in self.names]
        n_intercepts = len(self.values) - len(names)
        return names + [start + "intercept" for start in self._prefixes(n_intercepts)]

    def _prefixes(self, n: int) -> list[str]:
        if n == 1:
            return [""]
        labels = self.classes if self.classes is not None and len(self.classes) == n else range(n)
        return [f"{label}: " for label in labels]


def _coefficients(fitted: Any) -> Coefficients:
    last = _last_step(fitted)
    if not hasattr(last, "coef_"):
        raise ValueError(f"estimator must have coef_ once it is fitted, but {last!r} has none")
    coef = _dense(last.coef_)
    intercept = _dense(getattr(last, "intercept_", 0.0))
    has_intercept = hasattr(last, "intercept_") and bool(getattr(last, "fit_intercept", True))
    values = np.concatenate([coef.ravel(), intercept.ravel() if has_intercept else []])
    classes = np.asarray(fitted.classes_) if is_classifier(fitted) else None
    return Coefficients(values, coef.shape, intercept.shape, has_intercept, _names(fitted, coef.shape[-1]), classes)


def _dense(value: Any) -> np.ndarray:
    return np.asarray(value.toarray() if issparse(value) else value, dtype=np.float64)


def _names(fitted: Any, n: int) -> list[str]:
    """Names of the columns that the last step saw."""
    names = getattr(_last_step(fitted), "feature_names_in_", None)
    if names is None and isinstance(fitted, Pipeline):
        names = _transformed_names(fitted)
    return [f"x{i}" for i in range(n)] if names is None or len(names) != n else [str(name) for name in names]


def _transformed_names(fitted: Pipeline) -> Any:
    if isinstance(fitted.steps[-1][1], Pipeline):
        return None
    try:
        return fitted[:-1].get_feature_names_out()
    except (AttributeError, ValueError):  # a step that does not name its output
        return None


def _last_step(estimator: Any) -> Any:
    return _last_step(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def _passes_through(estimator: Any) -> bool:
    """Whether the last step sees the columns as they are."""
    if not isinstance(estimator, Pipeline):
        return True
    *before, (_, last) = estimator.steps
    return all(step is None or isinstance(step, str) for _, step in before) and _passes_through(last)


def _check_same(where: str, other: Coefficients, first: Coefficients) -> None:
    if first.classes is not None and not np.array_equal(other.classes, first.classes):  # type: ignore[arg-type]
        raise ValueError(
            f"imputed must have the same classes in each table, but {where} has {_list(other.classes)} "
            f"and imputed[0] has {_list(first.classes)}"
        )
    if (other.shape, other.intercept_shape, other.names) != (first.shape, first.intercept_shape, first.names):
        raise ValueError(
            f"estimator must have the same coefficients for each table, but those of {where} are of shape "
            f"{other.shape} for the columns {other.names}, and those of imputed[0] of shape {first.shape} for "
            f"{first.names}; an encoder has to be told all categories"
        )


def _list(values: Any) -> list[Any]:
    return np.asarray(values).tolist()


def _warn_of_penalty(last: Any) -> None:
    if _is_penalised(last):
        warnings.warn(
            f"{last!r} penalises its coefficients: they are biased towards zero, and the intervals cover less than "
            f"they say",
            UserWarning,
            stacklevel=3,
        )


def _is_penalised(last: Any) -> bool:
    """By the names that scikit-learn gives strengths, as parameters or, if chosen from the data, as attributes."""
    params = last.get_params(deep=False)
    if params.get("penalty", "") is None:
        return False
    if any(hasattr(last, name) for name in ("alpha_", "C_", "lambda_")):
        return True
    alpha = params.get("alpha")
    strong = alpha is not None and bool(np.any(np.asarray(alpha) != 0))
    return strong or params.get("C", np.inf) != np.inf


# Covariance within a table


@dataclass(frozen=True, eq=False)
class Fit:
    """What a closed form needs: a standardised design (n, q), y, weights (n,) and the fitted estimator with its X."""

    design: np.ndarray
    X: Any
    y: np.ndarray
    weight: np.ndarray
    fitted: Any


ClosedForm = Callable[[Fit], np.ndarray]


def _closed_form(fitted: Any, layout: Coefficients) -> ClosedForm | None:
    """A function that gives the covariance, (k q, k q) with the k rows of coefficients one after another."""
    last = _last_step(fitted)
    if not _passes_through(fitted):
        return None
    if type(last) is LinearRegression and not last.positive:
        return _linear
    if type(last) is PoissonRegressor and last.alpha == 0:
        return _poisson
    if type(last) is LogisticRegression and _is_maximum_likelihood(last):
        return _binary if layout.n_rows == 1 else _multinomial
    return None


def _is_maximum_likelihood(last: LogisticRegression) -> bool:
    default_classes = getattr(last, "multi_class", "auto") in ("auto", "deprecated")
    return not _is_penalised(last) and last.class_weight is None and last.solver != "liblinear" and default_classes


def _analytic(closed_form: ClosedForm, fitted: Any, table: Table, weight: np.ndarray | None, j: int) -> np.ndarray:
    """Covariance (c, c) of the coefficients and then the intercepts of a fit to table j."""
    layout = _coefficients(fitted)
    X = check_array(table[0], dtype=np.float64)
    weight = np.ones(len(X)) if weight is None else weight
    design, back = _standardise(X, weight, layout.has_intercept)
    try:
        covariance = closed_form(Fit(design, table[0], np.asarray(table[1]), weight, fitted))
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"the covariance of the coefficients of imputed[{j}] has no value: its columns depend linearly on each "
            f"other, or a class is separated from the others"
        ) from error
    to_units = np.kron(np.eye(layout.n_rows), back)
    order = _coefficients_first(layout)
    return (to_units @ covariance @ to_units.T)[np.ix_(order, order)]


def _coefficients_first(layout: Coefficients) -> np.ndarray:
    """Where the coefficients, and then the intercepts, are among rows that end in an intercept."""
    position = np.arange(len(layout.values)).reshape(layout.n_rows, -1)
    p = layout.n_features
    return np.concatenate([position[:, :p].ravel(), position[:, p:].ravel()])


def _standardise(X: np.ndarray, weight: np.ndarray, has_intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """A well-conditioned design (n, q), and the matrix (q, q) that takes its coefficients to those of X."""
    share = weight / weight.sum()
    mean = share @ X if has_intercept else np.zeros(X.shape[1])
    scale = np.sqrt(share @ (X - mean) ** 2)
    scale[scale <= 1e-12 * np.abs(X).max(axis=0)] = np.inf  # constant: a column of zeros, found singular later
    Z, back = (X - mean) / scale, np.diag(1 / scale)
    if not has_intercept:
        return Z, back
    p = X.shape[1]
    with_intercept = np.eye(p + 1)
    with_intercept[:p, :p] = back
    with_intercept[p, :p] = -mean / scale
    return np.column_stack([Z, np.ones(len(Z))]), with_intercept


def _linear(fit: Fit) -> np.ndarray:
    residual = (fit.y - fit.fitted.predict(fit.X)).reshape(len(fit.y), -1)
    weighted = fit.weight[:, None] * residual
    sigma = weighted.T @ residual / (np.count_nonzero(fit.weight) - fit.design.shape[1])
    return np.kron(sigma, _inverse(_gram(fit.design, fit.weight)))


def _poisson(fit: Fit) -> np.ndarray:
    return _inverse(_gram(fit.design, fit.weight * fit.fitted.predict(fit.X)))


def _binary(fit: Fit) -> np.ndarray:
    probability = fit.fitted.predict_proba(fit.X)
    return _inverse(_gram(fit.design, fit.weight * probability.prod(axis=1)))


def _multinomial(fit: Fit) -> np.ndarray:
    """Of coefficients that sum to zero over the classes, by way of differences from the last class."""
    probability = fit.fitted.predict_proba(fit.X)
    k = probability.shape[1]
    information = np.block([[_block(fit, probability, a, b) for b in range(k - 1)] for a in range(k - 1)])
    centre = np.kron(np.eye(k)[:, :-1] - 1 / k, np.eye(fit.design.shape[1]))
    return centre @ _inverse(information) @ centre.T


def _block(fit: Fit, probability: np.ndarray, a: int, b: int) -> np.ndarray:
    """Fisher information about the coefficients of classes a and b, (q, q)."""
    curvature = probability[:, a] * ((a == b) - probability[:, b])
    return _gram(fit.design, fit.weight * curvature)


def _gram(design: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return design.T @ (weight[:, None] * design)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix; LinAlgError if it is singular to rounding."""
    diagonal = np.diag(information)
    if not (diagonal > 0).all():
        raise np.linalg.LinAlgError("no information about a coefficient")
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] <= SINGULAR:
        raise np.linalg.LinAlgError("singular")
    root = vectors / np.sqrt(values) / scale[:, None]
    return root @ root.T


def _n_observations(closed_form: ClosedForm | None, weight: np.ndarray | None, n_rows: int) -> float:
    """Rows that count; the sum of the weights where they are frequencies."""
    if weight is None:
        return n_rows
    if closed_form in (_poisson, _binary, _multinomial):
        return float(weight.sum())
    return int(np.count_nonzero(weight))


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


def _bootstrap(
    estimator: Any,
    tables: Sequence[Table],
    weight: np.ndarray | None,
    layout: Coefficients,
    n_bootstrap: int,
    random_state: Any,
    n_jobs: int | None,
) -> list[np.ndarray]:
    """Covariance (c, c) of the coefficients of each table over samples of its rows."""
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=(len(tables), n_bootstrap))
    values = Parallel(n_jobs=n_jobs)(
        delayed(_refit)(estimator, table, weight, layout, j, seed)
        for j, table in enumerate(tables)
        for seed in seeds[j].tolist()
    )
    by_table = np.array(values).reshape(len(tables), n_bootstrap, -1)
    return [np.atleast_2d(np.cov(of_table, rowvar=False)) for of_table in by_table]


def _refit(
    estimator: Any, table: Table, weight: np.ndarray | None, layout: Coefficients, j: int, seed: int
) -> np.ndarray:
    """Coefficients (c,) for one sample of the rows of table j."""
    X, y, weight = _draw(table, weight, layout.classes, j, seed)
    again = _coefficients(_fit(estimator, X, y, _fit_options(estimator, weight)))
    _check_same(f"a bootstrap sample of imputed[{j}]", again, layout)
    return again.values


def _draw(
    table: Table, weight: np.ndarray | None, classes: np.ndarray | None, j: int, seed: int
) -> tuple[Any, Any, np.ndarray | None]:
    """Rows drawn with replacement, some of positive weight and in each class."""
    rng = np.random.RandomState(seed)
    rows = np.arange(len(np.asarray(table[1])))
    for _ in range(MAX_DRAWS):
        X, y, drawn = resample(*table, rows, random_state=rng)
        positive = np.ones(len(drawn), dtype=bool) if weight is None else weight[drawn] > 0
        seen = np.unique(np.asarray(y)[positive]) if classes is not None else positive[positive][:1]
        if len(seen) == (1 if classes is None else len(classes)):
            return X, y, None if weight is None else weight[drawn]
    raise ValueError(
        f"imputed[{j}] has a class that is too rare for a bootstrap: {MAX_DRAWS} samples of its rows did not have "
        f"all of {_list(classes)}"
    )


# Reading of the arguments, and fits


def _check_imputed(imputed: Any) -> list[Table]:
    pairs = list(imputed) if isinstance(imputed, Iterable) and not isinstance(imputed, (str, dict)) else None
    if pairs is None or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        raise ValueError(f"imputed must be a list of pairs (X, y), but got {type(imputed).__name__}")
    if len(pairs) < 2:
        raise ValueError(f"imputed must have at least 2 pairs (X, y), but has {len(pairs)}")
    for j, (X, y) in enumerate(pairs):
        _check_table(j, X, y, pairs[0][0])
    return [(X, y) for X, y in pairs]


def _check_table(j: int, X: Any, y: Any, first: Any) -> None:
    if issparse(X):
        raise ValueError(f"imputed[{j}] has a sparse X ({type(X).__name__}), but must have an array or a frame")
    if len(np.shape(X)) != 2:
        raise ValueError(f"imputed[{j}] must have X of two dimensions, but its shape is {np.shape(X)}")
    if np.shape(X) != np.shape(first):
        raise ValueError(
            f"imputed must have X of one shape, but that of imputed[{j}] is {np.shape(X)} "
            f"and that of imputed[0] is {np.shape(first)}"
        )
    if np.shape(y)[:1] != np.shape(X)[:1]:
        raise ValueError(f"imputed[{j}] must have one y for each row of X, {len(X)}, but its y has shape {np.shape(y)}")
    columns, expected = (list(getattr(table, "columns", [])) for table in (X, first))
    if columns != expected:
        raise ValueError(
            f"imputed must have the same columns in each table, but imputed[{j}] has {columns} "
            f"and imputed[0] has {expected}"
        )


def _check_level(level: Any) -> float:
    if not isinstance(level, Real) or isinstance(level, bool) or not 0 < float(level) < 1:
        raise ValueError(f"level must be a number above 0 and below 1, but got {level!r}")
    return float(level)


def _fit(estimator: Any, X: Any, y: Any, options: dict[str, Any]) -> Any:
    return clone(estimator).fit(X, y, **options)


def _fit_options(estimator: Any, weight: np.ndarray | None) -> dict[str, Any]:
    """Keyword arguments of `fit`."""
    if not hasattr(estimator, "fit"):
        raise ValueError(f"estimator must be an estimator with fit, but got {estimator!r}")
    if weight is None:
        return {}
    last = _last_step(estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise ValueError(f"sample_weight must be None, as fit of {last!r} takes none")
    routed = get_config()["enable_metadata_routing"]  # a Pipeline then takes no prefix
    return {"sample_weight" if routed else _prefix(estimator) + "sample_weight": weight}


def _prefix(estimator: Any) -> str:
    """That of the parameters of the last step."""
    if not isinstance(estimator, Pipeline):
        return ""
    name, last = estimator.steps[-1]
    return f"{name}__{_prefix(last)}"
