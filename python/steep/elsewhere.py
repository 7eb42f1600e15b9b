"""Names of NumPy, PyTorch and JAX that steep has under another one, or writes in another way: what an unknown name of
``steep`` is answered with. Loaded when such a name is asked for.
"""

from __future__ import annotations

from functools import lru_cache

from steep._interop import RENAMED
from steep.suggest import near

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


@lru_cache(maxsize=256)  # libraries ask hasattr() for the same names again and again
def hint(name: str, known: tuple[str, ...]) -> str:
    """What to write for a name that steep does not have.

    Args:
        name: the name.
        known: the names that it has.

    Returns:
        "; it is written ... here", "; did you mean ...?", or "".

    Example:
        >>> from steep.elsewhere import hint
        >>> hint("concatenate", ())
        '; here it is written sp.concat'
    """
    return f"; here it is written {WRITTEN[name]}" if name in WRITTEN else near(name, known)
