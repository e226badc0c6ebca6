"""Services over the API: what is stored, what is shown, what is refused and how it is said."""

from __future__ import annotations

from typing import Any

import pytest

from common.model import Service, Task, TaskState
from manager.api import shapes
from tests.unit.manager_api.api import Api

Json = dict[str, Any]


def spec(name: str = "web", **more: Any) -> Json:
    return {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}, **more}


def container(**fields: Any) -> Json:
    return {"TaskTemplate": {"ContainerSpec": {"Image": "busybox", **fields}}}


def template(**fields: Any) -> Json:
    return {"TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, **fields}}


async def create(manager: Api, **more: Any) -> str:
    answer = await manager.post("/services/create", spec(**more))
    await manager.settle()
    return str(answer["ID"])


async def version(manager: Api, id: str) -> str:
    return str((await manager.get(f"/services/{id}"))["Version"]["Index"])


async def test_a_service_is_found_by_id_name_and_the_beginning_of_its_id(manager: Api) -> None:
    id = await create(manager)
    for name in (id, "web", id[:8]):
        assert (await manager.get(f"/services/{name}"))["ID"] == id
    assert await manager.refused("GET", "/services/nope") == (404, "service nope not found")


async def test_what_a_client_gave_comes_back(manager: Api) -> None:
    given = spec(
        Labels={"a": "b"},
        Mode={"Replicated": {"Replicas": 3}},
        UpdateConfig={"Parallelism": 2, "FailureAction": "rollback", "Order": "start-first", "MaxFailureRatio": 0.5},
        EndpointSpec={
            "Mode": "vip",
            "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}],
        },
    )
    id = (await manager.post("/services/create", given))["ID"]
    shown = (await manager.get(f"/services/{id}"))["Spec"]
    assert shown["Labels"] == {"a": "b"}
    assert shown["Mode"] == {"Replicated": {"Replicas": 3}}
    assert shown["UpdateConfig"] | given["UpdateConfig"] == shown["UpdateConfig"]
    assert shown["EndpointSpec"] == given["EndpointSpec"]
    assert shown["TaskTemplate"]["Runtime"] == "container"


async def test_defaults_are_shown_on_demand(manager: Api) -> None:
    id = await create(manager)
    assert "UpdateConfig" not in (await manager.get(f"/services/{id}"))["Spec"]
    shown = (await manager.get(f"/services/{id}", insertDefaults="true"))["Spec"]
    assert shown["UpdateConfig"]["Parallelism"] == 1
    assert shown["TaskTemplate"]["RestartPolicy"]["Condition"] == "any"


async def test_nothing_internal_is_shown(manager: Api) -> None:
    id = await create(manager)
    await manager.post(f"/services/{id}/update", spec() | container(Env=["A=b"]), version=await version(manager, id))
    shown = await manager.get(f"/services/{id}")
    assert set(shown) <= {"ID", "Version", "CreatedAt", "UpdatedAt", "Spec", "PreviousSpec", "Endpoint", "UpdateStatus"}
    task = (await manager.get("/tasks"))[0]
    assert "SpecVersion" not in task
    assert task["Spec"]["ContainerSpec"]["Image"] == "busybox"


async def test_a_name_is_taken_once_and_chosen_where_none_is_given(manager: Api) -> None:
    await create(manager)
    taken = (409, "name conflicts with an existing object: service web already exists")
    assert await manager.refused("POST", "/services/create", spec()) == taken
    await create(manager, name="")
    assert len({service["Spec"]["Name"] for service in await manager.get("/services")} - {""}) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"Name": "no spaces"}, "name must be valid as a DNS name component"),
        ({"Name": "x" * 64}, "name must be 63 characters or fewer"),
        ({"Nmae": "x"}, "unknown field 'Nmae'"),
        ({"TaskTemplate": {}}, "missing runtime"),
        ({"TaskTemplate": {"Runtime": "plugin", "ContainerSpec": {"Image": "x"}}}, "plugins are not supported"),
        (container(Image=""), "ContainerSpec: image reference must be provided"),
        (container(Image="Not:Valid:"), 'ContainerSpec: "Not:Valid:" is not a valid repository/tag'),
        (container(Mounts=[{"Type": "volume", "Target": "/a"}] * 2), "duplicate mount point: /a"),
        (container(Mounts=[{"Type": "volume", "Target": "a"}]), "an absolute path is needed"),
        (container(Mounts=[{"Type": "bind", "Target": "/a", "Source": "b"}]), "invalid bind mount source"),
        (container(Mounts=[{"Type": "cluster", "Target": "/a"}]), "cluster volumes (CSI) are not supported"),
        (
            container(Mounts=[{"Type": "tmpfs", "Target": "/a", "VolumeOptions": {}}]),
            "volume options on a mount of type tmpfs",
        ),
        (container(Healthcheck={"Interval": 10}), "Interval in HealthConfig cannot be less than one millisecond"),
        (container(Healthcheck={"Test": ["curl"]}), "unknown type 'curl' in HealthConfig"),
        (container(Privileges={"CredentialSpec": {"File": "x"}}), "credential specs"),
        (container(Privileges={"SELinuxContext": {"Disable": True}}), "SELinux contexts are not supported"),
        (container(Secrets=[{"SecretName": "s"}]), "malformed secret reference"),
        (container(Secrets=[{"SecretName": "s", "SecretID": "i"}]), "no file target provided"),
        (container(Secrets=[{"SecretName": "s", "SecretID": "i", "File": {"Name": "s"}}]), "secret not found: s"),
        (container(Configs=[{"ConfigName": "c", "ConfigID": "i", "File": {"Name": "c"}}]), "config not found: c"),
        (template(Resources={"Limits": {"NanoCPUs": 10}}), "invalid cpu value 1e-08: Must be at least 0.001"),
        (
            template(Resources={"Reservations": {"MemoryBytes": 4096}}),
            "invalid memory value 4096: Must be at least 4MiB",
        ),
        (template(RestartPolicy={"Condition": "always"}), "invalid restart condition 'always'"),
        (template(RestartPolicy={"Delay": -1}), "restart-delay cannot be negative"),
        (template(Placement={"Constraints": ["node.role"]}), "expected one operator from ==, !="),
        (template(Placement={"Constraints": ["planet==mars"]}), "key 'planet' is invalid"),
        (
            template(Placement={"Preferences": [{"Spread": {"SpreadDescriptor": "x"}}]}),
            "invalid placement preference 'x'",
        ),
        (template(Networks=[{"Target": "nowhere"}]), "network nowhere not found"),
        (template(Networks=[{"Target": "ingress"}]), "Service cannot be explicitly attached to the ingress network"),
        ({"Mode": {"Replicated": {"Replicas": -1}}}, "Number of replicas must be non-negative"),
        ({"Mode": {"Replicated": {}, "Global": {}}}, "one mode only"),
        ({"Mode": {"GlobalJob": {}}, "UpdateConfig": {}}, "not allowed for services in a job mode"),
        ({"UpdateConfig": {"Delay": -1}}, "update-delay cannot be negative"),
        ({"UpdateConfig": {"MaxFailureRatio": 1.5}}, "cannot be less than 0 or bigger than 1"),
        ({"UpdateConfig": {"FailureAction": "explode"}}, "unrecognized update failure action explode"),
        ({"RollbackConfig": {"FailureAction": "rollback"}}, "unrecognized rollback failure action rollback"),
        ({"EndpointSpec": {"Mode": "dns"}}, "invalid endpoint mode 'dns'"),
        ({"EndpointSpec": {"Ports": [{"TargetPort": 70000}]}}, "ports are from 1 to 65535"),
        ({"EndpointSpec": {"Ports": [{"TargetPort": 80, "Protocol": "icmp"}]}}, "invalid protocol 'icmp'"),
        ({"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}}, "can't be used with dnsrr mode"),
        (
            {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 81}] * 2}},
            "duplicate published ports provided",
        ),
    ],
)
async def test_what_is_wrong_is_refused_with_a_sentence(manager: Api, change: Json, sentence: str) -> None:
    status, message = await manager.refused("POST", "/services/create", spec() | change)
    assert status in (400, 404)
    assert sentence in message
    assert await manager.get("/services") == []


