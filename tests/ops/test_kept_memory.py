"""How much freed memory is kept: twice what was ever in use, what was asked for last; counted in new processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIB = 1 << 20
START = f"""
import numpy as np, steep as sp
MIB = {MIB}
def hold(count, mib):
    return [sp.zeros((mib * MIB // 4,)) for _ in range(count)]
def report(name):
    return sp.memory_report()[name]
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_sizes_that_come_one_after_the_other_are_not_all_kept():
    cached, peak, largest = run("""
largest = 0
for mib in range(20, 60):
    held = hold(16, mib)
    del held
    largest = max(largest, report("cached_bytes"))
print(report("cached_bytes"), report("peak_bytes"), largest)
""")
    assert cached <= largest <= 2 * peak < 2400 * MIB  # where all sizes together are 4 GB


def test_little_is_always_kept():
    first, then = run("""
for mib in (40, 50, 60):
    del (held := hold(1, mib))[:]
before = report("system_allocations")
for mib in (40, 50, 60) * 5:
    del (held := hold(1, mib))[:]
print(before, report("system_allocations"))
""")
    assert then == first


@pytest.mark.parametrize("sizes", ["(45,)", "(30, 45, 70)"])
def test_what_is_used_again_stays_whatever_was_kept_before(sizes):
    """Blocks of 100 MiB fill the memory that is kept; those of a later loop take their place after one round."""
    first, then = run(f"""
held = hold(8, 100)
del held
counts = []
for _ in range(4):
    held = [hold(5, mib) for mib in {sizes}]
    del held
    counts.append(report("system_allocations"))
print(counts[0], counts[-1])
""")
    assert then == first


def test_the_peak_of_a_report_does_not_change_what_is_kept():
    first, then = run("""
held = hold(8, 100)
del held
sp.reset_peak_memory()
before = report("system_allocations")
held = hold(8, 100)
print(before, report("system_allocations"))
""")
    assert then == first


def test_nothing_is_kept_after_trimming():
    assert run("held = hold(8, 100)\ndel held\nsp.trim_memory()\nprint(report('cached_bytes'))") == [0]
