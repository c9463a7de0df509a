"""Summaries by group: totals, local days and clock changes (rules: T3 to T7). See test_summary_scope.py for scope."""

from itertools import combinations, permutations

import pytest

from tests.support.query_counter import capture_statements

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
YEAR = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
GROUPS = ("user", "team", "project", "day", "week", "month", "weekday")
HOUR = 3600


def summary(caller, *groups, **params):
    response = caller.get("/reports/summary", params=MARCH | params | {"group_by": groups})
    assert response.status_code == 200, response.text
    body = response.json()
    assert response.headers["X-As-Of"] == body["as_of"]
    assert body["total_seconds"] == sum(row["total_seconds"] for row in body["rows"])
    return body


def seconds_by(caller, group, **params):
    """Return the seconds by the key of one group, in the order of the rows."""
    key = f"{group}_name" if group in {"user", "team", "project"} else group
    return {row[key]: row["total_seconds"] for row in summary(caller, group, **params)["rows"]}


@pytest.fixture
def app_project(people):
    return people.project("App")


def test_mia_sees_each_persons_hours_by_project(people, as_user, mia, ana, website, app_project):
    bob = people.employee("Bob", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 11:30")
    people.entry(ana, app_project, "2026-03-04 08:00", "2026-03-04 08:00:18")
    people.entry(bob, app_project, "2026-03-04 09:00", "2026-03-04 10:00")
    people.entry(bob, app_project, "2026-04-01 09:00", "2026-04-01 10:00")

    body = summary(as_user(mia), "user", "project")

    assert {name: value for name, value in body.items() if name not in {"as_of", "rows"}} == {
        "start_date": "2026-03-01",
        "end_date": "2026-03-31",
        "time_zone": "UTC",
        "attribution": "start",
        "group_by": ["user", "project"],
        "total_seconds": 30618,
        "total_hours": 8.51,
        "needs_review_seconds": 0,
    }
    of_ana, of_bob = {"user_id": ana.id, "user_name": "Ana Silva"}, {"user_id": bob.id, "user_name": "Bob Silva"}
    on_web = {"project_id": website.id, "project_name": "Website"}
    on_app = {"project_id": app_project.id, "project_name": "App"}
    one = {"needs_review_seconds": 0, "entries": 1, "users": 1}
    assert body["rows"] == [
        of_ana | on_web | one | {"total_seconds": 27000, "total_hours": 7.5, "entries": 2},
        of_ana | on_app | one | {"total_seconds": 18, "total_hours": 0.01},
        of_bob | on_app | one | {"total_seconds": 3600, "total_hours": 1.0},
    ]


def test_the_total_is_rounded_once_and_not_summed_from_rounded_rows(people, as_user, ana, website):
    for day in ("02", "03", "04"):
        people.entry(ana, website, f"2026-03-{day} 08:00", f"2026-03-{day} 08:00:17")

    body = summary(as_user(ana), "day")

    assert [row["total_hours"] for row in body["rows"]] == [0.0, 0.0, 0.0]
    assert (body["total_seconds"], body["total_hours"]) == (51, 0.01)


def test_open_entries_are_not_counted(people, as_user, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    people.entry(ana, website, "2026-03-02 10:00", None)

    for attribution in ("start", "split"):
        (row,) = summary(as_user(ana), "day", attribution=attribution)["rows"]
        assert (row["total_seconds"], row["entries"]) == (HOUR, 1)


def test_people_are_counted_once_in_each_group(people, as_user, mia, ana, website, app_project):
    bob = people.employee("Bob", manager=mia)
    for user in (ana, bob):
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00")
        people.entry(user, app_project, "2026-03-02 09:00", "2026-03-02 10:00")
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 09:00")

    (on_website, on_app) = summary(as_user(mia), "project")["rows"]
    days = summary(as_user(mia), "day")["rows"]

    assert (on_website["entries"], on_website["users"], on_app["entries"], on_app["users"]) == (3, 2, 2, 2)
    assert [(day["day"], day["entries"], day["users"]) for day in days] == [
        ("2026-03-02", 4, 2),
        ("2026-03-03", 1, 1),
    ]


def test_rows_come_by_their_keys_in_the_order_asked(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 09:00")
    people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 09:00")
    people.entry(mia, website, "2026-03-03 08:00", "2026-03-03 09:00")

    by_person = summary(as_user(mia), "user", "day")["rows"]
    by_day = summary(as_user(mia), "day", "user")["rows"]

    assert [(row["user_name"][:3], row["day"][-2:]) for row in by_person] == [
        ("Mia", "02"),
        ("Mia", "03"),
        ("Ana", "03"),
    ]
    assert [(row["day"][-2:], row["user_name"][:3]) for row in by_day] == [("02", "Mia"), ("03", "Mia"), ("03", "Ana")]
    assert list(by_day[0])[:3] == ["day", "user_id", "user_name"]


# The zone of the entry, its start and end in UTC, then the seconds by day: whole, and split at midnight.
SEAMS = [
    ("UTC", "2026-03-02 22:00", "2026-03-03 06:00", {"02": 8 * HOUR}, {"02": 2 * HOUR, "03": 6 * HOUR}),
    ("UTC", "2026-03-02 20:00", "2026-03-05 04:00", {"02": 56 * HOUR},
     {"02": 4 * HOUR, "03": 24 * HOUR, "04": 24 * HOUR, "05": 4 * HOUR}),
    ("UTC", "2026-03-02 20:00", "2026-03-03 00:00", {"02": 4 * HOUR}, {"02": 4 * HOUR}),
    ("UTC", "2026-03-03 00:00", "2026-03-03 00:00", {"03": 0}, {"03": 0}),
    ("UTC", "2026-03-02 23:59:59", "2026-03-02 23:59:59", {"02": 0}, {"02": 0}),
    # The first and last night of the month. Attribution `start` counts an entry whole if it starts inside the month.
    # Attribution `split` counts only the part inside the month.
    ("UTC", "2026-02-28 22:00", "2026-03-01 06:00", {}, {"01": 6 * HOUR}),
    ("UTC", "2026-03-31 22:00", "2026-04-01 06:00", {"31": 8 * HOUR}, {"31": 2 * HOUR}),
    ("UTC", "2026-02-20 00:00", "2026-03-02 01:00", {}, {"01": 24 * HOUR, "02": HOUR}),
    ("UTC", "2026-04-01 00:00", "2026-04-01 00:00", {}, {}),
    # The clock is set forward on the 29th. That day has 23 hours, and this night is an hour shorter than local times.
    ("Europe/Berlin", "2026-03-29 00:30", "2026-03-29 01:30", {"29": HOUR}, {"29": HOUR}),
    ("Europe/Berlin", "2026-03-28 22:00", "2026-03-29 22:00", {"28": 24 * HOUR}, {"28": HOUR, "29": 23 * HOUR}),
    ("Asia/Tokyo", "2026-03-02 14:59:59", "2026-03-02 15:00:01", {"02": 2}, {"02": 1, "03": 1}),
    ("America/Lima", "2026-03-03 04:59:59", "2026-03-03 05:00:01", {"02": 2}, {"02": 1, "03": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "start", "end", "whole", "cut"), SEAMS)
def test_hours_belong_to_the_day_of_their_zone_whole_or_cut(
    people, as_user, ana, website, zone, start, end, whole, cut
):
    others = [people.employee(f"Of {other}", time_zone=other) for other in ("Australia/Lord_Howe", zone)]

    people.entry(ana, website, start, end, time_zone=zone)

    by_day = seconds_by(as_user(ana), "day"), seconds_by(as_user(ana), "day", attribution="split")

    assert by_day == tuple({f"2026-03-{day}": seconds for day, seconds in days.items()} for days in (whole, cut))
    assert [seconds_by(as_user(other), "day") for other in others] == [{}, {}]


def test_a_day_of_25_hours_has_them_all(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    luz = people.employee("Luz", manager=mia, time_zone="America/Lima")
    people.entry(berta, website, "2026-10-24 21:00", "2026-10-25 23:30")
    people.entry(luz, website, "2026-10-26 08:00", "2026-10-26 09:00")

    cut = seconds_by(as_user(mia), "day", **YEAR, attribution="split")

    assert cut == {"2026-10-24": HOUR, "2026-10-25": 25 * HOUR, "2026-10-26": HOUR + 1800}


def test_an_entry_that_is_cut_counts_once_in_each_group(people, as_user, ana, website):
    """The entry lasts from a Monday to the Tuesday of the next week, across the end of a month."""
    people.entry(ana, website, "2026-03-30 12:00", "2026-04-07 12:00")
    april_too = {"end_date": "2026-04-30", "attribution": "split"}

    entries = {
        group: [(row[group], row["total_seconds"] // HOUR, row["entries"]) for row in rows]
        for group in ("month", "week", "weekday")
        for rows in [summary(as_user(ana), group, **april_too)["rows"]]
    }

    assert entries == {
        "month": [("2026-03", 36, 1), ("2026-04", 156, 1)],
        "week": [("2026-W14", 156, 1), ("2026-W15", 36, 1)],
        "weekday": [(1, 36, 1), (2, 36, 1), *((day, 24, 1) for day in range(3, 8))],
    }
    assert summary(as_user(ana), "project", **april_too)["rows"][0]["entries"] == 1


def test_weeks_are_those_of_iso_8601_at_the_turn_of_the_year(people, as_user, ana, website):
    for day in ("2025-12-28", "2025-12-29", "2026-01-04", "2026-12-31", "2027-01-03", "2027-01-04"):
        people.entry(ana, website, f"{day} 08:00", f"{day} 09:00")

    by_week = seconds_by(as_user(ana), "week", start_date="2025-12-28", end_date="2027-01-31")

    assert by_week == {
        "2025-W52": HOUR,
        "2026-W01": 2 * HOUR,
        "2026-W53": 2 * HOUR,
        "2027-W01": HOUR,
    }


def test_weekdays_go_from_monday_to_sunday(people, as_user, ana, website):
    for day in range(1, 16):  # the first is a Sunday
        people.entry(ana, website, f"2026-03-{day:02} 08:00", f"2026-03-{day:02} 08:00:{day:02}")

    assert seconds_by(as_user(ana), "weekday") == {1: 11, 2: 13, 3: 15, 4: 17, 5: 19, 6: 21, 7: 1 + 8 + 15}


def test_a_zone_that_is_asked_for_makes_the_days_of_all(people, as_user, mia, ana, website):
    bob = people.employee("Bob", manager=mia, time_zone="America/Lima")
    people.entry(ana, website, "2026-03-02 14:00", "2026-03-02 16:00")
    people.entry(bob, website, "2026-03-31 14:00", "2026-03-31 16:00")

    own = summary(as_user(mia), "day")
    tokyo = summary(as_user(mia), "day", time_zone="Asia/Tokyo")
    cut = seconds_by(as_user(mia), "month", time_zone="Asia/Tokyo", attribution="split", end_date="2026-04-30")

    assert [(row["day"], row["total_seconds"]) for row in own["rows"]] == [("2026-03-02", 7200), ("2026-03-31", 7200)]
    assert [row["day"] for row in tokyo["rows"]] == ["2026-03-02", "2026-03-31"]
    assert (own["time_zone"], tokyo["time_zone"]) == ("UTC", "Asia/Tokyo")
    assert cut == {"2026-03": 7200 + HOUR, "2026-04": HOUR}


@pytest.fixture
def company(people, mia, ana, website, app_project):
    """Two teams in three zones, with day and night shifts across clock changes and the end of the year."""
    bo = people.manager("Bo", manager=mia, time_zone="Europe/Berlin")
    eve = people.employee("Eve", manager=bo, time_zone="Asia/Tokyo")
    for number, user in enumerate((ana, bo, eve, mia)):
        for month, day in ((1, 1), (3, 28), (3, 29), (10, 24), (10, 25), (12, 31)):
            start = f"2026-{month:02}-{day:02} {20 - number}:15:{number:02}"
            end = f"2026-{month:02}-{day:02} 23:59:59"
            people.entry(user, website if day % 2 else app_project, start, end)
    people.entry(eve, website, "2026-06-29 22:00", "2026-07-02 03:00:01")
    people.entry(eve, website, "2026-05-01 08:00", "2026-05-01 08:00")
    return mia


def test_every_combination_of_groups_adds_up_to_what_the_other_reports_say(as_user, company):
    me = as_user(company)
    for attribution, most in (("start", 3), ("split", 2)):
        period_params = YEAR | {"attribution": attribution}
        team = me.get(
            "/reports/team", params=period_params | {"include_indirect": True, "include_entries": False}
        ).json()
        own = me.get("/reports/me", params=period_params).json()["total_seconds"]
        total = own + sum(row["total_seconds"] for row in team)

        totals = {
            groups: summary(me, *groups, **period_params)["total_seconds"]
            for count in range(1, most + 1)
            for groups in combinations(GROUPS, count)
        }

        assert len(totals) == {"start": 63, "split": 28}[attribution]
        assert totals == dict.fromkeys(totals, total)
        assert seconds_by(me, "user", **period_params) == {"Mia Silva": own} | {
            f"{row['employee']['first_name']} Silva": row["total_seconds"] for row in team
        }


def test_the_order_of_the_groups_changes_the_order_of_the_rows_and_nothing_else(as_user, company):
    me = as_user(company)
    rows = [
        sorted(sorted(row.items(), key=str) for row in summary(me, *groups, **YEAR)["rows"])
        for groups in permutations(("user", "month", "project"))
    ]

    assert all(each == rows[0] for each in rows)


@pytest.mark.parametrize(("attribution", "most"), [("start", 4), ("split", 5)])
def test_a_large_company_takes_no_more_statements_than_a_small_one(
    people, as_user, server, website, mia, attribution, most
):
    otto, zones = people.manager("Otto"), ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/Lima")
    for manager, size in ((mia, 1), (otto, 20)):
        for number in range(size):
            user = people.employee(f"{manager.first_name} {number}", manager=manager, time_zone=zones[number % 4])
            for day in range(1, 2 + number % 3):
                people.entry(user, website, f"2026-03-{day:02} 08:00", f"2026-03-{day:02} 23:30")
    period_params = MARCH | {"attribution": attribution}
    paths = {
        "/reports/summary": period_params | {"group_by": ["team", "user", "day"]},
        "/reports/me": period_params,
        "/reports/team": period_params | {"include_entries": False},
    }

    counts = {}
    for path, params in paths.items():
        for manager in (mia, otto):
            me = as_user(manager)
            with capture_statements(server) as sent:
                assert me.get(path, params=params).status_code == 200
            counts[path, manager.first_name] = len([each for each in sent if each != "BEGIN"])

    for path in paths:
        assert counts[path, "Mia"] == counts[path, "Otto"] <= most
