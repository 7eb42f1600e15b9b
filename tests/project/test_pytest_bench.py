"""``pytest bench`` collects the benchmarks, with NumPy beside steep, and they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("pytest_benchmark")


def run(*words):
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # also without xdist's
    env = {**own, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_of_benchmark_is_collected_with_numpy_beside_steep():
    listed = run("bench", "--benchmark-only", "--collect-only", "-o", "addopts=")
    for name in ("test_ops", "test_training", "test_convnets", "test_ascent"):
        lines = [line for line in listed.splitlines() if line.startswith(f"bench/{name}.py::")]
        assert any(line.endswith("-steep]") for line in lines), name
    for case in ("add-10000-numpy]", "MLP 784-128-10 relu, batch 32, step-numpy]"):
        assert case in listed


def test_a_stored_run_is_compared_with_the_next(tmp_path):
    words = ("bench/test_training.py", "-k", "2-2-1", "--benchmark-only", f"--benchmark-storage={tmp_path}",
             "--benchmark-max-time=0.01", "--benchmark-min-rounds=1")  # fmt: skip
    run(*words, "--benchmark-save=first")
    said = run(*words, "--benchmark-compare")
    assert "(0001_first)" in said and "(NOW)" in said and "step-numpy" in said and "step-captured" in said
