"""Limits on API tokens with the scope `admin`: no login through another account, and no changes of admins' accounts.

rules: P6."""

from dataclasses import replace
from random import Random

import pytest
from sqlalchemy import select, update

from app.core.database.session import Session
from app.core.security.passwords import hash_password
from app.models.tables import API_TOKEN, PROJECT_MEMBER, USER
from app.models.users import Role
from tests.support.credentials import create_api_token
from tests.support.openapi_operations import OPERATIONS

HEADER = "email,first_name,last_name,role,manager_email,time_zone\n"
CSV = {"Content-Type": "text/csv"}
THIEFS_PASSWORD = "the-thiefs-own-lantern-17"
ZOE = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee"}
CHANGES_OF_A_USER = [
    operation
    for operation in OPERATIONS
    if operation.method != "GET"
    and "/admin/" in operation.path
    and any(name in operation.path for name in ("{user_id}", "{employee_id}", "{token_id}"))
]


@pytest.fixture
def script(ada, server):
    """Return a client with Ada's API token."""
    with server.caller(create_api_token(server.database, ada, "admin").token) as caller:
        yield caller


def codes(answers):
    return [answer.json().get("code", answer.status_code) if answer.content else 204 for answer in answers]


def admins_accounts(session: Session):
    """Return everything about admins' accounts that an operation may change."""
    admins = select(USER.c.id).where(USER.c.role == "admin")
    return [
        session.execute(query).all()
        for query in (
            select(USER).where(USER.c.id.in_(admins)).order_by(USER.c.id),
            select(API_TOKEN.c.id).where(API_TOKEN.c.user_id.in_(admins)).order_by(API_TOKEN.c.id),
            select(PROJECT_MEMBER).where(PROJECT_MEMBER.c.user_id.in_(admins)).order_by(PROJECT_MEMBER.c.user_id),
        )
    ]


@pytest.mark.parametrize("target", ["Eve", "Ada"])
@pytest.mark.parametrize("operation", CHANGES_OF_A_USER, ids=lambda operation: operation.name)
def test_no_operation_changes_an_admins_account_with_an_api_token(operation, target, people, mia, ada, script, server):
    admin = ada if target == "Ada" else people.admin("Eve", manager=mia)
    website = people.project("Website", members=(admin,) if operation.method == "DELETE" else ())
    token = create_api_token(server.database, admin, "entries:read")
    path = operation.path.format(user_id=admin.id, employee_id=admin.id, token_id=token.id, project_id=website.id)
    with server.database.read_transaction() as session:
        before = admins_accounts(session)

    answer = replace(operation, path=path).send(script, query={"manager_id": str(mia.id)})

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_required")
    with server.database.read_transaction() as session:
        assert admins_accounts(session) == before


def test_an_admins_name_changes_in_a_login_session_only(people, ada, as_user, script):
    eve, marriage = people.admin("Eve"), {"last_name": "Ng"}

    assert script.patch(f"/admin/users/{eve.id}", json=marriage).json()["code"] == "scope_required"
    assert as_user(ada).patch(f"/admin/users/{eve.id}", json=marriage).status_code == 200


def test_an_api_token_creates_no_user_who_can_log_in(people, admin, script):
    created = script.post("/admin/users", json=ZOE | {"role": "manager"})
    refused = script.post("/admin/users", json=ZOE | {"email": "zac@example.com", "password": THIEFS_PASSWORD})

    assert (created.status_code, refused.json()["code"]) == (201, "scope_required")
    in_session = admin.post("/admin/users", json=ZOE | {"email": "zac@example.com", "password": THIEFS_PASSWORD})
    assert in_session.status_code == 201


def test_an_api_token_activates_nobody(people, admin, script):
    """The holder may be a former user, who still knows the password."""
    users = [people.employee("Dan"), people.manager("Max"), people.admin("Eve")]
    for user in users:
        admin.put(f"/admin/users/{user.id}/deactivate")

    refused = [script.put(f"/admin/users/{user.id}/activate") for user in users]

    assert codes(refused) == ["scope_required"] * 3
    assert [people.reload(user).is_active for user in users] == [False] * 3
    assert [admin.put(f"/admin/users/{user.id}/activate").status_code for user in users] == [200] * 3


def test_an_api_token_takes_rights_from_users_but_gives_none(people, ana, admin, script):
    max_ = people.manager("Max")

    promoted = [script.patch(f"/admin/users/{ana.id}", json={"role": role}) for role in ("manager", "admin")]
    demoted = script.patch(f"/admin/users/{max_.id}", json={"role": "employee"})

    assert codes(promoted) == ["scope_required"] * 2
    assert (people.reload(ana).role, demoted.json()["role"]) == ("employee", "employee")
    assert admin.patch(f"/admin/users/{ana.id}", json={"role": "manager"}).status_code == 200


