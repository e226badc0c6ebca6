"""The boundary between a member and its peers: messages may be lost, doubled and reordered; they are never waited for."""

from __future__ import annotations

from typing import Protocol

from manager.raft.core import Message


class Transport(Protocol):
    def send(self, message: Message) -> None:
        """Pass `message` on to `message.to`, or drop it; never waits. An InstallSnapshot already carries its data."""


class NoTransport:
    """For a group of one, which has nobody to talk to."""

    def send(self, message: Message) -> None:
        raise AssertionError(f"a group of one sends to {message.to}")
