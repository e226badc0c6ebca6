"""Liveness: a node whose session is lost is down once its grace is over. Sessions themselves are the dispatcher's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from common.model import Node
from manager.loops.base import Wake
from manager.loops.slots import replace
from manager.store.base import Change, Changed, Put, View

GRACE = timedelta(seconds=15)  # three heartbeats


class Liveness:
    """Keys are node ids."""

    name = "liveness"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        return (change.object.id,) if isinstance(change.object, Node) else ()

    def start(self, view: View) -> Iterable[str]:
        return [node.id for node in view.all(Node)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        node = view.get(Node, key)
        if node is None or node.status.state not in ("unknown", "disconnected"):
            return []
        due = node.updated_at + GRACE
        if view.now < due:
            return [Wake(key, due)]
        return [Put(replace(node, status=replace(node.status, state="down", message="heartbeat failure")))]
