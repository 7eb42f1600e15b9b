"""Damaged files for every reader: ``python tests/fuzz_files.py MUTANTS SEED [FORMAT]``.

A mutant is read or refused with a ValueError that names the file; anything else is a fault. What a checkpoint's reader
restores is whole or as it was. tests/io/test_fuzz_files.py makes the short run, tests/trust the long ones. Start at
``FORMATS``.
"""

from __future__ import annotations

import functools
import gzip
import json
import pickle
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from steep import io, nn, optim
from steep.data.sets import read_idx
from steep.io import checkpoint, safetensors
from steep.random import Generator
from steep.zoo.pickles import read_arrays
from steep.zoo.torch_file import MAGIC, VERSION, read_torch

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.array([1, 2], np.int64), "d": np.ones((), "?")}


def spliced(r: random.Random, good: bytes) -> bytes:
    """A few bytes changed, removed, added, repeated, or the end cut off."""
    bad = bytearray(good)
    for _ in range(r.choice([1, 1, 2, 4])):
        at, kind = r.randrange(len(bad) + 1), r.randrange(6)
        if kind == 0 and at < len(bad):
            bad[at] ^= 1 << r.randrange(8)
        elif kind == 1:
            bad[at : at + r.randrange(5)] = bytes(r.randrange(256) for _ in range(r.randrange(5)))
        elif kind == 2:
            bad[at : at + 8] = r.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, (2**40).to_bytes(8, "little")])
        elif kind == 3:
            bad[at:at] = bad[at : at + r.randrange(64)] * r.choice([1, 1, 2, 50])
        elif kind == 4:
            del bad[at:]
        else:
            bad[at : at + 1] = b"(]}){[\"',:0123456789-.eE\n"[r.randrange(24) :][:1]
    return bytes(bad)


def deep(r: random.Random) -> Any:
    """A value where another kind is expected."""
    nest: Any = []
    for _ in range(r.choice([1, 2, 500])):
        nest = [nest]
    return r.choice([None, True, -1, 2**63, 1e308, "", "x", "tensor:", "tensor:nowhere", [], {}, nest, {"step": {}}])


def replaced(r: random.Random, node: Any) -> Any:
    """The tree with one part of it exchanged, removed or doubled."""
    if r.random() < 0.2 or not isinstance(node, dict | list) or not node:
        return deep(r)
    if isinstance(node, list):
        at = r.randrange(len(node))
        return node[:at] + r.choice([[replaced(r, node[at])], [], [node[at], node[at]]]) + node[at + 1 :]
    key = r.choice(list(node))
    rest = {k: v for k, v in node.items() if k != key}
    return r.choice([rest, {**rest, "other": node[key]}, {**node, key: replaced(r, node[key])}])


@functools.cache
def given() -> dict[str, Any]:
    """The objects that all mutants are read into."""
    return objects()


def objects() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(2, 3, generator=Generator(0)), nn.Dropout(0.5, generator=1))
    return {"model": model, "optimizer": optim.Adam(model.parameters(), 0.1), "generator": Generator(3)}


def checkpoint_bytes(folder: Path) -> bytes:
    io.save_checkpoint(folder / "good", **objects(), step=3, extra={"note": [1, "x", np.ones(2)]})
    return (folder / "good").read_bytes()


def tree_mutant(r: random.Random, good: bytes) -> bytes:
    """A safetensors file in order, whose tree of states is not."""
    header = safetensors.parse(good)
    plain = replaced(r, json.loads(header.metadata[checkpoint.KEY]))
    if r.random() < 0.02:
        text = "[" * 20_000 + "]" * 20_000
    else:
        text = json.dumps(plain)
    raw = json.loads(good[8 : header.start])
    raw["__metadata__"][checkpoint.KEY] = text
    encoded = json.dumps(raw).encode()
    return len(encoded).to_bytes(8, "little") + encoded + good[header.start :]


def states() -> dict[str, str]:
    return {name: repr(part.state() if name == "generator" else part.state_dict()) for name, part in given().items()}


def restored(path: Path) -> None:
    """Reads a checkpoint into objects, which are as they were if it is refused."""
    before = states()
    try:
        io.load_checkpoint(path, **given())
    except ValueError:
        after = states()
        assert before == after, "a refused checkpoint changed an object"
        raise


def npz_bytes(folder: Path) -> bytes:
    io.save(folder / "good.npz", ARRAYS)
    return (folder / "good.npz").read_bytes()


def safetensors_bytes(folder: Path) -> bytes:
    io.save(folder / "good.safetensors", ARRAYS, {"k": "v"})
    return (folder / "good.safetensors").read_bytes()


def pickle_bytes(folder: Path) -> bytes:
    return pickle.dumps({"conv": [ARRAYS["a"], ARRAYS["b.c"]], "x": {"y": ARRAYS["d"]}}, protocol=4)


def torch_bytes(folder: Path) -> bytes:
    """A state dict of one tensor in the legacy format, opcode by opcode."""
    state = (
        b"\x80\x02ccollections\nOrderedDict\n)RX\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
        b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06NtQ"
        b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89NtRs."
    )
    sizes = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(v, protocol=2) for v in (MAGIC, VERSION, sizes))
    return head + state + pickle.dumps(["0"], protocol=2) + (6).to_bytes(8, "little") + ARRAYS["a"].tobytes()


def idx_bytes(folder: Path) -> bytes:
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4)) + bytes(range(24))


def gzipped_idx(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    read_idx(path)


# What a whole file is, how it is read, and how it is damaged. Readers of bytes do not know the file's name.
FORMATS: dict[str, tuple[Callable[[Path], bytes], Callable[[Path], Any], Callable[[random.Random, bytes], bytes]]] = {
    "a.safetensors": (safetensors_bytes, io.load, spliced),
    "a.npz": (npz_bytes, io.load, spliced),
    "checkpoint": (checkpoint_bytes, restored, spliced),
    "checkpoint tree": (checkpoint_bytes, restored, tree_mutant),
    "pickle": (pickle_bytes, lambda path: read_arrays(path.read_bytes()), spliced),
    "torch": (torch_bytes, lambda path: read_torch(path.read_bytes()), spliced),
    "idx": (idx_bytes, gzipped_idx, spliced),
    "idx.gz": (lambda folder: gzip.compress(idx_bytes(folder)), read_idx, spliced),
}
BYTES_ONLY = ("pickle", "torch")


def attack(name: str, mutants: int, seed: int) -> int:
    """How many mutants of a format were refused, rightly; AssertionError for any other outcome."""
    make, read, damage = FORMATS[name]
    r, refused = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        good, path = make(Path(folder)), Path(folder) / name
        path.write_bytes(good)
        read(path)
        for i in range(mutants):
            path.write_bytes(damage(r, good))
            try:
                read(path)
            except ValueError as error:
                refused += 1
                assert str(error) and (name in BYTES_ONLY or str(path) in str(error)), f"{name} {i}: {error}"
            except BaseException as error:
                keep = Path(tempfile.gettempdir()) / "steep-mutant"
                keep.write_bytes(path.read_bytes())
                raise AssertionError(f"{name}, seed {seed}, mutant {i}, kept as {keep}: {error!r}") from error
    return refused


if __name__ == "__main__":
    for chosen in sys.argv[3:] or FORMATS:
        print(chosen, attack(chosen, int(sys.argv[1]), int(sys.argv[2])), "refused of", sys.argv[1], flush=True)
