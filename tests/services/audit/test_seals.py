"""Seals, kept elsewhere, show what the record alone can't; former keys prove what they once made."""

import pytest
from sqlalchemy import delete, update

from app.core.database.session import Database
from app.models.tables import CHAIN, EVENT
from app.services.audit import recorder
from app.services.audit.recorder import HOUSE
from app.services.audit.verification import BrokenRecord, Proof
from tests.support.audit_tampering import NOW, Burglar, noted, place, removed, sealed, verified
from tests.support.databases import settings_for

KEY, FORMER_KEY = "a-key-for-the-record-only-7d1e93b0c4", "a-key-of-years-ago-51c8e2f09ab34d76"


def test_a_chain_cut_off_at_its_end_is_found_by_its_head_and_behind_a_mended_head_by_a_seal(burglar, ids, database):
    seal = sealed(database)
    for chain_id in (HOUSE, ids["Ana"]):
        *_, before, last = burglar.of_chain(chain_id)
        cut_off = removed(EVENT, last)
        mended = update(CHAIN).where(CHAIN.c.chain_id == chain_id)
        mended = mended.values(length=before.position, last_link=before.link)

        assert burglar.told(cut_off) == (f"{place(last)} is missing: the chain's head has {last.position} links.")
        assert burglar.told(cut_off, mended) is None
        assert burglar.told(cut_off, mended, seals=(seal,)) == (
            f"{place(last)} is missing: at 2026-03-03T09:00:00Z the chain was sealed with {last.position} links."
        )


def test_a_chain_gone_with_its_head_is_found_by_a_seal(burglar, ids, database):
    gone = [delete(EVENT).where(EVENT.c.chain_id == ids["Ana"]), delete(CHAIN).where(CHAIN.c.chain_id == ids["Ana"])]

    assert burglar.told(*gone) is None
    assert burglar.told(*gone, seals=(sealed(database),)) == (
        f"Chain {ids['Ana']} is missing: a seal of 2026-03-03T09:00:00Z has it."
    )


def test_a_chain_written_anew_with_the_key_is_found_by_a_seal(ids, database):
    seal, burglar = sealed(database), Burglar(database)
    of_house = update(CHAIN).where(CHAIN.c.chain_id == HOUSE)
    with database.writing() as session:
        session.execute(delete(EVENT).where(EVENT.c.chain_id == HOUSE))
        session.execute(of_house.values(length=0, last_link=""))
        for number in range(3):
            recorder.record(session, "project:create", at=NOW, actor_id=None, object_id=number)
        length, last_link = session.info["chain_heads"][HOUSE]
        session.execute(of_house.values(length=length, last_link=last_link))

    assert burglar.told() is None
    assert burglar.told(seals=(seal,)) == "Chain 0, link 2 isn't the one that was sealed at 2026-03-03T09:00:00Z."


def test_a_seal_of_an_earlier_time_holds_when_the_chains_have_grown(ids, database, people):
    earlier = sealed(database)
    people.employee("Zoe")
    noted(database, subject_id=ids["Ana"])
    later = sealed(database)

    with database.reading() as session:
        assert verified(session, earlier, "", later) == Proof(chains=5, events=11, seals=2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2026-03-03", "2026-03-04", "was changed: its signature doesn't fit."),
        ('"0":[2,', '"0":[1,', "was changed: its signature doesn't fit."),
        ('"signature":"', '"signature":"0', "was changed: its signature doesn't fit."),
        ('"signature":"', '"signature":"ü', "isn't a seal."),
        ('"signature"', '"autograph"', "isn't a seal."),
        ('"key_id":"', '"key_id":"0', "can't be proven."),
        ('"key_id":', '"key_id":{},"was":', "isn't a seal."),
        ("}", "", "isn't a seal."),
        ("{", "[" * 100_000 + "{", "isn't a seal."),
        ('{"at"', '"at"', "isn't a seal."),
    ],
)
def test_a_seal_that_was_changed_proves_nothing(ids, database, old, new, said):
    seal = sealed(database)
    assert old in seal

    with database.reading() as session, pytest.raises(BrokenRecord) as broken_seal:
        verified(session, seal, seal.replace(old, new))

    assert str(broken_seal.value).startswith(f"Line 2 of the seals {said}")


def test_events_of_a_former_key_are_proven_by_it_alone(ids, database):
    seal = sealed(database)
    with database.reading() as session:
        former_id = session.keyring.audit_keys.current_id
    former = database.settings.SECRET_KEY.get_secret_value()
    for old_keys, said in (([FORMER_KEY, former], None), ([FORMER_KEY], "can't be proven"), ([], "can't be proven")):
        now = Database(settings_for(database.settings.DB_URL, AUDIT_KEY=KEY, AUDIT_PREVIOUS_KEYS=old_keys))
        noted(now, subject_id=ids["Mia"])
        for seals, where in (((), "Chain 0, link 1"), ((seal,), "Line 1 of the seals")):
            with now.reading() as session:
                if said is None:
                    assert verified(session, *seals).chains == 4
                    continue
                with pytest.raises(BrokenRecord) as unproven:
                    verified(session, *seals)
            assert str(unproven.value) == (
                f"{where} {said}. It was made with the key {former_id}, "
                "which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS."
            )
        now.close()
