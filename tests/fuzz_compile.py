"""Random programs, compiled and plain: ``python tests/fuzz_compile.py PROGRAMS SEED``.

A program is a list of statements, each of which picks operands that fit from what was computed before: arguments, a
tensor outside the function, views, results of products, all of which statements also write in place. Bits of results,
of arguments and of the tensor outside must be those of the plain function, for any number of threads, and results of
earlier calls must stay as they were. tests/compiling/test_compile_finish.py makes the short run; start at ``program``.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import steep as sp
from steep.nn import functional as F

Values = list[sp.Tensor]
UNARY: tuple[Callable[[sp.Tensor], sp.Tensor], ...] = (
    sp.exp, sp.tanh, sp.relu, sp.softmax, sp.cumsum, sp.square, sp.sign, sp.zeros_like, sp.logsumexp,
    lambda x: x.copy(), lambda x: x * 0.5, lambda x: 1 - x, lambda x: x.mT,
    lambda x: x.astype("float64").astype(x.dtype),
    lambda x: x.reshape(-1), lambda x: x[1:], lambda x: x[..., ::-1], lambda x: x[..., None].squeeze(-1),
    lambda x: x - x.mean(axis=-1, keepdims=True), lambda x: x.sum(axis=0), lambda x: x.max(axis=0) + x,
    lambda x: sp.broadcast_to(x.sum(), x.shape), lambda x: sp.concat([x, x * 2])[: x.shape[0]],
    lambda x: sp.stack([x, -x]).sum(axis=0), lambda x: F.layer_norm(x, (x.shape[-1],)),
    lambda x: x[sp.tensor(range(x.shape[0])[::-1])], lambda x: sp.sort(x), lambda x: x.argmax(axis=0).astype(x.dtype),
    lambda x: sp.attention(x, x, x) if x.ndim > 2 else sp.outer(x[0], x[0]),
    lambda x: F.batch_norm(x, None, None, training=True) if x.shape[0] > 1 else x,
)  # fmt: skip
BINARY: tuple[Callable[[sp.Tensor, sp.Tensor], sp.Tensor], ...] = (
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: sp.where(x > 0, y, x), sp.maximum,
)  # fmt: skip
SHAPES = ((3, 4), (1, 5), (8, 8), (2, 3, 4), (33, 16), (260, 257), (300, 300), (256, 512), (2, 130, 260))


def matrices(r: random.Random, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor | None:
    """A product of the two, either transposed, where there is one, small enough to be multiplied again."""
    fits = [
        (a, b)
        for a in (x, x.mT)
        for b in (y, y.mT)
        if a.shape[-1] == b.shape[-2] and (a.ndim == 2 or b.ndim == 2 or a.shape[0] == b.shape[0])
    ]
    if not fits:
        return None
    a, b = r.choice(fits)
    return a @ (b * 0.05) if r.random() < 0.5 else a @ b


def convolved(r: random.Random, x: sp.Tensor, y: sp.Tensor) -> sp.Tensor:
    """Of a picture, a channel at a time, with ReLU or without; in the shape of x."""
    picture = x.reshape(1, -1, x.shape[-2] if x.ndim > 2 else 1, x.shape[-1])
    channels = picture.shape[1]
    weight = y.reshape(-1)[: channels * 3]
    if weight.size < channels * 3:
        return x * 1
    found = F.conv2d(picture, weight.reshape(channels, 1, 1, 3), padding=(0, 1), groups=channels)
    return (sp.relu(found) if r.random() < 0.5 else found).reshape(x.shape)


def write(r: random.Random, x: sp.Tensor, y: sp.Tensor) -> None:
    """Writes x in place, whole or in part."""
    kind = r.randrange(5)
    if kind == 0:
        x += y
    elif kind == 1:
        x[...] = x * y
    elif kind == 2:
        x[...] = y
    elif kind == 3:
        x[: len(x) // 2] = y[len(x) - len(x) // 2 :]
    else:
        x *= 0.5


def statement(r: random.Random, values: Values, results: Values) -> None:
    """One line of the program. Operands of a kind that does not fit are passed over."""
    x, kind = r.choice(values), r.randrange(12)
    same = [v for v in values if v.shape == x.shape and v.dtype == x.dtype]
    y = r.choice(same)
    if kind < 3 and x.ndim and x.size:
        values.append(r.choice(UNARY)(x))
    elif kind == 3:
        values.append(r.choice(BINARY)(x, y))
    elif kind < 8 and x.ndim > 1:
        found = matrices(r, x, r.choice([v for v in values if v.ndim > 1]))
        fits = [v for v in values if found is not None and v.shape == found.shape]
        if found is not None and fits and kind > 4:
            to = r.choice(fits)
            values.append(r.choice(BINARY)(to, found)) if kind == 5 else write(r, to, found)
        elif found is not None:
            values.append(found)
    elif kind == 8 and x.ndim > 1 and x.size:
        values.append(convolved(r, x, y))
    elif kind == 9 and x.ndim:
        write(r, x, y)
    elif kind > 9:
        results.append(r.choice((x, x, x * 1)))


def program(seed: int, outside: sp.Tensor) -> Callable[..., list[sp.Tensor]]:
    """A function of tensors that does the same each time it is called."""

    def run(*arguments: sp.Tensor) -> list[sp.Tensor]:
        r, results = random.Random(seed), []
        values = [*arguments, outside, *(a * 1 for a in arguments)]
        for _ in range(r.randrange(3, 14)):
            statement(r, values, results)
        return [*results, values[-1]]

    def differentiated(*arguments: sp.Tensor) -> list[sp.Tensor]:
        def loss(*inner: sp.Tensor) -> sp.Tensor:
            r, values = random.Random(seed + 1), list(inner)
            for _ in range(5):
                x = r.choice(values)
                found = matrices(r, x, r.choice(values)) if x.ndim > 1 else None
                values.append(sp.tanh(x) * r.choice((1.0, x)) if found is None or found.ndim < 2 else found)
            return sum(sp.square(v).mean() for v in values)  # type: ignore[return-value]

        own = [a.detach().copy() for a in arguments]
        value, gradients = sp.value_and_grad(loss, argnums=tuple(range(len(own))))(*own)
        return [value, *gradients, *run(*gradients), *run(*arguments)]

    return differentiated if random.Random(seed).random() < 0.4 else run


def shapes(r: random.Random) -> list[tuple[int, ...]]:
    """Up to three, of which products exist."""
    shape = r.choice(SHAPES)
    return [r.choice((shape, (*shape[:-2], shape[-1], shape[-2]))) for _ in range(r.randrange(1, 4))]


def call(f: Any, sizes: list[tuple[int, ...]], dtype: str, seed: int) -> tuple[list[sp.Tensor], list[sp.Tensor]]:
    """What f returns, and its arguments as it leaves them: now and then transposed ones, or the first one twice."""
    rng, kind = np.random.default_rng(seed), random.Random(seed).random()
    arrays = [(rng.standard_normal(s) * 0.3).astype(dtype) for s in sizes]
    given = [sp.tensor(a.mT.copy()).mT if kind < 0.15 else sp.tensor(a) for a in arrays]
    if kind > 0.85 and given[0].shape == given[-1].shape:
        given[-1] = given[0]
    return f(*given), given


def bits(tensors: list[sp.Tensor]) -> list[tuple[Any, ...]]:
    """Dtype, shape and bytes; NaNs are alike, since their signs are not promised."""
    arrays = [np.asarray(t.detach()) for t in tensors]
    return [(a.dtype, a.shape, np.where(np.isnan(a), np.nan, a).tobytes()) for a in arrays]


def differs(seed: int) -> str | None:
    """What is wrong with the program of a seed, "" if nothing is; None if the plain function refuses it."""
    r = random.Random(seed)
    dtype, mode = r.choice(("float32", "float32", "float64")), r.choice(("auto", "fma", "split"))
    threads, sizes = r.randrange(1, 5), shapes(r)
    states = [sp.full(sizes[0], 0.5, dtype=dtype) for _ in range(2)]
    plain, fast = program(seed, states[0]), sp.compile(program(seed, states[1]))
    calls = [(sizes, dtype, 7 * seed + i) for i in range(4)]
    with sp.matmul_precision(mode), np.errstate(all="ignore"):
        try:
            wanted = [(*call(plain, *c), bits(states[:1])) for c in calls]
        except (ValueError, TypeError):
            return None  # a write into what was broadcast, say
        try:
            with sp.threads(threads):
                found = [(*call(fast, *c), bits(states[1:])) for c in calls]
        except Exception as error:
            return f"seed {seed}: {type(error).__name__}: {error}"
    wanted, found = ([(bits(y), bits(x), state) for y, x, state in one] for one in (wanted, found))
    said = f"seed {seed}, {dtype}, {mode}, {threads} threads: differs from the plain function"
    return "" if found == wanted else said


def main() -> int:
    programs, seed = int(float(sys.argv[1])), int(sys.argv[2]) * 1_000_000
    found = [differs(seed + i) for i in range(programs)]
    wrong = [said for said in found if said]
    print(*wrong, f"{programs} programs, {found.count(None)} refused, {len(wrong)} wrong", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
