"""Import and export of users as CSV: all or none, and each error with line and column (threats 7, 10, 19, 23)."""

import codecs
import csv
import io
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from sqlalchemy import func, select

from app.api.http.body_limits import MAX_BODY_BYTES
from app.core.database.migrations import migrate, open_database
from app.core.security.passwords import UNUSABLE_PASSWORD
from app.core.spreadsheet import escape_cell, unescape_cell
from app.core.time.clock import utc_now
from app.models.tables import USER
from app.services.access.actor import Actor
from app.services.audit.verification import verify
from app.services.users import administration, csv_import
from app.services.users.csv_cells import COLUMNS, MAX_FILE_BYTES
from app.services.users.errors import ImportRefused
from tests.support.audit_asserts import AuditLog
from tests.support.cli import empty_database
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD

HEADER = ",".join(COLUMNS)
ANA = "ana@new.example.com,Ana,Almeida,employee,,"
ANY_ORDER = ("time_zone", "manager_email", "role", "last_name", "first_name", "email")
MIA = "mia@new.example.com,Mia,Meyer,manager,,"
CSV = {"Content-Type": "text/csv; charset=utf-8"}


def ignore_progress(done: int, total: int) -> None:
    """Accept progress, and do nothing."""


def csv_file(*rows, header=HEADER):
    return "\r\n".join([header, *rows, ""]).encode()


def send(caller, content, **params):
    """Send a file. The largest ones take seconds while coverage is measured on a busy machine."""
    return caller.post("/admin/users/import", content=content, headers=CSV, params=params, timeout=30)


def refused(caller, content):
    """Send a file that is rejected, and return its messages by (line, column, code)."""
    answer = send(caller, content)
    assert (answer.status_code, answer.json()["code"]) == (422, "import_refused"), answer.text
    assert answer.json()["error_count"] >= len(answer.json()["errors"])
    return {(*error["loc"][1:], error["type"]): error["message"] for error in answer.json()["errors"]}


def users_by_email(caller):
    users = caller.get("/admin/users", params={"limit": 1000}).json()
    return {user["email"]: user for user in users}


@pytest.fixture
def boss(as_user, ada):
    return as_user(ada)


# Accepted files


def test_an_admin_imports_a_team_with_its_manager_below_it(server, boss, ada, mia):
    audit_log = AuditLog(server.database)
    content = csv_file(
        "ana@new.example.com,Ana,Almeida,employee,eva@new.example.com,Europe/Lisbon",
        "ben@new.example.com,Ben,Becker,employee,MIA@example.com,",
        "eva@new.example.com,Eva,Evans,manager,mia@example.com,",
    )

    answer = send(boss, content)

    assert (answer.status_code, answer.json()) == (200, {"dry_run": False, "users": 3})
    users = users_by_email(boss)
    ana, ben, eva = (users[f"{name}@new.example.com"] for name in ("ana", "ben", "eva"))
    assert (ana["manager_id"], ben["manager_id"], eva["manager_id"]) == (eva["id"], mia.id, mia.id)
    assert (ana["first_name"], ana["last_name"], ana["role"]) == ("Ana", "Almeida", "employee")
    assert (ana["time_zone"], ben["time_zone"]) == ("Europe/Lisbon", "UTC")
    assert ana["id"] < ben["id"] < eva["id"], "ids follow the lines"
    events = audit_log.new_events()
    facts = {name: ana[name] for name in administration.AUDITED_FIELDS}
    assert [(e.action, e.actor_id, e.subject_id, e.object_id) for e in events] == [
        ("user:create", ada.id, user["id"], user["id"]) for user in (ana, ben, eva)
    ]
    assert (events[0].before, events[0].after, events[0].reason) == (None, facts, None)
    assert {event.request_id for event in events} == {answer.headers["X-Request-ID"]}
    with server.database.read_transaction() as session:
        assert verify(session, [], on_progress=lambda *_: None).events == 5


