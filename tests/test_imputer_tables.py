"""Tables to codes and back: what each dtype becomes, what is missing, and that observed cells stay as they are."""

import datetime as dt
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emkit.imputer.columns import KINDS
from emkit.imputer.tables import read, read_training, values, write

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

MANY = list(range(21))
COLOURS = ["red", "green", "blue"]
SIZES = ["S", "M", "L"]


def one(series, **options):
    """Kind, levels and codes of a frame's only column."""
    frame = series.to_frame() if isinstance(series, pl.Series | pd.Series) else series
    (column,), codes = read_training(frame, **options)
    return column.kind, column.levels, codes[:, 0].tolist()


def same(left, right):
    np.testing.assert_array_equal(np.asarray(left, dtype=float), np.asarray(right, dtype=float))


def fill(frame, code=0.0, **options):
    """The frame with one code in all missing cells."""
    columns, codes = read_training(frame, **options)
    codes[np.isnan(codes)] = code
    return write(codes, columns, frame, missing_values=options.get("missing_values", np.nan))


# --- pandas: dtypes to kinds --------------------------------------------------------------------------------------

SIZE_DTYPE = pd.CategoricalDtype(SIZES, ordered=True)
COLOUR_DTYPE = pd.CategoricalDtype([*COLOURS, "white"])
PANDAS = [
    ([1.0, 2.0, None], "float64", "continuous", (), [1, 2, np.nan]),
    ([1.0, 2.0, None], "float32", "continuous", (), [1, 2, np.nan]),
    ([1.0, 2.0, None], "Float64", "continuous", (), [1, 2, np.nan]),
    ([1.0, 2.0, None], "double[pyarrow]", "continuous", (), [1, 2, np.nan]),
    ([7, 3, 7], "int64", "ordinal", (3, 7), [1, 0, 1]),
    ([7, 3, None], "Int8", "ordinal", (3, 7), [1, 0, np.nan]),
    ([7, 3, None], "int64[pyarrow]", "ordinal", (3, 7), [1, 0, np.nan]),
    ([*MANY, None], "Int64", "count", (), [*MANY, np.nan]),
    (MANY[:20], "uint8", "ordinal", tuple(MANY[:20]), MANY[:20]),
    (MANY, "uint8", "count", (), MANY),
    ([True, False, True], "bool", "ordinal", (False, True), [1, 0, 1]),
    ([True, True, None], "boolean", "ordinal", (False, True), [1, 1, np.nan]),
    (["L", "S", None], SIZE_DTYPE, "ordinal", ("S", "L"), [1, 0, np.nan]),
    (["blue", "red", None], COLOUR_DTYPE, "nominal", ("red", "blue"), [1, 0, np.nan]),
    (["b", "a", None], "str", "nominal", ("a", "b"), [1, 0, np.nan]),
    (["b", "a", None], "string", "nominal", ("a", "b"), [1, 0, np.nan]),
    (["b", "a", None], "string[pyarrow]", "nominal", ("a", "b"), [1, 0, np.nan]),
    (["2", "1", None], "string", "nominal", ("1", "2"), [1, 0, np.nan]),
    (["b", "a", None], "object", "nominal", ("a", "b"), [1, 0, np.nan]),
    (["2.5", 1, None], "object", "continuous", (), [2.5, 1, np.nan]),
    ([1.5, "x", pd.NA], "object", "nominal", (1.5, "x"), [0, 1, np.nan]),
    ([3, 1, np.nan], "object", "ordinal", (1, 3), [1, 0, np.nan]),
    ([*MANY, pd.NaT], "object", "count", (), [*MANY, np.nan]),
    ([True, None, True], "object", "ordinal", (False, True), [1, np.nan, 1]),
    (["nan", "1", None], "object", "nominal", ("1", "nan"), [1, 0, np.nan]),
]


@pytest.mark.parametrize(("data", "dtype", "kind", "levels", "codes"), PANDAS)
def test_each_pandas_dtype_has_a_kind(data, dtype, kind, levels, codes):
    found = one(pd.Series(data, dtype=dtype, name="a"))
    assert found[:2] == (kind, levels)
    same(found[2], codes)


