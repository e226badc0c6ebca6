"""Which role a join token gives."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from common.errors import Unavailable
from common.model import EPOCH, Cluster
from common.model.node import JoinTokens
from manager.ca.authority import founded
from manager.ca.tokens import renewed, role_of, tokens
from manager.store.base import Put
from manager.store.codec import encode_transaction
from manager.store.foreign import Foreign
from manager.vault import Vault

VAULT = Vault(bytes(32))
CLUSTER = founded(Cluster(id="cluster0"), VAULT)
TOKENS = tokens(CLUSTER, VAULT)


@pytest.mark.parametrize(
    ("token", "role"),
    [
        (TOKENS.worker, "worker"),
        (f" {TOKENS.manager}\n", "manager"),
        (TOKENS.worker[:-1], None),
        (TOKENS.worker + "x", None),
        ("é", None),
        ("", None),
    ],
)
def test_tokens_give_roles(token: str, role: str | None) -> None:
    assert role_of(token, TOKENS) == role


def test_a_cluster_without_tokens_lets_nobody_in() -> None:
    assert role_of("", JoinTokens()) is None


def test_the_store_holds_no_token_in_the_clear() -> None:
    written = encode_transaction([Put(CLUSTER)], EPOCH, Foreign())
    for token in (TOKENS.worker, TOKENS.manager):
        assert token.rpartition("-")[2].encode() not in written
    with pytest.raises(Unavailable):
        tokens(CLUSTER, Vault(b"x" * 32))


def test_one_role_gets_a_new_token() -> None:
    fresh = tokens(replace(CLUSTER, join_secrets=renewed(CLUSTER.join_secrets, VAULT, "worker")), VAULT)
    assert fresh.worker != TOKENS.worker
    assert fresh.manager == TOKENS.manager


def test_a_cluster_without_root_has_none() -> None:
    assert tokens(Cluster(id="c"), VAULT) == JoinTokens()
