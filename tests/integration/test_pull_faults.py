"""Pulling from a registry that misbehaves: nothing unverified is ever used, and what came is not fetched again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from common.errors import InvalidArgument, NotFound, ShoalError, Unavailable, Unsupported
from common.filters import Filters
from common.reference import parse_reference
from common.settings import Settings
from tests.harness.image_store import image_store, leftovers, sweep
from tests.harness.images import layer
from tests.harness.registry import OCI, Registry
from worker.distribution.credentials import Credentials
from worker.distribution.distribution import Distribution
from worker.images.base import Image
from worker.images.store import LocalImages

ME = Credentials(username="me", password="right")


def tar(name: str, size: int = 300_000) -> bytes:
    """A layer with one file of random bytes, which no compression makes small."""
    return layer({name: os.urandom(size)})


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[tuple[Registry, LocalImages, Distribution]]:
    registry = Registry()
    async with registry.serve(), image_store() as store:
        yield registry, store, Distribution(Settings(root=Path("/nowhere"), **settings), store)
        check(store)


def check(store: LocalImages) -> None:
    """What must hold at any time: each blob is what its name says, and nothing half is left."""
    for blob in store.parts.layout.blobs.iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert not list(leftovers(store))


async def pull(
    registry: Registry, store: LocalImages, client: Distribution, name: str = "app:1", **options: Any
) -> Image:
    reference = parse_reference(f"{registry.host}/{name}")
    await client.ensure(reference, options.pop("account", Credentials()), **options)
    return store.resolve(str(reference))


def parts(store: LocalImages) -> list[Path]:
    return list(store.parts.layout.parts.iterdir())


@pytest.mark.parametrize("pack", ["gzip", "zstd", ""])
async def test_layers_of_each_compression_are_kept_as_they_came(pack: str) -> None:
    async with world() as (registry, store, client):
        described = registry.image("1", [tar("a"), tar("b")], pack=pack)
        image = await pull(registry, store, client)
        assert image.digests == (f"{registry.host}/app@{described['digest']}",)
        for digest in registry.layers("1"):
            assert store.parts.blobs.read(digest) == registry.blobs[digest]
        assert not parts(store)
        assert not store.parts.garbage.leases.names()
        assert (await pull(registry, store, client, f"app@{described['digest']}")).id == image.id


async def test_a_blob_that_is_not_its_digests_is_refused_and_nothing_stays() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a")])
        digest = registry.layers("1")[0]
        registry.blobs[digest] = registry.blobs[digest][:-1] + b"x"
        with pytest.raises(InvalidArgument, match=r"verification failed|damaged"):
            await pull(registry, store, client)
        with pytest.raises(NotFound):
            store.resolve(f"{registry.host}/app:1")
        await store.parts.garbage.collect()
        assert not parts(store)
        assert not store.parts.layers.all()


async def test_a_layer_that_is_not_its_diff_id_is_refused() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a")])
        registry.image("2", [tar("b")])
        (kind, one), (_, two) = registry.manifests["1"], registry.manifests["2"]
        mixed = two.replace(registry.layers("2")[0].encode(), registry.layers("1")[0].encode())
        mixed = mixed.replace(*(f'"size": {len(registry.blobs[registry.layers(t)[0]])}'.encode() for t in ("2", "1")))
        registry.manifests["3"] = (kind, mixed)
        with pytest.raises(InvalidArgument, match="its image says"):
            await pull(registry, store, client, "app:3")
        assert one


async def test_a_wrong_manifest_and_a_wrong_config_are_refused() -> None:
    async with world() as (registry, store, client):
        described = registry.image("1", [tar("a")])
        kind, data = registry.manifests["1"]
        registry.manifests[described["digest"]] = (kind, data + b" ")
        with pytest.raises(InvalidArgument, match="manifest verification failed"):
            await pull(registry, store, client, f"app@{described['digest']}")
        config = next(d for d, blob in registry.blobs.items() if blob.startswith(b"{"))
        registry.blobs[config] += b" "
        with pytest.raises(InvalidArgument, match="verification failed"):
            await pull(registry, store, client)


async def test_a_body_that_breaks_off_goes_on_where_it_ended() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a", 3_000_000)])
        digest = registry.layers("1")[0]
        registry.faults.append(_cut_short(digest, times=3))
        await pull(registry, store, client)
        ranges = [headers.get("Range", "") for headers in registry.gets(digest)]
        assert ranges[0] == ""
        assert len(ranges) == 4
        assert all(text.startswith("bytes=") for text in ranges[1:])


def _cut_short(digest: str, times: int) -> Any:
    """Sends half of what is asked for and ends."""
    left = [times]

    def fault(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if not request.path.endswith(digest) or not left[0]:
            return None
        left[0] -= 1
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        half = data[start : start + (len(data) - start) // 2]
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(body=half, status=206 if start else 200, headers=headers)

    return fault


async def test_a_registry_without_ranges_is_read_from_its_beginning() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a", 3_000_000)])
        digest = registry.layers("1")[0]
        seen: list[int] = []

        def fault(request: web.Request, data: bytes) -> web.StreamResponse | None:
            if request.path.endswith(digest):
                seen.append(1)
                return web.Response(body=data[: len(data) // 2] if len(seen) == 1 else data)
            return None

        registry.faults.append(fault)
        await pull(registry, store, client)
        assert len(seen) == 2


async def test_too_many_requests_are_waited_for_and_failures_tried_again() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a")])
        digest = registry.layers("1")[0]
        moments: list[float] = []

        def fault(request: web.Request, _: bytes) -> web.StreamResponse | None:
            if not request.path.endswith(digest):
                return None
            moments.append(asyncio.get_running_loop().time())
            if len(moments) == 1:
                return web.Response(status=429, headers={"Retry-After": "1"})
            return web.Response(status=503) if len(moments) == 2 else None

        registry.faults.append(fault)
        await pull(registry, store, client)
        assert len(moments) == 3
        assert moments[1] - moments[0] >= 0.99


async def test_a_redirect_is_followed_without_the_credentials() -> None:
    other = Registry()
    async with world() as (registry, store, client), other.serve() as elsewhere:
        registry.token = "good"
        registry.image("1", [tar("a")])
        other.blobs = registry.blobs

        def fault(request: web.Request, _: bytes) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": f"http://{elsewhere}{request.path}"})

        registry.faults.append(fault)
        await pull(registry, store, client, account=ME)
        assert other.requests
        assert all("Authorization" not in headers for _, _, headers in other.requests)


async def test_a_token_is_fetched_for_the_account_and_refused_without() -> None:
    async with world() as (registry, store, client):
        registry.token = "good"
        registry.image("1", [tar("a")])
        with pytest.raises(NotFound, match=r"pull access denied for .*/app, repository does not exist or may require"):
            await pull(registry, store, client)
        assert (await pull(registry, store, client, account=ME)).tags
        scopes = [path for _, path, _ in registry.requests if path == "/token"]
        assert len(scopes) == 2


async def test_the_image_of_the_platform_is_chosen_from_an_index() -> None:
    async with world() as (registry, store, client):
        entries = [
            {**registry.image(name, [tar(name)], architecture=name), "platform": {"os": "linux", "architecture": name}}
            for name in ("arm64", "amd64")
        ]
        index = registry.manifest("1", f"{OCI}index.v1+json", {"manifests": entries})
        assert (await pull(registry, store, client, platform="linux/amd64")).architecture == "amd64"
        image = await pull(registry, store, client, platform="linux/arm64")
        assert image.architecture == "arm64"
        assert image.digests == (f"{registry.host}/app@{index['digest']}",)
        with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
            await pull(registry, store, client, platform="linux/s390x")


async def test_what_is_here_already_is_asked_for_by_head_alone() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a")])
        await pull(registry, store, client)
        registry.requests.clear()
        await pull(registry, store, client)
        assert [method for method, path, _ in registry.requests if "manifests" in path] == ["HEAD"]
        registry.image("1", [tar("b")])
        assert (await pull(registry, store, client)).id != ""
        assert [m for m, path, _ in registry.requests if "manifests" in path] == ["HEAD", "HEAD", "GET"]


async def test_pulls_of_the_same_layers_at_once_fetch_each_once() -> None:
    async with world() as (registry, store, client):
        shared = tar("shared", 2_000_000)
        registry.image("1", [shared, tar("one")])
        registry.image("2", [shared, tar("two")])
        registry.image("3", [tar("below"), shared])  # the same blob in another chain
        names = ["app:1", "app:2", "app:3", "app:1"]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(pull(registry, store, client, name))
        for digest in {digest for tag in "123" for digest in registry.layers(tag)}:
            assert len(registry.gets(digest)) == 1


async def test_a_pull_that_is_given_up_goes_on_later_from_where_it_was() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("first"), tar("second", 4_000_000)])
        digest = registry.layers("1")[1]
        gate = asyncio.Event()
        registry.faults.append(_stalling(digest, gate))
        reference = parse_reference(f"{registry.host}/app:1")
        async with aclosing(client.pull(reference)) as messages:
            async for message in messages:
                if message["status"] == "Downloading" and message["id"] == digest[7:19]:
                    break
        assert digest.removeprefix("sha256:") in [part.name for part in parts(store)]
        await store.parts.garbage.collect()
        assert parts(store), "a lease keeps what came"
        gate.set()
        await pull(registry, store, client)
        assert registry.gets(digest)[-1]["Range"].startswith("bytes=")


def _stalling(digest: str, gate: asyncio.Event) -> Any:
    """Sends a half and then nothing, until the gate opens: from then on all is well."""

    def fault(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if gate.is_set() or not request.path.endswith(digest):
            return None

        async def chunks() -> AsyncIterator[bytes]:
            yield data[: len(data) // 2]
            await gate.wait()

        return web.Response(body=chunks(), headers={"Content-Length": str(len(data))})

    return fault


async def test_a_part_that_a_crash_damaged_is_fetched_anew() -> None:
    async with world() as (registry, store, client):
        registry.image("1", [tar("a", 2_000_000)])
        digest = registry.layers("1")[0]
        store.parts.layout.part(digest).write_bytes(bytes(1_000_000))
        await pull(registry, store, client)
        assert len(registry.gets(digest)) == 2


async def test_a_lease_outlives_a_restart_and_prune_drops_it() -> None:
    root = Path("/dev/shm") / f"shoal-store-{os.urandom(4).hex()}"
    registry = Registry()
    try:
        async with registry.serve():
            registry.image("1", [tar("a"), tar("b")])
            second = registry.layers("1")[1]
            registry.faults.append(lambda r, _: web.Response(status=500) if r.path.endswith(second) else None)
            async with image_store(root) as store:
                with pytest.raises(Unavailable):
                    await pull(registry, store, Distribution(Settings(), store))
            registry.faults.clear()
            async with image_store(root) as store:
                assert len(store.parts.layers.all()) == 1
                await store.removal.prune(iter(()))
                assert not store.parts.layers.all()
                await pull(registry, store, Distribution(Settings(), store))
                check(store)
    finally:
        sweep(root)


async def test_a_mirror_is_asked_first_and_left_when_it_lacks_the_image() -> None:
    mirror = Registry()
    async with world() as (registry, store, _), mirror.serve() as place:
        client = Distribution(Settings(registry_mirrors=[f"{registry.host}=http://{place}"]), store)
        mirror.image("1", [tar("a")])
        registry.image("2", [tar("b")])
        await pull(registry, store, client, "app:1")
        assert not registry.requests
        await pull(registry, store, client, "app:2")


async def test_what_is_no_image_is_refused_with_a_sentence() -> None:
    async with world() as (registry, store, client):
        registry.manifests["old"] = ("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}")
        registry.manifest(
            "chart", f"{OCI}manifest.v1+json", {"config": {"mediaType": "x/y", **registry.put(b"{}")}, "layers": []}
        )
        registry.manifests["broken"] = (f"{OCI}manifest.v1+json", b"[")
        for tag, sentence in (("old", "schema 1"), ("chart", "no container image"), ("broken", "invalid manifest")):
            with pytest.raises((Unsupported, InvalidArgument), match=sentence):
                await pull(registry, store, client, f"app:{tag}")
        with pytest.raises(NotFound, match="not found: manifest unknown: manifest unknown"):
            await pull(registry, store, client, "app:none")


async def test_a_registry_that_is_away_is_said() -> None:
    async with world() as (registry, store, client):
        registry.host = "127.0.0.1:9"
        with pytest.raises(Unavailable, match=r"registry 127\.0\.0\.1:9 cannot be reached"):
            await pull(registry, store, client)
        with pytest.raises(ShoalError):
            await client.describe(parse_reference("127.0.0.1:9/app"), Credentials())


async def test_search_asks_the_registry_that_the_term_names() -> None:
    async with world() as (registry, _, client):
        rows = await client.search(f"{registry.host}/web", Credentials(), Filters(), 0)
        assert [row["name"] for row in rows] == ["web-0", "web-1", "web-2"]
        official = Filters({"is-official": ["true"]})
        assert [
            row["star_count"] for row in await client.search(f"{registry.host}/web", Credentials(), official, 0)
        ] == [1]
        assert len(await client.search(f"{registry.host}/web", Credentials(), Filters(), 2)) == 2
        with pytest.raises(InvalidArgument, match="outside the range"):
            await client.search("web", Credentials(), Filters(), 101)


async def test_a_proxy_of_the_environment_is_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(insecure_registries=["far.invalid"]) as (registry, store, client):
        registry.image("1", [tar("a")])
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://{registry.host}")
        reference = parse_reference("far.invalid/app:1")
        await client.ensure(reference)
        assert store.resolve(str(reference)).tags
        monkeypatch.setenv("no_proxy", "far.invalid")
        with pytest.raises(Unavailable, match=r"registry far\.invalid cannot be reached"):
            await client.ensure(reference)
