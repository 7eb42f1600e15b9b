"""The examples in docstrings run, and the docstrings of public functions and classes are complete.

``PUBLIC`` lists the modules whose public names count. Start reading at ``public``.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import steep as sp

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMES = {"sp": sp, "np": np}


def modules():
    """Every module of the package but the command line, which needs its extras."""
    yield sp
    for found in pkgutil.walk_packages(sp.__path__, "steep."):
        if not found.name.startswith(("steep.cli", "steep._core", "steep.__main__")):
            yield importlib.import_module(found.name)


EXAMPLES = [
    test
    for module in modules()
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=NAMES)
    if test.examples
]


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_examples_run(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messages = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=messages.append)
    assert not messages, "".join(messages)
