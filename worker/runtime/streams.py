"""conmon's attach socket: the standard streams of a container or exec.

A record socket (SOCK_SEQPACKET): what comes is one byte for the stream and up to 8192 bytes of data, what goes is stdin.
conmon waits for slow readers, and with it the container: whoever attaches must go on reading (see spool.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from common.errors import Conflict

RECORD = 8192  # bytes of data in a record
_STDOUT, _STDERR = 2, 3  # conmon's numbers


class AttachSocket:
    """Streams over one connection to conmon."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    async def open(cls, path: Path) -> AttachSocket:
        """Connect. Raises Conflict where no monitor listens."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        folder = None
        try:
            # A socket's address has room for 107 bytes only: go by the folder's descriptor.
            folder = os.open(path.parent, os.O_PATH)
            await asyncio.get_running_loop().sock_connect(connection, f"/proc/self/fd/{folder}/{path.name}")
        except OSError as error:
            connection.close()
            raise Conflict(f"cannot attach: the process has ended ({error.strerror})") from None
        except BaseException:
            connection.close()
            raise
        finally:
            if folder is not None:
                os.close(folder)
        return cls(connection)

    async def read(self) -> tuple[int, bytes] | None:
        """(1 stdout | 2 stderr, data), None at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                record = await loop.sock_recv(self._socket, RECORD + 1)
            except (ConnectionError, OSError):
                return None
            if not record:
                return None
            if record[0] in (_STDOUT, _STDERR):
                return record[0] - 1, record[1:]

    async def write(self, data: bytes) -> None:
        """Send to stdin, waiting while the process does not read. Raises ConnectionError where it has ended."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), RECORD):
            await loop.sock_sendall(self._socket, data[start : start + RECORD])

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
