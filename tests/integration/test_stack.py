"""`docker stack deploy` of a compose file, and services by aiodocker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiodocker

from tests.harness.clients import newer_docker
from tests.harness.services import IMAGE, Services
from tests.harness.wait import until

COMPOSE = """
services:
  web:
    image: busybox:latest
    command: ["sh", "-c", "mkdir /www; cat /run/secrets/greeting /etc/extra >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["8090:80"]
    networks: [inner]
    secrets: [greeting]
    configs: [{source: extra, target: /etc/extra}]
    environment: {LEVEL: "%s"}
    stop_signal: SIGKILL
    deploy:
      replicas: 2
      update_config: {order: start-first, monitor: 100ms}
      resources: {limits: {memory: 64M}}
  worker:
    image: busybox:latest
    command: sleep 100000
    stop_signal: SIGKILL
    networks: [inner]
    volumes: ["data:/data"]
    deploy: {mode: global, labels: {role: worker}}
networks:
  inner: {driver: overlay}
volumes:
  data: {}
secrets:
  greeting: {file: ./greeting}
configs:
  extra: {file: ./extra}
"""


def deploy(services: Services, folder: Path, level: str) -> None:
    (folder / "stack.yml").write_text(COMPOSE % level)
    words = ("stack", "deploy", "--detach=true", "--resolve-image", "never", "--prune", "--compose-file")
    services.daemon.docker(*words, str(folder / "stack.yml"), "shop")


@newer_docker
def test_a_stack_is_deployed_changed_and_removed(services: Services, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text("hello ")
    (tmp_path / "extra").write_text("from the stack")
    deploy(services, tmp_path, "1")
    services.until_running("shop_web", 2)
    [worker] = services.until_running("shop_worker", 1)
    until(lambda: services.fetch(8090) == "hello from the stack", "the stack's page is served")
    [vip] = services.resolve(worker, "web")
    assert services.exec(worker, "wget", "-qO-", f"http://{vip}/") == "hello from the stack"
    services.exec(worker, "sh", "-c", "echo kept >/data/file")
    deploy(services, tmp_path, "2")
    services.until_running("shop_web", 2, lambda task: services.environment(task) == ["LEVEL=2"])
    assert [task["ID"] for task in services.running("shop_worker")] == [worker["ID"]]
    assert "shop" in services.daemon.docker("stack", "ls")
    assert services.daemon.docker("stack", "ps", "--format", "{{.Name}}", "shop").count("shop_web") >= 2
    services.daemon.docker("stack", "rm", "shop")
    until(lambda: not services.containers("shop_web", all=True), "the stack's containers are gone")
    for kind in ("secret", "config"):
        assert "shop" not in services.daemon.docker(kind, "ls")
    until(lambda: "shop_inner" not in services.daemon.docker("network", "ls"), "the stack's network is gone")
    services.daemon.docker("volume", "rm", "shop_data")


async def test_services_by_aiodocker(services: Services) -> None:
    client = aiodocker.Docker(url=services.daemon.url)
    try:
        template = {"ContainerSpec": {"Image": IMAGE, "Command": ["sleep", "1000"], "StopSignal": "SIGKILL"}}
        made = await client.services.create(template, name="aio", mode={"Replicated": {"Replicas": 2}})
        await asyncio.to_thread(services.until_running, "aio", 2)
        states = [task["Status"]["State"] for task in await client.tasks.list(filters={"service": "aio"})]
        assert states == ["running", "running"]
        shown = await client.services.inspect(made["ID"])
        await client.services.update(made["ID"], version=shown["Version"]["Index"], image=IMAGE)
        assert [service["Spec"]["Name"] for service in await client.services.list()] == ["aio"]
        await client.services.delete(made["ID"])
    finally:
        await client.close()
