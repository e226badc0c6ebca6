"""`shoal network create`."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.command import as_usage_error, command
from cli.flags.field import body, field, many, pairs, switch
from cli.flags.shared import name
from cli.flags.types import LABEL, PAIR
from cli.session import Session


@command(
    usage="NETWORK",
    examples=["shoal network create front", "shoal network create --subnet 10.5.0.0/16 --gateway 10.5.0.1 back"],
)
@switch("Attachable", "--attachable", help="Let containers beside services connect")
@click.option("--aux-address", "auxiliary", multiple=True, type=PAIR, help="Address that others use, name=address")
@field("ConfigFrom.Network", "--config-from", help="Network to take the configuration from")
@switch("ConfigOnly", "--config-only", help="Make only a configuration")
@field("Driver", "-d", "--driver", default="bridge", help="Driver (default bridge)")
@click.option("--gateway", "gateways", multiple=True, help="Gateway of a subnet")
@switch("Ingress", "--ingress", help="Make it the swarm's routing mesh")
@switch("Internal", "--internal", help="No way out of it")
@click.option("--ip-range", "ranges", multiple=True, help="Part of a subnet to take addresses from")
@field("IPAM.Driver", "--ipam-driver", default="default", help="Driver of addresses (default default)")
@many("IPAM.Options", "--ipam-opt", type=PAIR, shape=pairs, help="Option of the driver of addresses")
@switch("EnableIPv4", "--ipv4", help="Give IPv4 addresses (default true)")
@switch("EnableIPv6", "--ipv6", help="Give IPv6 addresses")
@many("Labels", "--label", type=LABEL, shape=pairs, help="Label, key=value")
@many("Options", "-o", "--opt", type=PAIR, shape=pairs, help="Option of the driver")
@field("Scope", "--scope", help="Scope: local or swarm")
@click.option("--subnet", "subnets", multiple=True, help="Subnet, as 10.5.0.0/16")
@name("NETWORK")
@click.pass_obj
def create(session: Session, /, name: str, **_: object) -> None:
    ctx = click.get_current_context()
    request = {"Name": name, "CheckDuplicate": True, **body(ctx)}
    with as_usage_error():
        config = address_pools(ctx.params)
    if config:
        request["IPAM"]["Config"] = config
    created = session.client.post("/networks/create", request)
    if created.get("Warning"):
        click.echo(f"WARNING: {created['Warning']}", err=True)
    print(created["Id"])


def address_pools(params: dict[str, Any]) -> list[dict[str, Any]]:
    """IPAM.Config: gateways, ranges and auxiliary addresses each in the subnet that holds them. Raises ValueError."""
    pools = [{"Subnet": subnet} for subnet in params["subnets"]]  # type: list[dict[str, Any]]
    for field_name, values in (("Gateway", params["gateways"]), ("IPRange", params["ranges"])):
        for value in values:
            pool = _pool_of(pools, value)
            if field_name in pool:
                raise ValueError(f"subnet {pool['Subnet']} has two values of {field_name}: {pool[field_name]}, {value}")
            pool[field_name] = value
    for key, value in params["auxiliary"]:
        _pool_of(pools, value).setdefault("AuxiliaryAddresses", {})[key] = value
    return pools


def _pool_of(pools: list[dict[str, Any]], value: str) -> dict[str, Any]:
    import ipaddress

    try:
        wanted = ipaddress.ip_interface(value).network
        for pool in pools:
            subnet = ipaddress.ip_network(pool["Subnet"])
            if subnet.version == wanted.version and wanted.subnet_of(subnet):  # type: ignore[arg-type]
                return pool
    except ValueError as error:
        raise ValueError(f"invalid address: {error}") from None
    raise ValueError(f"no matching subnet for {value}: give it by --subnet")
