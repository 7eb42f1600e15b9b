"""Neural networks: modules, layers and losses.

Start reading at ``module.py`` (a model is a tree of attributes); layers compute what ``functional.py`` says.
"""

from steep.nn import functional, init
from steep.nn.activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from steep.nn.criteria import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from steep.nn.layers import Dropout, Embedding, Flatten, LayerNorm, Linear, Sequential
from steep.nn.losses import bce_with_logits, cross_entropy, info_nce, l1_loss, mse_loss, nll_loss
from steep.nn.module import Module

__all__ = [
    "BCEWithLogitsLoss", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "Flatten", "GELU", "L1Loss", "LayerNorm",
    "LeakyReLU", "Linear", "MSELoss", "Module", "NLLLoss", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Tanh", "bce_with_logits", "cross_entropy", "functional", "info_nce", "init", "l1_loss", "mse_loss",
    "nll_loss",
]  # fmt: skip
