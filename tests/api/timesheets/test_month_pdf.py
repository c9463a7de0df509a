"""Timesheets as PDF (rules: T3, T5 to T7, V1, V2, R1; threats 1, 2, 19, 24)."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import insert, select, update

from app.core.time.clock import utc_now
from app.models.tables import AUDIT_CHAIN, ENTRY, USER
from app.services.access.errors import UserNotFound
from app.services.calendar.periods import month_period
from app.services.timesheets import month_sheet
from app.services.timesheets.pdf import render
from tests.support.audit_asserts import AuditLog
from tests.support.databases import settings_for
from tests.support.factories import instant
from tests.support.in_process_server import run_server

PATH = "/reports/export/pdf"


@pytest.fixture
def people(people):
    people.records_events = True
    return people


def sheet_of(caller: Any, month: str = "2026-03", **params: Any) -> httpx.Response:
    answer = caller.get(PATH, params={"month": month} | params)
    assert answer.status_code == 200, answer.text
    return answer


def pages(answer: httpx.Response) -> list[str]:
    return _texts(answer.content)


@lru_cache(maxsize=4)
def _texts(pdf: bytes) -> list[str]:
    """Extract the text of each page. Cached, because reading takes longer than rendering."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def lines(answer: httpx.Response) -> list[str]:
    """Return the printed lines, with every kind of blank as one space."""
    return [re.sub(r"\s+", " ", line).strip() for page in pages(answer) for line in page.splitlines()]


def line(answer: httpx.Response, start: str) -> str:
    (match,) = (line for line in lines(answer) if line.startswith(start))
    return match


def words(answer: httpx.Response) -> str:
    return " ".join(lines(answer))


def refusal(caller: Any, **params: Any) -> tuple[int, str]:
    answer = caller.get(PATH, params={"month": "2026-03"} | params)
    return answer.status_code, answer.json()["code"]


def clock(seconds: int) -> str:
    return f"{(seconds + 30) // 60 // 60}:{(seconds + 30) // 60 % 60:02}"


def assert_matches_report(caller: Any, month: str, **params: Any) -> dict[str, Any]:
    """Assert that every figure equals that of GET /reports/me with `attribution=split` for the same month."""
    period = month_period(month, None)
    query = {"start_date": f"{period.start}", "end_date": f"{period.end}", "attribution": "split"} | params
    report = caller.get("/reports/me", params=query).json()

    answer = sheet_of(caller, month, **params)

    for day in report["days"]:
        printed = line(answer, day["date"])
        figures = f"{clock(day['total_seconds'])} {day['total_hours']:.2f}" if day["entries"] else "\u2013 \u2013"
        breaks = f" {clock(day['break_seconds'])}" if day["break_seconds"] else ""
        assert printed.endswith(f"{breaks} {figures}"), printed
        for entry in day["entries"]:
            assert entry["end_time"] is None or "\u2013" in printed
    total = report["total_seconds"]
    assert line(answer, "Total") == f"Total {total:,} seconds in total {clock(total)} {report['total_hours']:.2f}"
    return report


@pytest.fixture
def berta(people, mia):
    return people.employee("Berta", manager=mia, time_zone="Europe/Berlin")


def test_a_month_to_sign_has_who_which_and_when(people, as_user, mia, ana, website):
    people.entry(ana, website, "2026-03-02 08:00:05", "2026-03-02 12:00:00")

    answer = sheet_of(as_user(ana))

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    sheet_words = words(answer)
    assert "March 2026" in sheet_words
    assert f"Ana Silva ana@example.com, no. {ana.id}" in sheet_words
    assert "MANAGER Mia Silva" in sheet_words
    assert "TIME ZONE UTC" in sheet_words
    made = answer.headers["X-As-Of"].replace("T", " ").replace("Z", "+00:00")
    assert f"CREATED {made}" in sheet_words
    assert "Employee: Ana Silva Date Manager: Mia Silva Date" in sheet_words


