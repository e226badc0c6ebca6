"""From the daemon's settings to the log in etcd."""

from __future__ import annotations

import ssl

from common.errors import InvalidArgument
from common.settings import Settings
from common.store_address import check_store, etcd_urls
from manager.etcd.client import Client
from manager.etcd.log import EtcdLog


def etcd_log(settings: Settings, node_id: str, address: str = "") -> EtcdLog:
    """The log of this node, which listens at `address` for others. Raises InvalidArgument where the store's address, its
    prefix or the certificates are unusable."""
    check_store(settings.store, settings.store_prefix)
    urls = etcd_urls(settings.store, tls=bool(settings.store_ca))
    return EtcdLog(urls, settings.store_prefix, node_id, address=address, context=_context(settings))


def etcd_client(settings: Settings, store: str) -> Client:
    """For `store`, an etcd:// address, with the settings' certificates. Raises InvalidArgument."""
    return Client(etcd_urls(store, tls=bool(settings.store_ca)), _context(settings))


def _context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.store_ca:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.store_ca)
        if settings.store_cert:
            context.load_cert_chain(settings.store_cert, settings.store_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(f"the certificates for etcd cannot be used: {error}") from None
    return context