POLARS = [
    ([1.0, float("nan"), None], pl.Float64, "continuous", (), [1, np.nan, np.nan]),
    ([1.0, 2.0, None], pl.Float32, "continuous", (), [1, 2, np.nan]),
    ([7, 3, None], pl.Int16, "ordinal", (3, 7), [1, 0, np.nan]),
    ([*MANY, None], pl.UInt32, "count", (), [*MANY, np.nan]),
    ([True, True, None], pl.Boolean, "ordinal", (False, True), [1, 1, np.nan]),
    (["L", "S", None], pl.Enum(SIZES), "ordinal", ("S", "L"), [1, 0, np.nan]),
    (["b", "a", None], pl.Categorical, "nominal", ("a", "b"), [1, 0, np.nan]),
    (["b", "a", None], pl.String, "nominal", ("a", "b"), [1, 0, np.nan]),
]


@pytest.mark.parametrize(("data", "dtype", "kind", "levels", "codes"), POLARS)
def test_each_polars_dtype_has_a_kind(data, dtype, kind, levels, codes):
    found = one(pl.Series("a", data, dtype=dtype))
    assert found[:2] == (kind, levels)
    same(found[2], codes)


def test_levels_are_plain_python_values():
    (column,), _ = read_training(pd.DataFrame({"a": np.array([1, 2], dtype=np.int8)}))
    assert [type(level) for level in column.levels] == [int, int]
    (column,), _ = read_training(np.array([[np.float32(1)], ["x"]], dtype=object))
    assert type(column.levels[0]) is float


def test_columns_survive_a_pickle():
    frame = pl.DataFrame({"a": pl.Series(["S", None], dtype=pl.Enum(SIZES)), "b": [1.0, None]})
    columns, codes = pickle.loads(pickle.dumps(read_training(frame)))
    assert [c.name for c in columns] == ["a", "b"]
    assert columns[0].levels == ("S",)
    assert columns[0].restore == pl.Enum(SIZES)
    assert codes.shape == (2, 2)


# --- round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "dtype"), [case[:2] for case in PANDAS])
def test_pandas_dtypes_and_observed_cells_stay(data, dtype):
    frame = pd.DataFrame({"a": pd.Series(data, dtype=dtype), "b": 1.5}).set_index(np.arange(len(data)) * 2 + 5)[::-1]
    filled = fill(frame)
    assert filled.dtypes.tolist() == frame.dtypes.tolist()
    assert filled.index.equals(frame.index)
    assert not filled.isna().any(axis=None)
    observed = frame["a"].notna()
    assert filled["a"][observed].tolist() == frame["a"][observed].tolist()
    assert frame["a"].isna().sum() == sum(pd.isna(value) for value in data)  # the input is as it was


@pytest.mark.parametrize(("data", "dtype"), [case[:2] for case in POLARS])
def test_polars_dtypes_and_observed_cells_stay(data, dtype):
    frame = pl.DataFrame({"b": [1.5] * len(data), "a": pl.Series(data, dtype=dtype)})
    filled = fill(frame)
    assert filled.schema == frame.schema
    assert filled.null_count().sum_horizontal().item() == 0
    for old, new in zip(frame["a"], filled["a"], strict=True):
        assert new == new
        assert old is None or old != old or old == new


def test_filled_values_are_the_decoded_ones():
    frame = pd.DataFrame(
        {
            "count": pd.array([*MANY, None], dtype="Int64"),
            "size": pd.Categorical([*["S", "L"] * 10, "S", None], dtype=SIZE_DTYPE),
            "flag": pd.array([True] * 21 + [None], dtype="boolean"),
            "text": [*["b", "a"] * 10, "b", None],
            "float": [*np.arange(21.0), np.nan],
        }
    )
    columns, codes = read_training(frame)
    codes[-1] = [3.6, 1, 0, 1, 3.6]
    assert write(codes, columns, frame).iloc[-1].tolist() == [4, "L", False, "b", 3.6]
    polars = write(codes, columns, pl.DataFrame(frame))
    assert polars.row(-1) == (4, "L", False, "b", 3.6)
    array = values(codes, columns)
    assert array.dtype == object
    assert array[-1].tolist() == [4, "L", False, "b", 3.6]
    assert [type(value) for value in array[-1]] == [int, str, bool, str, float]


def test_values_are_float64_if_all_are_numbers():
    columns, codes = read_training(np.array([[1.2, 7], [np.nan, 3]]), columns=["continuous", "nominal"])
    same(values(codes, columns), [[1.2, 7], [np.nan, 3]])
    assert values(codes, columns).dtype == np.float64


def test_counts_are_rounded_and_clipped_to_the_dtype():
    frame = pd.DataFrame({"a": pd.array([*MANY, None], dtype="UInt8"), "b": pd.array([*MANY, None], dtype="Int64")})
    assert fill(frame, -3.0).iloc[-1].tolist() == [0, -3]
    assert fill(frame, 1e30).iloc[-1].tolist() == [255, np.nextafter(2.0**63, 0)]
    assert fill(pl.DataFrame(frame), 299.6).row(-1) == (255, 300)


