"""What goes wrong on the way from one host to another: cut, lossy, slow and long links, each way by itself.

Pure: `Faults` knows what is wrong where, and says it as an nftables ruleset and as tc commands; wires.py puts them into force. Losses and
cuts are rules in the bridge's forward hook. A rate is a class of an HTB on the receiver's port, chosen by the packet's priority, which
nftables sets. Frames of links with a delay are led aside, to delay.py, before they come to the bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from examples.lab.layout import Address, LabError

OTHERS = "others"
TAP = "delay0"  # where delay.py takes the frames that it holds back
_ROLES = ("managers", "workers")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong from one host to one other."""

    cut: bool = False
    drop: float = 0.0  # percent of the packets that are lost
    rate: int = 0  # bits per second, 0: as fast as it goes
    delay: float = 0.0  # milliseconds that every packet takes longer


class Link(msgspec.Struct, frozen=True, order=True):
    source: str
    target: str


class Faults(msgspec.Struct):
    """All that is wrong between hosts. A link without an entry is in order."""

    entries: list[tuple[Link, Fault]] = []

    def on(self, link: Link) -> Fault:
        return dict(self.entries).get(link, Fault())

    def set(self, links: Iterable[Link], **changes: bool | float | int) -> None:
        """Change one aspect of the links' faults; what else is wrong with them stays."""
        table = dict(self.entries)
        for link in links:
            table[link] = msgspec.structs.replace(table.get(link, Fault()), **changes)
        self.entries = sorted((link, fault) for link, fault in table.items() if fault != Fault())

    def heal(self, links: Iterable[Link]) -> None:
        healed = set(links)
        self.entries = [(link, fault) for link, fault in self.entries if link not in healed]

    def delayed(self) -> bool:
        return any(fault.delay for _, fault in self.entries)

    def ruleset(self, hosts: Sequence[Address], ports: Iterable[str] = ()) -> str:
        """nftables commands that replace what was in force by these faults. `ports` are those of the hosts that are on."""
        chains = [_chain("links", "type filter hook forward priority 0", self._rules(hosts))]
        macs = {host.name: host.mac for host in hosts}
        aside = [
            _chain(port, f'type filter hook ingress device "{port}" priority 0', rules)
            for port in ports
            if (rules := self._aside(port, macs))
        ]
        return _table("bridge", chains) + _table("netdev", aside)

    def _rules(self, hosts: Sequence[Address]) -> list[str]:
        rules = (
            [f"iifname . oifname {{ {_pairs(cut)} }} drop"] if (cut := [k for k, f in self.entries if f.cut]) else []
        )
        for percent in sorted({fault.drop for _, fault in self.entries if fault.drop}):
            lossy = [link for link, fault in self.entries if fault.drop == percent]
            rules.append(f"iifname . oifname {{ {_pairs(lossy)} }} {_chance(percent)} drop")
        numbers = {host.name: host.number for host in hosts}
        if slow := [link for link, fault in self.entries if fault.rate]:
            lanes = ", ".join(f'"{k.source}" . "{k.target}" : {_lane(numbers[k.source])}' for k in slow)
            rules.append(f"meta priority set iifname . oifname map {{ {lanes} }}")
        return rules

    def _aside(self, port: str, macs: dict[str, str]) -> list[str]:
        """What is delayed does not pass the bridge, so it is lost here; what is cut goes on to the bridge and its end."""
        rules = []
        for link, fault in self.entries:
            if link.source == port and fault.delay and not fault.cut:
                mac = f"ether daddr {macs[link.target]}"
                rules += [f"{mac} {_chance(fault.drop)} drop"] * bool(fault.drop)
                rules.append(f'{mac} fwd to "{TAP}"')
        return rules

    def shaping(self, hosts: Sequence[Address]) -> str:
        """tc commands for `tc -force -batch` that give the hosts' ports their rates. Ports without any fail to lose theirs."""
        lines = []
        for host in hosts:
            lines.append(f"qdisc del dev {host.name} root")
            slow = [(link.source, f.rate) for link, f in self.entries if f.rate and link.target == host.name]
            if slow:
                lines.append(f"qdisc add dev {host.name} root handle 1: htb")
            for source, rate in slow:
                lane = _lane(next(h.number for h in hosts if h.name == source))
                lines.append(f"class add dev {host.name} parent 1: classid {lane} htb rate {rate}bit quantum 20000")
                lines.append(f"qdisc add dev {host.name} parent {lane} pfifo limit 100")
        return "".join(f"{line}\n" for line in lines)


def _lane(number: int) -> str:
    return f"1:{number:x}"


def _chance(percent: float) -> str:
    return f"numgen random mod 100000 < {round(percent * 1000)}"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    lines = [f"{hook}; policy accept;", *rules]
    return "  chain " + name + " {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _table(family: str, chains: Sequence[str]) -> str:
    """Replaces the table, whether it was there or not."""
    name = f"table {family} lab"
    return f"{name}\ndelete {name}\n{name} {{\n{''.join(chains)}}}\n"


def _pairs(links: Iterable[Link]) -> str:
    return ", ".join(f'"{link.source}" . "{link.target}"' for link in links)


def between(hosts: Sequence[Address], group: str, other: str = OTHERS, *, one_way: bool = False) -> list[Link]:
    """The links from all of one group to all of the other, and back unless `one_way`.

    A group is written as hosts and roles with commas: "manager1", "manager1,worker2", "workers", "all"; the other one may be "others".
    Raises LabError for unknown hosts and where no link is left.
    """
    here = members(hosts, group)
    there = [host.name for host in hosts if host.name not in here] if other == OTHERS else members(hosts, other)
    links = {Link(a, b) for a in here for b in there if a != b}
    if not one_way:
        links |= {Link(link.target, link.source) for link in links}
    if not links:
        raise LabError(f"there is no link between {group} and {other}")
    return sorted(links)


def members(hosts: Sequence[Address], group: str) -> list[str]:
    """The hosts that a group's text names. Raises LabError for one that does not exist."""
    names = [host.name for host in hosts]
    found: list[str] = []
    for word in group.split(","):
        if word == "all":
            found += names
        elif word in _ROLES:
            found += [name for name in names if name.startswith(word[:-1])]
        elif word in names:
            found.append(word)
        else:
            raise LabError(f"there is no host {word!r} in this lab: it has {', '.join(names)}")
    return list(dict.fromkeys(found))


def parse_rate(text: str) -> int:
    """Bits per second from "500kbit", "10mbit", "1gbit" or "64000". Raises LabError."""
    units = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "bit": 1}
    unit = next((unit for unit in units if text.endswith(unit)), "")
    try:
        rate = int(float(text.removesuffix(unit)) * units.get(unit, 1))
    except ValueError:
        rate = 0
    if rate < 8:
        raise LabError(f"a rate looks like 500kbit, 10mbit or 1gbit, not {text!r}")
    return rate


def parse_delay(text: str) -> float:
    """Milliseconds from "30ms", "1.5s" or "20". Raises LabError."""
    number, factor = (text[:-2], 1.0) if text.endswith("ms") else (text.removesuffix("s"), 1000.0)
    try:
        delay = float(number) * (factor if text.endswith("s") else 1.0)
    except ValueError:
        delay = -1.0
    if not 0 <= delay <= 60_000:
        raise LabError(f"a delay looks like 30ms or 1.5s, not {text!r}; at most 60 seconds")
    return delay
