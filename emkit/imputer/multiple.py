"""Multiple imputation: for each table new parameters by the bootstrap, then a draw of the missing cells.

References
----------
.. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley. Chapter 4: imputations are proper if
   they also vary with what is not known of the parameters.
.. [2] Honaker, J., King, G. and Blackwell, M. (2011). Amelia II: a program for missing data. J. Stat. Softw. 45(7).
   Section 3.2: EM on bootstrap samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed

from .._blas import one_blas_thread
from ..acceleration import Adaptive
from ..engine import run_em
from .imputing import drawn
from .layout import CellPrior
from .models import Table

if TYPE_CHECKING:
    from .estimator import EMImputer
    from .fitting import State

TOL, MAX_ITER = 1e-6, 200  # of a bootstrap sample: parameters vary by far more


def imputations(
    estimator: EMImputer, codes: np.ndarray, n_imputations: int, prior: CellPrior | None, rng: np.random.Generator
) -> list[np.ndarray]:
    """Completed codes, `n_imputations` times; in up to `n_jobs` threads, with the same result for any number."""

    def one(own: np.random.Generator) -> np.ndarray:
        return drawn(estimator, resampled(estimator._state, own), codes, prior, own)

    with one_blas_thread():
        parallel = Parallel(n_jobs=estimator.n_jobs, prefer="threads")
        completed: list[np.ndarray] = parallel(delayed(one)(own) for own in rng.spawn(n_imputations))
    return completed


def resampled(state: State, rng: np.random.Generator) -> Table:
    """The table with parameters of a bootstrap sample of the training rows, by EM from those of the fit on."""
    data = state.training
    assert data is not None
    n = len(data.codes)
    weight = data.weight * np.bincount(rng.integers(n, size=n), minlength=n)
    drawn_rows = weight > 0
    chunks = state.recipe.chunks(data.codes[drawn_rows], weight[drawn_rows])
    accelerator = Adaptive(state.model)
    result = run_em(state.model, state.params, chunks, tol=TOL, max_iter=MAX_ITER, accelerator=accelerator)
    return state.recipe.table(result.params)
