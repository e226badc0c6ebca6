"""A cluster whose managers lock their keys: what a restart leaves closed, and by which key it opens."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import msgspec
import pytest

from common.identity import Identity, Keys
from tests.harness.cluster import Team, team
from tests.harness.daemon import Daemon
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until

LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
EARLY = "written-before-there-was-a-key"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Team]:
    """Three managers and a worker, on each of which a task runs."""
    with team(3, 1) as made:
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        services = Services(made[0])
        services.create("kept", "--mode", "global")
        services.until_running("kept", 4)
        yield made
        services.remove("kept")
        services.close()


def _identity(one: Daemon) -> Identity:
    return msgspec.json.decode((one.root / "swarm" / "identity.json").read_bytes(), type=Identity)


def _keys(one: Daemon) -> Keys | None:
    return _identity(one).keys


def _state(one: Daemon) -> str:
    return one.docker("info", "-f", "{{.Swarm.LocalNodeState}}").strip()


def _unlock_key(one: Daemon) -> str:
    return one.docker("swarm", "unlock-key", "-q").strip()


def _until_manages(one: Daemon) -> None:
    until(lambda: one.docker_result("node", "ls").returncode == 0, "the manager answers again")


def _restart(one: Daemon) -> None:
    one.stop()
    one.start()


def _files_with(one: Daemon, *needles: bytes) -> list[str]:
    """Files below the daemon's folders that contain one of these."""
    found = []
    for path in one.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not {"layers", "netns"} & {*path.parts}:
            data = path.read_bytes()
            found += [f"{path}: {needle[:12]!r}" for needle in needles if needle in data]
    return found


def test_without_a_lock_there_is_no_key(cluster: Team) -> None:
    for run in (cluster[0].docker_result, cluster[0].shoal):
        asked, opened = run("swarm", "unlock-key"), run("swarm", "unlock")
        assert (asked.returncode, asked.stdout, asked.stderr) == (1, "", "no unlock key is set\n")
        assert (opened.returncode, opened.stderr) == (1, "Error: swarm is not locked\n")


def test_a_manager_that_restarts_is_locked_until_it_has_the_key(cluster: Team) -> None:
    _, locked, _, worker = cluster.daemons
    keys = _keys(locked)
    assert keys is not None
    task = locked.docker("ps", "-q")
    said = cluster[0].docker("swarm", "update", "--autolock=true")
    key = _unlock_key(cluster[0])
    assert key in said
    for one in cluster.daemons[:3]:
        until(lambda one=one: _keys(one) is None, "a manager has sealed its keys")  # type: ignore[misc]
    assert _keys(worker) is not None

    _restart(locked)
    assert _state(locked) == "locked"
    for run in (locked.docker_result, locked.shoal):
        refused = run("node", "ls")
        assert (refused.returncode, refused.stderr) == (1, f"Error response from daemon: {LOCKED}\n")
    assert locked.docker("ps", "-q") == task
    until(lambda: "Unreachable" in cluster[0].docker("node", "ls"), "the others see that it is away")
    needles = [base64.b64encode(value) for value in (keys.cluster, keys.log)] + [keys.cluster, keys.log, key.encode()]
    assert _files_with(locked, keys.tls.splitlines()[1].encode(), *needles) == []

    wrong = locked.docker_result("swarm", "unlock", stdin="SWMKEY-1-" + "A" * 43 + "\n")
    assert (wrong.returncode, wrong.stderr.strip()) == (
        1,
        "Error response from daemon: swarm could not be unlocked: invalid key provided",
    )
    assert locked.docker_result("swarm", "unlock", stdin=key + "\n").returncode == 0
    _until_manages(locked)
    cluster.until_nodes(cluster[0], 4, managers=3)
    assert _keys(locked) is None, "the file stays sealed"


def test_a_worker_is_never_locked(cluster: Team) -> None:
    worker = cluster[3]
    _restart(worker)
    assert _state(worker) == "active"
    cluster.until_nodes(cluster[0], 4, managers=3)


def test_a_new_key_replaces_the_old_one_everywhere(cluster: Team) -> None:
    old, before = _unlock_key(cluster[0]), [_identity(one).sealed for one in cluster.daemons[:3]]
    cluster[0].docker("swarm", "unlock-key", "--rotate")
    new = _unlock_key(cluster[2])
    assert new != old
    for one, sealed in zip(cluster.daemons[:3], before, strict=True):
        until(lambda one=one, sealed=sealed: _identity(one).sealed != sealed, "a manager has sealed its keys anew")  # type: ignore[misc]
    _restart(cluster[1])
    assert "invalid key" in cluster[1].docker_result("swarm", "unlock", stdin=old + "\n").stderr
    opened = cluster[1].shoal("swarm", "unlock", stdin=new + "\n")
    assert (opened.returncode, opened.stderr) == (0, "")
    _until_manages(cluster[1])
    cluster.until_nodes(cluster[0], 4, managers=3)


def test_a_node_that_leaves_takes_no_lock_along(cluster: Team) -> None:
    leaver = cluster[2]
    old = cluster.node_id(leaver)
    leaver.docker("swarm", "leave", "--force")
    _restart(leaver)
    assert _state(leaver) == "active"
    assert cluster.node_id(leaver) != old
    until(lambda: "Down" in cluster[0].docker("node", "ls"), "its old node is down")
    cluster[0].docker("node", "rm", old)
    cluster.join(leaver, "manager")
    cluster.until_nodes(cluster[0], 4, managers=3)
    until(lambda: _keys(leaver) is None, "the manager that joined has sealed its keys")


def test_a_locked_node_may_be_given_up(cluster: Team) -> None:
    leaver = cluster[2]
    old = cluster.node_id(leaver)
    _restart(leaver)
    assert _state(leaver) == "locked"
    assert "Use `--force`" in leaver.docker_result("swarm", "leave").stderr
    leaver.docker("swarm", "leave", "--force")
    assert _state(leaver) == "active"
    cluster[0].docker("node", "demote", old)
    until(lambda: cluster[0].docker_result("node", "rm", old).returncode == 0, "its old node is removed")
    cluster.join(leaver, "manager")
    cluster.until_nodes(cluster[0], 4, managers=3)


def test_without_autolock_a_restart_asks_for_nothing(cluster: Team) -> None:
    cluster[0].docker("swarm", "update", "--autolock=false")
    for one in cluster.daemons[:3]:
        until(lambda one=one: _keys(one) is not None, "a manager's keys are open again")  # type: ignore[misc]
    _restart(cluster[1])
    assert _state(cluster[1]) != "locked"
    cluster.until_nodes(cluster[0], 4, managers=3)


def test_a_cluster_is_founded_locked() -> None:
    with team(1, 0, form=False) as one:
        address = one.address(one[0])
        services = Services(one[0])
        services.create("early", "--replicas", "0", "--env", f"EARLY={EARLY}")
        services.close()
        assert _files_with(one[0], EARLY.encode())
        said = one[0].shoal("swarm", "init", "--autolock", "--advertise-addr", address).stdout
        key = _unlock_key(one[0])
        assert key in said
        assert f"{address}\n" in said
        assert address in one[0].docker("swarm", "join-token", "worker")
        one[0].kill()
        one[0].start()
        assert _state(one[0]) == "locked"
        assert _files_with(one[0], EARLY.encode()) == [], "what was written before the founding is sealed too"
        assert one[0].docker_result("swarm", "unlock", stdin=key + "\n").returncode == 0
        _until_manages(one[0])
