"""Known components (`labels`) in mixtures: discriminant analysis where all are known, and what some known ones do."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import routes_scores
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMMixture

X, SPECIES = load_iris(return_X_y=True)
OVERLAPPING = X[50:]  # of the three species, the two that are hard to tell apart
TRUTH = SPECIES[50:] - 1


def some(labels, share=0.2, seed=0):
    """Labels of which all but a share are unknown."""
    return np.where(np.random.default_rng(seed).random(len(labels)) < share, labels, -1)


def either(**options):
    """Both estimators of Gaussians."""
    return [EMGaussianMixture(random_state=0, **options), EMMixture(family="gaussian", random_state=0, **options)]


class TestAllKnown:
    """The maximum in closed form, by classifiers of scikit-learn; that one may divide by n - 1 is undone."""

    @pytest.mark.parametrize("data", [load_iris, load_wine])
    @pytest.mark.parametrize("mixture", either(n_components=3, reg_covar=0))
    def test_quadratic_discriminant_analysis(self, mixture, data):
        rows, y = data(return_X_y=True)
        qda = QuadraticDiscriminantAnalysis(store_covariance=True).fit(rows, y)
        mixture.fit(rows, labels=y)
        assert_allclose(mixture.means_, qda.means_, rtol=1e-9)
        for c in range(3):
            expected = np.cov(rows[y == c].T, bias=True)
            assert_allclose(mixture.covariances_[c], expected, rtol=1e-7, atol=1e-9)
            qda.scalings_[c] = qda.scalings_[c] * np.trace(expected) / np.trace(qda.covariance_[c])
        assert_allclose(mixture.predict_proba(rows), qda.predict_proba(rows), atol=1e-6)
        assert mixture.converged_
        assert set(mixture.history_["start"]) == {0}

    @pytest.mark.parametrize("solver", ["lsqr", "eigen"])
    @pytest.mark.parametrize("mixture", either(n_components=3, covariance_type="tied", reg_covar=0))
    def test_linear_discriminant_analysis(self, mixture, solver):
        lda = LinearDiscriminantAnalysis(solver=solver, store_covariance=True).fit(X, SPECIES)
        mixture.fit(X, labels=SPECIES)
        assert_allclose(mixture.covariances_, lda.covariance_, rtol=1e-7)
        assert_allclose(mixture.predict_proba(X), lda.predict_proba(X), atol=1e-6)
        assert_array_equal(mixture.predict(X), lda.predict(X))

    @pytest.mark.parametrize("mixture", either(n_components=3, covariance_type="diag", reg_covar=0))
    def test_naive_bayes(self, mixture):
        weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
        bayes = GaussianNB(var_smoothing=0).fit(X, SPECIES, sample_weight=weight)
        mixture.fit(X, sample_weight=weight, labels=SPECIES)
        assert_allclose(mixture.weights_, bayes.class_prior_, rtol=1e-9)
        assert_allclose(mixture.covariances_, bayes.var_, rtol=1e-7)
        assert_allclose(mixture.predict_proba(X), bayes.predict_proba(X), atol=1e-6)

    def test_naive_bayes_of_categories(self):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 3, 200)
        rows = (rng.random((200, 4)) * (y[:, None] + 2)).astype(int)
        bayes = CategoricalNB(alpha=1).fit(rows, y)
        mixture = EMMixture(3, family="categorical", emissionprob_prior=2.0).fit(rows, labels=y)
        for table, logs in zip(mixture.emissionprob_, bayes.feature_log_prob_, strict=True):
            assert_allclose(table, np.exp(logs), rtol=1e-9)
        assert_allclose(mixture.predict_proba(rows), bayes.predict_proba(rows), rtol=1e-7)

    @pytest.mark.parametrize(("family", "part"), [("poisson", "rates"), ("bernoulli", "emissionprob")])
    def test_means_of_the_classes(self, family, part):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 80)
        rows = rng.integers(0, 2, (80, 3)).astype(float)
        rows[rng.random(rows.shape) < 0.2] = np.nan
        mixture = EMMixture(2, family=family).fit(rows, labels=y)
        expected = [np.nanmean(rows[y == c], axis=0) for c in range(2)]
        assert_allclose(getattr(mixture, f"{part}_"), expected, rtol=1e-12)

    @pytest.mark.parametrize("mixture", either(n_components=2))
    def test_objective_is_that_of_rows_and_labels(self, mixture):
        mixture.fit(OVERLAPPING, labels=TRUTH)
        laws = [multivariate_normal(m, c) for m, c in zip(mixture.means_, mixture.covariances_, strict=True)]
        joint = np.stack([law.logpdf(OVERLAPPING) for law in laws], axis=1) + np.log(mixture.weights_)
        assert mixture.objective_ == pytest.approx(joint[np.arange(100), TRUTH].sum(), rel=1e-10)
        assert mixture.objective_ < mixture.score_samples(OVERLAPPING).sum()

    def test_hard_assignment_knows_labels(self):
        hard = EMGaussianMixture(3, assignment="hard").fit(X, labels=SPECIES)
        soft = EMGaussianMixture(3).fit(X, labels=SPECIES)
        assert_allclose(hard.means_, soft.means_, rtol=1e-9)

    def test_float32(self):
        mixture = EMGaussianMixture(3).fit(X.astype(np.float32), labels=SPECIES)
        assert mixture.means_.dtype == np.float32
        assert_allclose(mixture.means_, EMGaussianMixture(3).fit(X, labels=SPECIES).means_, rtol=1e-5)


class TestSomeKnown:
    @pytest.mark.parametrize("share", [0.1, 0.5])
    @pytest.mark.parametrize("seed", range(3))
    def test_labels_help(self, share, seed):
        """The rows whose labels are held back are told apart no worse than without any labels."""
        labels = some(TRUTH, share, seed)
        hidden = labels < 0
        known = EMGaussianMixture(2, random_state=0).fit(OVERLAPPING, labels=labels).predict(OVERLAPPING)
        blind = EMGaussianMixture(2, random_state=0).fit(OVERLAPPING).predict(OVERLAPPING)
        agreement = adjusted_rand_score(TRUTH[hidden], known[hidden])
        assert agreement >= adjusted_rand_score(TRUTH[hidden], blind[hidden]) - 0.1
        assert (known == TRUTH)[hidden].mean() > 0.85  # by name, not only by partition

    @pytest.mark.parametrize("family", ["student", "gaussian"])
    def test_components_have_the_names_of_the_labels(self, family):
        labels = some(SPECIES, 0.15)
        for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
            renamed = np.where(labels < 0, -1, np.array(order)[labels])
            mixture = EMMixture(3, family=family, random_state=0).fit(X, labels=renamed)
            assert_allclose(mixture.means_[order], [X[c == SPECIES].mean(axis=0) for c in range(3)], atol=0.35)

    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
    def test_some_classes_without_any_label(self, covariance_type):
        labels = np.where((SPECIES == 1) & (np.arange(150) % 5 == 0), 2, -1)
        mixture = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X, labels=labels)
        assert (mixture.predict(X)[SPECIES == 1] == 2).mean() > 0.6
        best = EMGaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        assert mixture.objective_ <= best.objective_ + 1e-6

    @pytest.mark.parametrize("family", ["gaussian", "student", "bernoulli", "poisson", "categorical"])
    @pytest.mark.parametrize("seed", range(4))
    def test_one_known_row_each_is_no_worse_a_start_than_none(self, family, seed):
        """One row says little of where its component lies, so there are other starts beside it."""
        rng = np.random.default_rng(seed)
        y = np.repeat([0, 1], 100)
        rows = {
            "bernoulli": (rng.random((200, 4)) < np.array([0.2, 0.8])[y][:, None]),
            "categorical": (rng.random((200, 4)) < np.array([0.2, 0.8])[y][:, None]),
            "poisson": rng.poisson(np.array([2, 9])[y][:, None], (200, 3)),
        }.get(family, rng.normal(4.0 * y[:, None], 1, (200, 2))).astype(float)
        labels = np.full(200, -1)
        labels[[0, 150]] = 0, 1
        mixture = EMMixture(2, family=family, random_state=0).fit(rows, labels=labels)
        best = max(
            EMMixture(2, family=family, init_params=start).fit(rows, labels=labels).objective_ for start in (y, 1 - y)
        )
        assert mixture.objective_ >= best - 1e-3

    @pytest.mark.parametrize("family", ["gaussian", "student"])
    @pytest.mark.parametrize("noise", [False, True])
    def test_one_known_row_each_and_no_warning(self, family, noise):
        rng = np.random.default_rng(0)
        rows = np.vstack([rng.normal(0, 1, (100, 2)), rng.normal(6, 1, (100, 2))])
        labels = np.full(200, -1)
        labels[[0, 150]] = 1, 0
        mixture = EMMixture(2, family=family, noise=noise, random_state=0).fit(rows, labels=labels)
        assert_allclose(mixture.means_, [[6, 6], [0, 0]], atol=0.3)

    def test_no_known_row_is_no_labels(self):
        for mixture in either(n_components=3):
            without = mixture.fit(X).means_
            assert_array_equal(mixture.fit(X, labels=np.full(150, -1)).means_, without)
            assert_array_equal(mixture.fit(X, labels=np.full(150, np.nan)).means_, without)

    def test_more_rows_than_a_chunk_and_jobs(self):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 25_000)
        rows = rng.normal(3.0 * y[:, None], 1, (25_000, 2))
        labels = some(y, 0.01)
        one, two = (EMGaussianMixture(2, random_state=0, n_jobs=n).fit(rows, labels=labels) for n in (1, 2))
        assert_array_equal(one.means_, two.means_)
        assert_allclose(one.means_, [[0, 0], [3, 3]], atol=0.05)

    @pytest.mark.parametrize("mixture", [*either(n_components=3), EMMixture(3, random_state=0)])
    def test_warm_start_with_more_labels(self, mixture):
        mixture.set_params(warm_start=True).fit(X, labels=some(SPECIES, 0.3))
        mixture.fit(X, labels=SPECIES)
        fresh = type(mixture)(**{**mixture.get_params(), "warm_start": False}).fit(X, labels=SPECIES)
        assert mixture.objective_ == pytest.approx(fresh.objective_, abs=1e-4)

    def test_fixed_weights_and_labels(self):
        weights = np.array([0.2, 0.3, 0.5])
        mixture = EMGaussianMixture(3, weights_init=weights, fixed=("weights",), random_state=0)
        mixture.fit(X, labels=some(SPECIES, 0.3))
        assert_array_equal(mixture.weights_, weights)
        assert (mixture.predict(X) == SPECIES).mean() > 0.9

    @settings(max_examples=10)
    @given(seed=st.integers(0, 1000))
    def test_order_of_rows_and_weights_as_repetition(self, seed):
        rng = np.random.default_rng(seed)
        labels = some(SPECIES, 0.3, seed)
        weight = rng.integers(0, 3, 150)
        order = rng.permutation(np.repeat(np.arange(150), weight))
        for mixture in either(n_components=3):
            weighted = mixture.fit(X, sample_weight=weight, labels=labels).score_samples(X)
            repeated = mixture.fit(X[order], labels=labels[order]).score_samples(X)
            assert_allclose(weighted, repeated, rtol=1e-3, atol=1e-3)


class TestRowsWithoutWeight:
    def test_their_labels_do_not_count(self):
        labels = some(SPECIES, 0.3)
        weight = np.ones(150)
        weight[::5] = 0
        wrong = np.where(weight == 0, 0, labels)
        for mixture in either(n_components=3):
            one = mixture.fit(X, sample_weight=weight, labels=wrong).means_
            kept = weight > 0
            assert_allclose(one, mixture.fit(X[kept], labels=labels[kept]).means_, rtol=1e-9)

    def test_the_only_labels_of_a_class(self):
        labels = np.where(SPECIES == 2, -1, SPECIES)
        labels[149] = 2
        weight = np.ones(150)
        weight[149] = 0
        for mixture in either(n_components=3):
            mixture.fit(X, sample_weight=weight, labels=labels)
            assert (mixture.predict(X) == SPECIES).mean() > 0.9


class TestClassesWithFewRows:
    def test_a_class_of_no_row_is_named(self):
        for mixture in [*either(n_components=4), EMMixture(4, random_state=0)]:
            with pytest.warns(DegenerateSolutionWarning, match="component 3 has collapsed onto rows of total weight 0"):
                mixture.fit(X, labels=SPECIES)
            assert mixture.weights_[3] == 0
            assert np.isfinite(mixture.means_).all()
            assert np.isfinite(mixture.predict_proba(X)).all()

    def test_a_class_of_one_row(self):
        labels = SPECIES.copy()
        labels[labels == 2] = 1
        labels[149] = 2
        for mixture in either(n_components=3):
            with pytest.warns(DegenerateSolutionWarning, match="component 2 has collapsed onto rows of total weight 1"):
                mixture.fit(X, labels=labels)
            assert_allclose(mixture.means_[2], X[149])
        tied = EMGaussianMixture(3, covariance_type="tied").fit(X, labels=labels)  # is no trouble
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # scikit-learn's, of a covariance of one row
            lda = LinearDiscriminantAnalysis(solver="lsqr").fit(X, labels)
        assert_allclose(tied.predict_proba(X), lda.predict_proba(X), atol=1e-4)

    def test_a_label_that_is_impossible(self):
        rows = np.array([[0.0], [0], [1], [1]])
        table = [[1.0, 0.0], [0.0, 1.0]]
        mixture = EMMixture(2, family="categorical", parts_init={"emissionprob": table}, fixed=("emissionprob",))
        with pytest.raises(ValueError, match="rows that are impossible under weights, rates or probabilities of zero"):
            mixture.fit(rows, labels=[1, 0, 1, 1])
        assert not hasattr(mixture, "weights_")
        mixture.set_params(fixed=())
        assert_allclose(mixture.fit(rows, labels=[1, 0, 1, 1]).emissionprob_, [[1, 0], [1 / 3, 2 / 3]], atol=1e-6)


KNOWN = [0, 1, 2, -1] * 37 + [0, -1]


class TestKindsOfLabels:
    @pytest.mark.parametrize(
        "make",
        [
            list,
            tuple,
            lambda known: np.array(known, dtype=np.int8),
            lambda known: np.array(known, dtype=np.float32),
            lambda known: np.array(known, dtype=object),
            lambda known: np.where(np.array(known) < 0, np.nan, known),
            lambda known: [None if label < 0 else label for label in known],
            lambda known: np.ma.masked_equal(known, -1),
            pd.Series,
            lambda known: pd.Series(known, index=range(500, 650)),
            lambda known: pd.Series([pd.NA if label < 0 else label for label in known], dtype="Int64"),
            lambda known: pd.Series(known).where(lambda s: s >= 0),
            lambda known: pd.Categorical([None if label < 0 else label for label in known], categories=[0, 1, 2]),
            pl.Series,
            lambda known: pl.Series([None if label < 0 else label for label in known]),
        ],
    )
    def test_are_read_alike(self, make):
        for mixture in either(n_components=3):
            expected = mixture.fit(X, labels=np.array(KNOWN)).means_
            assert_array_equal(mixture.fit(X, labels=make(KNOWN)).means_, expected)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.full(150, 3), r"labels must be integers from 0 to 2, or -1 \(or NaN\).* but labels\[0\] is 3"),
            (np.full(150, -2), r"labels\[0\] is -2"),
            (np.r_[np.zeros(149), 0.5], r"labels\[149\] is 0.5"),
            (np.r_[np.zeros(149), np.inf], r"labels\[149\] is inf"),
            (["a"] * 150, r"labels\[0\] is 'a'"),
            (SPECIES == 0, r"labels\[0\] is True"),
            (SPECIES.astype(str), r"labels\[0\] is '0'"),
            (SPECIES[:, None], r"labels must have shape \(150,\), one for each row of X, but has shape \(150, 1\)"),
            (SPECIES[:149], r"labels must have shape \(150,\).*\(149,\)"),
            (0, r"labels must have shape \(150,\).*\(\)"),
            ({"labels": 1}, r"labels must have shape \(150,\)"),
            (np.zeros(150, dtype="datetime64[D]"), r"labels\[0\] is"),
            (1j * SPECIES, r"labels\[0\] is"),
        ],
    )
    def test_others_are_refused(self, labels, message):
        for mixture in either(n_components=3):
            mixture.fit(X)
            before = mixture.means_
            with pytest.raises(ValueError, match=message):
                mixture.fit(X, labels=labels)
            assert mixture.means_ is before

    def test_blocks_take_none(self):
        with pytest.raises(ValueError, match="labels must be None where X is read block by block"):
            EMGaussianMixture(3).fit(lambda: [X], labels=SPECIES)

    def test_partial_fit_takes_none(self):
        with pytest.raises(TypeError, match="labels"):
            EMGaussianMixture(3).partial_fit(X, labels=SPECIES)


class TestInScikitLearn:
    def test_fit_predict_and_fit_transform(self):
        for mixture in either(n_components=3):
            assert_array_equal(mixture.fit_predict(X, labels=SPECIES), mixture.fit(X, labels=SPECIES).predict(X))
            assert_array_equal(mixture.fit_transform(X, labels=SPECIES), mixture.predict_proba(X))

    def test_y_is_no_labels(self):
        assert_array_equal(
            EMGaussianMixture(3, random_state=0).fit(X, SPECIES).means_,
            EMGaussianMixture(3, random_state=0).fit(X).means_,
        )

    @pytest.mark.parametrize("mixture", either(n_components=3))
    def test_pipeline_and_search(self, mixture):
        labels = some(SPECIES, 0.3)
        pipeline = make_pipeline(StandardScaler(), mixture)
        name = pipeline.steps[-1][0]
        pipeline.fit(X, **{f"{name}__labels": labels})
        assert (pipeline.predict(X) == SPECIES).mean() > 0.9
        folds = KFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(pipeline, {f"{name}__covariance_type": ["full", "EII"]}, cv=folds)
        search.fit(X, **{f"{name}__labels": labels})
        assert search.best_params_ == {f"{name}__covariance_type": "full"}
        assert (search.predict(X) == SPECIES).mean() > 0.9

    @pytest.mark.parametrize("mixture", either(n_components=3))
    def test_routing_needs_no_request(self, mixture):
        labels, weight = some(SPECIES, 0.3), np.ones(150)
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mixture)
            routed = pipeline.fit(X, labels=labels, sample_weight=weight).predict(X)
        plain = make_pipeline(StandardScaler(), mixture).fit(X, **{f"{pipeline.steps[-1][0]}__labels": labels})
        assert_array_equal(routed, plain.predict(X))

    @routes_scores
    @pytest.mark.parametrize("mixture", either(n_components=3))
    def test_routing_to_scores_needs_no_request(self, mixture):
        params = {"labels": some(SPECIES, 0.3), "sample_weight": np.ones(150)}
        with sklearn.config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mixture)
            folds = KFold(3, shuffle=True, random_state=0)
            scores = cross_val_score(pipeline, X, cv=folds, params=params)
        assert np.isfinite(scores).all()
