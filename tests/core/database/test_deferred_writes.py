"""Deferred statements (decision 6) run in order, unchanged, and never in another transaction."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from app.core.database.migrations import migrate
from app.core.database.session import Database
from app.core.time.clock import utc_now
from app.models.tables import TIME_ZONE
from app.services.audit import recorder
from tests.support.audit_asserts import AuditLog
from tests.support.cli import empty_database
from tests.support.databases import POSTGRESQL, settings_for

ADD = insert(TIME_ZONE)
HOSTILE = [
    "100%",
    "%s %(name)s %%",
    "it's",
    'say "so"',
    "back\\slash",
    "a; DROP TABLE time_zone; --",
    ":name",
    "Zoë 漢字 🙂",
]


def zones(database):
    with database.read_transaction() as session:
        return set(session.execute(select(TIME_ZONE.c.name)).scalars())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_arrives_as_it_was_sent(database, name):
    with database.write_transaction() as session:
        session.execute_later(ADD, {"name": name})
    with database.write_transaction() as session:
        session.execute_later(ADD, {"name": f"{name}, again"})
        session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "%")).all()

    assert zones(database) >= {name, f"{name}, again"}


def test_the_next_statement_sees_what_was_written_before(database):
    with database.write_transaction() as session:
        session.execute_later(ADD, {"name": "first"})
        session.execute_later(ADD, {"name": "second"})

        seen = session.execute(select(TIME_ZONE.c.name).order_by(TIME_ZONE.c.name)).scalars().all()

    assert seen == ["first", "second"]


def test_so_does_a_statement_for_many_rows_and_one_that_streams(database):
    with database.write_transaction() as session:
        session.execute_later(ADD, {"name": "first"})
        session.execute(ADD, [{"name": "second"}, {"name": "third"}])
        session.execute_later(ADD, {"name": "fourth"})
        streamed = session.execute(select(TIME_ZONE.c.name), execution_options={"yield_per": 1}).scalars().all()

    assert sorted(streamed) == ["first", "fourth", "second", "third"]


def test_what_the_database_refuses_is_refused_at_the_commit(database):
    with pytest.raises(IntegrityError), database.write_transaction() as session:
        session.execute_later(ADD, {"name": "twice"})
        session.execute_later(ADD, {"name": "twice"})

    assert zones(database) == set()


def test_nothing_of_an_undone_transaction_travels_with_the_next(database):
    for _ in range(8):  # the size of the connection pool
        with pytest.raises(ZeroDivisionError), database.write_transaction() as session:
            session.execute_later(ADD, {"name": "undone"})
            1 / 0  # noqa: B018 - any error during a request

    for _ in range(8):
        with database.write_transaction() as session:
            session.execute(text("SELECT 1"))

    assert zones(database) == set()


def test_a_count_is_kept_where_the_refusal_is_recorded(anonymous, server):
    """A rejection with `is_audited` commits, including its deferred count, which the event takes over afterwards."""
    audit_log = AuditLog(server.database)

    anonymous.post("/auth/login", data={"username": "nobody@example.com", "password": "whatever it was"})
    server.wait_for_background()

    assert [event.action for event in audit_log.new_events()] == ["login:refuse"]


def test_two_events_of_one_transaction_follow_on_each_other(database):
    audit_log = AuditLog(database)

    with database.write_transaction() as session:
        for number in (1, 2):
            recorder.record(session, "project:create", at=utc_now(), actor_id=None, object_id=number)

    assert [(event.object_id, event.position) for event in audit_log.new_events()] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_database_in_another_encoding_gets_the_same_text(tmp_path, postgresql_server, engine):
    with empty_database(POSTGRESQL, tmp_path, postgresql_server, encoding="LATIN1") as url:
        database = Database(settings_for(url))
        migrate(database)

        with database.write_transaction() as session:
            session.execute_later(ADD, {"name": "Grüße aus dem Büro"})

        assert zones(database) == {"Grüße aus dem Büro"}
        database.close()
