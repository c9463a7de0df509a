"""Races around timesheets against two worker processes: one decision wins, and what is locked is what was counted."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.core.time.clock import utc_now
from app.models.tables import ENTRY, TIMESHEET
from app.services.timesheets.verification import verify
from tests.support.concurrency import Call, send_in_parallel, send_simultaneously

pytestmark = pytest.mark.high_volume
TODAY = utc_now().date()
YESTERDAY, FIRST = TODAY - timedelta(days=1), TODAY - timedelta(days=7)
NOON = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 12, tzinfo=UTC)
ROUNDS = 5


@pytest.fixture
def company(people):
    """Mia manages Ana, and Ada is an admin."""
    mia = people.manager("Mia")
    return {"Mia": mia, "Ana": people.employee("Ana", manager=mia), "Ada": people.admin("Ada")}


@pytest.fixture
def website(people):
    return people.project("Website")


@pytest.fixture
def send(company, two_workers, bearer):
    """Return a function that makes a call: `send("Ana", "POST", "/timesheets/...")`. A week ends yesterday."""
    headers = {name: bearer(user) for name, user in company.items()}

    def call(who, method, path, body=None, **params):
        return Call(method, f"{two_workers.base_url}/api/v1{path}", headers[who], body, params)

    (answer,) = send_simultaneously([call("Ada", "PUT", f"/admin/timesheet-rules/{FIRST}", {"period": "week"})])
    assert answer.status_code == 200
    return call


@pytest.fixture
def act(company, send):
    """Return a function that makes the call of an action on Ana's week."""
    path = f"/timesheets/{company['Ana'].id}/{FIRST}"
    bodies = {"reject": {"comment": "No"}, "reopen": {"reason": "Wrong"}}
    return lambda who, action: send(who, "POST", f"{path}/{action}", bodies.get(action))


@pytest.fixture
def assert_digests(database):
    """Return a function that asserts that every locked timesheet has the entries of its digest, and no others."""

    def check():
        with database.read_transaction() as session:
            assert verify(session).named_faults == []
            return session.execute(select(TIMESHEET.c.status)).scalars().all()

    return check


