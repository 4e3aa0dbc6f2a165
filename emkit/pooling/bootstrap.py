"""Covariance within a table by the bootstrap: refits to rows drawn with replacement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import check_random_state, resample

from .checks import Table, as_list, check_same
from .coefficients import Coefficients, coefficients_of
from .fitting import fit, fit_options

MAX_DRAWS = 1000  # of the rows of one bootstrap sample, until each class is among them


def bootstrap(
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
    again = coefficients_of(fit(estimator, X, y, fit_options(estimator, weight)))
    check_same(f"a bootstrap sample of imputed[{j}]", again, layout)
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
        f"all of {as_list(classes)}"
    )
