"""Payroll: Pia, the payroll clerk, exports what was approved (threats 1, 23, 24)."""

import csv
import io
import json
from datetime import date, datetime
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import insert

from app.models.tables import TIMESHEET
from app.services.timesheets.payroll import COLUMNS
from tests.api.timesheets.test_approvals import act, ok
from tests.support.audit_asserts import AuditLog
from tests.support.times import refusal

PAYROLL = "/reports/payroll"
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
FORMATS = ("csv", "xlsx", "json")


def payroll(caller: Any, export_format: str = "json", **params: Any) -> httpx.Response:
    answer = caller.get(PAYROLL, params=MARCH | {"format": export_format} | params)
    assert answer.status_code == 200, answer.text
    return answer


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.content.splitlines()]


def listed(answer: httpx.Response) -> list[tuple[str, str, str, int]]:
    return [(row["employee_name"], row["first_day"], row["status"], row["total_seconds"]) for row in rows(answer)]


def approve(as_user, user, decider, first_day="2026-03-01"):
    ok(act(as_user(user), user, "submit", first_day))
    return ok(act(as_user(decider), user, "approve", first_day))


@pytest.fixture
def pia(people, as_user):
    """Pia, the payroll clerk, is an admin and has no team."""
    return as_user(people.admin("Pia"))


class TestFile:
    def test_pia_gets_a_line_for_each_approved_month(self, as_user, pia, mia, ana, march):
        sheet = approve(as_user, ana, mia)

        answer = payroll(pia, "csv", scope="all")

        assert answer.content.decode() == (
            "employee_id,employee_name,employee_email,first_day,last_day,status,approved_at,approved_by,total_seconds,"
            "total_hours,entries,digest\r\n"
            f"{ana.id},Ana Silva,ana@example.com,2026-03-01,2026-03-31,approved,{sheet['decided_at']},{mia.id},18000,"
            f"5.0,2,{sheet['digest']}\r\n"
        )
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="payroll_2026-03-01_to_2026-03-31.csv"'

    def test_the_three_formats_say_the_same(self, as_user, pia, mia, ana, march):
        sheet = approve(as_user, ana, mia)

        (in_csv,) = csv.DictReader(io.StringIO(payroll(pia, "csv", scope="all", delimiter=";").text), delimiter=";")
        (in_json,) = rows(payroll(pia, "json", scope="all"))
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(payroll(pia, "xlsx", scope="all").content))
        header, cells = workbook.get_sheet_by_name("Payroll").to_python()
        in_sheet = dict(zip(header, cells, strict=True))

        assert list(in_csv) == list(in_json) == header == [column.name for column in COLUMNS]
        assert {name: str(value) for name, value in in_json.items()} == in_csv
        assert (in_json["total_seconds"], in_json["total_hours"], in_json["digest"]) == (18000, 5.0, sheet["digest"])
        assert workbook.sheet_names == ["Payroll"]
        approved_at = datetime.fromisoformat(sheet["decided_at"]).replace(tzinfo=None)
        assert in_sheet == in_json | {
            "first_day": date(2026, 3, 1),
            "last_day": date(2026, 3, 31),
            "approved_at": approved_at,
        }

    def test_json_is_what_pia_gets_without_a_format(self, pia, monthly):
        answer = pia.get(PAYROLL, params=MARCH | {"scope": "all"})

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"

    def test_months_come_by_user_and_first_day_and_only_whole_ones(self, as_user, people, pia, mia, ana, march):
        ben = people.employee("Ben", manager=mia)
        for first_day in ("2026-04-01", "2026-02-01", "2026-03-01"):
            approve(as_user, ben, mia, first_day)
        approve(as_user, ana, mia)

        answer = payroll(pia, scope="all", start_date="2026-02-01", end_date="2026-04-29")

        assert listed(answer) == [
            ("Ana Silva", "2026-03-01", "approved", 18000),
            ("Ben Silva", "2026-02-01", "approved", 0),
            ("Ben Silva", "2026-03-01", "approved", 0),
        ]

    def test_a_month_that_was_approved_by_nobody_has_no_approver(self, admin, ada, march):
        ok(act(admin, ada, "submit"))

        (row,) = rows(payroll(admin, scope="all"))

        assert (row["employee_id"], row["status"], row["approved_by"]) == (ada.id, "approved", None)

    def test_more_than_400_days_are_refused(self, pia, monthly):
        answer = pia.get(PAYROLL, params=MARCH | {"start_date": "2025-02-01"})

        assert refusal(answer) == (422, "period_too_long")


