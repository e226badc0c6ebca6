"""Placement constraints: what parses, and which nodes they admit."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from common.model import Node, NodeDescription, NodeSpec, NodeStatus
from common.model.node import EngineDescription
from common.model.shared import Platform
from manager.scheduler.constraints import fits_platform, parse

NODE = Node(
    id="abc",
    spec=NodeSpec(role="worker", labels={"zone": "eu", "empty": ""}),
    description=NodeDescription(
        hostname="web-1",
        platform=Platform(architecture="x86_64", os="linux"),
        engine=EngineDescription(labels={"disk": "SSD"}),
    ),
    status=NodeStatus(addr="10.1.2.3"),
)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("node.id==abc", True),
        ("node.id != abc", False),
        ("node.hostname == WEB-1", True),
        ("node.role==manager", False),
        ("node.role!=manager", True),
        ("node.labels.zone==eu", True),
        ("node.labels.zone!=eu", False),
        ("node.labels.missing==eu", False),
        ("node.labels.missing!=eu", True),
        ("engine.labels.disk==ssd", True),
        ("node.platform.os==linux", True),
        ("node.platform.arch==x86_64", True),
        ("node.platform.arch==amd64", True),
        ("node.platform.arch==arm64", False),
        ("node.ip==10.1.0.0/16", True),
        ("node.ip==10.1.2.3", True),
        ("node.ip!=10.2.0.0/16", True),
    ],
)
def test_constraints_admit_nodes(text: str, allowed: bool) -> None:
    assert parse(text).allows(NODE) is allowed


@pytest.mark.parametrize(
    "text", ["", "node.role", "node.role=manager", "==x", "node.role==", "node.color==red", "node.labels.==x", "a b==c"]
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid placement constraint"):
        parse(text)


@pytest.mark.parametrize(
    ("platforms", "fits"),
    [
        ([], True),
        ([Platform(architecture="amd64", os="linux")], True),
        ([Platform(architecture="arm64", os="linux"), Platform(os="linux")], True),
        ([Platform(architecture="arm64", os="linux")], False),
        ([Platform(architecture="amd64", os="windows")], False),
    ],
)
def test_platforms_fit(platforms: list[Platform], fits: bool) -> None:
    assert fits_platform(NODE, platforms) is fits
