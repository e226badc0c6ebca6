"""Image configs and manifests as the OCI specification has them, parsed leniently (others wrote them) and written exactly."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from common.errors import InvalidArgument
from common.model.container import ContainerConfig

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"

# Fields of ContainerConfig that belong to a container, not to the image it comes from.
_IMAGE_FIELDS = (
    "user", "exposed_ports", "env", "cmd", "healthcheck", "args_escaped", "volumes", "working_dir", "entrypoint",
    "on_build", "labels", "stop_signal", "stop_timeout", "shell",
)  # fmt: skip


class History(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    created: datetime | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "layers"
    diff_ids: list[str] = []


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`config` is what containers start from."""

    architecture: str = ""
    os: str = "linux"
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    created: datetime | None = None
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    config: ContainerConfig = ContainerConfig()
    rootfs: RootFS
    history: list[History] = []


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    media_type: str = ""
    digest: str
    size: int
    annotations: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    config: Descriptor
    layers: list[Descriptor]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_config(data: bytes) -> ImageConfig:
    """Raises InvalidArgument where it is no image config. Unknown fields are others' extensions and stay in the blob."""
    try:
        raw = msgspec.json.decode(data, type=dict[str, Any])
        config = msgspec.convert(_without_nulls(raw), ImageConfig)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"the archive holds an invalid image config: {error}") from None
    if config.os not in ("", "linux"):
        raise InvalidArgument(f"the image is made for {config.os!r}; only linux images run here")
    if not all(diff_id.startswith("sha256:") and len(diff_id) == 71 for diff_id in config.rootfs.diff_ids):
        raise InvalidArgument("the image's config names a layer by something that is no sha256 digest")
    return config


def write_config(config: ImageConfig) -> bytes:
    """The blob of a new config; its digest is the image's id."""
    fields = {
        "architecture": config.architecture,
        "variant": config.variant,
        "os": config.os,
        "created": config.created,
        "author": config.author,
        "comment": config.comment,
        "config": image_fields(config.config),
        "rootfs": config.rootfs,
        "history": config.history,
    }
    return msgspec.json.encode({key: value for key, value in fields.items() if value not in ("", None)})


def image_config(config: ContainerConfig) -> ContainerConfig:
    """What an image keeps of a container's config."""
    return ContainerConfig(**{name: getattr(config, name) for name in _IMAGE_FIELDS})


def image_fields(config: ContainerConfig) -> dict[str, Any]:
    """The config as it is written into images: an image's own fields, empty ones left out."""
    shown = msgspec.to_builtins(config)
    return {key: shown[key] for key in _IMAGE_KEYS if shown[key] not in (None, {}, [], "", False)}


_IMAGE_KEYS = [field.encode_name for field in msgspec.structs.fields(ContainerConfig) if field.name in _IMAGE_FIELDS]


def now() -> datetime:
    return datetime.now(UTC)


def _without_nulls(value: Any) -> Any:
    """Go writes null for an empty list or map."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
