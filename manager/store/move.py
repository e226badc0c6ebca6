"""Moving the cluster's state to another log: the last entry of the old one says where it went on.

Every replica that applies that entry has the same state, which becomes the new log's first snapshot; nothing after it takes
effect in the old log. How a manager goes there is manager/migration/'s work.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from common.errors import Unavailable


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """`store` and `prefix` as in the settings; `token` names this one move, `number` is larger than any revision and any
    move before it. `members`: for Raft, the first voters and where they listen."""

    store: str
    prefix: str = ""
    token: str
    number: int
    members: dict[str, str] = {}


class Left(Unavailable):
    """The log takes no more changes: the cluster's state moved on."""

    def __init__(self, move: Move) -> None:
        super().__init__(f"the cluster's state is moving to {move.store}: try again in a moment")
        self.move = move


class Moved(Exception):
    """How a log that was left ends: the state after entry `index` goes on at `move`. `encode` makes it a first snapshot,
    and may run in another thread."""

    def __init__(self, move: Move, index: int, encode: Callable[[], bytes]) -> None:
        super().__init__(f"the cluster's state moved to {move.store}")
        self.move = move
        self.index = index
        self.encode = encode
