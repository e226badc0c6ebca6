"""One connection to one manager: the handshake, then messages both ways until either side ends it.

The WebSocket's own pings find a manager that hangs; Beats tell the manager that this worker does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from common import wire
from common.errors import Unavailable
from common.model import NodeDescription

PATH = "/shoal/v1/session"
PING = 10.0  # seconds between the WebSocket's pings
CLOSE = aiohttp.ClientWSTimeout(ws_close=1.0)  # seconds that a manager may take to say farewell
WELCOME = 10.0  # seconds that a manager may take to answer Hello


class Link:
    """An open session after its handshake. `welcome` is the manager's greeting."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, welcome: wire.Welcome) -> None:
        self._socket = socket
        self.welcome = welcome

    async def send(self, message: wire.Message) -> None:
        """Waits while the connection is slow. Raises ConnectionError where it is gone."""
        await self._socket.send_bytes(wire.encode(message))

    async def messages(self) -> AsyncIterator[wire.FromManager]:
        """What the manager sends, until it closes the session."""
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.BINARY:
                yield wire.decode_from_manager(frame.data)

    async def beat(self, describe: Callable[[], NodeDescription]) -> None:
        """Send signs of life for ever, and the node's description when it has changed."""
        told = describe()
        while True:
            await asyncio.sleep(self.welcome.heartbeat)
            await self.send(wire.Beat())
            if (now := describe()) != told:
                told = now
                await self.send(wire.Report(description=now))


@asynccontextmanager
async def connect(address: str, hello: wire.Hello) -> AsyncIterator[Link]:
    """Open a session with the manager at `address` (unix:///path). Raises Unavailable, OSError, aiohttp.ClientError."""
    connector = aiohttp.UnixConnector(address.removeprefix("unix://"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.ws_connect(f"http://manager{PATH}", heartbeat=PING, max_msg_size=0, timeout=CLOSE) as socket,
    ):
        await socket.send_bytes(wire.encode(hello))
        yield Link(socket, await _welcome(socket))


async def _welcome(socket: aiohttp.ClientWebSocketResponse) -> wire.Welcome:
    frame = await socket.receive(WELCOME)
    if frame.type is not aiohttp.WSMsgType.BINARY:
        raise Unavailable(f"the manager ended the session: {frame.extra or frame.data or 'no reason given'}")
    message = wire.decode_from_manager(frame.data)
    if not isinstance(message, wire.Welcome):
        raise Unavailable(f"the manager began the session with {type(message).__name__}, not Welcome")
    return message
