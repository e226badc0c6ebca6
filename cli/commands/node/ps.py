"""`shoal node ps`."""

from __future__ import annotations

import click

from cli.commands.node.inspect import fetch
from cli.flags.command import command
from cli.flags.shared import filter_option, list_format_option, names, no_trunc_option, quiet_option
from cli.session import Session
from cli.show.tasks import Names, print_tasks


@command(usage="[NODE...]", examples=["shoal node ps", "shoal node ps -f desired-state=running node1"])
@filter_option("name=web.1, desired-state=running, label=key")
@list_format_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@no_trunc_option
@quiet_option
@names("NODE", required=False)
@click.pass_obj
def ps(
    session: Session,
    filters: dict[str, list[str]],
    form: str,
    no_resolve: bool,
    no_trunc: bool,
    quiet: bool,
    names: tuple[str, ...],
) -> None:
    nodes = [fetch(session.client, name)["ID"] for name in names or ("self",)]
    tasks = session.client.get("/tasks", filters={**filters, "node": nodes})
    print_tasks(tasks, Names(session.client, not no_resolve), form=form, quiet=quiet, trunc=not no_trunc)
