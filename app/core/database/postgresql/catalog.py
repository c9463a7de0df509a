"""Queries of PostgreSQL's catalog that several modules share."""

OWN_TABLES = """
    WITH RECURSIVE ours AS (
        SELECT oid, relname AS root FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY(%(tables)s)
        AND relnamespace = quote_ident(current_schema())::regnamespace
        UNION SELECT inhrelid, root FROM pg_inherits JOIN ours ON inhparent = oid
    )
"""
"""A WITH clause: `ours` has the oids of the service's tables and their partitions, and the name of the table (`root`).

Other applications may have tables in the same schema.
"""
