"""CSV files that spreadsheets of any language read as they are meant (rules: The API; threats 23)."""

import csv
import io

import pytest
from sqlalchemy import update

from app.models.tables import USER

MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
GERMAN = {"dialect": "excel", "delimiter": ";", "decimal": ","}
MARK = "\ufeff".encode()


def export(caller, **params):
    response = caller.get("/reports/export/csv", params=MARCH | params)
    assert response.status_code == 200, response.text
    return response.content


@pytest.fixture
def aenne(people, mia, website):
    user = people.employee("Änne", last_name="Müller", email="aenne@example.com", manager=mia)
    people.entry(user, website, "2026-03-02 08:00", "2026-03-02 15:30", description='Ort; "Halle", Tor 1,5')
    return user


def test_excel_is_told_that_the_file_is_unicode(as_user, mia, aenne):
    plain, marked = export(as_user(mia)), export(as_user(mia), dialect="excel")

    assert not plain.startswith(MARK)
    assert marked == MARK + plain
    assert "Änne Müller" in marked.decode("utf-8-sig")


def test_a_german_excel_gets_its_own_delimiter_and_decimals(as_user, mia, aenne):
    content = export(as_user(mia), **GERMAN)

    text = content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    assert text.startswith(
        "employee_id;employee_name;project_name;date;start_time;end_time;hours_worked;description\r\n"
    )
    assert (row["employee_name"], row["hours_worked"]) == ("Änne Müller", "7,5")
    assert row["description"] == 'Ort; "Halle", Tor 1,5'


def test_a_decimal_comma_in_a_file_with_commas_is_quoted(as_user, mia, aenne):
    (row,) = csv.DictReader(io.StringIO(export(as_user(mia), decimal=",").decode(), newline=""), strict=True)

    assert row["hours_worked"] == "7,5"


def test_a_file_without_entries_has_its_mark_and_header(as_user, mia):
    assert export(as_user(mia), **GERMAN).startswith(MARK + b"employee_id;")


@pytest.mark.parametrize("wrong", [{"dialect": "lotus"}, {"delimiter": "|"}, {"decimal": "'"}, {"delimiter": ""}])
def test_a_dialect_that_is_not_offered_is_refused(as_user, mia, wrong):
    assert as_user(mia).get("/reports/export/csv", params=MARCH | wrong).status_code == 422


def test_no_formula_starts_behind_a_comma_of_a_file_with_semicolons(people, as_user, server, mia, website):
    """Threats 23: commas are not quoted in such a file, and a spreadsheet in English splits at them."""
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 15:30", description="Tor 1,=1+1;=2+2, @x")
    with server.database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == ana.id).values(first_name="A,=1+1"))

    rows = list(csv.reader(io.StringIO(export(as_user(mia), **GERMAN).decode("utf-8-sig"), newline=""), delimiter=","))
    (row,) = csv.DictReader(io.StringIO(export(as_user(mia), **GERMAN).decode("utf-8-sig"), newline=""), delimiter=";")

    assert row["description"] == "Tor 1,'=1+1;'=2+2,' @x"
    assert not any(cell.strip().startswith(("=", "@")) for line in rows for cell in line)


def test_what_hr_saves_from_the_export_of_users_can_be_imported_with_its_umlauts(as_user, ada, aenne):
    content = as_user(ada).get("/admin/users/export/csv").content
    plain = as_user(ada).get("/admin/users/export/csv", params={"dialect": "standard"}).content

    checked = as_user(ada).post(
        "/admin/users/import",
        params={"dry_run": True},
        content=content.replace(b"@example.com", b"@example.org"),
        headers={"Content-Type": "text/csv"},
    )

    assert content == MARK + plain
    assert "aenne@example.com,Änne,Müller" in content.decode("utf-8-sig")
    assert checked.status_code == 200, checked.text


def test_an_operator_chooses_the_dialect_too(run_command, people, tmp_path):
    user, website = people.employee("Ana"), people.project("Website")
    people.entry(user, website, "2026-03-02 08:00", "2026-03-02 15:30")
    options = [f"--{name}={value}" for name, value in GERMAN.items()]

    result = run_command("export", "hours.csv", "--start-date", "2026-03-01", "--end-date", "2026-03-31", *options)

    assert result.exit_code == 0, result.stderr
    content = (tmp_path / "hours.csv").read_bytes()
    assert content.startswith(MARK + b"employee_id;")
    assert b";7,5;" in content
