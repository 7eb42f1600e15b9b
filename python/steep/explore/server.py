"""The server of the page: it listens on 127.0.0.1 alone, opens the browser, and ends without leaving anything.

``serve`` is what ``steep explore`` calls; ``Server`` is the same as a context manager. Start reading there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from steep.explore.desk import Desk
from steep.explore.guard import Guard
from steep.explore.jobs import Worker
from steep.explore.subject import Subject
from steep.explore.web import Handler, page_files

CONNECTIONS = 64  # at a time; a tab of a browser opens at most six


class Server:
    """A page on a model, as a context manager.

    Args:
        open: opens the model; called a second time if a saliency map is checked, which writes to its weights.
        folder: a folder of images to choose from and to search for top examples.
        image: an image file that is open from the start.
        port: the port; any free one if 0.

    Attributes:
        url: the address, with the token.
        desk: the model and the images.

    Raises:
        OSError: for a port that is taken, or a folder or image that cannot be read.
        ValueError: for a folder without images, or a file that is no image.

    Example:
        >>> model = sp.zoo.load("digits_cnn")
        >>> with sp.explore.Server(lambda: sp.explore.Subject("digits", model, model.preprocessing)) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self, open: Callable[[], Subject], folder: Path | None = None, image: Path | None = None, port: int = 0
    ) -> None:
        self.desk = Desk(open, folder)
        first = None if image is None else self.desk.pictures.add(image.read_bytes(), image.name, str(image))
        self._worker = Worker()
        try:
            self._http = _Http(("127.0.0.1", port), Handler)
        except OSError as error:
            self._worker.close()
            why = error.strerror or error
            raise OSError(f"port {port} of 127.0.0.1: {why}; choose another, or 0 for any that is free") from None
        guard = Guard(self._http.server_address[1])
        self._http.RequestHandlerClass = type("Bound", (Handler,), {
            "desk": self.desk, "worker": self._worker, "guard": guard, "page": page_files(), "first": first,
            "occupied": staticmethod(self._http.occupied),
        })  # fmt: skip
        self.url = f"http://127.0.0.1:{guard.port}/{guard.token}/"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), name="steep explore", daemon=True)
        self._thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def load(self) -> int:
        """Number of heavy jobs that run or wait."""
        return self._worker.load

    def close(self) -> None:
        """Cancel all work, close every connection and the port."""
        self._http.shutdown()
        self._http.server_close()
        self._worker.close()
        self._thread.join(5)


class _Http(ThreadingHTTPServer):
    """Threads that do not outlive the process, and a limit on their number."""

    daemon_threads = True
    block_on_close = False  # jobs end after it
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, *args: Any) -> None:
        self._open: dict[socket.socket, bool] = {}  # whether a request is being answered, longest idle first
        self._lock = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own. If there are too many, a connection on which nothing is asked gives way."""
        with self._lock:
            many = len(self._open) >= CONNECTIONS
            idle = next((each for each, busy in self._open.items() if not busy), None) if many else None
            if idle is not None:
                del self._open[idle]
                _hang_up(idle)
            refused = many and idle is None
            if not refused:
                self._open[request] = False
        if refused:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def occupied(self, request: Any, busy: bool) -> None:
        """A connection's request begins, or has been answered."""
        with self._lock:
            if self._open.pop(request, None) is not None:
                self._open[request] = busy

    def shutdown_request(self, request: Any) -> None:
        """A connection ends."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the port and every connection, also those on which a browser asks for nothing."""
        super().server_close()
        with self._lock:
            for each in self._open:
                _hang_up(each)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is nothing to report."""


def _hang_up(connection: socket.socket) -> None:
    """End a connection; the thread that reads from it then closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve(
    open: Callable[[], Subject],
    folder: Path | None = None,
    image: Path | None = None,
    port: int = 0,
    *,
    browser: bool = True,
    say: Callable[[str], object] = print,
) -> None:
    """Serve the page on a model until Ctrl-C, and open it in the browser.

    Args:
        open: opens the model; called a second time if a saliency map is checked, which writes to its weights.
        folder: a folder of images to choose from and to search for top examples.
        image: an image file that is open from the start.
        port: the port; any free one if 0.
        browser: whether to open the browser.
        say: called with lines for people.

    Raises:
        OSError: for a port that is taken, or a folder or image that cannot be read.
        ValueError: for a folder without images, or a file that is no image.
    """
    with Server(open, folder, image, port) as server:
        say(f"{server.desk.subject.name} at {server.url}")
        say("This address works on this computer alone, until Ctrl-C.")
        if browser:
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("stopped")
