"""An attachment between made-up ends: every way in which it can be over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from worker.api.attachment import Attachment, Ending, Wishes


class Process:
    """Streams of a process: gives `pieces`, then ends; one that `stays` does so when its stdin is closed."""

    def __init__(self, *pieces: tuple[int, bytes], stays: bool = False) -> None:
        self._pieces = list(pieces)
        self._stays = stays
        self.stdin = b""
        self.stdin_closed = asyncio.Event()
        self.closed = False

    async def read(self) -> tuple[int, bytes] | None:
        if self._pieces:
            return self._pieces.pop(0)
        if self._stays:
            await self.stdin_closed.wait()
        return None

    async def write(self, data: bytes) -> None:
        self.stdin += data

    def close_stdin(self) -> None:
        self.stdin_closed.set()

    def close(self) -> None:
        self.closed = True


class Client:
    """Types `keys` and half-closes; takes everything, unless it is broken or slow."""

    def __init__(self, *keys: bytes, broken: bool = False, slow: bool = False) -> None:
        self._keys = list(keys)
        self._broken = broken
        self._slow = slow
        self.got: list[Any] = []

    async def read(self) -> bytes:
        return self._keys.pop(0) if self._keys else b""

    async def send(self, data: bytes) -> None:
        if self._slow:
            await asyncio.Event().wait()
        if self._broken:
            raise ConnectionResetError
        self.got.append(data)

    async def frame(self, stream: int, data: bytes) -> None:
        await self.send(bytes((stream,)) + data)


async def attach(client: Client, process: Process, folder: Path, **wishes: Any) -> Ending:
    wanted = Wishes(**{"multiplexed": True, **wishes})
    async with asyncio.timeout(5):
        ending = await Attachment(client, process, wanted, folder).run()
    assert process.closed
    return ending


async def test_all_output_is_sent_before_the_end(tmp_path: Path) -> None:
    client = Client()
    assert await attach(client, Process((1, b"out"), (2, b"err")), tmp_path) is Ending.ENDED
    assert client.got == [b"\x01out", b"\x02err"]


async def test_only_the_wanted_streams_are_sent(tmp_path: Path) -> None:
    client = Client()
    await attach(client, Process((1, b"out"), (2, b"err")), tmp_path, outputs={2}, multiplexed=False)
    assert client.got == [b"err"]


async def test_the_end_of_input_is_passed_on(tmp_path: Path) -> None:
    process = Process(stays=True)
    ending = await attach(Client(b"a", b"b"), process, tmp_path, stdin=True, half_close=True)
    assert (ending, process.stdin) == (Ending.ENDED, b"ab")


async def test_detach_keys_end_it(tmp_path: Path) -> None:
    process = Process(stays=True)
    assert await attach(Client(b"ls\x10", b"\x11"), process, tmp_path, stdin=True, keys=b"\x10\x11") is Ending.DETACHED
    assert (process.stdin, process.stdin_closed.is_set()) == (b"ls", False)


async def test_a_client_that_is_gone_ends_it(tmp_path: Path) -> None:
    assert await attach(Client(broken=True), Process((1, b"x"), stays=True), tmp_path) is Ending.GONE


async def test_a_client_that_takes_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.runtime.spool.Spool.__init__.__kwdefaults__", {"memory": 10, "limit": 100})
    pieces = [(1, b"x" * 10) for _ in range(20)]
    assert await attach(Client(slow=True), Process(*pieces, stays=True), tmp_path) is Ending.SLOW
