"""``map`` on Dask, Ray and joblib's loky: the same bits as here, also if a worker is killed."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from steep import distributed as dist
from steep import nn, saliency

X = np.random.default_rng(0).random((24, 6), np.float32)
METHOD = partial(saliency.smoothgrad, samples=4)


def network():
    return nn.Sequential(nn.Linear(6, 8, generator=0), nn.ReLU(), nn.Linear(8, 3, generator=1))


def deadly(mark, model, x, generator):
    """Smoothgrad, whose first call kills its worker."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return saliency.smoothgrad(model, x, samples=4, generator=generator)


@pytest.mark.filterwarnings("ignore")
def test_dask_with_a_killed_worker(tmp_path):
    cluster = pytest.importorskip("distributed")
    here = dist.map(METHOD, network(), X).arrays()["result"]
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with cluster.LocalCluster(**options) as workers, cluster.Client(workers) as client:
        pool = client.get_executor(pure=False)
        found = dist.map(
            partial(deadly, str(tmp_path / "mark")), network(), X, chunk=5, executor=pool, out=tmp_path / "m"
        )
    assert (tmp_path / "mark").exists() and np.array_equal(found.arrays()["result"], here)


@pytest.mark.filterwarnings("ignore")
def test_joblibs_processes():
    loky = pytest.importorskip("joblib.externals.loky")
    executor = loky.get_reusable_executor(2)
    found = dist.map(METHOD, network(), X, chunk=7, executor=executor).arrays()
    executor.shutdown()
    assert np.array_equal(found["result"], dist.map(METHOD, network(), X).arrays()["result"])


@pytest.mark.filterwarnings("ignore")
def test_ray_with_a_killed_worker(tmp_path, monkeypatch):
    """Ray has no executor, but futures: the recipe of docs/distributed.md."""
    ray = pytest.importorskip("ray")
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    try:
        task = ray.remote(max_retries=2)(lambda function: function())

        class Pool:
            def submit(self, function):
                return task.remote(function).future()

        method = partial(deadly, str(tmp_path / "mark"))
        found = dist.map(method, network(), X, chunk=5, executor=Pool(), out=tmp_path / "m").arrays()["result"]
        with pytest.raises(RuntimeError, match="samples 0 to 4 failed by"):
            dist.map(METHOD, network(), X[:, :3], chunk=5, executor=Pool())
    finally:
        ray.shutdown()
    assert (tmp_path / "mark").exists()
    assert np.array_equal(found, dist.map(METHOD, network(), X).arrays()["result"])
