"""What EMHiddenMarkov reads: rows of sequences against a grouping in plain Python, and every refusal."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

from emkit.chunks import Rows
from emkit.hidden_markov.reading import as_sequences, holds_sequences, is_many, read, to_row_order
from emkit.hidden_markov.sequences import Sequences, split

X6 = np.arange(12.0).reshape(6, 2)
IDS6 = ["b", "a", "b", "c", "a", "b"]


def knows_names(X):
    """Whether this scikit-learn takes feature names from such a table."""
    return hasattr(StandardScaler().fit(X), "feature_names_in_")


class Stub(BaseEstimator):
    def __init__(self, sequence=None, n_components=3):
        self.sequence = sequence
        self.n_components = n_components


def grouped_by_hand(ids):
    """Rows of each id, in the order of first appearance."""
    rows = {}
    for row, key in enumerate(ids):
        rows.setdefault(key, []).append(row)
    return rows


def assert_groups(table, rows_of):
    """The table holds these rows, of the user's rows, for these ids."""
    order = np.arange(len(table.X)) if table.order is None else table.order
    user_rows = order if table.kept is None else table.kept[order]
    assert table.ids == list(rows_of)
    assert table.starts.dtype == np.intp
    found = [user_rows[a:b].tolist() for a, b in zip(table.starts[:-1], table.starts[1:], strict=True)]
    assert found == list(rows_of.values())
    assert (table.order is None) == (user_rows.tolist() == sorted(user_rows.tolist()))


# Which rows belong together


def test_without_ids_all_rows_are_one_sequence():
    table = read(Stub(), X6, reset=True)
    assert_groups(table, {0: list(range(6))})
    assert table.order is table.weight is table.labels is table.kept is None
    assert not is_many(table)
    assert_array_equal(table.X, X6)


KEYS = {
    "strings": st.sampled_from(["a", "b", "", "a\0", "long name"]),
    "integers": st.integers(-3, 3),
    "tuples": st.tuples(st.integers(0, 1), st.sampled_from(["x", "y"])),
    "mixed": st.sampled_from([1, "1", (1,), 2.5, b"1", "True"]),
}


@pytest.mark.parametrize("kind", KEYS)
@settings(max_examples=60)
@given(data=st.data())
def test_interleaved_ids_against_grouping_by_hand(kind, data):
    ids = data.draw(st.lists(KEYS[kind], min_size=2, max_size=30))
    X = np.arange(2.0 * len(ids)).reshape(-1, 2)
    table = read(Stub(), X, sequence_id=ids, reset=True)
    rows_of = grouped_by_hand(ids)
    assert_groups(table, rows_of)
    assert [type(key) for key in table.ids] == [type(key) for key in rows_of]
    assert is_many(table) == (len(rows_of) > 1)
    sequences = as_sequences(table)
    assert_array_equal(sequences.rows.X, X[np.concatenate(list(rows_of.values()))])
    assert_array_equal(to_row_order(sequences.rows.X, table), X)
    assert_array_equal(to_row_order(sequences.rows.X[:, 0], table), X[:, 0])


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        pd.Index,
        pd.Categorical,
        pl.Series,
        lambda ids: np.array(ids, dtype=object),
        lambda ids: np.array([key.encode() for key in ids]),
        lambda ids: pd.Series(ids, dtype="category", index=range(6, 0, -1)),
        lambda ids: pl.Series(ids, dtype=pl.Categorical),
        lambda ids: np.array([ord(key) for key in ids], dtype=np.uint8),
        lambda ids: np.array([ord(key) / 7 for key in ids]),
        lambda ids: pd.array([ord(key) for key in ids], dtype="Int64"),
        lambda ids: np.array([f"2020-01-0{ord(key) - 96}" for key in ids], dtype="M8[ns]"),
        lambda ids: pd.to_datetime([f"2020-01-0{ord(key) - 96}" for key in ids]).tz_localize("UTC"),
        lambda ids: pd.MultiIndex.from_tuples([(key, 1) for key in ids]),
        lambda ids: np.ma.array([ord(key) for key in ids]),
        lambda ids: (key for key in ids),
    ],
)
def test_ids_of_every_type(wrap):
    table = read(Stub(), X6, sequence_id=wrap(IDS6), reset=True)
    rows_of = grouped_by_hand(IDS6)
    assert_groups(table._replace(ids=list("bac")), rows_of)
    assert len(set(table.ids)) == 3


