"""Opens wheels and checks what docs/release.md guarantees: size, bill of materials, hashes, how it is linked.

`make test` and the release run it; arguments are paths of wheels. Start reading at ``CHECKS``.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

MOST_BYTES = 4_000_000


@dataclass
class Wheel:
    """An open wheel: its path, its files, and its name's fields."""

    path: Path
    files: ZipFile

    def __post_init__(self) -> None:
        self.name, self.version = self.path.name.split("-")[:2]
        self.info = f"{self.name}-{self.version}.dist-info"

    def bill(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.files.read(f"{self.info}/sboms/steep.cdx.json"))
        return document

    def extension(self) -> str:
        return next(name for name in self.files.namelist() if re.fullmatch(r"steep/_core\.[^/]+\.so", name))


def sha256(component: dict[str, Any]) -> str:
    return next(h["content"] for h in component["hashes"] if h["alg"] == "SHA-256")


def check_size(wheel: Wheel) -> None:
    size = wheel.path.stat().st_size
    assert size <= MOST_BYTES, f"{size} bytes, more than {MOST_BYTES}"


def check_bill(wheel: Wheel) -> None:
    """steep in this version with its extension's hash, and pybind11 in a version with the hash of each header."""
    bill = wheel.bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == ("steep", wheel.version), own
    (extension,) = own["components"]
    assert extension["name"] == wheel.extension()
    assert sha256(extension) == hashlib.sha256(wheel.files.read(extension["name"])).hexdigest(), "another extension"
    (inside,) = bill["components"]
    assert inside["name"] == "pybind11" and re.fullmatch(r"\d+(\.\d+)+", inside["version"]), inside
    headers = {each["name"]: sha256(each) for each in inside["components"]}
    assert "pybind11/pybind11.h" in headers and all(re.fullmatch("[0-9a-f]{64}", h) for h in headers.values())
    made_by = {tool["name"] for tool in bill["metadata"]["tools"]["components"]}
    assert "CMake" in made_by and len(made_by) == 2, made_by


def check_record(wheel: Wheel) -> None:
    """Nothing but the package and its .dist-info, and RECORD names all of it."""
    names = set(wheel.files.namelist())
    assert all(name.startswith(("steep/", f"{wheel.info}/")) for name in names), sorted(names)
    recorded = {line.split(",")[0] for line in wheel.files.read(f"{wheel.info}/RECORD").decode().split()}
    assert names == recorded, names ^ recorded


def check_linking(wheel: Wheel) -> None:
    """On Linux: the relocation table is read-only (RELRO) and bound at load (BIND_NOW)."""
    if "linux" not in wheel.path.name:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = wheel.files.extract(wheel.extension(), folder)
        said = subprocess.run(["readelf", "-dlW", path], capture_output=True, text=True, check=True).stdout
    assert "GNU_RELRO" in said and re.search(r"BIND_NOW|\bNOW\b", said), "RELRO or BIND_NOW is missing"


CHECKS = (check_size, check_bill, check_record, check_linking)


def check(path: Path) -> str:
    """What the wheel at ``path`` holds, in a line, after all checks; AssertionError if one fails."""
    with ZipFile(path) as files:
        wheel = Wheel(path, files)
        for each in CHECKS:
            each(wheel)
        (inside,) = wheel.bill()["components"]
    return f"{path.stat().st_size / 1e6:.1f} MB, bill of materials with {inside['name']} {inside['version']}"


def main() -> None:
    if not sys.argv[1:]:
        sys.exit("check_wheel: which wheels?")
    for name in sys.argv[1:]:
        print(f"{name}: {check(Path(name))}")


if __name__ == "__main__":
    main()
