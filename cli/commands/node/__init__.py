"""Commands of `shoal node`."""
