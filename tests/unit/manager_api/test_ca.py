"""The cluster's CA over Docker's API: what init makes, what is shown, and what update asks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from common.identity.requests import Certified, make_key
from common.identity.token import Token
from manager.ca.certificates import check_chain, holder
from tests.harness.authorities import make_authority
from tests.unit.manager_api.api import NODE, Api


async def update(manager: Api, **config: Any) -> dict[str, Any]:
    swarm = await manager.get("/swarm")
    spec = {**swarm["Spec"], "CAConfig": {**swarm["Spec"]["CAConfig"], **config}}
    await manager.post("/swarm/update", spec, version=str(swarm["Version"]["Index"]))
    return await manager.get("/swarm")  # type: ignore[no-any-return]


async def refused(manager: Api, **config: Any) -> str:
    swarm = await manager.get("/swarm")
    spec = {**swarm["Spec"], "CAConfig": config}
    return (await manager.refused("POST", "/swarm/update", spec, version=str(swarm["Version"]["Index"])))[1]


async def test_init_makes_the_root_and_its_tokens(manager: Api) -> None:
    before = await manager.get("/swarm")
    assert before["JoinTokens"] == {"Worker": "", "Manager": ""}
    await manager.post("/swarm/init", {})
    swarm = await manager.get("/swarm")
    root = swarm["TLSInfo"]["TrustRoot"]
    for token in swarm["JoinTokens"].values():
        assert Token.parse(token).root_of(root) == root
    assert swarm["JoinTokens"]["Worker"] != swarm["JoinTokens"]["Manager"]
    assert swarm["TLSInfo"]["CertIssuerSubject"]


async def test_init_answers_a_node_with_its_certificate(manager: Api) -> None:
    raw = await manager.post("/swarm/init", {"AdvertiseAddr": "10.1.2.3:2377", "CSR": make_key()[1]})
    answer = msgspec.convert(raw, Certified)
    swarm = await manager.get("/swarm")
    check_chain(answer.certificate, swarm["TLSInfo"]["TrustRoot"])
    assert (holder(answer.certificate).node_id, holder(answer.certificate).role) == (NODE, "manager")
    assert (answer.cluster_id, answer.managers) == (swarm["ID"], ["10.1.2.3:2377"])
    assert answer.cluster_key == manager.vault.key


async def test_no_answer_contains_a_key(manager: Api) -> None:
    pair = make_authority()
    await manager.post("/swarm/init", {})
    await update(manager, SigningCACert=pair.certificate, SigningCAKey=pair.key)
    for path in ("/swarm", "/shoal/v1/swarm-info", "/nodes"):
        text = msgspec.json.encode(await manager.get(path)).decode()
        for secret in (pair.key.splitlines()[1], "SigningCA", "RootCA", 'RootRotation"', "SealedKey"):
            assert secret not in text


async def test_a_rotation_is_shown(manager: Api) -> None:
    await manager.post("/swarm/init", {})
    before = await manager.get("/swarm")
    after = await update(manager, ForceRotate=1)
    assert (before["RootRotationInProgress"], after["RootRotationInProgress"]) == (False, True)
    assert after["Spec"]["CAConfig"]["ForceRotate"] == 1
    assert after["TLSInfo"]["TrustRoot"].endswith(before["TLSInfo"]["TrustRoot"])
    await manager.settle()
    assert (await manager.get("/swarm"))["RootRotationInProgress"]  # the node has not followed


async def test_init_with_a_users_root(manager: Api) -> None:
    pair = make_authority()
    config = {"SigningCACert": pair.certificate, "SigningCAKey": pair.key}
    await manager.post("/swarm/init", {"Spec": {"CAConfig": config}})
    swarm = await manager.get("/swarm")
    assert swarm["TLSInfo"]["TrustRoot"] == pair.certificate
    assert set(swarm["Spec"]["CAConfig"]) == {"NodeCertExpiry"}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"NodeCertExpiry": 10**9}, "minimum certificate expiry time is: 1h0m0s"),
        ({"SigningCACert": "x", "SigningCAKey": "y"}, "invalid certificate"),
        ({"ExternalCAs": [{"Protocol": "acme", "URL": "https://x"}]}, "unknown protocol 'acme'"),
        ({"ExternalCAs": [{"URL": "http://x"}]}, "an https:// URL is needed"),
        ({"ExternalCAs": [{"URL": "https://x", "Options": {"a": "b"}}]}, "unknown option"),
        ({"ExternalCAs": [{"URL": "https://127.0.0.1:1/"}]}, "no external CA signed"),
    ],
)
async def test_a_bad_configuration_is_refused(manager: Api, config: dict[str, Any], sentence: str) -> None:
    await manager.post("/swarm/init", {})
    before = await manager.get("/swarm")
    assert sentence in await refused(manager, **config)
    assert await manager.get("/swarm") == before


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"ExternalCAs": [{"URL": "https://x"}]}, "cacert=FILE"),
        ({"SigningCACert": make_authority().certificate}, "needs its key"),
    ],
)
async def test_a_bad_beginning_is_refused(manager: Api, config: dict[str, Any], sentence: str) -> None:
    status, message = await manager.refused("POST", "/swarm/init", {"Spec": {"CAConfig": config}})
    assert status == 400
    assert sentence in message


async def test_a_removed_node_is_remembered(manager: Api) -> None:
    from common.model import Cluster, Node
    from manager.store.base import Put

    await manager.store.commit([Put(Node(id="node9"))])
    await manager.call("DELETE", "/nodes/node9")
    cluster = next(iter(manager.store.view().all(Cluster)))
    assert set(cluster.removed_nodes) == {"node9"}
