"""Administration of users by admins (rules: P1 to P5, E5)."""

from datetime import timedelta

from app.core.time.clock import utc_now
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server

NEW = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee", "password": PASSWORD}
A_DAY = {"start_date": "2026-03-02", "end_date": "2026-03-02"}
ANOTHER_PASSWORD = "another-lantern-17-harbour"
UNKNOWN_USER_ID = 2_000_000_000


def test_a_new_person_can_log_in_at_once(people, admin, anonymous):
    mia = people.manager("Mia")

    created = admin.post("/admin/users", json=NEW | {"manager_id": mia.id, "time_zone": "Europe/Lisbon"})

    assert created.status_code == 201
    user = created.json()
    assert user == {
        "id": user["id"],
        "email": "zoe@example.com",
        "first_name": "Zoe",
        "last_name": "Ng",
        "is_active": True,
        "role": "employee",
        "manager_id": mia.id,
        "time_zone": "Europe/Lisbon",
        "created_at": user["created_at"],
        "must_change_password": False,
        "has_second_factor": False,
        "can": user["can"],
    }
    assert log_in(anonymous, "zoe@example.com", PASSWORD).status_code == 200
    assert admin.get(f"/admin/users/{user['id']}").json() == user


def test_a_new_person_lives_in_the_services_zone_unless_said_otherwise(db_url, database, people):
    ada = people.admin("Ada")

    settings = settings_for(db_url, DEFAULT_TIME_ZONE="Europe/Lisbon")
    with run_server(settings) as server, server.caller(server.token(ada)) as admin:
        created = admin.post("/admin/users", json=NEW)

    assert created.json()["time_zone"] == "Europe/Lisbon"


def test_an_email_belongs_to_one_person_however_it_is_written(people, admin):
    pairs = {
        "ana@example.com": "ANA@Example.COM",
        "änne@example.com": "ÄNNE@example.com",
        "bea@example.com": "\uff42ea@example.com",  # a full-width b: the same letter in NFKC
        "\ufb01na@example.com": "fina@example.com",  # a ligature of f and i
        "straße@example.com": "STRA\u1e9eE@example.com",
    }
    for taken in pairs:
        people.employee("Somebody", email=taken)
    bob = people.employee("Bob")

    created = [admin.post("/admin/users", json=NEW | {"email": variant}) for variant in pairs.values()]
    changed = [admin.patch(f"/admin/users/{bob.id}", json={"email": variant}) for variant in pairs.values()]

    answers = [(answer.status_code, answer.json()["code"]) for answer in created + changed]
    assert answers == [(409, "email_taken")] * 10
    assert emails(admin.get("/admin/users")) == ["ada@example.com", *pairs, "bob@example.com"]


def test_a_person_may_write_their_own_email_in_another_case(people, admin):
    ana = people.employee("Ana")

    changed = admin.patch(f"/admin/users/{ana.id}", json={"email": "Ana@example.com"})

    assert (changed.status_code, changed.json()["email"]) == (200, "Ana@example.com")


def test_a_changed_email_logs_in_and_the_old_one_is_free(people, admin, anonymous):
    ana = people.employee("Ana")

    admin.patch(f"/admin/users/{ana.id}", json={"email": "Anna@example.com"})

    assert log_in(anonymous, "anna@example.com", PASSWORD).status_code == 200
    assert log_in(anonymous, "ana@example.com", PASSWORD).status_code == 401
    assert admin.post("/admin/users", json=NEW | {"email": "ana@example.com"}).status_code == 201


def test_people_come_by_id(people, admin):
    bob, ana = people.employee("Bob"), people.employee("Ana", is_active=False)

    listed = admin.get("/admin/users").json()

    assert [user["id"] for user in listed][1:] == [bob.id, ana.id]


def test_people_are_found_by_a_part_of_their_name_or_email(people, admin):
    people.employee("Andreas", first_name="Ändi", last_name="Öztürk")
    people.employee("Ab", email="a_b@example.com")
    expected = {
        "ÄNDI": ["andreas@example.com"],
        "ändi ö": ["andreas@example.com"],
        "öztürk": ["andreas@example.com"],
        "OZTURK": [],
        "Andreas@": ["andreas@example.com"],
        "EXAMPLE": ["ada@example.com", "andreas@example.com", "a_b@example.com"],
        "\uff21\uff42": ["a_b@example.com"],  # full-width Ab
        "a_b": ["a_b@example.com"],
        "a_a": [],
        "%": [],
        "/": [],
    }

    found = {search: emails(admin.get("/admin/users", params={"search": search})) for search in expected}

    assert found == expected


