"""A plain NumPy twin of each compiled kernel: what it computes, and the oracle of its test.

Names and signatures are those of the kernels. Letters: n samples, d features, k components. "real" is float64 or
float32, one of them for all inputs of a call; statistics are float64 always. The twins compute in float64 throughout.
Like the kernels, they trust their input: shapes, dtypes, no NaN, at least one finite constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Real = NDArray[Any]  # float64 or float32
Double = NDArray[np.float64]


def square_cap(dtype: np.dtype[Any]) -> float:
    """Largest squared distance, so that a finite row has a finite log-density; float32 has a smaller range."""
    return 1e300 if dtype == np.float64 else 1e37


def log_density_full(X: Real, means: Real, factors: Real, constants: Real, out: Real) -> None:
    r"""Log-densities of Gaussians whose precision matrices are given by a factor.

    .. math:: out_{ic} = constants_c - \tfrac12 \min(|F_c^T (x_i - means_c)|^2, cap),
       \quad \Sigma_c^{-1} = F_c F_c^T

    Parameters
    ----------
    X : real (n, d)
        Any strides; read only.
    means : real (k, d)
    factors : real (k, d, d) or (1, d, d)
        Upper triangular; what lies below the diagonal is not read. One factor serves all components.
    constants : real (k,)
        What is added to the natural log, usually log weight + log normaliser; -inf for a component without weight.
    out : real (n, k)
        Overwritten. The cap of the square is 1e300 (float64) or 1e37 (float32).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for c, mean in enumerate(means):
            factor = np.triu(factors[c % len(factors)]).astype(np.float64)
            y = (X.astype(np.float64) - mean) @ factor
            square = np.fmin((y * y).sum(axis=1), square_cap(X.dtype))
            out[:, c] = constants[c] - 0.5 * square


def log_density_diag(X: Real, means: Real, scales: Real, constants: Real, out: Real) -> None:
    r"""Log-densities of Gaussians with independent features.

    .. math:: out_{ic} = constants_c - \tfrac12 \min(\sum_j (scales_{cj} (x_{ij} - means_{cj}))^2, cap)

    Parameters
    ----------
    X : real (n, d)
        Any strides; read only.
    means : real (k, d)
    scales : real (k, d)
        1 / standard deviation.
    constants, out
        As for `log_density_full`.
    """
    with np.errstate(over="ignore"):
        for c, mean in enumerate(means):
            z = (X.astype(np.float64) - mean) * scales[c]
            out[:, c] = constants[c] - 0.5 * np.fmin((z * z).sum(axis=1), square_cap(X.dtype))


def assign(log_joint: Double, weight: Double, hard: bool) -> tuple[float, Double]:
    """Objective, and responsibilities times weight (n, k), from the log joint density (n, k) of row and component.

    Soft: sum w log sum_k exp(log_joint), the log-likelihood. Hard: all of a row's weight on the first of its most
    probable components, and the classification log-likelihood. A row of weight 0 counts for nothing.
    """
    if hard:
        best = log_joint.argmax(axis=1)
        resp = np.zeros_like(log_joint)
        resp[np.arange(len(best)), best] = weight
        return float(weight @ log_joint.max(axis=1)), resp
    top = log_joint.max(axis=1)
    resp = np.exp(log_joint - top[:, np.newaxis])
    total = resp.sum(axis=1)
    return float(weight @ (top + np.log(total))), resp * (weight / total)[:, np.newaxis]


