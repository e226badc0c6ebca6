"""`docker cp`, diff, export and commit on real containers."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.clients import newer_docker
from tests.harness.daemon import Daemon


@pytest.fixture(scope="module")
def container(shoald: Daemon) -> Iterator[str]:
    shoald.docker("volume", "create", "filed")
    shoald.docker(
        "run", "-d", "--name", "files", "-v", "filed:/vol", "-v", "/usr/share:/ro:ro", "busybox", "sleep", "10000"
    )
    yield "files"
    shoald.docker("rm", "-f", "files")
    shoald.docker("volume", "rm", "filed")


@pytest.fixture(params=["running", "stopped"])
def either(shoald: Daemon, container: str, request: pytest.FixtureRequest) -> str:
    shoald.docker("start" if request.param == "running" else "kill", container, check=False)
    return container


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file").write_text("content")
    (folder / "link").symlink_to("sub/file")
    (folder / "sub/file").chmod(0o640)
    os.chown(folder / "sub/file", 1234, 1235)
    return folder


def inside(shoald: Daemon, container: str, command: str) -> str:
    shoald.docker("start", container)
    return shoald.docker("exec", container, "sh", "-c", command).strip()


def test_there_and_back(shoald: Daemon, either: str, source: Path, tmp_path: Path) -> None:
    for place in ("/root", "/vol"):
        shoald.docker("cp", str(source), f"{either}:{place}/copied")
        shoald.docker("cp", f"{either}:{place}/copied", str(tmp_path / "back"))
        assert (tmp_path / "back/sub/file").read_text() == "content"
        assert (tmp_path / "back/link").readlink() == Path("sub/file")
        assert inside(shoald, either, f"stat -c '%u %g %a' {place}/copied/sub/file") == "1234 1235 640"
        inside(shoald, either, f"rm -r {place}/copied")
        subprocess.run(["rm", "-r", tmp_path / "back"], check=True)


def test_forms_of_paths(shoald: Daemon, either: str, source: Path) -> None:
    shoald.docker("cp", f"{source}/.", f"{either}:/tmp")
    shoald.docker("cp", f"{source}/sub/file", f"{either}:/tmp/renamed")
    shoald.docker("cp", f"{source}/sub/file", f"{either}:/tmp/sub/")
    packed = subprocess.run(
        ["docker", "-H", shoald.url, "cp", f"{either}:/tmp/.", "-"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        assert {name.removeprefix("./") for name in tar.getnames()} >= {"sub", "sub/file", "link", "renamed"}
    assert inside(shoald, either, "cat /tmp/renamed") == "content"
    inside(shoald, either, "rm -rf /tmp/*")


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        pytest.param("/nowhere/x", "Could not find the file /nowhere in container files", marks=newer_docker),
        ("/etc/passwd/x", "extraction point is not a directory"),
        ("/ro/x", "read-only"),
    ],
)
def test_places_that_cannot_be_written(shoald: Daemon, either: str, source: Path, target: str, sentence: str) -> None:
    result = shoald.docker_result("cp", str(source / "sub/file"), f"{either}:{target}")
    assert sentence in result.stderr


def test_a_file_does_not_replace_a_folder(shoald: Daemon, either: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("etc")
        tar.addfile(info)
    path = f"/containers/{either}/archive?path=/&noOverwriteDirNonDir=true"
    answer = put(shoald, path, buffer.getvalue())
    assert 'cannot overwrite directory \\"/etc\\" with non-directory' in answer
    assert "passwd" in inside(shoald, either, "ls /etc")


def put(shoald: Daemon, path: str, data: bytes) -> str:
    command = [
        "curl",
        "-sS",
        "-X",
        "PUT",
        "--data-binary",
        "@-",
        "--unix-socket",
        str(shoald.socket),
        f"http://d{path}",
    ]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()


def test_links_of_the_container_lead_nowhere_else(shoald: Daemon, either: str, source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    inside(shoald, either, f"ln -sfn / /root/up; ln -sf {secret} /root/secret; ln -sfn /nowhere /root/gone")
    shoald.docker("cp", str(source / "sub/file"), f"{either}:/root/up/tmp/through")
    assert inside(shoald, either, "cat /tmp/through") == "content"
    assert not Path("/tmp/through").exists()
    result = shoald.docker_result("cp", "-L", f"{either}:/root/secret", str(tmp_path / "stolen"))
    assert result.returncode == 1
    assert not (tmp_path / "stolen").exists()
    shoald.docker("cp", str(source / "sub/file"), f"{either}:/root/gone")
    assert inside(shoald, either, "cat /nowhere") == "content"
    inside(shoald, either, "rm -f /tmp/through /nowhere /root/up /root/secret /root/gone")


def test_read_only_containers(shoald: Daemon, source: Path) -> None:
    shoald.docker("run", "-d", "--name", "fixed", "--read-only", "-v", "/data", "busybox", "sleep", "1000")
    for _ in ("running", "stopped"):
        assert "read-only" in shoald.docker_result("cp", str(source), "fixed:/root").stderr
        shoald.docker("cp", str(source), "fixed:/data")
        shoald.docker("kill", "fixed", check=False)
    shoald.docker("rm", "-f", "-v", "fixed")


def test_owner_of_archives_with_copy_uid_gid(shoald: Daemon, source: Path) -> None:
    shoald.docker("run", "-d", "--name", "owned", "-u", "nobody", "busybox", "sleep", "1000")
    shoald.docker("cp", "-a", str(source), "owned:/tmp/mine")
    assert inside(shoald, "owned", "stat -c '%u %g' /tmp/mine/sub/file") == "65534 65534"
    shoald.docker("rm", "-f", "owned")
    shoald.docker("run", "-d", "--name", "root", "busybox", "sleep", "1000")
    os.chown(source / "sub" / "file", 77, 88)
    shoald.docker("cp", "-a", str(source), "root:/tmp/mine")
    assert inside(shoald, "root", "stat -c '%u %g' /tmp/mine/sub/file") == "77 88"
    shoald.docker("rm", "-f", "root")


def test_diff_export_commit(shoald: Daemon, tmp_path: Path) -> None:
    shoald.docker("run", "--name", "changed", "busybox", "sh", "-c", "rm /etc/group; echo x > /root/new; mkdir /made")
    assert shoald.docker("diff", "changed").split("\n")[:-1] == [
        "C /etc",
        "D /etc/group",
        "A /made",
        "C /root",
        "A /root/new",
    ]
    shoald.docker("export", "-o", str(tmp_path / "out.tar"), "changed")
    with tarfile.open(tmp_path / "out.tar") as tar:
        names = set(tar.getnames())
    assert {"root/new", "made", "bin/sh", "etc/passwd"} <= names
    assert "etc/group" not in names
    shoald.docker("commit", "-m", "why", "-a", "me", "-c", 'CMD ["ls", "/root"]', "changed", "team/changed:1")
    assert shoald.docker("run", "--rm", "team/changed:1").strip() == "new"
    assert "why" in shoald.docker("history", "team/changed:1")
    shoald.docker("rm", "changed")
    shoald.docker("rmi", "team/changed:1")


def test_commit_pauses_and_goes_on(shoald: Daemon) -> None:
    shoald.docker("run", "-d", "--name", "busy", "busybox", "sleep", "1000")
    shoald.docker("commit", "busy", "busy:1")
    assert shoald.docker("inspect", "-f", "{{.State.Status}}", "busy").strip() == "running"
    assert inside(shoald, "busy", "echo alive") == "alive"
    shoald.docker("rm", "-f", "busy")
    shoald.docker("rmi", "busy:1")


def test_docker_py_archives(shoald: Daemon, container: str) -> None:
    client = shoald.client()
    try:
        chunks, status = client.containers.get(container).get_archive("/etc/passwd")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            assert tar.getnames() == ["passwd"]
        assert (status["name"], status["linkTarget"]) == ("passwd", "")
        assert status["mode"] == 0o644
        assert client.containers.get(container).put_archive("/tmp", b"".join(_one_file())) is True
    finally:
        client.close()
    assert inside(shoald, container, "cat /tmp/py; rm /tmp/py") == "from python"


def _one_file() -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("py")
        info.size = 11
        tar.addfile(info, io.BytesIO(b"from python"))
    yield buffer.getvalue()
