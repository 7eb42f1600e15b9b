"""Names of NumPy, PyTorch and JAX that steep has under another one, or writes in another way: what an unknown name of
``steep``, or of its packages for layers, optimisers, data and random numbers, is answered with.
"""

from __future__ import annotations

import sys
from functools import lru_cache

from steep._interop import RENAMED
from steep.suggest import near

_CONTAINERS = {
    "ModuleList": "list of modules", "ModuleDict": "dict of modules", "ParameterList": "list of tensors",
    "ParameterDict": "dict of tensors",
}  # fmt: skip
_IS_FOUND = " among a module's attributes is found as it is"
_PADS = ("Constant", "Zero", "Reflection", "Replication", "Circular")
_DRAWS = ("bernoulli", "integers", "normal", "permutation", "uniform")
_INITIAL = (
    "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "ones", "orthogonal", "sparse",
    "trunc_normal", "uniform", "xavier_normal", "xavier_uniform", "zeros",
)  # fmt: skip

# name: how it is written here, with x a tensor; first NumPy's functions that are dispatched under another
# name. tests/test_elsewhere.py looks up every name that is mentioned.
WRITTEN = {
    **{name: f"sp.{here}" for name, here in RENAMED.items()},
    "cat": "sp.concat", "fmod": "x - y * sp.trunc(x / y), or sp.remainder, which has the sign of y", "div": "sp.divide",
    "mul": "sp.multiply", "sub": "sp.subtract", "neg": "sp.negative", "fix": "sp.trunc",
    "bitwise_not": "sp.bitwise_invert", "eq": "sp.equal", "ne": "sp.not_equal", "lt": "sp.less", "le": "sp.less_equal",
    "gt": "sp.greater", "ge": "sp.greater_equal", "fmax": "sp.maximum", "fmin": "sp.minimum", "ndarray": "sp.Tensor",
    "array": "sp.tensor", "divmod": "divmod(x, y)", "identity": "sp.eye", "unique": "sp.unique_values",
    "argwhere": "sp.stack(sp.nonzero(x), axis=-1)",
    # shapes
    "transpose": "x.T, sp.swapaxes or sp.permute_dims", "permute": "sp.permute_dims", "view": "sp.reshape",
    "ravel": "sp.reshape(x, -1)", "unsqueeze": "sp.expand_dims", "expand": "sp.broadcast_to",
    "rollaxis": "sp.moveaxis", "movedim": "sp.moveaxis", "chunk": "sp.split", "array_split": "sp.split",
    "unbind": "sp.unstack", "vstack": "sp.concat([...], axis=0), sp.stack([...]) of vectors",
    "hstack": "sp.concat([...], axis=-1)",
    "dstack": "sp.concat([...], axis=2)", "column_stack": "sp.stack([...], axis=1)", "fliplr": "sp.flip(x, axis=1)",
    "flipud": "sp.flip(x, axis=0)", "rot90": "sp.flip(x, axis=1).T", "narrow": "a slice, x[start:end]",
    "atleast_1d": "sp.reshape", "atleast_2d": "sp.reshape", "diagonal": "sp.take_along_axis, or x[i, i] with sp.arange",
    "diag": "sp.eye(n) * x makes the matrix; x[i, i] with i = sp.arange(n) reads it",
    "ascontiguousarray": "x.contiguous()",
    # products, sums, order
    "dot": "x @ y", "mm": "x @ y", "bmm": "x @ y", "mv": "x @ y", "inner": "sp.vecdot", "vdot": "sp.vecdot",
    "addmm": "b + x @ y", "baddbmm": "b + x @ y", "ger": "sp.outer", "linalg": "sp.matmul, sp.norm, sp.trace, sp.outer",
    "average": "sp.mean", "median": "sp.sort, then the middle", "ptp": "sp.max(x) - sp.min(x)",
    "gather": "sp.take_along_axis", "index_select": "sp.take", "masked_select": "x[mask]",
    "masked_fill": "sp.where(mask, value, x)", "scatter": "sp.scatter_add, or an assignment, x[i] = y",
    "put_along_axis": "an assignment, x[i] = y", "select": "sp.where", "partition": "sp.sort",
    "argpartition": "sp.topk",
    "kthvalue": "sp.topk", "cov": "(x - sp.mean(x, 0)).T @ (x - sp.mean(x, 0)) / n", "lerp": "x + (y - x) * t",
    "addcmul": "b + t * x * y", "addcdiv": "b + t * x / y", "clamp": "sp.clip", "exp2": "2**x",
    "cbrt": "sp.sign(x) * sp.abs(x) ** (1 / 3)",
    "sgn": "sp.sign", "frac": "x - sp.trunc(x)", "nan_to_num": "sp.where(sp.isnan(x), 0.0, x)",
    "numel": "x.size", "is_tensor": "isinstance(x, sp.Tensor)",
    # making tensors, random numbers
    "as_tensor": "sp.asarray", "from_numpy": "sp.asarray", "logspace": "10 ** sp.linspace(start, stop, n)",
    "rand": "sp.random.Generator(seed).uniform(0, 1, shape)", "randn": "sp.random.Generator(seed).normal(shape)",
    "randint": "sp.random.Generator(seed).integers", "randperm": "sp.random.Generator(seed).permutation",
    "manual_seed": "a generator with that seed, sp.random.Generator(seed)",
    # derivatives, modes
    "autograd": "sp.grad, sp.vjp, sp.jvp or x.backward()", "func": "sp.grad, sp.vjp, sp.jvp, sp.jacobian, sp.hessian",
    "jacfwd": "sp.jacobian", "jacrev": "sp.jacobian", "custom_jvp": "sp.custom_vjp", "jit": "sp.compile",
    "inference_mode": "sp.no_grad", "vmap": "operations on a batch, whose first axis is the example",
    "set_printoptions": "np.set_printoptions", "cuda": "no other name: steep computes on the CPU",
    "float16": "sp.bfloat16 or sp.float32", "half": "sp.bfloat16 or sp.float32", "float": "sp.float32",
    "double": "sp.float64", "long": "sp.int64", "int": "sp.int32", "int8": "sp.int32", "int16": "sp.int32",
    # layers, losses, files
    "cross_entropy": "sp.nn.cross_entropy", "nll_loss": "sp.nn.nll_loss", "mse_loss": "sp.nn.mse_loss",
    "binary_cross_entropy": "sp.nn.bce_with_logits", "dropout": "sp.nn.Dropout", "swish": "sp.silu",
    "log_sigmoid": "-sp.softplus(-x)", "logsigmoid": "-sp.softplus(-x)",
    "scaled_dot_product_attention": "sp.attention", "save": "sp.io.save", "load": "sp.io.load", "savez": "sp.io.save",
    "utils": "sp.data, sp.optim or sp.io", "lax": "sp.conv2d and the other functions of sp",
}  # fmt: skip


