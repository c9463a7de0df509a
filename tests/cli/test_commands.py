"""Commands for operators on both databases. Expected errors are one line."""

import json
import os
import re
import subprocess
import sys
from io import BytesIO

import pytest
from pypdf import PdfReader
from python_calamine import CalamineWorkbook
from sqlalchemy import delete, func, select, text, update

from app import __version__
from app.core.database.migrations import ROOT, SchemaState, detect_schema_state, head_revision, open_database
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT, ENTRY, USER
from app.models.users import Role
from app.services.operations import demo
from app.services.users.csv_cells import MAX_FILE_BYTES
from tests.support.audit_asserts import AuditLog
from tests.support.audit_tampering import AuditTamperer
from tests.support.cli import clean_environment, create_unrelated_table, error_line
from tests.support.databases import SECRET_KEY, SQLITE, settings_for
from tests.support.factories import PASSWORD, instant
from tests.support.in_process_server import openapi_document

PERIOD = {"start_date": "2000-01-01", "end_date": "2099-12-31"}
UNUSED_PORT_URL = "postgresql://ana:pencil@127.0.0.1:1/ett"


def counts(database) -> tuple[int, int]:
    """Return the numbers of users and entries."""
    with database.read_transaction() as session:
        people, entries = (session.execute(select(func.count()).select_from(t)).scalar_one() for t in (USER, ENTRY))
    return people, entries


def database_line(db_url: str) -> str:
    """Return the line that a command prints on standard error when it succeeded."""
    return f"Database: {settings_for(db_url).redacted_database_url}\n"


def schema_state_of(db_url: str) -> SchemaState:
    with open_database(settings_for(db_url)) as database:
        return detect_schema_state(database)


@pytest.fixture
def people(people):
    people.records_events = True
    return people


def test_migrate_makes_an_empty_database_ready(run_cli, empty_url):
    migrated = run_cli("migrate", DB_URL=empty_url)

    expected = f"{settings_for(empty_url).redacted_database_url} is at revision {head_revision()}.\n"
    assert (migrated.exit_code, migrated.stdout) == (0, expected)
    assert schema_state_of(empty_url) is SchemaState.current


def test_migrate_changes_nothing_where_the_revision_is_there(run_command):
    assert run_command("migrate").exit_code == 0


@pytest.mark.parametrize("arguments", [["migrate"], ["create-admin", "ada@example.com"], ["demo", "--force"]])
def test_no_command_touches_somebody_elses_database(run_cli, empty_url, arguments):
    create_unrelated_table(empty_url)

    message = error_line(run_cli(*arguments, stdin=PASSWORD, DB_URL=empty_url))

    assert "The database has tables, but no revision that this version knows; nothing was changed." in message
    assert schema_state_of(empty_url) is SchemaState.unknown


def test_a_database_of_a_newer_version_is_left_alone(run_command, database):
    with database.write_transaction("test") as session:
        session.execute(text("UPDATE alembic_version SET version_num = '2999_from_the_future'"))

    assert "use the newer version that migrated it" in error_line(run_command("migrate"))


def test_a_command_on_an_unmigrated_database_migrates_sqlite_and_asks_for_it_on_postgresql(run_cli, empty_url, engine):
    created = run_cli("create-admin", "ada@example.com", stdin=PASSWORD, DB_URL=empty_url)

    if engine == SQLITE:
        assert created.exit_code == 0
        assert schema_state_of(empty_url) is SchemaState.current
    else:
        assert "The database's schema is empty" in error_line(created)
        assert created.stderr.endswith("Run: python -m app.cli migrate\n")
        assert schema_state_of(empty_url) is SchemaState.empty


@pytest.mark.parametrize("arguments", [["migrate"], ["create-admin", "ada@example.com"], ["demo"]])
def test_a_database_that_cannot_be_reached_is_told_without_its_password(run_cli, arguments):
    message = error_line(run_cli(*arguments, stdin=PASSWORD, DB_URL=UNUSED_PORT_URL))

    assert message.startswith("The database of DB_URL can't be used: connection to server")
    assert "pencil" not in message


def test_a_command_refuses_bad_settings_in_one_line(run_cli):
    assert error_line(run_cli("migrate", ALGORITHM="none")).startswith("ALGORITHM: ")


