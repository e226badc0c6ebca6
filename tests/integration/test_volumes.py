"""Volumes through the Engine API, used by real containers."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from tests.harness.clients import newer_docker
from tests.harness.daemon import Daemon
from tests.harness.machine import run


def names(shoald: Daemon, *options: str) -> set[str]:
    return set(shoald.docker("volume", "ls", "-q", *options).split())


def test_life(shoald: Daemon) -> None:
    shoald.docker("volume", "create", "--label", "a=b", "life")
    shown = json.loads(shoald.docker("volume", "inspect", "life"))[0]
    assert (shown["Driver"], shown["Scope"], shown["Labels"]) == ("local", "local", {"a": "b"})
    shoald.docker("run", "--rm", "-v", "life:/data", "busybox", "sh", "-c", "echo kept > /data/file")
    assert shoald.docker("run", "--rm", "-v", "life:/data:ro", "busybox", "cat", "/data/file").strip() == "kept"
    assert names(shoald, "-f", "label=a=b") == {"life"}
    assert names(shoald, "-f", "name=lif", "-f", "dangling=true") == {"life"}
    shoald.docker("volume", "rm", "life")
    assert "life" not in names(shoald)


def test_in_use_by_a_stopped_container(shoald: Daemon) -> None:
    shoald.docker("volume", "create", "busy")
    made = shoald.docker("create", "-v", "busy:/x", "busybox").strip()
    result = shoald.docker_result("volume", "rm", "-f", "busy")
    assert f"remove busy: volume is in use - [{made}]" in result.stderr
    assert names(shoald, "-f", "dangling=true") == set()
    shoald.docker("rm", made)
    shoald.docker("volume", "rm", "busy")


def test_a_new_volume_begins_with_the_images_content(shoald: Daemon) -> None:
    listing = shoald.docker("run", "--rm", "-v", "filled:/etc", "busybox", "cat", "/etc/passwd")
    assert "nobody" in listing
    empty = shoald.docker(
        "run", "--rm", "--mount", "type=volume,src=bare,dst=/home,volume-nocopy", "busybox", "ls", "/home"
    )
    assert empty == ""
    shoald.docker("volume", "rm", "filled", "bare")


def test_tmpfs_options(shoald: Daemon) -> None:
    shoald.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=2m,uid=1000", "memory")
    shown = shoald.docker("run", "--rm", "-v", "memory:/m", "busybox", "sh", "-c", "stat -c %u /m; df -m /m | tail -1")
    assert shown.split()[0] == "1000"
    assert shown.split()[2] == "2"
    assert str(shoald.root) + "/volumes" not in run("cat", "/proc/mounts"), "mounted without a user"
    shoald.docker("volume", "rm", "memory")


@newer_docker
def test_prune_takes_anonymous_ones_only(shoald: Daemon) -> None:
    shoald.docker("volume", "create", "named")
    anonymous = shoald.docker("volume", "create").strip()
    made = shoald.docker("create", "-v", "/anon", "busybox").strip()
    used = names(shoald) - {"named", anonymous}
    assert anonymous in shoald.docker("volume", "prune", "-f")
    assert names(shoald) == {"named"} | used
    shoald.docker("rm", made)
    assert "named" in shoald.docker("volume", "prune", "-f", "-a")
    assert names(shoald) == set()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "a/b"), "includes invalid characters for a local volume name"),
        (("create", "-d", "glusterfs", "x"), "volume driver 'glusterfs' is not supported"),
        (("create", "-o", "type=tmpfs", "x"), 'missing required option: "device"'),
        (("create", "-o", "colour=red", "x"), 'invalid option: "colour"'),
        pytest.param(("rm", "nothing"), "no such volume", marks=newer_docker),
        pytest.param(("inspect", "nothing"), "no such volume", marks=newer_docker),
        (("ls", "-f", "colour=red"), "invalid filter 'colour'"),
    ],
)
def test_refused(shoald: Daemon, arguments: tuple[str, ...], sentence: str) -> None:
    result = shoald.docker_result("volume", *arguments)
    assert sentence in result.stderr
    assert result.returncode != 0


def test_a_bind_that_is_not_there(shoald: Daemon) -> None:
    shoald.docker("volume", "create", "-o", "type=none", "-o", "device=/not/there", "-o", "o=bind", "broken")
    result = shoald.docker_result("run", "--rm", "-v", "broken:/x", "busybox", "true")
    assert "failed to mount local volume" in result.stderr
    shoald.docker("volume", "rm", "broken")


def test_mounts_of_the_host_come_through_where_they_can(shoald: Daemon, tmp_path: Path) -> None:
    """A bind of a private mount could never show later mounts: that is said instead of ignored."""
    (tmp_path / "inner").mkdir()
    bind = ("-v", f"{tmp_path}:/outer:rslave")
    run("mount", "--bind", "--make-private", str(tmp_path), str(tmp_path))
    try:
        refused = shoald.docker_result("run", "--rm", *bind, "busybox", "true")
        assert f"path {tmp_path} is mounted on {tmp_path} but it is not a shared or slave mount" in refused.stderr
        run("mount", "--make-shared", str(tmp_path))
        shoald.docker("run", "-d", "--name", "slave", *bind, "busybox", "sleep", "1000")
        run("mount", "-t", "tmpfs", "later", str(tmp_path / "inner"))
        (tmp_path / "inner" / "file").write_text("late")
        assert shoald.docker("exec", "slave", "cat", "/outer/inner/file") == "late"
        shoald.docker("rm", "-f", "slave")
        run("umount", str(tmp_path / "inner"))
    finally:
        run("umount", "-R", str(tmp_path))


def test_docker_py(shoald: Daemon) -> None:
    client = shoald.client()
    try:
        volume = client.volumes.create("py", labels={"x": "y"})
        assert [found.name for found in client.volumes.list(filters={"label": "x=y"})] == ["py"]
        assert volume.attrs["Mountpoint"].endswith("/py/_data")
        volume.remove()
        with pytest.raises(docker.errors.NotFound):
            client.volumes.get("py")
    finally:
        client.close()
