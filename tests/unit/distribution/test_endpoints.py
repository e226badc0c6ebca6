"""Where registries are asked, by which account, and what their refusals mean."""

from __future__ import annotations

import base64
import json

import pytest

from common.errors import Forbidden, InvalidArgument, NotFound, Unavailable
from common.reference import parse_reference
from common.settings import Settings
from worker.distribution.credentials import NOBODY, read_header
from worker.distribution.endpoints import endpoints, host_of, is_insecure
from worker.distribution.refusal import Refusal, plain_error, pull_error


def urls(domain: str, **settings: list[str]) -> list[tuple[str, bool]]:
    return [(place.url, place.verify) for place in endpoints(domain, Settings(**settings))]  # type: ignore[arg-type]


def test_the_hub_and_its_mirrors() -> None:
    hub = ("https://registry-1.docker.io", True)
    assert urls("docker.io") == [hub]
    mirrors = ["https://one/", "quay.io=https://two", "docker.io=http://127.0.0.1:5000"]
    assert urls("docker.io", registry_mirrors=mirrors) == [("https://one", True), ("http://127.0.0.1:5000", False), hub]
    assert urls("quay.io", registry_mirrors=mirrors) == [("https://two", True), ("https://quay.io", True)]
    assert endpoints("quay.io", Settings(registry_mirrors=mirrors), push=True)[0].url == "https://quay.io"


def test_insecure_registries_may_lack_tls() -> None:
    both = [("https://localhost:5000", False), ("http://localhost:5000", False)]
    assert urls("localhost:5000") == both
    assert urls("reg:5000") == [("https://reg:5000", True)]
    assert urls("reg:5000", insecure_registries=["reg:5000"])[1] == ("http://reg:5000", False)
    assert is_insecure("[::1]:5000", [])
    assert is_insecure("10.1.2.3:80", ["10.0.0.0/8"])
    assert not is_insecure("11.1.2.3:80", ["10.0.0.0/8"])
    with pytest.raises(InvalidArgument, match="no network"):
        is_insecure("10.1.2.3", ["10.0.0.0/99"])


def test_hosts_of_addresses_as_people_write_them() -> None:
    assert host_of("https://index.docker.io/v1/") == host_of("docker.io") == host_of("") == "registry-1.docker.io"
    assert host_of("http://reg:5000/v2/") == "reg:5000"


def pack(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_credentials_come_from_either_header() -> None:
    one = read_header({"X-Registry-Auth": pack({"username": "a", "password": "b"}).rstrip("=")}, "x")
    assert (one.username, one.password) == ("a", "b")
    packed = {"auth": base64.b64encode(b"c:d:e").decode()}
    config = {"X-Registry-Config": pack({"https://index.docker.io/v1/": packed, "y": {"username": "n"}})}
    hub = read_header(config, "docker.io")
    assert (hub.username, hub.password) == ("c", "d:e")
    assert read_header(config, "z") == NOBODY
    assert read_header({"X-Registry-Auth": pack({})}, "x") == NOBODY
    with pytest.raises(InvalidArgument, match="no base64url of JSON"):
        read_header({"X-Registry-Auth": "{"}, "x")


def refusal(status: int, code: str = "", message: str = "", **more: bool) -> Refusal:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode() if code else b"<html>"
    return Refusal(status, body, "http://r/", **more)


def test_refusals_become_dockers_sentences() -> None:
    image = parse_reference("busybox").tagged()
    unknown = pull_error(refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"), image)
    assert isinstance(unknown, NotFound)
    assert unknown.message == "manifest for busybox:latest not found: manifest unknown: manifest unknown"
    denied = pull_error(refusal(401, "UNAUTHORIZED", "authentication required", scope_lacks=True), image)
    assert isinstance(denied, NotFound)
    assert denied.message == (
        "pull access denied for busybox, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied"
    )
    assert "unauthorized: authentication required" in pull_error(refusal(401), image).message
    assert isinstance(plain_error(refusal(403)), Forbidden)
    assert plain_error(refusal(401)).message == "unauthorized: authentication required"
    assert isinstance(plain_error(refusal(502)), Unavailable)
    assert "repository busybox not found" in pull_error(refusal(404, "NAME_UNKNOWN", "x"), image).message
