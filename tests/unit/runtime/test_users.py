"""Looking users up in a container's own files, and not in the host's."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InvalidArgument
from worker.runtime.users import Identity, lookup, read_inside


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:33:34::/srv:/bin/sh\nbad line\n")
    (root / "etc/group").write_text("root:x:0:\nweb:x:34:\nlogs:x:50:web,other\nalso:x:34:web\n")
    return root


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0, [0], "/root")),
        ("root", Identity(0, 0, [0], "/root")),
        ("web", Identity(33, 34, [34, 50], "/srv")),
        ("33", Identity(33, 34, [34, 50], "/srv")),
        ("web:logs", Identity(33, 50, [50], "/srv")),
        ("web:0", Identity(33, 0, [0], "/srv")),
        ("4711", Identity(4711, 0, [0], "/")),
        ("4711:4712", Identity(4711, 4712, [4712], "/")),
    ],
)
def test_who_a_user_is(rootfs: Path, user: str, identity: Identity) -> None:
    assert lookup(rootfs, user) == identity


def test_added_groups(rootfs: Path) -> None:
    assert lookup(rootfs, "web", ["logs", "1000", "50"]).additional == [34, 50, 1000]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("web:nobody", "unable to find group nobody: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range"),
        ("-1", "unable to find user -1"),
        ("²", "unable to find user"),
    ],
)
def test_unknown_users_are_refused(rootfs: Path, user: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        lookup(rootfs, user)


def test_a_link_cannot_lead_out_of_the_container(tmp_path: Path, rootfs: Path) -> None:
    (tmp_path / "secret").write_text("evil:x:66:66::/:/bin/sh\n")
    for target in (str(tmp_path / "secret"), "../../secret", "../../../../../../" + str(tmp_path / "secret")):
        (rootfs / "etc/passwd").unlink()
        (rootfs / "etc/passwd").symlink_to(target)
        assert read_inside(rootfs, "etc/passwd") == ""
        with pytest.raises(InvalidArgument):
            lookup(rootfs, "evil")


def test_an_absolute_link_means_the_containers_root(rootfs: Path) -> None:
    (rootfs / "etc/passwd").rename(rootfs / "real")
    (rootfs / "etc/passwd").symlink_to("/real")
    assert lookup(rootfs, "web").uid == 33
