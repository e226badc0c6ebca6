"""`shoal service scale`."""

from __future__ import annotations

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.commands.service.update import send
from cli.errors import ApiError, CliError
from cli.flags.command import command
from cli.flags.shared import names
from cli.service.spec import scale as set_scale
from cli.service.watch import converge
from cli.session import Session


@command(
    usage="SERVICE=REPLICAS [SERVICE=REPLICAS...]",
    examples=["shoal service scale web=5", "shoal service scale web=5 api=2"],
)
@click.option("-d", "--detach", is_flag=True, help="Do not wait until they have converged")
@names("SERVICE=REPLICAS")
@click.pass_obj
def scale(session: Session, detach: bool, names: tuple[str, ...]) -> None:
    wanted = dict(_parse(text) for text in names)
    errors, scaled = [], []
    for name, replicas in wanted.items():
        try:
            scaled.append(_scale(session.client, name, replicas))
            print(f"{name} scaled to {replicas}", flush=True)
        except (ApiError, ValueError) as error:
            errors.append(f"{name}: {error}")
    for service_id in scaled:
        converge(session.client, service_id, detach=detach)
    if errors:
        raise CliError("\n".join(errors))


def _parse(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdigit():
        raise click.UsageError(f"invalid scale specifier {text!r}: write SERVICE=REPLICAS")
    return name, int(count)


def _scale(client: Client, name: str, replicas: int) -> str:
    found = client.get(item("services", name))
    set_scale(found["Spec"], replicas)
    return send(client, found, found["Spec"])
