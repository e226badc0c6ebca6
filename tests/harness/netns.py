"""A host in a network namespace of its own, for tests that run parts of the daemon inside the test's process.

    outside namespace (10.214.N.1, fd00:214:N::1) ── veth ── host's namespace (10.214.N.2, fd00:214:N::2)

The test's main thread is inside the host's namespace while the context is open. Sockets are made inside any namespace by
`socket_in`, so that no further processes are needed to play servers and clients.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from tests.harness.machine import run
from worker.network import namespaces

T = TypeVar("T")
_TIMEOUT = 5.0


class Host:
    """Paths of the two namespaces, and the addresses at both ends of the wire between them."""

    def __init__(self, name: str) -> None:
        number = int(name, 16) % 250
        self.names = (f"shn-{name}", f"shn-{name}-out")
        self.inside, self.outside = (Path("/run/netns") / name for name in self.names)
        self.address, self.outside_address = f"10.214.{number}.2", f"10.214.{number}.1"
        self.address6, self.outside_address6 = f"fd00:214:{number}::2", f"fd00:214:{number}::1"


@contextmanager
def host() -> Iterator[Host]:
    made = Host(os.urandom(3).hex())
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _wire(made)
        _enter(made.inside)
        yield made
    finally:
        namespaces._libc.setns(home, 0)
        os.close(home)
        for name in made.names:
            run("ip", "netns", "del", name, check=False)


def _wire(made: Host) -> None:
    inside, outside = made.names
    for name in made.names:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", inside, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", outside)
    ends = ((inside, made.address, made.address6), (outside, made.outside_address, made.outside_address6))
    for name, address, address6 in ends:
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "addr", "add", f"{address6}/64", "dev", "eth0", "nodad")
        run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", inside, "route", "add", "default", "via", made.outside_address)
    run("ip", "-n", inside, "-6", "route", "add", "default", "via", made.outside_address6)


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert namespaces._libc.setns(descriptor, 0) == 0
    finally:
        os.close(descriptor)


def within(path: Path, function: Callable[[], T]) -> T:
    """Run `function` in a namespace, in a thread of its own."""
    result: list[T] = []
    thread = threading.Thread(target=lambda: result.append(namespaces.run_in(path, function)))
    thread.start()
    thread.join()
    return result[0]


def in_namespace(path: Path, *command: str) -> str:
    return run("nsenter", f"--net={path}", "--", *command)


def socket_in(path: Path, address: str = "", *, udp: bool = False, version: int = 4) -> socket.socket:
    """A non-blocking socket that belongs to the namespace; bound (and listening) where `address` names "host:port"."""

    def make() -> socket.socket:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        sock.setblocking(False)
        if address:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind, _, port = address.rpartition(":")
            sock.bind((bind, int(port)))
            if not udp:
                sock.listen(64)
        return sock

    return within(path, make)


@asynccontextmanager
async def greeter(path: Path, name: str, port: int = 80, *, version: int = 4) -> AsyncIterator[None]:
    """A TCP server in the namespace that says "NAME CLIENT-ADDRESS" to everyone."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name} {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    listening = socket_in(path, f"{'0.0.0.0' if version == 4 else '::'}:{port}", version=version)
    server = await asyncio.start_server(greet, sock=listening)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


async def call(path: Path, address: str, port: int = 80, *, timeout: float = _TIMEOUT) -> tuple[str, str]:
    """Connect from a namespace to a greeter: (its name, our address as it saw it). Raises OSError, TimeoutError."""
    sock = socket_in(path, version=6 if ":" in address else 4)
    with sock:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (address, port))
            data = b""
            while part := await loop.sock_recv(sock, 4096):
                data += part
    name, _, seen = data.decode().partition(" ")
    return name, seen


async def cannot_call(path: Path, address: str, port: int = 80, *, timeout: float = 0.4) -> bool:
    try:
        await call(path, address, port, timeout=timeout)
    except (OSError, TimeoutError):
        return True
    return False
