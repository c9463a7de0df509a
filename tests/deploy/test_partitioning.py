"""A partitioned database (deploy/scaling): the same rules hold, and the service works without changes."""

from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.models.tables import ENTRY
from app.services.audit import verification
from app.services.constraints import error_from_constraint
from app.services.operations.schema_check import find_differences
from tests.support.databases import POSTGRESQL
from tests.support.migrations import run_alembic
from tests.support.postgresql import connect
from tests.support.server_process import ROOT
from tests.support.times import NOW, hours_ago_utc, two_hour_entry

STATEMENTS = ROOT / "deploy" / "scaling" / "partition_by_user.sql"
PERIOD = {"start_date": str(NOW.date() - timedelta(days=1)), "end_date": str(NOW.date())}
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", [POSTGRESQL])]


@pytest.fixture
def company(people, database, db_url, engine):
    """Create Mia's team and an entry of last year before the tables are partitioned."""
    people.records_events = True
    mia, website = people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, hours_ago_utc(9000), hours_ago_utc(8998))
    database.engine.dispose()
    with closing(connect(make_url(db_url))) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {STATEMENTS.read_text()}; COMMIT")
    return mia, ana, website


def test_the_service_punches_corrects_and_reports_as_before(company, server, as_user, engine):
    mia, ana, website = company

    assert as_user(ana).clock_in(website.id).status_code == 200
    assert as_user(ana).clock_in(website.id).status_code == 409
    assert as_user(ana).clock_out().status_code == 200
    done = as_user(ana).post("/time-entries", json=two_hour_entry(website))
    moved = as_user(ana).patch(f"/time-entries/{done.json()['id']}", json={"description": "Both", "reason": "Forgot"})
    overlapping = as_user(ana).post("/time-entries", json=two_hour_entry(website))

    assert (done.status_code, moved.status_code, overlapping.status_code) == (201, 200, 409)
    assert as_user(ana).get("/reports/me", params=PERIOD).status_code == 200
    assert as_user(mia).get("/reports/team", params=PERIOD).json()[0]["employee"]["id"] == ana.id
    assert "Both" in as_user(mia).get("/reports/export/csv", params=PERIOD).text
    with server.database.read_transaction() as session:
        verification.verify(session, [], on_progress=lambda done, total: None)


def test_an_entry_beyond_four_billion_is_punched_corrected_read_and_deleted(company, server, as_user, people, engine):
    """Entry ids beyond 32 bits work everywhere. A company with a million employees uses up 32 bits in three years."""
    mia, ana, website = company
    with server.database.write_transaction() as session:
        session.execute(text("SELECT setval('time_entry_id_seq', 4503599627370496)"))
    caller, admin = as_user(ana), as_user(people.admin("Ada"))

    entry_id = caller.clock_in(website.id).json()["id"]
    present = as_user(mia).get("/reports/presence").json()
    ended = caller.post(f"/time-entries/{entry_id}/clock-out")
    done = caller.post("/time-entries", json=two_hour_entry(website)).json()
    bulk = {"operations": [{"action": "change", "id": done["id"], "description": "Both", "reason": "Forgot"}]}
    moved = caller.post("/time-entries/bulk", json=bulk)
    read = caller.get(f"/time-entries/{done['id']}")
    first = caller.get("/time-entries", params={"limit": 1})
    rest = caller.at_root("GET", first.links["next"]["url"])
    events = admin.get("/admin/audit", params={"object_type": "time_entry", "object_id": done["id"]})
    deleted = caller.delete(f"/time-entries/{done['id']}", params={"reason": "Twice"})
    history = caller.get(f"/time-entries/{done['id']}/history")

    assert entry_id == 2**52 + 1
    assert [row["entry_id"] for row in present] == [entry_id]
    assert (ended.status_code, moved.status_code, read.status_code, deleted.status_code) == (200, 200, 200, 204)
    assert [entry["id"] for entry in first.json() + rest.json()][:2] == [entry_id, done["id"]]
    assert [event["object_id"] for event in events.json()] == [done["id"]] * 2
    assert [item["action"].split(":")[1] for item in history.json()][-1] == "delete"


def test_the_database_refuses_a_second_open_entry_an_overlap_and_a_change_of_the_record(company, database, engine):
    _, ana, website = company
    open_entry = {
        "user_id": ana.id, "project_id": website.id, "start_time": NOW, "end_time": None, "description": "",
        "time_zone": "UTC", "needs_review": False, "version": 1, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    with database.write_transaction() as session:
        session.execute(insert(ENTRY).values(open_entry))

    assert error_code(database, insert(ENTRY).values(open_entry)) == "already_clocked_in"
    assert (
        error_code(database, insert(ENTRY).values(open_entry | {"end_time": NOW.replace(year=2050)}))
        == "entry_overlaps"
    )
    for change in ("UPDATE audit_event SET action = 'x'", "DELETE FROM audit_event", "TRUNCATE audit_event_rest"):
        with pytest.raises(DBAPIError, match="audit_event_is_append_only"), database.write_transaction() as session:
            session.execute(text(change))


def test_timesheets_come_to_partitions_by_the_migration_alone(company, database, engine):
    run_alembic(database, "downgrade", "2026_12_01_flagged_entries")
    run_alembic(database, "upgrade", "head")

    with database.read_transaction() as session:
        assert find_differences(session) == []


def test_partitions_are_no_difference_of_the_schema(company, database, engine):
    with database.read_transaction() as session:
        assert find_differences(session) == []


def test_a_backup_takes_the_parts_and_brings_them_back(company, database, run_command, engine):
    taken, restored = run_command("backup", "parts"), run_command("restore", "parts", "--force")

    assert (taken.exit_code, restored.exit_code, taken.stderr, restored.stderr) == (0, 0, "", "")
    with database.read_transaction() as session:
        parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'time_entry'::regclass"
        assert session.scalar(text(parts)) == 64
        assert session.scalar(text("SELECT count(*) FROM time_entry")) == 1


def error_code(database, statement):
    """Return the code of the API error for the database error of the statement."""
    with pytest.raises(IntegrityError) as error, database.write_transaction() as session:
        session.execute(statement)
    return error_from_constraint(error.value).code
