"""Switches written with a value, as Docker takes them: --detach=false, -i=true.

click's flags take no value, so such arguments are found and taken out before click parses the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

_WORDS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def take(
    args: Sequence[str], params: Sequence[click.Parameter], interspersed: bool
) -> tuple[list[str], dict[str, bool]]:
    """Split `args` into what click is to parse and the switches that came with a value, by parameter name."""
    options = {name: p for p in params if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)}
    rest: list[str] = []
    given: dict[str, bool] = {}
    remaining = list(args)
    while remaining:
        arg = remaining.pop(0)
        option = options.get(arg.partition("=")[0])
        if arg == "--" or not (arg.startswith("-") or interspersed):
            return [*rest, arg, *remaining], given
        if option is not None and option.is_flag and "=" in arg:
            given[option.name or ""] = _word(arg, option)
            continue
        rest.append(arg)
        if remaining and _wants_value(arg, option, options):
            rest.append(remaining.pop(0))
    return rest, given


def _word(arg: str, option: click.Option) -> bool:
    name, _, text = arg.partition("=")
    value = _WORDS.get(text.lower())
    if value is None:
        raise click.BadOptionUsage(name, f"invalid value {text!r} of {name}: true or false is needed")
    return value


def _wants_value(arg: str, option: click.Option | None, options: dict[str, click.Option]) -> bool:
    """True where the next argument is this one's value: --name, -n, or the last letter of -itn."""
    if arg.startswith("--") or option is not None:
        return option is not None and "=" not in arg and not option.is_flag and not option.count
    for position, letter in enumerate(arg[1:], 2):
        found = options.get("-" + letter)
        if found is None or not found.is_flag:
            return found is not None and position == len(arg)
    return False
