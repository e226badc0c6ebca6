"""A change of the root, step by step as nodes follow; no I/O but a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from common.errors import Conflict, InvalidArgument, Unavailable
from common.identity.token import Token
from common.model import Cluster, ClusterSpec, Node, NodeDescription, NodeStatus
from common.model.node import CAConfig, ExternalCA, TLSInfo
from manager.ca.authority import founded, issuing_root, key_of
from manager.ca.rotation import must_renew, respecified
from manager.ca.tokens import tokens
from manager.loops.root_rotation import RootRotation
from manager.store.base import Changed, Delete, Put
from manager.store.memory_log import MemoryLog
from manager.store.store import StateStore, open_store
from manager.vault import Vault
from tests.harness.authorities import make_authority

VAULT = Vault(bytes(32))


class World:
    """A cluster of three nodes, of which `down` is away. Nodes follow when they are told to."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._loop = RootRotation()

    @property
    def cluster(self) -> Cluster:
        return next(iter(self._store.view().all(Cluster)))

    def node(self, id: str) -> Node:
        found = self._store.view().get(Node, id)
        assert found is not None
        return found

    async def respecify(self, **config: object) -> None:
        spec = ClusterSpec(ca_config=CAConfig(**config))  # type: ignore[arg-type]
        await self._store.commit([Put(respecified(self.cluster, spec, VAULT))])
        await self.settle()

    async def put(self, cluster: Cluster) -> None:
        await self._store.commit([Put(cluster)])

    async def trust(self, *ids: str) -> None:
        """The nodes take the roots that they are told."""
        for id in ids:
            told = self.node(id).description.tls_info or TLSInfo()
            await self._tell(id, replace(told, trust_root=self.cluster.tls_info.trust_root))

    async def renew(self, *ids: str) -> None:
        """The nodes get a certificate by what issues now."""
        for id in ids:
            await self._tell(id, self.cluster.tls_info)

    async def remove(self, id: str) -> None:
        await self._store.commit([Delete(self.node(id))])
        await self.settle()

    async def _tell(self, id: str, told: TLSInfo) -> None:
        node = self.node(id)
        await self._store.commit([Put(replace(node, description=NodeDescription(tls_info=told)))])
        await self.settle()

    async def settle(self) -> None:
        while changes := self._loop.reconcile(self._store.view(), "root"):
            await self._store.commit(changes)  # type: ignore[arg-type]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_store(MemoryLog()) as store:
        states = {"a": "ready", "b": "ready", "down": "down"}
        await store.commit([Put(founded(Cluster(id="cluster0"), VAULT))])
        await store.commit([Put(Node(id=id, status=NodeStatus(state=state))) for id, state in states.items()])
        made = World(store)
        await made.renew("a", "b", "down")
        yield made


async def test_a_root_is_taken_over_in_three_steps(world: World) -> None:
    before = world.cluster
    await world.respecify(force_rotate=1)
    first = world.cluster
    assert first.root_rotation is not None
    assert (first.root_ca, tokens(first, VAULT)) == (before.root_ca, tokens(before, VAULT))
    assert issuing_root(first) == before.root_ca
    assert first.tls_info.trust_root == first.root_rotation.root.certificate + before.tls_info.trust_root
    assert first.tls_info.cert_issuer_public_key == before.tls_info.cert_issuer_public_key
    assert not must_renew(first, world.node("a"))

    await world.trust("a")
    assert world.cluster == first
    await world.trust("b")  # the one that is down is not waited for
    second = world.cluster
    assert second.root_rotation is not None
    assert second.root_rotation.issuing
    assert issuing_root(second) == first.root_rotation.root
    assert second.tls_info.cert_issuer_public_key != before.tls_info.cert_issuer_public_key
    assert must_renew(second, world.node("a"))

    await world.renew("a", "b")
    assert not must_renew(world.cluster, world.node("a"))
    assert world.cluster.root_rotation is not None  # it would be shut out
    await world.renew("down")
    last = world.cluster
    assert last.root_rotation is None
    assert last.root_ca is not None
    assert last.root_ca == replace(first.root_rotation.root, cross_signed="")
    assert last.tls_info.trust_root == last.root_ca.certificate
    shown = tokens(last, VAULT)
    for token in (shown.worker, shown.manager):
        assert Token.parse(token).root_of(last.root_ca.certificate)
    assert last.spec.ca_config.force_rotate == 1


async def test_nothing_leads_a_node_from_an_external_cas_root(world: World) -> None:
    await world.respecify(force_rotate=1)
    cluster = world.cluster
    assert cluster.root_rotation is not None
    alone = replace(cluster.root_rotation, root=replace(cluster.root_rotation.root, cross_signed=""))
    await world.put(replace(cluster, root_rotation=alone))
    await world.trust("a", "b")
    assert issuing_root(world.cluster) == world.cluster.root_ca  # the one that is down would not find the way
    await world.trust("down")
    assert issuing_root(world.cluster) == alone.root


