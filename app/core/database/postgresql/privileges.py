"""The privileges of the service's database role, and the check that its transactions may write."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

READ_ONLY = "25006"
"""The SQLSTATE of a write in a read-only transaction."""
OPERATOR_ERRORS = {"42501": "database_privilege_missing", READ_ONLY: "database_read_only"}
"""SQLSTATEs of statements that the role may not run until an operator changes that, and their log events."""
_CHECK_WRITABLE = f"""
DO $$ BEGIN
    IF pg_is_in_recovery() THEN
        RAISE SQLSTATE '{READ_ONLY}' USING MESSAGE = 'this server is a standby, which is read-only';
    ELSIF CAST(current_setting('default_transaction_read_only') AS boolean) THEN
        RAISE SQLSTATE '{READ_ONLY}' USING MESSAGE = 'default_transaction_read_only is on, set by: '
            || (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only');
    END IF;
END $$
"""  # noqa: S608 - built from a constant
# CASE, because the planner may otherwise ask for the privilege on a relation that is no sequence, which is an error.
_MISSING = text("""
WITH required AS (
    SELECT to_regclass(quote_ident(name)) AS oid, name, privilege
    FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS pair (name, privilege)
)
SELECT privilege || ' on ' || name FROM required WHERE NOT has_table_privilege(oid, privilege)
UNION
SELECT 'USAGE on ' || sequence.relname
FROM pg_depend JOIN pg_class AS sequence ON sequence.oid = pg_depend.objid
WHERE pg_depend.classid = CAST('pg_class' AS regclass) AND pg_depend.deptype IN ('a', 'i')
    AND pg_depend.refobjid IN (SELECT oid FROM required)
    AND CASE WHEN sequence.relkind = 'S' THEN NOT has_sequence_privilege(sequence.oid, 'USAGE') END
ORDER BY 1
""")


def find_missing_privileges(connection: Connection, required: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the privileges on these tables and their sequences that the role lacks, as `INSERT on time_entry`.

    A table that does not exist is left out, because the check of the schema's revision reports it.
    """
    pairs = [(table, privilege) for table, privileges in required.items() for privilege in privileges]
    names, privileges = map(list, zip(*pairs, strict=True))
    return list(connection.execute(_MISSING, {"names": names, "privileges": privileges}).scalars())


def check_writable(connection: Connection) -> None:
    """Raise DBAPIError with READ_ONLY and the cause if write transactions of this connection would be read-only.

    It is also called in a read-only transaction, whose own mode does not count. The server raises the error, so that
    all pooled connections are replaced: a setting of the role or the database applies from the next connection on.
    """
    connection.exec_driver_sql(_CHECK_WRITABLE)
