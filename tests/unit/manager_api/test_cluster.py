"""The cluster, its nodes, networks, secrets and configs over the API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from common.errors import Unavailable
from common.model import Network, Node, Secret, Service
from manager.api.events import described
from manager.store.base import Changed
from manager.vault import Vault
from tests.unit.manager_api.api import NODE, Api

SECRET = base64.b64encode(b"top secret").decode()


def using(kind: str, id: str) -> dict[str, Any]:
    reference = {f"{kind}ID": id, f"{kind}Name": "it", "File": {"Name": "it"}}
    return {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox", f"{kind}s": [reference]}}}


async def test_the_cluster_of_one_is_there_and_is_initialized_once(manager: Api) -> None:
    before = await manager.get("/swarm")
    assert await manager.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "Spec": {}}) == NODE
    after = await manager.get("/swarm")
    assert after["ID"] == before["ID"]
    assert after["JoinTokens"] != before["JoinTokens"]
    status, message = await manager.refused("POST", "/swarm/init", {})
    assert status == 503
    assert message.startswith("This node is already part of a swarm.")


async def test_leaving_erases_everything_and_begins_anew(manager: Api) -> None:
    await manager.post("/swarm/init", {})
    await manager.post("/secrets/create", {"Name": "it", "Data": SECRET})
    await manager.post("/services/create", {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}})
    await manager.settle()
    await manager.post("/swarm/leave", None)
    await manager.settle()
    view = manager.store.view()
    assert (view.count(Service), view.count(Secret), view.count(Node)) == (0, 0, 1)
    assert [n.spec.name for n in view.all(Network) if n.spec.driver == "overlay"] == ["ingress"]
    assert await manager.post("/swarm/init", {}) == NODE


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"DefaultAddrPool": ["10.0.0.0"], "SubnetSize": 30}, "invalid subnet size"),
        ({"DefaultAddrPool": ["x"]}, "invalid default address pool"),
        ({"DataPathPort": 80}, "invalid data path port 80"),
        ({"Availability": "lazy"}, "invalid Availability"),
        ({"Spec": {"Name": "other"}}, "swarm spec must be named"),
    ],
)
async def test_a_bad_init_is_refused(manager: Api, body: dict[str, Any], sentence: str) -> None:
    status, message = await manager.refused("POST", "/swarm/init", body)
    assert status == 400
    assert sentence in message


async def test_the_cluster_is_updated_in_sequence(manager: Api) -> None:
    await manager.post("/swarm/init", {})
    swarm = await manager.get("/swarm")
    seen = str(swarm["Version"]["Index"])
    spec = {"Name": "default", "Orchestration": {"TaskHistoryRetentionLimit": 2}}
    await manager.post("/swarm/update", spec, version=seen, rotateWorkerToken="true")
    after = await manager.get("/swarm")
    assert after["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 2
    assert after["JoinTokens"]["Worker"] != swarm["JoinTokens"]["Worker"]
    assert after["JoinTokens"]["Manager"] == swarm["JoinTokens"]["Manager"]
    assert await manager.refused("POST", "/swarm/update", spec, version=seen) == (409, "update out of sequence")


async def test_docker_info_knows_the_cluster(manager: Api) -> None:
    info = await manager.get("/shoal/v1/swarm-info")
    assert (info["LocalNodeState"], info["ControlAvailable"], info["Nodes"], info["Managers"]) == ("active", True, 1, 1)
    assert "JoinTokens" not in info["Cluster"]


async def test_a_node_is_updated_and_kept(manager: Api) -> None:
    node = (await manager.get("/nodes"))[0]
    assert (await manager.get("/nodes/self"))["ID"] == node["ID"] == NODE
    spec = node["Spec"] | {"Labels": {"zone": "a"}, "Availability": "drain"}
    await manager.post(f"/nodes/{NODE}/update", spec, version=str(node["Version"]["Index"]))
    assert (await manager.get(f"/nodes/{NODE}"))["Spec"] == spec
    assert await manager.get("/nodes", filters='{"node.label":["zone=b"]}') == []
    assert len(await manager.get("/nodes", filters='{"role":["manager"],"membership":["accepted"]}')) == 1
    assert (await manager.refused("GET", "/nodes", filters='{"role":["boss"]}'))[0] == 400
    seen = str((await manager.get(f"/nodes/{NODE}"))["Version"]["Index"])
    demoted = await manager.refused("POST", f"/nodes/{NODE}/update", spec | {"Role": "worker"}, version=seen)
    assert demoted == (400, "attempting to demote the last manager of the swarm")
    assert (await manager.refused("DELETE", f"/nodes/{NODE}"))[0] == 400


async def test_a_secret_is_sealed_and_never_shown(manager: Api) -> None:
    id = (await manager.post("/secrets/create", {"Name": "it", "Data": SECRET, "Labels": {"a": "b"}}))["ID"]
    shown = await manager.get("/secrets/it")
    assert shown["Spec"] == {"Name": "it", "Labels": {"a": "b"}}
    stored = manager.store.view().get(Secret, id)
    assert stored is not None
    assert b"top secret" not in stored.spec.data
    assert manager.vault.open(stored).spec.data == b"top secret"


def test_a_sealed_secret_opens_with_its_own_key_and_id_only() -> None:
    from common.model import SecretSpec

    vault = Vault(bytes(32))
    sealed = Secret(id="a", spec=SecretSpec(name="it", data=vault.seal("a", b"x")))
    assert vault.open(sealed).spec.data == b"x"
    for thief, secret in ((Vault(bytes(31) + b"x"), sealed), (vault, Secret(id="b", spec=sealed.spec))):
        with pytest.raises(Unavailable, match="secret it cannot be opened"):
            thief.open(secret)


@pytest.mark.parametrize("kind", ["Secret", "Config"])
async def test_what_a_service_uses_stays(manager: Api, kind: str) -> None:
    path = f"/{kind.lower()}s"
    id = (await manager.post(f"{path}/create", {"Name": "it", "Data": SECRET}))["ID"]
    service = (await manager.post("/services/create", using(kind, id)))["ID"]
    in_use = (400, f"{kind.lower()} 'it' is in use by the following service: web")
    assert await manager.refused("DELETE", f"{path}/it") == in_use
    assert (await manager.refused("POST", f"{path}/create", {"Name": "it", "Data": SECRET}))[0] == 409
    await manager.call("DELETE", f"/services/{service}")
    assert (await manager.call("DELETE", f"{path}/it"))[0] == 204
    assert await manager.refused("GET", f"{path}/it") == (404, f"{kind.lower()} it not found")


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_only_labels_of_a_file_change(manager: Api, kind: str) -> None:
    id = (await manager.post(f"/{kind}s/create", {"Name": "it", "Data": SECRET}))["ID"]
    seen = str((await manager.get(f"/{kind}s/{id}"))["Version"]["Index"])
    other = base64.b64encode(b"other").decode()
    for wrong in ({"Name": "new"}, {"Name": "it", "Data": other}):
        status, message = await manager.refused("POST", f"/{kind}s/{id}/update", wrong, version=seen)
        assert status == 400
        assert message.startswith("only updates to Labels are allowed")
    await manager.post(f"/{kind}s/{id}/update", {"Name": "it", "Labels": {"a": "b"}}, version=seen)
    assert (await manager.get(f"/{kind}s/{id}"))["Spec"]["Labels"] == {"a": "b"}


@pytest.mark.parametrize(
    "body",
    [
        {"Name": "", "Data": SECRET},
        {"Name": "-x", "Data": SECRET},
        {"Name": "x", "Data": ""},
        {"Name": "x", "Data": base64.b64encode(bytes(600 * 1024)).decode()},
        {"Name": "x", "Data": "?"},
        {"Name": "x", "Driver": {"Name": "vault"}},
        {"Name": "x", "Data": SECRET, "Templating": {"Name": "other"}},
    ],
)
async def test_bad_secrets_are_refused(manager: Api, body: dict[str, Any]) -> None:
    assert (await manager.refused("POST", "/secrets/create", body))[0] == 400


async def test_an_overlay_network_has_its_subnet_at_once_and_stays_while_used(manager: Api) -> None:
    id = (await manager.post("/networks/create", {"Name": "net", "Driver": "overlay", "Attachable": True}))["Id"]
    shown = await manager.get("/networks/net")
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]
    assert (shown["Id"], shown["Scope"], shown["Attachable"]) == (id, "swarm", True)
    body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": "net"}]}}
    service = (await manager.post("/services/create", body))["ID"]
    assert (await manager.get(f"/services/{service}"))["Spec"]["TaskTemplate"]["Networks"] == [{"Target": id}]
    assert await manager.refused("DELETE", "/networks/net") == (403, f"network {id} is in use by service web")
    await manager.call("DELETE", "/services/web")
    await manager.settle()
    assert (await manager.call("DELETE", "/networks/net"))[0] == 204


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"Name": "ingress", "Driver": "overlay"}, 409, "already exists"),
        ({"Name": "x", "Driver": "bridge"}, 400, "use overlay"),
        ({"Name": "x", "Driver": "overlay", "Ingress": True}, 403, "ingress network already"),
        ({"Name": "x", "Driver": "overlay", "Options": {"foo": "1"}}, 400, "unknown option 'foo'"),
        ({"Name": "x", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.0.0.0/16"}]}}, 409, "Pool overlaps"),
        ({"Name": "x", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "x"}]}}, 400, "invalid subnet 'x'"),
        (
            {"Name": "x", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.8.0.1"}]}},
            400,
            "not inside",
        ),
        ({"Name": "x", "Driver": "overlay", "IPAM": {"Driver": "other"}}, 400, "IPAM driver 'other'"),
    ],
)
async def test_bad_networks_are_refused(manager: Api, body: dict[str, Any], status: int, sentence: str) -> None:
    refused = await manager.refused("POST", "/networks/create", body)
    assert refused[0] == status
    assert sentence in refused[1]


async def test_predefined_networks_are_named_but_not_listed(manager: Api) -> None:
    assert [network["Name"] for network in await manager.get("/networks")] == ["ingress"]
    body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": "host"}]}}
    await manager.post("/services/create", body)
    assert (await manager.refused("DELETE", "/networks/host"))[0] == 403


async def test_events_tell_what_a_user_changed(manager: Api) -> None:
    events = manager.store.watch()
    body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}}
    id = (await manager.post("/services/create", body))["ID"]
    created = [line for changed in (await anext(events)).changes for line in described(changed)]
    assert [(e["Type"], e["Action"], e["Actor"]["ID"]) for e in created] == [("service", "create", id)]
    service = manager.store.view().get(Service, id)
    assert service is not None
    scaled = body | {"Mode": {"Replicated": {"Replicas": 4}}}
    await manager.post(f"/services/{id}/update", scaled, version=str(service.version.index))
    updated = [line for changed in (await anext(events)).changes for line in described(changed)]
    assert updated[0]["Actor"]["Attributes"] == {"name": "web", "replicas.new": "4"}
    assert list(described(Changed(service, service))) == [], "the system's own record is no news"


async def test_garbage_is_answered_with_a_sentence(manager: Api) -> None:
    assert await manager.refused("GET", "/nothing") == (404, "page not found")
    assert (await manager.refused("POST", "/services/create", ["a", "list"]))[0] == 400
    assert (await manager.refused("POST", "/services/create", {"Name": 5}))[0] == 400
    assert (await manager.refused("DELETE", "/services"))[0] == 405