class TestWhatLacks:
    def test_pia_sees_how_many_have_time_that_is_not_approved(self, as_user, people, pia, mia, ana, website, march):
        approve(as_user, ana, mia)
        ben, cem, dora = (people.employee(name, manager=mia) for name in ("Ben", "Cem", "Dora"))
        people.entry(ben, website, "2026-03-05 08:00", "2026-03-05 09:00")
        people.entry(ben, website, "2026-03-06 08:00", "2026-03-06 09:00")
        people.entry(cem, website, "2026-03-31 22:00", "2026-04-01 06:00")
        people.entry(dora, website, "2026-04-01 08:00", "2026-04-01 09:00")
        ok(act(as_user(cem), cem, "submit"))
        approve(as_user, dora, mia)

        answer = payroll(pia, scope="all")
        april = payroll(pia, scope="all", start_date="2026-04-01", end_date="2026-04-30")

        assert [name for name, *_ in listed(answer)] == ["Ana Silva", "Dora Silva"]
        assert answer.headers["X-Not-Approved"] == "2"
        assert (april.content, april.headers["X-Not-Approved"]) == (b"", "1")

    def test_pia_sees_how_many_weeks_the_ends_of_the_month_cut(self, as_user, people, pia, mia, ana, website, admin):
        ok(admin.put("/admin/timesheet-rules/2026-02-02", json={"period": "week"}))
        for day in ("2026-02-23", "2026-03-09", "2026-03-30"):
            people.entry(ana, website, f"{day} 08:00", f"{day} 09:00")
            approve(as_user, ana, mia, day)
        ben = people.employee("Ben", manager=mia)
        ok(act(as_user(ben), ben, "submit", "2026-03-30"))

        march = payroll(pia, scope="all")

        assert [first_day for _, first_day, *_ in listed(march)] == ["2026-03-09"]
        assert march.headers["X-Cut-Timesheets"] == "2"
        assert payroll(pia, scope="all", start_date="2026-02-23").headers["X-Cut-Timesheets"] == "1"
        assert payroll(as_user(people.manager("Max"))).headers["X-Cut-Timesheets"] == "0"

    def test_with_include_open_pia_gets_what_the_others_would_have(
        self, as_user, people, pia, mia, ana, website, march
    ):
        ben, cem, dora, eve = (people.employee(name, manager=mia) for name in ("Ben", "Cem", "Dora", "Eve"))
        ok(act(as_user(ana), ana, "submit"))
        people.entry(ben, website, "2026-03-05 08:00", "2026-03-05 09:00")
        people.entry(ben, website, "2026-03-31 20:00", None)
        people.entry(cem, website, "2026-03-31 22:00", "2026-04-01 06:00")
        ok(act(as_user(cem), cem, "submit"))
        ok(act(as_user(mia), cem, "reject", json={"comment": "No night shifts"}))
        approve(as_user, dora, mia)
        ok(act(as_user(eve), eve, "submit"))
        ok(act(as_user(eve), eve, "withdraw"))

        answer = payroll(pia, scope="all", include_open="true", start_date="2026-02-15")

        assert listed(answer) == [
            ("Ana Silva", "2026-03-01", "submitted", 18000),
            ("Ben Silva", "2026-03-01", "open", 3600),
            ("Cem Silva", "2026-03-01", "rejected", 8 * 3600),
            ("Dora Silva", "2026-03-01", "approved", 0),
            ("Eve Silva", "2026-03-01", "open", 0),
        ]
        assert [row["entries"] for row in rows(answer)] == [2, 2, 1, 0, 0]
        has_approval = [row["approved_at"] is not None and row["approved_by"] == mia.id for row in rows(answer)]
        assert has_approval == [False, False, False, True, False]
        assert [row["digest"] is not None for row in rows(answer)] == [True, False, False, True, False]

    def test_an_entry_counts_to_the_month_of_its_own_time_zone(self, people, pia, mia, website, monthly):
        """At 20:00 UTC on 31 March it is April where Kim is, and still March where Lara is at 3:00 UTC on 1 April."""
        kim = people.employee("Kim", manager=mia, time_zone="Pacific/Kiritimati")
        lara = people.employee("Lara", manager=mia, time_zone="America/Los_Angeles")
        people.entry(kim, website, "2026-03-31 20:00", "2026-03-31 21:00")
        people.entry(lara, website, "2026-04-01 03:00", "2026-04-01 05:00")

        answer = payroll(pia, scope="all", include_open="true")

        assert listed(answer) == [("Lara Silva", "2026-03-01", "open", 7200)]
        assert answer.headers["X-Not-Approved"] == "1"

    def test_days_without_a_whole_period_have_no_line(self, as_user, pia, mia, ana, march):
        approve(as_user, ana, mia)

        answer = payroll(pia, scope="all", include_open="true", end_date="2026-03-30")

        assert (answer.content, answer.headers["X-Not-Approved"]) == (b"", "0")


