"""`shoal image prune`."""

from __future__ import annotations

import click

from cli.commands.image.rm import print_removed
from cli.flags.command import command
from cli.flags.shared import filter_option, force_option
from cli.session import Session
from cli.show.prompt import agree
from cli.show.units import size


@command(examples=["shoal image prune -f", "shoal image prune -a --filter until=240h"])
@click.option(
    "-a", "--all", "everything", is_flag=True, help="All that no container uses, not only those without names"
)
@filter_option("until=24h, label=key", "--filter")
@force_option
@click.pass_obj
def prune(session: Session, everything: bool, filters: dict[str, list[str]], force: bool) -> None:
    what = "images without at least one container associated to them" if everything else "dangling images"
    agree(force, f"This will remove all {what}.")
    report = session.client.post("/images/prune", filters={**filters, "dangling": ["false" if everything else "true"]})
    if report.get("ImagesDeleted"):
        print("Deleted Images:")
        print_removed(report["ImagesDeleted"])
        print()
    print(f"Total reclaimed space: {size(report.get('SpaceReclaimed') or 0)}")
