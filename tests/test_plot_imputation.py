"""What the displays of missing cells, of foretold cells and of convergence draw, and what they refuse."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from emkit import EMGaussianMixture, EMImputer, EMTopicModel
from emkit.datasets import load_acs12, load_old_faithful
from emkit.plot import ConvergenceDisplay, MissingnessDisplay, OverimputationDisplay

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

PEOPLE = load_acs12().frame
rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=(60, 3)) @ [[2.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.5]] + 10
NUMBERS[rng.random(NUMBERS.shape) < 0.2] = np.nan
NUMBERS[0] = 9.0, 10.0, 11.0
IMPUTER = EMImputer(model="gaussian").fit(NUMBERS)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


class TestMissingness:
    def test_what_is_drawn(self):
        display = MissingnessDisplay.from_table(PEOPLE)
        display.figure_.canvas.draw()
        missing = PEOPLE.isna()
        expected = missing.value_counts(sort=False).sort_values(ascending=False)
        assert display.counts.tolist() == expected.tolist()
        drawn = display.ax_.collections[0].get_array().reshape(display.patterns.shape)
        for pattern, count in zip(drawn, display.counts, strict=True):
            assert (missing == pattern.astype(bool)).all(axis=1).sum() == count
        assert [label.get_text() for label in display.ax_.get_xticklabels()] == list(PEOPLE.columns)
        assert [bar.get_width() for bar in display.ax_rows_.patches] == display.counts.tolist()
        assert texts(display.ax_rows_)[:2] == ["783", "646"]
        assert_allclose(display.missing_share_, missing.mean())
        assert_allclose([bar.get_height() for bar in display.ax_columns_.patches], missing.mean())
        assert texts(display.ax_columns_)[:4] == ["19%", "20%", "52%", ""]

    def test_most_frequent_patterns_only(self):
        display = MissingnessDisplay.from_table(PEOPLE, max_patterns=3)
        assert len(display.ax_rows_.patches) == 3
        assert display.ax_.collections[0].get_array().size == 3 * 13
        assert "85% of all" in display.ax_rows_.get_xlabel()
        assert "4 patterns not shown" in display.ax_rows_.get_xlabel()
        assert_allclose(display.missing_share_, PEOPLE.isna().mean())  # of all rows

    def test_same_of_each_kind_of_table(self):
        frame = pd.DataFrame(NUMBERS, columns=list("abc"))
        first = MissingnessDisplay.from_table(NUMBERS)
        for table in (frame, pl.DataFrame(NUMBERS), NUMBERS.tolist(), np.ma.masked_invalid(NUMBERS)):
            other = MissingnessDisplay.from_table(table)
            assert_array_equal(other.patterns, first.patterns)
            assert_array_equal(other.counts, first.counts)
        assert first.feature_names == ["0", "1", "2"]
        assert MissingnessDisplay.from_table(frame).feature_names == ["a", "b", "c"]

    def test_marker_and_imputer_agree(self):
        marked = np.where(np.isnan(NUMBERS), -1, NUMBERS)
        by_marker = MissingnessDisplay.from_table(marked, missing_values=-1)
        imputer = EMImputer(model="gaussian", missing_values=-1).fit(marked)
        by_imputer = MissingnessDisplay.from_estimator(imputer, marked)
        for display in (by_marker, by_imputer):
            assert_array_equal(display.counts, MissingnessDisplay.from_table(NUMBERS).counts)

    def test_nothing_missing_wide_tables_and_odd_names(self):
        whole = MissingnessDisplay.from_table(np.ones((3, 2)))
        assert whole.counts.tolist() == [3]
        names = [f"$\\x{j}_$" * 9 for j in range(100)]
        wide = MissingnessDisplay.from_table(pd.DataFrame(np.eye(100), columns=names).replace(1.0, np.nan))
        wide.figure_.canvas.draw()
        assert len(wide.ax_.get_xticks()) == 50

    def test_given_axes(self):
        figure, ax = plt.subplots()
        display = MissingnessDisplay.from_estimator(IMPUTER, NUMBERS, ax=ax)
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert display.plot(ax=plt.subplots()[1]).figure_ is not figure

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_patterns": 0}, r"max_patterns must be an integer >= 1, but got 0"),
            ({"ax": 5}, r"ax must be Axes of matplotlib or None, but got 5"),
            ({"X": np.ones((0, 3))}, r"X must have rows and columns, but its shape is \(0, 3\)"),
            ({"X": np.ones(3)}, r"X must be a table"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            MissingnessDisplay.from_table(**{"X": NUMBERS, **options})

    def test_other_estimators(self):
        with pytest.raises(NotFittedError):
            MissingnessDisplay.from_estimator(EMImputer(), NUMBERS)
        with pytest.raises(ValueError, match=r"imputer must be an EMImputer, but got LinearRegression"):
            MissingnessDisplay.from_estimator(LinearRegression().fit([[1.0]], [1.0]), NUMBERS)


def foretold(j, level):
    """By the conditional normal distribution, a row at a time: mean, half the interval, value, share missing."""
    from scipy.stats import norm

    mean, covariance = IMPUTER.location_, IMPUTER.covariance_
    result = []
    for row in NUMBERS[~np.isnan(NUMBERS[:, j])]:
        known = np.flatnonzero(~np.isnan(row) & (np.arange(3) != j))
        gain = np.linalg.solve(covariance[np.ix_(known, known)], covariance[known, j])
        half = norm.ppf((1 + level) / 2) * np.sqrt(covariance[j, j] - gain @ covariance[known, j])
        result.append((mean[j] + gain @ (row[known] - mean[known]), half, row[j], np.isnan(row).sum() / 2))
    return np.array(result).T


class TestOverimputation:
    def test_against_conditional_normal(self):
        display = OverimputationDisplay.from_estimator(IMPUTER, NUMBERS, 1, level=0.8)
        mean, half, value, share = foretold(1, 0.8)
        assert_allclose(display.observed, value)
        assert_allclose(display.predicted, mean)
        assert_allclose(display.upper - display.lower, 2 * half)
        assert_allclose(display.missing_share, share)
        assert display.coverage_ == pytest.approx(np.mean(abs(value - mean) <= half))

    def test_what_is_drawn(self):
        display = OverimputationDisplay.from_estimator(IMPUTER, NUMBERS, 1)
        display.figure_.canvas.draw()
        lines, points = display.ax_.collections
        assert_allclose(points.get_offsets(), np.column_stack([display.observed, display.predicted]))
        assert_allclose([line[:, 1] for line in lines.get_segments()], np.column_stack([display.lower, display.upper]))
        assert_allclose(lines.get_array(), display.missing_share)
        assert len(display.ax_.lines) == 1  # the diagonal
        n = len(display.observed)
        assert display.ax_.get_title() == f"{display.coverage_:.1%} of {n} cells inside their 90% intervals"
        assert display.ax_.get_xlabel() == "1, observed"
        assert len(display.figure_.axes) == 2  # with the colour bar

    def test_one_colour_where_nothing_else_is_missing(self):
        whole = NUMBERS[~np.isnan(NUMBERS).any(axis=1)]
        display = OverimputationDisplay.from_estimator(IMPUTER, whole, 0)
        assert len(display.figure_.axes) == 1

    def test_same_of_each_kind_of_table(self):
        first = OverimputationDisplay.from_estimator(IMPUTER, NUMBERS, 1)
        pandas = pd.DataFrame(NUMBERS, columns=list("abc"))
        polars = pl.DataFrame(NUMBERS, schema=list("abc"), nan_to_null=True)
        objects = NUMBERS.astype(object)
        for table, column in ((pandas, "b"), (polars, "b"), (objects, 1)):
            imputer = EMImputer(model="gaussian").fit(table)
            before = np.array(table, dtype=float)
            other = OverimputationDisplay.from_estimator(imputer, table, column)
            assert_allclose(other.predicted, first.predicted)
            assert_allclose(other.upper, first.upper)
            assert_array_equal(np.array(table, dtype=float), before)  # the table is as it was

    def test_integers_markers_and_columns_that_are_left_out(self):
        table = np.column_stack([np.full(60, -1), np.round(np.nan_to_num(10 * NUMBERS, nan=-1))]).astype(int)
        imputer = EMImputer(model="gaussian", columns="continuous", missing_values=-1).fit(table)
        display = OverimputationDisplay.from_estimator(imputer, table, 2)
        assert_array_equal(display.observed, table[table[:, 2] >= 0, 2])
        assert 0.5 < display.coverage_ <= 1
        frame = pl.DataFrame(table)
        same = OverimputationDisplay.from_estimator(
            EMImputer(model="gaussian", columns="continuous", missing_values=-1).fit(frame), frame, "column_2"
        )
        assert_allclose(same.predicted, display.predicted)
        whole = np.round(10 * np.nan_to_num(NUMBERS, nan=3)).astype(int)
        assert len(OverimputationDisplay.from_estimator(EMImputer().fit(whole), whole, 0).observed) == 60

    def test_columns_of_a_survey(self):
        imputer = EMImputer().fit(PEOPLE)
        display = OverimputationDisplay.from_estimator(imputer, PEOPLE, "age", max_cells=None)
        assert len(display.observed) == 2000
        assert 0.85 < display.coverage_ < 0.95
        few = [
            OverimputationDisplay.from_estimator(imputer, PEOPLE, "hrs_work", max_cells=50, random_state=seed).observed
            for seed in (0, 0, 1)
        ]
        assert len(few[0]) == 50
        assert_array_equal(few[0], few[1])
        assert not np.array_equal(few[0], few[2])
        with pytest.raises(ValueError, match=r"column must be numeric, but 'edu' is ordinal"):
            OverimputationDisplay.from_estimator(imputer, PEOPLE, "edu")
        children = PEOPLE[PEOPLE["age"] < 10]
        with pytest.raises(ValueError, match=r"X must have observed cells in column 'income', but has none"):
            OverimputationDisplay.from_estimator(imputer, children, "income")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"column": "z"}, r"column must be one of \[0, 1, 2\], but got 'z'"),
            ({"level": 1.0}, r"level must be a number between 0 and 1, but got 1.0"),
            ({"max_cells": 0}, r"max_cells must be an integer >= 1, but got 0"),
            ({"ax": 5}, r"ax must be Axes of matplotlib or None, but got 5"),
            ({"X": NUMBERS[:, :2]}, r"X has 2 features"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            OverimputationDisplay.from_estimator(IMPUTER, **{"X": NUMBERS, "column": 1, **options})

    def test_column_without_a_value(self):
        table = np.column_stack([NUMBERS, np.full(60, np.nan)])
        imputer = EMImputer(model="gaussian").fit(table)
        with pytest.raises(ValueError, match=r"column must have had a value in fit, but 3 had none"):
            OverimputationDisplay.from_estimator(imputer, np.nan_to_num(table), 3)

    def test_other_estimators(self):
        with pytest.raises(NotFittedError):
            OverimputationDisplay.from_estimator(EMImputer(), NUMBERS, 1)


class TestConvergence:
    @pytest.mark.parametrize("kind", ["gain", "objective"])
    def test_a_line_for_each_start(self, kind):
        mixture = EMGaussianMixture(3, n_init=4, random_state=0).fit(load_old_faithful().data)
        display = ConvergenceDisplay.from_estimator(mixture, kind=kind)
        display.figure_.canvas.draw()
        assert len(display.ax_.lines) == 4
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [f"start {i}" for i in range(4)]
        for number, line in enumerate(display.ax_.lines):
            own = mixture.history_[mixture.history_["start"] == number]
            gain = mixture.objective_ - own["objective"]
            expected = np.where(gain > 0, gain, np.nan) if kind == "gain" else own["objective"]
            assert_array_equal(line.get_xdata(), own["iteration"])
            assert_allclose(line.get_ydata(), expected)
        assert max(line.get_linewidth() for line in display.ax_.lines) == display.ax_.lines[0].get_linewidth()
        assert display.ax_.get_yscale() == ("log" if kind == "gain" else "linear")

    def test_one_start_has_no_legend(self):
        display = ConvergenceDisplay.from_estimator(IMPUTER, ax=plt.subplots()[1])
        assert len(display.ax_.lines) == 1
        assert display.ax_.get_legend() is None

    def test_steps_on_a_sample_are_left_out(self):
        X = np.random.default_rng(0).poisson(1.0, (300, 20))
        model = EMTopicModel(3, random_state=0).fit(X)
        assert "sample" in model.history_["phase"]
        (line,) = ConvergenceDisplay.from_estimator(model).ax_.lines
        assert len(line.get_xdata()) == model.n_iter_ + 1

    def test_refused(self):
        with pytest.raises(ValueError, match=r"kind must be one of \['gain', 'objective'\], but got 'loss'"):
            ConvergenceDisplay.from_estimator(IMPUTER, kind="loss")
        with pytest.raises(ValueError, match=r"ax must be Axes"):
            ConvergenceDisplay.from_estimator(IMPUTER, ax=5)
        with pytest.raises(ValueError, match=r"estimator must be one of emkit with history_, but got LinearRegr"):
            ConvergenceDisplay.from_estimator(LinearRegression().fit([[1.0]], [1.0]))
        with pytest.raises(ValueError, match=r"history must have iterations on all rows, but has none"):
            ConvergenceDisplay(history=IMPUTER.history_[:0]).plot()
        with pytest.raises(NotFittedError):
            ConvergenceDisplay.from_estimator(EMImputer())
