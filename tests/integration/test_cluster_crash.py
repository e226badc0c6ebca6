"""shoald is killed at a random moment of founding, joining, promotion, demotion and leaving: the node is what it was or what
it was to become, and the same command again makes it so.

Each seed is a round of all steps on one node. CRASH_ROUNDS asks for more of them than the one that always runs.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.harness.cluster import Team, team
from tests.harness.daemon import Daemon
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until

ROUNDS = range(int(os.environ.get("CRASH_ROUNDS", "1")))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Team]:
    """Two managers, and a third daemon to which all this happens."""
    with team(3, form=False) as made:
        made.init()
        made.join(made[1], "manager")
        made.until_nodes(made[0], 2, managers=2)
        yield made


def _alone(one: Daemon) -> bool:
    """Whether the node is a cluster of its own; as such it has no address for others."""
    return not one.docker("info", "-f", "{{.Swarm.NodeAddr}}").strip()


def _crash(victim: Daemon, command: Callable[[], subprocess.Popen[bytes]], delay: float) -> None:
    """Begin the command, kill the victim's shoald after a while, start it again."""
    client = command()
    time.sleep(delay)  # the moment is the test
    victim.kill()
    client.wait(30)
    victim.start()


def _client(one: Daemon, *words: str) -> Callable[[], subprocess.Popen[bytes]]:
    command = ["docker", "-H", one.url, *words]
    return lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _join_words(cluster: Team, role: str) -> list[str]:
    victim = cluster[2]
    token = cluster[0].docker("swarm", "join-token", "-q", role).strip()
    listen = f"0.0.0.0:{cluster.address(victim).rpartition(':')[2]}"
    options = ["--token", token, "--listen-addr", listen, "--advertise-addr", cluster.address(victim)]
    return ["swarm", "join", *options, cluster.address(cluster[0])]


def _join(cluster: Team, role: str, random: Random) -> None:
    victim, words = cluster[2], _join_words(cluster, role)
    _crash(victim, _client(victim, *words), random.uniform(0, 1.2))
    if _alone(victim):
        assert "active" in victim.docker("info", "-f", "{{.Swarm.LocalNodeState}}")
        victim.docker(*words)
    _until_role(cluster, role)


def _change(cluster: Team, verb: str, role: str, random: Random) -> None:
    victim, id = cluster[2], cluster.node_id(cluster[2])
    command = _client(cluster[0], "node", verb, id)
    _crash(victim, command, random.uniform(0, 1.5))
    until(lambda: cluster[0].docker_result("node", verb, id).returncode == 0, f"{verb} is repeated")
    _until_role(cluster, role)
    assert cluster.node_id(victim) == id


def _leave(cluster: Team, random: Random) -> None:
    victim, old = cluster[2], cluster.node_id(cluster[2])
    _crash(victim, _client(victim, "swarm", "leave", "--force"), random.uniform(0, 2.0))
    if not _alone(victim):
        assert cluster.node_id(victim) == old
        victim.docker("swarm", "leave", "--force")
    assert _alone(victim)
    assert cluster.node_id(victim) != old
    until(lambda: victim.docker_result("node", "ls").returncode == 0, "its own manager answers")
    _clean(cluster)


def _until_role(cluster: Team, role: str) -> None:
    """The victim is ready in its role, and says so itself."""
    victim, managers = cluster[2], 3 if role == "manager" else 2

    def settled() -> bool:
        nodes = {node["ID"]: node for node in cluster.nodes(cluster[0])}
        node = nodes.get(cluster.node_id(victim))
        reachable = [n for n in nodes.values() if (n.get("ManagerStatus") or {}).get("Reachability") == "reachable"]
        return (
            node is not None
            and (node["Spec"]["Role"], node["Status"]["State"], len(reachable)) == (role, "ready", managers)
            and (victim.docker_result("node", "ls").returncode == 0) == (role == "manager")
        )

    until(settled, f"the node is a {role}\n{victim.tail()}", timeout=45, every=0.2)


def _clean(cluster: Team) -> None:
    """The nodes that the victim was, and those that it never became, can be removed."""
    kept = {cluster.node_id(one) for one in cluster.daemons[:2]}
    for id in cluster[0].docker("node", "ls", "-q").split():
        if id not in kept:
            cluster[0].docker("node", "demote", id)
            until(lambda id=id: cluster[0].docker_result("node", "rm", "--force", id).returncode == 0, "it is removed")  # type: ignore[misc]
    cluster.until_nodes(cluster[0], 2, managers=2)


@pytest.mark.parametrize("seed", ROUNDS)
def test_steps_survive_a_crash(cluster: Team, seed: int) -> None:
    random = Random(seed)
    _join(cluster, "worker", random)
    _change(cluster, "promote", "manager", random)
    _change(cluster, "demote", "worker", random)
    _leave(cluster, random)
    _join(cluster, "manager", random)
    _leave(cluster, random)


@pytest.mark.parametrize("seed", ROUNDS)
def test_founding_survives_a_crash(seed: int) -> None:
    """Services and containers of the node's own go on, whatever became of the founding."""
    random = Random(seed)
    with team(1, form=False) as one:
        founder, services = one[0], Services(one[0])
        founder.docker("load", "-i", str(busybox_archive()))
        services.create("kept", "--replicas", "2")
        tasks = {task["ID"] for task in services.until_running("kept", 2)}
        containers = founder.docker("ps", "-q").split()
        words = ["swarm", "init", "--listen-addr", "0.0.0.0:2377", "--advertise-addr", one.address(founder)]
        _crash(founder, _client(founder, *words), random.uniform(0, 1.0))
        if _alone(founder):
            founder.docker(*words)
        one.until_nodes(founder, 1, managers=1)
        assert "SWMTKN-1-" in founder.docker("swarm", "join-token", "-q", "worker")
        assert {task["ID"] for task in services.until_running("kept", 2)} == tasks
        assert founder.docker("ps", "-q").split() == containers
        services.remove("kept")
        services.close()
