"""Challenges, platforms and pauses: the pure rules of the client."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from common.errors import InvalidArgument, NotFound
from worker.distribution import challenge, platforms, retry
from worker.distribution.platforms import Platform


def test_challenges_are_taken_apart() -> None:
    text = 'Bearer realm="https://a/token?x=1,2",service="s", scope="repository:a/b:pull,push", Basic realm="a \\"b\\""'
    bearer, basic = challenge.parse([text])
    assert bearer.scheme == "bearer"
    assert bearer.fields["realm"] == "https://a/token?x=1,2"
    assert bearer.fields["scope"] == "repository:a/b:pull,push"
    assert (basic.scheme, basic.fields["realm"]) == ("basic", 'a "b"')
    assert challenge.choose([basic, bearer]) == bearer
    assert challenge.choose(challenge.parse(["Basic"])) == ("basic", {})
    assert challenge.choose(challenge.parse(["Negotiate", "Bearer"])) is None
    assert challenge.parse(["", "=,="]) == []


def test_the_best_platform_is_chosen() -> None:
    arms = [Platform(os="linux", architecture="arm", variant=v) for v in ("v6", "v7", "v5")]
    assert platforms.choose(platforms.parse("linux/arm/v7"), arms) == 1
    assert platforms.choose(platforms.parse("linux/arm/v6"), arms) == 0
    others = [Platform(os="windows", architecture="amd64"), Platform(os="linux", architecture="amd64")]
    assert platforms.choose(platforms.parse("x86_64"), others) == 1
    assert (
        platforms.choose(platforms.parse("linux/arm64"), [Platform(os="linux", architecture="arm64", variant="v8")])
        == 0
    )
    with pytest.raises(NotFound, match=r"no matching manifest for linux/arm64/v9 .* it has linux/amd64"):
        platforms.choose(platforms.parse("linux/aarch64/v9"), others[1:])
    for text in ("", "a/b/c/d", "linux/%"):
        with pytest.raises(InvalidArgument, match="invalid platform"):
            platforms.parse(text)


def test_pauses_grow_and_heed_the_registry() -> None:
    waits = [retry.pause(n) for n in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == 0.25
    assert waits[-1] == 8.0
    assert retry.pause(0, "7") == 7.0
    assert retry.pause(0, "100000") == 120.0
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert retry.pause(0, "Mon, 01 Jan 2024 00:00:30 GMT", now=now) == 30.0
    assert retry.pause(0, "soon", now=now) == 0.25
    assert retry.passes(429)
    assert not retry.passes(404)
