"""n_components="auto" of EMGaussianMixture: merging against direct formulas, the descent, the number found."""

import io
import logging
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import skip_what_old_versions_get_wrong
from scipy.integrate import trapezoid
from scipy.special import xlogy
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMHiddenMarkov
from emkit.chunks import Rows
from emkit.datasets import load_old_faithful
from emkit.families.covariance import COVARIANCES
from emkit.families.gaussian import GaussianFamily, Moments
from emkit.gaussian_mixture.descent import LARGEST, largest_size
from emkit.gaussian_mixture.merging import merged, merging_costs, one_fewer, pair_to_merge
from emkit.mixture.model import MixtureModel
from emkit.plot import ConvergenceDisplay

pytestmark = pytest.mark.filterwarnings("error")

TYPES = tuple(COVARIANCES)
FAITHFUL = load_old_faithful().data


def clusters(n=240, k=4, d=2, seed=0, spread=12.0):
    """k round clusters on a circle, far apart."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(k) / k
    centres = np.column_stack([np.cos(angle), np.sin(angle), *[np.zeros(k)] * (d - 2)])
    return spread * centres[np.arange(n) % k] + rng.standard_normal((n, d))


@parametrize_with_checks(
    [
        EMGaussianMixture("auto"),
        EMGaussianMixture("auto", covariance_type="tied", n_init=2),
        EMGaussianMixture("auto", covariance_type="diag", assignment="hard"),
        EMGaussianMixture("auto", warm_start=True),
    ]
)
def test_common_checks(estimator, check):
    skip_what_old_versions_get_wrong(check)
    check(estimator)


@pytest.fixture(params=TYPES)
def family(request):
    return GaussianFamily(COVARIANCES[request.param], 4, np.array([2.0, 1.0, 3.0]), 1e-6, np.dtype(float))


def some_rows(n=60, d=3, seed=0):
    X = np.random.default_rng(seed).standard_normal((n, d)) * [2.0, 1.0, 3.0]
    return Rows(X, np.ones(n))


class TestMerging:
    def test_moments_are_those_of_the_responsibilities_together(self, family):
        """The M-step of the merged statistics is that of one component whose responsibilities are the sum of two."""
        rows = some_rows()
        resp = np.random.default_rng(1).dirichlet(np.ones(4), len(rows))
        params = family.start(rows, resp)
        i, j = 3, 1
        before, moments = merged(family, params, Moments(*family.moments(params, rows, resp)), (i, j))
        smaller = GaussianFamily(family.covariance, 3, family.scale, family.floor, family.dtype)
        summed = resp[:, :3].copy()
        summed[:, j] += resp[:, i]
        direct = smaller.m_step(smaller.moments(before, rows, summed), before)
        found = smaller.m_step(moments, before)
        assert_allclose(found.means, (summed.T @ rows.X) / summed.sum(axis=0)[:, None])
        assert_allclose(found.means, direct.means)
        assert_allclose(found.covariances, direct.covariances, rtol=1e-6)

    def test_the_model_of_one_fewer_begins_at_the_merged_step(self, family):
        rows = some_rows()
        model = MixtureModel(family)
        params = model.init_params([rows], np.random.default_rng(0))
        smaller, merged_params = one_fewer(model, params, model.e_step(params, rows))
        assert smaller.family.n_components == 3
        assert merged_params.weights.sum() == pytest.approx(1)
        assert len(merged_params.components.means) == 3
        assert np.isfinite(smaller.e_step(merged_params, rows).objective)

    @settings(max_examples=30)
    @given(
        weight=st.floats(0.05, 0.95),
        means=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
        widths=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
    )
    def test_the_cost_bounds_what_the_likelihood_loses(self, weight, means, widths):
        """Kullback-Leibler divergence of the merged component from the two, by quadrature."""
        family = GaussianFamily(COVARIANCES["full"], 2, np.ones(1), 0.0, np.dtype(float))
        params = family.params(np.array(means)[:, None], np.array(widths)[:, None, None] ** 2)
        shares = np.array([weight, 1 - weight])
        cost = merging_costs(family.covariance, params, shares)[1, 0]
        middle = shares @ means
        width = np.sqrt(shares @ (np.square(widths) + np.square(means)) - middle**2)

        x = np.linspace(min(means) - 25, max(means) + 25, 20_001)
        before = shares @ norm.pdf(x, np.array(means)[:, None], np.array(widths)[:, None])
        lost = trapezoid(xlogy(before, before) - before * norm.logpdf(x, middle, width), x)
        assert lost <= cost + 1e-6

    def test_costs_are_those_of_the_formula(self, family):
        rows = some_rows()
        params = family.start(rows, np.random.default_rng(1).dirichlet(np.ones(4), len(rows)))
        counts = np.array([5.0, 20.0, 10.0, 25.0])
        costs = merging_costs(family.covariance, params, counts)
        assert_allclose(costs, costs.T, atol=1e-9)
        assert_allclose(np.diag(costs), 0, atol=1e-9)
        assert (costs >= -1e-9).all()
        if family.covariance.name == "full":
            a, b = counts[[2, 0]] / counts[[2, 0]].sum()
            apart = params.means[2] - params.means[0]
            together = a * params.covariances[2] + b * params.covariances[0] + a * b * np.outer(apart, apart)
            logs = [np.linalg.slogdet(m)[1] for m in (together, params.covariances[2], params.covariances[0])]
            assert costs[2, 0] == pytest.approx(0.5 * (15 * logs[0] - 10 * logs[1] - 5 * logs[2]))

    def test_the_most_alike_are_merged(self):
        family = GaussianFamily(COVARIANCES["full"], 3, np.ones(2), 1e-6, np.dtype(float))
        params = family.params(np.array([[0.0, 0.0], [5.0, 0.0], [5.5, 0.0]]), np.stack([np.eye(2)] * 3))
        assert pair_to_merge(family, params, np.array([10.0, 10.0, 10.0])) == (2, 1)

    @pytest.mark.parametrize("rows", [3.0, 0.0])
    def test_what_is_degenerate_goes_first(self, rows):
        family = GaussianFamily(COVARIANCES["full"], 4, np.ones(2), 1e-6, np.dtype(float))
        widths = np.array([1.0, 1.0, 1.0, 1e-6])[:, None, None]
        params = family.params(np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 0.0], [9.5, 0.0]]), widths * np.eye(2))
        merged, kept = pair_to_merge(family, params, np.array([10.0, 10.0, 10.0, rows]))
        assert merged == 3
        assert kept == 2 or rows == 0


class TestTheNumberFound:
    @pytest.mark.parametrize(
        ("covariance_type", "k"),
        [
            *((name, 3) for name in TYPES),
            *((name, k) for name in ("full", "tied", "diag", "spherical") for k in (1, 2, 7)),
        ],
    )
    def test_of_clusters_far_apart(self, covariance_type, k):
        X = clusters(n=60 * k, k=k, spread=12.0 if k > 1 else 0.0)
        mixture = EMGaussianMixture("auto", covariance_type=covariance_type, random_state=0).fit(X)
        assert mixture.n_components_ == k
        assert mixture.weights_.shape == (k,)
        assert mixture.means_.shape == (k, 2)
        assert_allclose(mixture.weights_, 1 / k, atol=0.02)
        assert mixture.converged_

    def test_the_fit_is_that_of_its_number(self):
        for X, best in ((FAITHFUL, 2322.2), (load_iris().data, 574.0)):
            auto = EMGaussianMixture("auto", random_state=0).fit(X)
            known = EMGaussianMixture(2, random_state=0).fit(X)
            assert auto.n_components_ == 2
            assert auto.objective_ == pytest.approx(known.objective_, abs=1e-4)
            assert auto.bic(X) == pytest.approx(best, abs=0.1)
            assert auto.n_parameters_ == known.n_parameters_

    def test_no_size_of_the_descent_is_better(self):
        X = load_iris().data
        mixture = EMGaussianMixture("auto", covariance_type="diag", random_state=0).fit(X)
        sound = mixture.sizes_[mixture.sizes_["is_sound"]]
        best = sound[sound["bic"].argmin()]
        assert best["n_components"] == mixture.n_components_
        assert best["bic"] == pytest.approx(mixture.bic(X), abs=1)  # run on from there
        assert mixture.bic(X) <= best["bic"] + 1e-6

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_bic_counts_the_parameters_of_the_type(self, covariance_type):
        X = clusters()
        sizes = EMGaussianMixture("auto", covariance_type=covariance_type, random_state=0).fit(X).sizes_
        k, d = sizes["n_components"], 2
        of_covariances = np.array([COVARIANCES[covariance_type].n_free(n, d) for n in k])
        n_free = k - 1 + k * d + of_covariances
        assert_allclose(sizes["bic"], n_free * np.log(len(X)) - 2 * sizes["objective"])
        if covariance_type in ("full", "tied"):
            assert_array_equal(of_covariances, 3 * (k if covariance_type == "full" else 1))

    def test_rows_of_one_spot_are_no_component(self):
        X = np.vstack([np.random.default_rng(0).standard_normal((200, 2)), np.full((4, 2), 0.3)])
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        assert mixture.n_components_ == 1

    def test_a_constant_column_and_few_rows(self):
        X = np.column_stack([clusters()[:, 0], np.ones(240)])
        assert EMGaussianMixture("auto", random_state=0).fit(X).n_components_ >= 2
        assert EMGaussianMixture("auto", random_state=0).fit([[0.0], [1.0]]).n_components_ == 1

    def test_more_descents_find_no_less(self):
        X = clusters(n=100, spread=2.0)
        one, three = (EMGaussianMixture("auto", n_init=n, random_state=0).fit(X) for n in (1, 3))
        assert three.bic(X) <= one.bic(X) + 1e-6
        assert set(three.history_["start"]) == {0, 1, 2}

    def test_the_largest_number(self):
        full, tied = COVARIANCES["full"], COVARIANCES["tied"]
        assert [largest_size(full, 2, n) for n in (1, 6, 30, 1e6)] == [1, 1, 5, LARGEST]
        assert largest_size(full, 30, 569.0) == 9
        assert largest_size(tied, 30, 569.0) == LARGEST


class TestInvariances:
    @settings(max_examples=10)
    @given(seed=st.integers(0, 1000))
    def test_order_and_units(self, seed):
        rng = np.random.default_rng(seed)
        X = clusters(n=120, k=3, seed=seed, spread=5.0)
        units = 10 ** rng.uniform(-4, 4, 2)
        one = EMGaussianMixture("auto", random_state=0).fit(X)
        other = EMGaussianMixture("auto", random_state=0).fit(units * rng.permutation(X) + units)
        assert other.n_components_ == one.n_components_
        assert_allclose(other.sizes_["n_components"], one.sizes_["n_components"])
        assert other.objective_ == pytest.approx(one.objective_ - 120 * np.log(units).sum(), abs=1e-3)

    def test_a_weight_is_a_number_of_rows(self):
        X, weight = clusters(n=90, k=3), 1 + np.arange(90) % 4
        weighted = EMGaussianMixture("auto", random_state=0).fit(X, sample_weight=weight)
        repeated = EMGaussianMixture("auto", random_state=0).fit(np.repeat(X, weight, axis=0))
        assert_allclose(weighted.sizes_["bic"], repeated.sizes_["bic"], rtol=1e-7)
        assert_allclose(weighted.means_, repeated.means_, rtol=1e-5)

    def test_threads_and_blocks(self):
        X = clusters(n=500)
        one = EMGaussianMixture("auto", random_state=0).fit(X)
        for other in (
            EMGaussianMixture("auto", random_state=0, n_jobs=2).fit(X),
            EMGaussianMixture("auto", random_state=0).fit(lambda: iter([X])),
        ):
            assert_array_equal(other.means_, one.means_)
            assert_array_equal(other.sizes_, one.sizes_)
        blocks = EMGaussianMixture("auto", random_state=0).fit(lambda: iter([X[:100], X[100:]]))
        assert_allclose(blocks.means_, one.means_, rtol=1e-6)

    def test_float32(self):
        mixture = EMGaussianMixture("auto", random_state=0).fit(clusters().astype(np.float32))
        assert mixture.n_components_ == 4
        assert mixture.means_.dtype == np.float32


class TestTheDescent:
    def test_history_has_all_of_it(self):
        X = FAITHFUL
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        history = mixture.history_
        assert_array_equal(history["iteration"], np.arange(len(history)))
        down = history[np.char.startswith(history["phase"], "K=")]
        sizes = np.array([int(phase[2:]) for phase in down["phase"]])
        assert sizes[0] == largest_size(COVARIANCES["full"], 2, 272.0) == LARGEST
        assert_array_equal(np.unique(sizes), np.arange(1, LARGEST + 1))
        assert (np.diff(sizes) <= 0).all()
        for k in range(1, LARGEST + 1):
            objective = down["objective"][sizes == k]
            assert (np.diff(objective) > -1e-8).all()
            assert objective[-1] == mixture.sizes_["objective"][LARGEST - k]
        last = history[len(down) :]
        assert last["phase"][0] == "start"
        assert last["objective"][-1] == mixture.objective_
        assert len(mixture.lower_bounds_) == mixture.n_iter_
        assert mixture.lower_bounds_[-1] == pytest.approx(mixture.lower_bound_)

    def test_many_rows_are_searched_on_a_sample_first(self):
        X = clusters(n=12_000, k=3, d=2)
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        assert mixture.n_components_ == 3
        assert set(mixture.history_["phase"]) >= {"sample", "K=6", "K=3", "K=1", "start"}
        assert_array_equal(mixture.sizes_["n_components"], [6, 5, 4, 3, 2, 1])
        assert mixture.objective_ == pytest.approx(EMGaussianMixture(3, random_state=0).fit(X).objective_, rel=1e-9)

    def test_the_picture_shows_the_last_part(self):
        mixture = EMGaussianMixture("auto", random_state=0).fit(FAITHFUL)
        display = ConvergenceDisplay.from_estimator(mixture, kind="objective")
        drawn = np.concatenate([line.get_ydata() for line in display.ax_.lines])
        assert len(drawn) == mixture.n_iter_ + 1
        assert drawn.max() == mixture.objective_

    def test_the_log_tells_of_each_step(self, caplog):
        with caplog.at_level(logging.INFO, logger="emkit"):
            EMGaussianMixture("auto", random_state=0, verbose=2).fit(clusters(n=60))
        assert "objective" in caplog.text

    def test_a_callback_sees_all_sizes_and_may_stop(self):
        pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")
        X = clusters()

        class Listener:
            def __init__(self, stop_after):
                self.sizes, self.stop_after = [], stop_after

            def setup(self, estimator, context): ...
            def teardown(self, estimator, context): ...
            def on_fit_task_begin(self, estimator, context): ...

            def on_fit_task_end(self, estimator, context, *, fitted_estimator):
                if context.task_name == "iteration":
                    self.sizes.append(len(fitted_estimator.weights_))
                return len(self.sizes) >= self.stop_after

        listener = Listener(10_000)
        mixture = EMGaussianMixture("auto", random_state=0).set_callbacks(listener).fit(X)
        assert set(listener.sizes) == set(range(1, 26))
        assert listener.sizes[-1] == 4
        assert len(listener.sizes) == len(mixture.history_)
        with pytest.warns((ConvergenceWarning, DegenerateSolutionWarning)):
            stopped = EMGaussianMixture("auto", random_state=0).set_callbacks(Listener(5)).fit(X)
        assert stopped.n_components_ == 25
        assert len(stopped.sizes_) == 1

    def test_without_steps(self):
        mixture = EMGaussianMixture("auto", max_iter=0, random_state=0).fit(clusters())
        assert mixture.n_iter_ == 0
        assert mixture.n_components_ == 4


class TestWithOtherArguments:
    def test_missing_values(self):
        X = clusters(n=400)
        X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
        assert EMGaussianMixture("auto", random_state=0).fit(X).n_components_ == 4

    def test_noise(self):
        rng = np.random.default_rng(0)
        X = np.vstack([clusters(n=400), rng.uniform(-20, 20, (60, 2))])
        mixture = EMGaussianMixture("auto", noise=True, random_state=0).fit(X)
        assert mixture.n_components_ == len(mixture.weights_) == 4
        assert mixture.noise_weight_ == pytest.approx(60 / 460, abs=0.05)
        assert mixture.weights_.sum() + mixture.noise_weight_ == pytest.approx(1)

    def test_hard_assignment(self):
        mixture = EMGaussianMixture("auto", assignment="hard", random_state=0).fit(clusters())
        assert mixture.n_components_ == 4

    def test_no_floor(self):
        assert EMGaussianMixture("auto", reg_covar=0, random_state=0).fit(clusters()).n_components_ == 4

    def test_a_given_start_says_how_many_are_the_most(self):
        X = clusters()
        from_means = EMGaussianMixture("auto", means_init=X[:9]).fit(X)
        assert from_means.sizes_["n_components"][0] == 9
        assert from_means.n_components_ == 4
        labels = EMGaussianMixture("auto", init_params=np.arange(240) % 8).fit(X)
        assert labels.sizes_["n_components"][0] == 8
        resp = EMGaussianMixture("auto", init_params=np.eye(5)[np.arange(240) % 5]).fit(X)
        assert resp.sizes_["n_components"][0] == 5
        weights = EMGaussianMixture("auto", weights_init=np.full(6, 1 / 6), random_state=0).fit(X)
        assert weights.sizes_["n_components"][0] == 6

    def test_partial_fit_keeps_the_number(self):
        X = np.random.default_rng(0).permutation(clusters(n=800))
        mixture = EMGaussianMixture("auto", random_state=0)
        for start in range(0, 800, 200):
            mixture.partial_fit(X[start : start + 200])
        assert mixture.n_components_ == 4
        assert mixture.means_.shape == (4, 2)

    def test_warm_start_keeps_the_number(self):
        X = clusters()
        mixture = EMGaussianMixture("auto", warm_start=True, random_state=0).fit(X)
        first = mixture.objective_
        mixture.fit(X)
        assert mixture.n_components_ == 4
        assert mixture.objective_ == pytest.approx(first, abs=1e-6)
        assert not hasattr(mixture, "sizes_")

    def test_a_bootstrap_keeps_the_number(self):
        X = clusters(n=120, k=2)
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        errors = mixture.standard_errors(X, method="bootstrap", n_bootstrap=10)
        assert errors["means_"].shape == (2, 2)
        assert_allclose(mixture.standard_errors(X)["means_"], 1 / np.sqrt(60), rtol=0.3)


class TestAsAnEstimator:
    def test_an_integer_is_found_as_it_is(self):
        mixture = EMGaussianMixture(3, random_state=0).fit(clusters())
        assert mixture.n_components_ == 3
        assert not hasattr(mixture, "sizes_")

    def test_methods_after_the_fit(self):
        X = clusters()
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        assert mixture.n_components == "auto"
        assert mixture.get_params()["n_components"] == "auto"
        assert mixture.predict_proba(X).shape == (240, 4)
        assert mixture.transform(X).shape == (240, len(mixture.get_feature_names_out()))
        assert len(np.unique(mixture.predict(X))) == 4
        assert mixture.sample(5)[0].shape == (5, 2)
        assert mixture.score(X) == pytest.approx(mixture.objective_ / 240)
        assert mixture.marginal([0]).means_.shape == (4, 1)

    def test_clone_and_pickle(self):
        X = clusters()
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        again = pickle.load(io.BytesIO(pickle.dumps(mixture)))
        assert_array_equal(again.predict(X), mixture.predict(X))
        assert_array_equal(clone(mixture).fit(X).means_, mixture.means_)

    def test_grid_search(self):
        search = GridSearchCV(
            EMGaussianMixture(random_state=0), {"n_components": [1, 2, "auto"]}, cv=3, error_score="raise"
        ).fit(clusters())
        assert search.best_params_ == {"n_components": "auto"}
        assert search.best_estimator_.n_components_ == 4

    def test_a_failure_leaves_the_fit_as_it_was(self):
        X = clusters()
        mixture = EMGaussianMixture("auto", random_state=0).fit(X)
        with pytest.raises(ValueError, match="fixed"):
            mixture.set_params(fixed=("means",)).fit(X)
        assert mixture.n_components == "auto"
        assert mixture.n_components_ == 4


class TestErrors:
    @pytest.mark.parametrize("value", ["many", "Auto", 0, -1, 1.5, None, True, [2]])
    def test_other_values(self, value):
        with pytest.raises(ValueError, match="n_components must be 'auto' or an integer >= 1, but got"):
            EMGaussianMixture(value).fit(clusters())

    def test_other_estimators_refuse_it(self):
        with pytest.raises(ValueError, match="n_components must be an integer >= 1, but got 'auto'"):
            EMHiddenMarkov("auto").fit(clusters())

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"fixed": ("means",)}, r"fixed must be \(\) with n_components='auto', but got \('means',\)"),
            ({"means_init": np.zeros((3, 5))}, r"means_init: .* should have the shape of \(3, 2\)"),
            ({"means_init": 3.0}, r"means_init: .* should have the shape of \(25, 2\)"),
            ({"means_init": np.zeros((3, 2)), "weights_init": [0.5, 0.5]}, r"weights_init: .* the shape of \(3,\)"),
            ({"init_params": np.zeros(7)}, "init_params must be one of"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            EMGaussianMixture("auto", **arguments).fit(clusters())

    def test_labels(self):
        with pytest.raises(ValueError, match="labels must be None with n_components='auto'"):
            EMGaussianMixture("auto").fit(clusters(), labels=np.arange(240) % 4)
