"""Notes when a manager becomes a worker: certificates from before that are no manager's any more (manager/ca/guard.py)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from common.model import Node
from manager.ca import removal
from manager.loops.base import Wake
from manager.store.base import Change, Changed, Put, View


class Roles:
    """The one writer of `Node.manages` and `Node.demoted_at`, but for their beginning."""

    name = "roles"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        return [change.after.id] if isinstance(change.after, Node) and _differs(change.after) else []

    def start(self, view: View) -> Iterable[str]:
        return [node.id for node in view.all(Node) if _differs(node)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        node = view.get(Node, key)
        if node is None or not _differs(node):
            return []
        since = view.now if node.manages else node.demoted_at
        return [Put(replace(node, manages=not node.manages, demoted_at=since))]


def _differs(node: Node) -> bool:
    return (removal.role(node) == "manager") != node.manages
