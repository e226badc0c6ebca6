"""An HTTP answer: its head, and its body as bytes, chunks or a stream of JSON documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.errors import ApiError, ConnectError

if TYPE_CHECKING:
    from types import TracebackType

    from cli.api.connection import Connection


class Response:
    """An answer whose body is read on demand; close it, or use it as a context."""

    def __init__(self, connection: Connection, method: str = "GET") -> None:
        """Read the head. Raises ConnectError where it is no HTTP."""
        self.connection = connection
        self._method = method
        self.status, self.reason = _status(connection.line())
        self.headers = _headers(connection)

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece, as it arrives."""
        if self._method == "HEAD" or self.status in (101, 204, 304):
            return iter(())
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return _chunked(self.connection)
        if "content-length" in self.headers:
            return _counted(self.connection, int(self.headers["content-length"]))
        return iter(self.connection.some, b"")

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def json(self) -> Any:
        """The decoded body, None where it is empty."""
        import json

        data = self.read()
        try:
            return json.loads(data) if data.strip() else None
        except ValueError:
            raise ApiError(self.status, f"the answer is not JSON: {data[:200]!r}") from None

    def documents(self) -> Iterator[Any]:
        """The JSON documents of a stream, each as soon as it is complete."""
        import codecs
        import json

        decoder, text = codecs.getincrementaldecoder("utf-8")("replace"), ""
        scan = json.JSONDecoder().raw_decode
        for chunk in self.chunks():
            text = (text + decoder.decode(chunk)).lstrip()
            while text:
                try:
                    document, end = scan(text)
                except ValueError:
                    break
                text = text[end:].lstrip()
                yield document

    def raise_for_status(self) -> None:
        """Raise ApiError with the daemon's sentence for a status of 400 and above."""
        if self.status >= 400:
            try:
                raise ApiError(self.status, self._message())
            finally:
                self.close()

    def _message(self) -> str:
        import json

        data = self.read()
        try:
            return str(json.loads(data)["message"])
        except (ValueError, KeyError, TypeError):
            return data.decode(errors="replace").strip() or f"{self.status} {self.reason}"

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _status(line: bytes) -> tuple[int, str]:
    version, _, rest = line.decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise ConnectError(f"the daemon's answer is not HTTP: {line[:60]!r}. Does the address need TLS (--tlsverify)?")
    return int(code), reason


def _headers(connection: Connection) -> dict[str, str]:
    headers = {}
    while line := connection.line():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _counted(connection: Connection, length: int) -> Iterator[bytes]:
    while length:
        data = connection.some(min(length, 256 * 1024))
        if not data:
            raise ConnectError(f"the daemon's answer ended {length} bytes too early")
        length -= len(data)
        yield data


def _chunked(connection: Connection) -> Iterator[bytes]:
    while size := int(connection.line().split(b";")[0], 16):
        yield from _counted(connection, size)
        connection.line()
    while connection.line():
        pass
