"""Pictures of topics."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon
from sklearn.manifold import smacof
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_integer
from ._axes import bare, inches_of, new_axes
from ._estimators import not_of_display
from ._look import colour, short

__all__ = ["TopicDisplay"]

KINDS = ("words", "map")
PANELS_A_ROW = 5
LARGEST_DISC = 5000  # square points
LARGEST_SHARE = 0.22  # of the side of the axes: the diameter of the largest disc at most
LEAST_OF_SMALL = 60  # points: diameter of discs in which letters are small, not very small
NARROW = 1.2  # inches: panels of small letters
CHARACTERS = 8  # of a word, for each inch of its panel


class TopicDisplay:
    """Topics as bars of their top words, or as a map by distance and size.

    Use :meth:`from_estimator` to make one.

    Parameters
    ----------
    topic_word : ndarray of shape (n_topics, n_features)
        Probabilities of the terms in the topics.
    topic_weights : ndarray of shape (n_topics,)
        Shares of the topics in the corpus.
    feature_names : sequence of str
        The terms.
    n_words : int, default=10
        Terms shown of a topic.
    kind : {"words", "map"}, default="words"
        "words": a panel of bars for each topic. "map": topics as discs, their areas the shares in the corpus and their
        distances, as far as a plane allows, the Jensen-Shannon distances of their distributions.

    Attributes
    ----------
    ax_ : matplotlib Axes, or ndarray of them
        Where it was drawn: one Axes for "map", one for each topic for "words".
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Examples
    --------
    >>> import numpy as np
    >>> from emkit import EMTopicModel
    >>> from emkit.plot import TopicDisplay
    >>> X = np.array([[3, 2, 0, 0], [2, 4, 0, 0], [0, 0, 5, 1], [0, 0, 2, 2]])
    >>> model = EMTopicModel(2, random_state=0, vocabulary=["cat", "dog", "bank", "loan"]).fit(X)
    >>> display = TopicDisplay.from_estimator(model, n_words=2)
    """

    def __init__(self, *, topic_word, topic_weights, feature_names, n_words=10, kind="words"):
        self.topic_word = topic_word
        self.topic_weights = topic_weights
        self.feature_names = feature_names
        self.n_words = n_words
        self.kind = kind

    @classmethod
    def from_estimator(cls, estimator, *, n_words=10, kind="words", feature_names=None, ax=None):
        """Draw the topics of a fitted model.

        Parameters
        ----------
        estimator : EMTopicModel
            Fitted.
        n_words : int, default=10
            Terms shown of a topic: bars of a panel, or the words beside a disc (the first three).
        kind : {"words", "map"}, default="words"
            See the class.
        feature_names : sequence of str or None, default=None
            The terms; None takes those that the estimator knows, else the numbers of the columns.
        ax : matplotlib Axes, array of them, or None, default=None
            Where to draw: one for "map", one for each topic for "words". None makes a figure.

        Returns
        -------
        display : TopicDisplay

        Raises
        ------
        ValueError
            If `estimator` is no EMTopicModel, `kind` or `n_words` is out of range, `feature_names` has another length
            than the terms, or there are not as many axes as topics.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "topic_word_"):
            raise not_of_display("estimator", "an EMTopicModel", estimator)
        if feature_names is None:
            feature_names = estimator._term_names() or [str(column) for column in range(estimator.n_features_in_)]
        display = cls(
            topic_word=estimator.topic_word_,
            topic_weights=estimator.topic_weights_,
            feature_names=list(feature_names),
            n_words=n_words,
            kind=kind,
        )
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : TopicDisplay
            This one, with `ax_` and `figure_`.
        """
        check_choice("kind", self.kind, KINDS)
        check_integer("n_words", self.n_words, 1)
        if len(self.feature_names) != self.topic_word.shape[1]:
            raise ValueError(
                f"feature_names must have {self.topic_word.shape[1]} terms, but has {len(self.feature_names)}"
            )
        if ax is not None and not all(hasattr(one, "barh") for one in np.ravel(np.array(ax, dtype=object))):
            raise ValueError(f"ax must be Axes of matplotlib, an array of them or None, but got {ax!r}")
        self.ax_ = self._plot_words(ax) if self.kind == "words" else self._plot_map(ax)
        self.figure_ = np.ravel(self.ax_)[0].figure
        return self

    def _top(self, topic: int, n: int) -> np.ndarray:
        return np.argsort(-self.topic_word[topic], kind="stable")[:n]

    def _plot_words(self, axes: Any) -> np.ndarray:
        n_topics = len(self.topic_word)
        axes = _panels(n_topics, self.n_words) if axes is None else np.ravel(np.array(axes, dtype=object))
        if len(axes) != n_topics:
            raise ValueError(f"ax must be an array of {n_topics} axes, one for each topic, but has {len(axes)}")
        wide = min(inches_of(ax)[0] for ax in axes)
        size = "medium" if wide > NARROW else "x-small"
        for topic, ax in enumerate(axes):
            terms = self._top(topic, self.n_words)[::-1]
            ax.barh(range(len(terms)), self.topic_word[topic, terms], color=colour(topic))
            words = [short(str(self.feature_names[term]), max(int(CHARACTERS * wide), 8)) for term in terms]
            ax.set_yticks(range(len(terms)), words, parse_math=False, fontsize=size)
            ax.set_title(f"topic {topic}: {self.topic_weights[topic]:.1%}", fontsize=size)
            ax.tick_params(axis="x", labelsize="small" if size == "medium" else size)
            ax.locator_params(axis="x", nbins=3 if size == "medium" else 1)
            bare(ax)
        return axes

    def _plot_map(self, ax: Any) -> Any:
        if ax is None:
            ax = new_axes(figsize=(6.8, 6.8))
        elif np.ndim(ax) > 0:
            raise ValueError(f"ax must be one Axes for kind='map', but has {np.size(ax)}")
        places = _plane(self.topic_word)
        side = 72 * min(inches_of(ax))  # points
        diameter = min(np.sqrt(4 * LARGEST_DISC / np.pi), LARGEST_SHARE * side)
        areas = np.pi / 4 * diameter**2 * self.topic_weights / self.topic_weights.max()
        ax.scatter(*places.T, s=areas, c=[colour(topic) for topic in range(len(places))], alpha=0.45)
        size = "small" if diameter > LEAST_OF_SMALL else "x-small"
        for topic, place in enumerate(places):
            words = "\n".join(str(self.feature_names[term]) for term in self._top(topic, min(self.n_words, 3)))
            ax.annotate(f"{topic}\n{words}", place, ha="center", va="center", fontsize=size, parse_math=False)
        middle = (places.max(axis=0) + places.min(axis=0)) / 2
        half = max(float(np.ptp(places, axis=0).max()) / 2, 1e-3)
        half += 1.2 * half * diameter / (side - 1.2 * diameter)  # so that discs at the edge are whole
        ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal")
        ax.set(xticks=[], yticks=[], title="Topics by distance and share of the corpus")
        return ax


def _panels(n: int, n_words: int) -> np.ndarray:
    n_columns = min(n, PANELS_A_ROW)
    n_rows = -(-n // n_columns)
    size = (2.6 * n_columns, (0.8 + 0.2 * n_words) * n_rows)
    grid = new_axes(n_rows, n_columns, figsize=size, squeeze=False)
    for ax in grid.ravel()[n:]:
        ax.remove()
    return grid.ravel()[:n]


def _plane(topic_word: np.ndarray) -> np.ndarray:
    """Points whose distances are near the Jensen-Shannon distances of the topics, (n, 2): least squares of the
    distances (SMACOF) from classical scaling, which by itself puts similar topics on top of each other."""
    n = len(topic_word)
    topic_word = np.asarray(topic_word, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # rounding may make the square of a distance negative
        distances = np.nan_to_num([[jensenshannon(one, other) for other in topic_word] for one in topic_word])
    distances = np.maximum(distances, distances.T)
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    places = np.zeros((n, 2))
    n_axes = min(2, n)
    places[:, :n_axes] = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :n_axes]
    return smacof(distances, init=places, n_init=1, normalized_stress=False)[0] if n > 2 else places
