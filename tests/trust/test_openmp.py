"""Threads by either pool, steep's own or OpenMP's (``make openmp``): exceptions, Ctrl-C, forks, Python threads.

What ends or blocks a process runs in one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import steep as sp
from steep import _core

LONG = 300_000  # elements: work that other threads share


def python(code):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.split()


def test_the_pool_is_named(command):
    code, out, _ = command("info", "--json")
    assert code == 0 and json.loads(out)["thread_pool"] == _core._thread_pool() in ("steep", "OpenMP")
    assert f"thread pool {_core._thread_pool()}" in " ".join(command("info")[1].split())


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_exception_of_a_block_reaches_the_caller_and_the_pool_works_on(threads):
    table, indices = sp.ones((10, 4)), np.zeros(LONG, np.int64)
    indices[[7, LONG // 2, LONG - 1]] = 99
    with sp.threads(threads):
        for _ in range(5):
            with pytest.raises(IndexError):
                sp.take(table, sp.tensor(indices), axis=0)
            x = sp.ones(LONG)
            assert float(sp.sum(sp.exp(x) * 0 + x)) == LONG


@pytest.mark.parametrize("first", ["(a @ a).sum().item()", "0", "sp.exp(sp.ones(3000000)).sum().item()"])
def test_a_child_computes_in_parallel_after_the_parent_did_or_did_not(first):
    """A grandchild too; and the parent goes on."""
    code = f"""
import os, steep as sp
sp.set_num_threads(4)
a = sp.ones((600, 600))
{first}
def child(depth):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
        return (a @ a).sum().item()
    total = (a @ a).sum().item() == 600.0 ** 3
    if depth:
        child(depth - 1)
    os._exit(0 if total else 1)
print(child(1) == 600.0 ** 3)
"""
    assert python(code) == ["True"]


def test_ctrl_c_ends_a_product_on_several_threads_and_the_next_one_is_right():
    code = """
import os, signal, threading, time, numpy as np, steep as sp
sp.set_num_threads(4)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
a = sp.ones((3000, 3000))
b = sp.ones((400, 400))
def press():
    time.sleep(0.15)
    os.kill(os.getpid(), signal.SIGINT)
stopped = 0
for _ in range(3):
    t = threading.Thread(target=press)
    try:
        t.start()
        while True:
            a @ a
    except KeyboardInterrupt:
        stopped += 1
    t.join()
print(stopped, (b @ b).sum().item() == 400.0 ** 3)
"""
    assert python(code) == ["3", "True"]


def test_python_threads_share_the_pool_without_changing_a_bit():
    code = """
import threading, numpy as np, steep as sp
sp.set_num_threads(4)
x = sp.tensor(np.random.default_rng(0).normal(size=(700, 700)).astype("f4"))
expected, wrong = (x @ x).numpy().tobytes(), []
def work():
    for _ in range(5):
        if (x @ x).numpy().tobytes() != expected:
            wrong.append(1)
pool = [threading.Thread(target=work) for _ in range(4)]
for t in pool: t.start()
for t in pool: t.join()
print(len(wrong))
"""
    assert python(code) == ["0"]
