"""GET /containers/{id}/logs."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from urllib.parse import quote_plus

from aiohttp import web

from common.errors import InvalidArgument, Unsupported
from common.http import flag, stream
from worker.api.http import version
from worker.engine.container import Container
from worker.engine.node import Engine
from worker.runtime.base import LogLine

_SECOND = 1_000_000_000
_MOMENT = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)


class NotReadable(Unsupported):
    """The container's log driver keeps nothing."""

    status = 501


@dataclass(frozen=True)
class _Shape:
    """How lines are written."""

    multiplexed: bool
    streams: frozenset[int]
    timestamps: bool
    details: bytes

    def write(self, lines: Iterable[LogLine]) -> bytes:
        return b"".join(self._line(line) for line in lines if line.stream in self.streams)

    def _line(self, line: LogLine) -> bytes:
        data = self.details + line.data
        if self.timestamps:
            data = timestamp(line.nanos) + b" " + data
        return bytes((line.stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data if self.multiplexed else data


def routes(engine: Engine) -> list[web.RouteDef]:
    async def logs(request: web.Request) -> web.StreamResponse:
        container = engine.containers.get(request.match_info["id"])
        shape = _shape(request, container)
        wanted = _tail(request), parse_time(request, "since"), parse_time(request, "until")
        if container.host.log_config.type == "none":
            raise NotReadable("configured logging driver does not support reading")
        chunks = _chunks(engine, container, shape, flag(request, "follow"), *wanted)
        kind = "multiplexed" if shape.multiplexed and version(request) >= (1, 42) else "raw"
        return await stream(request, chunks, f"application/vnd.docker.{kind}-stream")

    return [web.get("/containers/{id}/logs", logs)]


async def _chunks(
    engine: Engine,
    container: Container,
    shape: _Shape,
    follow: bool,
    tail: int,
    since: int | None,
    until: int | None,
) -> AsyncGenerator[bytes, None]:
    log = engine.runtime.log(container.id, container.log_path)
    async for batch in log.batches(follow=follow, tail=tail, since=since, until=until):
        if data := shape.write(batch):
            yield data


def _shape(request: web.Request, container: Container) -> _Shape:
    streams = frozenset(stream for stream, name in ((1, "stdout"), (2, "stderr")) if flag(request, name))
    if not streams:
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    details = _details(container) if flag(request, "details") else b""
    return _Shape(not container.config.tty, streams, flag(request, "timestamps"), details)


def _tail(request: web.Request) -> int:
    text = request.query.get("tail", "")
    if text in ("", "all", "-1"):
        return -1
    if not (text.isascii() and text.isdigit()):
        raise InvalidArgument(f"invalid value {text!r} of parameter 'tail': a number of lines or 'all' is needed")
    return int(text)


def parse_time(request: web.Request, name: str) -> int | None:
    """Nanoseconds since the epoch from "seconds[.fraction]"; None where absent or 0. Raises InvalidArgument."""
    text = request.query.get(name) or "0"
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"invalid value {text!r} of parameter {name!r}: seconds since 1970 are needed")
    return int(match[1]) * _SECOND + int((match[2] or "").ljust(9, "0")) or None


def timestamp(nanos: int) -> bytes:
    """RFC 3339 in UTC with nine digits of a second."""
    seconds, rest = divmod(nanos, _SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


def _details(container: Container) -> bytes:
    """The labels and variables that the log options `labels` and `env` name: "a=1,b=2 "."""
    options, config = container.host.log_config.config, container.config
    environment = dict(entry.split("=", 1) for entry in config.env if "=" in entry)
    found = {name: config.labels[name] for name in _names(options, "labels") if name in config.labels}
    found |= {name: environment[name] for name in _names(options, "env") if name in environment}
    pairs = (f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(found.items()))
    return ",".join(pairs).encode() + b" "


def _names(options: dict[str, str], option: str) -> list[str]:
    return [name for name in options.get(option, "").split(",") if name]
