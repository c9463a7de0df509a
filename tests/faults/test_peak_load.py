"""The peak at nine o'clock, when all employees clock in at once.

The clients take the machine's CPU from other tests, so the test runs alone. `python -m benchmarks` measures how long a
punch takes in the peak and how many are rejected. test_races.py has smaller peaks.
"""

from collections import Counter

import pytest
from sqlalchemy import func, select

from app.models.tables import ENTRY
from tests.support.concurrency import Call, send_in_parallel

pytestmark = pytest.mark.alone
CLIENTS = {"postgresql": 300, "sqlite": 120}
PUNCHES = 1200


def test_everyone_who_punches_at_nine_is_clocked_in_and_out(people, engine, database, two_workers, bearer):
    """300 clients on PostgreSQL and 120 on SQLite send 1,200 punches. None fails, and none is lost or made twice."""
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
        ],
        retry_busy=True,
    )

    assert Counter(answer.status_code for of_client in answers for answer in of_client) == {200: PUNCHES}
    with database.read_transaction() as session:
        counted = session.execute(select(func.count(), func.count(ENTRY.c.end_time)).select_from(ENTRY)).one()
    assert counted == (PUNCHES // 2, PUNCHES // 2)
