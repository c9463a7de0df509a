"""A row that is missing from an index. Reports that use the index leave out its hours."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.times import hours_ago_utc


@pytest.mark.parametrize("engine", [SQLITE])
def test_verify_audit_names_an_entry_that_is_missing_from_an_index(people, database, db_url, run_command):
    people.records_events = True
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, hours_ago_utc(9), hours_ago_utc(8))
    entry = people.entry(ana, website, hours_ago_utc(7), hours_ago_utc(6))
    assert run_command("verify-audit").exit_code == 0
    leave_out(make_url(db_url).database, "ix_time_entry_start_time", entry)

    verified = run_command("verify-audit")

    assert verified.exit_code == 1
    assert f"row {entry} missing from index ix_time_entry_start_time." in verified.stderr.splitlines()[1]
    assert verified.stderr.splitlines()[-1] == "The database is damaged."


@pytest.mark.system  # needs the extensions of the machine's PostgreSQL
@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_verify_audit_names_an_entry_that_is_missing_from_an_index_if_amcheck_is_installed(
    people, database, run_command
):
    people.records_events = True
    ana, website = people.employee("Ana"), people.project("Website")
    entry = people.entry(ana, website, hours_ago_utc(9), hours_ago_utc(8))
    run_sql(database, "CREATE SCHEMA tools", "CREATE EXTENSION amcheck SCHEMA tools")
    complete = run_command("verify-audit")
    run_sql(
        database,
        "DROP INDEX ix_time_entry_start_time",
        f"CREATE INDEX ix_time_entry_start_time ON time_entry (start_time) WHERE id <> {entry}",
        "UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'ix_time_entry_start_time'::regclass",
    )

    verified = run_command("verify-audit")

    assert complete.exit_code == 0, complete.stderr
    assert verified.exit_code == 1
    assert 'lacks matching index tuple within index "ix_time_entry_start_time".' in verified.stderr
    assert verified.stderr.splitlines()[-1] == "The database is damaged."


def run_sql(database, *statements):
    with database.write_transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def leave_out(file, index, entry_id):
    """Leave an entry out of an index. Its text stays that of the migrations."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        connection.execute(f"DROP INDEX {index}")
        connection.execute(f"{sql} WHERE id <> {entry_id}")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, index))
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute(f"PRAGMA schema_version = {version + 1}")
