"""``compile``: record a whole step once, then replay it in C++ without Python.

The first call runs the function and writes down every operation; later calls with tensors of the same layouts replay
that program. What it depends on besides is guarded: Python values among the arguments, all that the function can reach
(reach.py), and what optimisers tell (active.py). Start reading at ``Compiled._call``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from steep import _core, tree
from steep._core import Tensor
from steep.compiling.active import PLAIN, active
from steep.compiling.gradient import Graph

if TYPE_CHECKING:
    from steep.compiling.reach import Reach

NONE, ONE, TUPLE, TREE = range(4)
MOST_RECORDINGS = 32


class _Entry(NamedTuple):
    """A recorded call: the structure of its arguments, and how its results are put together."""

    structure: tree.Structure
    recording: Any
    program: Any
    shape: int
    build: Callable[[tuple[Tensor, ...], Sequence[Any]], Any]
    free: list[bool]  # which leaves are tensors that a call may exchange for others
    capture: Any  # of functions that are verified, or that have a `relaxed`
    texts: list[str]  # the leaves, for messages
    # Where operations read NumPy arrays: the recording without guards for these arrays, until a change shows that the
    # program stays the same. It would not if Python read them too.
    relaxed: Any = None

    def replayed(self, leaves: list[Any]) -> tuple[Any] | None:
        """What the function returns; None if these arguments or guarded values need another program."""
        tensors = self.recording.run(leaves)
        return None if tensors is None else (self.build(tensors, leaves),)


class Compiled(_core.CompiledBase):
    """A function that is recorded at its first call and replayed at the next ones; see ``compile``."""

    def __init__(self, function: Callable[..., Any], verify: bool = False) -> None:
        self._function = function
        self._verify = verify
        self._entries: list[_Entry] = []
        if hasattr(function, "__name__"):
            update_wrapper(self, function, updated=())  # a wrapper of a compiled function has that one's attributes
        self.__wrapped__ = function

    @property
    def program(self) -> Any:
        """The program recorded last; print it to read it. Raises CompileError before the first call."""
        if not self._entries:
            raise _core.CompileError("compile: nothing is recorded yet; call the function first")
        return self._entries[-1].program

    @property
    def programs(self) -> list[Any]:
        """All programs, one for each kind of arguments and guarded values so far."""
        return [entry.program for entry in self._entries]

    def __repr__(self) -> str:
        count = len(self._entries)
        name = getattr(self._function, "__qualname__", self._function)
        return f"<compiled {name!s}: {count or 'no'} program{'' if count == 1 else 's'}>"

    def _repr_html_(self) -> str:
        return escape(repr(self)) + "".join(program._repr_html_() for program in self.programs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that the last program does not fit: another program, or a new one."""
        if _core._is_recording() or _core._is_watching():
            return self._function(*args, **kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        leaves = [_core.asarray(leaf) if hasattr(leaf, "__array_interface__") else leaf for leaf in leaves]
        for entry in reversed(self._entries):
            if entry.structure != structure:
                continue
            tried = self._verified(entry, leaves) if self._verify else entry.replayed(leaves)
            if tried is not None:
                self._use_next(entry)
                return tried[0]
        return self._record(leaves, structure)

    def _use_next(self, entry: _Entry) -> None:
        """Calls of leaves alone try this entry first, without coming here."""
        if _is_flat(entry.structure) and not self._verify:
            self._use(entry.recording, entry.shape, entry.build)

    def _record(self, leaves: list[Any], structure: tree.Structure) -> Any:
        from steep.compiling.reach import Reach  # here, because it is slow to import and only recordings need it

        texts = [_text(x) for x in leaves]
        self._check_number(texts)
        reach = Reach(self._function, leaves)
        with _undone(reach.undo):
            return self._recorded(leaves, structure, reach, texts)

    def _recorded(self, leaves: list[Any], structure: tree.Structure, reach: Reach, texts: list[str]) -> Any:
        free = [isinstance(x, Tensor) and not reach.holds(x) for x in leaves]
        graph = Graph(self._function, structure, leaves, compile) if _core.is_grad_enabled() else None
        run = self._captured(leaves, structure, free)
        with _undone(run.capture.undo):
            program = run.capture.program(False)
            guards, arrays = reach.kept(program)
            if not self._verify:  # which runs the function again and compares
                reach.check_states()
        wanted = [None if is_free else (x,) for x, is_free in zip(leaves, free, strict=True)]
        watched = [isinstance(x, Tensor) and x.requires_grad for x in leaves]
        recording = _core._Recording(program, wanted, watched, run.guards + guards + arrays, run.refresh)
        relaxed = None
        if arrays and all(isinstance(y, Tensor) for y in run.outputs):
            relaxed = _core._Recording(program, wanted, watched, run.guards + guards, run.refresh)
            run.capture.forget()
        shape, build = _shape_of(run.outputs, run.shape), _builder(run.outputs, run.shape)
        results = [x for x in run.outputs if isinstance(x, Tensor)]
        if graph is not None and graph.end(results, program) and graph.wanted:
            shape, build = TREE, _builder(run.outputs, run.shape, graph)
        elif graph is not None and graph.wanted:
            program._detach(graph.wanted)
            detached = [_core._detached(y) if i in graph.wanted else y for i, y in enumerate(results)]
            run = run._replace(result=build(tuple(detached), ()))
        if not self._relaxes(structure, run, leaves):
            capture = run.capture if self._verify or relaxed else None
            self._entries.append(_Entry(structure, recording, program, shape, build, free, capture, texts, relaxed))
            self._use_next(self._entries[-1])
        return run.result

    def _relaxes(self, structure: tree.Structure, run: _Run, leaves: list[Any]) -> bool:
        """Whether this run, after a change of arrays, repeats an earlier program, which then reads them each time."""
        for i, e in enumerate(self._entries):
            if e.relaxed is None or e.structure != structure or not e.relaxed.accepts(leaves):
                continue
            if e.capture.difference(run.capture):
                continue
            self._entries[i] = e._replace(
                recording=e.relaxed, relaxed=None, capture=e.capture if self._verify else None
            )
            self._use_next(self._entries[i])
            return True
        return False

    def _captured(self, leaves: list[Any], structure: tree.Structure, free: list[bool]) -> _Run:
        """One run of the function itself, written down."""
        given = [x for x, is_free in zip(leaves, free, strict=True) if is_free]
        capture = _core._Capture(given, keep=self._verify)
        active.guards, active.refresh = [], []
        try:
            with _undone(capture.undo):
                args, kwargs = tree.unflatten(structure, leaves)
                result = self._function(*args, **kwargs)
                outputs, shape = tree.flatten(result)
                capture.finish([x for x in outputs if isinstance(x, Tensor)])
            return _Run(capture, result, outputs, shape, active.guards, active.refresh)
        finally:
            capture.stop()
            active.guards, active.refresh = None, []

    def _verified(self, entry: _Entry, leaves: list[Any]) -> tuple[Any] | None:
        """The replay, what it changed put back, then the function itself; CompileError names what differs."""
        tensors = [x for x, is_free in zip(leaves, entry.free, strict=True) if is_free]
        if not entry.recording.accepts(leaves):
            return None
        before = _core._Snapshot(entry.program, tensors)
        replayed = [_bytes(x) for x in entry.recording.run(leaves) or ()]
        changed = before.now()
        before.restore()
        kept = entry.capture.program(True)
        kept._run(tensors)
        before.restore()
        run = self._captured(leaves, entry.structure, entry.free)
        if text := entry.capture.difference(run.capture) or run.capture.first_wrong(kept):
            raise _core.CompileError(f"compile: the replay differs from the function. {text}")
        plain = [_bytes(x) for x in run.outputs if isinstance(x, Tensor)]
        wrong = [str(i) for i, (a, b) in enumerate(zip(replayed, plain, strict=True)) if a != b]
        wrong += [name for (name, a), (_, b) in zip(changed, before.now(), strict=True) if a != b]
        if wrong:
            raise _core.CompileError(f"compile: the replay differs from the function in its results {wrong}")
        return (run.result,)

    def _check_number(self, texts: list[str]) -> None:
        if len(self._entries) < MOST_RECORDINGS:
            return
        last = self._entries[-1]
        changes = [
            f"argument {i} was {a} and is {b}"
            for i, (a, b) in enumerate(zip(last.texts, texts, strict=False))
            if a != b
        ]
        why = next(filter(None, (entry.recording.change() for entry in reversed(self._entries))), "")
        why = "; ".join(filter(None, [*changes[:2], why]))
        raise _core.CompileError(
            f"compile: {len(self._entries)} calls needed a program of their own"
            + (f"; the last change: {why}" if why else "")
            + ". Pass a number that changes from call to call as a 0-d tensor, a tensor that the function closes over "
            "as an argument, and tensors of few different shapes; a function among the arguments must be the same "
            "object every time"
        )


class _Run(NamedTuple):
    """A run of the function while it was recorded."""

    capture: Any
    result: Any
    outputs: list[Any]
    shape: tree.Structure
    guards: list[Any]
    refresh: list[Callable[[], None]]


@contextmanager
def _undone(undo: Callable[[], None]) -> Iterator[None]:
    """Calls ``undo`` where what is inside cannot be compiled, so that the function can run as if it never had."""
    try:
        yield
    except _core.CompileError:
        undo()
        raise


def _text(leaf: Any) -> str:
    """An argument in a message, briefly."""
    if isinstance(leaf, Tensor):
        return f"{leaf.dtype.name}{leaf.shape}{', which requires a gradient,' if leaf.requires_grad else ''}"
    return repr(leaf) if isinstance(leaf, PLAIN) else f"a {type(leaf).__name__} at {id(leaf):#x}"


def _bytes(x: Tensor) -> bytes:
    return x.detach().numpy().tobytes()


def _is_flat(structure: tree.Structure) -> bool:
    args, kwargs = structure.children
    return not kwargs.children and all(child == tree.LEAF for child in args.children)


def _shape_of(outputs: list[Any], shape: tree.Structure) -> int:
    if not outputs:
        return NONE if shape == tree.structure(None) else TREE
    if not all(isinstance(x, Tensor) for x in outputs):
        return TREE
    if shape == tree.LEAF:
        return ONE
    return TUPLE if shape == tree.structure(tuple(outputs)) else TREE


def _builder(
    outputs: list[Any], shape: tree.Structure, graph: Graph | None = None
) -> Callable[[tuple[Tensor, ...], Sequence[Any]], Any]:
    """From the tensors of a replay to what the function returned; other leaves stay what they were."""
    fixed = [None if isinstance(x, Tensor) else (x,) for x in outputs]

    def build(tensors: tuple[Tensor, ...], leaves: Sequence[Any]) -> Any:
        rest = iter(graph.attached(tensors, leaves) if graph else tensors)
        return tree.unflatten(shape, [next(rest) if kept is None else kept[0] for kept in fixed])

    return build


def compile(function: Callable[..., Any], verify: bool = False) -> Compiled:
    """``function``, recorded at its first call and then replayed without Python, without allocation.

    A step may be anything made of steep's operations: a forward pass, gradients by ``grad``, ``GradientTape`` or
    ``.backward()``, an optimiser's update, random draws from a ``Generator``, updates in place of tensors it closes
    over. Results equal those of the plain function bit for bit. Arguments are trees of tensors, arrays and plain
    values; a call with other layouts or values than before records another program, and so does a change of anything
    that the function's code can reach: variables, default arguments, attributes, containers, modules, arrays, other
    functions. docs/performance.md has the rule and its limits.

    Results have gradients as those of the plain function do, with respect to arguments and captured leaves, unless the
    function updates tensors in place, draws random numbers or calls ``backward()`` itself. What else a call does in
    Python, such as printing, happens while recording only.

    Args:
        function: any callable. Arguments that are not tensors select a program, one for each value.
        verify: whether to run the plain function beside every replay, and raise at the first difference.

    Returns:
        A ``Compiled``, called like ``function``; ``print(fast.program)`` shows the program recorded last.

    Raises:
        CompileError: at a call, where the function asks for the value of a tensor (``item``, ``bool``, ``numpy``),
            changes a variable, attribute, container or generator outside of it, or needs more than 32 programs. What
            such a run wrote in place, drew from steep's generators or set is put back, so the plain function may be
            called instead.

    Example:
        >>> fast = sp.compile(lambda x: (x * x).sum())
        >>> fast(sp.tensor([1.0, 2.0]))
        tensor(5., dtype=float32)
        >>> len(fast.programs)
        1
    """
    return Compiled(function, verify)
