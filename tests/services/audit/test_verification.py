"""The proof of the record: whatever is changed or removed behind the application's back is found, and where."""

import re
from typing import Any

import pytest
from sqlalchemy import Column, Row, insert, literal_column, update

from app.models.tables import CHAIN, EVENT
from app.services.audit import verification
from app.services.audit.recorder import HOUSE
from app.services.audit.verification import Proof
from tests.support.audit_tampering import (
    NOW,
    NOWHERE,
    Burglar,
    changed,
    names_a_place,
    noted,
    of_another_type,
    one_step,
    place,
    removed,
    verified,
)
from tests.support.databases import POSTGRESQL, SQLITE


def test_an_untouched_record_holds(ids, database):
    with database.reading() as session:
        assert verified(session) == Proof(chains=4, events=9)


def test_the_record_of_a_company_without_people_holds(database):
    with database.reading() as session:
        assert verified(session, verification.seal(session, at=NOW)) == Proof(chains=1, seals=1)


def test_progress_counts_up_to_all_links(ids, database):
    seen = []
    with database.reading() as session:
        verification.verify(session, [], on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(2, 9), (3, 9), (4, 9), (9, 9)]


def test_each_column_of_each_event_is_proven(burglar, engine):
    wrong = {
        (event.chain_id, event.position, column.name, repr(value)): said
        for event in burglar.events
        for column, value in one_step(EVENT, event, engine)
        if not names(said := burglar.told(changed(EVENT, event, {column.name: value})), event, column)
    }

    assert wrong == {}


def test_each_column_of_each_head_is_proven(burglar, engine):
    unfound = {
        (head.chain_id, column.name, repr(value)): said
        for head in burglar.heads
        for column, value in one_step(CHAIN, head, engine)
        if not names_a_place(said := burglar.told(changed(CHAIN, head, {column.name: value})))
    }

    assert unfound == {}


