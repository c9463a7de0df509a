"""Fewer round trips on PostgreSQL (decision 12) keep transactions atomic, connections alive and plans correct."""

from contextlib import closing, suppress
from functools import partial

import psycopg2
import pytest
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.database.execution_options import PREPARE
from app.core.database.postgresql.call_timeout import ConnectionWatchdog
from app.core.database.postgresql.connection import BatchingConnection
from app.models.tables import TIME_ZONE
from tests.support.databases import POSTGRESQL
from tests.support.postgresql import execute

ADD = insert(TIME_ZONE)
NAMES = select(TIME_ZONE.c.name)
NAMED = NAMES.where(TIME_ZONE.c.name == bindparam("name")).execution_options(**{PREPARE: True})
CONNECTIONS = 6

pytestmark = pytest.mark.parametrize("engine", [POSTGRESQL])


class Pooled(BatchingConnection):
    """A connection through a pooler, which reports a process id that no backend has."""

    def get_backend_pid(self):
        return 0


def zones(database):
    with database.read_transaction() as session:
        return set(session.execute(NAMES).scalars())


def test_what_an_error_undid_is_never_committed_in_silence(database):
    """Threats F3: PostgreSQL reports no error for a COMMIT of an aborted transaction."""
    with pytest.raises(DBAPIError), database.write_transaction() as session:
        session.execute(ADD, {"name": "first"})
        with suppress(DBAPIError):
            session.execute(text("SELECT 1 / 0"))

    assert zones(database) == set()


def test_a_refused_commit_leaves_no_transaction_open(database):
    for _ in range(CONNECTIONS):
        with pytest.raises(IntegrityError), database.write_transaction() as session:
            session.execute_later(ADD, {"name": "twice"})
            session.execute(text("SELECT 1"))
            session.execute_later(ADD, {"name": "twice"})

    with database.read_transaction() as session:
        others = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert set(session.execute(text(others)).scalars()) <= {"idle"}


def test_nothing_is_written_outside_of_a_transaction(database):
    """BEGIN is lost with a statement that was never sent. Code that catches its error and continues is stopped."""
    with pytest.raises(DBAPIError, match="never began"), database.write_transaction() as session:
        with suppress(DBAPIError):
            session.execute(text("SELECT count(*) FROM nowhere; SELECT ("))
        session.execute(ADD, {"name": "outside"})

    assert zones(database) == set()


def test_connections_that_the_server_ended_are_replaced_unnoticed(database, postgresql_server):
    """Threats F5: no read fails, although the connections were used a moment ago."""
    with database.read_transaction() as one, database.read_transaction() as another:
        for session in (one, another):
            session.execute(NAMES).all()
    here = database.engine.url.database
    execute(postgresql_server, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{here}'")

    assert [zones(database) for _ in range(CONNECTIONS)] == [set()] * CONNECTIONS


def test_a_plan_is_made_once_and_asks_again_each_time(database):
    database.engine.dispose()  # other tests have prepared statements on its connections
    with database.write_transaction() as session:
        before = session.execute(NAMED, {"name": "100%"}).all()
        session.execute(ADD, {"name": "100%"})
        after = session.execute(NAMED, {"name": "100%"}).scalars().all()
        plans = session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar()

    assert (before, after, plans) == ([], ["100%"], 1)


def test_a_statement_that_failed_before_it_was_prepared_is_prepared_the_next_time(database):
    """It is prepared in the message that executes it, so an earlier error in that message skips it."""
    database.engine.dispose()
    with database.write_transaction() as session:
        session.execute_later(ADD, {"name": "UTC"})
    with pytest.raises(IntegrityError), database.write_transaction() as session:
        session.execute_later(ADD, {"name": "UTC"})
        session.execute(NAMED, {"name": "UTC"}).all()

    with database.read_transaction() as session:
        assert session.execute(NAMED, {"name": "UTC"}).scalars().all() == ["UTC"]


@pytest.mark.parametrize("change", ["ALTER TABLE time_zone ALTER name TYPE varchar(99)", "DEALLOCATE ALL"])
def test_a_plan_that_is_wrong_now_is_refused_once_and_then_made_anew(database, change):
    database.engine.dispose()  # else the second transaction may get a connection without the plan
    with database.write_transaction() as session:
        session.execute(NAMED, {"name": "UTC"}).all()
        session.execute(text(change))

    with pytest.raises(DBAPIError) as error, database.read_transaction() as session:
        session.execute(NAMED, {"name": "UTC"}).all()
    with database.read_transaction() as session:
        repeated = session.execute(NAMED, {"name": "UTC"}).all()

    assert (error.value.connection_invalidated, repeated) == (True, [])


def test_nothing_is_planned_ahead_behind_a_pooler(database, db_url):
    statement, url = "SELECT name FROM time_zone WHERE name = %(name)s", make_url(db_url)
    address = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}

    watchdog = ConnectionWatchdog(lambda _: None)
    with closing(psycopg2.connect(**address, connection_factory=partial(Pooled, watchdog))) as pooled:
        assert pooled.prepare(statement, ["name"]) == statement
    with closing(psycopg2.connect(**address, connection_factory=partial(BatchingConnection, watchdog))) as direct:
        assert direct.prepare(statement, ["name"]).startswith("PREPARE ")
    watchdog.stop()
