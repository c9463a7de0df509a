"""Comparison of rows with the B-tree indexes of the service's tables, by the extension amcheck."""

from collections.abc import Set

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.core.database.postgresql.catalog import OWN_TABLES

CORRUPTED_SQLSTATES = frozenset({"XX001", "XX002"})
"""data_corrupted, for a row that is missing from an index, and index_corrupted."""
_CHECKS = f"""
    {OWN_TABLES}
    SELECT indexrelid, concat(quote_ident(nspname), '.bt_index_check') FROM ours JOIN pg_index ON indrelid = ours.oid
    JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
    CROSS JOIN pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    JOIN pg_proc ON pronamespace = extnamespace AND proname = 'bt_index_check' AND pronargs = 2
    WHERE extname = 'amcheck' AND has_function_privilege(pg_proc.oid, 'EXECUTE')
    AND relkind = 'i' AND amname = 'btree' AND indisvalid AND NOT indcheckxmin ORDER BY relname
"""  # noqa: S608 - built from constants


def find_index_damage(connection: Connection, tables: Set[str]) -> list[str]:
    """Return one sentence for each index that lacks a row or is damaged.

    Empty without amcheck, or without the right to call it. An index is left out if an older transaction could not use
    it yet. The check blocks no reads and no writes.
    """
    damage = []
    for index, function in connection.exec_driver_sql(_CHECKS, {"tables": list(tables)}).all():
        try:
            with connection.begin_nested():
                connection.execute(text(f"SELECT {function}(:index, true)"), {"index": index})
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in CORRUPTED_SQLSTATES:
                raise
            damage.append(f"{str(error.orig).splitlines()[0]}.")
    return damage
