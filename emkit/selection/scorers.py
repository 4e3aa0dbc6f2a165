"""Scorers for `scoring` of `GridSearchCV`, `cross_val_score` and the like. Higher is better for each.

They score rows that were left out, so they hold no penalty: a criterion such as BIC counts the parameters on top of
what the left-out rows already charge for them.
"""

from __future__ import annotations

import inspect
from numbers import Real
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from .._validation import check_sample_weight, is_missing


def log_likelihood_scorer(estimator: Any, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
    """Mean log-likelihood of rows that were left out.

    For mixtures of experts log p(y | x), where their own `score` is R squared or accuracy; for other estimators the
    same as their own `score`, which scikit-learn's searches take by default. Sequences have to be told by the
    `sequence` of the estimator, since searches hand no metadata to a scorer of this kind.

    Parameters
    ----------
    estimator : fitted estimator, or Pipeline that ends in one
        With `score_samples`; natural log.
    X : array-like of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or None, default=None
        Responses, for estimators whose `score_samples` takes them.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the mean.

    Returns
    -------
    float
        Per unit of weight, natural log.

    Raises
    ------
    ValueError
        If the estimator has no `score_samples`.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from emkit import EMMixtureOfExpertsRegressor
    >>> from emkit.datasets import load_ethanol
    >>> from emkit.selection import log_likelihood_scorer
    >>> engine = load_ethanol(as_frame=True).frame
    >>> model = EMMixtureOfExpertsRegressor(2, random_state=0)
    >>> scores = cross_val_score(model, engine[["NOx"]], engine["E"], scoring=log_likelihood_scorer)
    >>> scores.shape
    (5,)
    """
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        if isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator.steps) > 1 else X
            estimator = estimator.steps[-1][1]
        else:
            estimator = estimator.best_estimator_
    if not hasattr(estimator, "score_samples"):
        raise ValueError(f"estimator must have score_samples, but {estimator!r} has not")
    takes_y = "y" in inspect.signature(estimator.score_samples).parameters
    scores = np.asarray(estimator.score_samples(X, y) if takes_y else estimator.score_samples(X), dtype=np.float64)
    weight = check_sample_weight(sample_weight, len(scores), np.dtype(np.float64), most=np.inf)
    return float(np.average(scores, weights=None if weight is None else weight / weight.max()))


def hidden_cells_scorer(fraction: float = 0.1, random_state: Any = 0) -> HiddenCellsScorer:
    """A scorer of imputers: how well observed cells of left-out rows are foretold once they are hidden.

    Parameters
    ----------
    fraction : float, default=0.1
        Share of the observed cells that is hidden, between 0 and 1; at least one cell of each row stays.
    random_state : int, default=0
        Of the choice of cells; the same for each call, so that imputers are compared on the same cells.

    Returns
    -------
    HiddenCellsScorer
        A function ``scorer(estimator, X, y=None)`` for any imputer with `transform` that gives back the columns of X.
        The score is the mean over columns of minus the root of the mean squared error in units of the column's
        standard deviation (numbers), or of minus the share of wrong values (categories). 0 is best; -1 is as good as
        the mean of a column of numbers.

    Raises
    ------
    ValueError
        If an argument is out of range; when called, if no cell could be hidden or the columns differ.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import KFold, cross_val_score
    >>> from emkit import EMImputer
    >>> from emkit.selection import hidden_cells_scorer
    >>> X = load_iris().data
    >>> folds = KFold(3, shuffle=True, random_state=0)
    >>> scores = cross_val_score(EMImputer(), X, cv=folds, scoring=hidden_cells_scorer())
    >>> bool(scores.mean() > -0.6)
    True
    """
    return HiddenCellsScorer(fraction, random_state)


