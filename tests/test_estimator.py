"""EMGaussianMixture as a citizen of scikit-learn: contracts, weights, sources of data, bad input, interrupts."""

import copy
import logging
import pickle
import warnings
from types import MappingProxyType

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import LIBRARIES, skip_what_old_versions_get_wrong
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import EMGaussianMixture
from emkit.datasets import load_old_faithful
from emkit.selection import aic, bic, entropy, icl

X = load_iris().data
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "EII")
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def assert_same_fit(one, other, rtol=0.0, atol=0.0):
    """The same parameters up to the order of the components; to the bit by default."""
    orders = [np.lexsort(m.means_.round(6).T) for m in (one, other)]
    assert_allclose(one.means_[orders[0]], other.means_[orders[1]], rtol=rtol, atol=atol)
    assert_allclose(one.weights_[orders[0]], other.weights_[orders[1]], rtol=rtol, atol=atol)


@parametrize_with_checks(
    [EMGaussianMixture(covariance_type=covariance_type) for covariance_type in COVARIANCE_TYPES]
    + [
        EMGaussianMixture(assignment="hard"),
        EMGaussianMixture(n_init=3, init_params="random_from_data"),
        EMGaussianMixture(accelerate=False),
        EMGaussianMixture(fixed=("covariances",)),
        EMGaussianMixture(warm_start=True),
    ]
)
def test_common_checks(estimator, check):
    skip_what_old_versions_get_wrong(check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.SkipTestWarning)
        check(estimator)


class TestWeights:
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_a_weight_is_a_number_of_rows(self, covariance_type, missing):
        rng = np.random.default_rng(0)
        data = X.copy()
        if missing:
            data[rng.random(X.shape) < 0.1] = np.nan
        weight = rng.integers(0, 4, size=len(X))
        order = rng.permutation(weight.sum())
        repeated = np.repeat(data, weight, axis=0)[order]
        shared = {"n_components": 3, "covariance_type": covariance_type, "random_state": 0}
        weighted = EMGaussianMixture(**shared).fit(data, sample_weight=weight)
        plain = EMGaussianMixture(**shared).fit(repeated)
        assert weighted.objective_ == pytest.approx(plain.objective_, abs=1e-5)
        assert_same_fit(weighted, plain, rtol=1e-3)
        assert weighted.score(data, sample_weight=weight) == pytest.approx(plain.score(repeated), abs=1e-7)
        for criterion in ("bic", "aic", "icl"):
            expected = getattr(plain, criterion)(repeated)
            assert getattr(weighted, criterion)(data, sample_weight=weight) == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
    def test_starts_know_neither_order_nor_repetition(self, init_params):
        weight = np.random.default_rng(0).integers(0, 4, size=len(X))
        repeated = np.random.default_rng(1).permutation(np.repeat(X, weight, axis=0))
        shared = {"n_components": 4, "init_params": init_params, "random_state": 3, "n_init": 1, "max_iter": 0}
        weighted = EMGaussianMixture(**shared).fit(X, sample_weight=weight)
        plain = EMGaussianMixture(**shared).fit(repeated)
        for name in ("weights_", "means_", "covariances_"):
            assert_allclose(getattr(weighted, name), getattr(plain, name), rtol=1e-8, err_msg=name)

    def test_zero_weight_means_absent(self):
        weight = np.ones(len(X))
        weight[::7] = 0
        data = X.copy()
        data[::7] = 1e6
        shared = {"n_components": 3, "random_state": 0}
        some = EMGaussianMixture(**shared).fit(data, sample_weight=weight)
        assert_same_fit(some, EMGaussianMixture(**shared).fit(X[weight > 0]))

    @settings(max_examples=15)
    @given(seed=st.integers(0, 1000), k=st.integers(1, 4), covariance_type=st.sampled_from(COVARIANCE_TYPES))
    def test_order_of_rows(self, seed, k, covariance_type):
        order = np.random.default_rng(seed).permutation(len(X))
        shared = {"n_components": k, "covariance_type": covariance_type, "random_state": seed}
        one, other = EMGaussianMixture(**shared).fit(X), EMGaussianMixture(**shared).fit(X[order])
        assert one.objective_ == pytest.approx(other.objective_, abs=1e-5)

    @settings(max_examples=15)
    @given(seed=st.integers(0, 1000), covariance_type=st.sampled_from(COVARIANCE_TYPES))
    def test_order_of_columns(self, seed, covariance_type):
        """A start sorts the rows by the first column first, so it is given here."""
        order = np.random.default_rng(seed).permutation(4)
        means = [X[:50].mean(axis=0), X[50:100].mean(axis=0), X[100:].mean(axis=0)]
        means = means + 0.2 * np.random.default_rng(seed).standard_normal((3, 4))
        shared = {"n_components": 3, "covariance_type": covariance_type, "max_iter": 50, "tol": 0, "accelerate": False}
        one = EMGaussianMixture(means_init=means, **shared).fit(X)
        other = EMGaussianMixture(means_init=means[:, order], **shared).fit(X[:, order])
        assert_allclose(one.score_samples(X), other.score_samples(X[:, order]), rtol=1e-6)


