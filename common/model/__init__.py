"""The object model: one immutable msgspec Struct per object, in Docker's spelling.

Import from here: `from common.model import Task`. Container types (HostConfig and its kin) are in common.model.container.
"""

from common.model.base import EPOCH, Object, Spec, Version
from common.model.network import IPAM, IPAMPool, Network, NetworkInspect, NetworkSpec
from common.model.node import Cluster, ClusterSpec, Guest, Node, NodeDescription, NodeSpec, NodeStatus
from common.model.secret import Config, ConfigSpec, Secret, SecretSpec, Volume, VolumeSpec
from common.model.service import (
    SECOND,
    ContainerSpec,
    Endpoint,
    EndpointSpec,
    PortConfig,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
    UpdateStatus,
    VirtualIP,
)
from common.model.task import ContainerStatus, NetworkAttachment, Task, TaskState, TaskStatus

__all__ = [
    "EPOCH",
    "IPAM",
    "SECOND",
    "Cluster",
    "ClusterSpec",
    "Config",
    "ConfigSpec",
    "ContainerSpec",
    "ContainerStatus",
    "Endpoint",
    "EndpointSpec",
    "Guest",
    "IPAMPool",
    "Network",
    "NetworkAttachment",
    "NetworkInspect",
    "NetworkSpec",
    "Node",
    "NodeDescription",
    "NodeSpec",
    "NodeStatus",
    "Object",
    "PortConfig",
    "Secret",
    "SecretSpec",
    "Service",
    "ServiceMode",
    "ServiceSpec",
    "Spec",
    "Task",
    "TaskSpec",
    "TaskState",
    "TaskStatus",
    "UpdateConfig",
    "UpdateStatus",
    "Version",
    "VirtualIP",
    "Volume",
    "VolumeSpec",
]
