"""The networks as ONNX files, for the peers that run files: saved by steep, each once in a process."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import networks
import steep as sp

from peers.steep_peer import Layers


class Network(sp.nn.Module):
    """One of networks.py."""

    def __init__(self, name, weights):
        super().__init__()
        self.name = name
        self.weights = [(sp.tensor(w, requires_grad=True), sp.tensor(b, requires_grad=True)) for w, b in weights]

    def forward(self, x):
        return networks.run(self.name, Layers, self.weights, x)


@functools.cache
def folder():
    return tempfile.TemporaryDirectory(prefix="steep-bench-")


def module_of(inputs):
    """The network with its weights, or the model of the zoo."""
    return Network(inputs["network"], inputs["weights"]) if inputs["weights"] else sp.zoo.load(inputs["network"])


def saved(inputs):
    """The path of the file."""
    path = Path(folder().name) / f"{inputs['network']}.onnx"
    if not path.exists():
        sp.onnx.save(module_of(inputs), path, sp.tensor(inputs["x"][:1]))
    return str(path)
