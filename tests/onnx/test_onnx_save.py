"""Modules with a forward of their own are run, written op by op, and compute the same when they are read again."""

import numpy as np
import pytest
import steep as sp
from steep import nn

pytest.importorskip("onnx")
F = nn.functional


class Function(nn.Module):
    """A module whose forward is ``function``."""

    def __init__(self, function, **members):
        self.function = function
        vars(self).update(members)

    def forward(self, x):
        return self.function(self, x)


def normal(*shape, seed=0):
    return sp.random.Generator(seed).normal(shape)


def saved(module, path, x):
    sp.onnx.save(module, path / "m.onnx", x)
    return sp.onnx.load(path / "m.onnx")


def close(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def positive(x):
    return sp.abs(x) + 0.5


UNARY = (
    sp.exp, sp.expm1, sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.asinh, sp.tanh, sp.atan, sp.sigmoid, sp.erf,
    sp.softplus, sp.gelu, sp.silu, sp.hardsigmoid, sp.hardswish, sp.relu, sp.elu, sp.leaky_relu, sp.negative, sp.square,
    sp.abs, sp.sign, sp.floor, sp.ceil, sp.round, sp.isnan, sp.isinf, sp.isfinite, sp.logical_not,
)  # fmt: skip
BINARY = (
    sp.add, sp.subtract, sp.multiply, sp.minimum, sp.maximum, sp.equal, sp.not_equal, sp.less, sp.less_equal,
    sp.greater, sp.greater_equal,
)  # fmt: skip
FUNCTIONS = {
    **{op.__name__: lambda _, x, op=op: op(x) for op in UNARY},
    **{op.__name__: lambda _, x, op=op: op(positive(x)) for op in (sp.log, sp.log1p, sp.sqrt, sp.rsqrt, sp.acosh)},
    **{op.__name__: lambda _, x, op=op: op(sp.tanh(x)) for op in (sp.asin, sp.acos, sp.atanh)},
    **{op.__name__: lambda _, x, op=op: op(x, x[:, ::-1]) for op in BINARY},
    "reciprocal": lambda _, x: sp.reciprocal(positive(x)),
    "divide": lambda _, x: x / positive(x[:, :1]),
    "pow": lambda _, x: positive(x) ** 1.7,
    "remainder": lambda _, x: sp.remainder(x * 3, 1.25),
    "floor_divide": lambda _, x: sp.floor_divide(x * 3, 1.25),
    "logic": lambda _, x: sp.logical_or(sp.logical_and(x > 0, x < 1), sp.logical_xor(x < -1, x < 0)),
    "where": lambda _, x: sp.where(x > 0, x, -2.0),
    "clip": lambda _, x: sp.clip(x, -0.5, 0.5),
    "astype": lambda _, x: (x * 10).astype(sp.int32).astype(sp.float32),
    "remainder of integers": lambda _, x: sp.remainder((x * 10).astype(sp.int64), 4),
    "scalars on both sides": lambda _, x: 2 * x - 1 + 3 / positive(x),
    "sum": lambda _, x: x.sum(axis=(1, 3), keepdims=True) + x.sum(axis=-1, keepdims=True),
    "prod": lambda _, x: sp.prod(x, axis=2),
    "max and min": lambda _, x: sp.max(x, axis=1) - sp.min(x, axis=1),
    "mean, var": lambda _, x: sp.mean(x, axis=(2, 3)) + sp.var(x, axis=(2, 3)),
    "logsumexp": lambda _, x: sp.logsumexp(x, axis=1),
    "argmax": lambda _, x: sp.argmax(x, axis=1),
    "argmin": lambda _, x: sp.argmin(x, axis=-1),
    "cumsum": lambda _, x: sp.cumsum(x, axis=1),
    "softmax": lambda _, x: sp.softmax(x, axis=1) + sp.log_softmax(x, axis=-1),
    "reshape": lambda _, x: x.reshape((x.shape[0], 4, -1)),
    "reshape and back": lambda _, x: x.reshape((-1, 5)).reshape(x.shape),
    "flatten": lambda _, x: F.flatten(x),
    "transpose": lambda _, x: sp.permute_dims(x, (0, 3, 1, 2)).mT,
    "slices": lambda _, x: x[:, 1:, ::-2, 1:-1] + x[:, 1:2, :2, :3],
    "new axes": lambda _, x: x[:, None, 0] + sp.expand_dims(x[:, 1], axis=1),
    "broadcast": lambda _, x: sp.broadcast_to(x[:, :1], x.shape) * 2,
    "pad": lambda _, x: sp.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1))),
    "concat": lambda _, x: sp.concat([x, x * 2, x[:, :1]], axis=1),
    "stack": lambda _, x: sp.stack([x, -x], axis=1),
    "split": lambda _, x: sp.split(x, 2, axis=1)[1],
    "flip, roll, tile": lambda _, x: sp.tile(sp.roll(sp.flip(x, axis=2), 1, axis=3), (1, 1, 2, 1)),
    "take": lambda _, x: sp.take(x, sp.asarray(np.array([2, 0, -1])), axis=1),
    "index that moves": lambda _, x: sp.take(sp.asarray(np.arange(10.0)), sp.argmax(x, axis=1), axis=0),
    "matmul": lambda _, x: x @ x.mT,
    "einsum": lambda _, x: sp.einsum("nchw,ndhw->ncd", x, x),
    "max pool": lambda _, x: F.max_pool2d(x, 2, 1, 1),
    "global pool": lambda _, x: F.global_avg_pool(x),
    "norms": lambda _, x: sp.instance_norm(x) + sp.layer_norm(x, (5,), sp.arange(5.0), eps=0.1),
    "norms of channels": lambda _, x: sp.group_norm(sp.tile(x, (1, 1, 2, 1)), 2, sp.arange(4.0), sp.ones(4)),
    "triangles": lambda _, x: sp.tril(x) + sp.triu(x, 1),
    "the same twice": lambda _, x: (lambda y: y * y + y)(sp.tanh(x)),
    "weights of its own": lambda self, x: x * self.scale[:, None, None] + self.shift,
    "shared layers": lambda self, x: self.linear(self.linear(x)) + x,
}  # fmt: skip
MEMBERS = {
    "weights of its own": {"scale": normal(4, seed=2), "shift": normal(5, seed=3)},
    "shared layers": {"linear": nn.Linear(5, 5, generator=1)},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_written_op_by_op_with_a_free_batch(tmp_path, name):
    module = Function(FUNCTIONS[name], **MEMBERS.get(name, {}))
    loaded = saved(module, tmp_path, normal(2, 4, 3, 5))
    assert loaded.input_shapes == [("N", 4, 3, 5)]
    for other in (normal(2, 4, 3, 5, seed=7), normal(3, 4, 3, 5, seed=8), normal(1, 4, 3, 5, seed=9)):
        close(loaded(other), module(other))


def test_the_graphs_run_in_onnxruntime(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    x, other = normal(2, 4, 3, 5), normal(3, 4, 3, 5, seed=8)
    for name, function in FUNCTIONS.items():
        module = Function(function, **MEMBERS.get(name, {}))
        sp.onnx.save(module, tmp_path / "m.onnx", x)
        session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
        theirs, ours = session.run(None, {"input": other.numpy()})[0], module(other).numpy()
        assert theirs.dtype == ours.dtype, name
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=name)


class Block(nn.Module):
    """Layers, functions and arithmetic, as people write them."""

    def __init__(self):
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1, generator=1), nn.BatchNorm2d(8)
        self.body = nn.Sequential({"up": nn.ConvTranspose2d(8, 8, 3, 2, 1, 1, generator=2), "act": nn.SiLU()})
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 5, generator=3)

    def forward(self, x):
        h = sp.relu(self.norm(self.conv(x)))
        h = self.body(h) + F.conv_transpose2d(h, sp.ones((8, 8, 4, 4)), stride=2, padding=1) / 100
        return self.head(self.drop(sp.mean(h, axis=(2, 3))))


