"""What supported versions of scikit-learn before the present one lack, for tests that need it."""

import polars as pl
import pytest
import sklearn

OLD_SCIKIT_LEARN = sklearn.__version__.startswith("1.6")
BEFORE_1_8 = sklearn.__version__.startswith(("1.6", "1.7"))
BEFORE_1_9 = sklearn.__version__.startswith(("1.6", "1.7", "1.8"))
needs_callbacks = pytest.mark.skipif(BEFORE_1_9, reason="scikit-learn < 1.9 has no callbacks")
routes_scores = pytest.mark.skipif(
    BEFORE_1_8, reason="before 1.8 searches do not route metadata to scores of a Pipeline, nor of a meta-estimator"
)
SEES_NAMES_OF_POLARS = not BEFORE_1_8 or hasattr(pl.DataFrame, "__dataframe__")
needs_names_of_polars = pytest.mark.skipif(
    not SEES_NAMES_OF_POLARS, reason="scikit-learn < 1.8 asks for a protocol that this polars no longer has"
)
LIBRARIES = ["pandas", pytest.param("polars", marks=needs_names_of_polars)]


def skip_what_old_versions_get_wrong(check):
    """Skip a common check that scikit-learn 1.6 runs on estimators that say that they take no sparse data."""
    name = getattr(check, "func", check).__name__
    if OLD_SCIKIT_LEARN and name == "check_sample_weight_equivalence_on_sparse_data":
        pytest.skip("scikit-learn 1.6 runs it on estimators that say that they take no sparse data")