def test_who_was_imported_leaves_the_record_that_who_was_added_leaves(server, boss, people):
    audit_log = AuditLog(server.database)
    boss.post(
        "/admin/users",
        json={
            "email": "bob@new.example.com",
            "first_name": "Bob",
            "last_name": "Ng",
            "role": "employee",
            "password": PASSWORD,
        },
    )
    send(boss, csv_file("cy@new.example.com,Bob,Ng,employee,,"))

    added, imported = audit_log.new_events()
    differs = {"at", "subject_id", "object_id", "request_id", "after"}
    assert {k: v for k, v in vars(added).items() if k not in differs} == {
        k: v for k, v in vars(imported).items() if k not in differs
    }
    assert added.after | {"email": ""} == imported.after | {"email": ""}


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_what_a_spreadsheet_makes_of_a_team_is_imported(boss, delimiter):
    """Blank lines and columns, a mark at the start, capitals and blanks in the header and in closed lists."""
    lines = [
        "\ufeff Email ,First_Name,LAST_NAME, role,Manager_Email\u00a0,Time_zone,,",
        ",,,,,,,",
        "ana@new.example.com,Ana,Li, Employee ,MIA@new.example.com , europe/BERLIN\u00a0,,",
        " , ,\u00a0,,,,,",
        "mia@new.example.com , Mia,Ek,MANAGER,,,,",
        "ben@new.example.com,Ben,Ng,employee",
        ",,,,,,,",
        ",",
    ]
    content = "\r\n".join(lines).replace(",", delimiter)

    assert send(boss, content.encode()).json() == {"dry_run": False, "users": 3}

    ana, mia, ben = (users_by_email(boss)[f"{name}@new.example.com"] for name in ("ana", "mia", "ben"))
    assert (ana["role"], ana["time_zone"], ana["manager_id"]) == ("employee", "Europe/Berlin", mia["id"])
    assert (mia["role"], mia["first_name"], mia["time_zone"]) == ("manager", "Mia", "UTC")
    assert (ben["role"], ben["manager_id"]) == ("employee", None)


@pytest.mark.parametrize(
    ("written", "is_active"),
    [("yes", True), ("No", False), (" TRUE ", True), ("false", False), ("1", True), ("0", False), ("", True)],
)
def test_a_file_says_who_has_left(boss, written, is_active):
    send(boss, csv_file(f"ana@new.example.com,Ana,Li,employee,,,{written}"))

    assert users_by_email(boss)["ana@new.example.com"]["is_active"] is is_active


def test_a_file_of_0_10_without_the_column_is_of_people_who_work_here(boss):
    send(boss, csv_file(ANA, header=HEADER.removesuffix(",is_active")))

    assert users_by_email(boss)["ana@new.example.com"]["is_active"]


def test_whether_somebody_has_left_is_told_with_yes_or_no(boss):
    errors = refused(boss, csv_file("ana@new.example.com,Ana,Li,employee,,,perhaps"))

    assert errors == {(2, "is_active", "value_error"): "Write yes or no, or leave the cell empty for yes."}


def test_nobody_is_imported_below_a_manager_of_the_database_who_has_left(boss, people):
    people.manager("Max", is_active=False)

    errors = refused(boss, csv_file("ana@new.example.com,Ana,Li,employee,max@example.com,,no"))

    assert list(errors) == [(2, "manager_email", "manager_inactive")]


def test_blank_lines_of_a_spreadsheet_do_not_hide_the_line_of_a_fault(boss):
    errors = refused(boss, csv_file(",,,,,", ANA, ",,,,,", "ben@new.example.com,Ben,Ng,Boss,,Mars/Olympus"))

    assert list(errors) == [(5, "role", "enum"), (5, "time_zone", "value_error")]


def test_the_next_one_who_is_added_gets_an_id_of_their_own(boss, people):
    send(boss, csv_file(ANA, MIA))

    assert people.employee("Zoe").id > max(
        user["id"] for user in users_by_email(boss).values() if "new" in user["email"]
    )


