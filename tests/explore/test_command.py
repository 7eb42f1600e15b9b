"""``steep explore`` as its users start it: a process that says its address, serves it, and ends by Ctrl-C."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import steep as sp
from browser import Tab, browser, needed
from explore_client import digit

for name in ("PIL", "typer", "rich"):
    pytest.importorskip(name)

# Shells start background jobs with Ctrl-C ignored, and children inherit that.
START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from steep.cli import main; main()"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    sp.onnx.save(sp.zoo.load("digits_cnn"), folder / "digits.onnx", sp.zeros((1, 1, 28, 28)))
    (folder / "bar.png").write_bytes(digit(1))
    return folder


@contextmanager
def started(folder, *words, width="80"):
    """The process and the address that it says."""
    source = str(Path(sp.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-c", START, "explore", *words, "--no-open"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "COLUMNS": width},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", line)
        assert found, line + process.stdout.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def fetched(url, path):
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)) as link:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(("model", "width"), [("digits.onnx", "80"), ("digits_cnn", "20")])
def test_it_serves_those_who_know_the_token_until_ctrl_c(files, model, width):
    with started(files, model, "--image", "bar.png", width=width) as (process, url):
        port, path = urlsplit(url).port, urlsplit(url).path
        assert fetched(url, path)[0] == 200 and "steep" in fetched(url, path)[1]
        assert model in fetched(url, f"{path}about")[1]
        for wrong in ("/", "/about", "/wrong/", path[:-2] + "/"):
            assert fetched(url, wrong)[0] == 403
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and "stopped" in said and "Traceback" not in said
    with socket.socket() as again:  # the port is free, though connections to it may still be closing
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_and_a_file_that_is_not_there_are_one_line(files):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for words in (("digits_cnn", "--port", str(taken.getsockname()[1])), ("nothing.onnx",)):
            done = subprocess.run(
                [sys.executable, "-c", START, "explore", *words, "--no-open"],
                cwd=files,
                env={**os.environ, "PYTHONPATH": str(Path(sp.__file__).parents[1])},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
            assert words[-1] in done.stderr, done.stderr


@pytest.mark.parametrize("width", [1280, 390])
def test_an_onnx_file_is_walked_through(files, width):
    needed()
    with started(files, "digits.onnx", "--image", "bar.png") as (_, url), browser() as opened:
        tab = Tab(opened, url, width=width)
        tab.until(lambda: tab.text("#top li .name") == "1")
        tab.page.click("text=relu2")
        tab.page.click(".units [role=option] >> nth=3")
        tab.until(lambda: "→" in tab.text(".unit figure:nth-of-type(2) figcaption"))
        tab.page.click("[role=tab]:has-text('Saliency')")
        tab.until(lambda: tab.count(".maps figure") > 3)
        tab.page.click("[role=tab]:has-text('Flip-book')")
        tab.page.select_option("select:visible", "network")
        tab.until(lambda: "image" in tab.text(".fb-node"))
        assert tab.sideways <= 0 and tab.said == []
        assert all(each.startswith((url, "blob:", "data:")) for each in tab.asked)
        tab.close()