@pytest.mark.parametrize("ending", ["\r\n", ""])
def test_an_admin_created_with_a_piped_password_logs_in(run_command, server, anonymous, ending):
    created = run_command(
        "create-admin", "ada@example.com", "--first-name", "Ada", "--last-name", "Lovelace", stdin=PASSWORD + ending
    )

    assert (created.exit_code, created.stdout) == (0, "Created admin ada@example.com with id 1.\n")
    login = anonymous.post("/auth/login", data={"username": "ada@example.com", "password": PASSWORD}).json()
    with server.caller(login["access_token"]) as ada:
        me = ada.get("/auth/me").json()
    assert (me["first_name"], me["last_name"], me["role"]) == ("Ada", "Lovelace", Role.admin)


@pytest.mark.parametrize(
    ("email", "stdin", "message"),
    [
        ("ada@example.com", "password1234", "password: The password is too easy to guess."),
        ("ada@example.com", "short", "password: A password must have 12 to 128 characters."),
        ("ada@example.com", "", "password: A password must have 12 to 128 characters."),
        ("ada", PASSWORD, "email: This is not an e-mail address"),
    ],
)
def test_no_admin_is_created_with_a_weak_password_or_a_bad_email(run_command, database, email, stdin, message):
    assert error_line(run_command("create-admin", email, stdin=stdin)).startswith(message)
    assert counts(database) == (0, 0)


def test_no_admin_is_created_with_somebody_elses_email(run_command, database, people):
    people.employee("Ana")

    assert (
        error_line(run_command("create-admin", "ANA@example.com", stdin=PASSWORD))
        == "Another user has this e-mail. Choose another one."
    )
    assert counts(database) == (1, 0)


def test_a_manager_of_the_demo_company_logs_in_and_reads_the_teams_hours(run_command, server, anonymous):
    made = run_command("demo")

    assert made.exit_code == 0, made.stderr
    assert made.stdout.startswith("Created 30 users and ")
    (manager,) = re.findall("^Manager of a team: (.+)$", made.stdout, re.MULTILINE)
    credentials = {"username": manager, "password": demo.PASSWORD}
    login = anonymous.post("/auth/login", data=credentials).json()
    with server.caller(login["access_token"]) as ben:
        report = ben.get("/reports/team", params=PERIOD | {"include_entries": False}).json()
    assert len(report) == 8
    assert all(350 < user["total_hours"] < 600 for user in report)


def test_the_demo_names_a_user_of_each_role(few_days, run_command, anonymous, server):
    lines = dict(line.split(": ") for line in run_command("demo").stdout.splitlines()[1:4])

    roles = {}
    for name, email in lines.items():
        login = anonymous.post("/auth/login", data={"username": email, "password": demo.PASSWORD}).json()
        with server.caller(login["access_token"]) as user:
            roles[name] = user.get("/auth/me").json()["role"]
    assert roles == {
        "Manager of the three managers": Role.manager,
        "Manager of a team": Role.manager,
        "Employee in that team": Role.employee,
    }


def test_the_demo_company_has_timesheets_in_each_status(run_command, anonymous, server):
    lines = [line.split(": ") for line in run_command("demo").stdout.splitlines() if line.startswith("Timesheet of ")]
    credentials = {"username": "ben.becker@example.com", "password": demo.PASSWORD}
    login = anonymous.post("/auth/login", data=credentials).json()
    with server.caller(login["access_token"]) as ben:
        sheets = ben.get("/timesheets").json()

    names = {f"Timesheet of {sheet['user_name']}, {sheet['first_day'][:7]}": sheet["status"] for sheet in sheets}
    assert names == dict(lines)
    assert sorted(names.values()) == ["approved", "approved", "rejected", "submitted"]
    assert all(sheet["total_hours"] > 100 for sheet in sheets[:2])
    assert all(sheet["submitted_by"] == sheet["user_id"] for sheet in sheets)


def test_the_demo_company_keeps_the_periods_of_others(few_days, run_command, as_user, people):
    people.records_events = True
    admin = as_user(people.admin("Ada"))
    assert admin.put("/admin/timesheet-rules/2026-01-05", json={"period": "week"}).status_code == 200

    made = run_command("demo", "--force")

    assert "Timesheet of" not in made.stdout
    assert [rule["period"] for rule in admin.get("/admin/timesheet-rules").json()] == ["week"]


def test_the_demo_company_does_not_move_in_with_people_unless_forced(few_days, run_command, database, people):
    people.employee("Bob")
    people.project("Website")  # the same name as in the tutorial

    message = error_line(run_command("demo"))

    assert message == "The database already has users. Use --force to add the demo company to them."
    assert counts(database) == (1, 0)
    assert run_command("demo", "--force").exit_code == 0
    assert counts(database)[0] == 31