def test_an_imported_person_has_no_password_until_an_admin_gives_one(boss, server, anonymous):
    send(boss, csv_file(ANA))
    ana = users_by_email(boss)["ana@new.example.com"]
    with server.database.read_transaction() as session:
        assert session.execute(select(USER.c.password_hash).where(USER.c.id == ana["id"])).scalar() == UNUSABLE_PASSWORD

    for guess in ("", " ", PASSWORD, "nobody's password, of no account"):
        login = anonymous.post("/auth/login", data={"username": ana["email"], "password": guess})
        assert login.status_code in {401, 422}
    boss.put(f"/admin/users/{ana['id']}/password", json={"password": PASSWORD})

    assert anonymous.post("/auth/login", data={"username": ana["email"], "password": PASSWORD}).status_code == 200


def test_a_dry_run_answers_the_same_and_writes_nothing(server, boss):
    before, audit_log = users_by_email(boss), AuditLog(server.database)

    answer = send(boss, csv_file(ANA, MIA), dry_run=True)

    assert (answer.status_code, answer.json()) == (200, {"dry_run": True, "users": 2})
    assert users_by_email(boss) == before
    assert audit_log.new_events() == []
    assert send(boss, csv_file(ANA, MIA)).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + csv_file(ANA),
        csv_file(ANA).replace(b",", b";"),
        csv_file(ANA).replace(b",", b"\t"),
        csv_file(ANA, header="E-Mail,First Name,last-name,ROLE,Manager E-mail,TimeZone,Is_Active"),
        csv_file(ANA.replace(",", ', "').replace(", ", '", ').join('""'), header=HEADER.replace(",", ", ")),
        b" \r\n" + csv_file(ANA).replace(b",", b";"),
        csv_file(ANA).replace(b"\r\n", b"\n"),
        csv_file(ANA).replace(b"\r\n", b"\r"),
        csv_file(ANA).rstrip(),
        csv_file("", ANA, "", ""),
        b"\r\n\n" + csv_file(ANA),
        csv_file(ANA.replace(",", '","').join('""'), header=HEADER.replace(",", '","').join('""')),
        csv_file("UTC,,employee,Almeida,Ana,ana@new.example.com", header=",".join(ANY_ORDER)),
    ],
    ids=["BOM", "semicolons", "tabs", "names", "blanks before quotes", "blank first line", "LF", "CR",
         "no last line break", "blank lines", "blank start", "quotes", "any order"],
)  # fmt: skip
def test_the_file_of_any_spreadsheet_is_taken(boss, content):
    assert send(boss, content).json() == {"dry_run": False, "users": 1}
    ana = users_by_email(boss)["ana@new.example.com"]
    assert (ana["first_name"], ana["last_name"], ana["role"], ana["time_zone"]) == ("Ana", "Almeida", "employee", "UTC")


# Rejected files


def test_every_fault_is_named_by_line_and_column_and_nobody_is_imported(server, boss, people, mia):
    people.employee("Bob")
    people.manager("Dan", is_active=False)
    before, audit_log = users_by_email(boss), AuditLog(server.database)

    errors = refused(
        boss,
        csv_file(
            "zoe@new.example.com,Zoe,Ng,employee,mia@example.com,",
            "nonsense,,Ng,chief,nobody,Mars/Base",
            "BOB@EXAMPLE.COM,Bob,Ng,employee,,",
            "cy@new.example.com,Cy,Ng,employee,who@example.com,",
            "di@new.example.com,Di,Ng,employee,bob@example.com,",
            "ed@new.example.com,Ed,Ng,employee,dan@example.com,",
            "flo@new.example.com,Flo,Ng,manager,FLO@new.example.com,",
            "gil@new.example.com,Gil,Ng,employee,zoe@new.example.com,",
            "Zoe@New.example.com,Zoe,Ng,employee,,",
        ),
    )

    assert list(errors) == [
        (3, "email", "value_error"),
        (3, "first_name", "string_too_short"),
        (3, "role", "enum"),
        (3, "manager_email", "value_error"),
        (3, "time_zone", "value_error"),
        (4, "email", "email_taken"),
        (5, "manager_email", "manager_not_found"),
        (6, "manager_email", "manager_invalid"),
        (7, "manager_email", "manager_inactive"),
        (8, "manager_email", "manager_is_self"),
        (9, "manager_email", "manager_invalid"),
        (10, "email", "email_twice"),
    ]
    assert "Line 2 has the same e-mail" in errors[10, "email", "email_twice"]
    assert "Line 2 makes this manager an employee" in errors[9, "manager_email", "manager_invalid"]
    assert users_by_email(boss) == before
    assert audit_log.new_events() == []


