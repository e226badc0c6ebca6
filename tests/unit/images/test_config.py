"""Image configs from others are read leniently, our own are written exactly; chain ids follow the OCI specification."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from common.errors import InvalidArgument
from common.model.container import ContainerConfig
from worker.images.config import ImageConfig, RootFS, image_fields, parse_config, write_config
from worker.images.layers import chain_ids

DIFF = "sha256:" + "1" * 64


def test_nulls_and_foreign_fields_are_accepted() -> None:
    raw = {
        "architecture": "amd64",
        "os": "linux",
        "container_config": {"anything": 1},
        "config": {"Env": None, "Cmd": ["sh"], "Labels": None, "Entrypoint": None, "Unknown": 1},
        "rootfs": {"type": "layers", "diff_ids": [DIFF]},
        "history": None,
    }
    config = parse_config(json.dumps(raw).encode())
    assert (config.config.cmd, config.config.env, config.config.labels) == (["sh"], [], {})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "invalid image config"),
        (b"{}", "invalid image config"),
        (b'{"rootfs": {"diff_ids": "x"}}', "invalid image config"),
        (b'{"rootfs": {"diff_ids": ["../../etc"]}}', "no sha256 digest"),
        (b'{"os": "windows", "rootfs": {"diff_ids": []}}', "only linux"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_config(data)


def test_written_configs_are_read_back() -> None:
    config = ImageConfig(
        architecture="arm64",
        created=datetime(2024, 1, 2, tzinfo=UTC),
        config=ContainerConfig(env=["A=b"], labels={"x": "y"}, user="1"),
        rootfs=RootFS(diff_ids=[DIFF]),
    )
    assert parse_config(write_config(config)) == config


def test_a_containers_own_fields_stay_out_of_the_image() -> None:
    fields = image_fields(ContainerConfig(hostname="h", tty=True, image="i", cmd=["x"], attach_stdin=True))
    assert fields == {"Cmd": ["x"]}


def test_chain_ids() -> None:
    base = "sha256:" + "a" * 64
    top = "sha256:" + "b" * 64
    assert chain_ids([]) == []
    # sha256 of "<chain of the layers below> <diff id>", computed with sha256sum.
    assert chain_ids([base, top]) == [base, "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c"]