def test_layers_inside_stay_whole_and_keep_their_names(tmp_path):
    module, x = nn.Sequential({"block": Block(), "soft": nn.Softmax()}), normal(2, 3, 6, 6)
    module(normal(8, 3, 6, 6))  # statistics that are not those of the start
    loaded = saved(module, tmp_path, x)
    assert {"block.conv.weight", "block.norm.running_mean", "block.body.up.weight"} <= loaded.initializers.keys()
    assert module.training
    close(loaded(normal(5, 3, 6, 6, seed=4)), module.eval()(normal(5, 3, 6, 6, seed=4)))
    names = ["block.conv", "block.norm", "block.body.up", "block.body.act", "block.head", "soft"]
    theirs, ours = loaded.activations(x, names), module.activations(x, names)
    for name in names:
        close(theirs[name], ours[name])


def test_attention_and_embeddings(tmp_path):
    class Encoder(nn.Module):
        def __init__(self):
            self.table, self.attend = nn.Embedding(11, 8, generator=1), nn.MultiheadAttention(8, 2, generator=2)
            self.norm = nn.LayerNorm(8)

        def forward(self, tokens):
            x = self.table(tokens)
            return self.norm(x + self.attend(x, x, x, causal=True))[:, -1]

    module = Encoder()
    loaded = saved(module, tmp_path, sp.asarray(np.arange(6).reshape(2, 3)))
    other = sp.asarray(np.arange(9).reshape(3, 3))
    close(loaded(other), module(other))


