"""What this node tells the managers of itself."""

from __future__ import annotations

import os

from common.model import NodeDescription
from common.model.node import EngineDescription, NodeResources, Plugin
from common.model.shared import Platform
from common.settings import Settings
from worker import host
from worker.api.system import ENGINE_VERSION

_PLUGINS = {
    "Log": ("json-file", "local", "none"),
    "Network": ("bridge", "host", "null", "overlay"),
    "Volume": ("local",),
}


def describe(settings: Settings) -> NodeDescription:
    """The node as it is now."""
    labels = dict(label.partition("=")[::2] for label in settings.labels)
    plugins = [Plugin(type=kind, name=name) for kind, names in _PLUGINS.items() for name in names]
    return NodeDescription(
        hostname=host.hostname(),
        platform=Platform(architecture=host.architecture(), os="linux"),
        resources=NodeResources(nano_cpus=(os.cpu_count() or 1) * 1_000_000_000, memory_bytes=host.memory_bytes()),
        engine=EngineDescription(engine_version=ENGINE_VERSION, labels=labels, plugins=plugins),
    )
