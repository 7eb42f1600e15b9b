"""README's code runs, and says what README says it says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def module_of_bench(name):
    """A module of bench/, which is no package."""
    found = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # where dataclasses look for it
    sys.path.insert(0, str(ROOT / "bench"))  # where it finds its neighbours
    try:
        found.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "bench"))
    return module


def test_the_lines_of_python_run(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.split("\n")
    assert said[0].startswith("tensor(12.") and said[1].startswith("tensor(6.") and "0.9999" in said[2]


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
