"""What `fit` of EMHiddenMarkov does, between raw input and fitted attributes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from sklearn.exceptions import NotFittedError

from .._validation import (
    check_array,
    check_choice,
    check_integer,
    check_n_init,
    check_number,
    check_responsibilities,
    check_rows,
    check_start,
)
from ..engine import UnusableStartError
from ..executors import each
from ..families.base import Family, Options
from ..families.covariance import COVARIANCES
from ..families.table import family_class, family_of_chunks
from ..kernels import _markov as kernels
from ..online import OnlineState, first_state
from ..partitions import is_collection
from .chain import STARTS, Chain, expected_durations, shares_of, stationary_distribution, without_nevers
from .model import PARAMETERS, HiddenMarkovModel, HiddenMarkovParams, HiddenMarkovStats
from .partitioned import collected
from .problem import HiddenMarkovProblem
from .reading import Table, as_sequences, read, to_grouped
from .sequences import Sequences, split
from .smoothing import ImpossibleRowError, filtered
from .starts import Starts
from .streams import SequenceSource, source_of
from .training import Training, training_of_blocks, training_of_partitions, training_of_table

if TYPE_CHECKING:
    from .estimator import EMHiddenMarkov

Result = TypeVar("Result")
CHUNK_ROWS = 10_000
GIVEN = ("means", "covariances", "emissionprob", "rates", "weights", "degrees_of_freedom")


class Online(NamedTuple):
    """What `partial_fit` goes on from: the family of the first batch, and the averaged statistics."""

    family: Family
    state: OnlineState[HiddenMarkovParams, HiddenMarkovStats]


def fit(estimator: EMHiddenMarkov, owner: EMHiddenMarkov, X: Any, **metadata: Any) -> None:
    """Fit `estimator`, a blank copy of `owner`, by EM on all sequences."""
    check_params(estimator)
    options, rng = options_of(estimator), estimator._random_generator()
    data = _read(estimator, X, rng.spawn(1)[0], metadata)
    check_rows(data.n_rows, data.unobserved, estimator.n_components, least=1)
    family = family_of_chunks(
        estimator.emission, "emission", estimator.n_components, options, data.rows, data.described, data.places
    )
    model = make_model(estimator, family)
    given = given_start(estimator, model)
    source = data.source.checked_by(family) if isinstance(data.source, SequenceSource) else data.source
    problem = HiddenMarkovProblem(model, source, data.sample, given)
    n_starts = _n_starts(estimator, model, given, data.labels)
    earlier = owner._earlier if owner.warm_start and hasattr(owner, "_earlier") else None
    start: HiddenMarkovParams | None = None
    if earlier is not None:
        start = _continued(owner, estimator.emission, options, model)
    elif not isinstance(estimator.init_params, str):
        (table,) = data.tables()
        resp = check_responsibilities(estimator.init_params, table.n_rows, estimator.n_components)
        start = Starts(model, as_sequences(table), given).from_responsibilities(to_grouped(resp, table))
    elif n_starts == 1:
        start = problem.draw(0, rng.spawn(1)[0])
    try:
        search = estimator._search(problem, n_starts, rng, owner, partial(published, model), start, earlier)
    except ImpossibleRowError:
        name_impossible_row(model, problem.draw(0, rng) if start is None else start, data.tables)
        raise UnusableStartError(
            "EM cannot go on from any start: under each, some row has probability zero. Look for rows that labels or "
            "the zeros of transmat_init, startprob_init or emissionprob_init rule out"
        ) from None
    best = search.best.result
    publish(estimator, model, best.params)
    estimator.n_sequences_ = data.n_sequences
    estimator._fitted_type = (estimator.emission, options)
    estimator._online = Online(model.family, first_state(best))
    estimator._record(search, model)


def _read(estimator: EMHiddenMarkov, X: Any, rng: np.random.Generator, metadata: dict[str, Any]) -> Training:
    """The training data; where no start is given for each row, they may be read block by block."""
    rows = chunk_rows(estimator.n_components)
    cuts = make_chain(estimator).allows_all  # else a stretch could not begin anywhere
    starts_from_rows = not isinstance(estimator.init_params, str)
    if is_collection(X):
        if starts_from_rows:
            raise ValueError("init_params must be 'auto' where X is a dask collection")
        return training_of_partitions(collected(estimator, X, reset=True, **metadata), rows, cuts, rng)
    source = None
    if callable(X) or hasattr(X, "__next__") or not starts_from_rows:
        source = source_of(estimator, X, rows, reset=True, **metadata)
    if source is None:
        return training_of_table(read(estimator, X, reset=True, **metadata), rows, cuts, rng)
    if starts_from_rows:
        raise ValueError("init_params must be 'auto' where X is read block by block")
    return training_of_blocks(source, cuts, rng)


def chunk_rows(n_components: int) -> int:
    """Rows of a chunk, so that its densities stay in the processor's cache."""
    return CHUNK_ROWS // (1 + kernels.padded_width(n_components) // 9)


