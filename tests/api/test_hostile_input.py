"""Malicious input on every operation of the document (threats 7, 8, 15, 19 to 22, 24 to 26).

Bodies are built as JSON text field by field, because Python can't serialize the worst of them.
"""

import json
import re
import resource
import unicodedata
from collections.abc import Iterator
from itertools import cycle, islice, product
from urllib.parse import quote

import pytest
from sqlalchemy import text

from app.core.time.clock import utc_now
from tests.support.factories import PASSWORD
from tests.support.openapi_operations import LOGINS, MIB, OPERATIONS, Operation, Schema
from tests.support.secret_scan import SECRET_ISSUING_PATHS

pytestmark = pytest.mark.high_volume
PERIOD = {"start_date": "2026-03-01", "end_date": "2026-03-31"}
# Words in routes, error codes, audit actions, actions in `can`, and flags that only name a secret.
NAMED = re.compile(
    "(must_change|set)_password|create_password_link|user:(set|change)_password(_by_link)?|password_link:create|"
    r"api_tokens?\b|" + '(route|code|object_type)="[^"]*"'
)


WITH_JSON = [operation for operation in OPERATIONS if operation.fields and operation.name not in LOGINS]


def kinds(schema: Schema) -> set[str]:
    """Return the types of a schema, with "text" for a string that is not an enum."""
    options = schema.get("anyOf", [schema])
    found = {"choice" if {"$ref", "enum"} & each.keys() else each["type"] for each in options}
    return {"text" if kind == "string" else kind for kind in found}


def fields_of(kind: str) -> Iterator[tuple[Operation, str, Schema]]:
    """Yield every field of a JSON body that accepts the type."""
    for operation in WITH_JSON:
        for name, schema in operation.fields.items():
            if kind in kinds(schema):
                yield operation, name, schema


def parameters_of(kind: str) -> Iterator[tuple[Operation, str, Schema]]:
    for operation in OPERATIONS:
        for name, each in operation.parameters.items():
            if kind in kinds(each["schema"]):
                yield operation, name, each["schema"]


@pytest.fixture
def ada(people, as_user):
    """An admin with id 1, in a company with all objects that the document's examples reference."""
    admin = people.admin("Ada")
    bob, website = people.employee("Bob", manager=admin), people.project("Old website")
    people.entry(bob, website, "2026-03-02 08:00", "2026-03-02 12:00", description="Landing page")
    return as_user(admin)


def dump_tables(server):
    tables = ("user", "project", "project_member", "time_entry", "time_zone", "audit_event")
    with server.database.read_transaction() as session:
        return {table: sorted(map(repr, session.execute(text(f'SELECT * FROM "{table}"')).all())) for table in tables}


def words(text: str) -> list[str]:
    return text.split()


# Bodies


def test_nobody_writes_a_field_that_the_body_does_not_list(server, ada):
    before = dump_tables(server)
    own = {"id": "777", "user_id": "1", "role": '"admin"', "is_active": "true", "manager_id": "1", "version": "9"}
    own |= {
        "created_at": '"2026-01-01T00:00:00Z"',
        "password_hash": '"x"',
        "has_second_factor": "true",
        "email_key": '"x"',
    }
    own |= {
        "status": '"approved"',
        "is_admin": "true",
        "start_time": '"2026-01-01T00:00:00Z"',
        "": "1",
        "__class__": "1",
    }

    for operation, name in product(WITH_JSON, own):
        if name not in operation.fields:
            answer = operation.send(ada, body={name: own[name]})

            assert answer.status_code == 422, (operation.name, name)
            assert ["body", name] in [error["loc"] for error in answer.json()["errors"]]
    assert dump_tables(server) == before


