"""Races, with real parallel clients against two worker processes (THREATS 9, 10, 29, 30)."""

from collections import Counter
from itertools import pairwise

from sqlalchemy import func, select

from app.models.user import Role, User
from app.services.identity import USER
from app.services.periods import ENTRY
from tests.support.crowd import Call, at_once, in_parallel

API = "/api/v1"


def test_fifty_people_who_each_clock_in_eight_times_at_once_are_clocked_in_once(people, database, two_workers, bearer):
    """THREATS 29."""
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(50)]
    url = f"{two_workers.base_url}{API}/time-entries/clock-in"
    body = {"project_id": website.id, "description": ""}

    answers = at_once([Call("POST", url, bearer(person), body) for person in staff for _ in range(8)])

    statuses = [answer.status_code for answer in answers]
    by_person = [Counter(statuses[start : start + 8]) for start in range(0, len(statuses), 8)]
    assert by_person == [Counter({200: 1, 409: 7})] * 50
    with database.reading() as session:
        counted = session.execute(select(func.count()).select_from(ENTRY)).scalar_one()
    assert counted == 50


def test_one_person_who_clocks_in_and_out_from_many_devices_never_overlaps(people, database, two_workers, bearer):
    """THREATS 30, on the write paths that punches have: the database's own words on it are in test_constraints."""
    ana, website = people.employee("Ana"), people.project("Website")
    entries = f"{two_workers.base_url}{API}/time-entries"
    body = {"project_id": website.id, "description": ""}
    device = [
        Call("POST", f"{entries}/clock-in", bearer(ana), body, {"switch": "true"}),
        Call("POST", f"{entries}/clock-out", bearer(ana)),
    ] * 5

    answers = in_parallel([device] * 8)

    assert {answer.status_code for of_device in answers for answer in of_device} <= {200, 409}
    with database.reading() as session:
        stretches = session.execute(
            select(ENTRY.c.start_time, ENTRY.c.end_time).order_by(ENTRY.c.start_time, ENTRY.c.end_time)
        ).all()
    assert len(stretches) == sum(a.status_code == 200 for of_device in answers for a in of_device[::2])
    assert all(before.end_time <= after.start_time for before, after in pairwise(stretches))


def test_two_admins_who_remove_each_other_at_once_leave_one(people, database, two_workers, bearer):
    """THREATS 9: a round of demotions and deactivations; the long form is 200 rounds."""
    ada, abe = people.admin("Ada"), people.admin("Abe")
    users = f"{two_workers.base_url}{API}/admin/users"

    for _ in range(10):
        first, second = people.reload(ada), people.reload(abe)
        answers = at_once(
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
        with database.writing() as session:
            admins = session.scalars(select(User).where(USER.c.role == Role.admin, USER.c.is_active)).all()
            assert len(admins) == 1
            for person in session.scalars(select(User)):
                person.role, person.is_active = Role.admin, True


def test_two_managers_who_are_put_under_each_other_at_once_form_no_circle(people, two_workers, bearer):
    """THREATS 10."""
    ada, mia, max_ = people.admin("Ada"), people.manager("Mia"), people.manager("Max")
    users = f"{two_workers.base_url}{API}/admin/users"

    for _ in range(10):
        answers = at_once(
            [
                Call("PUT", f"{users}/{mia.id}/assign-manager", bearer(ada), params={"manager_id": max_.id}),
                Call("PUT", f"{users}/{max_.id}/assign-manager", bearer(ada), params={"manager_id": mia.id}),
            ]
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409]
        at_once([Call("DELETE", f"{users}/{person.id}/manager", bearer(ada)) for person in (mia, max_)])


def test_an_email_is_given_once_however_many_admins_hand_it_out(people, two_workers, bearer):
    ada = people.admin("Ada")
    body = {"first_name": "New", "last_name": "Person", "role": "employee", "password": "violet-harbour-42-lantern"}
    emails = ["new@example.com", "NEW@example.com", "New@Example.com", "neW@example.com"]
    url = f"{two_workers.base_url}{API}/admin/users"

    answers = at_once([Call("POST", url, bearer(ada), body | {"email": email}) for email in emails])

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
