"""The terminal of this process: raw mode, its size, and following its changes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cli.errors import ApiError, CliError, ConnectError


def check_terminal(stdin: bool, tty: bool) -> None:
    """Raise CliError where a container's terminal is to be fed from something that is none."""
    if stdin and tty and not sys.stdin.isatty():
        raise CliError("the input device is not a TTY: leave out -t, or run this from a terminal")


@contextmanager
def raw_mode(fd: int = 0) -> Iterator[None]:
    """Hand every key to the container as it is typed; puts the terminal back on any way out."""
    import termios
    import tty

    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)  # keeps what was typed ahead
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    """(rows, columns) of the terminal, (0, 0) where there is none."""
    for fd in (1, 0, 2):
        try:
            found = os.get_terminal_size(fd)
        except OSError:
            continue
        return found.lines, found.columns
    return 0, 0


@contextmanager
def following_size(resize: Callable[[int, int], object]) -> Iterator[None]:
    """Call `resize(rows, columns)` now and whenever the window changes; a container that is not ready is no error."""

    def update(number: int = 0, frame: FrameType | None = None) -> None:
        rows, columns = size()
        if rows and columns:
            with suppress(ApiError, ConnectError):
                resize(rows, columns)

    before = signal.signal(signal.SIGWINCH, update)
    try:
        update()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
