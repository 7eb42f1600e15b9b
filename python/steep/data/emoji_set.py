"""``emoji``: 1,636 concepts drawn in three styles, 4,871 pictures, with names and keywords in 28 languages.

The pictures come from three npm packages and the texts from a fourth; they are joined by code points, without flags and
skin tones, and kept as one file. Start reading at ``Emoji``.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steep.data.archive import Archive, opened
from steep.data.fetch import cache_folder
from steep.data.images import pillow
from steep.display import displayed
from steep.io import safetensors
from steep.io.malformed import reading
from steep.suggest import near

LAYOUT = "1"  # of the converted file: increase it when its arrays change
SIDE = 64
LEFT_OUT = (2, 9)  # groups: parts such as skin tones, and flags
HELD_OUT = 245  # concepts that nothing is trained on
HASH = 2654435761  # Knuth's multiplicative hash: which concepts are held out

TEXTS = Archive(
    "emojibase-data@17.0.0", 6_711_091, "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a", "MIT"
)


class Style(NamedTuple):
    """A style of drawing: its name, its archive, and the folder of its pictures there."""

    name: str
    archive: Archive
    folder: str


STYLES = (
    Style(
        "noto",
        Archive(
            "emoji-datasource-google@16.0.0",
            74_344_091,
            "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
            "Apache-2.0",
        ),
        "package/img/google/64/",
    ),
    Style(
        "twemoji",
        Archive(
            "emoji-datasource-twitter@16.0.0",
            61_683_754,
            "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
            "CC-BY-4.0, Twitter, Inc and other contributors",
        ),
        "package/img/twitter/64/",
    ),
    Style(
        "fluent",
        Archive(
            "@lobehub/fluent-emoji-3d@1.1.0",
            15_792_027,
            "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
            "MIT, Microsoft",
        ),
        "package/assets/",
    ),
)


@dataclass(frozen=True)
class Concept:
    """What an emoji shows.

    Attributes:
        character: the emoji itself.
        names: its name by language.
        keywords: further words by language.
    """

    character: str
    names: dict[str, str] = field(repr=False)
    keywords: dict[str, list[str]] = field(repr=False)

    @property
    def name(self) -> str:
        """Its English name."""
        return self.names["en"]

    def texts(self, language: str = "en") -> list[str]:
        """Three texts: the name, the keywords, and both.

        Args:
            language: a language of the data set.

        Returns:
            A list of three strings; the keywords are the name where there are none.
        """
        name, words = self.names[language], " ".join(self.keywords.get(language) or ())
        return [name, words or name, f"{name} {words}".strip()]


@displayed
@dataclass(frozen=True)
class Emoji:
    """Pictures of concepts in several styles.

    Attributes:
        concepts: the concepts.
        styles: names of the styles.
        pictures: uint8 (n, 64, 64, 3), on white.
        concept: which concept each picture shows, int64 (n,).
        style: its style, int64 (n,).
    """

    concepts: tuple[Concept, ...] = field(repr=False)
    styles: tuple[str, ...]
    pictures: NDArray[np.uint8] = field(repr=False)
    concept: NDArray[np.int64] = field(repr=False)
    style: NDArray[np.int64] = field(repr=False)

    @property
    def languages(self) -> list[str]:
        """The languages in which every concept has a name."""
        found = set(self.concepts[0].names)
        return sorted(found.intersection(*(set(each.names) for each in self.concepts)))

    def held_out(self, count: int = HELD_OUT) -> NDArray[np.bool_]:
        """Which concepts are held out, always the same ones: those with the smallest hashes of their position.

        Args:
            count: how many.

        Returns:
            A bool array (concepts,).
        """
        hashes = np.arange(len(self.concepts), dtype=np.uint64) * HASH % 2**32
        chosen = np.zeros(len(self.concepts), bool)
        chosen[np.argsort(hashes, kind="stable")[:count]] = True
        return chosen

    def find(self, name: str) -> int:
        """The concept with an English name.

        Args:
            name: the name, whatever its case.

        Returns:
            Its position in ``concepts``.

        Raises:
            ValueError: for an unknown name, with suggestions.
        """
        names = {each.name.lower(): i for i, each in enumerate(self.concepts)}
        if name.lower() not in names:
            raise ValueError(f"there is no emoji called {name!r}{near(name, names) or ''}")
        return names[name.lower()]


def emoji() -> Emoji:
    """Emoji in three styles (Noto, Twemoji, Fluent 3D) with names and keywords in 28 languages.

    Fetched by npm on demand (158 MB) and kept as one file of 61 MB; the pictures are decoded by Pillow.

    Returns:
        An ``Emoji``.

    Raises:
        FetchError: naming the archive and where to put it.
    """
    path = cache_folder() / "emoji.safetensors"
    origin = {"layout": LAYOUT, "sources": " ".join(a.sha256 for a in (TEXTS, *(s.archive for s in STYLES)))}
    try:
        arrays, metadata = safetensors.read(path)
    except (OSError, ValueError):
        arrays, metadata = {}, {}
    if metadata != origin:
        arrays = _made()
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.write(path, arrays, origin)
    rows = json.loads(arrays["texts"].tobytes())
    concepts = tuple(Concept(*row) for row in rows)
    return Emoji(concepts, tuple(s.name for s in STYLES), arrays["pictures"], arrays["concept"], arrays["style"])


def _made() -> dict[str, NDArray[Any]]:
    rows, places = _concepts()
    pictures, concept, style = [], [], []
    for number, each in enumerate(STYLES):
        for place, picture in sorted(_pictures(each, places).items()):
            pictures.append(picture)
            concept.append(place)
            style.append(number)
    return {
        "texts": np.frombuffer(json.dumps(rows).encode(), np.uint8),
        "pictures": np.stack(pictures),
        "concept": np.array(concept, np.int64),
        "style": np.array(style, np.int64),
    }


def _concepts() -> tuple[list[Any], dict[str, int]]:
    """Rows of (character, names, keywords), and the position of each by its code points."""
    rows: list[Any] = []
    places: dict[str, int] = {}
    with opened(TEXTS) as path, reading(path, "an archive of emoji's names"):
        found = {
            name.split("/")[1]: json.loads(data) for name, data in members(path, "package/", "/data.json")
        }  # fmt: skip
        for each in found["en"]:
            if each.get("group") is not None and each["group"] not in LEFT_OUT:
                places[code_points(each["hexcode"])] = len(rows)
                rows.append((each["emoji"], {}, {}))
        for language in sorted(found):
            for each in found[language]:
                place = places.get(code_points(each["hexcode"]))
                if place is not None and each.get("label"):
                    rows[place][1][language] = each["label"]
                    rows[place][2][language] = each.get("tags") or []
    return _drawn(rows, places)


def _drawn(rows: list[Any], places: dict[str, int]) -> tuple[list[Any], dict[str, int]]:
    """Without the concepts that the first style, the most complete, does not draw."""
    first = STYLES[0]
    with opened(first.archive) as path, tarfile.open(path) as archive:
        drawn = {code_points(Path(name).stem) for name in archive.getnames() if name.startswith(first.folder)}
    kept = [key for key in places if key in drawn]
    return [rows[places[key]] for key in kept], {key: i for i, key in enumerate(kept)}


def _pictures(style: Style, places: dict[str, int]) -> dict[int, NDArray[np.uint8]]:
    found: dict[int, NDArray[np.uint8]] = {}
    with opened(style.archive) as path, reading(path, "an archive of emoji"):
        for name, data in members(path, style.folder, ""):
            place = places.get(code_points(Path(name).stem))
            if place is not None and place not in found:
                found[place] = on_white(data)
    return found


def members(path: Path, start: str, end: str) -> Iterator[tuple[str, bytes]]:
    """The files of an archive whose names begin and end so, with their bytes; nothing is unpacked."""
    with tarfile.open(path) as archive:
        for each in archive:
            if each.isfile() and each.name.startswith(start) and each.name.endswith(end):
                file = archive.extractfile(each)
                if file is not None:
                    yield each.name, file.read()


def code_points(name: str) -> str:
    """Code points joined by hyphens, without the variation selector and leading zeros: packages differ in these."""
    return "-".join(part.lstrip("0") for part in name.lower().split("-") if part != "fe0f")


def on_white(data: bytes, side: int = SIDE) -> NDArray[np.uint8]:
    """The bytes of a transparent picture as uint8 (side, side, 3), on white."""
    image = pillow()
    with image.open(io.BytesIO(data)) as given:
        picture = given.convert("RGBA")
    paper = image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    made = paper.convert("RGB").resize((side, side), image.Resampling.LANCZOS)
    return np.array(made)
