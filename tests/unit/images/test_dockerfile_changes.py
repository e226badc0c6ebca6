"""The instructions of `docker commit -c` and `docker import -c`."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidArgument
from common.model.container import ContainerConfig
from common.model.shared import HealthConfig
from worker.images.creation import merge_config
from worker.images.dockerfile_changes import apply_changes

BASE = ContainerConfig(env=["PATH=/bin", "A=1"], working_dir="/srv", labels={"old": "x"}, exposed_ports={"80/tcp": {}})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('CMD ["ls", "-l"]', {"cmd": ["ls", "-l"]}),
        ("CMD ls -l", {"cmd": ["/bin/sh", "-c", "ls -l"]}),
        ('entrypoint ["/a"]', {"entrypoint": ["/a"]}),
        ("ENV A=2 B='x y'", {"env": ["PATH=/bin", "A=2", "B=x y"]}),
        ("ENV C some words", {"env": ["PATH=/bin", "A=1", "C=some words"]}),
        ("EXPOSE 53/udp 8000-8001", {"exposed_ports": {p: {} for p in ("80/tcp", "53/udp", "8000/tcp", "8001/tcp")}}),
        ('LABEL new="a b"', {"labels": {"old": "x", "new": "a b"}}),
        ("USER 1000:1000", {"user": "1000:1000"}),
        ('VOLUME ["/a", "/b"]', {"volumes": {"/a": {}, "/b": {}}}),
        ("VOLUME /a /b", {"volumes": {"/a": {}, "/b": {}}}),
        ("WORKDIR sub", {"working_dir": "/srv/sub"}),
        ("WORKDIR /abs", {"working_dir": "/abs"}),
        ("ONBUILD RUN true", {"on_build": ["RUN true"]}),
        ("STOPSIGNAL SIGINT", {"stop_signal": "SIGINT"}),
        ("HEALTHCHECK NONE", {"healthcheck": HealthConfig(test=["NONE"])}),
        (
            "HEALTHCHECK --interval=1m30s --retries=3 CMD true",
            {"healthcheck": HealthConfig(test=["CMD-SHELL", "true"], interval=90 * 10**9, retries=3)},
        ),
    ],
)
def test_change(change: str, expected: dict[str, Any]) -> None:
    changed = apply_changes(BASE, [change])
    assert {name: getattr(changed, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("RUN true", "not a valid change command"),
        ("CMD", "at least one argument"),
        ("ENV A", "two arguments"),
        ("ENV A='x", "quoted"),
        ("LABEL a=1 b", "name=value"),
        ("EXPOSE http", "no port"),
        ("EXPOSE 70000", "1-65535"),
        ("EXPOSE 80/icmp", "no port"),
        ("STOPSIGNAL no!", "no signal"),
        ("HEALTHCHECK --every=1s CMD x", "not valid"),
        ("HEALTHCHECK --interval=soon CMD x", "no duration"),
        ("HEALTHCHECK true", "needs CMD"),
    ],
)
def test_refused(change: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        apply_changes(BASE, [change])


def test_commit_overrides_then_changes() -> None:
    merged = merge_config(BASE, ["ENV A=3"], ContainerConfig(user="me", cmd=["x"]))
    assert (merged.user, merged.cmd, merged.env, merged.working_dir) == ("me", ["x"], ["PATH=/bin", "A=3"], "/srv")
