"""What a registry's refusals mean: its error codes become Docker's sentences."""

from __future__ import annotations

from typing import Any

import msgspec

from common.errors import Forbidden, InvalidArgument, NotFound, ShoalError, TooLarge, Unauthorized, Unavailable
from common.reference import Reference

_BY_STATUS = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}
_MESSAGES = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "TOOMANYREQUESTS": "the registry wants fewer requests: try again later",
}


class Refusal(Exception):
    """A registry's answer that is no success. `code` is one of the distribution specification's, or empty."""

    def __init__(self, status: int, body: bytes, url: str, *, scope_lacks: bool = False) -> None:
        self.status = status
        self.url = url
        self.retry_after = ""
        self.code, message = _first(body)
        if scope_lacks and self.code in ("", "UNAUTHORIZED"):
            self.code, message = "DENIED", ""
        self.code = self.code or _BY_STATUS.get(status, "")
        self.message = message or _MESSAGES.get(self.code, f"the registry answered {status} at {url}")
        super().__init__(self.text)

    @property
    def text(self) -> str:
        """ "manifest unknown: manifest unknown", as Docker writes it."""
        return f"{self.code.lower().replace('_', ' ')}: {self.message}" if self.code else self.message


def _first(body: bytes) -> tuple[str, str]:
    try:
        found: Any = msgspec.json.decode(body)
        error = found["errors"][0]
        return str(error.get("code", "")), str(error.get("message") or "")
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError):
        return "", ""


def pull_error(refusal: Refusal, reference: Reference) -> ShoalError:
    """For who wanted to read `reference`. Never 401: Docker's client would ask for an account on its own."""
    about = ("image", reference.familiar)
    if refusal.code in ("DENIED", "UNAUTHORIZED"):
        return NotFound(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
            f"'docker login': {refusal.text}",
            about,
        )
    if refusal.code == "NAME_UNKNOWN":
        return NotFound(f"repository {reference.familiar_name} not found: {refusal.text}", about)
    if refusal.status == 404:
        text = refusal.text if refusal.code else "manifest unknown: manifest unknown"
        return NotFound(f"manifest for {reference.familiar} not found: {text}", about)
    return plain_error(refusal)


def plain_error(refusal: Refusal) -> ShoalError:
    """For everybody else: the registry's own words."""
    if refusal.status == 429 or refusal.status >= 500:
        return Unavailable(refusal.text)
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 413: TooLarge}
    kind = kinds.get(refusal.status, InvalidArgument)
    if refusal.code == "DENIED":
        kind = Forbidden
    return kind(refusal.text)
