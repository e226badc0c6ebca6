"""What a node is told of its own membership: the role it is wanted in, where managers are, whom to trust."""

from __future__ import annotations

from collections.abc import Callable

from common import wire
from common.model import Cluster, Node
from manager.ca import removal
from manager.ca.endpoints import manager_addresses
from manager.ca.rotation import must_renew
from manager.store.base import Changed, Store, View

UnlockKey = Callable[[Cluster], str | None]


class Memberships:
    """What all nodes share is found once per change, however many ask. `note` hears of every change of the store."""

    def __init__(self, store: Store, unlock_key: UnlockKey) -> None:
        self._store = store
        self._unlock_key = unlock_key
        self._managers: list[str] | None = None

    def note(self, changed: Changed) -> None:
        if concerns_all(changed):
            self._managers = None

    def of(self, node_id: str) -> wire.Membership | None:
        """None for a node that is gone, and in a cluster of one that nobody has made."""
        view = self._store.view()
        node, cluster = view.get(Node, node_id), next(iter(view.all(Cluster)), None)
        if node is None or cluster is None or cluster.root_ca is None:
            return None
        role = removal.role(node)
        return wire.Membership(
            role=role,
            managers=self._addresses(view),
            roots=cluster.tls_info.trust_root,
            renew=must_renew(cluster, node),
            leaving=role != node.spec.role,
            unlock_key=self._unlock_key(cluster) if role == "manager" else None,
        )

    def _addresses(self, view: View) -> list[str]:
        if self._managers is None:
            self._managers = manager_addresses(view)
        return self._managers


def concerns_all(changed: Changed) -> bool:
    """Whether every node has to hear of it: the cluster's own change, and managers that come and go."""
    before, after = changed.before, changed.after
    if isinstance(changed.object, Cluster):
        return True
    known = [node.manager_status if isinstance(node, Node) else None for node in (before, after)]
    return isinstance(changed.object, Node) and known[0] != known[1]


def concerns_itself(changed: Changed) -> bool:
    """Whether the node that changed has to hear of it: its role, and what it tells of its trust."""
    before, after = changed.before, changed.after
    if not isinstance(before, Node) or not isinstance(after, Node):
        return False
    return before.spec.role != after.spec.role or before.description.tls_info != after.description.tls_info
