"""Ranks of MPI: mpi4py moves bytes, steep adds them, and a heartbeat ends all ranks when one is lost.

Sums go along one binary tree over shards (``fold.py``), so no bit depends on the number of ranks. Start reading at
``MPIWorld.total``; ``init`` makes the world, and ``heartbeat`` starts the process of ``watch.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steep import _core
from steep._core import Tensor
from steep.distributed import world as worlds
from steep.distributed.fold import Fold, Node
from steep.distributed.watch import GRACE

# What the usual launchers set for each process that they start.
LAUNCHERS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


class MPIWorld(worlds.World):
    """The ranks of an MPI communicator.

    Args:
        comm: a communicator of mpi4py.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.host = socket.gethostname()
        self.watch: subprocess.Popen[bytes] | None = None
        self.liveness: socket.socket | None = None  # a connection to the hub, which watch.py explains

    def total(self, fold: Fold) -> list[Any]:
        """The sums over the shards of all ranks.

        Args:
            fold: the sums of this rank's shards.

        Returns:
            A list of tensors.
        """
        example = next(iter(fold.nodes.values()))
        kinds = sorted({_array(value).dtype.str for value in example})
        packed = {node: [_packed(values, kind) for kind in kinds] for node, values in fold.nodes.items()}
        if self.size & (self.size - 1) == 0 and fold.shards % self.size == 0:
            (mine,) = packed.values()
            sums = [self._butterfly(values) for values in mine]
        else:
            sums = self._gathered(fold.shards, packed)
        return _unpacked(example, dict(zip(kinds, sums, strict=True)))

    def _butterfly(self, values: NDArray[Any]) -> NDArray[Any]:
        """Recursive halving over distances 1, 2, 4, ..., then doubling back: each element along the tree of ranks."""
        own: NDArray[Any] = values.copy()
        bounds, distance = [(0, len(values))], 1
        while distance < self.size:
            (low, high), other = bounds[-1], self.rank ^ distance
            middle = (low + high) // 2
            kept, sent = ((low, middle), (middle, high))[:: -1 if self.rank & distance else 1]
            theirs = np.empty(kept[1] - kept[0], values.dtype)
            self._exchange(own[slice(*sent)], theirs, other)
            mine = own[slice(*kept)]
            own[slice(*kept)] = theirs + mine if self.rank & distance else mine + theirs
            bounds.append(kept)
            distance *= 2
        while distance > 1:
            distance //= 2
            kept, (low, high) = bounds.pop(), bounds[-1]
            missing = (kept[1], high) if kept[0] == low else (low, kept[0])
            theirs = np.empty(missing[1] - missing[0], values.dtype)
            self._exchange(own[slice(*kept)], theirs, self.rank ^ distance)
            own[slice(*missing)] = theirs
        return own

    def _exchange(self, sent: NDArray[Any], received: NDArray[Any], other: int) -> None:
        out = np.ascontiguousarray(sent)
        self.comm.Sendrecv(out.view(np.uint8), other, recvbuf=received.view(np.uint8), source=other)

    def _gathered(self, shards: int, packed: dict[Node, list[NDArray[Any]]]) -> list[NDArray[Any]]:
        """For any number of ranks: everyone gets every subtree, and adds them."""
        counts = self.comm.allgather(list(packed))
        whole = Fold(shards)
        for rank, nodes in enumerate(counts):
            for node in nodes:
                example = next(iter(packed.values()))
                values = packed[node] if rank == self.rank else [np.empty_like(each) for each in example]
                for each in values:
                    self.comm.Bcast(each.view(np.uint8), root=rank)
                whole.merge({node: values})
        sums: list[NDArray[Any]] = whole.total()
        return sums

    def agree(self, facts: dict[str, Any]) -> None:
        """Checks that all ranks state the same facts.

        Args:
            facts: plain values by name.

        Raises:
            ValueError: naming the first difference, on every rank.
        """
        told = self.comm.allgather((self.host, facts))
        for name, value in told[0][1].items():
            for rank, (host, theirs) in enumerate(told):
                if theirs.get(name) != value:
                    raise ValueError(
                        f"ranks disagree: {name} is {value!r} at rank 0 on {told[0][0]}, and {theirs.get(name)!r} at "
                        f"rank {rank} on {host}"
                    )

    def barrier(self) -> None:
        """Waits until every rank is here."""
        self.comm.Barrier()

    def failed(self, text: str) -> None:
        """Tells the others that this rank ends by an error; they are ended then.

        Args:
            text: what went wrong.
        """
        if self.watch is not None and self.watch.stdin is not None:
            self.watch.stdin.write(f"failed: {' '.join(text.split())[:300]}\n".encode())
            self.watch.stdin.flush()
            # A launcher ends all ranks as soon as this one exits, so the heartbeats say first who failed.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.watch.wait(timeout=5.0)

    def done(self) -> None:
        """Tells the others that this rank has ended as it should."""
        if self.watch is not None and self.watch.stdin is not None:
            self.comm.Barrier()
            self.watch.stdin.write(b"done\n")
            self.watch.stdin.flush()
            self.watch.wait()


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach() if isinstance(value, Tensor) else value)


