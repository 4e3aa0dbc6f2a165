"""ComponentSearch: what it finds, its table, its choice, and what it refuses."""

import math
import pickle
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from emkit import (
    ComponentSearch,
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)
from emkit._validation import Seen
from emkit.selection import aic, bic, icl
from emkit.selection.data import Data
from emkit.selection.kinds import kind_of
from emkit.selection.path import quiet
from emkit.selection.table import pooled

COLUMNS = [
    *("n_components", "log_likelihood", "n_parameters", "bic", "aic", "icl", "heldout_mean", "heldout_se", "p_value"),
    *("converged", "degenerate", "failed", "found_by", "seconds", "rank"),
]


def clusters(n, k, d=2, spread=7.0, seed=0):
    """Rows of k unit normals whose means are points of a lattice."""
    rng = np.random.default_rng(seed)
    means = spread * rng.permutation(np.indices((3,) * d).reshape(d, -1).T)[:k]
    return rng.standard_normal((n, d)) + means[rng.integers(k, size=n)]


X = clusters(150, 3)


def search(estimator=None, **options):
    estimator = EMGaussianMixture(n_init=2) if estimator is None else estimator
    return ComponentSearch(estimator, **{"n_components": [1, 2, 3, 4], "random_state": 0, **options})


def test_a_frame_of_results_needs_pandas(monkeypatch):
    found = search(n_components=1).fit(X)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="results_frame needs pandas, which cannot be imported; pip install pandas"):
        found.results_frame()


class TestRowsThatWereChecked:
    """A search checks its rows once; fits and densities must not tell the difference."""

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("made", [EMGaussianMixture, EMMixture])
    def test_give_the_same_fit(self, made, dtype):
        frame = pd.DataFrame(X.astype(dtype), columns=["a", "b"])
        estimator = made(3, random_state=0)
        seen = Seen.of(estimator, frame)
        plain, again, twice = (clone(estimator).fit(rows) for rows in (frame, seen, seen))
        assert not hasattr(estimator, "n_features_in_")
        assert_array_equal(again.feature_names_in_, ["a", "b"])
        for fitted in (again, twice):
            assert fitted.n_features_in_ == 2
            assert fitted.objective_ == plain.objective_
            assert_array_equal(fitted.means_, plain.means_)
        assert_array_equal(again.predict_proba(seen), plain.predict_proba(frame))

    @pytest.mark.parametrize("options", [{}, {"noise": True}, {"covariance_type": "VVV", "reg_covar": 1e-6}])
    def test_have_the_same_flaw(self, options):
        rows = np.vstack([X, X[:1] + [[40.0, 0.0]], X[:1] + [[40.1, 0.1]]])
        labels = np.r_[np.zeros(len(X)), 1, 1].astype(int)
        with quiet():
            fitted = EMGaussianMixture(2, init_params=labels, max_iter=1, **options).fit(rows)
        kind, data = kind_of(fitted), Data(rows)
        assert "from 2 rows" in kind.flaw(fitted, data)
        assert kind.flaw(fitted, kind.seen(fitted, data)) == kind.flaw(fitted, data)

    def test_with_weights_are_checked_by_each_fit(self):
        weighted = Data(X, None, {"sample_weight": np.ones(len(X))})
        assert kind_of(EMGaussianMixture()).seen(EMGaussianMixture(), weighted).seen is None


