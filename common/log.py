"""Structured logs of the daemons: one line per event on stderr, JSON unless it is a terminal."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

_about: dict[str, str] = {}  # what every line of this process says


def of_node(id: str) -> None:
    """From now on lines are this node's, unless they say which other one they are about."""
    _about["node"] = id


def _say_node(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key, value in _about.items():
        event.setdefault(key, value)
    return event


def configure(level: str, component: str) -> None:
    """Set up structlog once per process. `level`: debug, info, warning, error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _say_node,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(component=component)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
