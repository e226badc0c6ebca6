"""Compose files → what is sent to the API."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from cli.compose import objects
from cli.compose.interpolate import interpolate
from cli.compose.load import load, merge
from cli.compose.names import Names
from cli.compose.service import service_spec
from cli.errors import CliError

SHOP = """
x-common: &common
  logging: {driver: local, options: {max-size: 1m}}
services:
  web:
    <<: *common
    image: web:${TAG:-1}
    command: serve --port 80
    environment: {MODE: fast, DEBUG: true}
    ports: ["8080:80", {target: 53, protocol: udp, mode: host}]
    volumes: ["data:/data", "./site:/srv:ro", {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
    networks: {front: {aliases: [www]}}
    secrets: [key]
    configs: [{source: conf, target: /etc/web.conf, mode: 0400}]
    healthcheck: {test: curl -f http://localhost, interval: 5s, retries: 2}
    deploy:
      replicas: 3
      labels: [tier=front]
      update_config: {parallelism: 2, order: start-first}
      resources: {limits: {cpus: "0.5", memory: 64m}}
      restart_policy: {condition: on-failure, delay: 1s}
      placement: {constraints: [node.role==worker], preferences: [{spread: node.labels.zone}]}
  db:
    image: db
    depends_on: [web]
networks: {front: {driver_opts: {mtu: 1400}}, other: {external: true, name: shared}}
volumes: {data: {driver_opts: {type: nfs}}}
secrets: {key: {file: ./key.txt}}
configs: {conf: {content: "hello"}}
"""


def names(tmp_path: Path, text: str = SHOP, **env: str) -> Names:
    (tmp_path / "key.txt").write_text("s3cret")
    (tmp_path / "compose.yml").write_text(text)
    return Names("shop", load([str(tmp_path / "compose.yml")], env))


def spec(tmp_path: Path, service: str, text: str = SHOP, **env: str) -> dict[str, Any]:
    found = names(tmp_path, text, **env)
    return service_spec(service, found.compose["services"][service], found)


def test_a_service(tmp_path: Path) -> None:
    found = spec(tmp_path, "web", TAG="7")
    container = found["TaskTemplate"].pop("ContainerSpec")
    assert found == {
        "Name": "shop_web",
        "Labels": {"tier": "front", "com.docker.stack.namespace": "shop"},
        "Mode": {"Replicated": {"Replicas": 3}},
        "TaskTemplate": {
            "Networks": [{"Target": "shop_front", "Aliases": ["www", "web"]}],
            "Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 64 << 20}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": 1000000000},
            "Placement": {
                "Constraints": ["node.role==worker"],
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
            },
            "LogDriver": {"Name": "local", "Options": {"max-size": "1m"}},
        },
        "EndpointSpec": {
            "Ports": [
                {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress", "PublishedPort": 8080},
                {"Protocol": "udp", "TargetPort": 53, "PublishMode": "host"},
            ]
        },
        "UpdateConfig": {"Parallelism": 2, "Monitor": 5 * 10**9, "FailureAction": "pause", "Order": "start-first"},
    }
    assert container == {
        "Image": "web:7",
        "Labels": {"com.docker.stack.namespace": "shop"},
        "Args": ["serve", "--port", "80"],
        "Env": ["DEBUG=true", "MODE=fast"],
        "Mounts": [
            {
                "Type": "volume",
                "Source": "shop_data",
                "Target": "/data",
                "VolumeOptions": {
                    "Labels": {"com.docker.stack.namespace": "shop"},
                    "DriverConfig": {"Name": "local", "Options": {"type": "nfs"}},
                },
            },
            {"Type": "bind", "Source": f"{tmp_path}/site", "Target": "/srv", "ReadOnly": True},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576}},
        ],
        "Healthcheck": {"Interval": 5 * 10**9, "Retries": 2, "Test": ["CMD-SHELL", "curl -f http://localhost"]},
        "Secrets": [{"SecretName": "shop_key", "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}}],
        "Configs": [
            {"ConfigName": "shop_conf", "File": {"Name": "/etc/web.conf", "UID": "0", "GID": "0", "Mode": 0o400}}
        ],
    }


def test_what_is_left_aside_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = spec(tmp_path, "db")
    assert found["TaskTemplate"]["Networks"] == [{"Target": "shop_default", "Aliases": ["db"]}]
    assert "depends_on" in capsys.readouterr().err


def test_objects(tmp_path: Path) -> None:
    found = names(tmp_path)
    label = {"com.docker.stack.namespace": "shop"}
    assert objects.networks(found) == [
        {"Name": "shop_default", "Driver": "overlay", "Labels": label},
        {"Name": "shop_front", "Driver": "overlay", "Labels": label, "Options": {"mtu": "1400"}},
    ]
    assert objects.external_networks(found) == ["shared"]
    (secret,) = objects.files("secrets", found)
    assert (secret["Name"], base64.b64decode(secret["Data"])) == ("shop_key", b"s3cret")
    assert objects.files("configs", found)[0]["Data"] == base64.b64encode(b"hello").decode()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("services: {a: {image: x, nonsense: 1}}", "services.a: unsupported key 'nonsense'"),
        ("services: {a: {image: x, privileged: true}}", "unsupported key 'privileged'"),
        ("services: {a: {image: x, deploy: {replica: 1}}}", "services.a.deploy: unsupported key 'replica'"),
        ("services: {a: {}}", "image is required"),
        ("services: {a: {image: x, networks: [n]}}", "network 'n' is not defined"),
        ("services: {a: {image: x, ports: [99999]}}", "services.a.ports: invalid port"),
        ("services: {a: {image: x, stop_grace_period: soon}}", "invalid duration"),
        ("services: {a: {image: x, deploy: {mode: global, replicas: 2}}}", "replicas can only be used"),
        ("services: {a: {image: '${MISSING:?needed}'}}", "required variable MISSING is missing a value: needed"),
        ("services: {a: {image: '${'}}", "invalid interpolation in services.a.image"),
        ("services: [a]", "a map of names is needed"),
        ("networks: {}", "no services"),
        ("- a", "a map with `services`"),
        ("a: [", "no valid YAML"),
        ("top: 1", "unsupported key 'top'"),
    ],
)
def test_refusals(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(CliError) as caught:
        spec(tmp_path, "a", text)
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("${B:-x}${B-y}${EMPTY:-z}${EMPTY-q}", "xyz"),
        ("${A:+set}${B:+set}", "set"),
        ("$$A", "$A"),
        ("$B", ""),
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert interpolate({"k": [text]}, {"A": "1", "EMPTY": ""}) == {"k": [expected]}


def test_files_are_merged() -> None:
    base = {"s": {"image": "a", "ports": [1], "command": ["x"]}}
    assert merge(base, {"s": {"image": "b", "ports": [1, 2], "command": ["y"]}}) == {
        "s": {"image": "b", "ports": [1, 2], "command": ["y"]}
    }
