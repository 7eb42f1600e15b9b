"""Code as users write it, checked by mypy, as strict as it can be, in `make lint`, and run by test_stubs.py.

Calls in both of their ways, operators with numbers and arrays on either side, indices of every kind, and the names that
a first program uses. A line that a type checker refuses is a fault of the stubs.
"""

from __future__ import annotations

import numpy as np
import steep as sp
from steep import nn, optim, tree

x = sp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

# Sequences of integers, whole and spread.
shapes = [x.reshape(4), x.reshape(2, 2), x.reshape((2, 2)), x.reshape(-1, 1, copy=True), x.reshape(shape=(4,))]
shapes += [sp.reshape(x, 4, 1), sp.permute_dims(x, 1, 0), x.permute_dims((1, 0)), sp.permute_dims(x, axes=(1, 0))]
shapes += [sp.broadcast_to(x, (2, 2, 2)), x.broadcast_to(shape=(2, 2, 2)), x.broadcast_to(2, 2, 2)]
shapes += [x.tile(2, 1), x.tile((2, 1)), sp.tile(x, repetitions=2)]
made = sp.zeros(3, 4) + sp.ones(3, 4, dtype=sp.float64) + sp.empty((3, 4)) + sp.full((3, 4), 1.0) + sp.zeros(shape=4)

# Operators.
sums = [x.T @ x + 1 - 2 * x / 3**x, 1 - x, x + np.ones((2, 2)), np.ones((2, 2)) * x, -abs(x), x % 2, x // 2]
quotient, rest = divmod(x, 2)
flags = (x == 1) & (x != 2) | ~(x > 3) ^ (x <= 2)
numbers: tuple[float, int, bool] = (float(x.sum()), int(x.sum()), bool((x > 0).all()))
text = f"{x.sum():.3f}", round(x.sum(), 2), 3 in x, len(x)

# Indices.
parts = [x[0], x[:, 1], x[..., None], x[x > 0], x[[0, 1]], x[np.array([0, 1])], x[sp.tensor([0, 1])], x[0, 1]]
filled = sp.tensor(np.arange(4.0))
filled[0] = 3
filled[1:] = filled[:-1] * 2
filled[filled > 2] = sp.tensor(0.0)
filled += 1

# Functions.
joined = [sp.concat([x, x], axis=0), sp.stack((x, x)), sp.where(x > 0, x, 0), sp.clip(x, 0, 1), sp.clip(x, None, 1.0)]
products = sp.einsum("ij,jk->ik", x, x), sp.einsum("ij,jk->ik", (x, x)), sp.tensordot(x, x, 1)
halves: sp.Tensor = sp.split(x, 2, axis=1)[0]
converted = x.astype(sp.float64).astype("float32").astype(np.float32)
listed = x.detach().numpy().tolist()
reduced = x.max(axis=1), x.sum(axis=(0, 1), keepdims=True), x.mean(), x.std(axis=-1)
for row in x:
    print(row.shape, row[0].item())

# Differentiation.
loss, gradients = sp.value_and_grad(lambda p: (p["w"] ** 2).sum())({"w": x})
moved = tree.map(lambda p, d: p - 0.1 * d, {"w": x}, gradients)
with sp.GradientTape() as tape:
    tape.watch(filled)
    squares = (filled * filled).sum()
derivative = tape.gradient(squares, filled)
with sp.no_grad():
    noise = sp.random.Generator(0).normal((2, 2))


class Net(nn.Module):
    """A network with a layer and a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        self.scale = sp.ones(1, requires_grad=True)

    def forward(self, x: sp.Tensor) -> sp.Tensor:
        y: sp.Tensor = self.layer(x)
        return y * self.scale


net = Net()
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(2):
    optimizer.zero_grad()
    error = ((net(x) - 1) ** 2).mean()
    error.backward()
    optimizer.step()
if x.grad is not None:
    print(x.grad.numpy().shape, sum(p.size for p in net.parameters()), dict(net.named_parameters()).keys())


@sp.compile
def step(t: sp.Tensor) -> sp.Tensor:
    """Compiled."""
    y: sp.Tensor = net(t)
    return (y * 2).sum()


result: sp.Tensor = step(x)
