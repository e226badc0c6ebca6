"""Commands with Docker's manners: switches with values, a usage line in Docker's words, examples in the help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from cli.flags import switches

Function = Callable[..., Any]
GROUP_SETTINGS = {"max_content_width": 120}


class Command(click.Command):
    """A command. `usage` is the tail of its usage line; options after the first argument belong to it if `interspersed`."""

    def __init__(
        self, *args: Any, usage: str = "", examples: Sequence[str] = (), interspersed: bool = True, **attrs: Any
    ) -> None:
        attrs["context_settings"] = {"allow_interspersed_args": interspersed, "max_content_width": 120}
        super().__init__(*args, **attrs)
        self.usage = usage
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest, given = switches.take(args, self.get_params(ctx), ctx.allow_interspersed_args)
        left = super().parse_args(ctx, rest)
        ctx.params.update(given)
        return left

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, f"[OPTIONS] {self.usage}".rstrip())

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        text = "\n\n".join(part for part in (self.short_help, inspect.cleandoc(self.help or "")) if part)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(
    usage: str = "", *, examples: Sequence[str] = (), interspersed: bool = True
) -> Callable[[Function], click.Command]:
    """Make a function a command; its docstring is the help beyond the catalog's line."""
    return click.command(cls=Command, usage=usage, examples=examples, interspersed=interspersed)


def words(name: str = "words") -> Callable[[Function], Function]:
    """The rest of the line, untouched: a command and its arguments."""
    return click.argument(name, nargs=-1, type=click.UNPROCESSED)


@contextmanager
def as_usage_error() -> Iterator[None]:
    """A ValueError of the parsers becomes wrong usage."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None