class HiddenCellsScorer:
    """What :func:`hidden_cells_scorer` returns. It is not changed once made, so its clone is itself."""

    def __init__(self, fraction: float, random_state: int) -> None:
        if not isinstance(fraction, Real) or isinstance(fraction, bool) or not 0 < float(fraction) < 1:
            raise ValueError(f"fraction must be a number between 0 and 1, but got {fraction!r}")
        if not isinstance(random_state, int | np.integer) or isinstance(random_state, bool) or random_state < 0:
            raise ValueError(f"random_state must be an integer >= 0, but got {random_state!r}")
        self.fraction: float = float(fraction)
        self.random_state: int = int(random_state)

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        columns = _columns(X)
        observed = np.column_stack([~_missing(column) for column in columns])
        hidden = self._choose(observed)
        imputed = _columns(estimator.transform(_with_hidden(X, hidden)))
        if len(imputed) != len(columns):
            raise ValueError(
                f"transform of {estimator!r} must give the {len(columns)} columns of X, but gives {len(imputed)}"
            )
        scores = [
            _score(truth, guess, known, cells)
            for truth, guess, known, cells in zip(columns, imputed, observed.T, hidden.T, strict=True)
            if cells.any()
        ]
        return float(np.mean(scores))

    def _choose(self, observed: np.ndarray) -> np.ndarray:
        """Which cells are hidden, of the shape of the table."""
        rng = np.random.default_rng(self.random_state)
        hidden: np.ndarray = observed & (rng.random(observed.shape) < self.fraction)
        hidden[~(observed & ~hidden).any(axis=1)] = False
        if not hidden.any():
            raise ValueError(
                f"fraction={self.fraction} hides no cell of a table of shape {observed.shape}, of which at least one "
                "observed cell of each row has to stay"
            )
        return hidden

    def __sklearn_clone__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"hidden_cells_scorer(fraction={self.fraction}, random_state={self.random_state})"


def _columns(X: Any) -> list[np.ndarray]:
    """The columns, of numbers as floats and others as objects."""
    if issparse(X):
        raise ValueError(f"X is sparse ({type(X).__name__}), but a table with cells to hide is needed; see X.toarray()")
    if hasattr(X, "iloc"):
        return [_as_numbers(X.iloc[:, j].to_numpy(dtype=object)) for j in range(X.shape[1])]
    if hasattr(X, "columns"):
        return [_as_numbers(np.asarray(X[name].to_numpy(), dtype=object)) for name in X.columns]
    table = np.asarray(X)
    if table.ndim != 2:
        raise ValueError(f"X must have two dimensions, but has shape {table.shape}")
    return [_as_numbers(column) for column in table.T]


def _as_numbers(column: np.ndarray) -> np.ndarray:
    if column.dtype != object:
        return column.astype(np.float64) if column.dtype.kind in "iuf" else column.astype(object)
    missing = _missing(column)
    if any(isinstance(value, bool | np.bool_) or not isinstance(value, Real) for value in column[~missing]):
        return column
    return np.where(missing, np.nan, column).astype(np.float64)


def _missing(column: np.ndarray) -> np.ndarray:
    if column.dtype != object:
        return np.isnan(column)
    return np.fromiter(map(is_missing, column), dtype=bool, count=len(column))


def _with_hidden(X: Any, hidden: np.ndarray) -> Any:
    """The table without the hidden cells, of the same kind."""
    if hasattr(X, "iloc"):
        return X.mask(hidden)
    if hasattr(X, "with_columns"):
        import polars as pl

        return X.with_columns(
            pl.when(pl.Series(~hidden[:, j])).then(pl.col(name)).otherwise(None).alias(name)
            for j, name in enumerate(X.columns)
        )
    table = np.array(X)
    table = table.astype(np.float64) if table.dtype.kind in "iu" else table
    table[hidden] = np.nan if table.dtype.kind == "f" else None
    return table


def _score(truth: np.ndarray, guess: np.ndarray, known: np.ndarray, cells: np.ndarray) -> float:
    """Of one column; see `hidden_cells_scorer`."""
    if truth.dtype == object:
        return -float(np.mean([str(a) != str(b) for a, b in zip(truth[cells], guess[cells], strict=True)]))
    _, power = np.frexp(np.abs(truth[known]).max())  # of two, taken out so that no square overflows or vanishes
    truth, guess = np.ldexp(truth, -power), np.ldexp(guess.astype(np.float64), -power)
    deviation = float(truth[known].std())
    error = np.sqrt(np.mean((guess[cells] - truth[cells]) ** 2))
    return -float(error / deviation) if deviation > 0 else -float(error > 0)


__all__ = ["HiddenCellsScorer", "hidden_cells_scorer", "log_likelihood_scorer"]
