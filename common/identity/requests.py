"""Node → manager: asking for a certificate, over the manager's TLS port. The answers' side is manager/ca/endpoints.py.

A joining node trusts the root whose digest its token tells, and nothing before that. Each function raises what the manager
answered, and Unavailable where it cannot be reached or is not trusted.
"""

from __future__ import annotations

import ssl
import time
from typing import TypeVar

import aiohttp
import msgspec

from common.errors import ShoalError, Unavailable, error_of
from common.identity.certificate import Certificate
from common.identity.identity import Identity
from common.identity.tls import SERVER_NAME, Tls, pinned
from common.identity.token import Token

ROOTS, JOIN, RENEW, REVIVE = (f"/shoal/v1/ca/{name}" for name in ("roots", "join", "renew", "revive"))
TIMEOUT = 20.0  # seconds, of one request
T = TypeVar("T")


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    csr: str  # PEM; only its key counts
    hostname: str = ""
    availability: str = "active"


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`expired`: of a node that was off for so long; then `csr` is by the same key."""

    csr: str
    expired: str = ""


class Certified(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate (with its intermediates) and what belongs to it; `cluster_key` goes to managers alone."""

    node_id: str
    cluster_id: str
    role: str
    certificate: str
    roots: str
    managers: list[str] = []
    cluster_key: bytes = b""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a manager answers to its own node that restores a cluster: `unlock_key` locks that cluster's managers, or none does."""

    certified: Certified
    unlock_key: str | None = None


def make_key() -> tuple[str, str]:
    """A new private key and a CSR by it, both PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return text, make_csr(text)


def make_csr(key: str) -> str:
    """A CSR by the private key. Its subject is empty: what a node is called and may do is the managers' to say."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


async def fetch_root(address: str, token: str) -> str:
    """The root (PEM) that `token` tells of, from the manager at `address` (host:port), whoever that is.

    Raises InvalidArgument where the token is none, or the manager's root is another one.
    """
    known = Token.parse(token)
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return known.root_of((await send("GET", address, ROOTS, anybody)).decode("ascii", "replace"))


async def join(address: str, root: str, request: JoinRequest) -> Certified:
    """Join by the manager at `address`, which must prove itself by `root`."""
    return _certified(await send("POST", address, JOIN, pinned(root), request))


async def renew(address: str, context: ssl.SSLContext, csr: str) -> Certified:
    """A new certificate, for the node whose certificate `context` holds (Tls.client)."""
    return _certified(await send("POST", address, RENEW, context, RenewRequest(csr=csr)))


async def revive(address: str, roots: str, expired: str, key: str) -> Certified:
    """A new certificate for the key of one that is over, which no handshake takes any more."""
    request = RenewRequest(csr=make_csr(key), expired=expired)
    return _certified(await send("POST", address, REVIVE, pinned(roots), request))


async def renewed(address: str, identity: Identity) -> tuple[Certified, str]:
    """A new certificate and its key, by the way that `identity` still has: host:port, or unix:///path of the own manager.

    The own manager asks for no certificate, so a manager whose certificate ended while it was off comes back by itself.
    """
    assert identity.keys is not None
    if address.startswith("unix://"):
        key, csr = make_key()
        return _certified(await _send_home(address.removeprefix("unix://"), RENEW, RenewRequest(csr=csr))), key
    if Certificate.of_pem(identity.certificate).not_after <= time.time():
        return await revive(address, identity.roots, identity.certificate, identity.keys.tls), identity.keys.tls
    key, csr = make_key()
    return await renew(address, Tls(identity).client, csr), key


def _certified(data: bytes) -> Certified:
    try:
        return msgspec.json.decode(data, type=Certified)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the manager's answer cannot be read: {error}") from None


async def send(
    method: str, address: str, path: str, context: ssl.SSLContext, body: msgspec.Struct | None = None
) -> bytes:
    """One request to the manager at `address` on a connection of its own: the answer's body."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    data = None if body is None else msgspec.json.encode(body)
    options = {"data": data, "headers": {"Content-Type": "application/json"}, "server_hostname": SERVER_NAME}
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as session,
            session.request(method, f"https://{address}{path}", **options) as response,  # type: ignore[arg-type]
        ):
            answer = await response.read()
            if response.status >= 300:
                raise _failure(response.status, answer)
            return answer
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable(f"the manager at {address} cannot be asked: {_reason(error)}") from None


async def _send_home(socket: str, path: str, body: msgspec.Struct) -> bytes:
    """One request to the manager of this node."""
    timeout, headers = aiohttp.ClientTimeout(total=TIMEOUT), {"Content-Type": "application/json"}
    data = msgspec.json.encode(body)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket), timeout=timeout) as session,
            session.post(f"http://manager{path}", data=data, headers=headers) as response,
        ):
            answer = await response.read()
            if response.status != 200:
                raise _failure(response.status, answer)
            return answer
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable(f"this node's manager cannot be asked for a certificate: {_reason(error)}") from None


def _failure(status: int, answer: bytes) -> ShoalError:
    try:
        return error_of(status, msgspec.json.decode(answer)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return error_of(status, f"the manager answered with status {status}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
