"""EMImputer fitted to tables that are read block by block: the result is that of one table."""

import gc
import tracemalloc
import warnings
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from emkit import EMGaussianMixture, EMImputer
from emkit.chunks import CHUNK_ROWS
from emkit.imputer.digests import column_of, digest
from emkit.imputer.tables import cells_of, read_training
from emkit.imputer.tallies import ENDS, MOST_VALUES, moments, ranks
from emkit.online import fit_in_passes

N = 500
MODELS = {
    "gaussian": {"model": "gaussian"},
    "ranks": {"model": "copula"},
    "factor": {"model": "factor", "n_components": 1},
    "auto factors": {"model": "factor"},
    "mixture": {"model": "mixture", "n_components": 2},
    "auto mixture": {"model": "mixture"},
}
WEIGHT = np.random.default_rng(3).integers(0, 3, N) * 0.5


def numbers(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 1)) + 0.5 * rng.standard_normal((n, 4))
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


def frame(n=N, seed=0):
    X = numbers(n, seed)
    words = np.select([np.isnan(X[:, 2]), X[:, 2] > 0.5, X[:, 2] > -0.5], [None, "high", "middle"], "low")
    return pd.DataFrame({"a": X[:, 0], "skewed": np.exp(X[:, 1]), "word": words, "is_large": X[:, 3] > 0.3})


def parts_of(table, cuts=(0, 7, 7, 8, 200, 350)):
    """Among them an empty one, and one of a single row."""
    slices = [slice(*pair) for pair in zip(cuts, (*cuts[1:], len(table)), strict=True)]
    return [table.iloc[part] if hasattr(table, "iloc") else table[part] for part in slices]


def reader_of(table, **options):
    parts = parts_of(table, **options)
    return lambda: iter(parts)


def fits(table, blocks, weight=None, **options):
    options = {"random_state": 0, **options}
    return (EMImputer(**options).fit(X, sample_weight=weight) for X in (table, blocks))


def assert_same(one, other, rtol=1e-8):
    assert (one.model_, one.n_components_, one.column_kinds_) == (
        *(other.model_, other.n_components_, other.column_kinds_),
    )
    assert one.categories_ == other.categories_
    assert other.objective_ == pytest.approx(one.objective_, rel=rtol)
    for name in ("location_", "covariance_"):
        assert_allclose(getattr(other, name), getattr(one, name), rtol=rtol, atol=rtol)
    assert (one.n_features_in_, one.n_parameters_, one.ridge_) == (
        *(other.n_features_in_, other.n_parameters_, other.ridge_),
    )


