"""Search of pictures by text, and zero-shot classification: the two uses of two towers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from steep.data.folder import SUFFIXES
from steep.data.images import read_image
from steep.imagine.any_towers import AnyTowers


class Found(NamedTuple):
    """A picture that was found.

    Attributes:
        path: its file.
        score: its similarity with the text, a cosine.
    """

    path: Path
    score: float


def search(
    towers: AnyTowers,
    text: str,
    folder: str | Path,
    callback: Callable[[int, int], object] | None = None,
    skipped: Callable[[Path, str], object] = lambda path, why: None,
) -> list[Found]:
    """The pictures of a folder and its folders, the most similar to a text first.

    Args:
        towers: two towers.
        text: what to search for.
        folder: the folder.
        callback: called with the number of pictures so far, and of all.
        skipped: called with a file that cannot be read and the reason.

    Returns:
        A list of ``Found``.

    Raises:
        ValueError: for a text without a word, or a folder without pictures.
        FileNotFoundError: if there is no such folder.
    """
    top = Path(folder)
    if not top.is_dir():
        raise FileNotFoundError(f"there is no folder {top}")
    wanted = towers.texts(text)[0]
    paths, squares = [], []
    for path in sorted(each for each in top.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file()):
        try:
            squares.append(towers.inputs([read_image(path)])[0])
            paths.append(path)
        except (OSError, ValueError) as error:
            skipped(path, str(error))
    if not paths:
        raise ValueError(f"the folder {top} has no picture ({', '.join(SUFFIXES)}) that can be read")
    scores = towers.squares(np.stack(squares), callback) @ wanted
    return [Found(paths[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def zero_shot(towers: AnyTowers, picture: Any, labels: Sequence[str], template: str = "{}") -> list[float]:
    """The probabilities of labels given in words: the softmax of scaled similarities.

    Args:
        towers: two towers.
        picture: an image of any size.
        labels: the labels.
        template: what a label is put into, such as "a photo of {}".

    Returns:
        A probability for each label.

    Raises:
        ValueError: for fewer than two labels, or one without a word.

    References:
        Radford et al. 2021, arXiv:2103.00020.
    """
    if len(labels) < 2:
        raise ValueError(f"zero_shot: chooses among two labels at least, got {list(labels)}")
    texts = towers.texts([template.format(label) for label in labels])
    scores = np.exp(float(towers.log_scale)) * (texts.astype(np.float64) @ towers.images([picture])[0])
    shares = np.exp(scores - scores.max())
    return [float(share) for share in shares / shares.sum()]
