"""Joining, renewing and being let in over real TLS on loopback: who gets a certificate, and what it is good for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from common import places
from common.errors import Forbidden, InvalidArgument, ShoalError, TooLarge, Unauthorized, Unavailable
from common.identity import Identity, Keys, requests
from common.identity.certificate import Certificate
from common.identity.requests import JoinRequest
from common.identity.tls import SERVER_NAME, Peer, Tls, pinned
from common.identity.token import token_of
from common.identity.trust import tls_info
from common.ids import object_id
from common.model import Node, NodeDescription, NodeSpec
from common.model.node import CAConfig, ManagerStatus
from manager.api.server import application, serve
from manager.ca import endpoints, removal
from manager.ca.authority import key_of
from manager.ca.certificates import issue
from manager.ca.endpoints import Certification
from manager.ca.guard import RAFT, SESSION
from manager.ca.rotation import respecified
from manager.ca.tokens import renewed
from manager.loops.roles import Roles
from tests.harness.authorities import make_authority
from tests.harness.identities import Root
from tests.harness.manager import CLUSTER, OWN, Manager, identity_of, manager

STATUS = "/shoal/v1/status"


@pytest.fixture
async def server() -> AsyncIterator[Manager]:
    async with manager() as made:
        yield made


async def ask(server: Manager, identity: Identity, path: str) -> Any:
    """What the port answers the node at `path`. Raises what it refuses with."""
    return msgspec.json.decode(await requests.send("GET", server.address, path, Tls(identity).client))


async def renew(server: Manager, identity: Identity) -> Identity:
    key, csr = requests.make_key()
    return identity_of(await requests.renew(server.address, Tls(identity).client, csr), key)


def issued(server: Manager, peer: Peer, life: timedelta) -> Identity:
    """A certificate that the cluster's root really signed."""
    key, csr = requests.make_key()
    root = server.cluster.root_ca
    assert root is not None
    certificate = issue(csr, peer, life, root.certificate, key_of(root, server.context.vault))
    return Identity(
        node_id=peer.node_id,
        cluster_id=CLUSTER,
        certificate=certificate,
        roots=root.certificate,
        keys=Keys(tls=key),
    )


def made_up(root: str) -> str:
    return token_of(root, object_id())


# -- joining


@pytest.mark.parametrize("role", ["worker", "manager"])
async def test_a_node_joins_by_its_token(server: Manager, role: str) -> None:
    identity = await server.join(role, hostname="host1", availability="drain")
    node = server.node(identity.node_id)
    assert (node.spec, node.description.hostname) == (NodeSpec(role=role, availability="drain"), "host1")
    assert (identity.cluster_id, identity.role, identity.managers) == (CLUSTER, role, [server.address])
    assert identity.keys is not None
    assert identity.keys.cluster == (bytes(32) if role == "manager" else b"")
    who = Peer(node.id, role, CLUSTER)
    assert msgspec.convert(await ask(server, identity, places.PATH), Peer) == who


async def test_a_wrong_token_is_refused(server: Manager) -> None:
    token, before = made_up(server.identity.roots), server.store.view().revision
    root = await requests.fetch_root(server.address, token)
    with pytest.raises(Forbidden, match="A valid join token is necessary"):
        await requests.join(server.address, root, JoinRequest(token=token, csr=requests.make_key()[1]))
    assert server.store.view().revision == before


async def test_a_token_of_another_root_trusts_nobody_here(server: Manager) -> None:
    with pytest.raises(InvalidArgument, match="does not match fingerprint"):
        await requests.fetch_root(server.address, made_up(Root().pem))


async def test_who_only_shows_the_right_root_is_found_out(server: Manager) -> None:
    real = server.identity.roots
    impostor = Root().identity(OWN, cluster_id=CLUSTER)
    server.tls.reload(impostor)
    root = await requests.fetch_root(server.address, server.tokens.worker)
    assert root == real
    with pytest.raises(Unavailable, match=r"cannot be asked.*certificate"):
        await requests.join(server.address, root, JoinRequest(token="secret", csr=""))


