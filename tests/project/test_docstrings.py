"""The examples in docstrings run, and the docstrings of public functions and classes are complete.

tools/public.py says which modules and names are public. Start reading at ``public``.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import steep as sp

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {
    "sp.onnx": "onnx",
    "sp.pictures": "PIL",
    "sp.descent.draw": "PIL",
    "sp.descent.page": "PIL",
    "sp.data.images": "PIL",
}  # which extra an example needs
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = {"sp": sp, "np": np}


def modules():
    """Every module of the package but the command line, which needs its extras."""
    yield sp
    for found in pkgutil.walk_packages(sp.__path__, "steep."):
        if not found.name.startswith(("steep.cli", "steep._core", "steep.__main__")):
            yield importlib.import_module(found.name)


def functions_of_the_core():
    """The functions written in C++, whose pages are made from rows: ops, creation, settings."""
    return [(key, thing) for key, thing in vars(sp).items() if type(thing).__name__ == "Op"]


def examples():
    find = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        yield from find.find(module, extraglobs=NAMES)
    for name, function in functions_of_the_core():
        yield doctest.DocTestParser().get_doctest(function.__doc__, dict(NAMES), f"steep.{name}", None, 0)


EXAMPLES = [test for test in examples() if test.examples]


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_examples_run(test, tmp_path, monkeypatch):
    source = "".join(example.source for example in test.examples)
    for name, package in NEEDS.items():
        if name in source:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    messages = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=messages.append)
    assert not messages, "".join(messages)


# Functions without an example: they download, or are parts of others.
NO_EXAMPLE = {
    "steep.data.boxed_photos", "steep.data.digits", "steep.data.fashion_mnist", "steep.data.load", "steep.data.mnist",
    "steep.data.mnist5k", "steep.data.photo", "steep.data.photos", "steep.zoo.lpips", "steep.random.draws_again",
    "steep.data.cifar", "steep.data.emoji", "steep.explore.serve", "steep.imagine.scorer", "steep.imagine.search",
    "steep.imagine.train",
    "steep.imagine.train_clip", "steep.imagine.zero_shot", "steep.text.attribution", "steep.text.encoder",
    "steep.random.observed_draws", "steep.saliency.sanity.randomise", "steep.saliency.sanity.weights_by_layer",
    "steep.scores.unnormalised", "steep.nn.functional.conv1d", "steep.nn.functional.conv2d",
    "steep.nn.functional.conv3d", "steep.imagine.describe", "steep.imagine.draw", "steep.imagine.load",
    "steep.imagine.train_decoder",
}  # fmt: skip


def tool():
    """tools/public.py, which is in no package."""
    found = importlib.util.spec_from_file_location("public", ROOT / "tools" / "public.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


PUBLIC = tool()


def in_python(thing):
    """Whether it is written in Python: ops are documented by their rows. Exceptions take a message and nothing else."""
    is_class = inspect.isclass(thing) and not issubclass(thing, BaseException)
    return inspect.isfunction(thing) or (is_class and "pybind11" not in type(thing).__module__)


def public():
    """Every public function, class and method written in Python, with its name, once."""
    seen = {}
    for name, module in PUBLIC.modules().items():
        for key, thing in PUBLIC.names(module).items():
            if str(getattr(thing, "__module__", "")).startswith("steep.") and in_python(thing):
                seen.setdefault(id(thing), (f"{name}.{key}", thing))
    for name, thing in list(seen.values()):
        for key, method in vars(thing).items() if inspect.isclass(thing) else ():
            if not key.startswith("_") and inspect.isfunction(method):
                seen.setdefault(id(method), (f"{name}.{key}", method))
    return sorted(seen.values(), key=lambda pair: pair[0])


def parameters(thing):
    """Names of the parameters that a docstring has to describe; fields of a dataclass, as arguments or attributes."""
    if inspect.isclass(thing) and ("__init__" not in vars(thing) or getattr(thing, "_is_protocol", False)):
        return list(getattr(thing, "_fields", ()))
    return [name for name in inspect.signature(thing).parameters if name != "self"]


def missing(thing):
    """The parameters that a docstring does not describe, each on a line of its own or by its name in the text."""
    text = inspect.getdoc(thing) or ""
    return [name for name in parameters(thing) if f"\n    {name}: " not in text and f"``{name}``" not in text]


@pytest.mark.parametrize("name, function", functions_of_the_core(), ids=lambda v: v if isinstance(v, str) else "")
def test_a_page_is_complete(name, function):
    """What it computes, every parameter, what is raised where arguments can be wrong, and an example."""
    text, params = function.__doc__, list(inspect.signature(function).parameters)
    assert text.startswith(f"{name}(") and not [p for p in params if not re.search(rf"\n    {p}: [^\s.]", text)]
    assert "\nExample:\n    >>> " in text
    assert "\nRaises:\n" in text or params in ([], ["x"]) or name.endswith("_like") or name in ("leaky_relu", "elu")
    row = OPS.get(name)
    assert row is None or ("\nReturns:\n" in text and "\nReferences:\n" in text)


OPS = {row["name"]: row for row in sp._core._op_table() if not row["hidden"]}


def test_the_pages_of_layers_say_as_much_as_those_of_their_peers():
    """Layout and units of operands, the size of the result, a source, and an example that shows both."""
    for name, words in {
        "conv2d": ["(N, C", "C / groups", "stride", "dilation", "// stride + 1", "depthwise", "not flipped"],
        "max_pool2d": ["(N, C", "kernel_size", "ceil", "// stride + 1", "first of equals"],
        "layer_norm": ["sqrt(var + eps)", "last dimensions", "arXiv:1607.06450", "biased variance"],
        "einsum": ["->", "...", "diagonal", "alphabetical"],
    }.items():
        text = " ".join(getattr(sp, name).__doc__.split())
        assert not [word for word in words if word not in text] and text.count(">>> ") >= 2, name


@pytest.mark.parametrize("name, thing", public(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_docstring_is_complete(name, thing):
    text = inspect.getdoc(thing)
    assert text and not missing(thing)
    assert inspect.isclass(thing) or "." in thing.__qualname__ or name in NO_EXAMPLE or ">>> " in text, "an example"


def test_the_public_modules_are_those_that_steep_exports():
    found = set(PUBLIC.modules())
    assert {"steep", "steep.nn.functional", "steep.optim.schedules", "steep.saliency.sanity", "steep.zoo"} <= found
    assert not {name for name in found if "._" in name or ".cli" in name}


@pytest.mark.parametrize(
    "name, module", PUBLIC.modules().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_a_module_lists_is_there_once_and_documented(name, module):
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed) and all(hasattr(module, each) for each in listed)
    assert PUBLIC.names(module) and (module.__doc__ or "").strip()
