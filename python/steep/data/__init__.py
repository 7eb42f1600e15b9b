"""Data sets, loaders and downloads. Start reading at ``loader.py``; data sets by name are in ``sets.py``.

One's own data: ``folder`` of pictures, ``table`` of rows, ``files.py`` for idx, npz and CIFAR; ``split`` divides them,
``augmented`` changes pictures. Nothing is downloaded at import; ``load(name)`` downloads on demand, says so, and keeps
the file.
"""

from steep.elsewhere import answer_unknown_names
from steep.data import augment, rows
from steep.data.augmented import Augmented, CutMix, Mixup, augmented
from steep.data.boxes import Box, Boxed, boxed_photos
from steep.data.dataset import Dataset, TensorDataset, as_dataset
from steep.data.emoji_set import Concept, Emoji, emoji
from steep.data.fetch import FetchError
from steep.data.files import cifar, idx, npz, read_idx
from steep.data.folder import Folder, folder
from steep.data.images import read_image
from steep.data.loader import DataLoader
from steep.data.photos import Labelled, photo, photos
from steep.data.rows import Draw
from steep.data.sets import Part, Splits, digits, fashion_mnist, load, mnist, mnist5k
from steep.data.split import Subset, split, subset
from steep.data.table import Table, table

__all__ = [
    "Augmented", "Box", "Boxed", "Concept", "CutMix", "DataLoader", "Dataset", "Draw", "Emoji", "FetchError",
    "Folder", "Labelled", "Mixup", "Part", "Splits", "Subset", "Table", "TensorDataset", "as_dataset", "augment",
    "augmented", "boxed_photos", "cifar", "digits", "emoji", "fashion_mnist", "folder", "idx", "load", "mnist",
    "mnist5k", "npz", "photo", "photos", "read_idx", "read_image", "rows", "split", "subset", "table",
]  # fmt: skip

answer_unknown_names(__name__)
