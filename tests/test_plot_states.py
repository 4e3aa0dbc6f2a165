"""What the display of hidden Markov models draws, and what it refuses."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from emkit import EMGaussianMixture, EMHiddenMarkov
from emkit.datasets import load_earthquakes, load_old_faithful
from emkit.plot import StateDisplay
from emkit.plot._look import colour

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

QUAKES = load_earthquakes(as_frame=True).data
COUNTS = QUAKES[["count"]]
THREE = EMHiddenMarkov(3, emission="poisson", random_state=0).fit(COUNTS)
FAITHFUL = load_old_faithful(as_frame=True).data
NIGHT = np.repeat(["one", "two", "three"], [100, 100, 72])
TWO = EMHiddenMarkov(2, random_state=0).fit(FAITHFUL, sequence_id=NIGHT)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def markers(ax):
    """Places and colours of all values, by time."""
    drawn = [piece for piece in ax.collections if len(piece.get_offsets())]
    offsets = np.concatenate([piece.get_offsets() for piece in drawn])
    colours = np.concatenate([piece.get_facecolors() for piece in drawn])
    order = np.argsort(offsets[:, 0])
    return offsets[order], colours[order]


class TestSequence:
    def test_values_by_state(self):
        display = StateDisplay.from_estimator(THREE, COUNTS, time=QUAKES["year"])
        offsets, colours = markers(display.ax_)
        assert_array_equal(offsets, QUAKES[["year", "count"]])
        path, proba = THREE.predict(COUNTS), THREE.predict_proba(COUNTS)
        assert_allclose(colours[:, :3], np.array([mpl.colors.to_rgb(colour(k)) for k in range(3)])[path])
        sure = np.clip((proba[np.arange(107), path] - 1 / 3) / (2 / 3), 0, 1)
        assert_allclose(colours[:, 3], 0.15 + 0.75 * sure)
        (line,) = display.ax_.lines
        assert_array_equal(line.get_ydata(), COUNTS["count"])
        assert display.ax_.get_ylabel() == "count"
        assert display.ax_proba_.get_xlabel() == "year"
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert labels == ["state 0", "state 1", "state 2"]

    def test_probabilities_are_stacked(self):
        display = StateDisplay.from_estimator(THREE, COUNTS)
        proba = THREE.predict_proba(COUNTS)
        stack = np.cumsum(proba, axis=1)
        for k, area in enumerate(display.ax_proba_.collections):
            corners = area.get_paths()[0].vertices
            for row in (10, 50, 100):
                here = corners[corners[:, 0] == row - 0.5, 1]  # a step before the row
                for edge in (stack[row, k] - proba[row, k], stack[row, k]):
                    assert np.abs(here - edge).min() < 1e-9
        assert display.ax_proba_.get_ylim() == (0, 1)

    def test_panels_share_time_and_the_place_of_the_axes(self):
        figure, (left, right) = plt.subplots(1, 2, layout="constrained")
        display = StateDisplay.from_estimator(TWO, FAITHFUL, sequence_id=NIGHT, ax=left)
        figure.canvas.draw()
        assert display.ax_ is left
        assert display.figure_ is figure
        assert [panel.get_ylabel() for panel in display.axes_] == ["eruptions", "waiting"]
        boxes = [panel.get_window_extent() for panel in (*display.axes_, display.ax_proba_)]
        assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
        assert max(box.x1 for box in boxes) < right.get_window_extent().x0
        assert {panel.get_xlim() for panel in display.axes_} == {display.ax_proba_.get_xlim()}
        again = display.plot()
        assert again is display
        assert display.figure_ is not figure

    def test_axes_of_no_grid(self):
        ax = plt.figure().add_axes((0.1, 0.2, 0.6, 0.7))
        display = StateDisplay.from_estimator(THREE, COUNTS, ax=ax)
        upper, lower = ax.get_position(), display.ax_proba_.get_position()
        assert_allclose([lower.x0, lower.y0, lower.x1, upper.y1], [0.1, 0.2, 0.7, 0.9])
        assert upper.y0 > lower.y1

    @pytest.mark.parametrize("show", [None, "one", "three"])
    def test_which_sequence(self, show):
        display = StateDisplay.from_estimator(TWO, FAITHFUL, sequence_id=NIGHT, show=show, columns="waiting")
        own = (show or "one") == NIGHT
        offsets, _ = markers(display.ax_)
        assert_array_equal(offsets, np.column_stack([np.arange(own.sum()), FAITHFUL["waiting"][own]]))
        assert_array_equal(display.states, TWO.predict(FAITHFUL, sequence_id=NIGHT)[own])
        assert_allclose(display.proba, TWO.predict_proba(FAITHFUL, sequence_id=NIGHT)[own])

    def test_all_ways_to_tell_sequences_apart(self):
        X = FAITHFUL.to_numpy()
        model = EMHiddenMarkov(2, random_state=0).fit(X, sequence_id=NIGHT)
        by_id = StateDisplay.from_estimator(model, X, sequence_id=NIGHT, show="two")
        by_length = StateDisplay.from_estimator(model, X, lengths=[100, 100, 72], show=1)
        by_list = StateDisplay.from_estimator(model, [X[:100], X[100:200], X[200:]], show=1)
        frame = FAITHFUL.assign(night=NIGHT)
        by_column = EMHiddenMarkov(2, random_state=0, sequence="night").fit(frame)
        by_column = StateDisplay.from_estimator(by_column, frame, show="two")
        assert by_column.feature_names == ["eruptions", "waiting"]
        for display in (by_length, by_list, by_column):
            assert_array_equal(display.values, X[100:200])
            assert_allclose(display.proba, by_id.proba)

    def test_sequences_that_interleave(self):
        machine = np.arange(272) % 2
        model = EMHiddenMarkov(2, random_state=0).fit(FAITHFUL, sequence_id=machine)
        time = pd.Series(np.arange(272.0) * 10, name="seconds")
        display = StateDisplay.from_estimator(model, FAITHFUL, sequence_id=machine, show=1, time=time)
        assert_array_equal(display.values, FAITHFUL.to_numpy()[1::2])
        assert_array_equal(display.time, time[1::2])
        assert display.ax_proba_.get_xlabel() == "seconds"
        counted = StateDisplay.from_estimator(model, FAITHFUL, sequence_id=machine, show=1)
        assert_array_equal(counted.time, np.arange(136))

    def test_window(self):
        display = StateDisplay.from_estimator(THREE, COUNTS, window=(20, 60))
        assert_array_equal(display.time, np.arange(20, 60))
        assert_allclose(display.proba, THREE.predict_proba(COUNTS)[20:60])  # given all rows
        assert len(StateDisplay.from_estimator(THREE, COUNTS, window=(100, 1000)).values) == 7

    @pytest.mark.parametrize("n_rows", [3, 7, 10, 12, 15])
    def test_ticks_of_counted_rows_are_whole(self, n_rows):
        display = StateDisplay.from_estimator(TWO, FAITHFUL[:60], lengths=[n_rows, 60 - n_rows], show=0)
        display.figure_.set_size_inches(4, 4)
        ticks = display.ax_proba_.get_xticks()
        assert len(ticks) > 2
        assert_array_equal(ticks, ticks.round())

    def test_dates(self):
        days = pd.date_range("2020-01-01", periods=107)
        display = StateDisplay.from_estimator(THREE, COUNTS, time=days)
        display.figure_.canvas.draw()
        assert display.ax_proba_.get_xlabel() == "time"
        labels = [label.get_text() for label in display.ax_proba_.get_xticklabels()]
        assert max(map(len, labels)) <= 4

    def test_missing_values_are_not_drawn(self):
        X = COUNTS.astype(float)
        X.iloc[10:15] = np.nan
        display = StateDisplay.from_estimator(THREE, X)
        display.figure_.canvas.draw()
        offsets, _ = markers(display.ax_)
        assert_array_equal(offsets[:, 0], np.delete(np.arange(107), np.arange(10, 15)))
        assert display.proba.shape == (107, 3)

    def test_symbols_have_a_mark_each_and_no_line(self):
        rng = np.random.default_rng(0)
        symbols = rng.integers(0, 4, 60)
        X = np.column_stack([symbols, rng.normal(size=60) + symbols])
        model = EMHiddenMarkov(2, emission=["categorical", "gaussian"], random_state=0).fit(X)
        display = StateDisplay.from_estimator(model, X)
        assert display.symbolic == [True, False]
        assert [len(panel.lines) for panel in display.axes_] == [0, 1]
        assert_array_equal(display.axes_[0].get_yticks(), [0, 1, 2, 3])
        assert_array_equal(markers(display.axes_[0])[0][:, 1], symbols)

    def test_of_many_columns_the_first_four(self):
        X = np.random.default_rng(0).normal(size=(50, 6))
        model = EMHiddenMarkov(2, random_state=0, covariance_type="diag").fit(X)
        assert StateDisplay.from_estimator(model, X).feature_names == [f"column {j}" for j in range(4)]
        assert StateDisplay.from_estimator(model, X, columns=[5, 0]).feature_names == ["column 5", "column 0"]


class TestChain:
    def test_transitions(self):
        ax = plt.subplots()[1]
        display = StateDisplay.from_estimator(THREE, kind="transitions", ax=ax)
        assert display.ax_ is ax
        assert_allclose(ax.collections[0].get_array().reshape(3, 3), THREE.transmat_)
        for text in ax.texts:
            k, j = np.floor(text.get_position()).astype(int)
            share = THREE.transmat_[j, k]
            assert text.get_text() == ("0" if share == 0 else "<.01" if share < 0.005 else f"{share:.2f}")
        assert len(ax.texts) == 9
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("next state", "state")
        assert ax.get_ylim() == (3, 0)  # state 0 at the top

    def test_what_may_not_be_is_told_from_what_is_rare(self):
        display = StateDisplay(
            startprob=np.array([1.0, 0.0]),
            transmat=np.array([[0.999, 0.001], [0.0, 1.0]]),
            expected_durations=np.array([1000.0, np.inf]),
            kind="transitions",
        ).plot()
        assert [text.get_text() for text in display.ax_.texts] == ["1.00", "<.01", "0", "1.00"]

    def test_many_states_have_shades_alone(self):
        model = EMHiddenMarkov(13, covariance_type="diag", random_state=0, max_iter=5, tol=0).fit(FAITHFUL)
        display = StateDisplay.from_estimator(model, kind="transitions")
        assert not display.ax_.texts
        assert display.figure_.axes[-1].get_ylabel() == "probability"

    def test_graph(self):
        display = StateDisplay.from_estimator(THREE, kind="graph")
        display.figure_.canvas.draw()
        arrows = [patch for patch in display.ax_.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]
        discs = [patch for patch in display.ax_.patches if isinstance(patch, mpl.patches.Circle)]
        drawn = THREE.transmat_ >= 0.01
        assert len(arrows) == drawn.sum() < 9
        widths = np.array([arrow.get_linewidth() for arrow in arrows])
        assert_array_equal(widths.argsort(), THREE.transmat_[drawn].argsort())
        slope, _ = np.polyfit(THREE.transmat_[drawn], widths, 1)
        assert_allclose(widths - widths[0], slope * (THREE.transmat_[drawn] - THREE.transmat_[drawn][0]), atol=1e-9)
        source = np.nonzero(drawn)[0]
        for arrow, state in zip(arrows, source, strict=True):
            assert mpl.colors.same_color(arrow.get_edgecolor()[:3], mpl.colors.to_rgb(colour(state)))
        assert len(discs) == 3
        said = [text.get_text() for text in display.ax_.texts]
        for k in range(3):
            assert f"start {THREE.startprob_[k]:.2f}\nstay {THREE.expected_durations_[k]:.1f}" in said
        for share in THREE.transmat_[drawn]:
            assert f"{share:.2f}" in said

    def test_arrows_go_from_disc_to_disc(self):
        display = StateDisplay.from_estimator(THREE, kind="graph")
        centres = np.array([p.center for p in display.ax_.patches if isinstance(p, mpl.patches.Circle)])
        radius = next(p.radius for p in display.ax_.patches if isinstance(p, mpl.patches.Circle))
        ends = []
        for arrow in display.ax_.patches:
            if isinstance(arrow, mpl.patches.FancyArrowPatch):
                path = arrow._path_original.vertices
                near = np.linalg.norm(path[[0, -1], None] - centres, axis=2)
                assert_allclose(near.min(axis=1), radius)
                ends.append(tuple(near.argmin(axis=1)))
        assert ends == list(zip(*np.nonzero(THREE.transmat_ >= 0.01), strict=True))

    @pytest.mark.parametrize("n", [1, 2, 9])
    def test_graphs_of_other_sizes(self, n):
        transmat = np.full((n, n), 1 / n)
        display = StateDisplay(
            startprob=np.full(n, 1 / n), transmat=transmat, expected_durations=1 / (1 - np.diag(transmat) + 1e-300)
        )
        display.kind = "graph"
        display.plot(plt.subplots(figsize=(4, 3))[1])
        display.figure_.canvas.draw()
        arrows = [patch for patch in display.ax_.patches if isinstance(patch, mpl.patches.FancyArrowPatch)]
        assert len(arrows) == n * n
        if n == 9:  # numbers of arrows would cover each other
            assert [text.get_text() for text in display.ax_.texts] == [str(k) for k in range(9)]

    def test_a_state_that_is_never_left(self):
        display = StateDisplay(
            startprob=np.ones(1), transmat=np.ones((1, 1)), expected_durations=np.array([np.inf]), kind="graph"
        ).plot()
        assert "start 1.00\nstay ∞" in [text.get_text() for text in display.ax_.texts]


class TestRefused:
    def test_arguments(self):
        draw = StateDisplay.from_estimator
        with pytest.raises(NotFittedError):
            draw(EMHiddenMarkov(2), COUNTS)
        with pytest.raises(ValueError, match=r"model must be an EMHiddenMarkov, but got EMGaussianMixture"):
            draw(EMGaussianMixture(1).fit(FAITHFUL), FAITHFUL)
        with pytest.raises(
            ValueError, match=r"kind must be one of \['sequence', 'transitions', 'graph'\], but got 'p'"
        ):
            draw(THREE, COUNTS, kind="p")
        with pytest.raises(ValueError, match=r"X must be given for kind='sequence', but is None"):
            draw(THREE)
        with pytest.raises(ValueError, match=r"columns must be one of \['count'\], but got 'year'"):
            draw(THREE, COUNTS, columns="year")
        with pytest.raises(ValueError, match=r"show must be the id of a sequence of X \('one', 'two', 'three'\), but"):
            draw(TWO, FAITHFUL, sequence_id=NIGHT, show="four")
        with pytest.raises(ValueError, match=r"window must be two numbers of rows or None, but got 5"):
            draw(THREE, COUNTS, window=5)
        with pytest.raises(ValueError, match=r"window must be an integer >= 0, but got -5"):
            draw(THREE, COUNTS, window=(-5, 10))
        with pytest.raises(ValueError, match=r"window must hold rows of the sequence, but \(107, 200\) holds none"):
            draw(THREE, COUNTS, window=(107, 200))
        with pytest.raises(
            ValueError, match=r"time must have a value for each of the 107 rows of X, but has shape \(5"
        ):
            draw(THREE, COUNTS, time=np.arange(5))
        with pytest.raises(ValueError, match=r"ax must be Axes"):
            draw(THREE, COUNTS, ax=3)
        with pytest.raises(ValueError, match=r"values must be given for kind='sequence', but are None"):
            StateDisplay(startprob=np.ones(1), transmat=np.ones((1, 1)), expected_durations=np.ones(1)).plot()
        with pytest.raises(ValueError, match=r"one id for each of the 272 rows"):
            draw(TWO, FAITHFUL, sequence_id=NIGHT[:5])
