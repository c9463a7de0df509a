"""Exports in all three formats, read by common libraries (rules: The API, Data; threats 1, 23, 24)."""

import csv
import io
import json
import re
import zipfile
from datetime import date, datetime
from itertools import repeat
from typing import Any

import httpx
import pytest
from pydantic_core import to_json
from python_calamine import CalamineWorkbook
from sqlalchemy import update

from app.core.time.zones import zone_names
from app.models.tables import PROJECT, USER
from app.services.exports.xlsx import MAX_ROWS, TooManyRows, limit_rows
from app.services.users.administration import register_zone
from tests.support.audit_asserts import AuditLog

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
FORMATS = ("csv", "xlsx", "json")
Cells = list[dict[str, Any]]
HOSTILE = f'=1+1 "é" back\\slash \\n </script> %s {"".join(map(chr, range(1, 33)))}\x7f\x85\u2028 漢字 🙂\n'


def export(caller: Any, export_format: str, **params: Any) -> httpx.Response:
    answer = caller.get(f"/reports/export/{export_format}", params=MARCH | params)
    assert answer.status_code == 200, answer.text
    return answer


def sheet(answer: httpx.Response, name: str) -> Cells:
    """Read the rows of a sheet by its header. calamine reads an instant at midnight as a date."""
    header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_name(name).to_python()
    return [dict(zip(header, row, strict=True)) for row in rows]


def lines(answer: httpx.Response) -> Cells:
    return [json.loads(line) for line in answer.content.splitlines()]


def table(answer: httpx.Response) -> Cells:
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True))


def entry_ids(caller: Any, export_format: str, **params: Any) -> set[int]:
    answer = export(caller, export_format, columns="full", **params)
    read = {"csv": table, "json": lines, "xlsx": lambda of: sheet(of, "Entries")}[export_format]
    return {int(row["entry_id"]) for row in read(answer) if row["entry_id"] != ""}


@pytest.fixture
def berta(people, mia):
    return people.employee("Berta", manager=mia, time_zone="Europe/Berlin")


