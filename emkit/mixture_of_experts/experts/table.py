"""From the argument `expert` to experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import has_fit_parameter

from ...families.covariance import COVARIANCES
from ...families.degenerate import NEVER_NARROWER
from ..cases import Scaling
from .base import Experts
from .foreign import ForeignClassifiers, ForeignRegressors
from .gaussian import GaussianExperts
from .glm import LAWS, GlmExperts
from .logistic import LogisticExperts
from .noise import NoisyExperts
from .student import StudentExperts

REGRESSORS = ("gaussian", "student", *LAWS)
CLASSIFIERS = ("logistic",)
NAMES_OF = {"EMMixtureOfExpertsRegressor": REGRESSORS, "EMMixtureOfExpertsClassifier": CLASSIFIERS}


@dataclass(frozen=True)
class Setting:
    """What experts need to know of the data.

    Attributes
    ----------
    n_components : int
    n_inputs : int
    units : Scaling
        Of the responses.
    low, high : ndarray of shape (m,)
        Least and largest response.
    n_classes : int
        0 of a regressor.
    """

    n_components: int
    n_inputs: int
    units: Scaling
    low: np.ndarray
    high: np.ndarray
    n_classes: int = 0


def check_expert(expert: Any, names: tuple[str, ...], kind: str) -> None:
    """ValueError unless it is one of the names, or an estimator of the kind that takes weights."""
    if isinstance(expert, str) and expert in names:
        return
    is_kind = is_classifier if kind == "classifier" else is_regressor
    if isinstance(expert, str | type) or not hasattr(expert, "fit") or not is_kind(expert):
        raise ValueError(
            f"expert must be one of {list(names)}, or a scikit-learn {kind}, but got {expert!r}{_whose(expert)}"
        )
    if not has_fit_parameter(expert, "sample_weight"):
        raise ValueError(
            f"expert must take sample_weight in fit, but {expert!r} does not; transformers of a pipeline go to "
            "expert_features"
        )
    if kind == "classifier" and not hasattr(expert, "predict_proba"):
        raise ValueError(f"expert must have predict_proba, but {expert!r} does not")


def _whose(expert: Any) -> str:
    """What a message says of the name of an expert that another estimator has."""
    owners = [owner for owner, names in NAMES_OF.items() if isinstance(expert, str) and expert in names]
    return f", which {owners[0]} has" if owners else ""


def regressors(estimator: Any, setting: Setting, seeds: np.ndarray) -> Experts:
    """Those of a regressor's constructor."""
    experts = _regressors(estimator, setting, seeds)
    if not estimator.noise:
        return experts
    width = setting.high - setting.low + (1.0 if experts.discrete else 0.0)
    return NoisyExperts(experts, -float(np.log(np.where(width > 0, width, setting.units.scale)).sum()))


def _regressors(estimator: Any, setting: Setting, seeds: np.ndarray) -> Experts:
    k, p, alpha, expert = setting.n_components, setting.n_inputs, float(estimator.alpha), estimator.expert
    floor = max(float(estimator.reg_covar), NEVER_NARROWER)  # below it a variance is what rounding leaves
    if not isinstance(expert, str):
        return ForeignRegressors(k, expert, seeds, setting.units, floor)
    if expert in LAWS:
        return GlmExperts(k, p, alpha, LAWS[expert])
    covariance = COVARIANCES[estimator.covariance_type]
    gaussian = GaussianExperts(k, p, alpha, covariance, setting.units, floor)
    return StudentExperts(gaussian) if expert == "student" else gaussian


def classifiers(estimator: Any, setting: Setting, seeds: np.ndarray) -> Experts:
    """Those of a classifier's constructor."""
    k, n_classes = setting.n_components, setting.n_classes
    if not isinstance(estimator.expert, str):
        experts: Experts = ForeignClassifiers(k, estimator.expert, seeds, n_classes)
    else:
        experts = LogisticExperts(k, setting.n_inputs, float(estimator.alpha), n_classes)
    return NoisyExperts(experts, -float(np.log(n_classes))) if estimator.noise else experts
