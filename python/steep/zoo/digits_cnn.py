"""A small convolutional network for 28x28 digits; its trained weights ship in ``weights/digits_cnn.safetensors``.

``examples/train_digits_cnn.py`` makes that file.
"""

from __future__ import annotations

from steep import nn
from steep.random import Generator


def digits_cnn(seed: int = 0) -> nn.Sequential:
    """A convolutional network for 28x28 digits, untrained.

    Three convolutions and two linear layers, 55,658 parameters: LeNet-5's architecture with ReLUs.

    Args:
        seed: seed of the initial values.

    Returns:
        A ``Sequential`` from images (n, 1, 28, 28) in [0, 1] to scores (n, 10).

    References:
        LeCun et al. 1998, "Gradient-based learning applied to document recognition", doi:10.1109/5.726791.
    """
    source = Generator(seed)
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(1, 16, 5, padding=2, generator=source),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(16, 32, 5, generator=source),
            "relu2": nn.ReLU(),
            "pool2": nn.MaxPool2d(2),
            "conv3": nn.Conv2d(32, 48, 3, generator=source),
            "relu3": nn.ReLU(),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(432, 64, generator=source),
            "relu4": nn.ReLU(),
            "fc2": nn.Linear(64, 10, generator=source),
        }
    )
