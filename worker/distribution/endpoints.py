"""Where a registry is spoken to: its addresses, mirrors, which may lack TLS, and its certificates. Opens no connection."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import InvalidArgument
from common.reference import DEFAULT_DOMAIN
from common.settings import Settings

HUB = "registry-1.docker.io"
_HUB_NAMES = ("", DEFAULT_DOMAIN, "index.docker.io", HUB)


class Endpoint(NamedTuple):
    """`url` without a slash at its end; `verify`: its certificate must be good."""

    url: str
    verify: bool
    mirror: bool = False

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].split("/")[0]


def host_of(address: str) -> str:
    """The registry's host (with port) of an address as people write it; the Hub has several names."""
    host = re.sub(r"^https?://", "", address).split("/")[0]
    return HUB if host in _HUB_NAMES else host


def endpoints(domain: str, settings: Settings, *, push: bool = False) -> list[Endpoint]:
    """In the order in which they are tried; nothing is pushed to a mirror."""
    mirrors = [] if push else list(_mirrors(domain, settings))
    return [*mirrors, *_direct(host_of(domain), settings.insecure_registries)]


def _mirrors(domain: str, settings: Settings) -> Iterator[Endpoint]:
    for text in settings.registry_mirrors:
        of, equals, url = text.rpartition("=")
        if host_of(of if equals else DEFAULT_DOMAIN) == host_of(domain):
            bare = Endpoint(url.rstrip("/"), True)
            yield Endpoint(bare.url, not is_insecure(bare.host, settings.insecure_registries), True)


def _direct(host: str, insecure: Sequence[str]) -> Iterator[Endpoint]:
    if is_insecure(host, insecure):
        yield Endpoint(f"https://{host}", False)
        yield Endpoint(f"http://{host}", False)
    else:
        yield Endpoint(f"https://{host}", True)


def is_insecure(host: str, insecure: Sequence[str]) -> bool:
    """Loopback addresses, and what the settings name: hosts, addresses with port, networks."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    if host in insecure or name in insecure or name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in _networks(insecure))


def _networks(insecure: Sequence[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in insecure:
        if "/" in text:
            try:
                yield ipaddress.ip_network(text)
            except ValueError:
                raise InvalidArgument(f"the setting insecure-registries has {text!r}, which is no network") from None


def tls(endpoint: Endpoint, folder: Path) -> ssl.SSLContext | bool:
    """What aiohttp verifies it by. `folder`/HOST:PORT may hold *.crt (CAs) and NAME.cert with NAME.key (our own)."""
    own = folder / endpoint.host
    if not own.is_dir():
        return endpoint.verify
    context = ssl.create_default_context()
    try:
        for file in sorted(own.glob("*.crt")):
            context.load_verify_locations(file)
        for file in sorted(own.glob("*.cert")):
            context.load_cert_chain(file, file.with_suffix(".key"))
    except (ssl.SSLError, OSError) as error:
        raise InvalidArgument(f"the certificates in {own} cannot be used: {error}") from None
    if not endpoint.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
