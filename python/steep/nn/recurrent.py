"""Recurrent layers, with the arguments, the names of parameters and the values of PyTorch's.

What differs between the kinds is in class attributes: how many gates and states there are, and the step, which is in
``recurrence.py``. Start reading at ``_Layers.forward``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from steep import _core
from steep._core import Tensor
from steep.integers import sizes
from steep.nn import functional, init
from steep.nn.module import Module
from steep.nn.recurrence import State, gru_step, lstm_step, rnn_step, scan
from steep.random import Generator
from steep.reals import real

ACTIVATIONS = {"tanh": _core.tanh, "relu": _core.relu}


class _Recurrent(Module):
    """What layers and cells share: their parameters, and how a state is given and returned.

    A state is one tensor, or a pair of them for an LSTM.
    """

    input_size: int
    hidden_size: int
    gates = 1
    states = 1
    step: Callable[..., State] = staticmethod(rnn_step)
    nonlinearity: str | None = None

    def _add_parameters(self, suffix: str, inputs: int, bias: bool, source: Generator, dtype: Any) -> None:
        """Those of one direction of one layer, uniform in [-1/sqrt(hidden), 1/sqrt(hidden))."""
        rows, bound = self.gates * self.hidden_size, 1 / math.sqrt(max(1, self.hidden_size))
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.hidden_size)}
        if bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            setattr(self, name + suffix, init.uniform(shape, bound, source, dtype))

    def _projected(self, x: Tensor, suffix: str) -> Tensor:
        """What the inputs contribute to the gates, all elements of a sequence at once."""
        return functional.linear(x, getattr(self, "weight_ih" + suffix), getattr(self, "bias_ih" + suffix, None))

    def _step(self, suffix: str) -> Callable[[Tensor, State], State]:
        weight, bias = getattr(self, "weight_hh" + suffix), getattr(self, "bias_hh" + suffix, None)
        options = {"activation": ACTIVATIONS[self.nonlinearity]} if self.nonlinearity else {}
        return functools.partial(type(self).step, weight=weight, bias=bias, **options)

    def _checked_state(self, given: Any, shape: tuple[int, ...], x: Tensor) -> State:
        """Zeros for None."""
        if given is None:
            return (_core.zeros(shape, dtype=x.dtype),) * self.states
        parts = (given,) if self.states == 1 else tuple(given) if isinstance(given, (tuple, list)) else ()
        if len(parts) != self.states:
            raise TypeError(f"{type(self).__name__}: the state is a pair of tensors, (h, c)")
        tensors = tuple(_core.asarray(part) for part in parts)
        for tensor in tensors:
            if tensor.shape != shape:
                raise ValueError(f"{type(self).__name__}: a state has the shape {tensor.shape}; it must be {shape}")
        return tensors

    def _returned(self, state: State) -> Any:
        return state if self.states > 1 else state[0]

    def _check_input(self, x: Tensor, dims: tuple[int, int], what: str) -> None:
        if x.ndim not in dims or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: the input has the shape {x.shape}; it must be {what} with "
                f"{self.input_size} features"
            )


class _Layers(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        self.input_size, self.hidden_size, self.num_layers = sizes(
            type(self).__name__, 1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        self.batch_first, self.bidirectional = bool(batch_first), bool(bidirectional)
        self.dropout = real(f"{type(self).__name__}: dropout", dropout, 0, 1)
        source = init.generator(generator)
        if self.dropout:
            self.generator = source
        for layer in range(self.num_layers):
            inputs = self.input_size if layer == 0 else self.hidden_size * len(self._directions)
            for direction in self._directions:
                self._add_parameters(f"_l{layer}{direction}", inputs, bias, source, dtype)

    @property
    def _directions(self) -> tuple[str, ...]:
        """What the names of their parameters end in."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        """Applies the layers to sequences.

        Args:
            x: a tensor (L, N, input_size), or (N, L, input_size) if ``batch_first``; (L, input_size) for one sequence.
            state: the first state, a tensor (num_layers * directions, N, hidden_size), for an LSTM a pair (h, c) of
                them, without N for one sequence; zeros if None.
            lengths: how many elements of each sequence count, integers (N,) in [0, L], which is checked unless they are
                a tensor; all if None. Beyond them the state stays as it is and the output is zero, as for PyTorch's
                packed sequences.

        Returns:
            The output of the last layer at every element, shaped as x, with hidden_size * directions features, and the
            last state, shaped as ``state``.

        Raises:
            ValueError: for an input, a state or lengths of another shape, an empty sequence, or lengths outside [0, L].
        """
        x = _core.asarray(x)
        name = type(self).__name__
        self._check_input(x, (2, 3), "(N, L, features)" if self.batch_first else "(L, N, features)")
        alone, swapped = x.ndim == 2, self.batch_first and x.ndim == 3
        x = _core.expand_dims(x, 1) if alone else _core.swapaxes(x, 0, 1) if swapped else x
        if x.shape[0] == 0:
            raise ValueError(f"{name}: a sequence is empty; it needs one element at least")
        lengths = _checked_lengths(name, lengths, x)
        count = self.num_layers * len(self._directions)
        shape = (count, self.hidden_size) if alone else (count, x.shape[1], self.hidden_size)
        first = self._checked_state(state, shape, x)
        states = zip(*(_core.unstack(_core.expand_dims(s, 1) if alone else s) for s in first), strict=True)
        y, last = self._run(x, list(states), lengths)
        final = tuple(_core.stack([s[k] for s in last]) for k in range(self.states))
        if alone:
            return _core.squeeze(y, 1), self._returned(tuple(_core.squeeze(s, 1) for s in final))
        return _core.swapaxes(y, 0, 1) if swapped else y, self._returned(final)

    def _run(self, x: Tensor, states: list[State], lengths: Any) -> tuple[Tensor, list[State]]:
        """All layers, one after the other; the last states, of each layer in each direction."""
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in self._directions:
                suffix = f"_l{layer}{direction}"
                inputs = self._projected(x, suffix)
                output, state = scan(self._step(suffix), inputs, states[len(last)], lengths, direction == "_reverse")
                outputs.append(output)
                last.append(state)
            x = _core.concat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.generator, self.training)
        return x, last

    def extra_repr(self) -> str:
        """Sizes, and what differs from the defaults."""
        defaults = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        other = [f"{key}={getattr(self, key)}" for key, value in defaults.items() if getattr(self, key) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *other])


def _checked_lengths(name: str, lengths: Any, x: Tensor) -> Any:
    """Lengths as integers (N,), whose values are checked unless a tensor holds them: a program may be given others."""
    if lengths is None:
        return None
    given = lengths if isinstance(lengths, Tensor) else np.asarray(lengths)
    kind = given.dtype.kind
    if kind not in "iu" or tuple(given.shape) != (x.shape[1],):
        raise ValueError(
            f"{name}: lengths are {given.dtype}{tuple(given.shape)}; they must be integers ({x.shape[1]},)"
        )
    if isinstance(given, np.ndarray) and given.size and (given.min() < 0 or given.max() > x.shape[0]):
        raise ValueError(f"{name}: lengths lie in [{given.min()}, {given.max()}]; they must lie in [0, {x.shape[0]}]")
    return _core.asarray(given)


class RNN(_Layers):
    """Elman's recurrent network: ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)`` along a sequence, in layers.

    Parameters have the names and shapes of PyTorch's: ``weight_ih_l0`` (hidden_size, input_size), ``weight_hh_l0``
    (hidden_size, hidden_size), ``bias_ih_l0`` and ``bias_hh_l0`` (hidden_size,), then those of layer 1; ``_reverse``
    follows in the names of the other direction.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        num_layers: how many layers, each of which reads the one before.
        nonlinearity: "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension, before the sequence.
        dropout: the probability of dropout on the output of every layer but the last, in [0, 1].
        bidirectional: whether a second set of parameters goes through the sequence from its end.
        generator: source of the initial values and of dropout, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1, a dropout outside [0, 1], or another nonlinearity.

    References:
        Elman 1990, "Finding structure in time", Cognitive Science 14.

    Example:
        >>> output, h = sp.nn.RNN(4, 3, generator=0)(sp.ones((5, 2, 4)))
        >>> output.shape, h.shape
        ((5, 2, 3), (1, 2, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = _checked_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            generator=generator, dtype=dtype,
        )  # fmt: skip


def _checked_nonlinearity(name: str, given: str) -> str:
    if given not in ACTIVATIONS:
        raise ValueError(f'{name}: nonlinearity is "{given}"; it must be "tanh" or "relu"')
    return given


class LSTM(_Layers):
    """Long short-term memory along a sequence, in layers.

    Its gates are i, f, g and o: ``c = sigmoid(f) * c + sigmoid(i) * tanh(g)``, ``h = sigmoid(o) * tanh(c)``, each
    ``W_ih x + b_ih + W_hh h + b_hh``. Parameters have the names and shapes of PyTorch's: ``weight_ih_l0``
    (4 * hidden_size, input_size) holds the four one after the other, as do ``weight_hh_l0``, ``bias_ih_l0`` and
    ``bias_hh_l0``. There are no projections (PyTorch's proj_size).

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        num_layers: how many layers, each of which reads the one before.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension, before the sequence.
        dropout: the probability of dropout on the output of every layer but the last, in [0, 1].
        bidirectional: whether a second set of parameters goes through the sequence from its end.
        generator: source of the initial values and of dropout, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1, or a dropout outside [0, 1].

    References:
        Hochreiter and Schmidhuber 1997, "Long short-term memory", Neural Computation 9; the gate f: Gers et al. 2000.

    Example:
        >>> output, (h, c) = sp.nn.LSTM(4, 3, generator=0)(sp.ones((5, 2, 4)))
        >>> output.shape, h.shape, c.shape
        ((5, 2, 3), (1, 2, 3), (1, 2, 3))
    """

    gates = 4
    states = 2
    step = staticmethod(lstm_step)


class GRU(_Layers):
    """Gated recurrent units along a sequence, in layers.

    ``h = n + sigmoid(z) * (h - n)`` with ``n = tanh(W_in x + b_in + sigmoid(r) * (W_hn h + b_hn))``. Parameters have
    the names and shapes of PyTorch's: ``weight_ih_l0`` (3 * hidden_size, input_size) holds r, z and n one after the
    other, as do ``weight_hh_l0``, ``bias_ih_l0`` and ``bias_hh_l0``.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        num_layers: how many layers, each of which reads the one before.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension, before the sequence.
        dropout: the probability of dropout on the output of every layer but the last, in [0, 1].
        bidirectional: whether a second set of parameters goes through the sequence from its end.
        generator: source of the initial values and of dropout, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1, or a dropout outside [0, 1].

    References:
        Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", arXiv:1406.1078.

    Example:
        >>> output, h = sp.nn.GRU(4, 3, generator=0)(sp.ones((5, 2, 4)))
        >>> output.shape, h.shape
        ((5, 2, 3), (1, 2, 3))
    """

    gates = 3
    step = staticmethod(gru_step)


class _Cell(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        self.input_size, self.hidden_size = sizes(
            type(self).__name__, 1, input_size=input_size, hidden_size=hidden_size
        )
        self._add_parameters("", self.input_size, bias, init.generator(generator), dtype)

    def forward(self, x: Any, state: Any = None) -> Any:
        """Computes the next state.

        Args:
            x: a tensor (N, input_size), or (input_size,) for one input.
            state: a tensor (N, hidden_size), for an LSTM a pair (h, c) of them, without N for one input; zeros if None.

        Returns:
            The next state, shaped as ``state``.

        Raises:
            ValueError: for an input or a state of another shape.
        """
        x = _core.asarray(x)
        self._check_input(x, (1, 2), "(N, features)")
        state = self._checked_state(state, (*x.shape[:-1], self.hidden_size), x)
        return self._returned(self._step("")(self._projected(x, ""), state))

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class RNNCell(_Cell):
    """One step of ``RNN``: ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        generator: source of the initial values, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1, or another nonlinearity.

    Example:
        >>> sp.nn.RNNCell(4, 3, generator=0)(sp.ones((2, 4))).shape
        (2, 3)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        generator: Generator | int | None = None,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = _checked_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, generator=generator, dtype=dtype)


class LSTMCell(_Cell):
    """One step of ``LSTM``, from (h, c) to the next.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        generator: source of the initial values, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1.

    Example:
        >>> h, c = sp.nn.LSTMCell(4, 3, generator=0)(sp.ones((2, 4)))
        >>> h.shape, c.shape
        ((2, 3), (2, 3))
    """

    gates = 4
    states = 2
    step = staticmethod(lstm_step)


class GRUCell(_Cell):
    """One step of ``GRU``.

    Args:
        input_size: number of input features.
        hidden_size: number of features of the state.
        bias: whether there are biases.
        generator: source of the initial values, a ``Generator`` or a seed; that of ``nn.init`` if None.
        dtype: dtype of the parameters; float32 if None.

    Raises:
        TypeError: for a size that is no integer.
        ValueError: for a size below 1.

    Example:
        >>> sp.nn.GRUCell(4, 3, generator=0)(sp.ones((2, 4))).shape
        (2, 3)
    """

    gates = 3
    step = staticmethod(gru_step)
