"""The networks as rows of ``build.py``, and what their files call the weights.

Names are those of the papers' own releases: ``conv1``, ``relu1``, ``pool1``, ``fire2``; every ReLU is a layer of
its own.
"""

from __future__ import annotations

from steep.zoo.build import Row, Rows


def _fire(name: str, squeeze: int, expand: int) -> Row:
    rows: Rows = [
        ("squeeze", "conv", squeeze, 1),
        ("relu_squeeze", "relu"),
        ("concat", "concat", [("expand1x1", "conv", expand, 1), ("expand3x3", "conv", expand, 3, 1, 1)]),
        ("relu", "relu"),
    ]
    return name, "sequence", rows


# Source: Iandola et al. 2016, arXiv:1602.07360, version 1.1.
SQUEEZENET: Rows = [
    ("conv1", "conv", 64, 3, 2),
    ("relu1", "relu"),
    ("pool1", "max_pool", 3, 2),
    _fire("fire2", 16, 64),
    _fire("fire3", 16, 64),
    ("pool3", "max_pool", 3, 2),
    _fire("fire4", 32, 128),
    _fire("fire5", 32, 128),
    ("pool5", "max_pool", 3, 2),
    _fire("fire6", 48, 192),
    _fire("fire7", 48, 192),
    _fire("fire8", 64, 256),
    _fire("fire9", 64, 256),
    ("conv10", "conv", 1000, 1),
    ("relu10", "relu"),
    ("pool10", "global_pool"),
    ("logits", "flatten"),
]

# Source: Krizhevsky 2014, arXiv:1404.5997; without the last pooling and the fully connected layers.
ALEXNET: Rows = [
    ("conv1", "conv", 64, 11, 4, 2),
    ("relu1", "relu"),
    ("pool1", "max_pool", 3, 2),
    ("conv2", "conv", 192, 5, 1, 2),
    ("relu2", "relu"),
    ("pool2", "max_pool", 3, 2),
    ("conv3", "conv", 384, 3, 1, 1),
    ("relu3", "relu"),
    ("conv4", "conv", 256, 3, 1, 1),
    ("relu4", "relu"),
    ("conv5", "conv", 256, 3, 1, 1),
    ("relu5", "relu"),
]


def _vgg(blocks: list[tuple[int, int]]) -> Rows:
    rows: list[Row] = []
    for block, (repeat, channels) in enumerate(blocks, 1):
        rows += [("pool" + str(block - 1), "max_pool", 2, 2)] if rows else []
        for i in range(1, repeat + 1):
            rows += [(f"conv{block}_{i}", "conv", channels, 3, 1, 1), (f"relu{block}_{i}", "relu")]
    return rows


# Source: Simonyan and Zisserman 2014, arXiv:1409.1556, configuration D; without the last pooling and what follows.
VGG16: Rows = _vgg([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)])


def squeezenet_name(name: str, _: int) -> str:
    """The file's name of a layer: "fire2.concat.expand1x1" is "fire2/expand1x1"."""
    return name.replace(".concat.", "/").replace(".squeeze", "/squeeze1x1")
