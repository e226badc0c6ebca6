"""Cutting a template's text into literal text and actions, and an action into tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from cli.template.errors import TemplateError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<char>'(?:[^'\\\n]|\\.)+')
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<assign>:=|=)
      | (?P<mark>[|(),])
      | (?P<variable>\$\w*)
      | (?P<field>\.\w+)
      | (?P<dot>\.)
      | (?P<word>\w+)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """`spaced`: white space stands before it, so `.A .B` is two arguments and `.A.B` one path."""

    kind: str
    text: str
    spaced: bool = False


def pieces(text: str) -> Iterator[tuple[str, list[Token] | None]]:
    """(literal, tokens of the action behind it); the last one has None. `{{-` and `-}}` trim the text beside them."""
    position, trim = 0, False
    while True:
        start = text.find("{{", position)
        literal = text[position : start if start >= 0 else len(text)]
        literal = literal.lstrip() if trim else literal
        if start < 0:
            yield literal, None
            return
        trim_left = bool(re.match(r"\{\{-\s", text[start:]))
        inside, position, trim = _action(text, start + (3 if trim_left else 2))
        yield literal.rstrip() if trim_left else literal, inside


def _action(text: str, position: int) -> tuple[list[Token], int, bool]:
    """Tokens up to the closing braces, the place behind them, and whether they trim what follows."""
    comment = re.compile(r"\s*/\*.*?\*/\s*(-)?\}\}", re.DOTALL).match(text, position)
    if comment:
        return [], comment.end(), bool(comment[1])
    tokens: list[Token] = []
    spaced = True
    while True:
        closing = re.compile(r"(\s+-)?\}\}").match(text, position)
        if closing:
            return tokens, closing.end(), bool(closing[1])
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position : position + 20]
            raise TemplateError(f"unexpected {rest!r} in an action" if rest else "an action has no closing '}}'")
        position = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        tokens.append(Token(match.lastgroup or "", match[0], spaced))
        spaced = False


def unquote(token: Token) -> str:
    """The value of a string literal."""
    if token.kind == "raw":
        return token.text[1:-1]
    body = token.text[1:-1].replace("\\'", "'")
    try:
        return str(json.loads(f'"{body}"')) if token.kind == "string" else body
    except ValueError:
        raise TemplateError(f"bad escape in the string {token.text}") from None