def test_a_workbook_has_real_dates_numbers_and_zones(people, as_user, mia, berta, website):
    entry_id = people.entry(berta, website, "2026-03-02 23:00:09", "2026-03-03 06:30:18", description="Night")
    people.entry(berta, website, "2026-03-31 08:00", None)

    answer = export(as_user(mia), "xlsx")
    closed, running = sheet(answer, "Entries")

    assert closed == {
        "employee_id": berta.id,
        "employee_name": "Berta Silva",
        "project_name": "Website",
        "date": date(2026, 3, 3),
        "start_time": datetime(2026, 3, 3, 0, 0, 9),  # noqa: DTZ001 - what the wall shows
        "end_time": datetime(2026, 3, 3, 7, 30, 18),  # noqa: DTZ001
        "hours_worked": 27009 / 3600,
        "description": "Night",
        "entry_id": entry_id,
        "employee_email": "berta@example.com",
        "project_id": website.id,
        "time_zone": "Europe/Berlin",
        "start_utc": datetime(2026, 3, 2, 23, 0, 9),  # noqa: DTZ001
        "end_utc": datetime(2026, 3, 3, 6, 30, 18),  # noqa: DTZ001
        "seconds_worked": 27009,
        "needs_review": False,
        "local_time_zone": "Europe/Berlin",
        "project_code": "",
        "approved": False,
    }
    assert [running[name] for name in ("end_time", "hours_worked", "end_utc", "seconds_worked")] == [""] * 4
    assert running["needs_review"] is True
    assert answer.headers["Content-Disposition"] == 'attachment; filename="time_report_2026-03-01_to_2026-03-31.xlsx"'
    assert answer.headers["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def test_the_second_sheet_has_each_persons_sum(people, as_user, mia, berta, website):
    zoe = people.employee("Zoe", manager=mia)
    people.entry(zoe, website, "2026-03-02 08:00", "2026-03-02 08:00:17")
    people.entry(zoe, website, "2026-03-03 08:00", "2026-03-03 08:00:17")
    people.entry(zoe, website, "2026-03-04 08:00", None)
    people.entry(berta, website, "2026-03-02 08:00", "2026-03-02 15:30")

    answer = export(as_user(mia), "xlsx")

    assert [list(row.values()) for row in sheet(answer, "Summary")] == [
        [berta.id, "Berta Silva", 7.5, 27000, 1, 0],
        [zoe.id, "Zoe Silva", 34 / 3600, 34, 2, 0],
    ]


@pytest.mark.parametrize("attribution", ["start", "split"])
def test_the_sheets_of_a_workbook_add_up_to_the_summary(people, as_user, mia, berta, website, attribution):
    """Each of 28 shifts lasts 32 min 20 s, so hours that were rounded first would add up to 0.03 h more."""
    for day in (*range(1, 4), *range(6, 31)):
        people.entry(berta, website, f"2026-03-{day:02} 18:00:00", f"2026-03-{day:02} 18:32:20")
    people.entry(berta, website, "2026-03-03 20:00", "2026-03-05 20:00:01", needs_review=True)
    people.entry(berta, website, "2026-03-31 20:00", "2026-04-01 06:00:17")
    summary = as_user(mia).get(
        "/reports/summary", params=MARCH | {"group_by": "user", "attribution": attribution, "user_id": berta.id}
    )

    answer = export(as_user(mia), "xlsx", attribution=attribution)
    (total,), entries = sheet(answer, "Summary"), sheet(answer, "Entries")

    (row,) = summary.json()["rows"]
    assert total["hours_worked"] == row["total_seconds"] / 3600
    assert sum(entry["hours_worked"] for entry in entries) == pytest.approx(total["hours_worked"], abs=1e-9)
    assert [total[name] for name in ("seconds_worked", "entries", "needs_review_seconds")] == [
        row[name] for name in ("total_seconds", "entries", "needs_review_seconds")
    ]
    assert row["entries"] == 30


def test_a_workbook_shows_two_decimals_of_its_hours(people, as_user, mia, berta, website):
    people.entry(berta, website, "2026-03-02 08:00", "2026-03-02 08:00:17")

    book = zipfile.ZipFile(io.BytesIO(export(as_user(mia), "xlsx").content))

    styles = book.read("xl/styles.xml").decode()
    assert 'formatCode="0.00"' in styles or 'numFmtId="2"' in styles


def test_a_workbook_keeps_its_header_in_sight_and_its_columns_wide_enough(people, as_user, mia, berta, website):
    people.entry(berta, website, "2026-03-02 08:00", "2026-03-02 09:00")

    book = zipfile.ZipFile(io.BytesIO(export(as_user(mia), "xlsx", columns="basic").content))

    first, second = (book.read(f"xl/worksheets/sheet{number}.xml").decode() for number in (1, 2))
    for each in (first, second):
        assert '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>' in each
    columns = re.findall(r'<col min="(\d+)" max="(\d+)" width="(\d+)', first)
    widths = [int(width) for start, end, width in columns for _ in range(int(start), int(end) + 1)]
    assert widths == [12, 24, 24, 11, 10, 10, 13, 40]


def test_an_empty_workbook_has_its_headers(as_user, mia):
    answer = export(as_user(mia), "xlsx", columns="basic")

    for name in ("Entries", "Summary"):
        header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_name(name).to_python()
        assert header[:2] == ["employee_id", "employee_name"]
        assert all(cell == "" for row in rows for cell in row)


def test_a_sheet_has_no_more_rows_than_spreadsheets_read():
    assert sum(1 for _ in limit_rows(repeat({}, MAX_ROWS))) == 1_048_575
    with pytest.raises(TooManyRows, match="CSV"):
        sum(1 for _ in limit_rows(repeat({}, MAX_ROWS + 1)))


def test_json_is_a_line_an_entry_with_texts_as_they_were_typed(people, as_user, mia, berta, website):
    entry_id = people.entry(berta, website, "2026-03-02 23:00", "2026-03-03 06:30:18", description=HOSTILE)
    people.entry(berta, website, "2026-03-31 08:00", None)

    answer = export(as_user(mia), "json")
    closed, running = lines(answer)

    assert closed == {
        "employee_id": berta.id,
        "employee_name": "Berta Silva",
        "project_name": "Website",
        "date": "2026-03-03",
        "start_time": "00:00:00",
        "end_time": "07:30:18",
        "hours_worked": 7.51,
        "description": HOSTILE,
        "entry_id": entry_id,
        "employee_email": "berta@example.com",
        "project_id": website.id,
        "time_zone": "Europe/Berlin",
        "start_utc": "2026-03-02T23:00:00Z",
        "end_utc": "2026-03-03T06:30:18Z",
        "seconds_worked": 27018,
        "needs_review": False,
        "local_time_zone": "Europe/Berlin",
        "project_code": None,
        "approved": False,
    }
    assert [running[name] for name in ("end_time", "hours_worked", "end_utc", "seconds_worked")] == [None] * 4
    assert answer.content == b"".join(to_json(line) + b"\n" for line in (closed, running)), "as a serialiser writes it"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="time_report_2026-03-01_to_2026-03-31.jsonl"'
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"


def test_nothing_to_export_is_no_line_of_json(as_user, mia):
    assert export(as_user(mia), "json").content == b""


@pytest.mark.parametrize("attribution", ["start", "split"])
@pytest.mark.parametrize("tz", [None, "America/St_Johns"])
def test_the_three_formats_say_the_same(people, as_user, mia, berta, website, attribution, tz):
    """Entries around DST changes, at night, over the end of a month, open and closed."""
    lara = people.employee("Lara", manager=mia, time_zone="America/Los_Angeles")
    for user in (berta, lara):
        for start, end in (
            ("2026-02-28 20:00", "2026-03-01 09:00"),
            ("2026-03-07 20:00", "2026-03-08 12:00"),
            ("2026-03-28 22:00", "2026-03-29 22:00"),
            ("2026-03-30 12:00", "2026-03-30 12:00"),
            ("2026-03-31 20:00", None),
        ):
            people.entry(user, website, start, end, description=f"It's {start}, isn't it?")
    params = {"columns": "full", "attribution": attribution} | ({"time_zone": tz} if tz else {})

    in_csv = table(export(as_user(mia), "csv", **params))
    in_json = lines(export(as_user(mia), "json", **params))
    in_sheet = sheet(export(as_user(mia), "xlsx", **params), "Entries")

    assert len(in_csv) == len(in_json) == len(in_sheet) >= 8
    assert [{name: _as_csv(cell) for name, cell in row.items()} for row in in_json] == in_csv
    for row, same in zip(in_sheet, in_json, strict=True):
        day = row["date"]
        assert isinstance(day, date) and day.isoformat() == same["date"]
        assert _time(row["start_time"]) == same["start_time"]
        assert (row["end_time"] and _time(row["end_time"])) == (same["end_time"] or "")
        assert f"{row['start_utc'].isoformat()[:10]}T{_time(row['start_utc'])}Z" == same["start_utc"]
        assert (row["seconds_worked"], row["hours_worked"]) == (
            ("", "") if same["end_utc"] is None else (same["seconds_worked"], same["seconds_worked"] / 3600)
        )
        texts = ("employee_id", "entry_id", "description", "needs_review", "time_zone", "local_time_zone")
        assert [row[name] for name in texts] == [same[name] for name in texts]
        assert row["local_time_zone"] == (tz or row["time_zone"])


def _time(read: date | datetime) -> str:
    return read.time().isoformat() if isinstance(read, datetime) else "00:00:00"


def _as_csv(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case _:
            return str(cell)


@pytest.mark.parametrize("export_format", FORMATS)
def test_each_format_holds_whom_the_caller_may_see_and_nobody_else(people, as_user, mia, berta, website, export_format):
    """Threats 1: the report and every format have the same entries for each role."""
    ada, otto, bo = people.admin("Ada"), people.manager("Otto"), people.manager("Bo", manager=mia)
    cy, zoe = people.employee("Cy", manager=bo), people.employee("Zoe", manager=otto)
    for user in (ada, mia, otto, bo, berta, cy, zoe):
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00")

    for caller, params in ((mia, {}), (mia, {"include_indirect": True}), (otto, {}), (ada, {"scope": "all"})):
        report = as_user(caller).get("/reports/team", params=MARCH | params).json()
        seen = {entry["id"] for user in report for entry in user["entries"]}
        assert entry_ids(as_user(caller), export_format, **params) == seen
        assert seen
    refused = as_user(berta).get(f"/reports/export/{export_format}", params=MARCH)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
    refused = as_user(mia).get(f"/reports/export/{export_format}", params=MARCH | {"scope": "all"})
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")


def test_no_cell_of_a_workbook_is_or_starts_a_formula(people, as_user, server, mia, website):
    """Threats 23, in every text column; numbers stay numbers."""
    hostile = [f"{before}{start}1+1" for start in "=+-@\t\uff1d" for before in ("", " ", "\u3000")]
    for number, words in enumerate(hostile):
        user, project = people.employee(f"Person {number}", manager=mia), people.project(f"Project {number}")
        people.entry(user, project, "2026-03-02 08:00", "2026-03-02 15:30", description=words)
        with server.database.write_transaction() as session:
            session.execute(update(USER).where(USER.c.id == user.id).values(first_name=words, email=words))
            session.execute(update(PROJECT).where(PROJECT.c.id == project.id).values(name=words))

    answer = export(as_user(mia), "xlsx")

    for row, words in zip(sheet(answer, "Entries"), hostile, strict=True):
        assert row["employee_name"] == f"'{words} Silva"
        assert row["project_name"] == row["employee_email"] == row["description"] == f"'{words}"
        assert {type(row[name]) for name in ("employee_id", "hours_worked", "entry_id", "seconds_worked")} == {float}
    assert {row["employee_name"] for row in sheet(answer, "Summary")} == {f"'{words} Silva" for words in hostile}
    book = zipfile.ZipFile(io.BytesIO(answer.content))
    assert [name for name in book.namelist() if re.search(rb"<f[ />]", book.read(name))] == []


@pytest.mark.parametrize("export_format", FORMATS)
def test_each_export_leaves_one_event_that_says_what_was_taken(people, as_user, server, mia, berta, export_format):
    audit_log = AuditLog(server.database)

    answer = export(as_user(mia), export_format, time_zone="Asia/Tokyo", include_indirect=True, attribution="split")

    (event,) = (event for event in audit_log.new_events() if event.action.startswith("export:"))
    assert event.action == f"export:{export_format}"
    assert event.after == {
        "start_date": "2026-03-01",
        "end_date": "2026-03-31",
        "tz": "Asia/Tokyo",
        "scope": "team",
        "include_indirect": True,
        "columns": "basic" if export_format == "csv" else "full",
        "attribution": "split",
        "only": None,
    }
    assert event.request_id == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("export_format", FORMATS)
def test_the_name_of_a_project_reaches_no_header(people, as_user, server, mia, berta, website, export_format):
    """Threats 24."""
    people.entry(berta, website, "2026-03-02 08:00", "2026-03-02 09:00")
    quiet = export(as_user(mia), export_format)
    with server.database.write_transaction() as session:
        session.execute(update(PROJECT).values(name='x"\r\nX-Evil: 1\r\n\r\n"'))

    answer = export(as_user(mia), export_format)

    assert set(answer.headers) == set(quiet.headers)
    assert answer.headers["Content-Disposition"] == quiet.headers["Content-Disposition"]


@pytest.mark.parametrize("attribution", ["start", "split"])
def test_a_century_in_all_zones_fits_into_a_statement(people, as_user, server, mia, berta, website, attribution):
    """SQLite accepts 32,766 parameters per statement, and most zones have two DST changes a year."""
    with server.database.write_transaction() as session:
        for zone in zone_names():
            register_zone(session, zone)
    people.entry(berta, website, "2026-10-24 21:00", "2026-10-24 22:30", description="Night")
    whole = {"start_date": "2000-01-01", "end_date": "2100-01-01", "columns": "full", "attribution": attribution}

    for export_format, read in (("csv", table), ("json", lines)):
        days = [row["date"] for row in read(export(as_user(mia), export_format, **whole))]
        assert days == (["2026-10-24", "2026-10-25"] if attribution == "split" else ["2026-10-24"])