async def test_the_last_step_comes_with_the_removal_of_a_lost_node(world: World) -> None:
    await world.respecify(force_rotate=1)
    await world.trust("a", "b")
    await world.renew("a", "b")
    assert world.cluster.root_rotation is not None
    await world.remove("down")
    assert world.cluster.root_rotation is None


async def test_a_users_root_takes_over_and_its_key_stays_sealed(world: World) -> None:
    pair = make_authority()
    await world.respecify(signing_ca_cert=pair.certificate, signing_ca_key=pair.key)
    rotation = world.cluster.root_rotation
    assert rotation is not None
    assert rotation.root.certificate == pair.certificate
    assert key_of(rotation.root, VAULT) == pair.key
    assert world.cluster.spec.ca_config == CAConfig()
    with pytest.raises(Unavailable):
        key_of(rotation.root, Vault(b"x" * 32))
    await world.respecify(signing_ca_cert=pair.certificate, signing_ca_key=pair.key)  # asked for again: no other change
    assert world.cluster.root_rotation == rotation


async def test_before_the_new_root_issues_another_may_be_chosen(world: World) -> None:
    await world.respecify(force_rotate=1)
    first = world.cluster.root_rotation
    await world.respecify(force_rotate=2)
    assert world.cluster.root_rotation not in (None, first)
    old = world.cluster.root_ca
    assert old is not None
    await world.respecify(signing_ca_cert=old.certificate, force_rotate=2)
    assert world.cluster.root_rotation is None
    assert world.cluster.tls_info.trust_root == old.certificate


async def test_a_change_that_issues_can_only_be_ended_or_turned_back(world: World) -> None:
    old = world.cluster.root_ca
    assert old is not None
    await world.respecify(force_rotate=1)
    await world.trust("a", "b")
    await world.renew("a")
    with pytest.raises(Conflict, match="under way"):
        await world.respecify(force_rotate=2)
    await world.respecify(signing_ca_cert=old.certificate, force_rotate=1)
    assert issuing_root(world.cluster).certificate == old.certificate
    assert issuing_root(world.cluster).cross_signed  # join tokens pin the other one until the end
    assert must_renew(world.cluster, world.node("a"))
    assert not must_renew(world.cluster, world.node("b"))
    await world.renew("a")
    assert (world.cluster.root_ca, world.cluster.root_rotation) == (old, None)


async def test_other_settings_leave_the_root_alone(world: World) -> None:
    before = world.cluster
    await world.respecify(node_cert_expiry=7200 * 10**9)
    assert world.cluster.root_rotation is None
    assert world.cluster.root_ca == before.root_ca


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"signing_ca_cert": make_authority().certificate}, "needs its key"),
        ({"signing_ca_key": make_authority().key, "force_rotate": 1}, "certificate is missing"),
        ({"external_cas": [ExternalCA(url="https://ca", ca_cert=make_authority().certificate)]}, "another root"),
    ],
)
async def test_what_does_not_go_together_is_refused(world: World, config: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        await world.respecify(**config)


async def test_two_roots_of_one_name_cannot_be_told_apart(world: World) -> None:
    one, other = make_authority(name="ours"), make_authority(name="ours")
    await world.respecify(signing_ca_cert=one.certificate, signing_ca_key=one.key)
    await world.trust("a", "b", "down")
    await world.renew("a", "b", "down")
    assert world.cluster.root_rotation is None
    with pytest.raises(InvalidArgument, match="same subject"):
        await world.respecify(signing_ca_cert=other.certificate, signing_ca_key=other.key)


async def test_a_node_that_tells_nonsense_stops_nothing(world: World) -> None:
    await world.respecify(force_rotate=1)
    await world._tell("a", TLSInfo(trust_root="nonsense"))
    await world.trust("b")
    rotation = world.cluster.root_rotation
    assert rotation is not None
    assert not rotation.issuing


def test_only_what_nodes_tell_of_their_trust_is_looked_at() -> None:
    loop, node = RootRotation(), Node(id="a")
    told = replace(node, description=NodeDescription(tls_info=TLSInfo(trust_root="x")))
    assert loop.keys(Changed(node, told)) == ["root"]
    assert loop.keys(Changed(node, None)) == ["root"]
    assert loop.keys(Changed(told, replace(told, description=replace(told.description, hostname="h")))) == []
    assert loop.keys(Changed(Cluster(id="c"), Cluster(id="c"))) == []


def test_a_cluster_of_its_own_has_no_root_to_change() -> None:
    spec = ClusterSpec(ca_config=CAConfig(force_rotate=1))
    with pytest.raises(Conflict, match="swarm init"):
        respecified(Cluster(id="c"), spec, VAULT)
