"""`shoal version`."""

from __future__ import annotations

import sys

import click

from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import format_option
from cli.session import Session
from cli.show.detail import print_object
from common.version import VERSION

CLIENT_API = "1.51"


@command(examples=["shoal version", "shoal version --format '{{.Server.Version}}'"])
@format_option
@click.pass_obj
def version(session: Session, form: str) -> None:
    client = {"Version": VERSION, "ApiVersion": CLIENT_API, "Os": sys.platform, "Host": session.endpoint.url}
    try:
        server, failure = session.client.get("/version"), None
    except CliError as error:
        server, failure = None, error
    if form:
        print_object({"Client": client, "Server": server}, form)
    else:
        _print_plain(client, server)
    if failure is not None:
        raise failure


def _print_plain(client: dict[str, str], server: dict[str, str] | None) -> None:
    print("Client:")
    _print_fields([("Version", client["Version"]), ("API version", CLIENT_API), ("Host", client["Host"])])
    if server is not None:
        api = f"{server.get('ApiVersion', '')} (minimum version {server.get('MinAPIVersion', '')})"
        print("\nServer:")
        _print_fields(
            [
                ("Version", server.get("Version", "")),
                ("API version", api),
                ("OS/Arch", f"{server.get('Os', '')}/{server.get('Arch', '')}"),
                ("Kernel", server.get("KernelVersion", "")),
            ]
        )


def _print_fields(fields: list[tuple[str, str]]) -> None:
    for name, value in fields:
        print(f" {name + ':':<14}{value}")
