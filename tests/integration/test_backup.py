"""Backups, a new life from one, and going on without a quorum: what was there must be there, and tasks run on untouched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cluster import PORT, team
from tests.harness.daemon import Daemon
from tests.harness.etcd import etcd
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until

READS_IT = ("sh", "-c", "cat /run/secrets/pass && sleep 100000")


def containers(one: Daemon) -> set[str]:
    return set(one.docker("ps", "-q", "--no-trunc").split())


def passphrase(folder: Path, text: str = "correct horse") -> str:
    path = folder / f"{text.split()[0]}.txt"
    path.write_text(text + "\n")
    return str(path)


def deploy(by: Daemon, services: Services, *options: str) -> None:
    by.docker("secret", "create", "pass", "-", stdin="hush")
    by.docker("config", "create", "conf", "-", stdin="a=b")
    by.docker("network", "create", "-d", "overlay", "net")
    given = ("--secret", "pass", "--config", "conf", "--network", "net")
    services.create("web", "--replicas", "2", *given, *options, command=READS_IT)
    services.until_running("web", 2)


def listed(by: Daemon) -> dict[str, Any]:
    names = {kind: sorted(by.docker(kind, "ls", "-q").split()) for kind in ("service", "secret", "config")}
    token = by.docker("swarm", "join-token", "-q", "worker")
    overlay = by.docker("network", "ls", "-q", "--no-trunc", "--filter", "driver=overlay").split()
    return {
        **names,
        "token": token,
        "networks": sorted(overlay),
        "swarm": by.docker("info", "-f", "{{.Swarm.Cluster.ID}}"),
    }


def test_a_cluster_goes_on_from_its_backup(tmp_path: Path) -> None:
    with team(2, 2, form=False) as made:
        first, other, worker, fresh = made.daemons
        made.init()
        made.join(other, "manager")
        made.join(worker, "worker")
        made.until_nodes(first, 3, managers=2)
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        first.docker("node", "update", "--availability", "drain", made.node_id(first))
        services = Services(other)
        deploy(other, services, "--replicas-max-per-node", "1")
        ids = {made.node_id(one) for one in (first, other, worker)}
        before, running = listed(first), [containers(one) for one in (other, worker)]
        services.close()

        file, key = tmp_path / "cluster.backup", passphrase(tmp_path)
        told = other.shoal("cluster", "backup", "--passphrase-file", key, str(file))
        assert told.returncode == 0, told.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for secret in (b"hush", b"BEGIN", before["token"].strip().encode()):
            assert secret not in file.read_bytes()
        refused = fresh.shoal("cluster", "restore", "--passphrase-file", passphrase(tmp_path, "wrong"), str(file))
        assert "does not open with this passphrase" in refused.stderr
        refused = first.shoal("cluster", "restore", "--passphrase-file", key, str(file))
        assert "already part of a swarm" in refused.stderr

        first.kill()  # the other manager has no quorum any more
        place = ("--listen-addr", f"0.0.0.0:{PORT}", "--advertise-addr", made.address(first))
        told = fresh.shoal("cluster", "restore", "--passphrase-file", key, *place, str(file))
        assert told.returncode == 0, told.stderr
        assert listed(fresh) == before
        own = made.node_id(fresh)
        assert own not in ids
        assert {one["ID"] for one in made.nodes(fresh)} == {*ids, own}
        made.until_nodes(fresh, 3, managers=1)
        until(lambda: "not a swarm manager" in other.docker_result("node", "ls").stderr, "it is a worker now")
        after = Services(fresh)
        try:
            after.until_running("web", 2)
            assert [containers(one) for one in (other, worker)] == running
            after.update("web", "--replicas", "3", "--replicas-max-per-node", "2")
            after.until_running("web", 3)
            (new,) = set().union(*map(containers, made.daemons[1:])) - set().union(*running)
            holder = next(one for one in made.daemons[1:] if new in containers(one))
            until(lambda: holder.docker("logs", new).strip() == "hush", "a new task reads the secret")
            after.remove("web")
        finally:
            after.close()
        fresh.stop()
        fresh.start()
        made.until_nodes(fresh, 3, managers=1)


def test_a_node_alone_is_backed_up_and_restored_too(tmp_path: Path) -> None:
    with team(2, form=False) as two:
        one, fresh = two.daemons
        one.docker("secret", "create", "pass", "-", stdin="hush")
        file = tmp_path / "cluster.backup"
        assert "a passphrase is needed" in one.shoal("cluster", "backup", str(file)).stderr
        told = one.shoal("cluster", "backup", "--unsealed", str(file))
        assert "not sealed" in told.stderr
        fresh.docker("load", "-i", str(busybox_archive()))
        services = Services(fresh)
        with services.service("own"):
            refused = fresh.shoal("cluster", "restore", str(file))
            assert "1 services of its own, which restoring would end" in refused.stderr
        services.close()
        file.write_bytes(file.read_bytes()[:-1])
        assert "is damaged" in fresh.shoal("cluster", "restore", str(file)).stderr
        assert one.shoal("cluster", "backup", "--unsealed", str(file)).returncode == 0
        place = ("--listen-addr", "0.0.0.0:2400", "--advertise-addr", f"{fresh.address}:2400")
        told = fresh.shoal("cluster", "restore", *place, str(file))
        assert told.returncode == 0, told.stderr
        assert json.loads(fresh.docker("secret", "inspect", "pass"))[0]["Spec"]["Name"] == "pass"
        assert fresh.docker("swarm", "join-token", "-q", "worker").startswith("SWMTKN-1-")


@pytest.mark.slow
def test_one_manager_goes_on_after_the_loss_of_the_quorum() -> None:
    with team(3, 2, form=False) as made:
        left, dead, gone, worker, fresh = made.daemons
        made.init()
        for one, role in ((dead, "manager"), (gone, "manager"), (worker, "worker")):
            made.join(one, role)
        made.until_nodes(left, 4, managers=3)
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        services = Services(left)
        deploy(left, services, "--constraint", "node.role==worker")
        before, running = listed(left), containers(worker)
        lost = {made.node_id(one) for one in (dead, gone)}
        dead.kill()
        gone.kill()
        until(lambda: "does not have a leader" in left.docker("info"), "the quorum is lost")
        told = left.docker_result("swarm", "init", "--force-new-cluster")
        assert told.returncode == 0, told.stderr
        assert listed(left) == before
        assert not lost & {one["ID"] for one in made.nodes(left)}
        made.until_nodes(left, 2, managers=1)
        services.until_running("web", 2)
        assert containers(worker) == running
        made.join(fresh, "manager")
        made.until_nodes(left, 3, managers=2)
        gone.start()
        until(lambda: "was removed. Let it leave and join anew" in gone.log.read_text(), "its session is refused")
        assert gone.docker_result("service", "create", "--detach", "busybox").returncode != 0
        gone.docker("swarm", "leave", "--force")
        made.join(gone, "manager")
        made.until_nodes(left, 4, managers=3)
        services.remove("web")
        services.close()


def test_a_locked_cluster_whose_state_lies_in_etcd(tmp_path: Path) -> None:
    with team(2, form=False) as two:
        one, fresh = two.daemons
        two.init("--autolock")
        one.docker("secret", "create", "pass", "-", stdin="hush")
        key = one.docker("swarm", "unlock-key", "-q").strip()
        file = tmp_path / "cluster.backup"
        with etcd(1, inside=one.inside()) as server:
            told = one.shoal("cluster", "migrate", "--to", server.store, "--prefix", "/shoal/test")
            assert told.returncode == 0, told.stderr
            told = one.shoal("cluster", "backup", "--passphrase-file", passphrase(tmp_path), str(file))
            assert told.returncode == 0, told.stderr
            metrics = one.curl("/metrics")
            assert "shoal_leader 1.0" in metrics
            assert "shoal_raft_" not in metrics
            before = listed(one)
            one.stop()
        place = ("--listen-addr", f"0.0.0.0:{PORT}", "--advertise-addr", two.address(one))
        told = fresh.shoal("cluster", "restore", "--passphrase-file", passphrase(tmp_path), *place, str(file))
        assert told.returncode == 0, told.stderr
        assert listed(fresh) == before
        assert json.loads((fresh.root / "swarm" / "identity.json").read_text())["keys"] is None
        fresh.stop()
        fresh.start()
        assert "Swarm is encrypted" in fresh.docker_result("secret", "ls").stderr
        fresh.docker("swarm", "unlock", stdin=key + "\n")
        assert listed(fresh) == before
