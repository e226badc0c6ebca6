"""Images through the Engine API: the docker command line and docker-py against a real daemon."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import aiodocker
import docker
import pytest

from tests.harness.clients import newer_docker
from tests.harness.daemon import Daemon
from tests.harness.images import archive, layer
from tests.harness.machine import run
from tests.harness.wait import until

ROOT_TAR = layer({"etc": None, "etc/motd": b"hello"})


def load(shoald: Daemon, folder: Path, data: bytes) -> str:
    path = folder / "image.tar"
    path.write_bytes(data)
    return shoald.docker("load", "-i", str(path))


def images(shoald: Daemon, *options: str) -> set[str]:
    return set(shoald.docker("images", "--format", "{{.Repository}}:{{.Tag}}", *options).split())


def test_load_says_what_came(shoald: Daemon, tmp_path: Path) -> None:
    said = load(shoald, tmp_path, archive([ROOT_TAR], ["one:1", "two:2"]))
    assert "Loaded image: one:1" in said
    assert "Loaded image: two:2" in said
    nameless = load(shoald, tmp_path, archive([ROOT_TAR], [], {"User": "x"}))
    assert "Loaded image ID: sha256:" in nameless
    shoald.docker("rmi", nameless.split("Loaded image ID: ")[1].strip(), "one:1", "two:2")


@pytest.mark.parametrize("program", ["gzip", "xz", "zstd", "bzip2"])
def test_load_takes_compressed_archives(shoald: Daemon, program: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    data = archive([ROOT_TAR], [f"packed:{program}"])
    path.write_bytes(_packed(program, data))
    assert f"packed:{program}" in shoald.docker("load", "-i", str(path))
    shoald.docker("rmi", f"packed:{program}")


def _packed(program: str, data: bytes) -> bytes:
    if program == "zstd":
        import zstandard

        return zstandard.compress(data)
    import bz2
    import gzip
    import lzma

    return {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}[program](data)


def test_save_and_load_again(shoald: Daemon, tmp_path: Path) -> None:
    load(shoald, tmp_path, archive([ROOT_TAR], ["kept:1"], {"Labels": {"a": "b"}}))
    image = shoald.docker("inspect", "-f", "{{.Id}}", "kept:1")
    shoald.docker("save", "-o", str(tmp_path / "saved.tar"), "kept:1", "busybox")
    with tarfile.open(tmp_path / "saved.tar") as tar:
        index = tar.extractfile("manifest.json")
        assert index is not None
        assert [entry["RepoTags"] for entry in json.load(index)] == [["kept:1"], ["busybox:latest"]]
        for member in tar.getmembers():
            if member.name.startswith("blobs/sha256/") and member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                assert hashlib.sha256(content.read()).hexdigest() == Path(member.name).name
    shoald.docker("rmi", "kept:1")
    shoald.docker("load", "-i", str(tmp_path / "saved.tar"))
    assert shoald.docker("inspect", "-f", "{{.Id}}", "kept:1") == image
    shoald.docker("rmi", "kept:1")


def test_a_bare_name_saves_all_its_tags(shoald: Daemon, tmp_path: Path) -> None:
    load(shoald, tmp_path, archive([ROOT_TAR], ["many:1", "many:2"]))
    load(shoald, tmp_path, archive([ROOT_TAR], ["many:3"], {"User": "other"}))
    shoald.docker("save", "-o", str(tmp_path / "saved.tar"), "many")
    shoald.docker("rmi", "many:1", "many:2", "many:3")
    assert shoald.docker("load", "-i", str(tmp_path / "saved.tar")).count("Loaded image: many:") == 3
    shoald.docker("rmi", "many:1", "many:2", "many:3")


@pytest.mark.parametrize("path", ["/images/load", "/images/create?fromSrc=-", "/containers/half/archive?path=/tmp"])
def test_an_upload_that_breaks_off_leaves_nothing(shoald: Daemon, path: str) -> None:
    shoald.docker("create", "--name", "half", "busybox")
    before = shoald.docker("images", "-q")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(shoald.socket))
        method = "PUT" if "archive" in path else "POST"
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\n".encode())
        client.sendall(ROOT_TAR[:600])
        until(lambda: file_workers(shoald), "a process works on the upload")
    until(lambda: not file_workers(shoald), "the process has ended")
    until(lambda: not list((shoald.root / "images/tmp").iterdir()), "the upload is gone")
    assert not list((shoald.root / "layers").glob("tmp-*"))
    assert shoald.docker("images", "-q") == before
    shoald.docker("rm", "half")


def file_workers(shoald: Daemon) -> list[str]:
    """The processes that the daemon has work on files at present."""
    lines = run("ps", "-ww", "-eo", "args").splitlines()
    return [line for line in lines if "worker.images.child" in line and str(shoald.root) in line]


def test_import_with_changes_runs(shoald: Daemon, tmp_path: Path) -> None:
    made = shoald.docker("create", "busybox")
    exported = tmp_path / "root.tar"
    shoald.docker("export", "-o", str(exported), made.strip())
    shoald.docker("rm", made.strip())
    shoald.docker("import", "-c", "ENV GREETING=hi", "-c", 'CMD ["sh","-c","echo $GREETING"]', str(exported), "flat:1")
    assert shoald.docker("run", "--rm", "flat:1").strip() == "hi"
    assert "Imported from -" in shoald.docker("history", "flat:1")
    shoald.docker("rmi", "flat:1")


def test_tag_history_inspect_remove(shoald: Daemon, tmp_path: Path) -> None:
    load(shoald, tmp_path, archive([ROOT_TAR, layer({"x": b"1"})], ["app:1"]))
    shoald.docker("tag", "app:1", "registry.example.com:5000/team/app:v2")
    assert "registry.example.com:5000/team/app:v2" in images(shoald)
    shown = json.loads(shoald.docker("inspect", "app:1"))[0]
    assert len(shown["RootFS"]["Layers"]) == 2
    assert shown["Size"] == 6
    assert shoald.docker("history", "-q", "app:1").split() == [shown["Id"][7:19], "<missing>"]
    removed = shoald.docker("rmi", "app:1")
    assert removed.strip() == "Untagged: app:1"
    removed = shoald.docker("rmi", "registry.example.com:5000/team/app:v2")
    assert removed.count("Deleted: sha256:") == 3


def test_filters(shoald: Daemon, tmp_path: Path) -> None:
    load(shoald, tmp_path, archive([ROOT_TAR], ["red:1", "team/red:2"], {"Labels": {"colour": "red"}}))
    load(shoald, tmp_path, archive([ROOT_TAR], [], {"Labels": {"colour": "blue"}}))
    assert images(shoald, "-f", "label=colour=red") == {"red:1", "team/red:2"}
    assert images(shoald, "-f", "reference=red") == {"red:1"}
    assert images(shoald, "-f", "reference=*/red:*") == {"team/red:2"}
    assert images(shoald, "-f", "dangling=true") == {"<none>:<none>"}
    assert images(shoald, "-f", "before=red:1", "-f", "dangling=false") == set()
    assert "red:1" in images(shoald, "-f", "until=1h")
    refused = shoald.docker_result("images", "-f", "colour=red")
    assert "invalid filter 'colour'" in refused.stderr
    assert "Total reclaimed space: 0B" in shoald.docker("image", "prune", "-f", "--filter", "label=colour=green")
    pruned = shoald.docker("image", "prune", "-f")
    assert pruned.count("deleted: sha256:") == 1, "the layer is shared with red:1"
    shoald.docker("image", "prune", "-af", "--filter", "label=colour=red")
    assert not images(shoald) & {"red:1", "team/red:2"}


def test_prune_takes_children_and_parents(shoald: Daemon, tmp_path: Path) -> None:
    load(shoald, tmp_path, archive([ROOT_TAR], ["parent:1"], {"Labels": {"family": "x"}, "Cmd": ["/x"]}))
    made = shoald.docker("create", "parent:1").strip()
    shoald.docker("commit", made, "child:1")
    shoald.docker("rm", made)
    shoald.docker("image", "prune", "-af", "--filter", "label=family=x")
    assert not images(shoald) & {"parent:1", "child:1"}


def test_in_use(shoald: Daemon) -> None:
    made = shoald.docker("run", "-d", "busybox", "sleep", "1000").strip()
    refused = shoald.docker_result("rmi", "busybox")
    assert f"container {made[:12]} is using its referenced image" in refused.stderr
    image = shoald.docker("inspect", "-f", "{{.Id}}", "busybox").strip()
    refused = shoald.docker_result("rmi", "-f", image)
    assert "cannot be forced" in refused.stderr
    assert f"running container {made[:12]}" in refused.stderr
    shoald.docker("rm", "-f", made)


def test_events(shoald: Daemon, tmp_path: Path) -> None:
    since = str(int(time.time()))
    load(shoald, tmp_path, archive([ROOT_TAR], ["eventful:1"], {"Labels": {"eventful": "1"}}))
    shoald.docker("rmi", "eventful:1")
    until = str(int(time.time()) + 1)
    lines = shoald.docker(
        "events", "--since", since, "--until", until, "--filter", "label=eventful=1", "--format", "{{.Action}}"
    )
    assert lines.split() == ["tag", "load", "untag", "delete"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("pull", "localhost:9/busybox"), "registry localhost:9 cannot be reached"),
        (("push", "localhost:9/busybox"), "tag does not exist: localhost:9/busybox:latest"),
        pytest.param(("rmi", "nothing"), "No such image: nothing:latest", marks=newer_docker),
        (("tag", "nothing", "x"), "No such image: nothing:latest"),
        (("save", "-o", "/dev/shm/never-written.tar", "nothing"), "No such image: nothing:latest"),
        (("history", "Nothing"), "must be lowercase"),
        (("import", "-c", "RUN x", "/dev/null"), "RUN is not a valid change command"),
    ],
)
def test_refused(shoald: Daemon, command: tuple[str, ...], sentence: str) -> None:
    result = shoald.docker_result(*command)
    assert result.returncode != 0
    assert sentence in result.stderr


def test_bad_uploads(shoald: Daemon, tmp_path: Path) -> None:
    for data, sentence in (
        (b"\0" * 100_000, "no files"),
        (b"rubbish" * 100_000, "is no tar"),
        (layer({"x": b"y"}), "neither a manifest.json nor an index.json"),
    ):
        (tmp_path / "bad").write_bytes(data)
        with (tmp_path / "bad").open("rb") as file:
            result = subprocess.run(
                ["docker", "-H", shoald.url, "load"],
                stdin=file,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert sentence in result.stderr
        assert result.returncode == 1


async def test_aiodocker(shoald: Daemon) -> None:
    async with aiodocker.Docker(url=shoald.url) as client:
        loaded = await client.images.import_image(archive([ROOT_TAR], ["aio:1"]))
        assert {"stream": "Loaded image: aio:1\n"} in loaded
        assert "aio:1" in [tag for image in await client.images.list() for tag in image["RepoTags"]]
        await client.images.tag("aio:1", repo="aio", tag="2")
        assert (await client.images.inspect("aio:2"))["RepoTags"] == ["aio:1", "aio:2"]
        for name in ("aio:1", "aio:2"):
            assert {"Untagged": name} in await client.images.delete(name)


def test_docker_py(shoald: Daemon) -> None:
    client = shoald.client()
    try:
        (image,) = client.images.load(archive([ROOT_TAR], ["py:1"]))
        assert image.tags == ["py:1"]
        assert image.tag("py", "2")
        assert "py:2" in client.images.get("py:1").tags
        assert [step["Id"] for step in image.history()] == [image.id]
        saved = b"".join(client.images.get("py:1").save(named=True))
        client.images.remove("py:1")
        client.images.remove("py:2")
        with pytest.raises(docker.errors.ImageNotFound):
            client.images.get("py:1")
        (again,) = client.images.load(saved)
        assert again.id == image.id
        client.images.remove(again.id, force=True)
    finally:
        client.close()
