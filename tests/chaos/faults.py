"""Doing to a lab what a schedule says, and undoing it. Times are kept as well as the machine allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain

from examples.lab.host import Host, Part
from examples.lab.hosts import Lab
from examples.lab.layout import LabError
from tests.chaos.schedule import Fault

JUMP = 300  # seconds
Say = Callable[[str], None]


class Faults:
    """`say` is told of everything that is done, as it is done."""

    def __init__(self, lab: Lab, say: Say) -> None:
        self._lab = lab
        self._say = say

    def play(self, faults: Sequence[Fault], go_on: Callable[[], bool]) -> None:
        """All faults, begun and ended in their time, as long as `go_on` says so."""
        started = time.monotonic()
        moments = chain.from_iterable(((f.at, self._begin, f), (f.until, self._end, f)) for f in faults)
        for at, act, fault in sorted(moments, key=lambda moment: moment[0]):
            while go_on() and time.monotonic() - started < at:
                time.sleep(0.05)
            if not go_on():
                return
            self._say(f"{'begin' if act == self._begin else 'end  '} {fault}")
            act(fault)

    def heal(self) -> None:
        """Undo all that is wrong: every host runs, every link is in order, every disk has space."""
        self._lab.heal()
        for host in self._lab.hosts:
            if host.init is not None:
                host.thaw()
                host.unfill()
                host.set_clock(0)
        self._lab.each(Host.start)

    def _begin(self, fault: Fault) -> None:
        host = self._lab.host(fault.host)
        match fault.kind.split():
            case ["power", "cut"]:
                host.kill()
            case ["restart"]:
                host.stop()
            case ["kill" | "freeze" as what, part]:
                self._daemon(host, what, "all" if part == "host" else part)  # type: ignore[arg-type]
            case ["full", "disk"]:
                host.fill()
            case ["clock", way]:
                host.set_clock(JUMP if way == "ahead" else -JUMP)
            case _:
                self._link(fault)

    def _daemon(self, host: Host, what: str, part: Part) -> None:
        with suppress(LabError):  # a manager that is only being started has no process yet
            host.freeze(part) if what == "freeze" else host.kill_daemon(part)

    def _link(self, fault: Fault) -> None:
        lab, host = self._lab, fault.host
        match fault.kind:
            case "cut off":
                lab.cut(host)
            case "cut off, out":
                lab.cut(host, one_way=True)
            case "cut off, in":
                lab.cut(",".join(h.name for h in lab.hosts if h.name != host), host, one_way=True)
            case "cut from managers":
                lab.cut(host, ",".join(m.name for m in lab.managers if m.name != host))
            case "cut a link":
                lab.cut(host, fault.other)
            case "cut a link, one way":
                lab.cut(host, fault.other, one_way=True)
            case "lossy":
                lab.drop(host, "all", 25)
            case "slow":
                lab.delay(host, "all", 60)
            case kind:
                raise AssertionError(f"unknown fault {kind}")

    def _end(self, fault: Fault) -> None:
        host = self._lab.host(fault.host)
        match fault.kind.split():
            case ["power" | "restart" | "kill", *_]:
                host.start()
            case ["freeze", *_]:
                host.thaw()
            case ["full", "disk"]:
                host.unfill()
            case ["clock", _]:
                host.set_clock(0)
            case _:
                self._lab.heal(fault.host)
