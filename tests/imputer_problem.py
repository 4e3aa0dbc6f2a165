"""Tables with gaps, an imputer of few parameters, and what must hold of filled tables."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from emkit import EMImputer

pl = pytest.importorskip("polars")

MODELS = ("gaussian", "copula", "mixture", "factor")
ALL_MODELS = (*MODELS, "latent_class")
nan = np.nan


def case(*values):
    return pytest.param(*values)


def make(model="auto", **options):
    few = {"mixture": {"n_components": 2, "n_init": 1}, "factor": {"n_components": 1}}
    few["latent_class"] = few["mixture"]
    return EMImputer(model, random_state=0, **{**few.get(model, {}), **options})


def with_holes(table, share=0.2, seed=1):
    table = np.array(table, dtype=np.float64)
    table[np.random.default_rng(seed).random(table.shape) < share] = nan
    return table


def numbers(n=60, seed=0):
    z = np.random.default_rng(seed).normal(size=(n, 4))
    z[:, 1] += z[:, 0]
    z[:, 2] -= z[:, 0]
    return z


X = with_holes(numbers())
LEVELS = pd.DataFrame(
    {
        "colour": np.select([numbers()[:, 0] > 0.4, numbers()[:, 0] > -0.4], ["red", "white"], "blue").astype(object),
        "size": pd.Categorical(np.where(numbers()[:, 1] > 0, "L", "S"), categories=["S", "M", "L"], ordered=True),
        "flag": pd.array(numbers()[:, 2] > 0, dtype="boolean"),
    }
)
for _j, _name in enumerate(LEVELS):
    LEVELS.loc[_j :: 5 + _j, _name] = None
MIXED = pd.concat([pd.DataFrame(X, columns=list("abcd")), LEVELS], axis=1)
SMALL = pd.DataFrame({"a": [1.0, nan, 2, 3], "c": ["x", "y", None, "x"]}, dtype=object).astype({"a": float})


def table_for(model):
    return LEVELS if model == "latent_class" else MIXED


def n_gaps(table):
    if isinstance(table, pl.DataFrame):
        return sum(
            column.is_null().sum() + (column.is_nan().sum() if column.dtype.is_float() else 0) for column in table
        )
    return int(pd.isna(table).to_numpy().sum()) if isinstance(table, pd.DataFrame) else int(pd.isna(table).sum())


def objects(table):
    return table.to_numpy().astype(object) if isinstance(table, pl.DataFrame) else np.asarray(table, dtype=object)


def assert_observed_stay(before, after):
    before, after = objects(before), objects(after)
    observed = ~pd.isna(before)
    assert (before[observed] == after[observed]).all()


def assert_complete(imputer, table, n_imputations=1):
    """Nothing that the imputer gives has a gap, and what was observed is as it was."""
    tables = [imputer.transform(table), *imputer.predict_interval(table)]
    if imputer._state.training is not None:
        tables += imputer.impute(table, n_imputations)
    for out in tables:
        assert n_gaps(out) == 0
        assert_observed_stay(table, out)
        if isinstance(table, pd.DataFrame):
            assert list(out.columns) == list(table.columns)
            assert out.index.equals(table.index)
    kinds = list(imputer.column_kinds_.values())
    low, high = (objects(one) for one in tables[1:3])
    for j, kind in enumerate(kinds):
        if kind in ("continuous", "count"):
            assert (low[:, j].astype(float) <= high[:, j].astype(float)).all()
            assert np.isfinite(objects(tables[0])[:, j].astype(float)).all()
    error = imputer.standard_error(table)
    assert error.shape == table.shape
    assert (error >= 0).all()  # and not NaN
    assert (error[~pd.isna(objects(table))] == 0).all()
    for j, kind in enumerate(kinds):
        if kind in ("ordinal", "nominal"):
            proba = imputer.predict_category_proba(table, j)
            assert (proba >= 0).all()
            assert_allclose(proba.sum(axis=1), 1)
    assert_allclose(imputer.predict_proba(table).sum(axis=1), 1)
    assert np.isfinite(imputer.score_samples(table)).all()
    assert np.isfinite(imputer.location_).all()
    assert np.isfinite(imputer.covariance_).all()


def assert_refused(imputer, message, data=X, call="fit", **metadata):
    with pytest.raises(ValueError, match=message):
        getattr(imputer, call)(data, **metadata)
    assert not [name for name in vars(imputer) if name.endswith("_") or name == "_state"]
