"""Commands of `shoal stack`."""
