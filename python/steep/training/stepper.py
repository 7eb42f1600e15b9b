"""One optimiser step from the shards of a batch: gradients added in a tree, clipped, and averages of the weights.

The loop calls an optimiser's ``advance`` once per step; a ``Stepper`` is one that computes the batch shard by shard,
here and on other ranks, and passes the sum to the optimiser of the run. Start reading at ``advance``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from steep import nn, optim
from steep._core import Tensor
from steep.distributed import Fold, World
from steep.optim.optimizer import Evaluate, Gradients, Optimizer, Product, copy_of
from steep.training.batches import Batches, key
from steep.training.recipe import Recipe


def _added(totals: list[Any], terms: list[Any]) -> list[Any]:
    return [total + term for total, term in zip(totals, terms, strict=True)]


def _one_or_both(sums: tuple[Any, ...]) -> Any:
    return sums[0] if len(sums) == 1 else sums


class Stepper(Optimizer):
    """The optimiser of a run, given the gradients of whole batches, clipped; and averages of the weights.

    Args:
        inner: the optimiser of the run.
        model: the model, whose statistics and generators belong to the step too.
        batches: the batches.
        recipe: shards, ``clip`` and ``ema``.
        measured: a tensor that the loss writes besides its value, averaged over shards too.
        world: the ranks that share the shards.
    """

    def __init__(
        self, inner: Optimizer, model: nn.Module, batches: Batches, recipe: Recipe, measured: Tensor, world: World
    ) -> None:
        super().__init__(inner.params, 0.0)
        self.inner, self.batches, self.recipe, self.world = inner, batches, recipe, world
        self.order = inner.order
        self._statistics = [t for _, t in model.named_statistics() if t.dtype.kind == "f"]
        self._counters = [t for _, t in model.named_statistics() if t.dtype.kind != "f"]
        self._generators = [generator for _, generator in model.named_generators()]
        self._measured = measured
        self.averages = None if recipe.ema is None else [copy_of(p.detach()) for p in self.params]

    @property
    def converged(self) -> str:  # type: ignore[override]
        """Why the last step found the tolerances met, "" if it did not."""
        return self.inner.converged

    def advance(
        self,
        evaluate: Evaluate,
        update: Callable[[Gradients], None] | None = None,
        product: Product | None = None,
    ) -> Any:
        """One step.

        Args:
            evaluate: returns the loss of the shard that is shown, and its gradients.
            update: replaces ``apply_gradients``.
            product: products with the Hessian, for optimisers of order 2.

        Returns:
            The loss of the whole batch.
        """
        loss = self.inner.advance(lambda: self._whole(evaluate), update or self._apply, product)
        self.steps += 1
        if self.averages is not None:
            optim.averaging.update(self.averages, self.params, float(self.recipe.ema or 0.0))
        return loss

    def _apply(self, gradients: Gradients) -> None:
        self.inner._apply([sum(g[1:], g[0]) if isinstance(g, tuple) else g for g in gradients])

    def _whole(self, evaluate: Evaluate) -> tuple[Any, Gradients]:
        loss, gradients = evaluate() if self.recipe.shards == 1 else self._sharded(evaluate)
        if self.recipe.clip is not None:
            gradients = optim.gradients.clip_norm(gradients, self.recipe.clip)
        return loss, gradients

    def _sharded(self, evaluate: Evaluate) -> tuple[Any, Gradients]:
        """Means over the shards: sums of a loss, and of its gradients, that are each shard's share of the mean."""
        fold, used = Fold(self.recipe.shards, self._adds_halves), [False]
        before, counted = [copy_of(t) for t in self._statistics], [copy_of(t) for t in self._counters]
        with self._drawing():
            for shard in self.batches.shards:
                self._prepare(shard, before, counted)
                used = self._add_shard(fold, shard, evaluate)
        sums = fold.halves() if self._adds_halves else [self.world.total(fold)]
        small = len(self._statistics) + 2
        loss, measured, *statistics = functools.reduce(_added, [half[:small] for half in sums])
        self._measured[...] = measured
        for mine, mean in zip(self._statistics, statistics, strict=True):
            mine[...] = mean
        rest = iter(zip(*(half[small:] for half in sums), strict=True))
        return loss, [_one_or_both(next(rest)) if there else None for there in used]

    def _add_shard(self, fold: Fold, shard: int, evaluate: Evaluate) -> list[bool]:
        """Adds a shard's loss, what it measures and its gradients; to those of its neighbour where these wait."""
        waiting, share = fold.take(shard), 1 / self.recipe.shards
        small = len(self._statistics) + 2
        loss, gradients = evaluate(share) if waiting is None else evaluate(share, waiting[small:])
        found = [loss, *(value * share for value in (self._measured, *self._statistics))]
        if waiting is not None:
            found = _added(waiting[:small], found)
        fold.give(shard, [*found, *(g for g in gradients if g is not None)], pair=waiting is not None)
        return [g is not None for g in gradients]

    @property
    def _adds_halves(self) -> bool:
        """Whether the last sum of the tree is made in the pass that updates: where nothing else asks for the sum."""
        plain = self.inner.order == 1 and type(self.inner).advance is Optimizer.advance
        return plain and self.world.size == 1 and self.recipe.clip is None and self.recipe.shards > 1

    def _prepare(self, shard: int, before: list[Tensor], counted: list[Tensor]) -> None:
        """Shows the shard, and puts statistics and generators where each shard begins."""
        self.batches.show(shard)
        for mine, old in zip([*self._statistics, *self._counters], [*before, *counted], strict=True):
            mine[...] = old
        for generator in self._generators:
            generator.set_state({"seed": key(self._seeds[generator], self.batches.step, shard), "position": 0})

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Afterwards the generators of the model are where they were: each shard draws from keys of its own."""
        states = {generator: generator.state() for generator in self._generators}
        self._seeds = {generator: state["seed"] for generator, state in states.items()}
        try:
            yield
        finally:
            for generator, state in states.items():
                generator.set_state(state)

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimiser of the run, and the averages.

        Returns:
            A dict of tensors and plain values.
        """
        return {**self.inner.state_dict(), **({"averages": self.averages} if self.averages is not None else {})}

    def load_state_dict(self, state: Any) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        self.inner.load_state_dict(state)
        for mine, saved in zip(self.averages or [], state.get("averages", []), strict=True):
            mine[...] = saved

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their averages, if there are any."""
        if self.averages is None:
            yield
            return
        now = [copy_of(p.detach()) for p in self.params]
        optim.averaging.write(self.params, self.averages)
        try:
            yield
        finally:
            optim.averaging.write(self.params, now)