def test_an_integer_column_that_is_continuous_is_written_as_floats():
    frame = pd.DataFrame({"a": pd.array([1, 2, None], dtype="Int64"), "b": [1, 2, 3], "c": [True, False, True]})
    filled = fill(frame, 0.5, columns="continuous")
    assert filled.dtypes.astype(str).tolist() == ["float64", "float64", "float64"]
    assert filled["a"].tolist() == [1, 2, 0.5]
    filled = fill(pl.DataFrame({"a": [1, None]}), 0.5, columns="continuous")
    assert filled.schema == {"a": pl.Float64}
    assert filled["a"].to_list() == [1, 0.5]


def test_a_float_column_that_is_ordinal_stays_float():
    frame = pd.DataFrame({"a": np.array([1.5, 3, np.nan], dtype=np.float32)})
    filled = fill(frame, 1.0, columns={"a": "ordinal"})
    assert filled["a"].tolist() == [1.5, 3, 3]
    assert filled["a"].dtype == np.float32


def test_categories_of_numbers_that_are_continuous_are_written_as_floats():
    frame = pd.DataFrame({"a": pd.Categorical([1, 2, None])})
    assert fill(frame, 0.5, columns="continuous")["a"].tolist() == [1, 2, 0.5]
    frame = pl.DataFrame({"a": pl.Series(["1", "2", None], dtype=pl.Enum(["1", "2"]))})
    assert fill(frame, 0.5, columns="continuous")["a"].to_list() == [1, 2, 0.5]


def test_strings_that_are_continuous_stay_strings():
    for frame in (pd.DataFrame({"a": pd.Series(["1.50", None], dtype="string")}), pl.DataFrame({"a": ["1.50", None]})):
        assert list(fill(frame, 0.25, columns="continuous")["a"]) == ["1.50", "0.25"]


def test_a_cell_without_a_code_stays_missing():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None], "c": pd.array([1, None], dtype="Int64")})
    columns, codes = read_training(frame)
    pd.testing.assert_frame_equal(write(codes, columns, frame), frame)
    polars = pl.DataFrame(frame)
    assert write(codes, columns, polars).equals(polars)
    array = frame.to_numpy(dtype=object)
    assert write(codes, columns, array)[0].tolist() == [1.0, "x", 1]


def test_only_the_columns_that_are_kept():
    array = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 4.0]])
    kept = np.array([True, False, True])
    columns, codes = read_training(array)
    codes[np.isnan(codes)] = 9.0
    same(write(codes, columns, array, kept), [[1, 3], [9, 4]])
    frame = pd.DataFrame(array, columns=list("abc"), index=[4, 2])
    filled = write(codes, columns, frame, kept)
    assert filled.columns.tolist() == ["a", "c"]
    assert filled.index.tolist() == [4, 2]
    mixed = frame.assign(c=["x", "y"])
    columns, codes = read_training(mixed)
    assert write(codes, columns, mixed, kept).columns.tolist() == ["a", "c"]
    assert write(codes, columns, pl.DataFrame(mixed), kept).columns == ["a", "c"]


def test_columns_without_observed_values():
    frame = pd.DataFrame(
        {
            "float": [np.nan] * 2,
            "int": pd.array([None] * 2, dtype="Int64"),
            "flag": pd.array([None] * 2, dtype="boolean"),
            "size": pd.Categorical([None] * 2, dtype=SIZE_DTYPE),
            "text": pd.Series([None] * 2, dtype="str"),
            "object": pd.Series([None] * 2, dtype=object),
        }
    )
    columns, codes = read_training(frame)
    assert [c.kind for c in columns] == ["continuous", "count", "ordinal", "ordinal", "nominal", "nominal"]
    assert all(c.levels == () for c in columns)
    assert np.isnan(codes).all()
    pd.testing.assert_frame_equal(write(codes, columns, frame), frame)
    zeros = write(np.zeros_like(codes), columns, frame)  # no code stands for anything where there are no levels
    assert zeros.notna().all().tolist() == [True, True, False, False, False, False]
    assert zeros.dtypes.tolist() == frame.dtypes.tolist()
    (column,), codes = read_training(pl.DataFrame({"a": [None, None]}))
    assert column.kind == "continuous"
    assert write(codes + 1, [column], pl.DataFrame({"a": [None, None]})).schema == {"a": pl.Float64}
    (column,), _ = read_training(frame[["text"]], columns={"text": ["a", "b"]})
    assert column.levels == ()