DEMO_EXISTS = "The database already has the demo company, or a user or project of it. Nothing was added."


def test_a_demo_company_that_cannot_move_in_whole_leaves_no_trace(run_command, database, people):
    people.employee("Hugo", email="hugo.hansen@example.com")

    assert error_line(run_command("demo", "--force")) == DEMO_EXISTS
    assert counts(database) == (1, 0)


def test_a_second_demo_company_is_refused_with_the_reason(run_command, people):
    """The sentences of the API ask for another e-mail or name, which the command cannot take."""
    people.project("Product website")

    assert error_line(run_command("demo", "--force")) == DEMO_EXISTS


def test_a_weak_demo_password_is_refused(run_command, database):
    assert error_line(run_command("demo", "--password", "password1234")).startswith("--password: ")
    assert counts(database) == (0, 0)


def test_where_others_can_reach_it_the_demo_company_needs_a_password_of_its_own(few_days, run_command, anonymous):
    exposed = {"ENVIRONMENT": "production", "FIRST_ADMIN_PASSWORD": PASSWORD}

    assert "the default is published" in error_line(run_command("demo", **exposed))
    assert run_command("demo", "--password", PASSWORD, **exposed).exit_code == 0
    login = anonymous.post("/auth/login", data={"username": "ben.becker@example.com", "password": PASSWORD})
    assert login.status_code == 200


def test_an_intact_record_is_proven_with_its_counts(run_command, people, db_url):
    people.employee("Ana")
    people.project("Website")

    verification = run_command("verify-audit")

    assert (verification.exit_code, verification.stderr) == (0, database_line(db_url))
    assert verification.stdout == (
        "Audit log verified: 2 chains, 2 events (0 with erased personal values), 0 checkpoints.\n"
        "Timesheets verified: 0 submitted or approved.\n"
    )


def test_a_broken_record_is_one_line_that_names_the_link(run_command, people, database):
    ana = people.employee("Ana")
    AuditTamperer(database).execute(
        update(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ana.id).values(request_id="forged")
    )

    assert (
        error_line(run_command("verify-audit")) == f"Chain {ana.id}, link 1 was changed. It does not match its content."
    )


def test_hours_and_a_role_that_were_changed_by_sql_are_named(run_command, people, database, db_url):
    ana, website = people.employee("Ana"), people.project("Website")
    entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00")
    with database.write_transaction() as session:
        session.execute(update(USER).values(role="admin"))
        session.execute(update(ENTRY).values(end_time=instant("2026-03-02 10:00")))

    verification = run_command("verify-audit")

    assert verification.exit_code == 1
    assert verification.stderr.splitlines() == [
        database_line(db_url).strip(),
        f"time_entry {entry} of user {ana.id} was changed in end_time without an event.",
        f"user {ana.id} was changed in role without an event.",
        "The rows differ from the audit log: 2 faults.",
    ]


def test_the_demo_company_agrees_with_its_audit_log(run_command, db_url):
    run_command("demo")

    verification = run_command("verify-audit")

    assert (verification.exit_code, verification.stderr) == (0, database_line(db_url))
    assert verification.stdout.splitlines()[1:] == ["Timesheets verified: 3 submitted or approved."]


def test_a_seal_is_one_line_that_holds_when_more_has_happened(run_command, people, tmp_path):
    ana, file = people.employee("Ana"), tmp_path / "checkpoints"
    made = run_command("audit-checkpoint")
    (checkpoint,) = made.stdout.splitlines()
    people.employee("Bob")
    file.write_text(f"{checkpoint}\n\n{run_command('audit-checkpoint').stdout}")

    verification = run_command("verify-audit", "--checkpoint", str(file))

    assert (made.exit_code, verification.exit_code) == (0, 0), made.stderr
    assert json.loads(checkpoint)["chains"].keys() == {"0", str(ana.id)}
    assert verification.stdout.splitlines()[0].endswith(", 2 checkpoints.")


