"""Bad days of the image store: a full disk, and kill -9 at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import NoSpace
from common.model.container import ContainerConfig
from tests.harness.image_store import body, image_store, leftovers, load, sweep
from tests.harness.images import archive, layer
from worker.images.overlay import mounts_below
from worker.images.syscalls import mount

SEED = 20240611
TRIES = 12
_FAST = Path("/dev/shm")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """An ext4 of 24 MiB."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-disk-", dir=_FAST))
    image, place = folder / "disk", folder / "mounted"
    place.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)
    image.unlink()
    place.rmdir()
    folder.rmdir()


async def test_a_full_disk(small_disk: Path) -> None:
    noise = random.Random(SEED).randbytes
    async with image_store(small_disk / "root") as store:
        await load(store, archive([layer({"a": b"small"})], ["small"]))
        with pytest.raises(NoSpace, match="no space left"):
            await load(store, archive([layer({"big": noise(30 << 20)})], ["big"]))
        with pytest.raises(NoSpace):
            await load(store, archive([layer({f"f{n}": noise(1 << 20) for n in range(12)})], ["many"]))
        assert not leftovers(store)
        assert [stored.id for stored in store.parts.catalog] == [store.resolve("small").id]
        await store.prepare("c", store.resolve("small"))
        root = await store.mount("c")
        filler = root / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(noise(30 << 20))
        with pytest.raises(NoSpace):
            await store.commit("c", ContainerConfig(), tag="full")
        with pytest.raises(NoSpace):
            await store.import_tar(body(layer({"x": noise(4 << 20)})), reference=None)
        assert not leftovers(store)
        filler.unlink()
        assert (await store.commit("c", ContainerConfig(), tag="again")).layers
        await store.release("c")
    assert mounts_below(small_disk) == []


_WORKER = """
import asyncio, sys
from pathlib import Path
from common.model.container import ContainerConfig
from tests.harness.image_store import image_store, load
from tests.harness.images import archive, layer

async def main(root):
    async with image_store(root) as store:
        print("up", flush=True)
        number = 0
        while True:
            number += 1
            data = archive([layer({f"f{n}": bytes(5000) for n in range(40)}), layer({"top": str(number).encode()})], ["app"])
            (image,) = await load(store, data)
            name = f"c{number}"
            await store.prepare(name, image)
            root_folder = await store.mount(name)
            (root_folder / "new").write_text("x")
            await store.commit(name, ContainerConfig(), tag="committed")
            await store.unmount(name)
            await store.release(name)
            await store.removal.remove("committed")

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.slow
async def test_kill_at_any_moment() -> None:
    """Whatever was under way, the next start finds whole images only, and nothing that nobody names."""
    dice = random.Random(SEED)
    root = Path(tempfile.mkdtemp(prefix="shoal-kill-", dir=_FAST))
    try:
        for attempt in range(TRIES):
            _run_and_kill(root, dice.uniform(0.05, 1.2))
            async with image_store(root) as store:
                note = f"seed {SEED}, attempt {attempt}"
                assert not leftovers(store), note
                for record in list(store.parts.roots.records()):
                    root_folder = await store.mount(record.container)
                    assert (root_folder / "top").exists(), note
                    await store.release(record.container)
                assert mounts_below(root) == [], note
                named = {chain for stored in store.parts.catalog for chain in stored.chains}
                await store.parts.garbage.collect()
                assert {known.chain for known in store.parts.layers.all()} == named, note
                links = {link.name for link in store.parts.layout.links.iterdir()}
                assert links == {known.link for known in store.parts.layers.all()} | {"init"}, note
    finally:
        sweep(root)


async def test_a_trial_that_a_crash_left_mounted_is_cleared_away() -> None:
    root = Path(tempfile.mkdtemp(prefix="shoal-trial-", dir=_FAST))
    try:
        async with image_store(root) as store:
            trial = store.parts.layout.new_layer()
            merged = trial / "merged"
            merged.mkdir(parents=True)
            mount("trial", str(merged), "tmpfs", 0, "")
        async with image_store(root):
            assert not trial.exists()
            assert mounts_below(root) == []
    finally:
        sweep(root)


async def test_a_layer_that_was_whole_but_had_no_name_yet_is_cleared_away() -> None:
    root = Path(tempfile.mkdtemp(prefix="shoal-unnamed-", dir=_FAST))
    try:
        async with image_store(root) as store:
            await load(store, archive([layer({"top": b"x"})], ["app"]))
            [known] = store.parts.layers.all()
            unnamed = store.parts.layout.new_layer()
            record = store.parts.layout.layer(known.chain) / "layer.json"
            (unnamed / "layer.json").write_bytes(
                record.read_bytes().replace(known.chain.encode(), b"sha256:" + b"0" * 64)
            )
        async with image_store(root) as store:
            assert not unnamed.exists()
            assert [one.chain for one in store.parts.layers.all()] == [known.chain]
    finally:
        sweep(root)


def _run_and_kill(root: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(root)], stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    try:
        process.wait(seconds)
        raise AssertionError(f"the worker ended by itself with {process.returncode}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    process.stdout.close()
