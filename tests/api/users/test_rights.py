"""The field `can` of users: the actions that the caller may take now (rules: P3 to P6)."""

from typing import Any, get_args

import pytest

from app.core.time.clock import utc_now
from app.core.time.zones import local_day
from app.models.users import Role
from app.schemas.users.user import UserAction
from tests.support.credentials import create_api_token, create_second_factor
from tests.support.query_counter import capture_statements
from tests.support.timesheets import set_months

REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "update": ("PATCH", "", {"json": {"first_name": "Changed"}}),
    "update_email": ("PATCH", "", {"json": {"email": "{id}@example.com"}}),
    "update_role": ("PATCH", "", {"json": {"role": "{role}"}}),
    "assign_manager": ("PUT", "/assign-manager?manager_id={manager_id}", {}),
    "remove_manager": ("DELETE", "/manager", {}),
    "deactivate": ("PUT", "/deactivate", {}),
    "activate": ("PUT", "/activate", {}),
    "set_password": ("PUT", "/password", {"json": {"password": "another-lantern-17-harbour"}}),
    "create_password_link": ("POST", "/password-link", {}),
    "end_sessions": ("DELETE", "/sessions", {}),
    "reset_second_factor": ("DELETE", "/totp", {}),
}
WITHOUT_EFFECT = {
    "remove_manager": {"Mia", "Kim", "Zoe"},
    "deactivate": {"Dan"},
    "activate": {"Mia", "Kim", "Eve", "Ana", "Tom", "Zoe"},
}
"""Users for whom an action would change nothing. It is not named then, although it is accepted."""


@pytest.fixture
def users(server, people, mia, ana, ada):
    """Return users of each kind: managers with and without reports, an admin, a leaver, one with a second factor."""
    users = {"Mia": mia, "Ana": ana, "Kim": people.manager("Kim"), "Eve": people.admin("Eve", manager=mia)}
    users["Dan"] = people.employee("Dan", manager=mia, is_active=False)
    users["Zoe"] = people.employee("Zoe")
    users["Tom"] = people.employee("Tom", manager=mia)
    create_second_factor(server.database, users["Tom"])
    return users


@pytest.fixture
def callers(server, ada, admin):
    """Return Ada, in a login session and with an API token."""
    with server.caller(create_api_token(server.database, ada, "admin").token) as script:
        yield {"session": admin, "token": script}


def read(caller, user):
    return caller.get(f"/admin/users/{user.id}").json()


def is_accepted(caller, user, action, manager):
    """Take the action, with each other role for `update_role`. Return whether one of the requests was accepted."""
    method, path, content = REQUESTS[action]
    roles = [role for role in Role if role is not user.role] if action == "update_role" else [None]
    for role in roles:
        values = {"id": user.id, "manager_id": manager.id, "role": role}
        body = {name: text.format(**values) for name, text in content.get("json", {}).items()}
        sent = caller.request(method, f"/admin/users/{user.id}{path.format(**values)}", json=body or None)
        if sent.is_success:
            return True
    return False


@pytest.mark.parametrize("action", get_args(UserAction))
@pytest.mark.parametrize("credential", ["session", "token"])
def test_an_action_is_named_if_and_only_if_it_is_accepted(callers, users, people, credential, action):
    caller, max_ = callers[credential], people.manager("Max")
    listed = {user["id"]: user for user in caller.get("/admin/users").json()}
    assert listed == {user_id: caller.get(f"/admin/users/{user_id}").json() for user_id in listed}

    named = {name for name, user in users.items() if action in listed[user.id]["can"]}
    accepted = {name for name, user in users.items() if is_accepted(caller, user, action, max_)}

    assert named == accepted - WITHOUT_EFFECT.get(action, set())


def test_the_last_admin_is_neither_deactivated_nor_given_another_role(people, admin, ada):
    assert {"update_role", "deactivate"}.isdisjoint(read(admin, ada)["can"])

    people.admin("Eve")

    assert {"update_role", "deactivate"} <= set(read(admin, ada)["can"])


def test_an_admin_sets_their_own_password_elsewhere(admin, ada):
    can = set(read(admin, ada)["can"])

    assert {"set_password", "create_password_link", "reset_second_factor"}.isdisjoint(can)
    assert {"update", "update_email", "end_sessions"} <= can


def test_who_gives_up_the_role_of_an_admin_may_do_nothing_any_more(people, admin, ada):
    people.admin("Eve")

    resigned = admin.patch(f"/admin/users/{ada.id}", json={"role": "employee"})

    assert (resigned.status_code, resigned.json()["can"]) == (200, [])


def test_a_user_whose_present_month_is_submitted_is_not_activated(server, people, admin):
    dan = people.employee("Dan", is_active=False)
    this_month = local_day(int(utc_now().timestamp()), "UTC").replace(day=1)
    set_months(server.database, dan, this_month)
    assert "activate" in read(admin, dan)["can"]

    answer = admin.post(f"/timesheets/{dan.id}/{this_month}/submit", json={"reason": "Dan has left"})
    assert answer.status_code == 200, answer.text

    assert "activate" not in read(admin, dan)["can"]
    assert admin.put(f"/admin/users/{dan.id}/activate").json()["code"] == "timesheet_locked"


def test_a_response_to_a_change_says_what_may_be_done_now(admin, ana):
    deactivated = admin.put(f"/admin/users/{ana.id}/deactivate").json()
    activated = admin.put(f"/admin/users/{ana.id}/activate").json()

    assert ("activate" in deactivated["can"], "deactivate" in deactivated["can"]) == (True, False)
    assert ("activate" in activated["can"], "deactivate" in activated["can"]) == (False, True)
    assert activated["can"] == read(admin, ana)["can"]


def test_a_long_list_needs_no_more_statements_than_a_short_one(server, people, admin, mia):
    people.employee("Dan", is_active=False)

    def statements():
        with capture_statements(server) as found:
            assert admin.get("/admin/users").status_code == 200
        return len(found)

    few = statements()
    for number in range(10):
        people.admin(f"Admin {number}")
        people.manager(f"Manager {number}", manager=mia)
        people.employee(f"Leaver {number}", is_active=False)

    assert statements() == few