def test_only_a_seal_shows_that_a_chain_is_gone_with_its_head(run_command, people, database, tmp_path):
    ana, file = people.employee("Ana"), tmp_path / "checkpoints"
    file.write_text(run_command("audit-checkpoint").stdout)
    tamperer = AuditTamperer(database)
    tamperer.execute(
        *(delete(table).where(table.c.chain_id == ana.id) for table in (AUDIT_EVENT, AUDIT_CHAIN)),
        delete(USER).where(USER.c.id == ana.id),
    )
    tamperer.restore_triggers()

    assert run_command("verify-audit").exit_code == 0
    assert error_line(run_command("verify-audit", "--checkpoint", str(file))).startswith(
        f"Chain {ana.id} is missing, but the checkpoint of "
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            lambda checkpoint: checkpoint.replace('"0":[0', '"0":[1'),
            "Line 1 of the checkpoints was changed. Its signature is not valid.",
        ),
        (lambda checkpoint: f"{checkpoint}Dear diary\n", "Line 2 of the checkpoints is not a checkpoint."),
        (lambda checkpoint: "Dear diary", "Line 1 of the checkpoints is not a checkpoint."),
        (lambda checkpoint: "\udcff\udcfe", "Line 1 of the checkpoints is not a checkpoint."),
        (lambda checkpoint: "\n", "There is no checkpoint in checkpoints."),
        (lambda checkpoint: "", "There is no checkpoint in checkpoints."),
    ],
)
def test_a_file_that_is_not_of_seals_proves_nothing(run_command, tmp_path, written, message):
    (tmp_path / "checkpoints").write_text(written(run_command("audit-checkpoint").stdout), errors="surrogateescape")

    assert error_line(run_command("verify-audit", "--checkpoint", "checkpoints")) == message


def test_a_file_of_seals_that_is_not_there_is_told_in_one_line(run_command):
    assert "No such file or directory" in error_line(run_command("verify-audit", "--checkpoint", "nowhere"))


def test_a_leaver_is_erased_and_the_record_holds(run_command, people):
    dan = people.employee("Dan", is_active=False)

    erased = run_command("erase-user", str(dan.id), "--yes")
    verification = run_command("verify-audit")

    assert (erased.exit_code, verification.exit_code) == (0, 0)
    assert f"User {dan.id} is now Erased Person {dan.id}." in erased.stdout
    assert people.reload(dan).email == f"erased-{dan.id}@erased.invalid"
    assert "(1 with erased personal values)" in verification.stdout


@pytest.mark.parametrize(("answer", "name"), [("y\n", "Erased"), ("n\n", "Dan"), ("\n", "Dan")])
def test_nobody_is_erased_before_the_operator_says_so(run_command, people, answer, name):
    dan = people.employee("Dan", is_active=False)

    run_command("erase-user", str(dan.id), stdin=answer)

    assert people.reload(dan).first_name == name


def test_who_can_not_be_erased_is_told_in_one_line(run_command, people):
    bob = people.employee("Bob")

    assert "is active. Deactivate the user first." in error_line(run_command("erase-user", str(bob.id), "--yes"))
    assert "There is no user with this id." in error_line(run_command("erase-user", "2000000000", "--yes"))


def test_the_operator_gets_a_password_link_for_a_user(run_command, people, database):
    ana, audit_log = people.employee("Ana"), AuditLog(database)

    created = run_command("create-password-link", str(ana.id))

    assert created.exit_code == 0
    assert created.stdout.startswith("Token for POST /api/v1/auth/password/set: ettl_")
    (event,) = audit_log.new_events()
    assert (event.action, event.actor_id, event.subject_id) == ("password_link:create", None, ana.id)
    assert run_command("verify-audit").exit_code == 0


def test_a_password_link_leads_to_the_page_of_the_front_end(run_command, people):
    page = "http://localhost:3000/set-password#{token}"

    created = run_command("create-password-link", str(people.employee("Ana").id), PASSWORD_LINK_URL=page)

    assert created.stdout.startswith("http://localhost:3000/set-password#ettl_")


def test_a_password_link_leads_to_the_page_of_the_service_under_its_only_name(run_command, people):
    own = {"TRUSTED_HOSTS": "time.example.com", "FIRST_ADMIN_PASSWORD": "violet-harbour-42-lantern"}

    created = run_command("create-password-link", str(people.employee("Ana").id), **own)

    assert created.stdout.startswith("https://time.example.com/app/#/set-password/ettl_")


def test_who_gets_no_password_link_is_told_in_one_line(run_command, people):
    dan = people.employee("Dan", is_active=False)

    assert "deactivated" in error_line(run_command("create-password-link", str(dan.id)))
    assert "There is no user with this id." in error_line(run_command("create-password-link", "2000000000"))


