"""Pictures and words in one space: contrastive pre-training of two towers, search by text, zero-shot classes, drawing.

Start reading at ``any_towers.py``; ``train.py`` is the one loop over pairs, ``recipes.py`` what is trained by name,
``generators.py`` what draws pictures, and ``drawing.py`` how a sentence guides it. See docs/imagine.md.
"""

from steep.imagine.any_towers import AnyTowers
from steep.imagine.contrast import contrastive_loss, retrieval
from steep.imagine.conse import Photos
from steep.imagine.decoder import Decoder, train_decoder
from steep.imagine.drawing import Drawing, Standing, draw
from steep.imagine.describe import Description, describe
from steep.imagine.generators import Generator, generator
from steep.imagine.model import Model, load
from steep.imagine.onnx_towers import OnnxTowers
from steep.imagine.recipes import train_clip
from steep.imagine.scorers import scorer
from steep.imagine.search import Found, search, zero_shot
from steep.imagine.together import Together
from steep.imagine.towers import Towers
from steep.imagine.train import Pairs, Settings, train

__all__ = [
    "AnyTowers", "Decoder", "Description", "Drawing", "Found", "Generator", "Model", "OnnxTowers", "Pairs", "Photos",
    "Settings", "Standing", "Together", "Towers", "contrastive_loss", "describe", "draw", "generator", "load",
    "retrieval", "scorer", "search", "train", "train_clip", "train_decoder", "zero_shot",
]  # fmt: skip