def test_people_are_filtered_by_role_activity_and_manager(people, admin):
    mia = people.manager("Mia")
    people.employee("Ana", manager=mia)
    people.employee("Bob", manager=mia, is_active=False)
    people.employee("Carla")

    def found(**params):
        return [email.partition("@")[0] for email in emails(admin.get("/admin/users", params=params))]

    assert found(role="employee") == ["ana", "bob", "carla"]
    assert found(role="manager") == ["mia"]
    assert found(is_active=False) == ["bob"]
    assert found(is_active=True) == ["ada", "mia", "ana", "carla"]
    assert found(manager_id=mia.id) == ["ana", "bob"]
    assert found(manager_id=mia.id, is_active=True, search="EXAMPLE") == ["ana"]
    assert found(manager_id=UNKNOWN_USER_ID) == []


def test_a_long_list_is_walked_page_by_page(people, admin):
    for name in ("Ana", "Bob", "Carla", "Dinis", "Änne"):
        people.employee(name)

    pages = [admin.get("/admin/users", params={"limit": 2, "search": "e", "role": "employee"})]
    while following := pages[-1].links.get("next"):
        pages.append(admin.at_root("GET", following["url"]))

    assert [len(page.json()) for page in pages] == [2, 2, 1]
    assert [name for page in pages for name in first_names(page)] == ["Ana", "Bob", "Carla", "Dinis", "Änne"]
    assert {page.headers["X-Total-Count"] for page in pages} == {"5"}


def test_a_page_behind_the_end_is_empty_and_still_says_how_many_there_are(people, admin):
    page = admin.get("/admin/users", params={"skip": 10})

    assert (page.json(), page.headers["X-Total-Count"], page.links) == ([], "1", {})


def test_an_admin_changes_what_the_request_names_and_nothing_else(people, admin):
    ana = people.employee("Ana", time_zone="Europe/Berlin")
    before = admin.get(f"/admin/users/{ana.id}").json()

    changed = admin.patch(f"/admin/users/{ana.id}", json={"last_name": "Öz", "time_zone": "Asia/Tokyo"})

    assert changed.json() == before | {"last_name": "Öz", "time_zone": "Asia/Tokyo"}
    assert admin.get(f"/admin/users/{ana.id}").json() == changed.json()
    assert first_names(admin.get("/admin/users", params={"search": "ana öz"})) == ["Ana"]


def test_a_change_that_changes_nothing_is_fine(people, admin):
    ana = people.employee("Ana")
    before = admin.get(f"/admin/users/{ana.id}").json()

    changed = admin.patch(f"/admin/users/{ana.id}", json={"first_name": "Ana", "role": "employee"})

    assert (changed.status_code, changed.json()) == (200, before)


def test_a_persons_fields_cannot_be_emptied_nor_set_behind_the_rules(people, admin):
    ana = people.employee("Ana")
    before = admin.get(f"/admin/users/{ana.id}").json()
    nulls = [{field: None} for field in ("email", "first_name", "last_name", "time_zone", "role")]
    others = [{"is_active": False}, {"manager_id": 1}, {"id": 7}, {"password": PASSWORD}, {"created_at": "2026-01-01"}]

    refused = [admin.patch(f"/admin/users/{ana.id}", json=sent) for sent in [*nulls, *others]]

    assert [answer.status_code for answer in refused] == [422] * 10
    assert admin.get(f"/admin/users/{ana.id}").json() == before


