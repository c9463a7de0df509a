"""Ask a running server whether it is healthy: `check_backend.py [--url URL] [--timeout SECONDS]`.

Exit code 0 when it is, 1 with one line that says why when it isn't, 2 for arguments that can't be meant. Standard
library only, so that it runs wherever Python does.
"""

import argparse
import http.client
import json
import string
import sys
import threading
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

SERVICE = "employee-time-tracking-api"
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_SECONDS = 5.0
MAX_TIMEOUT_SECONDS = 3600
URL_CHARACTERS = frozenset(f"{string.ascii_letters}{string.digits}:/.-_~%[]")  # no user, no query, no blanks
MAX_BODY_BYTES = 64 * 1024  # the health check answers with a few hundred


class Unhealthy(Exception):
    """There is no healthy server of ours at the address; the message says what there is."""


def main() -> int:
    """Print what the server says about itself."""
    options = _parse_options()
    try:
        health = _check_health(options.timeout, options.url)
    except Unhealthy as error:
        print(_to_printable(f"Backend is not healthy at {options.url.geturl()}: {error}"), file=sys.stderr)
        return 1
    details = ", ".join(f"{name} {health.get(name)}" for name in ("version", "database", "revision"))
    print(_to_printable(f"Backend is running! {details}"))
    return 0


def _check_health(seconds: float, url: SplitResult) -> dict[str, Any]:
    """The healthy answer. Raises Unhealthy, at the latest after the seconds.

    The call runs in a thread of its own, since a socket's time-out starts anew with every byte that dribbles in, and
    none covers the look-up of a name.
    """
    outcomes: list[dict[str, Any] | Exception] = []

    def call() -> None:
        try:
            outcomes.append(_parse_health(*_request_health(url, seconds)))
        except Exception as error:  # whatever a strange server causes is told in one line
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
            return f"no complete answer within {seconds:g} s."
        case ConnectionRefusedError():
            return "nothing listens there (connection refused)."
        case ConnectionError():
            return "the connection was closed before an answer came."
        case http.client.HTTPException():
            return "what listens there does not speak HTTP as it should."
        case OSError():
            return f"it can't be reached ({error.strerror or error})."
        case _:
            return str(error)


def _request_health(url: SplitResult, seconds: float) -> tuple[int, bytes]:
    """The status and the body of the answer. Follows no redirect."""
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
    """The body, if a healthy server of ours sent it. Raises Unhealthy."""
    health = _parse_object(body)
    if status == http.client.OK and health.get("service") == SERVICE and health.get("status") == "ok":
        return health
    if status >= http.client.INTERNAL_SERVER_ERROR and isinstance(health.get("detail"), str):
        raise Unhealthy(f"it answered {status}: {health['detail']}")
    raise Unhealthy(f"what answered there (HTTP {status}) is not the Employee Time Tracking API.")


def _parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty one where there is another thing, or far too much of it."""
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


def _parse_options() -> argparse.Namespace:
    parser = _Parser(description="Ask a running server whether it is healthy.", allow_abbrev=False)
    parser.add_argument("--url", type=_parse_url, default=DEFAULT_URL, help=f"where it runs ({DEFAULT_URL})")
    parser.add_argument(
        "--timeout",
        type=_parse_seconds,
        default=DEFAULT_TIMEOUT_SECONDS,
        help=f"seconds for the whole call ({DEFAULT_TIMEOUT_SECONDS:g})",
    )
    return parser.parse_args()


def _parse_url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        is_usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # a port that is none, brackets that don't close
        is_usable = False
    if not is_usable or set(text) - URL_CHARACTERS:
        raise argparse.ArgumentTypeError(f"give an address like {DEFAULT_URL}")
    return url


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:  # which is false for nan, too
        raise argparse.ArgumentTypeError(f"give seconds above 0, and at most {MAX_TIMEOUT_SECONDS}")
    return seconds


def _to_printable(text: str) -> str:
    """One line of printable ASCII: what a server sends may hold line breaks and control sequences."""
    one_line = " ".join(text.split())
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in one_line)[:500]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
