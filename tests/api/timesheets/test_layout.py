"""The timesheet as a file: its name, its head, its pages and its characters (rules: T5; threats 24)."""

import io
import re

import pytest
from pypdf import PdfReader
from sqlalchemy import update

from app.models.tables import USER
from tests.support.databases import settings_for
from tests.support.in_process_server import run_server

PATH = "/reports/export/pdf"


def sheet_of(caller, **params):
    response = caller.get(PATH, params={"month": "2026-03"} | params)
    assert response.status_code == 200, response.text
    return response


def pages(response):
    """Return the text of each page, with every kind of blank as one space."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(response.content)).pages]


def rename(server, user, first_name, last_name="Silva"):
    """Rename the user with SQL, because the API rejects some of the names."""
    with server.database.write_transaction() as session:
        names = {"first_name": first_name, "last_name": last_name}
        session.execute(update(USER).where(USER.c.id == user.id).values(names))


@pytest.mark.parametrize(
    ("first_name", "last_name", "header"),
    [
        ("Ana", "Silva", 'filename="timesheet_2026-03_Ana_Silva.pdf"'),
        ("Änne", "Müller", 'filename="timesheet_2026-03_Anne_Muller.pdf"; '
                           "filename*=UTF-8''timesheet_2026-03_%C3%84nne_M%C3%BCller.pdf"),
        ("太郎", "山田", 'filename="timesheet_2026-03.pdf"; '
                         "filename*=UTF-8''timesheet_2026-03_%E5%A4%AA%E9%83%8E_%E5%B1%B1%E7%94%B0.pdf"),
        ("../A/b", "C\\d", 'filename="timesheet_2026-03_A_b_C_d.pdf"'),
        ('x"\r\nX-Evil: 1', '\r\n\r\n"', 'filename="timesheet_2026-03_x_X-Evil_1.pdf"'),
    ],
    ids=ascii,
)  # fmt: skip
def test_the_file_is_named_after_the_person_and_the_month(as_user, server, ana, first_name, last_name, header):
    rename(server, ana, first_name, last_name)

    response = sheet_of(as_user(ana))

    assert response.headers["Content-Disposition"] == f"attachment; {header}"
    assert "X-Evil" not in response.headers


def test_the_head_has_the_name_of_the_company(people, db_url, database, website):
    ana = people.employee("Ana")
    with run_server(settings_for(db_url, COMPANY_NAME="Ännes Bäckerei #1 GmbH")) as bakery:
        caller = bakery.caller(bakery.token(ana))
        (page,) = pages(sheet_of(caller))
        caller.close()

    assert "COMPANY Ännes Bäckerei #1 GmbH EMPLOYEE Ana Silva" in page


def test_without_a_company_there_is_no_line_for_it(as_user, ana):
    assert "COMPANY" not in pages(sheet_of(as_user(ana)))[0]


def test_one_event_is_no_plural(as_user, mia, ana):
    (page,) = pages(sheet_of(as_user(mia), user_id=ana.id))

    assert f"Audit log of user {ana.id}: 1 event. The last one has the link" in page


def test_the_sum_of_a_week_is_on_the_page_of_its_days(people, as_user, ana, website):
    """On six days of each week there are two lines of entries, so the month takes two pages."""
    for day in (day for day in range(1, 32) if day % 7 != 1):
        for hour in range(6, 12):
            people.entry(ana, website, f"2026-03-{day:02} {hour:02}:00", f"2026-03-{day:02} {hour:02}:45")

    lines = [re.findall(r"2026-03-\d\d [A-Z]|Week \d+", page) for page in pages(sheet_of(as_user(ana)))]

    assert len(lines) == 2
    assert all(page[-1].startswith("Week ") for page in lines)
    assert lines[1][0] in {"2026-03-09 M", "2026-03-16 M", "2026-03-23 M", "2026-03-30 M"}


@pytest.mark.parametrize(
    ("name", "has_glyphs"),
    [("Łukasz", True), ("Жук Ωμέγα", True), ("Ana\u0378", False)],
    ids=ascii,
)
def test_a_sentence_says_that_a_character_is_not_printed(as_user, server, ana, name, has_glyphs):
    """U+0378 is not assigned, so no font has it."""
    rename(server, ana, name)

    sentence = "The fonts of the server lack some characters of the names above." in pages(sheet_of(as_user(ana)))[0]

    assert sentence is not has_glyphs
