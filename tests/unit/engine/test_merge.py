from __future__ import annotations

import pytest

from common.model.container import ContainerConfig
from common.model.shared import HealthConfig
from worker.engine.merge import environment, merge

IMAGE = ContainerConfig(
    cmd=["serve"], entrypoint=["/entry"], env=["A=image", "B=image"], labels={"a": "image", "b": "image"},
    exposed_ports={"80/tcp": {}}, volumes={"/data": {}}, working_dir="/work", user="app", stop_signal="SIGQUIT",
    healthcheck=HealthConfig(test=["CMD", "check"], interval=5, retries=4),
)  # fmt: skip


@pytest.mark.parametrize(
    ("user", "entrypoint", "cmd"),
    [
        (ContainerConfig(), ["/entry"], ["serve"]),
        (ContainerConfig(cmd=["other"]), ["/entry"], ["other"]),
        (ContainerConfig(entrypoint=["/mine"]), ["/mine"], None),
        (ContainerConfig(entrypoint=["/mine"], cmd=["x"]), ["/mine"], ["x"]),
        (ContainerConfig(entrypoint=[""], cmd=["x"]), None, ["x"]),
    ],
)
def test_who_decides_the_command(user: ContainerConfig, entrypoint: list[str] | None, cmd: list[str] | None) -> None:
    merged = merge(user, IMAGE)
    assert (merged.entrypoint, merged.cmd) == (entrypoint, cmd)


def test_the_users_words_win_and_the_images_fill_up() -> None:
    merged = merge(ContainerConfig(env=["A=mine"], labels={"a": "mine"}, exposed_ports={"90/udp": {}}), IMAGE)
    assert merged.env == ["A=mine", "B=image"]
    assert merged.labels == {"a": "mine", "b": "image"}
    assert set(merged.exposed_ports) == {"80/tcp", "90/udp"}
    assert (merged.working_dir, merged.user, merged.stop_signal) == ("/work", "app", "SIGQUIT")
    assert merged.volumes == {"/data": {}}


def test_health_checks_inherit_what_they_leave_open() -> None:
    merged = merge(ContainerConfig(healthcheck=HealthConfig(interval=9)), IMAGE).healthcheck
    assert merged == HealthConfig(test=["CMD", "check"], interval=9, retries=4)
    off = HealthConfig(test=["NONE"])
    assert merge(ContainerConfig(healthcheck=off), IMAGE).healthcheck == off


def test_the_environment_has_docker_s_own_variables_first() -> None:
    config = ContainerConfig(tty=True, env=["PATH=/bin", "X=a=b", "TERM"])
    assert environment(config, "me") == ["PATH=/bin", "HOSTNAME=me", "X=a=b"]
