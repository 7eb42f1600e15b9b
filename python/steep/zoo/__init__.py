"""Pretrained models by name: ``load("squeezenet1_1")``, and ``lpips("alex")``, a perceptual distance.

Weights ship inside ordinary packages, are downloaded by name on demand, checked, and cached; small ones ship with
steep. Start reading at ``table.py``, one row per model; networks are rows too (``networks.py``). See docs/zoo.md.
"""

from steep.zoo.load import Pretrained, load, names
from steep.zoo.lpips import LPIPS, lpips
from steep.zoo.preprocessing import Preprocessing

__all__ = ["LPIPS", "Preprocessing", "Pretrained", "load", "lpips", "names"]
