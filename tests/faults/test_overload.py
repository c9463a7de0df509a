"""A hanging database: requests get 503 with Retry-After, and the service recovers without a restart (threats F6)."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import text

from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import SQLITE

PUNCHES = 12


@contextmanager
def _lock_everything(database) -> Iterator[None]:
    """Hold the locks that every punch needs: SQLite's write lock, or the rows of all users on PostgreSQL."""
    with database.write_transaction() as session:
        session.execute(text(f'SELECT id FROM "user"{"" if database.settings.is_sqlite else " FOR UPDATE"}'))
        yield


def test_a_hanging_database_turns_punches_away_with_retry_after_and_then_heals(people, server, engine, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    header = {"Authorization": f"Bearer {server.token(ana)}"}
    body = {"project_id": website.id, "description": ""}
    me = as_user(ana)
    punch = Call("POST", f"{server.base_url}/api/v1/time-entries/clock-in", header, body)

    with ThreadPoolExecutor(1) as elsewhere, _lock_everything(server.database):
        calls = elsewhere.submit(send_simultaneously, [punch] * PUNCHES)
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
