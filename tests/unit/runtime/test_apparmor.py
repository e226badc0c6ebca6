"""AppArmor profiles: which the kernel knows, and what is refused; loading one is for a machine that has AppArmor (tests/vms)."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InvalidArgument, Unsupported
from common.model.container import HostConfig
from worker.engine.security import parse_security
from worker.runtime import apparmor


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A kernel with AppArmor."""
    profiles = tmp_path / "profiles"
    profiles.write_text("/usr/sbin/foo (bar) (complain)\ndocker-default (enforce)\n")
    monkeypatch.setattr(apparmor, "_PROFILES", profiles)
    monkeypatch.setattr(apparmor, "supported", lambda: True)
    return profiles


def host(*options: str, privileged: bool = False) -> HostConfig:
    return HostConfig(security_opt=list(options), privileged=privileged)


async def test_a_profile_must_be_loaded(kernel: Path) -> None:
    assert apparmor.loaded() == {"/usr/sbin/foo (bar)", "docker-default"}
    for name in ("unconfined", "docker-default", "/usr/sbin/foo (bar)"):
        await apparmor.require(name)
    with pytest.raises(InvalidArgument, match="'mine' is not loaded"):
        await apparmor.require("mine")


def test_containers_are_confined_unless_they_are_privileged(kernel: Path) -> None:
    assert parse_security(host()).apparmor == "docker-default"
    assert parse_security(host(privileged=True)).apparmor == "unconfined"
    assert parse_security(host("apparmor=mine", privileged=True)).apparmor == "mine"
    assert parse_security(host("apparmor=unconfined")).apparmor == "unconfined"


def test_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apparmor, "supported", lambda: False)
    assert parse_security(host()).apparmor == parse_security(host("apparmor=unconfined")).apparmor == ""
    with pytest.raises(Unsupported, match="switched off"):
        parse_security(host("apparmor=mine"))
