"""The columns, constraints and unique keys of the service's tables, in PostgreSQL's catalog and in the models."""

import hashlib
from collections.abc import Iterator

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects.postgresql import dialect

TABLE_DEFINITIONS = r"""
    definitions (kind, name, root, definition) AS (
        SELECT 'column', attname, root, concat_ws(' ', replace(format_type(atttypid, atttypmod), 'bigint', 'integer'),
            CASE WHEN attnotnull THEN 'not null' END, nullif(attidentity, ''), nullif(attgenerated, ''),
            CASE WHEN NOT collisdeterministic THEN 'collate ' || collname END,
            regexp_replace(pg_get_expr(adbin, adrelid), '^nextval\(.*', 'nextval'))
        FROM ours JOIN pg_class USING (oid) JOIN pg_attribute ON attrelid = pg_class.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attnum > 0 AND NOT attisdropped AND relname = root
        UNION ALL SELECT 'constraint', conname, root, pg_get_constraintdef(pg_constraint.oid)
        FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype IN ('c', 'f') AND conparentid = 0
        UNION ALL SELECT 'constraint', coalesce(parent.conname, pg_constraint.conname), root, 'disabled'
        FROM pg_trigger JOIN pg_constraint ON pg_constraint.oid = tgconstraint
        JOIN ours ON ours.oid = pg_constraint.conrelid
        LEFT JOIN pg_constraint AS parent ON parent.oid = pg_constraint.conparentid
        WHERE tgisinternal AND tgenabled <> 'O'
        UNION ALL SELECT 'unique key', substring(pg_get_indexdef(indexrelid) FROM '\(.*\)'), root, ''
        FROM ours JOIN pg_index ON indrelid = ours.oid WHERE indisunique AND indisvalid AND indpred IS NULL
        UNION ALL SELECT 'unlogged storage', '', root, ''
        FROM ours JOIN pg_class USING (oid) WHERE relpersistence <> 'p'
    )
"""
"""A WITH clause that needs `ours`. Types of whole numbers are one type, because partitioned tables have larger ids."""
_DIALECT = dialect()  # type: ignore[no-untyped-call]
_PARTITIONED_TABLES = frozenset({"time_entry", "audit_event"})
"""Tables that have other unique keys if they are partitioned (deploy/scaling).

On audit events, a trigger has the same effect.
"""


def digest_of(definition: str) -> str:
    """Return the digest of a definition, which the query of the schema computes too."""
    return hashlib.sha256(definition.encode()).hexdigest()[:32]


def expected_definitions(metadata: MetaData) -> dict[str, str]:
    """Return digests of the columns, foreign keys and unique keys of these tables, by kind and name.

    PostgreSQL writes CHECK constraints in a form of its own, so they are not among them.
    """
    return {
        f"{name} on {table.name}": digest_of(definition)
        for table in metadata.sorted_tables
        for name, definition in _definitions_of(table)
    }


def _definitions_of(table: Table) -> Iterator[tuple[str, str]]:
    for column in table.columns:
        yield f"column {column.name}", _describe_column(column, is_counted=column is table.autoincrement_column)
    for constraint in table.foreign_key_constraints:
        own, referred = (
            ", ".join(_DIALECT.identifier_preparer.quote(column.name) for column in columns)
            for columns in (constraint.columns, [element.column for element in constraint.elements])
        )
        target = _DIALECT.identifier_preparer.quote(constraint.referred_table.name)
        yield f"constraint {constraint.name}", f"FOREIGN KEY ({own}) REFERENCES {target}({referred})"
    if table.name in _PARTITIONED_TABLES:
        return
    for columns in (table.primary_key.columns, *(index.columns for index in table.indexes if index.unique)):
        yield f"unique key ({', '.join(column.name for column in columns)})", ""


def _describe_column(column: Column[object], *, is_counted: bool) -> str:
    name = column.type.compile(_DIALECT).lower().replace("varchar", "character varying")
    default = str(getattr(column.server_default, "arg", ""))
    parts = (
        name.replace("bigint", "integer"),
        "" if column.nullable else "not null",
        "nextval" if is_counted else default,
    )
    return " ".join(part for part in parts if part)
