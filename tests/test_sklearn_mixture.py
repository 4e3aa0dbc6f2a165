"""scikit-learn's own tests of GaussianMixture, run on EMGaussianMixture.

They look its class up in their module, so patching that name is enough. Left out, each for its reason, are those below.
"""

import pytest
import sklearn
from sklearn.mixture.tests import test_gaussian_mixture as theirs

from emkit import EMGaussianMixture

PRIVATE = "tests private functions or methods of scikit-learn"
LEFT_OUT = {
    "test_suffstat_sk_full": PRIVATE,
    "test_suffstat_sk_tied": PRIVATE,
    "test_suffstat_sk_diag": PRIVATE,
    "test_gaussian_suffstat_sk_spherical": PRIVATE,
    "test_compute_log_det_cholesky": PRIVATE,
    "test_gaussian_mixture_precisions_init": PRIVATE,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": PRIVATE,
    "test_check_weights": "its message calls the least weight the greatest; see test_estimator.py for ours",
    "test_multiple_init": "five starts against one by default; ours are ten by default, and find more than five do",
    "test_monotonic_likelihood": "wants 600 steps to converge on a plateau where EM needs 4,700; see test_mixture.py",
    "test_gaussian_mixture_setting_best_params": "reg_covar=0 and a variance of exactly 0, which ours refuses",
    "test_gaussian_mixture_array_api_compliance": "emkit takes NumPy arrays only",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "emkit takes NumPy arrays only",
}

if sklearn.__version__.startswith("1.6"):
    LEFT_OUT["test_regularisation"] = "its message was another one then"

globals().update(
    {name: test for name, test in vars(theirs).items() if name.startswith("test_") and name not in LEFT_OUT}
)


class GaussianMixture(EMGaussianMixture):
    """Under the name that their messages expect, and with the one private method that they call."""

    def _n_parameters(self):
        return self.n_parameters_


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", GaussianMixture)
