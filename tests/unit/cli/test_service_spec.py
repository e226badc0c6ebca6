"""Flags of `service create` and `service update` → the ServiceSpec."""

from __future__ import annotations

from typing import Any

import click
import pytest

from cli.commands.service.create import create
from cli.commands.service.update import update
from cli.parse.service import parse_service_ports
from cli.service.spec import changed_spec, new_spec, scale

ONE = {"Replicated": {"Replicas": 1}}


def made(*args: str) -> dict[str, Any]:
    return new_spec(create.make_context("create", [*args, "img"]))


def changed(old: dict[str, Any], *args: str) -> dict[str, Any]:
    return changed_spec(old, update.make_context("update", [*args, "web"]))


def container(**fields: Any) -> dict[str, Any]:
    return {"TaskTemplate": {"ContainerSpec": {"Image": "img", **fields}}, "Mode": ONE}


def test_plain_service() -> None:
    assert made() == container()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--name web --replicas 3", {**container(), "Name": "web", "Mode": {"Replicated": {"Replicas": 3}}}),
        ("--mode global", {**container(), "Mode": {"Global": {}}}),
        (
            "--mode replicated-job --replicas 4 --max-concurrent 2",
            {**container(), "Mode": {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 4}}},
        ),
        ("-e A=1 -u nobody -w /srv -t", container(Env=["A=1"], User="nobody", Dir="/srv", TTY=True)),
        ("--container-label a=b -l c=d", {**container(Labels={"a": "b"}), "Labels": {"c": "d"}}),
        ("--host db:10.0.0.1 --dns 1.1.1.1", container(Hosts=["10.0.0.1 db"], DNSConfig={"Nameservers": ["1.1.1.1"]})),
        (
            "--secret key --config source=c,target=/etc/c,mode=0400",
            container(
                Secrets=[{"SecretName": "key", "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}}],
                Configs=[{"ConfigName": "c", "File": {"Name": "/etc/c", "UID": "0", "GID": "0", "Mode": 0o400}}],
            ),
        ),
        (
            "--health-cmd true --health-timeout 2s",
            container(Healthcheck={"Test": ["CMD-SHELL", "true"], "Timeout": 2000000000}),
        ),
        (
            "--mount type=volume,source=d,target=/d",
            container(Mounts=[{"Type": "volume", "Source": "d", "Target": "/d"}]),
        ),
        (
            "-p 8080:80",
            {
                **container(),
                "EndpointSpec": {
                    "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress", "PublishedPort": 8080}]
                },
            },
        ),
        (
            "-p target=53,protocol=udp,mode=host --endpoint-mode dnsrr",
            {
                **container(),
                "EndpointSpec": {
                    "Mode": "dnsrr",
                    "Ports": [{"Protocol": "udp", "TargetPort": 53, "PublishMode": "host"}],
                },
            },
        ),
        (
            "--update-parallelism 0 --update-delay 1s",
            {
                **container(),
                "UpdateConfig": {
                    "Parallelism": 0,
                    "Delay": 1000000000,
                    "Monitor": 5000000000,
                    "FailureAction": "pause",
                    "Order": "stop-first",
                },
            },
        ),
    ],
)
def test_create(args: str, expected: dict[str, Any]) -> None:
    assert made(*args.split()) == expected


