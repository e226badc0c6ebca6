"""Progress on a terminal: a bar for bytes that we send, and the daemon's stream of progress messages."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from cli.errors import ApiError
from cli.show.units import size

_WIDTH = 30
_INTERVAL = 0.1  # seconds between two drawings


class Bar:
    """Draws on stderr, only where that is a terminal; `total` 0 where it is not known."""

    def __init__(self, verb: str, total: int, *, quiet: bool = False) -> None:
        self._verb, self._total = verb, total
        self._on = sys.stderr.isatty() and not quiet
        self._done = 0
        self._drawn = 0.0

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if self._on and now - self._drawn >= _INTERVAL:
            self._drawn = now
            self._draw()

    def _draw(self) -> None:
        sys.stderr.write(f"\r{self._verb} {bar(self._done, self._total)}\033[K")
        sys.stderr.flush()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on and self._drawn:
            sys.stderr.write("\r\033[K")


def bar(done: int, total: int) -> str:
    """ "[=====>    ]  1.2MB/5MB"; only the size where the total is not known."""
    if total <= 0:
        return size(done)
    filled = min(_WIDTH, _WIDTH * done // total)
    arrow = "=" * filled + (">" if filled < _WIDTH else "")
    return f"[{arrow:<{_WIDTH}}]  {size(done)}/{size(total)}"


def show_messages(messages: Iterable[dict[str, Any]], *, quiet: bool = False) -> None:
    """Print a stream of {stream | status, id, progressDetail | error}. Raises ApiError for an error in it."""
    terminal = sys.stdout.isatty()
    for message in messages:
        if message.get("error"):
            raise ApiError(500, str(message["error"]))
        if "stream" in message:
            sys.stdout.write(message["stream"])
        elif "status" in message and not quiet:
            _status(message, terminal)
        sys.stdout.flush()


def _status(message: dict[str, Any], terminal: bool) -> None:
    detail = message.get("progressDetail") or {}
    if detail and not terminal:
        return
    name = f"{message['id']}: " if message.get("id") else ""
    line = f"{name}{message['status']}"
    if detail:
        sys.stdout.write(f"\r{line} {bar(detail.get('current') or 0, detail.get('total') or 0)}\033[K")
    else:
        sys.stdout.write(("\r\033[K" if terminal else "") + line + "\n")
