"""All families of operators: importing this fills the table."""

from __future__ import annotations

from steep.onnx import (
    attention,
    control,
    conv,
    detection,
    elementwise,
    index,
    linalg,
    loss,
    norm,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    sequence,
    shape,
)

FAMILIES = (
    attention, control, conv, detection, elementwise, index, linalg, loss, norm, pool, quantize, recurrent, reduce,
    resize, sequence, shape,
)  # fmt: skip
