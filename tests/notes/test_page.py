"""docs/notes.md lists every row that is checked, marks those of ``steep selftest``, and knows every source it names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from steep import selftest
from steep.selftest import CHECKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "notes.md").read_text()
ROWS = {int(row): bool(mark) for row, mark in re.findall(r"^\| (\d+)( ✓)? \|", PAGE, re.MULTILINE)}
TABLE = [(int(row), text) for row, text in re.findall(r"^\| (\d+)(?: ✓)? \|(.*)\|$", PAGE, re.MULTILINE)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200"}


def test_every_row_of_the_self_test_is_marked():
    assert {row for row, marked in ROWS.items() if marked} == {check.row for check in CHECKS}


def test_all_102_rows_are_there_each_with_what_it_states():
    """The formula and the value; of rows 40 to 52 also what is printed."""
    assert set(ROWS) == set(range(1, 103))
    for row, line in TABLE:
        cells = [cell.strip() for cell in line.split("|")]
        assert len(cells) == (4 if 40 <= row <= 52 else 3), row
        assert cells[0] and cells[2 if 40 <= row <= 52 else 1], row


def test_every_row_has_a_test():
    sources = "\n".join(
        path.read_text() for folder in ("notes", "explore") for path in (ROOT / "tests" / folder).glob("*.py")
    )
    tested = {int(row) for row in re.findall(r"def test_rows?_(\d+)", sources)}
    assert tested and tested <= set(ROWS)
    assert set(ROWS) - tested <= {20, 86, 87}  # test_s3_bias_slip, and together with 85


def commands():
    """(row, command) of every row: its own, or that of the self-test."""
    for row, text in TABLE:
        own = [
            code for code in re.findall(r"`([^`]+)`", text) if code.startswith(("steep ", "python examples/", "make "))
        ]
        yield from ((row, command) for command in own or [f"steep selftest --rows {row}"])


@pytest.mark.parametrize("row", sorted(row for row, marked in ROWS.items() if marked))
def test_the_command_of_a_row_with_a_mark_holds(row):
    found = selftest.run(selftest.select(str(row)))
    assert found and all(outcome.ok for outcome in found)


def test_the_command_of_every_other_row_is_one_that_there_is():
    """Scripts that say what they take, subcommands and options that there are, targets of make: nothing is run here."""
    app = pytest.importorskip("steep.cli.app")
    from typer.main import get_command

    known, helped = get_command(app.app).commands, set()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for row, command in commands():
        words = shlex.split(command)
        options = {word for word in words if word.startswith("-") and not word[1:2].isdigit()}
        if words[0] == "make":
            assert words[1] in targets, row
        elif words[0] == "python":
            helped |= {(words[1], option) for option in options} | {(words[1], "usage")}
        else:
            parameters = known[words[1]].params
            assert options <= {name for each in parameters for name in each.opts}, (row, command)
    for script in {script for script, _ in helped}:
        run = [sys.executable, ROOT / script, "--help"]
        said = subprocess.run(run, capture_output=True, text=True, env=ENVIRONMENT, check=True).stdout
        assert all(option in said for name, option in helped if name == script), script


def test_every_source_is_in_the_list():
    table, sources = PAGE.split("## Sources")
    named = {name.split(",")[0] for name in re.findall(r"\[([A-Z]\w+(?:, [\d.]+)?)\](?!\()", table)}
    assert named == set(re.findall(r"^- \[(\w+)\]:", sources, re.MULTILINE))


def test_every_section_of_rows_has_its_pictures():
    for section in PAGE.split("\n## ")[1:]:
        pictures = re.findall(r"^!\[.+\]\((pictures/.+)\)$", section, re.MULTILINE)
        assert bool(pictures) == bool(re.search(r"^\| \d+", section, re.MULTILINE)), section.partition("\n")[0]
        assert all((ROOT / "docs" / name).is_file() for name in pictures)


def test_every_row_without_a_mark_names_its_command():
    own = {row for row, text in TABLE if re.search(r"`(steep |python examples/|make )|the same command", text)}
    assert {row for row, marked in ROWS.items() if not marked} <= own