async def test_a_published_port_belongs_to_one_service(manager: Api) -> None:
    ports = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}
    id = await create(manager, EndpointSpec=ports)
    status, message = await manager.refused("POST", "/services/create", spec("two", EndpointSpec=ports))
    assert (status, message) == (400, f"port '8080' is already in use by service 'web' ({id}) as an ingress port")
    seen = await version(manager, id)
    await manager.post(f"/services/{id}/update", spec(EndpointSpec=ports), version=seen)


async def test_an_update_needs_the_version_that_was_read(manager: Api) -> None:
    id = await create(manager)
    seen = await version(manager, id)
    await manager.post(f"/services/{id}/update", spec(Labels={"a": "1"}), version=seen)
    body = spec(Labels={"a": "2"})
    refusal = await manager.refused("POST", f"/services/{id}/update", body, version=seen)
    assert refusal == (409, "update out of sequence")
    assert (await manager.refused("POST", f"/services/{id}/update", body, version="99999"))[0] == 409
    assert (await manager.refused("POST", f"/services/{id}/update", body))[0] == 400


async def test_what_the_system_changed_since_does_not_stand_in_an_updates_way(manager: Api) -> None:
    id = (await manager.post("/services/create", spec(EndpointSpec={"Ports": [{"TargetPort": 80}]})))["ID"]
    seen = await version(manager, id)
    await manager.settle()
    assert await version(manager, id) != seen
    await manager.post(f"/services/{id}/update", spec(Labels={"a": "b"}), version=seen)


