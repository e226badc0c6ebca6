"""The identity's file, its sealing, and what a node reads in its own certificate."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from common.errors import InvalidArgument, Unauthorized, Unavailable
from common.identity import IdentityFile, Keys
from common.identity.certificate import Certificate, bundle, pem
from common.identity.sealing import make_unlock_key, open_sealed, seal
from common.identity.trust import tls_info
from tests.harness.identities import Root

DER = serialization.Encoding.DER


def test_the_first_start_makes_an_identity_that_stays(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path)
    first = file.load()
    assert first.keys is not None
    assert (len(first.node_id), len(first.keys.cluster), first.role, first.cluster_id) == (25, 32, "manager", "")
    assert IdentityFile(tmp_path).load() == first
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert first.renew_at == float("inf")
    assert tls_info(first) is None


def test_files_of_earlier_versions_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "node-id").write_text("node0\n")
    (tmp_path / "cluster.key").write_bytes(bytes(range(32)))
    identity = IdentityFile(tmp_path).load()
    assert (identity.node_id, identity.keys) == ("node0", Keys(cluster=bytes(range(32))))
    assert [path.name for path in tmp_path.iterdir()] == ["swarm"]
    assert IdentityFile(tmp_path).load() == identity


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = IdentityFile(tmp_path)
    file.load()
    file.path.write_text("{")
    with pytest.raises(Unavailable, match=r"swarm/identity\.json cannot be read"):
        file.load()


def test_a_locked_identity_opens_with_its_key_alone(tmp_path: Path) -> None:
    file, key = IdentityFile(tmp_path), make_unlock_key()
    open_one = replace(file.load(), keys=Keys(tls="private", cluster=b"c" * 32, log=b"l" * 32))
    file.lock(open_one, key)
    assert b"private" not in file.path.read_bytes()
    again = IdentityFile(tmp_path)
    locked = again.load()
    assert (locked.keys, locked.node_id) == (None, open_one.node_id)
    for wrong in (make_unlock_key(), "", "SWMKEY-1-x", "SWMKEY-1-é", key.removeprefix("SWMKEY-1-")):
        with pytest.raises(Unauthorized, match="invalid key provided"):
            again.unlock(locked, wrong)
    again.save(replace(locked, managers=["a:1"]))  # what a locked node learns is kept beside its sealed keys
    assert again.unlock(again.load(), key) == replace(open_one, managers=["a:1"])
    again.save(replace(open_one, role="worker"))  # it holds the key since it opened with it
    assert again.load().keys is None
    again.lock(open_one, None)
    assert IdentityFile(tmp_path).load() == open_one


def test_the_unlock_key_has_dockers_form() -> None:
    key = make_unlock_key()
    assert key.startswith("SWMKEY-1-")
    assert len(base64.b64decode(key.removeprefix("SWMKEY-1-") + "=")) == 32
    assert open_sealed(seal(Keys(tls="x"), key), key) == Keys(tls="x")


def test_facts_of_a_certificate() -> None:
    root = Root()
    identity = root.identity("node0")
    known = x509.load_pem_x509_certificate(identity.certificate.encode())
    read = Certificate.of_pem(identity.certificate + root.pem)
    assert read.der == known.public_bytes(DER)
    assert (read.issuer, read.subject) == (known.issuer.public_bytes(), known.subject.public_bytes())
    assert read.public_key == known.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert (read.not_before, read.not_after) == (
        known.not_valid_before_utc.timestamp(),
        known.not_valid_after_utc.timestamp(),
    )
    assert bundle(root.pem + identity.certificate)[1] == read.der
    assert pem(read.der) == identity.certificate


def test_times_after_2049() -> None:
    text = Root().identity("a", life=timedelta(days=36525)).certificate
    known = x509.load_pem_x509_certificate(text.encode())
    assert Certificate.of_pem(text).not_after == known.not_valid_after_utc.timestamp()


def test_half_life_counts_from_the_issuing() -> None:
    now = datetime.now(UTC).timestamp()  # begun 2 days ago, of which one hour is for clocks that differ
    half, life = 86400 + 1800, 6 * 86400 - 3600
    identities = [Root().identity(f"node{number}", life=timedelta(days=4)) for number in range(8)]
    moments = [identity.renew_at - now for identity in identities]
    assert all(half - 5 < moment < half + 0.1 * life + 5 for moment in moments)
    assert max(moments) - min(moments) > 3600  # not all at once


@pytest.mark.parametrize("text", ["", "x", pem(b""), pem(b"\x30\x03\x30\x01\x00"), pem(b"\x30\x82"), pem(bytes(9))])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid certificate"):
        Certificate.of_pem(text)


def test_what_a_node_tells_of_its_trust() -> None:
    old, new = Root("old"), Root("new")
    identity = new.identity("node0", roots=[old.pem])
    told = tls_info(identity)
    assert told is not None
    assert told.trust_root == new.pem + old.pem
    assert base64.b64decode(told.cert_issuer_subject) == new.certificate.subject.public_bytes()
    spki = new.certificate.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert base64.b64decode(told.cert_issuer_public_key) == spki


def test_a_node_alone_loads_no_cryptographic_library(tmp_path: Path) -> None:
    code = "import sys, common.identity as i, common.identity.tls, common.identity.trust; from pathlib import Path; "
    code += "i.IdentityFile(Path(sys.argv[1])).load(); sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
