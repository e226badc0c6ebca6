"""Commands of `shoal network`."""
