"""The error tree: every failure that a user can meet, with its code and its HTTP status.

    ShoalError                500 internal
    ├── InvalidArgument       400 the request is wrong, whatever the state is
    │   └── Unsupported       400 known to Docker, not to Shoal: refused, never ignored
    ├── Unauthorized          401 credentials are missing or wrong
    ├── Forbidden             403 the caller may not do this, or the object's kind does not allow it
    ├── NotFound              404 no such object
    ├── NotAcceptable         406 a swarm call on a node that is not in a swarm
    ├── Conflict              409 the object's present state forbids it, or a name is taken
    │   └── VersionConflict   409 the object changed since it was read (Swarm: "update out of sequence")
    ├── TooLarge              413 the request's body is over the limit
    ├── Unavailable           503 a part that is needed is not there now; trying again may help
    └── NoSpace               507 the disk is full

The text of an error is the sentence that a user reads: what is wrong, with what, what to do.
"""

from __future__ import annotations

from typing import ClassVar


class ShoalError(Exception):
    """Base of all errors that reach a user. `objects` names what it is about: ("container", "web")."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *objects: tuple[str, str]) -> None:
        super().__init__(message)
        self.message = message
        self.objects = objects


class InvalidArgument(ShoalError):
    code, status = "invalid_argument", 400


class Unsupported(InvalidArgument):
    code = "unsupported"


class Unauthorized(ShoalError):
    code, status = "unauthorized", 401


class Forbidden(ShoalError):
    code, status = "forbidden", 403


class NotFound(ShoalError):
    code, status = "not_found", 404


class NotAcceptable(ShoalError):
    code, status = "not_acceptable", 406


class Conflict(ShoalError):
    code, status = "conflict", 409


class VersionConflict(Conflict):
    code = "version_conflict"


class TooLarge(ShoalError):
    code, status = "too_large", 413


class Unavailable(ShoalError):
    code, status = "unavailable", 503


class NoSpace(ShoalError):
    code, status = "no_space", 507


_BY_STATUS = {kind.status: kind for kind in (
    InvalidArgument, Unauthorized, Forbidden, NotFound, NotAcceptable, Conflict, TooLarge, Unavailable, NoSpace,
)}  # fmt: skip


def error_of(status: int, message: str) -> ShoalError:
    """The error that another part of Shoal answered with this HTTP status."""
    return _BY_STATUS.get(status, ShoalError)(message)
