"""Jobs: one at a time, in order, cancelled when nobody reads any more; and clean ends."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import steep as sp
from explore_client import digits, page
from steep import explore
from steep.explore.frames import packed, unpacked
from steep.explore.jobs import WAITING, Busy, Job, Worker

pytest.importorskip("PIL")


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def read_all(job):
    found = []
    while (message := job.read(60)) is not None:
        found += unpacked(message)
    return [header for header, _ in found]


def test_messages_come_back_as_they_were_packed():
    import numpy as np

    arrays = [np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones(2, np.float32)]
    ((header, body),) = unpacked(packed({"a": [1, float("nan"), np.float32(0.5)], "b": None}, arrays))
    assert header == {"a": [1, None, 0.5], "b": None}
    assert body == arrays[0].tobytes() + arrays[1].tobytes()


def test_one_job_runs_at_a_time_in_the_order_in_which_they_came():
    worker, running, most, order = Worker(), [0], [0], []
    first = threading.Event()

    def work(number):
        def run(job):
            running[0] += 1
            most[0] = max(most[0], running[0])
            first.wait(60)
            order.append(number)
            running[0] -= 1
            job.put({"number": number})

        return run

    jobs = [worker.submit(work(number)) for number in range(4)]
    until(lambda: [job.before for job in jobs] == [0, 1, 2, 3])
    first.set()
    assert [read_all(job) for job in jobs] == [[{"number": number}] for number in range(4)]
    assert order == [0, 1, 2, 3] and most == [1]
    assert worker.close()


def test_too_many_jobs_are_refused_and_cancelled_ones_do_not_count():
    worker, go, began = Worker(), threading.Event(), threading.Event()

    def wait(job):
        began.set()
        go.wait(60)

    running = worker.submit(wait)
    assert began.wait(60)
    waiting = [worker.submit(lambda job: None) for _ in range(WAITING)]
    with pytest.raises(Busy, match="8 jobs are waiting already"):
        worker.submit(lambda job: None)
    waiting[3].cancel()
    assert worker.submit(lambda job: job.put({})) is not running
    go.set()
    assert worker.close()
    with pytest.raises(Busy):
        worker.submit(lambda job: None)


def test_a_cancelled_job_ends_at_its_next_message():
    worker, steps = Worker(), [0]

    def climb(job):
        while True:
            steps[0] += 1
            job.put({"step": steps[0]}, droppable=True)
            time.sleep(0.001)

    job = worker.submit(climb)
    assert unpacked(job.read(60))[0][0]["step"] >= 1
    job.cancel()
    until(lambda: worker.load == 0)
    assert worker.close()


def test_a_slow_reader_gets_the_newest_image_and_nothing_grows():
    def work(job):
        for step in range(10_000):
            job.put({"step": step}, droppable=True)
        job.put({"kind": "end"})
        job.put({"step": "after"}, droppable=True)

    job = Job(work)
    job.run()
    assert read_all(job) == [{"step": 9999}, {"kind": "end"}, {"step": "after"}]


def test_an_error_is_the_last_message():
    for error, text in ((ValueError("no such unit"), "no such unit"), (RuntimeError("odd"), "RuntimeError: odd"),
                        (MemoryError(), "MemoryError"), (KeyError("k"), "KeyError: 'k'")):  # fmt: skip

        def work(job, error=error):
            raise error

        job = Job(work)
        job.run()
        assert read_all(job) == [{"kind": "error", "text": text}]


def open_stream(client, **asked):
    """A job whose stream is not read to its end, on a plain socket."""
    body = json.dumps(asked).encode()
    link = socket.create_connection(("127.0.0.1", client.parts.port))
    head = f"POST {client.parts.path}job HTTP/1.1\r\nHost: {client.parts.netloc}\r\nOrigin: {client.origin}\r\n"
    link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return link


def test_a_closed_tab_in_the_middle_of_a_climb_cancels_it():
    with page() as client:
        link = open_stream(client, kind="climb", layer="relu2", channel=3, steps=2048)
        assert link.recv(12).startswith(b"HTTP/1.1 200")
        until(lambda: client.server.load == 1)
        link.close()
        until(lambda: client.server.load == 0)


def test_a_closed_tab_that_was_waiting_gives_up_its_place():
    with page() as client:
        first = open_stream(client, kind="climb", layer="relu2", channel=3, steps=2048)
        until(lambda: client.server.load == 1)
        second = open_stream(client, kind="climb", layer="relu2", channel=4, steps=2048)
        until(lambda: client.server.load == 2)
        second.close()
        until(lambda: client.server.load == 1)
        first.close()
        until(lambda: client.server.load == 0)


def test_a_second_tab_waits_and_then_gets_its_own():
    with page() as client:
        asked = {"layer": "relu2", "channel": 3, "steps": 40}
        results = []
        tabs = [
            threading.Thread(target=lambda s=seed: results.append((s, client.job("climb", seed=s, **asked))))
            for seed in (0, 1)
        ]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join(120)
        last = {seed: found[-1] for seed, found in results}
        assert {header["kind"] for header, _ in last.values()} == {"climbed"}
        assert last[0][1] != last[1][1]
        assert client.job("climb", seed=0, **asked)[-1][1] == last[0][1]


def test_frames_flow_while_a_climb_is_under_way():
    with page() as client:
        picture = client.picture()
        link = open_stream(client, kind="climb", layer="relu2", channel=3, steps=2048)
        until(lambda: client.server.load == 1)
        header, _ = client.message(f"live?picture={picture}&layer=relu1", b"")
        assert header["layers"][0]["channels"] == 16 and client.server.load == 1
        link.close()
        until(lambda: client.server.load == 0)


def test_closing_ends_the_work_the_threads_and_the_port():
    before = {thread.ident for thread in threading.enumerate()}
    with page() as client:
        link = open_stream(client, kind="climb", layer="relu2", channel=3, steps=2048)
        until(lambda: client.server.load == 1)
    until(lambda: {thread.ident for thread in threading.enumerate()} <= before)
    link.close()
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", client.parts.port)) != 0


def test_closing_ends_connections_on_which_a_browser_asks_for_nothing():
    before = {thread.ident for thread in threading.enumerate()}
    with page() as client:
        link = client.connection()
        link.request("GET", client.parts.path + "about")
        link.getresponse().read()
        assert {thread.ident for thread in threading.enumerate()} - before
    until(lambda: {thread.ident for thread in threading.enumerate()} <= before, 10)
    link.close()


def test_a_model_that_fails_is_said_and_the_server_goes_on():
    class Moody(sp.nn.Module):
        def __init__(self):
            self.inner = sp.nn.Sequential({"conv": sp.nn.Conv2d(1, 2, 3, generator=0)})
            self.fails = False

        def forward(self, x):
            if self.fails:
                raise RuntimeError("out of order")
            return self.inner(x)

    model, way = Moody(), digits().preprocessing
    with page(lambda: explore.Subject("moody", model, way)) as client:
        picture = client.picture()
        assert client.message(f"live?picture={picture}&layer=inner.conv", b"")[0]["top"] == []
        model.fails = True
        status, why = client.fault(f"live?picture={picture}&layer=inner.conv&side=8", b"")
        assert (status, why) == (400, "RuntimeError: out of order")
        assert (
            client.job("climb", layer="inner.conv", channel=0, steps=2)[-1][0]["text"] == "RuntimeError: out of order"
        )
        model.fails = False
        assert client.job("climb", layer="inner.conv", channel=0, steps=2)[-1][0]["kind"] == "climbed"


def test_a_model_that_fails_from_the_start_has_a_page_that_says_so():
    class Broken(sp.nn.Module):
        def forward(self, x):
            raise RuntimeError("no weights")

    with page(lambda: explore.Subject("broken", Broken(), digits().preprocessing)) as client:
        told = json.loads(client.ask("about")[1])
        assert told["fault"] == "RuntimeError: no weights" and told["layers"] == [] and told["classes"] == 0
        assert client.ask("")[0] == 200
        assert "no weights" in client.job("attack", picture=client.picture())[-1][0]["text"]
