"""steep: automatic differentiation that descends on weights and ascends on inputs.

Tensors and their ops follow the Python array API, gradients PyTorch, tapes TensorFlow, transforms JAX. The ops come
from the C++ core (``steep._core``, one row an op); layers above them are plain Python. Everything public is named here.
"""

from __future__ import annotations

import os as _os
from typing import Any as _Any

from steep import _core, random, tree
from steep._core import *
from steep._core import GradientError, Tensor, dtype, enable_grad, explain, no_grad
from steep.custom import checkpoint, custom_vjp
from steep.modes import detect_anomaly, gradient_rule, threads
from steep.namespace import *
from steep.tape import GradientTape
from steep.testing import check_grads
from steep.transforms import grad, hessian, hvp, jacobian, jvp, linearize, value_and_grad, vjp

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

_LAZY = ("data", "io", "nn", "optim")


def _default_threads() -> int:
    given = _os.environ.get("STEEP_NUM_THREADS", "")
    if not given:
        return len(_os.sched_getaffinity(0)) if hasattr(_os, "sched_getaffinity") else (_os.cpu_count() or 1)
    if not given.isdecimal() or len(given) > 9 or int(given) < 1:
        raise ImportError(f"STEEP_NUM_THREADS is {given[:40]!r}; it must be a whole number from 1 up")
    return int(given)


_core.set_num_threads(_default_threads())


def __getattr__(name: str) -> _Any:
    """Layers above the tensors are imported when first asked for, so that ``import steep`` stays quick."""
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"steep.{name}")
    raise AttributeError(f"module 'steep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
