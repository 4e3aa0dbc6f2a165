"""What the display of experts draws, and what it refuses."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor
from emkit.datasets import load_ethanol, load_motorcycle
from emkit.plot import ExpertsDisplay
from emkit.plot._look import colour

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

ENGINE = load_ethanol(as_frame=True).frame
CRASH = load_motorcycle(as_frame=True).frame
X, Y = CRASH[["times"]], CRASH["accel"]
MODEL = EMMixtureOfExpertsRegressor(4, random_state=0).fit(X, Y)


def switching(X, y, **options):
    return EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0, **options).fit(X, y)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def areas(display):
    """Heights of the areas of the gate at the left and the right end, (k, 2)."""
    heights = []
    for area in display.ax_gate_.collections:
        corners = area.get_paths()[0].vertices
        ends = (corners[corners[:, 0] == x, 1] for x in (display.grid[0], display.grid[-1]))
        heights.append([np.ptp(end) for end in ends])
    return np.array(heights)


class TestWhatIsDrawn:
    def test_numbers(self):
        display = ExpertsDisplay.from_estimator(MODEL, X, Y, level=0.8)
        assert_array_equal(display.x, X["times"])
        assert_array_equal(display.y, Y)
        assert_allclose(display.responsibilities, MODEL.predict_expert_proba(X, Y))
        rows = pd.DataFrame({"times": display.grid})
        assert (display.grid[0], display.grid[-1]) == (X["times"].min(), X["times"].max())
        assert_allclose(display.curves, MODEL.intercept_ + display.grid[:, None] * MODEL.coef_[:, 0])
        assert_allclose(display.shares, MODEL.predict_expert_proba(rows))
        assert_allclose(display.mixture, [MODEL.predict(rows), *MODEL.predict_interval(rows, 0.8)])

    def test_curves_and_responses(self):
        display = ExpertsDisplay.from_estimator(MODEL, X, Y)
        display.figure_.canvas.draw()
        points, *curves = display.ax_.collections
        assert_allclose(points.get_offsets(), np.column_stack([X["times"], Y]))
        colours = np.array([mpl.colors.to_rgb(colour(k)) for k in range(4)])
        sure = display.responsibilities
        assert_allclose(points.get_facecolors()[:, :3], colours[sure.argmax(axis=1)])
        assert_array_equal(points.get_facecolors()[:, 3].argsort(), sure.max(axis=1).argsort())
        for k, curve in enumerate(curves):
            pieces = curve.get_segments()
            drawn = np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])
            assert_allclose(drawn, np.column_stack([display.grid, display.curves[:, k]]))
            assert_allclose(curve.get_colors()[:, :3], np.tile(colours[k], (len(pieces), 1)))
            share = display.shares[:, k] / display.shares[:, k].max()
            starts = np.searchsorted(display.grid, [piece[0, 0] for piece in pieces])
            assert_allclose(curve.get_colors()[:, 3], 0.1 + 0.9 * share[starts], atol=0.03)
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [f"expert {k}" for k in range(4)]
        assert display.ax_.get_ylabel() == "accel"
        low, high = display.ax_.get_ylim()  # of the responses, not of curves beyond them
        assert low > Y.min() - 20
        assert high < Y.max() + 20

    def test_gate(self):
        display = ExpertsDisplay.from_estimator(MODEL, X, Y)
        display.figure_.canvas.draw()
        assert_allclose(areas(display), display.shares[[0, -1]].T, atol=1e-12)
        assert display.ax_gate_.get_xlim() == display.ax_.get_xlim()
        assert display.ax_gate_.get_xlabel() == "times"
        above, below = display.ax_.get_window_extent(), display.ax_gate_.get_window_extent()
        assert above.y0 > below.y1 > below.y0 > 0
        assert above.x0 == pytest.approx(below.x0)
        assert above.x1 == pytest.approx(below.x1)

    def test_constant_gate_has_horizontal_borders_and_whole_curves(self):
        model = switching(ENGINE[["NOx"]], ENGINE["E"])
        display = ExpertsDisplay.from_estimator(model, ENGINE[["NOx"]], ENGINE["E"])
        assert_allclose(areas(display), np.column_stack([model.weights_, model.weights_]), rtol=1e-3)
        assert [len(curve.get_segments()) for curve in display.ax_.collections[1:]] == [1, 1]

    def test_interval(self):
        display = ExpertsDisplay.from_estimator(MODEL, X, Y, level=0.9)
        band, line = display.ax_.collections[0], display.ax_.lines[0]
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(display.mixture[1].min())
        assert corners[:, 1].max() == pytest.approx(display.mixture[2].max())
        assert_allclose(line.get_ydata(), display.mixture[0])
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert labels[:2] == ["90% interval of the mixture", "mean of the mixture"]
        low, high = display.ax_.get_ylim()
        assert low < display.mixture[1].min()
        assert high > display.mixture[2].max()

    def test_without_responses(self):
        display = ExpertsDisplay.from_estimator(MODEL, X)
        display.figure_.canvas.draw()
        assert len(display.y) == 0
        assert len(display.ax_.collections) == 4  # the curves
        low, high = display.ax_.get_ylim()
        assert low < display.curves.min()
        assert high > display.curves.max()

    def test_missing_responses_are_left_out(self):
        missing = np.where(np.arange(len(Y)) < 10, np.nan, Y)
        display = ExpertsDisplay.from_estimator(MODEL, X, missing)
        assert_array_equal(display.y, Y[10:])
        assert_array_equal(display.x, X["times"][10:])
        assert len(display.responsibilities) == len(Y) - 10

    def test_one_expert_and_one_value(self):
        one = EMMixtureOfExpertsRegressor(1).fit(X, Y)
        display = ExpertsDisplay.from_estimator(one, X.iloc[:1], Y.iloc[:1])
        display.figure_.canvas.draw()
        assert_allclose(display.shares, 1)

    def test_many_experts_have_no_legend(self):
        many = EMMixtureOfExpertsRegressor(11, gate="constant", n_init=1, max_iter=5, tol=0, random_state=0).fit(X, Y)
        display = ExpertsDisplay.from_estimator(many, X, Y)
        display.figure_.canvas.draw()
        assert display.ax_.get_legend() is None
        assert len(display.ax_gate_.collections) == 11

    def test_given_axes(self):
        figure, (left, right) = plt.subplots(1, 2, layout="constrained")
        display = ExpertsDisplay.from_estimator(MODEL, X, Y, ax=left)
        figure.canvas.draw()
        assert display.ax_ is left
        assert display.figure_ is figure
        assert figure.axes == [left, right, display.ax_gate_]
        assert display.ax_gate_.get_window_extent().x1 < right.get_window_extent().x0
        again = display.plot()
        assert again is display
        assert display.figure_ is not figure

    def test_given_axes_of_no_grid(self):
        figure = plt.figure()
        ax = figure.add_axes((0.1, 0.2, 0.6, 0.7))
        display = ExpertsDisplay.from_estimator(MODEL, X, Y, ax=ax)
        upper, lower = ax.get_position(), display.ax_gate_.get_position()
        assert_allclose([lower.x0, lower.y0, lower.x1, upper.y1], [0.1, 0.2, 0.7, 0.9])
        assert upper.y0 > lower.y1


class TestColumns:
    def test_others_at_their_medians(self):
        both = ENGINE[["NOx", "C"]]
        model = switching(both, ENGINE["E"])
        display = ExpertsDisplay.from_estimator(model, both, ENGINE["E"])
        expected = model.intercept_ + np.column_stack([display.grid, np.full(400, 12.0)]) @ model.coef_.T
        assert_allclose(display.curves, expected)
        for feature in ("C", 1, -1, np.int64(1)):
            display = ExpertsDisplay.from_estimator(model, both, ENGINE["E"], feature=feature)
            assert display.feature_name == "C"
            middle = np.sort(ENGINE["NOx"])[(len(ENGINE) - 1) // 2]
            expected = model.intercept_ + np.column_stack([np.full(400, middle), display.grid]) @ model.coef_.T
            assert_allclose(display.curves, expected)

    def test_first_column_that_experts_look_at(self):
        model = EMMixtureOfExpertsRegressor(2, expert_features=["NOx"], gate_features=["C"], random_state=0)
        model.fit(ENGINE[["C", "NOx"]], ENGINE["E"])
        assert ExpertsDisplay.from_estimator(model, ENGINE[["C", "NOx"]], ENGINE["E"]).feature_name == "NOx"
        model.set_params(expert_features=[], gate_features=["NOx"]).fit(ENGINE[["C", "NOx"]], ENGINE["E"])
        assert ExpertsDisplay.from_estimator(model, ENGINE[["C", "NOx"]], ENGINE["E"]).feature_name == "NOx"

    def test_same_of_each_kind_of_table(self):
        first = ExpertsDisplay.from_estimator(switching(ENGINE[["NOx", "C"]], ENGINE["E"]), ENGINE[["NOx", "C"]])
        frame = pl.DataFrame({name: ENGINE[name].to_numpy() for name in ENGINE})
        array = ENGINE[["NOx", "C"]].to_numpy()
        for table, y, name in (
            (frame[["NOx", "C"]], frame["E"], "NOx"),
            (array, ENGINE["E"].to_numpy(), "column 0"),
            (array.tolist(), ENGINE["E"].tolist(), "column 0"),
        ):
            display = ExpertsDisplay.from_estimator(switching(table, y), table, y)
            assert_allclose(display.curves, first.curves)
            assert display.feature_name == name
            assert display.response_name == ("E" if name == "NOx" else "response")

    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    def test_columns_that_are_no_numbers(self, kind):
        rng = np.random.default_rng(0)
        x, colour = rng.uniform(size=200), rng.choice(["red", "blue"], 200, p=[0.7, 0.3])
        y = np.where(rng.random(200) < 0.5, 3 * x, 4 - 2 * x) + (colour == "blue") + 0.1 * rng.normal(size=200)
        columns = {"colour": colour.tolist(), "x": x, "n": rng.integers(0, 5, 200), "sunny": x > 2}
        table = pd.DataFrame(columns).astype({"colour": "category"}) if kind == "pandas" else pl.DataFrame(columns)
        # dense: scikit-learn 1.6 puts no sparse columns beside those of polars
        colours = OneHotEncoder(drop="first", sparse_output=False)
        one_hot = make_column_transformer((colours, ["colour"]), ("passthrough", ["x"]))
        model = switching(table, y, expert_features=one_hot)
        display = ExpertsDisplay.from_estimator(model, table, y, feature="x")
        expected = model.intercept_ + np.column_stack([np.ones(400), display.grid]) @ model.coef_.T
        assert_allclose(display.curves, expected)
        with pytest.raises(ValueError, match=r"feature must be a column of numbers, but 'colour' is not"):
            ExpertsDisplay.from_estimator(model, table, y)

    def test_selectors_see_the_same_types(self):
        table = ENGINE[["NOx", "C"]].astype({"C": int})
        numbers = make_column_transformer(("passthrough", make_column_selector(dtype_include="number")))
        model = switching(table, ENGINE["E"], expert_features=numbers)
        assert_allclose(
            ExpertsDisplay.from_estimator(model, table).curves,
            ExpertsDisplay.from_estimator(switching(table, ENGINE["E"]), table).curves,
        )


class TestKindsOfModels:
    def test_several_responses(self):
        y = np.column_stack([ENGINE["E"], 2 - ENGINE["E"]])
        model = switching(ENGINE[["NOx"]], y, covariance_type="diag")
        display = ExpertsDisplay.from_estimator(model, ENGINE[["NOx"]], y, output=1, level=0.9)
        assert display.response_name == "response 1"
        assert_array_equal(display.y, y[:, 1])
        assert_allclose(display.curves, model.intercept_[:, 1] + display.grid[:, None] * model.coef_[:, 1, 0])
        assert_allclose(display.mixture[0], model.predict(pd.DataFrame({"NOx": display.grid}))[:, 1])
        frame = pd.DataFrame(y, columns=["E", "other"])
        assert ExpertsDisplay.from_estimator(model, ENGINE[["NOx"]], frame).response_name == "E"
        with pytest.raises(ValueError, match=r"output must be less than 2, the number of responses, but got 2"):
            ExpertsDisplay.from_estimator(model, ENGINE[["NOx"]], y, output=2)

    def test_counts_with_exposure_and_offset(self):
        rng = np.random.default_rng(0)
        x, time = rng.uniform(size=(300, 1)), rng.choice([1.0, 2.0, 5.0], 300)
        offset = rng.normal(size=300)
        y = rng.poisson(time * np.exp(np.where(rng.random(300) < 0.5, 2 * x[:, 0], 1 - x[:, 0]) + offset))
        extras = {"exposure": time, "offset": offset}
        model = EMMixtureOfExpertsRegressor(2, expert="poisson", gate="constant", random_state=0).fit(x, y, **extras)
        display = ExpertsDisplay.from_estimator(model, x, y, level=0.9, **extras)
        median = np.sort(offset)[149]
        assert_allclose(
            display.curves, 2 * np.exp(median + model.intercept_ + display.grid[:, None] * model.coef_[:, 0])
        )
        assert_allclose(display.responsibilities, model.predict_expert_proba(x, y, **extras))
        assert_array_equal(display.mixture[1], np.round(display.mixture[1]))

    def test_blocks_share_their_colour(self):
        person = np.repeat(np.arange(44), 2)
        model = EMMixtureOfExpertsRegressor(2, gate="constant", random_state=0)
        model.fit(ENGINE[["NOx"]], ENGINE["E"], block_id=person)
        display = ExpertsDisplay.from_estimator(model, ENGINE[["NOx"]], ENGINE["E"], block_id=person)
        assert_array_equal(display.responsibilities[::2], display.responsibilities[1::2])

    def test_estimators_as_experts(self):
        X = ENGINE[["C", "NOx"]]
        model = switching(X, ENGINE["E"], expert=LinearRegression(), expert_features=["NOx"])
        display = ExpertsDisplay.from_estimator(model, X, ENGINE["E"])
        assert display.feature_name == "NOx"
        same = ExpertsDisplay.from_estimator(switching(X, ENGINE["E"], expert_features=["NOx"]), X)
        assert_allclose(np.sort(display.curves), np.sort(same.curves), rtol=1e-3)


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"feature": "z"}, r"feature must be one of \['times'\], but got 'z'"),
            ({"feature": 1}, r"feature must be one of \['times'\], but got 1"),
            ({"feature": True}, r"feature must be one of \['times'\], but got True"),
            ({"output": -1}, r"output must be an integer >= 0, but got -1"),
            ({"output": 1}, r"output must be less than 1, the number of responses, but got 1"),
            ({"level": 1.5}, r"level must be a number between 0 and 1, but got 1.5"),
            ({"ax": 5}, r"ax must be Axes of matplotlib or None, but got 5"),
            ({"y": Y[:5]}, r"X has 133, y has 5"),
            ({"X": X["times"].to_numpy()}, r"X must be a table of rows and columns, but has shape \(133,\)"),
            ({"X": CRASH}, r"feature names"),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            ExpertsDisplay.from_estimator(MODEL, **{"X": X, "y": Y, **options})

    def test_other_estimators(self):
        with pytest.raises(NotFittedError):
            ExpertsDisplay.from_estimator(EMMixtureOfExpertsRegressor(), X, Y)
        with pytest.raises(ValueError, match=r"estimator must be an EMMixtureOfExpertsRegressor, but got LinearRegr"):
            ExpertsDisplay.from_estimator(LinearRegression().fit(X, Y), X, Y)
        classifier = EMMixtureOfExpertsClassifier(random_state=0).fit(X, Y > 0)
        with pytest.raises(ValueError, match=r"estimator must be an EMMixtureOfExpertsRegressor, but got EMMixtureOfE"):
            ExpertsDisplay.from_estimator(classifier, X, Y > 0)
