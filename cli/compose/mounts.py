"""volumes and tmpfs of a compose service → the API's mounts."""

from __future__ import annotations

import os
from typing import Any

from cli.compose.load import check_keys
from cli.compose.names import Names
from cli.compose.values import labels, read, size, texts
from cli.errors import CliError
from cli.parse.fields import number

Mount = dict[str, Any]
_LONG = ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs")
_MODES = {"ro", "rw", "nocopy", "z", "Z", "cached", "delegated", "consistent"}
_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}


def mounts(service: dict[str, Any], names: Names, where: str) -> list[Mount]:
    found = [_mount(value, names, f"{where}.volumes[{n}]") for n, value in enumerate(service.get("volumes") or [])]
    return found + [{"Type": "tmpfs", "Target": path.partition(":")[0]} for path in texts(service.get("tmpfs"))]


def _mount(value: Any, names: Names, where: str) -> Mount:
    mount = _long(check_keys(value, _LONG, where), where) if isinstance(value, dict) else _short(str(value), where)
    source = mount.get("Source", "")
    if mount["Type"] == "bind" and not source.startswith("/"):
        base = os.path.expanduser(source) if source.startswith("~") else os.path.join(names.compose.folder, source)
        mount["Source"] = os.path.normpath(base)
    if mount["Type"] == "volume" and source:
        _volume(mount, names, where)
    return mount


def _short(text: str, where: str) -> Mount:
    """SOURCE:TARGET[:MODES], or an anonymous volume's TARGET."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise CliError(f"{where}: invalid volume {text!r}: write SOURCE:TARGET[:MODES]")
    if len(parts) == 1:
        return {"Type": "volume", "Target": text}
    is_path = parts[0].startswith(("/", ".", "~"))
    mount: Mount = {"Type": "bind" if is_path else "volume", "Source": parts[0], "Target": parts[1]}
    for mode in parts[2].split(",") if len(parts) == 3 else ():
        if mode in _PROPAGATIONS and is_path:
            mount["BindOptions"] = {"Propagation": mode}
        elif mode not in _MODES:
            raise CliError(f"{where}: unknown mode {mode!r} in {text!r}")
        elif mode == "ro":
            mount["ReadOnly"] = True
        elif mode == "nocopy":
            mount["VolumeOptions"] = {"NoCopy": True}
    return mount


def _long(value: dict[str, Any], where: str) -> Mount:
    if not value.get("type") or not value.get("target"):
        raise CliError(f"{where}: type and target are required")
    mount: Mount = {"Type": value["type"], "Target": value["target"]}
    for key, name in (("source", "Source"), ("read_only", "ReadOnly"), ("consistency", "Consistency")):
        if value.get(key):
            mount[name] = value[key]
    bind = check_keys(value.get("bind"), ("propagation", "create_host_path"), f"{where}.bind")
    if bind.get("propagation"):
        mount["BindOptions"] = {"Propagation": bind["propagation"]}
    if bind.get("create_host_path"):
        mount.setdefault("BindOptions", {})["CreateMountpoint"] = True
    volume = check_keys(value.get("volume"), ("nocopy", "subpath"), f"{where}.volume")
    options = {name: volume[key] for key, name in (("nocopy", "NoCopy"), ("subpath", "Subpath")) if volume.get(key)}
    if options:
        mount["VolumeOptions"] = options
    tmpfs = check_keys(value.get("tmpfs"), ("size", "mode"), f"{where}.tmpfs")
    if tmpfs:
        mount["TmpfsOptions"] = _tmpfs(tmpfs, where)
    return mount


def _tmpfs(value: dict[str, Any], where: str) -> dict[str, int]:
    options = {}
    if "size" in value:
        options["SizeBytes"] = size(value["size"], f"{where}.tmpfs.size")
    if "mode" in value:
        mode = value["mode"]
        options["Mode"] = (
            mode if isinstance(mode, int) else read(lambda t: number("mode", t, 8), mode, f"{where}.tmpfs")
        )
    return options


def _volume(mount: Mount, names: Names, where: str) -> None:
    """A named volume's full name, labels and driver."""
    name = mount["Source"]
    mount["Source"] = names.of("volumes", name, where)
    entry = check_keys(
        names.compose["volumes"][name], ("external", "name", "driver", "driver_opts", "labels"), f"volumes.{name}"
    )
    if entry.get("external"):
        return
    options = mount.setdefault("VolumeOptions", {})
    options["Labels"] = {**labels(entry.get("labels"), f"volumes.{name}.labels"), **names.labels}
    if entry.get("driver") or entry.get("driver_opts"):
        given = {key: str(value) for key, value in (entry.get("driver_opts") or {}).items()}
        options["DriverConfig"] = {"Name": entry.get("driver", "local"), "Options": given}