class Place(NamedTuple):
    """Where a chunk stands in the table: its grouped rows and its sequences."""

    rows: slice
    sequences: slice


def by_chunk(
    function: Callable[[HiddenMarkovModel, HiddenMarkovParams, Sequences], Result],
    model: HiddenMarkovModel,
    params: HiddenMarkovParams,
    table: Table,
) -> Iterator[tuple[Place, Result]]:
    """The function of each chunk; an impossible row is named as the user counts."""
    row, sequence = 0, 0
    for chunk in split(as_sequences(table), chunk_rows(len(params.startprob))):
        place = Place(slice(row, row + len(chunk.rows)), slice(sequence, sequence + len(chunk)))
        try:
            yield place, function(model, params, chunk)
        except ImpossibleRowError as error:
            grouped = row + error.row
            raise ImpossibleRowError(
                table.passed(grouped if table.order is None else int(table.order[grouped]))
            ) from None
        row, sequence = place.rows.stop, place.sequences.stop


def name_impossible_row(
    model: HiddenMarkovModel, params: HiddenMarkovParams, tables: Callable[[], Iterable[Table]]
) -> None:
    """ImpossibleRowError for the first row that these parameters rule out, as the user counts; if there is one."""
    deque(each(partial(_look_for_impossible, model, params), tables()), maxlen=0)


def _look_for_impossible(model: HiddenMarkovModel, params: HiddenMarkovParams, table: Table) -> None:
    deque(by_chunk(filtered, model, params, table), maxlen=0)


def check_params(estimator: EMHiddenMarkov) -> None:
    """ValueError for a constructor argument that is out of range."""
    estimator._check_shared_params()
    check_choice("covariance_type", estimator.covariance_type, tuple(COVARIANCES))
    check_number("reg_covar", estimator.reg_covar, 0)
    check_integer("n_mix", estimator.n_mix, 1)
    check_choice("start", estimator.start, STARTS)
    check_choice("decoder", estimator.decoder, ("viterbi", "map"))
    check_number("sticky", estimator.sticky, 0)
    check_start("init_params", estimator.init_params)
    names = (*PARAMETERS, *family_class(estimator.emission).names)
    fixed = estimator.fixed
    if not isinstance(fixed, tuple | list | set | frozenset) or any(name not in names for name in fixed):
        raise ValueError(f"fixed must be a tuple of names among {names}, but got {fixed!r}")


def options_of(estimator: EMHiddenMarkov) -> Options:
    return Options(
        estimator.covariance_type,
        estimator.reg_covar,
        estimator.n_mix,
        estimator.n_symbols,
        estimator.emissionprob_prior,
    )


def make_model(estimator: EMHiddenMarkov, family: Family) -> HiddenMarkovModel:
    fixed = frozenset(estimator.fixed) - frozenset(PARAMETERS)
    return HiddenMarkovModel(family, make_chain(estimator), fixed, can_accelerate=family.has_vector)


