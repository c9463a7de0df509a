"""A company of 10,000 people on a PostgreSQL of its own, with as many entries as one wants to see the effect of."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from benchmarks.company import Layout
from benchmarks.loading import load_ours
from tests.support.databases import POSTGRESQL, fresh_database, make_templates
from tests.support.postgresql import PostgreSQLServer

EMPLOYEES = 10_000


@dataclass(frozen=True)
class Sized:
    """Its database, a folder for whoever serves it, and who works there."""

    url: URL
    folder: Path
    layout: Layout


@contextmanager
def sized(entries: int) -> Iterator[Sized]:
    """The company, with fsync on; gone afterwards."""
    layout = Layout.sized(EMPLOYEES, entries)
    server = PostgreSQLServer(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="ett-bench-") as name:
            folder = Path(name)
            make_templates(server.url, folder)
            with fresh_database(POSTGRESQL, folder, server.url, folder) as db_url:
                load_ours(make_url(db_url), layout)
                yield Sized(make_url(db_url), folder, layout)
    finally:
        server.stop()
