"""Templates of services: the fields that Swarm documents, and a refusal for all else."""

from __future__ import annotations

import msgspec
import pytest

from common.errors import InvalidArgument
from common.model import NodeDescription
from common.model.shared import Platform
from tests.harness.tasks import task
from worker.session.templates import context

NODE = NodeDescription(hostname="host1", platform=Platform(architecture="amd64", os="linux"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{.Service.Name}}-{{.Task.Slot}}", "web-3"),
        ("{{ .Node.Hostname }}", "host1"),
        ("{{.Node.ID}}/{{.Task.ID}}/{{.Task.Name}}", "node/t1/web.3.t1"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/amd64"),
        ('{{index .Service.Labels "tier"}}!', "front!"),
        ('{{index .Service.Labels "absent"}}', ""),
        ("a {{- .Service.ID -}} b", "aserviceb"),
    ],
)
def test_expands(text: str, expected: str) -> None:
    mine = msgspec.structs.replace(task(slot=3), service_annotations={"tier": "front"})
    assert context(mine, NODE).expand(text) == expected


def test_a_global_service_has_its_node_for_a_slot() -> None:
    mine = msgspec.structs.replace(task(slot=0), name="web.node.t1")
    assert context(mine, NODE).expand("{{.Service.Name}} {{.Task.Slot}}") == "web node"


def test_functions_are_known_only_where_they_are_given() -> None:
    with_env = context(task(), NODE, {"env": {"HOME": "/root"}.get})
    assert with_env.expand('{{env "HOME"}}') == "/root"
    with pytest.raises(InvalidArgument, match="env"):
        context(task(), NODE).expand('{{env "HOME"}}')


@pytest.mark.parametrize("text", ["{{.Nonsense}}", "{{range .X}}", "{{index .Service.Labels}}", "{{'}}"])
def test_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(InvalidArgument, match="template"):
        context(task(), NODE).expand(text)
