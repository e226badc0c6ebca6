"""Secrets, configs and cluster volumes. `data` is base64 in JSON and raw bytes in MessagePack."""

from __future__ import annotations

from common.model.base import Object, Spec
from common.model.shared import Driver

MAX_SECRET = 500 * 1024  # bytes, SwarmKit's limit
MAX_CONFIG = 1000 * 1024


class SecretSpec(Spec, frozen=True, kw_only=True):
    """`data` is empty in every answer of the API."""

    name: str = ""
    labels: dict[str, str] = {}
    data: bytes = b""
    driver: Driver | None = None
    templating: Driver | None = None


class Secret(Object, frozen=True, kw_only=True):
    spec: SecretSpec


class ConfigSpec(Spec, frozen=True, kw_only=True):
    name: str = ""
    labels: dict[str, str] = {}
    data: bytes = b""
    templating: Driver | None = None


class Config(Object, frozen=True, kw_only=True):
    spec: ConfigSpec


class VolumeSpec(Spec, frozen=True, kw_only=True):
    name: str = ""
    labels: dict[str, str] = {}
    driver: Driver = Driver(name="local")


class Volume(Object, frozen=True, kw_only=True):
    spec: VolumeSpec
