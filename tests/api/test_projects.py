"""Projects: administration by admins, and bookings by users (rules: J1, J2, E4)."""

UNKNOWN_USER_ID = 2_000_000_000


def test_a_new_project_can_be_booked_by_everyone_at_once(people, admin, as_user):
    ana = people.employee("Ana")

    created = admin.post("/admin/projects", json={"name": "Website"})

    assert created.status_code == 201
    project = created.json()
    assert project == {
        "id": project["id"],
        "name": "Website",
        "is_active": True,
        "created_at": project["created_at"],
        "code": None,
    }
    assert admin.get(f"/admin/projects/{project['id']}").json() == project
    assert as_user(ana).clock_in(project["id"]).status_code == 200


def test_a_project_name_is_taken_however_it_is_written(people, admin):
    pairs = {"Website": "WEBSITE", "Öffentlich": "ÖFFENTLICH", "Straße": "strasse", "Shop": "\uff33hop"}
    for taken in pairs:
        people.project(taken, is_active=taken != "Shop")
    other = people.project("Other")

    created = [admin.post("/admin/projects", json={"name": variant}) for variant in pairs.values()]
    renamed = [admin.patch(f"/admin/projects/{other.id}", json={"name": variant}) for variant in pairs.values()]

    answers = [(answer.status_code, answer.json()["code"]) for answer in created + renamed]
    assert answers == [(409, "project_name_taken")] * 8
    assert sorted(names(admin.get("/admin/projects"))) == sorted([*pairs, "Other"])


def test_a_project_is_renamed_also_in_case_only(people, admin):
    website = people.project("website")

    renamed = [admin.patch(f"/admin/projects/{website.id}", json={"name": name}) for name in ("Website", "Shop")]

    assert [(answer.status_code, answer.json()["name"]) for answer in renamed] == [(200, "Website"), (200, "Shop")]
    assert names(admin.get("/admin/projects", params={"search": "SHOP"})) == ["Shop"]


def test_projects_are_listed_in_the_order_they_came_archived_ones_too(people, admin):
    for name in ("website", "Änderung", "Shop", "Archive"):
        people.project(name, is_active=name != "Archive")

    listed = admin.get("/admin/projects")

    assert names(listed) == ["website", "Änderung", "Shop", "Archive"]


def test_projects_are_found_by_a_part_of_their_name_and_filtered(people, admin):
    for name in ("Website", "Old website", "Änderung", "50% off"):
        people.project(name, is_active=name != "Old website")

    def search_names(**params):
        return names(admin.get("/admin/projects", params=params))

    assert search_names(search="WEB") == ["Website", "Old website"]
    assert search_names(search="web", is_active=True) == ["Website"]
    assert search_names(is_active=False) == ["Old website"]
    assert search_names(search="äND") == ["Änderung"]
    assert search_names(search="0%") == ["50% off"]
    assert search_names(search="_") == []


def test_a_long_list_of_projects_is_walked_page_by_page(people, admin, as_user):
    for name in ("A", "B", "C", "D", "E"):
        people.project(name, is_active=name != "C")

    def page_through(caller, path):
        pages = [caller.get(path, params={"limit": 2})]
        while following := pages[-1].links.get("next"):
            pages.append(caller.at_root("GET", following["url"]))
        return [names(page) for page in pages], {page.headers["X-Total-Count"] for page in pages}

    assert page_through(admin, "/admin/projects") == ([["A", "B"], ["C", "D"], ["E"]], {"5"})
    assert page_through(as_user(people.employee("Ana")), "/projects") == ([["A", "B"], ["D", "E"]], {"4"})


def test_each_person_is_offered_what_they_may_book(people, ada, as_user):
    ana, bob = people.employee("Ana"), people.employee("Bob")
    people.project("Website")
    people.project("Ana's", members=(ana,))
    people.project("Ours", members=(ana, bob))
    people.project("Old", is_active=False)
    people.project("Old and Bob's", members=(bob,), is_active=False)

    offered = {each.first_name: names(as_user(each).get("/projects")) for each in (ana, bob, ada)}

    assert offered == {"Ana": ["Website", "Ana's", "Ours"], "Bob": ["Website", "Ours"], "Ada": ["Website"]}


