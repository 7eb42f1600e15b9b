"""Where a command's image comes from: a file, standard input, or a folder, for whose images it runs one by one.

Start reading at ``Source``; ``for_each`` runs a command on a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from steep.cli import screen
from steep.data.folder import SUFFIXES
from steep.data.images import Picture, read_image

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Source:
    """An image as a command was given it.

    ``path``: the file, or the folder; ``content``: the bytes of a file that came by standard input.
    """

    path: Path
    content: bytes | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name if self.content is None else "standard input"

    @property
    def is_folder(self) -> bool:
        """Whether it stands for the images of a folder."""
        return self.content is None and self.path.is_dir()

    def read(self) -> Picture:
        """The image, upright and on white where it is transparent. Raises OSError or ValueError naming the file."""
        if self.content is None:
            return read_image(self.path)
        if not self.content:
            raise ValueError("standard input is empty; an image file goes there: steep ... - < image.png")
        return read_image(self.content)


def source(text: str) -> Source:
    """The source that a command line names; "-" is standard input."""
    if text != STANDARD_INPUT:
        return Source(Path(text))
    return Source(Path(text), sys.stdin.buffer.read())


Image = Annotated[
    Source,
    typer.Argument(parser=source, metavar="IMAGE", help="An image, a folder of images, or - for standard input."),
]
ImageOrNone = Annotated[
    Source | None,
    typer.Argument(
        parser=source,
        metavar="[IMAGE]",
        help="An image, a folder of images, or - for standard input.",
        show_default=False,
    ),
]


def files_of(folder: Path) -> list[Path]:
    """The image files of a folder and of the folders in it, in order. Raises ValueError if there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"the folder {folder} has no image ({', '.join(SUFFIXES)})")
    return found


def targets(folder: Path, output: Path) -> Iterator[tuple[Source, Path]]:
    """The images of a folder, each with the file that is written for it: those of ``output`` without its extension."""
    suffix, into = output.suffix or ".png", output.with_suffix("")
    taken = set()
    for path in files_of(folder):
        target = into / path.relative_to(folder).with_suffix(suffix)
        if target in taken:  # cat.png and cat.jpg
            target = target.with_name(path.name + suffix)
        taken.add(target)
        yield Source(path), target


def for_each(folder: Path, output: Path | None, command: Callable[[Source, Path | None], None]) -> int:
    """Runs a command on every image of a folder, and returns its highest exit code.

    Images that cannot be read are left out with a message. With ``--json`` one list is printed.
    """
    codes: list[int] = []
    pairs: Iterable[tuple[Source, Path | None]] = ((Source(path), None) for path in files_of(folder))
    if output is not None:
        pairs = targets(folder, output)
    with screen.as_list():
        for image, target in pairs:
            try:
                image.read()
            except (OSError, ValueError) as error:
                screen.err.print(f"steep: left out {image}: {error}", markup=False)
                continue
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
            codes.append(_code(command, image, target))
    if not codes:
        raise ValueError(f"the folder {folder} has no image that can be read")
    return max(codes)


def _code(command: Callable[[Source, Path | None], None], image: Source, target: Path | None) -> int:
    try:
        command(image, target)
    except typer.Exit as end:
        return end.exit_code
    return 0
