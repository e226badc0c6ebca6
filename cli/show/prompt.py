"""Asking before something is removed."""

from __future__ import annotations

import click

from cli.errors import Silent


def agree(force: bool, warning: str) -> None:
    """Ask, unless `force`; raise Silent where the answer is no."""
    if force:
        return
    try:
        answer = input(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        click.echo("Nothing was removed.", err=True)
        raise Silent(1)
