"""Commands of `shoal swarm`."""