def make_chain(estimator: EMHiddenMarkov) -> Chain:
    k = estimator.n_components
    startprob, transmat = _given_chain(estimator)
    prior = _prior("transmat_prior", estimator.transmat_prior, (k, k)) + float(estimator.sticky) * np.eye(k)
    return Chain(
        estimator.start,
        _prior("startprob_prior", estimator.startprob_prior, (k,)),
        prior,
        np.ones(k, dtype=bool) if startprob is None else startprob > 0,
        np.ones((k, k), dtype=bool) if transmat is None else transmat > 0,
        frozenset(estimator.fixed) & frozenset(PARAMETERS),
    )


def _given_chain(estimator: EMHiddenMarkov) -> tuple[np.ndarray | None, np.ndarray | None]:
    k = estimator.n_components
    startprob, transmat = estimator.startprob_init, estimator.transmat_init
    if startprob is not None:
        startprob = without_nevers(_probabilities("startprob_init", startprob, (k,)))
        if estimator.start != "free":
            raise ValueError(f"startprob_init must be None where start={estimator.start!r} says what it is")
    if transmat is not None:
        transmat = without_nevers(_probabilities("transmat_init", transmat, (k, k)))
    return startprob, transmat


def _probabilities(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = check_array(name, value, shape, name.removesuffix("_init"))
    if (array < 0).any():
        raise ValueError(f"{name} must not be negative, but holds {array.min()}")
    total = array.sum(axis=-1, keepdims=True)
    wrong = np.flatnonzero(np.abs(total - 1) > 1e-6)
    if len(wrong):
        where = f"row {wrong[0]} of {name}" if array.ndim == 2 else name
        raise ValueError(
            f"{name} must hold probabilities, but {where} sums to {total.flat[wrong[0]]:.10g} instead of 1"
        )
    return np.where(np.abs(total - 1) < 1e-12, array, array / total)


def _prior(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    value = np.full(shape, value) if np.ndim(value) == 0 else value
    array = check_array(name, value, shape, name)
    if (array < 1).any():
        raise ValueError(f"{name} must be at least 1 (1 is maximum likelihood), but holds {array.min()}")
    return array


def given_start(estimator: EMHiddenMarkov, model: HiddenMarkovModel) -> dict[str, Any]:
    """The parts of a start that the user gave, checked."""
    startprob, transmat = _given_chain(estimator)
    given = {
        name: model.family.check_part(name, getattr(estimator, f"{name}_init"))
        for name in GIVEN
        if getattr(estimator, f"{name}_init") is not None
    }
    for name, value in (("startprob", startprob), ("transmat", transmat)):
        if value is not None:
            given[name] = value
    return given


def _n_starts(
    estimator: EMHiddenMarkov, model: HiddenMarkovModel, given: dict[str, Any], labels: np.ndarray | None
) -> int | None:
    """Number of full starts; None for a race of short ones, 1 where nothing is left to chance."""
    n_starts = check_n_init(estimator.n_init)
    labelled = labels is not None and len(np.unique(labels[labels >= 0])) == estimator.n_components
    has_means = "means" in given and given["means"].shape[1:] == (model.family.n_features,)
    certain = labelled or has_means or set(model.family.names) <= set(given)
    if certain or estimator.n_components == 1 or (n_starts is None and estimator.max_iter == 0):
        return 1
    return n_starts


def _continued(owner: EMHiddenMarkov, emission: Any, options: Options, model: HiddenMarkovModel) -> HiddenMarkovParams:
    """Where the previous fit ended, under the rules of now; ValueError if it was a fit of another model."""
    before, params = fitted_model(owner)
    (then, then_options), family, chain = owner._fitted_type, model.family, model.chain
    settings = {
        "n_components": (before.family.n_components, family.n_components),
        "n_features": (before.family.n_features, family.n_features),
        "emission": (then, emission),
        "covariance_type": (then_options.covariance_type, options.covariance_type),
    }
    check_continues("warm_start=True", settings)
    try:
        parts = family.from_parts(before.family.parts(params.emission))
    except ValueError as error:
        raise ValueError(
            f"warm_start=True continues a fit with n_mix={then_options.n_mix} and the symbols that it had seen, "
            "but now there are others"
        ) from error
    even = chain.moves_allowed / chain.moves_allowed.sum(axis=1, keepdims=True)
    transmat = shares_of(np.where(chain.moves_allowed, params.transmat, 0.0), even)
    startprob = shares_of(
        np.where(chain.start_allowed, params.startprob, 0.0), chain.start_allowed / chain.start_allowed.sum()
    )
    return HiddenMarkovParams(chain.start_of(startprob, transmat), transmat, parts)


def publish(estimator: EMHiddenMarkov, model: HiddenMarkovModel, params: HiddenMarkovParams) -> None:
    for name, value in published(model, params).items():
        setattr(estimator, name, value)


def check_continues(what: str, settings: dict[str, tuple[Any, Any]]) -> None:
    """ValueError if `what` would continue a fit with other settings; of each, those of then and now."""
    for name, (then, now) in settings.items():
        if then is not now and not np.array_equal(then, now):
            raise ValueError(f"{what} continues a fit with {name}={then!r}, but now {name}={now!r}")


def published(model: HiddenMarkovModel, params: HiddenMarkovParams) -> dict[str, Any]:
    """Fitted attributes that hold parameters."""
    return {
        "startprob_": params.startprob,
        "transmat_": params.transmat,
        **{f"{name}_": value for name, value in model.family.parts(params.emission).items()},
        "stationary_distribution_": stationary_distribution(params.transmat),
        "expected_durations_": expected_durations(params.transmat),
    }


def fitted_model(estimator: EMHiddenMarkov) -> tuple[HiddenMarkovModel, HiddenMarkovParams]:
    """The model and parameters of a fitted estimator, or of one whose attributes were set by hand."""
    emission, options = getattr(estimator, "_fitted_type", (estimator.emission, None))
    options = options_of(estimator) if options is None else options
    kind = family_class(emission)
    missing = [f"{name}_" for name in ("startprob", "transmat", *kind.names) if not hasattr(estimator, f"{name}_")]
    if missing:
        raise NotFittedError(f"EMHiddenMarkov has no attributes {missing}: call fit, or set all of its parameters")
    k = np.size(estimator.startprob_)
    startprob = _probabilities("startprob_", estimator.startprob_, (k,))
    transmat = _probabilities("transmat_", estimator.transmat_, (k, k))
    parts = {name: _as_part(getattr(estimator, f"{name}_")) for name in kind.names}
    family = _family_of(kind, k, options, parts)
    ones = np.ones((k, k))
    rules = Chain(estimator.start, ones[0], ones, startprob > 0, transmat > 0)
    model = HiddenMarkovModel(family, rules, can_accelerate=family.has_vector)
    return model, HiddenMarkovParams(startprob, transmat, family.from_parts(parts))


def _family_of(kind: Any, k: int, options: Options, parts: dict[str, Any]) -> Family:
    """The family of given parts; ValueError where a user has set one that is not possible."""
    try:
        family: Family = kind.for_parts(k, options, parts)
        for name, value in parts.items():
            if type(family).check_part is not Family.check_part:
                family.check_part(name, value)
    except (IndexError, TypeError, ValueError) as error:
        shapes = {f"{name}_": np.shape(v) if isinstance(v, np.ndarray) else "list" for name, v in parts.items()}
        reason = str(error).replace("_init", "_")
        raise ValueError(f"the attributes of shapes {shapes} are not parameters of {k} states: {reason}") from error
    return family


def _as_part(value: Any) -> Any:
    """An array, or a list of one for each column, of what a user may have set by hand."""
    if isinstance(value, list) and np.ndim(value[0]) == 2:
        return [np.asarray(element, dtype=np.float64) for element in value]
    return np.asarray(value, dtype=np.float64)
