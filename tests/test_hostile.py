"""Hostile input to every estimator: a finite fit, or an error that says what is wrong. The tables: `hostile_cases`."""

import re
from functools import cache

import numpy as np
import pytest
from all_estimators import (
    COLUMNS,
    OF_ROWS,
    N,
    assert_same,
    attributes,
    fit,
    leaves,
    only_documented_warnings,
    outputs,
)
from hostile_cases import (
    BATCH,
    BATCHES,
    BOOLEANS,
    FLOATS,
    GAPS,
    INTEGERS,
    LATER,
    SAME_TARGETS,
    SAME_WEIGHTS,
    SEQUENCE,
    SUPERVISED,
    TARGETS,
    TYPES,
    VALUES,
    WEIGHT,
    WEIGHTS,
    cells,
)
from numpy.testing import assert_allclose
from sklearn.utils.validation import _num_samples

DOCUMENTED = {  # attributes that need not be finite
    "statistics_": np.isnan,  # of an imputer: NaN for a column without a value
    "expected_durations_": lambda value: value == np.inf,  # of a state that is never left
    "change": np.isnan,  # of the first iteration in `history_`
}


def assert_finite(name, value):
    for leaf, array in leaves(name, value):
        if array.dtype.kind == "f":
            allowed = DOCUMENTED.get(leaf, np.zeros_like)(array).astype(bool)
            assert np.isfinite(array[~allowed]).all(), (name, leaf, array)


def assert_sound(model, X, y=None):
    """All that a fitted estimator knows and says of its training rows is finite and of the right shape."""
    n = _num_samples(X)
    for name, value in attributes(model).items():
        if name != "results_":  # NaN is what is not known
            assert_finite(name, value)
    for name, value in outputs(model, X, y).items():
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), (name, value)
        if name != "score":
            assert len(value) == n, name
        if "proba" in name:
            assert_allclose(value.sum(axis=1), 1, rtol=1e-5)
            assert (value >= 0).all()


def assert_refused(column, answer, X, y=None, **metadata):
    model = column.make()
    with only_documented_warnings(), pytest.raises((ValueError, TypeError)) as caught:
        model.fit(X, **({} if y is None else {"y": y}), **metadata)
    assert re.search(answer, str(caught.value), re.DOTALL), str(caught.value)
    assert not [name for name in vars(model) if name.endswith("_")]


