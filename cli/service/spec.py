"""The ServiceSpec: a new one from the flags of `create`, a changed one from those of `update`. Pure; names stay names."""

from __future__ import annotations

import copy
from typing import Any

import click

from cli.flags.command import as_usage_error
from cli.flags.field import body, put
from cli.parse.pairs import environment
from cli.run import health
from cli.service.collections import COLLECTIONS, TABLES, Collection, Table, get
from cli.service.scalars import CONTAINER, HEALTH, with_defaults

Spec = dict[str, Any]
MODES = ("replicated", "global", "replicated-job", "global-job")


def new_spec(ctx: click.Context) -> Spec:
    """Raises click.UsageError where flags contradict each other."""
    params = ctx.params
    spec = body(ctx)
    put(spec, f"{CONTAINER}.Image", params["image"])
    with as_usage_error():
        for entry in (*COLLECTIONS, *TABLES):
            entry.change(spec, _values(entry, params, params[entry.name]))
        health.fill(params, spec, HEALTH)
        spec["Mode"] = _new_mode(params)
    for name, key in (("cap_add", "CapabilityAdd"), ("cap_drop", "CapabilityDrop"), ("words", "Args")):
        if params[name]:
            put(spec, f"{CONTAINER}.{key}", list(params[name]))
    with_defaults(spec)
    return spec


def _values(entry: Collection | Table, params: dict[str, Any], given: Any) -> Any:
    """The items given; environment variables also from files, and from our own environment where they have no value."""
    if entry.flag != "env":
        return given
    texts = [item for items in given for item in items]
    variables = environment(params.get("env_file", ()), texts)
    return [variables] if variables else []


def _new_mode(params: dict[str, Any]) -> Spec:
    kind, replicas, at_once = params["mode"], params["replicas"], params["max_concurrent"]
    if at_once is not None and kind != "replicated-job":
        raise ValueError("max-concurrent can only be specified with replicated-job mode")
    if replicas is not None and kind.startswith("global"):
        raise ValueError(f"replicas can only be used with replicated or replicated-job mode, not with {kind}")
    if kind == "global":
        return {"Global": {}}
    if kind == "global-job":
        return {"GlobalJob": {}}
    count = 1 if replicas is None else replicas
    if kind == "replicated":
        return {"Replicated": {"Replicas": count}}
    return {"ReplicatedJob": {"MaxConcurrent": count if at_once is None else at_once, "TotalCompletions": count}}


def changed_spec(old: Spec, ctx: click.Context) -> Spec:
    """The spec of `service update`: the old one with what the flags say. Raises click.UsageError."""
    params = ctx.params
    spec = copy.deepcopy(old)
    _merge(spec, body(ctx))
    with as_usage_error():
        for entry in (*COLLECTIONS, *TABLES):
            added, removed = params[f"{entry.name}_add"], params[f"{entry.name}_rm"]
            entry.change(spec, _values(entry, params, added), removed)
        _change_health(params, spec)
        scale(spec, params["replicas"], params["max_concurrent"])
    for name in ("cap_add", "cap_drop"):
        _change_capabilities(spec, name, params[name])
    if params["force"]:
        put(spec, "TaskTemplate.ForceUpdate", (get(spec, "TaskTemplate.ForceUpdate") or 0) + 1)
    with_defaults(spec)
    return spec


def _merge(spec: Spec, changes: Spec) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            if spec.get(key) is None:
                spec[key] = {}
            _merge(spec[key], value)
        else:
            spec[key] = value


def _change_health(params: dict[str, Any], spec: Spec) -> None:
    if params["no_healthcheck"]:
        put(spec, CONTAINER, {"Healthcheck": {}})
    elif params["health_cmd"] is not None and (get(spec, f"{HEALTH}.Test") or [])[:1] == ["NONE"]:
        put(spec, f"{HEALTH}.Test", [])
    health.fill(params, spec, HEALTH)


def _change_capabilities(spec: Spec, name: str, given: tuple[str, ...]) -> None:
    """What is added is no longer dropped, and the other way round."""
    here, there = f"{CONTAINER}.CapabilityAdd", f"{CONTAINER}.CapabilityDrop"
    if name == "cap_drop":
        here, there = there, here
    for capability in given:
        full = capability.upper() if capability.upper().startswith(("CAP_", "ALL")) else f"CAP_{capability.upper()}"
        others = get(spec, there) or []
        if full in others:
            put(spec, there, [other for other in others if other != full])
        else:
            put(spec, here, sorted({*(get(spec, here) or []), full}))


def scale(spec: Spec, replicas: int | None, at_once: int | None = None) -> None:
    """Set the number of tasks. Raises ValueError for a service whose number follows the nodes."""
    if replicas is None and at_once is None:
        return
    mode = spec.get("Mode") or {}
    if mode.get("Replicated") is not None and at_once is None:
        mode["Replicated"]["Replicas"] = replicas
    elif mode.get("ReplicatedJob") is not None:
        if replicas is not None:
            mode["ReplicatedJob"]["TotalCompletions"] = replicas
        if at_once is not None:
            mode["ReplicatedJob"]["MaxConcurrent"] = at_once
    else:
        raise ValueError("scale can only be used with replicated or replicated-job mode")
