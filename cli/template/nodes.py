"""The syntax tree of a template."""

from __future__ import annotations

from typing import Any, NamedTuple


class Literal(NamedTuple):
    value: Any


class Path(NamedTuple):
    """Fields below a start: "." (the dot), "$name" (a variable), or an expression in parentheses."""

    start: str | Pipe
    fields: tuple[str, ...]


class Call(NamedTuple):
    """A function with arguments; a `Path` with arguments is a method call (`.Label "x"`)."""

    function: str | Path
    arguments: tuple[Expression, ...]


class Pipe(NamedTuple):
    """`steps`, each one's result the last argument of the next; `declares` names of variables that receive it."""

    steps: tuple[Expression, ...]
    declares: tuple[str, ...] = ()
    assigns: bool = False


Expression = Literal | Path | Call | Pipe


class Text(NamedTuple):
    text: str


class Show(NamedTuple):
    pipe: Pipe


class Block(NamedTuple):
    """if, with, range: `kind`, its pipeline, what it holds and its else part."""

    kind: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Leave(NamedTuple):
    """break or continue."""

    kind: str


Node = Text | Show | Block | Leave
