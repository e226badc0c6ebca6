"""A compose service → the ContainerSpec of its tasks."""

from __future__ import annotations

import os
from typing import Any

from cli.compose.load import check_keys
from cli.compose.mounts import mounts
from cli.compose.names import Names
from cli.compose.values import duration, labels, pairs, read, text, texts, words
from cli.errors import CliError
from cli.parse.fields import number
from cli.parse.pairs import environment
from cli.parse.service import parse_service_host

Spec = dict[str, Any]
_PLAIN = {
    "hostname": "Hostname",
    "user": "User",
    "working_dir": "Dir",
    "tty": "TTY",
    "stdin_open": "OpenStdin",
    "read_only": "ReadOnly",
    "stop_signal": "StopSignal",
    "init": "Init",
    "isolation": "Isolation",
    "cap_add": "CapabilityAdd",
    "cap_drop": "CapabilityDrop",
    "group_add": "Groups",
    "oom_score_adj": "OomScoreAdj",
}
KEYS = {
    *_PLAIN,
    *("image", "command", "entrypoint", "environment", "env_file", "labels", "stop_grace_period", "healthcheck"),
    *("volumes", "tmpfs", "dns", "dns_search", "dns_opt", "extra_hosts", "secrets", "configs", "sysctls", "ulimits"),
}
_HEALTH = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}


def container_spec(service: Spec, names: Names, where: str) -> Spec:
    """Secrets and configs are named, without ids. Raises CliError naming the place."""
    if not service.get("image"):
        raise CliError(f"{where}: image is required")
    spec: Spec = {
        "Image": service["image"],
        "Labels": {**labels(service.get("labels"), f"{where}.labels"), **names.labels},
    }
    for key, name in _PLAIN.items():
        if service.get(key) is not None:
            spec[name] = service[key]
    for key, name in (("entrypoint", "Command"), ("command", "Args")):
        if service.get(key) is not None:
            spec[name] = words(service[key], f"{where}.{key}")
    if service.get("stop_grace_period") is not None:
        spec["StopGracePeriod"] = duration(service["stop_grace_period"], f"{where}.stop_grace_period")
    spec.update(_lists(service, names, where))
    return spec


def _lists(service: Spec, names: Names, where: str) -> Spec:
    found = {
        "Env": _environment(service, names, where),
        "Mounts": mounts(service, names, where),
        "Hosts": [read(parse_service_host, host, f"{where}.extra_hosts") for host in _hosts(service)],
        "Healthcheck": _health(service.get("healthcheck"), f"{where}.healthcheck"),
        "DNSConfig": _dns(service),
        "Secrets": _files(service, "Secret", names, where),
        "Configs": _files(service, "Config", names, where),
        "Sysctls": labels(service.get("sysctls"), f"{where}.sysctls"),
        "Ulimits": [_ulimit(name, value) for name, value in (service.get("ulimits") or {}).items()],
    }
    return {name: value for name, value in found.items() if value}


def _environment(service: Spec, names: Names, where: str) -> list[str]:
    files = [os.path.join(names.compose.folder, path) for path in texts(service.get("env_file"))]
    own = pairs(service.get("environment"), f"{where}.environment")
    given = [name if value is None else f"{name}={value}" for name, value in own.items()]
    try:
        settings = environment(files, given)
    except ValueError as error:
        raise CliError(f"{where}: {error}") from None
    return sorted({setting.partition("=")[0]: setting for setting in settings}.values())


def _hosts(service: Spec) -> list[str]:
    hosts = service.get("extra_hosts") or []
    return [f"{name}:{ip}" for name, ip in hosts.items()] if isinstance(hosts, dict) else hosts


def _health(value: Any, where: str) -> Spec:
    given = check_keys(value, (*_HEALTH, "test", "retries", "disable"), where)
    if given.get("disable"):
        return {"Test": ["NONE"]}
    check: Spec = {name: duration(given[key], f"{where}.{key}") for key, name in _HEALTH.items() if key in given}
    if "retries" in given:
        check["Retries"] = read(lambda t: number("retries", t), given["retries"], where)
    test = given.get("test")
    if test is not None:
        check["Test"] = [text(word) for word in test] if isinstance(test, list) else ["CMD-SHELL", str(test)]
    return check


def _dns(service: Spec) -> Spec:
    keys = (("dns", "Nameservers"), ("dns_search", "Search"), ("dns_opt", "Options"))
    return {name: texts(service[key]) for key, name in keys if service.get(key)}


def _files(service: Spec, kind: str, names: Names, where: str) -> list[Spec]:
    """References to secrets or configs, each with the file that shows it."""
    section = f"{kind.lower()}s"
    return [_file(value, kind, names, f"{where}.{section}") for value in service.get(section) or []]


def _file(value: Any, kind: str, names: Names, where: str) -> Spec:
    given = {"source": value} if isinstance(value, str) else value
    given = check_keys(given, ("source", "target", "uid", "gid", "mode"), where)
    source = given.get("source") or ""
    name = names.of(f"{kind.lower()}s", source, where)
    default = source if kind == "Secret" else f"/{source}"
    mode = given.get("mode", 0o444)
    return {
        f"{kind}Name": name,
        "File": {
            "Name": given.get("target") or default,
            "UID": str(given.get("uid", "0")),
            "GID": str(given.get("gid", "0")),
            "Mode": mode if isinstance(mode, int) else read(lambda t: number("mode", t, 8), mode, where),
        },
    }


def _ulimit(name: str, value: Any) -> Spec:
    if isinstance(value, dict):
        return {"Name": name, "Soft": value.get("soft", 0), "Hard": value.get("hard", 0)}
    return {"Name": name, "Soft": value, "Hard": value}