def test_a_day_has_its_stretches_its_breaks_and_its_total(people, as_user, ana, website):
    for start, end in (("08:00:05", "12:00:00"), ("12:30", "15:00:35"), ("15:15", "17:13")):
        people.entry(ana, website, f"2026-03-02 {start}", f"2026-03-02 {end}")

    answer = sheet_of(as_user(ana))

    # 8 h 28 min 30 s are 8.475 h. Both are rounded half-up, also to an odd minute. 44 min 25 s of breaks.
    expected = "2026-03-02 Mon 08:00\u201312:00 12:30\u201315:00 15:15\u201317:13 0:44 8:29 8.48"
    assert line(answer, "2026-03-02") == expected
    assert line(answer, "2026-03-03") == "2026-03-03 Tue \u2013 \u2013"


def test_totals_are_those_of_the_report_to_the_second(people, as_user, ana, website):
    """Totals are rounded once, from seconds. So three times 20 s are one minute."""
    people.entry(ana, website, "2026-02-28 22:00:01", "2026-03-01 05:59:59")
    for day in range(2, 30, 3):
        people.entry(ana, website, f"2026-03-{day:02} 08:00:00", f"2026-03-{day:02} 11:59:20")
        people.entry(ana, website, f"2026-03-{day:02} 12:31:07", f"2026-03-{day:02} 12:31:27")
        people.entry(ana, website, f"2026-03-{day:02} 21:00:00", f"2026-03-{day + 1:02} 02:13:59")
    people.entry(ana, website, "2026-03-31 20:00", "2026-04-01 06:00")
    people.entry(ana, website, "2026-04-01 08:00", "2026-04-01 09:00")

    report = assert_matches_report(as_user(ana), "2026-03")

    assert report["total_seconds"] == 5 * 3600 + 3599 + 10 * (14360 + 20 + 18839) + 4 * 3600


def test_weeks_have_subtotals_of_the_days_of_this_month(people, as_user, ana, website):
    for day in ("02-28", "03-01", "03-02", "03-08", "03-30", "03-31", "04-01"):
        people.entry(ana, website, f"2026-{day} 08:00", f"2026-{day} 09:30")

    answer = sheet_of(as_user(ana))

    assert [each for each in lines(answer) if each.startswith("Week ")] == [
        "Week 9 (Sun) 1:30 1.50",
        "Week 10 3:00 3.00",
        "Week 11 0:00 0.00",
        "Week 12 0:00 0.00",
        "Week 13 0:00 0.00",
        "Week 14 (Mon\u2013Tue) 3:00 3.00",
    ]


@pytest.mark.parametrize(
    ("month", "entries", "expected"),
    [
        ("2026-03", [("2026-03-29 00:30", "2026-03-29 01:30")],
         {"2026-03-29": "Sun 01:30\u201303:30 clock change: day of 23 hours 1:00 1.00"}),
        ("2026-10", [("2026-10-24 22:00", "2026-10-25 02:30")],
         {"2026-10-25": "Sun 00:00\u201303:30 clock change: day of 25 hours 4:30 4.50"}),
        # 02:30 occurs twice on this day, so the offset is shown.
        ("2026-10", [("2026-10-25 00:30", "2026-10-25 01:15"), ("2026-10-25 01:30", "2026-10-25 02:00")],
         {"2026-10-25": "Sun 02:30+02:00\u201302:15+01:00 02:30+01:00\u201303:00"
                        " clock change: day of 25 hours 0:15 1:15 1.25"}),
        ("2026-10", [("2026-10-24 20:00", "2026-10-25 23:30")],
         {"2026-10-24": "Sat 22:00\u201324:00 2:00 2.00",
          "2026-10-25": "Sun 00:00\u201324:00 clock change: day of 25 hours 25:00 25.00",
          "2026-10-26": "Mon 00:00\u201300:30 0:30 0.50"}),
    ],
)  # fmt: skip
def test_hours_are_right_over_a_change_of_the_clock(people, as_user, berta, website, month, entries, expected):
    for start, end in entries:
        people.entry(berta, website, start, end)

    answer = sheet_of(as_user(berta), month)

    assert {day: line(answer, day).removeprefix(f"{day} ") for day in expected} == expected
    assert_matches_report(as_user(berta), month)


