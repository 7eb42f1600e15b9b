"""The heartbeat of a rank: a small process beside it, which ends it when another rank is lost, and tells when it is.

It runs this file alone, without steep, so neither the interpreter lock of the rank nor a hanging MPI call can hold it
up. Rank 0's process is the hub: every other one is connected to it and sends a beat each second, which the hub answers.
A rank that misses beats for ``timeout`` seconds, died, failed or was stopped is the culprit: the hub names it to all,
and each process kills its rank. A launcher kills the other ranks as soon as one is dead, so every rank also holds a
liveness connection to the hub itself: the system closes these in the order in which the ranks die. Start reading at
``main``.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any

BEAT = 1.0  # seconds between two beats, at most
GRACE = 30.0  # seconds that ranks have to connect
SETTLE = 0.3  # seconds in which reports are collected: a launcher kills the others as soon as one rank is dead
PATIENCE = 3.0  # seconds more, for the report of the rank that died first


class Peer:
    """A connection: text lines, and when the last one came."""

    def __init__(self, connection: socket.socket, rank: int = -1, host: str = "?") -> None:
        self.connection, self.rank, self.host = connection, rank, host
        self.liveness = -1  # the rank whose liveness connection it is
        self.seen, self.rest, self.lost = time.monotonic(), b"", False
        connection.setblocking(False)

    def send(self, **message: Any) -> None:
        """Sends a message; one that cannot be sent at once is left out, and missed beats tell."""
        try:
            self.connection.send(json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            pass
        except OSError:
            self.lost = True

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.lost = True
            return []
        self.seen = time.monotonic()
        *lines, self.rest = (self.rest + data).split(b"\n")
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            found = [None]
        self.lost = not all(isinstance(message, dict) for message in found)
        return [] if self.lost else found


class Watch:
    """What both kinds of process do: watch the own rank, exchange beats, end.

    Args:
        facts: rank, host, timeout, token and number of ranks.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.rank, self.host, self.size = facts["rank"], facts["host"], facts["size"]
        self.timeout, self.token = facts["timeout"], facts["token"]
        self.parent = os.getppid()
        self.peers: list[Peer] = []
        self.listener: socket.socket | None = None
        self.gone: set[int] = set()  # ranks that ended as they should, or were reported
        self.done: set[int] = set()  # of these, the first kind
        self.dead: list[int] = []  # ranks whose liveness connections ended before they were done, in this order
        # Liveness connections that are answered after one more select(): only then has epoll taken them off its list of
        # what is ready, on which a rank that dies later would still come before one that dies sooner.
        self.unanswered: list[Peer] = []
        self.selector = selectors.DefaultSelector()  # which keeps the order of what becomes ready, where it is epoll
        self.selector.register(0, selectors.EVENT_READ)
        self.began, self.stopped_since, self.next_beat = time.monotonic(), 0.0, 0.0
        self.stdin, self.over = b"", False
        self.reports: list[tuple[float, int, str]] = []  # when, which rank, and what happened to it
        self.decision = 0.0  # when the hub decides, or another one ends without having heard from it

    # -- the own rank ---------------------------------------------------------------------------------------------

    def own(self, readable: bool) -> str:
        """What is wrong with the own rank: "" for nothing, "done" if it has ended as it should."""
        if readable:
            data = os.read(0, 65536)
            self.stdin += data
            *lines, rest = self.stdin.split(b"\n")
            self.stdin = rest
            for line in lines:
                return "done" if line == b"done" else line.decode(errors="replace")
            if not data:
                return "was killed"
        if os.getppid() != self.parent:
            return "was killed"
        return self._stopped()

    def _stopped(self) -> str:
        try:
            with open(f"/proc/{self.parent}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[:1]
        except OSError:
            return ""
        if state not in ([b"T"], [b"t"]):
            self.stopped_since = 0.0
            return ""
        self.stopped_since = self.stopped_since or time.monotonic()
        return "was stopped" if time.monotonic() - self.stopped_since > self.timeout else ""

    def end(self, text: str, tell: bool) -> None:
        """Kills the own rank and ends."""
        if tell:
            print(f"steep: {text}; every rank is ended", file=sys.stderr, flush=True)
        if os.getppid() == self.parent:
            os.kill(self.parent, signal.SIGKILL)
        os._exit(1)

    # -- the others -----------------------------------------------------------------------------------------------

    def tell(self, **message: Any) -> None:
        """Sends a message to every other process; ranks, at the ends of their liveness connections, do not read."""
        for peer in self.peers:
            if peer.rank >= 0:
                peer.send(**message)

    def suspect(self, rank: int, host: str, what: str, when: float) -> None:
        """Takes a report. Of the rank that died first, or else the first by the clocks of the hosts, is the culprit."""
        self.reports.append((when, rank, f"rank {rank} on {host} {what}"))
        self.decision = self.decision or time.monotonic() + SETTLE

    def decide(self) -> None:
        """Names the culprit to all, and ends."""
        text = min(self.reports, key=lambda report: (report[1] not in self.dead[:1], report))[2]
        self.tell(culprit=text)
        self.end(text, True)

    def heard(self, peer: Peer, message: dict[str, Any]) -> None:
        """Takes a message; of a stranger, none but the first, which must have the token."""
        if peer.rank < 0:
            if message.get("token") != self.token or not {"join", "liveness"} & message.keys():
                peer.lost = True
            elif "join" in message:
                peer.rank, peer.host = message["join"], message["host"]
            else:
                peer.liveness = message["liveness"]
                self.unanswered.append(peer)
        elif "bye" in message:
            self.gone.add(message["bye"])
            self.done.add(message["bye"])
        elif "failed" in message:
            self.suspect(peer.rank, peer.host, message["failed"], message["when"])
            self.gone.add(peer.rank)
        elif "culprit" in message:
            self.end(message["culprit"], False)

    def check(self) -> None:
        """Ends if a peer is lost or quiet for too long, or has never come."""
        now = time.monotonic()
        for peer in list(self.peers):
            if peer.rank in self.gone:
                continue
            if peer.rank < 0:
                if peer.lost:
                    self.peers.remove(peer)
                    peer.connection.close()
            elif peer.lost or now - peer.seen > self.timeout:
                why = "was lost" if peer.lost else f"has not answered for {self.timeout:g} s"
                if self.rank:
                    self.end(f"rank 0 on {peer.host} {why}", True)
                self.suspect(peer.rank, peer.host, why, time.time())
                self.gone.add(peer.rank)
        if self.rank == 0 and now - self.began > GRACE:
            missing = set(range(1, self.size)) - {peer.rank for peer in self.peers} - self.gone
            if missing:
                self.suspect(min(missing), "?", "has not begun", time.time())

    def finished(self) -> bool:
        """Whether nothing is left to watch: every other rank has ended as it should."""
        return not self.decision and bool(self.rank > 0 or len(self.gone) >= self.size - 1)

    def listen(self) -> int:
        """Opens the hub's port, and returns it."""
        self.listener = socket.create_server(("", 0), backlog=1024)
        self.selector.register(self.listener, selectors.EVENT_READ)
        return int(self.listener.getsockname()[1])

    def add(self, peer: Peer) -> None:
        """Takes a connection."""
        self.peers.append(peer)
        self.selector.register(peer.connection, selectors.EVENT_READ, peer)

    def hear(self, peer: Peer) -> None:
        """Takes what a connection has brought."""
        for message in peer.receive():
            if not peer.lost:
                self.heard(peer, message)
        if peer.lost:
            self.selector.unregister(peer.connection)
            if peer.liveness >= 0 and peer.liveness not in self.done:
                self.dead.append(peer.liveness)

    def look_after_own(self, readable: bool) -> None:
        """Tells the others if the own rank is done, or lost."""
        if self.over:
            return
        state = self.own(readable)
        if state == "done":
            self.over = True
            self.tell(bye=self.rank)
        elif state:
            self.dead += [self.rank] if state == "was killed" else []
            self.report(state)
        if self.over:
            self.selector.unregister(0)

    def turn(self) -> bool:
        """One pass of the loop; False to end."""
        heard_before, self.unanswered = self.unanswered, []
        for key, _ in self.selector.select(0 if heard_before else 0.2):
            if key.fileobj is self.listener and self.listener is not None:
                self.add(Peer(self.listener.accept()[0]))
            elif key.fileobj == 0:
                self.look_after_own(True)
            else:
                self.hear(key.data)
        for peer in heard_before:
            peer.send(liveness=peer.liveness)
        self.look_after_own(False)
        self.check()
        awaited = self.rank == 0 and not set(self.dead[:1]) <= {report[1] for report in self.reports}
        if self.decision and time.monotonic() >= self.decision + awaited * PATIENCE:
            self.decide() if self.rank == 0 else self.end(self.reports[0][2], False)
        if time.monotonic() >= self.next_beat:
            self.next_beat = time.monotonic() + min(BEAT, self.timeout / 4)
            self.tell(beat=self.rank)
        return not (self.over and self.finished())

    def report(self, state: str) -> None:
        """Tells the hub that the own rank is the culprit; it will say who was the first."""
        now = time.time()
        for peer in self.peers if self.rank else []:
            peer.send(failed=state, when=now)
        self.suspect(self.rank, self.host, state, now)
        self.over = True


def main() -> None:
    """Reads the facts, connects, and watches until the rank has ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the rank decides
    facts = json.loads(sys.argv[1])
    watch = Watch(facts)
    if watch.rank == 0:
        print(watch.listen(), flush=True)
    else:
        address = json.loads(sys.stdin.buffer.raw.readline())  # type: ignore[union-attr]
        connection = socket.create_connection(tuple(address[:2]), timeout=GRACE)
        watch.add(Peer(connection, 0, address[2]))
        watch.peers[0].send(join=watch.rank, host=watch.host, token=watch.token)
        print("ready", flush=True)
    while watch.turn():
        pass


if __name__ == "__main__":
    main()
