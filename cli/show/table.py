"""Tables in plain columns, fitted to the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from cli.show.style import coloured, of_state, paint
from cli.show.units import ellipsis

GAP = "   "
MIN_COLUMN = 10
_STATE_HEADERS = ("STATUS", "STATE", "CURRENT STATE", "AVAILABILITY", "MANAGER STATUS")


def render(rows: Sequence[Sequence[str]], width: int | None = None, colour: bool = False) -> list[str]:
    """Lines of a table whose first row is the header; `width` None leaves cells as long as they are."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    if width is not None:
        widths = _fit(widths, width, [len(title) for title in rows[0]])
    painted = [colour and title in _STATE_HEADERS for title in rows[0]]
    return [_line(row, widths, painted if number else [False] * len(row)) for number, row in enumerate(rows)]


def show(rows: Sequence[Sequence[str]], *, trunc: bool = True) -> None:
    """Print a table, fitted to the terminal where there is one and `trunc` allows."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal and trunc else None
    for line in render(rows, width, coloured()):
        print(line)


def _line(row: Sequence[str], widths: Sequence[int], painted: Sequence[bool]) -> str:
    cells = []
    for number, (cell, width, colour) in enumerate(zip(row, widths, painted, strict=True)):
        text = ellipsis(cell, width)
        pad = " " * (width - len(text)) if number < len(row) - 1 else ""
        cells.append((paint(text, of_state(text)) if colour else text) + pad)
    return GAP.join(cells).rstrip()


def _fit(widths: list[int], total: int, headers: list[int]) -> list[int]:
    """Cut the widest columns, one character at a time, until the line fits or all are at their least."""
    least = [min(width, max(header, MIN_COLUMN)) for width, header in zip(widths, headers, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - total
    widths = list(widths)
    while excess > 0:
        spare, column = max(
            (width - low, number) for number, (width, low) in enumerate(zip(widths, least, strict=True))
        )
        if spare <= 0:
            break
        widths[column] -= 1
        excess -= 1
    return widths
