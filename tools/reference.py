"""The pages of the API reference, made from what steep exports: one per public module, for the tensor, and for ops.

What is written in Python is left to mkdocstrings, which reads signatures and docstrings from the sources. What is
written in C++ is described by the rows of the ops, the docstrings of the bindings, and the signatures of
python/steep/_core.pyi. tests/project/test_site.py checks that every public name has an entry. Start
reading at ``pages``.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import public
import steep
from steep import _core

ROOT = Path(__file__).resolve().parent.parent
ROWS = {row["name"]: row for row in _core._op_table()}
WIDTH = 88  # of a signature on one line
STUBS = {
    node.name: node
    for node in ast.parse((ROOT / "python" / "steep" / "_core.pyi").read_text()).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef)
}
MAIN, TENSOR, OPS = FIRST = ("api/steep.md", "api/tensor.md", "api/ops.md")
EXCEPTIONS = {"GradientError", "CompileError"}


# -- what is written in C++ ---------------------------------------------------------------------------------------


def parameters(node: ast.FunctionDef) -> list[str]:
    """The parameters of a stub as they are written, without self; "*" and "/" count as one each."""
    parts = [""]
    depth = 0
    for letter in ast.unparse(node.args):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip() not in ("", "self")]


def signature(name: str, node: ast.FunctionDef) -> str:
    """A block of code with the signature, on a line per parameter where one line would be too long."""
    listed, result = parameters(node), f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({', '.join(listed)}){result}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {each},\n" for each in listed) + f"){result}"
    return f"```python\n{line.replace('builtins.', '')}\n```"


def text_of(name: str, thing: Any) -> list[str]:
    """What a function of the core says about itself, and for an op what its row says about gradients."""
    row = ROWS.get(name)
    if not row:
        return [documented(thing)]
    gradient = (
        "A gradient rule of its own." if row["differentiable"] else "Differentiated through the ops it is made of."
    )
    parts = [str(row["doc"]), "No gradient." if row["primitive"] and not row["differentiable"] else gradient]
    parts += [f"Where the derivative does not exist: {row['subgradient']}."] if row["subgradient"] else []
    parts += [f"Also a method: [`Tensor.{name}`](tensor.md#steep.Tensor.{name})."] if row["method"] else []
    return parts


def documented(thing: Any) -> str:
    """The docstring without the line of the signature that bindings put first."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    return "\n".join(lines[1:] if lines and "(" in lines[0] and lines[0].endswith(")") else lines).strip()


def is_core_function(name: str, thing: Any) -> bool:
    """Whether it is a function of the core."""
    return isinstance(STUBS.get(name), ast.FunctionDef) and thing is getattr(_core, name)


def core_function(module: str, name: str, thing: Any) -> str:
    """An entry of a function of the core."""
    parts = [f"## {name} {{ #{module}.{name} }}", signature(f"{module}.{name}", STUBS[name]), *text_of(name, thing)]
    return "\n\n".join(part for part in parts if part)


def member(kind: str, node: ast.FunctionDef | ast.AnnAssign, thing: Any) -> str:
    """An entry of a class of the core: a method with its signature, or a property with its type."""
    if isinstance(node, ast.AnnAssign):
        name, shown = ast.unparse(node.target), f"```python\n{ast.unparse(node).replace('builtins.', '')}\n```"
    elif any(ast.unparse(each) == "property" for each in node.decorator_list):
        name, shown = node.name, f"```python\n{node.name}: {ast.unparse(node.returns or ast.Constant(None))}\n```"
    else:
        name, shown = node.name, signature(node.name, node)
    is_op = kind == "Tensor" and name in ROWS
    text = str(ROWS[name]["doc"]) if is_op else documented(getattr(thing, name, None))
    more = f"See [`steep.{name}`](ops.md#steep.{name})." if is_op and hasattr(steep, name) else ""
    heading = name.replace("__", "\\_\\_") if name.startswith("__") else name
    return "\n\n".join(part for part in (f"### {heading} {{ #steep.{kind}.{name} }}", shown, text, more) if part)


def core_class(name: str) -> str:
    """A class of the core: its methods and properties, each once, operators last."""
    node, thing = STUBS[name], getattr(_core, name)
    assert isinstance(node, ast.ClassDef)
    members = {}
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AnnAssign):
            key = each.name if isinstance(each, ast.FunctionDef) else ast.unparse(each.target)
            members[key] = each
    shown = sorted((key for key in members if not key.startswith("_")), key=str.lower)
    operators = sorted(key for key in members if key.startswith("__"))
    parts = [f"## {name} {{ #steep.{name} }}", documented(thing), *(member(name, members[key], thing) for key in shown)]
    if operators:
        listed = ", ".join(f"`{key}`" for key in operators)
        parts += [f"Operators and protocols: {listed}."]
    return "\n\n".join(part for part in parts if part)


# -- the pages ----------------------------------------------------------------------------------------------------


def page_of(name: str, thing: Any) -> str:
    """The page that a public name of ``steep`` is on."""
    if isinstance(thing, _core.dtype) or (inspect.isclass(thing) and name in STUBS and name not in EXCEPTIONS):
        return TENSOR
    if is_core_function(name, thing):
        return OPS
    return MAIN


def is_constant(thing: Any) -> bool:
    """Whether it is a plain value, which has no docstring."""
    return isinstance(thing, str | int | float | tuple | list | dict | type(None))


