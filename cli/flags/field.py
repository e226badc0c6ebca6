"""Options that name the place of their value in the request's body, so that a command line becomes JSON by one walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Body = dict[str, Any]


class Field(click.Option):
    """An option whose value goes to `to`, a dotted path as "HostConfig.Memory"; `shape` changes it on its way."""

    def __init__(self, *args: Any, to: str, shape: Callable[[Any], Any] | None = None, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.to = to
        self.shape = shape


def field(to: str, *names: str, **attrs: Any) -> Decorator:
    """Declare a Field. Repeatable ones become lists, or what `shape` makes of them."""
    if attrs.get("is_flag") or "/" in names[-1]:
        attrs.setdefault("default", None)
    return click.option(*names, cls=Field, to=to, **attrs)


def switch(to: str, *names: str, **attrs: Any) -> Decorator:
    return field(to, *names, is_flag=True, **attrs)


def many(to: str, *names: str, shape: Callable[[Any], Any] = list, **attrs: Any) -> Decorator:
    return field(to, *names, multiple=True, shape=shape, **attrs)


def together(*decorators: Decorator) -> Decorator:
    """One decorator of many, in the order in which the help shows them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def body(ctx: click.Context) -> Body:
    """The request's body that the Fields given on this command line make up."""
    result: Body = {}
    for param in ctx.command.params:
        if isinstance(param, Field):
            value = ctx.params.get(param.name or "")
            if value is not None and value != ():
                put(result, param.to, param.shape(value) if param.shape else value)
    return result


def put(into: Body, path: str, value: Any) -> None:
    """Set the value at a dotted path, making the objects on the way; a map is merged into one that is there."""
    *parents, last = path.split(".")
    for name in parents:
        if into.get(name) is None:
            into[name] = {}
        into = into[name]
    if isinstance(value, dict) and isinstance(into.get(last), dict):
        into[last].update(value)
    else:
        into[last] = value


def pairs(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return dict(values)
