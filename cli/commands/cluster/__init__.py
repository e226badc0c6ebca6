"""Commands of `shoal cluster`."""
