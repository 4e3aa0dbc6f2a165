"""What all files share: how Hypothesis draws, what scikit-learn's own tests of its mixture ask for, a dask cluster."""

import os

import hypothesis
import numpy as np
import pytest

# No test may fail for the time it took. In CI the same examples are drawn each time, so that a change is judged by what
# it changes: the lowest version that pyproject.toml allows would not do so by itself.
hypothesis.settings.register_profile("emkit", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("emkit")


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture(params=[42])
def global_random_seed(request):
    return request.param


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes for the tests of a file, and a client, which is not active."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    few = {  # so few bytes of a worker's data stay in memory that the rest is spilled
        "distributed.worker.memory.target": 0.0001,
        "distributed.comm.timeouts.connect": "10s",
    }
    with (
        dask.config.set(few),
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, memory_limit="1GiB", dashboard_address=":0"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield local, client


@pytest.fixture
def client(cluster):
    """The client, active; a cluster that has lost a worker for good gets new ones."""
    local, client = cluster
    try:
        client.wait_for_workers(2, timeout=15)
    except TimeoutError:  # dask gives up a worker that is killed while it starts
        local.scale(0)
        local.scale(2)
        client.wait_for_workers(2, timeout=60)
    with client.as_current():
        yield client
