"""The public names of steep, as its packages list them: tools/reference.py shows them, and
tests/project/test_docstrings.py checks them.

A public module is ``steep`` or one that a public module exports; its public names are those of ``__all__`` or, without
one, those that it defines without a leading underscore. So a new name or module is found without a list to keep. Start
reading at ``modules``.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import steep

FEATURE = type(annotations)  # of ``from __future__ import annotations``, which leaves a name behind


def names(module: ModuleType) -> dict[str, Any]:
    """The public names of a module with what they stand for."""
    if module is steep:
        return exported()
    if hasattr(module, "__all__"):
        return {name: getattr(module, name) for name in module.__all__}
    own = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    return {name: thing for name, thing in own.items() if getattr(thing, "__module__", "") == module.__name__}


def exported() -> dict[str, Any]:
    """All names of ``steep`` without an underscore, of modules those that it means to export.

    Every module that was imported somewhere is an attribute of its package; steep says which ones are public.
    """
    found = {name: getattr(steep, name) for name in dir(steep) if not name.startswith("_")}
    kept = {name: thing for name, thing in found.items() if not isinstance(thing, FEATURE)}
    return {name: thing for name, thing in kept.items() if not inspect.ismodule(thing) or name in steep._PACKAGES}


def modules() -> dict[str, ModuleType]:
    """The public modules by name, each after the one that exports it."""
    found: dict[str, ModuleType] = {}
    waiting = [steep]
    while waiting:
        module = waiting.pop(0)
        found[module.__name__] = module
        inside = [thing for thing in names(module).values() if inspect.ismodule(thing)]
        waiting += [each for each in inside if each.__name__ not in found]
    return found
