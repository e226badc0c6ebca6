"""What goes wrong when: drawn from a seed, before anything runs, so that a seed always means the same faults. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec

KINDS = (
    "power cut",
    "kill shoald",
    "kill manager",
    "restart",
    "freeze host",
    "freeze shoald",
    "freeze manager",
    "cut off",
    "cut off, out",
    "cut off, in",
    "cut from managers",
    "cut a link",
    "cut a link, one way",
    "lossy",
    "slow",
    "full disk",
    "clock ahead",
    "clock behind",
)
_OF_MANAGERS = ("kill manager", "freeze manager", "cut from managers", "cut a link", "cut a link, one way")


class Fault(msgspec.Struct, frozen=True):
    """`other` is the link's other end, of faults of a link."""

    at: float  # seconds after the start
    until: float
    kind: str
    host: str
    other: str = ""

    def __str__(self) -> str:
        end = f" and {self.other}" if self.other else ""
        return f"{self.at:6.1f}–{self.until:5.1f} s  {self.kind}: {self.host}{end}"


def schedule(seed: int, seconds: float, managers: Sequence[str], workers: Sequence[str]) -> list[Fault]:
    """Faults within `seconds`; a host has one at a time, and mostly one or two hosts have one."""
    rng = random.Random(seed)
    found: list[Fault] = []
    now = rng.uniform(0.5, 2)
    while now < seconds - 2:
        kind = rng.choice(KINDS)
        hosts = managers if kind in _OF_MANAGERS or rng.random() < 0.6 else workers
        host = rng.choice(hosts)
        other = rng.choice([m for m in managers if m != host]) if kind.startswith("cut a link") else ""
        until = min(now + rng.choice([rng.uniform(0.5, 3), rng.uniform(3, 9), rng.uniform(6, 15)]), seconds)
        fault = Fault(round(now, 1), round(until, 1), kind, host, other)
        if not any(before.host == host and before.until >= fault.at for before in found):
            found.append(fault)
        now += rng.choice([rng.uniform(0.3, 2), rng.uniform(2, 6), rng.uniform(4, 9)])
    return found


def check(faults: Sequence[Fault]) -> None:
    """A host is never asked for two faults at once."""
    for host in {fault.host for fault in faults}:
        for before, after in pairwise(sorted((f for f in faults if f.host == host), key=lambda f: f.at)):
            assert before.until < after.at, f"{before} overlaps {after}"
