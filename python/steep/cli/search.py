"""``steep search``: the pictures of a folder that fit a text best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from steep import imagine as library
from steep.cli import require, screen
from steep.cli.imagine_draw import Bars

Scorer = Annotated[
    str, typer.Option(help='"emoji", a .safetensors file of steep imagine --train clip, or IMAGE.onnx,TEXT.onnx.')
]


def search_(
    text: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="The folder of pictures.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="Number of pictures to print.")] = 10,
    scorer: Scorer = "emoji",
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Rank the pictures of a folder, and of the folders in it, by their similarity with a text.

    The scorer "emoji" was trained on emoji and is good for drawings, icons and stickers, not for photographs. It is
    made at first use, in some minutes, and kept.
    """
    require("PIL")
    screen.use_threads(threads)
    skipped: list[str] = []
    with Bars() as bars:
        towers = library.scorer(scorer, bars.say)
        found = library.search(
            towers,
            text,
            folder,
            lambda done, total: bars.say("looking at pictures", done, total),
            lambda path, why: skipped.append(f"{path}: {why}"),
        )
    for each in skipped:
        screen.err.print(f"steep: left out {each}", markup=False)
    if json:
        rows = [{"file": str(each.path), "score": each.score} for each in found[:top]]
        screen.print_json(
            {"text": text, "scorer": scorer, "pictures": len(found), "skipped": len(skipped), "top": rows}
        )
        return
    lines = [[f"{each.score:.4f}", escape(str(each.path))] for each in found[:top]]
    screen.out.print(screen.table("similarity>", "file", rows=lines))
