"""Options that many commands have in common: --format, --json, --filter, --quiet, --no-trunc, --force."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.field import Decorator, together

_FORMAT_HELP = "Print by a Go template: 'json', 'table {{.A}}\\t{{.B}}' or '{{.A}}' (see docs/cli.md)"


def _json(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.params["form"] = "json"


format_option = together(
    click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help=_FORMAT_HELP),
    click.option("--json", is_flag=True, expose_value=False, callback=_json, help="Short for --format json"),
)
list_format_option = together(
    click.option("--format", "form", default="", metavar="TEMPLATE", help=_FORMAT_HELP),
    click.option("--json", is_flag=True, expose_value=False, callback=_json, help="Short for --format json"),
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only show ids")
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Do not shorten anything")
force_option = click.option("-f", "--force", is_flag=True, help="Do not ask")


def _filters(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    filters: dict[str, list[str]] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"invalid filter {text!r}: write name=value", ctx, param)
        filters.setdefault(name.strip().lower(), []).append(value.strip())
    return filters


def filter_option(example: str, *names: str) -> Decorator:
    """--filter name=value, repeatable, as {name: [values]}."""
    return click.option(
        *(names or ("-f", "--filter")),
        "filters",
        multiple=True,
        callback=_filters,
        metavar="NAME=VALUE",
        help=f"Only what matches, as {example}",
    )


def names(metavar: str, *, required: bool = True) -> Decorator:
    """One or more names of objects, as the parameter `names`."""
    return click.argument("names", nargs=-1, required=required, metavar=f"{metavar} [{metavar}...]")


def name(metavar: str, parameter: str = "name", **attrs: Any) -> Decorator:
    return click.argument(parameter, metavar=metavar, **attrs)


def filters_query(filters: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """The filters as a query parameter, None where there are none."""
    return filters or None
