"""The Raft algorithm as a pure state machine, after Ongaro's thesis and etcd-io/raft: no I/O, clock or random of its own.

    tick(), step(message), propose(data), read(ticket), change(config), transfer(to)   go in;
    ready() -> Ready: what to send, persist and apply                                  comes out;
    persisted(ready)                                                                   closes the circle.

Files, sockets, time and what the entries mean belong to the driver around it (manager/raft/node.py).
"""

from manager.raft.core.core import Core
from manager.raft.core.messages import InstallSnapshot, Message, Propose, decode_message, encode_message
from manager.raft.core.state import ReadState, Ready, Role, Settings
from manager.raft.core.types import Config, Durable, Entry, EntryKind, HardState, Snapshot

__all__ = [
    "Config",
    "Core",
    "Durable",
    "Entry",
    "EntryKind",
    "HardState",
    "InstallSnapshot",
    "Message",
    "Propose",
    "ReadState",
    "Ready",
    "Role",
    "Settings",
    "Snapshot",
    "decode_message",
    "encode_message",
]