class TestJobs:
    @pytest.mark.parametrize("options", [{"n_init": 4}, {"n_init": "auto"}, {"means_init": [[0.0, 0.0], [3.0, 3.0]]}])
    def test_results_do_not_depend_on_the_number_of_jobs(self, options):
        rng = np.random.default_rng(0)
        data = rng.standard_normal((45_000, 2)) + 3 * rng.integers(0, 2, size=(45_000, 1))
        fits = [EMGaussianMixture(2, random_state=0, n_jobs=n_jobs, **options).fit(data) for n_jobs in (None, 2, 3)]
        for other in fits[1:]:
            for name in FITTED:
                assert_array_equal(getattr(fits[0], name), getattr(other, name))
            assert fits[0].objective_ == other.objective_
            assert_array_equal(fits[0].history_["objective"], other.history_["objective"])

    def test_history_has_each_start(self):
        mixture = EMGaussianMixture(3, n_init=4, init_params="random_from_data", random_state=0).fit(X)
        assert mixture.history_.dtype.names == ("start", "iteration", "objective", "change", "seconds", "phase")
        assert set(mixture.history_["start"]) <= set(range(4))
        assert mixture.history_["objective"].max() == mixture.objective_
        best = mixture.history_[mixture.history_["objective"] == mixture.objective_][0]["start"]
        steps = mixture.history_[mixture.history_["start"] == best]
        assert (steps["phase"] != "start").sum() == mixture.n_iter_ == len(mixture.lower_bounds_)
        assert mixture.lower_bounds_[-1] == mixture.lower_bound_


