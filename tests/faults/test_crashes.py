"""What was acknowledged is kept, and what wasn't kept is never acknowledged (THREATS F1, F3)."""

import asyncio
from collections import Counter
from itertools import count

import pytest
from sqlalchemy import select, text

from app.services.periods import ENTRY
from tests.support.backend import Backend
from tests.support.crowd import Call, exchange, opened
from tests.support.databases import POSTGRESQL, SQLITE

WRITERS = 16
PUNCHES_BEFORE_THE_KILL = 200

FAIL_AT_COMMIT = {
    POSTGRESQL: [
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no room left' USING ERRCODE = 'disk_full'; END $$",
        "CREATE CONSTRAINT TRIGGER no_commit AFTER INSERT ON time_entry DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION no_room()",
    ],
    SQLITE: [
        "CREATE TABLE orphan (parent INTEGER REFERENCES project (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER no_commit AFTER INSERT ON time_entry BEGIN INSERT INTO orphan VALUES (-1); END",
    ],
}
HEAL = {POSTGRESQL: "DROP TRIGGER no_commit ON time_entry", SQLITE: "DROP TRIGGER no_commit"}


@pytest.fixture
def backend(db_url, tmp_path):
    started = Backend(db_url, tmp_path, workers=2)
    yield started
    started.stop()


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(people, database, engine, backend, bearer):
    """THREATS F1, a short form: acknowledged entries are all there, none twice, and none that nobody sent."""
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(WRITERS)]
    sent: list[str] = []
    acknowledged: list[str] = []

    asyncio.run(_punch_until_the_kill(backend, [bearer(person) for person in staff], website.id, sent, acknowledged))
    backend.start()

    with database.reading() as session:
        present = list(session.execute(select(ENTRY.c.description)).scalars())
        integrity = session.execute(text("PRAGMA integrity_check")).scalar() if engine == SQLITE else "ok"
    assert len(acknowledged) >= PUNCHES_BEFORE_THE_KILL
    assert Counter(acknowledged) - Counter(present) == Counter()
    assert set(present) <= set(sent)
    assert [number for number, times in Counter(present).items() if times > 1] == []
    assert integrity == "ok"


def test_after_a_kill_everyone_can_punch_again(people, backend, bearer):
    """THREATS F1: no lock outlives the process that held it."""
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(WRITERS)]
    headers = [bearer(person) for person in staff]

    asyncio.run(_punch_until_the_kill(backend, headers, website.id, [], []))
    backend.start()

    assert asyncio.run(_one_punch_each(backend, headers, website.id)) == [200] * WRITERS


def test_a_commit_that_fails_is_never_answered_as_success(people, server, engine, as_user):
    """THREATS F3: the answer is sent after the commit, so a failing one can't have promised anything."""
    ana, website = people.employee("Ana"), people.project("Website")
    _run(server.database, *FAIL_AT_COMMIT[engine])
    body = {"project_id": website.id, "description": ""}

    with server.caller(server.token(ana)) as me:
        me.event_hooks = {}
        refused = me.post("/time-entries/clock-in", json=body)

    assert refused.status_code in {500, 503}
    with server.database.reading() as session:
        assert session.execute(select(ENTRY.c.id)).all() == []
        assert session.execute(text("SELECT count(*) FROM audit_event WHERE action LIKE 'time_entry:%'")).scalar() == 0
    _run(server.database, HEAL[engine])
    assert as_user(ana).clock_in(website.id).status_code == 200


def test_an_answer_that_was_never_committed_is_not_kept(people, server, engine, as_user):
    """THREATS F3 and 31: who sends again after a failed commit is served, not told of an entry that isn't there."""
    ana, website = people.employee("Ana"), people.project("Website")
    _run(server.database, *FAIL_AT_COMMIT[engine])
    key, body = {"Idempotency-Key": "k-1"}, {"project_id": website.id, "description": ""}

    with server.caller(server.token(ana)) as me:
        me.event_hooks = {}
        refused = me.post("/time-entries/clock-in", json=body, headers=key)
        _run(server.database, HEAL[engine])
        done = me.post("/time-entries/clock-in", json=body, headers=key)

    assert refused.status_code in {500, 503}
    assert done.status_code == 200
    with server.database.reading() as session:
        assert list(session.execute(select(ENTRY.c.id)).scalars()) == [done.json()["id"]]


async def _punch_until_the_kill(backend, headers, project_id, sent, acknowledged):
    """Writers punch without pause, each with numbers of its own; the service is killed among them."""
    enough = asyncio.Event()

    async def write(writer, header):
        async with opened(backend.base_url) as connection:
            for number in count():
                name = f"{writer}-{number}"
                sent.append(name)
                answer = await exchange(_punch(backend, header, project_id, name), *connection)
                assert answer.status_code == 200, answer
                acknowledged.append(name)
                if len(acknowledged) >= PUNCHES_BEFORE_THE_KILL:
                    enough.set()

    writers = [asyncio.create_task(write(number, header)) for number, header in enumerate(headers)]
    await enough.wait()
    backend.kill()
    ends = await asyncio.gather(*writers, return_exceptions=True)
    assert {type(end) for end in ends} <= {asyncio.IncompleteReadError, ConnectionResetError, BrokenPipeError}


async def _one_punch_each(backend, headers, project_id):
    async def punch(header):
        async with opened(backend.base_url) as connection:
            return (await exchange(_punch(backend, header, project_id, "again"), *connection)).status_code

    return await asyncio.gather(*(punch(header) for header in headers))


def _punch(backend, header, project_id, description):
    body = {"project_id": project_id, "description": description}
    return Call("POST", f"{backend.base_url}/api/v1/time-entries/clock-in", header, body, {"switch": "true"})


def _run(database, *statements):
    with database.writing() as session:
        for statement in statements:
            session.execute(text(statement))