class TestOneTable:
    @pytest.mark.parametrize("weight", [None, WEIGHT])
    @pytest.mark.parametrize("name", MODELS)
    def test_numbers(self, name, weight):
        X = numbers()
        for blocks in (parts_of(X), reader_of(X)):
            one, other = fits(X, blocks, weight, **MODELS[name])
            assert_same(one, other)
            assert other.n_iter_ == one.n_iter_
            assert_allclose(other.transform(X), one.transform(X), rtol=1e-7, atol=1e-7)

    @pytest.mark.parametrize("name", ["gaussian", "factor", "mixture"])
    def test_frames(self, name):
        table = frame()
        one, other = fits(table, reader_of(table), WEIGHT, **MODELS[name])
        assert_same(one, other)
        assert_array_equal(other.feature_names_in_, table.columns)
        assert_frame_equal(other.transform(table), one.transform(table), rtol=1e-6)
        assert_array_equal(
            np.concatenate(list(map(other.score_samples, parts_of(table)[3:]))), other.score_samples(table[8:])
        )

    def test_intervals_up_to_the_tolerance(self):
        """Expectation propagation begins anew in each pass."""
        table = frame()
        one, other = fits(table, reader_of(table), tol=1e-11)
        assert one.model_ == "copula"
        assert_same(one, other, rtol=1e-4)

    def test_classes(self):
        table = frame()[["word", "is_large"]].astype({"is_large": str})
        one, other = fits(table, reader_of(table), WEIGHT, n_components=2)
        assert one.model_ == "latent_class"
        assert_same(one, other)

    def test_frames_of_polars(self):
        table = pl.from_pandas(frame())
        one, other = fits(table, reader_of(table), model="gaussian")
        assert_same(one, other)
        assert other.transform(table).schema == table.schema

    @pytest.mark.parametrize("name", ["mixture", "factor"])
    def test_bits_where_chunks_are_the_same(self, name):
        """Those of "factor" are longer than the table."""
        X = numbers(3 * CHUNK_ROWS)
        cuts = (0, CHUNK_ROWS, 2 * CHUNK_ROWS) if name == "mixture" else (0,)
        one, other = fits(X, reader_of(X, cuts=cuts), **MODELS[name])
        assert one.objective_ == other.objective_
        for attribute in ("location_", "covariance_"):
            assert_array_equal(getattr(one, attribute), getattr(other, attribute))

    def test_threads(self):
        X = numbers()
        one, other = (EMImputer("gaussian", n_jobs=n_jobs).fit(reader_of(X)) for n_jobs in (1, 2))
        assert_array_equal(one.covariance_, other.covariance_)

    def test_what_is_missing_where(self):
        X = numbers()
        X[:, 1] = np.nan  # without a value
        X[:300, 2] = np.nan
        X[:, 3] = np.where(np.isnan(X[:, 3]), 0, X[:, 3])  # without a gap
        one, other = fits(X, reader_of(X), model="gaussian", add_indicator=True, keep_empty_features=True)
        assert_array_equal(one.indicator_.features_, other.indicator_.features_)
        assert_allclose(one.transform(X), other.transform(X), rtol=1e-7, atol=1e-7)

    def test_marker(self):
        X = np.nan_to_num(numbers(), nan=-9)
        assert_same(*fits(X, reader_of(X), model="gaussian", missing_values=-9))

    def test_rows_without_weight_are_not_looked_at(self):
        table, weight = frame(), np.ones(N)
        weight[20:30] = 0
        table.loc[20:29, ["a", "word"]] = [np.inf, "unheard"]
        one, other = fits(table, reader_of(table), weight, model="gaussian")
        assert_same(one, other)
        assert other.categories_["word"] == ["high", "low", "middle"]

    def test_a_table_of_a_sequence_of_blocks_of_one_row(self):
        X = numbers(30)
        assert_same(*fits(X, [X[i : i + 1] for i in range(len(X))], model="gaussian"))


class TestBatches:
    def test_are_as_one_table(self):
        table = frame()
        one, other = EMImputer("gaussian"), EMImputer("gaussian")
        for start in (0, 200, 350):
            batch = table[start : start + 200]
            one.partial_fit(batch)
            other.partial_fit(reader_of(batch, cuts=(0, 50)))
        assert_same(one, other)

    def test_are_gathered(self):
        X = numbers(2_000)
        fitted = fit_in_passes(EMImputer("gaussian"), [X[i : i + 100] for i in range(0, 2_000, 100)], batch_rows=1_000)
        assert np.isfinite(fitted.transform(X)).all()


def test_pipeline():
    X = numbers()
    one, other = (make_pipeline(EMImputer("gaussian"), EMGaussianMixture(1)).fit(X) for X in (X, reader_of(X)))
    assert other[-1].objective_ == pytest.approx(one[-1].objective_, rel=1e-8)


# Kinds and levels


def learned(blocks, request=None):
    """What all blocks of one column make of it."""
    digests = [digest(*column, request) for block in blocks for column in cells_of(block, np.nan)]
    return column_of(reduce(add, digests), request)


