"""Exports that are large, read slowly, abandoned, or truncated (rules: Data; threats F6)."""

import io
import json
import os
import resource
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text, update

from app.core.database.session import Database
from app.core.server.runtime import MAX_STREAMED_READS
from app.core.time.clock import utc_now
from app.models.tables import USER
from app.models.users import User
from app.schemas.reports.report import Attribution, ExportColumns, ExportFormat, ReportScope
from app.services.access.actor import Actor
from app.services.calendar.periods import Period
from app.services.exports import exports
from app.services.exports.exports import ExportQuery
from tests.support.audit_asserts import AuditLog
from tests.support.databases import ENGINES, POSTGRESQL, SQLITE, fresh_database, settings_for
from tests.support.export_files import LONG_DESCRIPTION, add_entries, becomes_true, spool_files
from tests.support.factories import Company, instant
from tests.support.in_process_server import Caller, Server, run_server
from tests.support.server_process import Backend

pytestmark = pytest.mark.slow
URL = "/reports/export/csv"
STAFF, DAYS = 40, 100
ROWS_A_DAY = STAFF * 48
TEN_DAYS = {"start_date": "2026-01-01", "end_date": "2026-01-10"}
HUNDRED_DAYS = {"start_date": "2026-01-01", "end_date": "2026-04-10"}
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
MEGABYTE = 1024 * 1024
STALLED = 20
SHEETS = ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml")


@dataclass(frozen=True)
class Archive:
    """A database with 192,000 entries of Mia's team. Each user has 48 entries of half an hour on each day."""

    db_url: str
    database: Database
    mia: User


@pytest.fixture(scope="module", params=ENGINES)
def archive(request, tmp_path_factory, postgresql_server, templates) -> Iterator[Archive]:
    with fresh_database(request.param, tmp_path_factory.mktemp("archive"), postgresql_server, templates) as db_url:
        database = Database(settings_for(db_url, DB_STATEMENT_TIMEOUT_SECONDS=600))
        people = Company(database)
        mia, website = people.manager("Mia"), people.project("Website")
        staff = [people.employee(f"Person {number}", manager=mia) for number in range(STAFF)]
        start = f"{int(instant('2026-01-01 00:00').timestamp())} + (i / {STAFF}) * 1800"
        stored = "{}" if request.param == SQLITE else "to_timestamp({})"
        with database.write_transaction() as session:
            if request.param == POSTGRESQL:  # checking it would take 12 s; these entries don't overlap
                session.execute(text("ALTER TABLE time_entry DROP CONSTRAINT ex_time_entry_no_overlap"))
            session.execute(
                text(
                    f"""
                    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {DAYS * ROWS_A_DAY})
                    INSERT INTO time_entry (user_id, project_id, start_time, end_time, description, time_zone,
                        needs_review, version, created_at, updated_at)
                    SELECT {staff[0].id} + i % {STAFF}, {website.id}, {stored.format(start)},
                        {stored.format(f"{start} + 1800")}, 'Landing page, part ' || i, 'UTC', false, 1,
                        {stored.format(start)}, {stored.format(start)} FROM n
                    """
                )
            )
        yield Archive(db_url, database, mia)
        database.close()


@pytest.fixture(scope="module")
def archive_server(archive: Archive) -> Iterator[Server]:
    """Run the service on the archive in this process."""
    with run_server(settings_for(archive.db_url)) as server:
        yield server


@pytest.fixture(scope="module")
def archive_backend(archive: Archive, tmp_path_factory) -> Iterator[Backend]:
    """Run the service on the archive in its own process."""
    backend = Backend(archive.db_url, tmp_path_factory.mktemp("backend"), LOG_FORMAT="json")
    yield backend
    backend.stop()


@pytest.fixture
def archive_header(archive: Archive) -> dict[str, str]:
    """Return the header with Mia's access token."""
    return {"Authorization": f"Bearer {Server(settings_for(archive.db_url)).token(archive.mia)}"}


@contextmanager
def as_mia(archive: Archive, server: Server) -> Iterator[Caller]:
    """Return a client for Mia without the hooks that compare all 192,000 entries before and after each change."""
    with server.caller(server.token(archive.mia)) as mia:
        mia.event_hooks = {}
        yield mia


def process_of(backend: Backend) -> psutil.Process:
    port = httpx.URL(backend.base_url).port
    listening = [at for at in psutil.net_connections("tcp4") if at.status == psutil.CONN_LISTEN]
    return psutil.Process(next(at.pid for at in listening if at.laddr.port == port))


def peak_memory(process: psutil.Process) -> int:
    """Return the peak memory of the process in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def checked_out(server: Server) -> int:
    return int(server.app.state.runtime.database.engine.pool.checkedout())


def under_way(server: Server) -> int:
    """Return the number of running exports that count against the users' limits."""
    return len(server.app.state.runtime.export_limiter._users)


