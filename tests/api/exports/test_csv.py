"""CSV exports for payroll (rules: T3, T6, T7, The API; threats 1, 23, 24)."""

import csv
import io
import re
import unicodedata
from typing import Any

import httpx
from sqlalchemy import insert, select, text, update

from app.models.tables import ENTRY, PROJECT, USER
from tests.support.audit_asserts import AuditLog
from tests.support.factories import instant

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
HEADER = "employee_id,employee_name,project_name,date,start_time,end_time,hours_worked,description"
FULL_HEADER = (
    f"{HEADER},entry_id,employee_email,project_id,time_zone,start_utc,end_utc,seconds_worked,needs_review,"
    "local_time_zone,project_code,approved"
)
NUMBERS = ("employee_id", "hours_worked", "entry_id", "project_id", "seconds_worked")
STARTS = "=+-@\t\r\n"
FULL_WIDTH_STARTS = "\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
BLANKS = (" ", "   ", "\u3000", "\u00a0 ", "\u2003")


def export(caller: Any, **params: Any) -> httpx.Response:
    answer = caller.get("/reports/export/csv", params=MARCH | params)
    assert answer.status_code == 200, answer.text
    return answer


def rows_in(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True))


def rows_of(caller: Any, **params: Any) -> list[dict[str, str]]:
    return rows_in(export(caller, **params))


def refusal_of(caller: Any, **params: Any) -> tuple[int, str]:
    answer = caller.get("/reports/export/csv", params=MARCH | params)
    return answer.status_code, answer.json()["code"]


