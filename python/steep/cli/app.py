"""The commands combined, and the only place where an exception becomes a line of text and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import typer

import steep
from steep.cli import (
    attack,
    bench,
    classify,
    compare,
    demo,
    descend,
    dream,
    explore,
    imagine,
    info,
    invert,
    report,
    saliency,
    search,
    selftest,
    train,
    visualize,
)
from steep.report.html import made_by

app = typer.Typer(
    name="steep",
    help="Automatic differentiation: training, feature visualization, attribution, adversarial examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "explore": explore.explore_,
    "train": train.train,
    "classify": classify.classify,
    "visualize": visualize.visualize,
    "saliency": saliency.saliency_,
    "compare": compare.compare,
    "dream": dream.dream,
    "invert": invert.invert,
    "attack": attack.attack_,
    "imagine": imagine.imagine,
    "search": search.search_,
    "report": report.report,
    "descend": descend.descend,
    "selftest": selftest.selftest,
    "bench": bench.bench,
    "info": info.info,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"steep {steep.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Automatic differentiation: training, feature visualization, attribution, adversarial examples."""


def run() -> int:
    """Run the command in ``sys.argv``; gives the exit code. Bad input is one line on stderr and 2."""
    try:
        with made_by(shlex.join(["steep", *sys.argv[1:]])):
            app(prog_name="steep")
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except FileNotFoundError as error:
        return _complain(f"there is no file {error.filename}" if error.filename else str(error), 2)
    except (OSError, ValueError, TypeError, IndexError, MemoryError, ImportError, steep.GradientError) as error:
        return _complain(str(error) or type(error).__name__, 2)
    except Exception as error:  # of a user's model, whose code may raise anything
        return _complain(f"{type(error).__name__}: {error}", 2)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"steep: {message}", file=sys.stderr)
    return code