def em_step_full(
    X: Real,
    weight: Real,
    means: Real,
    factors: Real,
    constants: Real,
    hard: bool,
    counts: Double,
    sums: Double,
    scatters: Double,
) -> float:
    r"""One E-step of a Gaussian mixture: returns the objective, ADDS the statistics to `counts`, `sums`, `scatters`.

    With :math:`r_{ic}` the responsibilities (`assign` gives them and the objective) and :math:`\delta_{ic} = x_i -
    means_c`, taken about the PRESENT mean so that nothing cancels:

    .. math:: counts_c \mathrel{+}= \sum_i w_i r_{ic}, \quad sums_c \mathrel{+}= \sum_i w_i r_{ic} \delta_{ic},
       \quad scatters_c \mathrel{+}= \sum_i w_i r_{ic} \delta_{ic} \delta_{ic}^T

    Parameters
    ----------
    X, means, factors, constants
        As for `log_density_full`.
    weight : real (n,)
        Not negative.
    hard : bool
        All of a row's weight on its most probable component.
    counts : float64 (k,)
    sums : float64 (k, d)
    scatters : float64 (k, d, d) or (1, d, d)
        As many as `factors`: one shared factor gets one scatter matrix, summed over components. Only the LOWER
        TRIANGLE, diagonal included, is added to.

    Returns
    -------
    float
        Natural log, summed over the rows; 0.0 for no rows.
    """
    log_joint = np.empty((len(X), len(means)))
    log_density_full(X, means, factors, constants, log_joint)
    objective, resp = assign(log_joint, weight.astype(np.float64), hard)
    counts += resp.sum(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        for c, mean in enumerate(means):
            diff = X.astype(np.float64) - mean
            weighted = resp[:, [c]] * diff
            sums[c] += weighted.sum(axis=0)
            scatters[c % len(scatters)] += np.tril(weighted.T @ diff)
    return objective


def em_step_diag(
    X: Real,
    weight: Real,
    means: Real,
    scales: Real,
    constants: Real,
    hard: bool,
    counts: Double,
    sums: Double,
    squares: Double,
) -> float:
    r"""`em_step_full` for independent features: of the scatter matrices only the diagonal, `squares`.

    .. math:: squares_{cj} \mathrel{+}= \sum_i w_i r_{ic} \delta_{icj}^2

    Parameters
    ----------
    X, means, scales, constants
        As for `log_density_diag`.
    weight, hard, counts, sums
        As for `em_step_full`.
    squares : float64 (k, d)

    Returns
    -------
    float
        Natural log, summed over the rows; 0.0 for no rows.
    """
    log_joint = np.empty((len(X), len(means)))
    log_density_diag(X, means, scales, constants, log_joint)
    objective, resp = assign(log_joint, weight.astype(np.float64), hard)
    counts += resp.sum(axis=0)
    with np.errstate(over="ignore"):
        for c, mean in enumerate(means):
            diff = X.astype(np.float64) - mean
            weighted = resp[:, [c]] * diff
            sums[c] += weighted.sum(axis=0)
            squares[c] += (weighted * diff).sum(axis=0)
    return objective


def factorise(
    covariances: Double, scale: Double, lowers: Double, factors: Double, log_dets: Double, traces: Double
) -> int:
    r"""Factors of covariance matrices, computed in units of `scale` so that units do not cost digits.

    .. math:: Z_c = D^{-1} \Sigma_c D^{-1} = L_c L_c^T, \quad F_c = D^{-1} L_c^{-T}, \quad \Sigma_c^{-1} = F_c F_c^T,
       \quad D = diag(scale)

    Parameters
    ----------
    covariances : float64 (k, d, d)
        The lower triangle is read; the upper one is overwritten by its mirror image.
    scale : float64 (d,)
        Positive.
    lowers : float64 (k, d, d)
        Overwritten by L, lower triangular.
    factors : float64 (k, d, d)
        Overwritten by F, upper triangular.
    log_dets : float64 (k,)
        Overwritten by log det F.
    traces : float64 (k,)
        Overwritten by the trace of :math:`Z_c^{-1}`; 1 / trace is a lower bound of the least eigenvalue of Z.

    Returns
    -------
    int
        -1, or the index of the first matrix that is not positive definite by more than rounding; the outputs are then
        not to be used.
    """
    for c, covariance in enumerate(covariances):
        covariance[:] = np.tril(covariance) + np.tril(covariance, -1).T
        scaled = covariance / np.outer(scale, scale)
        try:
            lowers[c] = np.linalg.cholesky(scaled)
        except np.linalg.LinAlgError:
            return c
        if not (np.diag(lowers[c]) ** 2 > 8 * np.finfo(float).eps * np.diag(scaled)).all():
            return c
        inverse = np.linalg.inv(lowers[c])
        factors[c] = np.triu(inverse.T) / scale[:, np.newaxis]
        log_dets[c] = np.log(np.diag(factors[c])).sum()
        traces[c] = (inverse**2).sum()
    return -1


def log_density_missing(
    X: Double,
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    means: Double,
    covariances: Double,
    constants: Double,
    out: Double,
) -> None:
    r"""Log-densities of what is observed of each row.

    .. math:: out_{ic} = constants_c + \log N(x_{i,o}; means_{c,o}, \Sigma_{c,oo})

    with o the observed features of the row's pattern; the square is capped at 1e300.

    Parameters
    ----------
    X : float64 (n, d)
        Rows sorted by pattern; what is not observed is not read.
    starts : intp (p + 1,)
        Rows of pattern j are those from starts[j] to starts[j + 1] - 1.
    observed : uint8 (p, d)
        1 where a pattern has a value. None at all is allowed: the density is then 1.
    means : float64 (k, d)
    covariances : float64 (k, d, d)
        Symmetric.
    constants : float64 (k,)
        What is added, usually log weights.
    out : float64 (n, k)
        Overwritten.

    Raises
    ------
    ValueError
        If the observed part of a covariance is not positive definite.
    """
    for rows, seen, _ in _by_pattern(starts, observed):
        for c, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
            within = covariance[np.ix_(seen, seen)]
            diff = X[rows][:, seen] - mean[seen]
            square = np.minimum(np.einsum("ij,ji->i", diff, np.linalg.solve(within, diff.T)), 1e300)
            out[rows, c] = constants[c] - 0.5 * (square + np.linalg.slogdet(2 * np.pi * within)[1])


def em_step_missing(
    X: Double,
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    weight: Double,
    means: Double,
    covariances: Double,
    constants: Double,
    hard: bool,
    counts: Double,
    sums: Double,
    scatters: Double,
) -> float:
    """`em_step_full` for rows with missing features: `moments_missing` under the responsibilities of `assign`.

    Parameters
    ----------
    X, starts, observed, means, covariances, constants
        As for `log_density_missing`.
    weight, hard, counts, sums, scatters
        As for `em_step_full`; one scatter matrix for each component.

    Returns
    -------
    float
        Natural log, summed over the rows; 0.0 for no rows.
    """
    log_joint = np.empty((len(X), len(means)))
    log_density_missing(X, starts, observed, means, covariances, constants, log_joint)
    objective, resp = assign(log_joint, weight, hard)
    moments_missing(X, starts, observed, resp, means, covariances, counts, sums, scatters)
    return objective


def moments_missing(
    X: Double,
    starts: NDArray[np.intp],
    observed: NDArray[np.uint8],
    resp: Double,
    means: Double,
    covariances: Double,
    counts: Double,
    sums: Double,
    scatters: Double,
) -> None:
    r"""ADD expected statistics of rows with missing features m, given their observed ones o.

    .. math:: E[\delta_m] = \Sigma_{mo} \Sigma_{oo}^{-1} \delta_o,
       \quad Cov[\delta_m] = \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}

    Both enter the scatter, :math:`E[\delta \delta^T] = E[\delta] E[\delta]^T + Cov[\delta]`, after Ghahramani and
    Jordan (1994).

    Parameters
    ----------
    X, starts, observed, means, covariances
        As for `log_density_missing`.
    resp : float64 (n, k)
        Responsibilities times weights.
    counts, sums, scatters
        As for `em_step_full`.
    """
    for rows, seen, gaps in _by_pattern(starts, observed):
        for c, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
            regression = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gaps)]).T
            diff = np.zeros((rows.stop - rows.start, len(mean)))
            diff[:, seen] = X[rows][:, seen] - mean[seen]
            diff[:, gaps] = diff[:, seen] @ regression.T
            spread = np.zeros_like(covariance)
            spread[np.ix_(gaps, gaps)] = covariance[np.ix_(gaps, gaps)] - regression @ covariance[np.ix_(seen, gaps)]
            weighted = resp[rows, c, np.newaxis] * diff
            counts[c] += resp[rows, c].sum()
            sums[c] += weighted.sum(axis=0)
            scatters[c] += np.tril(weighted.T @ diff + resp[rows, c].sum() * spread)


