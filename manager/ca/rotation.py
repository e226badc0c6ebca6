"""One root takes over from another without downtime: what each step makes of the Cluster object. Pure but for the new root itself.

1. All nodes learn of the new root and trust both; the old one still issues.
2. The new root issues, and nodes renew their certificates. A certificate comes with the new root signed by the old one, so
   that a node that missed step 1, or joins by a token of the old root, finds the way.
3. Once every node has a certificate by the new root, the old one is dropped, and new join tokens pin the new one.

When a step is over is the root-rotation loop's to see (manager/loops/root_rotation.py).
"""

from __future__ import annotations

from msgspec.structs import replace

from common.errors import Conflict, InvalidArgument
from common.identity.certificate import Certificate, bundle
from common.model import Cluster, ClusterSpec, Node
from common.model.node import CAConfig, RootCA, RootRotation
from manager.ca.authority import externals, kept, key_of, new_root, same, tls_info
from manager.vault import Vault


def respecified(cluster: Cluster, spec: ClusterSpec, vault: Vault) -> Cluster:
    """`cluster` with a user's new spec, on the way to another root where that asks for it. Raises InvalidArgument, Conflict."""
    config, changed = spec.ca_config, replace(cluster, spec=spec)
    if cluster.root_ca is None:
        if _asks(cluster, config) or config.external_cas or config.signing_ca_key:
            raise Conflict("this node is a cluster of its own, without certificates: `swarm init` makes them")
        return changed
    if _asks(cluster, config):
        changed = _rotated(changed, config, vault)
    rotation = changed.root_rotation
    changed = replace(
        changed, spec=replace(spec, ca_config=kept(config, rotation.root if rotation else cluster.root_ca))
    )
    _check_externals(changed)
    return changed


def _asks(cluster: Cluster, config: CAConfig) -> bool:
    if config.signing_ca_cert and not _is_target(cluster, config.signing_ca_cert):
        return True
    return config.force_rotate != cluster.spec.ca_config.force_rotate


def _is_target(cluster: Cluster, certificate: str) -> bool:
    target = cluster.root_rotation.root if cluster.root_rotation else cluster.root_ca
    return target is not None and same(target.certificate, certificate)


def _rotated(cluster: Cluster, config: CAConfig, vault: Vault) -> Cluster:
    present, rotation = cluster.root_ca, cluster.root_rotation
    assert present is not None
    if config.signing_ca_cert and _is_target(cluster, config.signing_ca_cert):
        return cluster
    if config.signing_ca_cert and same(config.signing_ca_cert, present.certificate):
        return _turned_back(cluster, vault)
    if rotation is not None and rotation.issuing:
        raise Conflict(
            "a change of the root CA is under way: wait until it is over (`swarm ca` waits for it), remove the nodes that are gone "
            "for good (`node rm`), or go back by `swarm ca --rotate --ca-cert` with the present root"
        )
    others = [ca for ca in config.external_cas if not ca.ca_cert or not same(ca.ca_cert, present.certificate)]
    return begun(cluster, new_root(replace(config, external_cas=others), vault), vault)


def begun(cluster: Cluster, root: RootCA, vault: Vault) -> Cluster:
    """Step 1, towards `root`. Raises InvalidArgument where it cannot be told from the present one."""
    present = cluster.root_ca
    assert present is not None
    if Certificate.of_pem(present.certificate).subject == Certificate.of_pem(root.certificate).subject:
        raise InvalidArgument("invalid CA certificate: the present root has the same subject; give the new one another")
    trust, rotation = root.certificate + present.certificate, RootRotation(root=_crossed(root, present, vault))
    return replace(cluster, root_rotation=rotation, tls_info=tls_info(trust, present))


def _crossed(root: RootCA, by: RootCA, vault: Vault) -> RootCA:
    """`root` signed by the other one too, where its key is here."""
    key = key_of(by, vault)
    if not key:
        return replace(root, cross_signed="")
    from manager.ca.roots import cross_sign

    return replace(root, cross_signed=cross_sign(root.certificate, by.certificate, key))


def _turned_back(cluster: Cluster, vault: Vault) -> Cluster:
    """Back to the present root: before the new one issued at once, else by the same steps the other way round."""
    present, rotation = cluster.root_ca, cluster.root_rotation
    assert present is not None
    assert rotation is not None
    if not rotation.issuing:
        return replace(cluster, root_rotation=None, tls_info=tls_info(present.certificate, present))
    back = RootRotation(root=_crossed(present, rotation.root, vault), issuing=True)
    return replace(
        cluster,
        root_ca=replace(rotation.root, cross_signed=""),
        root_rotation=back,
        tls_info=tls_info(cluster.tls_info.trust_root, present),
    )


def trusts_both(cluster: Cluster, node: Node) -> bool:
    """Whether the node says that it trusts all that it has to."""
    told = node.description.tls_info
    if told is not None and told.trust_root == cluster.tls_info.trust_root:
        return True
    try:
        return told is not None and set(bundle(cluster.tls_info.trust_root)) <= set(bundle(told.trust_root))
    except InvalidArgument:  # a node may tell anything
        return False


def issuing(cluster: Cluster) -> Cluster:
    """Step 2."""
    rotation = cluster.root_rotation
    assert rotation is not None
    trust = tls_info(cluster.tls_info.trust_root, rotation.root)
    return replace(cluster, root_rotation=replace(rotation, issuing=True), tls_info=trust)


def must_renew(cluster: Cluster, node: Node) -> bool:
    """Whether the node has to take a certificate by the new root now."""
    rotation = cluster.root_rotation
    if rotation is None or not rotation.issuing:
        return False
    told = node.description.tls_info
    return told is None or told.cert_issuer_public_key != cluster.tls_info.cert_issuer_public_key


def finished(cluster: Cluster) -> Cluster:
    """Step 3. The join tokens pin the new root from now on."""
    assert cluster.root_rotation is not None
    root, config = replace(cluster.root_rotation.root, cross_signed=""), cluster.spec.ca_config
    return replace(
        cluster,
        spec=replace(cluster.spec, ca_config=replace(config, external_cas=externals(config, root.certificate))),
        root_ca=root,
        root_rotation=None,
        tls_info=tls_info(root.certificate, root),
    )


def _check_externals(cluster: Cluster) -> None:
    """An external CA that nothing is ever asked of is a mistake."""
    config, rotation = cluster.spec.ca_config, cluster.root_rotation
    roots = [root for root in (cluster.root_ca, rotation.root if rotation else None) if root is not None]
    used = [ca for root in roots for ca in externals(config, root.certificate)]
    for ca in config.external_cas:
        if ca not in used:
            raise InvalidArgument(
                f"the external CA {ca.url} has another root certificate than the cluster: `swarm ca --rotate` with --ca-cert and "
                "--external-ca changes to it"
            )
