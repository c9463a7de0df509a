"""The comparison of the schema on other major versions of PostgreSQL, which may word definitions in another way."""

import pytest

from app.core.database.migrations import UnusableDatabase
from app.core.database.session import Database
from app.services.operations import schema_check
from tests.services.audit.test_keys import PRODUCTION
from tests.services.operations.test_schema_check import TAMPERED, run_sql, start
from tests.support.databases import POSTGRESQL, make_templates, settings_for
from tests.support.postgresql import PostgreSQLServer

(WEAKER_GUARDS,) = (statements for engine, statements, found in TAMPERED if "index on time_entry was changed" in found)


@pytest.fixture(scope="module", params=["pginstall", "pginstall18"])
def other_version(request, tmp_path_factory):
    """A migrated database on PostgreSQL 16 and on 18."""
    server = PostgreSQLServer(packaged=request.param)
    make_templates(server.url, tmp_path_factory.mktemp("templates"))
    yield server.url.set(database="ett_template").render_as_string(hide_password=False)
    server.stop()


def test_the_migrations_make_the_same_guards_on_each_version(other_version):
    database = Database(settings_for(other_version))
    with database.read_transaction() as session:
        differences = schema_check.find_differences(session)
        version = session.connection().dialect.server_version_info[0]
    database.close()

    assert differences == []
    assert version in schema_check.KNOWN_VERSIONS


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_another_wording_of_an_unknown_version_is_said_and_prevents_no_start(
    people, database, db_url, run_command, monkeypatch
):
    people.records_events = True
    people.admin("Ada")
    monkeypatch.setattr(schema_check, "KNOWN_VERSIONS", range(7, 9))
    silent = start(db_url, **PRODUCTION)
    run_sql(database, *WEAKER_GUARDS)

    warnings = start(db_url, **PRODUCTION)
    verified = run_command("verify-audit")

    version = database_version(database)
    assert silent == []
    assert warnings == [
        f"The {guard} on time_entry was not compared, because this version does not know PostgreSQL {version}."
        for guard in ("exclusion constraint", "partial unique index")
    ]
    assert verified.exit_code == 0
    assert set(warnings) <= set(verified.stdout.splitlines())


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_trigger_is_compared_on_an_unknown_version_too(people, database, db_url, monkeypatch):
    people.admin("Ada")
    monkeypatch.setattr(schema_check, "KNOWN_VERSIONS", range(7, 9))
    run_sql(database, "ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only_row")

    with pytest.raises(UnusableDatabase, match="The trigger audit_event_append_only_row on audit_event was changed"):
        start(db_url, **PRODUCTION)


def database_version(database):
    with database.read_transaction() as session:
        return session.connection().dialect.server_version_info[0]
