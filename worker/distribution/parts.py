"""A blob on its way from a registry into its `.part` file: resumed by Range, retried, followed by who reads it already."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from worker.distribution.refusal import Refusal
from worker.distribution.repository import Attempts, Repository
from worker.distribution.transport import FAILURES
from worker.images.layout import disk_errors

_CHUNK = 1 << 20  # bytes that are written at a time
Told = Callable[[int], None]


class Part:
    """`done` of `size` bytes are in the file at `path`. Nothing of it is verified: who follows it does that."""

    def __init__(self, path: Path, digest: str, size: int) -> None:
        self.path = path
        self.digest = digest
        self.size = size
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.done = os.fstat(self._file).st_size
        if self.done > size:
            os.ftruncate(self._file, 0)
            self.done = 0
        self.resumed = self.done > 0
        self._grown = asyncio.Event()

    def close(self) -> None:
        os.close(self._file)

    def restart(self) -> None:
        """Forget what is there: it was not the right thing."""
        os.ftruncate(self._file, 0)
        self.done, self.resumed = 0, False

    async def announcements(self) -> AsyncIterator[bytes]:
        """How much there is, a line at each growth, until all is there: for the child that follows the file."""
        told = -1
        while told < self.size:
            if told < self.done:
                told = self.done
                yield b"%d\n" % told
            else:
                self._grown.clear()
                await self._grown.wait()

    async def fetch(self, repository: Repository, told: Told) -> None:
        """Get what is missing. Raises Refusal, Unavailable, NoSpace."""
        attempts = Attempts(repository.endpoint.host)
        while self.done < self.size:
            before = self.done
            try:
                await self._read_on(repository, told)
                if self.done == before:
                    raise aiohttp.ClientPayloadError("the registry sent less than the blob's size")
            except (Refusal, *FAILURES) as error:
                if self.done > before:
                    attempts.progressed()
                await attempts.failed(error)

    async def _read_on(self, repository: Repository, told: Told) -> None:
        headers = {"Range": f"bytes={self.done}-"} if self.done else {}
        url = f"{repository.base}/blobs/{self.digest}"
        async with await repository.send("GET", url, headers=headers) as answer:
            skip = self.done if answer.status != 206 else self._offset(answer)
            await self._write_all(answer.content, skip, told)

    def _offset(self, answer: aiohttp.ClientResponse) -> int:
        """How many of the answer's first bytes are here already."""
        text = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        start = int(text) if text.isdecimal() else self.done
        if start > self.done:
            raise aiohttp.ClientPayloadError("the registry left a gap in the blob")
        return self.done - start

    async def _write_all(self, content: Any, skip: int, told: Told) -> None:
        pending, length = list[bytes](), 0
        try:
            async for chunk in content.iter_any():
                if skip:
                    dropped = min(skip, len(chunk))
                    skip, chunk = skip - dropped, chunk[dropped:]
                pending.append(chunk)
                length += len(chunk)
                if length >= _CHUNK:
                    await self._write(b"".join(pending), told)
                    pending, length = [], 0
                if self.done >= self.size:
                    break
        finally:
            if length:
                await self._write(b"".join(pending), told)

    async def _write(self, data: bytes, told: Told) -> None:
        data = data[: self.size - self.done]
        with disk_errors("the image"):
            await asyncio.to_thread(_write_at, self._file, data, self.done)
        self.done += len(data)
        self._grown.set()
        told(self.done)


def _write_at(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
