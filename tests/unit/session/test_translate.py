"""A task's spec in the engine's words, field by field."""

from __future__ import annotations

import base64

import msgspec
import pytest

from common.errors import ShoalError
from common.model import SECOND, NetworkAttachment, NodeDescription, PortConfig, Task
from common.model.container import PortBinding
from common.model.service import (
    AppArmorOptions,
    CredentialSpec,
    DNSConfig,
    Limit,
    Privileges,
    Reservation,
    ResourceRequirements,
    SeccompOptions,
)
from common.model.shared import (
    BindOptions,
    DiscreteGenericResource,
    Driver,
    GenericResource,
    Mount,
    NamedGenericResource,
    VolumeOptions,
)
from tests.harness.tasks import network, task
from worker.engine.container import TASK_LABEL
from worker.session import translate
from worker.session.templates import Context, context

NODE = NodeDescription(hostname="host1")
replace = msgspec.structs.replace


def ctx(mine: Task) -> Context:
    return context(mine, NODE)


def test_command_replaces_the_entrypoint_and_args_the_command() -> None:
    mine = task(command=["/bin/app"], args=["-v"], stop_grace_period=int(1.5 * SECOND), stop_signal="SIGINT")
    config = translate.container_config(mine, ctx(mine))
    assert (config.entrypoint, config.cmd) == (["/bin/app"], ["-v"])
    assert (config.stop_timeout, config.stop_signal) == (2, "SIGINT")
    plain = translate.container_config(task(), ctx(task()))
    assert (plain.entrypoint, plain.cmd, plain.stop_timeout) == (None, None, None)


def test_labels_tell_the_task_and_win_over_the_users() -> None:
    mine = task(labels={"mine": "1", TASK_LABEL: "forged"})
    labels = translate.container_config(mine, ctx(mine)).labels
    assert labels["mine"] == "1"
    assert labels["com.docker.swarm.task.id"] == "t1"
    assert labels["com.docker.swarm.service.name"] == "web"
    assert labels["com.docker.swarm.task.name"] == "web.1.t1"


def test_templates_in_hostname_environment_and_mounts() -> None:
    options = VolumeOptions(
        labels={"slot": "{{.Task.Slot}}"}, driver_config=Driver(name="local", options={"o": "{{.Task.ID}}"})
    )
    mount = Mount(type="volume", source="data-{{.Task.Slot}}", target="/{{.Service.Name}}", volume_options=options)
    mine = task(hostname="{{.Node.Hostname}}-{{.Task.Slot}}", env=["WHO={{.Task.Name}}"], mounts=[mount])
    config = translate.container_config(mine, ctx(mine))
    assert (config.hostname, config.env) == ("host1-1", ["WHO=web.1.t1"])
    [made] = translate.host_config(mine, ctx(mine)).mounts
    assert (made.source, made.target) == ("data-1", "/web")
    assert made.volume_options is not None
    assert made.volume_options.labels == {"slot": "1"}
    assert made.volume_options.driver_config == Driver(name="local", options={"o": "t1"})


def test_mount_options_pass_unchanged() -> None:
    mount = Mount(
        type="bind", source="/a", target="/b", bind_options=BindOptions(propagation="rshared"), read_only=True
    )
    mine = task(mounts=[mount])
    assert translate.host_config(mine, ctx(mine)).mounts == [mount]


def test_resources() -> None:
    mine = task()
    requirements = ResourceRequirements(
        limits=Limit(nano_cpus=5 * 10**8, memory_bytes=100, pids=7),
        reservations=Reservation(memory_bytes=50),
        swap_bytes=20,
    )
    assert mine.spec is not None
    mine = replace(mine, spec=replace(mine.spec, resources=requirements))
    config = translate.host_config(mine, ctx(mine))
    assert (config.nano_cpus, config.memory, config.memory_reservation, config.memory_swap, config.pids_limit) == (
        5 * 10**8, 100, 50, 120, 7,
    )  # fmt: skip
    bare = translate.host_config(task(), ctx(task()))
    assert (bare.memory, bare.memory_swap, bare.pids_limit) == (0, 0, None)


