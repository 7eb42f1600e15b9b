"""GradientTape with TensorFlow's methods: operations inside are recorded, then gradients are requested from the tape.

A tape stores where in the order of recording it began, and puts its own node above every tensor it watches. What ran
before the tape is constant. Tapes nest: the gradient of an inner tape is recorded by an outer one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from steep import _core, tree
from steep._core import Tensor
from steep.tree import Tree


class _Tapes(threading.local):
    """Number of tapes recording on this thread."""

    recording = 0


_tapes = _Tapes()


class GradientTape:
    """Records the operations inside its ``with`` block on the tensors it watches, as TensorFlow's.

    Args:
        persistent: whether ``gradient`` may be called more than once.
        watch_accessed_variables: whether tensors with ``requires_grad`` are watched automatically.

    Example:
        >>> x = sp.tensor(3.0)
        >>> with sp.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).item()
        6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self.watch_accessed_variables = watch_accessed_variables
        self._watched: list[tuple[Tensor, Any]] = []
        self._since = 0
        self._entered = self._used = self._stopped = False

    def __enter__(self) -> GradientTape:
        if self._entered:
            raise _core.GradientError(
                "GradientTape: this tape is recording already; make another one for the inner block"
            )
        self._start()
        self._since, self._used = _core._sequence(), False
        return self

    def __exit__(self, *exc: object) -> None:
        if self._entered:
            self._stop()
        for x, node in reversed(self._watched):
            _core._unwatch(x, node)

    def _start(self) -> None:
        self._entered = True
        _tapes.recording += 1
        self._before = _core._set_grad_enabled(True)

    def _stop(self) -> None:
        self._entered = False
        _tapes.recording -= 1
        _core._set_grad_enabled(self._before)

    def watch(self, tensors: Tree) -> None:
        """Records operations on these tensors from here on.

        Args:
            tensors: a tensor or a tree of them.

        Raises:
            GradientError: for tensors without gradients, or if the tape is not recording.
            TypeError: for a leaf that is not a tensor.
        """
        if not self._entered:
            raise _core.GradientError("GradientTape.watch: the tape is not recording; call it inside the with block")
        for x in tree.leaves(tensors):
            if not isinstance(x, Tensor):
                raise TypeError(
                    f"GradientTape.watch: needs tensors, got {type(x).__name__}; make one with steep.tensor(...)"
                )
            if not any(x is seen for seen, _ in self._watched):
                self._watched.append((x, _core._watch(x)))

    def watched_variables(self) -> list[Tensor]:
        """The tensors given to ``watch``, in order."""
        return [x for x, _ in self._watched]

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Operations inside are not recorded; a context manager."""
        before = _core._set_grad_enabled(False)
        try:
            yield
        finally:
            _core._set_grad_enabled(before)

    def reset(self) -> None:
        """Discards what was recorded and watched, and continues recording."""
        for x, node in reversed(self._watched):
            _core._unwatch(x, node)
        self._watched.clear()
        self._since = _core._sequence()

    def _node(self, source: Any) -> Any:
        if not isinstance(source, Tensor):
            raise TypeError(f"GradientTape.gradient: sources are tensors, got {type(source).__name__}")
        watched = next((node for x, node in self._watched if x is source or _same(x, source)), None)
        if watched is not None:
            return watched
        if source.is_leaf and source.requires_grad and not self.watch_accessed_variables:
            return None
        return _core._node_of(source)

    def _finish(self, verb: str) -> None:
        if self._used and not self.persistent:
            raise _core.GradientError(
                f"GradientTape.{verb}: a tape that is not persistent computes derivatives once; "
                f"use GradientTape(persistent=True)"
            )
        if self._entered and not self.persistent:
            self._stop()
        self._used = True

    def gradient(
        self, target: Tree, sources: Tree, output_gradients: Tree = None, unconnected_gradients: str = "none"
    ) -> Tree:
        """Gradients of the sum of the target's elements with respect to each source.

        Args:
            target: a tensor or a tree of them.
            sources: a tensor or a tree of them.
            output_gradients: weights of the target's elements, in its structure; ones if None.
            unconnected_gradients: what to return where there is no dependence: "none" or "zero".

        Returns:
            Gradients in the structure of ``sources``.

        Raises:
            GradientError: on a second call, unless the tape is persistent.
            ValueError: for another value of unconnected_gradients.
        """
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(f"unconnected_gradients is 'none' or 'zero', not {unconnected_gradients!r}")
        self._finish("gradient")
        leaves, shape = tree.flatten(sources)
        outputs = tree.leaves(target)
        seeds = tree.leaves(output_gradients) or [_core.ones_like(y.detach()) for y in outputs]
        found = self._walk(outputs, seeds, leaves, _tapes.recording > 0)
        if unconnected_gradients == "zero":
            found = [_core.zeros_like(x.detach()) if g is None else g for g, x in zip(found, leaves, strict=True)]
        return tree.unflatten(shape, found)

    def _walk(self, outputs: list[Tensor], seeds: list[Tensor], sources: list[Any], record: bool) -> list[Any]:
        nodes = [self._node(x) for x in sources]
        wanted = [n for n in nodes if n is not None]
        seeds = [_core.asarray(s) for s in seeds]
        found = iter(_core._walk_backward(outputs, seeds, wanted, record, self._since) if wanted else ())
        return [None if n is None else next(found) for n in nodes]

    def jacobian(self, target: Tensor, sources: Tree, unconnected_gradients: str = "none") -> Tree:
        """The Jacobian of the target with respect to each source.

        Args:
            target: a tensor.
            sources: a tensor or a tree of them.
            unconnected_gradients: "none" or "zero".

        Returns:
            Tensors (*target.shape, *source.shape) in the structure of ``sources``.

        Example:
            >>> x = sp.tensor([1.0, 2.0])
            >>> with sp.GradientTape() as tape:
            ...     tape.watch(x)
            ...     y = x * x
            >>> tape.jacobian(y, x).tolist()
            [[2.0, 0.0], [0.0, 4.0]]
        """
        self._finish("jacobian")
        leaves, shape = tree.flatten(sources)
        record = _tapes.recording > 0
        seeds = _core.reshape(_core.eye(target.size, dtype=target.dtype), (target.size, *target.shape))
        rows = [self._walk([target], [seed], leaves, record) for seed in seeds]
        blocks: list[Any] = []
        for i, x in enumerate(leaves):
            parts = [row[i] for row in rows]
            if all(p is None for p in parts):
                blocks.append(
                    None if unconnected_gradients == "none" else _core.zeros((*target.shape, *x.shape), dtype=x.dtype)
                )
                continue
            filled = [_core.zeros_like(x.detach()) if p is None else p for p in parts]
            blocks.append(_core.reshape(_core.stack(filled), (*target.shape, *x.shape)))
        return tree.unflatten(shape, blocks)

    def batch_jacobian(self, target: Tensor, source: Tensor) -> Tensor:
        """The Jacobian of each example of a batch.

        Example b of the target must depend on example b of the source alone; this is not checked.

        Args:
            target: a tensor (batch, ...).
            source: a tensor (batch, ...).

        Returns:
            A tensor (batch, *target.shape[1:], *source.shape[1:]).

        Raises:
            ValueError: if the batch sizes differ.
        """
        if target.ndim < 1 or source.ndim < 1 or target.shape[0] != source.shape[0]:
            raise ValueError(f"batch_jacobian: first axes differ: {target.shape} and {source.shape}")
        self._finish("batch_jacobian")
        record, inner = _tapes.recording > 0, target.shape[1:]
        count = target.size // max(1, target.shape[0])
        rows = []
        for seed in _core.reshape(_core.eye(count, dtype=target.dtype), (count, 1, *inner)):
            row = self._walk([target], [_core.broadcast_to(seed, target.shape)], [source], record)[0]
            rows.append(_core.zeros_like(source.detach()) if row is None else row)
        return _core.reshape(_core.stack(rows, axis=1), (target.shape[0], *inner, *source.shape[1:]))


def _same(a: Tensor, b: Tensor) -> bool:
    node = _core._node_of(a)
    return node is not None and node == _core._node_of(b)
