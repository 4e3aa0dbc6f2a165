"""What the displays share: colours that can be told apart, and pictures that stay within small axes."""

import sys
from itertools import combinations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emkit import ComponentSearch, EMGaussianMixture, EMTopicModel
from emkit.datasets import load_acs12
from emkit.plot import (
    ComponentSearchDisplay,
    ConvergenceDisplay,
    ExpertsDisplay,
    MissingnessDisplay,
    MixtureDisplay,
    OverimputationDisplay,
    StateDisplay,
    TopicDisplay,
)
from emkit.plot._look import COLOURS, colour, line, marker

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

# Machado, Oliveira and Fernandes (2009), severity 1: what linear RGB looks like without one kind of cones
EYES = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def linear(names):
    values = np.array([mpl.colors.to_rgb(name) for name in names])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB, white D65."""
    ratio = np.clip(rgb, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116).T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def least_distance(names, eyes):
    seen = lab(linear(names) @ np.array(EYES[eyes]).T)
    return min(np.linalg.norm(one - other) for one, other in combinations(seen, 2))


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_colours_can_be_told_apart(eyes):
    assert least_distance(COLOURS, eyes) > 16
    assert least_distance([f"C{k}" for k in range(10)], "no red") < 5  # matplotlib's own


def test_colours_stand_out_from_white():
    luminance = linear(COLOURS) @ TO_XYZ[1]
    assert (1.05 / (luminance + 0.05) > 2.2).all()


def test_colour_and_marker_tell_56_components_apart():
    assert len({(colour(k), marker(k)) for k in range(56)}) == 56
    assert len({(colour(k), str(line(k))) for k in range(40)}) == 40


def within(figure):
    """Whether nothing that is drawn reaches out of the figure."""
    figure.canvas.draw()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02


def small():
    return plt.subplots(figsize=(4, 3), layout="constrained")


class TestSmallAxes:
    def test_missing_cells(self):
        figure, ax = small()
        display = MissingnessDisplay.from_table(load_acs12().frame, ax=ax)
        assert within(figure)
        bars, cells = display.ax_columns_.get_window_extent(), display.ax_.get_window_extent()
        assert bars.y0 >= cells.y1
        assert (bars.x0, bars.x1) == pytest.approx((cells.x0, cells.x1))

    @pytest.mark.parametrize("kind", ["gain", "objective"])
    def test_many_starts(self, kind):
        figure, ax = small()
        X = load_iris().data
        mixture = EMGaussianMixture(
            5, covariance_type="tied", n_init=40, init_params="random_from_data", random_state=0
        )
        display = ConvergenceDisplay.from_estimator(mixture.fit(X), kind=kind, ax=ax)
        assert len(display.ax_.lines) > 10
        assert within(figure)
        assert ax.get_legend() is None
        colours = [path.get_color() for path in display.ax_.lines]
        assert colours.count(COLOURS[0]) == 1  # the best
        assert len(set(colours)) == 2

    def test_topics_of_long_words(self):
        counts = np.random.default_rng(0).poisson(1.0, (60, 30))
        words = [f"word{j}" * 6 for j in range(30)]
        model = EMTopicModel(3, random_state=0, vocabulary=words).fit(counts)
        figure, axes = plt.subplots(1, 3, figsize=(4, 3), layout="constrained")
        TopicDisplay.from_estimator(model, n_words=6, ax=axes)
        assert within(figure)
        assert all(ax.get_window_extent().width > 20 for ax in axes)
        assert all(len(label.get_text()) <= 8 for label in axes[0].get_yticklabels())

    def test_discs_of_topics_are_whole(self):
        counts = np.random.default_rng(0).poisson(1.0, (60, 30))
        model = EMTopicModel(6, random_state=0, max_iter=5, tol=0).fit(counts)
        figure, ax = small()
        TopicDisplay.from_estimator(model, kind="map", ax=ax)
        figure.canvas.draw()
        discs = ax.collections[0]
        places = ax.transData.transform(discs.get_offsets())
        radii = np.sqrt(discs.get_sizes() / np.pi) * figure.dpi / 72
        box = ax.get_window_extent()
        assert (places - radii[:, None] >= box.min).all()
        assert (places + radii[:, None] <= box.max).all()


FLOWERS = load_iris().data
SEARCH = ComponentSearch(EMGaussianMixture(), n_components=2, random_state=0).fit(FLOWERS)
IN_PIPELINE = make_pipeline(StandardScaler(), EMGaussianMixture(2, random_state=0)).fit(FLOWERS)
TOPICS = EMTopicModel(2, random_state=0).fit(np.random.default_rng(0).poisson(1.0, (30, 8)))


@pytest.mark.parametrize(
    ("display", "arguments"),
    [
        (ConvergenceDisplay, ()),
        (ExpertsDisplay, (FLOWERS,)),
        (MissingnessDisplay, (FLOWERS,)),
        (MixtureDisplay, (FLOWERS,)),
        (OverimputationDisplay, (FLOWERS, 0)),
        (StateDisplay, ()),
        (TopicDisplay, ()),
    ],
)
def test_an_estimator_within_another_one(display, arguments):
    """Where it is, is said."""
    grid = GridSearchCV(EMGaussianMixture(random_state=0), {"n_components": [2]}).fit(FLOWERS)
    for outer in (SEARCH, grid):
        with pytest.raises(ValueError, match=r"(?s)must be .*Search.*; give its best_estimator_$"):
            display.from_estimator(outer, *arguments)
    with pytest.raises(ValueError, match=r"(?s)must be .*Pipeline\(.*; give its last step, pipeline\[-1\], and for X"):
        display.from_estimator(IN_PIPELINE, *arguments)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: ComponentSearchDisplay.from_estimator(SEARCH),
        lambda: ConvergenceDisplay.from_estimator(SEARCH.best_estimator_),
        lambda: MissingnessDisplay.from_table(FLOWERS),
        lambda: MixtureDisplay.from_estimator(SEARCH.best_estimator_, FLOWERS),
        lambda: TopicDisplay.from_estimator(TOPICS),
        lambda: TopicDisplay.from_estimator(TOPICS, kind="map"),
    ],
)
def test_matplotlib_is_missing(draw, monkeypatch):
    with monkeypatch.context() as without:
        for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
            without.setitem(sys.modules, module, None)
        without.setitem(sys.modules, "matplotlib", None)
        without.setitem(sys.modules, "matplotlib.pyplot", None)
        with pytest.raises(ImportError, match=r'a picture needs matplotlib, .* pip install "emkit\[plot\]" inst'):
            draw()
