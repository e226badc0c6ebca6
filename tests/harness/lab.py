"""A formed cluster on a lab of hosts, for tests of failover, membership and chaos.

    with lab(managers=3, workers=2) as made:
        made.cluster.ask("service", "create", "--detach", "--name", "web", "--replicas", "4", IMAGE, *SLEEP)
        made.cluster.until_running("web", 4)
        leader = made.cluster.leader()
        leader.kill()                                   # a power cut; made.cut("manager1"), leader.freeze(), … : examples/lab/hosts.py
        made.cluster.until(lambda: made.cluster.leader() != leader, "another one leads")
        leader.start()
        made.cluster.until_ready()

`made` is an `examples.lab.hosts.Lab` with the cluster on it (`made.cluster`, an `examples.lab.cluster.Cluster`): hosts are
`made.managers`, `made.workers`, `made.host("worker1")`, each with `docker`, `shoal`, `run`, `kill`, `stop`, `start`, `freeze`, `thaw` and
`fill`; links are `made.cut`, `drop`, `slow`, `heal`. The busybox image is loaded on every host. What fails raises LabError, a sentence.
On the way out everything is taken away, and it is an error when the machine is not as it was before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.lab.cluster import Cluster
from examples.lab.hosts import Host, Lab
from examples.lab.layout import Blueprint, Folder
from tests.harness.images import busybox_archive
from tests.harness.machine import mount_points

_FAST = Path("/dev/shm")


class Formed(Lab):
    """A lab with a cluster on it."""

    @property
    def cluster(self) -> Cluster[Host]:
        return Cluster(self.hosts)


def tasks_on(host: Host) -> set[str]:
    """Ids of the tasks whose containers run on a host, whatever the managers think."""
    label = '{{.Label "com.docker.swarm.task.id"}}'
    return set(host.docker("ps", "--format", label).split())


@contextmanager
def lab(
    managers: int = 3, workers: int = 2, *flags: str, form: bool = True, disk: int = 1 << 30, clocks: bool = False
) -> Iterator[Formed]:
    """A lab (with `form`, as one cluster whose nodes are all ready); `flags` are every shoald's."""
    folder = Folder(_FAST / f"shoal-lab-{os.urandom(3).hex()}")
    before = traces(folder)
    made = Formed.up(folder, Blueprint(managers=managers, workers=workers, disk=disk, flags=list(flags), clocks=clocks))
    try:
        made.load(busybox_archive())
        if form:
            made.cluster.form()
        yield made
    finally:
        made.down()
    after = traces(folder)
    assert after == before, f"the lab has left something behind: {after} instead of {before}"


def traces(folder: Folder) -> dict[str, list[str]]:
    """What of the machine the lab in this folder could leave something in, and nothing else that runs on it."""
    touched = (str(folder.path), "/etc", "/var/lib", "/run/shoal", "/sys", "/proc")
    return {
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{folder.group}")],
        "links": sorted(os.listdir("/sys/class/net")),
        "mounts": [point for point in mount_points() if point.startswith(touched)],
        "folders": [str(folder.path)] if folder.path.exists() else [],
    }