PEOPLE = "email,first_name,last_name,role,manager_email,time_zone\n"
TEAM = f"{PEOPLE}ana@example.com,Ana,Almeida,employee,mia@example.com,\nmia@example.com,Mia,Meyer,manager,,\n"


def test_a_company_moves_in_from_a_file(run_command, database, tmp_path):
    (tmp_path / "people.csv").write_text(TEAM)

    imported = run_command("import-users", "people.csv")

    assert (imported.exit_code, imported.stdout) == (0, "2 users imported.\n"), imported.stderr
    assert counts(database) == (2, 0)
    assert run_command("verify-audit").exit_code == 0


def test_a_dry_run_only_checks_the_file(run_command, database, tmp_path):
    (tmp_path / "people.csv").write_text(TEAM)

    assert run_command("import-users", "people.csv", "--dry-run").stdout == "2 users can be imported.\n"
    assert counts(database) == (0, 0)


def test_each_fault_of_a_file_is_a_line(run_command, database, people, tmp_path):
    people.manager("Mia")
    (tmp_path / "people.csv").write_text(f"{TEAM}bob@example.com,Bob,Ng,chief,,\n")

    refused = run_command("import-users", "people.csv")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "line 3, email: Another user already has this e-mail. Remove the line, or change that user instead.",
        "line 4, role: The role must be one of 'employee', 'manager' or 'admin'.",
        "No user was imported. Errors in the file: 2. Correct them, and import the file again.",
    ]
    assert counts(database) == (1, 0)


def test_a_fault_of_a_whole_line_names_the_line(run_command, tmp_path):
    (tmp_path / "people.csv").write_text(f"{TEAM}x\n")

    imported = run_command("import-users", "people.csv")
    assert imported.stderr.startswith("line 4: The header has 6 cells, but this line has 1.")


def test_a_file_of_people_has_a_size(run_command, tmp_path):
    (tmp_path / "people.csv").write_text(PEOPLE + "\n" * MAX_FILE_BYTES)

    assert "The file has more than 8388608 bytes. Split the file." in run_command("import-users", "people.csv").stderr
    assert "No such file or directory" in error_line(run_command("import-users", "nowhere.csv"))


@pytest.mark.parametrize("ending", ["csv", "xlsx", "jsonl"])
def test_an_operator_writes_the_files_that_the_api_gives(run_command, people, server, as_user, tmp_path, ending):
    mia, website = people.manager("Mia"), people.project("Website")
    ana, zoe = people.employee("Ana", manager=mia), people.employee("Zoe")
    for user in (ana, zoe):
        people.entry(user, website, "2026-03-02 08:00", "2026-03-02 15:30", description="Landing page")
    period, audit_log = ["--start-date", "2026-03-01", "--end-date", "2026-03-31"], AuditLog(server.database)

    everybody = run_command("export", f"all.{ending}", *period)
    team = run_command("export", f"team.{ending}", *period, "--manager", str(mia.id))

    assert (everybody.exit_code, team.stdout) == (0, f"Wrote team.{ending}.\n"), everybody.stderr
    by_api = as_user(mia).get(
        f"/reports/export/{ending.removesuffix('l')}",
        params={"start_date": "2026-03-01", "end_date": "2026-03-31", "columns": "full"},
    )
    files = [(tmp_path / name).read_bytes() for name in (f"all.{ending}", f"team.{ending}")]
    if ending == "xlsx":
        sheets = [CalamineWorkbook.from_filelike(BytesIO(file)) for file in (*files, by_api.content)]
        rows = [book.get_sheet_by_name("Entries").to_python() for book in sheets]
        assert (len(rows[0]), rows[1]) == (3, rows[2])
    else:
        assert (files[0].count(b"Landing page"), files[1]) == (2, by_api.content)
    assert (tmp_path / f"all.{ending}").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".unfinished-*")) == []
    events = [event for event in audit_log.new_events() if event.request_id == "cli:export"]
    assert [(event.action, event.actor_id, event.after["scope"]) for event in events] == [
        (f"export:{ending.removesuffix('l')}", None, scope) for scope in ("all", "team")
    ]


MARCH = ["--start-date", "2026-03-01", "--end-date", "2026-03-31"]


@pytest.fixture
def ana(people):
    """An employee with hours in March."""
    ana = people.employee("Ana")
    people.entry(ana, people.project("Website"), "2026-03-02 08:00", "2026-03-02 15:30")
    return ana


