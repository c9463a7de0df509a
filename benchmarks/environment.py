"""Where things are measured: a PostgreSQL server with fsync on, companies of several sizes, and the services on each.

A company is loaded, and a service started, when the first scenario asks for it; all of it goes at the end.
"""

import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL, make_url

from benchmarks.company import DAYS_PER_YEAR, ENTRIES_PER_DAY, CompanySize
from benchmarks.datasets import load_baseline, load_ours
from benchmarks.services import BareAppService, BaselineService, OurService, Service
from tests.support.databases import SQLITE, fresh_database, make_templates
from tests.support.postgresql import PostgreSQLServer, execute

S = TypeVar("S", bound=Service)
SMALL_COMPANY = CompanySize(employees=50, days_per_employee=DAYS_PER_YEAR)
GROWTH_START = CompanySize.with_entries(employees=1000, entries=100_000)


@dataclass
class Options:
    """What the command line may say otherwise."""

    scenarios: list[str] = field(default_factory=list)
    seconds: float = 5
    rounds: int = 3
    clients: int | None = None
    engine: str = "postgresql"
    entries: int = 1_000_000
    employees: int = 10_000
    csv_rows: int = 1_000_000
    xlsx_rows: int = 100_000
    baseline: Path | None = None
    baseline_python: str = sys.executable


@dataclass(frozen=True)
class BenchmarkServer:
    """A PostgreSQL server, a folder for files, and what is stopped before them."""

    postgresql: PostgreSQLServer
    folder: Path
    stack: ExitStack

    def empty_database(self) -> URL:
        """A PostgreSQL database without a table."""
        url = self.postgresql.url.set(database=f"bench_{uuid.uuid4().hex}")
        execute(self.postgresql.url, f'CREATE DATABASE "{url.database}"')
        return url

    def company(self, engine: str, company_size: CompanySize) -> URL:
        """A migrated database with a company in it."""
        fresh = fresh_database(engine, self.folder, self.postgresql.url, self.folder)
        url = make_url(self.stack.enter_context(fresh))
        load_ours(url, company_size)
        return url

    def stop_at_end(self, service: S) -> S:
        self.stack.callback(service.stop)
        return service


@contextmanager
def benchmark_server() -> Iterator[BenchmarkServer]:
    """A server for the block. SIGTERM ends the block too, so that nothing that was started is left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        postgresql = PostgreSQLServer(durable=True)
        stack.callback(postgresql.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ett-bench-")))
        make_templates(postgresql.url, folder)
        yield BenchmarkServer(postgresql, folder, stack)


class Scale:
    """A company on an engine, and the services that serve it."""

    def __init__(self, company_size: CompanySize, server: BenchmarkServer, options: Options) -> None:
        self.company_size, self._server, self._options = company_size, server, options
        self.is_sqlite = options.engine == SQLITE
        self.url = server.company(options.engine, company_size)

    @cached_property
    def ours(self) -> OurService:
        return self._server.stop_at_end(OurService(self.url, self._server.folder))

    @cached_property
    def bare(self) -> BareAppService | None:
        """None on SQLite: its statements are PostgreSQL's."""
        if self.is_sqlite:
            return None
        return self._server.stop_at_end(BareAppService(self._server.company(self._options.engine, self.company_size)))

    @cached_property
    def baseline(self) -> BaselineService | None:
        """None where none is asked for, and on SQLite, where it answers with errors. One worker makes its tables."""
        if self.is_sqlite or self._options.baseline is None:
            return None
        url, arguments = self._server.empty_database(), (self._options.baseline, self._options.baseline_python)
        BaselineService(*arguments, url, workers=1).stop()
        load_baseline(url, self.company_size)
        return self._server.stop_at_end(BaselineService(*arguments, url))

    @property
    def services(self) -> list[Service]:
        """Ours, and the baseline if there is one."""
        return [service for service in (self.ours, self.baseline) if service]


class Environment:
    """The companies of one engine, by what they are for."""

    def __init__(self, server: BenchmarkServer, options: Options) -> None:
        self.options, self._server = options, server

    @cached_property
    def small(self) -> Scale:
        """One team of fifty and their year."""
        return self._scale(SMALL_COMPANY)

    @cached_property
    def payroll(self) -> Scale:
        """As many people as make the rows of the export in a year."""
        employees = -(-max(self.options.csv_rows, self.options.xlsx_rows) // (DAYS_PER_YEAR * ENTRIES_PER_DAY))
        return self._scale(CompanySize(max(employees, 50), DAYS_PER_YEAR))

    @cached_property
    def growth_start(self) -> Scale:
        return self._scale(GROWTH_START)

    @cached_property
    def large(self) -> Scale:
        """As many people and entries as are asked for."""
        return self._scale(CompanySize.with_entries(self.options.employees, self.options.entries))

    def _scale(self, company_size: CompanySize) -> Scale:
        return Scale(company_size, self._server, self.options)
