"""A step of contrastive pre-training, the recipe of `steep imagine --train clip` (docs/imagine.md), beside torch's.

    .venv-bench/bin/python bench/towers.py [THREADS]

A batch of 256 pictures of 64 pixels is zoomed, rotated, shifted and brightened at random, goes through the six
convolutions and both heads, and AdamW takes a step; both libraries run alternately. steep runs its own training loop on
pictures of noise, torch the same in eager mode and by torch.compile. Start reading at ``main``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["STEEP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = sys.argv[1] if len(sys.argv) > 1 else "1"

import numpy as np
import torch
from steep.imagine.recipes import small_towers
from steep.imagine.towers import Cnn
from steep.imagine.train import Pairs, Settings, train
from torch import nn

THREADS = int(os.environ["OMP_NUM_THREADS"])
BATCH, WORDS, SIZE = 256, 384, 128
ROUNDS, WARM = 14, 3  # steps, and those that are not counted


def pairs() -> Pairs:
    """Pictures and texts of noise, as many as a few batches take."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2 * BATCH, 64, 64, 3)).astype(np.uint8)
    texts = rng.standard_normal((2 * BATCH, 1, WORDS)).astype(np.float32)
    return Pairs(pictures, np.arange(2 * BATCH), texts)


class TorchTowers(nn.Module):
    """The same network and heads."""

    def __init__(self) -> None:
        super().__init__()
        layers, before = [], 3
        for channels, stride in Cnn.CHANNELS:
            layers += [nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.image_head, self.text_head = nn.Linear(before, SIZE), nn.Linear(WORDS, SIZE)
        self.log_scale = nn.Parameter(torch.tensor(2.66))

    def forward(self, x: torch.Tensor, texts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = nn.functional.normalize(self.image_head(self.trunk(x)))
        return images, nn.functional.normalize(self.text_head(texts))


def torch_step(compiled: bool) -> Callable[[], Any]:
    """A step of torch: augmentation, both towers, the loss with masked negatives, AdamW."""
    data, settings = pairs(), Settings()
    towers = TorchTowers()
    optimizer = torch.optim.AdamW(towers.parameters(), settings.lr, weight_decay=settings.weight_decay)
    pictures = torch.tensor(data.pictures).permute(0, 3, 1, 2)
    texts, source = torch.tensor(data.texts[:, 0]), torch.Generator().manual_seed(0)

    def loss(x: torch.Tensor, t: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        a, b = towers(x, t)
        scale = towers.log_scale.clamp(max=4.6).exp()
        similarity = a @ b.T * scale
        same = (g[:, None] == g[None]) & ~torch.eye(len(g), dtype=torch.bool)
        similarity = similarity.masked_fill(same, -1e4)
        matched = (a * b).sum(1) * scale
        return ((similarity.logsumexp(1) + similarity.logsumexp(0)) / 2 - matched).mean()

    run = torch.compile(loss) if compiled else loss

    def step() -> Any:
        rows = torch.randperm(len(pictures), generator=source)[:BATCH]
        x = (pictures[rows].float() / 255 - 0.5) / 0.25
        draws = torch.rand((5, BATCH), generator=source) * 2 - 1
        angle, factor = draws[0] * settings.rotate * torch.pi / 180, 1 / (1 + settings.zoom * draws[1])
        c, s = angle.cos() * factor, angle.sin() * factor
        matrix = torch.stack([torch.stack([c, -s, 0.1 * draws[2]], -1), torch.stack([s, c, 0.1 * draws[3]], -1)], 1)
        grid = nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
        x = nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
        x = x * (1 + settings.brighten * draws[4])[:, None, None, None]
        optimizer.zero_grad()
        run(x, texts[rows], torch.arange(BATCH)).backward()
        optimizer.step()

    return step


def main() -> None:
    torch.set_num_threads(THREADS)
    others = {"torch": torch_step(False), "torch.compile": torch_step(True)}
    found: dict[str, list[float]] = {name: [] for name in ("steep", *others)}
    began = time.perf_counter()

    def after(step: int, steps: int, loss: float) -> None:
        """Called by steep's loop after each of its steps: the others take one."""
        nonlocal began
        found["steep"].append(1e3 * (time.perf_counter() - began))
        for name, other in others.items():
            began = time.perf_counter()
            other()
            found[name].append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()

    train(small_towers(), pairs(), Settings(epochs=ROUNDS // 2), after)
    times = {name: each[WARM:] for name, each in found.items()}
    ours = times["steep"]
    for name, each in times.items():
        ratios = f"{min(each) / min(ours):.2f} {np.median(each) / np.median(ours):.2f}"
        print(f"{name:14} {min(each):8.1f} ms, median {np.median(each):8.1f}, times steep's {ratios}")


if __name__ == "__main__":
    main()
