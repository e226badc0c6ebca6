"""Commands of `shoal image`."""
