"""Log drivers and their options, checked: json-file, local and none. Writing, rotating and reading is the runtime's."""

from __future__ import annotations

import re
from typing import NamedTuple

from common.errors import InvalidArgument, Unsupported
from common.model.container import LogConfig
from common.settings import Settings

_OPTIONS = {
    "json-file": ("max-size", "max-file", "compress", "labels", "env", "mode"),
    "local": ("max-size", "max-file", "compress", "mode"),
    "none": (),
}
_SIZE = re.compile(r"(\d+)(?:([kmgt])i?b?|b)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_LOCAL_SIZE, _LOCAL_FILES = 20 << 20, 5  # what Docker's local driver keeps unless told otherwise


class LogLimits(NamedTuple):
    """`size` in bytes of one file, -1 unlimited; `files` kept, the present one included."""

    size: int = -1
    files: int = 1


def complete_log_config(wanted: LogConfig, settings: Settings) -> LogConfig:
    """With the daemon's defaults where no driver is named. Raises InvalidArgument, Unsupported."""
    config = wanted
    if not wanted.type:
        defaults = settings.log_opts if settings.log_driver != "none" else {}
        config = LogConfig(type=settings.log_driver, config={**defaults, **wanted.config})
    if config.type not in _OPTIONS:
        raise InvalidArgument(
            f"logger: no log driver named '{config.type}' is registered: known are {', '.join(_OPTIONS)}"
        )
    for name, value in config.config.items():
        if name not in _OPTIONS[config.type]:
            raise InvalidArgument(f"unknown log opt '{name}' for {config.type} log driver")
        _check(name, value)
    if config.type == "json-file" and "max-file" in config.config and "max-size" not in config.config:
        raise InvalidArgument("max-file cannot be used without max-size")
    return config


def _check(name: str, value: str) -> None:
    if name == "max-size" and value != "-1":
        _size(value)
    elif name == "max-file" and not (value.isdecimal() and int(value) >= 1):
        raise InvalidArgument(f"max-file must be a positive number, not {value!r}")
    elif name == "compress" and value not in ("false", "0"):
        raise Unsupported("compressed logs are not supported: leave the log option compress out")
    elif name == "mode" and value != "blocking":
        raise Unsupported("log mode non-blocking is not needed: a container never waits for its log's readers")


def log_limits(config: LogConfig) -> LogLimits:
    """What rotation has to keep to; `config` is complete."""
    options = config.config
    local = config.type == "local"
    size = options.get("max-size", "")
    default = _LOCAL_SIZE if local else -1
    return LogLimits(
        size=-1 if size == "-1" else _size(size) if size else default,
        files=int(options.get("max-file", _LOCAL_FILES if local else 1)),
    )


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise InvalidArgument(f"invalid log size {text!r}: it looks like 10m")
    return int(found[1]) << _UNITS[(found[2] or "").lower()]
