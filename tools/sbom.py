"""Writes the wheel's bill of materials (CycloneDX 1.6, where PEP 770 wants it): what is compiled into the extension.

CMake runs it when it installs into a wheel, so the versions are those that it found and the hash of the extension is
that of the stripped file. The same inputs give the same bytes. Start reading at ``bill``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def file_component(path: Path, name: str) -> Json:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def library(name: str, version: str, licence: str, files: list[Json]) -> Json:
    purl = f"pkg:pypi/{name}@{version}"
    known: Json = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return known | {"licenses": [{"license": {"id": licence}}], "components": files}


def headers(folder: Path) -> list[Json]:
    """pybind11 has no binary: its headers are what is compiled in."""
    paths = sorted((folder / "pybind11").rglob("*.h"))
    return [file_component(path, path.relative_to(folder).as_posix()) for path in paths]


def bill(version: str, extension: Path, pybind11: str, include: Path, tools: dict[str, str]) -> Json:
    """The document for steep ``version``: its ``extension``, the ``pybind11`` in it, the ``tools`` that built both."""
    own = library("steep", version, "MIT", [file_component(extension, f"steep/{extension.name}")])
    inside = library("pybind11", pybind11, "BSD-3-Clause", headers(include))
    made_by = [{"type": "application", "name": name, "version": tools[name]} for name in tools]
    document: Json = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own, "tools": {"components": made_by}},
        "components": [inside],
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": [inside["bom-ref"]]}, {"ref": inside["bom-ref"]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return document | {"serialNumber": f"urn:uuid:{serial}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("version", "pybind11", "compiler", "cmake"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("extension", "include", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    at = parser.parse_args()
    compiler, _, release = at.compiler.partition(" ")
    document = bill(at.version, at.extension, at.pybind11, at.include, {compiler: release, "CMake": at.cmake})
    at.output.parent.mkdir(parents=True, exist_ok=True)
    at.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
