"""The image store with real overlay mounts: layers, containers' roots, commits, garbage and crashes."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import Conflict, InvalidArgument, NotFound
from common.model.container import ContainerConfig
from tests.harness.image_store import body, image_store, joined, leftovers, load, tree
from tests.harness.images import archive, busybox_archive, layer
from worker.images.base import FileChange
from worker.images.overlay import MAX_LAYERS, Mounter, mounts_below
from worker.images.saving import Selection, save
from worker.images.store import LocalImages

BASE = layer({"dir": None, "dir/a": b"a", "dir/b": b"b", "gone": b"x", "old": None, "old/x": b"x"})
TOP = layer({".wh.gone": b"", "dir/.wh.b": b"", "dir/c": b"c", "old": None, "old/.wh..wh..opq": b"", "old/y": b"y"})


@pytest.fixture
async def store() -> AsyncIterator[LocalImages]:
    async with image_store() as made:
        yield made
        assert not leftovers(made)


async def make_root(store: LocalImages, name: str, reference: str) -> Path:
    await store.prepare(name, store.resolve(reference))
    return await store.mount(name)


async def test_layers_are_stacked(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE, TOP], ["app:1"], {"Cmd": ["x"]}))
    assert image.tags == ("docker.io/library/app:1",)
    assert image.config.cmd == ["x"]
    root = await make_root(store, "c", "app:1")
    assert {"dir/a", "dir/c", "old/y"} <= tree(root)
    assert not {"dir/b", "gone", "old/x"} & tree(root)


async def test_mount_points_are_there_and_no_change(store: LocalImages) -> None:
    await load(store, archive([BASE], ["app"]))
    root = await make_root(store, "c", "app")
    assert {"proc", "sys", "dev/shm", "etc/hosts", "etc/resolv.conf"} <= tree(root)
    assert await store.changes("c") == []


async def test_the_same_image_again_costs_nothing(store: LocalImages) -> None:
    data = archive([BASE, TOP], ["app"])
    first = await load(store, data)
    blobs = tree(store.parts.layout.root / "images" / "blobs")
    assert await load(store, data) == first
    assert tree(store.parts.layout.root / "images" / "blobs") == blobs


async def test_loads_at_once_share_their_layers(store: LocalImages) -> None:
    await asyncio.gather(*(load(store, archive([BASE, TOP], [f"app:{n}"], {"User": str(n)})) for n in range(4)))
    assert store.count() == 4
    assert len(store.parts.layers.all()) == 2


async def test_changes(store: LocalImages) -> None:
    await load(store, archive([BASE], ["app"]))
    root = await make_root(store, "c", "app")
    (root / "dir/a").write_text("changed")
    (root / "dir/b").unlink()
    (root / "new").mkdir()
    (root / "new/file").write_text("12345")
    assert await store.changes("c") == [
        FileChange("/dir", 0),
        FileChange("/dir/a", 0),
        FileChange("/dir/b", 2),
        FileChange("/new", 1),
        FileChange("/new/file", 1),
    ]
    own, whole = await store.usage("c")
    assert own == len("changed") + 5
    assert whole == own + store.resolve("app").size


async def test_commit_keeps_owners_modes_links_and_deletions(store: LocalImages) -> None:
    await load(store, archive([BASE], ["app"]))
    root = await make_root(store, "c", "app")
    (root / "gone").unlink()
    (root / "old/x").unlink()
    (root / "old").rmdir()
    (root / "old").mkdir()
    (root / "set-id").write_text("x")
    os.chown(root / "set-id", 1000, 1001)
    (root / "set-id").chmod(0o4755)
    os.setxattr(root / "set-id", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.link(root / "set-id", root / "hard")
    os.mkfifo(root / "fifo", 0o600)
    committed = await store.commit("c", ContainerConfig(cmd=["new"]), tag="app:2", author="me", comment="why")
    again = await make_root(store, "d", "app:2")
    assert not {"gone", "old/x"} & tree(again)
    status = (again / "set-id").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1000, 1001, 0o4755)
    assert os.getxattr(again / "set-id", "security.capability").hex().startswith("01000002")
    assert (again / "hard").stat().st_ino == status.st_ino
    assert stat.S_ISFIFO((again / "fifo").stat().st_mode)
    assert committed.parent == store.resolve("app:latest").id
    assert await store.changes("d") == []
    assert store.views.history(store.find("app:2"))[0]["Comment"] == "why"


async def test_export_is_the_whole_root(store: LocalImages) -> None:
    await load(store, busybox_archive().read_bytes())
    root = await make_root(store, "c", "busybox")
    (root / "big").write_bytes(os.urandom(3 << 20))
    exported = await joined(store.export("c"))
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        names = set(tar.getnames())
        member = tar.extractfile("big")
        assert member is not None
        assert member.read() == (root / "big").read_bytes()
    assert {"bin/sh", "etc/passwd", "big"} <= names
    assert names == tree(root)


async def test_saved_archives_load_in_both_forms(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE, TOP], ["app:1", "team/app:x"], {"Env": ["A=b"]}))
    selection = Selection()
    selection.add(store.find("app:1"), store.parts.catalog.tags(image.id))
    saved = await joined(save(store.parts, selection))
    for dropped in ("index.json", "manifest.json"):
        async with image_store() as other:
            (again, *_) = await load(other, _without(saved, dropped))
            assert again.id == image.id
            assert other.resolve("app:1").tags == image.tags
            assert other.find("app:1").record.manifest == store.find("app:1").record.manifest


def _without(data: bytes, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=buffer, mode="w") as new:
        for member in old.getmembers():
            if member.name != name:
                new.addfile(member, old.extractfile(member))
    return buffer.getvalue()


async def test_most_layers_that_overlayfs_can_stack(store: LocalImages) -> None:
    layout = store.parts.layout
    names = [f"t{number:03}" for number in range(MAX_LAYERS)]
    for name in names:
        (layout.layers / name).mkdir()
        (layout.layers / name / name).touch()
        (layout.links / name).symlink_to(f"../{name}")
    for name in ("upper", "work", "merged"):
        (layout.rootfs / "deep" / name).mkdir(parents=True)
    mounter = Mounter(layout.links)
    await mounter.mount(layout.rootfs / "deep", names)
    assert set(names) == tree(layout.rootfs / "deep" / "merged")
    await mounter.unmount(layout.rootfs / "deep")
    with pytest.raises(InvalidArgument, match="at most 499 can be stacked"):
        await mounter.mount(layout.rootfs / "deep", [*names, "init"])
    mounter.close()


async def test_removing_an_image_removes_what_only_it_had(store: LocalImages) -> None:
    await load(store, archive([BASE], ["base"]))
    await load(store, archive([BASE, TOP], ["app"]))
    outcome = await store.removal.remove("app")
    assert [next(iter(item)) for item in outcome.items] == ["Untagged", "Deleted", "Deleted"]
    assert len(store.parts.layers.all()) == 1
    await store.removal.remove("base")
    assert tree(store.parts.layout.blobs) == set()
    assert tree(store.parts.layout.layers) - {f"init/{n}" for n in tree(store.parts.layout.layers / "init")} == {
        "init",
        "l",
        "l/init",
    }


async def test_a_container_keeps_the_layers_of_its_removed_image(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE], ["app"]))
    root = await make_root(store, "c", "app")
    await store.unmount("c")
    with pytest.raises(Conflict, match=r"must force.*container c is using its referenced image"):
        await store.removal.remove("app")
    with pytest.raises(Conflict, match=r"must be forced.*stopped container c"):
        await store.removal.remove(image.id)
    await store.removal.remove("app", force=True)
    await store.mount("c")
    assert (root / "dir/a").read_text() == "a"
    await store.release("c")
    assert store.parts.layers.all() == []


async def test_running_containers_and_children_protect_their_image(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE], ["app"]))
    await make_root(store, "c", "app")
    with pytest.raises(Conflict, match=r"cannot be forced.*running container c"):
        await store.removal.remove(image.id, force=True)
    await store.commit("c", ContainerConfig(), tag="child")
    await store.release("c")
    with pytest.raises(Conflict, match="dependent child images"):
        await store.removal.remove(image.id, force=True)


async def test_two_repositories_need_force_by_id(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE], ["app", "other/app"]))
    with pytest.raises(Conflict, match="referenced in multiple repositories"):
        await store.removal.remove(image.id[7:19])
    outcome = await store.removal.remove(image.id[7:19], force=True)
    assert {"Untagged": "other/app:latest"} in outcome.items
    assert store.count() == 0


async def test_find(store: LocalImages) -> None:
    (image,) = await load(store, archive([BASE], ["app"]))
    for name in ("app", "app:latest", "docker.io/library/app", image.id, image.id[7:], image.id[7:15], image.id[:20]):
        assert store.resolve(name).id == image.id
    for name in ("app:2", "nothing", "sha256:" + "0" * 64):
        with pytest.raises(NotFound, match="No such image"):
            store.resolve(name)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"../out": b"x"}, "contains '..'"),
        ({"link": "/", "link/dev/shm/shoal-escape": b"x"}, None),
        ({"link": "../../../../../../dev/shm", "link/shoal-escape": b"x"}, "leads nowhere"),
        ({"file": b"", "file/below": b"x"}, "no folder"),
        ({"x" * 300: b""}, "longer than 255"),
        ({"/".join("d" * 401): None}, "nested more"),
        ({".wh...": b""}, "invalid whiteout"),
    ],
)
async def test_hostile_layers_stay_inside(
    store: LocalImages, members: dict[str, bytes | str | None], reason: str | None
) -> None:
    data = archive([layer(members)], ["evil"])
    if reason:
        with pytest.raises(InvalidArgument, match=reason):
            await load(store, data)
        assert store.count() == 0
        assert store.parts.layers.all() == []
    else:
        await load(store, data)
    assert not Path("/dev/shm/shoal-escape").exists()
    await store.parts.garbage.collect()


async def test_hard_links_cannot_reach_out(store: LocalImages) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in (("dir", "/etc"), ("dir/passwd", "/etc/passwd")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (tarfile.SYMTYPE if name == "dir" else tarfile.LNKTYPE), target
            tar.addfile(info)
    with pytest.raises(InvalidArgument):
        await load(store, archive([buffer.getvalue()], ["evil"]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no archive", "truncated"),
        (layer({"a": b"x"}), "neither a manifest.json nor an index.json"),
        (layer({"manifest.json": b"{"}), "index is invalid"),
        (layer({"manifest.json": b'[{"Config": "c", "Layers": []}]'}), "does not hold it"),
        (layer({"index.json": b'{"manifests": [{"mediaType": "text/x", "digest": "sha256:1", "size": 1}]}'}), None),
        (archive([BASE], ["Bad Name"]), "invalid reference format"),
    ],
)
async def test_what_is_no_image_is_refused(store: LocalImages, data: bytes, reason: str | None) -> None:
    if reason is None:
        assert await load(store, data) == []
        return
    with pytest.raises(InvalidArgument, match=reason):
        await load(store, data)
    assert store.count() == 0


async def test_a_layer_that_is_not_what_its_image_says(store: LocalImages) -> None:
    config = {"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}
    manifest = [{"Config": "c", "Layers": ["l"]}]
    data = layer({"c": json.dumps(config).encode(), "l": BASE, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(InvalidArgument, match="a layer's content is sha256:"):
        await load(store, data)
    assert store.parts.layers.all() == []


async def test_import(store: LocalImages) -> None:
    image = await store.import_tar(body(BASE), reference=None, changes=["CMD x"], message="from a tar")
    assert image.config.cmd == ["/bin/sh", "-c", "x"]
    assert store.views.inspect(store.find(image.id))["Comment"] == "from a tar"


async def test_a_visit_does_not_unmount_a_started_container(store: LocalImages) -> None:
    await load(store, archive([BASE], ["app"]))
    await store.prepare("c", store.resolve("app"))
    async with store.parts.roots.visit("c") as root:
        await store.mount("c")
    assert (root / "dir/a").exists()
    async with store.parts.roots.visit("c"):
        await store.unmount("c")
        assert (root / "dir/a").exists()
    assert not (root / "dir/a").exists()


async def test_a_new_daemon_finds_everything() -> None:
    async with image_store() as first:
        root = first.parts.layout.root
        await load(first, archive([BASE], ["app"]))
        merged = await make_root(first, "c", "app")
        (merged / "mine").write_text("x")
        (first.parts.layout.layers / "tmp-half").mkdir()
        (first.parts.layout.uploads / "half").mkdir()
        (first.parts.layout.rootfs / "tmp-d").mkdir()
        (first.parts.layout.blobs / ("0" * 64)).write_text("orphan")
        async with image_store(root) as second:
            assert second.parts.roots.running("c")
            assert not leftovers(second)
            assert not (second.parts.layout.blobs / ("0" * 64)).exists()
            assert (await second.mount("c") / "mine").read_text() == "x"
            assert [change.path for change in await second.changes("c")] == ["/mine"]
            await second.release("c")
            assert mounts_below(root) == []


async def test_half_an_image_is_forgotten() -> None:
    async with image_store() as first:
        root = first.parts.layout.root
        (image,) = await load(first, archive([BASE], ["app"]))
        first.parts.layout.blob(image.id).unlink()
        async with image_store(root) as second:
            assert second.count() == 0
            await load(second, archive([BASE], ["app"]))
            assert second.resolve("app").id == image.id