def test_a_batch_that_cannot_be_free_is_written_as_it_is(tmp_path):
    constant = normal(2, 1, seed=5)
    for function in (
        lambda _, x: x / x.shape[0],
        lambda _, x: x[-1:] + x,
        lambda _, x: x + constant,
        lambda _, x: x[1],
    ):
        module, x = Function(function), normal(2, 3)
        loaded = saved(module, tmp_path, x)
        close(loaded(x), module(x))
        if loaded.input_shapes == [("N", 3)]:
            close(loaded(normal(4, 3, seed=6)), module(normal(4, 3, seed=6)))
    assert saved(Function(lambda _, x: x / x.shape[0]), tmp_path, normal(2, 3)).input_shapes == [(2, 3)]
    assert saved(Function(lambda _, x: x + constant), tmp_path, normal(2, 3)).input_shapes == [(2, 3)]


def in_place(_, x):
    y = x * 2
    y += 1
    return y


REFUSED = [
    (in_place, "writes into a tensor"),
    (lambda _, x: sp.argsort(x, axis=1), "argsort"),
    (lambda _, x: (x, x), "returns a tuple"),
    (lambda _, x: sp.argmax(x), "flatten them first"),
    (lambda _, x: x if float(x.sum()) > 0 else -x, "value"),
    (lambda _, x: x * float(np.asarray(sp.tanh(x)).mean()), "value"),
    (lambda _, x: x.astype(sp.bfloat16) * 2, "bfloat16"),
]


@pytest.mark.parametrize("function, said", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_written_is_named_and_leaves_no_file(tmp_path, function, said):
    with pytest.raises((ValueError, sp.CompileError), match=said):
        sp.onnx.save(nn.Sequential({"mine": Function(function)}), tmp_path / "m.onnx", normal(2, 4))
    assert not list(tmp_path.iterdir())


def test_a_branch_on_a_layers_answer_is_refused(tmp_path):
    module = Function(lambda self, x: x if float(self.linear(x).sum()) > 0 else -x, linear=nn.Linear(4, 4, generator=1))
    with pytest.raises(sp.CompileError, match="value"):
        sp.onnx.save(module, tmp_path / "m.onnx", normal(2, 4))


def test_listening_goes_on_after_an_error():
    module = Function(lambda self, x: self.missing(x))
    with pytest.raises(AttributeError):
        sp.onnx.save(module, "never.onnx", normal(2, 4))
    layer = nn.ReLU()
    assert layer(normal(2)).shape == (2,) and not sp._core._is_recording()