def test_a_circle_of_managers_is_named_in_full_once(boss):
    errors = refused(
        boss,
        csv_file(
            "zoe@new.example.com,Zoe,Ng,employee,bo@new.example.com,",
            "ana@new.example.com,Ana,Li,manager,bo@new.example.com,",
            "cy@new.example.com,Cy,Ng,manager,ana@new.example.com,",
            "bo@new.example.com,Bo,Ek,manager,ana@new.example.com,",
        ),
    )

    assert errors == {
        (3, "manager_email", "manager_cycle"): (
            "Ana Li <ana@new.example.com> -> Bo Ek <bo@new.example.com> -> Ana Li <ana@new.example.com>. "
            "These managers form a cycle. Change one of them."
        )
    }


def test_of_a_circle_too_long_for_a_sentence_both_ends_are_named(boss):
    rows = [f"p{n}@new.example.com,P,{n},manager,p{(n + 1) % 500}@new.example.com," for n in range(500)]

    (errors,) = refused(boss, csv_file(*rows)).values()

    assert errors.startswith("P 0 <p0@new.example.com> -> P 1 <p1@new.example.com> -> (497 more) -> P 499 <")
    assert " -> P 0 <p0@new.example.com>. These" in errors


def test_who_names_a_manager_whose_own_line_is_wrong_is_not_blamed(boss):
    errors = refused(
        boss, csv_file("eva@new.example.com,Eva,Ng,chief,,", "a@new.example.com,A,Ng,employee,eva@new.example.com,")
    )

    assert list(errors) == [(2, "role", "enum")]


def test_lines_are_counted_as_an_editor_counts_them(boss):
    errors = refused(
        boss, csv_file('x@new.example.com,"Ana\r\nMaria",Ng,employee,,', "", "y@new.example.com,Y,Ng,boss,,")
    )

    assert list(errors) == [(2, "first_name", "value_error"), (5, "role", "enum")]
    assert "one line" in errors[2, "first_name", "value_error"]


def test_the_first_hundred_faults_are_told_and_all_are_counted(boss):
    answer = send(boss, csv_file(*(f"p{n}@new.example.com,P,Ng,chief,," for n in range(250)))).json()

    assert (len(answer["errors"]), answer["error_count"]) == (100, 250)
    assert answer["errors"][-1]["loc"] == ["line", 101, "role"]
    assert answer["detail"] == "No user was imported. Errors in the file: 250. Correct them, and import the file again."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (1, "empty_file")),
        (b"\xef\xbb\xbf", (1, "empty_file")),
        (b"\r\n\r\n", (1, "empty_file")),
        (csv_file(), (1, "nobody")),
        (ANA.encode(), (1, "column_unknown")),
        (csv_file(ANA, header=HEADER.replace("last_name", "surname")), (1, "last_name", "column_missing")),
        (csv_file(f"{ANA},x", header=f"{HEADER},password"), (1, "column_unknown")),
        (csv_file(f"{ANA},x", header=f"{HEADER},email"), (1, "email", "column_twice")),
        (b"," * MAX_FILE_BYTES, (1, "empty_file")),
        pytest.param(b"x" + b"," * (MAX_FILE_BYTES - 2) + b"x", (1, "column_unknown"), marks=pytest.mark.slow),
        (csv_file(ANA, "a,b"), (3, "cell_count")),
        (csv_file(ANA, "," * 1_000_000 + "x"), (3, "cell_count")),
        (csv_file(ANA, '"a"b,c,d,e,f,g'), (3, "not_csv")),
        (csv_file(ANA, '"a,b,c\r\nd', "e"), (3, "not_csv")),
        (csv_file(ANA, '"' * 8_000_000), (3, "not_csv")),
        (b'"' * MAX_FILE_BYTES, (1, "not_csv")),
        (csv_file(ANA, "x" * 200_000), (3, "not_csv")),
        (csv_file(ANA, ANA).replace(b"Ana", b"An\xe1"), (2, "not_utf8")),
        (csv_file(ANA, "x\x00,Y,Ng,employee,,"), (3, "email", "value_error")),
        (csv_file(ANA, "y@new.example.com,Y\x00,Ng,employee,,"), (3, "first_name", "value_error")),
        (csv_file(ANA, "y@new.example.com,Y,Ng,employee,\x00,"), (3, "manager_email", "value_error")),
        (csv_file(ANA, "y@new.example.com,Y,Ng,employee,,\x00"), (3, "time_zone", "value_error")),
        (csv_file(ANA, "y@new.example.com,\u202eY,Ng,employee,,"), (3, "first_name", "value_error")),
        (csv_file(ANA, f"y@new.example.com,{'Y' * 101},Ng,employee,,"), (3, "first_name", "too_long")),
        (csv_file(ANA, f"y@new.example.com,{chr(0xFDFA) * 99},Ng,employee,,"), (3, "first_name", "value_error")),
        (csv_file(ANA, *["y," + "Y\u0301\u0323" * 40_000 + ",,,,"] * 30), (3, "first_name", "value_error")),
        (csv_file(ANA) + b"y\xed\xa0\x80@new.example.com,Y,Ng,employee,,", (3, "not_utf8")),
        (csv_file(ANA).decode().encode("utf-16"), (1, "not_utf8")),
        (b"PK\x03\x04" + bytes(range(256)), (3, "not_utf8")),
    ],
    ids=lambda value: repr(value[:60])[-40:] if isinstance(value, bytes) else "",
)  # fmt: skip
def test_a_file_that_is_none_is_refused_with_the_place(boss, content, expected):
    errors = refused(boss, content)

    assert expected in errors
    assert all(len(message) <= 2000 for message in errors.values())


