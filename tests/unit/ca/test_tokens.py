"""Which role a join token gives."""

from __future__ import annotations

import pytest

from common.model.node import JoinTokens
from manager.ca.tokens import make_tokens, role_of
from tests.harness.identities import Root

TOKENS = make_tokens(Root().pem)


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