def test_ids_keep_their_type():
    assert read(Stub(), X6, sequence_id=np.array([2, 2, 1, 1, 1, 1]), reset=True).ids == [2, 1]
    dates = np.array(["2020-01-02", "2020-01-01"], dtype="M8[ns]").repeat(3)
    assert read(Stub(), X6, sequence_id=dates, reset=True).ids == [dates[0], dates[3]]


def test_one_and_the_string_one_are_two_ids():
    for ids in ([1, "1"] * 3, np.array([1, "1"] * 3, dtype=object), pd.Series([1, "1"] * 3)):
        assert_groups(read(Stub(), X6, sequence_id=ids, reset=True), {1: [0, 2, 4], "1": [1, 3, 5]})


@pytest.mark.parametrize("n_ids", [3, 300, 70_000])
def test_many_interleaved_ids(n_ids):
    ids = np.random.default_rng(0).integers(0, n_ids, 100_000)
    table = read(Stub(), np.arange(100_000.0)[:, None], sequence_id=ids, reset=True)
    assert_groups(table, grouped_by_hand(ids.tolist()))


@pytest.mark.parametrize("wrap", [list, tuple, np.array, pd.Series, lambda x: np.array(x, dtype=np.uint8)])
def test_lengths(wrap):
    table = read(Stub(), X6, lengths=wrap([1, 3, 2]), reset=True)
    assert_groups(table, {0: [0], 1: [1, 2, 3], 2: [4, 5]})
    assert not is_many(read(Stub(), X6, lengths=[6], reset=True))


PIECES = [X6[:1], X6[1:4], X6[4:]]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        np.asfortranarray,
        lambda x: x.astype(np.int8),
        lambda x: x.astype(object),
        lambda x: x.tolist(),
        lambda x: tuple(map(tuple, x)),
        lambda x: np.ma.array(x, mask=x == 5),
        lambda x: pd.DataFrame(x, columns=["u", "v"]),
        lambda x: pl.DataFrame(x, schema=["u", "v"]),
    ],
)
@pytest.mark.parametrize("outer", [list, tuple])
def test_list_of_arrays(wrap, outer):
    X = outer(wrap(piece) for piece in PIECES)
    assert holds_sequences(X)
    estimator = Stub()
    table = read(estimator, X, reset=True)
    assert_groups(table, {0: [0], 1: [1, 2, 3], 2: [4, 5]})
    masked = isinstance(X[0], np.ma.MaskedArray)
    assert_array_equal(table.X, np.where(X6 == 5, np.nan, X6) if masked else X6)
    assert estimator.n_features_in_ == 2
    assert hasattr(estimator, "feature_names_in_") == knows_names(X[1])
    assert len(read(estimator, X, reset=False).X) == 6


def test_list_of_arrays_of_different_types():
    pieces = [PIECES[0].astype(np.float32), PIECES[1].astype(np.int64), PIECES[2]]
    assert_array_equal(read(Stub(), pieces, reset=True).X, X6)


@pytest.mark.parametrize("X", [X6, X6.tolist(), tuple(map(tuple, X6)), pd.DataFrame(X6), [[np.float64(1)], [2]]])
def test_rows_are_no_list_of_sequences(X):
    assert not holds_sequences(X)
    assert not is_many(read(Stub(), X, reset=True))


# The id inside X


def frame(kind):
    columns = {"u": X6[:, 0], "who": IDS6, "v": X6[:, 1]}
    return pd.DataFrame(columns) if kind == "pandas" else pl.DataFrame(columns)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("sequence", ["who", 1, -2, np.int64(1)])
def test_column_of_a_frame(kind, sequence):
    estimator = Stub(sequence)
    table = read(estimator, frame(kind), reset=True)
    assert_groups(table, grouped_by_hand(IDS6))
    assert_array_equal(table.X, X6)
    assert estimator.n_features_in_ == 2
    assert_array_equal(read(estimator, frame(kind), reset=False).X, X6)
    if not knows_names(frame(kind)[["u", "v"]]):
        return
    assert_array_equal(estimator.feature_names_in_, ["u", "v"])
    with pytest.raises(ValueError, match="feature names should match"):
        read(estimator, frame("pandas").rename(columns={"u": "other"}), reset=False)


