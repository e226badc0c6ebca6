"""The version of this package, as client and daemon report it."""

VERSION = "0.1.0"
