"""Passing on to a container the signals that this process receives."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from cli.errors import ApiError, ConnectError

_PASSED = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "CONT", "ALRM")


@contextmanager
def proxied(send: Callable[[str], object], wanted: bool = True) -> Iterator[None]:
    """While inside, call `send("TERM")` and the like instead of dying; a container that is gone is no error."""

    def handle(number: int, _: FrameType | None) -> None:
        with suppress(ApiError, ConnectError):
            send(signal.Signals(number).name.removeprefix("SIG"))

    numbers = [signal.Signals[f"SIG{name}"] for name in _PASSED] if wanted else []
    before = [(number, signal.signal(number, handle)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
