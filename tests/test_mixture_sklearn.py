"""EMMixture, and noise, as citizens of scikit-learn: common checks, searches, pipelines, frames, copies, callbacks."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import DegenerateSolutionWarning, EMGaussianMixture, EMMixture
from emkit.chunks import ArraySource, joined
from emkit.families.table import COUNTED, takes_only
from emkit.mixture import estimator as estimator_module
from emkit.mixture import fitting

NOT_OF_THE_KIND = {
    "check_sample_weight_equivalence_on_dense_data": "its rows are no counts, and no tag can ask for such"
}
OLD_SCIKIT_LEARN = sklearn.__version__.startswith("1.6")


class OfWholeNumbers(EMMixture):
    """Under a tag that makes the checks hand out whole numbers, which is what this family takes."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


def expected_failed_checks(estimator):
    return NOT_OF_THE_KIND if takes_only(getattr(estimator, "family", "gaussian"), COUNTED) else {}


@pytest.fixture
def ones_for_more(monkeypatch):
    """Values above 1 are read as 1: no tag tells the checks to hand out zeros and ones."""

    def read(*args, **kwargs):
        source, kept = original(*args, **kwargs)
        rows = joined(source)
        return ArraySource(np.where(rows.X > 1, 1.0, rows.X), rows.weight, rows.labels), kept

    original = fitting.read
    monkeypatch.setattr(fitting, "read", read)
    monkeypatch.setattr(estimator_module, "read", read)


@parametrize_with_checks(
    [
        EMMixture(),
        EMMixture(2, covariance_type="diag"),  # for full, the weighted rows of a check have no maximum
        EMMixture(2, covariance_type="spherical", n_init=2),
        EMMixture(2, family="gaussian", noise=True),
        EMMixture(family="student", noise=True, covariance_type="tied"),
        EMMixture(2, family="gaussian", covariance_type="tied", warm_start=True, accelerate=False),
        EMMixture(2, family="categorical"),
        EMMixture(2, family="categorical", emissionprob_prior=2.0, n_init=1),
        OfWholeNumbers(2, family="poisson"),
        EMGaussianMixture(2, noise=True),
        EMGaussianMixture(1, noise=True, covariance_type="diag", assignment="hard"),
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_common_checks(estimator, check):
    run_check(estimator, check)


@parametrize_with_checks([EMMixture(2, family="bernoulli")], expected_failed_checks=expected_failed_checks)
def test_common_checks_of_zeros_and_ones(estimator, check, ones_for_more):
    run_check(estimator, check)


def run_check(estimator, check):
    name = getattr(check, "func", check).__name__
    if OLD_SCIKIT_LEARN and name == "check_sample_weight_equivalence_on_sparse_data":
        pytest.skip("scikit-learn 1.6 runs it on estimators that say that they take no sparse data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.SkipTestWarning)
        warnings.simplefilter("ignore", DegenerateSolutionWarning)  # of some checks, whose rows take four values
        check(estimator)