WRITING_COMMANDS = [
    ["export", "written", *MARCH],
    ["timesheet", "1", "2026-03", "written"],
    ["openapi", "written"],
    ["backup", "written"],
]


@pytest.mark.parametrize("arguments", WRITING_COMMANDS, ids=lambda arguments: arguments[0])
def test_no_command_overwrites_a_file_unless_forced(run_command, database, ana, tmp_path, arguments):
    file = tmp_path / "written.csv"
    file.write_text("the hours of February")
    arguments = [file.name if argument == "written" else argument for argument in arguments]
    audit_log = AuditLog(database)

    message = error_line(run_command(*arguments))

    assert message == "written.csv already exists. Choose another name, or use --force."
    assert file.read_text() == "the hours of February"
    assert audit_log.new_events() == []
    assert run_command(*arguments, "--force").exit_code == 0
    assert b"February" not in file.read_bytes()


@pytest.mark.parametrize("arguments", WRITING_COMMANDS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/march.csv", "There is no folder nowhere. Create it, or choose another one."),
        ("folder.csv", "folder.csv is not a file. Choose another name."),
        ("pipe.csv", "pipe.csv is not a file. Choose another name."),
        ("device.csv", "device.csv is not a file. Choose another name."),
    ],
)
def test_nothing_is_recorded_about_a_file_that_cannot_be_written(
    run_command, database, ana, tmp_path, arguments, name, reason
):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    audit_log = AuditLog(database)

    message = error_line(run_command(*[name if each == "written" else each for each in arguments], "--force"))

    assert message == reason
    assert audit_log.new_events() == []
    assert (tmp_path / "device.csv").is_char_device()


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["export", "-", *MARCH], b"employee_id,employee_name"),
        (["timesheet", "1", "2026-03", "-"], b"%PDF-"),
        (["openapi", "-"], b"{\n"),
    ],
    ids=["export", "timesheet", "openapi"],
)
def test_a_dash_writes_to_standard_output_alone(run_command, ana, tmp_path, arguments, start):
    before = set(tmp_path.iterdir())

    written = run_command(*arguments)

    assert (written.exit_code, written.stdout_bytes[: len(start)]) == (0, start), written.stderr
    assert b"Wrote" not in written.stdout_bytes
    assert set(tmp_path.iterdir()) == before


def test_an_export_to_standard_output_is_the_file_that_the_command_writes(run_command, ana, tmp_path):
    piped = run_command("export", "-", *MARCH)
    run_command("export", "hours.csv", *MARCH)

    assert piped.stdout_bytes == (tmp_path / "hours.csv").read_bytes()


def test_a_backup_does_not_go_to_standard_output(run_command, tmp_path):
    assert "standard output" in error_line(run_command("backup", "-"))
    assert not (tmp_path / "-").exists()


def test_an_operator_is_told_how_many_entries_of_the_file_need_review(run_command, people):
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-05 08:00", needs_review=True)
    people.entry(ana, website, "2026-03-06 08:00", "2026-03-06 16:00")

    result = run_command("export", "hours.csv", "--start-date", "2026-03-01", "--end-date", "2026-03-31")

    assert result.stdout == "Wrote hours.csv.\nEntries that need review: 1.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hours.pdf", "--start-date", "2026-03-01", "--end-date", "2026-03-31"], "the name must end with one of .csv"),
        (["hours.csv", "--start-date", "1.3.2026", "--end-date", "2026-03-31"], "Send a date as YYYY-MM-DD."),
        (["hours.csv", "--start-date", "2026-03-31", "--end-date", "2026-03-01"], "end_date is before start_date"),
        (["hours.csv", "--start-date", "2026-03-01", "--end-date", "2026-03-31", "--time-zone", "Mars"], "tz database"),
        (["hours.csv", "--start-date", "2026-03-01", "--end-date", "2026-03-31", "--manager", "9"], "There is no user"),
        (["no/hours.csv", "--start-date", "2026-03-01", "--end-date", "2026-03-31"], "There is no folder no."),
    ],
)
def test_an_export_that_cannot_be_is_told_in_one_line(run_command, tmp_path, arguments, message):
    result = run_command("export", *arguments)

    assert (result.exit_code, message in result.stderr, len(result.stderr.splitlines())) == (1, True, 1), result.stderr
    assert list(tmp_path.glob("hours*")) == []


