"""Whatever users ask for and in whatever order nodes follow: at no moment of a change of root do two nodes fail to verify each other."""

from __future__ import annotations

import base64
from contextlib import suppress
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.errors import Conflict
from common.identity.certificate import Certificate, bundle
from common.model import EPOCH, Cluster, ClusterSpec, Node, NodeDescription, NodeStatus
from common.model.node import CAConfig, RootCA, TLSInfo
from manager.ca.authority import founded, issuing_root
from manager.ca.rotation import respecified
from manager.loops.root_rotation import RootRotation
from manager.store.base import Put
from manager.store.codec import decode_transaction, encode_transaction
from manager.store.foreign import Foreign
from manager.store.store import StateMachine
from manager.store.transaction import execute
from manager.store.view import LiveView
from manager.vault import Vault

VAULT = Vault(bytes(32))
NODES = ("a", "b", "c")
OF_NODES = [(action, id) for action in ("trust", "trust", "renew", "down", "up") for id in NODES]
STEPS = st.lists(st.sampled_from([*OF_NODES, ("rotate", ""), ("back", "")]), min_size=12, max_size=30).map(
    lambda steps: [("rotate", ""), *steps]
)


@cache
def start() -> Cluster:
    return founded(Cluster(id="cluster0"), VAULT)


class World:
    """Nodes keep what they were given: the roots that they trust, and the root by which they have their certificate."""

    def __init__(self) -> None:
        self._machine = StateMachine()
        self._revision = 0
        self._loop = RootRotation()
        self._commit(Put(start()))
        self.holds = dict.fromkeys(NODES, issuing_root(self.cluster))
        self.trusts = dict.fromkeys(NODES, self.cluster.tls_info.trust_root)
        self._down: set[str] = set()
        self._commit(*(Put(Node(id=id, status=NodeStatus(state="ready"))) for id in NODES))
        for id in NODES:
            self._tell(id)

    @property
    def cluster(self) -> Cluster:
        return next(iter(self._view.all(Cluster)))

    @property
    def _view(self) -> LiveView:
        return LiveView(self._machine.tables, EPOCH)

    def do(self, action: str, id: str) -> None:
        if action == "rotate":
            self._respecify(force_rotate=self.cluster.spec.ca_config.force_rotate + 1)
        elif action == "back" and self.cluster.root_ca:
            self._respecify(signing_ca_cert=self.cluster.root_ca.certificate)
        elif action in ("down", "up"):
            (self._down.add if action == "down" else self._down.discard)(id)
            self._put(id, status=NodeStatus(state="down" if action == "down" else "ready"))
        elif id and id not in self._down:
            if action == "renew":
                self.holds[id] = issuing_root(self.cluster)
            self.trusts[id] = self.cluster.tls_info.trust_root
            self._tell(id)
        while changes := self._loop.reconcile(self._view, "root"):
            self._commit(*changes)  # type: ignore[arg-type]

    def _respecify(self, **config: object) -> None:
        kept = {"force_rotate": self.cluster.spec.ca_config.force_rotate, **config}
        with suppress(Conflict):  # another change is under way
            self._commit(Put(respecified(self.cluster, ClusterSpec(ca_config=CAConfig(**kept)), VAULT)))  # type: ignore[arg-type]

    def _tell(self, id: str) -> None:
        issuer = Certificate.of_pem(self.holds[id].certificate)
        key = next(
            (c.public_key for c in map(Certificate.of_der, bundle(self.trusts[id])) if c.subject == issuer.subject), b""
        )
        text = base64.b64encode(key).decode()
        info = TLSInfo(trust_root=self.trusts[id], cert_issuer_public_key=text)
        self._put(id, description=NodeDescription(tls_info=info))

    def _put(self, id: str, **changes: object) -> None:
        node = self._view.get(Node, id)
        assert node is not None
        self._commit(Put(replace(node, **changes)))

    def _commit(self, *changes: Put) -> None:
        self._revision += 1
        execute(self._machine.tables, self._revision, decode_transaction(encode_transaction(changes, EPOCH, Foreign())))

    def check(self) -> None:
        """Servers trust what the cluster says at once; clients trust what they were told."""
        for id in NODES:
            assert verifies(self.cluster.tls_info.trust_root, self.holds[id]), f"managers do not let {id} in"
            for other in NODES:
                assert verifies(self.trusts[id], self.holds[other]), f"{id} does not trust {other}"
            assert verifies(self.trusts[id], issuing_root(self.cluster)), f"{id} does not trust new certificates"
        assert self.cluster.root_ca is not None
        assert verifies(self.cluster.root_ca.certificate, issuing_root(self.cluster)), "join tokens lead nowhere"


def verifies(trust: str, issuer: RootCA) -> bool:
    """Whether one who trusts the roots `trust` takes a certificate by `issuer`, with what comes with it."""
    roots = [Certificate.of_der(der) for der in bundle(trust)]
    chain = [issuer.certificate, *([issuer.cross_signed] if issuer.cross_signed else [])]
    offered = [Certificate.of_pem(text) for text in chain]
    return any(
        root.public_key == offer.public_key or root.subject == offer.issuer for root in roots for offer in offered
    )


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nodes_verify_each_other_throughout(steps: list[tuple[str, str]]) -> None:
    world = World()
    for action, id in steps:
        world.do(action, id)
        world.check()


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_a_change_ends_once_all_nodes_follow(steps: list[tuple[str, str]]) -> None:
    world = World()
    for action, id in steps:
        world.do(action, id)
    for action in ("up", "trust", "renew", "trust"):
        for id in NODES:
            world.do(action, id)
    assert world.cluster.root_rotation is None
    world.check()