def test_a_file_has_at_most_twenty_thousand_people(boss):
    too_many = csv_file(*("x" for _ in range(20_001)))

    assert list(refused(boss, too_many)) == [(20_002, "too_many_users")]


def test_only_csv_is_taken(boss):
    for content_type in ("application/json", "multipart/form-data; boundary=x", "text/plain", "text/csvx", ""):
        answer = boss.post("/admin/users/import", content=csv_file(ANA), headers={"Content-Type": content_type})

        assert (answer.status_code, answer.json()["code"]) == (415, "csv_required")


# Limits and access


def manager_chain(length):
    """Build a file in which each user manages the user in the line above."""
    rows = [f"p{n}@new.example.com,P{n},Ng,manager,p{n + 1}@new.example.com," for n in range(length - 1)]
    return csv_file(*rows, f"p{length - 1}@new.example.com,P,Ng,manager,,")


@pytest.mark.slow
def test_twenty_thousand_people_below_one_another_are_a_file_like_any_other(boss):
    boss.event_hooks = {}  # checking 20,000 users against the audit log takes longer than importing them

    assert send(boss, manager_chain(20_000), dry_run=True).json() == {"dry_run": True, "users": 20_000}


def test_people_below_one_another_over_many_statements_come_in_in_their_order(boss, server):
    boss.event_hooks = {}

    assert send(boss, manager_chain(2500)).json() == {"dry_run": False, "users": 2500}

    manager = USER.alias()
    pairs = select(func.count()).join_from(USER, manager, manager.c.id == USER.c.manager_id)
    with server.database.read_transaction() as session:
        assert session.execute(pairs.where(manager.c.id == USER.c.id + 1)).scalar_one() == 2499
        assert verify(session, [], on_progress=lambda *_: None).events == 2501


@pytest.mark.slow
def test_a_file_may_have_eight_mib_and_other_bodies_one(boss, ada):
    padded = csv_file(ANA) + b"\n" * (MAX_FILE_BYTES - len(csv_file(ANA)))

    assert send(boss, padded).status_code == 200
    assert send(boss, padded + b"\n").json()["code"] == "body_too_large"
    assert send(boss, (padded[i : i + 65_536] for i in range(0, 2 * len(padded), 65_536))).status_code in {200, 422}
    endless = send(boss, (b"\n" * 65_536 for _ in range(200)))
    assert endless.status_code == 413
    assert endless.json()["detail"].startswith(f"The request body is limited to {MAX_FILE_BYTES} bytes.")
    for path in ("/admin/users", "/admin/users/import/", "/admin/users/import/x"):
        assert boss.post(path, content=padded[: MAX_BODY_BYTES + 1], headers=CSV).status_code == 413


