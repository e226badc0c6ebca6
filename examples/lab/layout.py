"""Names, addresses and folders of a lab, and the file that says what it is made of."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from common.durable import write_file

DEFAULT_FOLDER = Path("/run/shoal-lab")
BRIDGE = "lab0"
OUTSIDE = "10.77.0.1"  # the bridge's own address: where clients outside of all hosts live
OUTSIDE6 = "fd77::1"
_MOST = 80  # hosts of one role


class LabError(Exception):
    """What a user of the lab reads: what is wrong, with what, what to do."""


class Vms(msgspec.Struct, frozen=True, kw_only=True):
    """What hosts that are virtual machines are made of. Paths are absolute."""

    image: str  # folder of a finished image
    disks: str  # folder of the machines' own disks
    accelerator: str  # QEMU's -accel
    memory: int = 320  # MiB of each
    cpus: int = 1


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a lab is made of; kept in its folder as lab.json."""

    managers: int = 3
    workers: int = 2
    disk: int = 1 << 30  # bytes of each host's disk
    flags: list[str] = []  # of every host's shoald
    clocks: bool = False  # whether hosts have clocks of their own, which may jump
    vms: Vms | None = None  # None: the hosts are made of namespaces

    def hosts(self) -> list[Address]:
        """All hosts, managers first. Raises LabError where there are too many."""
        for role, count in (("managers", self.managers), ("workers", self.workers)):
            if not 0 <= count <= _MOST:
                raise LabError(f"a lab has 0 to {_MOST} {role}, not {count}")
        managers = [Address(f"manager{n}", n, 10 + n) for n in range(1, self.managers + 1)]
        return managers + [Address(f"worker{n}", self.managers + n, 100 + n) for n in range(1, self.workers + 1)]


class Address(msgspec.Struct, frozen=True):
    """One host's name and place on the bridge. `number` counts all hosts from 1."""

    name: str
    number: int
    last: int  # byte of the address

    @property
    def ip(self) -> str:
        return f"10.77.0.{self.last}"

    @property
    def ip6(self) -> str:
        return f"fd77::{self.last}"

    @property
    def mac(self) -> str:
        """The same after each power cut, as a machine's is."""
        return f"02:6c:61:62:00:{self.last:02x}"

    @property
    def is_manager(self) -> bool:
        return self.name.startswith("manager")


class Folder:
    """The files of one lab: everything about it that lies on the machine, but for its cgroups."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def named(cls, name: str, parent: Path = DEFAULT_FOLDER) -> Folder:
        """Raises LabError for a name that cannot be a folder's."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(f"a lab's name is made of lower-case letters, digits and dashes, not {name!r}")
        return cls(parent.absolute() / name)

    @property
    def group(self) -> str:
        """The cgroup above the hosts' ones, below every hierarchy's mount."""
        return f"shoal-lab-{self.path.name}-{hashlib.sha256(str(self.path).encode()).hexdigest()[:6]}"

    @property
    def blueprint(self) -> Path:
        return self.path / "lab.json"

    @property
    def rack(self) -> Path:
        """Which process is the rack's init."""
        return self.path / "rack.json"

    @property
    def delayer(self) -> Path:
        """Which process holds back frames, since the first delay."""
        return self.path / "delay.json"

    @property
    def faults(self) -> Path:
        return self.path / "faults.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def image(self) -> Path:
        return self.path / "hello.tar"

    def disk(self, host: str) -> Path:
        """Where the rack (and only the rack) sees a host's disk."""
        return self.path / "disks" / host

    def host(self, name: str) -> Path:
        return self.path / "hosts" / name

    def save(self, blueprint: Blueprint) -> None:
        write_file(self.blueprint, msgspec.json.encode(blueprint), durable=False)

    def load(self) -> Blueprint:
        """Raises LabError where there is no lab."""
        try:
            return msgspec.json.decode(self.blueprint.read_bytes(), type=Blueprint)
        except FileNotFoundError:
            raise LabError(f"there is no lab in {self.path}: `lab up` makes one") from None