def test_a_night_is_cut_at_midnight_and_at_the_ends_of_the_month(people, as_user, ana, website):
    people.entry(ana, website, "2026-02-28 22:00", "2026-03-01 06:00")
    people.entry(ana, website, "2026-03-10 22:00", "2026-03-11 06:00")
    people.entry(ana, website, "2026-03-31 22:00", "2026-04-01 06:30")

    march, april = sheet_of(as_user(ana)), sheet_of(as_user(ana), "2026-04")

    assert line(march, "2026-03-01") == "2026-03-01 Sun 00:00\u201306:00 6:00 6.00"
    assert line(march, "2026-03-10") == "2026-03-10 Tue 22:00\u201324:00 2:00 2.00"
    assert line(march, "2026-03-11") == "2026-03-11 Wed 00:00\u201306:00 6:00 6.00"
    assert line(march, "2026-03-31") == "2026-03-31 Tue 22:00\u201324:00 2:00 2.00"
    assert line(march, "Total").endswith("16:00 16.00")
    assert line(april, "2026-04-01") == "2026-04-01 Wed 00:00\u201306:30 6:30 6.50"
    assert "Work past midnight is split there" in words(march)


def test_what_needs_review_is_marked_and_counted(people, as_user, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", needs_review=True)
    people.entry(ana, website, "2026-03-02 13:00", "2026-03-02 14:00")

    marked = line(sheet_of(as_user(ana)), "2026-03-02")

    assert marked == "2026-03-02 Mon 08:00\u201312:00 ! 13:00\u201314:00 ! needs review 1:00 5:00 5.00"


def test_an_open_entry_is_shown_and_not_counted(people, as_user, ana, website):
    today = utc_now().date()
    as_user(ana).clock_in(website.id)

    answer = sheet_of(as_user(ana), f"{today:%Y-%m}")

    assert re.fullmatch(
        rf"{today} \w{{3}} \d\d:\d\d\u2013open open: not counted 0:00 0.00",
        next(each for each in lines(answer) if "open open" in each),
    )
    assert line(answer, "Total") == "Total 0 seconds in total 0:00 0.00"
    assert "before the end of the month" in words(answer)


def test_an_entry_left_open_begins_with_the_month_in_later_months(people, as_user, ana, website):
    people.entry(ana, website, "2026-02-27 08:00", None)

    february, march = sheet_of(as_user(ana), "2026-02"), sheet_of(as_user(ana))

    marks = "\u2013open ! open: not counted ! needs review 0:00 0.00"
    assert line(february, "2026-02-27") == f"2026-02-27 Fri 08:00{marks}"
    assert line(march, "2026-03-01") == f"2026-03-01 Sun 00:00{marks}"
    assert "before the end of the month" not in words(march)


def test_a_day_in_another_zone_names_it(people, as_user, berta, website):
    people.entry(berta, website, "2026-03-02 07:00", "2026-03-02 08:00")
    people.entry(berta, website, "2026-03-04 23:30", "2026-03-05 01:00", time_zone="Asia/Tokyo")
    people.entry(berta, website, "2026-03-05 08:00", "2026-03-05 09:00")

    answer = sheet_of(as_user(berta))

    assert "TIME ZONE Europe/Berlin" in words(answer)
    assert line(answer, "2026-03-02") == "2026-03-02 Mon 08:00\u201309:00 1:00 1.00"
    assert line(answer, "2026-03-05") == (
        "2026-03-05 Thu 08:30\u201310:00 in Asia/Tokyo 09:00\u201310:00 7:00 2:30 2.50"
    )


def test_tz_puts_all_days_into_one_zone(people, as_user, berta, website):
    people.entry(berta, website, "2026-03-02 15:30", "2026-03-02 16:00")
    people.entry(berta, website, "2026-03-31 14:00", "2026-03-31 16:00", time_zone="America/New_York")

    answer = sheet_of(as_user(berta), time_zone="Asia/Tokyo")

    assert "TIME ZONE Asia/Tokyo, for all days" in words(answer)
    assert line(answer, "2026-03-03") == "2026-03-03 Tue 00:30\u201301:00 0:30 0.50"
    assert line(answer, "2026-03-31") == "2026-03-31 Tue 23:00\u201324:00 1:00 1.00"
    assert " in Asia/Tokyo" not in words(answer)
    assert_matches_report(as_user(berta), "2026-03", time_zone="Asia/Tokyo")


def test_the_sheet_carries_the_head_of_the_persons_record(people, as_user, server, mia, ana, website):
    """The export of one's own timesheet is the last event, because it is recorded before the sheet is rendered."""
    own, as_manager = as_user(ana), as_user(mia)
    for caller, owner in ((own, ana), (as_manager, ana), (as_manager, mia)):
        sheet_words = words(sheet_of(caller, user_id=owner.id))
        with server.database.read_transaction() as session:
            head = session.execute(select(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == owner.id)).one()

        assert (
            f"Audit log of user {owner.id}: {head.length} events. The last one has the link {head.last_link}."
            in sheet_words
        )
        assert f"If event {head.length} still has this link and python -m app.cli verify-audit succeeds" in sheet_words


def test_who_has_no_manager_and_no_record_gets_a_sheet_too(people, as_user, server, bob):
    with server.database.write_transaction() as session:
        known = {"email": "old", "email_key": "old", "first_name": "Old", "last_name": "Hand", "name_key": "old hand"}
        shared = {"role": "employee", "is_active": True, "time_zone": "UTC", "password_hash": "!"}
        row = insert(USER).values(**known, **shared, created_at=instant("2020-01-01 00:00")).returning(USER.c.id)
        old = session.execute(row).scalar_one()

    answer = sheet_of(as_user(people.admin("Ada")), user_id=old)

    assert "MANAGER none assigned" in words(answer)
    assert "Employee: Old Hand Date Manager Date" in words(answer)
    assert f"Audit log of user {old}: no events." in words(answer)


HOSTILE = [
    '#read("/etc/passwd")',
    "$x$ *bold* _it_ `raw` <label> @ref",
    "\\ \\n \\u{41} // /* ~ -- --- ...",
    "\"q\" 'x' #{panic()} [a] (b) = - + / 1.",
    "#import \"@preview/x:1.0.0\"; #eval(\"1+1\")",
    "#sys.inputs #set page(width: 1pt)",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_people_type_is_printed_as_they_typed_it(people, as_user, server, mia, ana, website, name):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00", description=name)
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ana.id).values(first_name=name, last_name="End", email=name))
        session.execute(update(USER).where(USER.c.id == mia.id).values(first_name=name, last_name="Boss"))

    answer = sheet_of(as_user(ana))

    printed = re.sub(r"\s", "", words(answer))
    for part in (f"{name} End {name}, no. {ana.id}", f"MANAGER {name} Boss", f"Employee: {name} End"):
        assert re.sub(r"\s", "", part) in printed
    assert len(pages(answer)) == 1
    assert line(answer, "Total").endswith("4:00 4.00")


