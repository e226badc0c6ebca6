"""Join tokens of a cluster: a secret for each role, which the store holds sealed, and the digest of the root that they pin.

So a change of root changes the tokens with it, and who reads the store, or an etcd below it, joins by nothing that is there.
"""

from __future__ import annotations

import hmac

from msgspec.structs import replace

from common.identity.token import token_of
from common.ids import object_id
from common.model import Cluster
from common.model.node import JoinSecrets, JoinTokens
from manager.vault import Vault

ROLES = ("worker", "manager")


def renewed(secrets: JoinSecrets, vault: Vault, *roles: str) -> JoinSecrets:
    """With new secrets for the roles."""
    return replace(secrets, **{role: vault.seal(_name(role), object_id().encode()) for role in roles})


def tokens(cluster: Cluster, vault: Vault) -> JoinTokens:
    """In the clear; empty where the cluster has no root yet. Raises Unavailable where the vault does not open them."""
    if cluster.root_ca is None:
        return JoinTokens()
    root, secrets = cluster.root_ca.certificate, cluster.join_secrets
    sealed = {"worker": secrets.worker, "manager": secrets.manager}
    return JoinTokens(**{role: token_of(root, vault.unseal(_name(role), sealed[role]).decode()) for role in ROLES})


def role_of(token: str, known: JoinTokens) -> str | None:
    """The role that a token gives; None where it is not one of the cluster's. Takes as long whatever the token is."""
    given = token.strip().encode()
    worker = hmac.compare_digest(given, known.worker.encode())
    manager = hmac.compare_digest(given, known.manager.encode())
    if not given:
        return None
    return "manager" if manager else "worker" if worker else None


def _name(role: str) -> str:
    """What a secret is bound to."""
    return f"join-token/{role}"
