"""All families of operators: importing this fills the table."""

from __future__ import annotations

from steep.onnx import attention, conv, elementwise, index, linalg, loss, norm, pool, recurrent, reduce, resize, shape

FAMILIES = (attention, conv, elementwise, index, linalg, loss, norm, pool, recurrent, reduce, resize, shape)
