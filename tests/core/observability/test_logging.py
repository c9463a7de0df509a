"""Logs as text and as JSON: the same events, one line each."""

import json
import logging
import os
import pty
import sys

import pytest
import structlog

from app.core.observability.logging import configure_logging

NORA = "nora@example.com"
TEXT, JSON = False, True
EITHER = pytest.mark.parametrize("as_json", [TEXT, JSON], ids=["text", "json"])


@pytest.fixture(autouse=True)
def restore_logging():
    """Restore the logging configuration: the handlers of a test write to its captured output."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def logged_lines(capfd):
    """Return a function that returns the lines logged so far."""

    def lines() -> list[str]:
        return capfd.readouterr().err.splitlines()

    return lines


def test_people_read_when_how_bad_what_and_whose(logged_lines):
    configure_logging(as_json=TEXT)

    structlog.get_logger().info("request", route="/time-entries/{entry_id}", status=200, ms=1.5, user_id=None)

    (line,) = logged_lines()
    moment, level, event, *fields = line.split()
    assert (len(moment), moment[-1]) == (13, "Z")
    assert (level, event) == ("info", "request")
    assert fields == ["route=/time-entries/{entry_id}", "status=200", "ms=1.5", f"pid={os.getpid()}"]


@pytest.mark.parametrize("value", ["a\nerror forged", "a level=error", "\x1b[2J", "ü\u202e", 'say "yes"', ""])
def test_no_value_ends_a_line_or_looks_like_another_field(logged_lines, value):
    """ASVS 16.4.1."""
    configure_logging(as_json=TEXT)

    structlog.get_logger().info("email_logged", to=value)

    (line,) = logged_lines()
    assert f" to={json.dumps(value)} pid=" in line


@EITHER
def test_libraries_warn_in_the_same_form(as_json, logged_lines):
    configure_logging(as_json=as_json)

    logging.getLogger("uvicorn.error").warning("Invalid HTTP request\nreceived.")
    logging.getLogger("uvicorn.error").info("Nobody needs to know.")

    (line,) = logged_lines()
    if as_json:
        assert json.loads(line)["event"] == "Invalid HTTP request\nreceived."
    else:
        assert ' warning "Invalid HTTP request\\nreceived." pid=' in line


@EITHER
def test_a_traceback_shows_where_and_no_value(as_json, logged_lines):
    configure_logging(as_json=as_json)
    try:
        break_something(NORA)
    except ValueError as error:
        structlog.get_logger().error("unhandled_exception", exc_info=error)

    lines = logged_lines()
    output = "\n".join(lines)
    assert "in break_something" in output
    assert "builtins.ValueError: what is wrong" in output
    assert NORA not in output
    assert all(line.startswith("    ") for line in lines[1:])


def test_only_a_terminal_gets_colours(monkeypatch):
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        configure_logging(as_json=TEXT)
        structlog.get_logger().warning("database_error")
        terminal.flush()
        line = os.read(leader, 1000).decode()
    os.close(leader)

    assert line.startswith("\x1b[33m")
    assert line.rstrip().endswith("\x1b[0m")


def break_something(email: str) -> None:
    raise ValueError(f"what is wrong\nDETAIL: Key (email)=({email})")
