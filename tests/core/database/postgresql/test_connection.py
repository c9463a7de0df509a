"""PostgreSQL transactions with our own BEGIN and COMMIT (decision 12), also on connections that are dead."""

from contextlib import closing

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.database.postgresql.connection import CommitOutcomeUnknown
from app.core.database.postgresql.engine import is_retryable
from app.core.database.session import Database
from app.models.tables import TIME_ZONE
from tests.support.databases import ENGINES, POSTGRESQL, settings_for
from tests.support.postgresql import execute
from tests.support.processes import free_port

OTHERS = "FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"
only_postgresql = pytest.mark.parametrize("engine", [POSTGRESQL])


def use_all_connections(database):
    """Open every connection of the pool and return them to it."""
    connections = [database.engine.connect() for _ in range(database.engine.pool.size())]
    for connection in connections:
        connection.execute(text("SELECT 1"))
        connection.close()


def break_all_connections(database, server):
    """Terminate all idle connections, as a restart of the server does."""
    execute(server, "SELECT pg_terminate_backend(pid, 10000) " + OTHERS.format(database.engine.url.database))


@only_postgresql
def test_connections_that_the_server_ended_fail_no_read_and_no_write(database, postgresql_server, engine):
    use_all_connections(database)
    break_all_connections(database, postgresql_server)

    for number in range(database.engine.pool.size() + 1):
        with database.write_transaction() as session:
            session.execute(insert(TIME_ZONE).values(name=f"Zone {number}"))
        with database.read_transaction() as session:
            assert session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == f"Zone {number}")).scalar_one()


@only_postgresql
def test_what_an_operator_wants_to_see_of_each_statement_is_no_warning(database, engine):
    """PostgreSQL may send more notices because of settings of a role or database."""
    url = database.engine.url
    for setting in ("client_min_messages = 'log'", "log_duration = on"):
        execute(url, f'ALTER DATABASE "{url.database}" SET {setting}')
    database.engine.dispose()

    with database.write_transaction() as session:
        session.execute(insert(TIME_ZONE).values(name="Chatty"))

    with database.read_transaction() as session:
        assert session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "Chatty")).scalar_one()


@only_postgresql
def test_a_read_sees_one_snapshot_and_writes_nothing(database, engine):
    with database.read_transaction() as session:
        before = session.execute(select(TIME_ZONE.c.name)).scalars().all()
        with database.write_transaction() as other:
            other.execute(insert(TIME_ZONE).values(name="Meanwhile"))

        assert session.execute(select(TIME_ZONE.c.name)).scalars().all() == before
        with pytest.raises(DBAPIError, match="read-only"):
            session.execute(insert(TIME_ZONE).values(name="Mine"))


@only_postgresql
def test_each_transaction_has_its_limits_and_leaves_none_behind(database, engine):
    with database.write_transaction() as session:
        assert session.execute(text("SHOW lock_timeout")).scalar_one() == "5s"
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "7s"
    use_all_connections(database)

    with database.engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        with driver.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("0",)


@only_postgresql
def test_of_several_hosts_the_one_that_serves_is_found(db_url, engine):
    url = make_url(db_url)
    hosts = "&".join(f"host=127.0.0.1:{port}" for port in (free_port(), url.port))
    several = f"postgresql://{url.username}@/{url.database}?{hosts}&target_session_attrs=read-write"

    with closing(Database(settings_for(several))) as database:
        with database.write_transaction() as session:
            session.execute(insert(TIME_ZONE).values(name="Anywhere"))
        with database.read_transaction() as session:
            assert (
                session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "Anywhere")).scalar_one()
                == "Anywhere"
            )


@only_postgresql
def test_a_commit_whose_answer_has_a_warning_is_not_acknowledged(database, engine):
    """PostgreSQL warns so if the wait for a synchronous standby was canceled: the standby may lack the transaction."""
    with database.write_transaction() as session:
        session.connection().exec_driver_sql(WARN_AT_COMMIT)

    with (
        pytest.raises(DBAPIError, match="might not have been replicated") as error,
        database.write_transaction() as session,
    ):
        session.execute(insert(TIME_ZONE).values(name="Here only"))

    assert isinstance(error.value.orig, CommitOutcomeUnknown)
    assert not is_retryable(error.value)


WARN_AT_COMMIT = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE WARNING 'it might not have been replicated'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON time_zone DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION warn();
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_refused_statement_undoes_the_transaction(database, engine):
    with pytest.raises(IntegrityError), database.write_transaction() as session:
        session.execute(insert(TIME_ZONE).values(name="First"))
        session.execute(insert(TIME_ZONE).values(name="First"))

    for _ in range(database.engine.pool.size() + 1):
        with database.read_transaction() as session:
            assert session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "First")).all() == []


@only_postgresql
def test_an_undone_transaction_leaves_its_connection_as_it_was(database, engine):
    with database.engine.execution_options(writes=True).connect() as connection:
        connection.execute(insert(TIME_ZONE).values(name="Undone"))
        connection.rollback()
        assert connection.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "Undone")).all() == []
        connection.execute(insert(TIME_ZONE).values(name="Kept"))
        connection.commit()

    with database.read_transaction() as session:
        assert session.execute(select(TIME_ZONE.c.name).where(TIME_ZONE.c.name == "Kept")).scalar_one() == "Kept"
