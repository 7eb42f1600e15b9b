"""What a function's code names: globals, attributes, imports, dotted paths from a variable.

Read from its bytecode, with that of the functions and classes written inside of it. Start reading at ``names_in``.
"""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import CodeType, FunctionType
from typing import Any

# Ways to read attributes, or a module's variables, without naming them.
BY_TEXT = {"getattr", "hasattr", "vars", "eval", "exec", "globals", "attrgetter", "methodcaller", "getmembers"}
BY_TEXT |= {"__dict__", "__getattribute__", "__slots__", "getattr_static", "asdict", "astuple"}
ALL_GLOBALS = {"globals", "eval", "exec"}


@dataclass
class Names:
    """``variables``: globals, and what functions inside close over. ``paths``: a variable with the attributes after
    it, as in ``np.random.normal``. ``modules``: imported inside.
    """

    variables: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)

    @property
    def by_text(self) -> bool:
        """Whether attributes may be read that no name tells."""
        return not BY_TEXT.isdisjoint(self.variables | self.attributes)

    @property
    def all_globals(self) -> bool:
        """Whether any global may be read."""
        return not ALL_GLOBALS.isdisjoint(self.variables)


@lru_cache(maxsize=1024)
def names_in(code: CodeType) -> Names:
    """Everything that code names."""
    found = Names()
    waiting = [code]
    while waiting:
        code = waiting.pop()
        _read(code, found)
        waiting += (inner for inner in code.co_consts if isinstance(inner, CodeType))
    found.paths.discard(())
    return found


def _read(code: CodeType, found: Names) -> None:
    import dis  # here, because it is slow to import and only recordings need it

    path: tuple[str, ...] = ()
    for i in dis.get_instructions(code):
        attribute = i.opname in ("IMPORT_FROM", "LOAD_METHOD") or "_ATTR" in i.opname
        if attribute:
            found.attributes.add(i.argval)
            path = (*path, i.argval) if path else ()
            continue
        found.paths.add(path)
        path = ()
        if i.opname.startswith("LOAD") and i.opname.endswith(("_GLOBAL", "_GLOBALS", "_NAME", "_DEREF")):
            found.variables.add(i.argval)
            path = (i.argval,)
        elif i.opname == "IMPORT_NAME":
            found.modules.add(i.argval)
        elif i.opname == "MATCH_CLASS":  # the names stand in a constant before it
            found.attributes.update(*(c for c in code.co_consts if isinstance(c, tuple) and _all_text(c)))
    found.paths.add(path)


def _all_text(constant: tuple[Any, ...]) -> bool:
    return all(isinstance(x, str) for x in constant)


@cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_library(thing: Any) -> bool:
    """Whether the code of a function or a class is of Python, of steep, or of another installed package: it is taken as
    fixed, and what it reads is not looked for.
    """
    if isinstance(thing, FunctionType):
        return is_library_module(str(thing.__globals__.get("__name__")), thing.__code__.co_filename)
    return is_library_module(str(getattr(thing, "__module__", None)))


@lru_cache(maxsize=4096)
def is_library_module(name: str, file: str = "") -> bool:
    """The same of a module, by its name and, if it is known, the file of its code."""
    top = name.split(".")[0]
    if top == "steep":
        return True
    file = file or getattr(sys.modules.get(name), "__file__", None) or ""
    if not file or file.startswith("<"):  # built in, or made from text
        return top in sys.stdlib_module_names
    return "site-packages" in file or "dist-packages" in file or file.startswith(_library_folders())
