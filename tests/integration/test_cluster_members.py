"""Who belongs to a cluster, and as what: roles in every order, the quorum that is kept, nodes that are thrown out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.cluster import Team, team
from tests.harness.daemon import Daemon
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until


@pytest.fixture(scope="module")
def cluster() -> Iterator[Team]:
    """Three managers and two workers."""
    with team(3, 2) as made:
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        yield made


@pytest.fixture
def services(cluster: Team) -> Iterator[Services]:
    cluster.until_nodes(cluster[0], 5, managers=3)
    made = Services(cluster[0])
    yield made
    made.remove_all()
    made.close()


def _is_worker(one: Daemon) -> bool:
    return "This node is not a swarm manager" in one.docker_result("node", "ls").stderr


def _node_id(task: dict[str, object]) -> object:
    return task["NodeID"]


def _trouble(one: Daemon) -> str:
    return one.docker("info", "-f", "{{.Swarm.Error}}").strip()


def test_the_leader_is_demoted_and_promoted_again(cluster: Team, services: Services) -> None:
    leader = cluster.leader(cluster[0])
    id, other = cluster.node_id(leader), next(one for one in cluster.daemons[:3] if one is not leader)
    services.create("kept", "--replicas", "5")
    before = {task["ID"] for task in services.until_running("kept", 5)}
    said = leader.docker_result("node", "demote", id)
    assert (said.returncode, said.stdout) == (0, f"Manager {id} demoted in the swarm.\n")
    cluster.until_nodes(other, 5, managers=2)
    until(lambda: _is_worker(leader), "the former leader is a worker", timeout=10)
    other.docker("node", "promote", id)
    other.docker("node", "demote", id)
    other.shoal("node", "promote", id)
    cluster.until_nodes(other, 5, managers=3)
    until(lambda: leader.docker_result("node", "ls").returncode == 0, "the new manager answers")
    assert {task["ID"] for task in services.until_running("kept", 5)} == before


def test_a_manager_is_not_removed_before_it_is_demoted(cluster: Team) -> None:
    id = cluster.node_id(cluster[1])
    for command in (cluster[0].docker_result, cluster[0].shoal):
        for options in ((), ("--force",)):
            refused = command("node", "rm", *options, id)
            assert refused.returncode == 1
            assert "It must be demoted to worker before removal" in refused.stderr


def test_the_quorum_is_kept(cluster: Team) -> None:
    """Of three managers one dies: none of the others can go, but the dead one can, by and for good."""
    leader = cluster.leader(cluster[0])
    other, dead = (one for one in cluster.daemons[:3] if one is not leader)
    lost, kept = cluster.node_id(dead), cluster.node_id(other)
    dead.kill()
    until(lambda: "Unreachable" in leader.docker("node", "ls"), "the others see that it is dead", timeout=10)
    refused = leader.docker_result("node", "demote", kept)
    assert refused.returncode == 1
    assert "that is no majority" in refused.stderr
    refused = leader.docker_result("swarm", "leave")
    assert "participating as a manager" in refused.stderr

    leader.docker("node", "demote", lost)
    until(lambda: leader.docker_result("node", "rm", lost).returncode == 0, "the dead manager is removed")
    cluster.until_nodes(leader, 4, managers=2)
    dead.start(wait=True)
    until(lambda: "removed" in _trouble(dead), f"the dead manager hears of it: {_trouble(dead)}", timeout=20)
    dead.docker("swarm", "leave", "--force")
    assert _trouble(dead) == ""
    assert cluster.node_id(dead) != lost
    cluster.join(dead, "manager", leader)
    cluster.until_nodes(leader, 5, managers=3)


def test_a_worker_that_runs_is_thrown_out_at_once(cluster: Team, services: Services) -> None:
    worker, old = cluster[4], cluster.node_id(cluster[4])
    services.create("spread", "--mode", "global")
    services.until_running("spread", 5)
    assert "is not down and can't be removed" in cluster[0].docker_result("node", "rm", old).stderr
    cluster[0].docker("node", "rm", "--force", old)
    until(lambda: "it was removed" in _trouble(worker), "it says what has happened", timeout=5)
    assert "docker swarm leave" in worker.shoal("info").stdout
    services.until_running("spread", 4)
    worker.docker("swarm", "leave")
    assert _trouble(worker) == ""
    until(lambda: not worker.docker("ps", "-q").split(), "its tasks have ended")
    cluster.join(worker, "worker")
    cluster.until_nodes(cluster[0], 5, managers=3)
    assert cluster.node_id(worker) != old
    services.until_running("spread", 5)


def test_a_token_is_good_until_it_is_rotated(cluster: Team) -> None:
    worker = cluster[4]
    old = cluster[0].docker("swarm", "join-token", "-q", "worker").strip()
    worker.docker("swarm", "leave")
    left = cluster[0].docker("node", "ls", "-q", "--filter", "role=worker").split()
    new = cluster[1].docker("swarm", "join-token", "-q", "--rotate", "worker").strip()
    assert new != old
    for one in cluster.daemons[:3]:
        refused = worker.docker_result("swarm", "join", "--token", old, cluster.address(one))
        assert "A valid join token is necessary to join this cluster" in refused.stderr
    cluster.join(worker, "worker", cluster[2])
    for id in left:
        if id != cluster.node_id(cluster[3]):
            until(lambda id=id: cluster[0].docker_result("node", "rm", id).returncode == 0, "its old node is removed")  # type: ignore[misc]
    cluster.until_nodes(cluster[0], 5, managers=3)


def test_labels_and_availability_steer_at_once(cluster: Team, services: Services) -> None:
    one, other = (cluster.node_id(worker) for worker in cluster.daemons[3:])
    services.create("here", "--replicas", "2", "--constraint", "node.labels.zone==a")
    until(lambda: "no suitable node" in cluster[0].docker("service", "ps", "--no-trunc", "here"), "nowhere it fits")
    cluster[0].docker("node", "update", "--label-add", "zone=a", one)
    services.until_running("here", 2, lambda task: task["NodeID"] == one, timeout=10)
    cluster[1].shoal("node", "update", "--label-add", "zone=a", other)
    cluster[1].shoal("node", "update", "--availability", "drain", one)
    services.until_running("here", 2, lambda task: task["NodeID"] == other, timeout=20)
    cluster[0].docker("node", "update", "--availability", "pause", other)
    cluster[0].docker("service", "scale", "--detach", "here=3")
    until(lambda: "no suitable node" in cluster[0].docker("service", "ps", "--no-trunc", "here"), "no node takes more")
    assert len(services.running("here")) == 2
    assert {task["NodeID"] for task in services.running("here")} == {other}
    cluster[0].docker("node", "update", "--availability", "active", one)
    tasks = services.until_running("here", 3, timeout=10)
    assert {task["NodeID"] for task in tasks} == {one, other}
    cluster[0].docker("node", "update", "--availability", "active", "--label-rm", "zone", other)


def test_engine_labels_steer_too(cluster: Team, services: Services) -> None:
    worker, id = cluster[3], cluster.node_id(cluster[3])
    services.create("fast", "--replicas", "1", "--constraint", "engine.labels.disk==ssd")
    until(lambda: "no suitable node" in cluster[0].docker("service", "ps", "--no-trunc", "fast"), "nowhere it fits")
    worker.stop()
    worker.flags = ("--labels", "disk=ssd")
    worker.start()
    services.until_running("fast", 1, lambda task: task["NodeID"] == id, timeout=15)
    shown = cluster[1].docker("node", "inspect", "-f", "{{.Description.Engine.Labels}}", id)
    assert shown == "map[disk:ssd]\n"


def test_the_root_is_rotated_under_way(cluster: Team, services: Services) -> None:
    """With a service under way, and a node that joins in between: no session is lost for long, no task begins anew."""
    old = cluster[0].docker("swarm", "ca").strip()
    worker, away = cluster[4], cluster.node_id(cluster[4])
    services.create("kept", "--replicas", "5", "--constraint", f"node.id!={away}")
    before = {task["ID"] for task in services.until_running("kept", 5)}
    lines = {one: len(one.log.read_text().splitlines()) for one in cluster.daemons}
    cluster[1].docker("swarm", "ca", "--rotate", "--detach")
    with services.client("events", "--filter", "type=node") as seen:
        worker.docker("swarm", "leave")
        cluster[0].docker("node", "rm", "--force", away)  # or the rotation waits for it
        cluster.join(worker, "worker", cluster[2])
        again = ("swarm", "ca", "--rotate", "--quiet")
        until(
            lambda: cluster[2].docker_result(*again).returncode == 0, "the first rotation is over, and another one too"
        )
        rotated = cluster[2].docker("swarm", "ca")
        states = [line for line in seen().splitlines() if "state.new=down" in line and away not in line]
    assert states == []
    assert rotated.strip() != old
    assert old.splitlines()[2] not in (cluster[3].root / "swarm" / "identity.json").read_text()
    cluster.until_nodes(cluster[0], 5, managers=3)
    after = {task["ID"] for task in services.until_running("kept", 5)}
    assert after >= before
    for one in cluster.daemons[:4]:
        new = one.log.read_text().splitlines()[lines[one] :]
        assert not [line for line in new if "does not have the certificate" in line]


def test_a_dead_manager_makes_way_for_one_that_came_after_it() -> None:
    with team(4, form=False) as made:
        for one in made.daemons:
            one.stop()
            one.flags = ("--replace-managers-after", "2")
            one.start()
        made.init()
        for one in made.daemons[1:3]:
            made.join(one, "manager")
        made.until_nodes(made[0], 3, managers=3)
        dead = made.node_id(made[2])
        made[2].kill()
        until(lambda: "Unreachable" in made[0].docker("node", "ls"), "it is seen as dead", timeout=10)
        made.join(made[3], "manager")
        shown = "node", "inspect", "-f", "{{.Spec.Role}} {{if .ManagerStatus}}member{{end}}", dead
        until(lambda: made[0].docker(*shown).strip() == "worker", "it is a manager no more", timeout=20)
        made.until_nodes(made[0], 3, managers=3)
        made[1].docker("node", "rm", dead)
        made[2].start()
        until(lambda: "it was removed" in _trouble(made[2]), "it hears of it when it comes back", timeout=20)


def test_roles_change_while_a_node_is_down_and_force_ends_what_was_lost() -> None:
    with team(3, 1) as made:
        first, second, third, worker = made.daemons
        ids = [made.node_id(one) for one in made.daemons]
        worker.kill()
        first.docker("node", "promote", ids[3])
        worker.start()
        made.until_nodes(first, 4, managers=4)
        second.kill()
        until(lambda: "Unreachable" in first.docker("node", "ls"), "it is seen as dead", timeout=10)
        first.docker("node", "demote", ids[1])
        made.until_nodes(first, 3, managers=3)
        second.start()
        until(lambda: _is_worker(second), "it comes back as a worker")
        made.until_nodes(first, 4, managers=3)

        third.kill()
        worker.kill()
        until(lambda: "does not have a leader" in _trouble(first), "the quorum is lost", timeout=20)
        first.docker("swarm", "init", "--force-new-cluster")
        until(lambda: {*first.docker("node", "ls", "-q").split()} == {*ids[:2]}, "the lost managers are nodes no more")
        for lost in (third, worker):
            lost.start()
            until(lambda lost=lost: "it was removed" in _trouble(lost), "it hears of it when it comes back", timeout=30)  # type: ignore[misc]
            lost.stop()  # two of them would be a majority of the old group, and go on by themselves
        made.until_nodes(first, 2, managers=1)


def test_the_last_manager_stays() -> None:
    with team(1) as one:
        id = one.node_id(one[0])
        for command in (one[0].docker_result, one[0].shoal):
            refused = command("node", "demote", id)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "attempting to demote the last manager of the swarm" in refused.stderr
            refused = command("swarm", "leave")
            assert "Removing the last manager erases all current state of the swarm" in refused.stderr
        one[0].docker("swarm", "leave", "--force")
        assert one.node_id(one[0]) != id
        one.init()
        one.until_nodes(one[0], 1, managers=1)
