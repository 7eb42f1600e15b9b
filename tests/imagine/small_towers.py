"""Small towers that know four colours, and four pictures in place of emoji."""

import numpy as np
import steep as sp
from steep import imagine, nn
from steep.data.emoji_set import Concept, Emoji
from steep.text import TextEncoder, Tokenizer
from steep.zoo import Preprocessing

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "grey": (128, 128, 128)}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *COLOURS, "a", "thing"]
SETTINGS = imagine.Settings(epochs=3, batch=8, lr=0.02, zoom=0.1)


class Bag(nn.Module):
    """A text as the sum of fixed random vectors of its words."""

    def __init__(self):
        self.table = np.random.default_rng(0).normal(size=(len(WORDS), 384)).astype(np.float32)

    def forward(self, ids):
        return sp.asarray(self.table[np.asarray(ids)].mean(axis=1))


def encoder():
    return TextEncoder(Bag(), Tokenizer.from_vocabulary({word: i for i, word in enumerate(WORDS)}), length=6)


def towers(seed=0):
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, generator=seed), nn.BatchNorm2d(8), nn.ReLU(),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten())  # fmt: skip
    way = Preprocessing(16, (0.5,) * 3, (0.25,) * 3, margin=1.0)
    return imagine.Towers(trunk, way, 8, frozen=False, words=encoder(), size=16, seed=seed, name="small")


def made_pairs():
    draw = np.random.default_rng(1)
    pictures = [np.clip(draw.normal(c, 20, (16, 16, 3)), 0, 255) for c in COLOURS.values() for _ in range(6)]
    texts = encoder()([text for name in COLOURS for text in (name, f"a {name} thing")])
    groups = np.repeat(np.arange(len(COLOURS)), 6)
    return imagine.Pairs(np.array(pictures, np.uint8), groups, np.asarray(texts).reshape(len(COLOURS), 2, -1))


def emoji():
    """Four squares of one colour, each a concept."""
    concepts = tuple(Concept(name[0], {"en": f"{name} square"}, {}) for name in COLOURS)
    pictures = np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in COLOURS.values()])
    return Emoji(concepts, ("plain",), pictures, np.arange(4), np.zeros(4, np.int64))
