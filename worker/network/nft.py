"""nftables through libnftables: texts in nft's own language, each applied as one transaction.

A context belongs to the namespace in which it was opened. The library keeps global state: one lock for the process.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import c_char_p, c_int, c_uint32, c_void_p
from functools import cache

from common.errors import ShoalError

_LIBRARY = "libnftables.so.1"
_lock = threading.Lock()


class NftError(ShoalError):
    """The kernel or the library refused a text; the message is nft's own."""


class Nft:
    """One context: 0.6 ms to open, 0.2 ms for a small change. Any thread may call it."""

    def __init__(self) -> None:
        self._library = _load()
        with _lock:
            self._context = self._library.nft_ctx_new(0)
            self._library.nft_ctx_buffer_output(self._context)
            self._library.nft_ctx_buffer_error(self._context)

    def apply(self, script: str) -> str:
        """Do all of `script` or nothing of it; return its output. Raises NftError."""
        with _lock:
            failed = self._library.nft_run_cmd_from_buffer(self._context, script.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context)
            error = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise NftError(error.decode(errors="replace").strip()[:2000])
        return str(output.decode(errors="replace"))

    def close(self) -> None:
        """Waits up to 20 ms for the kernel where something was deleted. Without the lock: freeing shares no state."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None


def apply_here(script: str) -> str:
    """Apply `script` in the calling thread's namespace."""
    nft = Nft()
    try:
        return nft.apply(script)
    finally:
        nft.close()


@cache
def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    library.nft_ctx_new.restype = c_void_p
    library.nft_ctx_new.argtypes = [c_uint32]
    for name, result in (
        ("nft_ctx_free", None),
        ("nft_ctx_buffer_output", c_int),
        ("nft_ctx_buffer_error", c_int),
        ("nft_ctx_get_output_buffer", c_char_p),
        ("nft_ctx_get_error_buffer", c_char_p),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = [c_void_p]
    library.nft_run_cmd_from_buffer.restype = c_int
    library.nft_run_cmd_from_buffer.argtypes = [c_void_p, c_char_p]
    return library