class TestTable:
    def test_columns_and_values_are_those_of_the_fits(self):
        found = search(n_components=[2, 3, 4]).fit(X)
        assert list(found.results_) == COLUMNS
        assert list(found.results_frame().columns) == COLUMNS
        best = found.best_estimator_
        place = found.best_index_
        for name, function in (("bic", bic), ("aic", aic), ("icl", icl)):
            assert found.results_[name][place] == pytest.approx(function(best, X), rel=1e-12)
        assert found.results_["log_likelihood"][place] == pytest.approx(best.score(X) * len(X), rel=1e-12)
        assert found.results_["n_parameters"][place] == best.n_parameters_
        assert found.best_score_ == found.results_["bic"].min()
        assert found.best_params_ == {"n_components": 3}
        assert sorted(found.results_["rank"]) == [1, 2, 3]
        assert np.isnan(found.results_["heldout_mean"]).all()

    def test_one_row_for_each_combination(self):
        other = [{"covariance_type": ["full", "diag"]}, {"reg_covar": [1e-4]}]
        found = search(other_params=other, n_components=[1, 3]).fit(X)
        assert found.results_["covariance_type"].tolist() == ["full"] * 2 + ["diag"] * 2 + ["full"] * 2
        assert found.results_["reg_covar"].tolist() == [1e-6] * 4 + [1e-4] * 2
        assert set(found.best_params_) - {"reg_covar"} == {"n_components", "covariance_type"}

    def test_the_chosen_fit_has_the_users_parameters_and_tolerance(self):
        own = EMGaussianMixture(tol=1e-9, n_init=3)
        best = search(own).fit(X).best_estimator_
        expected = {**own.get_params(), "n_components": 3, "random_state": best.random_state}
        assert best.get_params() == expected
        finer = clone(best).set_params(init_params=best.predict_proba(X), tol=1e-12).fit(X)
        assert best.objective_ == pytest.approx(finer.objective_, abs=1e-4)

    def test_contenders_are_fitted_to_the_end(self):
        rows = clusters(300, 2, spread=1.5)
        found = search(n_components=range(1, 5), criterion="aic").fit(rows)
        best = found.best_estimator_
        exact = clone(best).set_params(init_params=best.predict_proba(rows), tol=1e-12).fit(rows)
        assert found.best_score_ == pytest.approx(exact.aic(rows), abs=1e-4)


class TestPath:
    def test_a_division_finds_what_fresh_starts_miss(self):
        """Small clusters in pairs, far from each other: k-means seeds one start in each pair, hardly two in all."""
        rng = np.random.default_rng(3)
        centres = 40 * rng.standard_normal((6, 2))
        rows = np.vstack([c + [s, 0] + 0.3 * rng.standard_normal((25, 2)) for c in centres for s in (0.0, 3.0)])
        one = EMGaussianMixture(n_init=1, init_params="random_from_data", covariance_type="spherical")
        with quiet():
            fresh = max(
                clone(one).set_params(n_components=12, random_state=seed).fit(rows).objective_ for seed in range(5)
            )
        found = search(one, n_components=range(1, 13)).fit(rows)
        assert found.best_params_ == {"n_components": 12}
        assert found.results_["found_by"][-1] == "split"
        assert found.results_["log_likelihood"][-1] > fresh + 20

    def test_log_likelihood_rises_along_the_path(self):
        rises = np.diff(search(n_components=range(1, 8)).fit(load_iris().data).results_["log_likelihood"])
        assert (rises > 0).all()

    @pytest.mark.parametrize("types", [["full", "diag"], ["diag", "full"]])
    def test_one_combination_does_not_hide_what_is_best_for_another(self, types):
        """Where it began at the partition of the first, four diagonal components on wine ended at 5509."""
        X = StandardScaler().fit_transform(load_wine().data)
        found = search(EMGaussianMixture(), n_components=range(1, 6), other_params={"covariance_type": types}).fit(X)
        assert found.best_params_ == {"n_components": 4, "covariance_type": "diag"}
        assert found.best_score_ == pytest.approx(5476.479, abs=0.01)

    def test_numbers_need_not_follow_each_other(self):
        found = search(n_components=[1, 4, 9]).fit(clusters(300, 9))
        assert found.best_params_ == {"n_components": 9}

    @pytest.mark.parametrize("k", [1, 2, 3])
    def test_halves_add_up_to_the_component_that_was_divided(self, k):
        fitted = EMGaussianMixture(k, random_state=0).fit(X)
        data = Data(X)
        before = fitted.predict_proba(X)
        for start in kind_of(fitted).divisions(fitted, data):
            resp = start["init_params"]
            assert resp.shape == (len(X), k + 1)
            assert_allclose(resp.sum(axis=1), 1)
            kept = [any(np.allclose(resp[:, j], column) for j in range(k - 1)) for column in before.T]
            halved = before[:, ~np.array(kept)].sum(axis=1)
            assert_allclose(resp[:, -2:].sum(axis=1), halved)

    def test_the_divided_component_is_the_one_that_is_two(self):
        rows = np.vstack([clusters(100, 1), [40, 0] + clusters(50, 1, seed=1), [48, 0] + clusters(50, 1, seed=2)])
        fitted = EMGaussianMixture(2, random_state=0, init_params=np.repeat([0, 1], 100)).fit(rows)
        resp = kind_of(fitted).divisions(fitted, Data(rows))[0]["init_params"]
        parts = resp.argmax(axis=1)
        assert len({*parts[:100]}) == 1
        assert len({*parts[100:150]}) == len({*parts[150:]}) == 1
        assert parts[100] != parts[150]

    def test_many_rows_are_scouted_on_some(self):
        rows = clusters(3_000, 4, d=3)
        found = search(EMGaussianMixture(), n_components=range(1, 6)).fit(rows)
        assert found.best_params_ == {"n_components": 4}
        exact = EMGaussianMixture(4, random_state=0).fit(rows)
        assert found.best_estimator_.objective_ == pytest.approx(exact.objective_, abs=0.01)


