"""The peak at nine o'clock, when all employees clock in at once.

Requests wait at most 2 s for a permit, so the test needs the machine for itself. test_races.py has smaller peaks.
"""

from collections import Counter

import pytest

from tests.support.concurrency import Call, send_in_parallel

pytestmark = pytest.mark.alone
CLIENTS = {"postgresql": 300, "sqlite": 120}
PUNCHES = 1200


def test_everyone_who_punches_at_nine_gets_an_answer(people, engine, two_workers, bearer):
    """300 clients on PostgreSQL and 120 on SQLite send 1,200 punches. None is rejected."""
    website = people.project("Website")
    staff = [people.employee(f"Person {number}") for number in range(CLIENTS[engine])]
    entries = f"{two_workers.base_url}/api/v1/time-entries"
    rounds = PUNCHES // len(staff) // 2

    answers = send_in_parallel(
        [
            [
                Call("POST", f"{entries}/clock-in", bearer(user), {"project_id": website.id, "description": ""}),
                Call("POST", f"{entries}/clock-out", bearer(user)),
            ]
            * rounds
            for user in staff
        ]
    )

    assert Counter(answer.status_code for of_client in answers for answer in of_client) == {200: PUNCHES}
