"""The progress of a pull or push: a line for each layer, drawn anew in place on a terminal; elsewhere each change of status once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from cli.errors import ApiError
from cli.show.progress import bar

_FIGURES = ("Downloading", "Extracting", "Pushing", "Verifying Checksum")


def show_transfer(messages: Iterable[dict[str, Any]], *, quiet: bool = False) -> None:
    """Raises ApiError for an error among the messages."""
    board = _Board(terminal=sys.stdout.isatty())
    for message in messages:
        if message.get("error"):
            raise ApiError(500, str(message["error"]))
        if "status" in message and not quiet:
            board.show(message)
            sys.stdout.flush()


class _Board:
    """Which layer has which line. A message without one of its own begins a new board below."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._rows: dict[str, int] = {}

    def show(self, message: dict[str, Any]) -> None:
        name, status = str(message.get("id") or ""), str(message["status"])
        if "progressDetail" not in message:
            self._rows = {}
            sys.stdout.write(f"{name}: {status}\n" if name else f"{status}\n")
        elif not self._terminal:
            if status not in _FIGURES:
                sys.stdout.write(f"{name}: {status}\n")
        else:
            self._draw(name, f"{name}: {status}{_figure(message['progressDetail'])}")

    def _draw(self, name: str, line: str) -> None:
        if name not in self._rows:
            self._rows[name] = len(self._rows)
            sys.stdout.write(f"{line}\n")
            return
        up = len(self._rows) - self._rows[name]
        sys.stdout.write(f"\033[{up}A\r{line}\033[K\033[{up}B\r")


def _figure(detail: dict[str, Any]) -> str:
    return f" {bar(detail.get('current') or 0, detail.get('total') or 0)}" if detail.get("total") else ""
