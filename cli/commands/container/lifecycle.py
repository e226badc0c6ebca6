"""The commands that move containers from state to state: stop, restart, kill, pause, unpause, wait, rename, rm."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import name, names
from cli.session import Session
from cli.show.detail import each, each_unless_missing

_signal = click.option("-s", "--signal", help="Signal to send instead of the container's stop signal")
_timeout = click.option("-t", "--timeout", "--time", type=int, help="Seconds to wait before killing; -1 waits for ever")


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal stop web", "shoal stop -t 30 web db"])
@_signal
@_timeout
@names("CONTAINER")
@click.pass_obj
def stop(session: Session, signal: str | None, timeout: int | None, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.post(item("containers", n, "stop"), t=timeout, signal=signal))


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal restart web"])
@_signal
@_timeout
@names("CONTAINER")
@click.pass_obj
def restart(session: Session, signal: str | None, timeout: int | None, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.post(item("containers", n, "restart"), t=timeout, signal=signal))


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal kill web", "shoal kill -s HUP web"])
@click.option("-s", "--signal", help="Signal to send (default KILL)")
@names("CONTAINER")
@click.pass_obj
def kill(session: Session, signal: str | None, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.post(item("containers", n, "kill"), signal=signal))


@command(usage="CONTAINER [CONTAINER...]")
@names("CONTAINER")
@click.pass_obj
def pause(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.post(item("containers", n, "pause")))


@command(usage="CONTAINER [CONTAINER...]")
@names("CONTAINER")
@click.pass_obj
def unpause(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.post(item("containers", n, "unpause")))


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal wait web"])
@names("CONTAINER")
@click.pass_obj
def wait(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: print(session.client.post(item("containers", n, "wait"))["StatusCode"], flush=True), None)


@command(usage="CONTAINER NEW_NAME", examples=["shoal rename web front"])
@name("CONTAINER")
@name("NEW_NAME", "new_name")
@click.pass_obj
def rename(session: Session, name: str, new_name: str) -> None:
    session.client.post(item("containers", name, "rename"), name=new_name)


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal rm web", "shoal rm -f $(shoal ps -aq)"])
@click.option("-f", "--force", is_flag=True, help="Kill running ones first; those that do not exist are no error")
@click.option("-v", "--volumes", is_flag=True, help="Remove their anonymous volumes too")
@names("CONTAINER")
@click.pass_obj
def rm(session: Session, force: bool, volumes: bool, names: tuple[str, ...]) -> None:
    each_unless_missing(
        names, lambda n: session.client.delete(item("containers", n.removeprefix("/")), force=force, v=volumes), force
    )
