"""Credentials for registries, as clients send them: X-Registry-Auth, X-Registry-Config, and the body of POST /auth."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import field

from common.errors import InvalidArgument
from common.model.base import EngineSpec
from common.parse import parse_json
from worker.distribution.endpoints import host_of

T = TypeVar("T")
AUTH, CONFIG = "X-Registry-Auth", "X-Registry-Config"


class Credentials(EngineSpec, frozen=True, kw_only=True):
    """One account; its names are in lower case on the wire."""

    username: str = ""
    password: str = ""
    auth: str = ""  # base64 of "username:password", where the client leaves it so
    email: str = ""
    server_address: str = field(default="", name="serveraddress")
    identity_token: str = field(default="", name="identitytoken")
    registry_token: str = field(default="", name="registrytoken")


NOBODY = Credentials()


def read_header(headers: Mapping[str, str], domain: str) -> Credentials:
    """The credentials that a request brings for a registry; NOBODY where it brings none. Raises InvalidArgument."""
    if text := headers.get(AUTH):
        return _account(_decode(AUTH, text, Credentials))
    if text := headers.get(CONFIG):
        accounts = _decode(CONFIG, text, dict[str, Credentials])
        return next((_account(found) for name, found in accounts.items() if host_of(name) == host_of(domain)), NOBODY)
    return NOBODY


def _decode(name: str, text: str, kind: type[T]) -> T:
    try:
        text = text.replace("+", "-").replace("/", "_").rstrip("=")
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return parse_json(b"{}" if data.strip() in (b"", b"null") else data, kind)
    except (binascii.Error, InvalidArgument) as error:
        raise InvalidArgument(f"the header {name} is no base64url of JSON: {error}") from None


def _account(given: Credentials) -> Credentials:
    """With name and password also where only `auth` has them."""
    if given.username or not given.auth:
        return given
    try:
        name, _, password = base64.b64decode(given.auth).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidArgument("the credentials' 'auth' is no base64 of 'name:password'") from None
    return msgspec.structs.replace(given, username=name, password=password.rstrip("\0"))
