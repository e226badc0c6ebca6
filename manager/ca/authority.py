"""The cluster's roots: which one a cluster begins with, which one issues, and the certificates that it issues.

The state lies in the Cluster object; a root's key is in it sealed by the Vault. How one root takes over from another is
rotation.py's work.
"""

from __future__ import annotations

import base64
from datetime import timedelta

from msgspec.structs import replace

from common.errors import InvalidArgument, Unavailable
from common.identity.certificate import Certificate, bundle, digest
from common.identity.requests import make_key
from common.identity.tls import Peer
from common.model import SECOND, Cluster
from common.model.node import CAConfig, ExternalCA, JoinSecrets, RootCA, TLSInfo
from manager.ca.tokens import ROLES, renewed
from manager.vault import Vault


def founded(cluster: Cluster, vault: Vault) -> Cluster:
    """`cluster` with its first root, which its spec may bring, and with join tokens. Raises InvalidArgument."""
    root = new_root(cluster.spec.ca_config, vault)
    return replace(
        cluster,
        spec=replace(cluster.spec, ca_config=kept(cluster.spec.ca_config, root)),
        root_ca=root,
        root_rotation=None,
        tls_info=tls_info(root.certificate, root),
        join_secrets=renewed(JoinSecrets(), vault, *ROLES),
    )


def new_root(config: CAConfig, vault: Vault) -> RootCA:
    """The root that the spec brings, else one of the cluster's own. Raises InvalidArgument.

    The spec's external CAs are those of the new root; one that does not tell its root has the one that is brought.
    """
    from manager.ca.roots import check_root, make_root

    brought = config.signing_ca_cert or next((ca.ca_cert for ca in config.external_cas if ca.ca_cert), "")
    if not brought:
        if config.signing_ca_key or config.external_cas:
            raise InvalidArgument("the root's certificate is missing: give it too, by --ca-cert or cacert=FILE")
        certificate, key = make_root()
        return sealed_root(certificate, key, vault)
    certificate = check_root(brought, config.signing_ca_key)
    if config.signing_ca_key:
        return sealed_root(certificate, config.signing_ca_key, vault)
    if not externals(config, certificate):
        raise InvalidArgument(
            "a CA certificate needs its key (--ca-key), or an external CA that has it (--external-ca)"
        )
    return RootCA(certificate=certificate)


def sealed_root(certificate: str, key: str, vault: Vault) -> RootCA:
    return RootCA(certificate=certificate, sealed_key=vault.seal(_name(certificate), key.encode()))


def key_of(root: RootCA, vault: Vault) -> str:
    """The root's key, PEM; empty where only an external CA has it. Raises Unavailable."""
    return vault.unseal(_name(root.certificate), root.sealed_key).decode() if root.sealed_key else ""


def kept(config: CAConfig, root: RootCA) -> CAConfig:
    """The part of a spec that stays one: the root that it brings is kept elsewhere, with its key sealed.

    External CAs that do not tell their root have `root`.
    """
    told = [replace(ca, ca_cert=ca.ca_cert or root.certificate) for ca in config.external_cas]
    return replace(config, signing_ca_cert="", signing_ca_key="", external_cas=told)


def externals(config: CAConfig, root: str) -> list[ExternalCA]:
    """External CAs that sign for the root (PEM)."""
    return [ca for ca in config.external_cas if same(ca.ca_cert or root, root)]


def same(one: str, other: str) -> bool:
    """Whether two PEM texts begin with the same certificate. Raises InvalidArgument."""
    return bundle(one)[0] == bundle(other)[0]


def issuing_root(cluster: Cluster) -> RootCA:
    """The root that issues now. Raises Unavailable where the cluster has none yet."""
    rotation = cluster.root_rotation
    if rotation is not None and rotation.issuing:
        return rotation.root
    if cluster.root_ca is None:
        raise Unavailable("this node is a cluster of its own, without certificates: `swarm init` makes it one to join")
    return cluster.root_ca


def tls_info(trust: str, issuer: RootCA) -> TLSInfo:
    """What nodes have to trust (PEM), and the root that issues their certificates."""
    read = Certificate.of_pem(issuer.certificate)
    return TLSInfo(
        trust_root=trust,
        cert_issuer_subject=base64.b64encode(read.subject).decode(),
        cert_issuer_public_key=base64.b64encode(read.public_key).decode(),
    )


async def certify(cluster: Cluster, vault: Vault, csr: str, node: Peer) -> str:
    """A node's certificate with what leads to a root, PEM. Raises InvalidArgument, Unavailable."""
    root, config = issuing_root(cluster), cluster.spec.ca_config
    if remote := externals(config, root.certificate):
        from manager.ca.external import sign

        return await sign(remote, root.certificate, csr, node) + root.cross_signed
    if not root.sealed_key:
        raise Unavailable(
            "no external CA signs by this cluster's root certificate: give one by `swarm update --external-ca`"
        )
    from manager.ca.certificates import issue

    life = timedelta(microseconds=(config.node_cert_expiry or CAConfig().node_cert_expiry) * 1_000_000 // SECOND)
    return issue(csr, node, life, root.certificate, key_of(root, vault)) + root.cross_signed


async def probe(cluster: Cluster, vault: Vault) -> None:
    """That an external CA on which the cluster is going to depend signs. Raises Unavailable."""
    root = cluster.root_rotation.root if cluster.root_rotation else issuing_root(cluster)
    remote = externals(cluster.spec.ca_config, root.certificate)
    if remote:
        from manager.ca.external import sign

        await sign(remote, root.certificate, make_key()[1], Peer("probe", "worker", cluster.id))


def _name(certificate: str) -> str:
    """What a root's sealed key is bound to."""
    return f"root-ca/{digest(bundle(certificate)[0]).hex()}"
