"""A family of the user's own in EMHiddenMarkov: it need have no more than what Family asks for."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, GroupKFold

from emkit import EMHiddenMarkov
from emkit.families.base import Family

A = np.array([[0.9, 0.1], [0.2, 0.8]])


class Exponential(Family):
    """Independent exponential waiting times in each column; parameters and moments are (k, d) arrays."""

    names = ("scales",)

    def __init__(self, n_components, n_features):
        self.n_components, self._n_features = n_components, n_features

    @classmethod
    def for_data(cls, n_components, options, X, weight=None):
        if (X < 0).any():
            raise ValueError(f"waiting times must not be negative, but X holds {np.nanmin(X)}")
        return cls(n_components, X.shape[1])

    @classmethod
    def for_parts(cls, n_components, options, parts):
        return cls(n_components, np.shape(parts["scales"])[1])

    @property
    def n_features(self):
        return self._n_features

    def log_density(self, params, rows):
        return np.nansum(-np.log(params) - rows.X[:, None] / params, axis=2)

    def moments(self, params, rows, resp):
        return resp.T @ ~np.isnan(rows.X), resp.T @ np.nan_to_num(rows.X)

    def m_step(self, moments, params, fixed=frozenset()):
        counts, sums = moments
        return params if "scales" in fixed else np.where(counts > 0, sums / np.maximum(counts, 1e-300), params)

    def start(self, rows, resp):
        return self.m_step(self.moments(None, rows, resp), np.ones((self.n_components, self.n_features)))

    def parts(self, params):
        return {"scales": params}

    def from_parts(self, parts):
        return np.asarray(parts["scales"])

    def n_free(self, fixed=frozenset()):
        return 0 if "scales" in fixed else self.n_components * self.n_features

    def sample(self, params, components, rng):
        return rng.exponential(params[components])

    def mean(self, params):
        return params

    def variance(self, params):
        return params**2


class TestFamilyOfTheUser:
    scales = np.array([[1.0, 0.2], [12.0, 3.0]])

    def waiting_times(self):
        truth = EMHiddenMarkov(2, emission=Exponential, random_state=0)
        truth.startprob_, truth.transmat_, truth.scales_ = np.array([0.5, 0.5]), A, self.scales
        rows, states = truth.sample(1200)
        rows[np.random.default_rng(0).random(rows.shape) < 0.1] = np.nan
        return truth, rows, states

    def test_fit_predict_score(self):
        truth, rows, states = self.waiting_times()
        hmm = EMHiddenMarkov(2, emission=Exponential, random_state=0).fit(rows)
        order = hmm.scales_[:, 0].argsort()
        assert_allclose(hmm.scales_[order], self.scales, rtol=0.15)
        assert_allclose(hmm.transmat_[np.ix_(order, order)], A, atol=0.05)
        assert (order.argsort()[hmm.predict(rows)] == states).mean() > 0.93
        assert truth.score(rows) < hmm.score(rows) < truth.score(rows) + 0.01
        assert hmm.n_parameters_ == 1 + 2 + 4
        assert (hmm.history_["change"][hmm.history_["phase"] != "start"] > -1e-8).all()
        assert_allclose(hmm.forecast(rows, 1).mean, hmm.forecast(rows, 1).state_proba @ hmm.scales_)
        again = pickle.loads(pickle.dumps(hmm))
        assert_array_equal(again.predict_proba(rows), hmm.predict_proba(rows))
        with pytest.raises(ValueError, match="waiting times must not be negative, but X holds -1"):
            hmm.fit(np.full((9, 2), -1.0))
        fixed = EMHiddenMarkov(2, emission=Exponential, random_state=0, fixed=("scales",)).fit(rows)
        assert fixed.n_parameters_ == 3

    def test_search_over_states(self):
        _, rows, _ = self.waiting_times()
        data = np.column_stack([rows, np.repeat(np.arange(6), 200)])
        hmm = EMHiddenMarkov(emission=Exponential, sequence=2, random_state=0, n_init=2, tol=1e-5)
        search = GridSearchCV(hmm, {"n_components": [1, 2]}, cv=GroupKFold(3)).fit(data, groups=data[:, 2])
        assert search.best_params_ == {"n_components": 2}
        assert search.best_estimator_.n_sequences_ == 6
