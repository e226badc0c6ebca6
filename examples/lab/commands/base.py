"""The command line's root, and what its commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from examples.lab.layout import DEFAULT_FOLDER, Folder

HOSTS = "HOSTS are names and roles with commas: manager1 · manager1,worker2 · managers · workers · all."
PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class Command(click.Command):
    """A command whose help ends with its examples, as they are written."""

    def __init__(self, *args: Any, examples: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"  {line}\n")


class Root(click.Group):
    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they were added


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--name", default="default", show_default=True, help="Which lab; several can be up side by side")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Folder of all labs",
)
@click.pass_context
def root(ctx: click.Context, name: str, parent: Path) -> None:
    """A lab of many hosts on this machine, each with namespaces and a disk of its own, and faults on demand.

    `lab up` makes it, `lab docker manager1 node ls` looks into it, `lab kill manager1` breaks it, `lab down` clears it away.
    """
    ctx.obj = Folder.named(name, parent)