def test_column_of_dates_or_of_categories():
    X = frame("pandas")
    for column in (pd.Categorical(IDS6), pd.to_datetime([f"2020-01-0{ord(key) - 96}" for key in IDS6])):
        table = read(Stub("who"), X.assign(who=column), reset=True)
        assert_groups(table._replace(ids=list("bac")), grouped_by_hand(IDS6))


@pytest.mark.parametrize("position", [0, 2, -1, -3])
@pytest.mark.parametrize("wrap", [lambda x: x, np.asfortranarray, lambda x: x.tolist(), lambda x: np.ma.array(x)])
def test_column_position(position, wrap):
    ids = [7, 7, 3, 7, 3, 5]
    X = np.insert(X6, position % 3, ids, axis=1)
    estimator = Stub(position)
    table = read(estimator, wrap(X), reset=True)
    assert_groups(table, grouped_by_hand(ids))
    assert_array_equal(table.X, X6)
    assert table.X.flags.c_contiguous
    assert estimator.n_features_in_ == 2


def test_column_of_strings_in_rows_or_in_an_array():
    rows = [[key, 0.1, None] for key in IDS6]
    for X in (rows, np.array(rows, dtype=object)):
        table = read(Stub(0), X, reset=True)
        assert_groups(table, grouped_by_hand(IDS6))
        assert_array_equal(table.X, [[0.1, np.nan]] * 6)


def test_index_level():
    index = pd.MultiIndex.from_arrays([IDS6, range(6)], names=["who", "when"])
    X = pd.DataFrame(X6, columns=["u", "v"], index=index)
    for indexed in (X, X.droplevel("when")):
        estimator = Stub("who")
        assert_groups(read(estimator, indexed, reset=True), grouped_by_hand(IDS6))
        assert_array_equal(estimator.feature_names_in_, ["u", "v"])
    assert_groups(read(Stub("when"), X, reset=True), {i: [i] for i in range(6)})


def test_column_goes_before_index_level():
    X = frame("pandas").set_index(pd.Index(range(6), name="who"))
    assert_groups(read(Stub("who"), X, reset=True), grouped_by_hand(IDS6))


def test_explicit_ids_win_and_the_column_is_dropped():
    X = frame("pandas")
    for source in ({"lengths": [4, 2]}, {"sequence_id": [0, 0, 0, 0, 1, 1]}):
        table = read(Stub("who"), X, reset=True, **source)
        assert_groups(table, {0: [0, 1, 2, 3], 1: [4, 5]})
        assert_array_equal(table.X, X6)
    pieces = [X.iloc[:4], X.iloc[4:]]
    assert_array_equal(read(Stub("who"), pieces, reset=True).X, X6)
    assert_array_equal(read(Stub(1), [piece.to_numpy() for piece in pieces], reset=True).X, X6)


def test_explicit_ids_need_no_column():
    for sequence in ("who", 2):
        assert_groups(read(Stub(sequence), X6, lengths=[4, 2], reset=True), {0: [0, 1, 2, 3], 1: [4, 5]})


# The rows


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint64, bool, object, str])
def test_rows_are_contiguous_float64(dtype):
    expected = X6.astype(bool) if dtype is bool else X6
    for X in (X6.astype(dtype), np.asfortranarray(X6.astype(dtype)), X6.astype(dtype)[::-1][::-1]):
        table = read(Stub(), X, reset=True)
        assert table.X.dtype == np.float64
        assert table.X.flags.c_contiguous
        assert_array_equal(table.X, expected)


def test_float64_rows_are_not_copied():
    table = read(Stub(), X6, lengths=[4, 2], reset=True)
    assert np.shares_memory(table.X, X6)
    assert np.shares_memory(as_sequences(table).rows.X, X6)


def test_missing_values():
    X = np.where(X6 == 3, np.nan, X6)
    for table in (X, np.ma.array(X6, mask=X6 == 3), np.ma.array(X6.astype(int), mask=X6 == 3), pd.DataFrame(X)):
        assert_array_equal(read(Stub(), table, reset=True).X, X)
    assert_array_equal(read(Stub(), pl.DataFrame({"u": [1, None, 3]}), reset=True).X, [[1], [np.nan], [3]])


