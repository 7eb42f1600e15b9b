"""The networks as rows of ``build.py``, and the names of their weights in files.

Names are those of the papers' own releases: ``conv1``, ``relu1``, ``pool1``, ``fire2``; every ReLU is a separate layer.
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


def _inverted(
    name: str, channels: int, out: int, kernel: int, stride: int, expand: int, padding: int | str, eps: float
) -> Row:
    """A block of MobileNetV2: expand, filter each channel, project; with a residual connection if the shape is kept."""
    widen: Rows = [
        ("expand", "conv", channels * expand, 1, 1, 0, False),
        ("bn0", "batch_norm", eps),
        ("relu0", "relu6"),
    ]
    rows: Rows = [
        *(widen if expand > 1 else []),
        ("depthwise", "depthwise", kernel, stride, padding, False),
        ("bn1", "batch_norm", eps),
        ("relu1", "relu6"),
        ("project", "conv", out, 1, 1, 0, False),
        ("bn2", "batch_norm", eps),
    ]
    return name, "residual" if stride == 1 and channels == out else "sequence", rows


def _efficientnet(
    stages: list[tuple[int, int, int, int, int]],
    channels: int,
    padding: int | str = "same_upper",
    eps: float = 1e-3,
) -> Rows:
    """Stages are (blocks, kernel, stride of the first, expansion, channels)."""
    rows: list[Row] = []
    for repeat, kernel, first, expand, out in stages:
        for i in range(repeat):
            name = f"block{len(rows) + 1}"
            rows.append(_inverted(name, channels, out, kernel, 1 if i else first, expand, padding, eps))
            channels = out
    return rows


# Source: Tan and Le 2019, arXiv:1905.11946; the "lite" form: no squeeze-and-excitation, ReLU6, a fixed stem and head.
EFFICIENTNET_LITE0: Rows = [
    ("conv_stem", "conv", 32, 3, 2, "same_upper", False),
    ("bn_stem", "batch_norm", 1e-3),
    ("relu_stem", "relu6"),
    *_efficientnet(
        [
            (1, 3, 1, 1, 16),
            (2, 3, 2, 6, 24),
            (2, 5, 2, 6, 40),
            (3, 3, 2, 6, 80),
            (3, 5, 1, 6, 112),
            (4, 5, 2, 6, 192),
            (1, 3, 1, 6, 320),
        ],
        32,
    ),
    ("conv_head", "conv", 1280, 1, 1, 0, False),
    ("bn_head", "batch_norm", 1e-3),
    ("relu_head", "relu6"),
    ("pool", "global_pool"),
    ("flatten", "flatten"),
    ("logits", "linear", 1000),
]


# Source: Sandler et al. 2018, arXiv:1801.04381; without the classifier.
MOBILENET_V2: Rows = [
    ("conv_stem", "conv", 32, 3, 2, 1, False),
    ("bn_stem", "batch_norm"),
    ("relu_stem", "relu6"),
    *_efficientnet(
        [
            (1, 3, 1, 1, 16),
            (2, 3, 2, 6, 24),
            (3, 3, 2, 6, 32),
            (4, 3, 2, 6, 64),
            (3, 3, 1, 6, 96),
            (3, 3, 2, 6, 160),
            (1, 3, 1, 6, 320),
        ],
        32,
        padding=1,
        eps=1e-5,
    ),
    ("conv_head", "conv", 1280, 1, 1, 0, False),
    ("bn_head", "batch_norm"),
    ("relu_head", "relu6"),
    ("pool", "global_pool"),
    ("features", "flatten"),
]


def mobilenet_name(name: str, _: int) -> str:
    """The file's name of a layer: "block2.project" is "features.2.conv.6", "conv_stem" is "features.0.0".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    stem_and_head = {"conv_stem": "0.0", "bn_stem": "0.1", "conv_head": "18.0", "bn_head": "18.1"}
    if name in stem_and_head:
        return f"features.{stem_and_head[name]}"
    block, layer = name.split(".")
    order = ["expand", "bn0", "relu0", "depthwise", "bn1", "relu1", "project", "bn2"]
    at = order.index(layer) - (3 if block == "block1" else 0)  # which expands nothing
    return f"features.{block.removeprefix('block')}.conv.{at}"


def efficientnet_name(name: str, _: int) -> str:
    """The file's name of a layer: "block2.expand" is "_blocks.1._expand_conv", "bn_stem" is "_bn0".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    outside = {"bn_stem": "_bn0", "bn_head": "_bn1", "logits": "_fc"}
    if "." not in name:
        return outside.get(name, f"_{name}")
    block, layer = name.split(".")
    return f"_blocks.{int(block.removeprefix('block')) - 1}._{layer}{'' if layer.startswith('bn') else '_conv'}"


def squeezenet_name(name: str, _: int) -> str:
    """The file's name of a layer: "fire2.concat.expand1x1" is "fire2/expand1x1".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    return name.replace(".concat.", "/").replace(".squeeze", "/squeeze1x1")


