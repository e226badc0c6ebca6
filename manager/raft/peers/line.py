"""One member's line to another: a bounded queue, and a stream that is opened when there is something to say."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import structlog

from manager.raft.core import Message, Propose, encode_message
from manager.raft.core.messages import Append
from manager.raft.peers.wire import FRAME, LARGEST, PROTOCOL, STREAM, Hello, decode_welcome, encode, pack

LIMIT = 4096  # messages that wait; the oldest are dropped, as the network might have
CONNECT = 1.5  # seconds for a connection with its greeting
LINGER = 2  # turns of the loop that the news of a commit waits for the entry that its proposer proposes next
BACKOFF = 0.05, 0.8  # seconds between tries: the first pause, and the longest
LOST = (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, msgspec.MsgspecError)

log = structlog.get_logger()


class Line:
    """`greet` returns the other's present host:port, and what to say first; `context` the TLS context, None for none."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        greet: Callable[[], tuple[str, Hello]],
        context: Callable[[], ssl.SSLContext | None],
        server_name: str,
    ) -> None:
        self._session = session
        self._greet = greet
        self._context = context
        self._server_name = server_name
        self._queue: deque[Message] = deque()
        self._some = asyncio.Event()
        self._retry = asyncio.Event()
        self._greeted: Hello | None = None
        self.dropped = 0

    def send(self, message: Message) -> None:
        if len(self._queue) >= LIMIT:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(message)
        self._some.set()

    def retry(self) -> None:
        """The other side is there: do not wait to try again."""
        self._retry.set()

    async def run(self) -> None:
        """For ever: connect, send what is queued, and again where the connection is lost."""
        pause, longest = BACKOFF
        while True:
            await self._some.wait()
            try:
                async with self._connect() as socket:
                    pause = BACKOFF[0]
                    await self._converse(socket)
            except LOST as error:
                self._forget()
                log.debug("no line to a manager", to=self._greet()[1].to, reason=str(error) or type(error).__name__)
            self._retry.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._retry.wait()
            except TimeoutError:
                pause = min(2 * pause, longest)

    def _forget(self) -> None:
        """What waited is out of date, except proposals, for which somebody waits."""
        kept = [message for message in self._queue if isinstance(message, Propose)]
        self.dropped += len(self._queue) - len(kept)
        self._queue = deque(kept)
        if not kept:
            self._some.clear()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with asyncio.timeout(CONNECT):
            address, hello = self._greet()
            context = self._context()
            socket = await self._session.ws_connect(
                f"{'https' if context else 'http'}://{address}{STREAM}",
                ssl=context or False,
                server_hostname=self._server_name if context else None,
                max_msg_size=LARGEST,
            )
        async with socket:
            async with asyncio.timeout(CONNECT):
                await socket.send_bytes(encode(hello))
                welcome = await socket.receive()
            if welcome.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionRefusedError(f"{hello.to} at {address} refuses: {welcome.extra or socket.close_code}")
            if decode_welcome(welcome.data).protocol > PROTOCOL:
                raise ConnectionRefusedError(f"{hello.to} at {address} wants a protocol that is too new")
            self._greeted = hello
            log.info("line to a manager", to=hello.to, address=address)
            yield socket

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Until the connection ends; then raises one of LOST."""
        writer = asyncio.ensure_future(self._write(socket))
        reader = asyncio.ensure_future(socket.receive())  # nothing comes but the end
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.cancel()
            reader.cancel()
            await asyncio.wait((writer, reader))
        for task in (writer, reader):
            if not task.cancelled():
                task.result()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._some.wait()
            await self._linger()
            if self._greeted != self._greet()[1]:
                return  # it, or this member, lives another life meanwhile
            await socket.send_bytes(self._frame())

    async def _linger(self) -> None:
        for _ in range(LINGER):
            if not all(isinstance(message, Append) and not message.entries for message in self._queue):
                return
            await asyncio.sleep(0)

    def _frame(self) -> bytes:
        messages: list[bytes] = []
        size = 0
        while self._queue and size < FRAME:
            messages.append(encode_message(self._queue.popleft()))
            size += len(messages[-1])
        if not self._queue:
            self._some.clear()
        return pack(messages)