def assert_well(client: httpx.Client, archive: Archive) -> None:
    """Check that the service sees new writes and can write itself, so that no connection keeps an old snapshot."""
    for number in range(6):
        with archive.database.write_transaction() as session:
            session.execute(update(USER).where(USER.c.id == archive.mia.id).values(first_name=f"Mia {number}"))
        assert client.get("/auth/me").json()["first_name"] == f"Mia {number}"
        written = client.patch("/auth/me", json={"last_name": f"Silva {number}"})
        assert written.status_code == 200, written.text


def test_memory_does_not_grow_with_the_rows(archive, archive_backend, archive_header):
    process, url = process_of(archive_backend), f"{archive_backend.base_url}/api/v1{URL}"

    def rows_read(period: dict[str, str]) -> int:
        with httpx.stream("GET", url, params=period, headers=archive_header, timeout=60) as answer:
            assert answer.status_code == 200, answer.read()
            return sum(chunk.count(b"\n") for chunk in answer.iter_raw()) - 1

    assert rows_read(TEN_DAYS) == 10 * ROWS_A_DAY
    after_ten_days = peak_memory(process)
    assert rows_read(HUNDRED_DAYS) == DAYS * ROWS_A_DAY
    assert peak_memory(process) - after_ten_days < 16 * MEGABYTE


def test_a_client_that_leaves_early_ends_the_producer_and_frees_its_file(archive, archive_server):
    before = spool_files()
    with as_mia(archive, archive_server) as mia:
        with mia.stream("GET", URL, params=HUNDRED_DAYS) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            (spool,) = spool_files().keys() - before.keys()
            spool_file = spool_files()[spool].open("rb")  # to check at the end how much was written

        with spool_file:
            assert becomes_true(lambda: checked_out(archive_server) == 0)
            assert os.fstat(spool_file.fileno()).st_size < DAYS * ROWS_A_DAY * 20, "the producer continued to the end"
        assert becomes_true(lambda: spool_files() == before and not under_way(archive_server))
        assert_well(mia, archive)


def test_a_producer_that_runs_out_of_room_breaks_the_connection(archive, archive_backend, archive_header):
    """Use a file size limit in place of a full disk. A write beyond it fails in the same way."""
    process, url = process_of(archive_backend), f"{archive_backend.base_url}/api/v1"
    unlimited = process.rlimit(resource.RLIMIT_FSIZE)
    received = 0

    process.rlimit(resource.RLIMIT_FSIZE, (MEGABYTE, unlimited[1]))
    with (
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        httpx.stream("GET", f"{url}{URL}", params=HUNDRED_DAYS, headers=archive_header, timeout=60) as answer,
    ):
        for chunk in answer.iter_raw():
            received += len(chunk)
    process.rlimit(resource.RLIMIT_FSIZE, unlimited)

    assert answer.status_code == 200
    assert 0 < received <= MEGABYTE
    assert becomes_true(lambda: not spool_files(process))
    with httpx.Client(base_url=url, headers=archive_header) as mia:
        assert_well(mia, archive)
    failures = [json.loads(line) for line in archive_backend.log.read_text().splitlines() if "export_failed" in line]
    assert failures[-1]["request_id"] == answer.headers["X-Request-ID"]
    assert failures[-1]["error"] == "OSError: [Errno 27] File too large"


@pytest.mark.parametrize("archive", [POSTGRESQL], indirect=True)
def test_a_producer_whose_database_goes_away_breaks_the_connection(archive, archive_server):
    before = spool_files()
    with as_mia(archive, archive_server) as mia:
        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
            mia.stream("GET", URL, params=HUNDRED_DAYS) as answer,
        ):
            chunks = answer.iter_raw()
            next(chunks)
            with archive_server.database.write_transaction() as session:
                ended = session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND query LIKE 'COPY%'"
                    )
                ).all()
            assert ended == [(True,)]
            for _ in chunks:
                pass

        assert becomes_true(
            lambda: spool_files() == before and checked_out(archive_server) == under_way(archive_server) == 0
        )
        assert_well(mia, archive)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_what_goes_wrong_before_the_first_line_is_a_problem_and_no_file(people, db_url, engine):
    before = spool_files()
    mia = people.manager("Mia")
    with (
        run_server(settings_for(db_url, DB_LOCK_TIMEOUT_SECONDS=1)) as server,
        server.caller(server.token(mia)) as caller,
    ):
        with server.database.write_transaction() as session:
            session.execute(text("LOCK TABLE project IN ACCESS EXCLUSIVE MODE"))

            answer = caller.get(URL, params=TEN_DAYS)

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert spool_files() == before
        assert not under_way(server)


