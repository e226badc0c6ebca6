"""A container or an exec attached to this process: streams, raw mode, window size, and why it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from cli.api.connection import Connection
from cli.terminal.keys import DEFAULT_KEYS, Watch, parse_keys
from cli.terminal.pump import Pump
from cli.terminal.tty import following_size, raw_mode


class Streams(NamedTuple):
    """What is attached: whether input is fed, whether the other side has a terminal, and the keys that detach."""

    stdin: bool
    tty: bool
    keys: str = DEFAULT_KEYS


def run_attached(connection: Connection, streams: Streams, resize: Callable[[int, int], object] | None = None) -> bool:
    """Move bytes until the daemon ends the stream. True where the user typed the keys that detach.

    `resize(rows, columns)` is called for a terminal, now and when the window changes.
    """
    watch = Watch(parse_keys(streams.keys or DEFAULT_KEYS))
    stdin = sys.stdin.fileno() if streams.stdin and not sys.stdin.closed else None
    pump = Pump(connection, stdin=stdin, multiplexed=not streams.tty, typed=watch.typed)
    with ExitStack() as stack:
        if streams.tty and resize is not None:
            stack.enter_context(following_size(resize))
        if streams.tty and stdin is not None:
            stack.enter_context(raw_mode(stdin))
        pump.run()
    return streams.tty and watch.matched
