"""The database as the init script of compose.yaml creates it, on the PostgreSQL server of the tests."""

import os
import re
import subprocess
import uuid
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy.engine import URL

from app.core.database.postgresql.dump import find_program
from tests.support.postgresql import connect, execute
from tests.support.server_process import ROOT

SCRIPT = ROOT / "deploy" / "compose" / "database" / "ett.sql"
PASSWORD = "letters-and-digits-1"


@pytest.fixture
def own_url(postgresql_server) -> URL:
    """Return the URL of the service's role and database, under names that no other test uses."""
    name = f"ett_{uuid.uuid4().hex}"
    script = re.sub(r"\bett\b", name, SCRIPT.read_text())
    superuser = postgresql_server.set(drivername="postgresql").render_as_string(hide_password=False)
    psql = [find_program("psql", at_least=15), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", superuser]
    try:
        subprocess.run(psql, input=script, text=True, check=True, env=os.environ | {"DATABASE_PASSWORD": PASSWORD})
        yield postgresql_server.set(username=name, password=PASSWORD, database=name)
    finally:
        execute(postgresql_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        execute(postgresql_server, f'DROP ROLE IF EXISTS "{name}"')


def test_the_services_role_migrates_saves_and_restores_its_database_and_is_no_superuser(own_url, run_cli, tmp_path):
    given = {"DB_URL": own_url.render_as_string(hide_password=False)}
    file = str(tmp_path / "night.backup")

    for command in (["migrate"], ["backup", file], ["restore", "--force", file]):
        result = run_cli(*command, **given)
        assert result.exit_code == 0, result.output

    for beyond in (
        "SET session_replication_role = replica",
        "COPY audit_event TO PROGRAM 'cat'",
        "CREATE ROLE another",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), closing(connect(own_url)) as connection:
            connection.cursor().execute(beyond)
