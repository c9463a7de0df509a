"""Acknowledged requests survive a crash, and a request is acknowledged only after its commit (threats F1, F3)."""

import time

from sqlalchemy import select, text

from app.models.tables import ENTRY
from app.services.audit.verification import verify
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.punch_load import NO_RESPONSE, DurabilityResult, Writers, compare_with_database

WRITERS = 16
PUNCHES_BEFORE_KILL = 200
RECOVERY_TIMEOUT_SECONDS = 10

FAIL_AT_COMMIT = {
    POSTGRESQL: [
        "CREATE FUNCTION insufficient_storage() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no room left' USING ERRCODE = 'disk_full'; END $$",
        "CREATE CONSTRAINT TRIGGER no_commit AFTER INSERT ON time_entry DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION insufficient_storage()",
    ],
    SQLITE: [
        "CREATE TABLE orphan (parent INTEGER REFERENCES project (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER no_commit AFTER INSERT ON time_entry BEGIN INSERT INTO orphan VALUES (-1); END",
    ],
}
HEAL = {POSTGRESQL: "DROP TRIGGER no_commit ON time_entry", SQLITE: "DROP TRIGGER no_commit"}


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(people, database, engine, own_workers, bearer):
    """Threats F1. Every acknowledged punch is stored exactly once, and nothing else is stored.

    No lock outlives its process, the audit log verifies, and a retry of a failed request succeeds once.
    """
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(WRITERS)]
    writers = Writers(own_workers.base_url, [bearer(user) for user in staff], website.id)

    with writers.run_in_background() as log:
        writers.wait_for(PUNCHES_BEFORE_KILL)
        own_workers.kill()
        own_workers.start()
        writers.wait_for_acknowledged(time.monotonic(), within_seconds=RECOVERY_TIMEOUT_SECONDS)
        writers.wait_for(len(log.acknowledged) + 5 * WRITERS)
    before = compare_with_database(database, log)
    repeated = writers.resend_failed()

    assert (before.lost, before.duplicates, before.phantoms) == (0, 0, 0)
    assert set(log.statuses) == {NO_RESPONSE}
    assert {answer.status_code for answer in repeated} == {200}
    assert compare_with_database(database, log) == DurabilityResult()
    with database.read_transaction() as session:
        assert engine != SQLITE or session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        verify(session, [], on_progress=lambda done, total: None)


def test_a_commit_that_fails_is_never_answered_as_success(people, server, engine, as_user):
    """Threats F3. The response is sent after the commit, so a failed commit is never reported as success."""
    ana, website = people.employee("Ana"), people.project("Website")
    _execute(server.database, *FAIL_AT_COMMIT[engine])
    body = {"project_id": website.id, "description": ""}

    with server.caller(server.token(ana)) as me:
        me.event_hooks = {}
        failed = me.post("/time-entries/clock-in", json=body)

    assert failed.status_code in {500, 503}
    with server.database.read_transaction() as session:
        assert session.execute(select(ENTRY.c.id)).all() == []
        assert session.execute(text("SELECT count(*) FROM audit_event WHERE action LIKE 'time_entry:%'")).scalar() == 0
    _execute(server.database, HEAL[engine])
    assert as_user(ana).clock_in(website.id).status_code == 200


def test_an_answer_that_was_never_committed_is_not_kept(people, server, engine, as_user):
    """Threats F3 and 31. A retry after a failed commit runs the request instead of replaying a response."""
    ana, website = people.employee("Ana"), people.project("Website")
    _execute(server.database, *FAIL_AT_COMMIT[engine])
    key, body = {"Idempotency-Key": "k-1"}, {"project_id": website.id, "description": ""}

    with server.caller(server.token(ana)) as me:
        me.event_hooks = {}
        failed = me.post("/time-entries/clock-in", json=body, headers=key)
        _execute(server.database, HEAL[engine])
        done = me.post("/time-entries/clock-in", json=body, headers=key)

    assert failed.status_code in {500, 503}
    assert done.status_code == 200
    with server.database.read_transaction() as session:
        assert list(session.execute(select(ENTRY.c.id)).scalars()) == [done.json()["id"]]


def _execute(database, *statements):
    with database.write_transaction() as session:
        for statement in statements:
            session.execute(text(statement))
