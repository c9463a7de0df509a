"""Verification of the audit log: it finds every change or removal by SQL, and names the place."""

import re
from typing import Any

import pytest
from sqlalchemy import Column, Row, insert, literal_column, select, update

from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT
from app.services.audit import recorder, verification
from app.services.audit.recorder import ORGANISATION_CHAIN
from app.services.audit.verification import VerificationResult
from tests.support.audit_tampering import (
    NOW,
    UNKNOWN_ID,
    AuditTamperer,
    changed_values,
    delete_row,
    names_position,
    position_of,
    record_note,
    update_row,
    values_of_other_type,
    verify_chains,
)
from tests.support.databases import POSTGRESQL, SQLITE


def test_an_untouched_record_holds(ids, database):
    with database.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=4, events=9)


def test_the_record_of_a_company_without_people_holds(database):
    with database.read_transaction() as session:
        assert verify_chains(session, verification.create_checkpoint(session, at=NOW)) == VerificationResult(
            chains=1, checkpoints=1
        )


def test_progress_counts_up_to_all_links(ids, database):
    seen = []
    with database.read_transaction() as session:
        verification.verify(session, [], on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(2, 9), (3, 9), (4, 9), (9, 9)]


def test_each_column_of_each_event_is_proven(tamperer, engine):
    wrong = {
        (event.chain_id, event.position, column.name, repr(value)): message
        for event in tamperer.events
        for column, value in changed_values(AUDIT_EVENT, event, engine)
        if not names_column(
            message := tamperer.verify_after(update_row(AUDIT_EVENT, event, {column.name: value})), event, column
        )
    }

    assert wrong == {}


def test_each_column_of_each_head_is_proven(tamperer, engine):
    unfound = {
        (head.chain_id, column.name, repr(value)): message
        for head in tamperer.heads
        for column, value in changed_values(AUDIT_CHAIN, head, engine)
        if not names_position(message := tamperer.verify_after(update_row(AUDIT_CHAIN, head, {column.name: value})))
    }

    assert unfound == {}


def test_each_character_of_an_event_is_proven(tamperer):
    event = tamperer.events[-1]
    texts = {name: value for name, value in event._mapping.items() if isinstance(value, str)}
    assert {"before", "after", "reason", "personal"} < texts.keys()

    unfound = [
        (name, place)
        for name, value in texts.items()
        for place, character in enumerate(value)
        if not tamperer.verify_after(
            update_row(AUDIT_EVENT, event, {name: value[:place] + chr(ord(character) ^ 1) + value[place + 1 :]})
        )
    ]

    assert unfound == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"salt"', '{"colour":"red","salt"'),
        ('"values":{', '"values":{"reason":"Another one",'),
        ('"values":{', '"values":{"after.role":"admin",'),
        ('"values":{', '"values":{ '),
        ('"reason":"2026"', '"reason":2026'),
        ('"reason":"2026"', '"reason":"\\u0032026"'),
        ('"reason":"2026"', '"reason":"2026","reason":"2026"'),
        ('"reason":"2026"', '"reason":null'),
        ('"reason":"2026"', '"reason":NaN'),
        ('"reason":"2026"', '"raison":"2026"'),
        ('{"reason":"2026"}', "{}"),
        ('{"reason":"2026"}', '["reason"]'),
        ('{"salt"', "[" * 100_000 + '{"salt"'),
    ],
)
def test_personal_values_stand_in_one_way_only(database, old, new):
    record_note(database, reason="2026")
    tamperer = AuditTamperer(database)
    (event,) = tamperer.events
    assert old in event.personal

    failure = tamperer.verify_after(update_row(AUDIT_EVENT, event, {"personal": event.personal.replace(old, new)}))

    assert failure == f"Chain {ORGANISATION_CHAIN}, link 1 has changed personal values."


def test_the_start_of_a_reason_cannot_become_a_part_of_its_salt(database):
    record_note(database, reason="He left\nreason\nafter lunch")
    tamperer = AuditTamperer(database)
    (event,) = tamperer.events
    moved = event.personal.replace('","values"', '\\nreason\\nHe left","values"').replace("He left\\nreason\\na", "a")
    assert "after lunch" in moved

    failure = tamperer.verify_after(update_row(AUDIT_EVENT, event, {"personal": moved}))

    assert failure == f"Chain {ORGANISATION_CHAIN}, link 1 has changed personal values."


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_value_of_another_type_is_found_in_any_column(tamperer):
    unfound = {
        (table.name, tuple(row)[:2], column.name, wrong): message
        for table, rows in ((AUDIT_EVENT, tamperer.events), (AUDIT_CHAIN, tamperer.heads))
        for row in rows
        for column in table.c
        for wrong in values_of_other_type(column, getattr(row, column.name))
        if not names_position(
            message := tamperer.verify_after(update_row(table, row, {column.name: literal_column(wrong)}))
        )
    }

    assert unfound == {}


