"""Modules: a model is a tree of plain attributes.

A tensor that requires a gradient is a parameter, any other a buffer (results kept from a forward pass are neither), a
module is a child; lists, tuples and dicts of these count too. All is found in ``vars(self)`` when asked for: there is
nothing to register and no ``super().__init__()`` to forget. The one place every call passes is ``Module.__call__``:
``activations`` listens there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from steep import _core, tree
from steep._core import Tensor
from steep.looking import Mode
from steep.near import near
from steep.random import Generator

T = TypeVar("T", Tensor, Generator)


class _Listeners(threading.local):
    """The functions told of each module's output on this thread."""

    active: tuple[Callable[[Module, Any], None], ...] = ()
    around: Callable[[Module, tuple[Any, ...], dict[str, Any]], Any] | None = None


_listeners = _Listeners()


@contextmanager
def around_calls(function: Callable[[Module, tuple[Any, ...], dict[str, Any]], Any] | None) -> Iterator[None]:
    """Inside, ``function(module, args, kwargs)`` stands for every ``forward`` on this thread; None: nothing does."""
    before, _listeners.around = _listeners.around, function
    try:
        yield
    finally:
        _listeners.around = before


class Module:
    """Base of every layer and model: override ``forward``, keep tensors and modules as attributes."""

    training = Mode()
    _statistics: tuple[str, ...] = (
        "running_mean",
        "running_var",
    )  # names of own tensors that are measured, not learned

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; to be overridden. Raises NotImplementedError naming the class."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method: define forward(self, x)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``forward``, and tell whoever listens on this thread."""
        around = _listeners.around
        output = self.forward(*args, **kwargs) if around is None else around(self, args, kwargs)
        for listener in _listeners.active:
            listener(self, output)
        return output

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep an attribute. Raises ValueError where the result of an op would take a parameter's place."""
        before = vars(self).get(name)
        computed = isinstance(value, Tensor) and not value.is_leaf and value.made_by is not None
        if computed and isinstance(before, Tensor) and before.is_leaf and before.requires_grad:
            raise ValueError(
                f"{type(self).__name__}.{name} is a parameter, {before.dtype}{before.shape}, and the result of "
                f"{value.made_by} in its place would be none; write into it under no_grad(), as in "
                f"layer.{name}[...] = value, or assign sp.tensor(value.detach(), requires_grad=True)"
            )
        object.__setattr__(self, name, value)

    # -- what the tree holds ------------------------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[str, Any]]:
        for path, leaf in tree.paths(vars(self), is_leaf=lambda node: isinstance(node, Module)):
            yield ".".join(map(str, path)), leaf

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Every module of the tree with its dotted name, itself first as ``""``, a shared one once."""
        return self._named_modules("", set())

    def _named_modules(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, member in self._members():
            if isinstance(member, Module):
                yield from member._named_modules(_join(prefix, name), seen)

    def _named(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, member in module._members():
                computed = isinstance(member, Tensor) and not member.is_leaf
                if isinstance(member, kind) and not computed and id(member) not in seen:
                    seen.add(id(member))
                    yield _join(prefix, name), member

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that require a gradient, each once, with their dotted names."""
        return ((name, tensor) for name, tensor in self._named(Tensor) if tensor.requires_grad)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that require no gradient, each once, with their dotted names."""
        return ((name, tensor) for name, tensor in self._named(Tensor) if not tensor.requires_grad)

    def named_generators(self) -> Iterator[tuple[str, Generator]]:
        """Random generators held by layers such as ``Dropout``, with their dotted names."""
        return self._named(Generator)

    def modules(self) -> list[Module]:
        """Every module of the tree, itself first."""
        return [module for _, module in self.named_modules()]

    def parameters(self) -> list[Tensor]:
        """Tensors that require a gradient, each once, in the order of the attributes."""
        return [tensor for _, tensor in self.named_parameters()]

    def buffers(self) -> list[Tensor]:
        """Tensors that require no gradient, each once, in the order of the attributes."""
        return [tensor for _, tensor in self.named_buffers()]

    # -- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all parameters and buffers by dotted name: a snapshot that later steps do not change."""
        return {name: _core.asarray(tensor.detach(), copy=True) for name, tensor in self._named(Tensor)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy ``state`` (tensors or arrays by dotted name) into the parameters and buffers, in place.

        Everything is checked before anything is written. Raises ValueError naming what is missing or unexpected
        (unless ``strict=False``) and every tensor whose shape or dtype differs.
        """
        own = dict(self._named(Tensor))
        given = {name: _core.asarray(value) for name, value in state.items()}
        problems = list(_state_problems(own, given, strict))
        if problems:
            raise ValueError(f"load_state_dict of {type(self).__name__}: " + "; ".join(problems))
        with _core.no_grad():
            for name in own.keys() & given.keys():
                own[name][...] = given[name]

    def zero_grad(self) -> None:
        """Set the ``.grad`` of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self: M, dtype: Any) -> M:
        """Make every float tensor of the tree one of ``dtype``, a float type, and return the module.

        The tensors are new ones: make optimisers afterwards. A tensor held twice stays one.
        """
        made: dict[int, Tensor] = {}

        def converted(member: Any) -> Any:
            if not isinstance(member, Tensor) or not member.dtype.name.startswith(("float", "bfloat")):
                return member
            if id(member) not in made:
                made[id(member)] = _core.tensor(member.detach(), dtype=dtype, requires_grad=member.requires_grad)
            return made[id(member)]

        for module in self.modules():
            for name, value in list(vars(module).items()):
                leaves, shape = tree.flatten(value, is_leaf=lambda node: isinstance(node, Module))
                vars(module)[name] = tree.unflatten(shape, [converted(leaf) for leaf in leaves])
        return self

    # -- mode and penalties -------------------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set ``training`` on the whole tree (dropout on) and return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Leave training mode on the whole tree (dropout off) and return the module."""
        return self.train(False)

    def add_penalty(self: M, penalty: Callable[[M], Tensor]) -> None:
        """Attach a regularization loss, a function of this module, such as ``lambda m: (m.weight**2).sum()``.

        It is counted once by every ``losses()`` above; to take it off again, remove it from ``layer.penalties``.
        """
        self.penalties.append(penalty)

    @property
    def penalties(self) -> list[Callable[[Any], Tensor]]:
        """The penalties attached to this very module."""
        held: list[Callable[[Any], Tensor]] = vars(self).setdefault("_penalties", [])
        return held

    def losses(self) -> list[Tensor]:
        """The value of every penalty of the tree, computed now; total loss = data loss + ``sum(model.losses())``.

        Source: notes table, row 3 (Keras ``regularization_losses``).
        """
        return [penalty(module) for module in self.modules() for penalty in module.penalties]

    # -- looking inside -----------------------------------------------------------------------------------------

    def activations(self, x: Any, names: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Outputs of the modules called ``names`` (all, if None) while the model runs on ``x``; differentiable.

        A module that runs several times is represented by its last output; ``""`` is the model itself. Of a
        ``Sequential``, the layers behind the last one asked for do not run. Raises ValueError if a name is unknown, or
        if its module did not run.
        """
        chosen = self._choose([names] if isinstance(names, str) else names)
        found: dict[int, Any] = {}
        run = self if names is None else self._up_to(list(chosen.values()))
        _run_listening(run, x, lambda module, output: found.__setitem__(id(module), output))
        silent = [name for name, module in chosen.items() if id(module) not in found]
        if silent and names is not None:
            raise ValueError(f"activations: {silent} did not run in forward of {type(self).__name__}")
        return {name: found[id(module)] for name, module in chosen.items() if id(module) in found}

    def _up_to(self, wanted: list[Module]) -> Callable[[Any], Any]:
        """What must run for these modules to give their outputs: the model, unless a subclass knows better."""
        return self

    def unnormalised(self) -> Callable[[Any], Any]:
        """What gives the scores of a classifier: the model, or what stands before its last softmax or sigmoid.

        A subclass that knows what its last layer is overrides this.
        """
        return self

    def _choose(self, names: Iterable[str] | None) -> dict[str, Module]:
        known = dict(self.named_modules())
        chosen = list(known if names is None else names)
        unknown = [name for name in chosen if name not in known]
        if unknown:
            names, hint = list(known), near(str(unknown[0]), known) or ";"
            shown = str(names) if len(names) <= 20 else f"{str(names[:20])[:-1]}, ... {len(names) - 20} more]"
            raise ValueError(f"{type(self).__name__} has no layer {unknown}{hint} its layers are {shown}")
        return {name: known[name] for name in chosen}

    def summary(self, x: Any = None) -> str:
        """A table of the layers, their own parameters and, given an input ``x``, their output shapes."""
        shapes = {} if x is None else {name: _shape_of(out) for name, out in self.activations(x).items()}
        rows = [["layer", "type", "parameters", "output" if shapes else ""]]
        for name, module in self.named_modules():
            own = f"{module._own_count():,}"
            rows.append([name or "(model)", type(module).__name__, own, shapes.get(name, "")])
        total = sum(parameter.size for parameter in self.parameters())
        return _table(rows) + f"\n{total:,} parameters, {sum(buffer.size for buffer in self.buffers()):,} in buffers"

    def _own_count(self) -> int:
        return sum(m.size for _, m in self._members() if isinstance(m, Tensor) and m.requires_grad)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets of a layer without children."""
        return ""

    def __repr__(self) -> str:
        members = list(self._members())
        lines = [
            f"  {name}: " + repr(child).replace("\n", "\n  ") for name, child in members if isinstance(child, Module)
        ]
        if type(self).extra_repr is Module.extra_repr:  # layers say their sizes there
            lines += [f"  {name}: {_described(t)}" for name, t in members if isinstance(t, Tensor) and t.is_leaf]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


M = TypeVar("M", bound=Module)


def _described(t: Tensor) -> str:
    return f"{'parameter' if t.requires_grad else 'buffer'}, {t.dtype}{t.shape}"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _state_problems(own: dict[str, Tensor], given: dict[str, Tensor], strict: bool) -> Iterator[str]:
    missing, unexpected = own.keys() - given.keys(), given.keys() - own.keys()
    if strict and missing:
        yield f"missing {sorted(missing)}"
    if strict and unexpected:
        yield f"unexpected {sorted(unexpected)}"
    for name in sorted(own.keys() & given.keys()):
        mine, theirs = own[name], given[name]
        if mine.shape != theirs.shape:
            yield f"{name} has shape {mine.shape}, got {theirs.shape}"
        if mine.dtype != theirs.dtype:
            yield f"{name} is {mine.dtype}, got {theirs.dtype} (convert with astype)"


def _run_listening(model: Callable[[Any], Any], x: Any, listener: Callable[[Module, Any], None]) -> None:
    before = _listeners.active
    _listeners.active = (*before, listener)
    try:
        model(x)
    finally:
        _listeners.active = before


def _shape_of(output: Any) -> str:
    return ", ".join(str(tuple(leaf.shape)) for leaf in tree.leaves(output) if isinstance(leaf, Tensor))


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