@pytest.mark.parametrize(
    ("name", "is_printed"),
    [
        ("W" * 100, True),
        ("Ä\u0308" * 50, False),
        ("\u5c71\u7530\u592a\u90ce", False),  # typst's fonts have no glyphs for it and print boxes
        ("\u0639\u0645\u0631 \u05d3\u05d5\u05d3", False),
        ("\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", False),
        ("\u202e\u2066\ufeff\u00ad", False),
        ("\ufdfa" * 20, False),
        ("a" + "\u0301" * 99, False),
        ("\uffff\U0010ffff\ue000", False),
    ],
    ids=ascii,
)
def test_no_name_is_too_much_for_the_sheet(people, as_user, server, mia, ana, name, is_printed):
    with server.database.write_transaction() as session:
        new = {"first_name": name, "last_name": name, "email": name}
        session.execute(update(USER).where(USER.c.id.in_([ana.id, mia.id])).values(first_name=name, last_name=name))
        session.execute(update(USER).where(USER.c.id == ana.id).values(new))

    answer = sheet_of(as_user(ana))

    assert len(pages(answer)) <= 2
    if is_printed:
        assert re.sub(r"\s", "", words(answer)).count(name) >= 3
    assert line(answer, "Total") == "Total 0 seconds in total 0:00 0.00"


def test_no_name_adds_a_header(people, as_user, server, mia, ana):
    """Threats 24."""
    quiet = sheet_of(as_user(mia), user_id=ana.id)
    evil = 'x"\r\nX-Evil: 1\r\n\r\n'
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ana.id).values(first_name=evil, last_name=evil, email=evil))

    answer = sheet_of(as_user(mia), user_id=ana.id)

    assert set(answer.headers) == set(quiet.headers)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="timesheet_2026-03_x_X-Evil_1_x_X-Evil_1.pdf"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer.headers["X-As-Of"])


