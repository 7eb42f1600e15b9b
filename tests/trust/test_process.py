"""The process: threads that compute graphs side by side, forks after parallel work, and Ctrl-C inside a long product.

What ends or blocks a process runs in one of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import steep as sp


def leaf(values):
    return sp.tensor(np.asarray(values, dtype="float64"), requires_grad=True)


def python(code, **more):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done


def workload(seed):
    """A graph with products, reductions and shared parts; its gradient's bytes."""
    rng = np.random.default_rng(seed)
    w, x = leaf(rng.standard_normal((16, 16))), sp.tensor(rng.standard_normal((16, 16)))
    for _ in range(20):
        h = sp.tanh(x @ w)
        (sp.softmax(h @ w) * h).sum().backward()
    return w.grad.numpy().tobytes()


def test_eight_threads_compute_the_same_bits():
    expected = [workload(seed) for seed in range(8)]
    found, failed = [None] * 8, []

    def work(i):
        try:
            for _ in range(3):
                found[i] = workload(i)
        except BaseException as e:
            failed.append(e)

    pool = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert not failed and found == expected


def test_modes_belong_to_the_thread():
    seen = []
    with sp.no_grad():
        t = threading.Thread(target=lambda: seen.append(sp.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_fork_after_parallel_work():
    """Children of a process whose thread pool has run compute at once, in parallel again, and exit."""
    code = """
import os, steep as sp, numpy as np
sp.set_num_threads(4)
a = sp.ones((600, 600))
expected = (a @ a).sum().item()
for _ in range(20):
    child = os.fork()
    if child == 0:
        ok = (a @ a).sum().item() == expected
        w = sp.tensor(np.ones((300, 300)), requires_grad=True)
        (w @ w).sum().backward()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
print((a @ a).sum().item() == expected)
"""
    assert python(code).stdout.strip() == "True"
