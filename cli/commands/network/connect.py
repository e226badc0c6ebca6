"""`shoal network connect` and `shoal network disconnect`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.field import body, field, many, pairs
from cli.flags.shared import name
from cli.flags.types import PAIR
from cli.session import Session

_IPAM = "EndpointConfig.IPAMConfig"


@command(usage="NETWORK CONTAINER", examples=["shoal network connect --alias db back postgres"])
@many("EndpointConfig.Aliases", "--alias", help="Further name of the container in this network")
@many("EndpointConfig.DriverOpts", "--driver-opt", type=PAIR, shape=pairs, help="Option of the driver")
@field(
    "EndpointConfig.GwPriority",
    "--gw-priority",
    type=int,
    help="The network with the highest gives the default gateway",
)
@field(f"{_IPAM}.IPv4Address", "--ip", help="IPv4 address")
@field(f"{_IPAM}.IPv6Address", "--ip6", help="IPv6 address")
@many("EndpointConfig.Links", "--link", help="Link to another container")
@many(f"{_IPAM}.LinkLocalIPs", "--link-local-ip", help="Link-local address")
@name("NETWORK")
@name("CONTAINER", "container")
@click.pass_obj
def connect(session: Session, /, name: str, container: str, **_: object) -> None:
    request = {"Container": container, **body(click.get_current_context())}
    session.client.post(item("networks", name, "connect"), request)


@command(usage="NETWORK CONTAINER")
@click.option("-f", "--force", is_flag=True, help="Also where the container is gone")
@name("NETWORK")
@name("CONTAINER", "container")
@click.pass_obj
def disconnect(session: Session, force: bool, name: str, container: str) -> None:
    session.client.post(item("networks", name, "disconnect"), {"Container": container, "Force": force})
