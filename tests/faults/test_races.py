"""Races of parallel clients against two worker processes (threats 9, 10, 29 to 32)."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from sqlalchemy import func, select

from app.models.tables import ENTRY, USER
from app.models.users import Role, User
from app.services.audit.verification import verify
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, exchange, open_connection, send_in_parallel, send_simultaneously
from tests.support.times import hour_entry, hours_ago, hours_ago_utc, two_hour_entry

pytestmark = pytest.mark.high_volume
API = "/api/v1"


def test_fifty_people_who_each_clock_in_eight_times_at_once_are_clocked_in_once(people, database, two_workers, bearer):
    """Threats 29."""
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(50)]
    url = f"{two_workers.base_url}{API}/time-entries/clock-in"
    body = {"project_id": website.id, "description": ""}

    calls = [Call("POST", url, bearer(user), body) for user in staff for _ in range(8)]
    answers = send_simultaneously(calls, retry_busy=True)

    statuses = [answer.status_code for answer in answers]
    by_person = [Counter(statuses[start : start + 8]) for start in range(0, len(statuses), 8)]
    assert by_person == [Counter({200: 1, 409: 7})] * 50
    with database.read_transaction() as session:
        counted = session.execute(select(func.count()).select_from(ENTRY)).scalar_one()
    assert counted == 50


def test_one_person_who_clocks_in_and_out_from_many_devices_never_overlaps(people, database, two_workers, bearer):
    """Threats 30, for punches. test_constraints covers the same rule at the database."""
    ana, website = people.employee("Ana"), people.project("Website")
    entries = f"{two_workers.base_url}{API}/time-entries"
    body = {"project_id": website.id, "description": ""}
    device = [
        Call("POST", f"{entries}/clock-in", bearer(ana), body, {"switch": "true"}),
        Call("POST", f"{entries}/clock-out", bearer(ana)),
    ] * 5

    answers = send_in_parallel([device] * 8)

    assert {answer.status_code for of_device in answers for answer in of_device} <= {200, 409}
    with database.read_transaction() as session:
        rows = session.execute(
            select(ENTRY.c.start_time, ENTRY.c.end_time).order_by(ENTRY.c.start_time, ENTRY.c.end_time)
        ).all()
    assert len(rows) == sum(a.status_code == 200 for of_device in answers for a in of_device[::2])
    assert all(before.end_time <= after.start_time for before, after in pairwise(rows))


def test_two_admins_who_remove_each_other_at_once_leave_one(people, database, two_workers, bearer):
    """Threats 9. Admins demote and deactivate each other; the extended run has 200 rounds."""
    ada, abe = people.admin("Ada"), people.admin("Abe")
    users = f"{two_workers.base_url}{API}/admin/users"

    for _ in range(10):
        first, second = people.reload(ada), people.reload(abe)
        answers = send_simultaneously(
            [
                Call("PATCH", f"{users}/{second.id}", bearer(first), {"role": "employee"}),
                Call("PATCH", f"{users}/{first.id}", bearer(second), {"role": "employee"}),
                Call("PUT", f"{users}/{second.id}/deactivate", bearer(first)),
                Call("PUT", f"{users}/{first.id}/deactivate", bearer(second)),
                Call("PATCH", f"{users}/{first.id}", bearer(first), {"role": "employee"}),
                Call("PATCH", f"{users}/{second.id}", bearer(second), {"role": "employee"}),
            ]
        )

        assert {answer.status_code for answer in answers} <= {200, 401, 403, 409}
        with database.write_transaction() as session:
            admins = session.scalars(select(User).where(USER.c.role == Role.admin, USER.c.is_active)).all()
            assert len(admins) == 1
            for user in session.scalars(select(User)):
                user.role, user.is_active = Role.admin, True


def test_two_managers_who_are_put_under_each_other_at_once_form_no_circle(people, two_workers, bearer):
    """Threats 10."""
    ada, mia, max_ = people.admin("Ada"), people.manager("Mia"), people.manager("Max")
    users = f"{two_workers.base_url}{API}/admin/users"

    for _ in range(10):
        answers = send_simultaneously(
            [
                Call("PUT", f"{users}/{mia.id}/assign-manager", bearer(ada), params={"manager_id": max_.id}),
                Call("PUT", f"{users}/{max_.id}/assign-manager", bearer(ada), params={"manager_id": mia.id}),
            ]
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409]
        send_simultaneously([Call("DELETE", f"{users}/{user.id}/manager", bearer(ada)) for user in (mia, max_)])


def test_an_email_is_given_once_however_many_admins_hand_it_out(people, two_workers, bearer):
    ada = people.admin("Ada")
    body = {"first_name": "New", "last_name": "Person", "role": "employee", "password": "violet-harbour-42-lantern"}
    emails = ["new@example.com", "NEW@example.com", "New@Example.com", "neW@example.com"]
    url = f"{two_workers.base_url}{API}/admin/users"

    answers = send_simultaneously([Call("POST", url, bearer(ada), body | {"email": email}) for email in emails])

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


def test_of_twenty_overlapping_entries_by_three_people_at_once_one_is_entered(people, database, two_workers, bearer):
    """Threats 30, for entries created by Ana, her manager and an admin."""
    mia, ada, website = people.manager("Mia"), people.admin("Ada"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    url, senders = f"{two_workers.base_url}{API}/time-entries", [ana, mia, ada]
    times = [{"start_time": hours_ago(30, minutes=-n), "end_time": hours_ago(28, minutes=-n)} for n in range(20)]
    body = {"project_id": website.id, "user_id": ana.id, "reason": "On paper"}
    audit_log = AuditLog(database)

    answers = send_simultaneously([Call("POST", url, bearer(senders[n % 3]), body | times[n]) for n in range(20)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"entry_overlaps"}
    (entry,) = _entries(database)
    assert [event.object_id for event in audit_log.new_events()] == [entry.id]


def test_twenty_copies_of_an_entry_at_once_are_one_entry_and_one_answer(people, database, two_workers, bearer):
    """Threats 31."""
    ana, website = people.employee("Ana"), people.project("Website")
    copy = Call("POST", f"{two_workers.base_url}{API}/time-entries", _with_key(bearer(ana)), two_hour_entry(website))
    audit_log = AuditLog(database)

    answers = send_simultaneously([copy] * 20)

    assert Counter(answers) == {answers[0]: 20}
    assert answers[0].status_code == 201
    assert [entry.id for entry in _entries(database)] == [answers[0].json()["id"]]
    assert len(audit_log.new_events()) == 1


def test_twenty_copies_of_a_punch_at_once_are_one_punch_and_one_answer(people, database, two_workers, bearer):
    """Threats 31."""
    ana, website = people.employee("Ana"), people.project("Website")
    body, switch = {"project_id": website.id, "description": ""}, {"switch": "true"}
    copy = Call("POST", f"{two_workers.base_url}{API}/time-entries/clock-in", _with_key(bearer(ana)), body, switch)
    audit_log = AuditLog(database)

    answers = send_simultaneously([copy] * 20)

    assert Counter(answers) == {answers[0]: 20}
    assert answers[0].status_code == 200
    assert [entry.id for entry in _entries(database)] == [answers[0].json()["id"]]
    assert len(audit_log.new_events()) == 1


def test_a_counter_that_eight_people_count_up_at_once_loses_no_count(people, database, two_workers, bearer):
    """Threats 32."""
    ana, website = people.employee("Ana"), people.project("Website")
    entry_id = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 10:00", description="0")
    url = f"{two_workers.base_url}{API}/time-entries/{entry_id}"
    admins = [bearer(people.admin(f"Admin {number}")) for number in range(8)]

    statuses = Counter(asyncio.run(_increment(url, admins, times=25)))

    (entry,) = _entries(database)
    assert set(statuses) == {200, 412}
    assert statuses.total() == 200
    assert int(entry.description) == statuses[200] == entry.version - 1


def test_two_admins_and_a_manager_with_her_team_enter_each_others_time_without_a_deadlock(
    people, database, two_workers, bearer
):
    """A correction locks its sender and the owner of the entry, in the same order always. An admin's change of a user
    locks the admin first."""
    ada, abe, mia, website = people.admin("Ada"), people.admin("Abe"), people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    entries = f"{two_workers.base_url}{API}/time-entries"
    pairs = [(ada, abe), (abe, ada), (mia, ana), (ana, ana), (ada, ana), (ada, mia), (abe, ana), (mia, mia)]

    def sent(number, sender, owner):
        """Return an entry, a bulk for both users, a correction, and as an admin a change of the user."""
        header, about = bearer(sender), {"user_id": owner.id, "reason": "On paper"}
        there = people.entry(owner, website, hours_ago_utc(23 - number), hours_ago_utc(23 - number))
        for n in range(number * 30, number * 30 + 30, 3):
            both = [hour_entry(website, n + 1, **about), hour_entry(website, n + 2)]
            bulk = {"operations": [{"action": "create"} | each for each in both]}
            yield Call("POST", entries, _with_key(header, f"{number}-{n}"), hour_entry(website, n, **about))
            yield Call("POST", f"{entries}/bulk", _with_key(header, f"{number}-{n}-bulk"), bulk)
            yield Call("PATCH", f"{entries}/{there}", header, {"description": f"{n}", "reason": "Typo"})
            if sender in (ada, abe):
                users = f"{two_workers.base_url}{API}/admin/users"
                yield Call("PATCH", f"{users}/{owner.id}", header, {"last_name": f"Number {n}"})

    answers = send_in_parallel([list(sent(number, *pair)) for number, pair in enumerate(pairs)])

    assert Counter(answer.status_code for of_pair in answers for answer in of_pair) == {201: 80, 200: 210}
    assert len(_entries(database)) == 80 + 160 + 8


def test_eight_writers_to_one_person_leave_one_chain(people, database, two_workers, bearer):
    mia, ada, website = people.manager("Mia"), people.admin("Ada"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    entries = f"{two_workers.base_url}{API}/time-entries"
    body, switch = {"project_id": website.id, "description": ""}, {"switch": "true"}
    clock_in = Call("POST", f"{entries}/clock-in", bearer(ana), body, switch)
    audit_log = AuditLog(database)

    def by_hand(number, sender):
        bodies = [hour_entry(website, number * 10 + n, user_id=ana.id, reason="On paper") for n in range(10)]
        return [Call("POST", entries, bearer(sender), body) for body in bodies]

    answers = send_in_parallel(
        [[clock_in] * 10] * 2 + [by_hand(n, sender) for n, sender in enumerate([ana, mia, ada] * 2)]
    )

    assert {answer.status_code for of_client in answers for answer in of_client} == {200, 201}
    with database.read_transaction() as session:
        verify(session, [], on_progress=lambda done, total: None)
    events = audit_log.new_events()
    assert Counter(event.action for event in events) == {
        "time_entry:create": 60,
        "time_entry:clock_in": 20,
        "time_entry:switch": 19,
    }
    assert {event.subject_id for event in events} == {ana.id}
    assert len({event.position for event in events}) == 99


def _entries(database):
    with database.read_transaction() as session:
        return session.execute(select(ENTRY)).all()


def _with_key(header, key="k-1"):
    return header | {"Idempotency-Key": key}


async def _increment(url, headers, *, times):
    """Read the description and write it incremented, with the version read. Returns the statuses of the writes."""

    async def count(header):
        statuses = []
        async with open_connection(url) as connection:
            for _ in range(times):
                seen = (await exchange(Call("GET", url, header), *connection)).json()
                changes = {"description": str(int(seen["description"]) + 1), "reason": "One more"}
                meant_for = header | {"If-Match": f'"{seen["version"]}"'}
                statuses.append((await exchange(Call("PATCH", url, meant_for, changes), *connection)).status_code)
        return statuses

    return [status for of_one in await asyncio.gather(*(count(header) for header in headers)) for status in of_one]
