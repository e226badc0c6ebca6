"""Names of a stack's objects in the cluster, and the label that marks them."""

from __future__ import annotations

from typing import Any, NamedTuple

from cli.compose.load import Compose
from cli.errors import CliError

NAMESPACE = "com.docker.stack.namespace"


class Names(NamedTuple):
    """The stack's name, with what the compose file says of its objects."""

    stack: str
    compose: Compose

    def of(self, section: str, name: str, where: str) -> str:
        """The name in the cluster: STACK_NAME, or its own where it is external or names itself."""
        entry = self.compose[section].get(name)
        if entry is None:
            if section == "networks" and name == "default":
                return self.scoped(name)
            raise CliError(f"{where}: {section[:-1]} {name!r} is not defined under {section}")
        own = external_name(entry, name) if entry.get("external") else entry.get("name")
        return str(own) if own else self.scoped(name)

    def scoped(self, name: str) -> str:
        return f"{self.stack}_{name}"

    @property
    def labels(self) -> dict[str, str]:
        return {NAMESPACE: self.stack}


def external_name(entry: dict[str, Any], name: str) -> str:
    external = entry["external"]
    return str((external.get("name") if isinstance(external, dict) else None) or entry.get("name") or name)
