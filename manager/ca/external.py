"""External CAs: certificates signed by a server that speaks cfssl's protocol, over TLS that its root certificate must prove.

One POST of a JSON sign request; the answer is checked as if anybody had sent it: key, names, and the way to the root.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import msgspec

from common.errors import ShoalError, Unavailable
from common.identity.tls import Peer, pinned
from common.model.node import ExternalCA

TIMEOUT = 10.0  # seconds, of one request
LIMIT = 1 << 20  # bytes of an answer


class _Result(msgspec.Struct):
    certificate: str = ""


class _Message(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct):
    success: bool = False
    result: _Result | None = None
    errors: list[_Message] | None = None


async def sign(authorities: Sequence[ExternalCA], root: str, csr: str, node: Peer) -> str:
    """The node's certificate, PEM, by the first of the authorities that signs. Raises Unavailable with all their reasons."""
    reasons = []
    for authority in authorities:
        try:
            chain = await _ask(authority, root, request(csr, node))
            _check(chain, root, csr, node)
            return chain
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            reasons.append(f"{authority.url}: {error or type(error).__name__}")
        except ShoalError as error:
            reasons.append(f"{authority.url}: {error.message}")
    raise Unavailable(f"no external CA signed the certificate of node {node.node_id}: {'; '.join(reasons)}")


def request(csr: str, node: Peer) -> bytes:
    """cfssl's sign request."""
    from manager.ca.certificates import host_names, unit

    subject = {"CN": node.node_id, "names": [{"O": node.cluster_id, "OU": unit(node.role)}]}
    return msgspec.json.encode({"certificate_request": csr, "subject": subject, "hosts": host_names(node)})


async def _ask(authority: ExternalCA, root: str, data: bytes) -> str:
    connector = aiohttp.TCPConnector(ssl=pinned(authority.ca_cert or root))
    timeout, headers = aiohttp.ClientTimeout(total=TIMEOUT), {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post(authority.url, data=data, headers=headers, allow_redirects=False) as response,
    ):
        answer = msgspec.json.decode(await _limited(response), type=_Answer)
    if not answer.success or answer.result is None:
        raise Unavailable("; ".join(error.message for error in answer.errors or []) or f"status {response.status}")
    return answer.result.certificate.strip() + "\n"


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > LIMIT:
            raise Unavailable(f"its answer is larger than {LIMIT} bytes")
    return bytes(data)


def _check(chain: str, root: str, csr: str, node: Peer) -> None:
    from manager.ca.certificates import check_chain, holder, is_for

    if not is_for(chain, csr):
        raise Unavailable("its certificate is for another key")
    if holder(chain) != node:
        raise Unavailable(
            f"its certificate is for {holder(chain)}, not {node}: it has to sign the subject that it is given"
        )
    check_chain(chain, root)
