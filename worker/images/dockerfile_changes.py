"""The `changes` of import and commit: Dockerfile instructions that only touch an image's config."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from common.errors import InvalidArgument
from common.model.container import ContainerConfig
from common.model.shared import HealthConfig
from worker.images.moments import parse_duration

_SIGNAL = re.compile(r"\d+|(?:SIG)?[A-Z][A-Z0-9+-]*")
_HEALTH_FLAGS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
}

Change = Callable[[ContainerConfig, str], dict[str, Any]]


def apply_changes(config: ContainerConfig, changes: Iterable[str]) -> ContainerConfig:
    """The config after the instructions ("CMD [\\"a\\"]", "ENV A=b", …). Raises InvalidArgument naming the bad one."""
    for text in changes:
        for line in text.splitlines() or [""]:
            word, _, rest = line.strip().partition(" ")
            if not word:
                continue
            change = _CHANGES.get(word.upper())
            if change is None:
                raise InvalidArgument(f"{word} is not a valid change command; known are {', '.join(_CHANGES)}")
            if not rest.strip():
                raise InvalidArgument(f"the change {word.upper()} needs at least one argument")
            config = msgspec.structs.replace(config, **change(config, rest.strip()))
    return config


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"the change {text!r} is not well quoted: {error}") from None


def _json_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _command(config: ContainerConfig, text: str) -> list[str]:
    exact = _json_list(text)
    return exact if exact is not None else [*(config.shell or ["/bin/sh", "-c"]), text]


def _pairs(text: str, kind: str) -> list[tuple[str, str]]:
    words = _words(text)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidArgument(f"{kind} must have two arguments or be of the form name=value: {text!r}")
        return [(key, value.strip())]
    pairs = [word.partition("=") for word in words]
    if not all(key and equals for key, equals, _ in pairs):
        raise InvalidArgument(f"{kind} needs name=value pairs: {text!r}")
    return [(key, value) for key, _, value in pairs]


def _env(config: ContainerConfig, text: str) -> dict[str, Any]:
    values = dict(item.partition("=")[::2] for item in config.env)
    values.update(_pairs(text, "ENV"))
    return {"env": [f"{key}={value}" for key, value in values.items()]}


def _expose(config: ContainerConfig, text: str) -> dict[str, Any]:
    ports = dict(config.exposed_ports)
    for word in _words(text):
        numbers, _, protocol = word.partition("/")
        first, _, last = numbers.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or protocol not in ("", "tcp", "udp", "sctp"):
            raise InvalidArgument(f"EXPOSE: {word!r} is no port: write it as 80, 80/udp or 8000-8010")
        if not 0 < int(first) <= int(last or first) < 1 << 16:
            raise InvalidArgument(f"EXPOSE: {word!r} is not within 1-65535")
        ports |= {f"{port}/{protocol or 'tcp'}": {} for port in range(int(first), int(last or first) + 1)}
    return {"exposed_ports": ports}


def _volume(config: ContainerConfig, text: str) -> dict[str, Any]:
    return {"volumes": {**(config.volumes or {}), **{path: {} for path in _json_list(text) or _words(text)}}}


def _workdir(config: ContainerConfig, text: str) -> dict[str, Any]:
    return {"working_dir": text if text.startswith("/") else f"{config.working_dir.rstrip('/') or ''}/{text}"}


def _stop_signal(_: ContainerConfig, text: str) -> dict[str, Any]:
    if not _SIGNAL.fullmatch(text.upper()):
        raise InvalidArgument(f"STOPSIGNAL: {text!r} is no signal")
    return {"stop_signal": text}


def _healthcheck(config: ContainerConfig, text: str) -> dict[str, Any]:
    if text.upper() == "NONE":
        return {"healthcheck": HealthConfig(test=["NONE"])}
    settings: dict[str, int] = {}
    while text.startswith("--"):
        flag, _, text = text.partition(" ")
        name, _, value = flag[2:].partition("=")
        text = text.strip()
        if name == "retries" and value.isdigit():
            settings["retries"] = int(value)
        elif name in _HEALTH_FLAGS:
            settings[_HEALTH_FLAGS[name]] = _duration(value)
        else:
            raise InvalidArgument(f"HEALTHCHECK: {flag!r} is not valid")
    word, _, command = text.partition(" ")
    if word.upper() != "CMD" or not command.strip():
        raise InvalidArgument(f"HEALTHCHECK needs CMD and a command, or NONE: {text!r}")
    exact = _json_list(command.strip())
    test = ["CMD", *exact] if exact is not None else ["CMD-SHELL", command.strip()]
    return {"healthcheck": HealthConfig(test=test, **settings)}


def _duration(text: str) -> int:
    seconds = parse_duration(text)
    if seconds is None:
        raise InvalidArgument(f"{text!r} is no duration: write it as 30s or 1m30s")
    return round(seconds * 1_000_000_000)


_CHANGES: dict[str, Change] = {
    "CMD": lambda config, text: {"cmd": _command(config, text)},
    "ENTRYPOINT": lambda config, text: {"entrypoint": _command(config, text)},
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda config, text: {"labels": {**config.labels, **dict(_pairs(text, "LABEL"))}},
    "ONBUILD": lambda config, text: {"on_build": [*(config.on_build or []), text]},
    "STOPSIGNAL": _stop_signal,
    "USER": lambda config, text: {"user": text},
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
