"""How far a swarm's nodes have followed to another root CA: pure, from the API's swarm and nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]


class Rotation(NamedTuple):
    """`certified` of `nodes` have a certificate by the new root, `trusting` trust what they have to. `late`: the others' names."""

    digest: str
    nodes: int
    certified: int
    trusting: int
    late: tuple[str, ...]
    over: bool

    @property
    def lines(self) -> list[str]:
        shown = [
            f"desired root digest: sha256:{self.digest}",
            f"  rotated TLS certificates: {self.certified}/{self.nodes} nodes",
            f"  rotated CA certificates: {self.trusting}/{self.nodes} nodes",
        ]
        if self.late:
            shown.append(f"  down: {', '.join(self.late)}: bring them back, or remove them by `shoal node rm`")
        return shown


def rotation(swarm: Json, nodes: Sequence[Json]) -> Rotation:
    wanted = swarm["TLSInfo"]
    told = [(node, node.get("Description", {}).get("TLSInfo") or {}) for node in nodes]
    certified = [node for node, info in told if info.get("CertIssuerPublicKey") == wanted.get("CertIssuerPublicKey")]
    trusting = [node for node, info in told if info.get("TrustRoot") == wanted["TrustRoot"]]
    done = [node for node in certified if node in trusting]
    away = [node for node in nodes if node not in done and node["Status"]["State"] == "down"]
    busy = bool(swarm.get("RootRotationInProgress"))
    return Rotation(
        digest=hashlib.sha256(wanted["TrustRoot"].encode()).hexdigest(),
        nodes=len(nodes),
        certified=len(certified),
        trusting=len(trusting),
        late=tuple(node.get("Description", {}).get("Hostname") or node["ID"] for node in away),
        over=not busy and len(done) + len(away) == len(nodes),
    )
