"""The estimator of the page "Add a model", which users copy: scikit-learn's checks, searches, and what it refuses."""

import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from emkit import ComponentSearch
from emkit.mixture import EMMixture

FILE = Path(__file__).parents[1] / "examples" / "poisson_mixture.py"


@pytest.fixture(scope="module")
def estimator():
    """EMPoissonMixture, in a module that pickle finds."""
    module = ModuleType("poisson_mixture")
    vars(module).update(runpy.run_path(str(FILE), run_name=module.__name__))
    sys.modules[module.__name__] = module
    yield module.EMPoissonMixture(random_state=0)
    del sys.modules[module.__name__]


@pytest.fixture(scope="module")
def X():
    rates = np.repeat([[3.0, 4.0, 1.0], [13.0, 4.0, 10.0]], 100, axis=0)
    return np.random.default_rng(0).poisson(rates).astype(np.float64)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")  # of the array API, which is not asked for
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # checks set max_iter to a few steps
def test_scikit_learn(estimator):
    check_estimator(estimator)


@pytest.mark.parametrize("criterion", ["bic", "icl", "heldout"])
def test_search(estimator, X, criterion):
    search = ComponentSearch(estimator, n_components=range(1, 5), criterion=criterion, random_state=0).fit(X)
    assert search.best_params_ == {"n_components": 2}


def test_grid_search(estimator, X):
    search = GridSearchCV(estimator, {"n_components": [1, 2]}).fit(X)
    assert search.best_params_ == {"n_components": 2}


def test_it_is_the_mixture_of_poisson_columns(estimator, X):
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X))
    own = clone(estimator).set_params(n_components=2).fit(X, sample_weight=weight)
    other = EMMixture(2, family="poisson", random_state=0).fit(X, sample_weight=weight)
    assert own.score(X, sample_weight=weight) == pytest.approx(other.score(X, sample_weight=weight), rel=1e-6)
    np.testing.assert_allclose(own.predict_proba(X).max(axis=1), other.predict_proba(X).max(axis=1), atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_no_counts(estimator, X, value):
    X = X.copy()
    X[3, 1] = value
    with pytest.raises(ValueError, match=r"NaN|infinity|Negative"):
        clone(estimator).fit(X)


def test_a_search_says_what_it_lacks(estimator, X):
    class Silent(type(estimator)):
        predict_proba = property()

    with pytest.raises(ValueError, match="estimator must have the method predict_proba"):
        ComponentSearch(Silent()).fit(X)