def test_who_may_not_import_is_told_before_the_file_is_read(server, people):
    address = urlsplit(server.base_url)
    for user, status in ((people.employee("Bob"), b"403"), (people.manager("Eva"), b"403"), (None, b"401")):
        token = f"Authorization: Bearer {server.token(user)}\r\n" if user else ""
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(
                f"POST /api/v1/admin/users/import HTTP/1.1\r\nHost: localhost\r\n{token}Content-Type: text/csv\r\n"
                f"Content-Length: {MAX_FILE_BYTES}\r\n\r\n".encode()
            )

            assert connection.recv(4096).split(b" ")[1] == status


def test_who_hangs_up_in_the_middle_imports_nobody(server, boss, ada):
    before, address = users_by_email(boss), urlsplit(server.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            "POST /api/v1/admin/users/import HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {server.token(ada)}\r\n"
            f"Content-Type: text/csv\r\nContent-Length: 5000\r\n\r\n".encode()
            + csv_file(ANA)
        )

    assert users_by_email(boss) == before


# Concurrent changes


def test_of_two_identical_imports_at_once_one_wins_and_the_other_is_refused_whole(server, as_user, ada):
    content = csv_file(*(f"p{n}@new.example.com,P,Ng,employee,," for n in range(300)))
    admins = [as_user(ada), as_user(ada)]
    for admin in admins:
        admin.event_hooks = {}  # each would see the changes of the other one

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda admin: send(admin, content), admins))

    assert sorted(answer.status_code for answer in answers) == [200, 422], [a.text[:300] for a in answers]
    (loser,) = (answer.json() for answer in answers if answer.status_code == 422)
    assert (loser["error_count"], loser["errors"][0]["type"]) == (300, "email_taken")
    with server.database.read_transaction() as session:
        assert session.execute(select(func.count()).select_from(USER)).scalar_one() == 301
        assert verify(session, [], on_progress=lambda *_: None).events == 301


@pytest.mark.parametrize(
    ("meanwhile", "kind"),
    [
        (lambda boss, mia: boss.patch(f"/admin/users/{mia.id}", json={"role": "employee"}), "manager_invalid"),
        (lambda boss, mia: boss.put(f"/admin/users/{mia.id}/deactivate"), "manager_inactive"),
        (lambda boss, mia: boss.patch(f"/admin/users/{mia.id}", json={"email": "m@example.com"}), "manager_not_found"),
        (lambda boss, mia: boss.patch(f"/admin/users/{mia.id}", json={"email": "ana@new.example.com"}), "email_taken"),
    ],
    ids=["demoted", "deactivated", "renamed", "e-mail taken"],
)
def test_what_changes_between_the_check_and_the_writing_is_seen(server, boss, ada, mia, meanwhile, kind):
    with server.database.read_transaction() as session:
        prepared = csv_import.prepare(session, None, csv_file(ANA.replace(",,", ",mia@example.com,")), at=utc_now())
    assert meanwhile(boss, mia).status_code == 200

    with pytest.raises(ImportRefused) as refusal, server.database.write_transaction() as session:
        csv_import.add(session, Actor(ada.id, ada.role, "UTC"), prepared, at=utc_now(), on_progress=ignore_progress)

    assert kind in [error["type"] for error in refusal.value.extensions["errors"]]
    assert len(users_by_email(boss)) == 2


