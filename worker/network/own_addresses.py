"""The addresses by which other machines can reach this one: of its interfaces, but not of the bridges made for containers."""

from __future__ import annotations

import re

from worker.network import rtnl
from worker.network.netlink import Socket

_MADE_HERE = re.compile(r"br-[0-9a-z]{12}|shoal[0-9a-f]{1,6}|docker\d+")


def own_addresses(bridge: str) -> dict[str, list[rtnl.Address]]:
    """Interface name → its global addresses, IPv4 first. `bridge`: the name of the default bridge. Blocks briefly."""
    found: dict[str, list[rtnl.Address]] = {}
    with Socket() as sock:
        names = rtnl.link_names(sock)
        for index, address in rtnl.addresses(sock):
            name = names.get(index, "")
            if name and name != bridge and not _MADE_HERE.fullmatch(name) and not address.is_loopback:
                found.setdefault(name, []).append(address)
    return {name: sorted(listed, key=lambda address: address.version) for name, listed in found.items()}
