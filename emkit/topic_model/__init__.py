"""Topic models: parameters, statistics, model and estimator."""

from .estimator import EMTopicModel
from .model import TopicModel, TopicModelParams, TopicModelStats

__all__ = ["EMTopicModel", "TopicModel", "TopicModelParams", "TopicModelStats"]