def test_an_object_with_very_many_fields_is_one_error(ada):
    """Anybody can send one to the operations without a credential. An error for each field would take a second."""
    fields = {f"field{number}": "1" for number in range(10_000)}
    small = dict(islice(fields.items(), 1_000))  # the most that fits in a body below /auth/
    operations = [{"action": "create", **fields} for _ in range(3)]

    for operation in WITH_JSON:
        answer = operation.send(ada, body=small if "/auth/" in operation.path else fields)

        assert answer.status_code == 422, operation.name
        assert [error["loc"] for error in answer.json()["errors"]] == [["body"]], operation.name
    answer = ada.post("/time-entries/bulk", json={"operations": operations})
    assert [error["loc"] for error in answer.json()["errors"]] == [
        ["body", "operations", number, "create"] for number in range(3)
    ]


CONTROLS = [r'"a\u0000b"', r'"\u0000"', r'"\u0007"', r'"a\u001b[31mb"', r'"a\u007f"', r'"\u0085b"', r'"a\u009fb"']
SURROGATES = [r'"\ud800"', r'"a\udfffb"', r'"\udc00\ud800"']
NO_TEXT = ["1", "1.5", "true", "[]", "{}", '["a"]', '{"a": "b"}', "NaN", "1e999"]


def test_text_in_a_body_refuses_control_characters_and_lone_surrogates(server, ada):
    before = dump_tables(server)

    found = list(fields_of("text"))
    for operation, name, schema in found:
        for value in (*CONTROLS, *SURROGATES, *NO_TEXT, json.dumps("x" * 5000)):
            answer = operation.send(ada, body={name: value})

            assert answer.status_code == 422, (operation.name, name, value[:40])
        if "null" not in kinds(schema):
            assert operation.send(ada, body={name: "null"}).status_code == 422
    assert len(found) >= 12
    assert dump_tables(server) == before


NO_NAMES = ["", " ", "\t", "\n", "\u00a0", "\u3000", *(f"a{end}b" for end in "\n\r\t\u2028\u2029\x0b")]


def test_names_are_one_line_and_not_blank(server, ada):
    before = dump_tables(server)
    names = [found for found in fields_of("text") if found[1].endswith("name")]

    for operation, name, _ in names:
        for value in NO_NAMES:
            answer = operation.send(ada, body={name: json.dumps(value)})

            assert answer.status_code == 422, (operation.name, name, value)
    assert len(names) >= 6
    assert dump_tables(server) == before


