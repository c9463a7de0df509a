"""The caller's own account, and the users that they may see (rules: V1; threats 6)."""


def test_people_read_their_own_account(people, as_user):
    mia = people.manager("Mia")
    ana = people.employee("Ana", manager=mia, time_zone="Europe/Berlin")

    me = as_user(ana).get("/auth/me").json()

    assert me == {
        "id": ana.id,
        "email": "ana@example.com",
        "first_name": "Ana",
        "last_name": "Silva",
        "is_active": True,
        "role": "employee",
        "manager_id": mia.id,
        "time_zone": "Europe/Berlin",
        "created_at": f"{ana.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "must_change_password": False,
        "has_second_factor": False,
    }


def test_people_change_their_own_names_and_zone(people, as_user):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    me = as_user(ana)
    before = me.get("/auth/me").json()
    changes = {"first_name": "Anna", "last_name": "Sílva", "time_zone": "Asia/Tokyo"}

    changed = me.patch("/auth/me", json=changes)

    assert (changed.status_code, changed.json()) == (200, before | changes)
    assert me.get("/auth/me").json() == before | changes
    found = as_user(ada).get("/admin/users", params={"search": "anna SÍLVA"}).json()
    assert [user["id"] for user in found] == [ana.id]


def test_nobody_changes_their_own_standing(people, as_user):
    mia = people.manager("Mia")
    me = as_user(people.employee("Ana"))
    before = me.get("/auth/me").json()
    bodies = [
        {"role": "admin"},
        {"manager_id": mia.id},
        {"is_active": False},
        {"email": "other@example.com"},
        {"password": "another-lantern-17-harbour"},
        {"has_second_factor": True},
        {"must_change_password": False},
        {"id": mia.id},
        {"first_name": None},
        {"time_zone": "Mars/Base"},
        {"first_name": "Anna", "role": "admin"},
    ]

    refused = [me.patch("/auth/me", json=body) for body in bodies]

    assert [answer.status_code for answer in refused] == [422] * 11
    assert me.get("/auth/me").json() == before


def test_each_role_sees_the_people_it_may_see(people, as_user):
    bo = people.manager("Bo")
    mia = people.manager("Mia", manager=bo)
    ana = people.employee("Ana", manager=mia)
    people.employee("Dan", manager=mia, is_active=False)
    people.employee("Bob")
    ada, lone = people.admin("Ada"), people.manager("Lea")

    seen = {each.first_name: team(as_user(each)) for each in (ana, mia, bo, lone, ada)}

    assert seen == {
        "Ana": ["Ana"],
        "Mia": ["Mia", "Ana", "Dan"],
        "Bo": ["Bo", "Mia", "Ana", "Dan"],
        "Lea": ["Lea"],
        "Ada": ["Bo", "Mia", "Ana", "Dan", "Bob", "Ada", "Lea"],
    }


def test_a_team_is_walked_page_by_page(people, as_user):
    mia = people.manager("Mia")
    for name in ("Ana", "Bob"):
        people.employee(name, manager=mia)
    manager = as_user(mia)

    first = manager.get("/team", params={"limit": 2})
    second = manager.at_root("GET", first.links["next"]["url"])

    assert [[user["first_name"] for user in page.json()] for page in (first, second)] == [["Mia", "Ana"], ["Bob"]]
    assert (first.headers["X-Total-Count"], second.links) == ("3", {})


def team(caller):
    return [user["first_name"] for user in caller.get("/team").json()]