def test_create_of_the_task_template() -> None:
    flags = "--constraint node.role==manager --placement-pref spread=node.labels.dc --replicas-max-per-node 2"
    flags += " --limit-memory 64m --reserve-cpu 0.5 --generic-resource gpu=2 --network front"
    flags += " --restart-condition none --restart-delay 1s --log-driver local --log-opt a=b"
    template = made(*flags.split())["TaskTemplate"]
    assert template["Placement"] == {
        "Constraints": ["node.role==manager"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.dc"}}],
        "MaxReplicas": 2,
    }
    assert template["Resources"]["Limits"] == {"MemoryBytes": 64 << 20}
    assert template["Resources"]["Reservations"]["GenericResources"] == [
        {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}
    ]
    assert template["Networks"] == [{"Target": "front"}]
    assert template["RestartPolicy"] == {"Condition": "none", "Delay": 1000000000}
    assert template["LogDriver"] == {"Name": "local", "Options": {"a": "b"}}


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ("--mode global --replicas 2", "replicas can only be used"),
        ("--max-concurrent 2", "replicated-job mode"),
        ("--placement-pref binpack=x", "spread="),
        ("-p 127.0.0.1:80:80", "on all addresses"),
        ("-p target=80,mode=mesh", "mode of ingress, host"),
        ("--network name=a,ip=1.2.3.4", "only alias and driver-opt"),
        ("--update-max-failure-ratio 2", "not in the range"),
        ("--generic-resource gpu", "name=count"),
    ],
)
def test_create_refuses(args: str, part: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        made(*args.split())
    assert part in caught.value.format_message()


OLD = container(
    Env=["A=1", "B=2"],
    Labels={"a": "1"},
    Mounts=[{"Type": "volume", "Source": "d", "Target": "/d"}],
    Hosts=["10.0.0.1 db"],
    Secrets=[{"SecretName": "key", "SecretID": "1", "File": {"Name": "key"}}],
) | {
    "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]}
}


@pytest.mark.parametrize(
    ("args", "path", "expected"),
    [
        ("--image new", "Image", "new"),
        ("--env-add A=9 --env-add C=3", "Env", ["B=2", "A=9", "C=3"]),
        ("--env-rm A", "Env", ["B=2"]),
        ("--container-label-rm a --container-label-add b=2", "Labels", {"b": "2"}),
        ("--mount-rm /d", "Mounts", []),
        ("--mount-add type=tmpfs,target=/d", "Mounts", [{"Type": "tmpfs", "Target": "/d"}]),
        ("--host-rm db", "Hosts", []),
        ("--secret-rm key", "Secrets", []),
        ("--args -v", "Args", ["-v"]),
        ("--no-healthcheck", "Healthcheck", {"Test": ["NONE"]}),
        ("--cap-add sys_time", "CapabilityAdd", ["CAP_SYS_TIME"]),
    ],
)
def test_update_of_the_container(args: str, path: str, expected: Any) -> None:
    assert changed(OLD, *args.split())["TaskTemplate"]["ContainerSpec"][path] == expected


def test_update_leaves_the_rest_and_the_old_spec_alone() -> None:
    before = repr(OLD)
    spec = changed(OLD, "--replicas", "5", "--publish-rm", "80", "--publish-add", "90:80", "--force")
    assert spec["TaskTemplate"] == {**OLD["TaskTemplate"], "ForceUpdate": 1}
    assert spec["Mode"] == {"Replicated": {"Replicas": 5}}
    assert [port["PublishedPort"] for port in spec["EndpointSpec"]["Ports"]] == [90]
    assert repr(OLD) == before


def test_update_of_absent_sections() -> None:
    old = {**container(), "UpdateConfig": None}
    spec = changed(old, "--update-order", "start-first", "--limit-cpu", "1")
    assert spec["UpdateConfig"] == {
        "Parallelism": 1,
        "Monitor": 5000000000,
        "FailureAction": "pause",
        "Order": "start-first",
    }
    assert spec["TaskTemplate"]["Resources"] == {"Limits": {"NanoCPUs": 1000000000}}


def test_capabilities_undo_each_other() -> None:
    old = container(CapabilityAdd=["CAP_SYS_TIME"])
    assert changed(old, "--cap-drop", "SYS_TIME")["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] == []


def test_scale_of_a_global_service_is_refused() -> None:
    with pytest.raises(ValueError, match="scale can only be used"):
        scale({"Mode": {"Global": {}}}, 2)


def test_a_range_publishes_every_port_of_it() -> None:
    def published(text: str) -> list[tuple[int, int]]:
        return [(port["PublishedPort"], port["TargetPort"]) for port in parse_service_ports(text)]

    assert published("8091-8093:80") == [(8091, 80), (8092, 80), (8093, 80)]
    assert published("8091-8092:80-81") == [(8091, 80), (8092, 81)]
    assert published("target=80,published=8091-8092,mode=host") == [(8091, 80), (8092, 80)]
    with pytest.raises(ValueError, match="not of one length"):
        parse_service_ports("8091-8093:80-81")
