"""Hidden Markov models."""

from .decoding import Forecast
from .estimator import EMHiddenMarkov
from .model import HiddenMarkovModel, HiddenMarkovParams, HiddenMarkovStats

__all__ = ["EMHiddenMarkov", "Forecast", "HiddenMarkovModel", "HiddenMarkovParams", "HiddenMarkovStats"]
