"""Bounds on what one user can make the service store, and on the memory in which it is read."""

import tracemalloc

import pytest
from sqlalchemy import func, insert, select, update

from app.core.database.dialect import byte_length
from app.core.time.clock import utc_now
from app.models.tables import ENTRY, IDEMPOTENCY_KEY, KNOWN_ADDRESS
from app.models.users import Role
from app.schemas.time_entries.manual import BulkResponse
from app.services import idempotency
from app.services.access.actor import Actor
from app.services.auth import login_throttle
from app.services.users import personal_data
from tests.support.audit_asserts import AuditLog
from tests.support.times import hour_entry, hours_ago_utc

LONG = "\N{FOX FACE}" * 2000  # 8,000 bytes
MIB = 1024 * 1024


def stored_by(database, user):
    """Return the number of the user's stored responses and their bytes."""
    sizes = select(func.count(), func.sum(byte_length(IDEMPOTENCY_KEY.c.answer)))
    with database.read_transaction() as session:
        return tuple(session.execute(sizes.where(IDEMPOTENCY_KEY.c.user_id == user.id)).one())


def store(database, user, count, answer):
    """Store responses as an earlier version did."""
    row = {"user_id": user.id, "fingerprint": "f", "answer": answer, "created_at": utc_now()}
    with database.write_transaction() as session:
        session.execute(insert(IDEMPOTENCY_KEY), [row | {"key": f"old-{number}"} for number in range(count)])


def test_500_changes_without_a_difference_leave_no_event_and_little_else(server, people, as_user, ana, website):
    spans = [(hours_ago_utc(number + 2), hours_ago_utc(number + 1)) for number in range(500)]
    ids = [people.entry(ana, website, *span, description=LONG) for span in spans]
    operations = [{"action": "change", "id": entry_id, "project_id": website.id} for entry_id in ids]
    audit_log = AuditLog(server.database)

    headers = {"Idempotency-Key": "k-1"}
    response = as_user(ana).post("/time-entries/bulk", json={"operations": operations}, headers=headers)

    assert (response.status_code, audit_log.new_events()) == (200, [])
    count, size = stored_by(server.database, ana)
    assert count == 1
    assert size <= idempotency.MAX_RESPONSE_BYTES
    assert len(response.content) <= idempotency.MAX_RESPONSE_BYTES


def test_the_response_to_a_bulk_is_stored_without_its_entries(server, as_user, ana, website):
    operations = [{"action": "create"} | hour_entry(website, number, description=LONG) for number in range(100)]
    headers = {"Idempotency-Key": "k-1"}

    first, retry = (
        as_user(ana).post("/time-entries/bulk", json={"operations": operations}, headers=headers) for _ in range(2)
    )

    assert retry.json() == first.json()
    assert len(first.content) > 100 * 8000
    assert stored_by(server.database, ana)[1] <= idempotency.MAX_RESPONSE_BYTES


def test_a_bulk_is_retried_across_an_upgrade_in_either_direction(server, as_user, ana, website):
    """Version 0.9 stored whole responses, and reads stored ones as BulkResponse."""
    body = {"operations": [{"action": "create"} | hour_entry(website, 1)]}
    headers = {"Idempotency-Key": "k-1"}
    first = as_user(ana).post("/time-entries/bulk", json=body, headers=headers)
    with server.database.write_transaction() as session:
        stored = session.execute(select(IDEMPOTENCY_KEY.c.answer)).scalar_one()
        session.execute(update(IDEMPOTENCY_KEY).values(answer=first.text))

    retry = as_user(ana).post("/time-entries/bulk", json=body, headers=headers)

    assert retry.json() == first.json()
    assert [result.id for result in BulkResponse.model_validate_json(stored).results] == [
        first.json()["results"][0]["id"]
    ]


@pytest.mark.parametrize("punches", [True, False])
@pytest.mark.parametrize(("count", "size"), [(idempotency.MAX_KEYS_PER_USER + 24, 2), (64, 300_000)])
def test_the_oldest_responses_beyond_a_users_budget_are_deleted(server, as_user, ana, website, count, size, punches):
    store(server.database, ana, count, "x" * size)
    body = {"project_id": website.id, "description": ""} if punches else hour_entry(website, 1)
    address = "/time-entries/clock-in" if punches else "/time-entries"

    first, retry = (as_user(ana).post(address, json=body, headers={"Idempotency-Key": "new"}) for _ in range(2))

    assert retry.json() == first.json()
    left, total = stored_by(server.database, ana)
    assert left <= idempotency.MAX_KEYS_PER_USER
    assert total <= idempotency.MAX_BYTES_PER_USER


def test_a_budget_is_one_users(server, people, as_user, ana, website):
    bob = people.employee("Bob")
    store(server.database, bob, idempotency.MAX_KEYS_PER_USER, "{}")

    as_user(ana).post("/time-entries", json=hour_entry(website, 1), headers={"Idempotency-Key": "k-1"})

    assert stored_by(server.database, bob)[0] == idempotency.MAX_KEYS_PER_USER
    assert stored_by(server.database, ana)[0] == 1


def test_the_addresses_of_the_last_hundred_logins_are_remembered(database, ana):
    with database.write_transaction() as session:
        for number in range(login_throttle.MAX_KNOWN_ADDRESSES + 5):
            login_throttle.remember_address(session, ana.id, f"2001:db8:0:{number:x}::1", at=utc_now())

    with database.read_transaction() as session:
        count = session.execute(select(func.count()).select_from(KNOWN_ADDRESS)).scalar_one()
    assert count == login_throttle.MAX_KNOWN_ADDRESSES


def test_own_data_is_exported_in_constant_memory(database, people, ana, website):
    store(database, ana, 20, "x" * MIB)
    people.entry(ana, website, hours_ago_utc(3), hours_ago_utc(2), description=LONG)
    with database.write_transaction() as session:
        row = dict(session.execute(select(ENTRY)).one()._mapping)
        del row["id"]
        # Entries of 0 s, because they do not overlap.
        session.execute(insert(ENTRY), [row | {"end_time": row["start_time"]} for _ in range(2000)])
    actor = Actor(ana.id, Role.employee, ana.time_zone, None)
    sizes = []

    with database.read_transaction() as session:
        personal_data.write_json(session, actor, lambda chunk: sizes.append(len(chunk)), at=utc_now())
        tracemalloc.start()
        personal_data.write_json(session, actor, lambda chunk: sizes.append(len(chunk)), at=utc_now())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert sum(sizes) > 2 * 2000 * 8000
    assert peak < 2 * MIB
