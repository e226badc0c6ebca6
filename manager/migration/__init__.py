"""Carrying the cluster's state from one log to another while it runs: Raft to etcd, and back.

An entry ends the old log (manager/store/move.py); each manager that applied it helps to begin the new one, notes where the
state lies now (places.py), and opens it (following.py). No container is touched by that.
"""
