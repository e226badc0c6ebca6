"""Frames between members of different versions."""

from __future__ import annotations

import msgspec
import pytest

from manager.raft.core import Entry, Message, encode_message
from manager.raft.core.messages import Append, Heartbeat, Propose
from manager.raft.peers.wire import Hello, decode_hello, encode, pack, unpack

HEARTBEAT = Heartbeat("a", "b", 3, 7, 1)


def test_a_frame_carries_messages() -> None:
    messages: list[Message] = [
        HEARTBEAT,
        Append("a", "b", 3, 1, 1, 0, [Entry(2, 3, b"x")]),
        Propose("a", "b", 3, [b"y"]),
    ]
    assert unpack(pack([encode_message(message) for message in messages])) == (messages, 0)
    many: list[Message] = [HEARTBEAT] * 5000
    assert unpack(pack([encode_message(message) for message in many])) == (many, 0)


def test_kinds_of_messages_that_a_newer_member_knows_are_skipped_and_counted() -> None:
    newer = encode(["Gossip", "a", "b", 3, {"what": "news"}])
    assert unpack(pack([newer, encode_message(HEARTBEAT), newer])) == ([HEARTBEAT], 2)


def test_fields_that_a_newer_member_adds_are_ignored() -> None:
    assert unpack(pack([encode([*msgspec.msgpack.decode(encode_message(HEARTBEAT)), "more", 1])])) == ([HEARTBEAT], 0)
    hello = Hello("a", "1", "host:1", "b", "2")
    assert decode_hello(encode(msgspec.structs.asdict(hello) | {"more": 1})) == hello


def test_fields_that_an_older_member_does_not_send_have_a_default() -> None:
    assert unpack(pack([encode(["Heartbeat", "a", "b", 3, 7])])) == ([Heartbeat("a", "b", 3, 7, 0)], 0)


def test_what_is_no_frame_is_an_error() -> None:
    for data in (b"", b"\xdc\x00\x01", encode({"a": 1})):
        with pytest.raises(msgspec.DecodeError):
            unpack(data)
