"""Draws the twenty prompts of ``steep.imagine.prompts`` and writes what came of each: a sheet and a table.

    python examples/twenty_prompts.py --output twenty.png --table TABLE --seeds 4

Sheet and table are of the first seed; how many results the judge ranks among the first ten is told for every seed, and
the median ranks of all drawings together.

A row of the sheet has four prompts, each with the start of the ascent, the result, and the real picture that is nearest
to it. The table says where the wanted concept ranks among all 1,636, by its text, for the start and for the result,
under the towers that guided the ascent and under the judge, and the same for real pictures of it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import steep as sp
from steep import data, imagine, pictures
from steep.imagine.drawing import Drawing, seen_by
from steep.imagine.prompts import PROMPTS
from steep.imagine.recipes import BOTH, text_features


def concept_rank(towers: Any, texts: Any, picture: Any, concept: int) -> int:
    """The rank of a concept among all, by the similarity of its text with a picture; 1 is the first."""
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
    with sp.no_grad():
        scores = texts @ np.asarray(seen_by(towers)(pixels))[0]
    return 1 + int((scores > scores[concept]).sum())


def ranks(
    drawing: Drawing, concept: int, judges: list[Any], texts: list[Any], emoji: data.Emoji
) -> list[tuple[int, ...]]:
    """For each judge the rank at the start, at the end, and of the concept's first real picture."""
    real = emoji.pictures[np.flatnonzero(emoji.concept == concept)[0]]
    return [
        tuple(concept_rank(towers, vectors, picture, concept) for picture in (drawing.start, drawing.picture, real))
        for towers, vectors in zip(judges, texts, strict=True)
    ]


def draw_all(seed: int, **options: Any) -> tuple[list[Drawing], list[list[tuple[int, ...]]]]:
    """The drawings, and the ranks of each under the guide and the judge."""
    emoji = data.load("emoji")
    judges = [imagine.scorer("emoji+squeezenet"), imagine.scorer("judge")]
    words = text_features(emoji)[:, BOTH]
    with sp.no_grad():
        texts = [np.asarray(towers.text_vectors(words)) for towers in judges]
    generator, drawings, found = imagine.generator("emoji"), [], []
    for prompt, name in PROMPTS:
        began = time.perf_counter()
        drawings.append(imagine.draw(prompt, judges[0], generator, judge=judges[1], seed=seed, **options))
        found.append(ranks(drawings[-1], emoji.find(name), judges, texts, emoji))
        print(f"{prompt}: start, result, real: guide {found[-1][0]}, judge {found[-1][1]}, "
              f"{time.perf_counter() - began:.0f} s", flush=True)  # fmt: skip
    return drawings, found


def sheet(drawings: list[Drawing]) -> Any:
    """Start, result and nearest real picture of each, four prompts in a row."""
    tiles = [tile for each in drawings for tile in (each.start, each.picture, each.nearest)]
    groups = [pictures.sheet(tiles[i : i + 3], 3, gap=1, background=255) for i in range(0, len(tiles), 3)]
    return pictures.sheet(groups, 4, gap=10, background=255)


def table(drawings: list[Drawing], found: list[list[tuple[int, ...]]]) -> str:
    """A table in Markdown, and a line with medians and counts."""
    columns = ("prompt", "concept", "guide: start, result", "judge: start, result", "real picture", "nearest picture")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for (prompt, name), drawing, (guide, judge) in zip(PROMPTS, drawings, found, strict=True):
        lines.append(f"| {prompt} | {name} | {guide[0]}, {guide[1]} | {judge[0]}, {judge[1]} | {judge[2]} | "
                     f"{drawing.nearest_name} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def summary(found: list[list[list[tuple[int, ...]]]]) -> str:
    """For the ranks of each seed, how many are among the first ten by the judge, and the median rank of all."""
    ranked = np.array([[judge[:2] for _, judge in of_seed] for of_seed in found])  # (seeds, prompts, start and result)
    tens = [f"{end} of {ranked.shape[1]} results and {start} starts" for start, end in (ranked <= 10).sum(axis=1)]
    start, end = np.median(ranked, axis=(0, 1))
    return (f"By the judge the wanted concept is among the first ten of 1,636 for {'; '.join(tens)}. "
            f"The median rank of all {ranked[..., 0].size} is {end:g}, {start:g} at the start.\n")  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("twenty.png"))
    parser.add_argument("--table", type=Path, default=Path("twenty.md"))
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    options = parser.parse_args()
    drawings, found = draw_all(options.seed)
    options.output.write_bytes(pictures.png(sheet(drawings)))
    options.table.write_text(table(drawings, found))
    others = [draw_all(seed)[1] for seed in range(options.seed + 1, options.seed + options.seeds)]
    print(table(drawings, found), summary([found, *others]), sep="\n")


if __name__ == "__main__":
    main()
