"""`shoal container prune`."""

from __future__ import annotations

import click

from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, force_option
from cli.session import Session
from cli.show.prompt import agree
from cli.show.units import size


@command(examples=["shoal container prune -f --filter until=24h"])
@filter_option("until=24h", "--filter")
@force_option
@click.pass_obj
def prune(session: Session, filters: dict[str, list[str]], force: bool) -> None:
    agree(force, "This will remove all stopped containers.")
    report = session.client.post("/containers/prune", filters=filters_query(filters))
    if report.get("ContainersDeleted"):
        print("Deleted Containers:", *report["ContainersDeleted"], "", sep="\n")
    print(f"Total reclaimed space: {size(report.get('SpaceReclaimed') or 0)}")
