"""Media types of the OCI image and Docker's version 2 schema 2, and what is taken for which."""

from __future__ import annotations

from worker.images.config import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEXES = (INDEX_TYPE, DOCKER_LIST)
MANIFESTS = (MANIFEST_TYPE, DOCKER_MANIFEST)
CONFIGS = (CONFIG_TYPE, DOCKER_CONFIG)
ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
BYTES = "application/octet-stream"
