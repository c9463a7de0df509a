"""Team reports (rules: T3 to T7, V1 to V3; threat 10)."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from app.models.tables import USER
from tests.support.query_counter import capture_statements

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


def day(date: str, **more: Any) -> dict[str, Any]:
    return {"start_date": date, "end_date": date, **more}


def team_of(caller: Any, **params: Any) -> Any:
    response = caller.get("/reports/team", params=MARCH | params)
    assert response.status_code == 200, response.text
    return response.json()


def refusal_of(caller: Any, **params: Any) -> tuple[int, str]:
    response = caller.get("/reports/team", params=MARCH | params)
    return response.status_code, response.json()["code"]


def names_in(report: list[dict[str, Any]]) -> list[str]:
    return [row["employee"]["first_name"] for row in report]


def ids_in(report: list[dict[str, Any]]) -> list[int]:
    return [entry["id"] for row in report for entry in row["entries"]]


def test_mia_sees_what_each_of_her_team_worked(people, as_user, mia, website):
    ana, bob = people.employee("Ana", manager=mia), people.employee("Bob", manager=mia)
    first = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description="Landing page")
    second = people.entry(ana, website, "2026-03-02 13:00", "2026-03-02 16:30")
    people.entry(ana, website, "2026-04-01 08:00", "2026-04-01 12:00")

    of_ana, of_bob = team_of(as_user(mia))

    assert set(of_ana) == {"employee", "total_seconds", "total_hours", "needs_review_seconds", "entries"}
    assert (of_ana["employee"]["id"], of_ana["employee"]["email"]) == (ana.id, "ana@example.com")
    assert (of_ana["total_seconds"], of_ana["total_hours"]) == (27000, 7.5)
    assert [entry["id"] for entry in of_ana["entries"]] == [first, second]
    assert of_ana["entries"][0] == {
        "id": first,
        "user_id": ana.id,
        "project_id": website.id,
        "project": {
            "id": website.id,
            "name": "Website",
            "is_active": True,
            "created_at": _utc(website.created_at),
            "code": None,
        },
        "start_time": "2026-03-02T08:00:00Z",
        "end_time": "2026-03-02T12:00:00Z",
        "description": "Landing page",
        "time_zone": "UTC",
        "needs_review": False,
        "version": 1,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
        "timesheet_id": None,
    }
    assert (of_bob["employee"]["id"], of_bob["total_seconds"], of_bob["entries"]) == (bob.id, 0, [])


def test_the_manager_is_not_in_her_own_report(people, as_user, mia, website):
    people.employee("Ana", manager=mia)
    people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 12:00")

    assert names_in(team_of(as_user(mia))) == ["Ana"]


def test_the_report_says_when_it_was_computed(people, as_user, mia):
    response = as_user(mia).get("/reports/team", params=MARCH)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", response.headers["X-As-Of"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(response.headers["X-As-Of"])).total_seconds() < 60


def test_totals_are_the_same_with_and_without_entries(people, as_user, mia, website):
    for number in range(3):
        user = people.employee(f"Person {number}", manager=mia, time_zone="Asia/Kolkata")
        for start in range(1, 28, number + 1):
            people.entry(user, website, f"2026-03-{start:02} 07:00", f"2026-03-{start:02} 15:{start:02}:07")
        people.entry(user, website, "2026-03-29 07:00", None)

    whole, short = team_of(as_user(mia)), team_of(as_user(mia), include_entries=False)

    assert [row["total_seconds"] for row in short] == [row["total_seconds"] for row in whole]
    assert [row["total_hours"] for row in short] == [row["total_hours"] for row in whole]
    assert all(row["total_seconds"] > 0 for row in short)
    assert [row["entries"] for row in short] == [[], [], []]


def test_the_tree_below_is_shown_on_request(people, as_user, mia):
    bo = people.manager("Bo", manager=mia)
    people.employee("Ana", manager=bo)
    people.employee("Zoe")

    assert names_in(team_of(as_user(mia))) == ["Bo"]
    assert names_in(team_of(as_user(mia), include_indirect=True)) == ["Bo", "Ana"]


def test_admins_may_ask_for_everyone(people, as_user, mia, website):
    ada, ana = people.admin("Ada"), people.employee("Ana", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    assert names_in(team_of(as_user(ada), scope="all")) == ["Mia", "Ada", "Ana"]
    assert team_of(as_user(ada)) == []


def test_managers_may_not_ask_for_everyone(people, as_user, mia):
    assert refusal_of(as_user(mia), scope="all") == (403, "role_required")


def test_employees_have_no_team_report(people, as_user, mia):
    ana = people.employee("Ana", manager=mia)

    assert refusal_of(as_user(ana)) == (403, "role_required")


def test_another_managers_team_stays_out(people, as_user, mia, website):
    people.employee("Ana", manager=mia)
    otto = people.manager("Otto")
    bob = people.employee("Bob", manager=otto)
    people.entry(bob, website, "2026-03-02 08:00", "2026-03-02 12:00")

    assert names_in(team_of(as_user(mia), include_indirect=True)) == ["Ana"]


def test_open_entries_are_shown_and_not_counted(people, as_user, mia, website):
    ana = people.employee("Ana", manager=mia)
    closed = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    running = people.entry(ana, website, "2026-03-02 10:00", None)

    (of_ana,) = team_of(as_user(mia))

    assert [(entry["id"], entry["needs_review"]) for entry in of_ana["entries"]] == [(closed, False), (running, True)]
    assert of_ana["entries"][1]["end_time"] is None
    assert of_ana["total_seconds"] == 3600


def test_hours_are_rounded_half_up_from_the_summed_seconds(people, as_user, mia, website):
    """18 s are half of 0.01 h. Three entries of 12 s are 0.01 h, although each one alone would round to 0."""
    worked = {(0,): 0.0, (17,): 0.0, (18,): 0.01, (53,): 0.01, (54,): 0.02, (12, 12, 12): 0.01}
    for lengths in worked:
        user = people.employee(f"Worked {lengths}", manager=mia, email=f"{'-'.join(map(str, lengths))}@example.com")
        for number, seconds in enumerate(lengths):
            people.entry(user, website, f"2026-03-02 08:0{number}:00", f"2026-03-02 08:0{number}:{seconds:02}")

    with_entries, without = team_of(as_user(mia)), team_of(as_user(mia), include_entries=False)

    expected = [(sum(lengths), hours) for lengths, hours in worked.items()]
    assert [(row["total_seconds"], row["total_hours"]) for row in with_entries] == expected
    assert [(row["total_seconds"], row["total_hours"]) for row in without] == expected


def test_an_entry_belongs_to_the_day_in_its_own_zone(people, as_user, mia, website):
    """23:30 UTC on March 2 is 00:30 on March 3 in Berlin, and 15:30 on March 2 in Los Angeles."""
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    lara = people.employee("Lara", manager=mia, time_zone="America/Los_Angeles")
    of_berta = people.entry(berta, website, "2026-03-02 23:30", "2026-03-02 23:45")
    of_lara = people.entry(lara, website, "2026-03-02 23:30", "2026-03-02 23:45")

    assert ids_in(team_of(as_user(mia), **day("2026-03-02"))) == [of_lara]
    assert ids_in(team_of(as_user(mia), **day("2026-03-03"))) == [of_berta]


def test_tz_puts_all_entries_into_the_days_of_one_zone(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    lara = people.employee("Lara", manager=mia, time_zone="America/Los_Angeles")
    both = [people.entry(user, website, "2026-03-02 23:30", "2026-03-02 23:45") for user in (berta, lara)]

    assert ids_in(team_of(as_user(mia), **day("2026-03-02", time_zone="UTC"))) == both
    assert ids_in(team_of(as_user(mia), **day("2026-03-03", time_zone="UTC"))) == []
    assert ids_in(team_of(as_user(mia), **day("2026-03-03", time_zone="Asia/Tokyo"))) == both


def test_history_does_not_move_when_somebody_moves(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    recorded = people.entry(berta, website, "2026-03-02 23:30", "2026-03-02 23:45")

    moved = as_user(berta).patch("/auth/me", json={"time_zone": "America/Los_Angeles"})

    assert moved.json()["time_zone"] == "America/Los_Angeles"
    assert ids_in(team_of(as_user(mia), **day("2026-03-03"))) == [recorded]
    assert ids_in(team_of(as_user(mia), **day("2026-03-02"))) == []


@pytest.mark.parametrize(
    ("date", "start", "end", "seconds"),
    [
        ("2026-03-29", "2026-03-29 00:30", "2026-03-29 01:30", 3600),  # 01:30 to 03:30, 02:00 to 03:00 is skipped
        ("2026-10-25", "2026-10-24 23:30", "2026-10-25 02:30", 10800),  # 01:30 to 03:30, 02:00 to 03:00 occurs twice
    ],
)
def test_hours_are_right_over_a_change_of_the_clock(people, as_user, mia, website, date, start, end, seconds):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    people.entry(berta, website, start, end)

    (with_entries,) = team_of(as_user(mia), **day(date))
    (without,) = team_of(as_user(mia), **day(date, include_entries=False))

    assert with_entries["total_seconds"] == without["total_seconds"] == seconds


def test_both_ends_of_a_period_are_included(people, as_user, mia, website):
    ana = people.employee("Ana", manager=mia)
    inside = [
        people.entry(ana, website, "2026-03-01 00:00", "2026-03-01 01:00"),
        people.entry(ana, website, "2026-03-31 23:59:59", "2026-04-01 05:00"),
    ]
    people.entry(ana, website, "2026-02-28 23:59:59", "2026-02-28 23:59:59")
    people.entry(ana, website, "2026-04-01 05:00", "2026-04-01 06:00")

    (of_ana,) = team_of(as_user(mia))

    assert [entry["id"] for entry in of_ana["entries"]] == inside
    assert of_ana["total_seconds"] == 3600 + 5 * 3600 + 1


def test_periods_that_cannot_be_meant_are_refused(as_user, mia):
    me = as_user(mia)
    cases = [
        ({"start_date": "2026-03-31", "end_date": "2026-03-01"}, "period_reversed"),
        ({"start_date": "2025-01-01", "end_date": "2026-02-05"}, "period_too_long"),
        ({"time_zone": "Mars/Olympus"}, "validation_failed"),
        ({"time_zone": "Europe/../Europe/Berlin"}, "validation_failed"),
        ({"start_date": "1999-12-31"}, "validation_failed"),
        ({"end_date": "2100-01-02"}, "validation_failed"),
        ({"start_date": "0001-01-01"}, "validation_failed"),
        ({"end_date": "9999-12-31"}, "validation_failed"),
        ({"start_date": "2026-02-30"}, "validation_failed"),
        ({"start_date": "1772323200"}, "validation_failed"),
        ({"scope": "universe"}, "validation_failed"),
    ]

    assert [refusal_of(me, **period) for period, _ in cases] == [(422, code) for _, code in cases]


def test_four_hundred_days_are_not_too_long(as_user, mia):
    assert team_of(as_user(mia), start_date="2025-01-01", end_date="2026-02-04") == []


def test_totals_without_entries_may_span_the_century(people, as_user, mia, website):
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    (of_ana,) = team_of(as_user(mia), start_date="2000-01-01", end_date="2100-01-01", include_entries=False)

    assert of_ana["total_hours"] == 4.0


def test_the_hours_of_deactivated_people_still_show(people, as_user, mia, website):
    ana = people.employee("Ana", manager=mia, is_active=False)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    (of_ana,) = team_of(as_user(mia))

    assert (of_ana["employee"]["is_active"], of_ana["total_hours"]) == (False, 4.0)


def test_a_circle_of_managers_forced_into_the_table_still_ends(people, as_user, server, mia):
    bo = people.manager("Bo", manager=mia)
    people.employee("Ana", manager=bo)
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == mia.id).values(manager_id=bo.id))

    assert names_in(team_of(as_user(mia), include_indirect=True)) == ["Bo", "Ana"]
    assert names_in(team_of(as_user(bo), include_indirect=True)) == ["Mia", "Ana"]


@pytest.mark.parametrize("attribution", ["start", "split"])
def test_an_entry_of_the_report_is_the_entry_that_its_owner_reads(people, as_user, mia, ana, website, attribution):
    """The database renders the JSON of the report, and Python that of the entry."""
    quoted = 'Quotes " and \\, tabs\t, breaks\r\n, \u007f, \u2028, \U0001f600, </script>'
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00:01", description=quoted)
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 08:00", needs_review=True, version=7)
    people.entry(ana, people.project('Pro"ject\\'), "2026-03-04 20:00", "2026-03-05 03:00", time_zone="Asia/Tokyo")
    people.entry(ana, website, "2026-03-06 08:00", None)

    (reported,) = team_of(as_user(mia), attribution=attribution)
    own = as_user(ana).get("/time-entries/me", params=MARCH | {"attribution": attribution}).json()

    assert reported["entries"] == own[::-1]
    assert list(reported["entries"][0]) == list(own[0])


@pytest.mark.parametrize("attribution", ["start", "split"])
@pytest.mark.parametrize("include_entries", [True, False])
def test_a_large_team_takes_no_more_statements_than_a_small_one(
    people, as_user, server, mia, website, include_entries, attribution
):
    otto, zones = people.manager("Otto"), ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/Lima")
    for manager, size in ((mia, 2), (otto, 40)):
        for number in range(size):
            user = people.employee(f"{manager.first_name} {number}", manager=manager, time_zone=zones[number % 4])
            people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00")
            people.entry(user, website, "2026-02-28 20:00", "2026-03-02 07:00")

    counts = []
    for manager, size in ((mia, 2), (otto, 40)):
        with capture_statements(server) as sent:
            params = {"include_entries": include_entries, "attribution": attribution}
            assert len(team_of(as_user(manager), **params)) == size
        counts.append(len(sent))

    assert counts[0] == counts[1] <= 8


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
