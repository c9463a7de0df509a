"""The command that checks the health of a running server: `time-tracking check`, or `python check_backend.py`.

Exit codes: 0 if the server is healthy, 1 with one line of explanation if it is not, 2 for invalid arguments. Uses only
the standard library, so that it runs without installing anything.
"""

import argparse
import http.client
import json
import os
import re
import string
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

SERVICE = "employee-time-tracking-api"
EXAMPLE_URL = "http://127.0.0.1:8000"
ENV_FILE = ".env"
_ENV_LINE = re.compile(r"""\s*(?:export\s+)?(HOST|PORT)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s#]*))""", re.IGNORECASE)
"""A line of `.env`, with the value in quotes or up to a blank or a comment."""
DEFAULT_TIMEOUT_SECONDS = 5.0
MAX_TIMEOUT_SECONDS = 3600
URL_CHARACTERS = frozenset(
    f"{string.ascii_letters}{string.digits}:/.-_~%[]"
)  # excludes credentials, queries and blanks
MAX_BODY_BYTES = 64 * 1024  # a health response has a few hundred bytes


class Unhealthy(Exception):
    """The URL does not lead to a healthy server of this service. The message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the result of the check, and return the exit code. It is 130 after Ctrl+C."""
    try:
        return _check(_parse_options(arguments))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _check(options: argparse.Namespace) -> int:
    try:
        health = _check_health(options.timeout, options.url)
    except Unhealthy as error:
        print(_to_printable(f"Backend is not healthy at {options.url.geturl()}: {error}"), file=sys.stderr)
        return 1
    details = ", ".join(f"{name} {health.get(name)}" for name in ("version", "database", "revision"))
    print(_to_printable(f"Backend is running! {details}"))
    return 0


def _check_health(seconds: float, url: SplitResult) -> dict[str, Any]:
    """Return the body of a healthy response. Raises Unhealthy, at the latest after `seconds`.

    The call runs in its own thread, because a socket timeout restarts with every received byte, and does not cover the
    DNS lookup.
    """
    outcomes: list[dict[str, Any] | Exception] = []

    def call() -> None:
        try:
            outcomes.append(_parse_health(*_request_health(url, seconds)))
        except Exception as error:  # any error that an unknown server causes is reported in one line
            outcomes.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    outcome = outcomes[0] if outcomes else TimeoutError()
    if isinstance(outcome, Exception):
        raise Unhealthy(_describe_error(outcome, seconds))
    return outcome


def _describe_error(error: Exception, seconds: float) -> str:
    match error:
        case TimeoutError():
            return f"no complete response within {seconds:g} s."
        case ConnectionRefusedError():
            return "no server listens there (connection refused)."
        case ConnectionError():
            return "the connection was closed before the response."
        case http.client.HTTPException():
            return "the server there does not speak valid HTTP."
        case OSError():
            return f"the server cannot be reached ({error.strerror or error})."
        case _:
            return str(error)


def _request_health(url: SplitResult, seconds: float) -> tuple[int, bytes]:
    """Return the status and the body of the response. Redirects are not followed."""
    assert url.hostname is not None
    connection_class = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = connection_class(url.hostname, url.port, timeout=seconds)
    try:
        connection.request("GET", f"{url.path.rstrip('/')}/health/ready", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(MAX_BODY_BYTES + 1)
    finally:
        connection.close()


def _parse_health(status: int, body: bytes) -> dict[str, Any]:
    """Parse the response. Raises Unhealthy unless it is from a healthy server of this service."""
    health = _parse_object(body)
    if status == http.client.OK and health.get("service") == SERVICE and health.get("status") == "ok":
        return health
    if status >= http.client.INTERNAL_SERVER_ERROR and isinstance(health.get("detail"), str):
        raise Unhealthy(f"HTTP {status}: {health['detail']}")
    raise Unhealthy(f"the server there (HTTP {status}) is not the Employee Time Tracking API.")


def _parse_object(body: bytes) -> dict[str, Any]:
    """Parse the body as a JSON object. Returns an empty one if it is not valid, or longer than MAX_BODY_BYTES."""
    if len(body) > MAX_BODY_BYTES:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, _to_printable(f"{message} (see --help)") + "\n")


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    prog = None if arguments is None else "time-tracking check"
    parser = _Parser(prog=prog, description="Check the health of a running server.", allow_abbrev=False)
    parser.add_argument(
        "--url",
        type=_parse_url,
        default=_default_url(),
        help="URL of the server (default HOST and PORT of the environment or .env, else http://127.0.0.1:8000)",
    )
    parser.add_argument(
        "--timeout",
        type=_parse_seconds,
        default=DEFAULT_TIMEOUT_SECONDS,
        help=f"seconds for the whole check, at most {MAX_TIMEOUT_SECONDS} (default {DEFAULT_TIMEOUT_SECONDS:g})",
    )
    return parser.parse_args(arguments)


def _default_url() -> str:
    """Return the URL at which a server with the same settings listens. An address of all interfaces is loopback."""
    settings = _read_settings()
    host = settings.get("HOST") or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.get('PORT') or 8000}"


def _read_settings() -> dict[str, str]:
    """Return HOST and PORT as the service reads them: not case-sensitive, and the environment before `.env`."""
    try:
        lines = Path(ENV_FILE).read_text("utf-8-sig", errors="replace").splitlines()
    except OSError:
        lines = []
    in_file = {found[1].upper(): found[2] or found[3] or found[4] for line in lines if (found := _ENV_LINE.match(line))}
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    return in_file | {name: environment[name] for name in ("HOST", "PORT") if name in environment}


def _parse_url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        is_usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # for example an invalid port or an unclosed bracket
        is_usable = False
    if not is_usable or set(text) - URL_CHARACTERS:
        raise argparse.ArgumentTypeError(f"must be a URL like {EXAMPLE_URL}. Without it, HOST and PORT are used")
    return url


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:  # also rejects nan
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most {MAX_TIMEOUT_SECONDS}")
    return seconds


def _to_printable(text: str) -> str:
    """Convert to one line of printable ASCII, because a server may send line breaks and control sequences."""
    one_line = " ".join(text.split())
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in one_line)[:500]
