"""``scorer``: two towers by name, of a file, or of two ONNX files."""

from __future__ import annotations

from pathlib import Path

from steep.imagine.any_towers import AnyTowers
from steep.imagine.conse import CONSE, conse
from steep.imagine.onnx_towers import OnnxTowers
from steep.imagine.recipes import FROZEN, Say, frozen_scorer, quiet, small_towers
from steep.imagine.together import Together
from steep.suggest import near

NAMED = (*FROZEN, *CONSE)


def scorer(name: str = "emoji", say: Say = quiet) -> AnyTowers:
    """Two towers by name, from a file that ``steep imagine --train clip`` has written, or from two ONNX files.

    "emoji" has a frozen MobileNetV2, a frozen MiniLM and two linear heads, which are trained at first use, in some
    minutes, and kept; "squeezenet" has another trunk, SqueezeNet 1.1, and "emoji+squeezenet" are both, whose
    similarities are means. "judge" has a third, EfficientNet-Lite0, and another seed, for what these have guided.
    "photos" is for photographs, "faces" for the expressions of faces, and "faces_judge" its like of another network
    that others have trained; these are not trained at all: see ``conse.py``.

    Args:
        name: "emoji", "squeezenet", "judge", several of these with + between them, "photos", "faces", "faces_judge",
            the path of a file, or two paths with a comma between them, "IMAGE.onnx,TEXT.onnx": see ``OnnxTowers``.
        say: called with what is being done, and how much of it.

    Returns:
        The towers.

    Raises:
        ValueError: for another name, or a file that is none of steep's towers.
        FetchError: if what it needs cannot be downloaded.
    """
    if name in FROZEN:
        return frozen_scorer(name, say)[0]
    if "+" in name and all(part in FROZEN for part in name.split("+")):
        return Together([frozen_scorer(part, say)[0] for part in name.split("+")])
    if name in CONSE:
        return conse(name, say)
    if name.count(".onnx") == 2 and "," in name:
        image, _, text = name.partition(",")
        return OnnxTowers(image.strip(), text.strip())
    if not name.endswith(".safetensors"):
        raise ValueError(
            f"there is no scorer {name!r}{near(name, NAMED) or ''}: it is one of {', '.join(NAMED)}, a .safetensors "
            "file of `steep imagine --train clip`, or IMAGE.onnx,TEXT.onnx"
        )
    towers = small_towers()
    towers.restore(Path(name))
    return towers.eval()
