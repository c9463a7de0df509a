"""Only approved time, in exports, summary and team report, and the column that tells it."""

from typing import Any

import pytest

from tests.api.exports.test_exports import export, lines, sheet, table

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
ATTRIBUTIONS = ("start", "split")


@pytest.fixture
def ids(people, as_user, admin, mia, ana, website) -> dict[str, int]:
    """Ana's first week is approved, with a night shift over its last midnight. Her second week waits, her third is
    open."""
    assert admin.put("/admin/timesheet-rules/2026-03-02", json={"period": "week"}).status_code == 200
    ids = {
        "day": people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00"),
        "night": people.entry(ana, website, "2026-03-08 22:00", "2026-03-09 06:00"),
        "waiting": people.entry(ana, website, "2026-03-10 08:00", "2026-03-10 09:00"),
        "open": people.entry(ana, website, "2026-03-17 08:00", "2026-03-17 09:00", needs_review=True),
    }
    for first_day in ("2026-03-02", "2026-03-09"):
        assert as_user(ana).post(f"/timesheets/{ana.id}/{first_day}/submit").status_code == 200
    assert as_user(mia).post(f"/timesheets/{ana.id}/2026-03-02/approve").status_code == 200
    return ids


@pytest.fixture
def people(people):
    people.records_events = True
    return people


def get(caller: Any, path: str, **params: Any) -> Any:
    answer = caller.get(path, params=MARCH | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_full_columns_end_with_what_is_approved(as_user, mia, ids, attribution):
    answers = {name: export(as_user(mia), name, columns="full", attribution=attribution) for name in ("csv", "json")}
    in_sheet = sheet(export(as_user(mia), "xlsx", attribution=attribution), "Entries")

    in_csv, in_json = table(answers["csv"]), lines(answers["json"])
    assert list(in_csv[0])[-2:] == list(in_json[0])[-2:] == list(in_sheet[0])[-2:] == ["project_code", "approved"]
    approved = {row["entry_id"]: row["approved"] for row in in_json}
    assert approved == {ids["day"]: True, ids["night"]: True, ids["waiting"]: False, ids["open"]: False}
    assert {int(row["entry_id"]): row["approved"] == "true" for row in in_csv} == approved
    assert {row["entry_id"]: row["approved"] for row in in_sheet} == approved


def test_full_columns_have_the_code_of_the_project(as_user, admin, mia, website, ids):
    assert admin.patch(f"/admin/projects/{website.id}", json={"code": "4711-A"}).status_code == 200

    assert {row["project_code"] for row in table(export(as_user(mia), "csv", columns="full"))} == {"4711-A"}


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("export_format", ["csv", "xlsx", "json"])
def test_an_export_of_what_is_approved_has_nothing_else(as_user, mia, ids, export_format, attribution):
    answer = export(as_user(mia), export_format, only="approved", columns="full", attribution=attribution)

    read = {"csv": table, "json": lines, "xlsx": lambda of: sheet(of, "Entries")}[export_format]
    assert {int(row["entry_id"]) for row in read(answer)} == {ids["day"], ids["night"]}
    assert sum(int(row["seconds_worked"]) for row in read(answer)) == 12 * 3600
    assert answer.headers["X-Needs-Review"] == "0"


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("include_entries", ["true", "false"])
def test_the_team_report_of_what_is_approved(as_user, mia, ids, include_entries, attribution):
    params = {"only": "approved", "include_entries": include_entries, "attribution": attribution}

    (member,) = get(as_user(mia), "/reports/team", **params)

    listed = {ids["day"], ids["night"]} if include_entries == "true" else set()
    assert (member["total_seconds"], member["needs_review_seconds"]) == (12 * 3600, 0)
    assert {entry["id"] for entry in member["entries"]} == listed


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("group", ["user", "project", "day"])
def test_the_summary_of_what_is_approved(as_user, mia, ids, group, attribution):
    summary = get(as_user(mia), "/reports/summary", only="approved", group_by=group, attribution=attribution)

    assert (summary["total_seconds"], summary["needs_review_seconds"]) == (12 * 3600, 0)
    if group == "day":  # the night counts whole to the approved week, also the part of it in the next one
        split = [("2026-03-02", 4), ("2026-03-08", 2), ("2026-03-09", 6)]
        whole = [("2026-03-02", 4), ("2026-03-08", 8)]
        found = [(row["day"], row["total_seconds"] / 3600) for row in summary["rows"]]
        assert found == (split if attribution == "split" else whole)


def test_there_is_no_other_filter(as_user, mia):
    for path in ("/reports/export/csv", "/reports/team", "/reports/summary"):
        answer = as_user(mia).get(path, params=MARCH | {"group_by": "user", "only": "open"})
        assert answer.status_code == 422
