"""The rules of docs/architecture.md: dependencies, lengths of functions and files, and complete lists.

ALLOWED is a rule of docs/architecture.md as data; each test reads the sources and compares. The layers of Python are a
contract of import-linter in pyproject.toml.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC, PYTHON = ROOT / "csrc", ROOT / "python" / "steep"

# What a folder of csrc/ may include. core/tensor.cpp releases nodes, the only upward dependency.
ALLOWED = {
    "kernels": {"kernels"},
    "core": {"core", "kernels"},
    "graph": {"graph", "core", "kernels", "ops/functions.h"},
    "ops": {"ops", "graph", "core", "kernels"},
    "bindings": {"bindings", "ops", "graph", "core", "kernels"},
}
EXCEPTIONS = {("core/tensor.cpp", "graph/node.h")}


def includes(path):
    return re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes)


@pytest.mark.parametrize("path", sources(CSRC, ".cpp", ".h", ".def"), ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_downwards(path):
    where = str(path.relative_to(CSRC))
    allowed = ALLOWED[where.split("/")[0]]
    for name in includes(path):
        known = name.split("/")[0] in allowed or name in allowed or (where, name) in EXCEPTIONS
        assert known, f"{where} may not include {name}"


def test_only_parallel_cpp_knows_threads():
    for path in sources(CSRC, ".cpp", ".h"):
        if path.name not in ("parallel.cpp", "autograd.cpp"):
            assert not re.search(r"#pragma omp|<thread>|<mutex>|std::thread\b|pthread_", path.read_text()), path


def test_no_masked_moves_of_avx2():
    """They take about ten times as long as whole moves on AMD's Zen; those of AVX-512 are free (kernels/vec_part.h)."""
    for path in sources(CSRC, ".cpp", ".h"):
        assert not re.search(r"\b_mm(256)?_mask(load|store)_", path.read_text()), path


@pytest.mark.parametrize(
    "path",
    [*sources(CSRC, ".cpp", ".h"), *sources(PYTHON, ".py"), *sources(ROOT / "tests", ".py", ".cpp")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_files_are_short_and_open_with_prose(path):
    text = path.read_text()
    assert text.count("\n") <= 600
    assert text.startswith(("//", '"""', "/*", "#")), "a file opens by saying what it holds"


@pytest.mark.parametrize("path", sources(PYTHON, ".py"), ids=lambda p: str(p.relative_to(PYTHON)))
def test_python_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{path.name}:{node.lineno} {node.name}"


def test_one_loop_owns_the_optimisers():
    for layer in ("ascent", "descent", "saliency", "attack", "training", "demo", "cli"):
        for path in sources(PYTHON / layer, ".py"):
            assert ".step()" not in path.read_text(), f"{path} steps an optimiser; use optim.minimize or maximize"
