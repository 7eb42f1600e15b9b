"""Which requests the server answers: its own page's, and no others."""

from __future__ import annotations

import socket

import pytest
from explore_client import page

pytest.importorskip("PIL")


@pytest.mark.parametrize(
    "path",
    ["/", "/index.html", "/about", "/wrong/about", "//about", "/%2e%2e/about", "/wrong/../about", "/?token=1"],
)
def test_a_request_without_the_token_is_refused(client, path):
    assert client.fault("", whole=path)[0] == 403


def test_a_part_of_the_token_is_no_token(client):
    path = client.parts.path.strip("/")
    for wrong in (path[:-1], path + "x", path.upper(), path[::-1], ""):
        assert client.fault("", whole=f"/{wrong}/about") == (
            403,
            "the address lacks the token that steep explore printed",
        )


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_request_from_another_origin_is_refused(client, origin):
    for body in (None, b""):
        assert client.fault("about", body, headers={"Origin": origin}) == (403, "the request comes from another origin")


def test_what_changes_something_needs_an_origin(client):
    assert client.fault("picture", b"x", headers={"Origin": None})[0] == 403
    assert client.ask("about", headers={"Origin": None})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example", "0.0.0.0"])
def test_a_host_name_that_was_pointed_here_is_refused(client, host):
    assert client.fault("about", headers={"Host": host, "Origin": f"http://{host}"})[0] == 403


def test_a_link_from_another_site_is_refused(client):
    for site in ("cross-site", "same-site"):
        assert client.fault("about", headers={"Sec-Fetch-Site": site})[0] == 403
    assert client.ask("about", headers={"Sec-Fetch-Site": "none"})[0] == 200


@pytest.mark.parametrize(
    "path",
    ["nothing", "main.js/", "../server.py", "%2e%2e/server.py", "a/b", "page/main.js", "server.py", ".", "folder/0"],
)
def test_another_path_is_not_there(client, path):
    assert client.fault(path)[0] == 404


def test_files_of_the_folder_go_by_index_alone(client):
    assert client.fault("folder?index=0") == (400, "the folder has 0 images, there is no number 0")
    for wrong in ("../../etc/passwd", "-1", "1e3", ""):
        assert client.fault(f"folder?index={wrong}")[0] == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_other_methods_are_not_there(client, method):
    assert client.ask("about", method=method)[0] == 501


def test_the_page_may_load_nothing_from_elsewhere(client):
    for path in ("", "main.js", "style.css", "about"):
        assert client.ask(path)[0] == 200
        policy = client.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "http" not in policy and "unsafe" not in policy
        assert client.headers["X-Content-Type-Options"] == "nosniff"
        assert client.headers["Referrer-Policy"] == "no-referrer"
        assert client.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in client.headers


def test_it_listens_on_the_loopback_address_alone(client):
    assert client.server._http.server_address[0] == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(1)
        assert other.connect_ex(("127.0.0.2", client.parts.port)) != 0


def test_every_server_has_a_token_of_its_own(client):
    with page() as other:
        assert len(other.parts.path) > 30 and other.parts.path != client.parts.path


def test_a_body_that_is_too_large_is_not_read(client):
    said = {"Content-Length": str(10**12)}
    status, why = client.fault("picture", b"x", headers=said)
    assert status == 400 and "more than" in why
    assert client.fault("job", b"[]", headers={"Content-Length": "-1"})[0] == 400


def test_nothing_is_written_to_the_log(client, capfd):
    client.ask("about")
    client.fault("", whole="/wrong/")
    assert capfd.readouterr() == ("", "")
