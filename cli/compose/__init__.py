"""Stacks: compose files read, merged and translated to services, networks, secrets and configs of the API."""
