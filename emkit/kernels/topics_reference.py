r"""A plain NumPy twin of each kernel of topic models: what it computes, and the oracle of its test.

Names and signatures are those of the kernels. A *corpus* is a document-term matrix in CSR: the entries of document d
are ``starts[d]`` to ``starts[d + 1] - 1``, each with a term and a count above 0, which may be fractional; a document
may have no entries. Below, w is the term of an entry j, :math:`n_j` its count, :math:`\theta_k` the weight of topic k
in the document and :math:`\phi_{wk}` the entry of `topics`: what topic k gives to term w. Natural logs throughout.

"real" is float64 or float32, one of them for all real arrays of a call, results among them; log-likelihoods are float64
always. Arrays are C-contiguous, at any multiple of the size of their numbers.

*Width.* Rows over topics have a width that is a multiple of the vector length (4 of float64, 8 of float32): what lies
behind the topics must be zero, in results too.

*Range.* What "real" cannot hold is left out: of a term that is all but impossible the mixture probability would be
subnormal or its reciprocal no number. So `smallest_weight`, `smallest_exponent`, `smallest_normal` and `largest_ratio`
are part of what is computed.

The twins compute in float64 throughout and trust their input: shapes, dtypes, no NaN. The kernels check shapes, the
width, and `starts` and `terms` (ValueError), and compute in "real". What they give for a document depends on that
document alone, to the last bit.

References
----------
.. [1] Hofmann, T. (1999). Probabilistic latent semantic indexing. SIGIR, 50-57.
.. [2] Blei, D. M., Ng, A. Y. and Jordan, M. I. (2003). Latent Dirichlet allocation. JMLR 3, 993-1022.
.. [3] Asuncion, A., Welling, M., Smyth, P. and Teh, Y. W. (2009). On smoothing and inference for topic models. UAI,
   27-34.
.. [4] Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the convergence of
   any EM algorithm. Scand. J. Stat. 35(2), 335-353.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma as psi

Real = NDArray[Any]  # float64 or float32
Double = NDArray[np.float64]
Index = NDArray[np.intp]
Terms = NDArray[np.int32]

FAR = 30  # times the change before the extrapolation: it went astray


def smallest_weight(dtype: np.dtype[Any]) -> float:
    """Shares not above it are 0, so that no product of two of them is subnormal."""
    return 1e-150 if dtype == np.float64 else 1e-18


def smallest_exponent(dtype: np.dtype[Any]) -> float:
    """Exponentials of what is below it are 0."""
    return -708.0 if dtype == np.float64 else -87.0


def smallest_normal(dtype: np.dtype[Any]) -> float:
    """A mixture probability below it is none."""
    return float(np.finfo(dtype).tiny)


def largest_ratio(dtype: np.dtype[Any]) -> float:
    """Counts over mixture probabilities are not above it, so that sums of them are finite."""
    return 1e290 if dtype == np.float64 else 1e30


def topic_sweeps(
    starts: Index,
    terms: Terms,
    counts: Real,
    weight: Real | None,
    topics: Real,
    prior: Real,
    n_topics: int,
    digamma: bool,
    n_sweeps: int,
    tol: float,
    pseudo: Real,
    sums: Real | None,
    used: Real | None,
    log_likelihood: Double | None,
) -> None:
    r"""Pseudo-counts of the topics of each document, for given topics, and the statistics of its terms.

    One sweep over a document with the pseudo-counts g is

    .. math:: m_j = \sum_k \theta_k \phi_{wk}, \quad
       g_k \leftarrow prior_k + \theta_k \sum_j \frac{n_j}{m_j} \phi_{wk}

    with one of two weights of the topics:

    .. math:: \theta_k = g_k / \textstyle\sum_l g_l \quad \text{or} \quad
       \theta_k = \exp(\psi(g_k) - \psi(\textstyle\sum_l g_l)) \quad \text{(digamma)}

    The shares with prior 0 are EM for PLSA [1]_, with prior :math:`\alpha - 1` for the posterior mode of LDA ("MAP" in
    [3]_). The others, :math:`\exp E[\log \theta_k]` under a Dirichlet distribution with the parameters g, with prior
    :math:`\alpha` and with `topics` made in the same way, are variational Bayes for LDA [2]_. A term counts as absent
    if :math:`m_j` is 0 or subnormal, or :math:`n_j / m_j` above 1e290 (float64) or 1e30 (float32).

    A document ends with the first sweep whose mean change, :math:`\sum_k |g_k^{new} - g_k| / n\_topics`, is at most
    `tol`, and after `n_sweeps` at the latest.

    Without `sums` and `digamma` every second sweep is followed by a squared extrapolation ([4]_, scheme S3) from the g
    before the two sweeps, :math:`g^0`, over :math:`g^1` and :math:`g^2`:

    .. math:: r = g^1 - g^0, \quad v = g^2 - g^1 - r, \quad a = |r| / |v|, \quad
       g_k \leftarrow \max(g^0_k + 2 a r_k + a^2 v_k, g^2_k / 10)

    unless a is 1 or less, or v = 0. If the next change is more than 30 times that of the second sweep, then g is
    :math:`g^2` again, and nothing is extrapolated any more. No change is measured over an extrapolation.

    With `sums` nothing is extrapolated, and the last sweep is one of its own: it follows the sweep of small change, or
    is number `n_sweeps`. In it, where the document has the weight v,

    .. math:: sums_{wk} \mathrel{+}= v \frac{n_j}{m_j} \theta_k, \quad used_k = g_k, \quad
       log\_likelihood = \sum_j n_j \log m_j

    at the g from before the sweep. Expected counts are the `sums` times `topics`, by entry: the caller multiplies.

    Parameters
    ----------
    starts : intp (documents + 1,)
    terms : int32 (entries,)
    counts : real (entries,)
        Above 0.
    weight : real (documents,) or None
        None, or anything, without `sums`; so for `used` and `log_likelihood`.
    topics : real (terms, width)
        Neither negative nor above 1, and so small that no :math:`m_j` is above 1, beyond rounding.
    prior : real (width,)
        Not negative; above 0 if `digamma`, but for the padding.
    n_topics : int
    digamma : bool
        Which weights. Shares up to 1e-150 (float64) or 1e-18 (float32) become 0, and so do the other weights below
        exp(-708) or exp(-87). A document without pseudo-counts has no weights but 0.
    n_sweeps : int
        At least 1.
    tol : float
    pseudo : real (documents, width)
        The first g; overwritten by the last.
    sums : real (terms, width) or None
        Added to.
    used : real (documents, width)
        Overwritten.
    log_likelihood : float64 (documents,)
        Overwritten, without the weight; -inf if some :math:`m_j` is 0 or subnormal.
    """
    prior_of_topics = prior.astype(np.float64)
    for d, (n, rows, places) in enumerate(_documents(starts, terms, counts, topics)):
        sweep = partial(_swept, n=n, rows=rows, prior=prior_of_topics, digamma=digamma, dtype=topics.dtype)
        g = pseudo[d].astype(np.float64)
        if sums is None:
            g = _folded_in(g, sweep, n_sweeps, tol * n_topics, extrapolates=not digamma)
        else:
            for _ in range(n_sweeps - 1):
                before, g = g, sweep(g)
                if np.abs(g - before).sum() <= tol * n_topics:
                    break
            assert weight is not None
            assert used is not None
            assert log_likelihood is not None
            theta = _weights(g, digamma, topics.dtype)
            mixture = rows @ theta
            ratio = _ratio(n, mixture, topics.dtype)
            used[d], log_likelihood[d] = g, _log_likelihood(n, mixture, topics.dtype)
            np.add.at(sums, places, (weight[d] * np.outer(ratio, theta)).astype(sums.dtype))
            g = prior_of_topics + theta * (ratio @ rows)
        pseudo[d] = g


def topic_log_likelihood(
    starts: Index, terms: Terms, counts: Real, topics: Real, weights: Real, log_likelihood: Double
) -> None:
    r"""Log-likelihood of each document, but for the multinomial coefficient, given the weights of its topics.

    .. math:: log\_likelihood = \sum_j n_j \log \sum_k \theta_k \phi_{wk}

    Parameters
    ----------
    starts, terms, counts, topics
        As for `topic_sweeps`.
    weights : real (documents, width)
        :math:`\theta`.
    log_likelihood : float64 (documents,)
        Overwritten; -inf if a term has a probability that is 0 or subnormal, and 0 for a document without terms.
    """
    for d, (n, rows, _) in enumerate(_documents(starts, terms, counts, topics)):
        log_likelihood[d] = _log_likelihood(n, rows @ weights[d].astype(np.float64), topics.dtype)


def topic_sweep_collapsed(
    starts: Index,
    terms: Terms,
    counts: Real,
    weight: Real | None,
    topics: Real,
    totals: Real,
    prior: Real,
    own: bool,
    resp: Real,
    sums: Real | None,
    log_likelihood: Double,
) -> None:
    r"""One sweep of collapsed variational inference, order zero ("CVB0" in [3]_), for given counts of the topics.

    With the responsibilities :math:`r_{jk}` of the pass before and :math:`e_k = \sum_j n_j r_{jk}`, all tokens of an
    entry share their new ones, from the counts without one of these tokens, or without all there is if that is less,
    :math:`m_j = \min(n_j, 1)` in the document and :math:`o_j = own \cdot \min(v n_j, 1)` in the topics, for a document
    of weight v:

    .. math:: q_{jk} = (\max(e_k - m_j r_{jk}, 0) + prior_k)
       \frac{\max(topics_{wk} - o_j r_{jk}, 0)}{totals_k - o_j r_{jk}}, \quad
       r_{jk} \leftarrow q_{jk} / \textstyle\sum_l q_{jl}

    where a quotient is 0 if its denominator is not positive, and the new ones are 0 if the sum of q is 0 or subnormal.
    The new ones do not change e or the counts before the sweep is over. It also gives

    .. math:: log\_likelihood = \sum_j n_j \log \frac{\sum_k q_{jk}}{\sum_k (\max(e_k - m_j r_{jk}, 0) + prior_k)},
       \quad sums_{wk} \mathrel{+}= v n_j r_{jk}^{new}

    of each token, the probability given all others.

    Parameters
    ----------
    starts, terms, counts
        As for `topic_sweeps`.
    weight : real (documents,) or None
        None is 1 for each document; not with `sums`.
    topics : real (terms, width)
        Expected counts of the terms plus their prior: :math:`N_{wk} + \eta`.
    totals : real (width,)
        Those summed over all terms.
    prior : real (width,)
        :math:`\alpha`.
    own : bool
        Whether the documents are among those that `topics` counts.
    resp : real (entries, width)
        Overwritten.
    sums : real (terms, width) or None
        Added to.
    log_likelihood : float64 (documents,)
        Overwritten, without the weight; -inf if the sum of q is 0 or subnormal for some entry.
    """
    counted = float(own)
    totals_of_topics, prior_of_topics = totals.astype(np.float64), prior.astype(np.float64)
    for d, (n, rows, places) in enumerate(_documents(starts, terms, counts, topics)):
        entries = slice(starts[d], starts[d + 1])
        r = resp[entries].astype(np.float64)
        e = n @ r
        token = np.minimum(n, 1.0)[:, np.newaxis]
        weighted = counted * np.minimum((1.0 if weight is None else weight[d]) * n, 1.0)[:, np.newaxis]
        document = np.maximum(e - token * r, 0.0) + prior_of_topics
        topic = np.maximum(rows - weighted * r, 0.0)
        q = _quotient(document * topic, totals_of_topics - weighted * r)
        mixture = q.sum(axis=1)
        mixture[mixture < smallest_normal(topics.dtype)] = 0.0
        log_likelihood[d] = _log_likelihood(n, _quotient(mixture, document.sum(axis=1)), np.dtype(np.float64))
        r = _quotient(q, mixture[:, np.newaxis])
        resp[entries] = r
        if sums is not None:
            assert weight is not None
            np.add.at(sums, places, (weight[d] * n[:, np.newaxis] * r).astype(sums.dtype))


def expected_counts(topics: Real, sums: Real, counts: Double) -> None:
    r"""Expected counts of the terms in the topics, from the sums of a pass.

    Parameters
    ----------
    topics, sums : real (terms, width)
        As for `topic_sweeps`. Here the width need not be whole vectors.
    counts : float64 (terms, topics)
        Overwritten by the products, computed in float64.
    """
    k = counts.shape[1]
    counts[...] = topics[:, :k].astype(np.float64) * sums[:, :k]


def topic_shares(pseudo: Double, inverse_totals: Double, topics: Real) -> None:
    r"""The shares of the terms in each topic's pseudo-counts.

    Parameters
    ----------
    pseudo : float64 (terms, topics)
        Not negative.
    inverse_totals : float64 (topics,)
        What the columns are multiplied by.
    topics : real (terms, width)
        Overwritten but for the padding, which stays as it is. Shares up to `smallest_weight` become 0. Here the width
        need not be whole vectors.
    """
    shares = (pseudo * inverse_totals).astype(topics.dtype)
    threshold = topics.dtype.type(smallest_weight(topics.dtype))
    topics[:, : pseudo.shape[1]] = np.where(shares > threshold, shares, 0)


def sum_of_logs(values: Double) -> float:
    """Sum of the natural logs of positive, normal numbers; 0 of none.

    Parameters
    ----------
    values : float64 (rows, columns)
    """
    return math.fsum(np.log(values).ravel().tolist())


def _documents(starts: Index, terms: Terms, counts: Real, topics: Real) -> Iterator[tuple[Double, Double, Terms]]:
    """Of each document: counts, rows of the topics, and which rows."""
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        places = terms[start:stop]
        yield counts[start:stop].astype(np.float64), topics[places].astype(np.float64), places


def _swept(g: Double, n: Double, rows: Double, prior: Double, digamma: bool, dtype: np.dtype[Any]) -> Double:
    theta = _weights(g, digamma, dtype)
    new: Double = prior + theta * (_ratio(n, rows @ theta, dtype) @ rows)
    return new


def _folded_in(g: Double, sweep: Callable[[Double], Double], n_sweeps: int, tol: float, extrapolates: bool) -> Double:
    """`tol` is of the sum of the changes."""
    last, last_change = g, math.inf
    for number in range(n_sweeps):
        before, g = g, sweep(g)
        change = np.abs(g - before).sum()
        if change <= tol:
            break
        if number % 2 == 0:
            first, step = before, g - before
            if extrapolates and change > FAR * last_change:
                g, extrapolates = last, False
        elif extrapolates and number + 1 < n_sweeps:
            last, last_change = g, change
            g = _extrapolated(first, step, g)
    return g


def _extrapolated(first: Double, step: Double, g: Double) -> Double:
    bend = g - first - 2 * step
    squares = bend @ bend
    reach = math.sqrt(step @ step / squares) if squares > 0 else 0.0
    return np.maximum(first + 2 * reach * step + reach**2 * bend, g / 10) if reach > 1 else g


def _weights(g: Double, digamma: bool, dtype: np.dtype[Any]) -> Double:
    if digamma:
        return _exponential_of_expected_log(g, smallest_exponent(dtype))
    shares = _quotient(g, np.full_like(g, g.sum()))
    return np.where(shares > smallest_weight(dtype), shares, 0.0)


def _exponential_of_expected_log(g: Double, smallest: float) -> Double:
    weights, positive = np.zeros_like(g), g > 0
    logs = psi(g[positive]) - psi(g.sum())
    weights[positive] = np.where(logs >= smallest, np.exp(logs), 0.0)
    return weights


def _quotient(numerator: Double, denominator: Double) -> Double:
    """0 where the denominator is not positive."""
    out = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _ratio(n: Double, mixture: Double, dtype: np.dtype[Any]) -> Double:
    """n / mixture, 0 where "real" cannot hold it."""
    is_possible = (mixture >= smallest_normal(dtype)) & (mixture * largest_ratio(dtype) >= n)
    return np.divide(n, mixture, out=np.zeros_like(n), where=is_possible)


def _log_likelihood(n: Double, mixture: Double, dtype: np.dtype[Any]) -> float:
    """Entries without a count do not matter."""
    n, mixture = n[n > 0], mixture[n > 0]
    if (mixture < smallest_normal(dtype)).any():
        return -math.inf
    return float(n @ np.log(mixture))
