"""The node tests of the ONNX package: all that are applicable pass, and what is refused stands in one table here.

``onnx_nodes.py`` runs them. A test whose model loads is applicable, whatever comes of it.
"""

from __future__ import annotations

import re

import pytest

pytest.importorskip("onnx")
import onnx_nodes

# Operators that are refused by name.
REFUSED = [
    "Bernoulli", "BitCast", "BlackmanWindow", "CausalConvWithState", "CenterCropPad", "Col2Im", "DFT", "DeformConv",
    "Det", "HammingWindow", "HannWindow", "ImageDecoder", "LinearAttention", "MelWeightMatrix", "Optional",
    "OptionalGetElement", "OptionalHasElement", "RandomUniformLike", "STFT", "Scan", "SwiGLU", "TfIdfVectorizer",
    "ai.onnx.preview.FlexAttention",
]  # fmt: skip
# Forms and types of others that are refused.
FORMS = [
    r"has element type (float8\w+|float4\w+|uint64|string);",
    r"is an optional, not a tensor",
    r"operators of ai\.onnx\.(ml|preview)\S* are not supported",
    r"GridSample: mode '(bi)?cubic' is not supported",
    r"GridSample: X with 5 dimensions is not supported",
    r"Dropout: training mode",
]
# What inference of perceptrons, convolutional networks and transformers needs: each has tests that pass.
NEEDED = [
    "Abs", "Add", "And", "ArgMax", "ArgMin", "Attention", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "CumSum", "DepthToSpace", "Div",
    "Dropout", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements",
    "GRU", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GroupNormalization",
    "HardSigmoid",
    "HardSwish", "Identity", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "Log",
    "LogSoftmax", "LpNormalization", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not",
    "OneHot", "Or", "PRelu", "Pad", "Pow", "RMSNormalization", "RNN", "Range", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Relu", "Reshape", "Resize", "RotaryEmbedding", "Round", "ScatterElements", "ScatterND",
    "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth",
    "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Upsample",
    "Where", "Xor",
]  # fmt: skip


@pytest.fixture(scope="module")
def tally():
    return onnx_nodes.tally_all()


def test_all_applicable_tests_pass(tally):
    passed = tally.passed.total()
    print(f"{passed} of {passed + len(tally.failed)} applicable node tests passed")
    assert not tally.failed
    assert passed > 1590


def test_models_on_disk_pass_where_applicable():
    tally = onnx_nodes.tally_disk()
    assert not tally.failed
    assert tally.passed.total() >= 90


@pytest.mark.parametrize("op", NEEDED)
def test_every_needed_operator_has_passed(tally, op):
    assert tally.passed[op]


def test_only_what_is_listed_is_refused(tally):
    for reason in tally.refused:
        for part in reason.split("; "):
            named = part.split(":")[0] in REFUSED
            assert named or any(re.search(form, reason) for form in FORMS), reason