def test_nobody_is_imported_below_a_manager_who_is_demoted_at_the_same_moment(server, as_user, ada, people):
    importer, demoter = as_user(ada), as_user(ada)
    importer.event_hooks = demoter.event_hooks = {}

    for number in range(5):
        manager = people.manager(f"Mia {number}")
        rows = [f"p{number}.{n}@new.example.com,P,Ng,employee,{manager.email}," for n in range(20)]
        with ThreadPoolExecutor(2) as both:
            imported = both.submit(send, importer, csv_file(*rows))
            demoted = both.submit(demoter.patch, f"/admin/users/{manager.id}", json={"role": "employee"})
        errors = {imported.result().json().get("code"), demoted.result().json().get("code")}

        assert errors in ({None, "has_reports"}, {None, "import_refused"}), errors


# Export and re-import


def test_the_export_has_everybody_by_id_and_the_record_says_so(server, boss, people, ada, mia):
    people.employee("Ana", manager=mia, time_zone="Europe/Lisbon", is_active=False)
    audit_log = AuditLog(server.database)

    answer = boss.get("/admin/users/export/csv")

    assert answer.content.decode() == (
        f"\ufeff{HEADER}\r\n"
        "ada@example.com,Ada,Silva,admin,,UTC,yes\r\n"
        "mia@example.com,Mia,Silva,manager,,UTC,yes\r\n"
        "ana@example.com,Ana,Silva,employee,mia@example.com,Europe/Lisbon,no\r\n"
    )
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="users.csv"'
    assert [(e.action, e.actor_id, e.subject_id, e.after) for e in audit_log.new_events()] == [
        ("export:people", ada.id, ada.id, None)
    ]


NASTY = [
    "=1+1", "+1", "-1", "@SUM(1)", "'=1", "''=1", "'", "''", "'Ana", "O'Neil", 'Say "Ana"', '"', '","', "a;=1", "a; =1",
    "a;'=1", "a; '=1", ";", ";;=", ",", "\uff1d1", "'\uff1d1", "\u207a1", "\ufb29", "Ana,Maria", "Ägidius", "日本語",
    "😀", "NULL", "0x1F", "1e9", "a'=b", "'-'", "-'", "=;=;=", "' =1", "'a;=1", "\u034f=1",
]  # fmt: skip


@pytest.fixture
def other_database(engine, tmp_path, postgresql_server):
    """Another database, without users."""
    with empty_database(engine, tmp_path, postgresql_server) as url, open_database(settings_for(url)) as database:
        migrate(database)
        yield database


def test_what_is_exported_is_imported_as_the_same_people(boss, server, people, other_database):
    eva = people.manager("Eva", email="=eva@example.com")
    for number, name in enumerate(NASTY):
        people.employee(name, last_name=name, email=f"{'=+-'[number % 3]}{number}@example.com", manager=eva)

    content = boss.get("/admin/users/export/csv").content
    assert import_file(other_database, content) == len(NASTY) + 2

    assert user_rows(other_database) == user_rows(server.database)
    chunks: list[bytes] = []
    with other_database.read_transaction() as session:
        csv_import.write_csv(session, chunks.append)
    assert codecs.BOM_UTF8 + b"".join(chunks) == content
    for row in csv.reader(io.StringIO(content.decode(), newline="")):
        assert not any(cell.lstrip().startswith(tuple("=+-@\uff1d\u207a")) for cell in row)


def import_file(database, content):
    """Import a file as the operator."""
    with database.read_transaction() as session:
        prepared = csv_import.prepare(session, None, content, at=utc_now())
    with database.write_transaction() as session:
        csv_import.add(session, None, prepared, at=utc_now(), on_progress=ignore_progress)
    return len(prepared.rows)


def user_rows(database):
    columns = (column for column in USER.c if column.name not in {"password_hash", "created_at"})
    with database.read_transaction() as session:
        return session.execute(select(*columns).order_by(USER.c.id)).all()


ONE_LINE = some.text(some.characters(codec="utf-8", exclude_categories=["Cc"]))
TRICKY = some.text(some.sampled_from("'=+-@; \u3000\uff1d\u207aa"))


@given(text=some.one_of(ONE_LINE, TRICKY))
@example(text="'=1")
@example(text="a;'' =1")
def test_a_guarded_text_is_had_back_and_starts_no_formula(text):
    cell = escape_cell(text)

    assert unescape_cell(cell) == text
    for part in cell.split(";"):
        assert not part.lstrip().startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20\u207a"))
