"""Accounts of registries, kept where docker keeps them: ~/.docker/config.json (DOCKER_CONFIG), or a credential helper."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.errors import CliError

HUB = "https://index.docker.io/v1/"
_TOKEN = "<token>"
Account = dict[str, str]


class Accounts:
    """One file; read anew for each object."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        folder = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME") or "/root") / ".docker")
        self._path = Path(folder) / "config.json"
        self._config = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._path.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CliError(f"{self._path} cannot be read: {error}") from None
        return found

    def get(self, server: str) -> Account:
        """Empty where none is kept."""
        if helper := self._helper(server):
            found = _ask_helper(helper, "get", server)
            return _from_helper(server, json.loads(found)) if found else {}
        entry = next((e for name, e in (self._config.get("auths") or {}).items() if _host(name) == _host(server)), None)
        if not entry:
            return {}
        name, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
        account = {"username": name, "password": password, "serveraddress": server}
        return account | ({"identitytoken": entry["identitytoken"]} if entry.get("identitytoken") else {})

    def keep(self, server: str, account: Account) -> str:
        """Where it went, to be shown."""
        if helper := self._helper(server):
            secret = account.get("identitytoken") or account["password"]
            name = _TOKEN if account.get("identitytoken") else account["username"]
            _ask_helper(helper, "store", json.dumps({"ServerURL": server, "Username": name, "Secret": secret}))
            return f"the credential helper {helper}"
        packed = base64.b64encode(f"{account['username']}:{account['password']}".encode()).decode()
        entry = {"auth": packed}
        if token := account.get("identitytoken"):
            entry = {"auth": base64.b64encode(f"{account['username']}:".encode()).decode(), "identitytoken": token}
        self._config.setdefault("auths", {})[server] = entry
        self._write()
        return str(self._path)

    def forget(self, server: str) -> bool:
        """Whether there was one."""
        if helper := self._helper(server):
            _ask_helper(helper, "erase", server)
            return True
        names = [name for name in self._config.get("auths") or {} if _host(name) == _host(server)]
        for name in names:
            del self._config["auths"][name]
        if names:
            self._write()
        return bool(names)

    def _helper(self, server: str) -> str:
        special = self._config.get("credHelpers") or {}
        return str(special.get(_host(server)) or special.get(server) or self._config.get("credsStore") or "")

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self._path.with_name(f".config.json.{os.getpid()}")
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self._config, file, indent="\t")
        os.replace(aside, self._path)


def header(account: Account) -> str:
    """The value of X-Registry-Auth."""
    return base64.urlsafe_b64encode(json.dumps(account).encode()).decode()


def server_of(image: str) -> str:
    """The registry that an image's name belongs to, as accounts are filed."""
    first, slash, _ = image.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost"):
        return HUB if first in ("docker.io", "index.docker.io") else first
    return HUB


def image_headers(image: str) -> dict[str, str]:
    """The headers that a request about this image needs."""
    return {"X-Registry-Auth": header(Accounts().get(server_of(image)))}


def _host(server: str) -> str:
    return re.sub(r"^https?://", "", server).split("/")[0]


def _from_helper(server: str, found: dict[str, str]) -> Account:
    if found.get("Username") == _TOKEN:
        return {"identitytoken": found.get("Secret", ""), "serveraddress": server}
    return {"username": found.get("Username", ""), "password": found.get("Secret", ""), "serveraddress": server}


def _ask_helper(helper: str, verb: str, text: str) -> str:
    """Its answer; empty where it has nothing."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, verb], input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CliError(f"the credential helper {program} cannot be run: {error.strerror}") from None
    if done.returncode and "credentials not found" not in done.stdout:
        raise CliError(f"{program} {verb} failed: {(done.stdout or done.stderr).strip()}")
    return "" if done.returncode else done.stdout