class TestChoice:
    def test_spikes_are_not_chosen(self):
        """Nine rows on a line among many: a component of their own has an unbounded likelihood."""
        rows = np.vstack([clusters(60, 1), np.outer(np.arange(4), [1e-9, 1e-9]) + 3])
        found = search(EMGaussianMixture(n_init=20), n_components=[1, 2, 3, 4], criterion="aic").fit(rows)
        for k, text in zip(found.results_["n_components"], found.results_["degenerate"], strict=True):
            if text:
                assert k != found.best_params_["n_components"]
        flawed = found.results_["degenerate"] != ""
        assert flawed.any()
        assert found.results_["rank"][flawed].min() > found.results_["rank"][~flawed].max()

    def test_wine(self):
        """A component of a few of the 178 rows in 13 dimensions is not what is there."""
        wine = load_wine().data
        found = search(EMGaussianMixture(), n_components=[1, 2, 3, 4, 5]).fit(wine)
        sound = found.results_["degenerate"] == ""
        assert sound[found.best_index_]
        assert (found.best_estimator_.weights_ * len(wine) > 15).all()
        assert found.best_params_ == {"n_components": 2}

    def test_a_covariance_from_few_rows_is_degenerate(self):
        wine = load_wine().data
        start = np.repeat([0, 1], [89, 89])
        start[:12] = 2
        fitted = EMGaussianMixture(3, init_params=start, max_iter=0).fit(wine)
        fitted.weights_ = np.array([83, 83, 12]) / 178  # so that the rows of the part stay its own
        assert fitted._flaw == ""
        assert "component 2" in kind_of(fitted).flaw(fitted, Data(wine))
        doubled = Data(np.vstack([wine] * 2))
        assert kind_of(fitted).flaw(fitted, doubled) == ""
        assert kind_of(fitted).flaw(fitted, Data(wine, None, {"sample_weight": np.full(178, 2.0)})) == ""
        assert kind_of(fitted).flaw(fitted, Data(wine, None, {"sample_weight": np.full(178, 1e-3)})) != ""

    def test_nothing_left(self):
        with pytest.raises(ValueError, match=r"(?s)no candidate can be chosen by bic:\nn_components=1, 2, 3, 4: .*inf"):
            search().fit(np.where(X > 0, np.inf, X))

    def test_each_reason_is_said_once(self):
        grid = {"covariance_type": ["full", "foo"], "means_init": [np.zeros((9, 2)), np.ones((9, 2))]}
        with pytest.raises(ValueError, match="no candidate can be chosen by bic") as caught:
            search(other_params=grid, n_components=[1, 2]).fit(X)
        message = str(caught.value)
        assert message.count("shape of (1, 2), but got (9, 2)") == message.count("shape of (2, 2), but got (9, 2)") == 1
        assert message.count("covariance_type must be one of") == 1
        assert len(re.findall("n_components=1, 2, covariance_type='foo', means_init=", message)) == 2

    def test_a_long_error_is_shortened(self):
        """That of scikit-learn cites all numbers."""
        with pytest.raises(ValueError, match=r"(?s)Expected 2D array, got 1D array .*Reshape your data") as caught:
            search().fit(np.arange(999.0))
        assert len(str(caught.value)) < 600

    def test_failed_candidates_are_named_and_left_out(self):
        found = search(other_params={"means_init": [None, np.zeros((2, 2))]}, n_components=[1, 2]).fit(X)
        assert "means_init" in found.results_["failed"][2]
        assert np.isnan(found.results_["bic"][2])
        assert found.results_["rank"][2] >= 3

    @pytest.mark.parametrize("n_groups", [2, 3])
    def test_groups_of_experts(self, n_groups):
        """A search may begin with fewer experts than groups."""
        experts = EMMixtureOfExpertsRegressor(gate="hierarchical", n_groups=n_groups, n_init=1)
        found = search(experts, n_components=[1, 2, 3]).fit(X[:60, :1], X[:60, 1])
        assert (found.results_["failed"] == "").all()

    def test_one_standard_error(self):
        best = search(criterion="heldout", n_components=range(1, 7)).fit(X)
        small = search(criterion="heldout", n_components=range(1, 7), one_standard_error=True).fit(X)
        table = best.results_
        assert_array_equal(table["heldout_mean"], small.results_["heldout_mean"])
        least = table["heldout_mean"][best.best_index_] - table["heldout_se"][best.best_index_]
        expected = table["n_components"][table["heldout_mean"] >= least].min()
        assert small.best_params_["n_components"] == expected <= best.best_params_["n_components"]

    def test_convergence_is_warned_of(self):
        with pytest.warns(match="did not converge"):
            found = search(EMGaussianMixture(max_iter=1, n_init=1), n_components=[3]).fit(X)
        assert not found.results_["converged"][0]

    @pytest.mark.parametrize("options", [{"max_iter": 0}, {"tol": 0, "max_iter": 5}])
    def test_what_was_asked_for_is_not_warned_of(self, options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            search(EMGaussianMixture(n_init=1, **options), n_components=[3]).fit(X)

    def test_empty_components_under_a_prior_are_no_flaw(self):
        found = search(EMGaussianMixture(weight_concentration_prior=0.01), n_components=[8], criterion="heldout").fit(X)
        assert found.results_["degenerate"].tolist() == [""]
        assert (found.best_estimator_.weights_ > 0.01).sum() == 3


class TestHeldOut:
    def test_mean_is_that_of_rows_that_were_left_out(self):
        folds = list(KFold(4).split(X))
        found = search(criterion="heldout", cv=folds, n_components=[1]).fit(X)
        scores = [EMGaussianMixture(1).fit(X[train]).score(X[test]) for train, test in folds]
        sizes = [len(test) for _, test in folds]
        assert found.results_["heldout_mean"][0] == pytest.approx(np.average(scores, weights=sizes))
        assert found.best_score_ == found.results_["heldout_mean"].max()

    def test_standard_error(self):
        means = np.array([1.0, 2.0, 4.0])
        assert pooled(means, np.ones(3)) == pytest.approx((7 / 3, means.std(ddof=1) / math.sqrt(3)))
        assert pooled(means[:1], np.ones(1))[0] == 1

    def test_left_out_rows_do_not_matter_for_the_fits(self):
        train, test = np.arange(100), np.arange(100, 150)
        changed = X.copy()
        changed[test] += 100
        cv = [(train, test[:25])]
        same = [search(criterion="heldout", cv=cv).fit(np.vstack([X[:125], rows[125:]])) for rows in (X, changed)]
        assert_array_equal(same[0].results_["heldout_mean"], same[1].results_["heldout_mean"])

    def test_weights_count(self):
        weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
        folds = list(KFold(3).split(X))
        found = search(criterion="heldout", cv=folds, n_components=[1]).fit(X, sample_weight=weight)
        total = sum(
            EMGaussianMixture(1).fit(X[a], sample_weight=weight[a]).score_samples(X[b]) @ weight[b] for a, b in folds
        )
        assert found.results_["heldout_mean"][0] == pytest.approx(total / weight.sum())

    def test_shuffled_by_default(self):
        rows = np.vstack([X[X[:, 0] > 0], X[X[:, 0] <= 0]])
        assert search(criterion="heldout").fit(rows).best_params_ == {"n_components": 3}

    def test_sequences_stay_whole(self):
        rng = np.random.default_rng(0)
        states = np.array([rng.integers(2) for _ in range(8)]).repeat(20) ^ (np.arange(160) // 5 % 2)
        rows = rng.standard_normal((160, 1)) + 5 * states[:, None]
        ids = np.repeat(np.arange(8), 20)
        by_id = search(EMHiddenMarkov(n_init=1), n_components=[1, 2], criterion="heldout").fit(rows, sequence_id=ids)
        by_lengths = search(EMHiddenMarkov(n_init=1), n_components=[1, 2], criterion="heldout")
        by_lengths.fit(rows, lengths=[20] * 8)
        assert by_id.best_score_ == by_lengths.best_score_
        assert by_id.best_params_ == {"n_components": 2}
        folds = list(GroupKFold(4).split(rows, groups=ids))
        single = search(EMHiddenMarkov(n_init=1), n_components=[1], cv=folds, criterion="heldout")
        single.fit(rows, sequence_id=ids)
        total = sum(
            EMHiddenMarkov(1).fit(rows[a], sequence_id=ids[a]).score_samples(rows[b], sequence_id=ids[b]).sum()
            for a, b in folds
        )
        assert single.best_score_ == pytest.approx(total / len(rows))

    def test_sequences_named_by_a_column(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"id": np.repeat(list("abcdef"), 10), "x": rng.standard_normal(60)})
        model = EMHiddenMarkov(sequence="id", n_init=1)
        found = search(model, n_components=[1, 2], criterion="heldout", cv=3).fit(frame)
        assert found.results_["failed"].tolist() == ["", ""]
        with pytest.raises(ValueError, match="needs two or more sequences, blocks or groups, but there is one"):
            search(EMHiddenMarkov(n_init=1), n_components=[1], criterion="heldout").fit(frame[["x"]])

    def test_groups(self):
        groups = np.arange(len(X)) // 10
        found = search(criterion="heldout", n_components=[1], cv=GroupKFold(3)).fit(X, groups=groups)
        folds = GroupKFold(3).split(X, groups=groups)
        total = sum(EMGaussianMixture(1).fit(X[a]).score_samples(X[b]).sum() for a, b in folds)
        assert found.best_score_ == pytest.approx(total / len(X))


class TestKinds:
    def test_experts(self):
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((120, 2))
        y = np.where(rows[:, 0] > 0, 3 * rows[:, 1] + 6, -rows[:, 1]) + 0.2 * rng.standard_normal(120)
        block = np.arange(120)
        regressor = EMMixtureOfExpertsRegressor(n_init=2, tol=1e-6)
        found = search(regressor, n_components=[1, 2], criterion="heldout", cv=3).fit(rows, y, block_id=block)
        assert found.best_params_ == {"n_components": 2}
        folds = list(KFold(3).split(rows))
        single = search(regressor, n_components=[1], criterion="heldout", cv=folds).fit(rows, y)
        total = sum(clone(regressor).set_params(n_components=1).fit(rows[a], y[a]).score_samples(rows[b], y[b]).sum()
                    for a, b in folds)  # fmt: skip
        assert single.best_score_ == pytest.approx(total / 120)
        labels = np.where(y > 1, "high", "low")
        classifier = search(EMMixtureOfExpertsClassifier(n_init=1, tol=1e-5), n_components=[1, 2]).fit(rows, labels)
        assert classifier.classes_.tolist() == ["high", "low"]
        assert classifier.predict(rows).shape == (120,)

    def test_an_expert_is_divided_along_its_residuals(self):
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((200, 1))
        y = np.where(np.arange(200) % 2, 8 + rows[:, 0], -rows[:, 0]) + 0.1 * rng.standard_normal(200)
        one = EMMixtureOfExpertsRegressor(1, gate="constant").fit(rows, y)
        starts = kind_of(one).divisions(one, Data(rows, y))
        parts = starts[0]["init_params"].argmax(axis=1)
        assert (parts == parts[0]).tolist() == [True, False] * 100

    def test_topics(self):
        rng = np.random.default_rng(0)
        topics = np.kron(np.eye(4), np.full((1, 5), 0.2))
        counts = np.array([rng.multinomial(60, p) for p in rng.dirichlet(np.full(4, 0.2), 80) @ topics])
        found = search(EMTopicModel(n_init=1), n_components=[2, 3, 4, 5]).fit(counts)
        assert found.best_params_ == {"n_components": 4}
        three = EMTopicModel(3, random_state=0).fit(counts)
        for start in kind_of(three).divisions(three, Data(counts)):
            assert start["components_init"].shape == (4, 20)
            assert start["doc_topic_prior"].sum() == pytest.approx(three.doc_topic_prior_.sum())

    @pytest.mark.parametrize("noise", [False, True])
    def test_mixtures_of_any_family_and_noise(self, noise):
        rows = np.vstack([clusters(240, 3), 60 * np.random.default_rng(0).random((10 * noise, 2)) - 20])
        for mixture in (EMMixture(noise=noise, n_init=2), EMGaussianMixture(noise=noise, n_init=2)):
            found = search(mixture, n_components=[1, 2, 3], cv=3).fit(rows)
            assert found.best_params_ == {"n_components": 3}
            assert set(found.results_["failed"]) == {""}

    def test_categories(self):
        rng = np.random.default_rng(0)
        table = np.where(rng.random((200, 1)) < 0.5, rng.random((200, 6)) < 0.9, rng.random((200, 6)) < 0.2) * 2.0
        found = search(EMMixture(family="categorical", n_init=2), n_components=[1, 2, 3]).fit(table)
        assert found.best_params_ == {"n_components": 2}
        one = EMMixture(family="categorical").fit(table)
        assert len(kind_of(one).divisions(one, Data(table))) > 0

    def test_imputers_have_fresh_starts_alone(self):
        rows = X.copy()
        rows[::9, 0] = np.nan
        found = search(EMImputer(model="mixture", n_init=1), n_components=[1, 2, 3], criterion="heldout", cv=3).fit(
            rows
        )
        assert set(found.results_["found_by"]) == {"fresh"}
        assert not np.isnan(found.transform(rows)).any()

    def test_a_criterion_that_only_the_data_rule_out(self):
        frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "x", "y"), "c": list("pqr") * 50})
        with pytest.raises(ValueError, match="needs a likelihood"):
            search(EMImputer(model="factor"), n_components=[1]).fit(frame)


