"""Pictures and words in one space: contrastive pre-training of two towers, search by text, and zero-shot classes.

Start reading at ``towers.py``; ``train.py`` is the one loop over pairs, ``recipes.py`` what is trained by name. See
docs/imagine.md.
"""

from steep.imagine.contrast import contrastive_loss, retrieval
from steep.imagine.onnx_towers import OnnxTowers
from steep.imagine.recipes import scorer, train_clip
from steep.imagine.search import Found, search, zero_shot
from steep.imagine.towers import Towers
from steep.imagine.train import Pairs, Settings, train

__all__ = [
    "Found", "OnnxTowers", "Pairs", "Settings", "Towers", "contrastive_loss", "retrieval", "scorer", "search", "train",
    "train_clip", "zero_shot",
]  # fmt: skip
