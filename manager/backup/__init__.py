"""Backups of the cluster's state, and a new life from one."""
