"""`shoal service ps`."""

from __future__ import annotations

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import ApiError, CliError
from cli.flags.command import command
from cli.flags.shared import filter_option, list_format_option, names, no_trunc_option, quiet_option
from cli.session import Session
from cli.show.tasks import Names, print_tasks


@command(
    usage="SERVICE [SERVICE...]", examples=["shoal service ps web", "shoal service ps -f desired-state=running -q web"]
)
@filter_option("name=web.1, node=NODE, desired-state=running")
@list_format_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@no_trunc_option
@quiet_option
@names("SERVICE")
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
    found, errors = _services(session.client, names)
    if found:
        tasks = session.client.get("/tasks", filters={**filters, "service": found})
        print_tasks(tasks, Names(session.client, not no_resolve), form=form, quiet=quiet, trunc=not no_trunc)
    if errors:
        raise CliError("\n".join(errors))


def _services(client: Client, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(ids of the services, messages about those that do not exist)."""
    found, errors = [], []
    for name in names:
        try:
            found.append(client.get(item("services", name))["ID"])
        except ApiError as error:
            if error.status != 404:
                raise
            errors.append(f"no such service: {name}")
    return found, errors
