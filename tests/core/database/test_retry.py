"""Retries of transactions that PostgreSQL rolled back. A transaction that may be committed is not retried."""

import threading
import time

import pytest
from sqlalchemy import select, text

from app.models.tables import ENTRY
from tests.support.databases import POSTGRESQL

DEADLINE_SECONDS = 10
pytestmark = pytest.mark.parametrize("engine", [POSTGRESQL])
SERIALISATION_FAILURES = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') <= {} THEN RAISE EXCEPTION 'could not serialize' USING ERRCODE = 'serialization_failure'; END IF;
  RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON time_entry DEFERRABLE INITIALLY {} FOR EACH ROW
EXECUTE FUNCTION fail_at_first();
"""


@pytest.mark.parametrize("at", ["IMMEDIATE", "DEFERRED"], ids=["at its statement", "at its commit"])
def test_a_punch_that_failed_to_serialise_three_times_is_done_at_the_fourth(people, server, as_user, engine, at):
    ana, website = people.employee("Ana"), people.project("Website")
    run(server.database, SERIALISATION_FAILURES.format(3, at))

    done = as_user(ana).clock_in(website.id)

    assert done.status_code == 200
    assert entries_of(server.database) == [done.json()["id"]]


def test_a_punch_that_fails_for_ever_is_refused_after_the_fourth_try(people, server, as_user, engine):
    ana, website = people.employee("Ana"), people.project("Website")
    run(server.database, SERIALISATION_FAILURES.format(1000, "IMMEDIATE"))

    with server.caller(server.token(ana)) as me:
        me.event_hooks = {}
        response = me.clock_in(website.id)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    with server.database.read_transaction() as session:
        assert session.execute(text("SELECT last_value FROM tries")).scalar_one() == 4
    assert entries_of(server.database) == []


def test_a_punch_that_lost_a_deadlock_is_done_after_the_winner(people, server, as_user, engine):
    """An operator's transaction locks the project and then Ana, against our order. One of the two must be aborted."""
    ana, website = people.employee("Ana"), people.project("Website")
    run(server.database, f"ALTER DATABASE \"{server.database.engine.url.database}\" SET deadlock_timeout = '100ms'")
    server.app.state.runtime.database.engine.dispose()
    responses = []
    punch = threading.Thread(target=lambda: responses.append(as_user(ana).clock_in(website.id)))

    with server.database.write_transaction() as session:
        session.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # PostgreSQL aborts Ana's punch
        session.execute(text("SELECT id FROM project WHERE id = :id FOR UPDATE"), {"id": website.id})
        punch.start()
        wait_for_lock_waiter(server.database)
        session.execute(text('SELECT id FROM "user" WHERE id = :id FOR UPDATE'), {"id": ana.id})
    punch.join()

    assert [response.status_code for response in responses] == [200]
    assert entries_of(server.database) == [responses[0].json()["id"]]


def test_a_read_whose_connection_breaks_is_answered_on_another(people, server, as_user, engine):
    ana, website = people.employee("Ana"), people.project("Website")
    done = as_user(ana).clock_in(website.id)
    responses = []
    read = threading.Thread(target=lambda: responses.append(as_user(ana).get("/time-entries/current")))

    with server.database.write_transaction() as session:
        session.execute(text("LOCK TABLE time_entry IN ACCESS EXCLUSIVE MODE"))
        read.start()
        wait_for_lock_waiter(server.database)
        run(server.database, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        wait_for_lock_waiter(server.database)
    read.join()

    assert [response.json()["id"] for response in responses] == [done.json()["id"]]


def run(database, *statements):
    with database.write_transaction() as session:
        for statement in statements:
            session.connection().exec_driver_sql(statement)


def entries_of(database):
    with database.read_transaction() as session:
        return list(session.execute(select(ENTRY.c.id)).scalars())


def wait_for_lock_waiter(database):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with database.read_transaction() as session:
            if session.execute(waiting).scalar_one():
                return
    raise AssertionError("No transaction waits for a lock.")
