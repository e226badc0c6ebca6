"""`shoal logs`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import name
from cli.flags.types import MOMENT
from cli.session import Session
from cli.terminal.frames import copy_frames, copy_raw


@command(usage="CONTAINER", examples=["shoal logs -f --tail 100 web", "shoal logs --since 10m web"])
@click.option("--details", is_flag=True, help="Show the details that the log driver keeps")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on")
@click.option("--since", type=MOMENT, help="From this time on: 2026-01-02T15:04:05Z, a UNIX time, or 42m ago")
@click.option("-n", "--tail", default="all", help="So many lines from the end")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written")
@click.option("--until", type=MOMENT, help="Up to this time")
@name("CONTAINER")
@click.pass_obj
def logs(
    session: Session,
    details: bool,
    follow: bool,
    since: str | None,
    tail: str,
    timestamps: bool,
    until: str | None,
    name: str,
) -> None:
    tty = session.client.get(item("containers", name, "json"))["Config"]["Tty"]
    query = {
        "stdout": True,
        "stderr": True,
        "follow": follow,
        "tail": tail,
        "timestamps": timestamps,
        "details": details,
        "since": since,
        "until": until,
    }
    with session.client.stream("GET", item("containers", name, "logs"), query=query) as response:
        copy = copy_raw if tty else copy_frames
        copy(response.chunks())
