"""Scorers in scikit-learn's own searches."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_selection_search import X, search

from emkit import EMGaussianMixture, EMImputer, EMMixtureOfExpertsRegressor
from emkit.selection import hidden_cells_scorer, log_likelihood_scorer

Y = X[:, 0] ** 2


class TestLogLikelihood:
    def test_mixture(self):
        grid = {"n_components": [1, 2, 3, 5]}
        cv = KFold(5, shuffle=True, random_state=0)
        named = GridSearchCV(EMGaussianMixture(random_state=0), grid, cv=cv, scoring=log_likelihood_scorer).fit(X)
        plain = GridSearchCV(EMGaussianMixture(random_state=0), grid, cv=cv).fit(X)
        np.testing.assert_allclose(named.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        assert plain.best_params_ == {"n_components": 3}

    def test_experts_in_a_pipeline(self):
        model = EMMixtureOfExpertsRegressor(n_init=1, tol=1e-5, random_state=0)
        pipe = make_pipeline(StandardScaler(), model)
        scores = cross_val_score(pipe, X, Y, cv=KFold(3), scoring=log_likelihood_scorer)
        expected = []
        for train, test in KFold(3).split(X):
            scaler = StandardScaler().fit(X[train])
            fitted = clone(model).fit(scaler.transform(X[train]), Y[train])
            expected.append(fitted.score_samples(scaler.transform(X[test]), Y[test]).mean())
        np.testing.assert_allclose(scores, expected)

    def test_search_and_weights(self):
        found = search(n_components=[3]).fit(X)
        weight = np.arange(len(X))
        assert log_likelihood_scorer(found, X) == pytest.approx(found.score(X))
        expected = found.best_estimator_.score(X, sample_weight=weight)
        assert log_likelihood_scorer(found, X, sample_weight=weight) == pytest.approx(expected)
        assert log_likelihood_scorer(found, X, sample_weight=weight * 1e306) == pytest.approx(expected)

    def test_refused(self):
        with pytest.raises(ValueError, match="score_samples"):
            log_likelihood_scorer(StandardScaler().fit(X), X)


def table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "a": a,
            "b": a + 0.1 * rng.standard_normal(n),
            "count": rng.integers(0, 90, n),
            "kind": np.where(a > 0, "up", "down"),
            "flag": rng.random(n) < 0.5,
        }
    )
    frame.loc[::7, "a"] = np.nan
    return frame


class TestHiddenCells:
    def test_by_hand(self):
        rows = np.random.default_rng(1).standard_normal((50, 3))
        scorer = hidden_cells_scorer(0.2, random_state=3)
        hidden = scorer._choose(np.ones_like(rows, dtype=bool))
        fitted = SimpleImputer().fit(rows)
        guess = np.broadcast_to(rows.mean(axis=0), rows.shape)
        by_column = [
            np.sqrt(np.mean((guess[h, j] - rows[h, j]) ** 2)) / rows[:, j].std() for j, h in enumerate(hidden.T)
        ]
        assert scorer(fitted, rows) == pytest.approx(-np.mean(by_column))
        assert 0.1 < hidden.mean() < 0.3
        assert (~hidden).any(axis=1).all()

    def test_a_perfect_imputer_scores_zero(self):
        frame = table()

        class Oracle:
            def transform(self, X):
                return frame.loc[X.index]

        assert hidden_cells_scorer()(Oracle(), frame) == 0

    def test_categories_are_shares_of_wrong_values(self):
        frame = table()[["kind", "flag"]]
        scorer = hidden_cells_scorer(0.3)
        hidden = scorer._choose(np.ones(frame.shape, dtype=bool))

        class Constant:
            def transform(self, X):
                return pd.DataFrame({"kind": "up", "flag": True}, index=X.index)

        wrong = [np.mean(frame["kind"][hidden[:, 0]] != "up"), np.mean(~frame["flag"][hidden[:, 1]])]
        assert scorer(Constant(), frame) == pytest.approx(-np.mean(wrong))

    @pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200])
    def test_units_do_not_matter(self, scale):
        rows = X[:, :2]
        scores = [hidden_cells_scorer()(SimpleImputer().fit(table), table) for table in (rows, rows * scale)]
        assert scores[1] == pytest.approx(scores[0])

    def test_names_of_columns_do_not_matter(self):
        frame = pd.DataFrame(X)
        expected = hidden_cells_scorer(0.3)(EMImputer().fit(X), X)
        assert hidden_cells_scorer(0.3)(EMImputer().fit(frame), frame) == pytest.approx(expected)
        nullable = frame.convert_dtypes()
        assert hidden_cells_scorer(0.3)(EMImputer().fit(nullable), nullable) == pytest.approx(expected)

    def test_frames_of_both_kinds(self):
        frame = table()
        pandas = cross_val_score(EMImputer(), frame, cv=3, scoring=hidden_cells_scorer(), error_score="raise")
        polars = cross_val_score(
            EMImputer(), pl.from_pandas(frame), cv=3, scoring=hidden_cells_scorer(), error_score="raise"
        )
        np.testing.assert_allclose(pandas, polars)

    def test_the_better_imputer_wins(self):
        rows = table()[["a", "b"]].to_numpy()
        scorer = hidden_cells_scorer(0.2)
        ours, near, mean = (
            cross_val_score(imputer, rows, cv=3, scoring=scorer).mean()
            for imputer in (EMImputer(), KNNImputer(), SimpleImputer())
        )
        assert ours > near > mean
        assert mean == pytest.approx(-1, abs=0.1)
        assert clone(scorer) is scorer
        assert repr(scorer) == "hidden_cells_scorer(fraction=0.2, random_state=0)"

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"fraction": 0}, "fraction must be a number between 0 and 1"), ({"random_state": -1}, "random_state must")],
    )
    def test_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            hidden_cells_scorer(**options)

    def test_refused_tables(self):
        fitted = SimpleImputer(add_indicator=True).fit([[1.0, np.nan], [2.0, 3.0]])
        with pytest.raises(ValueError, match="must give the 2 columns"):
            hidden_cells_scorer(0.5)(fitted, np.arange(20.0).reshape(10, 2))
        with pytest.raises(ValueError, match=r"X is sparse \(csr_array\)"):
            hidden_cells_scorer(0.5)(fitted, csr_array(np.eye(4)))
        with pytest.raises(ValueError, match="hides no cell"):
            hidden_cells_scorer(0.5)(fitted, np.arange(3.0)[:, None])