def _dcgan(channels: list[int]) -> Rows:
    rows: list[Row] = []
    for i, out in enumerate(channels, 1):
        rows.append((f"deconv{i}", "conv_transpose", out, 4, *((1, 0) if i == 1 else (2, 1)), False))
        rows += [(f"bn{i}", "batch_norm"), (f"relu{i}", "relu")] if i < len(channels) else [("image", "tanh")]
    return rows


# Source: Radford et al. 2015, arXiv:1511.06434: the generator, from latents (n, 100, 1, 1) to images in [-1, 1].
DCGAN: Rows = _dcgan([512, 256, 128, 64, 3])


def dcgan_name(name: str, _: int) -> str:
    """The file's name of a layer: "deconv2" is "netG_state_dict.main.3", "bn2" the next.

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    kind, number = name[:-1], int(name[-1])
    return f"netG_state_dict.main.{3 * (number - 1) + (kind == 'bn')}"


def _separable(number: int | str, out: int, stride: int = 1, padding: int | str = 1) -> Rows:
    return [
        (f"depthwise{number}", "depthwise", 3, stride, padding, False),
        (f"pointwise{number}", "conv", out, 1),
    ]


def _xception(name: str, out: int, first: Rows) -> Row:
    """A block of Xception: two separable convolutions and a pooling, beside a convolution of the input."""
    rows: Rows = [*first, *_separable(1, out), ("relu1", "relu"), *_separable(2, out), ("pool", "max_pool", 3, 2, 1)]
    return name, "residual", rows, ("conv", out, 1, 2)


# Source: Arriaga et al. 2017, arXiv:1710.07557, "mini-Xception", its batch normalization folded into the convolutions.
MINI_XCEPTION: Rows = [
    ("conv1", "conv", 32, 3, 2),
    ("relu1", "relu"),
    ("conv2", "conv", 64, 3),
    ("relu2", "relu"),
    _xception("block1", 128, []),
    _xception("block2", 256, [("relu0", "relu")]),
    ("conv3", "conv", 7, 3, 1, 1),
    ("pool", "global_pool"),
    ("logits", "flatten"),
]


def mini_xception_name(name: str, _: int) -> str:
    """The file's name of a layer, that of the operation which uses its weights: "conv1" is "block1_conv1_act/Relu".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    operations = {
        "conv1": "block1_conv1_act/Relu",
        "conv2": "block1_conv2_act/Relu",
        "block1.depthwise1": "separable_conv2d_1/separable_conv2d/depthwise",
        "block1.pointwise1": "block2_sepconv2_act/Relu",
        "block1.depthwise2": "separable_conv2d_2/separable_conv2d/depthwise",
        "block1.pointwise2": "block2_sepconv2_bn/FusedBatchNormV3",
        "block1.shortcut": "batch_normalization_1/FusedBatchNormV3",
        "block2.depthwise1": "separable_conv2d_3/separable_conv2d/depthwise",
        "block2.pointwise1": "block3_sepconv2_act/Relu",
        "block2.depthwise2": "separable_conv2d_4/separable_conv2d/depthwise",
        "block2.pointwise2": "block3_sepconv2_bn/FusedBatchNormV3",
        "block2.shortcut": "batch_normalization_2/FusedBatchNormV3",
        "conv3": "conv2d_5/BiasAdd",
    }
    return f"StatefulPartitionedCall/model_1/{operations[name]}"


def _dense(block: int, out: int) -> Row:
    """Four convolutions, of which each but the first sees the sum of those before it."""
    first: Rows = [("conv", "conv", out, 3, 2, "same_upper")] if block == 0 else _separable("", out, 2, "same_upper")
    rows: list[Row] = [("conv0", "sequence", [*first, ("relu", "relu")])]
    for i in range(1, 4):
        before: Rows = [("relu", "relu")] if i > 1 else []
        rows.append((f"conv{i}", "residual", [*before, *_separable("", out)]))
    return f"dense{block}", "sequence", [*rows, ("relu3", "relu")]


# Source: face-api.js by Vincent Muehler, "FaceExpressionNet": densely connected blocks, here written as residual ones.
FACE_EXPRESSIONS: Rows = [
    *(_dense(block, out) for block, out in enumerate((32, 64, 128, 256))),
    ("pool", "global_pool"),
    ("flatten", "flatten"),
    ("logits", "linear", 7),
]


def face_expressions_name(name: str, _: int) -> str:
    """The file's name of a layer's weight: "dense1.conv2.pointwise" is "dense1/conv2/pointwise_filter".

    Args:
        name: name of the layer.
        _: unused.

    Returns:
        The file's name.
    """
    if name == "logits":
        return "fc/weights"
    block, conv, layer = name.split(".")
    return f"{block}/{conv}/{'filters' if layer == 'conv' else f'{layer}_filter'}"


# The biases' names do not say of which convolution they are: own names to the file's.
FACE_BIASES = {
    f"dense{block}.conv{i}.{'pointwise' if block + i else 'conv'}.bias": f"dense{block}/conv{i}/bias"
    for block in range(4)
    for i in range(4)
} | {"logits.bias": "fc/bias"}
