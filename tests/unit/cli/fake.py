"""A daemon of a few canned answers on a UNIX socket, one thread, to run the client and whole commands against."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


class Fake:
    """`answers` maps "GET /path" (without the query) to raw bytes of an answer; `requests` keeps what came in."""

    def __init__(self, path: Path, answers: Mapping[str, bytes]) -> None:
        self.url = f"unix://{path}"
        self.requests: list[tuple[str, bytes]] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        return [line for line, _ in self.requests]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as reader:
                self._answer(connection, reader)

    def _answer(self, connection: socket.socket, reader) -> None:  # type: ignore[no-untyped-def]
        line = reader.readline().decode().strip().removesuffix(" HTTP/1.1")
        headers = {}
        while header := reader.readline().strip():
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = (
            _chunked(reader) if "transfer-encoding" in headers else reader.read(int(headers.get("content-length", 0)))
        )
        self.requests.append((line, body))
        answer = self._answers.get(line.partition("?")[0], failure(404, "page not found"))
        connection.sendall(answer)
        with suppress(OSError):  # the client was faster
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def _chunked(reader) -> bytes:  # type: ignore[no-untyped-def]
    body = b""
    while size := int(reader.readline(), 16):
        body += reader.read(size)
        reader.readline()
    reader.readline()
    return body


def answer(value: object, status: str = "200 OK", headers: str = "") -> bytes:
    data = json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


def failure(status: int, message: str) -> bytes:
    return answer({"message": message}, f"{status} Sorry")


def chunked(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def frame(stream: int, payload: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


@contextmanager
def fake_daemon(folder: Path, answers: Mapping[str, bytes]) -> Iterator[Fake]:
    made = Fake(folder / "fake.sock", answers)
    try:
        yield made
    finally:
        made.close()
