"""One connection to one manager: the handshake, then messages both ways until either side ends it.

Beats tell the manager that this worker lives. The manager answers them, so that a manager that hangs, or that cannot be
heard any more, is found within seconds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from common import wire
from common.errors import Unavailable
from common.identity.tls import SERVER_NAME
from common.model import NodeDescription

PATH = "/shoal/v1/session"
CLOSE = aiohttp.ClientWSTimeout(ws_close=0.2)  # seconds that a manager may take to say farewell
DESCRIBE = 5.0  # seconds between looks at the node itself
LOOKS = 4  # at the silence, within the time that it may last
PATIENT = 5  # times as long may the only manager be silent


class Refused(Unavailable):
    """The manager does not want this node, whichever manager it asks."""


class Link:
    """An open session after its handshake. `welcome` is the manager's greeting."""

    def __init__(
        self, address: str, socket: aiohttp.ClientWebSocketResponse, welcome: wire.Welcome, parts: AsyncExitStack
    ) -> None:
        self.address = address
        self.welcome = welcome
        self._socket = socket
        self._parts = parts
        self._silent = 0  # looks since the manager was heard

    async def close(self) -> None:
        await self._parts.aclose()

    async def send(self, message: wire.Message) -> None:
        """Waits while the connection is slow. Raises ConnectionError where it is gone."""
        await self._socket.send_bytes(wire.encode(message))

    async def messages(self) -> AsyncIterator[wire.FromManager]:
        """What the manager sends, until it closes the session. Then raises ConnectionResetError with its reason, or Refused
        where the manager does not want this node's session."""
        while True:
            frame = await self._socket.receive()
            if frame.type is aiohttp.WSMsgType.CLOSE and frame.data == aiohttp.WSCloseCode.POLICY_VIOLATION:
                raise Refused(f"the manager refused the session: {_reason(frame)}")
            if frame.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionResetError(f"the manager ended the session: {_reason(frame)}")
            self._silent = 0
            yield wire.decode_from_manager(frame.data)

    async def beat(self, describe: Callable[[], NodeDescription], urgent: Callable[[], object]) -> None:
        """Send signs of life for ever, and the node's description when it has changed: at once where `urgent` has."""
        loop = asyncio.get_running_loop()
        told, seen, looked = describe(), urgent(), loop.time()
        while True:
            await asyncio.sleep(self.welcome.heartbeat)
            await self.send(wire.Beat())
            if urgent() == seen and loop.time() - looked < min(DESCRIBE, 5 * self.welcome.heartbeat):
                continue
            seen, looked = urgent(), loop.time()
            if (now := describe()) != told:
                told = now
                await self.send(wire.Report(description=now))

    async def listen(self, alternative: Callable[[], bool]) -> None:
        """Raises Unavailable once the manager was silent for too long: longer where there is no `alternative` to it.

        Looks are counted, not seconds, so that a worker that was frozen itself does not blame the manager.
        """
        while self._silent < (LOOKS if alternative() else PATIENT * LOOKS):
            self._silent += 1
            await asyncio.sleep(self.welcome.silence / LOOKS)
        raise Unavailable(
            f"nothing was heard of the manager for {self._silent * self.welcome.silence / LOOKS:.1f} seconds"
        )


async def connect(address: str, hello: wire.Hello, context: ssl.SSLContext | None, limit: float) -> Link:
    """Open a session with the manager at `address` (unix:///path, or host:port by `context`) within `limit` seconds.

    Raises Refused, Unavailable, TimeoutError, OSError, aiohttp.ClientError.
    """
    parts = AsyncExitStack()
    try:
        async with asyncio.timeout(limit):
            socket = await _open(address, context, parts)
            await socket.send_bytes(wire.encode(hello))
            return Link(address, socket, await _welcome(socket), parts)
    except BaseException:
        await parts.aclose()
        raise


async def _open(address: str, context: ssl.SSLContext | None, parts: AsyncExitStack) -> aiohttp.ClientWebSocketResponse:
    connector: aiohttp.BaseConnector
    if address.startswith("unix://"):
        connector, url, name = aiohttp.UnixConnector(address.removeprefix("unix://")), f"http://manager{PATH}", None
    elif context is not None:
        connector = aiohttp.TCPConnector(ssl=context, socket_factory=_impatient)
        url, name = f"https://{address}{PATH}", SERVER_NAME
    else:
        raise Unavailable(f"the manager at {address} cannot be trusted: this node has no certificate")
    http = await parts.enter_async_context(aiohttp.ClientSession(connector=connector))
    try:
        opened = http.ws_connect(url, max_msg_size=0, timeout=CLOSE, server_hostname=name)
        return await parts.enter_async_context(opened)
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 403:
            raise Refused(
                "this node is not in the cluster any more: it was removed. "
                'Use "docker swarm leave", then "docker swarm join" to join anew'
            ) from None
        raise Unavailable(f"the manager does not take this node in (status {error.status})") from None


def _impatient(address: tuple[Any, ...]) -> socket.socket:
    """A host that is not there is given up after 3 seconds, so that it is found soon after it is back; one that is there and
    slow is given its time."""
    made = socket.socket(*address[:3])
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    return made


async def _welcome(socket: aiohttp.ClientWebSocketResponse) -> wire.Welcome:
    frame = await socket.receive()
    if frame.type is not aiohttp.WSMsgType.BINARY:
        refused = frame.type is aiohttp.WSMsgType.CLOSE and frame.data == aiohttp.WSCloseCode.POLICY_VIOLATION
        kind = Refused if refused else Unavailable
        raise kind(f"the manager refused the session: {_reason(frame)}")
    message = wire.decode_from_manager(frame.data)
    if not isinstance(message, wire.Welcome):
        raise Unavailable(f"the manager began the session with {type(message).__name__}, not Welcome")
    return message


def _reason(frame: aiohttp.WSMessage) -> str:
    return str(frame.extra or frame.data or "no reason given")
