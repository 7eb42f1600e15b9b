"""Row 18: on processors of many years, as qemu-user emulates them, steep runs or names the feature that is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys

# Processors, newest features taken away where a comma follows, and what `import steep` comes to: an instruction set,
# or the feature that its ImportError names.
PROCESSORS = {
    "qemu64": "ssse3",
    "core2duo": "sse4.1",
    "Penryn": "sse4.2",
    "Nehalem": "baseline",
    "Westmere": "baseline",
    "SandyBridge": "baseline",
    "Haswell": "avx2",
    "Haswell,-fma": "baseline",
    "Haswell,-bmi2": "baseline",
    "Haswell,-movbe": "baseline",
    "Haswell,-f16c": "baseline",
    "Haswell,-abm": "baseline",
    "EPYC": "avx2",
    "Skylake-Server": "avx2",  # which has AVX-512; the emulator does not
    "max": "avx2",
}
CODE = """
import steep as sp
x = sp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
(sp.exp(x @ x) / sp.conv2d(sp.ones((1, 1, 4, 4)), sp.ones((1, 1, 3, 3)))[0, 0]).sum().backward()
assert abs(x.grad.numpy()[0, 0] / 1094811 - 1) < 1e-3, x.grad
print(sp.isa())
"""


def found(emulator: str, processor: str) -> str:
    """The instruction set, or the last line of what went wrong."""
    done = subprocess.run(
        [emulator, "-cpu", processor, sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300
    )
    return done.stdout.strip() if done.returncode == 0 else (done.stderr.splitlines() or ["nothing said"])[-1]


def main() -> str:
    """The row's figure."""
    emulator = shutil.which("qemu-x86_64")
    assert emulator, "this needs qemu-x86_64, of the package qemu-user"
    ran = 0
    for processor, expected in PROCESSORS.items():
        what = found(emulator, processor)
        ran += what == expected
        missing = f"ImportError: steep needs {expected}, which this processor or its operating system lacks"
        assert what in (expected, missing), f"{processor}: {what}"
    return f"{ran} processors run, {len(PROCESSORS) - ran} get an ImportError that names the feature, under qemu-user"


if __name__ == "__main__":
    print(main())