class TestPipelines:
    def test_grid_search_over_components_and_covariances(self):
        rng = np.random.default_rng(0)
        data = np.vstack([rng.standard_normal((80, 2)) + centre for centre in ([0, 0], [8, 0], [0, 8])])
        grid = {"emgaussianmixture__n_components": [1, 2, 3, 4], "emgaussianmixture__covariance_type": ["full", "EII"]}
        search = GridSearchCV(
            make_pipeline(StandardScaler(), EMGaussianMixture(random_state=0)), grid, cv=KFold(5, shuffle=True)
        ).fit(data)
        assert search.best_params_["emgaussianmixture__n_components"] == 3
        assert len(search.predict_proba(data)[0]) == 3

    def test_before_a_classifier(self):
        iris = load_iris()
        pipeline = make_pipeline(EMGaussianMixture(3, random_state=0), LogisticRegression())
        assert cross_val_score(pipeline, iris.data, iris.target).mean() > 0.85

    def test_cross_val_score_is_held_out_likelihood(self):
        scores = cross_val_score(EMGaussianMixture(2, random_state=0), X, cv=KFold(3))
        by_hand = [
            EMGaussianMixture(2, random_state=0).fit(X[train]).score_samples(X[test]).mean()
            for train, test in KFold(3).split(X)
        ]
        assert_allclose(scores, by_hand)

    def test_weights_are_routed_without_a_request(self):
        weight = np.random.default_rng(0).random(len(X)) + 0.5
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(StandardScaler(), EMGaussianMixture(2, random_state=0))
            pipeline.set_params(standardscaler=StandardScaler().set_fit_request(sample_weight=False))
            pipeline.fit(X, sample_weight=weight)
            scaled = StandardScaler().fit_transform(X)
            direct = EMGaussianMixture(2, random_state=0).fit(scaled, sample_weight=weight)
            assert_same_fit(pipeline[-1], direct)
            assert pipeline.score(X, sample_weight=weight) == direct.score(scaled, sample_weight=weight)
            assert np.isfinite(pipeline.score(X))
            GridSearchCV(EMGaussianMixture(), {"n_components": [1, 2]}).fit(X, sample_weight=weight)

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_frames(self, library):
        frames = pytest.importorskip(library)
        frame = (
            frames.DataFrame(X, schema=list("abcd")) if library == "polars" else frames.DataFrame(X, columns=[*"abcd"])
        )
        mixture = EMGaussianMixture(2, random_state=0).set_output(transform=library).fit(frame)
        assert_array_equal(mixture.feature_names_in_, [*"abcd"])
        out = mixture.transform(frame)
        assert isinstance(out, frames.DataFrame)
        assert list(out.columns) == ["emgaussianmixture0", "emgaussianmixture1"]
        assert_array_equal(out.to_numpy(), mixture.predict_proba(frame))
        assert_same_fit(mixture, EMGaussianMixture(2, random_state=0).fit(X))
        with pytest.raises(ValueError, match="feature names"):
            mixture.predict(frame[["b", "a", "c", "d"]])

    def test_missing_values_of_frames(self):
        pd = pytest.importorskip("pandas")
        holes = np.random.default_rng(0).random(X.shape) < 0.1
        plain = np.where(holes, np.nan, X)
        nullable = pd.DataFrame(plain).convert_dtypes()
        masked = np.ma.MaskedArray(X, mask=holes)
        expected = EMGaussianMixture(2, random_state=0).fit(plain)
        for data in (nullable, masked):
            assert_same_fit(EMGaussianMixture(2, random_state=0).fit(data), expected)


class TestCriteria:
    mixture = EMGaussianMixture(3, random_state=0).fit(X)

    def test_against_their_definitions(self):
        total = self.mixture.score_samples(X).sum()
        resp = self.mixture.predict_proba(X)
        uncertainty = -(resp * np.log(np.maximum(resp, 1e-300))).sum()
        assert self.mixture.n_parameters_ == 2 + 12 + 30
        assert bic(self.mixture, X) == self.mixture.bic(X) == pytest.approx(-2 * total + 44 * np.log(150))
        assert aic(self.mixture, X) == self.mixture.aic(X) == pytest.approx(-2 * total + 88)
        assert entropy(self.mixture, X) == pytest.approx(uncertainty)
        assert icl(self.mixture, X) == self.mixture.icl(X) == pytest.approx(bic(self.mixture, X) + 2 * uncertainty)

    def test_they_are_those_of_scikit_learn(self):
        from sklearn.mixture import GaussianMixture

        start = {
            name: getattr(self.mixture, f"{name[:-5]}_") for name in ("weights_init", "means_init", "precisions_init")
        }
        theirs = GaussianMixture(3, max_iter=1, reg_covar=0, **start)
        with pytest.warns(ConvergenceWarning):
            theirs.fit(X)
        assert self.mixture.bic(X) == pytest.approx(theirs.bic(X), abs=1e-5)
        assert self.mixture.aic(X) == pytest.approx(theirs.aic(X), abs=1e-5)


