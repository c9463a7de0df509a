"""The environment of a benchmark: a PostgreSQL server with fsync on, companies of several sizes, and services.

A company is loaded and a service is started when a scenario first uses it. Everything is stopped and deleted at the
end.
"""

import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL, make_url

from app.core.database.session import Database
from app.services.reports.user_days import MAX_ENTRIES
from benchmarks.company import DAYS_PER_YEAR, ENTRIES_PER_DAY, FIRST_EMPLOYEE, CompanySize
from benchmarks.datasets import load_baseline, load_ours
from benchmarks.services import BareAppService, BaselineService, OurService, Service
from tests.support.databases import POSTGRESQL, SQLITE, fresh_database, make_templates, settings_for
from tests.support.long_record import add_changes, add_long_record
from tests.support.postgresql import PostgreSQLServer, execute

S = TypeVar("S", bound=Service)
SMALL_COMPANY = CompanySize(employees=50, days_per_employee=DAYS_PER_YEAR)
FULL_REPORT_USER = FIRST_EMPLOYEE + 1
"""The user with as many entries as a personal report may have."""
GROWTH_START = CompanySize.with_entries(employees=1000, entries=100_000)


@dataclass
class Options:
    """Options of the command line with their defaults."""

    scenarios: list[str] = field(default_factory=list)
    seconds: float = 5
    rounds: int = 3
    clients: int | None = None
    engine: list[str] = field(default_factory=lambda: [POSTGRESQL])
    entries: int = 1_000_000
    employees: int = 10_000
    csv_rows: int = 1_000_000
    xlsx_rows: int = 100_000
    baseline: Path | None = None
    baseline_python: str = sys.executable


@dataclass(frozen=True)
class BenchmarkServer:
    """A PostgreSQL server, a folder for files, and the services to stop before both."""

    postgresql: PostgreSQLServer
    folder: Path
    stack: ExitStack

    def empty_database(self) -> URL:
        """Create an empty PostgreSQL database."""
        url = self.postgresql.url.set(database=f"bench_{uuid.uuid4().hex}")
        execute(self.postgresql.url, f'CREATE DATABASE "{url.database}"')
        return url

    def empty_sqlite(self) -> URL:
        """Return the URL of an SQLite file that does not exist yet."""
        return make_url(f"sqlite:///{self.folder / uuid.uuid4().hex}.db")

    def company(self, engine: str, company_size: CompanySize) -> URL:
        """Create a migrated database with a company in it."""
        fresh = fresh_database(engine, self.folder, self.postgresql.url, self.folder)
        url = make_url(self.stack.enter_context(fresh))
        load_ours(url, company_size)
        return url

    def stop_at_end(self, service: S) -> S:
        self.stack.callback(service.stop)
        return service


@contextmanager
def benchmark_server() -> Iterator[BenchmarkServer]:
    """Run a server until the block ends. SIGTERM also ends the block, so that no process is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        postgresql = PostgreSQLServer(durable=True)
        stack.callback(postgresql.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ett-bench-")))
        make_templates(postgresql.url, folder)
        yield BenchmarkServer(postgresql, folder, stack)


class Scale:
    """A company on an engine, and its services."""

    def __init__(self, company_size: CompanySize, server: BenchmarkServer, options: Options, engine: str) -> None:
        self.company_size, self._server, self._options = company_size, server, options
        self.is_sqlite = engine == SQLITE
        self.url = server.company(engine, company_size)

    @property
    def postgresql_pid(self) -> int:
        """The process id of the PostgreSQL server, which all companies share."""
        return self._server.postgresql.pid

    @cached_property
    def ours(self) -> OurService:
        return self._server.stop_at_end(OurService(self.url, self._server.folder))

    @cached_property
    def bare(self) -> BareAppService | None:
        """The bare app, or None on SQLite, because its SQL is that of PostgreSQL."""
        if self.is_sqlite:
            return None
        return self._server.stop_at_end(BareAppService(self._server.company(POSTGRESQL, self.company_size)))

    @cached_property
    def baseline(self) -> BaselineService | None:
        """The baseline, or None if none is given.

        It starts once with a single worker process, which creates the tables.
        """
        if self._options.baseline is None:
            return None
        url = self._server.empty_sqlite() if self.is_sqlite else self._server.empty_database()
        arguments = self._options.baseline, self._options.baseline_python
        BaselineService(*arguments, url, workers=1).stop()
        load_baseline(url, self.company_size)
        return self._server.stop_at_end(BaselineService(*arguments, url))

    @property
    def services(self) -> list[Service]:
        """This service, and the baseline if there is one."""
        return [service for service in (self.ours, self.baseline) if service]


class Environment:
    """The companies on one engine, by purpose."""

    def __init__(self, server: BenchmarkServer, options: Options, engine: str) -> None:
        self.options, self._server, self._engine = options, server, engine

    @cached_property
    def small(self) -> Scale:
        """One team of fifty with a year of entries."""
        return self._scale(SMALL_COMPANY)

    @cached_property
    def payroll(self) -> Scale:
        """A company with as many employees as needed for the export's number of rows in a year."""
        employees = -(-max(self.options.csv_rows, self.options.xlsx_rows) // (DAYS_PER_YEAR * ENTRIES_PER_DAY))
        return self._scale(CompanySize(max(employees, 50), DAYS_PER_YEAR))

    @cached_property
    def growth_start(self) -> Scale:
        return self._scale(GROWTH_START)

    @cached_property
    def large(self) -> Scale:
        """A company with the numbers of employees and entries from the command line."""
        return self._scale(CompanySize.with_entries(self.options.employees, self.options.entries))

    @cached_property
    def long_record(self) -> Scale:
        """A small company with all the entries of the command line in one month of one user."""
        scale = self._scale(SMALL_COMPANY)
        with closing(Database(settings_for(scale.url.render_as_string(hide_password=False)))) as database:
            add_long_record(database, FIRST_EMPLOYEE, 1, self.options.entries)
            add_long_record(database, FULL_REPORT_USER, 1, MAX_ENTRIES)
            add_changes(database, self.changed_entry, FIRST_EMPLOYEE, self.options.entries // 5)
        return scale

    @property
    def changed_entry(self) -> int:
        """The entry of `long_record` that has many changes."""
        return 1

    def _scale(self, company_size: CompanySize) -> Scale:
        return Scale(company_size, self._server, self.options, self._engine)
