"""One connection to the daemon: connecting by UNIX socket, TCP or TLS, buffered reading, and what is said when it fails."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from cli.errors import ConnectError

if TYPE_CHECKING:
    from cli.endpoint import Endpoint, Tls

CONNECT_TIMEOUT = 10.0  # seconds
MAX_LINE = 64 * 1024


class Connection:
    """A connected socket with a read buffer. `sock` is open to callers that took the connection over."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self.sock = sock
        self._endpoint = endpoint
        self._buffer = b""

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def some(self, limit: int = 256 * 1024) -> bytes:
        """Whatever has arrived, at most `limit` bytes; b"" at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:limit], self._buffer[limit:]
            return data
        return self._receive(limit)

    def line(self) -> bytes:
        """The next line without its end. Raises ConnectError where the connection ends first."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE:
                raise ConnectError(f"the answer of {self._endpoint.url} is not HTTP: a line has no end")
            more = self._receive(MAX_LINE)
            if not more:
                raise ConnectError(f"{self._endpoint.url} closed the connection in the middle of an answer")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def _receive(self, limit: int) -> bytes:
        try:
            return self.sock.recv(limit)
        except OSError as error:
            raise self._broken(error) from None

    def leftover(self) -> bytes:
        """What was read beyond the last line, given away once."""
        data, self._buffer = self._buffer, b""
        return data

    def close(self) -> None:
        self.sock.close()

    def _broken(self, error: OSError) -> ConnectError:
        return ConnectError(f"the connection to {self._endpoint.url} broke: {error.strerror or error}")


def connect(endpoint: Endpoint) -> Connection:
    """Connect, or raise ConnectError with what to do next."""
    try:
        sock = _unix(endpoint.path) if endpoint.path else _tcp(endpoint)
    except PermissionError:
        raise ConnectError(
            f"permission denied while connecting to {endpoint.url}: run as root, or as a member of the socket's group"
        ) from None
    except OSError as error:
        raise ConnectError(
            f"Cannot connect to the Shoal daemon at {endpoint.url}: {error.strerror or error}. Is shoald running? "
            "Start it with `systemctl start shoald`, or name another daemon by -H or SHOAL_HOST"
        ) from None
    return Connection(sock, endpoint)


def _unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _tcp(endpoint: Endpoint) -> socket.socket:
    sock = socket.create_connection((endpoint.host, endpoint.port), CONNECT_TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.tls is not None:
        sock = _encrypt(sock, endpoint.host, endpoint.tls)
    sock.settimeout(None)
    return sock


def _encrypt(sock: socket.socket, host: str, tls: Tls) -> socket.socket:
    import ssl

    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key or None)
        return context.wrap_socket(sock, server_hostname=host)
    except (ssl.SSLError, OSError) as error:
        sock.close()
        raise ConnectError(f"TLS with {host} failed: {error}. Check --tlscacert, --tlscert and --tlskey") from None
