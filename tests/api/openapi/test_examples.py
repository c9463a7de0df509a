"""The examples and error lists of the OpenAPI document are complete and true."""

import ast
import re

import pytest

from app.api.openapi.problem_examples import DETAILS
from app.core.database.migrations import ROOT
from app.services.users.csv_cells import COLUMNS
from tests.support.in_process_server import PROBLEM, documented_codes, openapi_document

DOCUMENT = openapi_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
CREATES_WHAT_IT_NAMES = "PUT /api/v1/admin/timesheet-rules/{valid_from}"
ALL_ANSWERS = [
    *DOCUMENT["components"]["responses"].values(),
    *(answer for operation in OPERATIONS.values() for answer in operation["responses"].values()),
]
PARAMETERS = {
    f"{name} {parameter['name']}": parameter
    for name, operation in OPERATIONS.items()
    for parameter in operation.get("parameters", [])
}


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
    if "{" in name and name != CREATES_WHAT_IT_NAMES:
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
        of_anonymous = {"too_many_changes", "too_many_requests"}
        assert repeated <= (of_anonymous if not operation["security"] else set()), name
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


def properties(schema):
    return schema.get("properties", {}).items()


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
