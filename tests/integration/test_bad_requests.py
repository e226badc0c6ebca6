"""Bad days at the API's door: garbage, wrong types, unknown fields, hostile names. Always a 4xx with a sentence."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

import pytest

from tests.harness.daemon import Daemon


def ask(
    shoald: Daemon, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> tuple[int, Any]:
    """(status, decoded answer) of one request."""
    options = ["-X", method, "-w", "\n%{http_code}", "-H", f"Content-Type: {kind}"]
    if body is not None:
        options += ["--data-binary", "@-"]
    done = subprocess.run(
        ["curl", "-gsS", "--path-as-is", "--unix-socket", str(shoald.socket), *options, f"http://d{path}"],
        input=body or b"",
        capture_output=True,
        timeout=60,
        check=True,
    )
    text, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(text) if text.strip() else None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/containers/create", b"{", 400, "invalid JSON"),
        ("POST", "/containers/create", b"[]", 400, "Expected"),
        ("POST", "/containers/create", b"null", 400, "Expected"),
        ("POST", "/containers/create", b"\xff\xfe\x00", 400, "invalid JSON"),
        ("POST", "/containers/create", b'{"Image": 3}', 400, "Expected `str`"),
        ("POST", "/containers/create", b'{"Image": "busybox", "Colour": "red"}', 400, "unknown field 'Colour'"),
        ("POST", "/containers/create", b'{"Image": "busybox", "HostConfig": {"Memori": 1}}', 400, "HostConfig.Memori"),
        ("POST", "/containers/create", b'{"Image": "busybox", "HostConfig": {"Memory": "1g"}}', 400, "Memory"),
        ("POST", "/containers/create?name=../../etc", b'{"Image": "busybox"}', 400, "name"),
        ("POST", "/containers/create?name=a%2Fb", b'{"Image": "busybox"}', 400, "name"),
        ("POST", "/containers/create", b'{"Image": "no-such-image"}', 404, "No such image"),
        ("POST", "/containers/create", b'{"Image": "UPPER"}', 400, "reference"),
        ("POST", "/containers/create", b'{"Image": "busybox", "HostConfig": {"Links": ["a:b"]}}', 400, "ink"),
        ("GET", "/containers/json?filters={", None, 400, "filters"),
        ("GET", '/containers/json?filters={"colour":["red"]}', None, 400, "colour"),
        ("GET", "/containers/json?limit=many", None, 400, "limit"),
        ("GET", "/containers/nope/json", None, 404, "No such container: nope"),
        ("POST", "/containers/nope/start", None, 404, "No such container"),
        ("DELETE", "/containers/nope", None, 404, "No such container"),
        ("GET", "/images/nope/json", None, 404, "No such image"),
        ("GET", "/volumes/nope", None, 404, "no such volume"),
        ("POST", "/volumes/create", b'{"Name": "../x"}', 400, "name"),
        ("POST", "/volumes/create", b'{"Name": "x", "Driver": "nfs4"}', 400, "driver"),
        ("GET", "/networks/nope", None, 404, "network nope not found"),
        ("POST", "/networks/create", b'{"Name": "x", "Driver": "macvlan"}', 404, "macvlan"),
        (
            "POST",
            "/networks/create",
            b'{"Name": "x", "IPAM": {"Config": [{"Subnet": "10.0.0.0/99"}]}}',
            400,
            "10.0.0.0/99",
        ),
        ("GET", "/v1.12/containers/json", None, 400, "too old"),
        ("GET", "/v1.99/containers/json", None, 400, "too new"),
        ("GET", "/vx/containers/json", None, 404, "page not found"),
        ("GET", "/no/such/page", None, 404, "page not found"),
        ("PUT", "/containers/json", None, 405, "Method Not Allowed"),
        ("POST", "/services/create", b'{"Nam": "x"}', 400, "unknown field 'Nam'"),
        ("POST", "/services/create", b"{}", 400, "ContainerSpec"),
        ("GET", "/services/nope", None, 404, "service nope not found"),
        ("GET", "/tasks/nope", None, 404, "nope"),
        ("POST", "/secrets/create", b'{"Name": "a/b"}', 400, "name"),
        ("GET", "/secrets/nope", None, 404, "secret nope not found"),
        ("POST", "/auth", b'{"username": ""}', 400, "user name"),
        ("POST", "/exec/nope/start", b"{}", 404, "No such exec instance"),
    ],
)
def test_a_bad_request_gets_a_sentence(
    shoald: Daemon, method: str, path: str, body: bytes | None, status: int, words: str
) -> None:
    got, answer = ask(shoald, method, path, body)
    assert got == status, answer
    assert words in answer["message"]
    assert "Traceback" not in answer["message"]


def test_an_oversized_body_is_refused(shoald: Daemon) -> None:
    got, answer = ask(shoald, "POST", "/containers/create", b'{"Image": "' + b"x" * (17 << 20) + b'"}')
    assert got == 413, answer


def test_garbage_on_the_socket_does_not_disturb_others(shoald: Daemon) -> None:
    for garbage in (b"\x00" * 4096, b"GET\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"A" * 100_000):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(shoald.socket))
            client.settimeout(10)
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
            assert not answer or b" 400 " in answer.split(b"\r\n")[0]
    assert shoald.curl("/_ping") == "OK"


def test_nothing_was_made_by_refused_requests(shoald: Daemon) -> None:
    assert json.loads(shoald.curl("/containers/json?all=1")) == []
