"""Requests over HTTP: the page's files, images, frames and streams of jobs.

The standard library's server, a thread for each connection; docs/explore.md says why. What is answered is decided in
``guard.py``, then by the two tables of routes. A stream ends its job when the browser closes it.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

import steep
from steep import pictures
from steep.explore.asked import Asked
from steep.explore.desk import Desk
from steep.explore.frames import finite, packed
from steep.explore.guard import HEADERS, Guard
from steep.explore.jobs import Busy, Job, Worker, described
from steep.explore.live import BEAT, Wish
from steep.explore.pictures import Shown
from steep.explore.table import WORK

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
LARGEST_IMAGE = 100_000_000  # bytes of a file that is opened
LARGEST_REQUEST = 100_000


def page_files() -> dict[str, bytes]:
    """The files of the page by name, read once: no request names a path."""
    folders = [files("steep.explore") / "page", files("steep.report")]  # the flip-book's files are there
    found = [each for folder in folders for each in folder.iterdir() if "." + each.name.split(".")[-1] in TYPES]
    return {each.name: each.read_bytes() for each in found}


class Handler(BaseHTTPRequestHandler):
    """One connection. ``desk``, ``worker``, ``guard`` and ``page`` are set by the server on a subclass."""

    desk: Desk
    worker: Worker
    guard: Guard
    page: dict[str, bytes]
    first: Shown | None = None  # the image that the page opens with
    occupied: Callable[[Any, bool], None]  # told when a connection's request begins and when it has been answered

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "steep", ""
    timeout = 60
    disable_nagle_algorithm = True

    # -- requests ---------------------------------------------------------------------------------------------------

    def do_GET(self) -> None:
        """Answer a request for a file, an image of the folder, or what there is."""
        self._answer("GET", {"about": self._about, "folder": self._folder, "": self._file})

    def do_POST(self) -> None:
        """Answer a request that sends something."""
        routes = {"picture": self._picture, "square": self._square, "live": self._live, "job": self._job}
        self._answer("POST", routes)

    def _answer(self, method: str, routes: Mapping[str, Callable[[str], None]]) -> None:
        self.occupied(self.connection, True)
        try:
            self._routed(method, routes)
        finally:
            self.occupied(self.connection, False)

    def _routed(self, method: str, routes: Mapping[str, Callable[[str], None]]) -> None:
        why = self.guard.refusal(method, self.path, self.headers)  # type: ignore[arg-type]
        if why:
            return self._refuse(403, why)
        parts = urlsplit(self.path).path.split("/")[2:]
        name = parts[0] if parts else ""
        route = routes.get(name if len(parts) == 1 else "?") or (routes.get("") if len(parts) == 1 else None)
        if route is None:
            return self._refuse(404, "there is nothing at this address")
        try:
            return route(name)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Busy as error:
            self._refuse(503, described(error))
        except Exception as error:  # of the user's model too, which may raise anything
            self._refuse(400, described(error))
        return None

    def _refuse(self, status: int, why: str) -> None:
        """Say why, and close the connection, since its body may be unread."""
        self.close_connection = True
        self._send(json.dumps({"error": why}).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self._head(status, kind, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        text = kind.startswith("text/") or kind == "application/json"
        for name, value in {**HEADERS, "Content-Type": f"{kind}; charset=utf-8" if text else kind, **more}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _body(self, most: int) -> bytes:
        """What was sent. Raises ValueError for more than ``most`` bytes, before they are read."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            raise ValueError("a request says its length")
        if int(length) > most:
            raise ValueError(f"{int(length):,} bytes are more than the {most:,} that are read")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the browser went away")
        return body

    def _query(self, name: str, default: str = "") -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [default])[0]

    # -- routes -----------------------------------------------------------------------------------------------------

    def _file(self, name: str) -> None:
        body = self.page.get(name or "index.html")
        if body is None:
            return self._refuse(404, "there is nothing at this address")
        return self._send(body, TYPES["." + (name or "index.html").split(".")[-1]])

    def _about(self, _: str) -> None:
        desk, way = self.desk, self.desk.subject.preprocessing
        scale = np.linspace(0, 1, 256)[None]
        scales = {"hot": pictures.hot(scale), "signed": pictures.signed(2 * scale - 1, 1.0)}
        told = {
            "name": desk.subject.name, "version": steep.__version__, "size": way.size, "grey": desk.subject.grey,
            "layers": [layer.plain for layer in desk.layers], "fault": desk.fault, "classes": desk.class_count,
            "labels": desk.subject.classes, "folder": [path.name for path in desk.pictures.files],
            "colours": {name: table.ravel().tolist() for name, table in scales.items()},
            "first": None if self.first is None else self.first.id, "code": desk.subject.source,
        }  # fmt: skip
        self._send(json.dumps(finite(told)).encode(), "application/json")

    def _folder(self, _: str) -> None:
        if self._query("id"):
            return self._shown(self.desk.pictures[int(self._query("id"))])
        return self._shown(self.desk.pictures.of_folder(int(self._query("index", "-1"))))

    def _picture(self, _: str) -> None:
        name = self._query("name", "image")[:200]
        self._shown(self.desk.pictures.add(self._body(LARGEST_IMAGE), name))

    def _square(self, _: str) -> None:
        self._shown(self.desk.pictures.add_square(self._pixels(), self._query("name", "drawing")[:200]))

    def _shown(self, shown: Shown) -> None:
        side = shown.square.shape[0]
        code = self.desk.code(*self.desk.input_code(shown))
        header = {"id": shown.id, "name": shown.name, "note": shown.note, "h": side, "w": side, "code": code}
        self._send(packed(header, [shown.square]), "application/octet-stream")

    def _pixels(self) -> Any:
        """The square that was sent, from RGBA bytes."""
        size = self.desk.subject.preprocessing.size
        body = self._body(4 * size * size)
        if len(body) != 4 * size * size:
            raise ValueError(f"a square has {4 * size * size:,} bytes (RGBA, {size} by {size}), got {len(body):,}")
        return np.frombuffer(body, np.uint8).reshape(size, size, 4)[..., :3]

    def _live(self, _: str) -> None:
        """A frame of the camera, or with ``picture`` one of an image that is kept."""
        asked = self._query("picture")
        square = self._pixels() if not asked else self.desk.pictures[int(asked)].square
        unit = self._query("unit")
        wish = Wish(
            tuple(parse_qs(urlsplit(self.path).query, keep_blank_values=True).get("layer", [])),
            int(self._query("first", "0")), min(int(self._query("count", "1024")), 1024),
            min(int(self._query("side", "64")), 64), int(unit) if unit else None,
        )  # fmt: skip
        if asked:
            self._body(0)
        frame = self.desk.live.frame(square, wish, lambda: not gone(self.connection))
        self._send(packed(*frame), "application/octet-stream")

    # -- jobs -------------------------------------------------------------------------------------------------------

    def _job(self, _: str) -> None:
        asked = Asked(json.loads(self._body(LARGEST_REQUEST)))
        work = WORK[asked.choice("kind", list(WORK))]
        job = self.worker.submit(lambda job: work(self.desk, job, asked))
        self.close_connection = True
        try:
            self._head(200, "application/octet-stream", {})
            self._stream(job)
        finally:
            job.cancel()

    def _stream(self, job: Job) -> None:
        told = -1
        while (message := job.read(BEAT)) is not None:
            if message:
                self.wfile.write(message)
                told = 0
            elif gone(self.connection):
                return
            elif job.before != told:
                told = job.before
                self.wfile.write(packed({"kind": "waiting", "before": told}))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: addresses hold the token."""


def gone(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection on which it has nothing more to say.

    Args:
        connection: the socket.
    """
    try:
        readable = select.select([connection], [], [], 0)[0]
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
