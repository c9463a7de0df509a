"""Where things are measured: one database engine, companies of several sizes on it, and the services on each of them.

A company is loaded, and a service started, when the first scenario asks for it; all of it goes at the end.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL, make_url

from benchmarks.company import DAYS_A_YEAR, ENTRIES_A_DAY, Layout
from benchmarks.loading import load_baseline, load_ours
from benchmarks.services import Bare, Baseline, Ours, Service
from tests.support.databases import SQLITE, fresh_database
from tests.support.postgresql import execute

S = TypeVar("S", bound=Service)
SMALL_COMPANY = Layout(employees=50, days_each=DAYS_A_YEAR)
GROWTH_START = Layout.sized(employees=1000, entries=100_000)


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    seconds: float
    rounds: int
    clients: int | None
    entries: int
    employees: int
    csv_rows: int
    xlsx_rows: int
    with_keys: bool
    everything_large: bool
    baseline: Path | None
    baseline_python: str


@dataclass
class Ground:
    """Where databases are made: the server, the folder of templates and files."""

    server: URL
    folder: Path
    open: ExitStack


class World:
    """A company on an engine, and the services that serve it."""

    def __init__(self, engine: str, layout: Layout, ground: Ground, wanted: Wanted) -> None:
        self.engine, self.layout = engine, layout
        self._ground, self._wanted = ground, wanted
        self.is_sqlite = engine == SQLITE
        fresh = fresh_database(engine, ground.folder, ground.server, ground.folder)
        self.url = make_url(ground.open.enter_context(fresh))
        load_ours(self.url, layout)
        self._copy: URL | None = None
        if not self.is_sqlite and layout is SMALL_COMPANY:
            self._copy = self._copied("bare")  # now: nobody may be connected to what is copied

    @cached_property
    def ours(self) -> Ours:
        return self._kept(Ours(self.url, self._ground.folder))

    @cached_property
    def bare(self) -> Bare | None:
        """None where there is no copy for it."""
        return None if self._copy is None else self._kept(Bare(self._copy))

    @cached_property
    def baseline(self) -> Baseline | None:
        """None where none is asked for, and on SQLite, where it answers with errors. One worker makes its tables."""
        if self.is_sqlite or self._wanted.baseline is None:
            return None
        name = f"{self.url.database}_baseline"
        execute(self._ground.server, f'CREATE DATABASE "{name}"')
        url, start = self._ground.server.set(database=name), (self._wanted.baseline, self._wanted.baseline_python)
        Baseline(*start, url, workers=1).stop()
        load_baseline(url, self.layout)
        return self._kept(Baseline(*start, url))

    @property
    def services(self) -> list[Service]:
        """Ours, and the baseline if there is one."""
        return [service for service in (self.ours, self.baseline) if service]

    def _copied(self, suffix: str) -> URL:
        name = f"{self.url.database}_{suffix}"
        execute(self._ground.server, f'CREATE DATABASE "{name}" TEMPLATE "{self.url.database}" STRATEGY FILE_COPY')
        return self.url.set(database=name)

    def _kept(self, service: S) -> S:
        self._ground.open.callback(service.stop)
        return service


class Site:
    """The companies of one engine, by what they are for."""

    def __init__(self, engine: str, ground: Ground, wanted: Wanted) -> None:
        self.engine, self.wanted, self._ground = engine, wanted, ground

    @cached_property
    def small(self) -> World:
        """One team of fifty and their year."""
        return self.large if self.wanted.everything_large else self._world(SMALL_COMPANY)

    @cached_property
    def payroll(self) -> World:
        """As many people as make the rows of the export in a year."""
        if self.wanted.everything_large:
            return self.large
        people = -(-max(self.wanted.csv_rows, self.wanted.xlsx_rows) // (DAYS_A_YEAR * ENTRIES_A_DAY))
        return self._world(Layout(max(people, 50), DAYS_A_YEAR))

    @cached_property
    def growth_start(self) -> World:
        return self._world(GROWTH_START)

    @cached_property
    def large(self) -> World:
        """As many people and entries as are asked for."""
        return self._world(Layout.sized(self.wanted.employees, self.wanted.entries))

    def _world(self, layout: Layout) -> World:
        return World(self.engine, layout, self._ground, self.wanted)
