from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.errors import InvalidArgument, Unsupported
from common.model.container import ContainerConfig, HostConfig
from common.parse import parse_object
from worker.engine.mounts import parse_mounts
from worker.engine.propagation import mount_of
from worker.engine.record import MountPoint
from worker.engine.tmpfs import parse_options


def parse(raw: dict[str, Any], volumes: dict[str, Any] | None = None) -> dict[str, MountPoint]:
    host = parse_object(raw, HostConfig)
    donor = (
        MountPoint(type="volume", name="shared", destination="/shared", driver="local", anonymous=True),
        MountPoint(type="tmpfs", destination="/memory"),
    )
    points = parse_mounts(ContainerConfig(volumes=volumes), host, lambda _: donor)
    return {point.destination: point for point in points}


def test_binds_become_binds_volumes_and_anonymous_volumes() -> None:
    points = parse({"Binds": ["/host/../etc:/in:ro,rslave", "named:/data/", "/alone", "kept:/k:nocopy"]})
    bind = points["/in"]
    assert (bind.type, bind.source, bind.rw, bind.propagation, bind.create_source) == (
        "bind",
        "/etc",
        False,
        "rslave",
        True,
    )
    assert (points["/data"].type, points["/data"].name, points["/data"].mode) == ("volume", "named", "z")
    assert points["/alone"].anonymous
    assert len(points["/alone"].name) == 64
    assert not points["/k"].copy


@pytest.mark.parametrize(
    "bind",
    [
        "",
        ":",
        "/a:",
        "/a:/b:ro:x",
        "/a:b",
        "/a:/",
        "/a:/..",
        "a/b:/c",
        "/a:/b:odd",
        "/a:/b:ro,rw",
        "v:/b:rshared",
        "/a:/b\0c",
    ],
)
def test_bad_binds_are_refused(bind: str) -> None:
    with pytest.raises(InvalidArgument):
        parse({"Binds": [bind]})


def test_mounts_with_all_their_options(tmp_path: Path) -> None:
    points = parse(
        {
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": str(tmp_path),
                    "Target": "/b",
                    "ReadOnly": True,
                    "BindOptions": {"NonRecursive": True},
                },
                {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"Subpath": "a/b", "NoCopy": True}},
                {
                    "Type": "tmpfs",
                    "Target": "/t",
                    "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o700, "Options": [["exec"]]},
                },
            ]
        }
    )
    assert (points["/b"].rw, points["/b"].recursive, points["/b"].create_source) == (False, False, False)
    assert (points["/v"].subpath, points["/v"].copy) == ("a/b", False)
    assert points["/t"].options == ("nosuid", "nodev", "rw", "size=1024", "mode=700", "exec")


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"Type": "bind", "Source": "/no/such/path", "Target": "/x"}, "bind source path does not exist"),
        ({"Type": "bind", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "volume", "Source": "v"}, "field Target must not be empty"),
        ({"Type": "odd", "Target": "/x"}, "mount type unknown"),
        ({"Type": "volume", "Source": "v", "Target": "/x", "BindOptions": {}}, "field BindOptions must not be specified"),
        ({"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "../out"}}, "relative path within"),
        ({"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}, "anonymous volumes"),
        ({"Type": "tmpfs", "Source": "x", "Target": "/x"}, "field Source must not be specified"),
        ({"Type": "image", "Source": "x", "Target": "/x"}, "not supported"),
        ({"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}, "not supported"),
    ],
)  # fmt: skip
def test_bad_mounts_say_what_is_wrong(mount: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        parse({"Mounts": [mount]})


def test_two_wishes_for_one_place_are_refused_but_an_images_volume_gives_way() -> None:
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /x"):
        parse({"Binds": ["a:/x"], "Tmpfs": {"/x": ""}})
    points = parse({"Binds": ["mine:/x"]}, {"/x": {}, "/y": {}})
    assert points["/x"].name == "mine"
    assert points["/y"].anonymous


def test_volumes_from_takes_volumes_but_not_their_ownership() -> None:
    points = parse({"VolumesFrom": ["donor:ro"]})
    assert list(points) == ["/shared"]
    assert (points["/shared"].rw, points["/shared"].anonymous, points["/shared"].copy) == (False, False, False)
    with pytest.raises(InvalidArgument):
        parse({"VolumesFrom": ["donor:odd"]})


def test_tmpfs_options_are_laid_over_safe_defaults() -> None:
    assert parse_options("") == ("noexec", "nosuid", "nodev")
    assert parse_options("exec,size=10%,mode=1777") == ("nosuid", "nodev", "exec", "size=10%", "mode=1777")
    with pytest.raises(InvalidArgument, match="invalid tmpfs option"):
        parse_options("size=10,loop=/dev/sda")


def test_volume_drivers_are_refused_as_unsupported() -> None:
    with pytest.raises(Unsupported):
        parse({"Mounts": [{"Type": "npipe", "Target": "/x"}]})


def test_the_mount_below_a_path() -> None:
    table = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:5 / /srv/a\\040b rw shared:7 master:2 - tmpfs tmpfs rw\n"
        "31 30 0:6 / /srv/a\\040b rw - tmpfs tmpfs rw\n"
    )
    assert mount_of("/srv/a", table) == ("/", ["shared:1"])
    assert mount_of("/srv/a b/c", table) == ("/srv/a b", [])
    assert mount_of("/", table) == ("/", ["shared:1"])
