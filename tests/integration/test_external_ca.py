"""Certificates by an external CA that speaks cfssl's protocol, over TLS on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from common import places
from common.errors import Unavailable
from common.identity import requests
from common.identity.tls import Peer, Tls
from common.model.node import CAConfig, ExternalCA
from manager.ca.authority import certify
from manager.ca.external import sign
from manager.ca.rotation import finished, respecified
from tests.harness.authorities import Pair, make_authority
from tests.harness.cfssl import Cfssl, cfssl
from tests.harness.manager import manager

NODE = Peer("node1", "worker", "cluster0")
ROOT = make_authority("rsa", name="company root")


@pytest.fixture
async def server() -> AsyncIterator[Cfssl]:
    async with cfssl(ROOT) as made:
        yield made


async def test_an_external_ca_that_does_not_tell_its_root_has_the_clusters(server: Cfssl) -> None:
    config = CAConfig(signing_ca_cert=ROOT.certificate, external_cas=[ExternalCA(url=server.url)])
    async with manager(config) as one:
        assert one.cluster.spec.ca_config.external_cas == [named(server)]
        assert (await one.join()).roots == ROOT.certificate


def named(server: Cfssl, root: Pair = ROOT) -> ExternalCA:
    return ExternalCA(url=server.url, ca_cert=root.certificate)


async def test_nodes_get_certificates_by_the_users_ca(server: Cfssl) -> None:
    async with manager(CAConfig(external_cas=[named(server)])) as one:
        assert one.cluster.root_ca is not None
        assert one.cluster.root_ca.sealed_key == b""
        assert one.cluster.tls_info.trust_root == ROOT.certificate
        worker = await one.join()
        await requests.send("GET", one.address, places.PATH, Tls(worker).client)
        asked = server.requests[-1]
        assert asked["subject"] == {"CN": worker.node_id, "names": [{"O": "cluster0", "OU": "shoal-worker"}]}
        assert asked["hosts"] == ["shoal-worker", worker.node_id]
        answer = await requests.renew(one.address, Tls(worker).client, requests.make_key()[1])
        assert answer.certificate != worker.certificate


async def test_a_cluster_goes_over_to_the_users_ca_and_back(server: Cfssl) -> None:
    async with manager() as one:
        config = CAConfig(signing_ca_cert=ROOT.certificate, external_cas=[named(server)])
        spec = replace(one.cluster.spec, ca_config=config)
        changed = respecified(one.cluster, spec, one.context.vault)
        assert changed.root_rotation is not None
        assert changed.root_rotation.root.cross_signed
        issuing = replace(changed, root_rotation=replace(changed.root_rotation, issuing=True))
        chain = await certify(issuing, one.context.vault, requests.make_key()[1], NODE)
        assert chain.count("BEGIN CERTIFICATE") == 2
        over = replace(changed, root_ca=replace(changed.root_rotation.root, cross_signed=""), root_rotation=None)
        assert over.spec.ca_config == CAConfig(external_cas=[named(server)])
        again = replace(over.spec, ca_config=replace(over.spec.ca_config, force_rotate=1))  # as clients send it
        back = respecified(over, again, one.context.vault)
        assert back.root_rotation is not None
        assert back.root_rotation.root.sealed_key
        assert not back.root_rotation.root.cross_signed  # nobody here has the present root's key
        assert finished(back).spec.ca_config.external_cas == []


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ({"subject": {"CN": "manager0", "names": []}}, "is for .*manager0"),
        ({"certificate_request": requests.make_key()[1]}, "another key"),
    ],
)
async def test_what_was_not_asked_for_is_refused(server: Cfssl, spoil: dict[str, Any], sentence: str) -> None:
    server.spoil = spoil
    with pytest.raises(Unavailable, match=sentence):
        await sign([named(server)], ROOT.certificate, requests.make_key()[1], NODE)


async def test_a_certificate_by_another_root_is_refused(server: Cfssl) -> None:
    with pytest.raises(Unavailable, match="does not come from this cluster's root"):
        await sign([named(server)], make_authority().certificate, requests.make_key()[1], NODE)


async def test_only_a_server_with_the_right_root_is_asked(server: Cfssl) -> None:
    other = named(server, make_authority())
    with pytest.raises(Unavailable, match="certificate verify failed"):
        await sign([other], ROOT.certificate, requests.make_key()[1], NODE)
    assert server.requests == []


async def test_the_next_one_is_asked_and_all_reasons_are_told(server: Cfssl) -> None:
    nobody = ExternalCA(url="https://127.0.0.1:1/sign")
    csr = requests.make_key()[1]
    assert await sign([nobody, named(server)], ROOT.certificate, csr, NODE)
    server.refuse = "policy says no"
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/sign: .*; .*: policy says no"):
        await sign([nobody, named(server)], ROOT.certificate, csr, NODE)