class TestStarts:
    def test_labels_and_responsibilities(self):
        labels = KMeans(3, n_init=1, random_state=0).fit_predict(X)
        by_label = EMGaussianMixture(3, init_params=labels, max_iter=0).fit(X)
        by_resp = EMGaussianMixture(3, init_params=np.eye(3)[labels], max_iter=0).fit(X)
        for k in range(3):
            assert_allclose(by_label.means_[k], X[labels == k].mean(axis=0))
        for name in FITTED:
            assert_array_equal(getattr(by_label, name), getattr(by_resp, name))

    def test_labels_of_weighted_rows(self):
        labels = KMeans(3, n_init=1, random_state=0).fit_predict(X)
        weight = np.arange(len(X)) % 3
        mixture = EMGaussianMixture(3, init_params=labels, max_iter=0).fit(X, sample_weight=weight)
        for k in range(3):
            assert_allclose(mixture.means_[k], np.average(X[labels == k], axis=0, weights=weight[labels == k]))

    @pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
    def test_same_seed_same_start(self, init_params):
        shared = {"n_components": 3, "init_params": init_params, "n_init": 1, "max_iter": 0}
        one, same, other = (EMGaussianMixture(random_state=seed, **shared).fit(X) for seed in (0, 0, 1))
        assert_array_equal(one.means_, same.means_)
        assert np.abs(one.means_ - other.means_).max() > 0 or init_params == "kmeans"

    @pytest.mark.filterwarnings("ignore::emkit.DegenerateSolutionWarning")
    def test_more_starts_are_not_worse(self):
        scores = [
            EMGaussianMixture(5, n_init=n, init_params="random_from_data", random_state=0).fit(X).objective_
            for n in (1, 3, 9)
        ]
        assert scores[0] <= scores[1] + 1e-6
        assert scores[1] <= scores[2] + 1e-6

    def test_warm_start_goes_on_where_the_fit_ended(self):
        data = load_old_faithful().data
        start = {"n_components": 3, "random_state": 0, "n_init": 1, "tol": 0, "accelerate": False}
        at_once = EMGaussianMixture(max_iter=20, **start).fit(data)
        in_parts = EMGaussianMixture(max_iter=10, warm_start=True, **start).fit(data).fit(data)
        assert_allclose(in_parts.means_, at_once.means_, rtol=1e-9)
        with pytest.raises(ValueError, match="warm_start=True continues a fit"):
            in_parts.set_params(n_components=2).fit(data)