def test_a_description_keeps_its_lines_and_tabs(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    written = "First line\n\tsecond\r\nthird \u2028 " + "😀" * 100

    answer = as_user(ana).clock_in(website.id, written)

    assert answer.json()["description"] == written


NO_NUMBERS = words("""
    NaN Infinity -Infinity 1e999 -1e999 2147483648 9223372036854775807 9223372036854775808 -1 0 -0
    1.5 "7" "" true [] [1] {}
""")
HUGE_NUMBERS = ["9" * 4000, "9" * 5000, "-" + "9" * 5000]


def test_a_number_in_a_body_refuses_what_is_no_number_in_its_range(server, ada):
    before = dump_tables(server)

    found = list(fields_of("integer"))
    for operation, name, _ in found:
        for value in NO_NUMBERS + HUGE_NUMBERS:
            answer = operation.send(ada, body={name: value})

            assert answer.status_code == 422, (operation.name, name, value[:40])
    assert {name for _, name, _ in found} >= {"project_id", "manager_id"}
    assert dump_tables(server) == before


def test_a_yes_or_no_and_a_choice_refuse_everything_else(server, ada):
    before = dump_tables(server)

    for operation, name, schema in [*fields_of("boolean"), *fields_of("choice")]:
        for value in ("1", "0", '"yes"', '"true"', '"ADMIN"', '"admin "', "null", "[]", "{}", "NaN", r'"\u0000"'):
            if value == "null" in kinds(schema):
                continue
            answer = operation.send(ada, body={name: value})

            assert answer.status_code == 422, (operation.name, name, value)
    assert dump_tables(server) == before


# Queries and paths


def test_text_in_a_query_refuses_control_characters(server, ada):
    before = dump_tables(server)

    found = list(parameters_of("text"))
    for operation, name, _ in found:
        for value in (*words("%00 a%00b %07 %1b%5b31m %7f %c2%85 a%0ab a%0db %e2%80%a8"), "", "x" * 5000):
            answer = operation.send(ada, query={name: value})

            assert answer.status_code == 422, (operation.name, name, value[:40])
    assert {name for _, name, _ in found} >= {"search", "start_date", "end_date", "time_zone"}
    assert dump_tables(server) == before


def test_bytes_that_are_no_text_break_nothing(ada):
    """Percent-encoded bytes that are not valid UTF-8 become replacement characters."""
    for operation, name, _ in parameters_of("text"):
        for value in ("%ff", "%ed%a0%80", "%c3%28", "%f8%a1%a1%a1%a1", "%", "%zz", "%u0000"):
            answer = operation.send(ada, query={name: value})

            assert answer.status_code in {200, 204, 404, 422}, (operation.name, name, value)


def test_a_number_in_a_query_refuses_what_is_no_number_in_its_range(server, ada):
    before = dump_tables(server)

    found = list(parameters_of("integer"))
    for operation, name, schema in found:
        bad = ["", str(schema["maximum"] + 1), str(2**63), "9" * 5000]
        bad += words("NaN inf 1e999 1e3 -1 1.5 abc 0x10 %00 %ef%bc%91 %d9%a1 1%2c2 1;2 --1 [1] null true")
        if "minimum" in schema and schema["minimum"] > 0:
            bad.append("0")
        for value in bad:
            answer = operation.send(ada, query={name: value})

            assert answer.status_code == 422, (operation.name, name, value[:40])
    assert {name for _, name, _ in found} >= {"skip", "limit", "manager_id"}
    assert dump_tables(server) == before


def test_a_page_has_a_size(ada):
    for operation, name, _ in parameters_of("integer"):
        if name == "limit":
            for value in ("0", "-1", "1001", str(10**9)):
                assert operation.send(ada, query={name: value}).status_code == 422, (operation.name, value)
            if "skip" in operation.parameters:
                assert operation.send(ada, query={"limit": "1000", "skip": str(2**31 - 1)}).json() == []


def test_a_choice_in_a_query_is_one_of_the_list(ada):
    checked = set()
    for operation, name, schema in [*parameters_of("choice"), *parameters_of("boolean")]:
        for value in ("hashed_password", "ADMIN", "admin'--", "%00", "", "2", "maybe", "[]"):
            answer = operation.send(ada, query={name: value})

            assert answer.status_code == 422, (operation.name, name, value, schema)
        checked.add(name)
    assert checked >= {"role", "is_active", "scope", "columns", "include_entries", "switch"}


def test_a_path_takes_ids_and_nothing_else(server, ada):
    before = dump_tables(server)
    bad = [str(2**31), str(2**53 - 1), str(2**63), "9" * 5000, "\U0001f600"]
    bad += words("NaN inf 1e999 -1 0 1.5 abc me'-- %00 1%00 %07 %ef%bc%91 %ff %ed%a0%80 .. %2e%2e ; 1;a=b * %25")

    for operation, value in product(OPERATIONS, bad):
        if "{" in operation.path:
            address = re.sub(r"\{\w+\}", lambda _, value=value: value, operation.path)
            answer = ada.at_root(operation.method, address, params=operation.query)

            assert answer.status_code in {404, 405, 422}, (operation.name, value)
    assert dump_tables(server) == before


NO_DATES = [
    *words("""
    1999-12-31 2100-01-02 0001-01-01 9999-12-31 2026-02-29 2026-13-01 2026-00-10 2026-03-32 20260301 2026-3-1 26-03-01
    2026/03/01 01.03.2026 2026-W10-1 2026-060 1772323200 1772323200.0 0 -1 2026-03-01T00:00:00 2026-03-01T00:00:00Z
    2026-03-01Z +2026-03-01 -2026-03-01 now today null NaN Infinity 2026\u201303\u201301 \u0662\u0660\u0662\u0666-03-01
    \uff12\uff10\uff12\uff16-\uff10\uff13-\uff10\uff11
"""),
    *("", " 2026-03-01", "2026-03-01 ", "2026-03-01\n", "2026-03-01 00:00"),
]


def test_a_date_is_a_day_from_2000_to_2100(ada):
    found = [each for each in parameters_of("text") if each[1] in {"start_date", "end_date"}]
    for operation, name, _ in found:
        for value in NO_DATES:
            answer = operation.send(ada, query={name: quote(value)})

            assert answer.status_code == 422, (operation.name, name, value)
    assert len(found) >= 6


def test_a_period_runs_forwards(ada):
    for operation in OPERATIONS:
        if "start_date" in operation.parameters:
            answer = operation.send(ada, query={"start_date": "2026-03-02", "end_date": "2026-03-01"})

            assert (answer.status_code, answer.json()["code"]) == (422, "period_reversed"), operation.name


def test_own_hours_may_be_asked_for_the_whole_calendar(ada):
    whole = {"start_date": "2000-01-01", "end_date": "2100-01-01"}

    assert ada.get("/time-entries/me", params=whole).status_code == 200
    assert ada.get("/reports/export/csv", params=whole).status_code == 200
    assert ada.get("/reports/team", params=whole | {"include_entries": False}).status_code == 200
    assert ada.get("/reports/team", params=whole).json()["code"] == "period_too_long"


def test_a_time_zone_is_a_name_of_the_tz_database(server, ada):
    before = dump_tables(server)
    bad = words("""
        Europe/Nowhere europe/berlin ../../etc/passwd /etc/localtime localtime a\\b posixrules Factory +01:00 UTC+1
        CET-1CEST Europe Europe/ . tzdata.zi zone.tab
    """)

    for value in [*bad, "Europe/Berlin "]:
        assert ada.get("/time-entries/me", params=PERIOD | {"time_zone": value}).status_code == 422, value
        assert ada.patch("/auth/me", json={"time_zone": value}).status_code == 422, value
    assert dump_tables(server) == before


# Sizes


def test_a_body_over_its_limit_is_413_by_its_announced_length(server, ada):
    before = dump_tables(server)

    for operation in OPERATIONS:
        answer = ada.at_root(operation.method, operation.address, content=b"x" * (operation.max_bytes + 1))

        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), operation.name
    assert dump_tables(server) == before


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/csv"])
def test_a_body_over_its_limit_is_413_by_its_counted_bytes(server, ada, content_type):
    before = dump_tables(server)

    for operation in OPERATIONS:
        takes_it = bool(operation.file) if "csv" in content_type else bool(operation.fields)
        if takes_it and (operation.name in LOGINS) == ("form" in content_type):
            pieces = (b"x" * 65_536 for _ in range(operation.max_bytes // 65_536 + 1))
            answer = ada.at_root(
                operation.method, operation.address, content=pieces, headers={"Content-Type": content_type}
            )

            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), operation.name
    assert dump_tables(server) == before


def test_a_body_of_one_mib_is_read(people, as_user):
    ana = as_user(people.employee("Ana"))
    website = people.project("Website")
    body = json.dumps({"project_id": website.id, "description": ""})

    answer = ana.post("/time-entries/clock-in", content=body.ljust(MIB), headers={"Content-Type": "application/json"})

    assert answer.status_code == 200


def test_an_endless_body_costs_no_memory(ada):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pieces = (b"x" * 65_536 for _ in range(1600))

    answer = ada.post("/time-entries/clock-in", content=pieces, headers={"Content-Type": "application/json"})

    assert answer.status_code == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB


def test_an_encoded_body_is_415(server, ada):
    before = dump_tables(server)

    for operation in OPERATIONS:
        for encoding in ("gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x", ""):
            answer = ada.at_root(
                operation.method,
                operation.address,
                content=b"\x1f\x8b",
                headers={"Content-Encoding": encoding},
            )

            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_content_encoding"), (
                operation.name,
                encoding,
            )
    assert dump_tables(server) == before