async def test_a_token_that_was_replaced_is_good_for_nothing(server: Manager) -> None:
    old = server.tokens.worker
    fresh = renewed(server.cluster.join_secrets, server.context.vault, "worker")
    await server.put(replace(server.cluster, join_secrets=fresh))
    with pytest.raises(Forbidden):
        await requests.join(server.address, server.identity.roots, JoinRequest(token=old, csr=requests.make_key()[1]))
    assert (await server.join()).role == "worker"


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        ({"csr": "x"}, InvalidArgument),
        ({"csr": "x" * 70_000}, TooLarge),
        ({"csr": requests.make_key()[1], "availability": "lazy"}, InvalidArgument),
    ],
)
async def test_a_bad_wish_makes_no_node(server: Manager, wish: dict[str, str], kind: type[ShoalError]) -> None:
    before = server.store.view().count(Node)
    request = JoinRequest(token=server.tokens.worker, **wish)
    with pytest.raises(kind):
        await requests.join(server.address, server.identity.roots, request)
    assert server.store.view().count(Node) == before


async def test_nobody_at_the_address(server: Manager) -> None:
    with pytest.raises(Unavailable, match=r"the manager at 127\.0\.0\.1:1 cannot be asked"):
        await requests.fetch_root("127.0.0.1:1", server.tokens.worker)


async def test_new_certificates_leave_open_connections_alone(server: Manager) -> None:
    worker = await server.join()
    client, url = Tls(worker), f"https://{server.address}"
    ports = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client.client)) as session:
        for _ in range(2):
            async with session.get(f"{url}{places.PATH}", server_hostname=SERVER_NAME) as response:
                await response.read()
                ports.append(response.headers["X-Port"])
            await server.renew()
            client.reload(await renew(server, worker))
    assert ports[0] == ports[1]


# -- who is let in


async def test_a_certificate_is_needed(server: Manager) -> None:
    for path in (places.PATH, STATUS, RAFT, "/nowhere"):
        with pytest.raises(Unauthorized, match="certificate is needed"):
            await requests.send("GET", server.address, path, pinned(server.identity.roots))
    with pytest.raises(Unauthorized):
        await requests.renew(server.address, pinned(server.identity.roots), requests.make_key()[1])


async def test_a_worker_does_nothing_of_a_managers(server: Manager) -> None:
    worker, other = await server.join(), await server.join("manager")
    for path in (STATUS, RAFT, "/nowhere"):
        with pytest.raises(Forbidden, match=f"node {worker.node_id} is no manager"):
            await ask(server, worker, path)
    assert (await ask(server, other, STATUS))["node_id"] == other.node_id


async def test_a_node_speaks_for_itself_alone(server: Manager) -> None:
    worker = await server.join()
    for node_id, sentence in ((OWN, f"cannot ask for node {OWN}"), (worker.node_id, "network net not found")):
        wish = places.PlaceRequest(node_id=node_id, container_id="c", network="net")
        with pytest.raises(ShoalError, match=sentence):
            await requests.send("POST", server.address, places.PATH, Tls(worker).client, wish)


async def test_a_foreign_certificate_ends_in_the_handshake(server: Manager) -> None:
    stranger = replace(Root().identity(OWN, cluster_id=CLUSTER), roots=server.identity.roots)
    with pytest.raises(Unavailable, match="cannot be asked"):
        await ask(server, stranger, STATUS)


async def test_a_node_of_another_cluster_of_the_same_root_is_refused(server: Manager) -> None:
    other = issued(server, Peer(OWN, "manager", "cluster9"), timedelta(days=1))
    with pytest.raises(Forbidden, match="another cluster"):
        await ask(server, other, RAFT)


async def test_a_removed_node_is_out_at_once(server: Manager) -> None:
    worker, other = await server.join(), await server.join("manager")
    url = f"https://{server.address}{SESSION}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=Tls(worker).client)) as session,
        session.get(url, server_hostname=SERVER_NAME) as response,
    ):
        assert await response.content.readexactly(5) == b"begun"
        nodes = [server.node(worker.node_id), server.node(other.node_id)]
        await server.store.commit(removal.removed(server.store.view(), *nodes))
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    for identity in (worker, other):
        for path in (places.PATH, RAFT):
            with pytest.raises(Forbidden, match="it was removed"):
                await ask(server, identity, path)
        with pytest.raises(Forbidden, match="it was removed"):
            await renew(server, identity)
    assert set(server.cluster.removed_nodes) == {worker.node_id, other.node_id}


