"""When a manager becomes a worker is noted once."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from common.model import EPOCH, Node, NodeSpec
from common.model.node import ManagerStatus
from manager.loops.roles import Roles
from manager.store.base import Changed, Put
from manager.store.tables import Tables
from manager.store.view import LiveView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANAGER = Node(id="a", spec=NodeSpec(role="manager"))


def after(node: Node) -> Node:
    """The node once the loop has done what it wants."""
    loop, tables = Roles(), Tables()
    tables.set(None, node)
    if not [*loop.keys(Changed(None, node))]:
        assert loop.reconcile(LiveView(tables, NOW), "a") == []
        return node
    (change,) = loop.reconcile(LiveView(tables, NOW), "a")
    assert isinstance(change, Put)
    assert isinstance(change.object, Node)
    assert [*loop.start(LiveView(tables, NOW))] == ["a"]
    return change.object


def test_managers_come_and_go() -> None:
    one = after(MANAGER)
    assert (one.manages, one.demoted_at) == (True, EPOCH)
    assert after(one) == one
    leaving = replace(one, spec=NodeSpec(role="worker"), manager_status=ManagerStatus())
    assert after(leaving) == leaving  # it is one until it has left the group
    gone = after(replace(leaving, manager_status=None))
    assert (gone.manages, gone.demoted_at) == (False, NOW)
    back = after(replace(gone, spec=NodeSpec(role="manager")))
    assert (back.manages, back.demoted_at) == (True, NOW)


def test_a_node_that_is_gone() -> None:
    loop = Roles()
    assert [*loop.keys(Changed(MANAGER, None))] == []
    assert loop.reconcile(LiveView(Tables(), NOW), "a") == []
