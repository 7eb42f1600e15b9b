"""A program that copies the source archive of a package into a folder: found by pip, not opened, nothing of it run.

``download.py`` runs it, with arguments of ``pip download``. pip's command line cannot do this, so pip's finder and its
session are called, which are internal to pip but have stayed the same since 2019 (pip-tools calls the same ones); they
are made from pip's own options, files and environment. Nothing of steep is imported. Start reading at ``main``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20


def find(command: Any, options: Any, session: Any, requirement: str) -> Any:
    """pip's link to the source archive of ``requirement``. Raises LookupError if the indexes have none."""
    name, _, version = requirement.partition("==")
    finder = command._build_package_finder(options, session)
    for candidate in finder.find_all_candidates(name):
        if str(candidate.version) == version and not candidate.link.is_wheel:
            return candidate.link
    raise LookupError(f"No source archive of {requirement} in the package indexes that pip is configured for")


def copy(source: BinaryIO, target: BinaryIO, total: float) -> None:
    """All bytes, with a line on stdout that says how many of ``total`` have come."""
    done = 0
    while part := source.read(CHUNK):
        done += target.write(part)
        print(f"\r   {done / 1e6:.1f} of {total / 1e6:.1f} MB", end="", flush=True)
    print()


def fetch(arguments: list[str]) -> None:
    """Does what ``pip download ARGUMENTS`` would, of a source archive, without opening it."""
    from pip._internal.commands import create_command

    command: Any = create_command("download")
    with command.main_context():
        options, (requirement,) = command.parse_args([*arguments, "--no-binary=:all:", "--no-cache-dir"])
        session = command.get_default_session(options)
        link = find(command, options, session, requirement)
        response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
        response.raise_for_status()
        with Path(options.download_dir, link.filename).open("wb") as file:
            copy(response.raw, file, float(response.headers.get("Content-Length", 0)))


def main() -> None:
    """Ends with one line on stderr, as pip does, if anything goes wrong: without a network, or without such a pip."""
    del sys.path[0]  # this folder: its modules are not those that pip means by their names
    try:
        fetch(sys.argv[1:])
    except Exception as error:
        sys.exit(f"ERROR: {error}")


if __name__ == "__main__":
    main()
