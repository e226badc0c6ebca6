"""What is wrong with a template, as the sentence that its writer reads."""

from __future__ import annotations

from cli.errors import CliError


class TemplateError(CliError):
    def __init__(self, message: str) -> None:
        super().__init__(f"template parsing error: {message}")
