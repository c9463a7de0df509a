"""Totals say how much of them is of entries that need review, in every report and file (rules: E5, T6)."""

import io

import pytest
from pypdf import PdfReader

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
HOUR = 3600
GROUPS = ("user", "team", "project", "day", "week", "month", "weekday")


@pytest.fixture
def forgotten(people, mia, ana, website):
    """Ana worked one day of 8 h, and forgot three times to clock out for 72 h, once over the end of the month."""
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 16:00")
    for start, end in (("03-05", "03-08"), ("03-15", "03-18"), ("03-30", "04-02")):
        people.entry(ana, website, f"2026-{start} 08:00", f"2026-{end} 08:00", needs_review=True)
    people.entry(people.employee("Ben", manager=mia), website, "2026-03-05 08:00", "2026-03-05 09:00")
    return ana


def get(caller, path, **params):
    response = caller.get(path, params=MARCH | params)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize(("attribution", "in_review"), [("start", 216 * HOUR), ("split", 184 * HOUR)])
def test_each_total_says_how_many_of_its_seconds_need_review(as_user, mia, forgotten, attribution, in_review):
    manager, total = as_user(mia), in_review + 8 * HOUR

    for include_entries in (True, False):
        params = {"attribution": attribution, "include_entries": include_entries}
        of_ana, of_ben = get(manager, "/reports/team", **params).json()
        assert (of_ana["total_seconds"], of_ana["needs_review_seconds"]) == (total, in_review)
        assert (of_ben["total_seconds"], of_ben["needs_review_seconds"]) == (HOUR, 0)
    own = get(as_user(forgotten), "/reports/me", attribution=attribution).json()
    assert (own["total_seconds"], own["needs_review_seconds"]) == (total, in_review)
    assert sum(day["needs_review_seconds"] for day in own["days"]) == in_review
    assert [own["days"][day - 1]["needs_review_seconds"] // HOUR for day in (2, 5)] == (
        [0, 72] if attribution == "start" else [0, 16]
    )


@pytest.mark.parametrize(("attribution", "in_review"), [("start", 216 * HOUR), ("split", 184 * HOUR)])
@pytest.mark.parametrize("group", GROUPS)
def test_each_row_of_a_summary_says_it_too(as_user, mia, forgotten, attribution, in_review, group):
    summary = get(as_user(mia), "/reports/summary", group_by=group, attribution=attribution, fill=True).json()

    assert summary["needs_review_seconds"] == in_review
    assert sum(row["needs_review_seconds"] for row in summary["rows"]) == in_review
    assert all(row["needs_review_seconds"] <= row["total_seconds"] for row in summary["rows"])


def test_an_open_entry_is_in_no_total_and_so_in_none_that_needs_review(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", None)

    (team,) = get(as_user(mia), "/reports/team").json()

    assert team["entries"][0]["needs_review"] is True
    assert (team["total_seconds"], team["needs_review_seconds"]) == (0, 0)


@pytest.mark.parametrize("export_format", ["csv", "xlsx", "json"])
@pytest.mark.parametrize("attribution", ["start", "split"])
def test_a_file_is_sent_with_the_number_of_its_entries_that_need_review(
    people, as_user, mia, bob, forgotten, website, export_format, attribution
):
    """Three were closed too late and one was never closed. What lies outside the team or the period does not count."""
    people.entry(forgotten, website, "2026-03-20 08:00", "2026-03-21 08:00")
    people.entry(people.employee("Eve", manager=mia), website, "2026-03-09 08:00", None)
    people.entry(bob, website, "2026-03-05 08:00", "2026-03-08 08:00", needs_review=True)
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        user = people.employee(f"Of {zone}", manager=mia, email=f"{len(zone)}@example.com", time_zone=zone)
        people.entry(user, website, "2026-02-28 01:00", "2026-02-28 02:00", needs_review=True)
        people.entry(user, website, "2026-04-01 13:00", "2026-04-02 13:00", needs_review=True)

    response = get(as_user(mia), f"/reports/export/{export_format}", attribution=attribution)

    assert response.headers["X-Needs-Review"] == "4"


def test_a_file_without_such_entries_says_that_there_are_none(as_user, mia):
    for export_format in ("csv", "xlsx", "json"):
        assert get(as_user(mia), f"/reports/export/{export_format}").headers["X-Needs-Review"] == "0"


def test_a_timesheet_has_beside_its_sums_how_much_needs_review(as_user, forgotten):
    response = as_user(forgotten).get("/reports/export/pdf", params={"month": "2026-03"})

    pages = (page.extract_text() for page in PdfReader(io.BytesIO(response.content)).pages)
    text = " ".join(" ".join(pages).split())
    assert "Week 10, 72:00 of it need review 80:00" in text
    assert "Week 12, 56:00 of it need review 56:00" in text
    assert "Week 13 0:00" in text
    assert "691,200 seconds in total, 184:00 of it need review 192:00" in text