def test_dns_and_hosts() -> None:
    mine = task(
        hosts=["10.0.0.1 one uno", "10.0.0.2 two"],
        dns_config=DNSConfig(nameservers=["1.1.1.1"], search=["lan"], options=["ndots:1"]),
    )
    config = translate.host_config(mine, ctx(mine))
    assert config.extra_hosts == ["one:10.0.0.1", "uno:10.0.0.1", "two:10.0.0.2"]
    assert (config.dns, config.dns_search, config.dns_options) == (["1.1.1.1"], ["lan"], ["ndots:1"])


def test_privileges() -> None:
    profile = base64.b64encode(b'{"defaultAction": "SCMP_ACT_ALLOW"}').decode()
    given = Privileges(
        no_new_privileges=True,
        seccomp=SeccompOptions(mode="custom", profile=profile),
        app_armor=AppArmorOptions(mode="disabled"),
    )
    assert translate.security_options(given) == [
        "no-new-privileges",
        'seccomp={"defaultAction": "SCMP_ACT_ALLOW"}',
        "apparmor=unconfined",
    ]
    assert translate.security_options(Privileges(seccomp=SeccompOptions(mode="unconfined"))) == ["seccomp=unconfined"]


@pytest.mark.parametrize(
    "privileges",
    [
        Privileges(credential_spec=CredentialSpec(config="x")),
        Privileges(seccomp=SeccompOptions(mode="custom", profile="%")),
    ],
)
def test_refuses_privileges_that_cannot_be_given(privileges: Privileges) -> None:
    with pytest.raises(ShoalError):
        translate.security_options(privileges)


def test_a_task_on_no_network_is_on_the_nodes_bridge() -> None:
    assert translate.network_mode(task()) == "default"
    assert translate.networking(task()).endpoints_config == {}


def test_networks_carry_the_addresses_of_the_control_plane() -> None:
    attachment = NetworkAttachment(
        network_id="n", network=network("n"), addresses=["10.0.1.5/24", "fd00::5/64"], aliases=["db"]
    )
    mine = replace(task(), networks_attachments=(attachment,))
    assert translate.network_mode(mine) == "n"
    endpoint = translate.networking(mine).endpoints_config["n"]
    assert endpoint is not None
    assert endpoint.ipam_config is not None
    assert (endpoint.ipam_config.ipv4_address, endpoint.ipam_config.ipv6_address) == ("10.0.1.5", "fd00::5")
    assert endpoint.aliases is None


@pytest.mark.parametrize(("driver", "mode"), [("host", "host"), ("null", "none")])
def test_predefined_networks(driver: str, mode: str) -> None:
    attachment = NetworkAttachment(network_id="n", network=network("n", driver))
    assert translate.network_mode(replace(task(), networks_attachments=(attachment,))) == mode


def test_host_mode_ports() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080, publish_mode="host"),
        PortConfig(target_port=53, protocol="udp"),
    )
    mine = replace(task(), endpoint_ports=ports)
    assert translate.host_config(mine, ctx(mine)).port_bindings == {
        "80/tcp": [PortBinding(host_port="8080")],
        "53/udp": [PortBinding()],
    }
    assert translate.container_config(mine, ctx(mine)).exposed_ports == {"80/tcp": {}, "53/udp": {}}


def test_generic_resources_reach_the_environment() -> None:
    given = [
        GenericResource(named=NamedGenericResource(kind="gpu", value="a")),
        GenericResource(named=NamedGenericResource(kind="gpu", value="b")),
        GenericResource(discrete=DiscreteGenericResource(kind="ssd", value=2)),
    ]
    assert translate.generic_resources(given) == ["DOCKER_RESOURCE_GPU=a,b", "DOCKER_RESOURCE_SSD=2"]
