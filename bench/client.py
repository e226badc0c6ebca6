"""A small client of the Docker Engine API over a UNIX socket, the same for Shoal and its peers: one kept-alive connection."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Raises RuntimeError with the answer where a request fails. A manager's own socket knows no `version`."""

    def __init__(self, path: Path, version: str = "1.41", *, timeout: float = 300) -> None:
        self._connection = _Connection(path, timeout)
        self._prefix = f"/v{version}" if version else ""

    def get(self, path: str, **filters: list[str]) -> Any:
        if filters:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode({"filters": json.dumps(filters)})
        return self._json("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._json("POST", path, body)

    def delete(self, path: str) -> None:
        self._json("DELETE", path)

    def ping(self) -> None:
        self._request("GET", "/_ping", None, "application/json")

    def load(self, archive: Path) -> None:
        self._request("POST", "/images/load?quiet=1", archive.read_bytes(), "application/x-tar")

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        data = self._request(method, path, None if body is None else json.dumps(body).encode(), "application/json")
        return json.loads(data) if data else None

    def _request(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        self._connection.request(method, self._prefix + path, body, {"Content-Type": kind})
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        return data

    def close(self) -> None:
        self._connection.close()


def until(condition: Callable[[], bool], seconds: float = 300) -> float:
    """Poll, with pauses three times as long as a poll takes, until `condition()`; return when the last poll began."""
    deadline = time.monotonic() + seconds
    while True:
        begin = time.monotonic()
        if condition():
            return begin
        if begin > deadline:
            raise TimeoutError(f"nothing after {seconds} s")
        time.sleep(max(0.02, 3 * (time.monotonic() - begin)))
