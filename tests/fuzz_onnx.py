"""Mutants of the node tests of the onnx package: each is refused with an error of Python's or runs, and none crashes.

``python tests/fuzz_onnx.py [SECONDS] [SEED]``. Memory is limited to 6 GiB, for a mutant may ask for any size. Not
run by pytest, which takes the few thousand of ``test_onnx_trust.py``.
"""

from __future__ import annotations

import collections
import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "onnx"))

import onnx_nodes
import steep as sp
from test_onnx_trust import ALLOWED, spoilt

LONGEST = 3000


def outcome(content, inputs):
    try:
        with sp.no_grad():
            sp.onnx.load(content)(*inputs)
    except ALLOWED as error:
        return type(error).__name__
    return "ran"


def main(seconds=60.0, seed=0):
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    rng, found, end = random.Random(seed), collections.Counter(), time.time() + seconds
    cases = [case for case in onnx_nodes.cases() if case.model.ByteSize() < LONGEST]
    while time.time() < end:
        case = rng.choice(cases)
        whole, inputs = case.model.SerializeToString(), [onnx_nodes.given(v) for v in case.data_sets[0][0]]
        for _ in range(20):
            found[outcome(spoilt(whole, rng), inputs)] += 1
    print(f"{found.total():,} mutants:", dict(found.most_common()))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