# Weights and labels


def test_weights_are_grouped():
    weight = {"a": 0.5, "b": 2.0, "c": 1.0}
    table = read(Stub(), X6, sequence_id=IDS6, sample_weight=[weight[key] for key in IDS6], reset=True)
    assert_groups(table, grouped_by_hand(IDS6))
    assert_array_equal(table.weight, [2, 2, 2, 0.5, 0.5, 1])
    assert table.kept is None
    assert_array_equal(as_sequences(table).weight, [2, 0.5, 1])


def test_a_weight_for_all():
    assert_array_equal(read(Stub(), X6, lengths=[2, 4], sample_weight=3, reset=True).weight, np.full(6, 3.0))


@settings(max_examples=60)
@given(data=st.data())
def test_sequences_of_weight_zero_are_left_out(data):
    ids = data.draw(st.lists(st.sampled_from("abcde"), min_size=2, max_size=25))
    weight = {key: data.draw(st.sampled_from([0.0, 0.0, 1.0, 2.5])) for key in "abcde"}
    if not any(weight[key] for key in ids):
        weight[ids[0]] = 1.0
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=len(ids), max_size=len(ids)))
    X = np.arange(len(ids), dtype=np.float64)[:, None]
    by_row = [weight[key] for key in ids]
    table = read(Stub(), X, sequence_id=ids, sample_weight=by_row, labels=labels, reset=True)
    rows_of = {key: rows for key, rows in grouped_by_hand(ids).items() if weight[key]}
    assert_groups(table, rows_of)
    kept = [row for row, value in enumerate(by_row) if value]
    assert_array_equal(np.arange(len(ids)) if table.kept is None else table.kept, kept)
    assert (table.kept is None) == (len(kept) == len(ids))
    assert_array_equal(table.X[:, 0], kept)
    grouped = [row for rows in rows_of.values() for row in rows]
    assert_array_equal(table.weight, [by_row[row] for row in grouped])
    expected = [labels[row] for row in grouped]
    assert table.labels is None if max(expected) < 0 else table.labels.tolist() == expected


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        np.array,
        pd.Series,
        pl.Series,
        lambda x: np.array(x, dtype=np.int8),
        lambda x: np.array(x, dtype=object),
        lambda x: [np.nan if value == -1 else float(value) for value in x],
        lambda x: [None if value == -1 else value for value in x],
        lambda x: pd.Series(x, dtype="Int64").replace(-1, pd.NA),
        lambda x: [pd.NA if value == -1 else np.int64(value) for value in x],
        lambda x: pl.Series([None if value == -1 else value for value in x]),
        lambda x: np.ma.array(x, mask=np.array(x) == -1),
    ],
)
def test_labels_of_every_type(wrap):
    table = read(Stub(), X6, sequence_id=IDS6, labels=wrap([0, 1, -1, 2, -1, 0]), reset=True)
    assert table.labels.dtype == np.intp
    assert_array_equal(table.labels, [0, -1, 0, 1, -1, 2])


@pytest.mark.parametrize("labels", [[-1] * 6, [np.nan] * 6, [None] * 6, None])
def test_labels_that_know_nothing(labels):
    assert read(Stub(), X6, labels=labels, reset=True).labels is None