class TestPipelines:
    def test_the_last_step_is_searched(self):
        pipe = make_pipeline(StandardScaler(), EMGaussianMixture(n_init=2))
        other = {"emgaussianmixture__covariance_type": ["full", "tied"]}
        found = search(pipe, other_params=other).fit(X)
        assert found.best_params_["emgaussianmixture__n_components"] == 3
        assert isinstance(found.best_estimator_, Pipeline)
        Z = StandardScaler().fit_transform(X)
        assert found.best_score_ == pytest.approx(found.best_estimator_[-1].bic(Z))
        assert_array_equal(found.predict(X), found.best_estimator_[-1].predict(Z))
        assert found.n_features_in_ == 2

    def test_steps_before_learn_from_training_rows_alone(self):
        pipe = make_pipeline(StandardScaler(), EMGaussianMixture())
        folds = list(KFold(3).split(X))
        found = search(pipe, n_components=[1], criterion="heldout", cv=folds).fit(X)
        total = sum(clone(pipe).fit(X[a]).score_samples(X[b]).sum() for a, b in folds)
        assert found.best_score_ == pytest.approx(total / len(X))

    def test_nested(self):
        inner = make_pipeline(StandardScaler(), EMGaussianMixture(n_init=1))
        found = search(make_pipeline("passthrough", inner), n_components=[3]).fit(X)
        assert found.best_params_ == {"pipeline__emgaussianmixture__n_components": 3}
        assert found.predict(X).shape == (len(X),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": []}, "n_components must be positive integers in rising order.*empty"),
        ({"n_components": [1, 0]}, "n_components .* holds 0"),
        ({"n_components": [1.5]}, "n_components .* holds 1.5"),
        ({"n_components": [True]}, "n_components .* holds True"),
        ({"n_components": "12"}, "n_components .* got '12'"),
        ({"n_components": [1, 1]}, r"n_components .* got \[1, 1\]"),
        ({"n_components": [3, 2]}, r"n_components .* got \[3, 2\]"),
        ({"n_components": [1, 151]}, "n_components must not exceed .* 151 and X has n_samples = 150"),
        ({"n_components": [120], "cv": 3}, "fold . has n_samples = 100"),
        ({"criterion": "gap"}, "criterion must be one of"),
        ({"other_params": {"alpha": [1]}}, "other_params has 'alpha', but the parameters"),
        ({"other_params": {"n_components": [1]}}, "other_params must not hold 'n_components'"),
        ({"other_params": {"tol": []}}, "other_params.'tol'. must be a list with at least one value"),
        ({"other_params": {"covariance_type": "full"}}, "must be a list with at least one value, but got 'full'"),
        ({"other_params": {"covariance_type": b"full"}}, "must be a list with at least one value, but got b'full'"),
        ({"other_params": "full"}, "other_params must be None, a dict"),
        ({"other_params": {"tol": [1e-4, "small"]}}, "tol must be a finite number >= 0, but got 'small'"),
        ({"estimator": EMGaussianMixture(tol=None)}, "tol must be a finite number >= 0, but got None"),
        ({"estimator": EMGaussianMixture(max_iter=-1)}, "max_iter must be an integer >= 0, but got -1"),
        ({"estimator": EMGaussianMixture(init_params=[0] * 150)}, "init_params must name a method"),
        ({"estimator": EMGaussianMixture}, r"estimator must be an instance, .* EMGaussianMixture\(\) makes one"),
        ({"estimator": Pipeline([])}, "estimator must be a Pipeline that ends in an estimator of emkit"),
        ({"cv": 1}, "cv must be None, an integer from 2"),
        ({"cv": "five"}, "cv must be None, an integer, a splitter"),
        ({"cv": []}, r"cv must give at least one pair .* \[\] gives none"),
        ({"cv": [(range(100), [])]}, r"at least one, but fold 0 has float64 of shape \(0,\)"),
        ({"cv": [(range(100), [100]), (range(99), [150])]}, "indices from 0 to 149, .* fold 1 has .* from 150 to 150"),
        ({"cv": [(np.arange(9.0), [9])]}, "fold 0 has float64"),
        ({"cv": [(np.ones(9, dtype=bool), [9])]}, r"masks of shape \(150,\) .* fold 0 has bool of shape \(9,\)"),
        ({"level": 0}, "level must be a number between 0 and 1"),
        ({"n_bootstrap": 0}, "n_bootstrap must be an integer >= 1"),
        ({"n_jobs": "all"}, "n_jobs must be None or an integer other than 0 .*, but got 'all'"),
        ({"one_standard_error": True}, "one_standard_error=True needs criterion='heldout'"),
        ({"criterion": "bootstrap_lrt", "other_params": {"tol": [1, 2]}}, "must have one combination"),
        ({"estimator": StandardScaler()}, "estimator must have the parameter n_components"),
        ({"estimator": make_pipeline(EMGaussianMixture(), StandardScaler())}, "the last step 'standardscaler'"),
        ({"estimator": EMImputer(), "criterion": "bootstrap_lrt"}, "needs draws from the model"),
        (
            {"estimator": EMMixtureOfExpertsRegressor(expert=StandardScaler()), "criterion": "bic"},
            "criterion='bic' is not for this estimator",
        ),
        (
            {
                "estimator": make_pipeline(StandardScaler(), EMGaussianMixture()),
                "other_params": {"standardscaler__with_mean": [True, False]},
            },
            "changes the data of the last step",
        ),
    ],
)
def test_refused_before_any_fit(options, message, monkeypatch):
    def no_fit(*arguments, **metadata):
        raise AssertionError("a fit has started")

    for kind in (EMGaussianMixture, EMImputer, EMMixtureOfExpertsRegressor):
        monkeypatch.setattr(kind, "fit", no_fit)
    with pytest.raises(ValueError, match=message):
        search(**options).fit(X)


