"""The schemas that PostgreSQL searches. A view in front of the service's table could show other hours."""

from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import text

from app.core.database.migrations import UnusableDatabase
from app.core.time.clock import utc_now
from app.services.operations.startup import prepare
from tests.services.audit.test_keys import PRODUCTION
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.server_process import TLS

pytestmark = pytest.mark.parametrize("engine", [POSTGRESQL])
ANOTHER_VIEW = ("CREATE SCHEMA evil", "CREATE VIEW evil.time_entry AS SELECT * FROM public.time_entry")
SET_FOR_ALL = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {}', current_database()); END $$"


@pytest.fixture
def company(people, server):
    """Ada's company, whose new connections use the settings of the database."""
    people.records_events = True
    people.admin("Ada")
    close_connections(server)


def close_connections(server):
    """Close the idle connections of the test and of the service, because only new ones read the settings."""
    for database in (server.database, server.app.state.runtime.database):
        database.engine.dispose()


def run_sql(server, *statements):
    with server.database.write_transaction() as session:
        for statement in statements:
            session.execute(text(statement))
    close_connections(server)


@contextmanager
def a_role(server, name):
    """Create a role that may serve."""
    run_sql(server, f"CREATE ROLE {name} LOGIN", f"GRANT INSERT ON audit_event TO {name}")
    try:
        yield
    finally:
        run_sql(server, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_service_that_would_read_a_view_in_front_of_its_table_is_not_ready_and_does_not_start(
    company, server, db_url
):
    run_sql(server, *ANOTHER_VIEW, SET_FOR_ALL.format("search_path = evil, public"))

    answer = httpx.get(f"{server.base_url}/health/ready", verify=TLS)

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    with pytest.raises(UnusableDatabase, match=r"The name time_entry means evil\.time_entry\."):
        prepare(settings_for(db_url), at=utc_now())


def test_verify_audit_names_a_search_path_of_the_role_that_serves(company, server, run_command):
    with a_role(server, "clerk_1"):
        run_sql(server, *ANOTHER_VIEW, "ALTER ROLE clerk_1 SET search_path = evil, public")

        verified = run_command("verify-audit")

    assert verified.exit_code == 1
    assert verified.stderr.splitlines()[1] == "The setting search_path of clerk_1 was added."


def test_verify_audit_names_a_view_in_the_schema_that_has_the_name_of_the_serving_role(company, server, run_command):
    with a_role(server, "clerk_2"):
        run_sql(server, "CREATE SCHEMA clerk_2", "CREATE VIEW clerk_2.time_entry AS SELECT * FROM public.time_entry")

        verified = run_command("verify-audit")

    assert verified.stderr.splitlines()[1] == "The relation clerk_2.time_entry was added."


def test_verify_audit_names_a_role_whose_triggers_are_off(company, server, run_command):
    with a_role(server, "clerk_3"):
        run_sql(server, "ALTER ROLE clerk_3 SET session_replication_role = replica")

        verified = run_command("verify-audit")

    assert verified.stderr.splitlines()[1] == "The setting session_replication_role of clerk_3 was added."


def test_a_search_path_that_begins_with_the_schema_of_the_tables_is_no_difference(company, server, db_url):
    with a_role(server, "clerk_4"):
        run_sql(
            server,
            "CREATE SCHEMA tools",
            "CREATE SCHEMA clerk_4",
            'ALTER ROLE clerk_4 SET search_path = pg_catalog, "$user", public, tools',
            SET_FOR_ALL.format('search_path = public, "tools"'),
            "CREATE ROLE clerk_5 LOGIN",
            "ALTER ROLE clerk_5 SET search_path = tools",
        )
        try:
            assert prepare(settings_for(db_url, **PRODUCTION), at=utc_now()) == []
        finally:
            run_sql(server, "DROP ROLE clerk_5")
