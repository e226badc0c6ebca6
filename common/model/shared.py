"""Parts that containers and services share: mounts, health checks, ulimits, platforms."""

from __future__ import annotations

from typing import Any

from msgspec import field

from common.model.base import EngineSpec, Spec


class Driver(Spec, frozen=True, kw_only=True):
    name: str = ""
    options: dict[str, str] = {}


class Platform(Spec, frozen=True, kw_only=True):
    architecture: str = ""
    os: str = ""


class HealthConfig(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    """`test`: [] inherits the image's, ["NONE"] disables, ["CMD", …] or ["CMD-SHELL", text]. Durations in nanoseconds, 0 inherits."""

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class Ulimit(EngineSpec, frozen=True, kw_only=True):
    name: str
    soft: int = 0
    hard: int = 0


class BindOptions(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeOptions(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    no_copy: bool = False
    labels: dict[str, str] = {}
    driver_config: Driver | None = None
    subpath: str = ""


class TmpfsOptions(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] = []


class ImageOptions(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    subpath: str = ""


class Mount(EngineSpec, omit_defaults=True, frozen=True, kw_only=True):
    """`type` is bind, volume or tmpfs (image, npipe and cluster are refused)."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None
    cluster_options: dict[str, Any] | None = None


class NamedGenericResource(Spec, frozen=True, kw_only=True):
    kind: str = ""
    value: str = ""


class DiscreteGenericResource(Spec, frozen=True, kw_only=True):
    kind: str = ""
    value: int = 0


class GenericResource(Spec, frozen=True, kw_only=True):
    named: NamedGenericResource | None = field(default=None, name="NamedResourceSpec")
    discrete: DiscreteGenericResource | None = field(default=None, name="DiscreteResourceSpec")
