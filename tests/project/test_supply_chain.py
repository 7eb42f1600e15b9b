"""What is built, pinned and published: the wheel and its bill of materials, requirements/*.txt, the hosted workflows.

`make test` builds the wheel that is opened here, in build/wheel.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import steep as sp

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def tool(name):
    """The module tools/``name``.py, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


check_wheel, sbom = tool("check_wheel"), tool("sbom")


# -- the wheel ----------------------------------------------------------------------------------------------------


def test_the_built_wheel_passes_every_check():
    wheels = list((ROOT / "build" / "wheel").glob("*.whl"))
    if not wheels:
        pytest.skip("no wheel in build/wheel: make test builds one")
    for wheel in wheels:
        assert "pybind11" in check_wheel.check(wheel)


EXTENSION = "steep/_core.cpython-311-x86_64-linux-gnu.so"
INFO = "steep-1.2.3.dist-info"


@pytest.fixture
def parts(tmp_path):
    """The files of a small wheel, with the bill of materials that tools/sbom.py writes for it."""
    extension, header = tmp_path / EXTENSION, tmp_path / "include/pybind11/pybind11.h"
    for path in (extension, header):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    bill = sbom.bill("1.2.3", extension, "3.1.0", tmp_path / "include", {"GNU": "14.2.0", "CMake": "4.0"})
    bill_name = f"{INFO}/sboms/steep.cdx.json"
    record = "".join(f"{name},,\n" for name in (EXTENSION, bill_name, f"{INFO}/RECORD"))
    return {EXTENSION: extension.read_bytes(), bill_name: json.dumps(bill), f"{INFO}/RECORD": record}


def wheel_of(folder, parts):
    path = folder / "steep-1.2.3-cp311-cp311-any.whl"
    with ZipFile(path, "w") as files:
        for name, content in parts.items():
            files.writestr(name, content)
    return path


def test_a_bill_names_the_extension_what_is_in_it_and_what_built_it(tmp_path, parts):
    assert check_wheel.check(wheel_of(tmp_path, parts)).endswith("bill of materials with pybind11 3.1.0")
    bill = json.loads(parts[f"{INFO}/sboms/steep.cdx.json"])
    assert bill["components"][0]["purl"] == "pkg:pypi/pybind11@3.1.0"
    assert {tool["name"]: tool["version"] for tool in bill["metadata"]["tools"]["components"]}["GNU"] == "14.2.0"
    refs = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    assert refs == {each["ref"] for each in bill["dependencies"]}


def test_the_same_inputs_give_the_same_bill(tmp_path, parts):
    again = sbom.bill("1.2.3", tmp_path / EXTENSION, "3.1.0", tmp_path / "include", {"GNU": "14.2.0", "CMake": "4.0"})
    assert json.dumps(again) == parts[f"{INFO}/sboms/steep.cdx.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({EXTENSION: b"another"}, "another extension"),
        ({f"{INFO}/more.txt": "not in RECORD"}, "more.txt"),
        ({"elsewhere/file.py": ""}, "elsewhere"),
        ({"steep/large.bin": bytes(check_wheel.MOST_BYTES)}, "bytes, more than"),
    ],
)
def test_a_wheel_that_was_changed_is_refused(tmp_path, parts, change, message):
    with pytest.raises(AssertionError, match=message):
        check_wheel.check(wheel_of(tmp_path, parts | change))


# -- the version --------------------------------------------------------------------------------------------------


def test_the_version_number_is_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", sp.__version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    for name in ("pyproject.toml", "CMakeLists.txt", "CITATION.cff"):
        assert not re.search(r"^ *version *[:=]|project\(.*VERSION", (ROOT / name).read_text(), re.M), name


# -- the requirements ---------------------------------------------------------------------------------------------


def pins(path):
    """(name, version, marker, hashes) of each line of a requirements file; every line must be of that form."""
    text = re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.M).replace("\\\n", " ")
    for line in text.splitlines():
        found = re.fullmatch(r"([a-z0-9.-]+)==([^ ;]+)(?: ; ([^\\]*?))? +((?:--hash=sha256:[0-9a-f]{64} *)+)", line)
        assert found, f"{path.name}: {line[:100]}"
        yield found[1], found[2], found[3] or "", found[4].split()


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_exact_and_name_no_address(path):
    named = [line for line in path.read_text().splitlines() if line[:1] not in ("", " ", "#")]
    assert len(list(pins(path))) == len(named) > 0
    assert "://" not in path.read_text() and "index-url" not in path.read_text()


def test_a_package_has_one_version_in_all_requirements():
    assert {path.stem for path in REQUIREMENTS} == {"build", "dev", "docs", "openmpi", "ray", "release"}
    versions = {}
    for path in REQUIREMENTS:
        for name, version, marker, _ in pins(path):
            assert versions.setdefault((name, marker), version) == version, (path.name, name)


def test_everything_that_pyproject_names_is_pinned():
    text = (ROOT / "pyproject.toml").read_text()
    pinned = {path.stem: {name for name, *_ in pins(path)} for path in REQUIREMENTS}

    def named(table):
        return {re.split(r"[^\w-]", item)[0] for item in re.findall(r'"([^"]+)"', table)} - {"steep"}

    assert named(re.search(r"^requires = (\[.*\])", text, re.M)[1]) <= pinned["build"]
    extras = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\n", text, re.S)[1]
    others, docs = extras.split("\ndocs = ")
    assert named(others) | {"numpy"} <= pinned["dev"]
    assert named(docs) <= pinned["docs"]


# -- the workflows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_actions_by_commit_and_give_no_rights_by_default(path):
    text = path.read_text()
    for used in re.findall(r"uses: (.*)", text):
        assert used.startswith("./") or re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", used), used
    assert re.search(r"^permissions:\n  contents: read\n", text, re.M)


def test_the_promised_pythons_are_tested_and_have_wheels():
    project = (ROOT / "pyproject.toml").read_text()
    promised = re.findall(r"Python :: (3\.\d+)", project)
    tested = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())[1]
    assert promised == re.findall(r"3\.\d+", tested)
    built = re.search(r"^build = \[(.*)\]", project, re.M)[1]
    assert [f"cp{version.replace('.', '')}-*" for version in promised] == re.findall(r"cp\d+-\*", built)


def test_the_workflows_call_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    called = {word for line in re.findall(r"run: make ([a-z ]+)", text) for word in line.split()}
    assert called >= {"lint", "docs", "test", "workflows", "audit"} and called <= targets
