"""docs/notes.md lists every row that is checked, marks those of ``steep selftest``, and knows every source it names."""

import re
from pathlib import Path

from steep.selftest import CHECKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "notes.md").read_text()
ROWS = {int(row): bool(mark) for row, mark in re.findall(r"^\| (\d+)( ✓)? \|", PAGE, re.MULTILINE)}


def test_every_row_of_the_self_test_is_marked():
    assert {row for row, marked in ROWS.items() if marked} == {check.row for check in CHECKS}


def test_every_row_with_a_test_is_listed():
    sources = "\n".join(path.read_text() for path in (ROOT / "tests" / "notes").glob("test_*.py"))
    tested = {int(row) for row in re.findall(r"def test_rows?_(\d+)", sources)}
    assert tested and tested <= set(ROWS)
    assert {row for row in ROWS if row not in tested} <= {20, 86, 87}  # test_s3_bias_slip, and together with 85


def test_every_source_is_in_the_list():
    table, sources = PAGE.split("## Sources")
    named = {name.split(",")[0] for name in re.findall(r"\[([A-Z]\w+(?:, [\d.]+)?)\](?!\()", table)}
    assert named == set(re.findall(r"^- \[(\w+)\]:", sources, re.MULTILINE))


def test_every_section_of_rows_has_its_pictures():
    for section in PAGE.split("\n## ")[1:]:
        pictures = re.findall(r"^!\[.+\]\((pictures/.+)\)$", section, re.MULTILINE)
        assert bool(pictures) == bool(re.search(r"^\| \d+", section, re.MULTILINE)), section.partition("\n")[0]
        assert all((ROOT / "docs" / name).is_file() for name in pictures)


def test_every_network_is_one_command():
    """The rows of what is trained and looked at name a command whose script or subcommand there is."""
    section = PAGE.split("## Networks, trained and looked at")[1].split("## Sources")[0]
    rows = re.findall(r"^\| (\d+) \|(.*)$", section, re.MULTILINE)
    assert {int(row) for row, _ in rows} >= {94, 95, 97, 98, 100}
    for row, text in rows:
        scripts = re.findall(r"`python (examples/\w+\.py)", text)
        assert scripts or "`steep " in text or "`make gallery`" in text, row
        assert all((ROOT / script).is_file() for script in scripts)
