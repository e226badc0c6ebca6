"""The lab: putting it up and taking it down, its hosts, and what goes wrong between them. Start here: `Lab`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from examples.lab.groups import Group
from examples.lab.host import REPO, Host, Part
from examples.lab.layout import DEFAULT_FOLDER, Blueprint, Folder, LabError
from examples.lab.links import OTHERS, Faults, Link, between, members
from examples.lab.processes import until
from examples.lab.rack import Rack
from examples.lab.vms.host import VmHost
from examples.lab.wires import Wires

__all__ = ["REPO", "Host", "Lab", "Part"]


class Lab:
    """A lab that is up. `Lab.up` makes one, `Lab.open` finds one, `down` takes it away."""

    def __init__(self, folder: Folder, blueprint: Blueprint) -> None:
        self.folder = folder
        self.blueprint = blueprint
        self.addresses = blueprint.hosts()
        self.rack = Rack(folder)
        self.wires = Wires(folder, self.rack, self.addresses)
        kind = VmHost if blueprint.vms else Host
        self.hosts = [kind(self, address) for address in self.addresses]

    @classmethod
    def open(cls, folder: Folder) -> Self:
        """Raises LabError where there is none."""
        return cls(folder, folder.load())

    @classmethod
    def up(cls, folder: Folder, blueprint: Blueprint, *, start: bool = True) -> Self:
        """Make the lab, boot its hosts and (with `start`) their shoalds. Raises LabError, with nothing left behind."""
        if os.geteuid() != 0:
            raise LabError("the lab needs root: it makes namespaces, mounts and network interfaces")
        if folder.blueprint.exists():
            raise LabError(
                f"there is a lab in {folder.path} already: `lab down` takes it away, `--name` makes another beside it"
            )
        lab = cls(folder, blueprint)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.save(blueprint)
        try:
            lab.rack.start(blueprint.disk, [] if blueprint.vms else lab.addresses)
            for host in lab.hosts:
                host.spawn() if start else host.boot()
            for host in lab.hosts if start else ():
                host.wait()
        except BaseException:
            lab.down()
            raise
        return lab

    def down(self) -> None:
        """End everything in it and leave the machine as it was. Idempotent; also after whatever died or was killed."""
        self.rack.kill()
        for host in self.hosts:
            host.group.thaw_all()
        whole = Group(self.folder.group)
        until(lambda: self.rack.process is None and not whole.pids(), "nothing of the lab is left", timeout=20)
        whole.remove()
        for host in self.hosts:
            host.discard()
        shutil.rmtree(self.folder.path, ignore_errors=True)
        with suppress(OSError):
            DEFAULT_FOLDER.rmdir()  # with the last lab

    @property
    def managers(self) -> list[Host]:
        return [host for host in self.hosts if host.is_manager]

    @property
    def workers(self) -> list[Host]:
        return [host for host in self.hosts if not host.is_manager]

    def host(self, name: str) -> Host:
        """Raises LabError where there is none of this name."""
        return next(host for host in self.hosts if host.name == members(self.addresses, name)[0])

    def some(self, group: str) -> list[Host]:
        """The hosts of a group: "manager1", "manager1,worker2", "workers", "all". Raises LabError for unknown ones."""
        names = members(self.addresses, group)
        return [host for host in self.hosts if host.name in names]

    def each(self, work: Callable[[Host], object], hosts: Iterable[Host] | None = None) -> None:
        """Do something to several hosts at once; raises the first error when all are done."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            for future in [pool.submit(work, host) for host in hosts or self.hosts]:
                future.result()

    def load(self, archive: Path) -> None:
        """Load an image archive on every host that runs."""
        running = [host for host in self.hosts if host.state() == "running"]
        self.each(lambda host: host.docker("load", "--quiet", "-i", str(archive)), running)

    def outside(self, *command: str) -> str:
        """Run a command on the bridge, outside of all hosts; its output."""
        return self.rack.run(*command)

    # What goes wrong between hosts

    def cut(self, group: str, other: str = OTHERS, *, one_way: bool = False) -> None:
        self._change(lambda faults, links: faults.set(links, cut=True), group, other, one_way)

    def drop(self, group: str, other: str, percent: float, *, one_way: bool = False) -> None:
        """Lose this part of the packets, at random."""
        if not 0 <= percent <= 100:
            raise LabError(f"a loss is 0 to 100 percent, not {percent:g}")
        self._change(lambda faults, links: faults.set(links, drop=percent), group, other, one_way)

    def slow(self, group: str, other: str, rate: int, *, one_way: bool = False) -> None:
        """Let no more than this many bits per second through, each way; 0: as fast as it goes."""
        self._change(lambda faults, links: faults.set(links, rate=rate), group, other, one_way)

    def delay(self, group: str, other: str, milliseconds: float, *, one_way: bool = False) -> None:
        """Let packets take so much longer, each way."""
        self._change(lambda faults, links: faults.set(links, delay=milliseconds), group, other, one_way)

    def heal(self, group: str = "all", other: str = "all", *, one_way: bool = False) -> None:
        """Put links in order again, all of them or those between two groups."""
        self._change(lambda faults, links: faults.heal(links), group, other, one_way)

    def faults(self) -> Faults:
        """What is wrong between hosts now."""
        return self.wires.faults()

    def _change(self, change: Callable[[Faults, list[Link]], None], group: str, other: str, one_way: bool) -> None:
        links = between(self.addresses, group, other, one_way=one_way)
        self.wires.change(lambda faults: change(faults, links))
