"""`shoal cp`."""

from __future__ import annotations

import os
import sys

import click

from cli.api.client import Client
from cli.copy.pack import pack
from cli.copy.places import Kind, Place, landing, only_content, parse_place
from cli.copy.remote import fetch, followed_source, send, target_kind
from cli.copy.unpack import unpack
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import name
from cli.session import Session
from cli.show.files import open_input, pieces, save_stream


@command(
    usage="CONTAINER:PATH PATH|-  or  PATH|- CONTAINER:PATH",
    examples=["shoal cp web:/var/log/app.log .", "shoal cp ./site/. web:/srv", "tar c site | shoal cp - web:/srv"],
)
@click.option("-a", "--archive", is_flag=True, help="Keep user and group ids")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what a link leads to")
@name("SOURCE", "source")
@name("TARGET", "target")
@click.pass_obj
def cp(session: Session, archive: bool, follow_link: bool, source: str, target: str) -> None:
    """ "-" is a tar archive on standard input or output."""
    origin, goal = parse_place(source), parse_place(target)
    if origin.container and goal.container:
        raise CliError("copying between containers is not supported: copy to this machine first")
    if origin.container:
        _out(session.client, origin, goal, owners=archive, follow=follow_link)
    elif goal.container:
        _into(session.client, origin, goal, owners=archive, follow=follow_link)
    else:
        raise click.UsageError("must specify at least one container source, as CONTAINER:PATH")


def _out(client: Client, origin: Place, goal: Place, *, owners: bool, follow: bool) -> None:
    if follow and not only_content(origin.path):
        origin = followed_source(client, origin)
    if goal.is_stream:
        save_stream(lambda: fetch(client, origin)[0], "")
        return
    response, found = fetch(client, origin)
    with response:
        here = Kind(os.path.exists(goal.path), os.path.isdir(goal.path))
        unpack(response.chunks(), landing(origin.path, found.folder, goal.path, here), owners=owners)


def _into(client: Client, origin: Place, goal: Place, *, owners: bool, follow: bool) -> None:
    goal, there = target_kind(client, goal)
    if origin.is_stream:
        if not there.folder:
            raise CliError(f"the target {goal.container}:{goal.path} must be a folder for an archive")
        with open_input("-", "an archive") as file:
            send(client, goal.container, goal.path, pieces(file), owners=owners)
        return
    if not os.path.lexists(origin.path):
        raise CliError(f"no such file or folder: {origin.path}")
    source = os.path.realpath(origin.path) if follow or only_content(origin.path) else origin.path.rstrip("/") or "/"
    is_folder = os.path.isdir(source) and not os.path.islink(source)
    where = landing(origin.path, is_folder, goal.path, there)
    send(client, goal.container, where.folder, pack(source, where.name), owners=owners)
    if sys.stderr.isatty():
        click.echo(f"Copied to {goal.container}:{goal.path}", err=True)
