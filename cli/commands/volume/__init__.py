"""Commands of `shoal volume`."""
