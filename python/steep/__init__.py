"""steep: automatic differentiation, for training models and for optimising their inputs.

Tensors and their ops follow the Python array API, gradients PyTorch, tapes TensorFlow, transforms JAX. The ops come
from the C++ core (``steep._core``, one table row per op); the packages above them are plain Python. Everything public
is named here.
"""

from __future__ import annotations

import os as _os
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from steep import _core as _core, random as random, tree as tree
from steep._core import *
from steep._core import (
    CompileError as CompileError,
    GradientError as GradientError,
    Tensor as Tensor,
    dtype as dtype,
    enable_grad as enable_grad,
    explain as explain,
    no_grad as no_grad,
)
from steep.compiling import compile as compile
from steep.custom import checkpoint as checkpoint, custom_vjp as custom_vjp
from steep.modes import (
    detect_anomaly as detect_anomaly,
    gradient_rule as gradient_rule,
    matmul_precision as matmul_precision,
    threads as threads,
)
from steep.profiler import profile as profile
from steep.array_api.namespace import *
from steep.tape import GradientTape as GradientTape
from steep.testing import check_grads as check_grads
from steep.transforms import (
    grad as grad,
    hessian as hessian,
    hvp as hvp,
    jacobian as jacobian,
    jvp as jvp,
    linearize as linearize,
    value_and_grad as value_and_grad,
    vjp as vjp,
)

if _TYPE_CHECKING:
    from steep import ascent as ascent, attack as attack, data as data, descent as descent, distributed as distributed
    from steep import explore as explore, imagine as imagine, io as io, metrics as metrics, nn as nn, onnx as onnx
    from steep import optim as optim, pictures as pictures, progress as progress, saliency as saliency, scores as scores
    from steep.report import page as page
    from steep import selftest as selftest, sklearn as sklearn, text as text, training as training, zoo as zoo

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

_LAZY = (
    "ascent", "attack", "data", "descent", "distributed", "explore", "imagine", "io", "metrics", "nn", "onnx", "optim",
    "pictures", "progress", "saliency", "scores", "selftest", "sklearn", "text", "training", "zoo",
)  # fmt: skip
_LAZY_FUNCTIONS = {"page": "steep.report"}
_PACKAGES = (
    "flops",
    "profiler",
    "random",
    "tree",
    *_LAZY,
)  # what the reference of the API shows


def _default_threads() -> int:
    given = _os.environ.get("STEEP_NUM_THREADS", "")
    if not given:
        return len(_os.sched_getaffinity(0)) if hasattr(_os, "sched_getaffinity") else (_os.cpu_count() or 1)
    if not given.isdecimal() or len(given) > 9 or int(given) < 1:
        raise ImportError(f"STEEP_NUM_THREADS is {given[:40]!r}; it must be an integer, at least 1")
    return int(given)


def _set_precision() -> None:
    given = _os.environ.get("STEEP_MATMUL", "") or "auto"
    try:
        _core.set_matmul_precision(given)
    except ValueError:
        words = "auto, fma, split or bf16, or winograd2 or winograd4, which some convolutions have"
        raise ImportError(f"STEEP_MATMUL is {given[:40]!r}; it must be {words}") from None


_core.set_num_threads(_default_threads())
_set_precision()


def __getattr__(name: str) -> _Any:
    """Imports the packages above the tensors at first use, so that ``import steep`` is fast."""
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"steep.{name}")
    if name in _LAZY_FUNCTIONS:
        import importlib

        return getattr(importlib.import_module(_LAZY_FUNCTIONS[name]), name)
    if name.startswith("_"):  # interpreters and tools ask for many of these
        raise AttributeError(f"module 'steep' has no attribute {name!r}")
    from steep.elsewhere import hint

    raise AttributeError(f"module 'steep' has no attribute {name!r}{hint('steep', name, tuple(__dir__()))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_LAZY_FUNCTIONS})
