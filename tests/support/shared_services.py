"""Databases and services shared by tests, because starting new ones takes half the time of an ordinary test.

A shared database is emptied before each test. If a test changed the schema, its database and service are discarded, and
the next test gets new ones.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
from sqlalchemy.engine import URL, make_url

from app.core.database.session import Database
from tests.support.databases import POSTGRESQL, SQLITE, empty_sqlite, fresh_database, settings_for
from tests.support.in_process_server import Server, run_server
from tests.support.server_process import Backend

LOCK_TIMEOUT_SECONDS = 5
FIRST_NORMAL_ID = 16_384
"""PostgreSQL's FirstNormalObjectId: the smallest id of an object that a user created."""
# Fingerprint of a schema without statistics: each row of the catalog with the transaction that wrote it. Of a trigger
# only its name and state can be altered, and many tests disable triggers and enable them again. Objects of PostgreSQL
# itself have lower ids and nearly all rows of the catalogs, so indexes find the others.
_SCHEMA = f"""
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT 'namespace' || oid || ':' || xmin AS line FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'class' || oid || ':' || xmin FROM pg_class WHERE oid >= {FIRST_NORMAL_ID}
    UNION ALL SELECT 'column' || attrelid || '.' || attnum || ':' || xmin FROM pg_attribute
        WHERE attrelid >= {FIRST_NORMAL_ID}
    UNION ALL SELECT 'constraint' || oid || ':' || xmin FROM pg_constraint WHERE oid >= {FIRST_NORMAL_ID}
    UNION ALL SELECT 'routine' || oid || ':' || xmin FROM pg_proc WHERE oid >= {FIRST_NORMAL_ID}
    UNION ALL SELECT 'trigger' || oid || ':' || tgname || ':' || tgenabled::text FROM pg_trigger
    UNION ALL SELECT 'setting' || setrole || ':' || xmin FROM pg_db_role_setting
) AS lines
"""
_ENABLE_TRIGGERS = "ALTER TABLE audit_event ENABLE TRIGGER ALL; ALTER TABLE audit_chain ENABLE TRIGGER ALL"


class _PostgreSQL:
    """A migrated PostgreSQL database that can be emptied.

    It keeps its connection between tests, because a new one takes four times as long as all statements together.
    """

    def __init__(self, url: URL) -> None:
        self._connection = _connect(url)
        with self._connection.cursor() as cursor:
            self._statements = _reset_statements(cursor)
            self._schema = _schema(cursor)

    def empty(self) -> bool:
        """Empty all tables and enable the triggers. Returns False if that fails or the schema has changed otherwise."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._statements)
                if _schema(cursor) == self._schema:
                    return True
                cursor.execute(_ENABLE_TRIGGERS)
                return _schema(cursor) == self._schema
        except psycopg2.Error:
            return False

    def close(self) -> None:
        self._connection.close()


class SharedDatabase:
    """One migrated database of an engine, shared by all tests of a process that do not change its schema."""

    def __init__(self, engine: str, folder: Path, server: URL, templates: Path) -> None:
        self._create = lambda: fresh_database(engine, folder, server, templates)
        self._empty_sqlite = lambda: empty_sqlite(self.url, templates)
        self._engine = engine
        self._resources = ExitStack()
        self._empty: Callable[[], bool] | None = None
        self._database: Database | None = None
        self.url = ""

    def reset(self) -> str:
        """Return the DB_URL of an empty database: the previous one, or a new one if that was discarded."""
        if self._database is not None and self._engine == SQLITE:
            self._database.close()  # its connections would not see that triggers were dropped and created again
        if self._empty is not None and self._empty():
            return self.url
        self.close()
        self.url = self._resources.enter_context(self._create())
        self._empty = self._empty_sqlite
        if self._engine == POSTGRESQL:
            self._empty = self._resources.enter_context(closing(_PostgreSQL(make_url(self.url)))).empty
        return self.url

    def open(self) -> Database:
        """Return the database as the services see it. Its connections are kept between tests."""
        if self._database is None:
            self._database = self._resources.enter_context(closing(Database(settings_for(self.url))))
        return self._database

    def close(self) -> None:
        self._empty = self._database = None
        self._resources.close()


class SharedServer:
    """An in-process service on a shared database."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database
        self._resources = ExitStack()
        self._server: Server | None = None

    def reset(self) -> str:
        """Return the DB_URL of the service, with an empty database."""
        before, url = self._database.url, self._database.reset()
        if self._server is None or url != before:
            self._resources.close()
            self._server = self._resources.enter_context(run_server(settings_for(url)))
        return url

    def server_for(self, db_url: str) -> Server | None:
        """Return the service if it runs on this database."""
        return self._server if db_url == self._database.url else None

    def close(self) -> None:
        """Stop the service. The next request for it starts a new one."""
        self._server = None
        self._resources.close()
        self._database.close()


class SharedServices:
    """A service with two worker processes for each engine, started on first use."""

    def __init__(self, database_of: Callable[[str], SharedDatabase]) -> None:
        self._database_of = database_of
        self._databases: dict[str, SharedDatabase] = {}
        self._services: dict[str, tuple[str, Backend]] = {}

    def reset(self, engine: str) -> str:
        """Return the DB_URL of the engine's service, with an empty database.

        The service keeps running, as after a restore.
        """
        if engine not in self._databases:
            self._databases[engine] = self._database_of(engine)
        url = self._databases[engine].reset()
        if engine in self._services and self._services[engine][0] != url:
            self._services.pop(engine)[1].stop()
        return url

    def service(self, engine: str, folder: Path) -> Backend:
        """Return the running service on the database of the last `reset`."""
        if engine not in self._services:
            url = self._databases[engine].url
            self._services[engine] = (url, Backend(url, folder, workers=2))
        return self._services[engine][1]

    def close(self) -> None:
        for _, backend in self._services.values():
            backend.stop()
        for database in self._databases.values():
            database.close()


def _connect(url: URL) -> Connection:
    connection = psycopg2.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        dbname=url.database,
        options=f"-c lock_timeout={LOCK_TIMEOUT_SECONDS}s",
    )
    connection.autocommit = True
    return connection


def _schema(cursor: "psycopg2.extensions.cursor") -> str:
    cursor.execute(_SCHEMA)
    (digest,) = cursor.fetchone() or ("",)
    return str(digest)


def _reset_statements(cursor: "psycopg2.extensions.cursor") -> bytes:
    """Return the statements that reset the tables to the rows of a fresh database.

    They run without triggers, because the audit log's triggers reject deletes and those of foreign keys need an order.
    """
    parts = [b"SET session_replication_role = replica"]
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in cursor.fetchall():
        parts.append(f'DELETE FROM "{table}"'.encode())
        cursor.execute(f'SELECT * FROM "{table}"')
        for row in cursor.fetchall():
            placeholders = ", ".join(["%s"] * len(row))
            parts.append(cursor.mogrify(f'INSERT INTO "{table}" VALUES ({placeholders})', row))
    cursor.execute("SELECT schemaname, sequencename, start_value FROM pg_sequences")
    for schema, name, start in cursor.fetchall():
        parts.append(cursor.mogrify("SELECT setval(%s, %s, false)", (f'{schema}."{name}"', start)))
    parts.append(b"SET session_replication_role = DEFAULT")
    return b"; ".join(parts)