class TestSources:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((25_000, 3)) + 4 * rng.integers(0, 2, size=(25_000, 1))
    shared = MappingProxyType({"n_components": 2, "random_state": 0})
    expected = EMGaussianMixture(2, random_state=0).fit(data)

    def blocks(self, size):
        return lambda: (self.data[start : start + size] for start in range(0, len(self.data), size))

    @pytest.mark.parametrize("size", [10_000, 20_000])
    def test_blocks_that_keep_the_chunks_give_the_same_bits(self, size):
        mixture = EMGaussianMixture(**self.shared).fit(self.blocks(size))
        for name in FITTED:
            assert_array_equal(getattr(mixture, name), getattr(self.expected, name))
        assert_array_equal(mixture.predict(self.blocks(size)), self.expected.predict(self.data))
        assert mixture.score(self.blocks(size)) == pytest.approx(self.expected.score(self.data), rel=1e-14)

    def test_uneven_blocks(self):
        weight = np.random.default_rng(1).integers(0, 3, size=len(self.data)).astype(float)
        mixture = EMGaussianMixture(**self.shared).fit(self.blocks(3_333), sample_weight=weight)
        expected = EMGaussianMixture(**self.shared).fit(self.data, sample_weight=weight)
        assert_same_fit(mixture, expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int32", ">f8"])
    def test_memory_map(self, tmp_path, dtype):
        data = (100 * self.data).astype(dtype)
        mapped = np.memmap(tmp_path / "rows", dtype=dtype, mode="w+", shape=data.shape)
        mapped[:] = data
        mapped.flush()
        mapped = np.memmap(tmp_path / "rows", dtype=dtype, mode="r", shape=data.shape)
        assert_same_fit(EMGaussianMixture(**self.shared).fit(mapped), EMGaussianMixture(**self.shared).fit(data))

    @pytest.mark.parametrize(
        "change",
        [
            np.asfortranarray,
            lambda X: X[::-1][::-1],
            lambda X: np.hstack([X, X])[:, : X.shape[1]],
            lambda X: X.astype(">f8"),
            lambda X: X.tolist(),
        ],
    )
    def test_layouts(self, change):
        readonly = change(self.data)
        if isinstance(readonly, np.ndarray):
            readonly.flags.writeable = False
        assert_same_fit(EMGaussianMixture(**self.shared).fit(readonly), self.expected, rtol=1e-9, atol=1e-12)

    def test_empty_blocks(self):
        blocks = [self.data[:0], self.data[:15_000], self.data[:0], self.data[15_000:]]
        assert_same_fit(EMGaussianMixture(**self.shared).fit(lambda: blocks), self.expected, rtol=1e-4, atol=1e-4)

    def test_a_function_must_give_rows_each_time(self):
        once = iter([self.data])
        with pytest.raises(ValueError, match="new iterator at each call"):
            EMGaussianMixture(2).fit(lambda: once)
        with pytest.raises(ValueError, match="yields no block"):
            EMGaussianMixture(2).fit(lambda: iter([]))
        with pytest.raises(ValueError, match="each call must return an iterable"):
            EMGaussianMixture(2).fit(lambda: 3)
        with pytest.raises(ValueError, match="2 features"):
            EMGaussianMixture(2).fit(lambda: iter([self.data, self.data[:, :2]]))
        shrinking = iter([self.data, self.data, self.data[:500]])  # the first call is for the width alone
        with pytest.raises(ValueError, match="yielded 500 rows, but 25000"):
            EMGaussianMixture(2).fit(lambda: [next(shrinking)])
        with pytest.raises(ValueError, match=r"the blocks have (more rows|25000 rows)"):
            EMGaussianMixture(2).fit(self.blocks(10_000), sample_weight=np.ones(24_999))


class TestPartialFit:
    def test_one_pass_is_within_one_percent_of_batch(self):
        rng = np.random.default_rng(0)
        centres = 3 * rng.standard_normal((4, 3))
        data = centres[rng.integers(4, size=100_000)] + rng.standard_normal((100_000, 3))
        batch = EMGaussianMixture(4, random_state=0).fit(data)
        online = EMGaussianMixture(4, random_state=0)
        for start in range(0, len(data), 1_000):
            online.partial_fit(data[start : start + 1_000])
        assert online.score(data) == pytest.approx(batch.score(data), rel=0.01)
        assert online.n_iter_ > 99
        assert online.n_parameters_ == batch.n_parameters_

    def test_the_first_batch_is_a_fit(self):
        online = EMGaussianMixture(3, random_state=0).partial_fit(X)
        assert_same_fit(online, EMGaussianMixture(3, random_state=0).fit(X))

    def test_it_goes_on_from_a_fit(self):
        fitted = EMGaussianMixture(3, random_state=0).fit(X)
        before = fitted.means_
        fitted.partial_fit(X[::50])  # three rows move the means of a hundred and fifty a little
        assert 0 < np.abs(fitted.means_ - before).max() < 0.5
        assert fitted.n_iter_ > 1

    @pytest.mark.parametrize("change", [{"n_components": 1}, {"n_components": 4}, {"covariance_type": "diag"}])
    def test_another_model_is_refused(self, change):
        online = EMGaussianMixture(2, random_state=0).partial_fit(X)
        means = online.means_
        with pytest.raises(ValueError, match="partial_fit continues a fit with n_components=2"):
            online.set_params(**change).partial_fit(X)
        assert online.means_ is means

    @pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
    def test_a_changed_covariance_type_counts_from_the_next_fit(self, covariance_type):
        mixture = EMGaussianMixture(4, covariance_type=covariance_type, random_state=0).fit(X)  # K = d
        before = mixture.score(X), mixture.sample(2)[1]
        for other in COVARIANCE_TYPES:
            mixture.set_params(covariance_type=other)
            assert mixture.score(X) == before[0]
            assert_array_equal(mixture.sample(2)[1], before[1])

    def test_weights_missing_values_and_copies(self):
        rng = np.random.default_rng(0)
        data = np.where(rng.random(X.shape) < 0.1, np.nan, X)
        online = EMGaussianMixture(2, random_state=0).partial_fit(data, sample_weight=np.ones(len(X)))
        before = copy.deepcopy(online)
        online = pickle.loads(pickle.dumps(online)).partial_fit(data, sample_weight=rng.random(len(X)))
        assert np.isfinite(online.score(data))
        assert_array_equal(before.means_, EMGaussianMixture(2, random_state=0).fit(data).means_)
        with pytest.raises(ValueError, match="features"):
            online.partial_fit(X[:, :2])

    def test_fit_forgets(self):
        online = EMGaussianMixture(2, random_state=0).partial_fit(X[:80]).partial_fit(X[80:])
        assert_same_fit(online.fit(X), EMGaussianMixture(2, random_state=0).fit(X))


class Interrupted(KeyboardInterrupt):
    pass


class TestAtomicFit:
    """A fit that fails leaves the earlier one, complete."""

    def check_unchanged(self, mixture, before, new_data, error):
        state = copy.deepcopy(vars(mixture))
        with pytest.raises(error):
            mixture.fit(new_data)
        assert vars(mixture).keys() == state.keys()
        assert mixture.n_features_in_ == 4
        assert_array_equal(mixture.predict(X), before)

    def test_bad_data(self):
        mixture = EMGaussianMixture(2, random_state=0).fit(X)
        before = mixture.predict(X)
        self.check_unchanged(mixture, before, np.full((9, 3), np.inf), ValueError)
        self.check_unchanged(mixture, before, np.full((9, 3), np.nan), ValueError)
        mixture.set_params(reg_covar=0)
        self.check_unchanged(mixture, before, np.zeros((9, 3)), ValueError)

    def test_interrupt(self, monkeypatch):
        from emkit.mixture import MixtureModel

        mixture = EMGaussianMixture(2, random_state=0).fit(X)
        before = mixture.predict(X)
        calls = iter(range(100))
        m_step = MixtureModel.m_step

        def interrupt(self, stats, params):
            if next(calls) > 20:
                raise Interrupted
            return m_step(self, stats, params)

        monkeypatch.setattr(MixtureModel, "m_step", interrupt)
        self.check_unchanged(mixture, before, X[:, :3], Interrupted)
        unfitted = clone(mixture)
        with pytest.raises(Interrupted):
            unfitted.fit(X)
        with pytest.raises(NotFittedError):
            unfitted.predict(X)


class TestPickles:
    def test_round_trip(self):
        mixture = EMGaussianMixture(3, random_state=0).fit(X)
        again = pickle.loads(pickle.dumps(mixture))
        assert_array_equal(again.predict_proba(X), mixture.predict_proba(X))
        assert again.get_params() == mixture.get_params()

    def test_another_version_warns(self):
        state = EMGaussianMixture().fit(X).__getstate__()
        with pytest.warns(InconsistentVersionWarning, match=r"0\.0\.0"):
            EMGaussianMixture().__setstate__({**state, "_emkit_version": "0.0.0"})


class TestReports:
    def test_log(self, caplog):
        with caplog.at_level(logging.INFO, logger="emkit"):
            EMGaussianMixture(2, random_state=0).fit(X)
            assert not caplog.records
            EMGaussianMixture(2, random_state=0, verbose=1).fit(X)
            short = len(caplog.records)
            assert "converged" in caplog.text
            EMGaussianMixture(2, random_state=0, verbose=2).fit(X)
            assert len(caplog.records) > 3 * short

    def test_max_iter_warns(self):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            mixture = EMGaussianMixture(3, max_iter=1, random_state=0).fit(X)
        assert not mixture.converged_
        assert mixture.n_iter_ == 1

    def test_callbacks(self):
        callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9 has no callbacks")

        class Recorder:
            def __init__(self, stop_after=None):
                self.scores, self.tasks, self.stop_after = [], [], stop_after

            def setup(self, estimator, context):
                self.tasks.append("setup")

            def teardown(self, estimator, context):
                self.tasks.append("teardown")

            def on_fit_task_begin(self, estimator, context):
                self.tasks.append(context.task_name)

            def on_fit_task_end(self, estimator, context, *, fitted_estimator):
                if context.task_name == "iteration":
                    self.scores.append(fitted_estimator.score(X))
                    return self.stop_after is not None and len(self.scores) >= self.stop_after
                return False

        assert issubclass(EMGaussianMixture, callback.CallbackSupportMixin)
        recorder = Recorder()
        mixture = EMGaussianMixture(3, random_state=0, n_init=1).set_callbacks(recorder).fit(X)
        assert recorder.tasks[0] == "setup"
        assert recorder.tasks[-1] == "teardown"
        assert recorder.tasks.count("iteration") == mixture.n_iter_ + 1
        assert (np.diff(recorder.scores) > -1e-9).all()
        assert recorder.scores[-1] == pytest.approx(mixture.score(X))
        stopped = Recorder(stop_after=3)
        with pytest.warns(ConvergenceWarning):
            mixture = EMGaussianMixture(3, random_state=0, n_init=1, accelerate=False).set_callbacks(stopped).fit(X)
        assert mixture.n_iter_ == 2
        EMGaussianMixture(3, random_state=0, n_init=3, n_jobs=2).set_callbacks(Recorder()).fit(X)
        EMGaussianMixture(3, random_state=0).set_callbacks(Recorder()).fit(X)

    def test_progress_bar(self, capsys):
        pytest.importorskip("rich")
        callback = pytest.importorskip("sklearn.callback")
        EMGaussianMixture(2, random_state=0).set_callbacks(callback.ProgressBar()).fit(X)


NOT_POSITIVE = np.stack([np.eye(4), -np.eye(4)])
BAD_ARGUMENTS = [
    ({"n_components": 0}, r"n_components must be 'auto' or an integer >= 1, but got 0"),
    ({"n_components": 2.5}, r"n_components .* 2\.5"),
    ({"n_components": True}, r"n_components .* True"),
    ({"n_components": 151}, r"n_components = 151, n_samples = 150 .* 151 or more are required"),
    ({"covariance_type": "round"}, r"covariance_type must be one of .*'full'.* 'round'"),
    ({"tol": -1}, r"tol must be a finite number >= 0, but got -1"),
    ({"tol": np.nan}, r"tol .* nan"),
    ({"reg_covar": -1e-3}, r"reg_covar .* -0\.001"),
    ({"max_iter": -1}, r"max_iter .* -1"),
    ({"n_init": 0}, r"n_init must be 'auto' or an integer >= 1, but got 0"),
    ({"n_init": "many"}, r"n_init .* 'many'"),
    ({"init_params": "guess"}, r"init_params must be one of .* 'guess'"),
    ({"init_params": np.zeros(7, int)}, r"init_params .* shape \(7,\)"),
    ({"init_params": np.full(150, 3)}, r"init_params must be .* labels from 0 to 1"),
    ({"init_params": np.ones((150, 2))}, r"init_params .* rows sum to one"),
    ({"assignment": "firm"}, r"assignment must be one of .* 'firm'"),
    ({"fixed": ("widths",)}, r"fixed must be a tuple of names among .* \('widths',\)"),
    ({"fixed": "weights"}, r"fixed must be a tuple"),
    ({"fixed": None}, r"fixed must be a tuple"),
    ({"fixed": ([],)}, r"fixed must be a tuple"),
    ({"accelerate": "much"}, r"accelerate must be one of .* 'much'"),
    ({"accelerate": True}, r"accelerate must be one of .* True"),
    ({"warm_start": "yes"}, r"warm_start must be one of .* 'yes'"),
    ({"verbose": -1}, r"verbose must be an integer >= 0, but got -1"),
    ({"n_jobs": 0}, r"n_jobs must be None or an integer other than 0 .*, but got 0"),
    ({"n_jobs": "all"}, r"n_jobs must be None or an integer other than 0 .*, but got 'all'"),
    ({"weights_init": [0.5, 0.6]}, r"weights_init: .* normalized"),
    ({"weights_init": [1.5, -0.5]}, r"weights_init: .* range \[0, 1\], but got min value -0\.5.*, max value 1\.5"),
    ({"weights_init": [1.0]}, r"weights_init: .* shape of \(2,\), but got \(1,\)"),
    ({"weights_init": ["a", "b"]}, r"weights_init must be an array of numbers"),
    ({"means_init": np.zeros((3, 4))}, r"means_init: .* shape of \(2, 4\), but got \(3, 4\)"),
    ({"means_init": np.full((2, 4), np.nan)}, r"means_init must be finite"),
    ({"precisions_init": np.ones((2, 4))}, r"precisions_init: .* shape of \(2, 4, 4\)"),
    ({"precisions_init": NOT_POSITIVE}, r"precisions_init: .* symmetric, positive-definite"),
    ({"precisions_init": [1, -1], "covariance_type": "spherical"}, r"precisions_init: .* positive"),
    ({"random_state": "dice"}, r"'dice'"),
]
BAD_DATA = [
    ([["a", "b"], ["c", "d"]], r"X must be numbers \(could not convert .*\); sklearn.preprocessing.OrdinalEncoder"),
    (np.ones((9, 2)) + 1j, "Complex data not supported"),
    (np.ones(9), "Expected 2D array, got 1D array"),
    (np.ones((9, 2, 2)), "dim 3"),
    (np.empty((0, 2)), r"0 sample\(s\)"),
    (np.empty((9, 0)), r"0 feature\(s\)"),
    (np.ones((1, 2)), r"1 sample\(s\)|n_samples = 1"),
    (np.array([[1.0, np.inf], [2.0, 3.0], [3.0, 1.0]]), "infinity"),
    (np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan]]), r"no observed value in column\(s\) \[1\]"),
    (np.array([[1e200, 0.0], [-1e200, 1.0], [0.0, 2.0]]), r"column\(s\) \[0\] of standard deviation \[inf\]"),
    (np.array([[1e-200, 0.0], [-1e-200, 1.0], [0.0, 2.0]]), r"column\(s\) \[0\] of standard deviation \[0\.\]"),
    (np.array([[1e19, 0.0], [-1e19, 1.0], [0.0, 2.0]], np.float32), r"column\(s\) \[0\] .* float32 takes"),
    (np.array([[1e-20, 0.0], [-1e-20, 1.0], [0.0, 2.0]], np.float32), r"column\(s\) \[0\] .* float32 takes"),
    (np.array([["2026-01-01"], ["2026-01-02"]], dtype="datetime64[D]"), "dates or times"),
]
BAD_WEIGHTS = [
    (np.full(150, -1.0), r"sample_weight must be finite and not negative, but sample_weight\[0\] is -1\.0"),
    (np.zeros(150), r"sample_weight is zero for all rows"),
    (np.ones(149), r"sample_weight\.shape == \(149,\), expected \(150,\)"),
    (np.ones((150, 1)), r"1D array"),
    (np.full(150, np.nan), r"sample_weight .* nan"),
    (["heavy"] * 150, r"sample_weight must be an array of numbers"),
    (np.eye(1, 150)[0], r"n_samples = 1"),
]