def _packed(values: list[Any], kind: str) -> NDArray[Any]:
    parts = [_array(value).ravel() for value in values if _array(value).dtype.str == kind]
    return np.concatenate(parts)


def _unpacked(example: list[Any], sums: dict[str, NDArray[Any]]) -> list[Any]:
    found, at = [], dict.fromkeys(sums, 0)
    for value in example:
        like = _array(value)
        kind, start = like.dtype.str, at[like.dtype.str]
        at[kind] = start + like.size
        found.append(_core.asarray(sums[kind][start : start + like.size].reshape(like.shape)))
    return found


def launched() -> bool:
    """Whether this process was started by a launcher of MPI."""
    return any(name in os.environ for name in LAUNCHERS)


def init(timeout: float = 4.0) -> worlds.World:
    """The ranks that mpiexec started, watched by a heartbeat; a single one without mpiexec. The first call counts.

    ``python -m steep.distributed train.py`` calls it before the program.

    Args:
        timeout: seconds without an answer after which a rank is taken for lost; all ranks are ended then.

    Returns:
        A ``World``.

    Raises:
        ImportError: under mpiexec without mpi4py, saying what to install.

    Example:
        >>> sp.distributed.init().size
        1
    """
    if not launched() or isinstance(worlds.world(), MPIWorld):
        return worlds.world()
    try:
        from mpi4py import MPI
    except ImportError:
        raise ImportError("ranks of MPI need mpi4py, which is not installed: pip install 'steep[mpi]'") from None
    found = MPIWorld(MPI.COMM_WORLD)
    if found.size > 1:
        _heartbeat(found, timeout)
    worlds.join(found)
    return found


def _heartbeat(found: MPIWorld, timeout: float) -> None:
    """Starts the process that watches this rank; all of them know one another when it returns."""
    token = found.comm.bcast(secrets.token_hex(16) if found.rank == 0 else None)
    facts = {"rank": found.rank, "size": found.size, "host": found.host, "timeout": timeout, "token": token}
    command = [sys.executable, "-I", str(Path(__file__).with_name("watch.py")), json.dumps(facts)]
    watch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert watch.stdin is not None and watch.stdout is not None
    port = int(watch.stdout.readline()) if found.rank == 0 else 0
    host, port, address = found.comm.bcast((found.host, port, _address()))
    if found.rank:
        reachable = "127.0.0.1" if host == found.host else address
        watch.stdin.write(json.dumps([reachable, port, host]).encode() + b"\n")
        watch.stdin.flush()
        watch.stdout.readline()
        found.liveness = socket.create_connection((reachable, port), timeout=GRACE)
        found.liveness.sendall(json.dumps({"token": token, "liveness": found.rank}).encode() + b"\n")
        if not found.liveness.recv(64):  # the hub answers once it has it
            raise ConnectionError(f"the heartbeat of rank 0 on {host} closed the connection of rank {found.rank}")
    found.watch = watch
    found.comm.Barrier()


def _address() -> str:
    """The address under which other hosts reach this one: ``STEEP_ADDRESS``, or that of its name."""
    try:
        return os.environ.get("STEEP_ADDRESS") or socket.gethostbyname(socket.gethostname())
    except OSError:
        return socket.gethostname()
