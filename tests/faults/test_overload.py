"""A hanging database: requests get 503 with Retry-After, and the service recovers without a restart (threats F6)."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import text

from app.services.access import locks
from tests.support.concurrency import send_simultaneously
from tests.support.credentials import create_login_session
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import PASSWORD
from tests.support.lock_waits import build_call, count_waiting, wait_until
from tests.support.server_process import TLS

PUNCHES = 12


@contextmanager
def _lock_everything(database) -> Iterator[None]:
    """Hold the locks that every punch needs: SQLite's write lock, or the rows of all users on PostgreSQL."""
    with database.write_transaction() as session:
        session.execute(text(f'SELECT id FROM "user"{"" if database.settings.is_sqlite else " FOR UPDATE"}'))
        yield


def test_a_hanging_database_turns_punches_away_with_retry_after_and_then_heals(people, server, engine, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    others = [people.employee(f"Person {number}") for number in range(PUNCHES - 1)]
    body = {"project_id": website.id, "description": ""}
    me = as_user(ana)
    punches = [build_call(server, user, "POST", "/time-entries/clock-in", body) for user in (ana, *others)]

    with ThreadPoolExecutor(1) as elsewhere, _lock_everything(server.database):
        calls = elsewhere.submit(send_simultaneously, punches)
        live = [me.at_root("GET", "/health/live").status_code for _ in range(20)]
        answers = calls.result()

    permits = 1 if engine == SQLITE else server.settings.DB_POOL_SIZE
    assert live == [200] * 20
    assert Counter((answer.status_code, answer.json()["code"]) for answer in answers) == {
        (503, "database_unavailable"): permits,
        (503, "service_busy"): PUNCHES - permits,
    }
    assert me.clock_in(website.id).status_code == 200


def test_readers_of_sqlite_and_postgresql_are_served_while_writers_hang(people, server, as_user):
    ana = as_user(people.employee("Ana"))

    with _lock_everything(server.database):
        me = ana.get("/auth/me")

    assert me.status_code == 200


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_waiting_writes_of_one_user_keep_nobody_else_waiting(people, server, as_user, engine):
    """Ana has sent more requests that wait for her row than there are permits for writes."""
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    change = build_call(server, ana, "PATCH", "/auth/me", {"last_name": "Almeida"})
    count = 2 * server.database.settings.DB_POOL_SIZE
    with ThreadPoolExecutor() as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            waiting = elsewhere.submit(send_simultaneously, [change] * count)
            wait_until(lambda: count_waiting(server, engine) >= 1)
            of_bob = [as_user(bob).clock_in(website.id), as_user(bob).clock_out()]
        answers = waiting.result()

    assert [answer.status_code for answer in of_bob] == [200, 200]
    assert {answer.status_code for answer in answers} <= {200, 503}


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/login"])
def test_the_waiting_logins_and_refreshes_of_one_user_keep_nobody_else_waiting(people, server, as_user, engine, path):
    """A bulk request of Ana holds her row for seconds. Meanwhile she logs in or refreshes her tokens many times."""
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    refresh = {"refresh_token": create_login_session(server.database, ana).refresh_token}
    login = {"username": ana.email, "password": PASSWORD}
    body = {"json": refresh} if path == "/auth/refresh" else {"data": login}
    count = 2 * server.database.settings.request_permits
    with ThreadPoolExecutor(count) as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            url = f"{server.base_url}/api/v1{path}"
            waiting = [elsewhere.submit(httpx.post, url, verify=TLS, timeout=30, **body) for _ in range(count)]
            wait_until(lambda: count_waiting(server, engine) >= 1)
            of_bob = [as_user(bob).clock_in(website.id), as_user(bob).clock_out()]
            running = count_waiting(server, engine)
        answers = [each.result() for each in waiting]

    assert [answer.status_code for answer in of_bob] == [200, 200]
    assert running == 1
    assert {answer.status_code for answer in answers} <= {200, 503}


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_waiting_reads_of_one_user_keep_nobody_else_waiting(people, server, engine):
    """Ana has sent more requests than there are permits. All read her API tokens, whose table is locked."""
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    read = build_call(server, ana, "GET", "/auth/api-tokens")
    clock_in = build_call(server, bob, "POST", "/time-entries/clock-in", {"project_id": website.id, "description": ""})
    share = server.settings.DB_POOL_SIZE // 2
    with ThreadPoolExecutor() as elsewhere:
        with server.database.write_transaction() as session:
            session.execute(text("LOCK TABLE api_token IN ACCESS EXCLUSIVE MODE"))
            waiting = elsewhere.submit(send_simultaneously, [read] * 2 * server.settings.request_permits)
            wait_until(lambda: count_waiting(server, engine) >= share)
            of_bob = send_simultaneously([clock_in])
            running = count_waiting(server, engine)
        answers = waiting.result()

    assert [answer.status_code for answer in of_bob] == [200]
    assert running <= share
    assert {answer.status_code for answer in answers} <= {200, 503}


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_waiting_readiness_checks_of_one_network_keep_nobody_waiting(people, server, as_user, engine):
    """Anybody can send them, because they need no credential."""
    bob, website = people.employee("Bob"), people.project("Website")
    count = 2 * server.database.settings.request_permits
    with ThreadPoolExecutor(count) as elsewhere:
        with server.database.write_transaction() as session:
            session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
            url = f"{server.base_url}/health/ready"
            waiting = [elsewhere.submit(httpx.get, url, verify=TLS, timeout=30) for _ in range(count)]
            wait_until(lambda: count_waiting(server, engine) >= 1)
            of_bob = [as_user(bob).clock_in(website.id), as_user(bob).clock_out()]
        answers = [each.result() for each in waiting]

    assert [answer.status_code for answer in of_bob] == [200, 200]
    assert {answer.status_code for answer in answers} <= {200, 503}
