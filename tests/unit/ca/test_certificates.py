"""Roots and nodes' certificates: what they say, how long they are good, and what is not taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from common.errors import Forbidden, InvalidArgument
from common.identity.requests import make_csr, make_key
from common.identity.tls import Peer
from manager.ca.certificates import check_chain, csr_key, holder, is_for, issue
from manager.ca.roots import check_root, cross_sign, make_root
from tests.harness.authorities import make_authority
from tests.harness.authorities import make_key as any_key

NODE = Peer("node1", "worker", "cluster0")
WEEK = timedelta(days=7)


def load(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def csr(kind: str, subject: str = "") -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    key = any_key(kind)
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return (
        builder.sign(key, None if kind == "ed25519" else hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def test_a_root_is_good_for_20_years_and_has_a_name_of_its_own() -> None:
    root = load(make_root()[0])
    assert root.not_valid_after_utc - datetime.now(UTC) > timedelta(days=19 * 365)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.subject != load(make_root()[0]).subject


def test_of_a_request_only_the_key_counts() -> None:
    root, key = make_root()
    asked = csr("ec", "somebody else")
    certificate = issue(asked, NODE, WEEK, root, key)
    assert holder(certificate) == NODE
    assert is_for(certificate, asked)
    assert not is_for(certificate, make_key()[1])
    found = load(certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shoal-worker", "node1"]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_begins_an_hour_ago_for_clocks_that_differ() -> None:
    root, key = make_root()
    found, now = load(issue(make_key()[1], NODE, WEEK, root, key)), datetime.now(UTC)
    assert abs(found.not_valid_after_utc - now - WEEK) < timedelta(seconds=10)
    assert abs(now - found.not_valid_before_utc - timedelta(hours=1)) < timedelta(seconds=10)


def test_no_certificate_outlives_its_root() -> None:
    root = make_authority(end=timedelta(days=2))
    found = load(issue(make_key()[1], NODE, WEEK, root.certificate, root.key))
    assert found.not_valid_after_utc == load(root.certificate).not_valid_after_utc


@pytest.mark.parametrize(
    ("request_text", "sentence"),
    [
        ("", "a PEM text"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "a PEM text"),
        (csr("rsa"), "an ECDSA key"),
        (csr("ed25519"), "an ECDSA key"),
    ],
)
def test_a_bad_request_is_refused(request_text: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        csr_key(request_text)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    own, other = (x509.load_pem_x509_csr(make_key()[1].encode()) for _ in range(2))
    der = own.public_bytes(serialization.Encoding.DER)
    forged = der.replace(own.public_key().public_bytes(*RAW), other.public_key().public_bytes(*RAW))
    assert forged != der
    text = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(InvalidArgument, match="not signed by the key"):
        csr_key(text)


RAW = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_a_users_root_issues_and_is_signed_across(kind: str) -> None:
    old, new = make_authority(kind, name="old"), make_authority(kind, name="new")
    assert check_root(new.certificate, new.key) == new.certificate
    leaf = issue(make_key()[1], NODE, WEEK, new.certificate, new.key)
    check_chain(leaf, old.certificate + new.certificate)
    with pytest.raises(Forbidden, match="does not come from this cluster's root"):
        check_chain(leaf, old.certificate)
    check_chain(leaf + cross_sign(new.certificate, old.certificate, old.key), old.certificate)


def test_a_node_is_no_authority() -> None:
    root, key = make_root()
    node_key, request = make_key()
    node = issue(request, Peer("node0", "manager", "cluster0"), WEEK, root, key)
    forged = issue(make_csr(make_key()[0]), Peer("node9", "manager", "cluster0"), WEEK, node, node_key)
    with pytest.raises(Forbidden):
        check_chain(forged + node, root)


@pytest.mark.parametrize(
    ("root", "key", "sentence"),
    [
        ("x", "", "a PEM text"),
        (make_authority(ca=False).certificate, "", "CA:TRUE"),
        (make_authority(end=timedelta(hours=-1)).certificate, "", "only"),
        (make_authority().certificate, make_authority().key, "not the key of the CA certificate"),
        (make_authority().certificate, "x", "unencrypted private key"),
        (issue(make_key()[1], NODE, WEEK, *make_root()), "", "signed by itself"),
    ],
)
def test_an_unfit_root_is_refused(root: str, key: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        check_root(root, key)