async def test_a_manager_that_is_behind_listens_to_members_that_it_does_not_know(server: Manager) -> None:
    unknown = issued(server, Peer("later", "manager", CLUSTER), timedelta(days=1))
    assert (await ask(server, unknown, RAFT))["node_id"] == "later"
    with pytest.raises(Forbidden):
        await ask(server, unknown, STATUS)
    with pytest.raises(Forbidden):
        await ask(server, issued(server, Peer("later", "worker", CLUSTER), timedelta(days=1)), RAFT)


async def test_a_manager_that_is_behind_on_promotions_listens_too(server: Manager) -> None:
    promoted = issued(server, Peer("b", "manager", CLUSTER), timedelta(days=1))
    await server.put(Node(id="b"))
    assert (await ask(server, promoted, RAFT))["node_id"] == "b"
    with pytest.raises(Forbidden, match="is no manager"):
        await ask(server, promoted, STATUS)
    await server.put(replace(server.node("b"), demoted_at=datetime.now(UTC)))
    with pytest.raises(Forbidden, match="is no manager"):  # its certificate is from before
        await ask(server, promoted, RAFT)
    await server.put(replace(server.node("b"), demoted_at=datetime.now(UTC) - timedelta(hours=2)))
    await ask(server, promoted, RAFT)


async def test_a_demoted_manager_is_one_until_it_has_left_the_group(server: Manager) -> None:
    identity = await server.join("manager")
    node = server.node(identity.node_id)
    await server.put(replace(node, spec=NodeSpec(role="worker"), manager_status=ManagerStatus()))
    assert (await renew(server, identity)).role == "manager"
    await ask(server, identity, RAFT)
    await server.put(replace(server.node(identity.node_id), manager_status=None))
    await server.step(Roles())
    with pytest.raises(Forbidden, match="is no manager"):
        await ask(server, identity, RAFT)
    worker = await renew(server, identity)
    assert worker.role == "worker"
    assert worker.keys is not None
    assert not worker.keys.cluster


# -- renewing


async def test_a_node_renews_in_the_role_that_it_is_wanted_in(server: Manager) -> None:
    identity = await server.join()
    node = server.node(identity.node_id)
    await server.put(replace(node, spec=replace(node.spec, role="manager")))
    with pytest.raises(Forbidden):  # by its certificate it is a worker still
        await ask(server, identity, STATUS)
    promoted = await renew(server, identity)
    assert promoted.node_id == identity.node_id
    assert promoted.keys is not None
    assert promoted.keys.cluster == bytes(32)
    await ask(server, promoted, STATUS)


async def test_the_clusters_expiry_counts() -> None:
    async with manager(CAConfig(node_cert_expiry=7200 * 10**9)) as server:
        own = Certificate.of_pem((await server.join()).certificate)
        assert own.not_after - own.not_before == pytest.approx(3 * 3600, abs=5)


async def test_an_ended_certificate_comes_back_by_its_key(server: Manager) -> None:
    await server.put(Node(id="late"))
    late = issued(server, Peer("late", "worker", CLUSTER), timedelta(seconds=-2))
    assert late.keys is not None
    with pytest.raises(Unavailable):  # the handshake takes it no more
        await renew(server, late)
    answer = await requests.revive(server.address, late.roots, late.certificate, late.keys.tls)
    back = identity_of(answer, late.keys.tls)
    assert (await ask(server, back, places.PATH))["node_id"] == "late"
    with pytest.raises(Forbidden, match="not signed by the key"):
        await requests.revive(server.address, late.roots, late.certificate, requests.make_key()[0])
    with pytest.raises(InvalidArgument, match="good still"):
        await requests.revive(server.address, late.roots, back.certificate, late.keys.tls)


