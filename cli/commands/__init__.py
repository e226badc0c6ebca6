"""The commands: each parses its options, calls the API and prints. What they share lies in the sibling packages."""
