"""TLS by identities, in memory: who is let in, who the peer is, and new roots for running servers."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest
from msgspec.structs import replace

from common.errors import Unavailable
from common.identity import Identity
from common.identity.tls import SERVER_NAME, Peer, Tls, peer, pinned
from tests.harness.identities import Root


class Refused(Exception):
    """Either side ended the handshake."""


def meet(server: ssl.SSLContext, client: ssl.SSLContext, name: str = SERVER_NAME) -> Peer | None:
    """Handshake over two buffers; who the server sees. Raises Refused."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name)
    far = server.wrap_bio(up, down, server_side=True)
    done = set()
    for _ in range(6):
        for side in (near, far):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                raise Refused(str(error)) from error
    assert len(done) == 2
    certificate = far.getpeercert()
    found = peer(certificate) if certificate else None
    return found and replace(found, begin=0.0)


def test_nodes_know_each_other_by_their_certificates() -> None:
    root = Root()
    server = Tls(root.identity("node0"))
    assert meet(server.server, Tls(root.identity("node1", "worker")).client) == Peer("node1", "worker", "cluster0")
    assert meet(server.server, server.client) == Peer("node0", "manager", "cluster0")
    assert meet(server.server, pinned(root.pem)) is None


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        (Root("stranger").identity("node1"), "unknown ca|verify failed"),
        (Root().identity("node1", life=timedelta(seconds=-5)), "verify failed|expired"),
    ],
)
def test_strangers_end_in_the_handshake(identity: Identity, sentence: str) -> None:
    root = Root()
    with pytest.raises(Refused, match=sentence):
        meet(Tls(root.identity("node0")).server, Tls(replace(identity, roots=root.pem)).client)


def test_an_expired_certificate_is_refused() -> None:
    root = Root()
    with pytest.raises(Refused, match="expired"):
        meet(Tls(root.identity("node0")).server, Tls(root.identity("node1", life=timedelta(seconds=-5))).client)


def test_a_worker_is_no_server() -> None:
    root = Root()
    with pytest.raises(Refused, match="mismatch"):
        meet(Tls(root.identity("node0", "worker")).server, Tls(root.identity("node1")).client)


def test_a_server_with_another_root_is_refused() -> None:
    with pytest.raises(Refused, match="verify failed"):
        meet(Tls(Root().identity("node0")).server, pinned(Root().pem))


def test_reloading_changes_the_roots_of_a_running_server() -> None:
    old, new = Root("old"), Root("new")
    tls = Tls(old.identity("node0"))
    listening = tls.server  # the context that a server was started with
    late, early = Tls(old.identity("late", roots=[new.pem])), Tls(new.identity("early", roots=[old.pem]))
    with pytest.raises(Refused):
        meet(listening, early.client)
    tls.reload(old.identity("node0", roots=[new.pem]))
    assert meet(listening, early.client) == Peer("early", "manager", "cluster0")
    assert meet(listening, late.client) == Peer("late", "manager", "cluster0")
    tls.reload(new.identity("node0"))
    assert meet(listening, early.client) is not None
    assert meet(listening, pinned(new.pem)) is None
    with pytest.raises(Refused):
        meet(listening, late.client)
    with pytest.raises(Refused):
        meet(listening, pinned(old.pem))


def test_without_a_certificate_there_is_no_tls() -> None:
    with pytest.raises(Unavailable, match="no certificate"):
        Tls(Identity(node_id="a"))
    one, other = Root().identity("a"), Root().identity("b")
    with pytest.raises(Unavailable, match="cannot be used"):
        Tls(replace(one, keys=other.keys))
