"""Pictures per second out of a folder of JPEG files of 224 x 224: steep's DataLoader beside torch's, two workers each.

``python bench/loader.py`` writes the pictures, reads them by both alternately, and prints the median and the best of
the rounds, and how much memory this process has gained since the first. torch's side decodes with Pillow too, into
float32 (C, H, W) from 0 to 1, as torchvision's ``ToTensor`` does, by processes that stay. Start reading at ``main``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import steep as sp
import torch
from PIL import Image

SIDE, BATCH, WORKERS = 224, 32, 2


def write_pictures(folder: Path, count: int) -> None:
    """Smooth noise, which JPEG makes as large as photographs."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 28, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        picture = np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)
        place = folder / f"class{number % 4}"
        place.mkdir(exist_ok=True)
        Image.fromarray(picture).save(place / f"{number}.jpg", quality=90)


class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The same folder, as people write it for torch."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*/*.jpg"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        pixels = np.array(Image.open(self.files[index]).convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, int(self.files[index].parent.name[-1])


def seconds(batches: Iterable[object]) -> float:
    began = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - began


def resident() -> float:
    """Resident memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_pictures(Path(name), given.pictures)
        loaders = {
            "steep": sp.data.DataLoader(sp.data.folder(name), BATCH, shuffle=True, seed=0, workers=WORKERS),
            "torch": torch.utils.data.DataLoader(
                Pictures(Path(name)), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
            ),
        }
        rates: dict[str, list[float]] = {kind: [] for kind in loaders}
        memory = []
        for _ in range(given.rounds + 1):
            for kind, loader in loaders.items():
                rates[kind].append(given.pictures / seconds(loader))
            memory.append(resident())
        for kind, found in rates.items():  # without the first round, in which torch starts its processes
            print(f"{kind}: {statistics.median(found[1:]):.0f} pictures per second, at best {max(found[1:]):.0f}")
        ratios = [a / b for a, b in zip(rates["steep"][1:], rates["torch"][1:], strict=True)]
        print(f"ratio: {statistics.median(ratios):.2f}; memory: {memory[-1] - memory[1]:+.1f} MB since the first round")


if __name__ == "__main__":
    main()
