"""The ORM and statements on the Core connection (decision 52) are one transaction."""

import pytest
from sqlalchemy import event, func, insert, select

from app.core.database.session import Session
from app.models.tables import TIME_ZONE
from app.models.users import TimeZone

ADD = insert(TIME_ZONE)


def zones(database):
    with database.read_transaction() as session:
        return set(session.scalars(select(TIME_ZONE.c.name)))


def write_in_turn(session: Session) -> None:
    session.core.execute(ADD, {"name": "by Core"})
    session.add(TimeZone(name="by the ORM"))
    session.flush()
    session.core.execute(ADD, {"name": "by Core, later"})
    session.add(TimeZone(name="not flushed yet"))


def test_what_both_write_is_committed_together(database):
    with database.write_transaction() as session:
        write_in_turn(session)

    assert zones(database) == {"by Core", "by the ORM", "by Core, later", "not flushed yet"}


def test_an_error_rolls_both_back(database):
    with pytest.raises(ZeroDivisionError), database.write_transaction() as session:
        write_in_turn(session)
        1 / 0  # noqa: B018 - any error during a request

    assert zones(database) == set()


def test_each_sees_what_the_other_has_written(database):
    with database.write_transaction() as session:
        write_in_turn(session)

        assert session.core.scalar(select(func.count()).select_from(TIME_ZONE)) == 3
        assert session.scalar(select(func.count()).select_from(TimeZone)) == 4, "the ORM flushes first"


def test_a_rollback_in_the_middle_undoes_both(database):
    with database.write_transaction() as session:
        write_in_turn(session)
        session.rollback()
        session.execute(ADD, {"name": "afterwards"})

    assert zones(database) == {"afterwards"}


def test_a_transaction_that_only_used_core_is_undone_by_a_rollback(database):
    with database.write_transaction() as session:
        session.core.execute(ADD, {"name": "by Core"})
        session.rollback()

    assert zones(database) == set()


def test_a_savepoint_of_the_ORM_undoes_what_it_wrote_only(database):  # noqa: N802 - an abbreviation
    with database.write_transaction() as session:
        session.core.execute(ADD, {"name": "before"})
        with session.begin_nested() as savepoint:
            session.execute(ADD, {"name": "inside"})
            savepoint.rollback()
        session.core.execute(ADD, {"name": "after"})

    assert zones(database) == {"before", "after"}


def test_a_statement_may_also_be_queued_after_a_rollback(database):
    with database.write_transaction() as session:
        session.core.execute(ADD, {"name": "undone"})
        session.rollback()
        session.execute_later(ADD, {"name": "afterwards"})

    assert zones(database) == {"afterwards"}


def test_a_transaction_without_a_statement_takes_no_connection(database):
    connections = []
    event.listen(database.engine, "checkout", lambda *_: connections.append(1))

    with database.write_transaction():
        pass

    assert not connections
