"""Start the server: `python run_backend.py [--host] [--port] [--workers] [--reload]`. Options override settings."""

import argparse
import os
import sys

import uvicorn

from app import __version__
from app.core.clock import utc_now
from app.core.config import DEFAULT_ADMIN_PASSWORD, BadSettings, Settings, load_settings
from app.core.db import Database
from app.core.migrations import SchemaState, head_revision, migrate, schema_state
from app.services import first_admin

SHUTDOWN_SECONDS = 20


def main() -> int:
    """Check the settings, bring the database up, and serve until stopped. 2 with one line where that can't be."""
    options = _options()
    for name in ("host", "port", "workers"):
        if (value := getattr(options, name)) is not None:
            os.environ[name.upper()] = str(value)  # worker processes read their settings from the environment
    try:
        settings = load_settings()
        _prepare(settings)
    except Exception as error:
        if not isinstance(error, BadSettings):
            error = BadSettings(f"The database can't be used: {str(error).splitlines()[0]}")
        print(f"Not started. {error}", file=sys.stderr)
        return 2
    address = f"http://{settings.HOST}:{settings.PORT}"
    print(f"Employee Time Tracking API {__version__} at {address} - try it at {address}/docs", flush=True)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.HOST,
        port=settings.PORT,
        workers=None if options.reload else settings.WORKERS,
        reload=options.reload,
        access_log=False,  # ours is one JSON line a request, without query strings
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Start the Employee Time Tracking API.")
    parser.add_argument("--host", help="address to bind (HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to bind (PORT, 8000)")
    parser.add_argument("--workers", type=int, help="worker processes (WORKERS, 1)")
    parser.add_argument("--reload", action="store_true", help="restart when the code changes, for development")
    return parser.parse_args()


def _prepare(settings: Settings) -> None:
    """Migrate an SQLite file; hold a PostgreSQL database to the right revision; see that there is an admin."""
    database = Database(settings)
    try:
        if settings.is_sqlite:
            migrate(database)
        elif (state := schema_state(database)) is not SchemaState.current:
            raise BadSettings(
                f"The database's schema is {state}, not at {head_revision()}. Run: python -m app.cli migrate"
            )
        with database.writing("start") as session:
            created = first_admin.ensure(session, at=utc_now())
        if created is not None and settings.FIRST_ADMIN_PASSWORD.get_secret_value() == DEFAULT_ADMIN_PASSWORD:
            print(
                f"WARNING: created admin {created.email} with the password {DEFAULT_ADMIN_PASSWORD}. "
                "Change it before anyone else can reach this service.",
                file=sys.stderr,
            )
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