def test_identity_is_no_encoding(people, as_user):
    ana, website = as_user(people.employee("Ana")), people.project("Website")
    body = {"project_id": website.id, "description": ""}

    assert ana.post("/time-entries/clock-in", json=body, headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_huge_token_is_401(anonymous):
    answer = anonymous.get("/auth/me", headers={"Authorization": f"Bearer {'A' * 60_000}.e30.A"})

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_every_shape_of_the_authorization_header_but_ours_is_401(people, server, anonymous):
    token = server.token(people.employee("Ana"))
    shapes = ["", "Bearer", "Basic YTpi", f"Basic {token}", f"Token {token}", token, f"Bearer {token}, x"]
    shapes += [f"Bearer Bearer {token}", f"Bearer {token}.", "Bearer null", "Bearer \x80\xff"]

    for shape in shapes:
        answer = anonymous.get("/auth/me", headers={"Authorization": shape.encode("latin-1")})

        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), shape
    assert anonymous.get("/auth/me", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_a_token_of_somebody_who_never_was_is_401(server):
    for user_id in (999_999, 2**31 - 1):
        with server.caller(server._signer.sign(user_id, 0, at=utc_now())) as deleted_user:
            assert deleted_user.get("/auth/me").status_code == 401


# Passwords


def log_in(anonymous, password, email="nora@example.com"):
    return anonymous.post("/auth/login", data={"username": email, "password": password}).status_code


def hire(ada, password):
    nora = {"email": "nora@example.com", "first_name": "Nora", "last_name": "Neu", "role": "employee"}
    return ada.post("/admin/users", json=nora | {"password": password})


LONG = "violet harbour 42 lantern 😀 "
WEAK = words("""
    elevenchars violet-harb password1234 Password1234 passwordpassword aaaaaaaaaaaaaaaa 123456789012 qwertyuiop[]
    abcdefghijkl 111111111111111111
""")
WEAK += ["", " " * 12, (LONG * 9)[:129], "x" * 1_000_000, "violet-harbour\x00-42", "violet-harbour\x1b-42"]
WEAK += ["\ufdfa" * 12, "\ufdfa" * 128, "\ufb00" * 5]  # 216, 2,304 and 10 characters once they are normalised


def test_a_weak_password_is_422_wherever_it_is_set(server, ada):
    before = dump_tables(server)

    for password in WEAK:
        created = hire(ada, password)
        changed = ada.put("/admin/users/2/password", json={"password": password})

        assert (created.status_code, changed.status_code) == (422, 422), password[:30]
        assert password[:40] not in created.text or len(password) < 12
    assert dump_tables(server) == before


def test_the_shortest_and_the_longest_password_log_in(ada, anonymous):
    shortest, longest = "violet-harb0", (LONG * 9)[:128]
    assert hire(ada, shortest).status_code == 201

    assert log_in(anonymous, shortest) == 200
    user = ada.get("/admin/users", params={"search": "nora"}).json()[0]
    assert ada.put(f"/admin/users/{user['id']}/password", json={"password": longest}).status_code == 200
    assert log_in(anonymous, longest) == 200
    assert log_in(anonymous, longest[:-1]) == 401


def test_every_character_of_a_password_counts(ada, anonymous):
    password = "violet harbour 42 lantern " * 4
    hire(ada, password)

    assert log_in(anonymous, password) == 200
    for changed in (password[:72], password[:73] + "X" + password[74:], password.strip(), password.upper()):
        assert log_in(anonymous, changed) == 401, changed


def test_one_password_typed_on_two_keyboards_is_one_password(ada, anonymous):
    hire(ada, "Ångström café ①②③ ﬁlter")

    assert log_in(anonymous, unicodedata.normalize("NFD", "Ångström café ①②③ ﬁlter")) == 200
    assert log_in(anonymous, "Ångström café 123 filter") == 200
    assert log_in(anonymous, "Angstrom cafe 123 filter") == 401


# Text that grows, and text that means something elsewhere


def test_text_whose_normal_form_outgrows_its_column_is_422(server, ada):
    before = dump_tables(server)
    growing = "\ufdfa" * 100  # each becomes 18 characters

    for operation, name, _ in fields_of("text"):
        if name.endswith("name") or name == "email":
            value = growing if name != "email" else f"{growing}@example.com"
            assert operation.send(ada, body={name: json.dumps(value)}).status_code == 422, (operation.name, name)
    assert ada.get("/admin/users", params={"search": growing}).json() == []
    assert dump_tables(server) == before


def test_text_that_takes_minutes_to_normalise_is_422_at_once(ada):
    for operation, name, _ in fields_of("text"):
        if name.endswith("name") or name == "email":
            slow = json.dumps("a" + "\u0301\u0323" * (operation.max_bytes // 4 - 1_000), ensure_ascii=False)
            assert operation.send(ada, body={name: slow}).status_code == 422, (operation.name, name)


def test_text_whose_normal_form_just_fits_is_kept(ada):
    fits = "\ufdfa" * 22
    nora = {
        "email": "nora@example.com",
        "first_name": fits,
        "last_name": fits,
        "role": "employee",
        "password": PASSWORD,
    }

    created = ada.post("/admin/users", json=nora)

    assert created.status_code == 201
    assert created.json()["first_name"] == fits


def test_a_description_that_takes_searches_long_is_rejected(people, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    caller = as_user(ana)

    rejected = caller.post("/time-entries/clock-in", json={"project_id": website.id, "description": "\ufdfa" * 223})
    accepted = caller.post(
        "/time-entries/clock-in", json={"project_id": website.id, "description": "\ufdfa" * 122 + "ü" * 1804}
    )

    assert rejected.status_code == 422
    assert "too long after Unicode normalization" in rejected.text
    assert (accepted.status_code, len(accepted.json()["description"])) == (200, 1926)


def test_percent_and_underscore_in_a_search_are_letters(ada, people):
    for name in ("A%B", "AxB", "A_B", r"A\B", "A'B"):
        people.employee(name, email=f"{ord(name[1])}@example.com")
        people.project(f"Project {name}")

    for sign in ("%", "_", "\\", "'"):
        found = ada.get("/admin/users", params={"search": f"a{sign}b"}).json()
        projects = ada.get("/admin/projects", params={"search": sign}).json()
        assert [user["first_name"] for user in found] == [f"A{sign}B"]
        assert [project["name"] for project in projects] == [f"Project A{sign}B"]


CORES = [
    *("OR 1=1", "OR '1'='1", "OR true", "UNION SELECT * FROM user", "UNION ALL SELECT NULL,NULL,NULL", "AND 1=0"),
    *("; DROP TABLE user", "; DELETE FROM user", "; UPDATE user SET role='admin'", "; SELECT pg_sleep(9)", "|| 'x'"),
    *("LIKE '%'", "IS NOT NULL", "ORDER BY 99", "LIMIT 9 OFFSET 0", "AND (SELECT 1)=1", "$(id)", "`id`", "{{7*7}}"),
    *("${7*7}", "<script>alert(1)</script>", "../../../../etc/passwd", "%s%s%n", "*)(uid=*", "[$ne]=1"),
]
FREE_TEXT = {"search", "reason"}
INJECTIONS = [
    f"{before}{core}{after}"
    for before, core, after in product(["", "'", '"', "')", "1 "], CORES, ["", "--", "/*", "'"])
]


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.extended)])
def test_injections_find_nothing_and_change_nothing(server, ada, step):
    """Search users for every third of 500 strings, and projects and entries for some. No name contains one.

    A third of them has every core with every beginning or end.
    """
    before = dump_tables(server)

    assert len(INJECTIONS) == 500
    for injection in INJECTIONS[::step]:
        assert ada.get("/admin/users", params={"search": injection}).json() == [], injection
    for injection in INJECTIONS[:: 5 * step]:
        assert ada.get("/admin/projects", params={"search": injection}).json() == [], injection
        assert ada.get("/time-entries", params={"search": injection}).json() == [], injection
    assert dump_tables(server) == before


@pytest.mark.parametrize("strings", [8, pytest.param(100, marks=pytest.mark.extended)])
def test_injections_in_any_other_parameter_are_refused(server, ada, strings):
    """Send other strings to each parameter, and each of the 500 to some parameter."""
    before, injections, sent = dump_tables(server), cycle(INJECTIONS), 0

    for operation in OPERATIONS:
        for name, each in operation.parameters.items():
            if name in FREE_TEXT:
                continue
            for injection in islice(injections, strings):
                sent += 1
                answer = operation.send(ada, query={name: quote(injection)})
                assert answer.status_code == 422, (operation.name, name, injection, each)
    assert sent >= len(INJECTIONS)
    assert dump_tables(server) == before


def test_injections_in_a_name_are_kept_as_they_were_typed(ada):
    for injection in INJECTIONS[::10]:
        created = ada.post("/admin/projects", json={"name": injection})

        assert created.status_code in {201, 409}, injection
        if created.status_code == 201:
            assert created.json()["name"] == injection.strip()
            found = ada.get("/admin/projects", params={"search": injection}).json()
            assert injection.strip() in [project["name"] for project in found]


def test_a_name_never_becomes_a_header(people, as_user):
    mia = people.manager("Mia")
    ana = people.employee("Ana", manager=mia)
    website = people.project('x"; filename=evil.exe; y="')
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")

    export = as_user(mia).get("/reports/export/csv", params=PERIOD)
    page = as_user(mia).get("/team?limit=1&x=%0d%0aX-Evil:%201&y=%3E;rel=evil")

    disposition = 'attachment; filename="time_report_2026-03-01_to_2026-03-31.csv"'
    assert export.headers["Content-Disposition"] == disposition
    assert "X-Evil" not in page.headers
    assert page.links.keys() == {"next"}


def test_a_project_name_with_line_breaks_is_refused(ada):
    for name in ('x"\r\nX-Evil: 1', "x\nX-Evil: 1", "x\rX-Evil: 1"):
        assert ada.post("/admin/projects", json={"name": name}).status_code == 422


# Pages and responses


@pytest.mark.parametrize("path", ["/admin/users", "/team"])
def test_walking_the_pages_while_others_are_hired_meets_each_earlier_person_once(people, ada, path):
    for number in range(7):
        people.employee(f"Early {number}", email=f"early{number}@example.com")
    earlier = [user["id"] for user in ada.get(path).json()]

    met, address = [], f"{path}?limit=2"
    while address:
        page = ada.get(address) if not met else ada.at_root("GET", address)
        met += [user["id"] for user in page.json()]
        if len(met) < 20:
            people.employee("Aaron", email=f"late{len(met)}@example.com")
        address = page.links.get("next", {}).get("url")

    assert [person_id for person_id in met if person_id in earlier] == earlier
    assert len(met) == len(set(met))


def test_no_answer_but_those_that_hand_one_out_holds_a_secret(people, server, as_user):
    """Check the whole response of every operation for every role, each with a login session of its own."""
    mia = people.manager("Mia")
    company = [people.employee("Ana", manager=mia), mia, people.admin("Ada")]
    people.entry(company[0], people.project("Old website"), "2026-03-02 08:00", "2026-03-02 12:00")

    seen = 0
    for user in company:
        for operation in OPERATIONS:
            if SECRET_ISSUING_PATHS.search(operation.path):
                continue
            answer = operation.send(as_user(user))
            assert "argon2" not in answer.text
            assert PASSWORD not in answer.text
            if answer.is_success:
                body_text = NAMED.sub("", answer.text.lower())
                assert [word for word in ("hash", "password", "secret", "token") if word in body_text] == [], (
                    operation.name
                )
                seen += 1
    assert seen > 30
