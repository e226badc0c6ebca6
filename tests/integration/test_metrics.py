"""Metrics of real nodes, read as Prometheus does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.harness.certificates import Authority
from tests.harness.cluster import team
from tests.harness.daemon import Daemon, daemon
from tests.harness.images import busybox_archive
from tests.harness.services import Services
from tests.harness.wait import until

Numbers = dict[tuple[str, ...], float]


def read(text: str) -> Numbers:
    """(name, label values…) → value. Every family comes once."""
    families = [*parse(text)]
    assert len({family.name for family in families}) == len(families)
    return {(sample.name, *sample.labels.values()): sample.value for one in families for sample in one.samples}


def numbers(of: Daemon) -> Numbers:
    return read(of.curl("/metrics"))


def over_tls(asked: str, by: Daemon, folder: Path) -> subprocess.CompletedProcess[str]:
    """The metrics of the manager at `asked`, by another node's certificate."""
    identity = json.loads((by.root / "swarm" / "identity.json").read_text())
    (folder / "roots.pem").write_text(identity["roots"])
    (folder / "own.pem").write_text(identity["keys"]["tls"] + identity["certificate"])
    host, port = asked.split(":")
    options = ("--cacert", f"{folder}/roots.pem", "--cert", f"{folder}/own.pem")
    place = ("--resolve", f"shoal-manager:{port}:{host}", f"https://shoal-manager:{port}/shoal/v1/metrics")
    return subprocess.run(by.inside("curl", "-sS", *options, *place), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_managers_and_workers_tell_what_they_do(tmp_path: Path) -> None:
    with team(2, 1) as made:
        leader, worker = made.leader(made[0]), made[2]
        other = next(one for one in made.daemons[:2] if one is not leader)
        for one in made.daemons:
            one.docker("load", "-i", str(busybox_archive()))
        services = Services(leader)
        services.create("web", "--replicas", "4", "--constraint", f"node.id=={made.node_id(worker)}")
        services.until_running("web", 4)
        led, followed = numbers(leader), numbers(other)
        assert (led["shoal_leader",], followed["shoal_leader",]) == (1, 0)
        assert led["shoal_raft_term",] == followed["shoal_raft_term",] >= 1
        assert led["shoal_tasks", "running"] == 4
        assert led["shoal_nodes", "ready"] == 3
        assert led["shoal_managers", "reachable"] == 2
        assert led["shoal_objects", "service"] == 1
        assert led["shoal_raft_commit_index",] >= led["shoal_raft_applied_index",] > 0
        assert led["shoal_commit_seconds_count",] > 0
        assert led["shoal_loop_seconds_count", "scheduler"] > 0
        assert led["shoal_loop_backlog", "scheduler"] == 0
        assert ("shoal_loop_backlog", "scheduler") not in followed
        assert led["shoal_raft_messages_total", "sent"] > 0
        assert led["shoal_raft_log_bytes",] > 0
        assert led["shoal_sessions",] + followed["shoal_sessions",] == 3
        assert led["shoal_worker_manager_up",] == led["shoal_worker_session_up",] == 1
        assert led["shoal_manager_resident_memory_bytes",] > 1 << 20
        own = numbers(worker)
        assert own["shoal_worker_containers", "running"] == 4
        assert own["shoal_worker_actions_total", "start", "done"] == 4
        assert own["shoal_worker_session_up",] == own["shoal_worker_images",] == 1
        assert not [name for name, *_ in own if name.startswith("shoal_raft") or name == "shoal_worker_manager_up"]
        address = made.address(leader)
        assert read(over_tls(address, other, tmp_path).stdout)["shoal_leader",] == 1
        assert "this is for managers only" in over_tls(address, worker, tmp_path).stdout
        other.kill()
        until(lambda: numbers(leader).get(("shoal_raft_has_leader",)) == 0, "metrics without a quorum")
        services.close()


def test_over_tcp_a_clients_certificate_is_needed(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    authority.issue("server", use="server")
    certificate, key = authority.issue("client", use="client")
    folder = authority.folder
    files = [f"--tls-ca={authority.file}", f"--tls-cert={folder}/server.pem", f"--tls-key={folder}/server-key.pem"]
    with daemon(start=False) as made:
        made.flags = ("--hosts", made.url, "--hosts", "tcp://127.0.0.1:2376", *files)
        made.start()
        asking = made.inside("curl", "-sS", "--cacert", str(authority.file), "https://127.0.0.1:2376/metrics")
        refused = subprocess.run(asking, capture_output=True, text=True, check=False)
        assert (refused.returncode != 0, refused.stdout) == (True, "")
        known = [*asking, "--cert", str(certificate), "--key", str(key)]
        until(lambda: made.docker("node", "ls", "-q").strip(), "the manager answers")
        found = read(subprocess.run(known, capture_output=True, text=True, check=True).stdout)
        assert found["shoal_leader",] == 1
        lines = [json.loads(line) for line in made.log.read_text().splitlines() if line.startswith("{")]
        node = made.docker("info", "-f", "{{.Swarm.NodeID}}").strip()
        assert {line["component"] for line in lines if line.get("node") == node} == {"shoald", "manager"}
