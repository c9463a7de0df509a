"""Two exports at a time per person (DESIGN: section 6)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.core.time.clock import utc_now
from app.models.tables import SLOT
from app.services import export_leases
from app.services.access.actor import Actor
from app.services.export_leases import Slot, TooManyExports

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def mia(people):
    person = people.manager("Mia")
    return Actor(person.id, person.role, person.time_zone)


def take(database, actor, at) -> Slot:
    with database.writing() as session:
        return export_leases.take(session, actor, at=at)


def test_a_third_export_waits_until_one_is_through(database, people, mia):
    bob, now = people.manager("Bob"), utc_now()
    first, _ = take(database, mia, now), take(database, mia, now)

    with pytest.raises(TooManyExports) as refused:
        take(database, mia, now)
    take(database, Actor(bob.id, bob.role, "UTC"), now)
    with database.writing() as session:
        export_leases.give_back(session, first)
    take(database, mia, now)

    assert refused.value.retry_after_seconds == 5


def test_the_slot_of_a_worker_that_died_is_free_after_a_minute(database, mia):
    now = utc_now()
    dead, _ = take(database, mia, now), take(database, mia, now)

    with pytest.raises(TooManyExports):
        take(database, mia, now + MINUTE - SECOND)
    again = take(database, mia, now + MINUTE)

    with database.writing() as session:  # it wasn't dead, only slow: what it holds is somebody else's now
        export_leases.give_back(session, dead)
    take(database, mia, now + MINUTE)
    with pytest.raises(TooManyExports):
        take(database, mia, now + MINUTE)
    assert again.holder != dead.holder


def test_a_slot_that_is_held_on_to_stays_taken(database, mia):
    now = utc_now()
    slots = [take(database, mia, now) for _ in range(2)]

    with database.writing() as session:
        for slot in slots:
            export_leases.hold(session, slot, at=now + MINUTE - SECOND)

    with pytest.raises(TooManyExports):
        take(database, mia, now + 2 * MINUTE - 2 * SECOND)


def test_of_many_at_once_two_get_a_slot(database, mia):
    now = utc_now()

    def tried(_: int) -> bool:
        try:
            return bool(take(database, mia, now))
        except TooManyExports:
            return False

    with ThreadPoolExecutor(4) as crowd:
        assert sum(crowd.map(tried, range(12))) == 2


def test_the_database_knows_no_third_slot(database, mia):
    with pytest.raises(IntegrityError), database.writing() as session:
        session.execute(insert(SLOT).values(user_id=mia.id, number=3, holder="x", held_until=utc_now()))
