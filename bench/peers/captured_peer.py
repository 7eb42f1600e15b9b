"""steep through ``sp.compile``: the same lines as steep_peer.py, recorded once and replayed."""

from __future__ import annotations

import functools

import steep as sp

from peers.steep_peer import STEPS, set_threads

__all__ = ["KINDS", "NAME", "set_threads"]

NAME = "captured"
KINDS = {kind: functools.partial(make, wrap=sp.compile) for kind, make in STEPS.items()}
