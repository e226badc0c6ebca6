"""Go's text/template, as far as `--format` needs it: fields, pipelines, variables, if/with/range, Docker's functions.

`Template(text).render(value)` is all that others need. Not there, and refused: define, template, block, and methods.
"""

from __future__ import annotations

from typing import Any

from cli.template.errors import TemplateError
from cli.template.evaluate import Scope, execute
from cli.template.parser import parse

__all__ = ["Template", "TemplateError"]


class Template:
    """A parsed template. Raises TemplateError (a CliError) where the text is wrong or does not fit the value."""

    def __init__(self, text: str) -> None:
        self._nodes = parse(text)

    def render(self, value: Any) -> str:
        out: list[str] = []
        execute(self._nodes, value, Scope({"$": value}), out)
        return "".join(out)