def _by_pattern(
    starts: NDArray[np.intp], observed: NDArray[np.uint8]
) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.intp]]]:
    for begin, end, pattern in zip(starts[:-1], starts[1:], observed, strict=True):
        yield slice(begin, end), np.flatnonzero(pattern), np.flatnonzero(pattern == 0)


def moments_full(X: Real, resp: Real, means: Real, counts: Double, sums: Double, scatters: Double) -> None:
    r"""Moments about the means under given responsibilities.

    .. math:: counts_c = \sum_i r_{ic}, \quad sums_c = \sum_i r_{ic} (x_i - means_c), \quad
       scatters_c = \sum_i r_{ic} (x_i - means_c) (x_i - means_c)^T

    Parameters
    ----------
    X : real (n, d)
        Any strides; read only.
    resp : real (n, k)
        Sample weights included; the numbers of a row lie together, rows any distance apart.
    means : real (k, d)
    counts : float64 (k,)
        Added to, as are those below.
    sums : float64 (k, d)
    scatters : float64 (k, d, d) or (1, d, d)
        Lower triangles; one takes the sum over components.
    """
    for c, mean in enumerate(means):
        difference, r = X.astype(np.float64) - mean, resp[:, c].astype(np.float64)
        counts[c] += r.sum()
        sums[c] += r @ difference
        scatters[c % len(scatters)] += np.tril((difference * r[:, None]).T @ difference)


def moments_diag(X: Real, resp: Real, means: Real, counts: Double, sums: Double, squares: Double) -> None:
    """As `moments_full`, with the squares of each feature (k, d) instead of scatter matrices."""
    for c, mean in enumerate(means):
        difference, r = X.astype(np.float64) - mean, resp[:, c].astype(np.float64)
        counts[c] += r.sum()
        sums[c] += r @ difference
        squares[c] += r @ difference**2


def softmax(x: Real, log_total: Real, share: Real) -> None:
    r"""Shares of the terms of each row in the sum of their exponentials.

    .. math:: total_i = \log \sum_c e^{x_{ic}}, \quad share_{ic} = e^{x_{ic} - total_i}

    Parameters
    ----------
    x : real (n, k)
        A row of -inf has log_total -inf and equal shares; one with NaN or +inf gives NaN.
    log_total : real (n,)
        Written.
    share : real (n, k)
        Written.
    """
    for i, row in enumerate(x.astype(np.float64)):
        top = row.max() if row.max() > -np.inf else 0.0
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = np.exp(row - top)
            log_total[i] = top + np.log(terms.sum())
            share[i] = terms / terms.sum() if terms.sum() != 0 else 1 / len(row)
