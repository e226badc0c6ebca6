"""Colours, only on a terminal and never where NO_COLOR is set."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def coloured(stream: TextIO | None = None) -> bool:
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    """`text` in a colour of _CODES, "" for none. Ask `coloured` first."""
    return f"\033[{_CODES[colour]}m{text}\033[0m" if colour else text


def of_state(text: str) -> str:
    """The colour of a state in words: trouble is red, waiting is yellow, what runs is green."""
    words = text.lower()
    for colour, marks in _STATES:
        if any(mark in words for mark in marks):
            return colour
    return ""


_STATES = (
    ("red", ("unhealthy", "dead", "failed", "rejected", "orphaned", "down", "unreachable")),
    ("yellow", ("starting", "restarting", "paused", "pending", "preparing", "drain", "pause")),
    ("green", ("healthy", "up ", "running", "ready", "active", "reachable", "leader")),
    ("dim", ("exited", "created", "shutdown", "complete")),
)