def test_payroll_gets_the_settled_columns_one_line_an_entry(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-02 08:00:05", "2026-03-02 15:30:05", description="Landing page")

    answer = export(as_user(mia))

    assert answer.content.decode() == (
        f"{HEADER}\r\n{ana.id},Ana Silva,Website,2026-03-02,08:00:05,15:30:05,7.5,Landing page\r\n"
    )
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="time_report_2026-03-01_to_2026-03-31.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer.headers["X-As-Of"])


def test_a_period_without_entries_is_a_header(as_user, mia):
    assert export(as_user(mia)).content.decode() == f"{HEADER}\r\n"


def test_full_columns_come_behind_the_settled_ones(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    entry_id = people.entry(berta, website, "2026-03-02 23:00", "2026-03-02 23:00:18")

    answer = export(as_user(mia), columns="full")

    assert answer.content.decode() == (
        f"{FULL_HEADER}\r\n"
        f"{berta.id},Berta Silva,Website,2026-03-03,00:00:00,00:00:18,0.01,,"
        f"{entry_id},berta@example.com,{website.id},Europe/Berlin,2026-03-02T23:00:00Z,2026-03-02T23:00:18Z,18,false,Europe/Berlin,,false\r\n"
    )


def test_an_open_entry_has_no_end_and_no_hours(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", None)

    (row,) = rows_of(as_user(mia), columns="full")

    assert row["start_utc"] == "2026-03-02T08:00:00Z"
    assert [row[name] for name in ("end_time", "hours_worked", "end_utc", "seconds_worked")] == [""] * 4
    assert row["needs_review"] == "true"


def test_whatever_people_type_comes_back_as_they_typed_it(people, as_user, mia, ana, website):
    typed = [
        'She said "go", and went',
        "one, two; three",
        "first line\nsecond line",
        "first line\r\nsecond line\r\n",
        '"',
        '","',
        'ends with a quote"',
        "ÄÖÜ ß € 日本語 😀 \u202e\u00ad",
        "a=b, 1+1, 5-3, ana@example.com, tab\tinside",
        "'=already quoted",
        "  blanks around  ",
        "",
    ]
    for number, description in enumerate(typed):
        at = f"2026-03-02 {number:02}:00"
        people.entry(ana, website, at, at, description=description)

    assert [row["description"] for row in rows_of(as_user(mia))] == typed


def test_thousands_of_lines_come_once_each_by_employee_and_start(people, as_user, server, mia, ana, website):
    bob = people.employee("Bob", manager=mia)
    shared = {"project_id": website.id, "description": "", "time_zone": "UTC", "needs_review": False, "version": 1}
    entries = [
        {"user_id": user.id, "start_time": at, "end_time": at, "created_at": at, "updated_at": at} | shared
        for minute in range(1300)
        for user in (bob, ana)
        for at in [instant(f"2026-03-{2 + minute // 720:02} {minute // 60 % 12:02}:{minute % 60:02}")]
    ]
    with server.database.write_transaction() as session:
        session.execute(insert(ENTRY), entries)

    rows = rows_of(as_user(mia), columns="full")

    assert len(rows) == len({row["entry_id"] for row in rows}) == 2600
    assert rows == sorted(rows, key=lambda row: (int(row["employee_id"]), row["start_utc"]))


def test_dates_and_times_are_those_of_each_entrys_zone(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    lara = people.employee("Lara", manager=mia, time_zone="America/Los_Angeles")
    for user in (berta, lara):
        people.entry(user, website, "2026-03-02 23:30", "2026-03-03 00:15")

    second, third = (rows_of(as_user(mia), start_date=day, end_date=day) for day in ("2026-03-02", "2026-03-03"))

    assert [[*row.values()][1:7] for row in second] == [
        ["Lara Silva", "Website", "2026-03-02", "15:30:00", "16:15:00", "0.75"]
    ]
    assert [[*row.values()][1:7] for row in third] == [
        ["Berta Silva", "Website", "2026-03-03", "00:30:00", "01:15:00", "0.75"]
    ]


def test_tz_shows_all_entries_in_one_zone(people, as_user, mia, website):
    for name, zone in (("Berta", "Europe/Berlin"), ("Lara", "America/Los_Angeles")):
        user = people.employee(name, manager=mia, time_zone=zone)
        people.entry(user, website, "2026-03-02 23:30", "2026-03-03 00:15")

    tokyo = rows_of(
        as_user(mia), start_date="2026-03-03", end_date="2026-03-03", time_zone="Asia/Tokyo", columns="full"
    )

    assert [(row["date"], row["start_time"], row["end_time"]) for row in tokyo] == [
        ("2026-03-03", "08:30:00", "09:15:00")
    ] * 2
    assert [row["time_zone"] for row in tokyo] == ["Europe/Berlin", "America/Los_Angeles"]
    assert [row["local_time_zone"] for row in tokyo] == ["Asia/Tokyo"] * 2


def test_hours_are_right_over_a_change_of_the_clock(people, as_user, mia, website):
    berta = people.employee("Berta", manager=mia, time_zone="Europe/Berlin")
    people.entry(berta, website, "2026-03-29 00:30", "2026-03-29 01:30")
    people.entry(berta, website, "2026-10-24 23:30", "2026-10-25 02:30")

    spring, autumn = rows_of(as_user(mia), end_date="2026-12-31")

    assert (spring["start_time"], spring["end_time"], spring["hours_worked"]) == ("01:30:00", "03:30:00", "1.0")
    assert (autumn["start_time"], autumn["end_time"], autumn["hours_worked"]) == ("01:30:00", "03:30:00", "3.0")


def test_a_manager_without_a_team_gets_her_own_hours(people, as_user, mia, website):
    people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 09:00")
    people.entry(people.employee("Zoe"), website, "2026-03-02 08:00", "2026-03-02 09:00")

    assert [row["employee_name"] for row in rows_of(as_user(mia))] == ["Mia Silva"]


def test_a_manager_with_a_team_gets_the_team_without_herself(people, as_user, mia, ana, website):
    people.entry(mia, website, "2026-03-02 08:00", "2026-03-02 09:00")

    assert rows_of(as_user(mia)) == []


def test_only_those_who_manage_may_export(people, as_user, anonymous, mia, ana):
    assert refusal_of(as_user(ana)) == (403, "role_required")
    assert refusal_of(as_user(mia), scope="all") == (403, "role_required")
    assert refusal_of(anonymous)[0] == 401


def test_a_reversed_period_is_refused_and_a_century_is_not(as_user, mia):
    assert refusal_of(as_user(mia), end_date="2026-02-28") == (422, "period_reversed")
    assert rows_of(as_user(mia), start_date="2000-01-01", end_date="2100-01-01") == []


def test_an_export_holds_whom_the_report_holds_and_nobody_else(people, as_user, server, mia, ana, website):
    """Threats 1: for each role the ids in the report, in the CSV and in plain SQL are the same."""
    ada, otto, bo = people.admin("Ada"), people.manager("Otto"), people.manager("Bo", manager=mia)
    cy, zoe = people.employee("Cy", manager=bo), people.employee("Zoe", manager=otto)
    dan = people.employee("Dan", manager=mia, is_active=False)
    for user in (ada, mia, otto, bo, ana, cy, zoe, dan):
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 09:00")
        people.entry(user, website, "2026-04-02 08:00", "2026-04-02 09:00")
    below = (
        'user_id IN (WITH RECURSIVE team(id) AS (SELECT {0} UNION SELECT u.id FROM "user" u, team '
        "WHERE u.manager_id = team.id) SELECT id FROM team WHERE id <> {0})"
    )
    direct = 'user_id IN (SELECT id FROM "user" WHERE manager_id = {0})'
    scopes = [
        (mia, {}, direct, {"Ana", "Bo", "Dan"}),
        (mia, {"include_indirect": True}, below, {"Ana", "Bo", "Dan", "Cy"}),
        (bo, {}, direct, {"Cy"}),
        (otto, {"include_indirect": True}, below, {"Zoe"}),
        (ada, {"scope": "all"}, "true", {"Ada", "Mia", "Otto", "Bo", "Ana", "Cy", "Zoe", "Dan"}),
    ]

    for caller, params, in_scope, names in scopes:
        report = as_user(caller).get("/reports/team", params=MARCH | params).json()
        rows = rows_of(as_user(caller), columns="full", **params)
        with server.database.read_transaction() as session:
            found = session.execute(text(f"SELECT id FROM time_entry WHERE {in_scope.format(caller.id)}")).scalars()
            of_march = session.execute(select(ENTRY.c.id).where(ENTRY.c.start_time < instant("2026-04-01 00:00")))
            expected = set(found) & set(of_march.scalars())
        assert {row["employee_name"] for row in rows} == {f"{name} Silva" for name in names}
        assert {int(row["entry_id"]) for row in rows} == expected
        assert {entry["id"] for user in report for entry in user["entries"]} == expected


def test_no_cell_starts_a_formula(people, as_user, server, mia, website):
    """Threats 23: every text column with every formula start, also after blanks and in full width.

    The values are stored with SQL, because the API rejects some of them.
    """
    starts = [*STARTS, *FULL_WIDTH_STARTS, *(["\0"] if server.settings.is_sqlite else [])]
    hostile = [f"{before}{start}1+1" for start in starts for before in ("", *BLANKS)]
    for number, words in enumerate(hostile):
        user, project = people.employee(f"Person {number}", manager=mia), people.project(f"Project {number}")
        people.entry(user, project, "2026-03-02 08:00", "2026-03-02 15:30", description=words)
        with server.database.write_transaction() as session:
            session.execute(update(USER).where(USER.c.id == user.id).values(first_name=words, email=words))
            session.execute(update(PROJECT).where(PROJECT.c.id == project.id).values(name=words))

    rows = rows_of(as_user(mia), columns="full")

    for row, words in zip(rows, hostile, strict=True):
        assert row["employee_name"] == f"'{words} Silva"
        assert row["project_name"] == row["employee_email"] == row["description"] == f"'{words}"
        for cell in row.values():
            assert not unicodedata.normalize("NFKC", cell).lstrip().startswith(tuple(STARTS + "\0")), repr(cell)
        assert all(re.fullmatch(r"\d+(\.\d+)?", row[name]) for name in NUMBERS), "numbers stay numbers"


def test_each_export_leaves_one_event_that_says_what_was_taken(people, as_user, server, mia, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    audit_log = AuditLog(server.database)

    first = export(as_user(mia))
    second = export(as_user(mia), time_zone="Asia/Tokyo", columns="full", include_indirect=True)

    events = [event for event in audit_log.new_events() if event.action == "export:csv"]
    params = {
        "start_date": "2026-03-01",
        "end_date": "2026-03-31",
        "scope": "team",
        "attribution": "start",
        "only": None,
    }
    assert [event.after for event in events] == [
        params | {"tz": None, "columns": "basic", "include_indirect": False},
        params | {"tz": "Asia/Tokyo", "columns": "full", "include_indirect": True},
    ]
    assert {(event.actor_id, event.subject_id) for event in events} == {(mia.id, mia.id)}
    assert [event.request_id for event in events] == [answer.headers["X-Request-ID"] for answer in (first, second)]


def test_a_refused_export_leaves_no_event(as_user, server, mia):
    audit_log = AuditLog(server.database)

    refusal_of(as_user(mia), scope="all")

    assert audit_log.new_events() == []


def test_the_name_of_a_project_reaches_no_header(people, as_user, server, mia, ana, website):
    """Threats 24."""
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    quiet = export(as_user(mia))
    evil = 'x"\r\nX-Evil: 1\r\n\r\n"'
    with server.database.write_transaction() as session:
        session.execute(update(PROJECT).where(PROJECT.c.id == website.id).values(name=evil))

    answer = export(as_user(mia))

    assert set(answer.headers) == set(quiet.headers)
    assert answer.headers["Content-Disposition"] == quiet.headers["Content-Disposition"]
    assert rows_in(answer)[0]["project_name"] == evil


def test_no_formula_starts_behind_a_semicolon_or_a_line_break(people, as_user, server, mia, website):
    """Threats 23, for spreadsheets that split at semicolons and ignore quotes inside a cell."""
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 15:30", description="a;=1+1\r\n=2+2; +3\tb")

    (row,) = rows_of(as_user(mia))

    assert row["description"] == "a;'=1+1\r\n'=2+2;' +3\tb"
