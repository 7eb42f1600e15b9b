"""The rules of docs/architecture.md: dependencies, lengths of functions and files, and complete lists.

ALLOWED and LAYERS are the rules of docs/architecture.md as data; each test reads the sources and compares.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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

# What a package of python/steep may not import.
FORBIDDEN = {
    "nn": {"onnx", "ascent", "saliency", "attack", "cli", "optim", "zoo"},
    "optim": {"onnx", "ascent", "saliency", "attack", "cli", "nn", "zoo"},
    "data": {"onnx", "ascent", "saliency", "attack", "cli", "nn", "optim", "zoo"},
    "onnx": {"ascent", "saliency", "attack", "cli", "optim", "data", "zoo"},
    "ascent": {"onnx", "saliency", "attack", "cli"},
    "saliency": {"onnx", "ascent", "attack", "cli"},
    "attack": {"onnx", "ascent", "saliency", "cli"},
    "training": {"onnx", "ascent", "saliency", "attack", "cli", "demo"},
    "selftest": {"cli", "demo"},
    "demo": {"cli"},
    "zoo": {"onnx", "ascent", "saliency", "attack", "cli", "optim"},
}


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


def imported(path):
    package = path.relative_to(PYTHON.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("layer", sorted(FORBIDDEN))
def test_imports_point_downwards(layer):
    for path in sources(PYTHON / layer, ".py"):
        for name in imported(path):
            for other in FORBIDDEN[layer]:
                assert not f"{name}.".startswith(f"steep.{other}."), f"{path.name} of {layer} may not import {name}"


LAYERS = re.compile(r"steep\.(nn|optim|data|io|ascent|saliency|attack|training|zoo|onnx|cli|demo)\b")


def test_the_core_of_python_knows_no_layer_above():
    for path in sorted(PYTHON.glob("*.py")):
        if path.name in ("__init__.py", "__main__.py"):
            continue
        for name in imported(path):
            assert not LAYERS.match(name), (path, name)


def test_only_parallel_cpp_knows_threads():
    for path in sources(CSRC, ".cpp", ".h"):
        if path.name not in ("parallel.cpp", "autograd.cpp"):
            assert not re.search(r"#pragma omp|<thread>|<mutex>|std::thread\b|pthread_", path.read_text()), path


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
            text = node.body[0] if ast.get_docstring(node) else None  # documentation may be as long as it has to be
            lines = node.end_lineno - node.lineno - (text.end_lineno - text.lineno + 1 if text else 0)
            assert lines < 80, f"{path.name}:{node.lineno} {node.name}"


def test_one_loop_owns_the_optimisers():
    for layer in ("ascent", "saliency", "attack", "training", "demo", "cli"):
        for path in sources(PYTHON / layer, ".py"):
            assert ".step()" not in path.read_text(), f"{path} steps an optimiser; use optim.minimize or maximize"
