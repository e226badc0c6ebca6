"""Secrets and configs of services: files in the container, rotated by new versions, in memory only."""

from __future__ import annotations

import json

from tests.harness.services import Services
from tests.harness.wait import until


def test_secrets_and_configs_are_files_with_owner_and_mode(services: Services) -> None:
    docker = services.daemon.docker
    docker("secret", "create", "--label", "a=b", "password", "-", stdin="hunter2")
    docker("config", "create", "settings", "-", stdin="level=1\n")
    with services.service(
        "app",
        "--secret", "source=password,target=pw,uid=65534,gid=65534,mode=0400",
        "--config", "source=settings,target=/etc/app.conf",
    ):  # fmt: skip
        [task] = services.until_running("app", 1)
        assert services.exec(task, "cat", "/run/secrets/pw") == "hunter2"
        assert services.exec(task, "stat", "-c", "%u:%g %a", "/run/secrets/pw").strip() == "65534:65534 400"
        assert services.exec(task, "cat", "/etc/app.conf") == "level=1\n"
        assert services.exec(task, "stat", "-c", "%a", "/etc/app.conf").strip() == "444"
        [shown] = json.loads(docker("inspect", task["Status"]["ContainerStatus"]["ContainerID"]))
        assert shown["Mounts"] == []
        assert "Mounts" not in shown["HostConfig"] or shown["HostConfig"]["Mounts"] == []
        used = services.daemon.docker_result("secret", "rm", "password")
        assert used.returncode != 0
        assert "is in use by the following service: app" in used.stderr
    docker("secret", "rm", "password")
    docker("config", "rm", "settings")


def test_a_secret_is_rotated_by_a_new_one_under_the_old_name(services: Services) -> None:
    docker = services.daemon.docker
    docker("secret", "create", "key.1", "-", stdin="one")
    docker("secret", "create", "key.2", "-", stdin="two")
    with services.service("app", "--secret", "source=key.1,target=key", "--update-monitor", "100ms"):
        [first] = services.until_running("app", 1)
        assert services.exec(first, "cat", "/run/secrets/key") == "one"
        services.update("app", "--secret-rm", "key.1", "--secret-add", "source=key.2,target=key")
        [second] = services.until_running("app", 1, lambda task: task["ID"] != first["ID"])
        assert services.exec(second, "cat", "/run/secrets/key") == "two"
        services.until_update("app", "completed")
        docker("secret", "rm", "key.1")
    docker("secret", "rm", "key.2")


def test_secrets_never_lie_on_the_disk_and_never_leave_by_the_api(services: Services) -> None:
    docker = services.daemon.docker
    docker("secret", "create", "deep", "-", stdin="do-not-write-me")
    with services.service("app", "--secret", "deep"):
        [task] = services.until_running("app", 1)
        assert services.exec(task, "cat", "/run/secrets/deep") == "do-not-write-me"
        assert "do-not-write-me" not in docker("secret", "inspect", "deep")
        session = services.daemon.root / "session"
        assert [path for path in session.rglob("*") if path.is_file() and b"do-not-write-me" in path.read_bytes()] == []
        mounts = [point for point in services.daemon.snapshot().mounts if f"/tasks/{task['ID']}" in point]
        assert len(mounts) >= 1
    until(lambda: not list((services.daemon.state / "tasks").iterdir()), "the task's files are gone")
    docker("secret", "rm", "deep")


def test_templates_in_configs(services: Services) -> None:
    docker = services.daemon.docker
    text = 'name={{.Service.Name}} slot={{.Task.Slot}} level={{env "LEVEL"}}'
    docker("config", "create", "--template-driver", "golang", "templated", "-", stdin=text)
    with services.service("app", "--config", "source=templated,target=/c", "--env", "LEVEL=5"):
        [task] = services.until_running("app", 1)
        assert services.exec(task, "cat", "/c") == "name=app slot=1 level=5"
    docker("config", "rm", "templated")


def test_secrets_survive_a_daemon_that_dies(services: Services) -> None:
    docker = services.daemon.docker
    docker("secret", "create", "stay", "-", stdin="still here")
    with services.service("app", "--secret", "stay"):
        [task] = services.until_running("app", 1)
        services.daemon.kill()
        services.daemon.start()
        [same] = services.until_running("app", 1)
        assert same["ID"] == task["ID"]
        assert services.exec(task, "cat", "/run/secrets/stay") == "still here"
    docker("secret", "rm", "stay")
