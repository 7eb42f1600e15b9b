"""Data sets, loaders and downloads. Start reading at ``loader.py``; data sets by name are in ``sets.py``.

Nothing is downloaded at import; ``load(name)`` downloads on demand, says so, and keeps the file.
"""

from steep.data import augment
from steep.data.dataset import Dataset, TensorDataset
from steep.data.emoji_set import Concept, Emoji, emoji
from steep.data.fetch import FetchError
from steep.data.images import read_image
from steep.data.loader import DataLoader
from steep.data.photos import Labelled, photo, photos
from steep.data.sets import Part, Splits, digits, fashion_mnist, load, mnist, mnist5k

__all__ = [
    "Concept", "DataLoader", "Dataset", "Emoji", "FetchError", "Labelled", "Part", "Splits", "TensorDataset", "augment",
    "digits", "emoji", "fashion_mnist", "load", "mnist", "mnist5k", "photo", "photos", "read_image",
]  # fmt: skip
