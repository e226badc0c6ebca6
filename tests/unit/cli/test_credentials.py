"""Accounts in docker's config.json and in credential helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cli.credentials import HUB, Accounts, header, server_of
from cli.errors import CliError

ME = {"username": "me", "password": "se:cret"}


def test_accounts_are_kept_where_docker_keeps_them(tmp_path: Path) -> None:
    environment = {"DOCKER_CONFIG": str(tmp_path / "d")}
    place = Accounts(environment).keep("reg:5000", ME)
    assert place == str(tmp_path / "d" / "config.json")
    assert Path(place).stat().st_mode & 0o777 == 0o600
    kept = json.loads(Path(place).read_text())
    assert kept == {"auths": {"reg:5000": {"auth": base64.b64encode(b"me:se:cret").decode()}}}
    assert Accounts(environment).get("https://reg:5000/v2/")["password"] == "se:cret"
    assert Accounts(environment).get(HUB) == {}
    assert Accounts(environment).forget("reg:5000")
    assert not Accounts(environment).forget("reg:5000")


def test_other_settings_of_the_file_stay(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-x"}')
    Accounts({"DOCKER_CONFIG": str(tmp_path)}).keep("r.io", ME)
    assert json.loads((tmp_path / "config.json").read_text())["detachKeys"] == "ctrl-x"


def test_a_credential_helper_keeps_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f"""#!/bin/sh
case $1 in
store) cat > {tmp_path}/kept;;
get) test -f {tmp_path}/kept && cat {tmp_path}/kept || {{ echo credentials not found in native keychain; exit 1; }};;
erase) rm {tmp_path}/kept;;
esac
""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text('{"credsStore": "test"}')
    accounts = Accounts({"DOCKER_CONFIG": str(tmp_path)})
    assert accounts.get("r.io") == {}
    assert "test" in accounts.keep("r.io", ME)
    assert accounts.get("r.io") == {**ME, "serveraddress": "r.io"}
    accounts.forget("r.io")
    assert accounts.get("r.io") == {}
    (tmp_path / "config.json").write_text('{"credHelpers": {"r.io": "none"}}')
    with pytest.raises(CliError, match="docker-credential-none cannot be run"):
        Accounts({"DOCKER_CONFIG": str(tmp_path)}).get("r.io")


def test_images_belong_to_registries() -> None:
    assert server_of("busybox") == server_of("team/app") == server_of("docker.io/x/y") == HUB
    assert server_of("localhost/app") == "localhost"
    assert server_of("reg:5000/a/b") == "reg:5000"
    assert json.loads(base64.urlsafe_b64decode(header(ME))) == ME
