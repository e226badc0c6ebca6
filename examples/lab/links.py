"""What goes wrong on the way from one host to another: cut, lossy and slow links, each way by itself.

`Faults` is the pure part: it knows what is wrong where and says it as an nftables ruleset and as tc commands. Losses and cuts are
rules in the bridge's forward hook. A rate is a class of an HTB on the receiver's port, which nftables chooses by the packet's priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from examples.lab.layout import Address, LabError

OTHERS = "others"
_ROLES = ("managers", "workers")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong from one host to one other."""

    cut: bool = False
    drop: float = 0.0  # percent of the packets that are lost
    rate: int = 0  # bits per second, 0: as fast as it goes


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

    def ruleset(self, hosts: Sequence[Address]) -> str:
        """nftables commands that replace what was in force by these faults."""
        rules = (
            [f"iifname . oifname {{ {_pairs(cut)} }} drop"] if (cut := [k for k, f in self.entries if f.cut]) else []
        )
        for percent in sorted({fault.drop for _, fault in self.entries if fault.drop}):
            lossy = [link for link, fault in self.entries if fault.drop == percent]
            chance = f"numgen random mod 100000 < {round(percent * 1000)}"
            rules.append(f"iifname . oifname {{ {_pairs(lossy)} }} {chance} drop")
        numbers = {host.name: host.number for host in hosts}
        if slow := [link for link, fault in self.entries if fault.rate]:
            lanes = ", ".join(f'"{k.source}" . "{k.target}" : {_lane(numbers[k.source])}' for k in slow)
            rules.append(f"meta priority set iifname . oifname map {{ {lanes} }}")
        chain = ["type filter hook forward priority 0; policy accept;", *rules]
        body = "\n".join(f"    {line}" for line in chain)
        return f"table bridge lab\ndelete table bridge lab\ntable bridge lab {{\n  chain links {{\n{body}\n  }}\n}}\n"

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
