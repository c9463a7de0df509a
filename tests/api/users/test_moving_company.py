"""A company moves to an empty server by the export and the import of its users, also through a spreadsheet."""

import codecs
import csv
import io
import subprocess

import pytest
from sqlalchemy import select

from app.models.tables import USER
from app.models.users import User
from tests.support.databases import settings_for
from tests.support.in_process_server import run_server
from tests.support.system_packages import find_program

STAFF = {
    "ana.o'neil+time@example.com": ("Ana", 'O\'Neil, "Annie"'),
    "änne@straße.example": ("Änne", "Weiß; Groß"),
    "josé@firma.local": ("José", "Núñez-Peña"),
    "łukasz@intranet": ("Łukasz", "Żółć"),
    "δέσποινα@παράδειγμα.gr": ("Δέσποινα", "Παπαδόπουλος"),
    "ольга@пример.рф": ("Ольга", "Ёлкина"),
    "արամ@օրինակ.հայ": ("Արամ", "Խաչատրյան"),
    "ნინო@მაგალითი.გე": ("ნინო", "ჭავჭავაძე"),
    "עומר@דוגמה.קום": ("עומר", "כהן"),
    "عمر@مثال.مصر": ("عمر", "عبد الله"),
    "reza@example.com": ("\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "-"),
    "अजय@उदाहरण.भारत": ("अजय", "शर्मा"),
    "தமிழ்@உதாரணம்.இந்தியா": ("தமிழ்", "செல்வன்"),
    "สมชาย@ตัวอย่าง.ไทย": ("สมชาย", "ใจดี"),
    "用户@例え.jp": ("山田", "太郎"),
    "김@예시.한국": ("민수", "김"),
    "=1+1@example.com": ("=SUM(A1)", "@home"),
    "emoji@example.com": ("😀", "+49"),
}


@pytest.fixture
def company(people, run_command):
    """Ada, an admin; Mia, who left as a manager; Eva, whom Mia managed; Max, who was erased; and a team of all scripts.

    Every third member of the team has left. Half of them had Max as their manager, and the others have Eva.
    """
    people.records_events = True
    ada, mia = people.admin("Ada"), people.manager("Mia", last_name="Müller")
    eva, max_ = people.manager("Eva", manager=mia, time_zone="Asia/Tokyo"), people.manager("Max")
    for number, (email, (first_name, last_name)) in enumerate(STAFF.items()):
        names = {"email": email, "first_name": first_name, "last_name": last_name}
        people.employee(email, manager=(max_, eva)[number % 2], is_active=number % 3 > 0, **names)
    people.employee("Zed", is_active=False)
    return ada, {"left": mia, "erased": max_}


@pytest.fixture
def exported(company, as_user, run_command):
    """The export of the company, after Mia has left and Max was erased."""
    ada, gone = company
    admin = as_user(ada)
    for user in gone.values():
        assert admin.put(f"/admin/users/{user.id}/deactivate").status_code == 200
    assert run_command("erase-user", str(gone["erased"].id), "--yes").exit_code == 0
    return admin.get("/admin/users/export/csv").content


@pytest.fixture
def move(run_cli, empty_url, tmp_path):
    """Return a function that imports a file into an empty database, and exports the users from there."""

    def move_in(content):
        (tmp_path / "users.csv").write_bytes(content)
        run_cli("migrate", DB_URL=empty_url)
        imported = run_cli("import-users", "users.csv", DB_URL=empty_url)
        assert imported.exit_code == 0, imported.stderr
        with run_server(settings_for(empty_url)) as other:
            with other.database.read_transaction() as session:
                ada = session.scalars(select(User).where(USER.c.email == "ada@example.com")).one()
            with other.caller(other.token(ada, is_recorded=True)) as admin:
                return admin.get("/admin/users/export/csv").content

    return move_in


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_company_of_every_script_moves_with_its_managers_and_leavers_and_without_the_erased(exported, move):
    users = {row["email"]: row for row in rows(exported)}
    assert len(users) == len(STAFF) + 4
    assert not any("erased" in cell for row in users.values() for cell in row.values())
    assert (users["mia@example.com"]["is_active"], users["zed@example.com"]["is_active"]) == ("no", "no")
    assert users["eva@example.com"]["manager_email"] == "mia@example.com"
    assert {row["is_active"] for row in users.values()} == {"yes", "no"}

    assert move(exported) == exported


def test_leavers_stay_out_of_the_company_that_they_left(exported, move, run_cli, empty_url):
    move(exported)

    with run_server(settings_for(empty_url)) as other, other.database.read_transaction() as session:
        active = dict(session.execute(select(USER.c.email, USER.c.is_active)).all())
    assert not active["mia@example.com"]
    assert not active["zed@example.com"]
    assert active["ada@example.com"]
    assert run_cli("verify-audit", DB_URL=empty_url).exit_code == 0


@pytest.mark.system
def test_a_company_moves_through_a_spreadsheet(exported, move, tmp_path):
    """LibreOffice opens the file as German Excel does, detecting numbers and dates, and saves it with semicolons."""
    (tmp_path / "in.csv").write_bytes(exported)
    german, utf_8 = "1031", "76"
    command = [
        str(find_program("soffice")),
        f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}",
        "--headless",
        f"--infilter=CSV:44,34,{utf_8},1,,{german},false,true",
        "--convert-to",
        f"csv:Text - txt - csv (StarCalc):59,34,{utf_8},1,,{german},false,true",
        "--outdir",
        str(tmp_path / "out"),
        str(tmp_path / "in.csv"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    saved = (tmp_path / "out" / "in.csv").read_bytes()
    assert saved.startswith(b"email;first_name;")

    assert move(codecs.BOM_UTF8 + saved.replace(b"\n", b"\r\n")) == exported