def test_a_month_is_a_month_and_nothing_else(as_user, server, ana):
    caller = as_user(ana)
    audit_log = AuditLog(server.database)
    bad = ["1999-12", "2100-01", "2026-00", "2026-13", "2026-3", "26-03", "202603", "2026-03-01", "2026/03", "March"]
    bad += ["2026-03\n", " 2026-03", "2026-03\0", "\u0662\u0660\u0662\u0666-03", "20\uff12\uff16-03", "2026\u201303"]
    bad += ["", "null", "NaN", "../../etc/passwd", '2026-03"\r\nX-Evil: 1', "9" * 5000]

    for month in bad:
        assert caller.get(f"{PATH}?month={quote(month)}").status_code == 422, month
    assert caller.get(PATH).status_code == 422
    for user_id in ("0", "-1", str(2**31), "1.5", "me", ""):
        assert caller.get(PATH, params={"month": "2026-03", "user_id": user_id}).status_code == 422, user_id
    assert audit_log.new_events() == []


@pytest.mark.parametrize("month", ["2000-01", "2024-02", "2099-12"])
def test_every_month_of_the_calendar_has_all_its_days(as_user, ana, month):
    answer = sheet_of(as_user(ana), month)

    days = [each for each in lines(answer) if each.startswith(f"{month}-")]
    period = month_period(month, None)
    assert len(days) == (period.end - period.start).days + 1
    assert all(each.endswith(" \u2013 \u2013") for each in days)
    assert line(answer, "Total") == "Total 0 seconds in total 0:00 0.00"
    assert len(pages(answer)) == 1


def test_a_full_month_fits_one_page(people, as_user, ana, website):
    for number in range(31):
        for start, end in (("08:00", "09:59"), ("10:05", "12:00"), ("12:30", "15:00"), ("15:10", "17:03")):
            day = f"2026-03-{number + 1:02}"
            people.entry(ana, website, f"{day} {start}", f"{day} {end}")

    answer = sheet_of(as_user(ana))

    assert len(pages(answer)) == 1
    assert line(answer, "2026-03-07") == (
        "2026-03-07 Sat 08:00\u201309:59 10:05\u201312:00 12:30\u201315:00 15:10\u201317:03 0:46 8:17 8.28"
    )
    assert "Page 1 of 1" in words(answer)


def test_thousands_of_stretches_keep_the_sheet_short(people, as_user, server, ana, website):
    shared = {"project_id": website.id, "description": "", "time_zone": "UTC", "version": 1, "user_id": ana.id}
    entries = [
        {"start_time": at, "end_time": at + timedelta(seconds=20), "created_at": at, "updated_at": at,
         "needs_review": (day, minute) == (3, 500)} | shared
        for day in range(1, 4)
        for minute in range(1000)
        for at in [instant(f"2026-03-{day:02} {minute // 60:02}:{minute % 60:02}")]
    ]  # fmt: skip
    with server.database.write_transaction() as session:
        session.execute(insert(ENTRY), entries)

    answer = sheet_of(as_user(ana))

    sheet_words = words(answer)
    assert sheet_words.count("\u2026 976 more \u2026") == 2
    assert sheet_words.count("\u2026 976 more, some need review \u2026") == 1
    assert sheet_words.count("16:39\u201316:39") == 3, "the last one is shown"
    assert len(pages(answer)) <= 2
    assert line(answer, "Total") == "Total 60,000 seconds in total, 0:00 of it need review 16:40 16.67"


def test_people_get_the_sheets_of_whom_they_may_see(people, as_user, mia, ana, bob, ada):
    otto, bo = people.manager("Otto"), people.manager("Bo", manager=mia)
    cy, dan = people.employee("Cy", manager=bo), people.employee("Dan", manager=mia, is_active=False)
    seen = [
        (ana, [ana]),
        (bob, [bob]),
        (bo, [bo, cy]),
        (mia, [mia, ana, bo, cy, dan]),
        (otto, [otto]),
        (ada, [ada, mia, ana, bob, otto, bo, cy, dan]),
    ]
    everybody = seen[-1][1]

    for caller, theirs in seen:
        client = as_user(caller)
        for user in everybody:
            answer = client.get(PATH, params={"month": "2026-03", "user_id": user.id})
            assert answer.status_code == (200 if user in theirs else 404), (caller.first_name, user.first_name)
            if user in theirs:
                assert f"{user.email}, no. {user.id} " in words(answer)
            else:
                assert answer.json()["code"] == "user_not_found"


