"""Neural networks: modules, layers and losses.

Start reading at ``module.py`` (a model is a tree of attributes); layers call the functions of ``functional.py``.
"""

from steep.elsewhere import answer_unknown_names
from steep.nn import cost, functional, init
from steep.nn.activations import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from steep.nn.containers import Concat, Residual, Sequential
from steep.nn.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from steep.nn.criteria import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from steep.nn.fusion import fuse_batch_norm
from steep.nn.layers import Dropout, Embedding, Flatten, LayerNorm, Linear
from steep.nn.losses import bce_with_logits, cross_entropy, info_nce, l1_loss, mse_loss, nll_loss
from steep.nn.module import Module
from steep.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm2d,
    LocalResponseNorm,
    MultiheadAttention,
)
from steep.nn.parameter import Parameter
from steep.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool2d,
    Upsample,
)
from steep.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BCEWithLogitsLoss",
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Concat", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
    "ConvTranspose2d", "ConvTranspose3d", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "Flatten", "GELU",
    "GRU", "GRUCell", "GroupNorm", "Hardsigmoid", "Hardswish", "InstanceNorm2d", "L1Loss", "LSTM", "LSTMCell",
    "LayerNorm", "LeakyReLU", "Linear", "LocalResponseNorm", "MSELoss", "MaxPool1d", "MaxPool2d", "MaxPool3d",
    "MaxUnpool2d", "Module", "MultiheadAttention", "NLLLoss", "PReLU", "Parameter", "RNN", "RNNCell", "ReLU",
    "ReLU6", "Residual", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh", "Upsample",
    "bce_with_logits", "cost", "cross_entropy", "functional", "fuse_batch_norm", "info_nce", "init", "l1_loss",
    "mse_loss", "nll_loss",
]  # fmt: skip

answer_unknown_names(__name__)