# Refusals


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([], r"lengths must be positive integers that sum to the 6 rows of X, but got \[\]"),
        (6, "but got 6"),
        ([[6]], r"but got \[\[6\]\]"),
        ([2.0, 4.0], r"but got \[2.0, 4.0\]"),
        ([True] * 6, "but got .*True"),
        ("6", "but got '6'"),
        ([[1], [2, 3]], r"but got \[\[1\], \[2, 3\]\]"),
        ([3, 0, 3], r"lengths\[1\] is 0"),
        ([7, -1], r"lengths\[0\] is 7"),
        ([4, -1, 3], r"lengths\[1\] is -1"),
        ([3, 2], "they sum to 5"),
        ([2**63 - 1, 2**63 - 1, 8], r"lengths\[0\] is 9223372036854775807"),
    ],
)
def test_refused_lengths(lengths, message):
    with pytest.raises(ValueError, match=message):
        read(Stub(), X6, lengths=lengths, reset=True)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("abcdef", "sequence_id must be a list or array with one id for each row of X, but got 'abcdef'"),
        (7, "but got 7"),
        (dict.fromkeys(range(6)), "must be a list or array"),
        (set(range(6)), "must be a list or array"),
        ([1, 2], "must have one id for each of the 6 rows of X, but has 2"),
        (np.ones((6, 1)), r"must be one-dimensional.*shape \(6, 1\)"),
        (np.array(3), r"shape \(\)"),
        (pd.DataFrame({"who": IDS6}), r"shape \(6, 1\)"),
        (["a", "a", None, "a", "a", "a"], "sequence_id is None in row 2, but each row needs an id"),
        ([1, 1, 1, 1, 1, np.nan], "is nan in row 5"),
        (np.array([1, 1, 1, np.nan, 1, np.nan]), "is nan in row 3"),
        (pd.Series(["a", None, "a", "a", "a", "a"]), "is (nan|None) in row 1"),  # None in pandas < 3
        (pd.Series([1, None, 1, 1, 1, 1], dtype="Int64"), "in row 1"),
        ([1, pd.NA, 1, 1, 1, 1], "is <NA> in row 1"),
        ([pd.NaT] * 6, "is NaT in row 0"),
        (np.array(["2020-01-01"] * 4 + ["NaT"] * 2, dtype="M8[D]"), "in row 4"),
        (pl.Series(["a"] * 5 + [None]), "is None in row 5"),
        (np.ma.array([1] * 6, mask=[0, 0, 1, 0, 0, 0]), "is None in row 2"),
        (pd.Categorical(["a"] * 5 + [None]), "is nan in row 5"),
        ([1, 1, [2], 1, 1, 1], r"is \[2\] in row 2, but an id must be hashable"),
    ],
)
def test_refused_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        read(Stub(), X6, sequence_id=ids, reset=True)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_refused_id_in_a_column(missing):
    X = frame("pandas")
    X.loc[4, "who"] = missing
    with pytest.raises(ValueError, match=r"sequence='who' is (nan|None) in row 4, but each row needs an id"):
        read(Stub("who"), X, reset=True)


def test_two_sources():
    with pytest.raises(ValueError, match="sequence_id and lengths are both given"):
        read(Stub(), X6, sequence_id=IDS6, lengths=[6], reset=True)
    with pytest.raises(ValueError, match="sequence_id is given, but X is a list of arrays"):
        read(Stub(), PIECES, sequence_id=IDS6, reset=True)
    with pytest.raises(ValueError, match="lengths is given, but X is a list of arrays"):
        read(Stub(), PIECES, lengths=[1, 3, 2], reset=True)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([X6, X6[:0]], r"X\[1\] has shape \(0, 2\)"),
        ([X6[:, 0], X6[:, 1]], r"X\[0\] has shape \(6,\); np.array\(X\) makes one sequence of a list of rows"),
        ([X6, [1.0, 2.0]], r"X\[1\] has shape \(2,\)"),
        ([X6, []], r"X\[1\] has shape \(0,\)"),
        ([X6, 3], r"X\[1\] has shape \(\)"),
        ([X6, X6[None]], r"X\[1\] has shape \(1, 6, 2\)"),
        ([[[1, 2], [3]], [[1, 2]]], r"X\[0\] has shape \(2,\)"),
        ([pd.Series([1.0, 2.0])], r"X\[0\] has shape \(2,\)"),
        ([X6, X6[:, :1]], r"as many columns, but X\[0\] has 2 and X\[1\] has 1"),
        ([X6, np.where(X6 == 1, np.inf, X6)], "infinity"),
        ([csr_array(X6), csr_array(X6)], "X is sparse"),
        ([X6.astype("M8[s]"), X6.astype("M8[s]")], "X has dates or times"),
        ([X6.astype(complex)], "Complex data not supported"),
        ([pd.DataFrame({"u": [1]}), pd.DataFrame({"v": [1]})], "feature names should match"),
        ([[[1.0, 2.0]]], "minimum of 2 is required"),
        ([X6[:1]], "minimum of 2 is required"),
    ],
)
def test_refused_lists_of_arrays(X, message):
    with pytest.raises(ValueError, match=message):
        read(Stub(), X, reset=True)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.where(X6 == 3, np.inf, X6), "infinity"),
        (csr_array(X6), "X is sparse"),
        (X6.astype("M8[s]"), "X has dates or times"),
        (X6[:, 0], "Expected 2D array"),
        (X6[None], "dim 3"),
        ([1, 2], "Expected 2D array"),
        ([[1, 2], [3]], "inhomogeneous"),
        (len, "X is a function"),
        (X6[:1], "minimum of 2 is required"),
        ([[1, "a"], [1, "b"]], "could not convert"),
    ],
)
@pytest.mark.parametrize("sequence", [None, 0])
def test_refused_rows(X, message, sequence):
    with pytest.raises(ValueError, match=message):
        read(Stub(sequence), X, reset=True)