async def test_name_and_mode_do_not_change(manager: Api) -> None:
    id = await create(manager)
    seen = await version(manager, id)
    renamed = await manager.refused("POST", f"/services/{id}/update", spec("other"), version=seen)
    assert renamed == (400, "renaming services is not supported")
    switched = await manager.refused("POST", f"/services/{id}/update", spec(Mode={"Global": {}}), version=seen)
    assert switched == (400, "service mode change is not allowed")


async def test_a_rollback_returns_to_the_previous_spec_and_back(manager: Api) -> None:
    id = await create(manager)
    body = spec() | container(Env=["A=b"])
    assert await manager.refused(
        "POST", f"/services/{id}/update", spec(), version=await version(manager, id), rollback="previous"
    ) == (400, "service web does not have a previous spec")
    await manager.post(f"/services/{id}/update", body, version=await version(manager, id))
    for env in (None, ["A=b"]):
        await manager.post(f"/services/{id}/update", spec(), version=await version(manager, id), rollback="previous")
        shown = await manager.get(f"/services/{id}")
        assert shown["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") == env
        assert shown["UpdateStatus"]["State"] == "rollback_started"


async def test_the_list_is_filtered_and_counted(manager: Api) -> None:
    await create(manager, Labels={"tier": "front"}, Mode={"Replicated": {"Replicas": 2}})
    await create(manager, name="worker", Mode={"Global": {}})

    async def names(filters: str) -> list[str]:
        return sorted(s["Spec"]["Name"] for s in await manager.get("/services", filters=filters))

    assert await names('{"name":["we"]}') == ["web"]
    assert await names('{"label":["tier=front"]}') == ["web"]
    assert await names('{"mode":["global"]}') == ["worker"]
    assert await names('{"id":{"zzz":true}}') == []
    assert (await manager.refused("GET", "/services", filters='{"nope":["x"]}'))[0] == 400
    counted = {s["Spec"]["Name"]: s["ServiceStatus"] for s in await manager.get("/services", status="true")}
    assert counted["web"] == {"RunningTasks": 0, "DesiredTasks": 2, "CompletedTasks": 0}


async def test_a_removed_service_leaves_its_name_free_and_its_tasks_to_be_ended(manager: Api) -> None:
    id = await create(manager)
    task = next(iter(manager.store.view().all(Task)))
    assert (await manager.call("DELETE", "/services/web"))[0] == 200
    view = manager.store.view()
    assert view.get(Service, id) is None
    left = view.get(Task, task.id)
    assert left is None or (left.desired_state == TaskState.REMOVE and left.spec is not None)
    await create(manager)


async def test_tasks_are_named_filtered_and_complete(manager: Api) -> None:
    id = await create(manager, Mode={"Replicated": {"Replicas": 2}})
    tasks = await manager.get("/tasks", filters='{"service":["web"],"desired-state":["running"]}')
    assert sorted(task["Name"] for task in tasks) == sorted(f"web.{t['Slot']}.{t['ID']}" for t in tasks)
    assert {task["ServiceID"] for task in tasks} == {id}
    assert await manager.get("/tasks", filters='{"service":["other"]}') == []
    assert len(await manager.get("/tasks", filters=f'{{"id":["{tasks[0]["ID"]}"]}}')) == 1
    assert (await manager.get(f"/tasks/{tasks[0]['ID'][:10]}"))["ID"] == tasks[0]["ID"]
    assert (await manager.refused("GET", "/tasks", filters='{"desired-state":["sleeping"]}'))[0] == 400
    assert await manager.refused("GET", "/tasks/nope") == (404, "task nope not found")


async def test_logs_need_a_stream(manager: Api) -> None:
    await create(manager)
    status, message = await manager.refused("GET", "/services/web/logs")
    assert (status, message) == (400, "Bad parameters: you must choose at least one stream")
    assert (await manager.call("GET", "/services/web/logs", stdout="1"))[0] == 200


async def test_a_task_that_lost_its_spec_is_still_shown_as_a_containers(manager: Api) -> None:
    """Docker's client takes it for granted that there is one."""
    view = manager.store.view()
    shown = shapes.task(view, Task(id="lost", service_id="gone"))
    assert "ContainerSpec" in shown["Spec"]
