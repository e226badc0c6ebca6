"""Balancing in nftables: a front (a VIP, or a published port) leads to its backends in turn. Texts for nft; pure.

Each front has a chain of its own that picks a backend; a map leads from the front to its chain. Established connections
are tracked, so they keep their backend when the chain changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

import msgspec

Backends = tuple[str, ...]  # nft's words for where to go: "10.0.0.5", or "10.0.0.5 . 80"


class Front(msgspec.Struct, frozen=True, order=True):
    """`chain` and `key` are nft's words: the chain's name, the element's key in the map `map`.

    Of a published port `protocol` and `port` are known, too.
    """

    map: str
    key: str
    chain: str
    protocol: str = ""
    port: int = 0


def vip_front(vip: str) -> Front:
    return Front(f"vips{ip_address(vip).version}", vip, "v_" + vip.replace(".", "_").replace(":", "_"))


def port_front(protocol: str, port: int) -> Front:
    return Front("ports", f"{protocol} . {port}", f"p_{protocol}_{port}", protocol, port)


def vip_table(name: str) -> str:
    """A client namespace's table: its own packets to a VIP go to a backend, or are refused where there is none."""
    return f"""table inet {name}
flush table inet {name}
table inet {name} {{
  set dead4 {{ type ipv4_addr; }}
  set dead6 {{ type ipv6_addr; }}
  map vips4 {{ type ipv4_addr : verdict; }}
  map vips6 {{ type ipv6_addr : verdict; }}
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr vmap @vips4
    ip6 daddr vmap @vips6
  }}
  chain refuse {{
    type filter hook output priority filter; policy accept;
    ip daddr @dead4 reject with icmpx port-unreachable
    ip6 daddr @dead6 reject with icmpx port-unreachable
  }}
}}
flush map inet {name} vips4
flush map inet {name} vips6
flush set inet {name} dead4
flush set inet {name} dead6
"""


class Mesh(msgspec.Struct, frozen=True, kw_only=True):
    """A host's side of the ingress network: its bridge, the host's `own` addresses there, and the addresses of tasks that run here."""

    interface: str = ""
    own: tuple[str, ...] = ()
    tasks: frozenset[str] = frozenset()

    def reaches(self, address: str) -> bool:
        """Whether a task at the address can be reached: on another host only by an own address, to which answers come back."""
        return address in self.tasks or any(_version(own) == _version(address) for own in self.own)


def mesh_changes(table: str, before: Mesh, after: Mesh) -> str:
    """Commands that bring the host's side of the ingress network from `before` to `after`. What goes to a task here keeps
    its source address; what goes to another host has the own address there."""
    lines = []
    for version in (4, 6):
        old, new = ({a for a in mesh.tasks if _version(a) == version} for mesh in (before, after))
        for verb, addresses in (("delete", old - new), ("add", new - old)):
            if addresses:
                lines.append(f"{verb} element inet {table} here{version} {{ {', '.join(sorted(addresses))} }}")
    if (before.interface, before.own) != (after.interface, after.own):
        lines.append(f"flush chain inet {table} postrouting")
        for own in after.own:
            family = "ip" if _version(own) == 4 else "ip6"
            away = f'oifname "{after.interface}" ct status dnat {family} daddr != @here{_version(own)}'
            lines.append(f"add rule inet {table} postrouting {away} snat {family} to {own}")
    return "".join(line + "\n" for line in lines)


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def port_table(name: str) -> str:
    """The host's table of service ports, empty. Hairpins and loopback are masqueraded by the table of firewall.py, which
    comes after this one, where they stay on this host."""
    return f"""table inet {name}
flush table inet {name}
table inet {name} {{
  set here4 {{ type ipv4_addr; }}
  set here6 {{ type ipv6_addr; }}
  map ports {{ type inet_proto . inet_service : verdict; }}
  chain postrouting {{
    type nat hook postrouting priority srcnat - 1; policy accept;
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local meta l4proto {{ tcp, udp, sctp }} meta l4proto . th dport vmap @ports
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    ip6 daddr ::1 return
    fib daddr type local meta l4proto {{ tcp, udp, sctp }} meta l4proto . th dport vmap @ports
  }}
}}
flush map inet {name} ports
flush set inet {name} here4
flush set inet {name} here6
"""


def changes(table: str, before: Mapping[Front, Backends], after: Mapping[Front, Backends]) -> str:
    """Commands that bring `before` to `after`; "" where they are the same. A front without backends leads nowhere."""
    lines: list[str] = []
    for front in sorted(before.keys() | after.keys()):
        old, new = before.get(front), after.get(front)
        if old != new:
            lines += _dead(table, front, old, new)
            lines += _fill(table, front, new, fresh=not old) if new else _drop(table, front) if old else []
    return "".join(line + "\n" for line in lines)


def gone(before: Mapping[Front, Backends], after: Mapping[Front, Backends]) -> set[str]:
    """Addresses that some front led to and leads to no more."""
    found = set()
    for front, old in before.items():
        found |= {backend.split()[0] for backend in set(old) - set(after.get(front, ()))}
    return found


def _fill(table: str, front: Front, backends: Backends, *, fresh: bool) -> Iterator[str]:
    yield f"add chain inet {table} {front.chain}"
    yield f"flush chain inet {table} {front.chain}"
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [b for b in backends if ip_address(b.split()[0]).version == version]
        if own:
            yield f"add rule inet {table} {front.chain} {_guard(front, version)}dnat {family} to {_pick(own)}"
    if fresh:
        yield f"add element inet {table} {front.map} {{ {front.key} : jump {front.chain} }}"


def _guard(front: Front, version: int) -> str:
    """A published port's chain sees packets of both IP versions; a port to go to needs the protocol named."""
    return "" if not front.protocol else f"meta nfproto ipv{version} meta l4proto {front.protocol} "


def _pick(backends: Sequence[str]) -> str:
    if len(backends) == 1:
        return backends[0].replace(" . ", ":") if "." in backends[0].split()[0] else _bracketed(backends[0])
    choices = ", ".join(f"{number} : {backend}" for number, backend in enumerate(backends))
    return f"numgen inc mod {len(backends)} map {{ {choices} }}"


def _bracketed(backend: str) -> str:
    address, _, port = backend.partition(" . ")
    return f"[{address}]:{port}" if port else address


def _drop(table: str, front: Front) -> Iterator[str]:
    yield f"delete element inet {table} {front.map} {{ {front.key} }}"
    yield f"flush chain inet {table} {front.chain}"
    yield f"delete chain inet {table} {front.chain}"


def _dead(table: str, front: Front, old: Backends | None, new: Backends | None) -> Iterator[str]:
    """VIPs without backends are refused at once instead of timing out."""
    if front.protocol:
        return
    kind = front.map.replace("vips", "dead")
    if new == ():
        yield f"add element inet {table} {kind} {{ {front.key} }}"
    elif old == ():
        yield f"delete element inet {table} {kind} {{ {front.key} }}"
