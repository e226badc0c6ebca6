"""The HTTP client against canned answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.api.client import Client
from cli.api.urls import image, item, target
from cli.endpoint import parse
from cli.errors import ApiError, CliError, ConnectError
from tests.unit.cli.fake import answer, chunked, failure, fake_daemon


def client(url: str, version: str = "") -> Client:
    return Client(parse(url), version)


def test_json_both_ways(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, {"POST /v1.44/x": answer({"Id": "1"}, "201 Created")}) as fake:
        assert client(fake.url, "1.44").post("/x", {"a": 1}, flag=True, none=None, many=["a", "b"]) == {"Id": "1"}
        assert fake.requests == [("POST /v1.44/x?flag=1&many=a&many=b", b'{"a": 1}')]


def test_empty_answers_are_none(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, {"DELETE /x": b"HTTP/1.1 204 No Content\r\n\r\n"}) as fake:
        assert client(fake.url).delete("/x") is None


def test_refusals_carry_the_daemons_sentence(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, {"GET /x": failure(409, "it is taken")}) as fake:
        with pytest.raises(ApiError) as caught:
            client(fake.url).get("/x")
        assert (caught.value.status, caught.value.message) == (409, "Error response from daemon: it is taken")


def test_streams_of_documents(tmp_path: Path) -> None:
    pieces = (b'{"a": 1}\n{"b"', b': "\xc3', b'\xa4"} ', b'{"c": 3}')
    with fake_daemon(tmp_path, {"GET /x": chunked(*pieces)}) as fake, client(fake.url).stream("GET", "/x") as response:
        assert list(response.documents()) == [{"a": 1}, {"b": "ä"}, {"c": 3}]


def test_bodies_in_pieces(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, {"PUT /x": answer(None)}) as fake:
        client(fake.url).stream("PUT", "/x", body=iter([b"one", b"", b"two"])).close()
        assert fake.requests == [("PUT /x", b"onetwo")]


def test_connections_taken_over(tmp_path: Path) -> None:
    head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\nearly"
    with fake_daemon(tmp_path, {"POST /x": head}) as fake:
        connection = client(fake.url).hijack("/x")
        assert connection.some() == b"early"
        connection.close()


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "too early"),
    ],
)
def test_broken_answers(tmp_path: Path, raw: bytes, part: str) -> None:
    with fake_daemon(tmp_path, {"GET /x": raw}) as fake, pytest.raises(ConnectError, match=part):
        client(fake.url).get("/x")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="Is shoald running"):
        client(f"unix://{tmp_path}/none.sock").get("/x")


def test_names_cannot_leave_their_place() -> None:
    assert item("containers", "../images/x", "json") == "/containers/..%2Fimages%2Fx/json"
    assert image("a/b:1@sha256:c", "json") == "/images/a/b:1@sha256:c/json"
    assert (
        target("/x", {"q": "a b&c", "filters": {"l": ["ä"]}})
        == "/x?q=a%20b%26c&filters=%7B%22l%22%3A%20%5B%22%5Cu00e4%22%5D%7D"
    )
    with pytest.raises(CliError, match="empty"):
        item("containers", "")