def test_duplicate_names_and_attributes_of_a_pandas_frame_stay():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]}).set_axis(["a", "a"], axis=1).set_axis([3, 3])
    frame.attrs["source"] = "survey"
    filled = fill(frame)
    assert filled.columns.tolist() == ["a", "a"]
    assert filled.index.tolist() == [3, 3]
    assert filled.iloc[1].tolist() == [0.0, "x"]
    assert filled.attrs == {"source": "survey"}


# --- arrays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "out"), [("f8", "f8"), ("f4", "f4"), ("f2", "f8"), ("i4", "f8"), ("?", "f8"), ("O", "O"), ("U3", "O")]
)
def test_dtypes_of_arrays(dtype, out):
    array = np.array([[1, 0], [0, 1]]).astype(dtype)
    assert fill(array).dtype == out
    assert fill(array).tolist() == array.tolist()


def test_numeric_arrays():
    array = np.array([[1.5, -0.0], [np.nan, 2]])
    columns, codes = read_training(array)
    assert [(c.name, c.kind) for c in columns] == [(0, "continuous"), (1, "continuous")]
    assert codes is not array
    assert not np.shares_memory(codes, array)
    filled = fill(array, 7.0)
    same(filled, [[1.5, 0], [7, 2]])
    assert np.signbit(filled[0, 1])
    columns, _ = read_training(np.arange(42).reshape(21, 2) // [1, 21])
    assert [c.kind for c in columns] == ["count", "ordinal"]


def test_object_arrays_go_by_column():
    array = np.array([[1, "b", "1.5", True], [2, "a", 2, False], [None, None, np.nan, pd.NA]], dtype=object)
    columns, codes = read_training(array)
    assert [c.kind for c in columns] == ["ordinal", "nominal", "continuous", "ordinal"]
    same(codes, [[0, 1, 1.5, 1], [1, 0, 2, 0], [np.nan] * 4])
    assert fill(array).tolist() == [[1, "b", "1.5", True], [2, "a", 2, False], [1, "a", 0.0, False]]


def test_nested_lists_keep_their_numbers():
    rows = [[1, "b"], [2, "a"]]
    columns, _ = read_training(rows)
    assert columns[0].levels == (1, 2)
    assert fill(rows).dtype == object
    assert fill([[1, None], [2, 3]]).tolist() == [[1, 3], [2, 3]]
    assert fill([[1.0, 2], [np.nan, 3]]).dtype == np.float64


def test_masked_cells_are_missing():
    array = np.ma.array([[1.0, np.inf], [np.nan, 2.0]], mask=[[0, 1], [1, 0]])
    for marker in (np.nan, -1):
        _, codes = read_training(array, missing_values=marker)
        same(codes, [[1, np.nan], [np.nan, 2]])
    columns, codes = read_training(array)
    same(write(codes, columns, array), [[1, np.nan], [np.nan, 2]])
    same(fill(array, 5.0), [[1, 5], [5, 2]])
    integers = np.ma.array([[1, 99], [2, 3]], mask=[[0, 1], [0, 0]])
    columns, codes = read_training(integers)
    assert columns[1].levels == (3,)
    same(fill(integers), [[1, 3], [2, 3]])
    objects = np.ma.array(np.array([["a", 1]], dtype=object), mask=[[0, 1]])
    columns, codes = read_training(objects)
    assert write(codes, columns, objects).tolist() == [["a", None]]


# --- markers of missing values ------------------------------------------------------------------------------------

MARKED = [
    (np.array([[1.0], [-1.0]]), -1),
    (np.array([[1.0], [-1.0]], dtype=np.float32), np.float64(-1)),
    (np.array([[1], [0]]), 0),
    (np.array([[1.0], [0.0]]), 0),
    (np.array([["x"], ["NA"]], dtype=object), "NA"),
    (np.array([["x"], ["NA"]]), "NA"),
    (np.array([["x"], [None]], dtype=object), None),
    (np.array([["x"], [np.nan]], dtype=object), pd.NA),
    (np.array([[1.0], [np.nan]]), pd.NA),
    (np.array([[1.0], [np.inf]]), np.inf),
    (pd.DataFrame({"a": [1, -1]}), -1),
    (pd.DataFrame({"a": pd.array([1, 0], dtype="Int64")}), 0),
    (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), None),
    (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), pd.NA),
    (pd.DataFrame({"a": ["x", "NA"]}), "NA"),
    (pd.DataFrame({"a": pd.Categorical(["x", "NA"])}), "NA"),
    (pd.DataFrame({"a": ["x", None]}), None),
    (pd.DataFrame({"a": [True, False]}), False),
    (pl.DataFrame({"a": [1, -1]}), -1),
    (pl.DataFrame({"a": [1.0, -1.0]}), -1),
    (pl.DataFrame({"a": [1.0, None]}), None),
    (pl.DataFrame({"a": ["x", "NA"]}), "NA"),
    (pl.DataFrame({"a": pl.Series(["x", "NA"], dtype=pl.Categorical)}), "NA"),
    (pl.DataFrame({"a": pl.Series(["x", "NA"], dtype=pl.Enum(["x", "NA"]))}), "NA"),
    (pl.DataFrame({"a": ["x", None]}), None),
]


