"""The OpenAPI document is complete: limits, examples, error responses, security (threats 18, rules: The API)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.security.access_tokens import TokenScope
from tests.support.factories import PASSWORD
from tests.support.in_process_server import openapi_document

DOCUMENT = openapi_document()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
SCHEMAS = DOCUMENT["components"]["schemas"]
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
    "approve_timesheet",
    "approve_timesheets",
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
    "export_payroll",
    "export_timesheet_pdf",
    "export_users",
    "get_entry",
    "get_entry_history",
    "get_hours_summary",
    "get_liveness",
    "get_lock_date",
    "get_metrics",
    "get_my_account",
    "get_my_api_token",
    "get_my_open_entry",
    "get_my_report",
    "get_my_second_factor",
    "get_project",
    "get_readiness",
    "get_team_report",
    "get_timesheet",
    "get_timesheet_history",
    "get_todo",
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
    "list_my_timesheets",
    "list_payroll_changes",
    "list_project_members",
    "list_projects",
    "list_team_members",
    "list_timesheet_rules",
    "list_timesheets",
    "list_users",
    "log_in",
    "log_in_on_page",
    "log_out",
    "log_out_on_page",
    "move_lock_date",
    "refresh_on_page",
    "refresh_tokens",
    "reject_timesheet",
    "remove_manager",
    "remove_my_second_factor",
    "remove_project_member",
    "remove_timesheet_rule",
    "reopen_timesheet",
    "reset_user_second_factor",
    "revoke_api_token",
    "revoke_my_api_token",
    "set_password_by_link",
    "set_timesheet_rule",
    "set_user_password",
    "submit_timesheet",
    "update_entry",
    "update_my_account",
    "update_project",
    "update_user",
    "withdraw_timesheet",
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


def test_each_object_and_each_union_in_a_list_has_a_name():
    """Generators of clients invent names for others, such as `ProblemErrorsInnerLocInner`."""
    components = {f"components.schemas.{name}" for name in SCHEMAS}
    objects = {location for location, schema in ALL_SCHEMAS.items() if "properties" in schema}
    unions = {
        location for location, schema in ALL_SCHEMAS.items() if {"anyOf", "oneOf"} & schema.get("items", {}).keys()
    }

    assert objects - components == unions == set()


def test_every_body_lists_its_fields_and_refuses_others():
    open_ones = [
        location
        for location, schema in schemas_sent()
        if "object" in kinds(schema) and schema.get("additionalProperties") is not False
    ]

    assert open_ones == ["LoginForm"] * 2, "only the login form, of clients and of the page, ignores unknown fields"


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


def test_a_thing_has_one_name_in_parameters_and_in_fields():
    """`time_zone`, `search`, `total_hours` and `total_seconds`. The settled CSV has `hours_worked`."""
    parameters = {each["name"] for operation in OPERATIONS.values() for each in operation.get("parameters", [])}
    fields = {field for schema in SCHEMAS.values() for field in schema.get("properties", {})}

    assert {"tz", "zone", "text", "q", "query", "hours", "seconds", "hours_worked", "people"} & (
        parameters | fields
    ) == set()


def test_every_field_is_described():
    fields = {
        f"{name}.{field}": schema
        for name, each in SCHEMAS.items()
        for field, schema in each.get("properties", {}).items()
    }

    assert len(fields) > 250
    assert [name for name, schema in fields.items() if not (schema.get("description") or "$ref" in schema)] == []


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
        "POST /api/v1/auth/page/login",
        "POST /api/v1/auth/page/refresh",
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


def test_the_authorize_dialog_opens_at_the_password_form():
    """Swagger UI shows the schemes in this order and focuses the field of the last one."""
    assert list(DOCUMENT["components"]["securitySchemes"]) == ["ApiToken", "AccessToken", "OAuth2PasswordBearer"]


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