VALUES = {
    "float64": st.floats(-5, 5) | st.just(np.nan),
    "int64": st.integers(-12, 12),
    "Int64": st.integers(-12, 12) | st.none(),
    "bool": st.booleans(),
    "boolean": st.booleans() | st.none(),
    "object": st.sampled_from([None, "b", "a", 1, 2.5, "3", True]) | st.integers(0, 30),
    "string": st.sampled_from([None, "b", "a", "c"]),
    "category": st.sampled_from([None, "b", "a", "c"]),
}


@settings(max_examples=150)
@given(st.data())
def test_columns_are_those_of_one_table(data):
    dtype = data.draw(st.sampled_from(list(VALUES)))
    values = data.draw(st.lists(VALUES[dtype], min_size=1, max_size=60))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    request = data.draw(st.sampled_from([None, "ordinal", "nominal"]))
    table = pd.DataFrame({"x": pd.Series(values, dtype=dtype)})
    (expected,), _ = read_training(table, request)
    found = learned(parts_of(table, cuts=(0, *cuts)), request)
    assert (found.kind, found.levels, found.nearest) == (expected.kind, expected.levels, expected.nearest)
    assert found.restore == expected.restore
    assert list(map(type, found.levels)) == list(map(type, expected.levels))


@pytest.mark.parametrize(
    "series",
    [
        [pd.Series([1, 2, 3]), pd.Series([1.5, np.nan])],
        [pd.Series([1, 2]), pd.Series(range(5, 40))],
        [pd.Series([None, None], dtype=object), pd.Series(["b", "a"])],
        [pd.Series(["b", "a"]), pd.Series([1, 2], dtype=object)],
        [pd.Series([True, False]), pd.Series([None, True], dtype=object)],
        [pd.Series([1, 2, None], dtype=object), pd.Series([7, 8])],
        [pd.Series([1, 2], dtype=object), pd.Series([7.5, 8])],
        [pd.Series(["a", "b"], dtype="category"), pd.Series(["c"])],
    ],
)
def test_types_that_differ(series):
    """As those that pandas joins."""
    (expected,), _ = read_training(pd.DataFrame({"x": pd.concat(series)}))
    for blocks in (series, series[::-1]):
        found = learned([one.to_frame("x") for one in blocks])
        assert (found.kind, found.levels) == (expected.kind, expected.levels)


class TestCategories:
    def blocks(self, *categories, ordered=False):
        rng = np.random.default_rng(0)
        for own in categories:
            level = pd.Categorical(rng.choice(own, 100), categories=own, ordered=ordered)
            yield pd.DataFrame({"x": rng.normal(size=100) + level.codes, "level": level})

    def test_union(self):
        blocks = list(self.blocks(["a", "b"], ["b", "c"]))
        whole = pd.concat([block["level"].astype(pd.CategoricalDtype(["a", "b", "c"])) for block in blocks])
        one = pd.DataFrame({"x": pd.concat(blocks)["x"], "level": whole})
        one, other = fits(one, blocks, model="gaussian")
        assert_same(one, other)
        assert other._state.columns[1].restore == one._state.columns[1].restore
        gap = blocks[0].iloc[:5].assign(level=pd.Categorical([None] * 5, categories=["a"]))
        assert_frame_equal(one.transform(gap), other.transform(gap))

    def test_ordered(self):
        imputer = EMImputer().fit(list(self.blocks(["lo", "hi"], ["lo", "mid", "hi"], ordered=True)))
        assert imputer.categories_["level"] == ["lo", "mid", "hi"]
        assert imputer.column_kinds_["level"] == "ordinal"

    def test_of_no_common_order(self):
        blocks = list(self.blocks(["lo", "hi"], ["hi", "lo"], ordered=True))
        with pytest.raises(ValueError, match=r"'level' has the ordered categories \['hi', 'lo'\] in a block, but"):
            EMImputer().fit(blocks)
        imputer = EMImputer(columns={"level": ["lo", "hi"]}).fit(blocks)
        assert imputer.categories_["level"] == ["lo", "hi"]

    def test_enums_of_polars(self):
        levels = [["a", "b", "c"], ["b", "c", "c"]]
        enums = [pl.Series(own, dtype=pl.Enum(list(dict.fromkeys(own)))) for own in levels]
        blocks = [pl.DataFrame({"x": [1.0, 2.0, 5.0], "level": level}) for level in enums]
        imputer = EMImputer().fit(blocks)
        assert imputer.categories_["level"] == ["a", "b", "c"]
        assert imputer._state.columns[1].restore == pl.Enum(["a", "b", "c"])


