"""Attribution of hours: to the local day of the start, or split at local midnights (rules: T3, T5, T6, T7)."""

import csv
import io

import pytest

from tests.support.audit_asserts import AuditLog

NIGHT = ("2026-03-02 20:00", "2026-03-03 04:30")
# Start and end of the entry in UTC, its zone, and the seconds of each local day after the split.
SPLITS = [
    ("2026-03-02 20:00", "2026-03-03 04:30", "UTC", {"2026-03-02": 4 * 3600, "2026-03-03": 4.5 * 3600}),
    ("2026-03-02 20:00", "2026-03-03 00:00", "UTC", {"2026-03-02": 4 * 3600}),
    ("2026-03-03 00:00", "2026-03-03 00:01", "UTC", {"2026-03-03": 60}),
    ("2026-03-02 23:59:59", "2026-03-03 00:00:01", "UTC", {"2026-03-02": 1, "2026-03-03": 1}),
    ("2026-03-02 12:00", "2026-03-02 12:00", "UTC", {"2026-03-02": 0}),
    ("2026-03-02 20:00", "2026-03-05 04:00", "UTC",
     {"2026-03-02": 4 * 3600, "2026-03-03": 86400, "2026-03-04": 86400, "2026-03-05": 4 * 3600}),
    # The clock goes from 02:00 to 03:00, and back from 03:00 to 02:00.
    ("2026-03-29 00:30", "2026-03-29 01:30", "Europe/Berlin", {"2026-03-29": 3600}),
    ("2026-03-28 22:00", "2026-03-29 22:00", "Europe/Berlin", {"2026-03-28": 3600, "2026-03-29": 23 * 3600}),
    ("2026-10-24 23:30", "2026-10-25 02:30", "Europe/Berlin", {"2026-10-25": 3 * 3600}),
    ("2026-10-24 21:00", "2026-10-25 23:30", "Europe/Berlin",
     {"2026-10-24": 3600, "2026-10-25": 25 * 3600, "2026-10-26": 1800}),
    # The clock skips midnight, so the day begins at 01:00. Then a zone that skips a whole day.
    ("2018-11-04 02:00", "2018-11-04 04:00", "America/Sao_Paulo", {"2018-11-03": 3600, "2018-11-04": 3600}),
    ("2011-12-30 08:00", "2011-12-30 12:00", "Pacific/Apia", {"2011-12-29": 2 * 3600, "2011-12-31": 2 * 3600}),
    # The clock is set back at 00:01, so midnight occurs twice. The day begins at the first one.
    ("2010-11-07 02:00", "2010-11-07 04:00", "America/St_Johns", {"2010-11-06": 1800, "2010-11-07": 5400}),
]  # fmt: skip


def period_params(start, end, **more):
    return {"start_date": start, "end_date": end, "attribution": "split", **more}


def csv_of(caller, **params):
    response = caller.get("/reports/export/csv", params=params)
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.text)))


@pytest.mark.parametrize(("start", "end", "zone", "by_day"), SPLITS)
def test_an_entry_is_cut_at_each_local_midnight(people, as_user, mia, ana, website, start, end, zone, by_day):
    people.entry(ana, website, start, end, time_zone=zone)
    year = period_params(f"{start[:4]}-01-01", f"{start[:4]}-12-31")

    days = as_user(ana).get("/reports/me", params=year).json()["days"]
    rows = csv_of(as_user(mia), **year, columns="full")
    (team,) = as_user(mia).get("/reports/team", params=year).json()

    assert {day["date"]: day["total_seconds"] for day in days if day["entries"]} == by_day
    assert {row["date"]: int(row["seconds_worked"]) for row in rows} == by_day
    assert team["total_seconds"] == sum(by_day.values())


def test_a_night_belongs_to_the_day_on_which_it_starts_unless_asked_otherwise(people, as_user, ana, website):
    people.entry(ana, website, *NIGHT)
    month = {"start_date": "2026-03-01", "end_date": "2026-03-31"}

    whole = as_user(ana).get("/reports/me", params=month).json()
    report = as_user(ana).get("/reports/me", params=month | {"attribution": "split"}).json()

    assert {day["date"]: day["total_seconds"] for day in whole["days"] if day["total_seconds"]} == {"2026-03-02": 30600}
    assert {day["date"]: day["total_seconds"] for day in report["days"] if day["total_seconds"]} == {
        "2026-03-02": 14400,
        "2026-03-03": 16200,
    }
    assert whole["total_seconds"] == report["total_seconds"] == 30600
    assert (whole["total_hours"], whole["attribution"], report["attribution"]) == (8.5, "start", "split")


