"""What is ours in a schema of PostgreSQL's: tables, their parts, functions. Others may keep theirs beside it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

_SCHEMA = "quote_ident(current_schema())::regnamespace"
_OF_AN_EXTENSION = "EXISTS (SELECT FROM pg_depend WHERE classid = {0}::regclass AND objid = oid AND deptype = 'e')"
_OURS = f"""
    WITH RECURSIVE ours AS (
        SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = {_SCHEMA} AND relname = ANY(%(tables)s)
        UNION SELECT inhrelid FROM pg_inherits JOIN ours ON inhparent = oid
    )
"""  # noqa: S608 - nobody's words but ours, here and below
"""Our tables, and their parts where they have some."""
_CLEAR = f"""
    {_OURS} SELECT 'DROP TABLE ' || string_agg(oid::regclass::text, ', ') FROM ours HAVING count(*) > 0
    UNION ALL
    SELECT 'DROP ROUTINE ' || string_agg(oid::regprocedure::text, ', ') FROM pg_proc
    WHERE pronamespace = {_SCHEMA} AND proname = ANY(%(functions)s) HAVING count(*) > 0
"""  # noqa: S608
_TABLES = f"{_OURS} SELECT count(*) FROM ours JOIN pg_class USING (oid) WHERE relkind = 'r'"  # noqa: S608
_STRANGE_RELATIONS = f"""
    {_OURS} SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relnamespace = {_SCHEMA}
    AND oid NOT IN (SELECT oid FROM ours) AND NOT {_OF_AN_EXTENSION.format("'pg_class'")}
    AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')
        AND refclassid = 'pg_class'::regclass AND refobjid IN (SELECT oid FROM ours)
    ) ORDER BY relname
"""  # noqa: S608
_STRANGE_ROUTINES = f"""
    SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = {_SCHEMA}
    AND proname <> ALL(%(functions)s) AND NOT {_OF_AN_EXTENSION.format("'pg_proc'")} ORDER BY 1
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Ours:
    """What is the service's in a schema, by name. A dump has that, and a restore takes that away: no more."""

    tables: frozenset[str]
    functions: frozenset[str]

    def clearing(self, connection: Connection) -> list[str]:
        """The statements that take it away. What is somebody else's and hangs on it is in their way, and stays."""
        return self._ask(connection, _CLEAR)

    def tables_with_rows(self, connection: Connection) -> int:
        """How many tables there are that have rows of their own: the parts of one, not the whole."""
        return int(self._ask(connection, _TABLES)[0])

    def strange_relations(self, connection: Connection) -> list[str]:
        """Tables, views and sequences that are neither ours nor an extension's."""
        return self._ask(connection, _STRANGE_RELATIONS)

    def strange_routines(self, connection: Connection) -> list[str]:
        """Functions and the like that are neither ours nor an extension's."""
        return self._ask(connection, _STRANGE_ROUTINES)

    def _ask(self, connection: Connection, query: str) -> list[Any]:
        names = {"tables": list(self.tables), "functions": list(self.functions)}
        return list(connection.exec_driver_sql(query, names).scalars())