class TestBadInput:
    @pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
    def test_arguments(self, arguments, message):
        mixture = EMGaussianMixture(**{"n_components": 2, **arguments})
        with pytest.raises(ValueError, match=message):
            mixture.fit(X)
        with pytest.raises(NotFittedError):
            mixture.predict(X)

    @pytest.mark.parametrize(("data", "message"), BAD_DATA)
    def test_data(self, data, message):
        with pytest.raises(ValueError, match=message):
            EMGaussianMixture().fit(data)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                [None, "a", "b"],
                r'NA among objects or categories, .* X.astype\("Float64"\) .* sklearn.preprocessing.Ord',
            ),
            (["a", "b", None], r"X must be numbers \(.*\); sklearn.preprocessing.OrdinalEncoder"),
        ],
    )
    def test_categories_of_pandas(self, values, message):
        pd = pytest.importorskip("pandas")
        names = pd.DataFrame({"name": pd.array(values * 50, "string")}).astype("category")
        for table in (names, names.convert_dtypes()):
            with pytest.raises(ValueError, match=message):
                EMGaussianMixture().fit(table)

    def test_sparse(self):
        scipy_sparse = pytest.importorskip("scipy.sparse")
        for sparse in (scipy_sparse.csr_matrix, scipy_sparse.csr_array):
            with pytest.raises(ValueError, match=r"X is sparse .* dense data is required"):
                EMGaussianMixture().fit(sparse(X))

    @pytest.mark.parametrize(("weight", "message"), BAD_WEIGHTS)
    def test_weights(self, weight, message):
        with pytest.raises(ValueError, match=message):
            EMGaussianMixture().fit(X, sample_weight=weight)

    def test_predict(self):
        mixture = EMGaussianMixture(2, random_state=0)
        for method in ("predict", "predict_proba", "score_samples", "score", "transform", "bic", "aic", "icl"):
            with pytest.raises(NotFittedError):
                getattr(mixture, method)(X)
        with pytest.raises(NotFittedError):
            mixture.sample()
        mixture.fit(X)
        with pytest.raises(ValueError, match="3 features, but EMGaussianMixture is expecting 4"):
            mixture.predict(X[:, :3])
        for n_samples in (0, True, 2.0):
            with pytest.raises(ValueError, match="n_samples"):
                mixture.sample(n_samples)
