"""Averages of weights: exponential ones during training, and the mean of several sets of weights.

References:
    Polyak and Juditsky 1992, doi:10.1137/0330046; Izmailov et al. 2018, "Averaging weights leads to wider optima and
    better generalization", arXiv:1803.05407.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from steep import _core, tree
from steep._core import Tensor
from steep.instances import instance
from steep.optim.optimizer import copy_of
from steep.reals import real
from steep.tree import Tree


def update(averages: Sequence[Tensor], params: Sequence[Tensor], decay: float) -> None:
    """``average = decay * average + (1 - decay) * parameter``, in place.

    Args:
        averages: the averages.
        params: the parameters.
        decay: the decay.

    Example:
        >>> average = sp.tensor([0.0])
        >>> sp.optim.averaging.update([average], [sp.tensor([4.0])], 0.75)
        >>> average.tolist()
        [1.0]
    """
    with _core.no_grad():
        for average, param in zip(averages, params, strict=True):
            average *= decay
            average += param.detach() * (1 - decay)


def write(params: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Writes values into parameters.

    Args:
        params: the parameters.
        values: tensors of their shapes.

    Example:
        >>> w = sp.tensor([0.0])
        >>> sp.optim.averaging.write([w], [sp.tensor([4.0])])
        >>> w.tolist()
        [4.0]
    """
    with _core.no_grad():
        for param, value in zip(params, values, strict=True):
            param[...] = value


class EMA:
    """An exponential moving average of parameters: call ``update`` after each step.

    Args:
        params: a tree of tensors.
        decay: weight of the average before, in [0, 1).

    Raises:
        TypeError: if one of params is no tensor.
        ValueError: for another decay.

    Example:
        >>> w = sp.tensor([0.0])
        >>> ema = sp.optim.EMA([w], decay=0.75)
        >>> w[...] = 4.0
        >>> ema.update()
        >>> with ema.averaged():
        ...     w.tolist()
        [1.0]
        >>> w.tolist()
        [4.0]
    """

    def __init__(self, params: Tree, decay: float = 0.999) -> None:
        if not 0 <= real("EMA: decay", decay) < 1:
            raise ValueError(f"EMA: decay must lie in [0, 1), got {decay}")
        self.params = [instance("EMA: every one of params", leaf, Tensor) for leaf in tree.leaves(params)]
        self.decay = decay
        self.averages = [copy_of(param.detach()) for param in self.params]

    def update(self) -> None:
        """Includes the present parameters."""
        update(self.averages, self.params, self.decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their averages; a context manager."""
        now = [copy_of(param.detach()) for param in self.params]
        write(self.params, self.averages)
        try:
            yield
        finally:
            write(self.params, now)

    def state_dict(self) -> dict[str, Any]:
        """The averages.

        Returns:
            A dict of tensors.
        """
        return {"averages": [copy_of(average) for average in self.averages]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` returned.

        Args:
            state: the state.
        """
        write(self.averages, state["averages"])
