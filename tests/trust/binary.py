"""Row 26: what the extension module is linked to and how, and its size."""

from __future__ import annotations

import subprocess
from pathlib import Path

from steep import _core

LIBRARIES = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}


def main() -> str:
    """The row's figure."""
    assert _core.__file__
    dynamic = subprocess.run(["readelf", "-dlW", _core.__file__], capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line}
    assert "GNU_RELRO" in dynamic and "NOW" in dynamic, "RELRO or BIND_NOW is missing"
    assert needed <= LIBRARIES, needed - LIBRARIES
    size = Path(_core.__file__).stat().st_size / 1e6
    return f"RELRO, BIND_NOW, {size:.1f} MB before compression, needs {', '.join(sorted(needed))}"


if __name__ == "__main__":
    print(main())
