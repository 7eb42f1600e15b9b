"""README's code runs, and says what README says it says."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


def test_the_lines_of_python_run(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.split("\n")
    assert said[0].startswith("tensor(12.") and said[1].startswith("tensor(6.") and "0.9999" in said[2]


def test_the_number_of_ops_is_the_number_of_ops():
    from steep import _core

    public = sum(not row["hidden"] for row in _core._op_table())
    assert f"and {public} ops" in README
