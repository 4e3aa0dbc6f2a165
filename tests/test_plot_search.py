"""What the display of a search draws, and what it refuses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.plot import ComponentSearchDisplay
from emkit.plot._look import colour, marker
from emkit.selection import ComponentSearch

mpl = pytest.importorskip("matplotlib")
mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

IRIS = load_iris().data
WINE = load_wine().data
FAITHFUL = load_old_faithful().data
TYPES = ["full", "tied", "diag", "spherical", "EII"]


def search(X, sizes, **options):
    return ComponentSearch(EMGaussianMixture(), n_components=sizes, random_state=0, **options).fit(X)


ONE = search(WINE, [1, 2, 3, 8, 12])
MANY = search(IRIS, range(1, 5), other_params={"covariance_type": TYPES, "reg_covar": [1e-6, 1e-3]})
FOUR = search(FAITHFUL, [1, 2, 3], other_params={"covariance_type": TYPES[:4]})
HELD_OUT = search(FAITHFUL, [1, 2, 3], criterion="heldout", other_params={"covariance_type": TYPES[:2]})


def of_type(found, name):
    return (found.results_["covariance_type"] == name) & (found.results_["degenerate"] == "")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def labels(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def line_of(display, label):
    return next(line for line in display.ax_.lines if line.get_label() == label)


class TestWhatIsDrawn:
    @pytest.mark.parametrize("criterion", [None, "aic", "icl"])
    def test_one_setting(self, criterion):
        display = ComponentSearchDisplay.from_estimator(ONE, criterion=criterion)
        scores = ONE.results_[criterion or "bic"]
        sound = ONE.results_["degenerate"] == ""
        assert 0 < sound.sum() < 5
        path = display.ax_.lines[0]
        assert_array_equal(path.get_xdata(), ONE.results_["n_components"][sound])
        assert_allclose(path.get_ydata(), scores[sound])
        assert display.ax_.get_ylabel() == f"{(criterion or 'bic').upper()} (lower is better)"
        by = "" if criterion in (None, "bic") else " by bic"
        ring = line_of(display, f"chosen{by}: {ONE.best_params_['n_components']}")
        assert_allclose(ring.get_xydata(), [[ONE.best_params_["n_components"], scores[ONE.best_index_]]])
        assert labels(display) == ["degenerate", ring.get_label()]

    def test_left_out_fits_are_crosses_within_the_picture(self):
        display = ComponentSearchDisplay.from_estimator(ONE)
        low, high = display.ax_.get_ylim()
        crosses = line_of(display, "degenerate")
        degenerate = ONE.results_["degenerate"] != ""
        assert_array_equal(crosses.get_xdata(), ONE.results_["n_components"][degenerate])
        assert low < crosses.get_ydata().min() <= crosses.get_ydata().max() < high
        assert crosses.get_marker() == "x"
        # the limits are those of sound fits, of which a spike has no part
        assert high < ONE.results_["bic"][~degenerate].max() + 0.1 * np.ptp(ONE.results_["bic"][~degenerate])

    def test_failed_fits_are_at_the_bottom(self):
        X = np.vstack([np.zeros((30, 2)), np.random.default_rng(0).normal(size=(30, 2)) + 9])
        estimator = EMGaussianMixture(reg_covar=0)
        failing = ComponentSearch(estimator, n_components=[1, 2, 3], random_state=0).fit(X)
        failed = failing.results_["failed"] != ""
        assert failed.any()
        display = ComponentSearchDisplay.from_estimator(failing)
        display.figure_.canvas.draw()
        crosses = line_of(display, "failed")
        assert_array_equal(crosses.get_xdata(), failing.results_["n_components"][failed])
        low, high = display.ax_.get_ylim()
        assert_allclose(crosses.get_ydata(), low + 0.02 * (high - low))

    def test_of_many_settings_the_most_promising_have_names(self):
        display = ComponentSearchDisplay.from_estimator(MANY)
        results = MANY.results_
        pairs = zip(results["covariance_type"], results["reg_covar"], strict=True)
        settings = np.array([f"covariance_type={kind}, reg_covar={floor}" for kind, floor in pairs])
        best = {s: results["bic"][(settings == s) & (results["degenerate"] == "")].min() for s in settings}
        order = sorted(best, key=best.get)
        paths = [line for line in display.ax_.lines if len(line.get_xdata()) > 1]
        named = [line for line in paths if line.get_marker() not in ("None", "x")]
        for setting, line in zip(order[:5], named, strict=True):
            own = settings == setting
            assert_allclose(line.get_ydata(), results["bic"][own & (results["degenerate"] == "")])
        assert len({line.get_color() for line in named}) == 5
        assert "5 other settings" in labels(display)
        assert labels(display)[0] == order[0][:29] + "…"

    @pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
    def test_a_setting_has_one_look_in_the_pictures_of_all_criteria(self, criterion):
        display = ComponentSearchDisplay.from_estimator(FOUR, criterion=criterion)
        looks = {name: line_of(display, name) for name in TYPES[:4]}
        for place, line in enumerate(looks.values()):
            assert mpl.colors.same_color(line.get_color(), colour(place))
            assert line.get_marker() == marker(place)
        best = min(TYPES[:4], key=lambda name: FOUR.results_[criterion][of_type(FOUR, name)].min())
        assert [name for name, line in looks.items() if line.get_lw() == 1.8] == [best]

    def test_parameters_that_do_not_differ_are_not_named(self):
        same = search(IRIS, [1, 2], other_params={"covariance_type": ["full", "EII"], "tol": [1e-6]})
        display = ComponentSearchDisplay.from_estimator(same)
        assert labels(display)[:2] == ["full", "EII"]
        assert labels(display)[-1] == f"chosen: 2, {same.best_params_['covariance_type']}"

    def test_held_out(self):
        display = ComponentSearchDisplay.from_estimator(HELD_OUT)
        results = HELD_OUT.results_
        bars = {bar.get_label(): bar for bar in display.ax_.containers}
        assert set(bars) == {"full", "tied"}
        for name, bar in bars.items():
            own = results["covariance_type"] == name
            assert_allclose(bar.lines[0].get_ydata(), results["heldout_mean"][own])
            heights = [np.ptp(piece[:, 1]) for piece in bar.lines[2][0].get_segments()]
            assert_allclose(heights, 2 * results["heldout_se"][own])
        assert not np.array_equal(bars["full"].lines[0].get_xdata(), bars["tied"].lines[0].get_xdata())
        best = results["heldout_mean"].argmax()
        band = next(patch for patch in display.ax_.patches if patch.get_label() == "one standard error")
        low, high = band.get_extents().transformed(display.ax_.transData.inverted()).intervaly
        top, error = results["heldout_mean"][best], results["heldout_se"][best]
        assert_allclose([low, high - low], [top - error, error])
        ring = next(line for line in display.ax_.lines if line.get_label().startswith("chosen"))
        chosen = bars[HELD_OUT.best_params_["covariance_type"]].lines[0].get_xydata()
        assert np.isclose(chosen, ring.get_xydata()).all(axis=1).any()

    def test_other_criterion_than_that_of_the_search(self):
        display = ComponentSearchDisplay.from_estimator(HELD_OUT, criterion="bic")
        assert not display.ax_.containers
        assert_allclose(display.scores, HELD_OUT.results_["bic"])

    def test_p_values(self):
        with pytest.warns(RuntimeWarning, match="2 of the n_bootstrap=19 draws"):
            tests = search(FAITHFUL, [1, 2, 3], criterion="bootstrap_lrt", n_bootstrap=19)
        display = ComponentSearchDisplay.from_estimator(tests)
        path = next(line for line in display.ax_.lines if line.get_marker() == "o")
        known = np.isfinite(tests.results_["p_value"])
        assert_allclose(path.get_ydata(), tests.results_["p_value"][known])
        assert_array_equal(line_of(display, "level 0.05").get_ydata(), [0.05, 0.05])

    def test_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), EMGaussianMixture())
        types = {"emgaussianmixture__covariance_type": ["full", "diag"]}
        found = ComponentSearch(pipeline, n_components=[1, 2], other_params=types, random_state=0).fit(FAITHFUL)
        assert set(labels(ComponentSearchDisplay.from_estimator(found))[:2]) == {"full", "diag"}


class TestArguments:
    def test_given_axes(self):
        ax = plt.subplots()[1]
        display = ComponentSearchDisplay.from_estimator(ONE, ax=ax)
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
        again = display.plot()
        assert again is display
        assert display.ax_ is not ax

    def test_refused(self):
        draw = ComponentSearchDisplay.from_estimator
        with pytest.raises(NotFittedError):
            draw(ComponentSearch(EMGaussianMixture()))
        with pytest.raises(ValueError, match=r"search must be a ComponentSearch, but got EMGaussianMixture"):
            draw(EMGaussianMixture(1).fit(FAITHFUL))
        with pytest.raises(ValueError, match=r"criterion must be one of \['bic', .*\], but got 'gap'"):
            draw(ONE, criterion="gap")
        with pytest.raises(ValueError, match=r"criterion must be one that the search has values of, but .* 'heldout'"):
            draw(ONE, criterion="heldout")
        with pytest.raises(ValueError, match=r"ax must be Axes"):
            draw(ONE, ax=3)
