"""Secrets and configs as files: where they go, whose they are, what their templates become."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument, NotFound
from common.model import Config, ConfigSpec, NodeDescription, Secret, SecretSpec
from common.model.service import ConfigReference, FileTarget, SecretReference
from common.model.shared import Driver
from common.wire import Assignments
from tests.harness.tasks import task, wanted
from worker.session.files import File, task_files

NODE = NodeDescription(hostname="host1")
GO = Driver(name="golang")


def secret(data: bytes, **spec: object) -> Secret:
    return Secret(id="s", spec=SecretSpec(name="password", data=data, **spec))  # type: ignore[arg-type]


def config(data: bytes, **spec: object) -> Config:
    return Config(id="c", spec=ConfigSpec(name="settings", data=data, **spec))  # type: ignore[arg-type]


SECRET_REF = SecretReference(secret_id="s", secret_name="password")
CONFIG_REF = ConfigReference(config_id="c", config_name="settings", file=FileTarget(name="/etc/app.conf"))


def files(assignments: Assignments) -> list[File]:
    mine = task(secrets=[SECRET_REF], configs=[CONFIG_REF], env=["LEVEL=debug"])
    return list(task_files(mine, assignments, NODE))


def test_secrets_lie_under_run_secrets_and_configs_where_they_say() -> None:
    made = files(wanted(secrets={"s": secret(b"x")}, configs={"c": config(b"y")}))
    assert [(file.path, file.data) for file in made] == [("/run/secrets/password", b"x"), ("/etc/app.conf", b"y")]
    assert made[0].target.mode == 0o444


def test_an_absolute_target_of_a_secret_is_taken_as_it_is() -> None:
    reference = SecretReference(
        secret_id="s", secret_name="password", file=FileTarget(name="/app/key", mode=0o400, uid="7")
    )
    [file] = task_files(task(secrets=[reference]), wanted(secrets={"s": secret(b"x")}), NODE)
    assert (file.path, file.target.mode, file.target.uid) == ("/app/key", 0o400, "7")


def test_templates_may_include_environment_and_secrets() -> None:
    reference = SecretReference(secret_id="s", secret_name="password", file=FileTarget(name="pw"))
    mine = task(secrets=[reference], configs=[CONFIG_REF], env=["LEVEL=debug"])
    text = b'{{.Service.Name}} {{env "LEVEL"}} {{secret "pw"}}'
    made = list(task_files(mine, wanted(secrets={"s": secret(b"x")}, configs={"c": config(text, templating=GO)}), NODE))
    assert made[1].data == b"web debug x"


def test_without_a_template_driver_nothing_is_expanded() -> None:
    made = files(wanted(secrets={"s": secret(b"{{.Task.ID}}")}, configs={"c": config(b"{{")}))
    assert [file.data for file in made] == [b"{{.Task.ID}}", b"{{"]


@pytest.mark.parametrize(
    ("assignments", "error"),
    [
        (wanted(configs={"c": config(b"")}), NotFound),
        (
            wanted(secrets={"s": secret(b"", templating=Driver(name="jinja"))}, configs={"c": config(b"")}),
            InvalidArgument,
        ),
        (wanted(secrets={"s": secret(b"")}, configs={"c": config(b"\xff{{", templating=GO)}), InvalidArgument),
    ],
)
def test_refuses_what_cannot_be_made(assignments: Assignments, error: type[Exception]) -> None:
    with pytest.raises(error):
        files(assignments)
