"""Moving bytes between this process's standard streams and a connection that was taken over, until either side ends.

One thread, one poll loop: a slow daemon stops the reading of input, and neither side can block the other.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable

from cli.api.connection import Connection
from cli.errors import ConnectError
from cli.terminal.frames import Splitter, write_all, write_frame

_SIZE = 64 * 1024
_READ = select.POLLIN | select.POLLHUP | select.POLLERR


class Pump:
    """One attached session. `typed` is told what was read from `stdin` (a file descriptor, None for no input)."""

    def __init__(
        self,
        connection: Connection,
        *,
        stdin: int | None = None,
        multiplexed: bool = False,
        typed: Callable[[bytes], None] | None = None,
    ) -> None:
        self._connection = connection
        self._sock = connection.sock
        self._stdin = stdin
        self._splitter = Splitter() if multiplexed else None
        self._typed = typed
        self._outgoing = b""

    def run(self) -> None:
        """Returns when the daemon ends the stream. Raises ConnectError where it breaks."""
        self._show(self._connection.leftover())
        self._sock.setblocking(False)
        try:
            while self._turn():
                pass
        except (ConnectionError, TimeoutError) as error:
            raise ConnectError(f"the connection to the daemon broke: {error.strerror or error}") from None
        finally:
            self._connection.close()

    def _turn(self) -> bool:
        """Wait for something and do it; False at the end of the stream."""
        ready = self._wait()
        if self._stdin is not None and ready.get(self._stdin, 0) & _READ:
            self._read_input()
        if self._outgoing and ready.get(self._sock.fileno(), 0) & select.POLLOUT:
            self._send()
        return not ready.get(self._sock.fileno(), 0) & _READ or self._receive()

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        if self._stdin is not None and not self._outgoing:
            poll.register(self._stdin, select.POLLIN)
        return dict(poll.poll())

    def _read_input(self) -> None:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, _SIZE)
        except OSError:
            data = b""
        if not data:
            self._stdin = None
            self._end_input()
            return
        if self._typed is not None:
            self._typed(data)
        self._outgoing = data

    def _send(self) -> None:
        try:
            sent = self._sock.send(self._outgoing)
        except (BlockingIOError, _tls_not_ready()):
            return
        except (BrokenPipeError, ConnectionResetError):
            # The container no longer takes input; what it still says is to be shown.
            self._outgoing, self._stdin = b"", None
            return
        self._outgoing = self._outgoing[sent:]

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(_SIZE)
            while data:
                self._show(data)
                if not _pending(self._sock):
                    return True
                data = self._sock.recv(_SIZE)
        except (BlockingIOError, _tls_not_ready()):
            return True
        return False

    def _show(self, data: bytes) -> None:
        if self._splitter is None:
            write_all(1, data)
            return
        for stream, payload in self._splitter.feed(data):
            write_frame(stream, payload)


def _pending(sock: socket.socket) -> bool:
    """True where TLS holds decrypted bytes that poll does not see."""
    pending = getattr(sock, "pending", None)
    return pending is not None and pending() > 0


def _tls_not_ready() -> type[Exception]:
    """ssl's "want read/write" without importing ssl where no TLS is used."""
    ssl = sys.modules.get("ssl")
    return ssl.SSLWantReadError if ssl else BlockingIOError
