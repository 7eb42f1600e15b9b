"""A compiled function does no more work than the same lines without it: bytes moved and operations, counted, not timed.

What ran is read from sp.profile(), for every op of the table, with its gradient, and for training steps of the layers
that people use. A program may read and write once more what it gives away, results and gradients: a value that does not
depend on its arguments was computed while it was recorded, and is copied out. Start reading at no_more_work.
"""

import sys
from pathlib import Path

import numpy as np
import optable
import pytest
import steep as sp
from steep import nn
from steep.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import ops as bench

ELEMENTS = 3000
ROWS = {row.name: row for row in reversed(optable.OPS)}
NO_PROGRAM = {"nonzero"}  # its result has another shape for other values


SMALL = (
    0.005  # of the bytes: numbers of a few elements, such as a layer's count of batches, are copied as they are kept
)


def work_of(function, *args):
    """The operations of a call, and the bytes of what it returns."""
    with sp.profile() as p:
        result = function(*args)
    returned = sum(t.nbytes for t in sp.tree.leaves(result) if isinstance(t, sp.Tensor))
    return [one for event in p.events for one in event.operations], {event.phase for event in p.events}, returned


def no_more_work(function, *args, given=0):
    """Asserts it of a function that may be called again and again; `given`: bytes of the .grads that it sets."""
    compiled = sp.compile(function)
    compiled(*args)
    (eager, _, returned), (found, phases, _) = work_of(function, *args), work_of(compiled, *args)
    assert phases <= {"compiled"}
    names = [one.name for one in found]
    before, after = (sum(one.nbytes for one in each) for each in (eager, found))
    assert after <= (1 + SMALL) * before + 2 * (returned + given), (before, after, names)
    before, after = (sum(one.flops for one in each) for each in (eager, found))
    assert after <= before, (before, after, names)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("name", sorted(ROWS.keys() - NO_PROGRAM))
def test_of_every_op(name, backward):
    case = bench.scaled(ROWS[name], ELEMENTS)
    if backward and not bench.is_differentiable(ROWS[name], case):
        pytest.skip("it has no gradient")
    _, leaves = bench.arguments(ROWS[name], case, backward)
    no_more_work(bench.step_of(ROWS[name], case, backward), given=sum(leaf.nbytes for leaf in leaves))


def images(channels, size, batch=4):
    return np.random.default_rng(0).standard_normal((batch, channels, size, size)).astype(np.float32)


def rows(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def convolutions(norm):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, generator=0), norm(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2, generator=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(16, 5, generator=2),
    )  # fmt: skip


class Residual(nn.Module):
    """A block of a residual network."""

    def __init__(self):
        self.first = nn.Conv2d(6, 6, 3, padding=1, bias=False, generator=0)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5, generator=1)

    def forward(self, x):
        return self.head(sp.relu(self.norm(self.first(x)) + x).mean(axis=(2, 3)))


class Transformer(nn.Module):
    """A block of a transformer, all of whose projections come from one product."""

    def __init__(self, width=24, heads=3):
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, generator=0), nn.Linear(width, width, generator=1)
        self.wide, self.narrow = nn.Linear(width, 4 * width, generator=2), nn.Linear(4 * width, width, generator=3)
        self.head = nn.Linear(width, 5, generator=4)

    def attend(self, x):
        b, n, width = x.shape
        parts = self.qkv(x).reshape((b, n, 3, self.heads, width // self.heads))
        q, k, v = (parts[:, :, i].permute_dims((0, 2, 1, 3)) for i in range(3))
        y = sp.attention(q, k, v, causal=True)
        return self.out(y.permute_dims((0, 2, 1, 3)).reshape((b, n, width)))

    def forward(self, x):
        x = x + self.attend(self.before(x))
        x = x + self.narrow(sp.gelu(self.wide(self.after(x))))
        return self.head(x.mean(axis=1))


class Words(nn.Module):
    """Embedded integers, and a product with the same weights, transposed."""

    def __init__(self):
        self.table = nn.Embedding(11, 8, generator=0)

    def forward(self, x):
        return (self.table(x).mean(axis=1) @ self.table.weight.mT)[:, :5]


MODELS = {
    "nn.Linear": (
        lambda: nn.Sequential(nn.Linear(40, 30, generator=0), nn.Tanh(), nn.Linear(30, 5, generator=1)),
        rows(8, 40),
    ),
    "batch norm": (lambda: convolutions(nn.BatchNorm2d), images(3, 12)),
    "group norm": (lambda: convolutions(lambda n: nn.GroupNorm(2, n)), images(3, 12)),
    "residual": (Residual, images(6, 9)),
    "transformer": (Transformer, rows(3, 7, 24)),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(9, 12, generator=0), nn.Dropout(generator=1), nn.Linear(12, 5, generator=2)),
        rows(6, 9),
    ),
    "embedding": (Words, np.random.default_rng(0).integers(0, 11, (4, 6))),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 5, 2, 2, generator=0), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        images(2, 5),
    ),
}
OPTIMISERS = {
    "SGD": lambda p: sp.optim.SGD(p, lr=0.1),
    "momentum": lambda p: sp.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "Adam": lambda p: sp.optim.Adam(p, lr=0.01),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", MODELS)
def test_of_training_steps(name, optimiser):
    make, x = MODELS[name]
    model, x = make(), sp.tensor(x)
    update, labels = OPTIMISERS[optimiser](model.parameters()), np.arange(len(x)) % 5

    def step(x):
        update.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        update.step()
        return loss.detach()

    step(x)  # the optimiser's first step makes its state
    no_more_work(step, x)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"embedding"}))
def test_of_gradients_with_respect_to_the_input(name):
    make, x = MODELS[name]
    model = make().eval()
    no_more_work(lambda x: sp.grad(lambda x: model(x)[:, 1].sum())(x), sp.tensor(x))
