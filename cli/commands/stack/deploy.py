"""`shoal stack deploy` and `shoal stack config`."""

from __future__ import annotations

import re

import click

from cli.compose.deploy import deploy as deploy_stack
from cli.compose.load import load
from cli.compose.names import Names
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import name
from cli.service.watch import converge
from cli.session import Session

_STACK = re.compile(r"[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
_FILES = click.option(
    "-c", "--compose-file", "files", multiple=True, metavar="FILE", help="Compose file, or - for standard input"
)


@command(
    usage="STACK",
    examples=[
        "shoal stack deploy -c compose.yml shop",
        "shoal stack deploy --prune --detach=false -c compose.yml shop",
    ],
)
@_FILES
@click.option(
    "-d", "--detach", is_flag=True, default=True, help="Do not wait until the services have converged (default true)"
)
@click.option("--prune", is_flag=True, help="Remove services that the file no longer names")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@name("STACK")
@click.pass_obj
def deploy(session: Session, files: tuple[str, ...], detach: bool, prune: bool, quiet: bool, name: str) -> None:
    if not _STACK.fullmatch(name):
        raise CliError(f"invalid stack name {name!r}: letters, digits, - and _ after a letter or digit")
    for service in deploy_stack(session.client, Names(name, load(_given(files))), prune=prune):
        converge(session.client, service, detach=detach, quiet=quiet)


@command()
@_FILES
@click.option("--skip-interpolation", is_flag=True, help="Leave variables as they are")
def config(files: tuple[str, ...], skip_interpolation: bool) -> None:
    import yaml

    found = load(_given(files), variables=not skip_interpolation)
    print(
        yaml.safe_dump({name: section for name, section in found.sections.items() if section}, sort_keys=False), end=""
    )


def _given(files: tuple[str, ...]) -> tuple[str, ...]:
    if not files:
        raise click.UsageError("name a compose file by -c FILE")
    return files
