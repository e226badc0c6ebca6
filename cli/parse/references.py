"""Names of images: REPOSITORY[:TAG][@DIGEST]."""

from __future__ import annotations


def split_reference(reference: str) -> tuple[str, str]:
    """(repository, tag or digest); the second is empty where none is written."""
    name, at, digest = reference.partition("@")
    if at:
        return name, digest
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "")
