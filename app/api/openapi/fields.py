"""Descriptions and examples of fields and parameters that have none of their own."""

from collections.abc import Iterator
from typing import Any

DESCRIPTIONS = {
    "access_token": "Send it as `Authorization: Bearer ...`.",
    "action": "What happened or is to be done.",
    "address": "Network address of the client.",
    "before_day": "Days before this one are locked.",
    "changed_at": "When it was last changed. Null if never.",
    "changed_by": "Id of the user who last changed it. Null if nobody did.",
    "code": "Stable code of the error. Decide by this field.",
    "comment": "Comment on the decision.",
    "created_by": "Id of the user who created it.",
    "date": "Local day.",
    "day": "Local day.",
    "decided_at": "When it was last approved, rejected or reopened.",
    "decided_by": "Id of the user who decided. Null in an approved one if nobody else could.",
    "description": "What was worked on. It may be empty.",
    "detail": "What happened, and what to do next. The text may change.",
    "email": "E-mail address, with which the user logs in.",
    "employee_id": "Id of the user.",
    "end_date": "Last day of the period, inclusive.",
    "entries": "Number of entries.",
    "entry_id": "Id of the entry.",
    "error_count": "Number of all errors in the file.",
    "errors": "The errors of single fields, rows or operations. At most 100.",
    "first_day": "First day of the period.",
    "first_free_day": "First day on which rules can change.",
    "first_name": "First name.",
    "group_by": "The groups of the request, in their order.",
    "has_second_factor": "True if a login needs a one-time code.",
    "id": "Id of this object.",
    "instance": "Path of the request.",
    "is_active": "False for a deactivated user or an archived project.",
    "key": "The `Idempotency-Key` of the request.",
    "last_day": "Last day of the period, inclusive.",
    "last_name": "Last name.",
    "manager_id": "Id of the user's manager. Null if the user has none.",
    "message": "Text for people.",
    "month": "Month.",
    "name": "Name, by which people tell it apart.",
    "needs_review": "Send false to mark the entry as reviewed.",
    "object_id": "Id of the changed object. Null if it has none.",
    "object_type": "Type of the changed object.",
    "otpauth_uri": "The secret as a URI, which authenticator apps read.",
    "password": "Your password.",
    "position": "Number of the event in the chain of its user, from 1.",
    "project_id": "Id of the project.",
    "project_name": "Name of the project.",
    "reason": "Reason for the change. Null if none was given.",
    "recovery_codes_left": "Recovery codes that were not used yet.",
    "request_id": "Id of the request, also in the log. Quote it in support requests.",
    "scopes": "Permissions of the token.",
    "service": "Name of the service.",
    "session_id": "Id of the login session.",
    "start_date": "First day of the period.",
    "status": "HTTP status.",
    "stored_responses": "Responses that are stored under an `Idempotency-Key`. Their content is not included.",
    "subject_id": "Id of the user whom the event concerns. Null if it concerns no user.",
    "submitted_at": "When it was last submitted. Null if never.",
    "submitted_by": "Id of the user who last submitted it. Null if nobody did.",
    "time_zone": "Time zone of the days of this object, from the tz database.",
    "timesheet_status": "Status of the timesheet.",
    "title": "Short name of the error.",
    "token_id": "Id of the API token.",
    "token_type": "Type of the access token.",
    "type": "URN of the error.",
    "user_id": "Id of the user.",
    "user_name": "First and last name of the user.",
    "version": "Version of the object or of the service.",
    "wrong_passwords": "Number of wrong passwords.",
}
"""The meaning of a name. A name has one meaning in all objects."""


EXAMPLES = {
    "start_date": "2026-03-01",
    "end_date": "2026-03-31",
    "first_day": "2026-03-01",
    "valid_from": "2026-03-01",
}
"""Examples of parameters that differ from those of their type."""
_OPEN_ENTRY = {
    "id": 1,
    "user_id": 1,
    "project_id": 1,
    "start_time": "2026-03-02T08:00:00Z",
    "end_time": None,
    "description": "Landing page",
    "time_zone": "Europe/Berlin",
    "needs_review": False,
    "version": 1,
    "created_at": "2026-03-02T08:00:00Z",
    "updated_at": "2026-03-02T08:00:00Z",
    "timesheet_id": None,
}
_PROJECT = {"id": 1, "name": "Website", "is_active": True, "created_at": "2026-03-02T08:00:00Z", "code": None}
RESPONSE_EXAMPLES = {"clock_in": _OPEN_ENTRY, "get_my_open_entry": _OPEN_ENTRY | {"project": _PROJECT}}
"""Examples of responses by operation, where those of the fields would make a closed entry."""


def complete_parameters(operation: dict[str, Any]) -> None:
    """Complete the parameters of an operation.

    Null is removed from the types of optional ones, because no query or header can contain it. A required one gets an
    `example`, with which Swagger UI fills its field. An optional one has examples in its schema only, because a filled
    field would be sent as a filter.
    """
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        variants = [variant for variant in schema.pop("anyOf", []) if variant != {"type": "null"}]
        schema |= variants[0] if variants else {}
        if "description" not in parameter:
            parameter["description"] = DESCRIPTIONS[parameter["name"]]
        schema.pop("description", None)
        if "default" not in schema:
            example = EXAMPLES.get(parameter["name"])
            schema["examples"] = [example] if example else schema.get("examples", [_simple_example(schema)])
        if parameter["required"]:
            parameter["example"] = schema["examples"][0]


def complete_response(operation: dict[str, Any]) -> None:
    """Add the example of a response whose fields have other values than the examples of their types."""
    if example := RESPONSE_EXAMPLES.get(operation["operationId"]):
        operation["responses"]["200"]["content"]["application/json"]["example"] = example


def complete_schemas(schemas: dict[str, Any]) -> None:
    """Add the descriptions that fields lack, and write whole numbers without a fraction, as 1 instead of 1.0."""
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if "$ref" not in field:
                field.setdefault("description", DESCRIPTIONS.get(name, ""))
    for part in _parts(schemas):
        for bound in ("minimum", "maximum"):
            if isinstance(part.get(bound), float) and part[bound].is_integer():
                part[bound] = int(part[bound])


def _simple_example(schema: dict[str, Any]) -> Any:
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"type": "boolean"}:
            return True
        case {"type": "integer", "minimum": minimum}:
            return minimum
    return "text"


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for each in part.values():
            yield from _parts(each)
    elif isinstance(part, list):
        for each in part:
            yield from _parts(each)
