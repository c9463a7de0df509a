"""Schemathesis drives every operation of the document as every role, on both databases (threats 28).

All checks are enabled. By default, each run generates the same few examples, for an admin. The extended run has the
other roles and a long form. That adds the coverage phase, which tries every kind of invalid input, for managers and
admins. With `SCHEMATHESIS_EXAMPLES=200`, it generates that many random examples for each operation, and runs the
coverage phase for all roles.
"""

import itertools
import logging
import os
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
import schemathesis
import structlog
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import StopReason, events, from_schema
from schemathesis.hooks import unregister
from sqlalchemy import select

from app.core.database.session import Database
from app.core.pagination import encode_cursor
from app.core.time.clock import utc_now
from app.models.users import Role, User
from app.schemas.types import PLAIN_TEXT
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.auth import second_factor
from app.services.users.csv_cells import COLUMNS
from tests.support.credentials import (
    Authenticator,
    create_api_token,
    create_login_session,
    create_password_link,
    create_second_factor,
)
from tests.support.factories import PASSWORD
from tests.support.times import hours_ago
from tests.support.timesheets import set_months, submit

pytestmark = [pytest.mark.slow, pytest.mark.high_volume]
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")
EXTENDED = pytest.mark.extended
FORMS = ["short", pytest.param("long", marks=EXTENDED)]
OTHERS = ("nobody", "employee", "manager")
"""Roles of the extended run. `test_access_matrix.py` shows for each operation that they get no further."""
REFUSED_LITTLE = {"manager", "admin"}
PUBLIC = {
    "GET /",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/page/refresh",
    "POST /api/v1/auth/password/set",
}
RFC_3339 = re.compile(r"20\d\d-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
DATE = re.compile(r"20\d\d-\d\d-\d\d")
IN_PATH = re.compile(f"[1-9][0-9]{{0,8}}|{DATE.pattern}")
JANUARY = date(2026, 1, 1)
DECISIONS = ("/approve", "/reject", "/reopen")
PAST = {"start_time": "2026-03-02T13:00:00Z", "end_time": "2026-03-02T14:00:00Z"}
RESERVED = re.compile(r"\.(test|example|invalid|local|localhost|onion|arpa|alt)$")
STRONG = "violet harbour 42 lantern, " * 5


@pytest.fixture
def company(people, server):
    mia = people.manager("Mia")
    bob = people.employee("Bob", manager=mia)  # no example uses this name, so examples can be created
    website = people.project("Old website")
    people.entry(bob, website, "2026-03-02 08:00", "2026-03-02 12:00")
    ada = people.admin("Ada")
    set_months(server.database, ada, JANUARY)
    return {"nobody": None, "employee": bob, "manager": mia, "admin": ada}


@pytest.fixture
def fresh_credentials(people, server) -> Iterator[None]:
    """Give operations on the caller's credentials valid ones, of a new user each time.

    Such operations end login sessions, use codes and change passwords, and later operations need the caller's own.
    """
    numbers = itertools.count()

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        if case.path.startswith("/api/v1/auth/page/"):
            _come_from_the_page(case, server.base_url)
        good = GOOD.get((case.method, case.path.removeprefix("/api/v1")))
        if good is None:
            return
        body = case.body if isinstance(case.body, dict) else {}
        in_path = case.path_parameters or {}
        fitting = {name for name in body if isinstance(body[name], str) and re.fullmatch("[ -~]{1,40}", body[name])}
        fitting |= {name for name in in_path if IN_PATH.fullmatch(str(in_path[name]))}
        fitting |= {"timesheets"} if _are_timesheets(body.get("timesheets")) else set()
        is_logged_in = (case.headers or {}).get("Authorization", "").startswith("Bearer eyJ")
        if not fitting and not is_logged_in:
            return
        user = people.employee(f"Vic {next(numbers)}")
        if fitting:
            for name, value in good(server.database, user).items():
                if name in fitting:
                    (body if name in body else in_path)[name] = value
        if is_logged_in and "/admin/" not in case.path and not case.path.endswith(DECISIONS):
            case.headers["Authorization"] = f"Bearer {server.token(user)}"

    yield
    unregister(before_call)


def _come_from_the_page(case: Any, base_url: str) -> None:
    """Send the headers of the page, unless the example has one that is too long."""
    for name, value, max_length in (("x-requested-with", "page", 20), ("origin", base_url, 300)):
        if len(str((case.headers or {}).get(name, ""))) <= max_length:
            case.headers[name] = value


def _are_timesheets(value: Any) -> bool:
    """Return True if the value names timesheets as the document says."""
    return (
        isinstance(value, list)
        and all(
            isinstance(each, dict)
            and {"user_id", "first_day"} <= each.keys() <= {"user_id", "first_day", "version"}
            and type(each["user_id"]) is int
            and 0 < each["user_id"] < 2**31
            and DATE.fullmatch(str(each["first_day"]))
            and (each.get("version") is None or (type(each["version"]) is int and 0 <= each["version"] < 2**31))
            for each in value
        )
        and 0 < len(value) <= 100
    )


def _timesheet(database: Database, user: User, *, status: str = "open") -> dict[str, Any]:
    """Name a timesheet of the user with this status."""
    if status != "open":
        with database.read_transaction() as session:
            ada = session.scalars(select(User).where(User.role == Role.admin)).first()
        submit(database, user, JANUARY, approved_by=ada if status == "approved" else None)
    return {"user_id": user.id, "first_day": str(JANUARY)}


def _rule(database: Database, _user: User) -> dict[str, Any]:
    """Name a rule that no timesheet depends on."""
    with database.read_transaction() as session:
        ada = session.scalars(select(User).where(User.role == Role.admin)).one()
    set_months(database, ada, date(2030, 1, 1))
    return {"valid_from": "2030-01-01"}


def _started_enrollment(database: Database, user: User) -> dict[str, str]:
    with database.write_transaction() as session:
        actor = Actor(user.id or 0, user.role, "UTC")
        (user,) = locks.lock_users(session, actor.id)
        secret = second_factor.create_secret(session, actor, user, at=utc_now()).secret
    return {"code": Authenticator(secret, []).code()}


def _user_with_second_factor(database: Database, user: User) -> dict[str, Any]:
    create_second_factor(database, user)
    return {"user_id": user.id}


SHEET = "/timesheets/{user_id}/{first_day}"
GOOD: dict[tuple[str, str], Callable[[Database, User], dict[str, Any]]] = {
    ("DELETE", "/auth/sessions/{session_id}"): lambda database, user: {
        "session_id": create_login_session(database, user).session_id
    },
    ("GET", "/auth/api-tokens/{token_id}"): lambda database, user: {
        "token_id": create_api_token(database, user, "entries:read").id
    },
    ("DELETE", "/auth/api-tokens/{token_id}"): lambda database, user: {
        "token_id": create_api_token(database, user, "entries:read").id
    },
    ("DELETE", "/admin/api-tokens/{token_id}"): lambda database, user: {
        "token_id": create_api_token(database, user, "entries:read").id
    },
    ("DELETE", "/admin/users/{user_id}/totp"): _user_with_second_factor,
    ("POST", "/auth/login"): lambda database, user: {"username": user.email, "password": PASSWORD},
    ("POST", "/auth/page/login"): lambda database, user: {"username": user.email, "password": PASSWORD},
    ("POST", "/auth/logout"): lambda database, user: {},
    ("POST", "/auth/page/logout"): lambda database, user: {},
    ("DELETE", "/auth/sessions"): lambda database, user: {},
    ("POST", "/auth/refresh"): lambda database, user: {
        "refresh_token": create_login_session(database, user).refresh_token
    },
    ("POST", "/auth/page/refresh"): lambda database, user: {
        "refresh_token": create_login_session(database, user).refresh_token
    },
    ("POST", "/auth/password"): lambda database, user: {"current_password": PASSWORD},
    ("POST", "/auth/password/set"): lambda database, user: {"token": create_password_link(database, user)},
    ("GET", SHEET): _timesheet,
    ("GET", f"{SHEET}/history"): _timesheet,
    ("POST", f"{SHEET}/submit"): _timesheet,
    ("POST", f"{SHEET}/withdraw"): partial(_timesheet, status="submitted"),
    ("POST", f"{SHEET}/approve"): partial(_timesheet, status="submitted"),
    ("POST", f"{SHEET}/reject"): partial(_timesheet, status="submitted"),
    ("POST", f"{SHEET}/reopen"): partial(_timesheet, status="approved"),
    ("POST", "/timesheets/approve"): lambda database, user: {
        "timesheets": [_timesheet(database, user, status="submitted")]
    },
    ("PUT", "/admin/timesheet-rules/{valid_from}"): lambda database, user: {"valid_from": "2030-01-01"},
    ("DELETE", "/admin/timesheet-rules/{valid_from}"): _rule,
    ("PUT", "/admin/lock"): lambda database, user: {"before_day": "2025-01-01"},
    ("POST", "/auth/totp"): lambda database, user: {},
    ("POST", "/auth/totp/confirm"): _started_enrollment,
    ("DELETE", "/auth/totp"): lambda database, user: {
        "password": PASSWORD,
        "code": create_second_factor(database, user).recovery_codes[0],
    },
}


@pytest.fixture
def valid_requests(company) -> Iterator[None]:
    """Make requests valid where JSON Schema can't express the rule.

    Time zones exist, passwords are strong, e-mail domains are not reserved, and a period has 1 to 400 days. The admin
    does not change their own account.
    """
    own_id = company["admin"].id

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        body = case.body if isinstance(case.body, dict) else {}
        for fields in (case.query or {}, body):
            for name in {"time_zone"} & fields.keys():
                fields[name] = _zone(fields[name])
        for name in {"password", "new_password"} & body.keys():
            if name == "new_password" or "/admin/" in case.path:
                body[name] = _strong_password(body[name])
        if RFC_3339.fullmatch(str(body.get("expires_at"))):
            body["expires_at"] = f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
        if isinstance(body.get("email"), str):
            body["email"] = RESERVED.sub(".com", body["email"])
        if case.query and {"start_date", "end_date"} <= case.query.keys():
            case.query |= _ordered_period(case.query["start_date"], case.query["end_date"])
        if case.query and RFC_3339.fullmatch(str(case.query.get("since"))):
            case.query["since"] = hours_ago(1)
        _make_correction_valid(case, body)
        _make_file_valid(case)
        for name in {"user_id", "employee_id"} & (case.path_parameters or {}).keys():
            if str(case.path_parameters[name]) == str(own_id):
                case.path_parameters[name] = own_id - 1

    yield
    unregister(before_call)


def _make_correction_valid(case: Any, body: dict[str, Any]) -> None:
    """Use past times, a new idempotency key, a matching If-Match and a valid cursor."""
    headers = case.headers or {}
    for name in headers:
        if name.lower() == "idempotency-key" and re.fullmatch("[!-~]{1,255}", str(headers[name])):
            headers[name] = uuid.uuid4().hex
        if name.lower() == "if-match" and len(str(headers[name])) <= 200:
            headers[name] = "*"
    if case.query and re.fullmatch("[A-Za-z0-9_-]{1,200}", str(case.query.get("cursor"))):
        key_counts = {"/audit": 3, "/presence": 4, "/time-entries": 2, "/timesheets": 2}
        keys = next((count for part, count in key_counts.items() if part in case.path), 1)
        case.query.pop("skip", None)
        case.query["cursor"] = encode_cursor(int(utc_now().timestamp()), *[1] * (keys - 1))
    operations = body.get("operations")
    for fields in [body, *(operations if isinstance(operations, list) else [])]:
        times = PAST.keys() & fields.keys() if isinstance(fields, dict) else set()
        if times and all(RFC_3339.fullmatch(str(fields[name])) for name in times):
            fields.update(PAST if case.method == "PATCH" else {name: PAST[name] for name in times})
    if case.method == "PATCH" and "/time-entries/" in case.path and isinstance(case.body, dict):
        body.setdefault("reason", "Typo")
    if case.method == "POST" and case.path.endswith("/time-entries") and isinstance(case.body, dict):
        body["reason"] = "Paper" if body.get("reason") is None else body["reason"]


def _make_file_valid(case: Any) -> None:
    """Replace a string by a CSV file with a new user. Bodies of other types stay invalid."""
    if case.method == "POST" and case.path.endswith("/users/import") and isinstance(case.body, str):
        case.body = f"{','.join(COLUMNS)}\n{uuid.uuid4().hex}@example.com,Zoe,Ng,employee,,\n"


@schemathesis.serializer("text/csv")
def _as_bytes(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _zone(value: Any) -> Any:
    return "Europe/Berlin" if isinstance(value, str) and 0 < len(value) <= 64 else value


def _strong_password(value: Any) -> Any:
    is_allowed = isinstance(value, str) and 12 <= len(value) <= 128 and re.fullmatch(PLAIN_TEXT.expression, value)
    return STRONG[: len(value)] if is_allowed else value


def _ordered_period(start: Any, end: Any) -> dict[str, Any]:
    try:
        first, last = sorted(date.fromisoformat(day) for day in (start, end))
    except (TypeError, ValueError):
        return {}
    return {"start_date": str(first), "end_date": str(min(last, first + timedelta(days=399)))}


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set no_proxy, or the requests library would search the whole environment for proxies twice a request."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def silence_logs() -> Iterator[None]:
    """Suppress the log event of each request, which would be megabytes in total."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    structlog.configure(**before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("role", [*(pytest.param(role, marks=EXTENDED) for role in OTHERS), "admin"])
def test_every_operation_does_what_the_document_says(
    form, role, company, server, valid_requests, fresh_credentials, no_proxy, silence_logs
):
    user = company[role]
    schema = schemathesis.openapi.from_url(f"{server.base_url}/openapi.json", config=_config(form, role))
    if user is not None:
        token = server.token(user)

        @schema.auth()
        class _Session:
            """An auth provider, because hooks can't replace a header of the configuration."""

            def get(self, case: Any, context: Any) -> str:
                return token

            def set(self, case: Any, data: str, context: Any) -> None:
                case.headers["Authorization"] = f"Bearer {data}"

    answered: dict[str, set[int]] = defaultdict(set)
    failures = {}
    for event in from_schema(schema).execute():
        match event:
            case events.NonFatalError() | events.FatalError():
                pytest.fail(f"{event}")
            case events.SchemaAnalysisWarnings() if event.warnings:
                pytest.fail(f"{event.warnings}")
            case events.ScenarioFinished():
                failures |= _failures(event.recorder)
                for case_id, interaction in event.recorder.interactions.items():
                    label = event.recorder.cases[case_id].value.operation.label
                    answered[label].add(interaction.response.status_code)
            case events.EngineFinished():
                assert event.stop_reason is StopReason.COMPLETED

    assert not failures, "\n\n".join(failures.values())
    assert set(answered) == {operation.ok().label for operation in schema.get_all_operations()}
    succeeded = {label for label, statuses in answered.items() if statuses & {200, 201, 204}}
    if role == "nobody":
        assert succeeded == PUBLIC
    if role == "admin":
        rejected = answered.keys() - succeeded
        assert len(rejected) <= 3, f"a run whose requests are mostly rejected tests little: {rejected}"


def _config(form: str, role: str) -> SchemathesisConfig:
    is_long = form == "long"
    generation = {"max-examples": int(EXAMPLES or 2) if is_long else 2}
    return SchemathesisConfig.from_dict(
        {
            "generation": {"database": "none", "no-shrink": True, "deterministic": not is_long or EXAMPLES is None},
            "phases": {
                "examples": {"fill-missing": True},
                "coverage": {"enabled": is_long and (EXAMPLES is not None or role in REFUSED_LITTLE)},
                "fuzzing": {"generation": generation},
                "stateful": {"generation": generation},
            },
            "cache": {"enabled": False},
        }
    )


def _failures(recorder: Any) -> dict[tuple[str, str], str]:
    """Return one failed check for each check and operation of a scenario, with a request that reproduces it."""
    return {
        (check.name, check.failure_info.failure.operation): (
            f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}\n"
            f"{recorder.interactions[case_id].response.text[:1000]}"
        )
        for case_id, checks in recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    }
