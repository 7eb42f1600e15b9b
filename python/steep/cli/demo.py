"""``steep demo``: training, visualization, saliency and an attack, with a report."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from steep.cli import output as out
from steep.cli import require, screen
from steep.demo import Outcome, Settings, run, write_report
from steep.training import Recipe


def demo(
    output: Annotated[Path, typer.Option(help="Folder for report.html and the images.")] = Path("demo"),
    data: Annotated[str, typer.Option(help='Data set, or "auto": mnist5k, else the 8x8 digits.')] = "auto",
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = Recipe.epochs,
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Train on digits, then visualise each class, compute saliency maps and attack the network.

    Exits with 1 if the test accuracy is below 93%, an optimised input below probability .99, or no attack succeeds.
    """
    require("PIL")
    screen.use_threads(threads)
    began = time.perf_counter()
    out.check_folder(output / "report.html", made=True)
    settings = Settings(data=data, recipe=replace(Settings().recipe, epochs=epochs, seed=seed))
    with screen.TrainingBar() as bar:
        outcome = run(settings, lambda line: screen.err.print(line, markup=False), bar)
    files = write_report(outcome, output)
    result = summary(outcome, files, time.perf_counter() - began)
    screen.print_json(result) if json else _show(outcome, result)
    raise typer.Exit(1 if result["failures"] else 0)


def summary(outcome: Outcome, files: list[Path], seconds: float) -> dict[str, Any]:
    """The demo's figures as plain values."""
    fooled = outcome.adversarial
    return {
        "data": outcome.settings.data,
        "test_accuracy": outcome.trained.test_accuracy,
        "train_accuracy": outcome.trained.train_accuracy,
        "probabilities": [float(p) for p in outcome.classes.probabilities],
        "adversarial": {
            "success": fooled.success,
            "labels": list(fooled.labels),
            "probabilities": list(fooled.probabilities),
            "norm": "linf",
            "eps": outcome.settings.eps,
            "distance": fooled.distance,
            "fooled": fooled.hits,
            "tried": fooled.tried,
        },
        "seed": outcome.settings.recipe.seed,
        "seconds": round(seconds, 2),
        "report": str(files[0]),
        "pictures": [str(path) for path in files[1:]],
        "failures": outcome.failures(),
    }


def _show(outcome: Outcome, result: dict[str, Any]) -> None:
    fooled = outcome.adversarial
    screen.out.print(f"test accuracy {outcome.trained.test_accuracy:.1%} ({outcome.sizes[1]:,} digits)")
    chances = [f"{p:.4f}" for p in outcome.classes.probabilities]
    rows = [["class", *map(str, range(len(chances)))], ["probability", *chances]]
    screen.out.print("optimised inputs, and their probabilities:")
    screen.out.print(screen.table(rows[0][0], *(name + ">" for name in rows[0][1:]), rows=rows[1:]))
    if fooled.success:
        (true, wrong), (before, after) = fooled.labels, fooled.probabilities
        screen.out.print(
            f"adversarial example: {true} (p = {before:.3f}) is classified as {wrong} (p = {after:.3f}) for changes of "
            f"at most {fooled.distance:.3f}; {fooled.hits} of {fooled.tried} digits were misclassified"
        )
    for failure in result["failures"]:
        screen.out.print(f"[bold red]failed[/]: {failure}")
    screen.out.print(
        f"{result['report']} and {len(result['pictures'])} images, {result['seconds']:.1f} s", markup=False
    )
