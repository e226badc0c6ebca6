"""The boundary between a member and its peers: messages may be lost, doubled and reordered; they are never waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from common.errors import Unavailable
from manager.raft.core import Config, InstallSnapshot, Message


class Transport(Protocol):
    def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        """Carry messages as long as the context is open, and `deliver` what is for this member in this life (`birth`);
        `lost` is told of members whose line to this one broke."""

    def members(self, config: Config) -> None:
        """These are the members now, and this is where they listen."""

    def send(self, message: Message) -> None:
        """Pass `message` on to `message.to`, or drop it; never waits."""

    async def send_snapshot(self, message: InstallSnapshot, data: Iterator[bytes]) -> None:
        """Pass on `message`, whose snapshot has no data, with `data`, which may block; returns once it was delivered.
        Raises Unavailable where it was not."""


class NoTransport:
    """For a group of one, which has nobody to talk to."""

    def run(
        self, birth: str, deliver: Callable[[Message], None], lost: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def members(self, config: Config) -> None:
        pass

    def send(self, message: Message) -> None:
        pass

    async def send_snapshot(self, message: InstallSnapshot, data: Iterator[bytes]) -> None:
        raise Unavailable(f"{message.to} cannot be reached: this manager does not listen on the network")
