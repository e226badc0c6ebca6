"""A cluster of several daemons by the docker command line: joining, roles, leaving, and the death of managers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.cluster import Team, team
from tests.harness.images import busybox_archive
from tests.harness.services import SLEEP, Services
from tests.harness.wait import until


@pytest.fixture(scope="module")
def cluster() -> Iterator[Team]:
    """Three managers and a worker."""
    with team(3, 1) as made:
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        yield made


def test_every_manager_knows_all_nodes(cluster: Team) -> None:
    first = cluster.nodes(cluster[0])
    assert len(first) == 4
    for other in cluster.daemons[1:3]:
        assert {n["ID"] for n in cluster.nodes(other)} == {n["ID"] for n in first}
    roles = [node["Spec"]["Role"] for node in first]
    assert (roles.count("manager"), roles.count("worker")) == (3, 1)


def test_a_worker_refuses_what_is_a_managers(cluster: Team) -> None:
    worker = cluster[3]
    assert "This node is not a swarm manager" in worker.docker_result("node", "ls").stderr
    info = worker.docker("info", "-f", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}")
    assert info.strip() == "active false"
    assert "already part of a swarm" in worker.docker_result("swarm", "init").stderr


def test_services_are_spread_and_any_manager_changes_them(cluster: Team) -> None:
    through_one, through_other = Services(cluster[1]), Services(cluster[2])
    try:
        through_one.create("web", "--replicas", "4")
        tasks = through_other.until_running("web", 4)
        assert len({task["NodeID"] for task in tasks}) == 4
        cluster[2].docker("service", "scale", "--detach", "web=8")
        through_one.until_running("web", 8)
        logs = Services(cluster[0])
        logs.close()
    finally:
        through_one.daemon.docker("service", "rm", "web", check=False)
        for one in cluster.daemons:
            until(lambda one=one: not one.docker("ps", "-q").split(), "the tasks' containers are gone")  # type: ignore[misc]
        through_one.close()
        through_other.close()


def test_a_worker_is_promoted_and_demoted_again(cluster: Team) -> None:
    id = cluster.node_id(cluster[3])
    cluster[0].docker("node", "promote", id)
    cluster.until_nodes(cluster[0], 4, managers=4)
    until(lambda: cluster[3].docker_result("node", "ls").returncode == 0, "the new manager answers")
    cluster[1].docker("node", "demote", id)
    cluster.until_nodes(cluster[0], 4, managers=3)
    until(lambda: "not a swarm manager" in cluster[3].docker_result("node", "ls").stderr, "it is a worker again")


def test_the_leaders_death_stops_nobody(cluster: Team) -> None:
    leader = cluster.leader(cluster[0])
    others = [one for one in cluster.daemons[:3] if one is not leader]
    before = Services(others[0])
    try:
        before.create("kept", "--replicas", "2", "--constraint", f"node.id!={cluster.node_id(leader)}")
        tasks = before.until_running("kept", 2)
        leader.kill()
        until(lambda: others[1].docker_result("service", "ls").returncode == 0, "another manager leads")
        others[1].docker("service", "scale", "--detach", "kept=3")
        after = before.until_running("kept", 3)
        assert {task["ID"] for task in tasks} <= {task["ID"] for task in after}
        leader.start()
        cluster.until_nodes(others[0], 4, managers=3)
    finally:
        before.remove("kept")
        before.close()


def test_a_worker_leaves_and_begins_a_new_life() -> None:
    with team(1, 1) as two:
        old = two.node_id(two[1])
        two[1].docker("swarm", "leave")
        assert two.node_id(two[1]) != old
        assert two[1].docker("node", "ls", "-q").split() == [two.node_id(two[1])]
        until(lambda: "Down" in two[0].docker("node", "ls"), "its old node is down")
        two[0].docker("node", "rm", old)
        two.join(two[1], "manager")
        two.until_nodes(two[0], 2, managers=2)
        refused = two[1].docker_result("swarm", "leave")
        assert "participating as a manager" in refused.stderr
        two[1].docker("swarm", "leave", "--force")
        two.until_nodes(two[0], 1, managers=1)


def test_joining_is_refused_with_a_sentence() -> None:
    with team(1, 1, form=False) as two:
        two.init()
        token = two[0].docker("swarm", "join-token", "-q", "worker").strip()
        address = two.address(two[0])
        wrong = token[:-5] + ("aaaaa" if not token.endswith("aaaaa") else "bbbbb")
        assert "token" in two[1].docker_result("swarm", "join", "--token", wrong, address).stderr
        other = token.split("-")
        other[2] = "0" * 50
        refused = two[1].docker_result("swarm", "join", "--token", "-".join(other), address)
        assert "does not match fingerprint" in refused.stderr
        assert "invalid join token" in two[1].docker_result("swarm", "join", "--token", "x", address).stderr
        refused = two[1].docker_result("swarm", "join", "--token", token, "127.0.0.1:1")
        assert "cannot be" in refused.stderr
        two[1].docker("load", "-i", str(busybox_archive()))
        two[1].docker("service", "create", "--detach", "--no-resolve-image", "--name", "own", "busybox:latest", *SLEEP)
        refused = two[1].docker_result("swarm", "join", "--token", token, address)
        assert "services of its own" in refused.stderr
        two[1].docker("service", "rm", "own")
        two.join(two[1], "worker")
        two.until_nodes(two[0], 2)