def test_somebody_elses_sheet_looks_like_nobodys(as_user, ana, bob):
    foreign, missing = (as_user(bob).get(PATH, params={"month": "2026-03", "user_id": n}) for n in (ana.id, 2**31 - 1))

    assert foreign.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}


def test_whoever_left_gets_no_sheet_any_more(people, as_user, anonymous):
    dan = people.employee("Dan", is_active=False)

    assert refusal(as_user(dan)) == (401, "not_authenticated")
    assert refusal(anonymous) == (401, "not_authenticated")


def test_a_new_manager_gets_the_sheet_and_the_old_one_no_more(people, as_user, mia, ana, ada):
    otto = people.manager("Otto")
    sheet_of(as_user(mia), user_id=ana.id)

    as_user(ada).put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": otto.id})

    assert refusal(as_user(mia), user_id=ana.id) == (404, "user_not_found")
    assert "MANAGER Otto Silva" in words(sheet_of(as_user(otto), user_id=ana.id))


def test_each_sheet_leaves_one_event_that_says_whose_month_was_taken(as_user, server, mia, ana):
    caller = as_user(mia)
    audit_log = AuditLog(server.database)

    answers = [sheet_of(caller, user_id=ana.id), sheet_of(caller, "2026-04", time_zone="Asia/Tokyo")]

    events = audit_log.new_events()
    assert [(event.action, event.actor_id, event.subject_id, event.object_id) for event in events] == [
        ("export:timesheet", mia.id, mia.id, None)
    ] * 2
    assert [event.after for event in events] == [
        {"user_id": ana.id, "month": "2026-03", "tz": None},
        {"user_id": mia.id, "month": "2026-04", "tz": "Asia/Tokyo"},
    ]
    assert [event.request_id for event in events] == [answer.headers["X-Request-ID"] for answer in answers]


def test_a_refused_sheet_leaves_no_event(as_user, server, ana, bob):
    caller = as_user(bob)
    audit_log = AuditLog(server.database)

    assert refusal(caller, user_id=ana.id)[0] == 404
    assert refusal(caller, time_zone="Mars/Base")[0] == 422

    assert audit_log.new_events() == []


def test_many_at_once_get_their_sheets_through_one_slot_while_others_punch(people, db_url, database, website):
    """Requests hold neither a connection nor a permit while they wait for the other, so there is no deadlock."""
    many_users = [people.employee(f"Person {number}") for number in range(8)]
    with (
        run_server(settings_for(db_url, DB_POOL_SIZE=2, MAX_CONCURRENT_REPORTS=1)) as narrow,
        ThreadPoolExecutor(8) as pool,
    ):
        readers, punchers = ([narrow.caller(narrow.token(user)) for user in many_users] for _ in range(2))

        sheets = [pool.submit(sheet_of, reader) for reader in readers]
        punched = {puncher.clock_in(website.id).status_code for puncher in punchers}
        sheet_words = [words(sheet.result()) for sheet in sheets]
        for caller in (*readers, *punchers):
            caller.close()

    assert punched == {200}
    assert all(f", no. {user.id} " in each for user, each in zip(many_users, sheet_words, strict=True))


def test_the_operator_makes_anybodys_sheet_with_the_same_bytes_each_time(people, server, ana, website):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    with server.database.read_transaction() as session:
        made = month_sheet.load_for_operator(
            session, ana.id, month_period("2026-03", None), at=instant("2026-04-01 08:00")
        )
        with pytest.raises(UserNotFound):
            month_sheet.load_for_operator(
                session, 2**31 - 1, month_period("2026-03", None), at=instant("2026-04-01 08:00")
            )

    assert made.total_seconds == 4 * 3600
    assert render(made) == render(made)
