"""From constructor arguments and a summary of the corpus to a model: priors, seed words, topics that are held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_integer, check_number
from ..executors import each
from .documents import Documents
from .methods import METHODS, Sweeps
from .model import TopicModel

if TYPE_CHECKING:
    from .estimator import EMTopicModel

LEARN = (True, False, "doc_topic", "topic_word")
MOST_TOKENS = {np.dtype(np.float64): 1e100, np.dtype(np.float32): 1e15}  # so that no product overflows
FIRST_SWEEPS = 5  # of a document of which nothing is known; one after that


@dataclass(frozen=True)
class Summary:
    """What is needed to know of a corpus before a model can be made."""

    n_documents: int
    weight: float
    term_counts: np.ndarray  # (V,) float64, weighted
    dtype: np.dtype

    @property
    def n_tokens(self) -> float:
        return float(self.term_counts.sum())


@dataclass(frozen=True)
class Given:
    """What the user gave of the topics, in their order: starts, groups of words, the background. All others follow."""

    components: np.ndarray | None = None  # (m, V)
    words: tuple[np.ndarray, ...] = ()  # columns of the seed words of each topic
    background: bool = False

    @property
    def n_topics(self) -> int:
        return (0 if self.components is None else len(self.components)) + len(self.words) + self.background

    def are_all(self, n_components: int) -> bool:
        """Whether each topic has a start of its own, so that nothing is left to chance."""
        return self.components is not None and len(self.components) == n_components


def summarise(chunks: Iterable[Documents], n_components: int) -> Summary:
    """One pass. ValueError for a corpus from which no topics can be learned."""
    n, weight, counts, dtype = 0, 0.0, np.zeros(0), np.dtype(np.float64)
    for of_chunk in each(_summarise_chunk, chunks):
        n, weight, dtype = n + of_chunk.n_documents, weight + of_chunk.weight, of_chunk.dtype
        counts = of_chunk.term_counts if counts.size == 0 else counts + of_chunk.term_counts
    if n < n_components:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, n_samples = {n} "
            f"(documents of positive weight)"
        )
    if not counts.any():
        raise ValueError("X has no tokens: all counts are zero, but at least one must be positive")
    check_tokens(float(counts.sum()), dtype)
    return Summary(n, weight, counts, dtype)


def check_tokens(n_tokens: float, dtype: np.dtype) -> None:
    """ValueError for more tokens than products of them can bear."""
    if n_tokens > MOST_TOKENS[dtype]:
        raise ValueError(f"X has {n_tokens:.3g} tokens, but at most {MOST_TOKENS[dtype]:.0e} are allowed as {dtype}")


def _summarise_chunk(chunk: Documents) -> Summary:
    return Summary(len(chunk), float(chunk.weight.sum(dtype=np.float64)), chunk.term_counts, chunk.dtype)


def check_params(estimator: EMTopicModel) -> None:
    """ValueError for a constructor argument that is out of range; what needs the data is checked with it."""
    estimator._check_shared_params()
    check_choice("method", estimator.method, tuple(METHODS))
    check_choice("learn_priors", estimator.learn_priors, LEARN)
    check_choice("background", estimator.background, (True, False))
    check_choice("early_stopping", estimator.early_stopping, (True, False))
    if estimator.early_stopping and estimator.checkpoint is not None:
        raise ValueError(
            "checkpoint must be None with early_stopping=True, whose memory of the best is not in the file"
        )
    check_choice("dtype", estimator.dtype, ("auto", "float32", "float64"))
    check_integer("max_doc_update_iter", estimator.max_doc_update_iter, 1)
    check_number("mean_change_tol", estimator.mean_change_tol, 0)
    check_number("seed_strength", estimator.seed_strength, 0)
    check_integer("n_iter_no_change", estimator.n_iter_no_change, 1)
    if estimator.batch_size is not None:
        check_integer("batch_size", estimator.batch_size, 1)
    fraction = check_number("validation_fraction", estimator.validation_fraction, 0)
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction must be in (0, 1), but got {fraction!r}")
    fixed = estimator.fixed
    if not isinstance(fixed, tuple | list | set | frozenset) or any(name != "components" for name in fixed):
        raise ValueError(f"fixed must be a tuple of names among ('components',), but got {fixed!r}")
    if fixed and estimator.components_init is None:
        raise ValueError("fixed=('components',) holds the topics of components_init, but that is None")


def read_given(estimator: EMTopicModel, n_terms: int) -> Given:
    """What was given of the topics, checked against the table and `n_components`; the vocabulary is checked too."""
    vocabulary_of(estimator, n_terms)
    components = None
    if estimator.components_init is not None:
        components = _given_components(estimator.components_init, estimator.n_components, n_terms)
    words = tuple(_columns(estimator, topic, words, n_terms) for topic, words in _seed_words(estimator).items())
    given = Given(components, words, estimator.background)
    if given.n_topics > estimator.n_components:
        raise ValueError(
            f"n_components is {estimator.n_components}, but components_init, seed_words and background give "
            f"{given.n_topics} topics"
        )
    return given


def _given_components(value: Any, k: int, n_terms: int) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"components_init must be an array of numbers, but got {value!r}") from error
    if array.ndim != 2 or not 1 <= len(array) <= k or array.shape[1] != n_terms:
        raise ValueError(
            f"components_init must have the shape (m, {n_terms}) with 1 <= m <= n_components = {k}, "
            f"but has {array.shape}"
        )
    if not np.isfinite(array).all() or (array < 0).any() or not array.any(axis=1).all():
        raise ValueError("components_init must be finite and not negative, with a positive number in each row")
    return array


def _seed_words(estimator: EMTopicModel) -> Mapping[Any, list[Any]]:
    groups = estimator.seed_words
    if groups is None:
        return {}
    if not isinstance(groups, Mapping) or any(
        isinstance(words, str | bytes) or not isinstance(words, Iterable) for words in groups.values()
    ):
        raise ValueError(f"seed_words must map names of topics to lists of words, but got {groups!r}")
    if not METHODS[estimator.method].has_priors:
        raise ValueError(f"seed_words are a prior, which method={estimator.method!r} has not; use method='map'")
    return {topic: list(words) for topic, words in groups.items()}


def _columns(estimator: EMTopicModel, topic: Any, words: list[Any], n_terms: int) -> np.ndarray:
    """Columns of seed words, given as words of the vocabulary or as column numbers."""
    if not words:
        raise ValueError(f"seed_words[{topic!r}] must have at least one word, but is empty")
    place = {term: column for column, term in enumerate(vocabulary_of(estimator, n_terms))}
    columns = [word if _is_column(word, n_terms) else place.get(str(word)) for word in words]
    unknown = [word for word, column in zip(words, columns, strict=True) if column is None]
    if unknown:
        none = ", but no vocabulary was given by column names of X or the argument vocabulary"
        why = f" that are not in the vocabulary of {n_terms} terms" if place else none
        raise ValueError(f"seed_words[{topic!r}] has words{why}: {unknown}")
    return np.unique(np.array(columns, dtype=np.intp))


def _is_column(word: Any, n_terms: int) -> bool:
    return isinstance(word, int | np.integer) and not isinstance(word, bool) and bool(0 <= word < n_terms)


def vocabulary_of(estimator: EMTopicModel, n_terms: int) -> list[str]:
    """Names of the columns: the argument, or those of a frame; empty if there are none."""
    vocabulary = estimator.vocabulary
    if vocabulary is None:
        return [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    if isinstance(vocabulary, str | bytes | Iterator) or not isinstance(vocabulary, Iterable):
        raise ValueError(f"vocabulary must be a sequence of terms or a dict of their columns, but got {vocabulary!r}")
    names = [str(name) for name in vocabulary]
    if isinstance(vocabulary, Mapping):  # as CountVectorizer.vocabulary_ has it
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ValueError("vocabulary must give each term a column of its own, 0 to the number of terms less one")
        names = [str(name) for name in sorted(vocabulary, key=vocabulary.__getitem__)]
    if len(names) != n_terms or len(set(names)) != n_terms:
        raise ValueError(
            f"vocabulary must have one term for each of the {n_terms} columns of X, but has {len(names)} terms, "
            f"{len(set(names))} of them distinct"
        )
    return names


def make_model(estimator: EMTopicModel, summary: Summary, given: Given) -> TopicModel:
    """The model before its priors are learned."""
    method, k, n_terms = METHODS[estimator.method], estimator.n_components, len(summary.term_counts)
    alpha, eta = np.zeros(k), np.zeros((1, 1))
    if method.has_priors:
        alpha = _document_prior(estimator.doc_topic_prior, k)
        eta = _topic_prior(estimator.topic_word_prior, k, n_terms)
    cold = Sweeps(estimator.max_doc_update_iter, estimator.mean_change_tol)
    model = TopicModel(
        method=method,
        alpha=alpha,
        eta=_with_seeds(eta, given, estimator.seed_strength * summary.n_tokens / k, (n_terms, k)),
        dtype=summary.dtype,
        first_sweeps=Sweeps(FIRST_SWEEPS) if method.keeps_documents else cold,
        mean_length=summary.n_tokens / summary.weight,
        **_held(estimator, summary, given),
    )
    if method.name == "cvb0" and model.held is not None:
        raise ValueError("method='cvb0' cannot hold topics (fixed or background); use method='map' or 'vb'")
    if method.name in ("vb", "cvb0") and ((model.alpha <= 0).any() or (model.eta <= 0).any()):
        raise ValueError(f"doc_topic_prior and topic_word_prior must be positive for method={method.name!r}")
    return model


def _held(estimator: EMTopicModel, summary: Summary, given: Given) -> dict[str, Any]:
    """Topics that stay as they are: those of `components_init` if they are fixed, and the background."""
    is_held = np.zeros(given.n_topics, dtype=bool)
    parts = []
    if "components" in estimator.fixed and given.components is not None:
        is_held[: len(given.components)] = True
        sizes = given.components.sum(axis=1)
        parts.append(given.components.T * (summary.n_tokens / estimator.n_components / sizes))
    if given.background:
        is_held[-1] = True
        share = summary.term_counts + 1 / len(summary.term_counts)
        parts.append((share * (summary.n_tokens / share.sum() / estimator.n_components))[:, None])
    return {"held": np.hstack(parts), "is_held": is_held} if parts else {}


def _document_prior(value: Any, k: int) -> np.ndarray:
    if value is None:
        return np.full(k, 1 / k)
    array = _numbers("doc_topic_prior", value)
    if array.shape not in ((), (k,)) or (array < 0).any():
        raise ValueError(
            f"doc_topic_prior must be None, a number >= 0, or an array of n_components = {k} of them, but got {value!r}"
        )
    return np.broadcast_to(array, k).copy()


def _topic_prior(value: Any, k: int, n_terms: int) -> np.ndarray:
    """Broadcasts to (V, K)."""
    if value is None:
        return np.full((1, 1), 1 / k)
    array = _numbers("topic_word_prior", value)
    if array.shape not in ((), (n_terms,), (k, n_terms)) or (array <= -1).any():
        raise ValueError(
            f"topic_word_prior must be None, a number > -1, or an array of shape ({n_terms},) or ({k}, {n_terms}), "
            f"but got {value!r}"
        )
    return np.atleast_2d(array).T.copy() if array.ndim else array.reshape(1, 1).copy()


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be None, a number or an array of numbers, but got {value!r}") from error
    if not np.isfinite(array).all() or isinstance(value, bool):
        raise ValueError(f"{name} must be finite, but got {value!r}")
    return array


def _with_seeds(eta: np.ndarray, given: Given, tokens: float, shape: tuple[int, int]) -> np.ndarray:
    """Each topic's seed words share `tokens` more pseudo-counts."""
    if not given.words:
        return eta
    eta = np.broadcast_to(eta, shape).copy()
    first = 0 if given.components is None else len(given.components)
    for k, columns in enumerate(given.words, start=first):
        eta[columns, k] += tokens / len(columns)
    return eta