# What is summed


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(-1e9, 1e9), st.floats(1e-3, 1e3))
def test_moments_of_parts_are_those_of_the_whole(seed, origin, unit):
    rng = np.random.default_rng(seed)
    codes, weight = origin + unit * rng.standard_normal(40), rng.uniform(0.1, 2, 40)
    cuts = np.sort(rng.integers(0, 40, 3))
    found = reduce(add, map(moments, np.split(codes, cuts), np.split(weight, cuts)))
    mean = np.average(codes - origin, weights=weight)
    grain = 1e-12 * unit + 4e-16 * abs(origin)
    assert abs(found.origin + found.shift - origin - mean) < 4 * grain
    scatter = weight @ (codes - origin - mean) ** 2
    assert found.scatter == pytest.approx(scatter, rel=1e-10, abs=40 * grain * unit)
    assert (found.low, found.high, found.weight) == (codes.min(), codes.max(), pytest.approx(weight.sum()))


class TestRanks:
    def of_chunks(self, codes, weight):
        parts = [slice(start, start + CHUNK_ROWS) for start in range(0, len(codes), CHUNK_ROWS)]
        return reduce(add, (ranks(codes[part], weight[part]) for part in parts)).joined

    def test_few_values_are_exact(self):
        rng = np.random.default_rng(0)
        codes, weight = rng.integers(0, 5_000, 40_000) / 7, rng.integers(1, 4, 40_000)
        found, whole = self.of_chunks(codes, weight), ranks(codes, weight)
        for one, other in zip(found.pieces[0], whole.pieces[0], strict=True):
            assert_array_equal(one, other)

    @pytest.mark.parametrize("is_sorted", [False, True])
    def test_many_values_are_thinned(self, is_sorted):
        rng = np.random.default_rng(0)
        codes, weight = rng.standard_normal(800_000), rng.uniform(0.1, 2, 800_000)
        codes[rng.random(len(codes)) < 0.1] = 0.0
        codes = np.sort(codes) if is_sorted else codes
        found = self.of_chunks(codes, weight)
        assert found.n_thinned > 2
        (values, mass), (whole, whole_mass) = found.pieces[0], ranks(codes, weight).pieces[0]
        assert len(values) <= MOST_VALUES
        assert_array_equal(values[:ENDS], whole[:ENDS])
        assert_array_equal(values[-ENDS:], whole[-ENDS:])
        assert_allclose(mass[:ENDS], whole_mass[:ENDS])
        assert mass.sum() == pytest.approx(whole_mass.sum(), rel=1e-10)
        at = np.linspace(-3, 3, 999)
        below, truly = (
            np.concatenate([[0], np.cumsum(m)])[np.searchsorted(v, at, side="right")] / m.sum()
            for v, m in ((values, mass), (whole, whole_mass))
        )
        assert np.abs(below - truly).max() < 1e-4


def test_a_copula_of_more_values_than_are_kept():
    X = numbers(2 * MOST_VALUES)[:, :2]
    one, other = fits(X, reader_of(X, cuts=(0, 99_999)), model="copula")
    assert_allclose(one.covariance_, other.covariance_, atol=1e-4)
    exact = np.sort(X[~np.isnan(X[:, 0]), 0])
    assert one._state.table.scales[0].values[[0, -1]].tolist() == exact[[0, -1]].tolist()


# Memory


def rounded(seed):
    """Of few distinct values, so that all of them are kept."""
    return numbers(2_000, seed).round(1)


