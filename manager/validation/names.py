"""Names of the cluster's objects, with Swarm's rules and sentences."""

from __future__ import annotations

import re

from common.errors import InvalidArgument

_DNS = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_]*[a-zA-Z0-9])?")
_FILE = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?")


def check_service_name(name: str) -> None:
    if not name:
        raise InvalidArgument("name must be provided")
    if len(name) > 63:
        raise InvalidArgument(f"invalid service name {name!r}: name must be 63 characters or fewer")
    if not _DNS.fullmatch(name):
        raise InvalidArgument(f"invalid service name {name!r}: name must be valid as a DNS name component")


def check_file_name(kind: str, name: str) -> None:
    """Names of secrets and configs."""
    if len(name) > 64 or not _FILE.fullmatch(name):
        raise InvalidArgument(
            f"invalid {kind} name {name!r}: only 64 [a-zA-Z0-9-_.] characters allowed, "
            "and the start and end character must be [a-zA-Z0-9]"
        )


def check_labels(labels: dict[str, str]) -> None:
    if "" in labels:
        raise InvalidArgument("invalid labels: a label needs a name")
