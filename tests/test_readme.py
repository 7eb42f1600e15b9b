"""README's code runs, and says what README says it says."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def module_of_bench(name):
    """A module of bench/, which is no package."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def test_the_lines_of_python_run(capsys):
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(code, {})
    said = capsys.readouterr().out.split("\n")
    assert said[0].startswith("tensor(12.") and said[1].startswith("tensor(6.") and "0.9999" in said[2]
    before, after = map(float, said[-2].split())
    assert after > before


def test_the_commands_are_commands():
    from steep.cli.app import COMMANDS

    (block,) = re.findall(r"```\n(steep classify.*?)```", README, re.DOTALL)
    assert {line.split()[1] for line in block.strip().split("\n")} <= set(COMMANDS)
    assert " | ".join(COMMANDS) in README


def test_the_number_of_ops_is_the_number_of_ops():
    from steep import _core

    public = sum(not row["hidden"] for row in _core._op_table())
    assert f"and {public} ops" in README


def test_the_measured_tables_have_a_row_for_every_workload():
    (part,) = re.findall(r"<!-- measured: begin .*?-->\n(.*)\n<!-- measured: end -->", README, re.DOTALL)
    tables = re.split(r"^### ", part, flags=re.MULTILINE)[1:]
    assert [t.split("\n")[0] for t in tables] == ["1 thread", "2 threads"]
    names = [w.name for w in module_of_bench("workloads").WORKLOADS]
    for table in tables:
        rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
        assert rows == ["workload", *names]