def test_an_operator_writes_anybodys_month_to_sign(run_command, people, database, tmp_path):
    ana = people.employee("Ana")
    people.entry(ana, people.project("Website"), "2026-03-02 08:00", "2026-03-02 15:30")
    audit_log = AuditLog(database)

    written = run_command("timesheet", str(ana.id), "2026-03", "march.pdf")

    assert (written.exit_code, written.stdout) == (0, "Wrote march.pdf.\n"), written.stderr
    (page,) = PdfReader(tmp_path / "march.pdf").pages
    assert "Ana Silva" in page.extract_text() and "7:30" in page.extract_text()
    (event,) = audit_log.new_events()
    assert (event.action, event.actor_id, event.after) == (
        "export:timesheet",
        None,
        {"user_id": ana.id, "month": "2026-03", "tz": None},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["999", "2026-03", "a.pdf"], "no user with this id"),
        (["1", "March", "a.pdf"], "'March'"),
        (["1", "2026-13", "a.pdf"], "13"),
    ],
)
def test_a_timesheet_that_cannot_be_is_told_in_one_line(run_command, people, tmp_path, arguments, message):
    people.employee("Ana")

    result = run_command("timesheet", *arguments)

    assert (result.exit_code, message in result.stderr, len(result.stderr.splitlines())) == (1, True, 1), result.stderr
    assert list(tmp_path.glob("a.pdf*")) == []


def test_the_demo_command_can_be_piped_on_the_plainest_terminal(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo"],
        env=clean_environment(PYTHONPATH=str(ROOT), PYTHONIOENCODING="ascii", LC_ALL="C", TERM="dumb"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("ascii").startswith("Created 30 users and ")
    assert b"\x1b" not in done.stderr


def test_the_openapi_document_goes_to_standard_output_and_needs_no_settings(run_cli):
    written = run_cli("openapi", DB_URL="nowhere", ENVIRONMENT="production")

    assert written.exit_code == 0
    assert json.loads(written.stdout) == openapi_document()


def test_the_openapi_document_goes_to_a_file(run_cli, tmp_path):
    written = run_cli("openapi", str(tmp_path / "openapi.json"))

    assert (written.exit_code, written.stdout) == (0, f"Wrote {tmp_path}/openapi.json.\n")
    assert "/api/v1/auth/login" in json.loads((tmp_path / "openapi.json").read_text())["paths"]


def test_help_names_every_command(run_cli):
    message = run_cli("--help").stdout

    commands = (
        "migrate",
        "create-admin",
        "demo",
        "backup",
        "restore",
        "verify-audit",
        "audit-checkpoint",
        "erase-user",
        "create-password-link",
        "openapi",
        "import-users",
        "serve",
        "check",
    )
    assert all(name in message for name in commands)


def test_the_version_is_printed_on_request(run_cli):
    assert run_cli("--version").stdout == f"time-tracking {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify-audit"],
        ["audit-checkpoint"],
        ["export", "hours.csv", *MARCH],
        ["timesheet", "1", "2026-03", "hours.pdf"],
        ["erase-user", "1", "--yes"],
        ["create-password-link", "1"],
        ["backup", "monday"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_in_the_wrong_folder_makes_no_empty_database(run_cli, tmp_path, arguments):
    message = error_line(run_cli(*arguments))

    assert message.startswith(f"There is no database {tmp_path}/time_tracking.db. Set DB_URL")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["restore", "monday"], ["import-users", "people.csv"]])
def test_a_command_without_its_file_makes_no_empty_database(run_cli, tmp_path, arguments):
    assert "No such file or directory" in error_line(run_cli(*arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_makes_a_database_names_its_file(run_cli, tmp_path):
    created = run_cli("create-admin", "ada@example.com", stdin=PASSWORD)

    assert (created.exit_code, created.stderr) == (0, f"Database: sqlite:///{tmp_path}/time_tracking.db\n")


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_broken_record_leaves_no_other_word_behind(people, database, db_url, tmp_path):
    """Cursors that are closed after the database would be logged."""
    ana = people.employee("Ana")
    AuditTamperer(database).execute(
        update(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ana.id).values(request_id="forged")
    )

    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "verify-audit"],
        env=clean_environment(PYTHONPATH=str(ROOT), DB_URL=db_url, SECRET_KEY=SECRET_KEY),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Chain {ana.id}, link 1 was changed. It does not match its content.\n"