def utc(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def stored(people, company, website, hour, **fields):
    """Create an entry of half an hour of Ana, yesterday."""
    start = NOON.replace(hour=hour)
    times = (f"{start:%Y-%m-%d %H:%M}", f"{start:%Y-%m-%d %H}:30")
    return people.entry(company["Ana"], website, *times, **fields)


def test_of_twenty_approvals_and_twenty_rejections_at_once_one_decides(
    people, company, website, act, assert_digests, database
):
    stored(people, company, website, 8)
    send_simultaneously([act("Ana", "submit")])

    answers = send_simultaneously(
        [act(who, action) for _ in range(10) for who in ("Mia", "Ada") for action in ("approve", "reject")]
    )

    (decided,) = [answer.json() for answer in answers if answer.status_code == 200]
    refused = Counter(answer.json()["code"] for answer in answers if answer.status_code == 409)
    assert refused == {"timesheet_status_conflict": 39}
    assert assert_digests() == [decided["status"]]
    with database.read_transaction() as session:
        locked = session.execute(select(ENTRY.c.timesheet_id)).scalar_one() is not None
    assert locked == (decided["status"] == "approved")


def corrections(people, company, website, send):
    """Return calls that add, amend, drop and change entries of Ana's week, each by Ana or by Mia."""
    reason = {"reason": "On paper"}
    about_ana = reason | {"user_id": company["Ana"].id, "project_id": website.id}
    amended, dropped, bulked = (stored(people, company, website, hour) for hour in (1, 2, 3))
    added = {"start_time": utc(NOON), "end_time": utc(NOON + timedelta(hours=1))}
    second = {"start_time": utc(NOON + timedelta(hours=2)), "end_time": utc(NOON + timedelta(hours=3))}
    bulk = [{"action": "create", **about_ana, **second}, {"action": "delete", "id": bulked, **reason}]
    return [
        send("Mia", "POST", "/time-entries", about_ana | added),
        send("Ana", "PATCH", f"/time-entries/{amended}", reason | {"description": "Other"}),
        send("Mia", "DELETE", f"/time-entries/{dropped}", **reason),
        send("Ana", "POST", "/time-entries/bulk", {"operations": bulk}),
    ]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_submission_and_corrections_at_once_leave_what_was_counted(
    people, company, website, send, act, assert_digests, number
):
    calls = corrections(people, company, website, send)

    answers = send_simultaneously([*calls[:number], act("Ana", "submit"), *calls[number:], act("Mia", "submit")])

    refused = {answer.json()["code"] for answer in answers if answer.status_code >= 400}
    assert refused <= {"period_locked", "bulk_refused", "timesheet_status_conflict", "reason_required"}
    assert assert_digests() == ["submitted"]


def test_corrections_between_submissions_and_withdrawals_find_the_week_open_or_locked(
    people, company, website, send, act, assert_digests
):
    entry = stored(people, company, website, 1)
    texts = [{"description": f"Text {number}", "reason": "Typo"} for number in range(15)]

    answers = send_in_parallel(
        [
            [act("Ana", "submit"), act("Ana", "withdraw")] * 8,
            [act("Mia", "reject"), act("Ana", "submit")] * 8,
            [send("Ana", "PATCH", f"/time-entries/{entry}", text) for text in texts],
            [send("Ada", "PATCH", f"/time-entries/{entry}", text) for text in texts],
        ]
    )

    refused = {each.json()["code"] for of_client in answers for each in of_client if each.status_code >= 400}
    assert refused <= {"period_locked", "timesheet_status_conflict"}
    assert len(assert_digests()) == 1


def test_a_submission_and_the_clock_out_of_the_last_open_entry_end_in_either_order(
    people, company, website, send, act, assert_digests
):
    start = max(NOON.replace(hour=23), utc_now() - timedelta(hours=15))
    people.entry(company["Ana"], website, f"{start:%Y-%m-%d %H:%M}", None)

    answers = send_simultaneously(
        [act("Ana", "submit"), send("Ana", "POST", "/time-entries/clock-out"), *[act("Ana", "submit")] * 4]
    )

    assert answers[1].status_code == 200, "no clock-out is ever refused by a period"
    codes = {answer.json()["code"] for answer in answers if answer.status_code != 200}
    assert codes <= {"timesheet_not_submittable", "timesheet_status_conflict"}
    assert_digests()


def test_punches_go_on_while_weeks_are_submitted_and_rules_and_the_lock_date_move(
    people, company, website, send, act, assert_digests
):
    stored(people, company, website, 1)
    body = {"project_id": website.id, "description": ""}
    locks = [{"before_day": str(day) if day else None, "reason": "Payroll"} for day in (YESTERDAY, None)]
    rule = f"/admin/timesheet-rules/{TODAY + timedelta(days=20)}"
    new = {"user_id": company["Ana"].id, "project_id": website.id, "reason": "On paper"}
    times = [
        {"start_time": utc(NOON + timedelta(minutes=n)), "end_time": utc(NOON + timedelta(minutes=n + 1))}
        for n in range(12)
    ]

    answers = send_in_parallel(
        [
            [send("Ana", "POST", "/time-entries/clock-in", body), send("Ana", "POST", "/time-entries/clock-out")] * 8,
            [act("Ana", "submit"), act("Mia", "approve"), act("Ada", "reopen")] * 5,
            [send("Ada", "PUT", "/admin/lock", lock) for lock in locks] * 6,
            [send("Ada", "PUT", rule, {"period": "week"}), send("Ada", "DELETE", rule)] * 6,
            [send("Mia", "POST", "/time-entries", new | each) for each in times],
        ]
    )

    statuses = [Counter(answer.status_code for answer in of_client) for of_client in answers]
    assert statuses[0] == {200: 16}
    assert {status for of_client in statuses for status in of_client} <= {200, 201, 204, 409}
    assert_digests()


def test_a_submission_and_a_rule_that_would_cut_its_week_exclude_each_other(
    people, company, website, send, act, assert_digests, database
):
    stored(people, company, website, 1)
    rules = [FIRST + timedelta(days=n) for n in range(1, 5)]

    answers = send_simultaneously(
        [
            act("Ana", "submit"),
            *(
                send(
                    "Ada", "PUT", f"/admin/timesheet-rules/{day}", {"period": "month" if day.day == 1 else "two_weeks"}
                )
                for day in rules
            ),
            act("Mia", "submit"),
        ]
    )

    assert {answer.status_code for answer in answers} <= {200, 409, 422}
    assert_digests()
    with database.read_transaction() as session:
        sheets = session.execute(select(TIMESHEET.c["first_day", "last_day"])).all()
    changed = [day for day, answer in zip(rules, answers[1:], strict=False) if answer.status_code == 200]
    for sheet in sheets:
        assert [day for day in changed if sheet.first_day < day <= sheet.last_day] == []


def test_bulk_approvals_of_the_same_weeks_in_opposite_orders_meet_no_deadlock(
    people, two_workers, bearer, send, assert_digests
):
    mia, ada = people.manager("Max"), people.admin("Abe")
    team = [people.employee(f"Person {number}", manager=mia) for number in range(20)]
    base = f"{two_workers.base_url}/api/v1"
    send_simultaneously(
        [Call("POST", f"{base}/timesheets/{user.id}/{FIRST}/submit", bearer(user)) for user in team], retry_busy=True
    )
    keys = [{"user_id": user.id, "first_day": str(FIRST)} for user in team]
    orders = [keys, keys[::-1], keys[1::2] + keys[::2], keys[10:] + keys[:10]]
    headers = bearer(mia), bearer(ada)
    rule = f"/admin/timesheet-rules/{TODAY + timedelta(days=20)}"

    answers = send_simultaneously(
        [
            *(
                Call("POST", f"{base}/timesheets/approve", header, {"timesheets": order})
                for header in headers
                for order in orders
            ),
            *(Call("PATCH", f"{base}/admin/users/{user.id}", headers[1], {"last_name": "New"}) for user in team[:5]),
            send("Ada", "PUT", rule, {"period": "week"}),
            send("Ada", "PUT", "/admin/lock", {"before_day": str(FIRST), "reason": "Payroll"}),
        ],
        retry_busy=True,
    )

    assert Counter(answer.status_code for answer in answers[:8]) == {200: 1, 409: 7}
    assert [answer.content for answer in answers[8:] if answer.status_code != 200] == []
    assert assert_digests() == ["approved"] * 20