def test_each_character_of_an_event_is_proven(burglar):
    event = burglar.events[-1]
    texts = {name: value for name, value in event._mapping.items() if isinstance(value, str)}
    assert {"before", "after", "reason", "personal"} < texts.keys()

    unfound = [
        (name, place)
        for name, value in texts.items()
        for place, character in enumerate(value)
        if not burglar.told(changed(EVENT, event, {name: value[:place] + chr(ord(character) ^ 1) + value[place + 1 :]}))
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
    noted(database, reason="2026")
    burglar = Burglar(database)
    (event,) = burglar.events
    assert old in event.personal

    told = burglar.told(changed(EVENT, event, {"personal": event.personal.replace(old, new)}))

    assert told == f"Chain {HOUSE}, link 1 was changed in its personal values."


def test_the_start_of_a_reason_cannot_become_a_part_of_its_salt(database):
    noted(database, reason="He left\nreason\nafter lunch")
    burglar = Burglar(database)
    (event,) = burglar.events
    moved = event.personal.replace('","values"', '\\nreason\\nHe left","values"').replace("He left\\nreason\\na", "a")
    assert "after lunch" in moved

    told = burglar.told(changed(EVENT, event, {"personal": moved}))

    assert told == f"Chain {HOUSE}, link 1 was changed in its personal values."


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_value_of_another_type_is_found_in_any_column(burglar):
    unfound = {
        (table.name, tuple(row)[:2], column.name, wrong): said
        for table, rows in ((EVENT, burglar.events), (CHAIN, burglar.heads))
        for row in rows
        for column in table.c
        for wrong in of_another_type(column, getattr(row, column.name))
        if not names_a_place(said := burglar.told(changed(table, row, {column.name: literal_column(wrong)})))
    }

    assert unfound == {}


@pytest.mark.parametrize("engine", [SQLITE])
def test_what_is_broken_before_an_unreadable_event_is_named_first(burglar, ids):
    first, second, third, *_ = burglar.of_chain(ids["Ana"])
    unreadable = changed(EVENT, third, {"at": literal_column("'yesterday'")})

    assert burglar.told(unreadable) == (
        f"The row of audit_event behind chain {second.chain_id}, link {second.position} can't be read: "
        "a column holds what isn't of its kind."
    )
    assert burglar.told(unreadable, changed(EVENT, first, {"action": "user:creates"})) == (
        f"{place(first)} was changed: it doesn't fit its link."
    )


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("at", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
def test_an_instant_that_is_none_is_found(burglar, at):
    event = burglar.events[-1]

    assert names_a_place(burglar.told(changed(EVENT, event, {"at": literal_column(f"'{at}'::timestamptz")})))


def test_each_missing_event_is_missed(burglar):
    for event in burglar.events:
        assert burglar.told(removed(EVENT, event)).startswith(f"{place(event)} is missing")


def test_each_missing_head_is_missed(burglar):
    for head in burglar.heads:
        assert re.match(rf"Chain {head.chain_id}\b", burglar.told(removed(CHAIN, head)))


def test_a_missing_head_is_missed_before_anything_happened(database):
    burglar = Burglar(database)
    (head,) = burglar.heads

    assert burglar.told(removed(CHAIN, head)) == f"Chain {HOUSE} has lost its head."


def test_two_events_that_change_places_are_found(burglar):
    pairs = list(zip(burglar.events, burglar.events[1:], strict=False))
    assert any(one.chain_id != other.chain_id for one, other in pairs)
    assert any(one.chain_id == other.chain_id for one, other in pairs)
    for one, other in pairs:
        told = burglar.told(changed(EVENT, one, contents(other)), changed(EVENT, other, contents(one)))

        assert told == f"{place(one)} was changed: it doesn't fit its link."


def test_an_event_forged_or_repeated_at_the_end_is_found(burglar, ids):
    last = burglar.of_chain(ids["Ana"])[-1]
    repeated = last._asdict() | {"position": last.position + 1}
    mended = update(CHAIN).where(CHAIN.c.chain_id == ids["Ana"]).values(length=last.position + 1)
    for event in (repeated, repeated | {"action": "time_entry:approve"}):
        for statements in ([insert(EVENT).values(event)], [insert(EVENT).values(event), mended]):
            told = burglar.told(*statements)

            assert told == f"Chain {last.chain_id}, link {last.position + 1} was changed: it doesn't fit its link."


@pytest.mark.parametrize("chain_id", [NOWHERE, -7, -1])
def test_an_event_copied_into_a_chain_of_nobody_is_found(burglar, ids, chain_id):
    copied = burglar.of_chain(ids["Ana"])[0]._asdict() | {"chain_id": chain_id}
    head = insert(CHAIN).values(chain_id=chain_id, length=1, last_link=copied["link"])

    for statements in ([insert(EVENT).values(copied)], [insert(EVENT).values(copied), head]):
        assert burglar.told(*statements) == f"Chain {chain_id}, link 1 was changed: it doesn't fit its link."


def test_an_event_copied_into_the_chain_of_another_person_is_found(burglar, ids):
    (mias,) = burglar.of_chain(ids["Mia"])
    copied = burglar.of_chain(ids["Ana"])[1]._asdict() | {"chain_id": ids["Mia"]}
    assert copied["position"] == mias.position + 1

    told = burglar.told(insert(EVENT).values(copied))

    assert told == f"Chain {ids['Mia']}, link 2 was changed: it doesn't fit its link."


@pytest.mark.parametrize("chain_id", [NOWHERE, -7])
@pytest.mark.parametrize(
    ("length", "last_link", "said"),
    [
        (0, "", " has a head, but no link."),
        (0, "f00", ", link 0 isn't the last link that the chain's head has."),
        (1, "f00", ", link 1 is missing: the chain's head has 1 links."),
        (-1, "", ", link 0 is one more than the chain's head knows of."),
    ],
)
def test_a_head_of_a_chain_without_events_is_found(burglar, chain_id, length, last_link, said):
    told = burglar.told(insert(CHAIN).values(chain_id=chain_id, length=length, last_link=last_link))

    assert told == f"Chain {chain_id}{said}"


def test_lengths_that_no_number_can_sum_up_are_found(burglar):
    assert burglar.told(update(CHAIN).values(length=2**63 - 1)).startswith("Chain 0, link 3 is missing")


def contents(event: Row[Any]) -> dict[str, Any]:
    """All of an event but its place."""
    return {column.name: getattr(event, column.name) for column in EVENT.c if not column.primary_key}


def names(said: str | None, event: Row[Any], column: Column[Any]) -> bool:
    """Whether it names the very event; where the event went elsewhere, any place."""
    return names_a_place(said) if column.primary_key else (said or "").startswith(f"{place(event)} ")
