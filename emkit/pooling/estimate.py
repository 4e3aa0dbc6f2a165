"""PooledEstimate: coefficients over several completed tables, with intervals, tests and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from .checks import check_level
from .coefficients import Coefficients
from .rubin import Rubin


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
        The same of the intercept.
    degrees_of_freedom_ : ndarray of the shape of `coef_`
        Those of Barnard and Rubin.
    intercept_degrees_of_freedom_ : float or ndarray of the shape of `intercept_`
        The same of the intercept.
    covariance_ : ndarray of shape (c, c)
        Total covariance of all coefficients, flattened, and then of the intercepts, if any are fitted.
    relative_increase_ : ndarray of the shape of `coef_`
        Increase of the variance due to missing values, relative to that within the tables ([1]_, equation 3.1.7).
    intercept_relative_increase_ : float or ndarray of the shape of `intercept_`
        The same of the intercept.
    fraction_missing_information_ : ndarray of the shape of `coef_`
        From 0 to 1 ([1]_, p. 77).
    intercept_fraction_missing_information_ : float or ndarray of the shape of `intercept_`
        The same of the intercept.
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
        low, high = self._rubin.interval(check_level(level))
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
        low, high = rubin.interval(check_level(level))
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
