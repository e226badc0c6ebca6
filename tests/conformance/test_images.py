"""What every ImageStore must do (worker/images/base.py), seen through the boundary only."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator

import pytest

from common.errors import NotFound
from common.model.container import ContainerConfig
from tests.harness.image_store import image_store, joined, load
from tests.harness.images import archive, layer
from worker.images.base import FileChange, ImageStore


@pytest.fixture
async def store() -> AsyncIterator[ImageStore]:
    async with image_store() as made:
        await load(made, archive([layer({"etc": None, "etc/file": b"abc"})], ["app:1"], {"User": "web"}))
        yield made


async def test_resolve(store: ImageStore) -> None:
    image = store.resolve("app:1")
    assert image.config.user == "web"
    assert image.size == 3
    assert store.resolve(image.id) == store.resolve(image.id[7:17]) == image
    with pytest.raises(NotFound):
        store.resolve("app:2")


async def test_a_roots_life_is_idempotent(store: ImageStore) -> None:
    image = store.resolve("app:1")
    place = await store.prepare("c", image)
    assert await store.prepare("c", image) == place
    assert await store.mount("c") == await store.mount("c") == place
    assert (place / "etc/file").read_text() == "abc"
    await store.unmount("c")
    await store.unmount("c")
    assert not (place / "etc/file").exists()
    await store.release("c")
    await store.release("c")
    with pytest.raises(NotFound):
        await store.mount("c")


async def test_what_is_written_stays_until_release(store: ImageStore) -> None:
    image = store.resolve("app:1")
    place = await store.prepare("c", image)
    await store.mount("c")
    (place / "mine").write_text("12")
    await store.unmount("c")
    await store.mount("c")
    assert (place / "mine").read_text() == "12"
    assert await store.changes("c") == [FileChange("/mine", 1)]
    assert await store.usage("c") == (2, 5)
    await store.release("c")
    await store.prepare("c", image)
    assert not (await store.mount("c") / "mine").exists()


async def test_containers_do_not_see_each_other(store: ImageStore) -> None:
    image = store.resolve("app:1")
    for name in ("a", "b"):
        await store.prepare(name, image)
    first, second = await store.mount("a"), await store.mount("b")
    (first / "etc/file").write_text("changed")
    assert (second / "etc/file").read_text() == "abc"


async def test_a_root_over_nothing(store: ImageStore) -> None:
    await store.prepare("c", None)
    place = await store.mount("c")
    (place / "x").write_text("x")
    assert await store.changes("c") == [FileChange("/x", 1)]


async def test_commit_and_export(store: ImageStore) -> None:
    await store.prepare("c", store.resolve("app:1"))
    (await store.mount("c") / "new").write_text("n")
    image = await store.commit("c", ContainerConfig(env=["A=b"]), tag="app:2", comment="x", author="y")
    assert store.resolve("app:2") == image
    assert image.config.env == ["A=b"]
    assert image.layers[:-1] == store.resolve("app:1").layers
    with tarfile.open(fileobj=io.BytesIO(await joined(store.export("c")))) as tar:
        assert {"etc/file", "new"} <= set(tar.getnames())


async def test_in_use(store: ImageStore) -> None:
    image = store.resolve("app:1")
    await store.prepare("c", image)
    assert store.in_use()[image.id] == ["c"]
    await store.release("c")
    assert image.id not in store.in_use()
