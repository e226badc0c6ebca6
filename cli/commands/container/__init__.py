"""Commands of `shoal container`."""
