"""`shoal service rollback`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.commands.service.update import send
from cli.flags.command import command
from cli.flags.shared import name
from cli.service.watch import converge
from cli.session import Session


@command(usage="SERVICE")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it has converged")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@name("SERVICE")
@click.pass_obj
def rollback(session: Session, detach: bool, quiet: bool, name: str) -> None:
    found = session.client.get(item("services", name))
    service_id = send(session.client, found, found["Spec"], rollback=True)
    print(name, flush=True)
    converge(session.client, service_id, detach=detach, quiet=quiet, rollback=True)
