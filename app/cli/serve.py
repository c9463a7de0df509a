"""The command that starts the server: `time-tracking serve`, or `python run_backend.py`. Options override settings.

It is not a command of typer, because its process must not import prometheus_client, which the other commands do (see
core/observability/metrics_directory.py).
"""

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NoReturn

import uvicorn

from app import __version__
from app.core.config.settings import InvalidSettings, Settings, load_settings
from app.core.database.migrations import UnusableDatabase
from app.core.observability.logging import configure_logging
from app.core.observability.metrics_directory import open_metrics_directory
from app.core.server import worker_process
from app.core.time.clock import utc_now
from app.services.operations.startup import prepare

SHUTDOWN_TIMEOUT_SECONDS = 20
WORKER_START_SECONDS = 30  # limit for each new worker process; then it is killed


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the settings, prepare the database, and serve until stopped. Return the exit code.

    It is 2 if the settings or the database prevent the start. Then one line on standard error says why.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, _exit_on_signal)  # uvicorn finishes its requests, then raises the signal again
    options = _parse_options(arguments)
    for name in ("host", "port", "workers"):
        if (value := getattr(options, name)) is not None:
            os.environ[name.upper()] = str(value)  # worker processes read their settings from the environment
    with ExitStack() as resources:
        try:
            settings = load_settings()
            workers = 1 if options.reload else settings.WORKERS
            port = _find_port(settings)
            _prepare(settings)
            resources.enter_context(open_metrics_directory(workers=workers))
        except (InvalidSettings, UnusableDatabase) as error:
            print(f"Not started. {error}", file=sys.stderr)
            return 2
        _serve(settings, port, workers=workers, reload=options.reload)
    return 0


def _serve(settings: Settings, port: int, *, workers: int, reload: bool) -> None:
    configure_logging(as_json=settings.logs_json)
    if workers > 1:  # so that the parent process logs the end of a worker process
        logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    worker_process.install()
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    address = f"http://{host}:{port}"
    docs = f" - try it at {address}/docs" if settings.has_docs else ""
    print(f"Employee Time Tracking API {__version__} at {address}{docs}", flush=True)
    try:
        uvicorn.run(
            "app.main:create_worker",
            factory=True,
            host=settings.HOST,
            port=port,
            workers=workers,
            reload=reload,
            http="app.core.server.protocol:LimitedHttpProtocol",
            ws="none",
            access_log=False,  # the service writes its own, without query strings
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_SECONDS,
            timeout_worker_healthcheck=WORKER_START_SECONDS,
        )
    finally:  # a second SIGTERM during the cleanup would change the exit code
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    prog = None if arguments is None else "time-tracking serve"
    parser = argparse.ArgumentParser(prog=prog, description="Start the Employee Time Tracking API.")
    parser.add_argument("--host", help="address to bind (default HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to bind (default PORT, 8000)")
    parser.add_argument("--workers", type=int, help="number of worker processes (default WORKERS, 1)")
    parser.add_argument(
        "--reload", action="store_true", help="restart when the code changes; for development, with one worker process"
    )
    return parser.parse_args(arguments)


def _exit_on_signal(_signal: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _find_port(settings: Settings) -> int:
    """Return PORT, or a free port if PORT is 0. Raises InvalidSettings if the port is taken.

    This runs before the database is opened, so that a second start by mistake changes nothing.
    """
    with socket.socket(socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "not a valid address"
            raise InvalidSettings(
                f"HOST and PORT: cannot listen on {settings.HOST!r}, port {settings.PORT}: {reason}."
            ) from None
        return int(probe.getsockname()[1])


def _prepare(settings: Settings) -> None:
    for warning in prepare(settings, at=utc_now()):
        print(f"WARNING: {warning}", file=sys.stderr)
