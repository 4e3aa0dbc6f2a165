"""Measures of the topics of any topic model, from its topic-word matrix.

Held-out documents are scored by completion: half of each is folded in, the other half scored ([6]_).

A topic by itself is judged by its top terms, higher being better: the `n_words` terms of the largest weight, of equal
weights those of the lower column index. Coherence asks how often these occur together in the documents of a reference
corpus, the training data or a larger one; only whether a document holds a term counts, not how often. Diversity asks
how few of them topics share.

References
----------
.. [1] Bouma, G. (2009). Normalized (pointwise) mutual information in collocation extraction. Proc. GSCL, 31-40.
.. [2] Lau, J. H., Newman, D. and Baldwin, T. (2014). Machine reading tea leaves: automatically evaluating topic
   coherence and topic model quality. Proc. EACL, 530-539.
.. [3] Mimno, D., Wallach, H. M., Talley, E., Leenders, M. and McCallum, A. (2011). Optimizing semantic coherence in
   topic models. Proc. EMNLP, 262-272.
.. [4] Röder, M., Both, A. and Hinneburg, A. (2015). Exploring the space of topic coherence measures. Proc. WSDM,
   399-408.
.. [5] Dieng, A. B., Ruiz, F. J. R. and Blei, D. M. (2020). Topic modeling in embedding spaces. TACL 8, 439-453.
.. [6] Wallach, H. M., Murray, I., Salakhutdinov, R. and Mimno, D. (2009). Evaluation methods for topic models. ICML,
   1105-1112.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy.sparse import csc_array, csr_array, issparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array

from ._validation import check_integer
from .topic_model.completion import complete_documents, perplexity_of
from .topic_model.documents import split
from .topic_model.methods import METHODS, Sweeps

__all__ = [
    "c_v",
    "completion_log_likelihood",
    "completion_perplexity",
    "make_topic_scorer",
    "npmi",
    "topic_diversity",
    "u_mass",
]

FOLD_IN = Sweeps(100, 1e-3)

C_V_EPSILON = 1e-12  # that of [4]_ and of its implementations: c_v cannot be compared with published figures otherwise


def completion_log_likelihood(topic_word: Any, X: Any, *, doc_topic_prior: Any = None) -> np.ndarray:
    r"""How well the second half of each document is foretold from the first, by any topics ([1]_).

    The tokens of a document, in the order of the columns, go to the halves in turn; of a fractional count the whole
    tokens first. The weights of the topics are those of smoothed EM on the first half, :math:`\theta_k` proportional to
    expected counts plus the prior :math:`\alpha_k`.

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows are divided by their sums.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms)
        Counts, finite and not negative.
    doc_topic_prior : float, array-like of shape (n_topics,) or None, default=None
        :math:`\alpha`, not negative; None is 1 / n_topics.

    Returns
    -------
    ndarray of shape (n_documents,), float64
        Natural logarithm, total over the tokens of the second half; 0 where there are none, -inf where one has
        probability 0.

    Raises
    ------
    ValueError
        If an argument is not as above, or the numbers of columns differ.

    Notes
    -----
    The time is O(n_topics nnz), up to 100 times over.

    The weights of a document are taken where its expected counts change, from one step to the next and on average over
    the topics, by at most 1e-3 tokens, or after 100 steps. That is near the end with the default prior (scores within
    about 0.2 in simulations). With ``doc_topic_prior=0`` and short documents EM is still on its way where weights go to
    zero, and the score of a single document can be off by a nat or more.

    References
    ----------
    .. [1] Wallach, H. M., Murray, I., Salakhutdinov, R. and Mimno, D. (2009). Evaluation methods for topic models.
       ICML, 1105-1112. Section 5.

    Examples
    --------
    >>> from emkit.metrics import completion_log_likelihood
    >>> topics, documents = [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], [[2, 2, 0], [0, 0, 2]]
    >>> completion_log_likelihood(topics, documents, doc_topic_prior=0)
    array([-1.38629436,  0.        ])
    """
    return _completion(topic_word, X, doc_topic_prior)[0]


def completion_perplexity(topic_word: Any, X: Any, *, doc_topic_prior: Any = None, sample_weight: Any = None) -> float:
    """Perplexity of second halves of documents given the first; see :func:`completion_log_likelihood`.

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows are divided by their sums.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms)
        Counts, finite and not negative.
    doc_topic_prior : float, array-like of shape (n_topics,) or None, default=None
        Prior pseudo-counts of the topics in a document, not negative; None is 1 / n_topics.
    sample_weight : array-like of shape (n_documents,) or None, default=None
        A document of weight w counts as w documents.

    Returns
    -------
    float
        exp(-sum of log-likelihoods / number of scored tokens), at least 1; lower is better.

    Raises
    ------
    ValueError
        If an argument is not as above, or no document has two tokens.

    Examples
    --------
    >>> from emkit.metrics import completion_perplexity
    >>> topic_word = [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    >>> round(completion_perplexity(topic_word, [[2, 2, 0]], doc_topic_prior=0), 6)
    2.0
    """
    return perplexity_of(*_completion(topic_word, X, doc_topic_prior), sample_weight)


def _completion(topic_word: Any, X: Any, doc_topic_prior: Any) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods and numbers of tokens of the second halves."""
    weights = _check_matrix("topic_word", topic_word, accept_sparse=False)
    counts = csr_array(_check_matrix("X", X, accept_sparse="csr"), dtype=np.float64)
    if counts.shape[1] != weights.shape[1]:
        raise ValueError(f"X has {counts.shape[1]} columns, but topic_word has {weights.shape[1]}")
    if not weights.any(axis=1).all():
        raise ValueError("topic_word must have a positive number in each row, but one is all zero")
    counts.sum_duplicates()
    alpha = _check_prior(doc_topic_prior, len(weights))
    method, pseudo_counts = METHODS["map"], np.ascontiguousarray(weights.T, dtype=np.float64)
    parts = [complete_documents(method, pseudo_counts, alpha, chunk, FOLD_IN) for chunk in split(counts, None)]
    return np.concatenate([part.log_likelihood for part in parts]), np.concatenate([part.n_tokens for part in parts])


def _check_prior(value: Any, n_topics: int) -> np.ndarray:
    """Prior pseudo-counts, (n_topics,)."""
    prior = np.asarray(1 / n_topics if value is None else value, dtype=np.float64)
    if prior.shape not in ((), (n_topics,)) or not np.isfinite(prior).all() or (prior < 0).any():
        raise ValueError(
            f"doc_topic_prior must be None, a number >= 0, or an array of {n_topics} of them, but got {value!r}"
        )
    return np.broadcast_to(prior, n_topics).copy()


def npmi(topic_word: Any, X: Any, *, n_words: int = 10) -> np.ndarray:
    r"""Normalised pointwise mutual information ([1]_) of the top terms, mean over their pairs ([2]_).

    With :math:`P` the share of the documents of `X` that hold a term, or both terms of a pair, a pair has

    .. math:: \frac{\log P(v_i, v_j) - \log P(v_i) - \log P(v_j)}{-\log P(v_i, v_j)} ,

    0 if the terms are independent. The limits stand where it is undefined: -1 for a pair that no document holds, be it
    that no document holds one of the terms, and 1 for a pair that all documents hold.

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows need not sum to one.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms)
        The reference corpus, counts or presence of terms in documents, finite and not negative.
    n_words : int, default=10
        Top terms of each topic, 2 to n_terms; of equal weights the lower column index comes first.

    Returns
    -------
    ndarray of shape (n_topics,)
        In -1 to 1, without a unit; higher is better.

    Raises
    ------
    ValueError
        If an argument is not as above, or the numbers of columns differ.

    Notes
    -----
    The time is O(n_topics n_terms) for the top terms and that of reading `X` once; then each topic takes the squared
    number of its top terms in a document, summed over the documents. Sparse data stay sparse: the memory is that of the
    columns of the top terms, and n_topics n_words\ :sup:`2` numbers.

    Lau et al. count in windows that slide over the text, here each document is one window. gensim's "c_npmi", with a
    window longer than each document, has the same for pairs that some but not all documents hold. As it adds 1e-12 to
    :math:`P(v_i, v_j)`, a pair that none holds has :math:`-1 + \log(P(v_i) P(v_j)) / \log 10^{-12}` there in place of
    -1, and a pair that all hold has -1 in place of 1.

    References
    ----------
    .. [1] Bouma, G. (2009). Normalized (pointwise) mutual information in collocation extraction. Proc. GSCL, 31-40.
    .. [2] Lau, J. H., Newman, D. and Baldwin, T. (2014). Machine reading tea leaves: automatically evaluating topic
       coherence and topic model quality. Proc. EACL, 530-539.

    Examples
    --------
    >>> from emkit.metrics import npmi
    >>> X = [[1, 2, 0, 0], [3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    >>> topic_word = [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    >>> npmi(topic_word, X, n_words=2)
    array([ 1., -1.])
    """
    _, together, n_documents = _read(topic_word, X, n_words)
    return _over_pairs(_confirmation(together, n_documents)).mean(axis=1)


def u_mass(topic_word: Any, X: Any, *, n_words: int = 10) -> np.ndarray:
    r"""Coherence of Mimno et al. ([1]_, equation 1), a sum over the pairs of top terms.

    With :math:`D` the number of documents of `X` that hold a term, or both terms of a pair, and
    :math:`v_1, v_2, \ldots` the top terms of a topic in falling order of weight,

    .. math:: \sum_{m=2}^{M} \sum_{l=1}^{m-1} \log \frac{D(v_m, v_l) + 1}{D(v_l)} .

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows need not sum to one.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms)
        The reference corpus, counts or presence of terms in documents, finite and not negative; in the paper the
        training data.
    n_words : int, default=10
        Top terms of each topic (M), 2 to n_terms; of equal weights the lower column index comes first.

    Returns
    -------
    ndarray of shape (n_topics,)
        Natural logarithm; higher is better. Seldom above 0, and at most log 2 for each pair.

    Raises
    ------
    ValueError
        If an argument is not as above, the numbers of columns differ, or no document of `X` holds a top term: the
        formula has no value there.

    Notes
    -----
    The time is that of :func:`npmi`.

    Values for different `n_words` do not compare, as the sum has n_words (n_words - 1) / 2 terms; divided by that, it
    is a mean as that of gensim. But gensim's "u_mass" adds 1e-12 to :math:`D(v_m, v_l) / n` where the paper adds
    1 to :math:`D(v_m, v_l)`, so with n documents gensim's constant has to be set to 1 / n for the two to agree; and it
    has 0 where no document holds :math:`v_l`.

    References
    ----------
    .. [1] Mimno, D., Wallach, H. M., Talley, E., Leenders, M. and McCallum, A. (2011). Optimizing semantic coherence in
       topic models. Proc. EMNLP, 262-272.

    Examples
    --------
    >>> from emkit.metrics import u_mass
    >>> X = [[1, 2, 0, 0], [3, 0, 0, 0], [0, 0, 1, 0], [0, 0, 4, 0], [0, 0, 0, 1]]
    >>> topic_word = [[0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.6, 0.4]]
    >>> u_mass(topic_word, X, n_words=2).round(3)  # log((1 + 1) / 2) and log((0 + 1) / 2)
    array([ 0.   , -0.693])
    """
    top, together, _ = _read(topic_word, X, n_words)
    _check_all_held(top, together)
    held = _diagonals(together)
    return _over_pairs(np.log((together + 1) / held[:, np.newaxis, :])).sum(axis=1)  # [1]_, equation 1


def c_v(topic_word: Any, X: Any, *, n_words: int = 10) -> np.ndarray:
    r"""Coherence C_v of Röder et al. ([1]_): how alike the top terms are in what they occur together with.

    Each top term has a vector, of its normalised pointwise mutual information with all top terms of the topic
    (:func:`npmi`, with :math:`\epsilon = 10^{-12}` added to :math:`P(v_i, v_j)` as in the paper). A topic has the
    cosine between the vector of a term and the sum of the vectors, mean over the terms. In the terms of the paper:
    segmentation of one term against the set of all, the indirect cosine of normalised log-ratios with
    :math:`\gamma = 1`, arithmetic mean, but boolean documents in place of sliding windows.

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows need not sum to one.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms)
        The reference corpus, counts or presence of terms in documents, finite and not negative.
    n_words : int, default=10
        Top terms of each topic, 2 to n_terms; of equal weights the lower column index comes first.

    Returns
    -------
    ndarray of shape (n_topics,)
        In -1 to 1, in practice seldom below 0, without a unit; higher is better.

    Raises
    ------
    ValueError
        If an argument is not as above, the numbers of columns differ, or no document of `X` holds a top term: it has
        no vector.

    Notes
    -----
    The time is that of :func:`npmi`.

    The paper counts in windows of 110 words that slide over the text. Counts of terms do not tell their places, so
    here each document is one window, and values differ from published ones unless documents are short. They equal those
    of gensim's "c_v" with a window longer than each document, except for a pair that all documents hold: it has the
    limit 1, in gensim the constant makes it -1.

    References
    ----------
    .. [1] Röder, M., Both, A. and Hinneburg, A. (2015). Exploring the space of topic coherence measures. Proc. WSDM,
       399-408.

    Examples
    --------
    >>> from emkit.metrics import c_v
    >>> X = [[1, 2, 0, 0], [3, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    >>> topic_word = [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    >>> c_v(topic_word, X, n_words=2).round(3)
    array([1.   , 0.949])
    """
    top, together, n_documents = _read(topic_word, X, n_words)
    _check_all_held(top, together)
    vectors = _confirmation(together, n_documents, C_V_EPSILON)
    return _cosines(vectors, vectors.sum(axis=1, keepdims=True)).mean(axis=1)


def topic_diversity(topic_word: Any, *, n_words: int = 25) -> float:
    """Share of distinct terms among the top terms of all topics ([1]_).

    Parameters
    ----------
    topic_word : array-like of shape (n_topics, n_terms)
        Weights of the terms, finite and not negative; rows need not sum to one.
    n_words : int, default=25
        Top terms of each topic, 1 to n_terms; of equal weights the lower column index comes first.

    Returns
    -------
    float
        From 1 / n_topics, all topics have the same top terms, to 1, no two topics share one; higher is better.

    Raises
    ------
    ValueError
        If an argument is not as above.

    Notes
    -----
    The time is O(n_topics n_terms).

    References
    ----------
    .. [1] Dieng, A. B., Ruiz, F. J. R. and Blei, D. M. (2020). Topic modeling in embedding spaces. TACL 8, 439-453.

    Examples
    --------
    >>> from emkit.metrics import topic_diversity
    >>> topic_diversity([[0.5, 0.4, 0.1], [0.1, 0.5, 0.4]], n_words=2)
    0.75
    """
    weights = _check_matrix("topic_word", topic_word, accept_sparse=False)
    top = _top_terms(weights, _check_n_words(n_words, 1, weights.shape[1]))
    return len(np.unique(top)) / top.size


MEASURES = {"npmi": npmi, "u_mass": u_mass, "c_v": c_v}  # of a topic-word matrix and a reference corpus

Measure = str | Callable[[np.ndarray, Any], Any]


def make_topic_scorer(measure: Measure, *, n_words: int = 10, X: Any = None) -> TopicScorer:
    """A scorer of topic models, for `scoring` of `GridSearchCV`, `cross_val_score` and the like.

    Parameters
    ----------
    measure : {"npmi", "u_mass", "c_v", "topic_diversity"} or callable
        A function of this module; or one that takes a topic-word matrix of shape (n_topics, n_terms) and a reference
        corpus, and returns a number for each topic, or one for all. Higher must be better.
    n_words : int, default=10
        Top terms of each topic, at least 2 (at least 1 for "topic_diversity"); not handed to a callable.
    X : {array-like, sparse matrix or array} of shape (n_documents, n_terms) or None, default=None
        The reference corpus, in the form that the estimator takes: raw texts if it is a pipeline that starts with a
        vectoriser. None is the held-out data of each fold. For "u_mass" and "c_v" these have to hold all top terms: a
        search takes the ValueError for a failed score, nan with a warning.

    Returns
    -------
    TopicScorer
        A function ``scorer(estimator, X, y=None)`` that gives the mean of the measure over the topics, a float. The
        estimator is a fitted topic model, with `topic_word_` or else with `components_`, whose rows are divided by
        their sums; or a pipeline that ends in one, whose other steps transform the reference corpus. It can be
        pickled, if a callable measure can.

    Raises
    ------
    ValueError
        If `measure` or `n_words` is not as above; when called, if the estimator is no fitted topic model, and what the
        measure raises.

    Examples
    --------
    >>> from sklearn.decomposition import LatentDirichletAllocation
    >>> from sklearn.model_selection import cross_val_score
    >>> from emkit.metrics import make_topic_scorer
    >>> X = [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 2, 1], [0, 0, 1, 2]] * 5
    >>> lda = LatentDirichletAllocation(2, random_state=0)
    >>> cross_val_score(lda, X, cv=2, scoring=make_topic_scorer("npmi", n_words=2))
    array([1., 1.])
    """
    return TopicScorer(measure, n_words, X)


class TopicScorer:
    """What :func:`make_topic_scorer` returns. It is not changed once made, so its clone is itself."""

    def __init__(self, measure: Measure, n_words: int, X: Any) -> None:
        allowed = [*MEASURES, "topic_diversity"]
        if not callable(measure) and not (isinstance(measure, str) and measure in allowed):
            raise ValueError(f"measure must be one of {allowed} or callable, but got {measure!r}")
        self.measure = measure
        self.n_words = check_integer("n_words", n_words, 1 if measure == "topic_diversity" else 2)
        self.X = X

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        topic_word = _topic_word(estimator)
        if self.measure == "topic_diversity":
            return topic_diversity(topic_word, n_words=self.n_words)
        measure = (
            partial(MEASURES[self.measure], n_words=self.n_words) if isinstance(self.measure, str) else self.measure
        )
        return float(np.mean(measure(topic_word, _to_counts(estimator, X if self.X is None else self.X))))

    def __sklearn_clone__(self) -> Self:
        return self

    def __repr__(self) -> str:
        corpus = None if self.X is None else type(self.X).__name__
        return f"make_topic_scorer({self.measure!r}, n_words={self.n_words}, X={corpus})"


def _topic_word(estimator: Any) -> np.ndarray:
    """Weights of the terms in each topic, (n_topics, n_terms), of a model or the last step of a pipeline."""
    if isinstance(estimator, Pipeline):
        return _topic_word(estimator.steps[-1][1])
    if hasattr(estimator, "topic_word_"):
        return np.asarray(estimator.topic_word_)
    if not hasattr(estimator, "components_"):
        raise ValueError(
            f"estimator must be a fitted topic model with topic_word_ or components_, or a pipeline that ends in one, "
            f"but got {estimator!r}"
        )
    weights = np.asarray(estimator.components_, dtype=np.float64)
    totals = weights.sum(axis=1, keepdims=True)
    return weights / np.where(totals == 0, 1, totals)  # an empty topic stays so, as one of NMF can be


def _to_counts(estimator: Any, X: Any) -> Any:
    """What the last step of a pipeline sees of X."""
    if not isinstance(estimator, Pipeline):
        return X
    if len(estimator.steps) > 1:
        X = estimator[:-1].transform(X)
    return _to_counts(estimator.steps[-1][1], X)


def _read(topic_word: Any, X: Any, n_words: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Top terms (n_topics, n_words), documents that hold two of them together (see below), number of documents."""
    weights = _check_matrix("topic_word", topic_word, accept_sparse=False)
    corpus = _check_matrix("X", X, accept_sparse=["csr", "csc"])
    n_terms = weights.shape[1]
    if corpus.shape[1] != n_terms:
        raise ValueError(f"X must have as many columns as topic_word, {n_terms}, but has {corpus.shape[1]}")
    top = _top_terms(weights, _check_n_words(n_words, 2, n_terms))
    return top, _documents_together(top, corpus), corpus.shape[0]


def _check_matrix(name: str, value: Any, *, accept_sparse: Any) -> Any:
    """A matrix of finite numbers that are not negative, with at least a row and a column."""
    try:
        matrix = check_array(value, accept_sparse=accept_sparse, ensure_all_finite=False)
    except (TypeError, ValueError) as error:
        kind = "a matrix" if accept_sparse else "a dense matrix"
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} must be {kind} of numbers, but got {reprlib.repr(value)}: {reason}") from error
    stored = matrix.data if issparse(matrix) else matrix
    good = (stored >= 0) & (stored < np.inf)
    if not good.all():
        raise ValueError(f"{name} must be finite and not negative, but holds {stored[~good][0]}")
    return matrix


def _check_n_words(n_words: Any, low: int, n_terms: int) -> int:
    if not isinstance(n_words, Integral) or isinstance(n_words, bool) or not low <= int(n_words) <= n_terms:
        raise ValueError(
            f"n_words must be an integer from {low} to the number of columns of topic_word, {n_terms}, "
            f"but got {n_words!r}"
        )
    return int(n_words)


def _check_all_held(top: np.ndarray, together: np.ndarray) -> None:
    absent = _diagonals(together) == 0
    if absent.any():
        topic, rank = np.argwhere(absent)[0]
        raise ValueError(
            f"X must hold each top term in some document, but none holds term {top[topic, rank]} (its column), "
            f"a top term of topic {topic}; take a larger reference corpus, as the training data, or a smaller n_words"
        )


def _top_terms(weights: np.ndarray, n_words: int) -> np.ndarray:
    """Columns of the largest weights of each row, (n_topics, n_words), in falling order; ties by lower column."""
    return np.array([_top_of(row.astype(np.float64), n_words) for row in weights])


def _top_of(row: np.ndarray, n_words: int) -> np.ndarray:
    smallest = np.partition(row, -n_words)[-n_words]
    candidates = np.flatnonzero(row >= smallest)  # more than n_words if some tie with the smallest
    return candidates[np.argsort(-row[candidates], kind="stable")][:n_words]


def _documents_together(top: np.ndarray, X: Any) -> np.ndarray:
    """Number of documents that hold both top terms i and j of a topic, (n_topics, n_words, n_words)."""
    terms, position = np.unique(top, return_inverse=True)
    held = _presence(X, terms)
    together = np.empty((*top.shape, top.shape[1]))
    for topic, columns in enumerate(position.reshape(top.shape)):
        of_topic = held[:, columns]
        together[topic] = (of_topic.T @ of_topic).toarray()
    return together


def _presence(X: Any, terms: np.ndarray) -> csc_array:
    """One where a document holds a term, (n_documents, len(terms))."""
    columns = csc_array(X[:, terms])
    columns.sum_duplicates()  # an entry stored in two parts is one term in one document
    return csc_array(columns > 0).astype(np.float64)


def _confirmation(together: np.ndarray, n_documents: int, epsilon: float = 0.0) -> np.ndarray:
    """Normalised pointwise mutual information of each pair of terms, of the shape of `together`; see :func:`npmi`."""
    share = together / n_documents + epsilon
    everywhere = together == n_documents
    defined = (share > 0) & ~everywhere
    log_share = np.log(share, where=defined, out=np.full_like(share, -1.0))
    held = _diagonals(together)
    log_held = np.log(held / n_documents, where=held > 0, out=np.zeros_like(held))
    independent = log_held[:, :, np.newaxis] + log_held[:, np.newaxis, :]
    limits = np.where(everywhere, 1.0, -1.0)
    return np.where(defined, (independent - log_share) / log_share, limits)


def _cosines(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosines along the last axis; 0 with a vector of zeros."""
    lengths = np.linalg.norm(vectors, axis=-1) * np.linalg.norm(other, axis=-1)
    return (vectors * other).sum(axis=-1) / np.where(lengths == 0, 1, lengths)


def _diagonals(together: np.ndarray) -> np.ndarray:
    """Documents that hold each top term, (n_topics, n_words)."""
    return np.diagonal(together, axis1=1, axis2=2)


def _over_pairs(values: np.ndarray) -> np.ndarray:
    """Values [m, l] of the pairs m > l of top terms, (n_topics, n_pairs)."""
    lower, higher = np.tril_indices(values.shape[1], -1)
    return values[:, lower, higher]