@pytest.mark.parametrize("export_format", ExportFormat)
def test_an_export_is_one_snapshot(people, database, export_format):
    mia, website = people.manager("Mia"), people.project("Website")
    ana, zoe = people.employee("Ana", manager=mia), people.employee("Zoe", manager=mia)
    add_entries(database, ana, website.id, count=6000, description="before")
    query = ExportQuery(
        Period(date(2026, 1, 1), date(2026, 12, 31)), ReportScope.team, False, ExportColumns.full, Attribution.at_start
    )
    file, chunks = bytearray(), []

    def write(chunk: bytes) -> None:
        chunks.append(len(chunk))
        if len(chunks) == 1:
            add_entries(database, zoe, website.id, count=1, description="meanwhile")
            people.employee("Yan", manager=mia)
        file.extend(chunk)

    with database.read_transaction() as session:
        team = exports.actor_filter(session, Actor(mia.id, mia.role, "UTC"), query)
        exports.write(session, team, query, export_format, write, at=utc_now())

    text = b"".join(map(zipfile.ZipFile(io.BytesIO(file)).read, SHEETS)) if export_format is ExportFormat.xlsx else file
    assert text.count(b"before") == 6000
    assert b"meanwhile" not in text


def test_twenty_stalled_downloads_hold_no_connection_and_keep_nobody_waiting(people, server, as_user):
    user, website, before, audit_log = (
        people.employee("Bob"),
        people.project("Website"),
        spool_files(),
        AuditLog(server.database),
    )
    managers = [people.manager(f"Manager {number}") for number in range(STALLED // 2)]
    for manager in managers:
        add_entries(
            server.database,
            people.employee(f"Of {manager.first_name}", manager=manager),
            website.id,
            count=2500,
            description=LONG_DESCRIPTION,
        )
    bob, callers = as_user(user), [as_user(manager) for manager in managers] * 2

    with ThreadPoolExecutor(STALLED) as many_users:
        downloads = many_users.map(
            lambda caller: caller.send(caller.build_request("GET", URL, params=MARCH), stream=True), callers
        )
        meanwhile = [bob.get("/auth/me") for _ in range(20)] + [bob.clock_in(website.id)]
        begun = list(downloads)

    assert {answer.status_code for answer in [*meanwhile, *begun]} == {200}
    assert becomes_true(lambda: checked_out(server) == 0)
    assert len(spool_files().keys() - before.keys()) == STALLED, "a part of the body fits into the buffers"
    meanwhile += [bob.get("/auth/me") for _ in range(20)]
    assert max(answer.elapsed.total_seconds() for answer in meanwhile) < 2
    third = callers[0].get(URL, params=MARCH)
    assert (third.status_code, third.json()["code"], third.headers["Retry-After"]) == (429, "too_many_exports", "5")
    assert third.headers["RateLimit-Policy"] == '"exports";q=2;w=60'
    assert [event.action for event in audit_log.new_events()].count("export:csv") == under_way(server) == STALLED
    assert begun[0].read().count(b"\r\n") == 2501
    # Accepted at once, because an export stops counting before its last byte is sent.
    assert callers[0].get(URL, params=MARCH).status_code == 200
    assert [download.read().count(b"\r\n") for download in begun[1:]] == [2501] * (STALLED - 1)
    assert becomes_true(lambda: spool_files() == before)


def test_a_large_read_that_ana_leaves_makes_room_for_the_next_one(people, server, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    add_entries(server.database, ana, website.id, count=2500, description=LONG_DESCRIPTION)
    me, path = as_user(ana), "/time-entries/me"
    permit = server.app.state.runtime.streamed_reads[ana.id]

    begun = [me.send(me.build_request("GET", path, params=MARCH), stream=True) for _ in range(MAX_STREAMED_READS)]
    has_room_before = not permit.locked()
    begun[0].close()
    following = me.get(path, params=MARCH)
    begun[1].close()

    assert [has_room_before, *(answer.status_code for answer in (*begun, following))] == [False, 200, 200, 200]
    assert len(following.json()) == 2500
    assert becomes_true(lambda: not permit.locked())


def test_who_reads_too_slowly_loses_the_connection_and_keeps_no_file(people, db_url):
    mia, website, before = people.manager("Mia"), people.project("Website"), spool_files()
    with (
        run_server(settings_for(db_url, EXPORT_TIMEOUT_SECONDS=1)) as server,
        server.caller(server.token(mia)) as caller,
    ):
        add_entries(
            server.database, people.employee("Ana", manager=mia), website.id, count=2500, description=LONG_DESCRIPTION
        )

        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
            caller.stream("GET", URL, params=MARCH) as answer,
        ):
            assert becomes_true(lambda: spool_files() == before)
            answer.read()

        assert answer.status_code == 200
        assert not under_way(server)
        assert [caller.get(URL, params=TEN_DAYS).status_code for _ in range(3)] == [200] * 3
