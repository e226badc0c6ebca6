"""`shoal system prune`."""

from __future__ import annotations

from typing import Any

import click

from cli.commands.image.rm import print_removed
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, force_option
from cli.session import Session
from cli.show.prompt import agree
from cli.show.units import size


@command(examples=["shoal system prune -f", "shoal system prune -af --volumes"])
@click.option("-a", "--all", "everything", is_flag=True, help="All unused images, not only those without names")
@filter_option("until=24h, label=key", "--filter")
@force_option
@click.option("--volumes", is_flag=True, help="Anonymous volumes, too")
@click.pass_obj
def prune(session: Session, everything: bool, filters: dict[str, list[str]], force: bool, volumes: bool) -> None:
    if volumes and "until" in filters:
        raise CliError('the "until" filter is not supported with "--volumes"')
    agree(force, _warning(everything, volumes))
    reclaimed = 0
    for title, path, query in _steps(everything, volumes, filters):
        report = session.client.post(path, filters=filters_query(query))
        reclaimed += report.get("SpaceReclaimed") or 0
        _print_removed(title, report)
    print(f"Total reclaimed space: {size(reclaimed)}")


def _steps(
    everything: bool, volumes: bool, filters: dict[str, list[str]]
) -> list[tuple[str, str, dict[str, list[str]]]]:
    steps = [("Containers", "/containers/prune", filters), ("Networks", "/networks/prune", filters)]
    if volumes:
        steps.append(("Volumes", "/volumes/prune", filters))
    return [*steps, ("Images", "/images/prune", {**filters, "dangling": ["false" if everything else "true"]})]


def _print_removed(title: str, report: dict[str, Any]) -> None:
    removed = report.get(f"{title}Deleted") or []
    if not removed:
        return
    print(f"Deleted {title}:")
    if title == "Images":
        print_removed(removed)
    else:
        print(*removed, sep="\n")
    print()


def _warning(everything: bool, volumes: bool) -> str:
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        lines.append("all anonymous volumes not used by at least one container")
    lines.append("all images without at least one container" if everything else "all dangling images")
    return "This will remove:\n" + "\n".join(f"  - {line}" for line in lines) + "\n"
