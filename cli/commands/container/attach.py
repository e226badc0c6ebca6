"""`shoal attach`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.errors import CliError, Silent
from cli.flags.command import command
from cli.flags.shared import name
from cli.run.session import Attachment
from cli.session import Session
from cli.terminal.attached import Streams
from cli.terminal.keys import DEFAULT_KEYS
from cli.terminal.tty import check_terminal


@command(usage="CONTAINER", examples=["shoal attach web"])
@click.option("--detach-keys", default="", help=f"Keys that detach from it (default {DEFAULT_KEYS})")
@click.option("--no-stdin", is_flag=True, help="Do not attach the input")
@click.option("--sig-proxy", is_flag=True, default=True, help="Pass signals on to it (default true)")
@name("CONTAINER")
@click.pass_obj
def attach(session: Session, detach_keys: str, no_stdin: bool, sig_proxy: bool, name: str) -> None:
    found = session.client.get(item("containers", name, "json"))
    _check(found["State"])
    config = found["Config"]
    streams = Streams(not no_stdin and bool(config.get("OpenStdin")), bool(config.get("Tty")), detach_keys)
    check_terminal(streams.stdin, streams.tty)
    raise Silent(Attachment(session.client, found["Id"], streams).join(proxy=sig_proxy))


def _check(state: dict[str, object]) -> None:
    for field, problem in (
        ("Paused", "a paused container, unpause it first"),
        ("Restarting", "a restarting container"),
    ):
        if state.get(field):
            raise CliError(f"you cannot attach to {problem}")
    if not state.get("Running"):
        raise CliError("you cannot attach to a stopped container, start it first")