def test_an_api_token_sends_no_users_password_link_elsewhere(ana, admin, script):
    """An admin who creates Ana's next password link would send it to the holder of the token."""
    elsewhere = {"email": "thief@example.com"}

    assert script.patch(f"/admin/users/{ana.id}", json=elsewhere).json()["code"] == "scope_required"
    unchanged = script.patch(f"/admin/users/{ana.id}", json={"email": ana.email, "last_name": "Ng"})
    assert (unchanged.status_code, unchanged.json()["last_name"]) == (200, "Ng")
    assert admin.patch(f"/admin/users/{ana.id}", json=elsewhere).status_code == 200


def test_an_api_token_gives_no_team_to_a_manager_whom_it_created(ana, mia, admin, script):
    zoe = script.post("/admin/users", json=ZOE | {"role": "manager"}).json()
    script.post("/admin/users/import", content=f"{HEADER}zac@example.com,Zac,Ng,manager,,", headers=CSV)
    (zac,) = script.get("/admin/users", params={"search": "zac@example.com"}).json()
    new = ZOE | {"email": "new@example.com"}
    lines = f"{HEADER}new@example.com,New,Ng,employee,zoe@example.com,"

    refused = [
        script.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": zoe["id"]}),
        script.put(f"/admin/users/{mia.id}/assign-manager", params={"manager_id": zac["id"]}),
        script.post("/admin/users", json=new | {"manager_id": zoe["id"]}),
        script.post("/admin/users/import", content=lines, headers=CSV),
        script.post("/admin/users/import", content=lines, headers=CSV, params={"dry_run": True}),
    ]

    assert codes(refused) == ["scope_required"] * 5
    assert admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": zoe["id"]}).status_code == 200


def test_an_api_token_gives_a_team_to_a_manager_whom_an_admin_gave_a_password(ana, admin, script):
    zoe = script.post("/admin/users", json=ZOE | {"role": "manager"}).json()
    admin.put(f"/admin/users/{zoe['id']}/password", json={"password": THIEFS_PASSWORD})

    assigned = script.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": zoe["id"]})

    assert assigned.json()["manager_id"] == zoe["id"]


def test_an_api_token_imports_new_teams_with_their_managers(script):
    lines = f"{HEADER}ben@example.com,Ben,Ng,employee,zoe@example.com,\nzoe@example.com,Zoe,Ng,manager,,\n"

    imported = script.post("/admin/users/import", content=lines, headers=CSV)

    assert imported.json()["users"] == 2


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.extended)])
def test_the_holder_of_an_api_token_sees_no_more_after_its_revocation(seed, people, staff, admin, script, server):
    """The holder knows the passwords of an employee, a deactivated manager and a deactivated admin."""
    known = [staff["Ana"], people.manager("Dan", is_active=False), people.admin("Del", is_active=False)]
    with server.database.write_transaction() as session:
        own = update(USER).where(USER.c.id.in_([user.id for user in known]))
        session.execute(own.values(password_hash=hash_password(THIEFS_PASSWORD)))
    company = {user["id"] for user in admin.get("/admin/users").json()}
    random = Random(seed)

    for step in range(2):
        ids = {user["id"] for user in admin.get("/admin/users").json()}
        requests = [*attacks(ids, ids - company | {user.id for user in known}, step)]
        for method, path, options in random.sample(requests, len(requests)):
            script.request(method, path, **options)
    for token in admin.get("/admin/api-tokens").json():
        admin.delete(f"/admin/api-tokens/{token['id']}")

    assert seen_after_a_login(server, company) == {"ana@example.com": {staff["Ana"].id}}


def attacks(user_ids, outsiders, step):
    """Yield requests that could help the holder to log in later. `outsiders` are managers to whom teams could go."""
    for role in Role:
        new = ZOE | {"email": f"{role}-{step}@example.com", "role": role}
        line = f"import-{role}-{step}@example.com,Zoe,Ng,{role},manager-0@example.com,"
        yield "POST", "/admin/users", {"json": new}
        yield "POST", "/admin/users", {"json": new | {"email": f"p-{new['email']}", "password": THIEFS_PASSWORD}}
        yield "POST", "/admin/users/import", {"content": HEADER + line, "headers": CSV}
    for user_id in user_ids:
        user = f"/admin/users/{user_id}"
        yield "PUT", f"{user}/activate", {}
        yield "PUT", f"{user}/password", {"json": {"password": THIEFS_PASSWORD}}
        yield "POST", f"{user}/password-link", {}
        yield "DELETE", f"{user}/totp", {}
        yield "PATCH", user, {"json": {"email": f"thief-{user_id}@example.com"}}
        for role in (Role.manager, Role.admin):
            yield "PATCH", user, {"json": {"role": role}}
        for manager_id in outsiders:
            yield "PUT", f"{user}/assign-manager", {"params": {"manager_id": manager_id}}


def seen_after_a_login(server, company):
    """Return which users of the company the holder sees, by each e-mail with which the holder can log in."""
    with server.database.read_transaction() as session:
        emails = session.scalars(select(USER.c.email)).all()
    seen = {}
    for email in emails:
        with server.caller() as anonymous:
            login = anonymous.post("/auth/login", data={"username": email, "password": THIEFS_PASSWORD})
        if login.status_code == 200:
            with server.caller(login.json()["access_token"]) as holder:
                seen[email] = {user["id"] for user in holder.get("/team").json()} & company
    return seen