async def test_a_node_takes_the_way_that_it_has_to_a_new_certificate(server: Manager, tmp_path: Path) -> None:
    worker = await server.join()
    answer, key = await requests.renewed(server.address, worker)
    assert (answer.node_id, key == (worker.keys and worker.keys.tls)) == (worker.node_id, False)
    late = replace(issued(server, Peer(worker.node_id, "worker", CLUSTER), timedelta(seconds=-2)), role="worker")
    answer, key = await requests.renewed(server.address, late)
    assert await ask(server, identity_of(answer, key), places.PATH)
    own = issued(server, Peer(OWN, "manager", CLUSTER), timedelta(seconds=-2))
    async with serve(
        application(Certification(server.context).routes(), server.context.store), tmp_path / "manager.sock"
    ):
        answer, key = await requests.renewed(f"unix://{tmp_path}/manager.sock", own)
    assert await ask(server, identity_of(answer, key), STATUS)
    with pytest.raises(Unavailable, match="this node's manager cannot be asked"):
        await requests.renewed(f"unix://{tmp_path}/manager.sock", own)


async def test_a_node_that_was_off_for_too_long_joins_anew(server: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.put(Node(id="late"))
    late = issued(server, Peer("late", "worker", CLUSTER), timedelta(seconds=-5))
    monkeypatch.setattr(endpoints, "GRACE", timedelta(seconds=1))
    assert late.keys is not None
    with pytest.raises(Forbidden, match="let it leave and join anew"):
        await requests.revive(server.address, late.roots, late.certificate, late.keys.tls)


async def test_what_does_not_come_back(server: Manager) -> None:
    await server.put(Node(id="late"))
    root = server.cluster.root_ca
    assert root is not None
    gone = issued(server, Peer("gone", "worker", CLUSTER), timedelta(seconds=-2))
    foreign = Root().identity("late", "worker", CLUSTER, life=timedelta(seconds=-2))
    other = issued(server, Peer("late", "worker", "cluster9"), timedelta(seconds=-2))
    for identity, sentence in ((gone, "it was removed"), (foreign, "does not come from"), (other, "another cluster")):
        assert identity.keys is not None
        with pytest.raises(Forbidden, match=sentence):
            await requests.revive(server.address, root.certificate, identity.certificate, identity.keys.tls)


# -- roots


@pytest.mark.parametrize("kind", ["", "ec", "rsa", "ed25519"])
async def test_roots_change_while_nodes_come_and_go(server: Manager, kind: str) -> None:
    """By the cluster's own new root, and by users' roots of each kind of key."""
    worker, token = await server.join(), server.tokens.worker
    pair = make_authority(kind) if kind else None
    config = CAConfig(signing_ca_cert=pair.certificate, signing_ca_key=pair.key) if pair else CAConfig(force_rotate=1)
    spec = replace(server.cluster.spec, ca_config=config)
    await server.put(respecified(server.cluster, spec, server.context.vault))
    missed, pinned_to = await server.join(), server.identity.roots  # it will know the old root alone
    missed = replace(missed, roots=pinned_to)

    await follow(server, worker, missed)
    await server.step()
    assert server.cluster.root_rotation is not None
    assert server.cluster.root_rotation.issuing
    await server.renew()
    assert await ask(server, missed, places.PATH)
    joined = await server.join()  # by the old root's token
    assert server.tokens.worker == token

    worker, missed = await renew(server, worker), await renew(server, missed)
    await follow(server, worker, missed, joined, server.identity)
    await server.step()
    assert server.cluster.root_rotation is None
    await server.renew()
    for identity in (worker, missed, joined, await server.join()):
        assert await ask(server, identity, places.PATH)
    with pytest.raises(InvalidArgument, match="does not match fingerprint"):
        await requests.fetch_root(server.address, token)
    if pair:
        assert server.identity.roots == pair.certificate


async def test_a_certificate_by_a_dropped_root_is_out(server: Manager) -> None:
    worker = await server.join()
    await server.put(
        respecified(
            server.cluster, replace(server.cluster.spec, ca_config=CAConfig(force_rotate=1)), server.context.vault
        )
    )
    rotation = server.cluster.root_rotation
    assert rotation is not None
    await server.renew()
    server.tls.reload(replace(server.identity, roots=rotation.root.certificate))
    with pytest.raises(Unavailable, match="cannot be asked"):
        await renew(server, worker)


async def follow(server: Manager, *identities: Identity) -> None:
    """Let the nodes tell of their trust as their sessions would, the first time with the roots they are told."""
    for identity in (*identities, server.identity):
        told = tls_info(replace(identity, roots=server.cluster.tls_info.trust_root))
        await server.put(replace(server.node(identity.node_id), description=NodeDescription(tls_info=told)))
