"""What the launcher tells a manager on its standard input: how to start, in one line, then a line for each later identity.

The end of the input is the end of the launcher, and of the manager.
"""

from __future__ import annotations

import msgspec

from common.identity.identity import Identity


class ManagerStart(msgspec.Struct, frozen=True):
    """`identity` with its keys. `force_new`: the quorum is lost for good, this member goes on alone."""

    identity: Identity
    force_new: bool = False


def encode(start: ManagerStart) -> bytes:
    return msgspec.json.encode(start) + b"\n"


def encode_update(identity: Identity) -> bytes:
    return encode(ManagerStart(identity))


decode = msgspec.json.Decoder(ManagerStart).decode
