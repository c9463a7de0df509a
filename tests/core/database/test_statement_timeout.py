"""The timeout of statements on SQLite, which has none of its own. On PostgreSQL the server enforces it."""

import time
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.database.session import Database
from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import SQLITE, settings_for
from tests.support.in_process_server import run_server

pytestmark = pytest.mark.parametrize("engine", [SQLITE])
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"
MANY_ENTRIES = """
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO time_entry (user_id, project_id, start_time, end_time, description, time_zone, needs_review, version,
        created_at, updated_at)
    SELECT :user_id, :project_id, 1200000000 + i * 60, 1200000030 + i * 60, :description, 'UTC', false, 1, 0, 0 FROM n
"""


@pytest.fixture
def hurried(db_url):
    """The database with a timeout of one second."""
    with closing(Database(settings_for(db_url, DB_STATEMENT_TIMEOUT_SECONDS=1))) as database:
        yield database


@pytest.mark.parametrize("expression", ["max(i)", "i"])
def test_a_statement_ends_after_its_timeout_and_the_connection_is_used_again(hurried, expression):
    started_at = time.monotonic()

    with pytest.raises(OperationalError, match="interrupted"), hurried.read_transaction() as session:
        session.execute(text(ENDLESS.format(expression))).all()

    assert time.monotonic() - started_at < 5
    with hurried.write_transaction() as session:
        session.execute(text("INSERT INTO time_zone (name) VALUES ('Asia/Tokyo')"))
    with hurried.read_transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM time_zone WHERE name = 'Asia/Tokyo'")) == 1


def test_a_longer_timeout_holds_until_the_end_of_its_transaction(hurried):
    counted = text(ENDLESS.format("i") + " LIMIT 1 OFFSET 10000000")

    with hurried.read_transaction() as session:
        session.set_statement_timeout(60)
        assert session.scalar(counted) == 10_000_000
    with pytest.raises(OperationalError, match="interrupted"), hurried.read_transaction() as session:
        session.execute(text(ENDLESS.format("max(i)")))


def test_a_search_that_takes_too_long_is_503(people, database, db_url):
    ana, website = people.employee("Ana"), people.project("Website")
    values = {"user_id": ana.id, "project_id": website.id, "description": "\u0344" * 2000}
    with database.write_transaction() as session:
        session.execute(text(MANY_ENTRIES), values)

    with run_server(settings_for(db_url, DB_STATEMENT_TIMEOUT_SECONDS=1)) as server:
        header = {"Authorization": f"Bearer {server.token(ana)}"}
        search = Call("GET", f"{server.base_url}/api/v1/time-entries", header, params={"search": "zeta"})
        punch = Call("POST", f"{server.base_url}/api/v1/time-entries/clock-in", header, {"project_id": website.id})
        started_at = time.monotonic()
        (searched,) = send_simultaneously([search])

        assert (searched.status_code, searched.json()["code"]) == (503, "database_unavailable")
        assert time.monotonic() - started_at < 5
        assert [response.status_code for response in send_simultaneously([punch])] == [200]
