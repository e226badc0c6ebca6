"""Secrets and configs in a cluster: they are where a task needs them, for as long as it does, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.harness.cluster import Team, team
from tests.harness.daemon import Daemon
from tests.harness.images import busybox_archive
from tests.harness.machine import mount_points
from tests.harness.services import Services
from tests.harness.wait import until

SECRET = "a-marker-that-nobody-else-writes-4711"
CONFIG = "another-marker-for-a-config-0815"


def _traces(one: Daemon, marker: str, *, also_memory: bool = False) -> list[str]:
    """Files of the daemon, logs included, that hold the marker, plain or in base64; those on tmpfs mounts of their own where
    `also_memory`."""
    needles = [marker.encode(), *(base64.b64encode(b"x" * n + marker.encode())[8:-8] for n in range(3))]
    memory = [point for point in mount_points() if point.startswith(str(one.folder))]
    found = []
    for path in one.folder.rglob("*"):
        hidden = any(str(path).startswith(point + "/") for point in memory)
        if path.is_file() and not path.is_symlink() and "netns" not in path.parts and (also_memory or not hidden):
            data = _read(path)
            found += [str(path)] if any(needle in data for needle in needles) else []
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it went meanwhile
        return b""


def test_secrets_are_where_a_task_needs_them_and_nowhere_else() -> None:
    with team(3, 2) as cluster:
        for one in cluster.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        services, user = Services(cluster[0]), cluster[3]
        with services.client("events") as events:
            cluster[1].docker("secret", "create", "key", "-", stdin=SECRET)
            cluster[1].docker("config", "create", "conf", "-", stdin=CONFIG)
            where = ("--constraint", f"node.id=={cluster.node_id(user)}")
            services.create("user", "--secret", "key", "--config", "conf", "--replicas", "2", *where)
            tasks = services.until_running("user", 2)
            _check_inside(user, tasks[0]["Status"]["ContainerStatus"]["ContainerID"])
            _check_hidden(cluster, services)
            user.kill()
            user.start()  # the secrets come again by the session, not from a disk
            cluster.until_nodes(cluster[0], 5, managers=3)
            assert {task["ID"] for task in services.until_running("user", 2)} == {task["ID"] for task in tasks}
            _check_hidden(cluster, services)
            services.remove("user")
            until(lambda: not user.docker("ps", "-aq").split(), "the tasks' containers are gone")
            assert _traces(user, SECRET, also_memory=True) == []
            assert SECRET not in events()
        cluster[0].docker("secret", "rm", "key")
        cluster[0].docker("config", "rm", "conf")
        services.close()


def _check_inside(user: Daemon, container: str) -> None:
    assert user.docker("exec", container, "cat", "/run/secrets/key") == SECRET
    assert user.docker("exec", container, "cat", "/conf") == CONFIG
    mounts = user.docker("exec", container, "cat", "/proc/mounts").splitlines()
    kinds = {line.split()[1]: line.split()[2] for line in mounts}
    assert kinds["/run/secrets/key"] == "tmpfs"
    assert kinds["/conf"] == "tmpfs"


def _check_hidden(cluster: Team, services: Services) -> None:
    for one in cluster.daemons:
        assert _traces(one, SECRET) == []
        if one is not cluster[3]:
            assert _traces(one, SECRET, also_memory=True) == []
            assert _traces(one, CONFIG, also_memory=True) == []
    shown = [cluster[2].docker("secret", "inspect", "key"), cluster[2].docker("service", "inspect", "user")]
    shown += [cluster[3].docker("inspect", id) for id in cluster[3].docker("ps", "-q").split()]
    shown += [cluster[0].docker("inspect", task["ID"]) for task in services.tasks("user")]
    for text in shown:
        assert SECRET not in text
        assert base64.b64encode(SECRET.encode()).decode() not in text