def test_an_archived_project_is_not_offered_until_it_is_reopened(people, admin, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    me = as_user(ana)

    answers, offered = [], []
    for is_active in (False, True):
        answers.append(admin.patch(f"/admin/projects/{website.id}", json={"is_active": is_active}))
        offered.append((names(me.get("/projects")), me.clock_in(website.id).status_code))

    assert [(answer.status_code, answer.json()["is_active"]) for answer in answers] == [(200, False), (200, True)]
    assert offered == [([], 409), (["Website"], 200)]


def test_a_project_belongs_to_its_members_from_the_first_to_the_last(people, admin, as_user):
    ana, bob, website = people.employee("Ana"), people.employee("Bob"), people.project("Website")
    member, callers = f"/admin/projects/{website.id}/members/{ana.id}", [as_user(ana), as_user(bob)]

    def offered():
        return [names(caller.get("/projects")) for caller in callers]

    before = offered()
    added = admin.put(member)
    between = offered()
    removed = admin.delete(member)

    assert (added.status_code, removed.status_code) == (204, 204)
    assert (before, between, offered()) == ([["Website"]] * 2, [["Website"], []], [["Website"]] * 2)


def test_adding_and_removing_a_member_again_changes_nothing(people, admin):
    ana, bob = people.employee("Ana"), people.employee("Bob")
    website = people.project("Website", members=(bob,))
    path = f"/admin/projects/{website.id}/members"

    added = [(admin.put(f"{path}/{ana.id}").status_code, first_names(admin.get(path))) for _ in range(2)]
    removed = [(admin.delete(f"{path}/{ana.id}").status_code, first_names(admin.get(path))) for _ in range(2)]

    assert added == [(204, ["Ana", "Bob"])] * 2
    assert removed == [(204, ["Bob"])] * 2


def test_members_are_listed_page_by_page(people, admin):
    many_users = tuple(people.employee(name) for name in ("Ana", "Bob", "Carla"))
    website = people.project("Website", members=many_users)

    first = admin.get(f"/admin/projects/{website.id}/members", params={"limit": 2})
    second = admin.at_root("GET", first.links["next"]["url"])

    assert [first_names(page) for page in (first, second)] == [["Ana", "Bob"], ["Carla"]]
    assert (first.headers["X-Total-Count"], second.links) == ("3", {})


def test_a_member_is_a_person_and_their_project_exists(people, admin):
    ana, website = people.employee("Ana"), people.project("Website")
    paths = [
        f"/admin/projects/{website.id}/members/{UNKNOWN_USER_ID}",
        f"/admin/projects/{UNKNOWN_USER_ID}/members/{ana.id}",
    ]

    refused = [call(path) for path in paths for call in (admin.put, admin.delete)]

    assert [answer.status_code for answer in refused] == [404] * 4
    assert [answer.json()["code"] for answer in refused] == ["user_not_found"] * 2 + ["project_not_found"] * 2


def test_a_member_who_leaves_the_project_finishes_the_entry_that_runs(people, admin, as_user):
    ana, bob = people.employee("Ana"), people.employee("Bob")
    website = people.project("Website", members=(ana, bob))
    me = as_user(ana)
    me.clock_in(website.id)

    admin.delete(f"/admin/projects/{website.id}/members/{ana.id}")

    assert me.clock_out().status_code == 200
    assert me.clock_in(website.id).status_code == 404


def test_a_projects_fields_cannot_be_emptied_nor_set_behind_the_rules(people, admin):
    website = people.project("Website")
    before = admin.get(f"/admin/projects/{website.id}").json()
    bodies = [{"name": None}, {"is_active": None}, {"name": ""}, {"name": "   "}, {"id": 7}, {"name_key": "x"}]

    refused = [admin.patch(f"/admin/projects/{website.id}", json=body) for body in bodies]

    assert [answer.status_code for answer in refused] == [422] * 6
    assert admin.get(f"/admin/projects/{website.id}").json() == before


def names(answer):
    return [project["name"] for project in answer.json()]


def first_names(answer):
    return [user["first_name"] for user in answer.json()]
