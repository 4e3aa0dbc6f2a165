"""Fixtures that scikit-learn's own tests of its mixture ask for; see test_sklearn_mixture.py."""

import numpy as np
import pytest


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture(params=[42])
def global_random_seed(request):
    return request.param
