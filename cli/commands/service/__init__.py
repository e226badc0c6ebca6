"""Commands of `shoal service`."""
