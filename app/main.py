"""The ASGI application, created from the settings."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.api.http.body_limits import BodyLimitMiddleware
from app.api.http.forwarded import ForwardedMiddleware
from app.api.http.large_responses import LargeResponseMiddleware
from app.api.http.problems import register_exception_handlers
from app.api.http.request_middleware import RequestMiddleware
from app.api.openapi.docs_pages import add_docs_pages
from app.api.openapi.document import install_openapi, operation_id
from app.api.openapi.headers import HEADERS
from app.api.operations import health, metrics, root
from app.api.operations.metrics import DatabaseProbe
from app.api.operations.page import add_page
from app.api.v1 import audit, exports, projects
from app.api.v1.auth import api_tokens, login, page_sessions, passwords, second_factor, sessions
from app.api.v1.reports import presence, summary
from app.api.v1.reports import team as team_report
from app.api.v1.time_entries import clock, entries, manual
from app.api.v1.timesheets import approvals, month_pdf, payroll, timesheets, todo
from app.api.v1.timesheets import rules as timesheet_rules
from app.api.v1.users import account, administration, csv_import, team
from app.core.config.settings import Environment, Settings, load_settings
from app.core.observability.logging import configure_logging
from app.core.observability.metrics import record_worker_start, record_worker_stop
from app.core.server.runtime import Runtime
from app.core.time.clock import utc_now
from app.services.operations.startup import prepare
from app.services.users.csv_cells import MAX_FILE_BYTES

API_PREFIX = "/api/v1"
_log = structlog.get_logger()
ROUTERS = (
    clock.router,  # first, because routes are matched in order and most requests are punches
    login.router,
    page_sessions.router,
    account.router,
    sessions.router,
    passwords.router,
    api_tokens.router,
    second_factor.router,
    manual.router,
    entries.router,
    projects.router,
    team.router,
    team_report.router,
    summary.router,
    presence.router,
    exports.router,
    month_pdf.router,
    todo.router,
    payroll.router,
    timesheets.router,
    approvals.router,
    csv_import.router,
    administration.router,
    passwords.admin_router,
    second_factor.admin_router,
    api_tokens.admin_router,
    projects.admin_router,
    timesheet_rules.router,
    timesheet_rules.lock_router,
    audit.router,
)


if TYPE_CHECKING:
    app: FastAPI  # with __getattr__, mypy would accept any name of this module
else:

    def __getattr__(name: str) -> FastAPI:
        """Create `app` at first access, for `uvicorn app.main:app` and `from app.main import app`.

        Importing the module does not create it, because the importer may need an app with other settings. At startup,
        it prepares the database, which `run_backend.py` does before it starts workers.
        """
        if name != "app":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        new_app = globals()["app"] = create_app(prepare_database=True)
        return new_app


def create_app(settings: Settings | None = None, *, prepare_database: bool = False) -> FastAPI:
    """Create the application with these settings, or with those of the environment. Raises InvalidSettings.

    With `prepare_database`, it creates the schema and the first admin at startup if they are missing.
    """
    app_settings = settings or load_settings()
    configure_logging(as_json=app_settings.logs_json)
    app = FastAPI(
        title="Employee Time Tracking API",
        lifespan=partial(_lifespan, settings=app_settings, prepare_database=prepare_database),
        debug=app_settings.DEBUG,
        redirect_slashes=False,
        openapi_url=None,  # see add_docs_pages
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    _add_middlewares(app, app_settings)
    register_exception_handlers(app)
    for router in ROUTERS:  # without a parent router, which each request would have to match too
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(health.router)
    app.include_router(metrics.router)
    if app_settings.PAGE:
        add_page(app)
    app.include_router(root.router)
    install_openapi(app)
    if app_settings.has_docs:
        add_docs_pages(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, *, settings: Settings, prepare_database: bool) -> AsyncIterator[None]:
    if prepare_database:
        for warning in await asyncio.to_thread(prepare, settings, at=utc_now()):
            _log.warning(warning)
    app.state.runtime = runtime = Runtime(settings)
    app.state.database_probe = DatabaseProbe(runtime)
    record_worker_start(__version__, settings.database_kind)
    _log.info("started", version=__version__, environment=settings.ENVIRONMENT, database=settings.redacted_database_url)
    yield
    _log.info("stopping")
    await runtime.wait_for_background()
    await asyncio.to_thread(runtime.close)
    record_worker_stop()
    _log.info("stopped")


def create_worker() -> FastAPI:
    """Create the application for a worker process.

    The modules loaded by now, several hundred thousand objects, stay until the process ends. `gc.freeze` excludes them
    from garbage collection.
    """
    app = create_app()
    gc.collect()
    gc.freeze()
    return app


def _add_middlewares(app: FastAPI, settings: Settings) -> None:
    """Add the middlewares, innermost first."""
    app.add_middleware(
        BodyLimitMiddleware,
        auth_path=f"{API_PREFIX}/auth/",
        limit_overrides={("POST", f"{API_PREFIX}{csv_import.IMPORT_PATH}"): MAX_FILE_BYTES},
        timeout_seconds=settings.BODY_TIMEOUT_SECONDS,
    )
    app.add_middleware(LargeResponseMiddleware, timeout_seconds=settings.EXPORT_TIMEOUT_SECONDS)
    _add_cors(app, settings)
    app.add_middleware(
        RequestMiddleware,
        trusted_hosts=settings.TRUSTED_HOSTS,
        path_prefix=settings.ROOT_PATH,
        is_production=settings.ENVIRONMENT is Environment.production,
        is_exposed=settings.is_exposed,
    )
    _add_proxy_headers(app, settings)


def _add_cors(app: FastAPI, settings: Settings) -> None:
    """Allow pages of CORS_ORIGINS to call the API. CORS wraps the body limits, so that pages can read their errors."""
    if not settings.CORS_ORIGINS:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.CORS_ORIGINS,
        allow_credentials=settings.CORS_ALLOW_CREDENTIALS,
        allow_methods=["*"],
        allow_headers=["Authorization", "Content-Type", "X-Request-ID", "Idempotency-Key", "If-Match"],
        expose_headers=["Content-Disposition", *HEADERS],
    )


def _add_proxy_headers(app: FastAPI, settings: Settings) -> None:
    """Apply the headers of a proxy in TRUSTED_PROXIES. Outermost, so that all other middlewares see the result."""
    if settings.TRUSTED_PROXIES:
        app.add_middleware(ForwardedMiddleware, trusted_hosts=settings.trusted_proxies)
