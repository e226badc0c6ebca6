"""An external CA for tests: a small HTTPS server that signs as cfssl's `sign` endpoint does, by a root that a user made."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.harness.authorities import Pair

_PEM = serialization.Encoding.PEM
_KINDS = {"O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


class Cfssl:
    """`requests` are those that came; `spoil` changes what is signed, `refuse` what is answered."""

    def __init__(self, root: Pair) -> None:
        self._root = x509.load_pem_x509_certificate(root.certificate.encode())
        self._key: Any = serialization.load_pem_private_key(root.key.encode(), None)
        self.requests: list[dict[str, Any]] = []
        self.refuse = ""
        self.spoil: dict[str, Any] = {}
        self.url = ""

    async def sign(self, request: web.Request) -> web.Response:
        asked = {**await request.json(), **self.spoil}
        self.requests.append(asked)
        if self.refuse:
            errors = [{"code": 5200, "message": self.refuse}]
            return web.json_response({"success": False, "result": None, "errors": errors, "messages": []}, status=400)
        csr = x509.load_pem_x509_csr(asked["certificate_request"].encode())
        names = [(NameOID.COMMON_NAME, asked["subject"]["CN"])]
        names += [(_KINDS[kind], text) for part in asked["subject"]["names"] for kind, text in part.items()]
        subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names])
        hosts = [x509.DNSName(host) for host in asked["hosts"]]
        certificate = self._issue(subject, csr.public_key(), hosts)
        result = {"certificate": certificate}
        return web.json_response({"success": True, "result": result, "errors": [], "messages": []})

    def _issue(self, subject: x509.Name, key: Any, hosts: list[Any]) -> str:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._root.subject).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=7))
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM).decode()

    def server_context(self) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca server")])
        certificate = self._issue(name, key.public_key(), [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(private + certificate)
            file.flush()
            context.load_cert_chain(Path(file.name))
        return context


@asynccontextmanager
async def cfssl(root: Pair) -> AsyncIterator[Cfssl]:
    made = Cfssl(root)
    app = web.Application()
    app.router.add_post("/api/v1/cfssl/sign", made.sign)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server_context())
        await site.start()
        made.url = f"https://127.0.0.1:{runner.addresses[0][1]}/api/v1/cfssl/sign"
        yield made
    finally:
        await runner.cleanup()
