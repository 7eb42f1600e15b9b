"""Modules: a model is a tree of attributes.

A tensor that requires a gradient is a parameter, any other a buffer (results kept from a forward pass are neither), a
module is a child; lists, tuples and dicts of these count too. They are found in ``vars(self)`` when needed: nothing has
to be registered, and no ``super().__init__()`` is needed. Every call passes through ``Module.__call__``, where
``activations`` reads outputs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from steep import _core, tree
from steep._core import Tensor
from steep.evaluation import Mode
from steep.random import Generator
from steep.suggest import near

T = TypeVar("T", Tensor, Generator)


class _Listeners(threading.local):
    """The functions called with each module's output on this thread."""

    active: tuple[Callable[[Module, Any], None], ...] = ()
    around: Callable[[Module, tuple[Any, ...], dict[str, Any]], Any] | None = None


_listeners = _Listeners()


@contextmanager
def around_calls(function: Callable[[Module, tuple[Any, ...], dict[str, Any]], Any] | None) -> Iterator[None]:
    """Inside, ``function(module, args, kwargs)`` replaces every ``forward`` on this thread.

    Args:
        function: the replacement, or None for none.
    """
    before, _listeners.around = _listeners.around, function
    try:
        yield
    finally:
        _listeners.around = before


class Module:
    """Base of every layer and model: override ``forward``, and keep tensors and modules as attributes.

    Example:
        >>> class Net(sp.nn.Module):
        ...     def __init__(self):
        ...         self.hidden = sp.nn.Linear(4, 3, generator=0)
        ...     def forward(self, x):
        ...         return sp.relu(self.hidden(x))
        >>> model = Net()
        >>> model(sp.ones((2, 4))).shape, [name for name, _ in model.named_parameters()]
        ((2, 3), ['hidden.weight', 'hidden.bias'])
    """

    training = Mode()
    _statistics: tuple[str, ...] = (
        "running_mean",
        "running_var",
    )  # names of tensors that are statistics, not learned
    _unused: tuple[str, ...] = ()  # names that PyTorch's state has beside these, and that nothing here depends on

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the output; to be overridden.

        Args:
            args: inputs.
            kwargs: named inputs.

        Raises:
            NotImplementedError: if a subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method: define forward(self, x)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls ``forward``, and the listeners of this thread with its output."""
        around = _listeners.around
        output = self.forward(*args, **kwargs) if around is None else around(self, args, kwargs)
        for listener in _listeners.active:
            listener(self, output)
        return output

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute.

        Raises:
            ValueError: if the result of an op would replace a parameter.
        """
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
        """Every module of the tree with its dotted name, itself first as "", a shared one once.

        Yields:
            Pairs of a name and a module.
        """
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
        """Tensors that require a gradient, each once, with their dotted names.

        Yields:
            Pairs of a name and a tensor.
        """
        return ((name, tensor) for name, tensor in self._named(Tensor) if tensor.requires_grad)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that require no gradient, each once, with their dotted names.

        Yields:
            Pairs of a name and a tensor.
        """
        return ((name, tensor) for name, tensor in self._named(Tensor) if not tensor.requires_grad)

    def named_statistics(self) -> Iterator[tuple[str, Tensor]]:
        """Tensors that are measured and not learnt, with their dotted names: those that a module lists as its
        statistics, and buffers beside a module's own parameters, such as the moments of a batch norm.

        Yields:
            Pairs of a name and a tensor.
        """
        for prefix, module in self.named_modules():
            own = [(name, leaf) for name, leaf in module._members() if isinstance(leaf, Tensor)]
            learned = any(leaf.requires_grad for _, leaf in own)
            for name, leaf in own:
                if name in module._statistics or (learned and not leaf.requires_grad):
                    yield _join(prefix, name), leaf

    def named_generators(self) -> Iterator[tuple[str, Generator]]:
        """Random generators of layers such as ``Dropout``, with their dotted names.

        Yields:
            Pairs of a name and a ``Generator``.
        """
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
        """Copies of all parameters and buffers.

        Returns:
            A dict of tensors by dotted name.

        Example:
            >>> list(sp.nn.Linear(2, 1, generator=0).state_dict())
            ['weight', 'bias']
        """
        return {name: _core.asarray(tensor.detach(), copy=True) for name, tensor in self._named(Tensor)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copies ``state`` into the parameters and buffers, in place, after checking all of it.

        Names and shapes are PyTorch's, so its ``state_dict()`` is one too.

        Args:
            state: tensors or arrays of any library by dotted name.
            strict: whether missing and unexpected names are errors; PyTorch's counters of batches are none.

        Raises:
            ValueError: naming what is missing or unexpected, and every tensor whose shape or dtype differs.
        """
        own = dict(self._named(Tensor))
        unused = {_join(prefix, name) for prefix, module in self.named_modules() for name in module._unused}
        given = {name: _core.asarray(value) for name, value in state.items() if name in own or name not in unused}
        problems = list(_state_problems(own, given, strict))
        if problems:
            raise ValueError(f"load_state_dict of {type(self).__name__}: " + "; ".join(problems))
        with _core.no_grad():
            for name in own.keys() & given.keys():
                own[name][...] = given[name]

    def zero_grad(self) -> None:
        """Sets the ``.grad`` of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self: M, dtype: Any) -> M:
        """Converts every float tensor of the tree.

        The tensors are replaced by new ones, so create optimisers afterwards. A shared tensor stays shared.

        Args:
            dtype: a float dtype.

        Returns:
            The module.

        Example:
            >>> sp.nn.Linear(2, 1, generator=0).astype("float64").weight.dtype
            steep.float64
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
        """Sets training mode on the whole tree (dropout on).

        Args:
            mode: False for evaluation mode.

        Returns:
            The module.
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Sets evaluation mode on the whole tree (dropout off).

        Returns:
            The module.
        """
        return self.train(False)

    def add_penalty(self: M, penalty: Callable[[M], Tensor]) -> None:
        """Attaches a regularization loss, which every ``losses()`` above counts once. Remove it from ``penalties`` to
        detach it.

        Args:
            penalty: a function of this module, such as ``lambda m: (m.weight**2).sum()``.
        """
        self.penalties.append(penalty)

    @property
    def penalties(self) -> list[Callable[[Any], Tensor]]:
        """The penalties attached to this module itself."""
        held: list[Callable[[Any], Tensor]] = vars(self).setdefault("_penalties", [])
        return held

    def losses(self) -> list[Tensor]:
        """The current value of every penalty of the tree, as Keras's ``losses``.

        Returns:
            A list of tensors; total loss = data loss + ``sum(model.losses())``.

        Example:
            >>> layer = sp.nn.Linear(2, 1, generator=0)
            >>> layer.add_penalty(lambda m: (m.weight**2).sum())
            >>> len(layer.losses())
            1
        """
        return [penalty(module) for module in self.modules() for penalty in module.penalties]

    # -- looking inside -----------------------------------------------------------------------------------------

    def activations(self, x: Any, names: str | Iterable[str] | None = None) -> dict[str, Any]:
        """Outputs of named modules while the model runs on ``x``; differentiable.

        A module that runs several times is represented by its last output; "" is the model itself. Layers of a
        ``Sequential`` after the last one requested are not run.

        Args:
            x: input of the model.
            names: names of modules; all if None.

        Returns:
            A dict of outputs by name.

        Raises:
            ValueError: for an unknown name, or a module that did not run.

        Example:
            >>> model = sp.nn.Sequential({"a": sp.nn.Linear(4, 3, generator=0), "b": sp.relu})
            >>> model.activations(sp.ones((2, 4)), "a")["a"].shape
            (2, 3)
        """
        chosen = self._choose([names] if isinstance(names, str) else names)
        found: dict[int, Any] = {}
        run = self if names is None else self._up_to(list(chosen.values()))
        _run_listening(run, x, lambda module, output: found.__setitem__(id(module), output))
        not_run = [name for name, module in chosen.items() if id(module) not in found]
        if not_run and names is not None:
            raise ValueError(f"activations: {not_run} did not run in forward of {type(self).__name__}")
        return {name: found[id(module)] for name, module in chosen.items() if id(module) in found}

    def _up_to(self, wanted: list[Module]) -> Callable[[Any], Any]:
        """What has to run so that these modules give their outputs: the model, unless a subclass knows better."""
        return self

    def unnormalised(self) -> Callable[[Any], Any]:
        """The function that gives a classifier's scores: the model, or its part before a final softmax or sigmoid.

        A subclass that knows its last layer overrides this.

        Returns:
            A function of inputs.
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
        """A table of the layers and their numbers of parameters.

        Args:
            x: an input; if given, the shape and the bytes of each output, and the operations of arithmetic are listed
                too (``nn.cost``), in evaluation mode.

        Returns:
            A string.

        Example:
            >>> print(sp.nn.Linear(4, 3, generator=0).summary(sp.ones((2, 4))))
            layer    type    parameters  output  flops  memory
            (model)  Linear  15          (2, 3)  54     24 B
            15 parameters, 0 in buffers; 54 flops, 60 B of weights
        """
        from steep.flops import shown
        from steep.nn.cost import cost

        costs = {} if x is None else cost(self, x)
        rows = [["layer", "type", "parameters", *(["output", "flops", "memory"] if costs else [""])]]
        for name, module in self.named_modules():
            own, mine = f"{module._own_count():,}", costs.get(name)
            there = [mine.shape, shown(mine.flops), shown(mine.memory, "B")] if mine else ["", "", ""]
            rows.append([name or "(model)", type(module).__name__, own, *(there if costs else [""])])
        total = sum(parameter.size for parameter in self.parameters())
        text = f"{total:,} parameters, {sum(buffer.size for buffer in self.buffers()):,} in buffers"
        weights = sum(t.size * t.dtype.itemsize for t in (*self.parameters(), *self.buffers()))
        more = f"; {shown(costs[''].flops)} flops, {shown(weights, 'B')} of weights" if "" in costs else ""
        return f"{_table(rows)}\n{text}{more}"

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
        if type(self).extra_repr is Module.extra_repr:  # layers show their sizes there
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


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
