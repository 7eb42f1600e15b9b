"""torch.compile's side of the models: torch_peer.py's, with the loss compiled. It takes a C++ compiler and minutes."""

from __future__ import annotations

import functools

import torch

from peers import torch_peer

NAME = "torch.compile"
set_threads = torch_peer.set_threads

COMPILED = ("model_train", "model_input_gradient", "pgd", "integrated")
KINDS = {kind: functools.partial(torch_peer.KINDS[kind], wrap=torch.compile) for kind in COMPILED}
