"""The bootstrap likelihood-ratio test: its statistic, its size and its power, alone and in a search."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_selection_search import clusters

from emkit import ComponentSearch, EMGaussianMixture, EMHiddenMarkov, EMMixtureOfExpertsRegressor, EMTopicModel
from emkit.selection import BootstrapLRT, bootstrap_lrt
from emkit.selection.data import Data
from emkit.selection.kinds import kind_of

FAST = {"n_init": 2, "tol": 1e-6}
TIED = {"covariance_type": "tied", **FAST}


def test_statistic_and_p_value():
    X = clusters(60, 2)
    mixture = EMGaussianMixture(**FAST)
    with pytest.warns(RuntimeWarning, match="1 of the n_bootstrap=9 draws .* n_components=1 are left out, .* is 1/9"):
        test = bootstrap_lrt(mixture, X, n_components=1, n_bootstrap=9, random_state=0)
    fits = [EMGaussianMixture(k, n_init=10, random_state=0).fit(X).objective_ for k in (1, 2)]
    assert test.statistic == pytest.approx(2 * (fits[1] - fits[0]), abs=1e-3)
    statistics = test.bootstrap_statistics[~np.isnan(test.bootstrap_statistics)]
    assert test.p_value == (1 + (statistics >= test.statistic).sum()) / (1 + len(statistics))
    assert (statistics > 0).all()
    assert isinstance(test, BootstrapLRT)
    with pytest.raises(AttributeError):
        test.p_value = 0.0


def test_power_and_workers():
    X = clusters(80, 3)
    one = bootstrap_lrt(EMGaussianMixture(**TIED), X, n_components=2, n_bootstrap=19, random_state=0)
    two = bootstrap_lrt(EMGaussianMixture(**TIED), X, n_components=2, n_bootstrap=19, random_state=0, n_jobs=2)
    assert one.p_value == two.p_value <= 0.1
    np.testing.assert_array_equal(one.bootstrap_statistics, two.bootstrap_statistics)


def test_in_a_search():
    X = clusters(120, 3, d=1, spread=8.0, seed=1)
    options = {"criterion": "bootstrap_lrt", "n_bootstrap": 19, "random_state": 0}
    found = ComponentSearch(EMGaussianMixture(**TIED), n_components=range(1, 6), **options).fit(X)
    chosen = found.best_params_["n_components"]
    p = found.results_["p_value"]
    assert chosen == 3
    assert (p[: chosen - 1] <= 0.05).all()
    assert p[chosen - 1] > 0.05
    assert np.isnan(p[chosen:]).all()
    assert found.best_score_ == p[chosen - 1]
    with pytest.warns(UserWarning, match="rejected in favour of the next"):
        last = ComponentSearch(EMGaussianMixture(**TIED), n_components=[1, 2], **options).fit(X)
    assert last.best_params_ == {"n_components": 2}
    assert np.isnan(last.best_score_)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (EMGaussianMixture(2), Data(np.where(np.arange(100).reshape(50, 2) % 7 == 0, np.nan, clusters(50, 2)))),
        (EMHiddenMarkov(2, n_init=1), Data(clusters(40, 2), None, {"sequence_id": np.arange(40) % 4})),
        (EMMixtureOfExpertsRegressor(2, n_init=1), Data(clusters(40, 2), np.arange(40.0))),
        (EMTopicModel(2, n_init=1), Data(np.random.default_rng(0).poisson(2.0, (30, 6)))),
    ],
)
def test_draws_are_like_the_data(estimator, data):
    fitted = estimator.fit(data.X, data.y, **data.params)
    kind = kind_of(fitted)
    one, two, other = (kind.draw(fitted, data, seed) for seed in (0, 0, 1))
    assert one.X.shape == data.X.shape
    if not isinstance(estimator, EMTopicModel):
        np.testing.assert_array_equal(np.isnan(one.X), np.isnan(data.X))
    assert one.params == data.params

    def values(draw):
        table = draw.X if data.y is None else draw.y
        return table.toarray() if hasattr(table, "toarray") else table

    np.testing.assert_array_equal(values(one), values(two))
    assert not np.array_equal(values(one), values(other))


def test_pipeline_and_metadata():
    pipe = make_pipeline(StandardScaler(), EMGaussianMixture(**TIED))
    assert bootstrap_lrt(pipe, clusters(60, 2), n_components=1, n_bootstrap=9, random_state=0).p_value == 0.1
    rows, ids = clusters(60, 2), np.repeat(np.arange(6), 10)
    test = bootstrap_lrt(EMHiddenMarkov(**FAST), rows, n_components=1, n_bootstrap=3, random_state=0, sequence_id=ids)
    assert test.p_value == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be an integer >= 1"),
        ({"n_components": 60}, "n_components must not exceed"),
        ({"n_components": 1, "n_bootstrap": 0}, "n_bootstrap must be an integer >= 1"),
        ({"n_components": 1, "n_jobs": 0}, "n_jobs must be None or an integer other than 0 .*, but got 0"),
        ({"n_components": 1, "sample_weight": np.ones(60)}, "sample_weight must be None"),
        ({"n_components": 1, "labels": np.zeros(60, dtype=int)}, "labels must be None"),
        ({"n_components": 1, "estimator": EMGaussianMixture(tol="small")}, "tol must be a finite number"),
        ({"n_components": 1, "X": lambda: iter([clusters(60, 2)])}, "X is a function"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_lrt(**{"estimator": EMGaussianMixture(), "X": clusters(60, 2), **options})


def test_no_draw_that_can_be_fitted_is_no_p_value():
    """Two components of six rows each in three dimensions are just enough; of a draw from one, hardly ever."""
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.standard_normal((6, 3)), rng.standard_normal((6, 3)) + 30])
    with pytest.raises(ValueError, match="n_components=1 cannot be tested: of the n_bootstrap=3 draws"):
        bootstrap_lrt(EMGaussianMixture(n_init=2), rows, n_components=1, n_bootstrap=3, random_state=0)


@pytest.mark.parametrize("sequence", ["id", 0, -1])
def test_ids_of_sequences_in_a_column(sequence):
    rows, ids = clusters(60, 2), np.repeat(np.arange(6), 10)
    options = {"n_components": 1, "n_bootstrap": 3, "random_state": 0}
    plain = bootstrap_lrt(EMHiddenMarkov(**FAST), rows, sequence_id=ids, **options)
    table = np.insert(rows, 2 if sequence == -1 else 0, ids, axis=1)
    table = pd.DataFrame(table, columns=["id", "x", "y"]) if sequence == "id" else table
    test = bootstrap_lrt(EMHiddenMarkov(sequence=sequence, **FAST), table, **options)
    np.testing.assert_array_equal(test.bootstrap_statistics, plain.bootstrap_statistics)


@pytest.mark.slow
def test_size_under_the_null():
    """p-values of data of two components, tested against three, are about uniform."""
    rng = np.random.default_rng(0)
    p_values = []
    for seed in range(60):
        rows = rng.standard_normal((100, 1)) + 4 * (rng.random((100, 1)) < 0.4)
        p_values.append(
            bootstrap_lrt(EMGaussianMixture(**TIED), rows, n_components=2, n_bootstrap=39, random_state=seed).p_value
        )
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) < 0.15
