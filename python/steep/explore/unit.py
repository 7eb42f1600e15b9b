"""What a unit answers to: where in the image, by deconvnet and guided backpropagation, and its nine top examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from steep import ascent, pictures, saliency
from steep.explore.asked import Asked
from steep.explore.desk import Desk
from steep.explore.graph import Layer
from steep.explore.jobs import Job
from steep.explore.pictures import MOST, Inputs

METHODS = ("deconvnet", "guided_backprop")
COUNT = 9
BATCH = 8


def maps(desk: Desk, job: Job, asked: Asked) -> None:
    """Send what deconvnet and guided backpropagation give for the unit's largest activation in the image."""
    layer, shown = desk.layer(asked), desk.shown(asked)
    channel = asked.integer("channel", 0, layer.shape[0] - 1)
    x = desk.subject.input(shown.square)
    target = ascent.channel(desk.subject.model, layer.name, channel, reduce="max")
    for method in METHODS:
        map = getattr(saliency, method)(desk.subject.model, x, target, signed=True).numpy()[0]
        picture = centred(map)
        code = desk.code(
            *desk.input_code(shown),
            f'unit = sp.ascent.channel(model, {layer.name!r}, {channel}, reduce="max")',
            f"map = sp.saliency.{method}(model, x, unit, signed=True).numpy()[0]",
            "sp.pictures.image(sp.pictures.rgb(0.5 + 0.5 * map / abs(map).max()))",
        )
        job.put({"kind": "map", "method": method, "h": picture.shape[0], "w": picture.shape[1], "code": code,
                 "box": around(map)}, [picture])  # fmt: skip


def examples(desk: Desk, job: Job, asked: Asked) -> None:
    """Send the unit's top examples in the folder, then the receptive field of each."""
    layer = desk.layer(asked)
    channel = asked.integer("channel", 0, layer.shape[0] - 1)
    if not desk.pictures.files:
        raise ValueError("no folder was given: steep explore --folder DIR searches its images for top examples")
    top, files = _top(desk, job, layer)[channel], readable(desk, job)
    squares: list[Any] = [desk.pictures.square(files[int(i)]) for i in top.indices]
    where = ", ".join(['"folder"' if desk.pictures.folder is None else repr(str(desk.pictures.folder))])
    code = desk.code(
        f'files = sorted(p for p in Path({where}).rglob("*") if p.suffix.lower() in sp.data.folder.SUFFIXES)',
        f"x = np.concatenate([way.preprocess(sp.data.read_image(file)).numpy() for file in files[:{MOST}]])",
        f"top = sp.saliency.top_k(x, sp.saliency.unit(model, {layer.name!r}, {channel}), k={COUNT})",
        f"parts = sp.saliency.patches(model, {layer.name!r}, x, top)",
        imports="import numpy as np\nfrom pathlib import Path",
    )
    names = [desk.pictures.files[files[int(i)]].name for i in top.indices]
    size = desk.subject.preprocessing.size
    note = f"of the first {MOST:,} images" if len(desk.pictures.files) > MOST else f"of {len(files):,} images"
    job.put({"kind": "examples", "names": names, "values": top.values.tolist(), "code": code, "note": note,
             "files": [files[int(i)] for i in top.indices], "h": size, "w": size}, squares)  # fmt: skip
    for place, position in enumerate(top.positions):
        field = _field(desk, layer, tuple(int(i) for i in position))
        job.put({"kind": "field", "place": place, "box": field})


def readable(desk: Desk, job: Job) -> list[int]:
    """The indices of the folder's images that can be read, at most ``MOST``."""
    found = []
    for index in range(min(len(desk.pictures.files), MOST)):
        job.check()
        if desk.pictures.square(index) is not None:
            found.append(index)
    if not found:
        raise ValueError(f"no image of {desk.pictures.folder} can be read")
    return found


def _top(desk: Desk, job: Job, layer: Layer) -> list[saliency.Top]:
    """The top examples of every channel of a layer, from one pass over the folder, which is remembered."""
    if layer.name not in desk.found:
        squares: list[Any] = [desk.pictures.square(index) for index in readable(desk, job)]
        done = [0]

        def run(x: Any) -> Any:
            job.put({"kind": "searched", "done": done[0], "of": len(squares)}, droppable=True)
            done[0] += len(x)
            return desk.subject.model.activations(x, layer.name)[layer.name]

        inputs = Inputs(desk.subject, squares)
        desk.found[layer.name] = saliency.top_k_by_channel(inputs, run, COUNT, BATCH)
    return desk.found[layer.name]


def _field(desk: Desk, layer: Layer, position: tuple[int, ...]) -> list[int]:
    """The receptive field of a position as (top, left, bottom, right); the whole image where there are no positions."""
    key = (layer.name, position)
    if key not in desk.fields:
        shape = desk.subject.preprocessing.shape[1:]
        if len(position) == 2:
            rows, columns = saliency.receptive_field(desk.subject.model, layer.name, shape, position)
        else:
            rows, columns = slice(0, shape[1]), slice(0, shape[2])
        desk.fields[key] = [rows.start, columns.start, rows.stop, columns.stop]
    return desk.fields[key]


def around(map: Any) -> list[int] | None:
    """The square (top, left, bottom, right) around the values of a map that are not 0; None if all are.

    Args:
        map: (channels, height, width).
    """
    rows, columns = (np.flatnonzero(map.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(rows):
        return None
    size = map.shape[1:]
    side = min(max(int(np.ptp(rows)), int(np.ptp(columns)), min(size) // 8) + 5, *size)
    middle = [int(found[0] + found[-1]) // 2 for found in (rows, columns)]
    top, left = (min(max(0, at - side // 2), n - side) for at, n in zip(middle, size, strict=True))
    return [top, left, top + side, left + side]


def centred(map: Any) -> pictures.Colours:
    """A signed map (channels, height, width) as an image: grey is 0.

    Args:
        map: the values.

    Returns:
        A uint8 array (height, width, 3).
    """
    return pictures.rgb(0.5 + 0.5 * map / max(float(np.abs(map).max()), 1e-30))
