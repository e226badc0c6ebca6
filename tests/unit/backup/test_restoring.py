"""What a backup becomes: one manager, former ones that are workers, and versions that nobody has seen."""

from __future__ import annotations

from datetime import UTC, datetime

from common.backup import Content
from common.model import Cluster, Node, Secret, SecretSpec
from manager.backup.restoring import BEYOND, capture, restored
from manager.bootstrap import seed
from manager.ca.authority import key_of
from manager.store.codec import decode_snapshot, encode_transaction
from manager.store.store import StateMachine
from manager.store.view import LiveView
from manager.vault import Vault
from tests.harness.manager import CLUSTER, OWN, manager

ADDRESS = "10.0.0.9:2377"


async def test_the_former_managers_are_workers_and_all_else_stays() -> None:
    async with manager() as server:
        worker = await server.join("worker")
        vault = server.context.vault
        await server.put(Secret(id="s", spec=SecretSpec(name="s", data=vault.seal("s", b"hush"))))
        cluster, content = await capture(server.store, vault.key)
    made = restored(content, "new", ADDRESS)
    revision, received, left = decode_snapshot(made.state)
    found = {(type(o), o.id): o for o, _ in received}
    assert (made.index, left) == (content.revision + BEYOND, None)
    assert revision == made.index
    assert found[Cluster, CLUSTER] == cluster
    assert vault.open(found[Secret, "s"]).spec.data == b"hush"  # type: ignore[arg-type]
    old, own, same = (found[Node, id] for id in (OWN, "new", worker.node_id))
    for found_node in (old, own, same):
        assert isinstance(found_node, Node)
    assert (old.spec.role, old.manager_status, old.manages) == ("worker", None, False)
    assert old.demoted_at.timestamp() > 0
    assert own.manager_status is not None
    assert (own.spec.role, own.manager_status.addr, own.manages) == ("manager", ADDRESS, True)
    assert same.version.index <= content.revision


def test_a_cluster_of_one_becomes_one_that_others_can_join() -> None:
    machine, vault, now = StateMachine(), Vault(bytes(32)), datetime.now(UTC)
    changes = seed(LiveView(machine.tables, now), "old", ["10.0.0.0/8"])
    machine.apply(1, encode_transaction(changes, now, machine.foreign))
    made = restored(Content(cluster_key=vault.key, revision=1, state=machine.legacy()()), "new", ADDRESS)
    assert made.cluster.root_ca is not None
    assert not made.cluster.implicit
    assert "PRIVATE KEY" in key_of(made.cluster.root_ca, vault)
