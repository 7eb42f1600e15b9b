"""Operators that multiply matrices: MatMul, Gemm, Einsum, and the like."""

from __future__ import annotations

from steep import _core
from steep._core import Tensor
from steep.onnx.table import Node, op, simple


@op("Gemm")
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """alpha * A @ B + beta * C, either matrix transposed first if asked for."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"Gemm multiplies matrices, got {a.ndim} and {b.ndim} dimensions")
    product = _core.matmul(a.T if node["transA"] else a, b.T if node["transB"] else b)
    if node["alpha"] != 1:
        product = (product * node["alpha"]).astype(product.dtype)
    if c is None or node["beta"] == 0:
        return product
    shape = (product + c).shape if c.ndim > 2 else product.shape
    if shape != product.shape:
        raise ValueError(f"C of shape {c.shape} does not fit the product's {product.shape}")
    y = product + (c if node["beta"] == 1 else (c * node["beta"]).astype(c.dtype))
    if y.shape != product.shape:
        raise ValueError(f"C of shape {c.shape} does not fit the product's {product.shape}")
    return y


@op("Einsum")
def einsum(node: Node, *operands: Tensor) -> Tensor:
    """Einstein summation by the attribute ``equation``."""
    return _core.einsum(node["equation"].replace(" ", ""), *operands)


simple({"MatMul": _core.matmul})
