"""Mounts: -v SOURCE:TARGET[:OPTIONS], --mount type=…, --tmpfs PATH[:OPTIONS]."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from cli.parse.fields import boolean, number, parse_fields
from cli.parse.units import parse_bytes

Mount = dict[str, Any]
TYPES = ("bind", "volume", "tmpfs", "image", "cluster", "npipe")


def split_volumes(values: Iterable[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """-v arguments as the API has them: binds (paths made absolute), and targets of anonymous volumes."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, Any]] = {}
    for value in values:
        source, colon, rest = value.partition(":")
        if not value or (colon and not rest):
            raise ValueError(f"invalid volume {value!r}: write SOURCE:TARGET[:OPTIONS], or the TARGET alone")
        if not colon:
            anonymous[value] = {}
        elif not source:
            raise ValueError(f"invalid volume {value!r}: the source is empty")
        else:
            binds.append(f"{_absolute(source)}:{rest}")
    return binds, anonymous


def split_tmpfs(text: str) -> tuple[str, str]:
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError(f"invalid tmpfs {text!r}: an absolute path is needed")
    return path, options


def parse_mount(text: str) -> Mount:
    """ "type=bind,source=/a,target=/b,readonly" → the API's Mount."""
    mount: Mount = {"Type": "volume"}
    for name, value in parse_fields(text, _FIELDS):
        _FIELDS[name](mount, name, value)
    _check(mount, text)
    return mount


def _check(mount: Mount, text: str) -> None:
    kind = mount["Type"]
    if not mount.get("Target"):
        raise ValueError(f"invalid mount {text!r}: target is required")
    for section in ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"):
        if section in mount and section.lower().removesuffix("options") != kind:
            raise ValueError(f"invalid mount {text!r}: {section} do not fit type={kind}")
    if kind in ("bind", "image") and not mount.get("Source"):
        raise ValueError(f"invalid mount {text!r}: type={kind} needs a source")
    if kind == "bind":
        mount["Source"] = _absolute(mount["Source"])
    if kind == "tmpfs" and mount.get("Source"):
        raise ValueError(f"invalid mount {text!r}: type=tmpfs has no source")


def _absolute(source: str) -> str:
    return os.path.abspath(source) if source.startswith(".") else source


Setter = Callable[[Mount, str, str | None], None]


def _text(path: str) -> Setter:
    def set_text(mount: Mount, name: str, value: str | None) -> None:
        if not value:
            raise ValueError(f"invalid mount: {name} needs a value")
        _put(mount, path, value)

    return set_text


def _flag(path: str) -> Setter:
    return lambda mount, name, value: _put(mount, path, boolean(name, value))


def _pair(path: str) -> Setter:
    def set_pair(mount: Mount, name: str, value: str | None) -> None:
        key, _, setting = (value or "").partition("=")
        if not key:
            raise ValueError(f"invalid mount: {name} needs key=value")
        section, field = path.split(".")
        mount.setdefault(section, {}).setdefault(field, {})[key] = setting

    return set_pair


def _driver_option(mount: Mount, name: str, value: str | None) -> None:
    key, _, setting = (value or "").partition("=")
    driver = mount.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})
    driver.setdefault("Options", {})[key] = setting


def _type(mount: Mount, name: str, value: str | None) -> None:
    if value not in TYPES:
        raise ValueError(f"invalid mount type {value!r}: known are {', '.join(TYPES)}")
    mount["Type"] = value


def _recursive(mount: Mount, name: str, value: str | None) -> None:
    settings = {"enabled": {}, "disabled": {"NonRecursive": True}, "writable": {"ReadOnlyNonRecursive": True}}
    chosen = {**settings, "readonly": {"ReadOnlyForceRecursive": True}}.get(value or "")
    if chosen is None:
        raise ValueError(f"invalid bind-recursive {value!r}: known are enabled, disabled, writable, readonly")
    mount.setdefault("BindOptions", {}).update(chosen)


def _size(mount: Mount, name: str, value: str | None) -> None:
    _put(mount, "TmpfsOptions.SizeBytes", parse_bytes(value or ""))


def _mode(mount: Mount, name: str, value: str | None) -> None:
    _put(mount, "TmpfsOptions.Mode", number(name, value, 8))


def _put(mount: Mount, path: str, value: Any) -> None:
    *sections, field = path.split(".")
    for section in sections:
        mount = mount.setdefault(section, {})
    mount[field] = value


_FIELDS: dict[str, Setter] = {
    "type": _type,
    "source": _text("Source"),
    "src": _text("Source"),
    "target": _text("Target"),
    "dst": _text("Target"),
    "destination": _text("Target"),
    "readonly": _flag("ReadOnly"),
    "ro": _flag("ReadOnly"),
    "consistency": _text("Consistency"),
    "bind-propagation": _text("BindOptions.Propagation"),
    "bind-nonrecursive": _flag("BindOptions.NonRecursive"),
    "bind-recursive": _recursive,
    "bind-create-src": _flag("BindOptions.CreateMountpoint"),
    "volume-subpath": _text("VolumeOptions.Subpath"),
    "volume-nocopy": _flag("VolumeOptions.NoCopy"),
    "volume-label": _pair("VolumeOptions.Labels"),
    "volume-driver": _text("VolumeOptions.DriverConfig.Name"),
    "volume-opt": _driver_option,
    "image-subpath": _text("ImageOptions.Subpath"),
    "tmpfs-size": _size,
    "tmpfs-mode": _mode,
}
