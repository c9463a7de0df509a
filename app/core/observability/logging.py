"""Structured logs on standard error, one line per event: JSON, or text for developers.

Bodies, headers and query strings are never logged because they may contain secrets. Values that an error quotes are
left out too.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator

import structlog

MAX_LINE_LENGTH = 300
_JSON = json.JSONEncoder(default=repr)
_UNQUOTED = re.compile(r"[!#-<>-~]+")
_NUMBERS = frozenset({int, float})
"""Types whose text needs no quotes. The encoder takes ten times as long for them."""
_COLOURS = {"warning": "33", "error": "31", "critical": "31"}


def configure_logging(*, as_json: bool) -> None:
    """Send our log events and the warnings of libraries to standard error, each with the process id."""
    pid = os.getpid()

    def add_pid(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["pid"] = pid
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_pid,
    ]
    final: list[structlog.typing.Processor] = [
        structlog.processors.ExceptionRenderer(_format_traceback),
        _render_json if as_json else _render_coloured_text if sys.stderr.isatty() else _render_text,
    ]
    structlog.configure(
        processors=[*shared, *final],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def first_line(error: object) -> str:
    """Return the first line of an error's message. Databases and pydantic quote values only in the following lines."""
    return next(iter(str(error).splitlines()), "")[:MAX_LINE_LENGTH]


def _render_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _JSON.encode(event)


def _render_text(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _format_event(event)


def _render_coloured_text(_logger: object, method: str, event: structlog.typing.EventDict) -> str:
    colour = _COLOURS.get(event.get("level", method))
    line = _format_event(event)
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


def _format_event(event: structlog.typing.EventDict) -> str:
    """Format an event as `09:00:00.123Z info request status=200`, followed by its traceback.

    Values with special characters are quoted as JSON. They can't forge a line or a field, or send terminal escapes.
    """
    fields = dict(event)
    timestamp, level, name, trace = (fields.pop(key, "") for key in ("timestamp", "level", "event", "exception"))
    head = f"{timestamp[11:23]}Z {level:7} {_quote(name, with_blanks=True)}"
    pairs = [f"{key}={_quote(value)}" for key, value in fields.items() if value is not None]
    traceback_lines = [f"    {_quote(line, with_blanks=True)}" for line in str(trace).splitlines()]
    return "\n".join([" ".join([head, *pairs]), *traceback_lines])


def _quote(value: object, *, with_blanks: bool = False) -> str:
    if type(value) in _NUMBERS:
        return str(value)
    text = value if isinstance(value, str) else _JSON.encode(value)
    is_plain = text.isascii() and text.isprintable() if with_blanks else _UNQUOTED.fullmatch(text)
    return text if is_plain else _JSON.encode(text)


def _format_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    return "".join(_format_chain(exc_info[1]))


def _format_chain(error: BaseException | None) -> Iterator[str]:
    """Yield the causes of the error and then the error, each with its frames, in Python's order."""
    if error is None:
        return
    yield from _format_chain(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {first_line(error)}\n"
