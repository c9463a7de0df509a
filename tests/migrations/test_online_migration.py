"""Migrations while users punch: a waiting migration blocks no requests, and can be killed at any point."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import pytest
from sqlalchemy import inspect, text

from app.core.database.migrations import current_revisions
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.releases import copy_this_release, environment, make_next_release, start_migration

pytestmark = pytest.mark.slow
SECONDS = 60
PAUSE_SECONDS = 0.05
"""Pause of a user between two punches, to leave CPU time to the migration."""
ADD_COLUMN = """\
with op.batch_alter_table("project", recreate="always" if op.get_bind().dialect.name == "sqlite" else "never") as batch:
    batch.add_column(sa.Column("colour", sa.String(20), nullable=False, server_default="grey"))"""
ADD_INDEX = """\
with autocommit():
    op.drop_index("ix_time_entry_project_id_start_time", "time_entry", if_exists=True, postgresql_concurrently=True)
    op.create_index(
        "ix_time_entry_project_id_start_time", "time_entry", ["project_id", "start_time"], postgresql_concurrently=True
    )"""
KILLED_AT = """
import os, signal, sys
from sqlalchemy import Engine, event
from app.cli.application import app

@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if sys.argv[1] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

app(["migrate"])
"""


@pytest.fixture
def release(tmp_path):
    """Return the next release, which adds a column, and an index to a busy table."""
    release = copy_this_release(tmp_path)
    make_next_release(release, next_column=ADD_COLUMN, next_index=ADD_INDEX)
    return release


@pytest.mark.parametrize("engine", [POSTGRESQL])  # SQLite has one writer at a time
def test_a_migration_behind_a_long_report_gives_up_and_holds_nobody_up(people, db_url, server, release):
    website = people.project("Website")
    tokens = [server.token(people.employee(name)) for name in ("Ana", "Bob")]
    with _punch_in_background(server, tokens, website) as answers:
        with server.database.read_transaction("report") as report:
            report.execute(text("SELECT count(*) FROM project"))
            process = report.scalar(text("SELECT pg_backend_pid()"))
            blocked = start_migration(release, db_url, "--lock-timeout", "2")
            output = blocked.communicate(timeout=SECONDS)[1].splitlines()
        while_blocked = answers.total()

        done = start_migration(release, db_url)
        _, errors = done.communicate(timeout=SECONDS)
        assert done.returncode == 0, errors

    assert blocked.returncode == 1
    assert output[0].startswith("Waiting for a lock: ALTER TABLE project ADD COLUMN colour")
    assert f"process {process} (employee-time-tracking-api, idle in transaction, " in output[0]
    assert output[-1].startswith("The migration got no lock: ALTER TABLE project ADD COLUMN colour")
    assert set(answers) == {200}
    assert answers.total() > while_blocked > 0
    assert _at(server.database) == {"next_index"}
    assert _is_next(server.database)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_of_two_migrations_at_once_one_waits_for_the_other(db_url, database, release):
    with database.read_transaction() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(7265747474)"))
        waiting = start_migration(release, db_url, "--lock-timeout", "1")
        output = waiting.communicate(timeout=SECONDS)[1].splitlines()

    assert waiting.returncode == 1
    assert output[0] == "Waiting for a lock: another migration is running."
    assert output[-1].startswith("The migration got no lock: another migration is running. Nothing is half done")


@pytest.mark.parametrize(
    ("engine", "statement"),
    [
        pytest.param(SQLITE, "INTO _alembic_tmp_project", marks=pytest.mark.extended),
        (SQLITE, "UPDATE alembic_version"),
        pytest.param(POSTGRESQL, "ADD COLUMN colour", marks=pytest.mark.extended),
        (POSTGRESQL, "CREATE INDEX"),
    ],
)
def test_a_migration_killed_anywhere_is_finished_by_the_next_run(db_url, database, release, statement):
    """F9."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, statement],
        cwd=release,
        env=environment(release, db_url),
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    left = set(inspect(database.engine).get_table_names())
    repeated = start_migration(release, db_url)
    output = repeated.communicate(timeout=SECONDS)

    assert killed.returncode == -signal.SIGKILL
    assert not any(table.startswith("_alembic_tmp_") for table in left)
    assert repeated.returncode == 0, output
    assert _at(database) == {"next_index"}
    assert _is_next(database)


@contextmanager
def _punch_in_background(server, tokens, project):
    """Count the response statuses of users who clock in and out until the block ends."""
    answers, is_over = Counter(), threading.Event()

    def punch(token):
        with server.caller(token) as caller:
            caller.event_hooks = {}  # the audit log comparison supports one caller at a time only
            while not is_over.wait(PAUSE_SECONDS):
                answers[caller.clock_in(project.id).status_code] += 1
                answers[caller.clock_out().status_code] += 1

    threads = [threading.Thread(target=punch, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _at(database):
    with database.engine.connect() as connection:
        return current_revisions(connection)


def _is_next(database):
    """Return True if the new column and the new index exist."""
    found = inspect(database.engine)
    columns = {column["name"] for column in found.get_columns("project")}
    indexes = {index["name"] for index in found.get_indexes("time_entry")}
    return "colour" in columns and "ix_time_entry_project_id_start_time" in indexes
