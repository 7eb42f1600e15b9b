"""Rows of the op table for neural networks: convolution, pooling, normalisation and resampling.

References are in references_nn.py. tests/optable.py joins these rows to its own. Start at NN_ROWS, the last line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import references_nn as ref
import steep as sp
from optable import FLOATS, A, C, Row, hidden

summed = {"atol": (1e-5, 4e-14), "rtol": (4e-6, 2e-14)}


def conv(name: str, reference: Any, *cases: Any, **more: Any) -> Row:
    return Row(name, reference, cases, FLOATS, **{**summed, **more})


def conv_attributes(*args: Any) -> dict[str, Any]:
    return ref.conv_attrs(*(a for a in args if not hasattr(a, "shape")))


IMAGE, KERNEL = A((2, 3, 5, 6)), A((4, 3, 3, 2))
CONV_ROWS = (
    conv("conv1d", ref.conv, C(A((2, 3, 9)), A((4, 3, 3))), C(A((2, 3, 9)), A((4, 3, 3)), A((4,)), 2, 1),
         C(A((1, 4, 11)), A((6, 2, 3)), None, 3, (2, 1), 2, 2), C(A((3, 20)), A((2, 3, 5))),
         C(A((0, 2, 5)), A((3, 2, 3))), C(A((2, 3, 7)), A((3, 1, 3)), groups=3, padding=1),
         big=(C(A((3, 19, 301)), A((23, 19, 5)), A((23,))),)),
    conv("conv2d", ref.conv, C(IMAGE, KERNEL), C(IMAGE, KERNEL, A((4,))), C(IMAGE, KERNEL, stride=2, padding=1),
         C(IMAGE, KERNEL, A((4,)), (2, 1), (1, 2), (2, 1)), C(IMAGE, KERNEL, padding=((0, 2), (1, 0))),
         C(IMAGE, A((5, 3, 1, 1)), A((5,))), C(IMAGE, A((2, 3, 1, 1)), stride=2), C(A((3, 4, 4)), A((2, 3, 3, 3))),
         C(A((1, 6, 5, 5)), A((4, 3, 3, 3)), groups=2, padding=1), C(A((2, 4, 5, 3)), A((4, 1, 3, 3)), groups=4),
         C(A((1, 3, 7, 6)), A((6, 1, 3, 3)), A((6,)), 2, 1, groups=3), C(A((0, 3, 5, 5)), A((2, 3, 3, 3))),
         C(A((1, 2, 3, 3)), A((3, 2, 3, 3))), C(A((1, 1, 8, 7)), A((1, 1, 5, 4)), stride=3, padding=2),
         C(A((1, 1, 4, 4)), A((2, 1, 1, 3)), stride=(3, 4)), C(A((1, 2, 9, 9)), A((1, 2, 2, 2)), dilation=4),
         C(A((1, 1, 2, 19)), A((17, 1, 2, 2)), A((17,))),
         big=(C(A((3, 20, 17, 19)), A((24, 20, 3, 3)), A((24,)), padding=1), C(A((2, 40, 33, 33)), A((30, 20, 3, 3)),
              stride=2, groups=2), C(A((2, 64, 31, 40)), A((16, 64, 1, 1)), A((16,))), C(A((2, 32, 41, 40)), A((32, 1,
              3, 3)), A((32,)), padding=1, groups=32), C(A((4, 70, 9, 9)), A((130, 70, 3, 3)), padding=1))),
    conv("conv3d", ref.conv, C(A((1, 2, 3, 4, 3)), A((2, 2, 2, 2, 2)), A((2,))),
         C(A((2, 2, 4, 3, 5)), A((2, 1, 2, 3, 3)), stride=(2, 1, 2), padding=(0, 1, 1), groups=2),
         C(A((1, 1, 3, 3, 3)), A((2, 1, 2, 2, 1)), dilation=(1, 2, 1)),
         big=(C(A((2, 8, 9, 12, 13)), A((12, 8, 3, 3, 3)), padding=1),)),
    conv("conv_transpose1d", ref.conv_transpose, C(A((2, 3, 5)), A((3, 2, 3))),
         C(A((1, 4, 5)), A((4, 3, 4)), A((6,)), 3, 1, 2, 2, 2)),
    conv("conv_transpose2d", ref.conv_transpose, C(A((2, 3, 3, 4)), A((3, 2, 2, 3))),
         C(A((2, 3, 3, 4)), A((3, 2, 3, 3)), A((2,)), 2, 1, 1), C(A((1, 4, 3, 3)), A((4, 3, 2, 2)), None, (3, 1), 0,
         (1, 0), 2, (2, 2)), C(A((3, 3, 3)), A((3, 2, 3, 3))), C(A((0, 3, 3, 3)), A((3, 2, 3, 3))),
         C(A((1, 3, 4, 4)), A((3, 1, 3, 3)), groups=3, stride=2), C(A((1, 2, 3, 3)), A((2, 2, 1, 1)), stride=2,
         output_padding=1), big=(C(A((2, 20, 20, 21)), A((20, 30, 4, 4)), stride=2, padding=1),)),
    conv("conv_transpose3d", ref.conv_transpose, C(A((1, 2, 2, 3, 2)), A((2, 2, 2, 2, 2)), A((2,)), stride=2)),
    conv("conv", ref.conv_row, C(IMAGE, KERNEL, 2, 1, 1, (1, 0), (0, 2), 1), call=hidden("conv", conv_attributes)),
    conv("conv_input", ref.conv_input_row, C(A((2, 4, 3, 5)), KERNEL, 2, 1, 1, 0, 0, 1, (5, 6)),
         C(A((1, 4, 3)), A((4, 1, 2)), 1, 2, 2, 1, 0, 1, (6,)), call=hidden("conv_input", conv_attributes)),
    conv("conv_weight", ref.conv_weight_row, C(IMAGE, A((2, 4, 3, 5)), 2, 1, 1, 0, 0, 1, (3, 2)),
         C(A((3, 2, 6)), A((3, 4, 3)), 1, 2, 2, 1, 0, 1, (2,)), call=hidden("conv_weight", conv_attributes)),
)  # fmt: skip


def pool(name: str, reference: Any, *cases: Any, **more: Any) -> Row:
    return Row(name, reference, cases, FLOATS, **{"values": "distinct", **more})


PLANES = A((2, 2, 5, 7))
MAX_CASES = (C(PLANES, 2), C(PLANES, (3, 2), (2, 1)), C(PLANES, 3, 2, 1), C(PLANES, 2, 2, 0, 1, True),
             C(PLANES, 2, padding=1, dilation=(2, 3)), C(PLANES, 3, 3, 1, ceil_mode=True),
             C(A((1, 1, 3, 35)), (2, 3), 1),
             C(A((0, 2, 4, 4)), 2), C(A((1, 1, 4, 40)), 2), C(A((1, 3, 6, 6), "ties"), 3, 2, grad=False))  # fmt: skip
AVG_CASES = (C(PLANES, 2), C(PLANES, (3, 2), (2, 1)), C(PLANES, 3, 2, 1), C(PLANES, 3, 2, 1, False, False),
             C(PLANES, 2, ceil_mode=True), C(PLANES, 3, 2, 1, ceil_mode=True, count_include_pad=False),
             C(A((0, 2, 4, 4)), 2), C(A((1, 1, 5, 40)), 3, 2))  # fmt: skip
POOL_ROWS = (
    pool("max_pool1d", ref.max_pool, C(A((2, 3, 9)), 2), C(A((2, 3, 9)), 3, 2, 1), C(A((1, 1, 40)), 3, 1, 1, 2, True),
         exact=True),
    pool("max_pool2d", ref.max_pool, *MAX_CASES, exact=True, big=(C(A((6, 20, 41, 43)), 3, 2, 1), C(A((6, 20, 40, 44)),
         2), C(A((5, 20, 31, 33)), 2, 3))),
    pool("max_pool3d", ref.max_pool, C(A((1, 2, 3, 4, 5)), 2), C(A((1, 2, 3, 4, 5)), 2, 1, (0, 1, 1)), exact=True),
    pool("max_pool_indices", ref.max_pool_indices, *MAX_CASES, C(A((1, 2, 9)), 3, 2), exact=True, out="int64",
         differentiable=False, big=(C(A((6, 20, 41, 43), "ties"), 3, 2, 1),)),
    pool("max_unpool2d", ref.max_unpool2d, C(A((1, 2, 2, 2)), np.array([[[[0, 3], [9, 15]], [[5, 2], [8, 11]]]]), 2),
         C(A((1, 1, 1, 2)), np.array([[[[4, 4]]]]), 2, 1, output_size=(2, 3)),
         C(A((1, 1, 1, 2)), np.array([[[[8, 1]]]]), (3, 2), (2, 3), (0, 1)), exact=True),
    pool("avg_pool1d", ref.avg_pool, C(A((2, 3, 9)), 2), C(A((2, 3, 9)), 3, 2, 1, True)),
    pool("avg_pool2d", ref.avg_pool, *AVG_CASES, big=(C(A((6, 20, 41, 43)), 3, 2, 1),), **summed),
    pool("avg_pool3d", ref.avg_pool, C(A((1, 2, 3, 4, 5)), 2), C(A((1, 2, 3, 4, 5)), 2, 1, (0, 1, 1)), **summed),
    pool("adaptive_avg_pool1d", ref.adaptive_avg_pool, C(A((2, 3, 9)), 2), C(A((2, 3, 4)), 6), **summed),
    pool("adaptive_avg_pool2d", ref.adaptive_avg_pool, C(PLANES, 1), C(PLANES, (2, 3)), C(PLANES, (5, 7)),
         C(A((2, 3, 4, 6)), 2), **summed),
    pool("adaptive_avg_pool3d", ref.adaptive_avg_pool, C(A((1, 2, 3, 4, 5)), (1, 2, 3)), **summed),
    pool("global_avg_pool", lambda x: x.mean(axis=tuple(range(2, x.ndim)), keepdims=True), C(PLANES), C(A((2, 3, 4))),
         **summed),
    pool("global_max_pool", lambda x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True), C(PLANES), C(A((2, 3, 4))),
         exact=True),
    pool("largest", lambda x, n, *how: ref.max_pool(x, how[-1], how[1], how[2], how[4]),
         C(PLANES, 2, 1, 2, 1, 1, 1, (3, 2)), C(A((1, 2, 3, 70)), 2, 1, 2, 1, 1, 1, (2, 3)), exact=True,
         call=hidden("largest", conv_attributes)),
    pool("largest_positions", lambda x, n, *how: ref.max_pool_indices(x, how[-1], how[1], how[2], how[4]),
         C(PLANES, 2, 1, 2, 1, 1, 1, (3, 2)), exact=True, out="int64", differentiable=False,
         call=hidden("largest_positions", conv_attributes)),
    pool("take_planes", ref.take_planes, C(A((1, 2, 6)), np.array([[[0, 5, 2], [3, 3, 1]]])), exact=True,
         call=hidden("take_planes")),
    pool("put_planes", ref.put_planes, C(A((1, 2, 3)), np.array([[[0, 5, 2], [3, 3, 1]]]), 6), **summed,
         call=hidden("put_planes", lambda x, at, *sizes: {"sizes": sizes})),
)  # fmt: skip


def norm(name: str, reference: Any, *cases: Any, **more: Any) -> Row:
    return Row(name, reference, cases, FLOATS, **{"rtol": (1e-5, 4e-14), "atol": (4e-6, 2e-14), **more})


def norm_row(name: str, *cases: Any, **more: Any) -> Row:
    """A hidden row with an eps of 1e-5."""
    return norm(name, getattr(ref, name), *cases, call=hidden(name, lambda *args: {"eps": 1e-5}), **more)


def batch_norm_training(x: Any, weight: Any, bias: Any) -> Any:
    """The hidden row, with the moments of x: its gradient counts what they owe to x."""
    moments = hidden("batch_norm_moments", lambda *args: {"eps": 1e-5})(sp.asarray(x).detach())
    return hidden("batch_norm_training", lambda *args: {"eps": 1e-5})(x, moments, weight, bias)


def batch_norm_gradient(g: Any, x: Any, weight: Any) -> Any:
    moments = hidden("batch_norm_moments", lambda *args: {"eps": 1e-5})(x)
    return hidden("batch_norm_gradient", lambda *args: {"eps": 1e-5})(g, x, moments, weight)


def attention_attributes(*args: Any) -> dict[str, Any]:
    return {"scale": 0.5, "causal": False, "precision": sp._core.get_matmul_precision()}


def attention_gradient(*operands: Any) -> Any:
    """The hidden row's result with every part in row-major order: in it each is laid out as its operand."""
    flat = hidden("attention_gradient", lambda *args: {**attention_attributes(*args), "step": 0})(*operands)
    parts, start = [], 0
    for x in map(sp.asarray, operands[1:4]):
        part, strides = flat[start : start + x.size], x.strides
        start += x.size
        if x.ndim > 2 and x.shape[-3] > 1 and x.shape[-2] > 1 and strides[-3] < strides[-2]:
            tokens = sp.reshape(part, (*x.shape[:-3], x.shape[-2], x.shape[-3], x.shape[-1]))
            part = sp.reshape(sp.moveaxis(tokens, -2, -3), (-1,))
        parts.append(part)
    return sp.concat(parts)


