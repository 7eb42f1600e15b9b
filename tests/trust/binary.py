"""Row 26: what the extension module is linked to and how, and what the wheel that was built says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from steep import _core

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}


def check_wheel(path: Path) -> str:
    """The line of tools/check_wheel.py: size, bill of materials, RECORD, RELRO and BIND_NOW."""
    command = [sys.executable, ROOT / "tools" / "check_wheel.py", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip().partition(": ")[2]


def main() -> str:
    """The row's figure."""
    assert _core.__file__
    dynamic = subprocess.run(["readelf", "-dlW", _core.__file__], capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line}
    assert "GNU_RELRO" in dynamic and "NOW" in dynamic, "RELRO or BIND_NOW is missing"
    assert needed <= LIBRARIES, needed - LIBRARIES
    wheels = list((ROOT / "build" / "wheel").glob("*.whl"))
    assert wheels, "no wheel in build/wheel: make test builds one"
    said = "; ".join(map(check_wheel, wheels))
    return f"wheel of {said}; RELRO, BIND_NOW, needs {', '.join(sorted(needed))}"


if __name__ == "__main__":
    print(main())
