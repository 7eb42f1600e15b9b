"""No request for the page, an image or a frame waits for heavy work: everything is answered while a job is held up."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest
import steep as sp
from browser import Tab, browser, needed
from explore_client import digit, digits, page
from steep import explore
from steep.explore import pictures, server
from steep.explore.jobs import WAITING
from steep.explore.table import WORK
from steep.explore.web import page_files
from test_jobs import open_stream, until

pytest.importorskip("PIL")


@contextmanager
def held(monkeypatch, kind="climb"):
    """Jobs of a kind do nothing until the end of the context."""
    release = threading.Event()

    def work(desk, job, asked):
        while not release.wait(0.01):
            job.check()

    monkeypatch.setitem(WORK, kind, work)
    try:
        yield
    finally:
        release.set()


def climb(client):
    return open_stream(client, kind="climb", layer="relu2", channel=3)


def everything(client):
    """All that a page asks for until one can work with it, and a frame."""
    for name in ("", *page_files()):
        assert client.ask(name)[0] == 200
    told = json.loads(client.ask("about")[1])
    assert told["fault"] == ""
    picture = client.message("folder?index=0")[0]["id"] if told["folder"] else client.picture()
    assert client.message(f"live?picture={picture}&layer=relu1", b"")[0]["layers"][0]["channels"] == 16


def test_a_page_is_answered_while_a_job_runs_and_the_queue_is_full(monkeypatch):
    with page() as client, held(monkeypatch):
        links = [climb(client) for _ in range(1 + WAITING)]
        until(lambda: client.server.load == 1 + WAITING)
        everything(client)
        assert client.fault("job", b'{"kind": "climb"}')[0] == 503
        assert client.server.load == 1 + WAITING
        for link in links:
            link.close()


def test_an_image_is_opened_while_a_job_decodes_those_of_the_folder(tmp_path, monkeypatch):
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(digit(index))
    decoding, release, plain = threading.Event(), threading.Event(), pictures.decoded

    def slow(data):
        if threading.current_thread().name == "steep explore: work":
            decoding.set()
            release.wait(60)
        return plain(data)

    monkeypatch.setattr(pictures, "decoded", slow)
    with page(folder=tmp_path) as client:
        link = open_stream(client, kind="examples", layer="relu2", channel=3)
        assert decoding.wait(60)
        everything(client)
        assert client.picture() and client.server.load == 1
        release.set()
        until(lambda: client.server.load == 0)
        link.close()


def test_connections_on_which_nothing_is_asked_give_way(monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with page() as client, held(monkeypatch):
        stream = climb(client)
        until(lambda: client.server.load == 1)
        idle = [client.connection() for _ in range(20)]
        for link in idle:
            link.connect()
        everything(client)
        assert client.server.load == 1  # the stream is not one of those that gave way
        for link in (stream, *idle):
            link.close()


def test_connections_that_are_all_occupied_refuse_one_more_and_then_answer_again(monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", WAITING)
    with page() as client, held(monkeypatch):
        links = [climb(client) for _ in range(WAITING)]
        until(lambda: client.server.load == WAITING)
        with pytest.raises(ConnectionError):
            client.ask("about")
        for link in links:
            link.close()
        until(lambda: client.server.load == 0 and answers(client))
        everything(client)


def answers(client):
    try:
        return client.ask("about")[0] == 200
    except ConnectionError:
        return False


class Stuck(sp.nn.Module):
    """A network that does not return while ``stop`` is cleared."""

    def __init__(self):
        self.inner, self.stop, self.inside = digits().model, threading.Event(), threading.Event()
        self.stop.set()

    def forward(self, x):
        self.inside.set()
        self.stop.wait(60)
        return self.inner(x)


def test_frames_that_wait_for_a_model_that_hangs_end_with_their_tabs():
    model, way = Stuck(), digits().preprocessing
    with page(lambda: explore.Subject("stuck", model, way)) as client:
        picture = client.picture()
        model.stop.clear()
        model.inside.clear()
        before = {thread.ident for thread in threading.enumerate()}
        links = [client.connection() for _ in range(5)]
        for link in links:
            link.request("POST", f"{client.parts.path}live?picture={picture}", b"", {"Origin": client.origin})
        assert model.inside.wait(60)
        for link in links:
            link.close()
        until(lambda: len({thread.ident for thread in threading.enumerate()} - before) <= 1)  # the one in the model
        for name in ("", "main.js", "about"):
            assert client.ask(name)[0] == 200
        model.stop.set()


def test_tabs_that_wait_for_jobs_leave_the_browser_a_connection_for_a_page(monkeypatch):
    needed()
    with browser() as opened, page() as client, held(monkeypatch):
        tabs = []
        for _ in range(7):  # a browser opens six connections to a server
            tabs.append(Tab(opened, client.server.url, beside=tabs[0] if tabs else None))
            tabs[-1].page.click(".units [role=option] >> nth=1")
            tabs[-1].until(lambda: client.server.load)
        tabs.append(Tab(opened, client.server.url, beside=tabs[0]))
        tabs[-1].drop(digit(1), "bar.png")
        tabs[-1].until(lambda: tabs[-1].text("#top li .name") == "1")
        assert client.server.load == 1
        assert tabs[-2].text("#status") == "waiting for 6 other jobs"
        for tab in tabs[1:]:
            tab.page.close()
        assert client.server.load == 1
        tabs[0].close()
        until(lambda: client.server.load == 0)