def responses(column, X):
    """The first and the last, so that both clusters are there."""
    n = X.shape[0] if getattr(X, "shape", ()) else N
    return None if column.y is None else np.r_[column.y[: n // 2], column.y[N - (n - n // 2) :]]


@pytest.mark.parametrize(("row", "name"), cells(VALUES) + cells(TYPES))
def test_fit(row, name):
    column = COLUMNS[name]
    X, answer = row.make(column.X), row.answer_of(name)
    y = responses(column, X)
    if answer is not None:
        assert_refused(column, answer, X, y)
        return
    with only_documented_warnings():
        assert_sound(fit(column, X, y), X, y)


@cache
def fitted(name):
    with only_documented_warnings():
        return fit(COLUMNS[name], COLUMNS[name].X, COLUMNS[name].y)


@pytest.mark.parametrize(("row", "name"), cells(LATER))
def test_later(row, name):
    """Rows that a fitted estimator is given."""
    model, X, answer = fitted(name), row.make(COLUMNS[name].X), row.answer_of(name)
    y = responses(COLUMNS[name], X)
    if answer is None:
        with only_documented_warnings():
            for said, value in outputs(model, X, y).items():
                assert not np.isnan(value).any()
                assert said == "score" or np.isfinite(value).all()  # R squared may overflow
        return
    for method in (*OF_ROWS, "score_samples", "score"):
        if hasattr(model, method):
            given = (y,) if y is not None and method in ("score_samples", "score") else ()
            with only_documented_warnings(), pytest.raises((ValueError, TypeError)) as caught:
                getattr(model, method)(X, *given)
            assert re.search(answer, str(caught.value), re.DOTALL), (method, str(caught.value))


@pytest.mark.parametrize(("row", "name"), cells(BATCHES, BATCH))
def test_second_batch(row, name):
    """A batch that is refused leaves the estimator as it was."""
    column, answer = COLUMNS[name], row.answer_of(name)
    with only_documented_warnings():
        model = column.make().partial_fit(column.X)
        before = attributes(model)
        if answer is None:
            model.partial_fit(row.make(column.X))
            for attribute, value in attributes(model).items():
                assert_finite(attribute, value)
            sequence = {"sequence_id": np.zeros(N)} if name.startswith("markov") else {}
            assert np.isfinite(model.score_samples(column.X, **sequence)).all()
            return
        with pytest.raises((ValueError, TypeError)) as caught:
            model.partial_fit(row.make(column.X))
    assert re.search(answer, str(caught.value), re.DOTALL), str(caught.value)
    assert_same(attributes(model), before)


# --- weights ------------------------------------------------------------------------------------------------------


def weighted(name, weight, X=None, y=None, kept=slice(None)):
    """What is fitted; rows of a hidden Markov model are sequences."""
    column = COLUMNS[name]
    metadata = {"sequence_id": SEQUENCE[kept]} if name.startswith("markov") else {}
    y = None if column.y is None else column.y[kept]
    return column, column.X[kept], y, {**metadata, "sample_weight": weight}


@pytest.mark.parametrize(("row", "name"), cells(WEIGHTS))
def test_weights(row, name):
    column, X, y, metadata = weighted(name, row.make(WEIGHT.copy()))
    if row.answer_of(name) is not None:
        assert_refused(column, row.answer_of(name), X, y, **metadata)
        return
    with only_documented_warnings():
        model = fit(column, X, y, **metadata)
        for attribute, value in attributes(model).items():
            if attribute != "results_":
                assert_finite(attribute, value)


@cache
def weighted_fit(name):
    column, X, y, metadata = weighted(name, WEIGHT)
    with only_documented_warnings():
        return attributes(fit(column, X, y, **metadata))


@pytest.mark.parametrize(("row", "name"), cells(SAME_WEIGHTS))
def test_weights_in_another_dress(row, name):
    column, X, y, metadata = weighted(name, row.make(WEIGHT.copy()))
    with only_documented_warnings():
        assert_same(attributes(fit(column, X, y, **metadata)), weighted_fit(name))


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_of_weight_zero_are_none(name):
    kept = SEQUENCE != 1
    column, X, y, metadata = weighted(name, WEIGHT * kept)
    with only_documented_warnings():
        model = fit(column, X, y, **metadata)
        column, X, y, metadata = weighted(name, WEIGHT[kept], kept=kept)
        assert_same(attributes(model), attributes(fit(column, X, y, **metadata)))


# --- responses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "name"), cells(TARGETS, SUPERVISED))
def test_responses(row, name):
    column = COLUMNS[name]
    X, y = column.X, row.make(column.y)
    if row.answer_of(name) is not None:
        assert_refused(column, row.answer_of(name), X, y)
        return
    with only_documented_warnings():
        assert_sound(fit(column, X, y), X, y)


@pytest.mark.parametrize(("row", "name"), cells(SAME_TARGETS, SUPERVISED))
def test_responses_in_another_dress(row, name):
    column = COLUMNS[name]
    with only_documented_warnings():
        model = fit(column, column.X, row.make(column.y))
    assert_same(attributes(model), plain_fit(name, 1, False)[0])


# --- equal values in another dress --------------------------------------------------------------------------------


@cache
def plain_fit(name, times, step):
    """A fit to a plain array, and what it says of it."""
    column = COLUMNS[name]
    X = plain_table(name, times, step)
    with only_documented_warnings():
        model = fit(column, X, column.y)
        return attributes(model), outputs(model, X, column.y)


def plain_table(name, times, gaps):
    X = COLUMNS[name].X * times
    if times == 0:
        X = (COLUMNS[name].X > 0) * 1.0
    if gaps:
        X = np.rint(X)
        X[3::7, 1] = X[2::9, 0] = np.nan
    return X


def check_dress(row, name, times, gaps=False):
    column = COLUMNS[name]
    X, answer = row.make(plain_table(name, times, gaps)), row.answer_of(name)
    if answer not in (None, "about"):
        assert_refused(column, answer, X, column.y)
        return
    expected, said = plain_fit(name, times, gaps)
    with only_documented_warnings():
        model = fit(column, X, column.y)
        found, says = attributes(model), outputs(model, X, column.y)
    found.pop("feature_names_in_", None)
    if answer == "about":
        (objective,) = found.keys() & {"objective_", "best_score_"}
        assert_allclose(found[objective], expected[objective], rtol=1e-4)
        return
    assert_same(found, expected)
    assert_same(says, said)


@pytest.mark.parametrize(("row", "name"), cells(FLOATS))
def test_floats_in_another_dress(row, name):
    check_dress(row, name, 1)


@pytest.mark.parametrize(("row", "name"), cells(INTEGERS))
def test_integers(row, name):
    check_dress(row, name, 1 if COLUMNS[name].kind == "bits" else 4)


@pytest.mark.parametrize(("row", "name"), cells(BOOLEANS))
def test_booleans(row, name):
    check_dress(row, name, 0)


@pytest.mark.parametrize(("row", "name"), cells(GAPS))
def test_gaps_in_another_dress(row, name):
    check_dress(row, name, 1, True)
