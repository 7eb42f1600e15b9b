"""``steep descend``: optimisers on landscapes, as a picture, a film, or a page with sliders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steep import pictures
from steep.cli import output as out
from steep.cli import require, screen
from steep.io.atomic import atomic_write

if TYPE_CHECKING:
    from steep.descent import Landscape, Verdict

HOLD = 2000  # milliseconds for which a film shows its last frame


def descend(
    landscape: Annotated[str, typer.Argument(help="Name of a landscape; --list shows them.")] = "double_well",
    expr: Annotated[str, typer.Option(help='A landscape of your own, in x or in x and y: "x**2 + 10*y**2".')] = "",
    domain: Annotated[str, typer.Option(help='What to show: "low,high" for x, then for y.')] = "",
    start: Annotated[str, typer.Option(help='Where to begin: "x" or "x,y".')] = "",
    rate: Annotated[float | None, typer.Option(min=0, help="Learning rate of first-order methods.")] = None,
    momentum: Annotated[float, typer.Option(min=0, help="Momentum.")] = 0.9,
    steps: Annotated[int, typer.Option(min=0, help="Number of steps.")] = 100,
    methods: Annotated[str, typer.Option(help='Methods, such as "adam,l-bfgs"; all by default.')] = "all",
    view: Annotated[str, typer.Option(help="paths, rates, stability or orders.")] = "paths",
    list_: Annotated[bool, typer.Option("--list", help="List the landscapes, and write nothing.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png; for paths also .gif or .html.")] = Path(
        "descend.png"
    ),
    seed: screen.Seed = 0,
    threads: screen.Threads = None,
    json: screen.Json = False,
) -> None:
    """Draw what every optimiser does on a landscape: paths on contours with values beside, a film, a page with sliders.

    Says where the landscape is differentiable, how well it is conditioned, and what each optimiser reaches. The views
    "rates" (one quadratic at five rates), "stability" (rate and momentum) and "orders" (evaluations of methods of order
    0, 1 and 2) take no landscape.
    """
    require("PIL")
    screen.use_threads(threads)
    if list_:
        return _list(json)
    if view not in VIEWS:
        raise ValueError(f"there is no view {view!r}; there are {', '.join(VIEWS)}")
    _check(output, view)
    given = _landscape(landscape, expr, domain, start, rate) if view == "paths" else None
    wanted = methods if methods == "all" else [name.strip() for name in methods.split(",")]
    told, lines, write = VIEWS[view](
        given, output, methods=wanted, steps=steps, momentum=momentum, rate=rate, seed=seed
    )
    with atomic_write(output) as file:
        file.write(write())
    if json:
        screen.print_json({"output": str(output), "view": view, **told})
    else:
        for line in lines:
            screen.out.print(line, markup=False) if isinstance(line, str) else screen.out.print(line)
        screen.out.print(str(output), markup=False)


Shown = tuple[dict[str, Any], list[Any], Callable[[], bytes]]


def _check(output: Path, view: str) -> None:
    out.check(output)
    if view != "paths" and output.suffix.lower() != ".png":
        raise ValueError(f"{output}: the view {view} is written as .png")


def _landscape(name: str, expr: str, domain: str, start: str, rate: float | None) -> Landscape:
    from dataclasses import replace

    from steep import descent

    box, begin = _numbers("--domain", domain), _numbers("--start", start)
    if len(box) % 2:
        raise ValueError(f"--domain needs pairs of numbers, low,high for each variable, got {domain!r}")
    ranges = list(zip(box[::2], box[1::2], strict=True)) or None
    if expr:
        return descent.landscape(expr, ranges, begin or None, 0.05 if rate is None else rate)
    found = descent.find(name)
    if not (ranges or begin):
        return found
    own = descent.landscape(found.function, ranges or found.domain, begin or found.start, found.rate, found.name)
    starts = (own.start, *(each for each in found.starts if each != own.start))[:5]
    return replace(found, domain=own.domain, start=own.start, starts=starts)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        raise ValueError(f"{option} needs numbers between commas, got {text!r}") from None


def _paths(
    landscape: Landscape, output: Path, methods: Any, steps: int, momentum: float, rate: float | None, seed: int
) -> Shown:
    from steep import descent
    from steep.descent import draw

    paths = descent.descend(landscape, methods, steps, rate=rate, momentum=momentum, seed=seed)
    verdict = descent.judge(landscape, paths=paths)
    writers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: pictures.png(draw.picture(landscape, paths)),
        ".gif": lambda: pictures.gif(draw.film(landscape, paths), 120, HOLD),
        ".html": lambda: descent.page(verdict, methods, min(steps, 200), rate, seed).encode(),
    }
    return _plain(verdict), _told(verdict), writers[output.suffix.lower()]


def _told(verdict: Verdict) -> list[Any]:
    from steep.descent.landscapes import shown

    paths, outcomes = verdict.paths, verdict.outcomes
    rows = [[path.method, f"{path.values[-1]:.4g}", shown(path.points[-1]), str(path.evaluations), text]
            for path, (_, text) in zip(paths, outcomes, strict=True)]  # fmt: skip
    problems = [f"  {path.method}: {path.problem}" for path in paths if path.problem]
    return [
        f"{verdict.landscape.name}: {verdict.differentiable}",
        f"  {verdict.gradient}",
        f"  {verdict.conditioning}",
        screen.table("method", "value>", "at", "evaluations>", "reached", rows=rows),
        *problems,
    ]


def _plain(verdict: Verdict) -> dict[str, Any]:
    outcomes = dict(verdict.outcomes)
    return {
        "landscape": verdict.landscape.name,
        "differentiable": verdict.differentiable,
        "kinks": [{"point": list(kink.point), "jump": kink.jump} for kink in verdict.kinks],
        "trace": verdict.gradient,
        "cut": asdict(verdict.cut) if verdict.cut else None,
        "conditioning": verdict.conditioning,
        "minima": [
            {"point": list(m.point), "value": m.value, "curvatures": list(m.curvatures)} for m in verdict.minima
        ],
        "paths": [
            {"method": path.method, "status": path.status, "value": float(path.values[-1]),
             "point": path.points[-1].tolist(), "steps": path.steps, "evaluations": path.evaluations,
             "products": path.products, "outcome": outcomes[path.method], "problem": path.problem}
            for path in verdict.paths
        ],
    }  # fmt: skip


def _rates(landscape: None, output: Path, **options: Any) -> Shown:
    from steep import descent

    runs = descent.five_rates()
    counts = [descent.steps_to(rate) for rate, _ in runs]
    told = [{"rate": rate, "steps_to_1e-6": count} for (rate, _), count in zip(runs, counts, strict=True)]
    lines = [f"steps at the rate {rate:g}: " + (f"{count} to a value of 1e-6" if count else "diverges")
             for (rate, _), count in zip(runs, counts, strict=True)]  # fmt: skip
    return {"rates": told}, lines, lambda: pictures.png(descent.draw.rates(runs, counts))


def _stability(landscape: None, output: Path, **options: Any) -> Shown:
    from steep import descent

    momenta = (0.0, 0.5, 0.9, 0.99)
    edges = [(beta, descent.boundary(beta)) for beta in momenta]
    lines = [f"momentum {beta:g}: stable below {edge:.4f} = rate times curvature; 2 (1 + momentum) = {2 * (1 + beta):g}"
             for beta, edge in edges]  # fmt: skip
    told = {"boundary": [{"momentum": beta, "found": edge, "theory": 2 * (1 + beta)} for beta, edge in edges]}
    return told, list(lines), lambda: pictures.png(descent.draw.stability(descent.stability()))


def _orders(landscape: None, output: Path, seed: int = 0, **options: Any) -> Shown:
    from steep import descent

    costs = descent.compare(seed=seed)
    rows = [[c.method, str(c.order), f"{c.evaluations:,}", f"{c.products:,}", f"{c.value:.2g}"] for c in costs]
    table = screen.table("method", "order>", "evaluations>", "products>", "value>", rows=rows)
    return {"orders": [asdict(cost) for cost in costs]}, [table], lambda: pictures.png(descent.draw.orders(costs))


VIEWS: dict[str, Callable[..., Shown]] = {"paths": _paths, "rates": _rates, "stability": _stability, "orders": _orders}


def _list(json: bool) -> None:
    from steep import descent
    from steep.descent.landscapes import shown

    if json:
        return screen.print_json([
            {"name": each.name, "formula": each.formula, "about": each.about, "domain": [list(r) for r in each.domain],
             "start": list(each.start), "minima": [list(m) for m in each.minima], "source": each.source}
            for each in descent.LANDSCAPES
        ])  # fmt: skip
    rows = [[each.name, each.formula, shown(each.start), each.about] for each in descent.LANDSCAPES]
    screen.out.print(screen.table("landscape", "formula", "start", "", rows=rows))