@pytest.mark.parametrize(("table", "marker"), MARKED)
def test_cells_equal_to_the_marker_are_missing(table, marker):
    columns, codes = read_training(table, missing_values=marker)
    assert np.isnan(codes[:, 0]).tolist() == [False, True]
    same(read(table, columns, missing_values=marker), codes)
    codes[1, 0] = codes[0, 0]
    filled = write(codes, columns, table, missing_values=marker)
    first, second = np.asarray(filled)[:, 0]
    assert first == second == np.asarray(table)[0, 0]
    assert type(filled) is type(table)
    if not isinstance(table, np.ndarray):
        assert list(filled.dtypes) == list(table.dtypes)


@pytest.mark.parametrize("marker", [-1, "NA", None])
@pytest.mark.parametrize(
    "table",
    [
        np.array([[1.0, np.nan]]),
        np.array([[1.0, np.nan]], dtype=object),
        pd.DataFrame({0: [1.0], 1: [np.nan]}),
        pd.DataFrame({0: ["x"], 1: [np.nan]}),
        pl.DataFrame({"0": [1.0], "1": [float("nan")]}),
    ],
)
def test_nan_is_an_error_if_it_is_not_the_marker(table, marker):
    with pytest.raises(ValueError, match=r"Input X contains NaN, but missing_values is .*: column '?1'?"):
        read_training(table, missing_values=marker)


def test_nothing_but_nan_is_missing_by_default():
    assert one(pd.Series([-1, 0]))[2] == [0, 1]
    assert one(pd.Series(["NA", ""]))[1] == ("", "NA")


def test_false_is_not_zero():
    assert one(pd.Series([True, False]), missing_values=0)[2] == [1, 0]
    assert one(np.array([[True], [False]], dtype=object), missing_values=0)[2] == [1, 0]
    assert one(pd.Series([1, 0]), missing_values=False)[2] == [1, 0]


@pytest.mark.parametrize("marker", [[1], {}, 1j, dt.date(2020, 1, 1)])
def test_markers_that_are_none(marker):
    with pytest.raises(ValueError, match=r"missing_values must be a number, a string, None or pandas.NA, but got"):
        read_training(np.ones((2, 2)), missing_values=marker)


# --- what the user says of the columns ----------------------------------------------------------------------------


def test_kinds_and_levels_by_name():
    frame = pd.DataFrame({"a": [1.0, 2.0, 1.0], "b": [3, 1, 2], "c": ["hot", "cold", None], "d": ["x", "y", "x"]})
    columns, codes = read_training(frame, {"a": "nominal", "b": "count", "c": ["cold", "mild", "hot"]})
    assert [c.kind for c in columns] == ["nominal", "count", "ordinal", "nominal"]
    assert [c.levels for c in columns] == [(1.0, 2.0), (), ("cold", "mild", "hot"), ("x", "y")]
    same(codes, [[0, 3, 2, 0], [1, 1, 0, 1], [0, 2, np.nan, 0]])
    polars, same_codes = read_training(
        pl.DataFrame(frame), {"a": "nominal", "b": "count", "c": ("cold", "mild", "hot")}
    )
    assert [c.levels for c in polars] == [c.levels for c in columns]
    same(same_codes, codes)


def test_kinds_by_position():
    array = np.array([[1.0, 2.0, 5.0], [2.0, 1.0, np.nan]])
    columns, _ = read_training(array, ["nominal", None, np.array([5, 6])])
    assert [c.kind for c in columns] == ["nominal", "continuous", "ordinal"]
    assert columns[2].levels == (5, 6)
    assert [c.kind for c in read_training(array, {1: "count"})[0]] == ["continuous", "count", "continuous"]
    assert [c.kind for c in read_training(array, "count")[0]] == ["count"] * 3


