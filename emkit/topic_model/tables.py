"""Topics as pandas frames. pandas is imported when one is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._optional import pandas_for


def top_words_frame(words: list[list[Any]], probability: np.ndarray) -> Any:
    """A row for each topic and term: topic, rank from 1, word, probability (K, n)."""
    k, n = probability.shape
    return pandas_for("as_frame=True").DataFrame(
        {
            "topic": np.repeat(np.arange(k), n),
            "rank": np.tile(np.arange(1, n + 1), k),
            "word": [word for topic in words for word in topic],
            "probability": probability.ravel(),
        }
    )
