"""One JSON line per event on standard error.

Bodies, headers and query strings are never logged: people put secrets there. Nor are values that an error quotes.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator

import structlog

MAX_LINE = 300
_LINE = json.JSONEncoder(default=repr)


def configure_logging() -> None:
    """Send our own events and the libraries' warnings to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [
        structlog.processors.ExceptionRenderer(_traceback),
        _render,
    ]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def first_line(error: object) -> str:
    """What went wrong, without the values: databases and pydantic quote them, from the second line on."""
    return next(iter(str(error).splitlines()), "")[:MAX_LINE]


def _render(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _LINE.encode(event)


def _traceback(exc_info: structlog.typing.ExcInfo) -> str:
    return "".join(_chain(exc_info[1]))


def _chain(error: BaseException | None) -> Iterator[str]:
    """The error after what it came from, each with its own frames, as Python prints them."""
    if error is None:
        return
    yield from _chain(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {first_line(error)}\n"
