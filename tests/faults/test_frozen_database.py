"""A database that hangs or is disconnected delays requests for a limited time only (threats F7)."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import cycle, islice

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.core.database.session import Database
from app.models.tables import ENTRY
from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import Company
from tests.support.in_process_server import run_server

pytestmark = pytest.mark.slow
REQUESTS = 96  # enough that reports, which may queue for 30 s, have to queue
MANY = text("SELECT generate_series(1, 1000000)")
MONTH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@pytest.fixture
def db_url(own_db_url):
    return own_db_url


@pytest.fixture
def server(db_url):
    with run_server(settings_for(db_url, DB_STATEMENT_TIMEOUT_SECONDS=1, DB_LOCK_TIMEOUT_SECONDS=1)) as started:
        yield started


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_every_request_to_a_frozen_database_ends_within_ten_seconds_and_all_is_well_when_it_goes_on(
    server, own_postgresql, engine
):
    company = Company(server.database)
    mia, website = company.manager("Mia"), company.project("Website")
    header = {"Authorization": f"Bearer {server.token(mia)}"}
    punch = _call(server, "POST", "/time-entries/clock-in", header, {"project_id": website.id, "description": ""})
    own = _call(server, "GET", "/auth/me", header)
    calls = [
        punch,
        own,
        _call(server, "GET", "/reports/team", header, params=MONTH),
        _call(server, "GET", "/reports/export/csv", header, params=MONTH),
        Call("POST", f"{server.base_url}/api/v1/auth/login", form="username=mia%40example.com&password=wrong+horse"),
        Call("GET", f"{server.base_url}/health/ready"),
    ]
    assert {answer.status_code for answer in send_simultaneously([own] * 8)} == {200}, "the pool has open connections"

    with own_postgresql.freeze():
        started_at = time.monotonic()
        answers = send_simultaneously(
            [*islice(cycle(calls), REQUESTS), *[Call("GET", f"{server.base_url}/health/live")] * 4]
        )
        seconds = time.monotonic() - started_at
        assert {answer.status_code for answer in send_simultaneously(calls)} == {503}, "new connections fail too"

    assert seconds < 10
    assert Counter(answer.status_code for answer in answers) == {503: REQUESTS, 200: 4}
    assert {answer.json()["code"] for answer in answers[:REQUESTS]} <= {"service_busy", "database_unavailable"}
    assert [answer.status_code for answer in send_simultaneously([punch, own])] == [200, 200]
    with server.database.read_transaction() as session:
        assert len(session.execute(select(ENTRY.c.id)).all()) == 1


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_nothing_waits_for_a_frozen_database_longer_than_it_may_nor_for_a_stop(server, own_postgresql, engine):
    """Cover a new connection, a half-read server-side cursor, and an export that is allowed to take long."""
    fresh = Database(server.settings)
    with (
        server.database.read_transaction() as left,
        server.database.read_transaction() as patient,
        ThreadPoolExecutor(3) as pool,
    ):
        half_read = left.execute(MANY.execution_options(yield_per=100))
        half_read.fetchmany(150)
        patient.set_statement_timeout(600)
        patient.execute(text("SELECT 1"))
        with own_postgresql.freeze():
            started_at = time.monotonic()
            waits = [
                pool.submit(fresh.engine.connect),
                pool.submit(half_read.close),
                pool.submit(patient.execute, text("SELECT 1")),
            ]
            wait(waits[:2], timeout=10)
            server.database.abort_connections()
            wait(waits, timeout=10)
            seconds = time.monotonic() - started_at
    fresh.close()

    assert seconds < 10
    assert all(isinstance(each.exception(), DBAPIError) for each in (waits[0], waits[2]))


def _call(server, method, path, header, body=None, params=None):
    return Call(method, f"{server.base_url}/api/v1{path}", header, body, params or {})
