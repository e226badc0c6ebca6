"""Join tokens: their form, and the root that they tell of."""

from __future__ import annotations

import hashlib
import re

import pytest
from cryptography.hazmat.primitives import serialization

from common.errors import InvalidArgument
from common.identity.token import Token, token_of
from tests.harness.identities import Root


def test_a_token_tells_of_its_root() -> None:
    root, other = Root(), Root()
    text = token_of(root.pem, "a" * 25)
    assert re.fullmatch("SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", text)
    token = Token.parse(f" {text}\n")
    assert str(token) == text
    assert token.digest == hashlib.sha256(root.certificate.public_bytes(serialization.Encoding.DER)).digest()
    assert token.root_of(other.pem + root.pem) == root.pem
    with pytest.raises(InvalidArgument, match="does not match fingerprint"):
        token.root_of(other.pem)


def test_a_token_of_swarm_is_read() -> None:
    text = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx"
    assert str(Token.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "SWMTKN-2-{}-{}",
        "SWMTKN-1-{}",
        "swmtkn-1-{}-{}",
        "SWMTKN-1-{}-{}-x",
        "SWMTKN-1-{}x-{}",
        "SWMTKN-1-{}-{}x",
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid join token"):
        Token.parse(text.format("0" * 50, "a" * 25))


@pytest.mark.parametrize("digits", ["z" * 50, "A" * 50, "_" * 50, "é" * 50])
def test_digits_that_are_none_are_refused(digits: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid join token"):
        Token.parse(f"SWMTKN-1-{digits}-{'a' * 25}")
