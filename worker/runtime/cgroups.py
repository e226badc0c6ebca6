"""Control groups of containers: where they are, who is in them, whether they are frozen, taking them away.

Serves the pure v1, the pure v2 and the hybrid layout. Making them and setting limits is the OCI runtime's work; their
counters in Docker's shape are cgroup_stats.py's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CONTROLLERS = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "rdma", "misc"}
_CONTROLLERS |= {"net_cls", "net_prio", "perf_event", "name=systemd"}


@dataclass(frozen=True)
class Hierarchies:
    """The mounted hierarchies: v1 ones by controller, and v2's mount where there is one."""

    v1: dict[str, Path]
    v2: Path | None

    @property
    def version(self) -> int:
        """2 where v2 has the controllers; a hybrid layout counts as 1."""
        return 1 if "memory" in self.v1 else 2

    def mounts(self) -> set[Path]:
        return {*self.v1.values(), *([self.v2] if self.v2 else [])}


@cache
def hierarchies() -> Hierarchies:
    """This machine's, read once from /proc/self/mountinfo."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_text())


def parse_mountinfo(text: str) -> Hierarchies:
    v1: dict[str, Path] = {}
    v2 = None
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        path = Path(left.split(" ")[4])
        if kind == "cgroup2":
            v2 = v2 or path
        elif kind == "cgroup":
            for controller in _CONTROLLERS.intersection(options.split(",")):
                v1.setdefault(controller, path)
    return Hierarchies(v1, v2)


class Cgroup:
    """The control group of one container. `path` is absolute below every hierarchy's mount: /shoal/<id>."""

    def __init__(self, path: str, where: Hierarchies | None = None) -> None:
        self.where = where or hierarchies()
        self._path = path.lstrip("/")

    def folder(self, controller: str) -> Path:
        """Where the files of `controller` lie, by the layout's version."""
        mount = self.where.v2 if self.where.version == 2 else self.where.v1.get(controller)
        return (mount or Path("/nonexistent")) / self._path

    def pids(self) -> list[int]:
        """All processes in the group and the groups below it."""
        found: set[int] = set()
        for folder, _, _ in os.walk(self.folder("pids")):
            found.update(int(pid) for pid in read(Path(folder) / "cgroup.procs").split())
        return sorted(found)

    def frozen(self) -> bool:
        folder = self.folder("freezer")
        if self.where.version == 2:
            return read(folder / "cgroup.freeze").strip() == "1"
        return read(folder / "freezer.state").strip() in ("FROZEN", "FREEZING")

    def thaw(self) -> None:
        """Let frozen processes run again, so that signals reach them. Idempotent."""
        file, word = ("cgroup.freeze", "0") if self.where.version == 2 else ("freezer.state", "THAWED")
        with contextlib.suppress(OSError):
            (self.folder("freezer") / file).write_text(word)

    def oom_kills(self) -> int:
        """How many processes the kernel has killed because of the group's memory limit."""
        file = "memory.events" if self.where.version == 2 else "memory.oom_control"
        return flat(self.folder("memory") / file).get("oom_kill", 0)

    def remove(self) -> bool:
        """Remove the group from every hierarchy. False where a process that still ends keeps it; idempotent."""
        gone = True
        for mount in self.where.mounts():
            for folder in _deepest_first(mount / self._path):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    gone = False
        return gone

    def remove_if_empty(self) -> None:
        """Remove the group where neither processes nor groups are in it."""
        for mount in self.where.mounts():
            with contextlib.suppress(OSError):
                (mount / self._path).rmdir()


def _deepest_first(top: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)


def read(path: Path) -> str:
    """A cgroup file's text, "" where it is not there (a controller is off, the container just ended)."""
    try:
        return path.read_text()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """A file with one number; None for "max" and for none."""
    text = read(path).strip()
    return int(text) if text.isdigit() else None


def flat(path: Path) -> dict[str, int]:
    """A file of lines "key value"."""
    lines = (line.split() for line in read(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}
