"""Audit events of accounts (rules: R1): granted and ended access, its actor, and never a secret."""

from datetime import timedelta
from unittest.mock import ANY

import pytest

from app.core.time.clock import utc_now
from tests.services.audit.test_recorder import ACCOUNT_OPERATIONS, Change
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import (
    Authenticator,
    create_api_token,
    create_login_session,
    create_password_link,
    create_second_factor,
)
from tests.support.factories import PASSWORD

ANOTHER = "another-lantern-17-harbour"
IN_A_WEEK = f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
CHANGES = [
    Change("Ana", "POST /auth/logout", "session:log_out", "{Ana}", "{session}"),
    Change("Ana", "POST /auth/page/logout", "session:log_out", "{Ana}", "{session}"),
    Change("Ana", "DELETE /auth/sessions/{session}", "session:log_out", "{Ana}", "{session}"),
    Change("Ana", "DELETE /auth/sessions/{phone}", "session:end", "{Ana}", "{phone}"),
    Change("Ana", "DELETE /auth/sessions", "session:end_others", "{Ana}", None,
           before={"sessions": 1}, after={"session_id": ANY}),
    Change("Ada", "DELETE /admin/users/{Ana}/sessions", "session:end_all", "{Ana}", None, before={"sessions": 2}),
    Change("Ana", "POST /auth/password", "user:change_password", "{Ana}", "{Ana}",
           body={"current_password": PASSWORD, "new_password": ANOTHER, "keep_api_tokens": True},
           after={"session_id": ANY, "idle_days": 14, "max_days": 90}),
    Change("Ana", "POST /auth/password/set", "user:set_password_by_link", "{Ana}", "{Ana}",
           body={"token": "{link}", "new_password": ANOTHER, "keep_api_tokens": True}),
    Change("Ada", "POST /admin/users/{Ana}/password-link", "password_link:create", "{Ana}", None,
           after={"expires_at": ANY}),
    Change("Ana", "POST /auth/api-tokens", "api_token:create", "{Ana}", "{new}",
           body={"name": "Gate", "scopes": ["entries:write", "entries:read"], "expires_at": IN_A_WEEK},
           after={"name": "Gate", "scopes": "entries:read entries:write", "expires_at": IN_A_WEEK}),
    Change("Ana", "DELETE /auth/api-tokens/{token}", "api_token:revoke", "{Ana}", "{token}",
           before={"name": "Terminal", "scopes": "entries:read"}),
    Change("Ada", "DELETE /admin/api-tokens/{token}", "api_token:revoke", "{Ana}", "{token}",
           before={"name": "Terminal", "scopes": "entries:read"}),
    Change("Ana", "POST /auth/totp", "second_factor:begin", "{Ana}", None),
    Change("Eve", "DELETE /auth/totp", "user:remove_second_factor", "{Eve}", "{Eve}",
           body={"password": PASSWORD, "code": "{code}"}),
    Change("Ada", "DELETE /admin/users/{Eve}/totp", "user:reset_second_factor", "{Eve}", "{Eve}"),
]  # fmt: skip


@pytest.fixture
def ids(people, as_user, server):
    """Ana has two login sessions, an API token and a password link. Eve has a second factor. Ada is an admin."""
    ana, eve, ada = people.employee("Ana"), people.employee("Eve"), people.admin("Ada")
    own = {"Ana": as_user(ana), "Eve": as_user(eve), "Ada": as_user(ada)}
    session_id = own["Ana"].get("/auth/sessions").json()[0]["id"]
    return {
        "callers": own,
        "Ana": ana.id,
        "Eve": eve.id,
        "Ada": ada.id,
        "session": session_id,
        "phone": create_login_session(server.database, ana).session_id,
        "token": create_api_token(server.database, ana, "entries:read").id,
        "link": create_password_link(server.database, ana),
        "code": create_second_factor(server.database, eve).code(),
    }


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.operation)
def test_a_change_of_an_account_leaves_one_event_that_says_who_did_what(ids, server, change):
    audit_log = AuditLog(server.database)
    method, path = change.operation.format(**ids).split(" ", 1)

    answer = ids["callers"][change.caller].request(method, path, json=fill_in(change.body, ids))

    assert answer.status_code < 300
    (event,) = audit_log.new_events()
    assert (event.action, event.actor_id) == (change.action, ids[change.caller])
    assert event.subject_id == int(change.subject.format(**ids))
    object_id = change.object and (
        answer.json()["id"] if change.object == "{new}" else int(change.object.format(**ids))
    )
    assert event.object_id == object_id
    assert (event.before, event.after) == (change.before, change.after)


def test_confirming_a_second_factor_is_on_record(people, as_user, server):
    ana = people.employee("Ana")
    me = as_user(ana)
    app = authenticator(me)
    audit_log = AuditLog(server.database)

    me.post("/auth/totp/confirm", json={"code": app.code()})

    (event,) = audit_log.new_events()
    assert (event.action, event.subject_id, event.object_id) == ("user:add_second_factor", ana.id, ana.id)


def test_a_recovery_code_that_was_used_is_on_record(people, as_user, server):
    eve = people.employee("Eve")
    code = create_second_factor(server.database, eve).recovery_codes[0]
    me, audit_log = as_user(eve), AuditLog(server.database)

    assert me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": code}).status_code == 204

    used, removed = audit_log.new_events()
    assert (used.action, used.subject_id, used.actor_id, used.after) == ("recovery_code:use", eve.id, eve.id, None)
    assert removed.action == "user:remove_second_factor"


def test_every_operation_on_accounts_is_in_the_table():
    def plain(operation):
        method, path = operation.split(" ")
        return (method, *(part for part in path.split("/") if not part.startswith("{")))

    covered = {plain(change.operation) for change in CHANGES} | {("POST", "", "auth", "totp", "confirm")}
    covered |= {("POST", "", "auth", "page", "login")}  # its event: tests/api/auth/test_page_sessions.py

    assert {plain(operation) for operation in ACCOUNT_OPERATIONS} == covered


def test_a_session_that_nothing_is_left_to_end_of_leaves_no_event(people, as_user, server):
    me = as_user(people.employee("Ana"))
    audit_log = AuditLog(server.database)

    assert me.delete("/auth/sessions").status_code == 204

    assert audit_log.new_events() == []


def fill_in(body, ids):
    if body is None:
        return None
    return {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}


def authenticator(caller):
    return Authenticator(caller.post("/auth/totp").json()["secret"], [])
