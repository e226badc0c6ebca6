"""What goes over the wire between two members: a greeting, then frames, each an array of messages, all MessagePack.

Fields and kinds of messages may be added: an older member ignores the fields and skips the kinds that it does not know.
Anything else needs a new protocol number; both sides speak the highest that both know.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from manager.raft.core import InstallSnapshot, Message, decode_message

PROTOCOL, OLDEST = 1, 1  # what this version speaks, and the oldest that it still speaks
STREAM, SNAPSHOT = "/shoal/v1/raft", "/shoal/v1/raft/snapshot"
FRAME = 1 << 20  # bytes after which a frame takes no more messages
LARGEST = 64 << 20  # bytes of the largest frame that is taken


class Hello(msgspec.Struct, frozen=True):
    """From the sender of a stream: who it is, where it listens, whom it means, and what it speaks."""

    sender: str
    birth: str
    address: str
    to: str
    to_birth: str
    protocol: int = PROTOCOL
    oldest: int = OLDEST


class Welcome(msgspec.Struct, frozen=True):
    """The answer: the protocol to speak."""

    protocol: int


class SnapshotHead(msgspec.Struct, frozen=True):
    """What comes before a snapshot's data; its length comes first, in 4 bytes, big-endian."""

    hello: Hello
    message: InstallSnapshot


encode = msgspec.msgpack.Encoder().encode
decode_hello = msgspec.msgpack.Decoder(Hello).decode
decode_welcome = msgspec.msgpack.Decoder(Welcome).decode
decode_head = msgspec.msgpack.Decoder(SnapshotHead).decode
_decode_all = msgspec.msgpack.Decoder(list[Message]).decode
_decode_each = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def pack(messages: Sequence[bytes]) -> bytes:
    """A frame of up to 65,535 messages that are encoded already."""
    return b"\xdc" + len(messages).to_bytes(2, "big") + b"".join(messages)


def unpack(frame: bytes) -> tuple[list[Message], int]:
    """The messages of a frame, and how many more there were of an unknown kind. Raises msgspec.DecodeError where it is none."""
    try:
        return _decode_all(frame), 0
    except msgspec.ValidationError:
        return _known(_decode_each(frame))


def _known(raw: Sequence[msgspec.Raw]) -> tuple[list[Message], int]:
    known: list[Message] = []
    for item in raw:
        try:
            known.append(decode_message(item))
        except msgspec.ValidationError:
            continue
    return known, len(raw) - len(known)
