"""References are completed and shown short as Docker's own library does."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from common.reference import parse_reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/team/app", "docker.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.example.com/a/b/c:x", "registry.example.com/a/b/c:x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}"),
    ],
)
def test_complete_name(text: str, complete: str) -> None:
    assert str(parse_reference(text).tagged()) == complete


@pytest.mark.parametrize(
    "shown", ["busybox:latest", "team/app:1", "localhost:5000/app:v1", f"team/app@{DIGEST}", "quay.io/a/b:1"]
)
def test_short_name_round_trips(shown: str) -> None:
    complete = str(parse_reference(shown).tagged())
    assert parse_reference(complete).familiar == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid reference format"),
        ("Upper", "must be lowercase"),
        ("team/App:1", "must be lowercase"),
        ("a//b", "invalid reference format"),
        ("app:", "invalid tag"),
        ("app:.dot", "invalid tag"),
        ("app:" + "x" * 129, "invalid tag"),
        ("app@sha256:12", "no valid digest"),
        ("-app", "invalid reference format"),
        ("../escape", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("ab" * 32, "64-byte hexadecimal"),
        ("a/" * 200 + "b", "255 characters"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_reference(text)
