"""Groups of commands that are loaded only when they are used: a table names them, help and completion read the table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    Table = Mapping[str, "Entry"]


class Entry(NamedTuple):
    """One command: where it is ("module:attribute", or another table for a group), one line about it, and its heading in
    the help; "" for a further name, which the help does not show."""

    target: str | dict[str, Entry]
    summary: str
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group over a table of entries."""

    def __init__(self, *, table: Table, **attrs: object) -> None:
        super().__init__(**attrs)  # type: ignore[arg-type]
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, entry in self._table.items() if entry.section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._table.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(self._unknown(ctx, name), ctx)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> str:
        import difflib

        near = difflib.get_close_matches(name, list(self._table), n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        return f"unknown command: {ctx.command_path} {name}{hint}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            entry = self._table[name]
            sections.setdefault(entry.section, []).append((name, entry.summary))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _load(name: str, entry: Entry) -> click.Command:
    if not isinstance(entry.target, str):
        return LazyGroup(name=name, table=entry.target, help=entry.summary)
    module, _, attribute = entry.target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    command.short_help = entry.summary
    return command
