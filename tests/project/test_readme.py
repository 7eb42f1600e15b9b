"""The code of README and of docs/start.md runs, and says what they say; their tables and docs/benchmarks.md agree."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
START = (ROOT / "docs" / "start.md").read_text()


def module_of_bench(name):
    """A module of bench/, which is no package."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def test_the_lines_of_python_run(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.split("\n")
    assert said[0].startswith("tensor(12.") and said[1].startswith("tensor(6.") and "0.9999" in said[2]


def test_the_commands_are_commands():
    from steep.cli.app import COMMANDS

    (block,) = re.findall(r"```\n(steep classify.*?)```", START, re.DOTALL)
    assert {line.split()[1] for line in block.strip().split("\n")} <= set(COMMANDS)
    assert set(re.findall(r"`steep (\w+)", README)) <= set(COMMANDS)
    assert " | ".join(COMMANDS) in START


def test_the_second_command_is_what_continuous_integration_runs():
    (commands,) = re.findall(r"```\n(make demo.*?)```", README, re.DOTALL)
    second = commands.splitlines()[1].split("#")[0].strip()
    assert second in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_number_of_ops_is_the_number_of_ops():
    from steep import _core

    public = sum(not row["hidden"] for row in _core._op_table())
    assert f"and {public} ops" in README


def tables(page):
    """By title, the first column of each table between the markers of a page."""
    (part,) = re.findall(r"<!-- measured: begin .*?-->\n(.*)\n<!-- measured: end -->", page, re.DOTALL)
    parts = re.split(r"^### ", part, flags=re.MULTILINE)[1:]
    return {text.split("\n")[0]: re.findall(r"^\| (.+?) \|", text, re.MULTILINE) for text in parts}


def test_the_measured_tables_have_a_row_for_every_workload():
    """Those with peers of their own stand in tables of their own."""
    names = sorted(w.name for w in module_of_bench("workloads").WORKLOADS)
    for threads, rows in tables((ROOT / "docs" / "benchmarks.md").read_text()).items():
        assert sorted(row for row in rows if row != "workload") == names, threads


def test_readme_has_the_chosen_rows_of_the_measured_table():
    assert tables(README) == {"1 thread": ["workload", *module_of_bench("report").README_ROWS]}
    rows = re.findall(r"^\| .* \|$", README, re.MULTILINE)[1:]
    assert all(row in (ROOT / "docs" / "benchmarks.md").read_text() for row in rows)
