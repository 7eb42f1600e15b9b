"""A server of a page for the tests, and requests to it as a browser would send them."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import steep as sp
from steep import explore
from steep.explore.frames import unpacked


def digits():
    model = sp.zoo.load("digits_cnn")
    source = "import steep as sp\nmodel = sp.zoo.load('digits_cnn')\nway = model.preprocessing"
    return explore.Subject("digits_cnn", model, model.preprocessing, model.classes, source)


def digit(index=0):
    """A digit of MNIST's kind as a PNG file: a ring, or a bar."""
    rows, columns = np.mgrid[:28, :28] - 13.5
    ring = np.abs(np.hypot(rows, columns * 1.4) - 8) < 1.6
    bar = (np.abs(columns) < 1.8) & (np.abs(rows) < 10)
    shown = (ring, bar)[index % 2]
    return sp.pictures.png(np.repeat((255 * shown).astype(np.uint8)[..., None], 3, axis=2))


class Client:
    """Requests to a server: ``ask`` gives a status and a body, ``messages`` what a job sends."""

    def __init__(self, server):
        self.server = server
        self.parts = urlsplit(server.url)
        self.origin = f"http://{self.parts.netloc}"

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.parts.port, timeout=60)

    def ask(self, path, body=None, *, whole=None, method=None, headers=None):
        link = self.connection()
        known = {"Origin": self.origin, **(headers or {})}
        known = {name: value for name, value in known.items() if value is not None}
        try:
            link.request(method or ("GET" if body is None else "POST"), whole or self.parts.path + path, body, known)
            answer = link.getresponse()
            self.headers = dict(answer.getheaders())
            return answer.status, answer.read()
        finally:
            link.close()

    def fault(self, *args, **options):
        status, body = self.ask(*args, **options)
        return status, json.loads(body)["error"]

    def message(self, path, body=None):
        status, found = self.ask(path, body)
        assert status == 200, found
        ((header, data),) = unpacked(found)
        return header, data

    def picture(self, data=None, name="digit.png"):
        return self.message(f"picture?name={name}", digit() if data is None else data)[0]["id"]

    def job(self, kind, **asked):
        status, found = self.ask("job", json.dumps({"kind": kind, **asked}).encode())
        assert status == 200, found
        return [each for each in unpacked(found) if each[0]["kind"] != "waiting"]


@contextmanager
def page(open=digits, **options):
    with explore.Server(open, **options) as server:
        yield Client(server)
