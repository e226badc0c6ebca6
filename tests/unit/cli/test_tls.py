"""TCP with mutual TLS: certificates are shown and checked, and attached streams work over it."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cli.api.client import Client
from cli.endpoint import Tls, parse
from cli.errors import ConnectError
from cli.terminal.pump import Pump
from tests.unit.cli.fake import answer, frame


def make_certificate(folder: Path) -> Tls:
    """One self-signed certificate that is CA, server and client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(private)
    return Tls(str(folder / "cert.pem"), str(folder / "cert.pem"), str(folder / "key.pem"))


@contextmanager
def server(tls: Tls, reply: bytes) -> Iterator[str]:
    """Takes one connection, and answers it where its certificate is right."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    context.load_verify_locations(tls.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(reply)
        except OSError:
            plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://localhost:{listener.getsockname()[1]}"
    finally:
        thread.join(5)
        listener.close()


def test_both_sides_show_certificates(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)
    with server(tls, answer({"Version": "1"})) as url:
        assert Client(parse(url, tls)).get("/version") == {"Version": "1"}


def test_attached_streams(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tls = make_certificate(tmp_path)
    frames = b"".join(frame(1, b"x" * 9000) for _ in range(20))
    with server(tls, b"HTTP/1.1 101 UPGRADED\r\n\r\n" + frames) as url:
        Pump(Client(parse(url, tls)).hijack("/attach"), multiplexed=True).run()
    assert len(capfd.readouterr().out) == 180_000


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tls, other = make_certificate(tmp_path), make_certificate(tmp_path / "other")
    with server(tls, b"") as url, pytest.raises(ConnectError, match="TLS with localhost failed"):
        Client(parse(url, tls._replace(ca=other.ca))).get("/version")
    with server(tls, b"") as url, pytest.raises(ConnectError, match=r"not HTTP|broke|closed"):
        Client(parse(url)).get("/version")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)
    with server(tls, b"") as url, pytest.raises(ConnectError, match="Check --tlscacert"):
        Client(parse(url, tls._replace(cert="/nonexistent"))).get("/version")
