"""The query for what can change or hide rows of the service's tables, on PostgreSQL."""

from app.core.database.postgresql.catalog import OWN_TABLES
from app.core.database.postgresql.search_path import ROLE_SETTINGS
from app.core.database.postgresql.table_definitions import TABLE_DEFINITIONS

_STORAGE_PARAMETERS = r" WITH \([a-z_]+=[^)]*\)"
_GUARDS = rf"""
    leaves AS (SELECT ours.oid, root FROM ours JOIN pg_class USING (oid) WHERE relkind = 'r'),
    guards (kind, leaf, definition) AS (
        SELECT 'exclusion constraint', conrelid, pg_get_constraintdef(pg_constraint.oid)
        FROM pg_constraint JOIN pg_index ON indexrelid = conindid WHERE contype = 'x' AND convalidated AND indisvalid
        UNION ALL SELECT 'partial unique index', indrelid,
            regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', '')
        FROM pg_index WHERE indisunique AND indisvalid AND indpred IS NOT NULL
    ),
    guards_of_leaves (kind, root, definition) AS (
        SELECT kinds.kind, root,
            string_agg(regexp_replace(definition, '{_STORAGE_PARAMETERS}', ''), ' ' ORDER BY definition)
        FROM leaves CROSS JOIN (SELECT DISTINCT kind FROM guards) AS kinds
        LEFT JOIN guards ON guards.kind = kinds.kind AND leaf = leaves.oid GROUP BY kinds.kind, root, leaves.oid
    )
"""  # noqa: S608 - built from constants
"""The definitions of each leaf partition, without names and storage parameters. NULL if a leaf has none."""
_CODE = """
    code (kind, name, root, class, oid) AS (
        SELECT 'constraint', conname, root, 'pg_constraint'::regclass, pg_constraint.oid
        FROM ours JOIN pg_constraint ON conrelid = ours.oid
        UNION ALL SELECT 'default', attname, root, 'pg_attrdef'::regclass, pg_attrdef.oid
        FROM ours JOIN pg_attrdef ON adrelid = ours.oid JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        UNION ALL SELECT 'index', relname, root, 'pg_class'::regclass, indexrelid
        FROM ours JOIN pg_index ON indrelid = ours.oid JOIN pg_class ON pg_class.oid = indexrelid
        UNION ALL SELECT 'statistics', stxname, root, 'pg_statistic_ext'::regclass, pg_statistic_ext.oid
        FROM ours JOIN pg_statistic_ext ON stxrelid = ours.oid
    )
"""
"""What runs functions when a row is written, or when the table is analyzed."""
_OVERLOADS = """
    overloads (kind, name, class, oid) AS (
        SELECT 'function', concat(nspname, '.', proname, '(', pg_get_function_identity_arguments(pg_proc.oid), ')'),
            'pg_proc'::regclass, pg_proc.oid
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE nspname = ANY(current_schemas(true)) AND proname IN (SELECT proname FROM pg_proc WHERE oid < 16384)
        UNION ALL SELECT 'operator', concat(nspname, '.', oprname, '(',
            concat_ws(', ', format_type(nullif(oprleft, 0), NULL), format_type(nullif(oprright, 0), NULL)), ')'),
            'pg_operator'::regclass, pg_operator.oid
        FROM pg_operator JOIN pg_namespace ON pg_namespace.oid = oprnamespace
        WHERE nspname = ANY(current_schemas(true)) AND oprname IN (SELECT oprname FROM pg_operator WHERE oid < 16384)
        UNION ALL SELECT 'cast', concat('from ', format_type(castsource, NULL), ' to ', format_type(casttarget, NULL)),
            'pg_cast'::regclass, oid
        FROM pg_cast WHERE castsource < 16384 AND casttarget < 16384
    )
"""
"""What has the name of a function or operator of the server, and casts between its types.

For arguments that fit better, or as well, PostgreSQL prefers it to the server's own.
"""
SCHEMA_OBJECTS = f"""
    {OWN_TABLES}, {_GUARDS}, {_CODE}, {_OVERLOADS}, {ROLE_SETTINGS}, {TABLE_DEFINITIONS},
    objects (kind, name, root, definition) AS (
        SELECT 'trigger', tgname, root,
            concat_ws(' ', tgtype, tgenabled, tgattr,
                substring(pg_get_triggerdef(pg_trigger.oid), ' WHEN (.*) EXECUTE '),
                prosrc, proconfig, prosecdef, lanname)
        FROM ours JOIN pg_trigger ON tgrelid = ours.oid JOIN pg_proc ON pg_proc.oid = tgfoid
        JOIN pg_language ON pg_language.oid = prolang
        WHERE NOT tgisinternal AND tgparentid = 0
        UNION ALL SELECT 'event trigger', evtname, evtevent, concat_ws(' ', evtenabled, prosrc)
        FROM pg_event_trigger JOIN pg_proc ON pg_proc.oid = evtfoid JOIN pg_language ON pg_language.oid = prolang
        WHERE evtenabled <> 'D' AND lanname NOT IN ('c', 'internal')
        UNION ALL SELECT 'rule', rulename, root, '' FROM ours JOIN pg_rewrite ON ev_class = ours.oid
        UNION ALL SELECT 'policy', polname, root, '' FROM ours JOIN pg_policy ON polrelid = ours.oid
        UNION ALL SELECT 'row security', '', root, '' FROM ours JOIN pg_class USING (oid) WHERE relrowsecurity
        UNION ALL SELECT kind, '', root, coalesce(definition, '') FROM guards_of_leaves
        WHERE (kind, root) IN (SELECT kind, root FROM guards_of_leaves WHERE definition IS NOT NULL)
        UNION ALL SELECT 'function in', concat_ws(' ', kind, name), root, '' FROM code WHERE EXISTS (
            SELECT FROM pg_depend WHERE classid = code.class AND objid = code.oid AND deptype = 'n'
            AND refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) AND refobjid >= 16384
            AND (kind NOT IN ('index', 'statistics') OR NOT EXISTS (
                SELECT FROM pg_depend AS member WHERE member.classid = pg_depend.refclassid
                AND member.objid = pg_depend.refobjid AND member.deptype = 'e')))
        UNION ALL SELECT kind, name, NULL, '' FROM overloads WHERE oid >= 16384 AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = overloads.class AND objid = overloads.oid AND deptype = 'e')
        UNION ALL SELECT 'setting', concat(name, ' of ', coalesce(role, 'all roles')), NULL, '' FROM foreign_settings
        UNION ALL SELECT 'relation', concat(nspname, '.', relname), NULL, ''
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace JOIN servants ON rolname = nspname
        WHERE relname = ANY(%(tables)s) AND nspname <> current_schema()
        UNION ALL SELECT * FROM definitions
    )
    SELECT concat_ws(' on ', concat_ws(' ', kind, nullif(name, '')), root),
        string_agg(DISTINCT left(encode(sha256(convert_to(definition, 'UTF8')), 'hex'), 32), ' ')
    FROM objects GROUP BY 1
"""  # noqa: S608 - built from constants
"""Triggers with digests of their conditions and functions, and what else can change or hide rows of the tables.

Two triggers of one name on partitions of a table have two digests if they differ. Event triggers belong to the whole
database. Those in C are left out, because only the owner of the machine can add one. Extensions such as pgaudit do.
16384 is the first oid after those of the server's own objects. Extensions may add functions, and an index may use them.
"""