@pytest.mark.parametrize("engine", [SQLITE])
def test_what_is_broken_before_an_unreadable_event_is_named_first(tamperer, ids):
    first, second, third, *_ = tamperer.events_of_chain(ids["Ana"])
    unreadable = update_row(AUDIT_EVENT, third, {"at": literal_column("'yesterday'")})

    assert tamperer.verify_after(unreadable) == (
        f"The row of audit_event after chain {second.chain_id}, link {second.position} cannot be read. "
        "A column holds an invalid value."
    )
    assert tamperer.verify_after(unreadable, update_row(AUDIT_EVENT, first, {"action": "user:creates"})) == (
        f"{position_of(first)} was changed. It does not match its content."
    )


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("at", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
def test_an_instant_that_is_none_is_found(tamperer, at):
    event = tamperer.events[-1]

    assert names_position(
        tamperer.verify_after(update_row(AUDIT_EVENT, event, {"at": literal_column(f"'{at}'::timestamptz")}))
    )


def test_each_missing_event_is_missed(tamperer):
    for event in tamperer.events:
        assert tamperer.verify_after(delete_row(AUDIT_EVENT, event)).startswith(f"{position_of(event)} is missing")


def test_each_missing_head_is_missed(tamperer):
    for head in tamperer.heads:
        assert re.match(rf"Chain {head.chain_id}\b", tamperer.verify_after(delete_row(AUDIT_CHAIN, head)))


def test_a_missing_head_is_missed_before_anything_happened(database):
    tamperer = AuditTamperer(database)
    (head,) = tamperer.heads

    assert tamperer.verify_after(delete_row(AUDIT_CHAIN, head)) == f"Chain {ORGANISATION_CHAIN} has no head."


def test_two_events_that_change_places_are_found(tamperer):
    pairs = list(zip(tamperer.events, tamperer.events[1:], strict=False))
    assert any(one.chain_id != other.chain_id for one, other in pairs)
    assert any(one.chain_id == other.chain_id for one, other in pairs)
    for one, other in pairs:
        failure = tamperer.verify_after(
            update_row(AUDIT_EVENT, one, contents(other)), update_row(AUDIT_EVENT, other, contents(one))
        )

        assert failure == f"{position_of(one)} was changed. It does not match its content."


def test_an_authentic_event_that_a_restore_took_back_does_not_fit_in_its_former_place(ids, database):
    """After the restore other events have the positions. Each link also authenticates the one before it."""
    with database.write_transaction("request-8") as session:
        recorder.record(session, "project:note", at=NOW, actor_id=None, subject_id=ids["Ana"], reason="Before")
        is_anas = AUDIT_EVENT.c.chain_id == ids["Ana"]
        taken_back = session.execute(select(AUDIT_EVENT).where(is_anas).order_by(AUDIT_EVENT.c.position.desc())).first()
        session.rollback()
    record_note(database, subject_id=ids["Ana"], reason="Instead")
    record_note(database, subject_id=ids["Ana"], reason="Later")
    tamperer = AuditTamperer(database)
    instead, later = tamperer.events_of_chain(ids["Ana"])[-2:]
    assert instead.position == taken_back.position

    failure = tamperer.verify_after(update_row(AUDIT_EVENT, instead, contents(taken_back)))

    assert failure == f"{position_of(later)} was changed. It does not match its content."


def test_an_event_forged_or_repeated_at_the_end_is_found(tamperer, ids):
    last = tamperer.events_of_chain(ids["Ana"])[-1]
    repeated = last._asdict() | {"position": last.position + 1}
    mended = update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == ids["Ana"]).values(length=last.position + 1)
    for event in (repeated, repeated | {"action": "time_entry:approve"}):
        for statements in ([insert(AUDIT_EVENT).values(event)], [insert(AUDIT_EVENT).values(event), mended]):
            failure = tamperer.verify_after(*statements)

            assert (
                failure
                == f"Chain {last.chain_id}, link {last.position + 1} was changed. It does not match its content."
            )


@pytest.mark.parametrize("chain_id", [UNKNOWN_ID, -7, -1])
def test_an_event_copied_into_a_chain_of_nobody_is_found(tamperer, ids, chain_id):
    copied = tamperer.events_of_chain(ids["Ana"])[0]._asdict() | {"chain_id": chain_id}
    head = insert(AUDIT_CHAIN).values(chain_id=chain_id, length=1, last_link=copied["link"])

    for statements in ([insert(AUDIT_EVENT).values(copied)], [insert(AUDIT_EVENT).values(copied), head]):
        assert (
            tamperer.verify_after(*statements)
            == f"Chain {chain_id}, link 1 was changed. It does not match its content."
        )


def test_an_event_copied_into_the_chain_of_another_person_is_found(tamperer, ids):
    (mias,) = tamperer.events_of_chain(ids["Mia"])
    copied = tamperer.events_of_chain(ids["Ana"])[1]._asdict() | {"chain_id": ids["Mia"]}
    assert copied["position"] == mias.position + 1

    failure = tamperer.verify_after(insert(AUDIT_EVENT).values(copied))

    assert failure == f"Chain {ids['Mia']}, link 2 was changed. It does not match its content."


@pytest.mark.parametrize("chain_id", [UNKNOWN_ID, -7])
@pytest.mark.parametrize(
    ("length", "last_link", "message"),
    [
        (0, "", " has a head but no links."),
        (0, "f00", ", link 0 does not match the last link in the chain head."),
        (1, "f00", ", link 1 is missing. The chain head counts 1 links."),
        (-1, "", ", link 0 is not counted in the chain head."),
    ],
)
def test_a_head_of_a_chain_without_events_is_found(tamperer, chain_id, length, last_link, message):
    failure = tamperer.verify_after(insert(AUDIT_CHAIN).values(chain_id=chain_id, length=length, last_link=last_link))

    assert failure == f"Chain {chain_id}{message}"


def test_lengths_that_no_number_can_sum_up_are_found(tamperer):
    assert tamperer.verify_after(update(AUDIT_CHAIN).values(length=2**63 - 1)).startswith("Chain 0, link 3 is missing")


def contents(event: Row[Any]) -> dict[str, Any]:
    """Return the fields of an event without its position."""
    return {column.name: getattr(event, column.name) for column in AUDIT_EVENT.c if not column.primary_key}


def names_column(message: str | None, event: Row[Any], column: Column[Any]) -> bool:
    """Return True if the failure names this event, or any position if the event was moved."""
    return names_position(message) if column.primary_key else (message or "").startswith(f"{position_of(event)} ")