class TestScope:
    def test_mia_gets_her_team_and_with_include_indirect_those_below(self, as_user, people, mia, ana, bob, march):
        bo = people.manager("Bo", manager=mia)
        eve = people.employee("Eve", manager=bo)
        pia = people.admin("Pia")
        for user in (ana, bo, eve, bob, mia):
            approve(as_user, user, pia)

        direct, indirect = payroll(as_user(mia)), payroll(as_user(mia), include_indirect="true")
        bos = payroll(as_user(bo))

        assert [row["employee_id"] for row in rows(direct)] == [ana.id, bo.id]
        assert [row["employee_id"] for row in rows(indirect)] == [ana.id, bo.id, eve.id]
        assert [row["employee_id"] for row in rows(bos)] == [eve.id]
        assert refusal(as_user(mia).get(PAYROLL, params=MARCH | {"scope": "all"})) == (403, "role_required")
        assert refusal(as_user(ana).get(PAYROLL, params=MARCH)) == (403, "role_required")

    def test_a_manager_without_a_team_gets_their_own(self, as_user, people, pia, website, monthly):
        otto = people.manager("Otto")
        people.entry(otto, website, "2026-03-05 08:00", "2026-03-05 09:00")

        answer = payroll(as_user(otto), include_open="true")

        assert listed(answer) == [("Otto Silva", "2026-03-01", "open", 3600)]

    def test_x_not_approved_does_not_count_other_teams(self, as_user, people, mia, ana, bob, website, monthly):
        people.entry(bob, website, "2026-03-05 08:00", "2026-03-05 09:00")

        assert payroll(as_user(mia)).headers["X-Not-Approved"] == "0"


class TestSafety:
    @pytest.mark.parametrize("export_format", ["csv", "xlsx"])
    def test_no_cell_starts_a_formula(self, as_user, people, pia, mia, monthly, export_format):
        kim = people.employee("Kim", manager=mia, first_name="=1+1")
        approve(as_user, kim, mia)

        answer = payroll(pia, export_format, scope="all")
        if export_format == "csv":
            (row,) = csv.DictReader(io.StringIO(answer.text))
        else:
            book = CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
            row = dict(zip(*book.get_sheet_by_name("Payroll").to_python(), strict=True))

        assert row["employee_name"] == "'=1+1 Silva"

    @pytest.mark.parametrize("export_format", FORMATS)
    def test_each_payroll_leaves_one_event_that_says_what_was_taken(self, server, pia, monthly, export_format):
        audit_log = AuditLog(server.database)

        answer = payroll(pia, export_format, scope="all", include_open="true")

        (event,) = audit_log.new_events()
        assert (event.action, event.actor_id, event.subject_id) == ("export:payroll", event.subject_id, event.actor_id)
        assert event.after == MARCH | {
            "scope": "all",
            "include_indirect": False,
            "include_open": True,
            "format": export_format,
        }
        assert event.request_id == answer.headers["X-Request-ID"]

    @pytest.mark.parametrize("export_format", FORMATS)
    def test_a_head_counts_what_is_not_approved_and_leaves_no_event(self, server, pia, march, export_format):
        audit_log = AuditLog(server.database)

        answer = pia.head(PAYROLL, params=MARCH | {"format": export_format, "scope": "all"})

        assert (answer.status_code, answer.headers["X-Not-Approved"]) == (200, "1")
        assert answer.headers["X-As-Of"]
        assert audit_log.new_events() == []

    def test_a_refused_payroll_leaves_no_event(self, server, as_user, mia):
        caller = as_user(mia)
        audit_log = AuditLog(server.database)

        assert caller.get(PAYROLL, params=MARCH | {"scope": "all"}).status_code == 403

        assert audit_log.new_events() == []


def test_thousands_of_timesheets_come_once_each(people, server, pia, mia, monthly):
    """The rows are written with SQL, because their number is the subject."""
    users = [people.employee(f"Person {number}", manager=mia) for number in range(40)]
    days = [date(2026, month, day) for month in range(1, 9) for day in range(1, 9)]
    sheet = {"status": "approved", "version": 2, "total_seconds": 0, "entries": 0, "digest": "0" * 64}
    sheets = [sheet | {"user_id": user.id, "first_day": day, "last_day": day} for user in users for day in days]
    with server.database.write_transaction() as session:
        session.execute(insert(TIMESHEET), sheets)

    answer = payroll(pia, scope="all", start_date="2026-01-01", end_date="2026-12-31")

    keys = [(row["employee_id"], row["first_day"]) for row in rows(answer)]
    assert len(keys) == 40 * 64
    assert keys == sorted(set(keys))