def test_only_what_lies_inside_the_period_counts(people, as_user, mia, ana, website):
    """One night shift starts before the month, and one ends after it."""
    people.entry(ana, website, "2026-02-28 22:00", "2026-03-01 06:00")
    people.entry(ana, website, "2026-03-31 22:00", "2026-04-01 06:00")
    march = period_params("2026-03-01", "2026-03-31")

    own = as_user(ana).get("/time-entries/me", params=march).json()
    (team,) = as_user(mia).get("/reports/team", params=march).json()
    (summed,) = as_user(mia).get("/reports/team", params=march | {"include_entries": False}).json()
    rows = csv_of(as_user(mia), **march, columns="full")

    parts = [("2026-03-31T22:00:00Z", "2026-04-01T00:00:00Z"), ("2026-03-01T00:00:00Z", "2026-03-01T06:00:00Z")]
    assert [(part["start_time"], part["end_time"]) for part in own] == parts
    assert [(part["start_time"], part["end_time"]) for part in team["entries"]] == parts[::-1]
    assert [(row["start_utc"], row["end_utc"]) for row in rows] == parts[::-1]
    assert team["total_seconds"] == summed["total_seconds"] == 8 * 3600
    assert as_user(ana).get("/reports/me", params=march).json()["total_seconds"] == 8 * 3600


@pytest.mark.parametrize("attribution", ["start", "split"])
@pytest.mark.parametrize(("day", "expected"), [("2026-03-29", ["21:00"]), ("2026-03-30", ["22:00", "22:00"])])
def test_midnight_is_the_first_instant_of_the_next_day_alone(people, as_user, mia, website, attribution, day, expected):
    """The day in Berlin on which the clock changes has 23 hours. The entry that ends at its end needs review."""
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    people.employee("Kenji", time_zone="Asia/Tokyo")  # so a report reads entries of an earlier midnight too
    shop = people.project("Shop")
    people.entry(berta, website, "2026-03-29 21:00", "2026-03-29 22:00", needs_review=True)
    people.entry(berta, shop, "2026-03-29 22:00", "2026-03-29 22:00")
    people.entry(berta, shop, "2026-03-29 22:00", "2026-03-29 23:00")
    params = period_params(day, day, attribution=attribution)
    me, manager = as_user(berta), as_user(mia)

    exported = manager.get("/reports/export/csv", params=params | {"columns": "full"})
    (report,) = me.get("/reports/me", params=params).json()["days"]
    (team,) = manager.get("/reports/team", params=params).json()
    (summed,) = manager.get("/reports/team", params=params | {"include_entries": False}).json()
    by_day, by_project = (
        manager.get("/reports/summary", params=params | {"group_by": group}).json() for group in ("day", "project")
    )
    lists = {
        "my entries": me.get("/time-entries/me", params=params).json(),
        "entries": me.get("/time-entries", params={"start_date": day, "end_date": day}).json(),
        "my day": report["entries"],
        "team": team["entries"],
    }

    starts = {name: sorted(entry["start_time"][11:16] for entry in entries) for name, entries in lists.items()}
    starts["CSV"] = sorted(row["start_utc"][11:16] for row in csv.DictReader(io.StringIO(exported.text)))
    assert starts == dict.fromkeys(starts, expected)
    assert exported.headers["X-Needs-Review"] == str(expected.count("21:00"))
    assert [each["total_seconds"] for each in (report, team, summed, *by_day["rows"], *by_project["rows"])] == [
        3600
    ] * 5
    assert by_project["rows"][0]["project_name"] == ("Website" if expected == ["21:00"] else "Shop")


def test_an_old_entry_that_never_ended_until_now_still_reaches_in(people, as_user, ana, website):
    """Ana forgot to clock out for two months, while many other users recorded entries."""
    people.entry(ana, website, "2026-01-10 08:00", "2026-03-10 08:00")

    report = as_user(ana).get("/reports/me", params=period_params("2026-03-09", "2026-03-11")).json()

    assert [day["total_seconds"] for day in report["days"]] == [86400, 8 * 3600, 0]


