"""The bootstrap test of K components against more.

References
----------
.. [1] McLachlan, G. J. (1987). On bootstrapping the likelihood ratio test statistic for the number of components in a
   normal mixture. Appl. Statist. 36(3), 318-324.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._validation import check_integer, check_n_jobs
from .._warnings import callers_level
from .checks import check_by_row, check_criterion, check_fit_options, check_fold_sizes, check_searchable, read
from .criteria import log_likelihood_of
from .data import Data
from .kinds import kind_of
from .path import Fit, finish, follow, quiet
from .steps import last_params, last_step

LARGEST_SEED = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class BootstrapLRT:
    """Outcome of a bootstrap likelihood-ratio test.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods, natural log.
    p_value : float
        (b + 1) / (B + 1), where b of the B bootstrap statistics that could be computed are at least as large.
    bootstrap_statistics : ndarray of shape (n_bootstrap,)
        NaN where a fit failed or degenerated.
    """

    statistic: float
    p_value: float
    bootstrap_statistics: np.ndarray


def bootstrap_lrt(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    n_components: int,
    n_bootstrap: int = 99,
    n_jobs: int | None = None,
    random_state: Any = None,
    **metadata: Any,
) -> BootstrapLRT:
    r"""Test K components against K + 1 by the parametric bootstrap ([1]_).

    The usual chi-squared law of the statistic :math:`2 (\ell_{K+1} - \ell_K)` does not hold for mixtures. So data like
    `X` are drawn from the fit of K components, both numbers are fitted to each draw, by a division of the smaller fit
    and by fresh starts as to `X` itself, and the statistic is compared with those of the draws. Values that are missing
    in `X` are missing in each draw, in the same cells.

    Parameters
    ----------
    estimator : estimator of emkit, or a Pipeline that ends in one
        Its `n_components` is not used. The draws are of what the last step sees.
    X : array-like of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or None, default=None
        Responses, for mixtures of experts.
    n_components : int
        K, the number under the null hypothesis.
    n_bootstrap : int, default=99
        Draws, B. The least p-value is 1 / (B + 1). Draws to which a fit fails or degenerates are left out of B, with a
        warning: of 19, one such draw makes 1 / 19 the least, which is above 0.05. So take more than the level needs.
    n_jobs : int or None, default=None
        Processes (joblib), each with some of the draws. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Of draws and starts; None takes that of the estimator.
    **metadata
        For `fit`, as `sequence_id`. Weights and labels of rows are refused: what draws should have is not known.

    Returns
    -------
    BootstrapLRT

    Raises
    ------
    ValueError
        If an argument is out of range, or a fit to X, or to each of the draws, fails or degenerates.

    Warns
    -----
    RuntimeWarning
        If draws are left out, since a fit to them failed or degenerated.

    References
    ----------
    .. [1] McLachlan, G. J. (1987). On bootstrapping the likelihood ratio test statistic for the number of components
       in a normal mixture. Appl. Statist. 36(3), 318-324.

    Examples
    --------
    >>> from emkit import EMGaussianMixture
    >>> from emkit.datasets import load_old_faithful
    >>> from emkit.selection import bootstrap_lrt
    >>> X = load_old_faithful().data
    >>> bootstrap_lrt(EMGaussianMixture(), X, n_components=1, n_bootstrap=19, random_state=0).p_value
    0.05
    """
    check_searchable(estimator)
    check_criterion("bootstrap_lrt", [estimator])
    size = check_integer("n_components", n_components, 1)
    check_fit_options(last_step(estimator), size)
    check_integer("n_bootstrap", n_bootstrap, 1)
    check_n_jobs(n_jobs)
    params = {name: value for name, value in metadata.items() if value is not None}
    refuse_what_is_not_drawn(params)
    data = read(estimator, X, y, params)
    check_by_row(Data(X, y, last_params(estimator, data.params)))
    check_fold_sizes([size + 1], data, None, [])
    random = check_random_state(last_step(estimator).random_state if random_state is None else random_state)
    seeds = random.randint(LARGEST_SEED, size=2)
    path = follow(clone(estimator), [size, size + 1], data, None, seeds.tolist())
    fits = [finish(fit, last_step(estimator), path.train) if fit.is_sound else fit for fit in path.fits]
    for fit in fits:
        if not fit.is_sound:
            raise ValueError(f"n_components={fit.size} cannot be tested: {fit.failed or fit.flaw}")
    return compare(last_step(estimator), fits[0], fits[1], path.train, n_bootstrap, n_jobs, random)


def refuse_what_is_not_drawn(params: dict[str, Any]) -> None:
    """ValueError for metadata of rows that a draw would have to have too."""
    for name, instead in (("sample_weight", "repeat rows instead"), ("labels", "draws have none")):
        if any(given.split("__")[-1] == name for given in params):
            raise ValueError(f"{name} must be None for the bootstrap test; {instead}")


def compare(
    own: Any, null: Fit, other: Fit, data: Data, n_bootstrap: int, n_jobs: int | None, random: np.random.RandomState
) -> BootstrapLRT:
    """Test a finished fit against a finished larger one."""
    statistic = 2 * (likelihood(other, data) - likelihood(null, data))
    seeds = random.randint(LARGEST_SEED, size=(n_bootstrap, 3)).tolist()
    drawn = Parallel(n_jobs=n_jobs)(delayed(_redraw)(own, null, other.size, data, *each) for each in seeds)
    statistics = np.array(drawn)
    known = statistics[~np.isnan(statistics)]
    if not len(known):
        raise ValueError(
            f"n_components={null.size} cannot be tested: of the n_bootstrap={n_bootstrap} draws from its fit, there is "
            f"none to which both it and n_components={other.size} could be fitted without a degenerate component"
        )
    _warn_of_draws_left_out(null.size, n_bootstrap - len(known), n_bootstrap)
    p_value = (1 + int((known >= statistic).sum())) / (1 + len(known))
    return BootstrapLRT(float(statistic), p_value, statistics)


def _warn_of_draws_left_out(size: int, n_out: int, n_bootstrap: int) -> None:
    if n_out:
        warnings.warn(
            f"{n_out} of the n_bootstrap={n_bootstrap} draws from the fit of n_components={size} are left out, since a "
            f"fit to them failed or degenerated; the least p-value is 1/{n_bootstrap - n_out + 1}",
            RuntimeWarning,
            stacklevel=callers_level(),
        )


def likelihood(fit: Fit, data: Data) -> float:
    return log_likelihood_of(fit.estimator, data.X, None, data.arguments_of(fit.estimator.score_samples))[0]


def _redraw(own: Any, null: Fit, size: int, data: Data, draw_seed: int, *seeds: int) -> float:
    """The statistic of data drawn from `null`; NaN where a fit is not sound."""
    drawn = kind_of(own).draw(null.estimator, data, draw_seed)
    path = follow(own, [null.size, size], drawn, None, list(seeds))
    with quiet():
        fits = [finish(fit, own, path.train) if fit.is_sound else fit for fit in path.fits]
    if not all(fit.is_sound for fit in fits):
        return float("nan")
    small, large = (likelihood(fit, drawn) for fit in fits)
    return 2 * (large - small)


__all__ = ["BootstrapLRT", "bootstrap_lrt", "compare"]
