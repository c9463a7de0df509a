"""Dates and times in exports are exact at any distance from the period and from today (rules: T3, T5)."""

import csv
import io
import json
from datetime import date, datetime, timedelta

import pytest
from python_calamine import CalamineWorkbook

from app.core.time.clock import utc_now
from tests.support.times import hours_ago_utc

FORMATS = ("csv", "json", "xlsx")


def rows(caller, export_format, start, end, **params):
    """Return the date, start and end of each row, as texts."""
    period = {"start_date": start, "end_date": end, "columns": "full"}
    response = caller.get(f"/reports/export/{export_format}", params=period | params)
    assert response.status_code == 200, response.text
    if export_format == "csv":
        found = list(csv.DictReader(io.StringIO(response.text)))
    elif export_format == "json":
        found = [json.loads(line) for line in response.text.splitlines()]
    else:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(response.content)).get_sheet_by_name("Entries")
        header, *cells = sheet.to_python()
        found = [dict(zip(header, row, strict=True)) for row in cells if row[0] != ""]
    return [(str(row["date"]), _time(row["start_time"]), _time(row["end_time"])) for row in found]


def _time(cell):
    """Return the time as text. calamine reads an instant at midnight as a date."""
    if isinstance(cell, date):
        return f"{cell:%H:%M:%S}" if isinstance(cell, datetime) else "00:00:00"
    return cell or ""


@pytest.fixture
def berta(people, mia):
    return people.employee("Berta", manager=mia, time_zone="Europe/Berlin")


@pytest.mark.parametrize("export_format", FORMATS)
def test_an_entry_that_was_open_for_years_ends_at_the_time_that_clocks_showed(
    people, as_user, mia, berta, website, export_format
):
    """Between the period and the end, Berlin changed its clocks 40 times."""
    people.entry(berta, website, "2005-12-01 07:00", "2026-01-15 07:30")

    (row,) = rows(as_user(mia), export_format, "2005-12-01", "2005-12-31")

    assert row == ("2005-12-01", "08:00:00", "08:30:00")


@pytest.mark.parametrize("export_format", FORMATS)
@pytest.mark.parametrize("time_zone", [None, "Europe/Berlin"])
def test_an_entry_that_has_run_for_years_is_on_a_day_of_the_period(
    people, as_user, mia, berta, website, export_format, time_zone
):
    people.entry(berta, website, "2023-07-01 22:30", None)
    params = {"attribution": "split"} | ({"time_zone": time_zone} if time_zone else {})

    in_july = rows(as_user(mia), export_format, "2023-07-02", "2023-07-31", **params)
    later = rows(as_user(mia), export_format, "2026-11-01", "2026-11-30", **params)

    assert in_july == [("2023-07-02", "00:30:00", "")]
    assert later == [("2026-11-01", "00:00:00", "")]


@pytest.mark.parametrize("export_format", FORMATS)
@pytest.mark.parametrize("attribution", ["start", "split"])
def test_a_century_reads_the_same_as_the_month(people, as_user, mia, berta, website, export_format, attribution):
    people.entry(berta, website, "2003-07-01 22:30", "2003-07-01 23:00")
    people.entry(berta, website, "2004-01-01 22:30", "2024-01-01 23:30")
    people.entry(berta, website, hours_ago_utc(1), None)

    whole = rows(as_user(mia), export_format, "2000-01-01", "2100-01-01", attribution=attribution)

    assert whole[0] == ("2003-07-02", "00:30:00", "01:00:00")
    if attribution == "start":
        assert whole[1] == ("2004-01-01", "23:30:00", "00:30:00")
    assert whole[-1:] == rows(
        as_user(mia), export_format, f"{utc_now() - timedelta(days=2):%Y-%m-%d}", "2100-01-01", attribution=attribution
    )


def in_every_surface(manager, user, start, end, **params):
    """Return, for each surface, the day, start and id of each open entry in the period."""
    period = {"start_date": start, "end_date": end, "attribution": "split"} | params
    me = manager if user is None else user
    days = me.get("/reports/me", params=period).json()["days"]
    team = manager.get("/reports/team", params=period).json()
    lines = manager.get("/reports/export/json", params=period).text.splitlines()
    exported = [json.loads(line) for line in lines]
    return {
        "own entries": [entry["start_time"] for entry in me.get("/time-entries/me", params=period).json()],
        "own days": [entry["start_time"] for day in days for entry in day["entries"]],
        "team": [entry["start_time"] for member in team for entry in member["entries"]],
        "export": [row["start_utc"] for row in exported],
    }, {day["date"] for day in days if day["entries"]} | {row["date"] for row in exported}


def test_an_open_entry_is_in_the_periods_up_to_today_and_the_same_in_every_surface(
    people, as_user, mia, berta, website
):
    people.entry(berta, website, "2026-03-20 08:00", None)
    today = utc_now().date()
    starts = {
        ("2026-03-01", "2026-03-19"): (None, set()),
        ("2026-03-01", "2026-03-31"): ("2026-03-20T08:00:00Z", {"2026-03-20"}),
        ("2026-04-01", "2026-04-30"): ("2026-03-31T22:00:00Z", {"2026-04-01"}),
        (f"{today + timedelta(days=2)}", f"{today + timedelta(days=9)}"): (None, set()),
        ("2030-01-01", "2030-01-31"): (None, set()),
    }

    for period, (start, days) in starts.items():
        surfaces, found_days = in_every_surface(as_user(mia), as_user(berta), *period)
        assert surfaces == dict.fromkeys(surfaces, [start] if start else []), period
        assert found_days == days, period


def test_an_open_entry_is_in_the_period_that_begins_today(people, as_user, mia, berta, website):
    people.entry(berta, website, "2026-03-20 08:00", None)
    today = utc_now().date()

    surfaces, days = in_every_surface(as_user(mia), as_user(berta), f"{today}", f"{today}", time_zone="UTC")

    assert surfaces == {name: [f"{today}T00:00:00Z"] for name in surfaces}
    assert days == {f"{today}"}