MAPS, WEIGHTS = A((2, 4, 3, 5)), A((4,))
BIG_MAPS = A((6, 20, 31, 33))
NORM_ROWS = (
    norm_row("standardize_last", C(A((3, 5))), C(A((0, 4))), C(A((2, 70))), C(A((2, 1))), big=(C(A((300, 401))),)),
    norm_row("layer_norm_last", C(A((3, 5)), A((5,)), A((5,))), C(A((0, 4)), A((4,)), A((4,))),
             C(A((2, 70)), A((70,)), A((70,))), big=(C(A((300, 401)), A((401,)), A((401,))),)),
    norm_row("layer_norm_gradient", C(A((3, 5)), A((3, 5))), C(A((2, 70)), A((2, 70)), A((70,))),
             C(A((0, 4)), A((0, 4))), differentiable=False, big=(C(A((300, 401)), A((300, 401)), A((401,))),)),
    norm_row("layer_norm_sums", C(A((3, 5)), A((3, 5))), C(A((200, 7)), A((200, 7))), C(A((0, 4)), A((0, 4))),
             differentiable=False, big=(C(A((300, 401)), A((300, 401))),)),
    norm("layer_norm", ref.layer_norm, C(A((3, 5)), 5), C(A((2, 3, 4)), (3, 4), A((3, 4)), A((3, 4))),
         C(A((2, 3, 4)), 4, A((4,)), eps=1e-3), C(A((0, 4)), 4), big=(C(A((300, 401)), 401, A((401,)), A((401,))),)),
    norm("group_norm", ref.group_norm, C(MAPS, 2), C(MAPS, 4, WEIGHTS, WEIGHTS), C(A((3, 6)), 3, A((6,))),
         C(MAPS, 1, eps=0.1), C(A((2, 6, 4, 5)), 3, None, A((6,))), C(A((2, 6, 17)), 2, A((6,)), eps=0.1),
         big=(C(BIG_MAPS, 5, A((20,)), A((20,))),)),
    norm("instance_norm", ref.instance_norm, C(MAPS), C(MAPS, WEIGHTS, WEIGHTS), C(A((2, 3, 6)), eps=1e-3),
         C(A((2, 3, 20)), A((3,)), A((3,)))),
    norm("group_norm_scaled", lambda x, weight, bias: ref.group_norm(x, 2, weight, bias), C(MAPS, WEIGHTS, WEIGHTS),
         C(A((3, 6, 17)), A((6,)), A((6,))), big=(C(BIG_MAPS, A((20,)), A((20,))),),
         call=hidden("group_norm_scaled", lambda *args: {"num_groups": 2, "eps": 1e-5})),
    norm("group_norm_gradient", ref.group_norm_gradient, C(MAPS, MAPS, WEIGHTS),
         C(A((3, 6, 17)), A((3, 6, 17)), A((6,))), big=(C(BIG_MAPS, BIG_MAPS, A((20,))),), differentiable=False,
         call=hidden("group_norm_gradient", lambda *args: {"num_groups": 2, "eps": 1e-5})),
    norm("batch_norm_moments", ref.batch_norm_moments, C(MAPS), C(A((5, 3))), C(A((2, 3, 40))), big=(C(BIG_MAPS),),
         differentiable=False, call=hidden("batch_norm_moments", lambda *args: {"eps": 1e-5})),
    norm("batch_norm_training", ref.batch_norm_training, C(MAPS, WEIGHTS, WEIGHTS), C(A((3, 2, 17)), A((2,)), A((2,))),
         C(A((5, 3)), A((3,)), A((3,))), big=(C(BIG_MAPS, A((20,)), A((20,))),), call=batch_norm_training),
    norm("batch_norm_gradient", ref.batch_norm_gradient, C(MAPS, MAPS, WEIGHTS),
         C(A((3, 2, 17)), A((3, 2, 17)), A((2,))),
         big=(C(BIG_MAPS, BIG_MAPS, A((20,))),), differentiable=False, call=batch_norm_gradient),
    norm("_batch_norm_training", ref.batch_norm_training, C(A((2, 3, 4, 5))), C(A((2, 3, 4, 5)), A((3,)), A((3,))),
         C(A((5, 3)), None, A((3,))), C(A((2, 3, 6)), A((3,))), C(A((3, 2, 30)), None, None, 0.1),
         big=(C(BIG_MAPS, A((20,)), A((20,))),), call=lambda *args: sp._core._batch_norm_training(*args)[0]),
    norm("batch_norm", ref.batch_norm, C(MAPS, WEIGHTS, A((4,), "positive")), C(MAPS, WEIGHTS, A((4,), "positive"),
         WEIGHTS, WEIGHTS), C(A((5, 3)), A((3,)), A((3,), "positive"), None, A((3,)), 0.1),
         C(A((0, 4, 2)), WEIGHTS, A((4,), "positive")),
         big=(C(BIG_MAPS, A((20,)), A((20,), "positive"), A((20,)), A((20,))),)),
    norm("local_response_norm", ref.local_response_norm, C(MAPS, 3), C(MAPS, 2, 0.3, 0.5, 2.0), C(A((2, 6)), 5, 1.0),
         C(A((1, 2, 3)), 7)),
    Row("prelu", ref.prelu, (C(A((3, 4)), A((4,))), C(A((2, 3, 5)), A((3,))), C(A((2, 3)), A(())), C(A((7,)), 0.25)),
        FLOATS, "nonzero"),
    norm("attention", ref.attention, C(A((3, 4)), A((5, 4)), A((5, 2))), C(A((2, 3, 4)), A((2, 3, 4)), A((2, 3, 4)),
         causal=True), C(A((2, 2, 3, 4)), A((2, 2, 5, 4)), A((2, 2, 5, 6)), A((3, 5))),
         C(A((3, 4)), A((3, 4)), A((3, 4)), np.tri(3, dtype=bool), scale=0.3),
         big=(C(A((4, 60, 33)), A((4, 70, 33)), A((4, 70, 40))),)),
    norm("attention_blocks", ref.attention_blocks, C(A((3, 4)), A((5, 4)), A((5, 2))), C(A((2, 3, 4)), A((2, 5, 4)),
         A((5, 2)), A((3, 5))), C(A((2, 0, 4)), A((2, 5, 4)), A((2, 5, 3))),
         big=(C(A((4, 60, 33)), A((4, 70, 33)), A((4, 70, 40))),),
         call=hidden("attention_blocks", attention_attributes)),
    norm("attention_gradient", ref.attention_gradient, C(A((3, 2)), A((3, 4)), A((5, 4)), A((5, 2))),
         C(A((2, 3, 2)), A((2, 3, 4)), A((2, 5, 4)), A((2, 5, 2)), A((3, 5))), differentiable=False,
         big=(C(A((4, 60, 40)), A((4, 60, 33)), A((4, 70, 33)), A((4, 70, 40))),),
         call=attention_gradient),
)  # fmt: skip

GRID = A((2, 3, 2, 2), "grid")
RESAMPLE_ROWS = (
    norm("interpolate", ref.interpolate, C(A((2, 2, 4)), 7), C(A((1, 2, 3, 4)), (6, 5), "linear"),
         C(A((1, 2, 3, 4)), (6, 7), "bilinear", True), C(A((1, 2, 5, 4)), 3, "cubic"),
         C(A((1, 1, 3, 4)), (7, 2), "cubic", True), C(A((1, 2, 3, 4)), mode="nearest", scale_factor=2.0),
         C(A((1, 2, 3, 4)), mode="linear", scale_factor=1.5), C(A((1, 1, 2, 3, 2)), (3, 2, 4), "linear"),
         big=(C(A((2, 3, 70, 80)), (111, 90), "cubic"),)),
    norm("grid_sample", ref.grid_sample, *(C(A((2, 3, 4, 5)), GRID, mode, border, corners, grad=mode == "bilinear")
         for mode in ("bilinear", "nearest") for border in ("zeros", "border", "reflection")
         for corners in (False, True))),
)  # fmt: skip

NN_ROWS: tuple[Row, ...] = CONV_ROWS + POOL_ROWS + NORM_ROWS + RESAMPLE_ROWS
