"""A compose service → the ServiceSpec: its container, and what `deploy` says."""

from __future__ import annotations

from typing import Any

import click

from cli.compose import container
from cli.compose.container import container_spec
from cli.compose.load import check_keys
from cli.compose.names import Names
from cli.compose.values import cpus, duration, labels, read, size
from cli.errors import CliError
from cli.parse.service import parse_service_ports
from cli.service.scalars import with_defaults

Spec = dict[str, Any]
_DEPLOY = ("mode", "replicas", "labels", "update_config", "rollback_config", "resources", "restart_policy", "placement")
_ROLLOUT = {
    "parallelism": "Parallelism",
    "failure_action": "FailureAction",
    "max_failure_ratio": "MaxFailureRatio",
    "order": "Order",
}
_PORT = {"target": "TargetPort", "published": "PublishedPort", "protocol": "Protocol", "mode": "PublishMode"}
# What has no meaning in a cluster, or none yet; Docker's client leaves the same aside, and says so.
_LEFT_OUT = ("build", "container_name", "depends_on", "expose", "links", "restart", "network_mode", "cgroup_parent")
_KEYS = {*container.KEYS, *_LEFT_OUT, "deploy", "ports", "networks", "logging"}


def service_spec(name: str, service: Spec, names: Names) -> Spec:
    """Raises CliError for what is wrong or not supported, with its place."""
    where = f"services.{name}"
    check_keys(service, _KEYS, where)
    left_out = [key for key in _LEFT_OUT if service.get(key)]
    if left_out:
        click.echo(f"Ignoring options of {where} that have no meaning in a stack: {', '.join(left_out)}", err=True)
    deploy = check_keys(service.get("deploy"), (*_DEPLOY, "endpoint_mode"), f"{where}.deploy")
    spec: Spec = {
        "Name": names.scoped(name),
        "Labels": {**labels(deploy.get("labels"), f"{where}.deploy.labels"), **names.labels},
        "TaskTemplate": {
            "ContainerSpec": container_spec(service, names, where),
            "Networks": _networks(name, service.get("networks"), names, where),
            **_template(deploy, service, f"{where}.deploy"),
        },
        "Mode": _mode(deploy, f"{where}.deploy"),
        "EndpointSpec": _endpoint(deploy, service.get("ports") or [], where),
    }
    for key, field in (("update_config", "UpdateConfig"), ("rollback_config", "RollbackConfig")):
        if deploy.get(key) is not None:
            spec[field] = _rollout(deploy[key], f"{where}.deploy.{key}")
    with_defaults(spec)
    return spec


def _mode(deploy: Spec, where: str) -> Spec:
    mode, replicas = deploy.get("mode", "replicated"), deploy.get("replicas")
    if mode.startswith("global"):
        if replicas is not None:
            raise CliError(f"{where}: replicas can only be used with replicated or replicated-job mode")
        return {"GlobalJob" if mode == "global-job" else "Global": {}}
    count = 1 if replicas is None else int(replicas)
    if mode == "replicated":
        return {"Replicated": {"Replicas": count}}
    if mode == "replicated-job":
        return {"ReplicatedJob": {"MaxConcurrent": count, "TotalCompletions": count}}
    raise CliError(f"{where}.mode: unknown mode {mode!r}")


def _template(deploy: Spec, service: Spec, where: str) -> Spec:
    template: Spec = {}
    if deploy.get("resources") is not None:
        template["Resources"] = _resources(deploy["resources"], f"{where}.resources")
    if deploy.get("restart_policy") is not None:
        template["RestartPolicy"] = _restart(deploy["restart_policy"], f"{where}.restart_policy")
    if deploy.get("placement") is not None:
        template["Placement"] = _placement(deploy["placement"], f"{where}.placement")
    logging = check_keys(service.get("logging"), ("driver", "options"), f"{where}.logging")
    if logging:
        options = {key: str(value) for key, value in (logging.get("options") or {}).items()}
        template["LogDriver"] = {"Name": logging.get("driver", ""), "Options": options}
    return template


