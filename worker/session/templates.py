"""The templates of services: `{{.Service.Name}}` and its kin in hostnames, environment, mounts, secrets and configs.

A small part of Go's text/template, which is all that Swarm documents: fields, `index .Service.Labels "key"`, and in secrets
and configs also `env "NAME"`, `secret "target"` and `config "target"`. Anything else is refused with its text.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from common.errors import InvalidArgument
from common.model import NodeDescription, Task

_ACTION = re.compile(r"(\s*\{\{-\s|\{\{)(.*?)(\s-\}\}\s*|\}\})", re.DOTALL)
Function = Callable[[str], str]


@dataclass(frozen=True)
class Context:
    """What a template may speak of. `functions` take one text: env, secret, config."""

    fields: Mapping[str, str]
    service_labels: Mapping[str, str]
    functions: Mapping[str, Function] = field(default_factory=dict)

    def expand(self, text: str) -> str:
        """Replace every action in `text`; raises InvalidArgument for one that is not known."""
        if "{{" not in text:
            return text
        return _ACTION.sub(lambda found: self._value(found[2].strip()), text)

    def _value(self, action: str) -> str:
        if action in self.fields:
            return self.fields[action]
        try:
            words = shlex.split(action)
        except ValueError:
            words = []
        if words[:2] == ["index", ".Service.Labels"] and len(words) == 3:
            return self.service_labels.get(words[2], "")
        if len(words) == 2 and words[0] in self.functions:
            return self.functions[words[0]](words[1])
        raise InvalidArgument(f"template: {{{{{action}}}}} is not known; use {', '.join(sorted(self.fields))}")


def context(task: Task, node: NodeDescription, functions: Mapping[str, Function] | None = None) -> Context:
    """The context of one task on its node."""
    fields = {
        ".Service.ID": task.service_id,
        ".Service.Name": service_name(task),
        ".Node.ID": task.node_id,
        ".Node.Hostname": node.hostname,
        ".Node.Platform.Architecture": node.platform.architecture,
        ".Node.Platform.OS": node.platform.os,
        ".Task.ID": task.id,
        ".Task.Name": task_name(task),
        ".Task.Slot": str(task.slot) if task.slot else task.node_id,
    }
    return Context(fields, task.service_annotations or {}, functions or {})


def task_name(task: Task) -> str:
    """`service.slot.id`, with the node's id for the slot where the service is global: the container's name."""
    return task.name or f"{task.service_id}{_suffix(task)}"


def service_name(task: Task) -> str:
    return task_name(task).removesuffix(_suffix(task))


def _suffix(task: Task) -> str:
    return f".{task.slot or task.node_id}.{task.id}"
