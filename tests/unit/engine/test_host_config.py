"""Ports, devices, security options, log options, namespaces and sysctls: what is taken, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidArgument, Unsupported
from common.model.container import ContainerConfig, HostConfig, LogConfig
from common.parse import parse_object
from common.settings import Settings
from worker.engine.devices import check_devices, oci_devices
from worker.engine.logconfig import LogLimits, complete_log_config, log_limits
from worker.engine.namespaces import check_modes
from worker.engine.ports import exposed, mappings
from worker.engine.security import masked_paths, parse_security, read_only_paths
from worker.engine.sysctls import check_sysctls
from worker.network.base import PortMapping


def host(raw: dict[str, Any]) -> HostConfig:
    return parse_object(raw, HostConfig)


def test_published_ports() -> None:
    config = ContainerConfig(exposed_ports={"80/tcp": {}, "8000-8001": {}})
    assert exposed(config) == [(80, "tcp"), (8000, "tcp"), (8001, "tcp")]
    bound = host({"PortBindings": {"80": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": [{}]}})
    assert mappings(config, bound) == (
        PortMapping(protocol="tcp", container_port=80, host_ip="127.0.0.1", host_port=8080),
        PortMapping(protocol="udp", container_port=53),
    )
    ranged = mappings(config, host({"PortBindings": {"80": [{"HostPort": "8000-8010"}]}}))
    assert ranged == (PortMapping(protocol="tcp", container_port=80, host_port=8000, last_host_port=8010),)
    every = mappings(config, host({"PublishAllPorts": True}))
    assert [mapping.container_port for mapping in every] == [80, 8000, 8001]


@pytest.mark.parametrize(
    "bindings",
    [{"80/icmp": [{}]}, {"0/tcp": [{}]}, {"x": [{}]}, {"80": [{"HostPort": "70000"}]}, {"80": [{"HostIp": "host"}]},
     {"80": [{"HostPort": "90-80"}]}, {"80": [{"HostPort": "80-"}]}, {"80": [{"HostPort": "-80"}]},
     {"80-81": [{"HostPort": "80-81"}]}, {"٨٠": [{}]}],
)  # fmt: skip
def test_bad_ports(bindings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        mappings(ContainerConfig(), host({"PortBindings": bindings}))


def test_devices_and_their_rules() -> None:
    wanted = host(
        {
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
            "DeviceCgroupRules": ["c 10:* rw"],
        }
    )
    check_devices(wanted)
    nodes, rules = oci_devices(wanted)
    assert [(node["path"], node["type"], node["major"], node["minor"]) for node in nodes] == [("/dev/x", "c", 1, 3)]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[-2:] == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
        {"allow": True, "type": "c", "major": 10, "access": "rw"},
    ]
    assert oci_devices(host({"Privileged": True}))[1] == [{"allow": True, "access": "rwm"}]


@pytest.mark.parametrize(
    "raw",
    [{"DeviceCgroupRules": ["x 1:2 r"]}, {"Devices": [{"PathOnHost": "null"}]},
     {"Devices": [{"PathOnHost": "/dev/null", "CgroupPermissions": "x"}]}],
)  # fmt: skip
def test_bad_devices(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        check_devices(host(raw))


def test_security_options() -> None:
    plain = parse_security(host({}))
    assert plain.seccomp is None
    assert "/proc/kcore" in masked_paths(host({}), plain)
    assert "/proc/sys" in read_only_paths(host({}), plain)
    chosen = parse_security(
        host({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"]})
    )
    assert chosen.no_new_privileges
    assert chosen.seccomp == "unconfined"
    assert masked_paths(host({}), chosen) == []
    privileged = host({"Privileged": True})
    assert parse_security(privileged).seccomp == "unconfined"
    assert masked_paths(privileged, parse_security(privileged)) == []
    profile = parse_security(host({"SecurityOpt": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']})).seccomp
    assert profile == {"defaultAction": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize("option", ["nope", "seccomp={", "no-new-privileges=perhaps", "label=level:s0"])
def test_bad_security_options(option: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_security(host({"SecurityOpt": [option]}))


def test_log_options() -> None:
    settings = Settings(log_driver="local")
    assert complete_log_config(LogConfig(), settings).type == "local"
    assert log_limits(LogConfig(type="local")) == LogLimits(20 << 20, 5)
    assert log_limits(LogConfig(type="json-file")) == LogLimits(-1, 1)
    assert log_limits(LogConfig(type="json-file", config={"max-size": "10k", "max-file": "3"})) == LogLimits(
        10 << 10, 3
    )
    for config in (
        LogConfig(type="syslog"), LogConfig(type="json-file", config={"nope": "1"}), LogConfig(type="json-file", config={"max-file": "2"}),
        LogConfig(type="local", config={"max-size": "big"}), LogConfig(type="none", config={"max-size": "1k"}),
        LogConfig(type="local", config={"compress": "true"}),
    ):  # fmt: skip
        with pytest.raises(InvalidArgument):
            complete_log_config(config, settings)


@pytest.mark.parametrize(
    ("config", "raw"),
    [
        (ContainerConfig(), {"PidMode": "odd"}),
        (ContainerConfig(), {"IpcMode": "container:"}),
        (ContainerConfig(), {"UTSMode": "container:x"}),
        (ContainerConfig(hostname="me"), {"UTSMode": "host"}),
        (ContainerConfig(hostname="me"), {"NetworkMode": "container:x"}),
        (ContainerConfig(), {"NetworkMode": "container:"}),
        (ContainerConfig(exposed_ports={"80/tcp": {}}), {"NetworkMode": "container:x"}),
        (ContainerConfig(), {"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}),
    ],
)
def test_modes_that_exclude_each_other(config: ContainerConfig, raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        check_modes(config, host(raw))


def test_user_namespaces_are_not_supported() -> None:
    check_modes(ContainerConfig(), host({"UsernsMode": "host", "PidMode": "container:x", "IpcMode": "none"}))
    with pytest.raises(Unsupported):
        check_modes(ContainerConfig(), host({"UsernsMode": "private"}))


def test_only_namespaced_sysctls_of_own_namespaces() -> None:
    check_sysctls(host({"Sysctls": {"net.core.somaxconn": "1", "kernel.shmmax": "1", "fs.mqueue.msg_max": "1"}}))
    for raw in (
        {"Sysctls": {"vm.swappiness": "1"}},
        {"Sysctls": {"net.core.somaxconn": "1"}, "NetworkMode": "host"},
        {"Sysctls": {"kernel.shmmax": "1"}, "IpcMode": "host"},
    ):
        with pytest.raises(InvalidArgument):
            check_sysctls(host(raw))
