"""What every implementation of Volumes must do (worker/volumes/base.py); the local driver with real mounts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.errors import Conflict, InvalidArgument, NotFound, ShoalError, Unsupported
from common.settings import Settings
from tests.harness.image_store import sweep, tree
from worker.engine.events import EventBus
from worker.images.overlay import mounts_below
from worker.volumes.local import ANONYMOUS, LocalVolumes

TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=0750"}


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="shoal-volumes-", dir="/dev/shm"))
    yield folder
    sweep(folder)


@pytest.fixture
async def volumes(root: Path) -> AsyncIterator[LocalVolumes]:
    made = LocalVolumes(Settings(root=root), EventBus())
    await made.start_up()
    yield made
    await made.close()


async def again(root: Path) -> LocalVolumes:
    """What a new daemon makes of the same folder."""
    made = LocalVolumes(Settings(root=root), EventBus())
    await made.start_up()
    return made


async def test_create_is_idempotent(volumes: LocalVolumes) -> None:
    info = await volumes.create("data", labels={"a": "b"})
    assert await volumes.create("data") == info
    assert volumes.get("data").labels == {"a": "b"}
    assert [known.name for known in volumes.list()] == ["data"]
    with pytest.raises(Conflict, match="other options"):
        await volumes.create("data", options=TMPFS)
    with pytest.raises(NotFound, match="get nothing: no such volume"):
        volumes.get("nothing")


async def test_an_empty_name_is_an_anonymous_volume(volumes: LocalVolumes) -> None:
    info = await volumes.create("")
    assert len(info.name) == 64
    assert ANONYMOUS in (info.labels or {})


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "a b", "x" * 256])
async def test_bad_names(volumes: LocalVolumes, name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid characters"):
        await volumes.create(name)


async def test_other_drivers_are_refused(volumes: LocalVolumes) -> None:
    with pytest.raises(Unsupported, match="driver 'nfs-plugin'"):
        await volumes.create("x", driver="nfs-plugin")


async def test_users_protect_a_volume(volumes: LocalVolumes) -> None:
    await volumes.create("data")
    folder = await volumes.acquire("data", "c1")
    assert await volumes.acquire("data", "c2") == folder
    assert await volumes.acquire("data", "c1") == folder
    assert volumes.users("data") == ["c1", "c2"]
    with pytest.raises(Conflict, match=r"volume is in use - \[c1, c2\]"):
        await volumes.remove("data", force=True)
    for user in ("c1", "c1", "c2"):
        await volumes.release("data", user)
    await volumes.remove("data")
    assert not folder.exists()
    await volumes.remove("data", force=True)
    with pytest.raises(NotFound):
        await volumes.remove("data")


async def test_options_are_mounted_while_used(volumes: LocalVolumes, root: Path) -> None:
    await volumes.create("t", options=TMPFS)
    assert mounts_below(root) == []
    folder = await volumes.acquire("t", "c1")
    await volumes.acquire("t", "c2")
    assert mounts_below(root) == [folder]
    assert folder.stat().st_mode & 0o777 == 0o750
    await volumes.release("t", "c1")
    assert mounts_below(root) == [folder]
    await volumes.release("t", "c2")
    assert mounts_below(root) == []


async def test_a_bound_folder_keeps_its_data(volumes: LocalVolumes) -> None:
    place = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        (place / "x").write_text("data")
        await volumes.create("b", options={"type": "none", "device": str(place), "o": "bind"})
        folder = await volumes.acquire("b", "c")
        assert (folder / "x").read_text() == "data"
        await volumes.release("b", "c")
        await volumes.remove("b")
        assert (place / "x").read_text() == "data"
    finally:
        shutil.rmtree(place)


async def test_what_cannot_be_mounted_has_no_user(volumes: LocalVolumes) -> None:
    await volumes.create("b", options={"type": "none", "device": "/not/there", "o": "bind"})
    with pytest.raises(ShoalError, match=r"failed to mount local volume: .*/not/there"):
        await volumes.acquire("b", "c")
    assert volumes.users("b") == []
    await volumes.remove("b")


async def test_fill_copies_everything_once(volumes: LocalVolumes, tmp_path: Path) -> None:
    source = tmp_path / "image"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_text("x")
    (source / "link").symlink_to("sub/file")
    os.chown(source, 1000, 1001)
    source.chmod(0o750)
    (source / "sub/file").chmod(0o4711)
    os.setxattr(source / "sub/file", "trusted.test", b"v")
    await volumes.create("data")
    await volumes.fill("data", source)
    folder = await volumes.acquire("data", "c")
    status = folder.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1001, 0o750)
    assert tree(folder) == {"sub", "sub/file", "link"}
    assert (folder / "sub/file").stat().st_mode & 0o7777 == 0o4711
    assert os.getxattr(folder / "sub/file", "trusted.test") == b"v"
    (folder / "sub/file").write_text("mine")
    await volumes.fill("data", source)
    assert (folder / "sub/file").read_text() == "mine"


async def test_a_new_daemon_finds_volumes_and_mounts(volumes: LocalVolumes, root: Path) -> None:
    await volumes.create("kept", labels={"a": "b"})
    for name, user in (("used", "c1"), ("unused", "c2")):
        await volumes.create(name, options=TMPFS)
        await volumes.acquire(name, user)
    (root / "volumes" / ".new-half" / "_data").mkdir(parents=True)
    new = await again(root)
    await new.recover({"used": ["c1"], "kept": []})
    assert [info.name for info in new.list()] == ["kept", "unused", "used"]
    assert new.users("used") == ["c1"]
    assert mounts_below(root) == [root / "volumes/used/_data"]
    assert not (root / "volumes/.new-half").exists()
    await new.release("used", "c1")
    assert mounts_below(root) == []


async def test_disk_usage(volumes: LocalVolumes) -> None:
    await volumes.create("data")
    (await volumes.acquire("data", "c") / "f").write_bytes(bytes(1234))
    (usage,) = await volumes.disk_usage()
    assert (usage["Name"], usage["UsageData"]) == ("data", {"Size": 1234, "RefCount": 1})
