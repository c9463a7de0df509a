"""Fixtures for a company (`people`), a running service (`server`) and clients (`as_user`), on both databases."""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url
from typer.testing import CliRunner, Result

from app.cli.application import app
from app.core.config.settings import Settings
from app.core.database.session import Database
from app.core.observability.logging import configure_logging
from app.models.users import User
from app.services.operations import demo
from tests.support.cli import Command, empty_database
from tests.support.compile_cache import share_compiled_cache
from tests.support.databases import ENGINES, POSTGRESQL, SECRET_KEY, SQLITE, make_templates, settings_for
from tests.support.factories import Company
from tests.support.in_process_server import Caller, Server, run_server, share_openapi_document
from tests.support.postgresql import ENVIRONMENT_VARIABLE, PostgreSQLServer, fast_temp_folder
from tests.support.shared_services import SharedDatabase, SharedServer

_TEMPLATES = "TEST_TEMPLATES"
ON_BOTH_ENGINES = (
    "tests/api/exports/",
    "tests/api/reports/",
    "tests/api/test_access_matrix.py",
    "tests/api/state_machine/",
    "tests/api/time_entries/test_entries.py",
    "tests/api/timesheets/test_todo.py",
    "tests/api/timesheets/test_payroll",
    "tests/core/",
    "tests/deploy/",
    "tests/faults/test_lost_rights.py",
    "tests/faults/test_previous_release.py",
    "tests/faults/test_reminders.py",
    "tests/migrations/",
    "tests/services/audit/test_reconciliation.py",
    "tests/services/calendar/",
    "tests/services/operations/test_backup.py",
    "tests/services/operations/test_schema_check.py",
    "tests/services/test_",
    "tests/services/time_entries/",
    "tests/services/timesheets/",
)
"""Folders and modules whose tests run on both databases by default.

Their subject is SQL that differs between the two, or they check all rules on SQLite. Other tests run on PostgreSQL, and
on SQLite only in the extended run (`-m extended`).
"""
DEFAULT_MARKERS = "not system and not slow and not extended and not alone"
DESELECTED_NOTICES = {
    "system": "tests that start other programs were deselected. Run them as root: pytest -m system "
    "(python -m tests.support.system_packages names the packages).",
    "slow": "slow tests of processes, backups and migrations were deselected. Run them: pytest -m slow",
    "extended": "tests of the extended run were deselected. Run them: pytest -m extended",
    "alone": "tests that need the whole machine were deselected. Run them: pytest -m alone -n 0",
}
"""Notices about deselected tests, by marker."""


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL, and make the template databases and the OpenAPI document, once in the controller process."""
    share_compiled_cache()
    if hasattr(config, "workerinput"):
        return
    if ENVIRONMENT_VARIABLE not in os.environ:
        config.stash[_STARTED_SERVER] = own = PostgreSQLServer()
        os.environ[ENVIRONMENT_VARIABLE] = own.url.render_as_string(hide_password=False)
        os.environ["PATH"] += f"{os.pathsep}{own.binaries}"  # the backup command looks for pg_dump there
    os.environ[_TEMPLATES] = tempfile.mkdtemp(prefix="ett-templates-")
    folder = Path(os.environ[_TEMPLATES])
    make_templates(make_url(os.environ[ENVIRONMENT_VARIABLE]), folder)
    share_openapi_document(folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark SQLite variants for the extended run where PostgreSQL covers the same SQL, and count deselected tests."""
    engines = {item: _engine_of(item) for item in items}
    on_postgresql = {_function_of(item) for item, engine in engines.items() if engine == POSTGRESQL}
    for item, engine in engines.items():
        if item.get_closest_marker("alone"):
            continue
        if engine == SQLITE and _function_of(item) in on_postgresql and not item.nodeid.startswith(ON_BOTH_ENGINES):
            item.add_marker(pytest.mark.extended)
    counts = {name: sum(1 for item in items if item.get_closest_marker(name)) for name in DESELECTED_NOTICES}
    config.stash[_DESELECTED] = counts
    if hasattr(config, "workeroutput"):
        config.workeroutput["deselected"] = counts


def _engine_of(item: pytest.Item) -> str | None:
    """Return the engine of the test's `engine` fixture, or None if the test parametrizes its engines itself."""
    if not hasattr(item, "callspec") or any("engine" in mark.args[0] for mark in item.iter_markers("parametrize")):
        return None
    return next((value for value in item.callspec.params.values() if value in ENGINES), None)