@pytest.mark.parametrize("name", ["gaussian", "ranks", "factor", "mixture"])
def test_memory_does_not_grow_with_the_number_of_blocks(name):
    def peak(n_blocks):
        gc.collect()
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            imputer = EMImputer(**MODELS[name], max_iter=1, n_init=1, random_state=0)
            imputer.fit(lambda: (rounded(number % 4) for number in range(n_blocks)))
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(10)
    assert peak(40) < 1.1 * peak(10)


# Errors


X = numbers()


class TestRefused:
    @pytest.mark.parametrize(
        ("refused", "message"),
        [
            (iter([X]), "X is an iterator .* which can be read only once"),
            (lambda: 3, "must return an iterable"),
            (list, "yields no block of rows"),
            (lambda: [X[:0]], "yields no block of rows"),
            (lambda: [X, None], r"block 1 of X \(from 0\)"),
            ([X, X, X[:, :2]], r"block 2 of X \(from 0\) is refused: X has 2 features, but EMImputer is expecting 4"),
            (
                [frame(), frame().rename(columns={"a": "b"})],
                r"block 1 of X \(from 0\) is refused: The feature names should match",
            ),
            ([X, np.where(np.isnan(X), np.inf, X)], r"block 1 of X \(from 0\) is refused: Input X contains infinity"),
            ([X * np.nan, X * np.nan], "X has no observed value"),
            ([X, 1e200 * X], "column 0 has values up to .* multiply the column by a constant"),
        ],
    )
    def test_data(self, refused, message):
        imputer = EMImputer("gaussian").fit(X)
        with pytest.raises(ValueError, match=message):
            imputer.fit(refused)
        assert imputer.n_features_in_ == 4  # as it was

    def test_generator(self):
        with pytest.raises(ValueError, match="X is an iterator"):
            EMImputer().fit(part for part in parts_of(X))

    @pytest.mark.parametrize(("n", "message"), [(N - 1, "the blocks have more rows"), (N + 1, "the blocks have 500")])
    def test_weights(self, n, message):
        with pytest.raises(ValueError, match=message):
            EMImputer().fit(reader_of(X), sample_weight=np.ones(n))

    def test_other_rows_at_a_later_call(self):
        calls = []

        def blocks():
            calls.append(None)
            return iter(parts_of(X) if len(calls) < 4 else parts_of(X)[:-1])

        with pytest.raises(ValueError, match="X yielded 350 rows, but 500 at an earlier call"):
            EMImputer("gaussian").fit(blocks)

    def test_once(self):
        once = iter(parts_of(X))
        with pytest.raises(ValueError, match="X yielded"):
            EMImputer("gaussian").fit(lambda: once)

    def test_other_levels_at_a_later_call(self):
        calls = []

        def blocks():
            calls.append(None)
            return iter([frame(), frame().replace({"word": {"low": "new"}}) if len(calls) > 3 else frame()])

        with pytest.raises(ValueError, match=r"block 1 of X \(from 0\) is refused: Column 'word' has the value 'new'"):
            EMImputer("gaussian").fit(blocks)

    def test_levels_that_are_not_told(self):
        with pytest.raises(ValueError, match=r"block 1 .*Column 'word' has the value 'middle'"):
            EMImputer(columns={"word": ["high", "low"]}).fit([frame().query("word != 'middle'"), frame()])

    def test_more_levels_than_are_kept(self):
        names = [[f"{i}{end}" for i in range(60_000)] for end in "ab"]
        blocks = [pd.DataFrame({"x": [1.0, 2.0] * 30_000, "id": half}) for half in names]
        with pytest.raises(ValueError, match="Column 'id' is nominal and has more than 100000 distinct values"):
            EMImputer().fit(blocks)

    def test_impute(self):
        imputer = EMImputer("gaussian").fit(reader_of(X))
        with pytest.raises(ValueError, match="training rows, which are not kept after partial_fit or a fit of blocks"):
            imputer.impute(X)