def test_one_row_can_be_scored_and_other_columns_cannot():
    estimator = Stub()
    read(estimator, X6, reset=True)
    assert len(read(estimator, X6[:1], reset=False).X) == 1
    with pytest.raises(ValueError, match="expecting 2 features"):
        read(estimator, X6[:, :1], reset=False)


def test_no_feature_left():
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        read(Stub(0), X6[:, :1], reset=True)


@pytest.mark.parametrize("sequence", [True, 1.0, ("who",), b"who"])
def test_refused_sequence(sequence):
    with pytest.raises(ValueError, match=r"sequence must be None, the name of a column or of an index level.*but got"):
        read(Stub(sequence), frame("pandas"), reset=True)


def test_sequence_that_is_not_there():
    with pytest.raises(ValueError, match=r"sequence='id' must be .* columns \['u', 'who', 'v'\] and index levels \[\]"):
        read(Stub("id"), frame("pandas"), reset=True)
    with pytest.raises(ValueError, match=r"columns \['u', 'who', 'v'\] and index levels \[\]"):
        read(Stub("id"), frame("polars"), reset=True)
    with pytest.raises(ValueError, match=r"columns \['u', 'v'\] and index levels \['who'\]"):
        read(Stub("id"), frame("pandas").set_index("who"), reset=True)
    for X in (X6, X6.tolist()):
        with pytest.raises(ValueError, match=r"sequence='id' must be .* columns range\(0, 2\)|columns \[0, 1\]"):
            read(Stub("id"), X, reset=True)
    for position in (2, -3):
        with pytest.raises(ValueError, match=rf"sequence={position} must be .* columns \[0, 1\]"):
            read(Stub(position), X6, reset=True)


def test_sequence_that_is_there_twice():
    X = frame("pandas").set_axis(["who", "who", "v"], axis=1)
    with pytest.raises(ValueError, match="sequence='who' must be one column of X, but 2 have that name"):
        read(Stub("who"), X, reset=True)


def test_refused_weights():
    with pytest.raises(ValueError, match=r"constant within a sequence, but sequence 'a' has weights 1\.0 and 2\.0"):
        read(Stub(), X6, sequence_id=IDS6, sample_weight=[1, 1, 1, 1, 2, 1], reset=True)
    with pytest.raises(ValueError, match=r"constant within a sequence, but sequence 0 has weights 1\.0 and 0\.0"):
        read(Stub(), X6, sample_weight=[1, 1, 1, 1, 0, 1], reset=True)
    with pytest.raises(ValueError, match=r"sample_weight\[1\] is -1"):
        read(Stub(), X6, sample_weight=[1, -1, 1, 1, 1, 1], reset=True)
    with pytest.raises(ValueError, match="zero for all rows"):
        read(Stub(), X6, sample_weight=0, reset=True)
    with pytest.raises(ValueError, match="one weight for each row"):
        read(Stub(), X6, sample_weight=[1, 1], reset=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 3, 0, 0, 0], r"integers from 0 to 2, or -1 .*, but labels\[2\] is 3"),
        ([0, -2, 0, 0, 0, 0], r"labels\[1\] is -2"),
        (np.array([0, 1, 0.5, 0, 0, 0]), r"labels\[2\] is 0.5"),
        ([0, 1, 0, 0, 0, np.inf], r"labels\[5\] is inf"),
        ([0, "1", 0, 0, 0, 0], r"labels\[1\] is '1'"),
        (np.array(list("012012")), r"labels\[0\] is '0'"),
        ([0, 0, 0, 0, True, 0], r"labels\[4\] is True"),
        (np.ones(6, dtype=bool), r"labels\[0\] is True"),
        ([0, 0, 0, 10**400, 0, 0], r"labels\[3\] is 1000"),
        ([0, 1], r"labels must have shape \(6,\), one for each row of X, but has shape \(2,\)"),
        ([[0], [1, 1, 1], [2, 2]], r"but has shape \(3,\)"),
        (np.zeros((6, 1), dtype=int), r"but has shape \(6, 1\)"),
        (1, r"but has shape \(\)"),
        ([0, 1j, 0, 0, 0, 0], r"labels\[1\] is 1j"),
    ],
)
def test_refused_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        read(Stub(), X6, labels=labels, reset=True)


