"""Which daemon to talk to: parsing addresses, and choosing among flags, environment and contexts.

The first of these wins: -H; --context; SHOAL_HOST, DOCKER_HOST; SHOAL_CONTEXT, DOCKER_CONTEXT; the context in use;
unix:///run/shoal/shoal.sock.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from cli import contexts
from cli.errors import CliError

DEFAULT_HOST = "unix:///run/shoal/shoal.sock"
TLS_PORT, PLAIN_PORT = 2376, 2375


class Tls(NamedTuple):
    """Files of the client's side of TLS, and whether the server's certificate is verified."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class Endpoint(NamedTuple):
    """Where a daemon listens: `path` of a UNIX socket, or `host` and `port`."""

    url: str
    path: str = ""
    host: str = ""
    port: int = 0
    tls: Tls | None = None

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}" if self.host else "shoal"


class Choice(NamedTuple):
    """The global options that choose the daemon, as they were given."""

    host: str = ""
    context: str = ""
    tls: bool = False
    tlsverify: bool = False
    cacert: str = ""
    cert: str = ""
    key: str = ""


def choose(choice: Choice, env: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint of the daemon. Raises CliError for a contradiction, an unknown context or a bad address."""
    if choice.host and choice.context:
        raise CliError("conflicting options: give either -H or --context, not both")
    host = choice.host or ("" if choice.context else env.get("SHOAL_HOST") or env.get("DOCKER_HOST") or "")
    name = context_name(choice.context, host, env)
    if name == contexts.DEFAULT:
        return parse(host or DEFAULT_HOST, _tls(choice, env))
    return _of_context(contexts.load(name))


def context_name(asked: str, host: str = "", env: Mapping[str, str] = os.environ) -> str:
    """The name of the context in force; "default" where a host was named or nothing was chosen."""
    if asked:
        return asked
    if host:
        return contexts.DEFAULT
    return env.get("SHOAL_CONTEXT") or env.get("DOCKER_CONTEXT") or contexts.current()


def parse(host: str, tls: Tls | None = None) -> Endpoint:
    """Parse "unix:///path", "tcp://host[:port]", or a bare "host:port" or "/path"."""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = ("unix", host) if host.startswith("/") else ("tcp", host)
    if scheme == "unix":
        return Endpoint(f"unix://{rest}", path=rest or "/run/shoal/shoal.sock")
    if scheme not in ("tcp", "http", "https"):
        raise CliError(f"invalid address {host!r}: it starts with unix:// or tcp://")
    if scheme == "https" and tls is None:
        tls = Tls()
    name, port = _split(rest.rstrip("/"), TLS_PORT if tls else PLAIN_PORT)
    return Endpoint(f"tcp://{rest.rstrip('/')}", host=name, port=port, tls=tls)


def _split(address: str, default: int) -> tuple[str, int]:
    name, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = address, str(default)
    if not port.isdigit() or int(port) > 65535:
        raise CliError(f"invalid address {address!r}: {port!r} is no port")
    return name.strip("[]") or "127.0.0.1", int(port)


def _tls(choice: Choice, env: Mapping[str, str]) -> Tls | None:
    verify = choice.tlsverify or bool(env.get("SHOAL_TLS_VERIFY") or env.get("DOCKER_TLS_VERIFY"))
    if not (verify or choice.tls):
        return None
    folder = env.get("SHOAL_CERT_PATH") or env.get("DOCKER_CERT_PATH") or contexts.folder()
    files = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    ca, cert, key = (given or _existing(path) for given, path in zip(_given(choice), files, strict=True))
    return Tls(ca, cert, key, verify)


def _given(choice: Choice) -> tuple[str, str, str]:
    return choice.cacert, choice.cert, choice.key


def _existing(path: str) -> str:
    return path if os.path.exists(path) else ""


def _of_context(context: dict[str, Any]) -> Endpoint:
    docker = context["Endpoints"]["docker"]
    files = docker.get("TLS") or {}
    tls = Tls(files.get("ca", ""), files.get("cert", ""), files.get("key", ""), not docker.get("SkipTLSVerify"))
    return parse(docker["Host"], tls if files or docker.get("SkipTLSVerify") else None)
