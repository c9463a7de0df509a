"""The OpenAPI document is complete: limits, examples, error responses, security (threats 18, rules: The API)."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.api.openapi.problem_examples import DETAILS
from app.core.database.migrations import ROOT
from app.core.security.access_tokens import TokenScope
from app.services.users.csv_format import COLUMNS
from tests.support.factories import PASSWORD
from tests.support.in_process_server import PROBLEM, documented_codes, openapi_document

DOCUMENT = openapi_document()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
SCHEMAS = DOCUMENT["components"]["schemas"]
ALL_ANSWERS = [
    *DOCUMENT["components"]["responses"].values(),
    *(answer for operation in OPERATIONS.values() for answer in operation["responses"].values()),
]
SETTLED = {
    "GET /": "200",
    "POST /api/v1/auth/login": "200",
    "POST /api/v1/time-entries/clock-in": "200",
    "POST /api/v1/time-entries/{entry_id}/clock-out": "200",
    "GET /api/v1/time-entries/me": "200",
    "GET /api/v1/reports/team": "200",
    "GET /api/v1/reports/export/csv": "200",
    "POST /api/v1/admin/users": "201",
    "GET /api/v1/admin/users": "200",
    "PUT /api/v1/admin/users/{user_id}/deactivate": "200",
    "PUT /api/v1/admin/users/{employee_id}/assign-manager": "200",
    "POST /api/v1/admin/projects": "201",
}
OPERATION_IDS = [
    "activate_user",
    "add_project_member",
    "assign_manager",
    "bulk_change_entries",
    "change_my_password",
    "clock_in",
    "clock_out",
    "clock_out_entry",
    "confirm_second_factor",
    "create_api_token",
    "create_entry",
    "create_password_link",
    "create_project",
    "create_user",
    "deactivate_user",
    "delete_entry",
    "end_my_other_sessions",
    "end_my_session",
    "end_user_sessions",
    "enroll_second_factor",
    "export_entries_csv",
    "export_entries_json",
    "export_entries_xlsx",
    "export_my_data",
    "export_timesheet_pdf",
    "export_users",
    "get_entry",
    "get_entry_history",
    "get_hours_summary",
    "get_liveness",
    "get_metrics",
    "get_my_account",
    "get_my_api_token",
    "get_my_open_entry",
    "get_my_report",
    "get_my_second_factor",
    "get_project",
    "get_readiness",
    "get_team_report",
    "get_user",
    "get_welcome",
    "import_users",
    "list_api_tokens",
    "list_audit_events",
    "list_bookable_projects",
    "list_clocked_in_users",
    "list_entries",
    "list_my_api_tokens",
    "list_my_entries",
    "list_my_sessions",
    "list_project_members",
    "list_projects",
    "list_team_members",
    "list_users",
    "log_in",
    "log_out",
    "refresh_tokens",
    "remove_manager",
    "remove_my_second_factor",
    "remove_project_member",
    "reset_user_second_factor",
    "revoke_api_token",
    "revoke_my_api_token",
    "set_password_by_link",
    "set_user_password",
    "update_entry",
    "update_my_account",
    "update_project",
    "update_user",
]
METHOD_SUFFIXES = ("_get", "_post", "_put", "_patch", "_delete")
SELF_BOUNDED = {"date", "date-time", "email", "uuid"}
Schema = dict[str, Any]


def schemas_in(part: Any, location: str) -> Iterator[tuple[str, Schema]]:
    """Yield every schema below a part of the document with its location. References are not followed."""
    if isinstance(part, list):
        for number, each in enumerate(part):
            yield from schemas_in(each, f"{location}.{number}")
    if not isinstance(part, dict):
        return
    if "type" in part and isinstance(part["type"], str | list) and "in" not in part:
        yield location, part
    for name, each in part.items():
        if name not in {"example", "examples", "default", "enum"}:
            yield from schemas_in(each, f"{location}.{name}")


def kinds(schema: Schema) -> set[str]:
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)


def schemas_sent() -> Iterator[tuple[str, Schema]]:
    """Yield the schemas of parameters and request bodies."""
    for name, operation in OPERATIONS.items():
        yield from schemas_in(operation.get("parameters", []), name)
        for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
            if media_type == "text/csv":
                yield from schemas_in(media["schema"], name)
                continue
            body = media["schema"]["$ref"].rpartition("/")[2]
            yield from schemas_in(SCHEMAS[body], body)


ALL_SCHEMAS = dict(schemas_in(DOCUMENT["paths"], "paths")) | dict(schemas_in(DOCUMENT["components"], "components"))


def test_every_string_has_a_maximum():
    unbounded = [
        location
        for location, schema in ALL_SCHEMAS.items()
        if "string" in kinds(schema)
        and not {"maxLength", "enum", "const"} & schema.keys()
        and schema.get("format") not in SELF_BOUNDED
    ]

    assert unbounded == []


def test_whole_numbers_are_written_without_a_fraction():
    assert [
        bound for bound in re.findall(r'"(?:maximum|minimum)": [-0-9.e+]+', json.dumps(DOCUMENT)) if "." in bound
    ] == []


def test_every_integer_has_a_range():
    unbounded = [
        location
        for location, schema in ALL_SCHEMAS.items()
        if "integer" in kinds(schema) and not {"minimum", "maximum"} <= schema.keys()
    ]

    assert unbounded == []


def test_every_list_that_is_sent_has_a_maximum():
    assert [
        location for location, schema in schemas_sent() if "array" in kinds(schema) and "maxItems" not in schema
    ] == []


def test_schema_titles_are_unique_and_hold_no_module_path():
    """If two classes share a name, pydantic adds their module paths. Client generators skip operations whose schemas
    share a title."""
    titles = [schema["title"] for schema in SCHEMAS.values()]

    assert titles == list(SCHEMAS)
    assert [title for title in titles if not re.fullmatch("([A-Z][a-z]*)+", title)] == []


def test_every_body_lists_its_fields_and_refuses_others():
    open_ones = [
        location
        for location, schema in schemas_sent()
        if "object" in kinds(schema) and schema.get("additionalProperties") is not False
    ]

    assert open_ones == ["LoginForm"], "only the login form ignores unknown fields"


def test_the_walk_sees_the_whole_document():
    assert len(ALL_SCHEMAS) > 150
    assert {location.split(".")[0] for location, _ in schemas_sent()} > {
        "ClockIn",
        "UserCreate",
        "GET /api/v1/admin/users",
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_described(name):
    operation = OPERATIONS[name]

    assert len(operation["tags"]) == 1
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert operation["summary"]
    assert len(operation["description"]) > len(operation["summary"])


def test_summaries_are_unique():
    summaries = [operation["summary"] for operation in OPERATIONS.values()]

    assert len(summaries) == len(set(summaries))


def test_operation_ids_are_stable_because_generated_clients_name_their_methods_after_them():
    assert sorted(operation["operationId"] for operation in OPERATIONS.values()) == OPERATION_IDS


def test_operation_ids_are_unique_and_snake_case_and_hold_no_path():
    assert len(OPERATION_IDS) == len(set(OPERATION_IDS))
    assert [each for each in OPERATION_IDS if not re.fullmatch("[a-z]+(_[a-z]+)+", each)] == []
    assert [each for each in OPERATION_IDS if "api_v1" in each or each.endswith(METHOD_SUFFIXES)] == []


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if "requestBody" in operation])
def test_every_body_and_each_of_its_fields_has_an_example(name):
    for media_type, media in OPERATIONS[name]["requestBody"]["content"].items():
        if media_type == "text/csv":
            assert media["example"].splitlines()[0] == ",".join(COLUMNS)
            continue
        fields = SCHEMAS[media["schema"]["$ref"].rpartition("/")[2]]["properties"]

        assert media["example"].keys() == fields.keys()
        for field in fields.values():
            assert any(kind.get("examples") for kind in field.get("anyOf", [field]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_documents_its_problems(name):
    operation = OPERATIONS[name]
    expected = {408, 413, 415, 421, 422, 500, 503}
    if operation["security"]:
        expected |= {401, 403, 429}
    if "{" in name:
        expected |= {404}

    assert [status for status in expected if not documented_codes(operation, status)] == []
    for status, answer in operation["responses"].items():
        if status >= "400" and not status.endswith("XX"):
            check_problems(answer, {int(status)})
            for example in answer["content"][PROBLEM]["examples"].values():
                assert example["value"]["instance"] == re.sub(r"\{\w+\}", "1", name.partition(" ")[2])


def test_errors_that_all_operations_share_are_described_once():
    shared = DOCUMENT["components"]["responses"]
    shared_codes = {code for answer in shared.values() for code in answer["content"][PROBLEM]["examples"]}

    for answer in shared.values():
        check_problems(answer, set(range(400, 600)))
    for name, operation in OPERATIONS.items():
        own = [answer["content"][PROBLEM] for answer in operation["responses"].values() if PROBLEM in str(answer)]
        repeated = {code for content in own for code in content["examples"]} & shared_codes
        assert repeated <= ({"too_many_changes"} if not operation["security"] else set()), name
        assert len(operation["responses"]) <= 9, name


def check_problems(answer, statuses):
    """Check that each error of a response has an example with all fields and one of the statuses."""
    content = answer["content"][PROBLEM]
    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert content["examples"]
    for code, example in content["examples"].items():
        problem = example["value"]
        assert (problem["code"], problem["title"]) == (code, example["summary"])
        assert problem["status"] in statuses
        assert SCHEMAS["Problem"]["properties"].keys() >= problem.keys() >= set(SCHEMAS["Problem"]["required"])


def sentences_in_code():
    """Return a pattern for each text in the source code of the service, with a wildcard for each value in it."""
    for source in (ROOT / "app").rglob("*.py"):
        if source.name == "problem_examples.py":
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            match node:
                case ast.Constant(value=str() as text):
                    yield re.escape(text)
                case ast.JoinedStr(values=parts):
                    yield "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in parts)


def test_the_example_of_an_error_is_a_sentence_that_the_service_sends():
    patterns = [re.compile(pattern) for pattern in sentences_in_code() if len(re.findall("[a-z]", pattern)) > 15]
    unsent = {code for code, text in DETAILS.items() if not any(pattern.fullmatch(text) for pattern in patterns)}
    documented = {
        code for answer in ALL_ANSWERS for code in answer.get("content", {}).get(PROBLEM, {}).get("examples", ())
    }

    assert documented - DETAILS.keys() == set(), "each error needs a sentence"
    assert unsent == {"validation_failed"}, "its sentence begins with the name of the field"


def test_the_example_of_an_invalid_request_is_what_the_service_sends(admin):
    refused = admin.post("/time-entries/clock-in", json={"description": "Landing page"}).json()
    example = DOCUMENT["components"]["responses"]["RequestError"]["content"][PROBLEM]["examples"]["validation_failed"]

    assert example["value"] == refused | {"request_id": example["value"]["request_id"]}


def test_every_field_is_described():
    fields = {f"{name}.{field}": schema for name, each in SCHEMAS.items() for field, schema in properties(each)}

    assert len(fields) > 250
    assert [name for name, schema in fields.items() if not (schema.get("description") or "$ref" in schema)] == []


def properties(schema):
    return schema.get("properties", {}).items()


PARAMETERS = {
    f"{name} {parameter['name']}": parameter
    for name, operation in OPERATIONS.items()
    for parameter in operation.get("parameters", [])
}


def test_every_parameter_is_described_and_has_an_example_or_a_default():
    assert [name for name, parameter in PARAMETERS.items() if not parameter["description"]] == []
    assert [name for name, each in PARAMETERS.items() if not {"examples", "default"} & each["schema"].keys()] == []


def test_swagger_fills_in_what_is_required_and_no_filter():
    """Swagger UI copies the example of a parameter into its field, and sends it with Execute."""
    filled = {name for name, parameter in PARAMETERS.items() if "example" in parameter}

    assert filled == {name for name, parameter in PARAMETERS.items() if parameter["required"]}
    dates = [PARAMETERS[f"GET /api/v1/time-entries/me {name}"]["example"] for name in ("start_date", "end_date")]
    assert dates == ["2026-03-01", "2026-03-31"]


@pytest.mark.parametrize("schema", ["TimeEntryRead", "TimeEntryWithProject"])
def test_the_example_of_an_entry_is_one_that_can_exist(schema):
    entry = {name: field["examples"][0] for name, field in properties(SCHEMAS[schema]) if "examples" in field}

    assert entry["created_at"] == entry["start_time"] < entry["end_time"] == entry["updated_at"]
    assert (entry["needs_review"], entry["version"]) == (False, 2)


def test_the_example_of_a_clock_in_is_an_open_entry(admin, website):
    started = admin.clock_in(website.id, "Landing page").json()
    current = admin.get("/time-entries/current").json()

    for name, entry in (("POST /api/v1/time-entries/clock-in", started), ("GET /api/v1/time-entries/current", current)):
        example = OPERATIONS[name]["responses"]["200"]["content"]["application/json"]["example"]
        assert example.keys() == entry.keys()
        for field in ("end_time", "version", "needs_review", "description"):
            assert example[field] == entry[field]


def test_answers_name_their_headers():
    people = OPERATIONS["GET /api/v1/admin/users"]["responses"]
    hours = OPERATIONS["GET /api/v1/time-entries/me"]["responses"]
    sheet = OPERATIONS["GET /api/v1/reports/export/pdf"]["responses"]

    limits = {"RateLimit-Policy", "RateLimit"}
    created = OPERATIONS["POST /api/v1/time-entries"]["responses"]["201"]["headers"]
    assert people["200"]["headers"].keys() == {"X-Request-ID", "X-Total-Count", "Link"} | limits
    assert created.keys() == {"X-Request-ID", "Location", "Idempotent-Replayed", "ETag"} | limits
    shared, exports = DOCUMENT["components"]["responses"], OPERATIONS["GET /api/v1/reports/export/csv"]["responses"]
    assert exports["429"]["headers"].keys() == {"X-Request-ID", "Retry-After"} | limits
    assert exports["503"]["headers"].keys() == {"X-Request-ID", "Retry-After"}
    refusals = {"X-Request-ID", "Retry-After", "WWW-Authenticate"} | limits
    assert shared["RequestError"]["headers"].keys() == refusals
    assert shared["AnonymousRequestError"]["headers"].keys() == {"X-Request-ID", "Retry-After"}
    assert shared["ServerError"]["headers"].keys() == {"X-Request-ID", "Retry-After"}
    assert hours["200"]["headers"].keys() == {"X-Request-ID", "X-As-Of"} | limits
    assert sheet["200"]["headers"].keys() == {"X-Request-ID", "X-As-Of"} | limits
    assert sheet["200"]["content"].keys() == {"application/pdf"}


@pytest.mark.parametrize(("name", "status"), SETTLED.items())
def test_a_settled_route_is_there_with_its_success_code(name, status):
    assert [code for code in OPERATIONS[name]["responses"] if code < "300"] == [status]


def test_all_but_the_ways_in_the_greeting_and_the_health_checks_need_a_token():
    free = {name for name, operation in OPERATIONS.items() if operation["security"] == []}

    assert free == {
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/password/set",
        "GET /",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
    }


def test_the_authorize_button_knows_the_login():
    scheme = DOCUMENT["components"]["securitySchemes"]["OAuth2PasswordBearer"]

    assert scheme["type"] == "oauth2"
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/login"
    assert "application/x-www-form-urlencoded" in OPERATIONS["POST /api/v1/auth/login"]["requestBody"]["content"]


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("POST /api/v1/time-entries/clock-in", ["entries:write"]),
        ("GET /api/v1/projects", ["entries:read", "entries:write"]),
        ("GET /api/v1/reports/export/csv", ["reports:read"]),
        ("PUT /api/v1/admin/users/{user_id}/password", []),
    ],
)
def test_an_operation_says_which_api_tokens_it_takes(name, scopes):
    assert DOCUMENT["components"]["securitySchemes"]["ApiToken"]["scheme"] == "bearer"
    logins = [{"OAuth2PasswordBearer": [scope]} for scope in scopes] or [{"OAuth2PasswordBearer": []}]
    api_token = [{"ApiToken": []}] if scopes else []
    assert OPERATIONS[name]["security"] == [*logins, {"AccessToken": []}, *api_token]


def test_a_token_from_elsewhere_can_be_entered_and_each_scope_is_explained():
    """With a second factor, or with an API token, the password form of the Authorize button does not help."""
    schemes = DOCUMENT["components"]["securitySchemes"]

    assert {name: schemes[name]["scheme"] for name in ("AccessToken", "ApiToken")} == {
        "AccessToken": "bearer",
        "ApiToken": "bearer",
    }
    used = {
        scope for each in OPERATIONS.values() for way in each["security"] for scopes in way.values() for scope in scopes
    }
    assert used == schemes["OAuth2PasswordBearer"]["flows"]["password"]["scopes"].keys() == set(TokenScope)


@pytest.mark.parametrize(
    "extra",
    [
        {"grant_type": "password", "scope": "", "client_id": "", "client_secret": ""},
        {"grant_type": "password", "client_id": "a", "client_secret": "b", "scope": "read write"},
        {"grant_type": "something else", "whatever": "1"},
        {},
    ],
    ids=["as Swagger sends them", "filled in", "unknown", "none"],
)
def test_the_login_ignores_fields_that_it_does_not_know(people, anonymous, extra):
    people.employee("Ana")

    answer = anonymous.post("/auth/login", data={"username": "ana@example.com", "password": PASSWORD} | extra)

    assert answer.status_code == 200
    assert answer.json().keys() >= {"access_token", "token_type", "expires_in"}
    assert anonymous.get("/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"}).is_success


def test_the_page_names_the_steps_of_a_first_punch_in_their_order():
    steps = ["Authorize", "POST /admin/projects", "POST /time-entries/clock-in", "POST /time-entries/clock-out"]

    places = [DOCUMENT["info"]["description"].index(step) for step in steps]

    assert places == sorted(places)


def test_the_page_says_how_an_admin_without_a_team_reads_all_hours():
    assert "`scope=all`" in OPERATIONS["GET /api/v1/reports/team"]["description"]


def test_a_new_admin_can_press_execute_on_every_example(people, as_user):
    """On a fresh system all examples work unchanged, because the first admin and the first project have id 1."""
    admin = as_user(people.admin("First"))
    example = {
        name: next(iter(operation["requestBody"]["content"].values()))["example"]
        for name, operation in OPERATIONS.items()
        if "requestBody" in operation
    }

    assert admin.post("/admin/projects", json=example["POST /api/v1/admin/projects"]).status_code == 201
    assert admin.post("/admin/users", json=example["POST /api/v1/admin/users"]).status_code == 201
    assert admin.post("/time-entries/clock-in", json=example["POST /api/v1/time-entries/clock-in"]).status_code == 200
    assert admin.patch("/auth/me", json=example["PATCH /api/v1/auth/me"]).status_code == 200
    assert admin.patch("/admin/projects/1", json=example["PATCH /api/v1/admin/projects/{project_id}"]).is_success
    assert admin.patch("/admin/users/2", json=example["PATCH /api/v1/admin/users/{user_id}"]).is_success
    people_csv, as_csv = example["POST /api/v1/admin/users/import"], {"Content-Type": "text/csv"}
    assert admin.post("/admin/users/import", content=people_csv, headers=as_csv).json()["users"] == 2
    assert admin.put("/admin/users/2/password", json=example["PUT /api/v1/admin/users/{user_id}/password"]).is_success