def _function_of(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Copy the counts of deselected tests from a worker of pytest-xdist. All workers collect the same tests."""
    node.config.stash[_DESELECTED] = node.workeroutput.get("deselected", {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the notices about deselected tests at the end of the report."""
    if config.option.markexpr != DEFAULT_MARKERS:
        return
    for name, count in config.stash.get(_DESELECTED, {}).items():
        if count:
            terminalreporter.write_line(f"{count} {DESELECTED_NOTICES[name]}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without garbage collection, because nearly all new objects stay.

    Afterwards, exclude them from garbage collection, and collect less often than every 700 objects.
    """
    gc.disable()
    result = yield
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    shutil.rmtree(os.environ[_TEMPLATES], ignore_errors=True)
    if _STARTED_SERVER in config.stash:
        config.stash[_STARTED_SERVER].stop()


_STARTED_SERVER = pytest.StashKey[PostgreSQLServer]()
_DESELECTED = pytest.StashKey[dict[str, int]]()


@pytest.fixture(autouse=True)
def open_log() -> None:
    """Log to the output captured for this test, because an earlier command may have closed its log stream."""
    configure_logging(as_json=False)


@pytest.fixture(scope="session")
def postgresql_server() -> URL:
    return make_url(os.environ[ENVIRONMENT_VARIABLE])


@pytest.fixture(scope="session")
def templates() -> Path:
    """Return the folder with the SQLite template, which each SQLite test database is copied from."""
    return Path(os.environ[_TEMPLATES])


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Run each test that uses a database once per engine."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared_folder() -> Iterator[Path]:
    """Return the folder of the SQLite files that are shared between tests."""
    with tempfile.TemporaryDirectory(prefix="ett-shared-", dir=fast_temp_folder()) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_databases(
    shared_folder: Path, postgresql_server: URL, templates: Path
) -> Iterator[Callable[[str], SharedDatabase]]:
    """Return, for each engine, the database shared by tests without a service."""
    with ExitStack() as stack:

        @cache
        def database(engine: str) -> SharedDatabase:
            return stack.enter_context(closing(SharedDatabase(engine, shared_folder, postgresql_server, templates)))

        yield database


@pytest.fixture(scope="session")
def shared_servers(
    shared_folder: Path, postgresql_server: URL, templates: Path
) -> Iterator[Callable[[str], SharedServer]]:
    """Return, for each engine, the in-process service shared by most tests."""
    with ExitStack() as stack:

        @cache
        def server(engine: str) -> SharedServer:
            database = SharedDatabase(engine, shared_folder, postgresql_server, templates)
            return stack.enter_context(closing(SharedServer(database)))

        yield server


@pytest.fixture
def db_url(request: pytest.FixtureRequest, engine: str) -> str:
    """Return the DB_URL of an empty, migrated database."""
    shared = "shared_servers" if "server" in request.fixturenames else "shared_databases"
    return str(request.getfixturevalue(shared)(engine).reset())


@pytest.fixture
def empty_url(engine: str, tmp_path: Path, postgresql_server: URL) -> Iterator[str]:
    """Return the DB_URL of a database without tables."""
    with empty_database(engine, tmp_path, postgresql_server) as url:
        yield url


@pytest.fixture
def server(request: pytest.FixtureRequest, engine: str, db_url: str) -> Iterator[Server]:
    """Return a running service: the shared one, unless the test has its own database."""
    shared = request.getfixturevalue("shared_servers")(engine).server_for(db_url)
    if shared is not None:
        shared.reset()
        yield shared
        shared.wait_until_idle()  # so that the log output of this test is not captured by the next one
        return
    with run_server(settings_for(db_url)) as running_server:
        yield running_server


@pytest.fixture
def database(request: pytest.FixtureRequest, engine: str, db_url: str) -> Iterator[Database]:
    """Return the database without a service, for tests of services and of the schema."""
    shared: SharedDatabase = request.getfixturevalue("shared_databases")(engine)
    if shared.url == db_url:
        yield shared.open()
        return
    opened_database = Database(settings_for(db_url))
    yield opened_database
    opened_database.close()


@pytest.fixture
def people(request: pytest.FixtureRequest) -> Company:
    """Create users, projects and entries: `people.employee("Ana")`."""
    if "server" in request.fixturenames:
        return Company(request.getfixturevalue("server").database)
    return Company(request.getfixturevalue("database"))


@pytest.fixture
def as_user(server: Server, people: Company) -> Iterator[Callable[[User], Caller]]:
    """Return clients logged in as a user: `as_user(ana).clock_in(project.id)`."""
    callers: list[Caller] = []

    def call(user: User) -> Caller:
        callers.append(server.caller(server.token(user, is_recorded=people.records_events)))
        return callers[-1]

    yield call
    for caller in callers:
        caller.close()


@pytest.fixture
def anonymous(server: Server) -> Iterator[Caller]:
    """Return a client without credentials."""
    with server.caller() as caller:
        yield caller


@pytest.fixture
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings from the environment and change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_cli(no_settings: None) -> Command:
    """Run a command with only the given settings: `run_cli("demo", "--force", DB_URL=...)`."""

    def run(*args: str, stdin: str = "", **settings: str) -> Result:
        return CliRunner().invoke(
            app, args, input=stdin, env={"SECRET_KEY": SECRET_KEY, **settings}, catch_exceptions=False
        )

    return run


@pytest.fixture
def run_command(run_cli: Command, db_url: str) -> Command:
    """Run a command on the test's database: `run_command("demo", "--force")`."""
    return partial(run_cli, DB_URL=db_url)


@pytest.fixture
def few_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the users of the demo company work a week only. The entries of 90 days take most of the time of a test."""
    monkeypatch.setattr(demo, "DAYS", 7)
