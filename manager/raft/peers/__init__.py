"""Raft messages between managers over mutual TLS: one WebSocket for each ordered pair of members, and beside it POSTs for
snapshots, so that heartbeats never wait behind those.

A member is who its certificate says. Addresses and births come from the group's configuration, and from the members' own
greetings: who is behind, or not yet a member, must be able to answer a leader that it has never heard of.
"""

from manager.raft.peers.peers import Peers

__all__ = ["Peers"]