def test_ordered_categories_as_nominal_and_others_as_ordinal():
    frame = pd.DataFrame({"a": pd.Categorical(["L", "S"], dtype=SIZE_DTYPE), "b": ["10", "9"]})
    columns, _ = read_training(frame, {"a": "nominal", "b": "ordinal"})
    assert columns[0].levels == ("S", "L")
    assert columns[1].levels == ("9", "10")  # strings of numbers are in the order of the numbers


WRONG = [
    ({"z": "nominal"}, r"columns has names that are not in X: \['z'\]; the columns of X are \['a', 'b'\]"),
    ({"a": "categorical"}, r"columns must give a kind among \('continuous', .*for 'a', but got 'categorical'"),
    ("numeric", r"columns must give a kind among .* for 'all columns', but got 'numeric'"),
    ({"a": 3}, r"for 'a', but got 3"),
    ({"a": []}, r"distinct levels of 'a', at least one .* \[\]"),
    ({"a": ["x", "x"]}, r"distinct levels of 'a'"),
    ({"a": ["x", None]}, r"distinct levels of 'a'.* none of them missing"),
    ({"a": [["x"]]}, r"strings or numbers as levels of 'a'"),
    ({"a": ["x"]}, r"Column 'a' has the value 'y', but its known values are \['x'\]"),
    ({"a": "continuous"}, r"Column 'a' must have numbers, but has 'y'"),
    ({"b": [1.0, 2.0]}, r"Column 'b' has the value 3\.0"),
    (["nominal"], r"one entry for each of the 2 columns of X, but has 1"),
    (3, r"columns must be None, a kind among .* but got 3"),
]


@pytest.mark.parametrize(("columns", "message"), WRONG)
@pytest.mark.parametrize("library", [pd, pl])
def test_what_columns_must_be(columns, message, library):
    with pytest.raises(ValueError, match=message):
        read_training(library.DataFrame({"a": ["y", "x"], "b": [1.0, 3.0]}), columns)


# --- tables that are refused --------------------------------------------------------------------------------------

DATES = "Column 'a' has dates or times, but numbers or categories are required; subtract a date and divide by"
REFUSED = [
    (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), DATES),
    (pd.DataFrame({"a": pd.to_timedelta(["1 day"])}), DATES),
    (pd.DataFrame({"a": pd.period_range("2020", periods=1)}), DATES),
    (pd.DataFrame({"a": pd.Series([dt.date(2020, 1, 1)], dtype=object)}), DATES),
    (pl.DataFrame({"a": [dt.date(2020, 1, 1)]}), DATES),
    (pl.DataFrame({"a": [dt.timedelta(1)]}), DATES),
    (np.array([["2020-01-01"]], dtype="M8[D]"), DATES.replace("'a'", "0")),
    (pd.DataFrame({"a": [1.0], "b": [np.inf]}), "Input X contains infinity .*: column 'b'"),
    (pd.DataFrame({"a": ["x"], "b": [-np.inf]}), "Input X contains infinity .*: column 'b'"),
    (pd.DataFrame({"a": pd.Series([np.inf], dtype=object)}), "Input X contains infinity .*: column 'a'"),
    (pl.DataFrame({"b": [1.0], "a": [np.inf]}), "Input X contains infinity .*: column 'a'"),
    (np.array([[1.0, np.inf]]), "Input X contains infinity .*: column 1"),
    (pd.DataFrame({"a": [1j]}), "Complex data not supported: column 'a'"),
    (np.array([[1j]]), "Complex data not supported"),
    (np.array([[1j]], dtype=object), "Complex data not supported"),
    (pd.DataFrame({"a": [[1, 2]]}), "Column 'a' must have numbers or categories, but has lists"),
    (pl.DataFrame({"a": [[1, 2]]}), "Column 'a' must have numbers or categories, but has lists"),
    (pd.DataFrame({"a": pd.arrays.SparseArray([1.0, 0])}), "Column 'a' is sparse"),
    (pl.LazyFrame({"a": [1.0]}), r"LazyFrame .* X\.collect\(\)"),
    (np.ones(3), "must be a table .* has 1 dim"),
    (np.ones((3, 2, 1)), "has 3 dim"),
    (pd.Series([1.0]), "has 1 dim"),
    (3.0, "has 0 dim"),
]


@pytest.mark.parametrize(("table", "message"), REFUSED)
def test_tables_that_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        read_training(table)


# --- more rows ----------------------------------------------------------------------------------------------------


