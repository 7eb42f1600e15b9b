"""Row 11: steep loads no OpenMP runtime, and lives beside what does, in any order of imports."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys

CODE = """
import sys
for name in sys.argv[1:]: __import__(name)
import steep as sp
x = sp.ones((300, 300)); x.requires_grad = True
(x @ x).sum().backward()
if sys.argv[1:] == ["steep"]: assert "libgomp" not in open("/proc/self/maps").read()
"""
NEIGHBOURS = [name for name in ("numpy", "sklearn", "torch", "onnxruntime") if importlib.util.find_spec(name)]


def main() -> str:
    """The row's figure."""
    orders = [("steep",), *itertools.permutations(["steep", *NEIGHBOURS])]
    for order in orders:
        subprocess.run([sys.executable, "-c", CODE, *order], check=True, timeout=120)
    return f"{len(orders)} orders of steep, {', '.join(NEIGHBOURS)}; no OpenMP runtime of its own"


if __name__ == "__main__":
    print(main())
