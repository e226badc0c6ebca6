"""`shoal start`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.errors import Silent
from cli.flags.command import command
from cli.flags.shared import names
from cli.run.session import Attachment
from cli.run.session import start as start_container
from cli.session import Session
from cli.show.detail import each
from cli.terminal.attached import Streams
from cli.terminal.tty import check_terminal


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal start web db", "shoal start -ai shell"])
@click.option("-a", "--attach", is_flag=True, help="Attach its output, and pass signals on")
@click.option("--detach-keys", default="", help="Keys that detach from it")
@click.option("-i", "--interactive", is_flag=True, help="Attach its input")
@names("CONTAINER")
@click.pass_obj
def start(session: Session, attach: bool, detach_keys: str, interactive: bool, names: tuple[str, ...]) -> None:
    if not (attach or interactive):
        each(names, lambda n: start_container(session.client, n))
        return
    if len(names) > 1:
        raise click.UsageError("you cannot start and attach multiple containers at once")
    found = session.client.get(item("containers", names[0], "json"))
    config = found["Config"]
    streams = Streams(interactive and bool(config.get("OpenStdin")), bool(config.get("Tty")), detach_keys)
    check_terminal(streams.stdin, streams.tty)
    removed = bool(found["HostConfig"].get("AutoRemove"))
    raise Silent(Attachment(session.client, found["Id"], streams).run(removed=removed))