def test_a_manager_is_an_active_manager_or_admin(people, admin):
    ana, eve, max_ = people.employee("Ana"), people.employee("Eve"), people.manager("Max", is_active=False)
    ids = [UNKNOWN_USER_ID, eve.id, max_.id]

    created = [admin.post("/admin/users", json=NEW | {"manager_id": each}) for each in ids]
    assigned = [admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": each}) for each in ids]

    expected = [(404, "manager_not_found"), (409, "manager_invalid"), (409, "manager_inactive")]
    assert [(answer.status_code, answer.json()["code"]) for answer in created + assigned] == expected * 2
    assert people.reload(ana).manager_id is None
    assert "zoe@example.com" not in emails(admin.get("/admin/users"))


def test_an_admin_can_be_a_manager_too(people, ada, admin):
    ana = people.employee("Ana")

    assigned = admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": ada.id})

    assert (assigned.status_code, assigned.json()["manager_id"]) == (200, ada.id)


def test_a_manager_sees_a_person_from_the_assignment_to_the_removal(people, admin, as_user):
    ana, mia = people.employee("Ana"), people.manager("Mia")
    manager = as_user(mia)

    seen = [first_names(manager.get("/team"))]
    admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": mia.id})
    seen.append(first_names(manager.get("/team")))
    removed = admin.delete(f"/admin/users/{ana.id}/manager")
    seen.append(first_names(manager.get("/team")))

    assert seen == [["Mia"], ["Ana", "Mia"], ["Mia"]]
    assert (removed.status_code, removed.json()["manager_id"]) == (200, None)


def test_managers_never_form_a_circle(people, admin):
    bo = people.manager("Bo")
    mia = people.manager("Mia", manager=bo)
    max_, ana = people.manager("Max", manager=mia), people.employee("Ana", manager=mia)
    circles = [(ana, ana), (bo, bo), (bo, mia), (bo, max_), (mia, max_)]

    refused = [
        admin.put(f"/admin/users/{user.id}/assign-manager", params={"manager_id": manager.id})
        for user, manager in circles
    ]

    assert [answer.status_code for answer in refused] == [409] * 5
    assert [answer.json()["code"] for answer in refused] == ["manager_is_self"] * 2 + ["manager_cycle"] * 3
    assert [people.reload(each).manager_id for each in (bo, mia, max_, ana)] == [None, bo.id, mia.id, mia.id]


def test_a_manager_moves_within_the_tree(people, admin):
    bo = people.manager("Bo")
    mia, max_ = people.manager("Mia", manager=bo), people.manager("Max", manager=bo)

    moved = admin.put(f"/admin/users/{max_.id}/assign-manager", params={"manager_id": mia.id})

    assert (moved.status_code, moved.json()["manager_id"]) == (200, mia.id)


def test_a_role_counts_from_the_very_next_request(people, admin, as_user):
    ana = people.employee("Ana")
    me = as_user(ana)

    answers = []
    for role in ("manager", "admin", "employee"):
        admin.patch(f"/admin/users/{ana.id}", json={"role": role})
        answers.append((me.get("/reports/team", params=A_DAY).status_code, me.get("/admin/users").status_code))

    assert answers == [(200, 403), (200, 200), (403, 403)]


def test_who_has_reports_is_not_demoted_until_they_are_reassigned(people, admin):
    mia, max_ = people.manager("Mia"), people.manager("Max")
    ana = people.employee("Ana", manager=mia)

    refused = admin.patch(f"/admin/users/{mia.id}", json={"role": "employee"})
    admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": max_.id})
    demoted = admin.patch(f"/admin/users/{mia.id}", json={"role": "employee"})

    assert (refused.status_code, refused.json()["code"]) == (409, "has_reports")
    assert (demoted.status_code, demoted.json()["role"]) == (200, "employee")


def test_who_has_reports_may_move_between_manager_and_admin(people, admin):
    mia = people.manager("Mia")
    people.employee("Ana", manager=mia)

    roles = [admin.patch(f"/admin/users/{mia.id}", json={"role": role}).json()["role"] for role in ("admin", "manager")]

    assert roles == ["admin", "manager"]


def test_an_admin_is_told_whom_a_manager_who_leaves_leaves_behind(people, admin):
    mia, max_ = people.manager("Mia"), people.manager("Max")
    bo = people.manager("Bo", manager=mia)
    people.employee("Ana", manager=mia)
    people.employee("Dan", manager=mia, is_active=False)
    people.employee("Eve", manager=bo)
    people.employee("Fay", manager=max_)

    answers = [admin.put(f"/admin/users/{user.id}/deactivate").json() for user in (mia, mia, people.employee("Gil"))]

    assert [answer["active_reports"] for answer in answers] == [2, 2, 0]

    def found(**params):
        return first_names(admin.get("/admin/users", params=params))

    assert found(manager_is_active=False) == ["Bo", "Ana", "Dan"]
    assert found(manager_is_active=False, is_active=True, search="an") == ["Ana"]
    assert found(manager_is_active=True) == ["Eve", "Fay"]
    admin.put(f"/admin/users/{mia.id}/activate")
    assert found(manager_is_active=False) == []


def test_who_has_reports_can_be_deactivated_and_keeps_them(people, admin):
    mia = people.manager("Mia")
    ana = people.employee("Ana", manager=mia)

    deactivated = admin.put(f"/admin/users/{mia.id}/deactivate")

    assert (deactivated.status_code, deactivated.json()["is_active"]) == (200, False)
    assert people.reload(ana).manager_id == mia.id


def test_there_is_always_an_active_admin(people, ada, admin):
    people.admin("Dan", is_active=False)

    demoted = [admin.patch(f"/admin/users/{ada.id}", json={"role": role}) for role in ("manager", "employee")]
    deactivated = admin.put(f"/admin/users/{ada.id}/deactivate")

    refused = [*demoted, deactivated]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(409, "last_admin")] * 3
    assert admin.get("/auth/me").json()["role"] == "admin"


