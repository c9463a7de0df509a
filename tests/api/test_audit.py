"""The audit log as admins read it: action, subject, actor and reason (rules: R1)."""

import pytest


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def busy(people, as_user, anonymous, server, ada, ana):
    """Create a project, two punches, a correction by Ada with a reason, and a rejected login of an unknown user."""
    admin = as_user(ada)
    website = admin.post("/admin/projects", json={"name": "Website"}).json()
    entry = as_user(ana).clock_in(website["id"]).json()
    as_user(ana).clock_out()
    admin.patch(f"/time-entries/{entry['id']}", json={"description": "Shop", "reason": "Wrong text"})
    anonymous.post("/auth/login", data={"username": "nobody@example.com", "password": "whatever it was"})
    server.wait_for_background()  # the event of the rejected login
    return admin, entry["id"], website["id"]


def actions(admin, **params):
    answer = admin.get("/admin/audit", params=params)
    assert answer.status_code == 200
    return [event["action"] for event in answer.json()]


def test_admins_read_all_that_happened_newest_first(busy):
    admin, *_ = busy

    found = actions(admin)

    assert sorted(found) == sorted([
        "user:create", "user:create", "project:create", "time_entry:clock_in", "time_entry:clock_out",
        "time_entry:change", "login:refuse",
    ])  # fmt: skip
    instants = [event["at"] for event in admin.get("/admin/audit").json()]
    assert instants == sorted(instants, reverse=True)


def test_an_event_says_who_did_what_to_whom_and_why(busy, ada, ana):
    admin, entry_id, _ = busy

    (event,) = admin.get("/admin/audit", params={"action": "time_entry:change"}).json()

    assert event["actor"] == {"id": ada.id, "first_name": "Ada", "last_name": "Silva"}
    assert (event["subject_id"], event["object_type"], event["object_id"]) == (ana.id, "time_entry", entry_id)
    assert (event["before"]["description"], event["after"]["description"]) == ("", "Shop")
    assert event["reason"] == "Wrong text"
    assert event["position"] == 4, "behind the creation and two punches"


def test_filters_narrow(busy, ada, ana):
    admin, entry_id, project_id = busy

    assert actions(admin, subject_id=ana.id, actor_id=ada.id) == ["time_entry:change"]
    assert sorted(actions(admin, actor_id=ana.id)) == ["time_entry:clock_in", "time_entry:clock_out"]
    assert sorted(actions(admin, actor_id=ada.id)) == ["project:create", "time_entry:change"]
    assert len(actions(admin, object_type="time_entry", object_id=entry_id)) == 3
    assert actions(admin, object_type="project", object_id=project_id) == ["project:create"]
    assert actions(admin, action="login:refuse") == ["login:refuse"]
    assert actions(admin, end_date="2026-11-01") == []
    assert len(actions(admin, start_date="2026-11-01", time_zone="Asia/Tokyo")) == 7


def test_pages_have_each_event_once_while_others_are_written(busy, as_user, ana):
    admin, *_, project_id = busy
    earlier = {(event["subject_id"], event["position"]) for event in admin.get("/admin/audit").json()}

    answer, seen = admin.get("/admin/audit", params={"limit": 2}), []
    while True:
        seen += [(event["subject_id"], event["position"]) for event in answer.json()]
        if "Link" not in answer.headers:
            break
        as_user(ana).clock_in(project_id, switch=True)
        answer = admin.at_root("GET", answer.links["next"]["url"])

    assert len(seen) == len(set(seen))
    assert earlier <= set(seen)
