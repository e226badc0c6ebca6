"""Join tokens of a cluster: made for its root, and told apart."""

from __future__ import annotations

import hmac

from common.identity.token import make_token
from common.model.node import JoinTokens


def make_tokens(root: str) -> JoinTokens:
    """New ones, for both roles, that pin the root certificate (PEM)."""
    return JoinTokens(worker=make_token(root), manager=make_token(root))


def role_of(token: str, known: JoinTokens) -> str | None:
    """The role that a token gives; None where it is not one of the cluster's. Takes as long whatever the token is."""
    given = token.strip().encode()
    worker = hmac.compare_digest(given, known.worker.encode())
    manager = hmac.compare_digest(given, known.manager.encode())
    if not given:
        return None
    return "manager" if manager else "worker" if worker else None
