"""The cgroups of a lab's hosts: making them, who is in them, freezing them as a whole, taking them away.

A host's processes and containers all lie below one group, which is the root of the host's own cgroup namespace. The v1, v2 and
hybrid layouts are served. Where the controllers are v2's, processes live in the leaf "init", since a group that passes
controllers on may hold none itself.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from examples.lab.processes import Process, until
from worker.runtime.cgroups import Cgroup, hierarchies, read


def mounts() -> list[tuple[str, str, str]]:
    """(mount point, file system, options) of each hierarchy, as a host mounts them again for itself."""
    where = hierarchies()
    found = []
    for path in sorted(set(where.v1.values())):
        names = sorted(name for name, mount in where.v1.items() if mount == path)
        found.append((str(path), "cgroup", ",".join(["none", *names] if names == ["name=systemd"] else names)))
    return found + ([(str(where.v2), "cgroup2", "rw")] if where.v2 else [])


class Group:
    """One host's group, or (with only the lab's name) the one above all of them."""

    def __init__(self, *parts: str) -> None:
        self.path = "/".join(parts)
        self.where = hierarchies()
        self.cgroup = Cgroup(self.path)

    def create(self) -> None:
        """Make it in every hierarchy, ready to hold processes. Idempotent."""
        for mount in self.where.mounts():
            above = mount
            for part in self.path.split("/"):
                if self.where.version == 2:
                    _pass_on(above)
                above = above / part
                above.mkdir(exist_ok=True)
                if mount == self.where.v1.get("cpuset"):
                    _inherit_cpuset(above)

    def join(self, *command: str, leaf: bool = True) -> list[str]:
        """The command line that runs `command` inside the group: the child moves itself, so nobody else is moved."""
        below = "/init" if leaf and self.where.version == 2 else ""
        files = [shlex.quote(f"{mount}/{self.path}{below}/cgroup.procs") for mount in sorted(self.where.mounts())]
        script = f'for group in {" ".join(files)}; do echo $$ >"$group" || exit 1; done; exec "$@"'
        return ["sh", "-c", script, "join", *command]

    def own(self, *, leaf: bool = True) -> list[Process]:
        """The processes that joined it: those of a host outside of its containers."""
        folder = self.cgroup.folder("pids") / ("init" if leaf and self.where.version == 2 else "")
        found = (Process.of(int(pid)) for pid in read(folder / "cgroup.procs").split())
        return [process for process in found if process]

    def pids(self) -> list[int]:
        """Of all processes, those of containers too."""
        return self.cgroup.pids()

    def freeze(self) -> None:
        """Stop everything in it at once; returns when all stand still."""
        file, word = ("cgroup.freeze", "1") if self.where.version == 2 else ("freezer.state", "FROZEN")
        (self.cgroup.folder("freezer") / file).write_text(word)
        until(self.frozen, f"everything in {self.path} is frozen")

    def frozen(self) -> bool:
        if self.where.version == 2:
            return "frozen 1" in read(self.cgroup.folder("freezer") / "cgroup.events")
        return read(self.cgroup.folder("freezer") / "freezer.state").strip() == "FROZEN"

    def thaw(self) -> None:
        self.cgroup.thaw()

    def thaw_all(self) -> None:
        """Thaw paused containers too: on v1 nothing frozen can die."""
        top = self.cgroup.folder("freezer")
        mount = top.parents[self.path.count("/")]
        for folder in _below(top):
            Cgroup(str(folder.relative_to(mount))).thaw()

    def remove(self) -> None:
        """Take it and all below it away once its processes are gone."""
        until(
            self.cgroup.remove, f"the processes of {self.path} are gone, so that its cgroup can be removed", timeout=10
        )


def _below(top: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        for entry in top.iterdir():
            if entry.is_dir():
                yield from _below(entry)
        yield top


def _pass_on(group: Path) -> None:
    """Give a v2 group's children all its controllers, one by one: some cannot be passed on everywhere."""
    for name in read(group / "cgroup.controllers").split():
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{name}")


def _inherit_cpuset(group: Path) -> None:
    """A new v1 cpuset is empty, and takes no processes before it has CPUs and memory nodes."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not read(group / file).strip():
            (group / file).write_text(read(group.parent / file))
