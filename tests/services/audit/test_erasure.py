"""Triggers of the audit log: personal values can be erased only after an erase event. All else is append-only."""

import pytest
from sqlalchemy import Executable, Update, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from app.core.database.session import Database
from app.models.tables import AUDIT_EVENT
from app.services.audit import recorder
from app.services.audit.stored_rows import AuditChainBroken
from app.services.audit.verification import VerificationResult
from tests.support.audit_tampering import (
    NOW,
    UNKNOWN_ID,
    AuditTamperer,
    changed_values,
    position_of,
    record_note,
    update_row,
    verify_chains,
)


def test_erasing_a_person_leaves_a_record_that_holds_and_counts_what_was_erased(ids, database):
    erase(database, ids["Ana"])

    with database.write_transaction() as session:
        session.execute(clear_personal(ids["Ana"]))
        left = session.scalars(select(AUDIT_EVENT.c.personal).where(AUDIT_EVENT.c.chain_id == ids["Ana"])).all()
    with database.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=4, events=10, erased=3)
    assert left == [None] * 6


def test_personal_values_stay_until_the_person_is_erased(ids, database):
    assert_refused(database, clear_personal(ids["Ana"]))


def test_erasing_a_person_takes_no_other_persons_values(ids, database):
    erase(database, ids["Ana"])

    assert_refused(database, clear_personal(ids["Mia"]))
    assert_refused(database, update(AUDIT_EVENT).values(personal=None))


def test_what_happens_behind_an_erasure_closes_it(ids, database):
    erase(database, ids["Ana"])
    record_note(database, subject_id=ids["Ana"])

    assert_refused(database, clear_personal(ids["Ana"]))


def test_erasing_a_person_changes_nothing_else(ids, database, engine):
    erase(database, ids["Ana"])
    with database.read_transaction() as session:
        events = session.execute(select(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ids["Ana"])).all()

    for event in events:
        for column, value in changed_values(AUDIT_EVENT, event, engine):
            if column.name != "personal":
                assert_refused(database, update_row(AUDIT_EVENT, event, {"personal": None, column.name: value}))


def test_personal_values_replaced_by_others_are_no_erasure(ids, database):
    erase(database, ids["Ana"])

    for value in ("", "{}", '{"salt":"","values":{}}'):
        assert_refused(database, clear_personal(ids["Ana"]).values(personal=value))


def test_personal_values_emptied_without_an_erasure_are_missed(tamperer):
    for event in tamperer.events:
        if event.personal:
            failure = tamperer.verify_after(update_row(AUDIT_EVENT, event, {"personal": None}))

            assert failure == f"{position_of(event)} has no personal values, but no later event erases them."


def test_personal_values_emptied_behind_an_erasure_are_missed(ids, database):
    erase(database, ids["Ana"])
    record_note(database, subject_id=ids["Ana"], reason="Asked for a copy")
    tamperer = AuditTamperer(database)
    last = tamperer.events_of_chain(ids["Ana"])[-1]

    failure = tamperer.verify_after(clear_personal(ids["Ana"]))

    assert failure == f"{position_of(last)} has no personal values, but no later event erases them."


@pytest.mark.parametrize("step", [-1, 0, 2, 3])
def test_an_event_that_does_not_continue_its_chain_is_refused(ids, database, step):
    with database.read_transaction() as session:
        (*_, last) = session.execute(
            select(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ids["Ana"]).order_by(AUDIT_EVENT.c.position)
        )
    forked = insert(AUDIT_EVENT).values(last._asdict() | {"position": last.position + step, "request_id": "fork"})

    assert_refused(database, forked, by=r"audit_event_extends_its_chain|audit_event_is_append_only|pk_audit_event")


@pytest.mark.parametrize("position", [-1, 0, 2])
def test_a_chain_starts_with_its_first_link(ids, database, position):
    with database.read_transaction() as session:
        some = session.execute(select(AUDIT_EVENT).limit(1)).one()
    stray = insert(AUDIT_EVENT).values(some._asdict() | {"chain_id": UNKNOWN_ID, "position": position})

    assert_refused(database, stray, by="audit_event_extends_its_chain")


def test_each_link_follows_the_one_that_an_earlier_transaction_wrote(ids, database):
    for number in range(3):
        record_note(database, subject_id=ids["Mia"], reason=f"Round {number}")
        record_note(database)

    with database.read_transaction() as session:
        assert verify_chains(session) == VerificationResult(chains=4, events=15)


def erase(database: Database, user_id: int) -> None:
    """Record the erase event. It allows a later statement to clear the values."""
    with database.write_transaction("request-8") as session:
        recorder.record(session, recorder.ERASE_ACTION, at=NOW, actor_id=None, subject_id=user_id, object_id=user_id)


def assert_refused(database: Database, statement: Executable, *, by: str = "audit_event_is_append_only") -> None:
    with pytest.raises(IntegrityError, match=by), database.write_transaction() as session:
        session.execute(statement)


def clear_personal(user_id: int) -> Update:
    return update(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == user_id).values(personal=None)


def test_an_erasure_that_somebody_forged_to_empty_values_behind_is_found(database, people):
    """The triggers accept a forged erase event that continues the chain, but verification finds it."""
    ana = people.employee("Ana")
    forged = text("""
        INSERT INTO audit_event (chain_id, position, at, action, object_type, request_id, key_id, link)
        SELECT chain_id, position + 1, at, 'user:erase', 'user', 'r', key_id, link FROM audit_event
        WHERE chain_id = :ana
    """)
    with database.write_transaction() as session:
        session.execute(forged, {"ana": ana.id})
        session.execute(text("UPDATE audit_event SET personal = NULL WHERE chain_id = :ana"), {"ana": ana.id})

    with (
        pytest.raises(AuditChainBroken, match=rf"^Chain {ana.id}, link 2 was changed"),
        database.read_transaction() as session,
    ):
        verify_chains(session)