# Chunks of sequences


def some_sequences(lengths, seed=0, labelled=0.3):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    X = rng.standard_normal((n, 2))
    weight = np.repeat(rng.uniform(0.5, 2, len(lengths)), lengths)
    labels = np.where(rng.random(n) < labelled, rng.integers(0, 3, n), -1)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    return Sequences(Rows(X, weight), starts, labels if (labels >= 0).any() else None)


def pieces(sequences):
    """Rows, weights and labels of each sequence as lists."""
    labels = np.full(len(sequences.rows), -1) if sequences.labels is None else sequences.labels
    columns = (sequences.rows.X, sequences.rows.weight, labels)
    bounds = zip(sequences.starts[:-1], sequences.starts[1:], strict=True)
    return [tuple(column[a:b].tolist() for column in columns) for a, b in bounds]


LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=12)


@settings(max_examples=80)
@given(lengths=LENGTHS, seed=st.integers(0, 1000), share=st.sampled_from([0.0, 0.1, 1.0]), data=st.data())
def test_take_against_lists(lengths, seed, share, data):
    sequences = some_sequences(lengths, seed, share)
    index = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=15))
    taken = sequences.take(np.array(index, dtype=np.intp))
    assert len(taken) == len(index)
    assert pieces(taken) == [pieces(sequences)[i] for i in index]
    assert taken.starts.dtype == np.intp
    assert_array_equal(taken.weight, sequences.weight[index])
    assert_array_equal(taken.lengths, np.array(lengths)[index])
    assert taken.labels is None or (taken.labels >= 0).any()


@settings(max_examples=80)
@given(lengths=LENGTHS, chunk_rows=st.integers(1, 20), share=st.sampled_from([0.0, 0.1, 1.0]))
def test_split_keeps_sequences_whole(lengths, chunk_rows, share):
    sequences = some_sequences(lengths, labelled=share)
    chunks = split(sequences, chunk_rows)
    assert [piece for chunk in chunks for piece in pieces(chunk)] == pieces(sequences)
    for chunk, after in zip(chunks, [*chunks[1:], None], strict=True):
        assert chunk.starts[0] == 0
        assert len(chunk) == 1 or len(chunk.rows) <= chunk_rows
        assert after is None or len(chunk.rows) + after.lengths[0] > chunk_rows
        assert np.shares_memory(chunk.rows.X, sequences.rows.X)
        assert np.shares_memory(chunk.rows.weight, sequences.rows.weight)
        assert chunk.labels is None or (chunk.labels >= 0).any()


def test_reweighted():
    sequences = some_sequences([2, 3, 1])
    other = sequences.reweighted(np.array([1, 0, 3]))
    assert_array_equal(other.rows.weight, [1, 1, 0, 0, 0, 3])
    assert_array_equal(other.weight, [1, 0, 3])
    assert other.rows.weight.dtype == np.float64
    assert other.rows.X is sequences.rows.X
    assert other.labels is sequences.labels


def test_table_as_sequences():
    table = read(Stub(), X6, sequence_id=IDS6, labels=[0, 1, -1, 2, -1, 0], reset=True)
    sequences = as_sequences(table)
    assert len(sequences) == 3
    assert_array_equal(sequences.rows.X, X6[[0, 2, 5, 1, 4, 3]])
    assert_array_equal(sequences.rows.weight, np.ones(6))
    assert_array_equal(sequences.labels, [0, -1, 0, 1, -1, 2])
    assert sequences.rows.X.flags.c_contiguous
