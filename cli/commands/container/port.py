"""`shoal port`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import name
from cli.session import Session
from cli.show.ports import join_address


@command(usage="CONTAINER [PRIVATE_PORT[/PROTO]]", examples=["shoal port web", "shoal port web 80/tcp"])
@name("CONTAINER")
@click.argument("private", required=False, metavar="[PRIVATE_PORT[/PROTO]]")
@click.pass_obj
def port(session: Session, name: str, private: str | None) -> None:
    ports = session.client.get(item("containers", name, "json"))["NetworkSettings"].get("Ports") or {}
    if private is None:
        for key in sorted(ports):
            for binding in ports[key] or []:
                print(f"{key} -> {_address(binding)}")
        return
    wanted = private if "/" in private else f"{private}/tcp"
    if not ports.get(wanted):
        raise CliError(f"Error: No public port '{wanted}' published for {name}")
    for binding in ports[wanted]:
        print(_address(binding))


def _address(binding: dict[str, str]) -> str:
    return join_address(binding["HostIp"], binding["HostPort"])
