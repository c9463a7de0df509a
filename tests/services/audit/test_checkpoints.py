"""External checkpoints detect tampering that the audit log alone cannot. Previous keys verify their own events."""

import pytest
from sqlalchemy import delete, update

from app.core.database.session import Database
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT
from app.services.audit import recorder
from app.services.audit.recorder import ORGANISATION_CHAIN
from app.services.audit.stored_rows import AuditChainBroken
from app.services.audit.verification import VerificationResult
from tests.support.audit_tampering import (
    NOW,
    AuditTamperer,
    delete_row,
    make_checkpoint,
    position_of,
    record_note,
    verify_chains,
)
from tests.support.databases import settings_for

KEY, FORMER_KEY = "a-key-for-the-record-only-7d1e93b0c4", "a-key-of-years-ago-51c8e2f09ab34d76"


def test_a_chain_cut_off_at_its_end_is_found_by_its_head_and_behind_a_mended_head_by_a_seal(tamperer, ids, database):
    checkpoint = make_checkpoint(database)
    for chain_id in (ORGANISATION_CHAIN, ids["Ana"]):
        *_, before, last = tamperer.events_of_chain(chain_id)
        cut_off = delete_row(AUDIT_EVENT, last)
        mended = update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == chain_id)
        mended = mended.values(length=before.position, last_link=before.link)

        assert tamperer.verify_after(cut_off) == (
            f"{position_of(last)} is missing. The chain head counts {last.position} links."
        )
        assert tamperer.verify_after(cut_off, mended) is None
        assert tamperer.verify_after(cut_off, mended, checkpoints=(checkpoint,)) == (
            f"{position_of(last)} is missing. The checkpoint of 2026-03-03T09:00:00Z has {last.position} links."
        )


def test_a_chain_gone_with_its_head_is_found_by_a_seal(tamperer, ids, database):
    statements = [
        delete(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ids["Ana"]),
        delete(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == ids["Ana"]),
    ]

    assert tamperer.verify_after(*statements) is None
    assert tamperer.verify_after(*statements, checkpoints=(make_checkpoint(database),)) == (
        f"Chain {ids['Ana']} is missing, but the checkpoint of 2026-03-03T09:00:00Z contains it."
    )


def test_a_chain_written_anew_with_the_key_is_found_by_a_seal(ids, database):
    checkpoint, tamperer = make_checkpoint(database), AuditTamperer(database)
    head_update = update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == ORGANISATION_CHAIN)
    with database.write_transaction() as session:
        session.execute(delete(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ORGANISATION_CHAIN))
        session.execute(head_update.values(length=0, last_link=""))
        for number in range(3):
            recorder.record(session, "project:create", at=NOW, actor_id=None, object_id=number)
        length, last_link = session.info["chain_heads"][ORGANISATION_CHAIN]
        session.execute(head_update.values(length=length, last_link=last_link))

    assert tamperer.verify_after() is None
    assert (
        tamperer.verify_after(checkpoints=(checkpoint,))
        == "Chain 0, link 2 does not match the checkpoint of 2026-03-03T09:00:00Z."
    )


def test_a_seal_of_an_earlier_time_holds_when_the_chains_have_grown(ids, database, people):
    earlier = make_checkpoint(database)
    people.employee("Zoe")
    record_note(database, subject_id=ids["Ana"])
    later = make_checkpoint(database)

    with database.read_transaction() as session:
        assert verify_chains(session, earlier, "", later) == VerificationResult(chains=5, events=11, checkpoints=2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2026-03-03", "2026-03-04", "was changed. Its signature is not valid."),
        ('"0":[2,', '"0":[1,', "was changed. Its signature is not valid."),
        ('"signature":"', '"signature":"0', "was changed. Its signature is not valid."),
        ('"signature":"', '"signature":"ü', "is not a checkpoint."),
        ('"signature"', '"autograph"', "is not a checkpoint."),
        ('"key_id":"', '"key_id":"0', "cannot be verified."),
        ('"key_id":', '"key_id":{},"was":', "is not a checkpoint."),
        ("}", "", "is not a checkpoint."),
        ("{", "[" * 100_000 + "{", "is not a checkpoint."),
        ('{"at"', '"at"', "is not a checkpoint."),
    ],
)
def test_a_seal_that_was_changed_proves_nothing(ids, database, old, new, message):
    checkpoint = make_checkpoint(database)
    assert old in checkpoint

    with database.read_transaction() as session, pytest.raises(AuditChainBroken) as broken:
        verify_chains(session, checkpoint, checkpoint.replace(old, new))

    assert str(broken.value).startswith(f"Line 2 of the checkpoints {message}")


def test_events_of_a_former_key_are_proven_by_it_alone(ids, database):
    checkpoint = make_checkpoint(database)
    with database.read_transaction() as session:
        former_id = session.keyring.audit_keys.current_id
    former = database.settings.SECRET_KEY.get_secret_value()
    for old_keys, message in (
        ([FORMER_KEY, former], None),
        ([FORMER_KEY], "cannot be verified"),
        ([], "cannot be verified"),
    ):
        rekeyed = Database(settings_for(database.settings.DB_URL, AUDIT_KEY=KEY, AUDIT_PREVIOUS_KEYS=old_keys))
        record_note(rekeyed, subject_id=ids["Mia"])
        for checkpoints, location in (((), "Chain 0, link 1"), ((checkpoint,), "Line 1 of the checkpoints")):
            with rekeyed.read_transaction() as session:
                if message is None:
                    assert verify_chains(session, *checkpoints).chains == 4
                    continue
                with pytest.raises(AuditChainBroken) as unproven:
                    verify_chains(session, *checkpoints)
            assert str(unproven.value) == (
                f"{location} {message}. It was made with the key {former_id}, "
                "which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS."
            )
        rekeyed.close()
