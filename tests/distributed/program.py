"""A program for mpiexec: trains with everything that several ranks could disagree about, and saves weights.

python -m steep.distributed program.py FOLDER [ACTION AT_STEP RANK]: an action of one rank is kill, stop, raise, exit,
data, or part (to end after so many steps, for resuming).
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from steep import distributed as dist
from steep import io, nn
from steep.random import Generator
from steep.training import Recipe, fit

folder, action, at, culprit = Path(sys.argv[1]), *([*sys.argv[2:], "", "0", "0"][:3])
rng, source = np.random.default_rng(0), Generator(0)
x = rng.normal(size=(96, 1, 8, 8)).astype(np.float32)
y = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
rank = dist.world().rank
if action == "data" and rank == int(culprit):
    x = x + 1
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, generator=source), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3, generator=source),
    nn.Linear(144, 2, generator=source),
)  # fmt: skip
recipe = Recipe(epochs=4, batch_size=32, shards=8, optimizer="adam", lr=0.01, clip=1.0, ema=0.9, noise=0.1, flip=True)


def act(seen):
    """What goes wrong after a step."""
    if seen.step != int(at):
        return False
    if action == "part":
        return True
    if rank == int(culprit) and action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if rank == int(culprit) and action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if rank == int(culprit) and action == "raise":
        raise RuntimeError("something of one rank")
    if rank == int(culprit) and action == "exit":
        sys.exit(3)
    return False


path = folder / "run.safetensors"
done = fit(model, (x, y), (x, y), recipe, act, checkpoint=path, every=5, resume=path.exists(), log=folder / "log.csv")
if rank == 0:
    io.save(folder / "weights.safetensors", model.state_dict())
step = dist.value_and_grad(lambda w, part: ((part @ w) ** 2).mean(), shards=8)
value, gradient = step(np.ones((64, 1), np.float32) / 7, x.reshape(96, 64))
if rank == 0:
    io.save(folder / "gradient.safetensors", {"value": value, "gradient": gradient})
