"""What the display of mixtures draws, and what it refuses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad, trapezoid
from scipy.stats import chi2, f, multivariate_t, norm, t
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture

from emkit import EMGaussianMixture, EMMixture
from emkit.datasets import load_old_faithful
from emkit.plot import MixtureDisplay
from emkit.plot._components import Components
from emkit.plot._look import colour, marker

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

FAITHFUL = load_old_faithful(as_frame=True).data
IRIS = load_iris(as_frame=True).data
SPRINKLED = np.vstack([FAITHFUL, np.random.default_rng(0).uniform([1, 40], [6, 100], (100, 2))])
WITH_NOISE = EMGaussianMixture(2, noise=True, random_state=0).fit(SPRINKLED)
TWO = EMGaussianMixture(2, random_state=0).fit(FAITHFUL)
THREE = EMGaussianMixture(3, random_state=0).fit(IRIS)
SHIFT = np.array([[0.0, 0.0], [4.0, -1.0]])
SHAPE = np.array([[[2.0, 0.7], [0.7, 1.0]], [[0.5, -0.2], [-0.2, 3.0]]])
DENSE = {
    "full": lambda covariances, k: covariances[k],
    "tied": lambda covariances, k: covariances,
    "diag": lambda covariances, k: np.diag(covariances[k]),
    "spherical": lambda covariances, k: covariances[k] * np.eye(4),
    "EII": lambda covariances, k: covariances * np.eye(4),
}


def over_y(components, k, x):
    """The integral of weight_k p(x, y; k) over y."""
    return quad(lambda y: components.joint_density(np.array([[x, y]]))[0, k], -500, 500, points=[-1, 0], limit=200)[0]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def ellipse_matrix(ellipse):
    """The matrix A of an ellipse {x: (x - centre)^T A^-1 (x - centre) = 1}."""
    angle = np.radians(ellipse.angle)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([(ellipse.width / 2) ** 2, (ellipse.height / 2) ** 2]) @ turn.T


def markers(ax):
    """Places and colours of all rows, sorted by place."""
    drawn = [piece for piece in ax.collections if len(piece.get_offsets())]
    offsets = np.concatenate([piece.get_offsets() for piece in drawn])
    colours = np.concatenate([np.broadcast_to(p.get_facecolors(), (len(p.get_offsets()), 4)) for p in drawn])
    order = np.lexsort(offsets.T)
    return offsets[order], colours[order]


class TestEllipses:
    def test_axes_are_those_of_the_covariance(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, levels=(0.5, 0.9))
        ellipses = display.ax_.patches
        assert len(ellipses) == 4
        for place, level in enumerate((0.5, 0.9)):
            for k in range(2):
                ellipse = ellipses[2 * place + k]
                assert_allclose(ellipse.center, TWO.means_[k])
                assert_allclose(ellipse_matrix(ellipse), chi2.ppf(level, 2) * TWO.covariances_[k])
                assert mpl.colors.same_color(ellipse.get_edgecolor(), colour(k))
        assert display.ax_.get_legend().get_title().get_text() == "ellipses: 50%, 90%"

    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
    def test_covariance_types(self, covariance_type):
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(IRIS)
        display = MixtureDisplay.from_estimator(mixture, IRIS, columns=[2, 0], levels=[0.5])
        for k, ellipse in enumerate(display.ax_.patches):
            covariance = ellipse_matrix(ellipse) / chi2.ppf(0.5, 2)
            expected = DENSE[covariance_type](mixture.covariances_, k)[np.ix_([2, 0], [2, 0])]
            assert_allclose(covariance, expected, atol=1e-15)

    def test_share_within_an_ellipse_of_a_t_distribution(self):
        components = Components(np.ones(1), np.zeros((1, 2)), SHAPE[:1], np.array([3.0]))
        rows = multivariate_t(np.zeros(2), SHAPE[0], df=3, seed=0).rvs(200_000)
        distances = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(SHAPE[0]), rows)
        for level in (0.5, 0.95):
            assert np.mean(distances < components.radii(level) ** 2) == pytest.approx(level, abs=0.004)

    def test_rows_by_their_component(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL)
        offsets, colours = markers(display.ax_)
        order = np.lexsort(FAITHFUL.to_numpy().T)
        assert_array_equal(offsets, FAITHFUL.to_numpy()[order])
        labels, sure = TWO.predict(FAITHFUL)[order], TWO.predict_proba(FAITHFUL).max(axis=1)[order]
        expected = np.array([mpl.colors.to_rgb(colour(k)) for k in range(2)])[labels]
        assert_allclose(colours[:, :3], expected)
        assert_allclose(colours[:, 3], 0.15 + 0.75 * (sure - 0.5) / 0.5)
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
            f"component {k}: {TWO.weights_[k]:.1%}" for k in range(2)
        ]
        assert [text.get_text() for text in display.ax_.texts] == ["0", "1"]

    def test_limits_hold_rows_and_ellipses(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL)
        (left, right), (bottom, top) = display.ax_.get_xlim(), display.ax_.get_ylim()
        for ellipse in display.ax_.patches:
            corners = ellipse.get_path().transformed(ellipse.get_patch_transform()).vertices
            assert left < corners[:, 0].min() < corners[:, 0].max() < right
            assert bottom < corners[:, 1].min() < corners[:, 1].max() < top

    def test_limits_of_wide_components_are_those_of_the_rows(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL)
        display.covariances = 1e4 * display.covariances
        display.plot()
        width = np.ptp(FAITHFUL["eruptions"])
        assert np.ptp(display.ax_.get_xlim()) < 2 * width

    def test_weights_are_areas_and_zero_is_not_drawn(self):
        weight = np.where(np.arange(len(FAITHFUL)) % 3 == 0, 0.0, np.where(FAITHFUL["eruptions"] > 3, 2.0, 1.0))
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, sample_weight=weight)
        drawn = [piece for piece in display.ax_.collections if len(piece.get_offsets())]
        assert sum(len(piece.get_offsets()) for piece in drawn) == (weight > 0).sum()
        offsets = np.concatenate([piece.get_offsets() for piece in drawn])
        areas = np.concatenate([piece.get_sizes() for piece in drawn])
        assert_allclose(areas[offsets[:, 0] > 3], 2 * areas[offsets[:, 0] <= 3].max())

    def test_many_rows_are_thinned(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, max_rows=50)
        offsets, _ = markers(display.ax_)
        assert len(offsets) == 50
        assert_array_equal(offsets, markers(display.plot().ax_)[0])  # the same ones
        assert len(np.unique([*map(tuple, offsets), *map(tuple, FAITHFUL.to_numpy())], axis=0)) == len(
            FAITHFUL.drop_duplicates()
        )

    def test_missing_values_are_left_out(self):
        X = FAITHFUL.copy()
        X.iloc[:20, 0] = np.nan
        X.iloc[20:30, 1] = np.nan
        display = MixtureDisplay.from_estimator(TWO, X)
        assert len(markers(display.ax_)[0]) == len(X) - 30
        bars = MixtureDisplay.from_estimator(TWO, X, columns="waiting").ax_.patches
        assert_allclose(sum(bar.get_width() * bar.get_height() for bar in bars), 1)

    def test_nothing_observed(self):
        X = np.full((3, 2), np.nan)
        display = MixtureDisplay.from_estimator(EMGaussianMixture(2, random_state=0).fit(FAITHFUL.to_numpy()), X)
        display.figure_.canvas.draw()
        assert len(display.ax_.patches) == 4

    def test_noise(self):
        display = MixtureDisplay.from_estimator(WITH_NOISE, SPRINKLED)
        labels, proba = WITH_NOISE.predict(SPRINKLED), WITH_NOISE.predict_proba(SPRINKLED)
        assert 80 < (labels < 0).sum() < 120
        crosses = display.ax_.collections[0]
        assert mpl.colors.same_color(crosses.get_edgecolors()[0], "0.55")
        assert_array_equal(crosses.get_offsets(), SPRINKLED[labels < 0])
        assert_allclose(display.certainty, np.where(labels < 0, 1, proba[:, :2].max(axis=1)))
        said = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert said[:2] == [f"component {k}: {WITH_NOISE.weights_[k]:.1%}" for k in range(2)]
        assert said[2] == f"noise: {WITH_NOISE.noise_weight_:.1%}"

    def test_student_components(self):
        mixture = EMMixture(2, family="student", random_state=0).fit(SPRINKLED)
        display = MixtureDisplay.from_estimator(mixture, SPRINKLED, levels=[0.9])
        for k, ellipse in enumerate(display.ax_.patches):
            radius = 2 * f.ppf(0.9, 2, mixture.degrees_of_freedom_[k])
            assert_allclose(ellipse_matrix(ellipse), radius * mixture.covariances_[k])
        bars = MixtureDisplay.from_estimator(mixture, SPRINKLED, columns=0)
        x, y = bars.ax_.lines[0].get_data()
        expected = mixture.weights_ @ [
            t.pdf(x, mixture.degrees_of_freedom_[k], mixture.means_[k, 0], mixture.covariances_[k, 0, 0] ** 0.5)
            for k in range(2)
        ]
        assert_allclose(y, expected)

    def test_without_predict_the_most_probable_component(self):
        class Bare(EMGaussianMixture):
            predict = property()  # which it has not

        mixture = Bare(2, random_state=0).fit(FAITHFUL)
        assert_array_equal(MixtureDisplay.from_estimator(mixture, FAITHFUL).labels, TWO.predict(FAITHFUL))


class TestHistogram:
    def test_bars_and_curves(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, columns=["waiting"])
        bars = display.ax_.patches
        assert_allclose(sum(bar.get_width() * bar.get_height() for bar in bars), 1)
        assert bars[0].get_x() == FAITHFUL["waiting"].min()
        total, *curves = display.ax_.lines
        x = total.get_xdata()
        for k, curve in enumerate(curves):
            expected = TWO.weights_[k] * norm.pdf(x, TWO.means_[k, 1], TWO.covariances_[k, 1, 1] ** 0.5)
            assert_allclose(curve.get_ydata(), expected)
        assert_allclose(total.get_ydata(), sum(curve.get_ydata() for curve in curves))
        assert trapezoid(total.get_ydata(), x) == pytest.approx(1, abs=0.02)
        assert display.ax_.get_xlabel() == "waiting"
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert labels == ["component 0: 35.6%", "component 1: 64.4%", "mixture"]

    def test_marginal_is_the_integral_over_the_others(self):
        joint = Components(np.array([0.3, 0.7]), SHIFT, SHAPE)
        heavy = Components(np.array([0.3, 0.7]), SHIFT, SHAPE, np.array([3.0, 8.0]))
        for components in (joint, heavy):
            for x in (-1.0, 0.5, 4.0):
                parts = components.marginal([0]).joint_density(np.array([[x]]))[0]
                for k in range(2):
                    assert parts[k] == pytest.approx(over_y(components, k, x), rel=1e-4)

    def test_weighted_bars(self):
        weight = np.where(FAITHFUL["waiting"] < 68, 3.0, 1.0)
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, columns=1, sample_weight=weight)
        left = sum(bar.get_width() * bar.get_height() for bar in display.ax_.patches if bar.get_x() < 64)
        assert left == pytest.approx(weight[FAITHFUL["waiting"] < 66].sum() / weight.sum(), abs=0.05)

    def test_a_narrow_component_is_seen_but_does_not_press_down_the_others(self):
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, columns="waiting")
        display.covariances = display.covariances * np.array([1e-8, 1.0])[:, None, None]
        display.plot()
        peak = display.ax_.lines[1].get_ydata().max()
        assert peak == pytest.approx(TWO.weights_[0] * norm.pdf(0, scale=display.covariances[0, 0, 0] ** 0.5))
        assert display.ax_.get_ylim()[1] < 2.5 * max(bar.get_height() for bar in display.ax_.patches)

    def test_constant_column(self):
        X = np.column_stack([np.arange(20.0), np.full(20, 3.0)])
        mixture = EMGaussianMixture(1).fit(X)
        display = MixtureDisplay.from_estimator(mixture, X, columns=1)
        display.figure_.canvas.draw()
        assert len(display.ax_.patches) == 1

    def test_one_component_has_no_sum(self):
        display = MixtureDisplay.from_estimator(EMGaussianMixture(1).fit(FAITHFUL[["waiting"]]), FAITHFUL[["waiting"]])
        assert len(display.ax_.lines) == 1

    def test_noise(self):
        display = MixtureDisplay.from_estimator(WITH_NOISE, SPRINKLED, columns=0)
        crosses = next(curve for curve in display.ax_.lines if curve.get_marker() == "x")
        assert_array_equal(crosses.get_xdata(), SPRINKLED[WITH_NOISE.predict(SPRINKLED) < 0, 0])
        assert not crosses.get_ydata().any()
        _, mixture, *components = display.ax_.lines
        low, high = WITH_NOISE.noise_range_[:, 0]
        noise = mixture.get_ydata() - sum(curve.get_ydata() for curve in components)
        assert_allclose(noise, WITH_NOISE.noise_weight_ / (high - low), atol=1e-12)
        inside = (mixture.get_xdata() > low) & (mixture.get_xdata() < high)
        assert trapezoid(mixture.get_ydata()[inside], mixture.get_xdata()[inside]) == pytest.approx(1, abs=0.03)


class TestDensityAndPairs:
    @pytest.mark.parametrize(("mixture", "X"), [(TWO, FAITHFUL.to_numpy()), (WITH_NOISE, SPRINKLED)])
    @pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
    def test_log_density(self, mixture, X):
        display = MixtureDisplay.from_estimator(mixture, X, kind="density")
        shades = next(piece for piece in display.ax_.collections if hasattr(piece, "levels"))
        x, y = np.linspace(*display.ax_.get_xlim(), 150), np.linspace(*display.ax_.get_ylim(), 150)
        mesh = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        assert shades.levels.max() == pytest.approx(mixture.score_samples(mesh).max())
        assert len(display.ax_.patches) == 0
        assert "log density" in display.figure_.axes[-1].get_ylabel()

    def test_pairs(self):
        display = MixtureDisplay.from_estimator(THREE, IRIS)
        display.figure_.canvas.draw()
        names = [name.replace(" (cm)", "") for name in IRIS.columns]
        assert display.ax_.shape == (4, 4)
        assert all((display.ax_[i, j] is None) == (j > i) for i in range(4) for j in range(4))
        for j in range(4):
            assert display.ax_[3, j].get_xlabel().startswith(names[j])
            assert (
                display.ax_[j, 0].get_ylabel() == "" if j == 0 else display.ax_[j, 0].get_ylabel().startswith(names[j])
            )
            assert {display.ax_[i, j].get_xlim() for i in range(j, 4)} == {display.ax_[j, j].get_xlim()}
        ellipse = display.ax_[3, 1].patches[2]
        places = np.ix_([1, 3], [1, 3])
        assert_allclose(ellipse_matrix(ellipse), chi2.ppf(0.5, 2) * THREE.covariances_[2][places])
        assert_allclose(ellipse.center, THREE.means_[2, [1, 3]])

    def test_pairs_divide_the_place_of_given_axes(self):
        figure, (left, right) = plt.subplots(1, 2, layout="constrained")
        display = MixtureDisplay.from_estimator(THREE, IRIS, columns=[0, 1, 3], ax=left)
        figure.canvas.draw()
        assert display.figure_ is figure
        panels = [display.ax_[i, j] for i in range(3) for j in range(i + 1)]
        assert max(panel.get_window_extent().x1 for panel in panels) < right.get_window_extent().x0
        alone = plt.figure().add_axes((0.2, 0.3, 0.5, 0.6))
        grid = MixtureDisplay.from_estimator(THREE, IRIS, columns=[0, 1], kind="pairs", ax=alone).ax_
        assert_allclose(grid[1, 0].get_position().p0, (0.2, 0.3))
        assert_allclose(grid[1, 1].get_position().x1, 0.7)

    def test_of_many_columns_those_that_tell_components_apart(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 7))
        X[:200, [1, 2, 4, 6]] += 6
        display = MixtureDisplay.from_estimator(EMGaussianMixture(2, random_state=0).fit(X), X)
        assert display.feature_names == ["column 1", "column 2", "column 4", "column 6"]


class TestArguments:
    def test_given_axes(self):
        ax = plt.subplots()[1]
        display = MixtureDisplay.from_estimator(TWO, FAITHFUL, ax=ax)
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        again = display.plot()
        assert again is display
        assert display.ax_ is not ax

    @pytest.mark.parametrize(
        ("columns", "names"),
        [
            ("waiting", ["waiting"]),
            (1, ["waiting"]),
            ([1, "eruptions"], ["waiting", "eruptions"]),
            ((-1,), ["waiting"]),
        ],
    )
    def test_columns(self, columns, names):
        assert MixtureDisplay.from_estimator(TWO, FAITHFUL, columns=columns).feature_names == names

    def test_long_names_and_mathematics(self):
        X = FAITHFUL.set_axis(["$x_1$", "a name that is much longer than the axis it is written at"], axis=1)
        display = MixtureDisplay.from_estimator(EMGaussianMixture(2, random_state=0).fit(X), X)
        display.figure_.canvas.draw()
        assert display.ax_.get_xlabel() == r"\$x_1\$"
        assert display.ax_.get_ylabel() == "a name that is much lon…"

    def test_many_components_have_no_legend(self):
        mixture = EMGaussianMixture(11, covariance_type="diag", random_state=0).fit(FAITHFUL)
        display = MixtureDisplay.from_estimator(mixture, FAITHFUL)
        assert display.ax_.get_legend() is None
        assert len(display.ax_.texts) == 11
        looks = {(colour(k), marker(k)) for k in range(56)}
        assert len(looks) == 56

    def test_scikit_learn_and_float32(self):
        X = FAITHFUL.to_numpy()
        display = MixtureDisplay.from_estimator(GaussianMixture(2, random_state=0).fit(X), X)
        assert display.feature_names == ["column 0", "column 1"]
        single = MixtureDisplay.from_estimator(EMGaussianMixture(2).fit(X.astype(np.float32)), X.astype(np.float32))
        assert single.means.dtype == np.float64

    def test_refused(self):
        draw = MixtureDisplay.from_estimator
        mixed = np.column_stack([FAITHFUL["eruptions"], FAITHFUL["waiting"].round()])
        with pytest.raises(NotFittedError):
            draw(EMGaussianMixture(2), FAITHFUL)
        with pytest.raises(ValueError, match=r"mixture must be a fitted mixture of Gaussian or t components, with wei"):
            draw(LinearRegression().fit(FAITHFUL, np.ones(272)), FAITHFUL)
        with pytest.raises(ValueError, match=r"mixture must be a fitted mixture of Gaussian or t components, with wei"):
            draw(EMMixture(2, family=["student", "poisson"], random_state=0).fit(mixed), mixed)
        with pytest.raises(ValueError, match=r"columns must be one of \['eruptions', 'waiting'\], but got 'height'"):
            draw(TWO, FAITHFUL, columns=["waiting", "height"])
        with pytest.raises(ValueError, match=r"columns must be one of .*, but got 2"):
            draw(TWO, FAITHFUL, columns=2)
        with pytest.raises(ValueError, match=r"columns must be one or several different columns, but got \[0, 0\]"):
            draw(TWO, FAITHFUL, columns=[0, 0])
        with pytest.raises(ValueError, match=r"columns must be one or several different columns, but got \[\]"):
            draw(TWO, FAITHFUL, columns=[])
        with pytest.raises(ValueError, match=r"kind must be one of .*, but got 'violin'"):
            draw(TWO, FAITHFUL, kind="violin")
        with pytest.raises(ValueError, match=r"columns must be 1 for kind='histogram', but are 2"):
            draw(TWO, FAITHFUL, kind="histogram")
        with pytest.raises(ValueError, match=r"columns must be 2 for kind='density', but are 1: \['waiting'\]"):
            draw(TWO, FAITHFUL, columns="waiting", kind="density")
        for levels in ((0.0,), (0.5, 1.0), (), 0.5, ("most",)):
            with pytest.raises(ValueError, match=r"levels must be numbers between 0 and 1"):
                draw(TWO, FAITHFUL, levels=levels)
        with pytest.raises(ValueError, match=r"max_rows must be an integer >= 1, but got 0"):
            draw(TWO, FAITHFUL, max_rows=0)
        with pytest.raises(ValueError, match=r"expected \(272,\): one weight for each row"):
            draw(TWO, FAITHFUL, sample_weight=np.ones(5))
        with pytest.raises(ValueError, match=r"ax must be Axes of matplotlib or None"):
            draw(TWO, FAITHFUL, ax="here")
        with pytest.raises(ValueError, match=r"feature names should match"):
            draw(TWO, FAITHFUL.set_axis(["a", "b"], axis=1))
