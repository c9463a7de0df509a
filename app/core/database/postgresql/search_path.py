"""The schemas that PostgreSQL searches for names without a schema, and settings of roles that change them."""

from collections.abc import Set

from sqlalchemy import Connection, text

_HIDDEN_TABLES = text("""
    SELECT name, concat(nspname, '.', relname) FROM unnest(CAST(:names AS text[])) AS name
    JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name))
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind NOT IN ('r', 'p') OR relnamespace <> (
        SELECT relnamespace FROM pg_class WHERE oid = to_regclass('audit_event'))
    ORDER BY name
""")
ROLE_SETTINGS = """
    servants AS (
        SELECT oid, rolname FROM pg_roles WHERE rolname = current_user OR rolcanlogin AND NOT rolsuper AND EXISTS (
            SELECT FROM ours WHERE root = 'audit_event' AND has_table_privilege(pg_roles.oid, ours.oid, 'INSERT'))
    ),
    settings (name, role, value) AS (
        SELECT split_part(line, '=', 1), rolname, substr(line, strpos(line, '=') + 1)
        FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS line LEFT JOIN servants ON servants.oid = setrole
        WHERE (setrole = 0 OR rolname IS NOT NULL)
        AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    ),
    searched (role, value, position, schema) AS (
        SELECT role, value, position, CASE btrim(item, ' "')
            WHEN '$user' THEN CASE coalesce(role, current_user) WHEN current_schema() THEN current_schema() END
            ELSE btrim(item, ' "') END
        FROM settings CROSS JOIN unnest(string_to_array(value, ',')) WITH ORDINALITY AS items (item, position)
        WHERE name = 'search_path'
    ),
    foreign_settings (name, role) AS (
        SELECT name, role FROM settings WHERE name = 'session_replication_role' AND value <> 'origin'
            OR name = 'synchronous_commit' AND lower(value) IN ('off', 'false', 'no', '0')
        UNION ALL SELECT name, 'this connection' FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off'
            AND source NOT LIKE '%%user' AND source <> 'database'
        UNION ALL SELECT 'search_path', role FROM searched JOIN pg_namespace ON nspname = schema
        GROUP BY role, value
        HAVING min(position) FILTER (WHERE schema <> 'pg_catalog') IS DISTINCT FROM
            min(position) FILTER (WHERE schema = current_schema())
            OR bool_or(schema = 'pg_catalog' AND position > 1)
    )
"""
"""WITH clauses that need `ours`: `servants`, the roles that may serve, and `foreign_settings` of them or of all roles.

A search path is foreign if a schema that exists is searched before that of the tables. `"$user"` does not count: only a
relation in the schema of that name could hide a table. Superusers do not count, because they may have a path for their
own work.
"""


def find_hidden_tables(connection: Connection, tables: Set[str]) -> list[str]:
    """Return one sentence for each name that means a view, or a table in another schema than the audit log's."""
    rows = connection.execute(_HIDDEN_TABLES, {"names": list(tables)})
    return [f"The name {name} means {relation}." for name, relation in rows]
