"""Gradients through compiled functions: replayed results get a node whose rule is a compiled function too.

The rule, the pullback, runs the plain function again and calls backward() through it; it is recorded at its first use,
and is differentiable in the same way, so that derivatives of any order work. Start reading at ``Graph``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from steep import _core, tree
from steep._core import Node, Tensor

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


class Graph:
    """What the results of one program depend on, as far as gradients go."""

    def __init__(self, function: Any, structure: tree.Structure, leaves: Sequence[Any], compile: Compile) -> None:
        self.function, self.structure = function, structure
        self.watched = tuple(isinstance(x, Tensor) and x.requires_grad and x.dtype.kind == "f" for x in leaves)
        ends = [_node_of(x) for x, wanted in zip(leaves, self.watched, strict=True) if wanted]
        self.given = [node for node in ends if node is not None]
        self.since = _core._sequence()
        self.captured: list[Any] = []
        self.pull = compile(self._pull_function())
        self.wanted: list[int] = []
        self.program: Any = None

    def end(self, outputs: list[Tensor], program: Any) -> bool:
        """Looks at the recorded run's results. Whether those with a graph can have one at every call."""
        self.program = program
        self.wanted = [i for i, y in enumerate(outputs) if self._is_computed(y)]
        reached = [outputs[i] for i in self.wanted]
        captured = _core._captured(reached, self.given, self.since)
        self.captured += (n if n.target is None else n.target for n in captured)
        return not program._writes and not any(_core._is_freed(y) for y in reached)

    def _is_computed(self, y: Tensor) -> bool:
        """Whether a result has a graph of its own; an argument or a leaf that is returned brings its graph along."""
        node = _core._node_of(y)
        return node is not None and node.target is None and node not in self.given

    def _pull_function(self) -> Callable[..., list[Tensor | None]]:
        # Not self: a cycle would keep the program, and its memory, until Python looks for cycles.
        function, structure, watched, captured = self.function, self.structure, self.watched, self.captured

        def pull(i: int, g: Tensor, *leaves: Any) -> list[Tensor | None]:
            """The gradients of result ``i`` with respect to the arguments and by what the function closes over."""
            since = _core._sequence()
            pairs = [_core._watched_alias(x) if on else (x, None) for x, on in zip(leaves, watched, strict=True)]
            args, kwargs = tree.unflatten(structure, [x for x, _ in pairs])
            with _core.enable_grad():
                results = [y for y in tree.leaves(function(*args, **kwargs)) if isinstance(y, Tensor)]
            ends = [*(node for _, node in pairs if node is not None), *map(_node_of, captured)]
            targets = [node for node in ends if node is not None]
            found = iter(_core._walk_backward([results[i]], [g], targets, _core.is_grad_enabled(), since))
            return [None if node is None else next(found) for node in ends]  # None: no leaf any more

        return pull

    def attached(self, tensors: Sequence[Tensor], leaves: Sequence[Any]) -> list[Tensor]:
        """A replay's results, with nodes that the backward pass goes through."""
        kept = [_core._Kept(x) if isinstance(x, Tensor) else x for x in leaves]
        version = self.program._versions()
        inputs = [x for x, on in zip(leaves, self.watched, strict=True) if on] + self.captured

        def rule_of(i: int) -> Callable[[Tensor], Any]:
            return lambda g: self._gradients(i, g, kept, version)

        made = list(tensors)
        for i in self.wanted:
            made[i] = _core._record_rule("compile", tensors[i], inputs, rule_of(i))
        return made

    def _gradients(self, i: int, g: Tensor, kept: list[Any], version: int) -> Any:
        if self.program._versions() != version:
            raise _core.GradientError(
                "compile: a tensor that the compiled function reads was written in place after the call, so its "
                "gradient there is lost; call backward() before the update"
            )
        leaves = [x.get("compile") if isinstance(x, _core._Kept) else x for x in kept]
        return self.pull(i, g, *leaves)


def _node_of(thing: Any) -> Node | None:
    """The place in the graph of a tensor, or of a node itself."""
    return _core._node_of(thing) if isinstance(thing, Tensor) else thing
