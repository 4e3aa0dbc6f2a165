"""What `fit` of the mixtures of experts does, between raw input and fitted attributes."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from .._validation import (
    check_choice,
    check_integer,
    check_n_init,
    check_number,
    check_responsibilities,
    check_sample_weight,
    check_start,
)
from .._warnings import DegenerateSolutionWarning, callers_level
from ..blocks import blocks_of
from ..executors import Elsewhere, each
from ..online import first_state
from ..partitions import is_collection
from ..seeding import draw_units
from . import responses
from .cases import Cases, CasesInMemory, Scaling, Scalings, joined
from .experts.table import Setting
from .gates import GATES, Gate, GaussianGate, HierarchicalGate
from .model import ExpertsParams, ExpertsStats, MixtureOfExpertsModel
from .partitioned import Collected, PartitionedCases
from .prediction import Fitted
from .problem import ExpertsProblem
from .reading import (
    Descriptions,
    Extras,
    Streamed,
    Views,
    arrange,
    check_width,
    describe_cases,
    pairs_of,
    read_views,
    read_X,
    scaling_of,
)

if TYPE_CHECKING:
    from .estimator import MixtureOfExperts

EXTRAS = ("block_id", "offset", "exposure")
ALL_UNITS = 10_000  # below this number of blocks, starts use them all
SAMPLE = 5_000  # blocks on which starts are compared, at least
SAMPLE_OF_CLASSES = ALL_UNITS  # a response that is a class tells little


def check_params(estimator: MixtureOfExperts) -> None:
    """ValueError for a constructor argument that is out of range."""
    estimator._check_shared_params()
    estimator._check_expert()
    check_choice("gate", estimator.gate, tuple(GATES))
    check_number("alpha", estimator.alpha, 0)
    check_number("gate_alpha", estimator.gate_alpha, 0)
    check_number("reg_covar", estimator.reg_covar, 0)
    check_choice("noise", estimator.noise, (True, False))
    check_start("init_params", estimator.init_params)
    check_integer("n_groups", estimator.n_groups, 2)


def fit_batch(
    estimator: MixtureOfExperts,
    owner: MixtureOfExperts,
    X: Any,
    *,
    y: Any = None,
    classes: Any = None,
    **extras: Any,
) -> None:
    """Fit `estimator`, a blank copy of `owner`; `classes` are all that there can be, those of y if None."""
    check_params(estimator)
    rng = estimator._random_generator()
    blocks = blocks_of(X, pairs=True)
    rest = (y, classes, Extras(**extras))
    if is_collection(X):
        data = partitioned(estimator, X, *rest)
    else:
        data = in_memory(estimator, X, *rest) if blocks is None else streamed(estimator, blocks, *rest)
    described = describe_cases(data.source)
    _check_size(described, estimator.n_components)
    before: State | None = getattr(owner, "_state", None) if owner.warm_start else None
    frame = Frame(described.scalings, scaling_of(described.y)) if before is None else before.frame
    source = data.source.scaled(frame.inputs)
    if isinstance(source, Elsewhere) and described.gate.n_rows < ALL_UNITS:
        source = CasesInMemory(joined(source))  # there is no reason to send work to few rows
    model = make_model(estimator, described, frame, rng)
    deque(each(model.experts.check, source), maxlen=0)
    least = SAMPLE_OF_CLASSES if estimator._n_classes() else SAMPLE
    problem = ExpertsProblem(model, source, _few(source, model, described, least, rng))
    n_starts = check_n_init(estimator.n_init)
    signature = signature_of(estimator, model, len(described.y.mean))
    if before is None:
        start, earlier = _only_start(estimator, problem, data, n_starts, rng), None
    else:
        start, earlier = _continued(before, signature), owner._earlier
    publish = partial(published, model, frame, data.is_flat)
    search = estimator._search(problem, n_starts, rng, owner, publish, start, earlier)
    best = search.best.result
    estimator._state = State(
        Fitted(model, best.params),
        data.views,
        frame,
        data.is_flat,
        estimator._chooses_inputs(),
        len(described.y.mean),
        signature,
        penalties_of(estimator),
        extras_given(extras),
    )
    set_published(estimator, best.params, best.stats)
    if isinstance(estimator.expert, str):
        estimator._online = first_state(best)
    estimator._record(search, model)
    notes = model.notes(best.params, best.stats.counts)
    if notes:
        warnings.warn("\n".join(notes), DegenerateSolutionWarning, stacklevel=callers_level())


class Frame(NamedTuple):
    """In which units a model works."""

    inputs: Scalings
    responses: Scaling


@dataclass(frozen=True, eq=False)
class State:
    """What a fitted estimator keeps."""

    fitted: Fitted
    views: Views
    frame: Frame
    is_flat: bool
    takes_anything: bool  # whether columns of X need not be numbers
    n_columns: int  # of y, as it is read
    signature: str
    penalties: str
    extras: tuple[str, ...]  # what was given for each row besides X, y and weights


@dataclass(frozen=True, eq=False)
class Data:
    """The cases of a fit.

    Attributes
    ----------
    source : CasesInMemory, Streamed or PartitionedCases
    views : Views
    is_flat : bool
        Whether y had one dimension.
    rows : ndarray or None
        Places of the rows in X; None if they are X's own in order.
    n_samples : int
        Rows of X, in memory.
    """

    source: CasesInMemory | Streamed | PartitionedCases
    views: Views
    is_flat: bool
    rows: np.ndarray | None = None
    n_samples: int = 0


def in_memory(estimator: MixtureOfExperts, X: Any, y: Any, classes: Any, extras: Extras) -> Data:
    responses.require(estimator, y)
    X = read_X(estimator, X, reset=True, anything=estimator._chooses_inputs())
    n = _num_samples(X)
    estimator._learn_responses(map(responses.labels_of, [y if classes is None else classes]))
    numbers = estimator._read_responses(y, n)
    views = read_views(estimator, *_with_weight(X, y, extras.sample_weight), GATES[estimator.gate].uses_inputs)
    reading = arrange(views.tables(X), numbers, None, extras, drop=True)
    return Data(CasesInMemory(reading.cases), views, estimator._is_flat(y), reading.rows, n)


def _with_weight(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """The rows of positive weight, of which alone a transformer is to learn."""
    weight = check_sample_weight(sample_weight, _num_samples(X), np.dtype(np.float64))
    if weight is None or weight.all():
        return X, y
    kept = np.flatnonzero(weight)
    return _safe_indexing(X, kept), _safe_indexing(y, kept)


def streamed(estimator: MixtureOfExperts, blocks: Any, y: Any, classes: Any, extras: Extras) -> Data:
    """Of a function that yields pairs (X, y)."""
    check_streamed(estimator, y, extras)
    first_X, first_y = next(((X, y) for X, y in pairs_of(blocks) if _num_samples(X)), (None, None))
    if first_X is None:
        raise ValueError("X is a function that yields no block of rows (n_samples=0)")
    head = read_X(estimator, first_X, reset=True, anything=estimator._chooses_inputs())
    responses.require(estimator, first_y)
    of_blocks = (y for _, y in pairs_of(blocks)) if classes is None else [classes]
    estimator._learn_responses(map(responses.labels_of, of_blocks))
    views = read_views(estimator, head, first_y, GATES[estimator.gate].uses_inputs)
    n_columns = estimator._read_responses(first_y, _num_samples(head)).shape[1]
    return Data(
        stream_of(estimator, blocks, views, n_columns, extras, "the first block"), views, estimator._is_flat(first_y)
    )


def check_streamed(estimator: MixtureOfExperts, y: Any, extras: Extras) -> None:
    """ValueError for what does not go with blocks."""
    if y is not None or any(extra is not None for extra in extras[1:]) or not isinstance(estimator.expert, str):
        raise ValueError(
            "X is a function that yields pairs (X, y), so y, block_id, offset and exposure must be None, and expert "
            f"one of the names; got y={y!r}, {extras._replace(sample_weight=None)} and expert={estimator.expert!r}"
        )


def stream_of(
    estimator: MixtureOfExperts, blocks: Any, views: Views, n_columns: int, extras: Extras, where: str
) -> Streamed:
    """The cases of blocks, whose y have as many columns as there were somewhere."""

    def read(X: Any, y: Any, weight: np.ndarray | None, scalings: Scalings | None) -> Cases:
        return read_cases(estimator, (X, y), views, n_columns, Extras(weight), where, scalings)

    return Streamed(blocks, read, check_sample_weight(extras.sample_weight, None, np.dtype(np.float64)))


def read_cases(
    estimator: MixtureOfExperts,
    pair: tuple[Any, Any],
    views: Views,
    n_columns: int,
    extras: Extras,
    where: str,
    scalings: Scalings | None,
) -> Cases:
    """Of a pair (X, y), known by how many features and columns of y there were somewhere."""
    rows = read_X(estimator, pair[0], reset=False, anything=estimator._chooses_inputs())
    responses.require(estimator, pair[1])
    numbers = estimator._read_responses(pair[1], _num_samples(rows))
    check_width(numbers, n_columns, where)
    return arrange(views.tables(rows), numbers, scalings, extras, drop=True).cases


def partitioned(estimator: MixtureOfExperts, X: Any, y: Any, classes: Any, extras: Extras) -> Data:
    """Of a dask collection, with what is beside it."""
    collected = Collected(estimator, X, y, extras)
    estimator._learn_responses(collected.labels() if classes is None else [responses.labels_of(classes)])
    views = read_views(estimator, collected.head, None, GATES[estimator.gate].uses_inputs)
    shape_of_y = y if not is_collection(y) else np.empty((1,) * y.ndim)
    return Data(PartitionedCases(collected, views), views, estimator._is_flat(shape_of_y))


def _check_size(described: Descriptions, k: int) -> None:
    n_blocks = described.gate.n_rows
    if n_blocks < k:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {n_blocks} (rows, or blocks "
            "of rows, of positive weight)"
        )


def make_model(
    estimator: MixtureOfExperts, described: Descriptions, frame: Frame, rng: np.random.Generator
) -> MixtureOfExpertsModel:
    k, n_inputs = estimator.n_components, len(described.inputs.mean)
    setting = Setting(k, n_inputs, frame.responses, described.low, described.high, estimator._n_classes())
    experts = estimator._make_experts(setting, rng.integers(2**31 - 1, size=k))
    return MixtureOfExpertsModel(_gate(estimator, len(described.gate.mean), frame.inputs.gate), experts)


def _gate(estimator: MixtureOfExperts, n_inputs: int, scaling: Scaling) -> Gate:
    kind, k, alpha = GATES[estimator.gate], estimator.n_components, float(estimator.gate_alpha)
    if kind is HierarchicalGate:
        return HierarchicalGate(k, n_inputs, alpha, min(estimator.n_groups, k))
    if kind is GaussianGate:
        if n_inputs == 0:
            raise ValueError("gate='gaussian' needs inputs, but gate_features has no columns")
        return GaussianGate(k, n_inputs, 0.0, float(estimator.reg_covar), float(np.log(scaling.scale).sum()))
    return kind(k, n_inputs, alpha)


def _few(
    source: Iterable[Cases],
    model: MixtureOfExpertsModel,
    described: Descriptions,
    least: int,
    rng: np.random.Generator,
) -> Cases | None:
    """A sample of the blocks, at least so many, of weight 1 each; None where they are few."""
    if described.gate.n_rows < ALL_UNITS:
        return None
    n_blocks = min(max(least, 100 * model.n_components * (1 + len(described.inputs.mean))), ALL_UNITS)
    return joined(draw_units(source, described.gate.weight, n_blocks, rng))


def _only_start(
    estimator: MixtureOfExperts,
    problem: ExpertsProblem,
    data: Data,
    n_starts: int | None,
    rng: np.random.Generator,
) -> ExpertsParams | None:
    """The start where there is only one."""
    if not isinstance(estimator.init_params, str):
        if not isinstance(data.source, CasesInMemory):
            raise ValueError("init_params must be 'auto' where X is a function or a dask collection")
        cases = joined(problem.source)
        resp = check_responsibilities(estimator.init_params, data.n_samples, estimator.n_components)
        resp = resp if data.rows is None else resp[data.rows]
        if cases.sizes is not None:
            resp = cases.sum_in_blocks(resp) / cases.sizes[:, None]
        return problem.model.from_responsibilities(cases, resp)
    if n_starts == 1 or estimator.n_components == 1 or estimator.max_iter == 0:
        return problem.draw(0, rng.spawn(1)[0])
    return None


def signature_of(estimator: MixtureOfExperts, model: MixtureOfExpertsModel, n_columns: int) -> str:
    """What must be the same if a fit is to be continued."""
    experts = model.experts
    return (
        f"n_components={estimator.n_components}, expert={estimator.expert!r}, gate={estimator.gate!r}, "
        f"n_groups={estimator.n_groups}, covariance_type={getattr(estimator, 'covariance_type', None)!r}, "
        f"noise={estimator.noise}, expert_features={estimator.expert_features!r}, "
        f"gate_features={estimator.gate_features!r}, {model.gate.n_inputs} inputs of the gate, "
        f"{experts.n_free()} parameters of experts for y of {n_columns} column(s), {estimator._about_responses()}"
    )


def penalties_of(estimator: MixtureOfExperts) -> str:
    """What batches cannot change either."""
    return f"alpha={estimator.alpha!r}, gate_alpha={estimator.gate_alpha!r} and reg_covar={estimator.reg_covar!r}"


def extras_given(extras: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in EXTRAS if extras.get(name) is not None)


def set_published(estimator: MixtureOfExperts, params: ExpertsParams, stats: ExpertsStats) -> None:
    """Fitted attributes that hold parameters, of an estimator that has its state."""
    state: State = estimator._state
    shares = {"weights_": stats.counts / stats.counts.sum()}  # unless they are parameters of the gate
    values = published(state.fitted.model, state.frame, state.is_flat, params)
    for name, value in {**shares, **values}.items():
        setattr(estimator, name, value)


def _continued(before: State, signature: str) -> ExpertsParams:
    if signature != before.signature:
        raise ValueError(f"warm_start=True continues a fit of {before.signature}, but now it would be {signature}")
    return before.fitted.params


def published(model: MixtureOfExpertsModel, frame: Frame, is_flat: bool, params: ExpertsParams) -> dict[str, Any]:
    """Fitted attributes that hold parameters, in the user's units; without the axis of responses if y has none."""
    parts = model.experts.parts(params.experts, frame.inputs.experts)
    gate = model.gate.parts(params.gate, frame.inputs.gate)
    return {**(_flat(parts) if is_flat else parts), **gate}


def _flat(parts: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value[:, 0] if name in ("coef_", "intercept_") else value for name, value in parts.items()}
    if "covariances_" in flat:
        flat["scale_"] = np.sqrt(flat.pop("covariances_")[:, 0, 0])
    if "variances_" in flat:
        flat["scale_"] = np.sqrt(flat.pop("variances_")[:, 0])
    return flat