def test_unseen_values():
    columns, _ = read_training(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}))
    new = pd.DataFrame({"a": ["y", "z"], "b": [1, 1]})
    with pytest.raises(ValueError, match=r"Column 'a' has the value 'z', but its known values are \['x', 'y'\]"):
        read(new, columns)
    same(read(new, columns, unseen="missing"), [[1, 0], [np.nan, 0]])
    same(read(new.assign(a="x", b=[3, -1]), columns), [[0, 1], [0, 0]])  # integers count as the nearest level
    with pytest.raises(ValueError, match=r"unseen must be one of .* 'ignore'"):
        read(new, columns, unseen="ignore")
    with pytest.raises(ValueError, match="X has 1 columns, but 2 are expected"):
        read(new[["a"]], columns)


def test_long_lists_of_known_values_are_cut():
    columns, _ = read_training(pd.DataFrame({"a": [str(i) for i in range(30)]}))
    with pytest.raises(ValueError, match=r"'9'\] and 20 more; with unseen='missing' it is a gap$"):
        read(pd.DataFrame({"a": ["x"]}), columns)


@pytest.mark.parametrize(
    "new",
    [
        pd.DataFrame({"a": ["M", None], "b": [2, 1], "c": [True, False]}),
        pd.DataFrame({"a": pd.Categorical(["M", None]), "b": np.array([2, 1], dtype=np.int8), "c": [1.0, 0.0]}),
        pl.DataFrame({"a": ["M", None], "b": [2.0, 1.0], "c": [True, False]}),
        np.array([["M", 2, True], [np.nan, 1, False]], dtype=object),
    ],
)
def test_more_rows_are_read_by_value(new):
    train = {"a": pd.Categorical(SIZES, dtype=SIZE_DTYPE), "b": [1, 2, 3], "c": [True, False, True]}
    columns, _ = read_training(pd.DataFrame(train))
    codes = read(new, columns)
    same(codes, [[1, 1, 1], [np.nan, 0, 0]])
    codes[1, 0] = 2
    filled = write(codes, columns, new)
    assert type(filled) is type(new)
    assert np.asarray(filled)[1, 0] == "L"


def test_rows_with_fewer_categories_get_those_of_training():
    train = pd.DataFrame({"a": pd.Categorical(SIZES, dtype=SIZE_DTYPE), "b": pd.Categorical(COLOURS, COLOURS)})
    columns, _ = read_training(train)
    new = pd.DataFrame({"a": pd.Categorical(["S", None]), "b": pd.Categorical(["red", None], ["red", "mauve"])})
    codes = read(new, columns)
    codes[1] = 2
    filled = write(codes, columns, new)
    assert filled["a"].dtype == SIZE_DTYPE
    assert filled["b"].cat.categories.tolist() == ["red", "mauve", "blue"]
    assert filled.iloc[1].tolist() == ["L", "blue"]


def test_rows_with_fewer_categories_in_polars():
    train = pl.DataFrame({"a": pl.Series(SIZES, dtype=pl.Enum(SIZES)), "b": pl.Series(COLOURS, dtype=pl.Categorical)})
    columns, _ = read_training(train)
    new = pl.DataFrame(
        {"a": pl.Series(["S", None], dtype=pl.Enum(["S"])), "b": pl.Series(["red", None], dtype=pl.Categorical)}
    )
    codes = read(new, columns)
    codes[1] = 1
    filled = write(codes, columns, new)
    assert filled.dtypes == [pl.Enum(SIZES), new["b"].dtype]
    assert filled.row(1) == ("M", "green")


def test_rows_with_nothing_but_missing_cells_get_the_dtype_of_training():
    train = pd.DataFrame({"a": pd.Categorical(SIZES, dtype=SIZE_DTYPE), "b": COLOURS, "c": [1, 2, 3]})
    columns, _ = read_training(train)
    new = pd.DataFrame({"a": [np.nan], "b": [np.nan], "c": [np.nan]})
    filled = write(np.array([[2.0, 2.0, 2.0]]), columns, new)
    assert filled.dtypes.tolist() == [SIZE_DTYPE, train["b"].dtype, np.float64]
    assert filled.iloc[0].tolist() == ["L", "red", 3.0]
    columns, _ = read_training(
        pl.DataFrame({"a": pl.Series(SIZES, dtype=pl.Enum(SIZES)), "b": COLOURS, "c": [1, 2, 3]})
    )
    new = pl.DataFrame({"a": [None], "b": [None], "c": [None]})
    filled = write(np.array([[2.0, 2.0, 2.0]]), columns, new)
    assert filled.schema == {"a": pl.Enum(SIZES), "b": pl.String, "c": pl.Float64}
    assert filled.row(0) == ("L", "red", 3.0)
    filled = write(np.array([[2.0, 2.0, 2.0]]), columns, np.full((1, 3), np.nan))
    assert filled.tolist() == [["L", "red", 3]]


