"""Runs the rows of docs/trust.md: ``python tests/trust/run.py [--full] [--rows 1,5] [--page docs/trust.md]``.

Each row's figure goes to a log as it is found, so that a run that was stopped continues where it was; the page is made
from the log. A row that fails does not stop the others; the exit code says so. Start reading at ``main``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rows import ROWS, SCRIPT, Command, Row

TESTS = Path(__file__).resolve().parents[1]
HEAD = """# Guarantees, measured

What steep guarantees on errors and misuse, one guarantee per row: the size of the check and its result. `make trust`
runs the quick sizes, within an hour, and writes [trust.md](trust.md); `make trust-full` runs the full sizes, continues
where it was stopped, writes [trust_full.md](trust_full.md), and keeps its log, with a date per row, in
`docs/trust_full.jsonl`. The rows are `tests/trust/rows.py`; one that is missing below has not been run at that size.

Bytes per node (row 1): resident memory after building, less that before, divided by the number of nodes
(`tests/trust/graphs.py`). Latencies (row 14) are processor time from the signal to KeyboardInterrupt.

"""


def run_command(command: Command, full: bool) -> tuple[bool, str, str]:
    """Whether it passed, its size in words, its figure."""
    words = shlex.split(command.what)
    arguments = command.arguments(full)
    script = [sys.executable, str(TESTS / words[0]), *arguments]
    patience = ["-o", "timeout=0"] if full else []  # the suite's own limit is for its own sizes
    suite = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *patience, str(TESTS / words[0]), *words[1:]]
    sizes = command.environment(full)
    done = subprocess.run(
        script if command.kind == SCRIPT else suite,
        capture_output=True,
        text=True,
        env={**os.environ, **sizes, "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), *sys.path]))},
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()] or [""]
    figure = lines[-1] if command.kind == SCRIPT else (re.search(r"\d+ passed", done.stdout) or ["none"])[0]
    if done.returncode:
        figure = "; ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
    return done.returncode == 0, " ".join([*arguments, *(f"{k}={v}" for k, v in sizes.items())]), figure


def run_row(row: Row, full: bool) -> dict[str, Any]:
    began, found = time.time(), [run_command(command, full) for command in row.commands]
    return {
        "row": row.number,
        "passed": all(passed for passed, _, _ in found) if found else None,
        "size": "; ".join(size for _, size, _ in found if size),
        "figure": "; ".join(figure for _, _, figure in found) or "not built yet",
        "seconds": round(time.time() - began),
        "date": datetime.date.today().isoformat(),
    }


def page(log: list[dict[str, Any]], full: bool) -> str:
    """The table in Markdown, from the last entry of each row."""
    last = {entry["row"]: entry for entry in log}
    lines = ["| # | guarantee | holds | size | figure | seconds |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        e = last.get(row.number)
        if e:
            holds = {True: "yes", False: "**no**", None: "-"}[e["passed"]]
            figure = e["figure"].replace("|", "\\|")
            lines.append(
                f"| {row.number} | {row.guarantee} | {holds} | {e['size'] or 'the suite'} | {figure} | {e['seconds']} |"
            )
    when = max((e["date"] for e in last.values()), default="")
    kind = "full" if full else "quick"
    return (
        HEAD
        + f"Last {kind} run: {when}, Python {platform.python_version()}, {os.cpu_count()} cores.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rows", default="")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    log_path: Path = given.log or TESTS.parent / ("docs/trust_full.jsonl" if given.full else "build/trust.jsonl")
    log_path.parent.mkdir(exist_ok=True)
    log = [json.loads(line) for line in log_path.read_text().splitlines()] if given.full and log_path.exists() else []
    if not given.full:
        log_path.write_text("")
    wanted = {int(n) for n in given.rows.split(",") if n} or {row.number for row in ROWS}
    done = {entry["row"] for entry in log if entry["passed"]}
    for row in ROWS:
        if row.number not in wanted or row.number in done:
            continue
        entry = run_row(row, given.full)
        log.append(entry)
        with open(log_path, "a") as file:
            file.write(json.dumps(entry) + "\n")
        state = {True: "ok", False: "FAIL", None: "-"}[entry["passed"]]
        print(f"{row.number:3} {state:4} {entry['seconds']:5} s  {row.guarantee}: {entry['figure']}", flush=True)
    if given.page:
        given.page.write_text(page(log, given.full))
    return any(entry["passed"] is False for entry in log if entry["row"] in wanted)


if __name__ == "__main__":
    sys.exit(main())
