"""Takes a change of the cluster's root through its steps, as the nodes follow. What a step is says manager/ca/rotation.py.

A node that is down may miss the first step where the old root signed the new one: that leads it there when it comes back. The
last step waits for every node, or for its removal: whoever had no certificate by the new root would be shut out.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.model import Cluster, Node
from manager.ca.rotation import finished, issuing, must_renew, trusts_both
from manager.loops.base import Wake
from manager.store.base import Change, Changed, Put, View

KEY = "root"


class RootRotation:
    name = "root rotation"
    serial = False

    def keys(self, change: Changed) -> Iterable[str]:
        return [KEY] if _matters(change) else []

    def start(self, view: View) -> Iterable[str]:
        return [KEY]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        cluster = next(iter(view.all(Cluster)), None)
        if cluster is None or cluster.root_rotation is None:
            return []
        nodes, rotation = view.all(Node), cluster.root_rotation
        if rotation.issuing:
            if any(must_renew(cluster, node) for node in nodes):
                return []
            return [Put(finished(cluster))]
        led = bool(rotation.root.cross_signed)
        if all(trusts_both(cluster, node) for node in nodes if not (led and node.status.state == "down")):
            return [Put(issuing(cluster))]
        return []


def _matters(change: Changed) -> bool:
    before, after = change.before, change.after
    if isinstance(after, Cluster):
        return after.root_rotation is not None
    if not isinstance(change.object, Node):
        return False
    return not (
        isinstance(before, Node)
        and isinstance(after, Node)
        and before.description.tls_info == after.description.tls_info
        and before.status.state == after.status.state
    )
