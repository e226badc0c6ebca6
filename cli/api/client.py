"""The client: one request per connection, JSON in and out, streams, and connections taken over.

Paths carry no API version unless one is asked for (DOCKER_API_VERSION), so the daemon answers in its newest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cli.api.connection import Connection, connect
from cli.api.response import Response
from cli.api.urls import target
from cli.errors import ConnectError

if TYPE_CHECKING:
    from cli.endpoint import Endpoint

AGENT = "shoal"
Body = bytes | Iterable[bytes] | None


class Client:
    """Requests to one daemon. Every method raises ApiError (the daemon refused) and ConnectError (it is not there)."""

    def __init__(self, endpoint: Endpoint, version: str = "") -> None:
        self._endpoint = endpoint
        self._prefix = f"/v{version.lstrip('v')}" if version else ""

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, query, None)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self._call("POST", path, query, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._call("DELETE", path, query, None)

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Body = None,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request and leave the answer's body to the caller, who closes it. An iterable body goes out in chunks."""
        connection = connect(self._endpoint)
        try:
            more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            connection.send(self._head(method, path, query or {}, body, kind, more + "Connection: close\r\n"))
            early = _send_body(connection, body)
            response = Response(connection, method)
            response.raise_for_status()
        except BaseException:
            connection.close()
            raise
        if early is not None:
            connection.close()
            raise early
        return response

    def hijack(self, path: str, body: Any = None, **query: Any) -> Connection:
        """POST, and take the connection over once the daemon has switched it to raw bytes."""
        data = b"" if body is None else json.dumps(body).encode()
        connection = connect(self._endpoint)
        try:
            head = self._head("POST", path, query, data, "application/json", "Connection: Upgrade\r\nUpgrade: tcp\r\n")
            connection.send(head + data)
            response = Response(connection, "POST")
            response.raise_for_status()
        except BaseException:
            connection.close()
            raise
        return connection

    def _call(self, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with self.stream(method, path, query=query, body=data, kind="application/json" if data else "") as response:
            return response.json()

    def _head(
        self, method: str, path: str, query: dict[str, Any], body: Body, kind: str, more: str = "Connection: close\r\n"
    ) -> bytes:
        lines = [f"{method} {self._prefix}{target(path, query)} HTTP/1.1", f"Host: {self._endpoint.authority}"]
        lines += [f"User-Agent: {AGENT}"]
        if kind:
            lines.append(f"Content-Type: {kind}")
        if body is None or isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body or b'')}")
        else:
            lines.append("Transfer-Encoding: chunked")
        return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()


def _send_body(connection: Connection, body: Body) -> ConnectError | None:
    """Send the body. Where the daemon stopped reading, return the error: its answer may say why."""
    try:
        if isinstance(body, bytes):
            connection.send(body)
        elif body is not None:
            for piece in body:
                if piece:
                    connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
    except ConnectError as error:
        return error
    return None