def is_made(thing: Any) -> bool:
    """Whether it is a function that another one returned, which no definition in the sources has the name of."""
    return inspect.isfunction(thing) and inspect.unwrap(thing).__code__.co_name != thing.__name__


def made_function(module: str, name: str, thing: Any) -> str:
    """An entry of such a function, from itself."""
    shown = str(inspect.signature(thing)).replace("'", "")
    text = re.sub(r"^    (\w+): ", r"- `\1`: ", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    text = re.sub(r"^(Args|Returns|Raises):\n", r"\1:\n\n", text, flags=re.MULTILINE)
    return f"## {name} {{ #{module}.{name} }}\n\n```python\n{module}.{name}{shown}\n```\n\n{text}"


def entry(module: str, name: str, thing: Any) -> str:
    """An entry: mkdocstrings' for what is written in Python, a constant with its value, a function of the core."""
    if is_core_function(name, thing):
        return core_function(module, name, thing)
    if is_made(thing):
        return made_function(module, name, thing)
    if is_constant(thing) and not isinstance(thing, tuple | list | dict):
        return f"## {name} {{ #{module}.{name} }}\n\n```python\n{module}.{name} = {thing!r}\n```"
    path = f"{module}.{name}"
    shadowed = inspect.ismodule(sys.modules.get(path))  # by a module of the same name: then by where it is defined
    anchor = f"[](){{ #{path} }}\n\n" if shadowed else ""
    path = f"{thing.__module__}.{thing.__qualname__}" if shadowed else path
    return f"{anchor}::: {path}\n    options:\n      heading_level: 2"


def first_sentence(name: str, thing: Any) -> str:
    """What a table says of a name: the beginning of its description, or the value of a constant."""
    if is_constant(thing):
        return "" if isinstance(thing, tuple | list | dict) else f"`{thing!r}`"
    text = text_of(name, thing)[0] if is_core_function(name, thing) else inspect.getdoc(thing) or ""
    line = " ".join(text.split("\n\n")[0].split())
    return re.sub(r"(`+[^`]*`+)|\|", lambda found: found[1] or "\\|", line)  # a bar outside of code ends a cell


def summary(module: ModuleType, shown: dict[str, Any]) -> str:
    """A table of the names with the first sentence about each."""
    link = f"#{module.__name__}."
    rows = [f"| [`{name}`]({link}{name}) | {first_sentence(name, thing)} |" for name, thing in shown.items()]
    return "\n".join(["| name | |", "|---|---|", *rows])


def module_page(module: ModuleType, shown: dict[str, Any]) -> str:
    """A page: the module's docstring, a table of its names, and an entry for each."""
    shown = {name: shown[name] for name in sorted(shown, key=str.lower)}
    entries = [entry(module.__name__, name, thing) for name, thing in shown.items()]
    return "\n\n".join([f"# {module.__name__}", inspect.getdoc(module) or "", summary(module, shown), *entries]) + "\n"


def tensor_page(shown: dict[str, Any]) -> str:
    """The page of the tensor and of the other types of the core."""
    dtypes = ", ".join(f"`steep.{name}`" for name, thing in shown.items() if isinstance(thing, _core.dtype))
    classes = [name for name, thing in shown.items() if inspect.isclass(thing)]
    head = f"# Tensor\n\nThe types of the core. The dtypes are {dtypes}; see [dtypes](../dtypes.md)."
    return "\n\n".join([head, *map(core_class, sorted(classes, key=lambda name: name != "Tensor"))]) + "\n"


def ops_page(shown: dict[str, Any]) -> str:
    """The page of the functions of the core."""
    head = "# Functions of tensors\n\nThe ops, and what makes tensors, in `steep`. As a table: [ops](../ops.md)."
    return "\n\n".join([head, *(core_function("steep", name, shown[name]) for name in sorted(shown))]) + "\n"


def index_page(pages: dict[str, str]) -> str:
    """The list of the pages."""
    lines = ["# API", "", "Every public name: what `__all__` lists, or a module without one defines.", ""]
    links = {TENSOR: "Tensor, dtypes and modes", OPS: "Functions of tensors"}
    for path in pages:
        name = Path(path).stem
        first = "" if path in links else (inspect.getdoc(public.modules()[name]) or "").split("\n\n")[0]
        shown = links.get(path, f"`{name}`")
        lines.append(f"- [{shown}]({Path(path).name}){': ' if first else ''}{' '.join(first.split())}")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The text of each page by its path in the site, the index first."""
    found: dict[str, str] = {}
    for module in public.modules().values():
        shown = {name: thing for name, thing in public.names(module).items() if not inspect.ismodule(thing)}
        if module is steep:
            placed = {name: page_of(name, thing) for name, thing in shown.items()}
            on = {page: {n: t for n, t in shown.items() if placed[n] == page} for page in set(placed.values())}
            found |= {MAIN: module_page(steep, on[MAIN]), TENSOR: tensor_page(on[TENSOR]), OPS: ops_page(on[OPS])}
        else:
            found[f"api/{module.__name__}.md"] = module_page(module, shown)
    others = sorted(found.keys() - set(FIRST), key=lambda path: Path(path).stem)
    found = {path: found[path] for path in (*FIRST, *others)}
    return {"api/index.md": index_page(found), **found}