def test_what_still_runs_is_shown_once_and_not_counted(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-02 20:00", None)

    before = as_user(ana).get("/reports/me", params=period_params("2026-03-01", "2026-03-01")).json()
    on = as_user(ana).get("/reports/me", params=period_params("2026-03-02", "2026-03-04")).json()
    behind = as_user(ana).get("/reports/me", params=period_params("2026-03-03", "2026-03-04")).json()

    entry_counts = [[len(day["entries"]) for day in days["days"]] for days in (before, on, behind)]
    assert entry_counts == [[0], [1, 0, 0], [1, 0]]
    assert before["total_seconds"] == on["total_seconds"] == behind["total_seconds"] == 0
    assert on["days"][0]["first_start"] == "2026-03-02T20:00:00Z"
    assert on["days"][0]["last_end"] is None
    (row,) = csv_of(as_user(mia), **period_params("2026-03-02", "2026-03-04"))
    assert (row["end_time"], row["hours_worked"]) == ("", "")


def test_a_zone_that_is_asked_for_cuts_at_its_midnights(people, as_user, ana, website):
    people.entry(ana, website, "2026-03-02 14:00", "2026-03-02 16:00")

    report = (
        as_user(ana).get("/reports/me", params=period_params("2026-03-02", "2026-03-03", time_zone="Asia/Tokyo")).json()
    )

    assert [day["total_seconds"] for day in report["days"]] == [3600, 3600]
    assert report["time_zone"] == "Asia/Tokyo"


def test_a_day_has_its_first_start_its_last_end_and_its_breaks(people, as_user, ana, website):
    for start, end in (("08:00", "12:00"), ("12:30", "15:00"), ("15:00", "15:00"), ("15:45", "18:00")):
        people.entry(ana, website, f"2026-03-02 {start}", f"2026-03-02 {end}")

    (day,) = (
        as_user(ana).get("/reports/me", params={"start_date": "2026-03-02", "end_date": "2026-03-02"}).json()["days"]
    )

    assert [day[name] for name in ("date", "total_seconds", "total_hours", "break_seconds")] == [
        "2026-03-02",
        31500,
        8.75,
        75 * 60,
    ]
    assert (day["first_start"], day["last_end"]) == ("2026-03-02T08:00:00Z", "2026-03-02T18:00:00Z")
    assert [entry["start_time"][11:16] for entry in day["entries"]] == ["08:00", "12:30", "15:00", "15:45"]


def test_every_day_of_the_period_is_there_worked_or_not(as_user, ana):
    response = as_user(ana).get("/reports/me", params={"start_date": "2026-02-27", "end_date": "2026-03-02"})

    assert [day["date"] for day in response.json()["days"]] == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert {day["first_start"] for day in response.json()["days"]} == {None}
    assert response.headers["X-As-Of"] == response.json()["as_of"]


def test_a_persons_days_are_asked_for_in_periods_of_400_days(as_user, ana):
    within = as_user(ana).get("/reports/me", params={"start_date": "2026-01-01", "end_date": "2027-02-04"})
    beyond = as_user(ana).get("/reports/me", params={"start_date": "2026-01-01", "end_date": "2027-02-05"})

    assert (within.status_code, len(within.json()["days"])) == (200, 400)
    assert (beyond.status_code, beyond.json()["code"]) == (422, "period_too_long")


def test_the_record_says_how_an_export_was_cut(as_user, server, mia):
    audit_log = AuditLog(server.database)

    csv_of(as_user(mia), **period_params("2026-03-01", "2026-03-31"))

    assert [event.after["attribution"] for event in audit_log.new_events()] == ["split"]


@pytest.mark.parametrize("path", ["/time-entries/me", "/reports/me", "/reports/team", "/reports/export/csv"])
def test_there_are_two_attributions(as_user, mia, path):
    response = as_user(mia).get(path, params=period_params("2026-03-01", "2026-03-31") | {"attribution": "thirds"})

    assert response.status_code == 422


def test_an_entry_that_runs_since_before_the_clock_changed_shows_the_time_of_its_zone(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    people.entry(berta, website, "2026-03-20 08:00", None)

    (march,) = csv_of(as_user(mia), **period_params("2026-03-20", "2026-04-30"))
    (april,) = csv_of(as_user(mia), **period_params("2026-04-01", "2026-04-30"))

    assert (march["date"], march["start_time"], march["end_time"]) == ("2026-03-20", "09:00:00", "")
    assert (april["date"], april["start_time"], april["end_time"]) == ("2026-04-01", "00:00:00", "")