def test_the_last_admin_but_one_may_go(people, ada, admin, as_user):
    ben, cleo = people.admin("Ben"), people.admin("Cleo")

    demoted = as_user(ben).patch(f"/admin/users/{ben.id}", json={"role": "employee"})
    deactivated = as_user(cleo).put(f"/admin/users/{cleo.id}/deactivate")

    assert (demoted.status_code, deactivated.status_code) == (200, 200)
    assert admin.put(f"/admin/users/{ada.id}/deactivate").json()["code"] == "last_admin"


def test_a_deactivated_person_is_out_at_once(people, admin, as_user, anonymous):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)
    me.clock_in(website.id)

    before = utc_now()
    admin.put(f"/admin/users/{ana.id}/deactivate")

    answers = [
        me.get("/auth/me"),
        me.clock_in(website.id),
        me.clock_out(),
        log_in(anonymous, "ana@example.com", PASSWORD),
    ]
    assert [answer.status_code for answer in answers] == [401] * 4
    (entry,) = entries(admin)
    assert f"{before:%Y-%m-%dT%H:%M:%SZ}" <= entry["end_time"] <= f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"


def test_a_forgotten_entry_is_flagged_when_deactivation_closes_it(people, admin):
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, f"{utc_now() - timedelta(hours=20):%Y-%m-%d %H:%M:%S}", None)

    admin.put(f"/admin/users/{ana.id}/deactivate")

    (entry,) = entries(admin)
    assert (entry["end_time"] is not None, entry["needs_review"]) == (True, True)


def test_deactivating_twice_and_activating_twice_are_fine(people, admin):
    ana = people.employee("Ana")

    answers = [admin.put(f"/admin/users/{ana.id}/{what}") for what in ("deactivate",) * 2 + ("activate",) * 2]

    assert [(each.status_code, each.json()["is_active"]) for each in answers] == [(200, False)] * 2 + [(200, True)] * 2


def test_who_comes_back_logs_in_again_and_old_tokens_stay_dead(people, admin, as_user, anonymous):
    ana = people.employee("Ana")
    old = as_user(ana)
    admin.put(f"/admin/users/{ana.id}/deactivate")

    admin.put(f"/admin/users/{ana.id}/activate")

    assert old.get("/auth/me").status_code == 401
    assert log_in(anonymous, "ana@example.com", PASSWORD).status_code == 200


def test_a_new_password_ends_what_the_old_one_opened(people, admin, as_user, anonymous):
    ana = people.employee("Ana")
    me = as_user(ana)

    changed = admin.put(f"/admin/users/{ana.id}/password", json={"password": ANOTHER_PASSWORD})

    assert (changed.status_code, changed.json()["id"]) == (200, ana.id)
    assert me.get("/auth/me").status_code == 401
    assert [log_in(anonymous, "ana@example.com", typed).status_code for typed in (PASSWORD, ANOTHER_PASSWORD)] == [
        401,
        200,
    ]


def test_a_weak_password_is_not_taken(people, admin, as_user):
    ana = people.employee("Ana")

    refused = [
        admin.put(f"/admin/users/{ana.id}/password", json={"password": "password1234"}),
        admin.post("/admin/users", json=NEW | {"password": "password1234"}),
    ]

    assert [answer.status_code for answer in refused] == [422, 422]
    assert as_user(ana).get("/auth/me").status_code == 200


def log_in(caller, email, password):
    return caller.post("/auth/login", data={"username": email, "password": password})


def emails(answer):
    return [user["email"] for user in answer.json()]


def first_names(answer):
    return [user["first_name"] for user in answer.json()]


def entries(admin):
    """Return the recent entries of all users, as an admin sees them."""
    today = utc_now().date()
    params = {"start_date": today - timedelta(days=2), "end_date": today + timedelta(days=1), "scope": "all"}
    return [entry for user in admin.get("/reports/team", params=params).json() for entry in user["entries"]]