@pytest.mark.parametrize("value", [np.ones(len(X)), np.zeros(len(X), dtype=int)])
@pytest.mark.parametrize("name", ["sample_weight", "labels"])
def test_what_draws_have_not_is_refused_by_the_test(name, value):
    with pytest.raises(ValueError, match=f"{name} must be None"):
        search(criterion="bootstrap_lrt").fit(X, **{name: value})


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"sample_weight": np.ones(9)}, r"sample_weight.shape == \(9,\), expected \(150,\)"),
        ({"sample_weight": np.full(150, np.nan)}, r"sample_weight\[0\] is nan"),
        ({"sample_weight": "heavy"}, "sample_weight must be an array of numbers, but got 'heavy'"),
        ({"groups": np.ones(9)}, r"groups must have shape \(150,\), .* but has shape \(9,\)"),
        ({"groups": np.ones((150, 2))}, r"groups must have shape \(150,\), .* but has shape \(150, 2\)"),
    ],
)
@pytest.mark.parametrize("criterion", ["bic", "heldout"])
def test_metadata_of_other_shape(metadata, message, criterion):
    with pytest.raises(ValueError, match=message):
        search(criterion=criterion).fit(X, **metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"sequence_id": np.ones(9)}, r"sequence_id must have shape \(150,\), .* but has shape \(9,\)"),
        ({"sequence_id": [None] * 50 + ["a"] * 100}, "sequence_id is None in row 0"),
        ({"lengths": [50, 50]}, "lengths must be positive integers .* sum to 100"),
        ({"lengths": [74.5, 75.5]}, "lengths must be positive integers"),
        ({"lengths": [75, 75], "sequence_id": np.repeat([0, 1], 75)}, "sequence_id and lengths are both given"),
    ],
)
def test_what_is_wrong_with_sequences(metadata, message):
    with pytest.raises(ValueError, match=message):
        search(EMHiddenMarkov(), criterion="heldout").fit(X, **metadata)
    if "sequence_id" not in metadata:
        return
    with pytest.raises(ValueError, match="X is a list of arrays"):
        search(EMHiddenMarkov()).fit([X[:75], X[75:]], **{**metadata, "lengths": None})