def _resources(value: Any, where: str) -> Spec:
    given = check_keys(value, ("limits", "reservations"), where)
    limits = check_keys(given.get("limits"), ("cpus", "memory", "pids"), f"{where}.limits")
    reserved = check_keys(given.get("reservations"), ("cpus", "memory", "generic_resources"), f"{where}.reservations")
    result: Spec = {}
    if limits:
        result["Limits"] = _amounts(limits, where) | ({"Pids": limits["pids"]} if "pids" in limits else {})
    if reserved:
        result["Reservations"] = _amounts(reserved, where)
        generic = [r["discrete_resource_spec"] for r in reserved.get("generic_resources") or []]
        if generic:
            found = [{"DiscreteResourceSpec": {"Kind": g["kind"], "Value": g["value"]}} for g in generic]
            result["Reservations"]["GenericResources"] = found
    return result


def _amounts(value: Spec, where: str) -> Spec:
    amounts = {}
    if "cpus" in value:
        amounts["NanoCPUs"] = cpus(value["cpus"], f"{where}.cpus")
    if "memory" in value:
        amounts["MemoryBytes"] = size(value["memory"], f"{where}.memory")
    return amounts


def _restart(value: Any, where: str) -> Spec:
    given = check_keys(value, ("condition", "delay", "max_attempts", "window"), where)
    policy: Spec = {}
    for key, name in (("delay", "Delay"), ("window", "Window")):
        if key in given:
            policy[name] = duration(given[key], f"{where}.{key}")
    for key, name in (("condition", "Condition"), ("max_attempts", "MaxAttempts")):
        if key in given:
            policy[name] = given[key]
    return policy


def _placement(value: Any, where: str) -> Spec:
    given = check_keys(value, ("constraints", "preferences", "max_replicas_per_node"), where)
    placement: Spec = {}
    if given.get("constraints"):
        placement["Constraints"] = [str(constraint) for constraint in given["constraints"]]
    if given.get("preferences"):
        spreads = [check_keys(p, ("spread",), f"{where}.preferences")["spread"] for p in given["preferences"]]
        placement["Preferences"] = [{"Spread": {"SpreadDescriptor": spread}} for spread in spreads]
    if given.get("max_replicas_per_node"):
        placement["MaxReplicas"] = given["max_replicas_per_node"]
    return placement


def _rollout(value: Any, where: str) -> Spec:
    given = check_keys(value, (*_ROLLOUT, "delay", "monitor"), where)
    config: Spec = {name: given[key] for key, name in _ROLLOUT.items() if key in given}
    for key, name in (("delay", "Delay"), ("monitor", "Monitor")):
        if key in given:
            config[name] = duration(given[key], f"{where}.{key}")
    return config


def _networks(name: str, value: Any, names: Names, where: str) -> list[Spec]:
    given = value if isinstance(value, dict) else dict.fromkeys(value or ["default"])
    attachments = []
    for network, settings in given.items():
        options = check_keys(settings, ("aliases", "driver_opts"), f"{where}.networks.{network}")
        attachment: Spec = {
            "Target": names.of("networks", network, f"{where}.networks"),
            "Aliases": [*(options.get("aliases") or []), name],
        }
        if options.get("driver_opts"):
            attachment["DriverOpts"] = {key: str(v) for key, v in options["driver_opts"].items()}
        attachments.append(attachment)
    return attachments


def _endpoint(deploy: Spec, ports: list[Any], where: str) -> Spec:
    found = [port for value in ports for port in _ports(value, f"{where}.ports")]
    return {**({"Mode": deploy["endpoint_mode"]} if deploy.get("endpoint_mode") else {}), "Ports": found}


def _ports(value: Any, where: str) -> list[Spec]:
    if not isinstance(value, dict):
        return read(parse_service_ports, value, where)
    given = check_keys(value, tuple(_PORT), where)
    fields = ",".join(f"{key}={given[key]}" for key in given)
    return read(parse_service_ports, fields, where)
