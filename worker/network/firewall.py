"""The host's nftables table: isolation of networks, masquerading, published ports. Texts for nft, and when to apply them.

Everything is in one table of family inet in the daemon's namespace. Networks and ports are elements of sets and maps, so
one rule per kind of traffic serves any number of them. What our table accepts another table may still drop: a FORWARD
policy that somebody else set cannot be overridden from here. Services of the cluster are in a table of their own
(services.py).

Traffic towards a bridge passes only when it belongs to a known connection or was sent there by a published port; so
containers of different networks, and hosts that route to a container's address, reach published ports alone. Containers
of one network with `enable_icc=false` are kept apart by bridge port isolation (plumbing.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from worker.network.nft import Nft
from worker.network.rtnl import Subnet


class BridgeRules(msgspec.Struct, frozen=True):
    """What the firewall knows of one network."""

    interface: str
    subnets: tuple[Subnet, ...]
    internal: bool
    masquerade: bool


class Publication(msgspec.Struct, frozen=True):
    """One published port towards one address. `host_ip` "": any address of the container address's IP version."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int
    version: int


def table(name: str) -> str:
    """The table with its chains and empty sets, replacing what may be there under that name."""
    return f"""table inet {name}
delete table inet {name}
table inet {name} {{
  set bridges {{ type ifname; }}
  set internal {{ type ifname; }}
  set masquerade4 {{ type ipv4_addr; flags interval; }}
  set masquerade6 {{ type ipv6_addr; flags interval; }}
  set own4 {{ type ipv4_addr; flags interval; }}
  set own6 {{ type ipv6_addr; flags interval; }}
  map any4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  map at4 {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map at6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain published {{
    meta l4proto != {{ tcp, udp, sctp }} return
    ip6 daddr ::1 return comment "cannot leave the loopback: refused at once, so that clients go on to 127.0.0.1"
    dnat ip to ip daddr . meta l4proto . th dport map @at4
    dnat ip to meta l4proto . th dport map @any4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
    dnat ip6 to meta l4proto . th dport map @any6
  }}
  chain raw {{
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop comment "route_localnet is for the host's own packets only"
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    oifname @bridges ct status dnat ip saddr @own4 masquerade comment "the answer must come back through the host"
    oifname @bridges ct status dnat ip6 saddr @own6 masquerade
    oifname != @bridges ip saddr @masquerade4 masquerade
    oifname != @bridges ip6 saddr @masquerade6 masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname @internal drop
    oifname @internal drop
    oifname @bridges ct state established,related accept
    oifname @bridges ct status dnat accept
    oifname @bridges drop
  }}
}}
"""


def network_elements(name: str, rules: BridgeRules, verb: str = "add") -> str:
    """Commands that add (or delete) one network's elements."""
    interface = f'"{rules.interface}"'
    lines = [_element(verb, name, "bridges", [interface])]
    if rules.internal:
        lines.append(_element(verb, name, "internal", [interface]))
    for version in (4, 6):
        subnets = [str(s) for s in rules.subnets if s.version == version]
        lines.append(_element(verb, name, f"own{version}", subnets))
        if rules.masquerade and not rules.internal:
            lines.append(_element(verb, name, f"masquerade{version}", subnets))
    return "".join(lines)


def port_elements(name: str, ports: Iterable[Publication], verb: str = "add") -> str:
    """Commands that publish (or withdraw) ports."""
    maps: dict[str, list[str]] = {}
    for port in ports:
        key = f"{port.protocol} . {port.host_port}"
        if port.host_ip:
            key = f"{port.host_ip} . {key}"
        kind = f"{'at' if port.host_ip else 'any'}{port.version}"
        maps.setdefault(kind, []).append(f"{key} : {port.address} . {port.port}" if verb == "add" else key)
    return "".join(_element(verb, name, kind, elements) for kind, elements in maps.items())


def _element(verb: str, name: str, kind: str, elements: Sequence[str]) -> str:
    return f"{verb} element inet {name} {kind} {{ {', '.join(elements)} }}\n" if elements else ""


class Firewall:
    """The live table. Each call is one transaction of well under a millisecond."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nft = Nft()

    def rebuild(self, networks: Iterable[BridgeRules], ports: Iterable[Publication]) -> None:
        """Replace the table by exactly these networks and ports, without a moment in between."""
        elements = "".join(network_elements(self._name, rules) for rules in networks)
        self._nft.apply(table(self._name) + elements + port_elements(self._name, ports))

    def add_network(self, rules: BridgeRules) -> None:
        self._nft.apply(network_elements(self._name, rules))

    def remove_network(self, rules: BridgeRules) -> None:
        self._nft.apply(network_elements(self._name, rules, "delete"))

    def replace(self, withdrawn: Iterable[Publication], published: Iterable[Publication]) -> None:
        script = port_elements(self._name, withdrawn, "delete") + port_elements(self._name, published)
        if script:
            self._nft.apply(script)

    def close(self) -> None:
        """Leave the table as it is: containers go on without the daemon."""
        self._nft.close()
