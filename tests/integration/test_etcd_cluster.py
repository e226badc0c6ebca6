"""A cluster of several daemons whose state moves into etcd, lives there through bad days, and moves back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness.cluster import Team, team
from tests.harness.daemon import Daemon
from tests.harness.etcd import Etcd, etcd
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until


@pytest.fixture
def cluster() -> Iterator[Team]:
    with team(3, 1) as made:
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        yield made


def place(one: Daemon) -> str:
    """Which store the daemon's manager serves from."""
    answer = json.loads(one.curl("/shoal/v1/cluster/store", check=False) or "{}")
    return str(answer.get("store", ""))


def move(cluster: Team, by: Daemon, store: str, *options: str) -> None:
    told = by.shoal("cluster", "migrate", "--to", store, *options)
    assert told.returncode == 0, told.stderr
    until(lambda: all(place(one) == store for one in cluster.daemons[:3]), f"all managers serve from {store}")
    cluster.until_nodes(by, 4, managers=3)


def containers(cluster: Team) -> set[str]:
    return {id for one in cluster.daemons for id in one.docker("ps", "-q", "--no-trunc").split()}


def bad_days(cluster: Team, services: Services, server: Etcd) -> None:
    """etcd's leader dies, then ours, then a manager starts again with nothing but its identity."""
    server.leader.kill()
    cluster[2].docker("service", "scale", "--detach", "web=5")
    services.until_running("web", 5)
    server.start()
    leader = cluster.leader(cluster[0])
    leader.kill()
    other = next(one for one in cluster.daemons[:3] if one is not leader)
    until(lambda: cluster.leader(other) is not leader, "another manager leads")
    other.docker("service", "scale", "--detach", "web=6")
    leader.start()
    cluster.until_nodes(other, 4, managers=3)
    services.until_running("web", 6)


def come_and_go(cluster: Team) -> None:
    """The worker becomes a manager, which has to find the state where its settings do not say, and a worker again."""
    id, store = cluster.node_id(cluster[3]), place(cluster[0])
    cluster[0].docker("node", "promote", id)
    cluster.until_nodes(cluster[0], 4, managers=4)
    until(lambda: place(cluster[3]) == store, "the new manager serves from where the others do")
    cluster[0].docker("node", "demote", id)
    cluster.until_nodes(cluster[0], 4, managers=3)


def test_a_cluster_moves_to_etcd_and_back(cluster: Team) -> None:
    first, services = cluster[0], Services(cluster[1])
    with etcd(3, inside=first.inside()) as server:
        try:
            services.create("web", "--replicas", "4")
            services.until_running("web", 4)
            before = containers(cluster)
            move(cluster, first, server.store, "--prefix", "/shoal/team")
            assert not any((one.root / "raft").exists() for one in cluster.daemons)
            assert containers(cluster) == before
            bad_days(cluster, services, server)
            come_and_go(cluster)
            assert before <= containers(cluster)
            before = containers(cluster)
            move(cluster, cluster[2], "raft")
            assert containers(cluster) == before
            come_and_go(cluster)
            server.kill()
            cluster[1].docker("service", "scale", "--detach", "web=2")
            services.until_running("web", 2)
        finally:
            first.docker("service", "rm", "web", check=False)
            for one in cluster.daemons:
                until(lambda one=one: not one.docker("ps", "-q").split(), "the containers are gone")  # type: ignore[misc]
            services.close()