def test_lengths_cannot_be_divided_in_a_pipeline():
    pipe = make_pipeline(StandardScaler(), EMHiddenMarkov(n_init=1))
    with pytest.raises(ValueError, match=r"lengths cannot be divided into folds .* pass sequence_id"):
        search(pipe, criterion="heldout").fit(X, lengths=[75, 75])


@pytest.mark.parametrize("block", [np.ones(9), "a"])
def test_blocks_of_other_shape(block):
    with pytest.raises(ValueError, match=r"block_id must have shape \(150,\)"):
        search(EMMixtureOfExpertsRegressor()).fit(X, X[:, 0], block_id=block)


def test_values_may_come_from_a_generator():
    found = search(other_params={"covariance_type": (name for name in ("full", "diag"))}, n_components=[2]).fit(X)
    assert found.results_["covariance_type"].tolist() == ["full", "diag"]


def test_unknown_metadata():
    with pytest.raises(TypeError, match="'sequence_id'"):
        search().fit(X, sequence_id=np.ones(len(X)))
    with pytest.raises(TypeError, match="'step__sample_weight'"):
        search().fit(X, step__sample_weight=np.ones(len(X)))
    with pytest.raises(TypeError, match="'other__sample_weight'"):
        search(make_pipeline(StandardScaler(), EMGaussianMixture())).fit(X, other__sample_weight=np.ones(len(X)))


def test_a_failed_fit_leaves_the_search_as_it_was():
    found = search().fit(X)
    before = pickle.dumps(found.results_)
    with pytest.raises(ValueError, match="no candidate"):
        found.fit(np.full((20, 3), np.nan))
    assert pickle.dumps(found.results_) == before
    assert found.predict(X).shape == (len(X),)
