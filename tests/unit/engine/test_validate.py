from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidArgument, Unsupported
from common.model.container import ContainerConfig, EndpointSettings, HostConfig, NetworkingConfig
from common.parse import parse_object
from common.settings import Settings
from worker.engine.validate import DEFAULT_SHM, complete_config, complete_host, endpoints

ID = "0123456789abcdef" * 4


def config(**raw: Any) -> ContainerConfig:
    return parse_object({"Cmd": ["sh"], **raw}, ContainerConfig)


def test_defaults_are_filled_in() -> None:
    host, warnings = complete_host(config(), HostConfig(), Settings())
    assert (host.network_mode, host.ipc_mode, host.shm_size) == ("bridge", "private", DEFAULT_SHM)
    assert (host.runtime, host.restart_policy.name, host.log_config.type) == ("crun", "no", "json-file")
    assert warnings == []
    assert complete_config(config(), host, ID).hostname == ID[:12]
    assert complete_config(config(), HostConfig(network_mode="host"), ID).hostname == ""
    bound = HostConfig(port_bindings={"80": []})
    assert complete_config(config(ExposedPorts={"90/udp": {}}), bound, ID).exposed_ports == {"90/udp": {}, "80/tcp": {}}


@pytest.mark.parametrize(
    "raw",
    [
        {"Cmd": []}, {"Hostname": "a b"}, {"Hostname": "h" * 64}, {"WorkingDir": "relative"}, {"Env": ["=x"]}, {"Env": [""]},
        {"StopSignal": "NOPE"}, {"Cmd": ["a\0b"]}, {"Labels": {"a\0": "b"}}, {"User": "\0"}, {"OnBuild": ["RUN x"]},
        {"Healthcheck": {"Test": ["ODD"]}}, {"Healthcheck": {"Test": ["CMD"]}}, {"Healthcheck": {"Interval": 1}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}},
    ],
)  # fmt: skip
def test_bad_configs(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        complete_config(config(**raw), HostConfig(), ID)


@pytest.mark.parametrize(
    "raw",
    [
        {"Links": ["a:b"]}, {"Isolation": "hyperv"}, {"StorageOpt": {"size": "1g"}}, {"VolumeDriver": "nfs"}, {"Cgroup": "x"},
    ],
)  # fmt: skip
def test_what_is_not_supported_is_said(raw: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        complete_host(config(), parse_object(raw, HostConfig), Settings())


def test_endpoints_are_those_asked_for_and_the_network_modes() -> None:
    aliased = EndpointSettings(aliases=["a"])
    wishes = NetworkingConfig(endpoints_config={"extra": aliased, "mine": None})
    assert endpoints(wishes, config(MacAddress="02:00:00:00:00:01"), HostConfig(network_mode="mine")) == {
        "mine": EndpointSettings(mac_address="02:00:00:00:00:01"),
        "extra": aliased,
    }
    assert endpoints(NetworkingConfig(), config(), HostConfig(network_mode="container:x")) == {}
    assert list(endpoints(NetworkingConfig(), config(), HostConfig(network_mode="host"))) == ["host"]
    with pytest.raises(InvalidArgument, match="joins no other network"):
        endpoints(wishes, config(), HostConfig(network_mode="host"))
    linked = NetworkingConfig(endpoints_config={"mine": EndpointSettings(links=["x"])})
    with pytest.raises(Unsupported):
        endpoints(linked, config(), HostConfig(network_mode="mine"))