def test_numbers_of_training_may_come_in_other_dtypes():
    columns, _ = read_training(pd.DataFrame({"a": [1.5, 2.5], "b": [1.5, 2.5]}))
    new = pd.DataFrame({"a": [1, 2], "b": ["1", "2.5"]})
    same(read(new, columns), [[1, 1], [2, 2.5]])
    with pytest.raises(ValueError, match="Column 'b' must have numbers, but has 'x'"):
        read(new.assign(b="x"), columns)
    columns, _ = read_training(pd.DataFrame({"a": MANY}))
    new = pd.DataFrame({"a": [1.0, np.nan]})
    assert write(np.array([[1.0], [2.6]]), columns, new)["a"].tolist() == [1.0, 3.0]


def test_large_integers_are_exact():
    big = [2**60 + 1, 2**60, None]
    frame = pd.DataFrame({"a": pd.array(big, dtype="Int64")})
    assert fill(frame)["a"].tolist() == [2**60 + 1, 2**60, 2**60]
    assert fill(pl.DataFrame({"a": big}), 1.0)["a"].to_list() == [2**60 + 1, 2**60, 2**60 + 1]


# --- properties ---------------------------------------------------------------------------------------------------

COLUMNS = {
    "float": (st.floats(allow_nan=False, allow_infinity=False), "float64", pl.Float64),
    "single": (st.floats(-1e6, 1e6, width=32), "float32", pl.Float32),
    "int": (st.integers(-(2**62), 2**62), "Int64", pl.Int64),
    "byte": (st.integers(0, 255), "UInt8", pl.UInt8),
    "flag": (st.booleans(), "boolean", pl.Boolean),
    "size": (st.sampled_from(SIZES), SIZE_DTYPE, pl.Enum(SIZES)),
    "colour": (st.sampled_from(COLOURS), COLOUR_DTYPE, pl.Categorical),
    "text": (st.text("abc1 ", max_size=3), "string", pl.String),
}


@st.composite
def tables(draw):
    n = draw(st.integers(1, 30))
    return {
        name: draw(st.lists(st.none() | value, min_size=n, max_size=n))
        for name, (value, *_) in COLUMNS.items()
        if draw(st.booleans()) or name == "float"
    }


@settings(max_examples=100)
@given(tables(), st.sampled_from(["pandas", "polars"]), st.floats(-3, 300))
def test_observed_cells_and_dtypes_stay(table, library, code):
    if library == "pandas":
        frame = pd.DataFrame({name: pd.Series(cells, dtype=COLUMNS[name][1]) for name, cells in table.items()})
    else:
        frame = pl.DataFrame({name: pl.Series(cells, dtype=COLUMNS[name][2]) for name, cells in table.items()})
    columns, codes = read_training(frame)
    assert all(column.kind in KINDS for column in columns)
    same(read(frame, columns), codes)
    known = np.array([column.is_numeric or bool(column.levels) for column in columns])
    holes = np.isnan(codes) & known
    codes[holes] = code
    filled = write(codes, columns, frame)
    assert list(filled.dtypes) == list(frame.dtypes)
    assert list(filled.columns) == list(frame.columns)
    for j, name in enumerate(table):
        for old, new, hole in zip(table[name], filled[name].to_numpy(), holes[:, j], strict=True):
            if hole:
                assert not pd.isna(new)
            elif old is not None:
                assert old == new
    same(read(filled, columns)[~holes], codes[~holes])


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(allow_infinity=False, width=32), min_size=3, max_size=3), min_size=1), st.booleans())
def test_observed_numbers_of_arrays_stay_bit_for_bit(rows, single):
    array = np.array(rows, dtype=np.float32 if single else np.float64)
    filled = fill(array, 0.1)
    observed = ~np.isnan(array)
    assert filled.dtype == array.dtype
    assert filled[observed].tobytes() == array[observed].tobytes()
    assert (filled[~observed] == array.dtype.type(0.1)).all()


def test_large_numeric_tables_are_fast():
    """Loosely: a loop over cells would take seconds."""
    X = np.random.default_rng(0).normal(size=(100_000, 20))
    X[::7] = np.nan
    for table in (X, pd.DataFrame(X), pl.DataFrame(X)):
        start = time.perf_counter()
        fill(table)
        assert time.perf_counter() - start < 1
