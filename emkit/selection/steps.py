"""A pipeline as two parts: the steps before, fitted once for each fold, and the last, which is searched."""

from __future__ import annotations

from typing import Any

from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from .._pipelines import last_step
from .data import Data


def prepare(estimator: Any, train: Data, test: Data | None) -> tuple[list[Any], Data, Data | None]:
    """Fit the steps before the last to `train`; they, one part for each nested pipeline, and what they make of both."""
    if not isinstance(estimator, Pipeline):
        return [], train, test
    before, params = _before(estimator), {}
    if before is not None:
        before = clone(before)
        params = _params_of(before, "fit_transform", train.params)
        X = before.fit_transform(train.X, train.y, **params)
        moved = None if test is None else Data(before.transform(test.X), test.y, inner_params(estimator, test.params))
        train, test = Data(X, train.y, inner_params(estimator, train.params)), moved
    else:
        train = Data(train.X, train.y, inner_params(estimator, train.params))
        test = None if test is None else Data(test.X, test.y, inner_params(estimator, test.params))
    fronts, train, test = prepare(estimator.steps[-1][1], train, test)
    return [before, *fronts], train, test


def assemble(estimator: Any, fronts: list[Any], last: Any) -> Any:
    """The pipeline `estimator` of fitted parts."""
    if not isinstance(estimator, Pipeline):
        return last
    whole = clone(estimator)
    before = [] if fronts[0] is None else fronts[0].steps
    name, inner = estimator.steps[-1]
    whole.steps = [*before, (name, assemble(inner, fronts[1:], last))]
    return whole


def _before(pipeline: Pipeline) -> Any:
    return pipeline[:-1] if len(pipeline.steps) > 1 else None


def _params_of(before: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The metadata that the steps before the last take."""
    if get_config()["enable_metadata_routing"]:
        wanted = get_routing_for_object(before).consumes(method, params.keys())
        return {name: params[name] for name in wanted}
    names = {name for name, _ in before.steps}
    return {name: value for name, value in params.items() if name.partition("__")[0] in names and "__" in name}


def inner_params(pipeline: Pipeline, params: dict[str, Any]) -> dict[str, Any]:
    """The metadata of the last step, without its prefix."""
    if get_config()["enable_metadata_routing"]:
        wanted = get_routing_for_object(pipeline.steps[-1][1]).consumes("fit", params.keys())
        return {name: params[name] for name in wanted}
    last = pipeline.steps[-1][0]
    others = {name for name, _ in pipeline.steps[:-1]}
    return {
        name.removeprefix(f"{last}__"): value
        for name, value in params.items()
        if "__" not in name or name.partition("__")[0] not in others
    }


def last_params(estimator: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The metadata that the last step takes, by its own names."""
    return (
        last_params(estimator.steps[-1][1], inner_params(estimator, params))
        if isinstance(estimator, Pipeline)
        else params
    )


__all__ = ["assemble", "inner_params", "last_params", "last_step", "prepare"]
