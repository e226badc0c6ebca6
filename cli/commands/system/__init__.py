"""Commands of `shoal system`, and those about the whole daemon."""
