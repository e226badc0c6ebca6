"""The group of managers against the nodes' roles: statuses, who is too many, who was replaced, who may be demoted."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import Conflict, InvalidArgument
from common.model import Node, NodeSpec
from common.model.node import ManagerStatus
from manager.api.nodes import refuse_demotion
from manager.members import DEAD, Watch, statuses, surplus
from manager.raft.membership import Member


class Nodes:
    """A view of nodes only."""

    def __init__(self, *nodes: Node) -> None:
        self._nodes = {node.id: node for node in nodes}

    def get(self, kind: Any, id: str) -> Node | None:
        return self._nodes.get(id)

    def count(self, kind: Any) -> int:
        return len(self._nodes)

    def all(self, kind: Any) -> list[Node]:
        return list(self._nodes.values())


def node(id: str, role: str = "manager", reachability: str = "reachable") -> Node:
    status = ManagerStatus(reachability=reachability, addr=f"{id}:2377") if reachability else None
    return Node(id=id, spec=NodeSpec(role=role), manager_status=status)


def member(id: str, *, leader: bool = False, reachable: bool = True, voter: bool = True) -> Member:
    return Member(id, f"{id}:2377", voter=voter, leader=leader, reachable=reachable)


def view(*nodes: Node) -> Any:
    return Nodes(*nodes)


def test_statuses_follow_the_group() -> None:
    nodes = view(node("a"), node("b"), node("c", reachability=""), node("w", "worker", ""))
    changes = statuses(nodes, [member("a", leader=True), member("b", reachable=False), member("c")])
    found = {c.object.id: c.object.manager_status for c in changes if isinstance(c.object, Node)}
    assert found == {
        "a": ManagerStatus(leader=True, reachability="reachable", addr="a:2377"),
        "b": ManagerStatus(leader=False, reachability="unreachable", addr="b:2377"),
        "c": ManagerStatus(leader=False, reachability="reachable", addr="c:2377"),
    }
    assert [*statuses(view(node("a")), [member("a")])] == []


def test_members_without_a_managers_role_leave_and_the_leader_last() -> None:
    nodes = view(node("a", "worker"), node("b", "worker"), node("c"))
    assert surplus(nodes, [member("a", leader=True), member("b"), member("c"), member("gone")]) == ["b", "gone", "a"]


def test_nobody_leaves_a_cluster_that_only_begins() -> None:
    assert surplus(view(), [member("a", leader=True)]) == []


def test_a_dead_manager_goes_once_another_has_come() -> None:
    watch = Watch()
    old = [member("a", leader=True), member("b"), member("c", reachable=False)]
    watch.look(old, 0)
    watch.look(old, DEAD + 1)
    assert [*watch.replaced(old, DEAD + 1)] == []
    new = [*old, member("d")]
    watch.look(new, DEAD + 2)
    assert [*watch.replaced(new, DEAD + 2)] == ["c"]


def test_a_manager_that_came_back_stays() -> None:
    watch = Watch()
    watch.look([member("a", leader=True), member("c", reachable=False)], 0)
    back = [member("a", leader=True), member("c"), member("d")]
    watch.look(back, DEAD + 1)
    assert [*watch.replaced(back, DEAD + 2)] == []


def test_a_newcomer_that_fell_silent_at_once_replaces_nobody() -> None:
    watch = Watch()
    watch.look([member("a", leader=True), member("c", reachable=False)], 0)
    members = [member("a", leader=True), member("c", reachable=False), member("d", reachable=False)]
    watch.look(members, 1)
    assert [*watch.replaced(members, DEAD + 2)] == []


def test_the_last_manager_stays_one() -> None:
    with pytest.raises(InvalidArgument, match="last manager"):
        refuse_demotion(view(node("a"), node("w", "worker", "")), node("a"))


def test_a_demotion_that_would_lose_the_quorum_is_refused() -> None:
    three = view(node("a"), node("b"), node("c", reachability="unreachable"))
    with pytest.raises(Conflict, match="2 managers, of whom 1 can be reached"):
        refuse_demotion(three, node("b"))
    refuse_demotion(three, node("c"))
