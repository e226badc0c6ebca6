"""Volumes, mounts and the root file system."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.field import field, many, pairs, put, switch, together
from cli.flags.types import BYTES, PAIR, Parsed
from cli.parse.mounts import parse_mount, split_tmpfs, split_volumes

options = together(
    many(
        "HostConfig.Mounts", "--mount", type=Parsed("mount", parse_mount), help="type=bind,source=/a,target=/b,readonly"
    ),
    switch("HostConfig.ReadonlyRootfs", "--read-only", help="Mount the root file system read-only"),
    field("HostConfig.ShmSize", "--shm-size", type=BYTES, help="Size of /dev/shm"),
    many("HostConfig.StorageOpt", "--storage-opt", type=PAIR, shape=pairs, help="Option of the storage driver"),
    many("HostConfig.Tmpfs", "--tmpfs", type=Parsed("path", split_tmpfs), shape=pairs, help="tmpfs, PATH[:OPTIONS]"),
    click.option("-v", "--volume", multiple=True, help="Volume or folder, [SOURCE:]TARGET[:OPTIONS]"),
    field("HostConfig.VolumeDriver", "--volume-driver", help="Driver of volumes that are made for it"),
    many("HostConfig.VolumesFrom", "--volumes-from", help="Take the volumes of this container, NAME[:ro]"),
)


def fill(params: dict[str, Any], body: dict[str, Any]) -> None:
    binds, anonymous = split_volumes(params["volume"])
    if binds:
        put(body, "HostConfig.Binds", binds)
    if anonymous:
        body["Volumes"] = anonymous