# The same by package: PyTorch's names of layers, losses, optimisers and loaders, NumPy's of random numbers.
_HINGE = "sp.mean(sp.maximum(0.0, "
_HUBER = "sp.mean(sp.where(d < 1, 0.5 * d * d, d - 0.5)), with d = sp.abs(x - y)"
WRITTEN_IN: dict[str, dict[str, str]] = {
    "steep": WRITTEN,
    "steep.nn": {
        **{name: f"as plain Python: a {plain}{_IS_FOUND}" for name, plain in _CONTAINERS.items()},
        "Identity": "sp.nn.Sequential()", "LogSoftmax": "sp.log_softmax", "Softmin": "sp.softmax(-x)",
        "LogSigmoid": "-sp.softplus(-x)", "Softsign": "x / (1 + sp.abs(x))", "Mish": "x * sp.tanh(sp.softplus(x))",
        "SELU": "1.0507009873554805 * sp.elu(x, 1.6732632423543772)", "Hardtanh": "sp.clip(x, -1, 1)",
        "Tanhshrink": "x - sp.tanh(x)", "Hardshrink": "sp.where(sp.abs(x) > lambd, x, 0.0)",
        "Softshrink": "sp.sign(x) * sp.relu(sp.abs(x) - lambd)", "Threshold": "sp.where(x > threshold, x, value)",
        "RMSNorm": "x * sp.rsqrt(sp.mean(x * x, -1, keepdims=True) + eps) * weight",
        "BCELoss": "sp.nn.BCEWithLogitsLoss, which takes the scores before the sigmoid",
        **dict.fromkeys(("SmoothL1Loss", "HuberLoss"), _HUBER),
        "KLDivLoss": "sp.mean(y * (sp.log(y) - x)), with x of logarithms",
        "PoissonNLLLoss": "sp.mean(sp.exp(x) - y * x)", "SoftMarginLoss": "sp.mean(sp.softplus(-y * x))",
        "GaussianNLLLoss": "sp.mean(0.5 * (sp.log(var) + (x - y) ** 2 / var))",
        "TripletMarginLoss": _HINGE + "sp.norm(a - p, axis=-1) - sp.norm(a - n, axis=-1) + margin))",
        "MarginRankingLoss": _HINGE + "y * (b - a) + margin))",
        "CosineSimilarity": "sp.vecdot(x, y) / (sp.norm(x, axis=-1) * sp.norm(y, axis=-1))",
        "PairwiseDistance": "sp.norm(x - y, axis=-1)",
        "UpsamplingBilinear2d": "sp.nn.Upsample", "UpsamplingNearest2d": "sp.nn.Upsample",
        "AdaptiveAvgPool3d": "sp.adaptive_avg_pool3d", "InstanceNorm1d": "sp.instance_norm",
        "InstanceNorm3d": "sp.instance_norm", "DataParallel": "sp.distributed", "parallel": "sp.distributed",
        "utils": "sp.optim.clip_grad_norm or sp.optim.gradients", "Buffer": "a tensor that requires no gradient",
        "LazyLinear": "sp.nn.Linear with both sizes", "LazyConv2d": "sp.nn.Conv2d with both sizes",
        **{f"{kind}Pad{n}d": "sp.pad" for kind in _PADS for n in (1, 2, 3)},
    },
    "steep.nn.functional": {
        "binary_cross_entropy": "sp.nn.bce_with_logits, which takes the scores before the sigmoid",
        "binary_cross_entropy_with_logits": "sp.nn.bce_with_logits", "scaled_dot_product_attention": "sp.attention",
        "normalize": "x / sp.norm(x, axis=-1, keepdims=True)", "relu6": "sp.clip(x, 0, 6)",
        "upsample": "sp.interpolate", "softmin": "sp.softmax(-x)", "logsigmoid": "-sp.softplus(-x)",
        "pixel_shuffle": "sp.reshape, sp.permute_dims, sp.reshape", "hardtanh": "sp.clip(x, -1, 1)",
        "cosine_similarity": "sp.vecdot(x, y) / (sp.norm(x, axis=-1) * sp.norm(y, axis=-1))",
    },
    "steep.nn.init": {
        "calculate_gain": "sp.nn.init.gain",
        **{f"{name}_": f"layer.weight = sp.nn.init.{name}(shape)" for name in _INITIAL},
    },
    "steep.optim": {
        "RMSprop": "sp.optim.RMSProp", "Adagrad": "sp.optim.AdaGrad", "SparseAdam": "sp.optim.Adam",
        "ASGD": "sp.optim.averaging", "swa_utils": "sp.optim.averaging",
        "lr_scheduler": "lr=sp.optim.schedules.cosine(...) or another function of the step's number",
    },
    "steep.data": {
        "random_split": "sp.data.split", "ImageFolder": "sp.data.folder", "DatasetFolder": "sp.data.folder",
        "MNIST": 'sp.data.load("mnist")', "FashionMNIST": 'sp.data.load("fashion_mnist")',
        "transforms": "sp.data.augmented",
    },
    "steep.random": {
        **dict.fromkeys(("rand", "random"), "sp.random.Generator(seed).uniform(0, 1, shape)"),
        **dict.fromkeys(("randn", "standard_normal"), "sp.random.Generator(seed).normal(shape)"),
        **dict.fromkeys(("seed", "PRNGKey", "key"), "sp.random.Generator(seed)"),
        **dict.fromkeys(("default_rng", "RandomState"), "sp.random.Generator"),
        **{name: f"sp.random.Generator(seed).{name}" for name in _DRAWS},
        "randint": "sp.random.Generator(seed).integers",
        "shuffle": "x[sp.random.Generator(seed).permutation(n)]",
        "choice": "x[sp.random.Generator(seed).integers(0, n, shape)]",
    },
}  # fmt: skip


@lru_cache(maxsize=256)  # libraries ask hasattr() for the same names again and again
def hint(module: str, name: str, known: tuple[str, ...]) -> str:
    """What to write for a name that a module does not have.

    Args:
        module: the module's name, such as "steep.nn".
        name: the name.
        known: the names that it has.

    Returns:
        "; here it is written ...", "; did you mean ...?", or "".

    Example:
        >>> from steep.elsewhere import hint
        >>> hint("steep", "concatenate", ())
        '; here it is written sp.concat'
    """
    written = WRITTEN_IN.get(module, {})
    return f"; here it is written {written[name]}" if name in written else near(name, known)


def answer_unknown_names(package: str) -> None:
    """Makes a package answer a name that it does not have with what to write.

    Args:
        package: the name of an imported module, such as "steep.nn".
    """
    module = sys.modules[package]

    def unknown(name: str) -> None:
        if name.startswith("_"):  # interpreters and tools ask for many of these
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        text = hint(package, name, tuple(getattr(module, "__all__", dir(module))))
        raise AttributeError(f"module {package!r} has no attribute {name!r}{text}", name=name, obj=module)

    # Not as a function of the module, for which type checkers would take every name to exist.
    vars(module)["__getattr__"] = unknown
