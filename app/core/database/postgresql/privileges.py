"""The privileges of the service's database role."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

INSUFFICIENT_PRIVILEGE = "42501"
"""The SQLSTATE of a statement that the role may not run."""
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
